"""Timelines and changes with a denoiser, on one trained for a few steps: what must stay does, and joins are faded."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests import motions as make

from mate.cli.app import main
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample
from mate.errors import MateError
from mate.generate.base import Editor
from mate.generate.mdm.config import preset, with_training
from mate.generate.mdm.editing import OVERLAP, _fades, _seen
from mate.generate.mdm.model import MDMGenerator
from mate.generate.mdm.recipe import train_generator
from mate.generate.postprocess import restore_bones
from mate.generate.sub_texts import BySubTexts
from mate.generate.timeline import REACH, Step, jumps
from mate.motion.retarget import heading
from mate.text.encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = [Step("a person walks", 2.0), Step("someone raises the left hand", 1.45), Step("a person walks", 2.0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mdm")
    clips = (("a person walks", make.gait(3.0, 1.0)), ("someone raises the left hand", make.raised(0)))
    samples = [Sample(f"clip{n}", joints, (Caption(text),), "train") for n, (text, joints) in enumerate(clips)]
    write_dataset(samples, place / "set", name="made up", license="CC0-1.0")
    config = with_training(preset("tiny"), steps=30)
    train_generator([place / "set"], place / "model", config, encoder=TextEncoder.from_pretrained(), quiet=True)
    return place / "model"


@pytest.fixture(scope="module")
def model(folder: Path) -> MDMGenerator:
    return MDMGenerator.from_pretrained(folder)


def test_a_timeline_is_one_motion_that_its_seed_decides(model: MDMGenerator) -> None:
    assert isinstance(model, Editor)
    made = model.timeline(STEPS, seed=3)
    assert made.shape == (109, 22, 3) and made.dtype == np.float32 and np.isfinite(made).all()
    assert (model.timeline(STEPS, seed=3) == made).all()
    assert not np.allclose(model.timeline(STEPS, seed=3, number=1), made)
    other = [STEPS[0], Step("a person walks", 1.45), STEPS[2]]
    assert not np.allclose(model.timeline(other, seed=3), made), "its prompts decide, too"


def test_sub_texts_one_after_the_other(model: MDMGenerator) -> None:
    text, keys = "a person walks, then raises the left hand", [(0, "step", 0), (0, "step", 1)]
    by = BySubTexts(model)
    steps = [Step("a person walks", 1.5), Step("a person raises the left hand", 1.5)]
    np.testing.assert_array_equal(by.sample([text], [3.0], seed=3)[0], model.timeline(steps, seed=3))
    parts = [step.text for step in steps]
    lengths = model.choose_seconds(parts, 3, keys)
    assert lengths == model.choose_seconds(parts, 3, keys)
    assert len(by.sample([text], seed=3)[0]) == round(sum(lengths) * 20)


def test_a_join_is_no_rougher_than_the_rest(model: MDMGenerator) -> None:
    """One prompt twice: where it joins itself nothing is to be seen."""
    worst = []
    for seed in range(4):
        found = jumps(model.timeline([STEPS[0], STEPS[0]], seed=seed), 20.0)
        worst.append([found.around(40, REACH)[1], np.percentile(found.velocity, 99)])
    join, anywhere = np.mean(worst, axis=0)
    assert join < 1.1 * anywhere


def test_timelines_are_longer_than_one_motion_can_be(model: MDMGenerator) -> None:
    steps = [Step("a person walks", 10.0)] * 2 + [Step("someone raises the left hand", 0.5)]
    assert len(model.timeline(steps)) == 410


@pytest.mark.parametrize(
    ("steps", "told"), [([], "without steps"), ([Step(" ", 2)], "empty"), ([Step("walks", 11)], "11 s")]
)
def test_bad_timelines(model: MDMGenerator, steps: list[Step], told: str) -> None:
    with pytest.raises(MateError, match=told):
        model.timeline(steps)


def test_every_frame_is_shared_out_once() -> None:
    edges = [0, 30, 42, 242, 260]
    spans = [_seen(a, b, edges[-1], 200) for a, b in pairwise(edges)]
    assert spans[0] == (0, 30 + OVERLAP) and spans[2] == (42, 242), "the longest step has no room for its neighbours"
    total = np.zeros(edges[-1])
    for (a, b), weight in zip(spans, _fades(spans, edges), strict=True):
        assert weight.shape == (b - a, 1) and float(weight.min()) >= 0
        total[a:b] += weight[:, 0].numpy()
    assert np.allclose(total, 1, atol=1e-6)


def elsewhere(joints: np.ndarray) -> np.ndarray:
    turned = joints[..., [2, 1, 0]] * np.array([1.0, 1.0, -1.0])
    return (turned + np.array([3.0, 0.0, -2.0])).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_a_gap_is_filled_and_what_is_around_it_stays(model: MDMGenerator, seconds: float) -> None:
    before, after = elsewhere(make.gait(3.0, 1.0)), make.raised(0)
    made = model.between(before, after, "a person walks", seconds, seed=1)
    gap = round(20 * seconds)
    assert len(made) == len(before) + gap + len(after)
    assert (made[: len(before)] == before).all()
    piece = made[len(before) + gap :]
    assert np.allclose(np.diff(piece[:, :, 1], axis=0), np.diff(after[:, :, 1], axis=0), atol=1e-5), "one rigid piece"
    lengths = [np.linalg.norm(x[:1, 5] - x[:, 11], axis=-1) for x in (piece, after)]
    assert np.allclose(*lengths, atol=1e-4)
    found = jumps(made, 20.0)
    assert found.position[len(before) - 2 : len(before) + 2].max() < 0.3


def test_going_on_from_a_pose_and_leading_into_a_motion(model: MDMGenerator) -> None:
    pose = elsewhere(make.stand(1.0))[-1:]
    made = model.between(pose, None, "a person walks", 2.0)
    assert len(made) == 41 and (made[0] == pose[0]).all()
    after = elsewhere(make.raised(0))
    led = model.between(None, after, "a person walks", 1.0)
    assert np.allclose(led[20:], after, atol=1e-6), "nothing before it: it stays where it is"


def test_one_part_of_the_body_is_made_anew(model: MDMGenerator) -> None:
    given = restore_bones(elsewhere(make.gait(14.0, 0.5))).astype(np.float32)  # longer than the model makes at once
    start, end = 100, 140
    made = model.between(
        given[:start], given[end:], "someone raises the left hand", 2.0, parts=["left arm"], middle=given[start:end]
    )
    assert made.shape == given.shape
    assert (made[:start] == given[:start]).all() and (made[end:] == given[end:]).all()
    others = [joint for joint in range(22) if joint not in (13, 16, 18, 20)]
    assert np.abs(made[:, others] - given[:, others]).max() < 1e-4
    assert np.abs(made[start:end, 20] - given[start:end, 20]).max() > 0.02
    with pytest.raises(MateError, match="no motion to change"):
        model.between(given, None, "waves", 2.0, parts=["arms"])


def test_it_goes_on_along_a_path(model: MDMGenerator) -> None:
    before = elsewhere(make.gait(3.0, 1.0))
    ahead = before[-1, 0, [0, 2]] - before[-11, 0, [0, 2]]
    path = before[-1, 0, [0, 2]] + np.arange(1, 41)[:, None] / 10 * ahead
    made = model.between(before, None, "a person walks", 2.0, path=path)
    assert (made[: len(before)] == before).all()
    assert np.abs(made[len(before) + 8 :, 0][:, [0, 2]] - path[8:]).max() < 0.05
    turn = heading(made)[-1] - heading(before)[-1]
    assert abs(np.arctan2(np.sin(turn), np.cos(turn))) < 0.3, "it looks where it goes"
    with pytest.raises(MateError, match="expected 40"):
        model.between(before, None, "a person walks", 2.0, path=path[:-1])
    with pytest.raises(MateError, match="free at its end"):
        model.between(before, before, "a person walks", 2.0, path=path)


@pytest.mark.parametrize("seconds", [0.0, 12.0])
def test_gaps_that_cannot_be_filled(model: MDMGenerator, seconds: float) -> None:
    with pytest.raises(MateError, match="this model fills"):
        model.between(make.stand(1.0), None, "walks", seconds)


def test_commands(folder: Path, tmp_path: Path) -> None:
    common = ["--model", str(folder), "--format", "npy"]
    line = "walk: 1s; raise the left hand: 1.5s"
    assert main(["generate", "--timeline", line, *common, "-o", str(tmp_path / "a")]) == 0
    assert np.load(tmp_path / "a" / "0000.npy").shape == (50, 22, 3)
    walk = tmp_path / "walk.npy"
    np.save(walk, restore_bones(make.gait(4.0, 1.0)).astype(np.float32))
    change = ["generate", "raises the left hand", "--edit", str(walk), "--from", "1", "--to", "2"]
    assert main([*change, "--part", "left arm", *common, "-o", str(tmp_path / "b")]) == 0
    made = np.load(tmp_path / "b" / "0000.npy")
    assert np.abs(made[:, :13] - np.load(walk)[:, :13]).max() < 1e-4
    np.save(tmp_path / "path.npy", make.gait(4.0, 1.0)[-1, 0, [0, 2]] + np.arange(20)[:, None] * [0.0, 0.05])
    go = ["generate", "a person walks", "--continue", str(walk), "--seconds", "1", "--path", str(tmp_path / "path.npy")]
    assert main([*go, *common, "-o", str(tmp_path / "c")]) == 0
    assert np.load(tmp_path / "c" / "0000.npy").shape == (100, 22, 3)

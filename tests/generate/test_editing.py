"""Timelines, motion between motions, smaller weights, and the shipped models: what they made is what they make."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mate.checkpoints import default_model, from_pretrained
from mate.cli.app import main
from mate.errors import MateError
from mate.formats.save import save_motion
from mate.generate.base import Editor, Generator
from mate.generate.editing import assemble, motion_features, placed, smooth_seams
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.precision import lower, weight_bytes
from mate.generate.seams import main as seams_main
from mate.generate.seams import random_timelines, seam_jumps
from mate.generate.timeline import LIMITS, Step, bounds, jumps, parse_timeline
from mate.motion.motion import Motion
from mate.motion.retarget import heading, rotate_about_y

TEXTS = ["a person walks forward", "someone raises the left hand", "a person turns right and waves", "jumps twice"]
TIMELINE = "walk forward: 3s; turn left: 2s; wave with the right hand: 3s"
# Of the motions of `TEXTS` with 3, 2.05, 5 and 1.5 s, seed 0: the root in the last frame and the right wrist in frame 20, metres; and how
# many frames the model chooses with seed 1. Made by the shipped models when they were shipped; new ones need new numbers.
SHIPPED = {
    "default": (
        [
            [-0.024, 0.8818, 3.7073, -0.284, 0.8303, 1.1204],
            [-0.0011, 0.9335, 0.0066, -0.2532, 0.8816, 0.091],
            [-0.001, 0.9447, 0.0019, -0.5811, 1.6524, -0.0719],
            [0.0129, 0.9472, 0.7774, -0.295, 1.2707, 1.1824],
        ],
        [104, 40, 76, 48],
    ),
    "kinwords": (
        [
            [0.0119, 0.9316, 2.1293, -0.2277, 0.8543, 0.8022],
            [0.0002, 0.947, 0.0037, -0.2568, 0.8383, 0.0679],
            [-1.2505, 0.9374, 5.923, -0.015, 0.9264, 0.5937],
            [-0.0058, 0.8718, 0.0306, -0.2973, 1.5893, 0.5241],
        ],
        [168, 64, 108, 48],
    ),
}


@pytest.fixture(scope="module")
def model() -> MoMaskGenerator:
    return MoMaskGenerator.from_pretrained(default_model())


@pytest.fixture(scope="module")
def clip(model: MoMaskGenerator) -> np.ndarray:
    return model.sample(["a person walks forward"], [3.0], seed=2)[0]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_make_what_they_made(name: str) -> None:
    model = from_pretrained(default_model(name))
    motions = model.sample(TEXTS, [3, 2.05, 5, 1.5], seed=0)
    found = [[*joints[-1, 0], *joints[20, 21]] for joints in motions]
    expected, lengths = SHIPPED[name]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert [len(joints) for joints in model.sample(TEXTS, None, seed=1)] == lengths


# ------------------------------------------------------------------------------------------------------------------- timelines


def test_timelines_are_read() -> None:
    steps = parse_timeline("walk: fast : 3s; turn left:2.5 ;wave: .5 seconds;")
    assert steps == [Step("walk: fast", 3.0), Step("turn left", 2.5), Step("wave", 0.5)]
    assert bounds([Step("a", 1.03), Step("b", 2.0), Step("c", 0.5)], 20.0, 4) == [0, 20, 60, 71]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty timeline"),
        (" ; ", "empty timeline"),
        ("walk", "expected PROMPT: SECONDS"),
        ("walk: fast", "expected PROMPT: SECONDS"),
        ("walk: -3s", "expected PROMPT: SECONDS"),
        (": 3s", "has no prompt"),
        ("a: 1s;" * 101, "at most 100"),
    ],
)
def test_what_is_no_timeline_is_refused(text: str, message: str) -> None:
    with pytest.raises(MateError, match=message):
        parse_timeline(text)


def test_a_timeline_is_one_smooth_motion(model: MoMaskGenerator) -> None:
    assert isinstance(model, Editor)
    assert isinstance(model, Generator)
    steps = parse_timeline(TIMELINE)
    joints = model.timeline(steps, seed=0)
    assert joints.shape == (160, 22, 3)
    found = jumps(joints, 20.0)
    for seam in bounds(steps, 20.0, 4)[1:-1]:
        assert all(np.array(found.around(seam, 4)) <= LIMITS)
    assert joints[59, 0, 2] > 1.5  # it walked
    assert np.degrees(heading(joints)[100] - heading(joints)[60]) > 20  # and turned left
    assert np.array_equal(joints, model.timeline(steps, seed=0))
    assert not np.array_equal(joints, model.timeline(steps, seed=0, number=1))


@pytest.mark.slow
def test_joins_of_random_timelines_are_as_smooth_as_real_clips(model: MoMaskGenerator) -> None:
    texts = [
        *TEXTS,
        "someone runs forward",
        "a man walks backwards",
        "waves with both hands",
        "turns left while walking",
    ]
    rows = seam_jumps(model, random_timelines(texts, 20), 20.0, 4)
    assert rows.shape == (40, 3)
    assert (rows <= LIMITS).mean() >= 0.99


def test_a_long_timeline_and_bad_ones(model: MoMaskGenerator) -> None:
    assert len(model.timeline([Step("a person walks forward", 9.0), Step("waves", 9.5)])) == 370
    for steps, message in (([], "without steps"), ([Step(" ", 2.0)], "is empty"), ([Step("a", 11.0)], "0.5 to 10")):
        with pytest.raises(MateError, match=message):
            model.timeline(steps)


# ---------------------------------------------------------------------------------------------------- motion between motions


def test_a_change_in_the_middle_keeps_what_is_around_it(model: MoMaskGenerator, clip: np.ndarray) -> None:
    for start, end in ((21, 45), (20, 40), (3, 55)):
        made = model.between(clip[:start], clip[end:], "raises the left hand", (end - start) / 20, seed=1)
        assert made.shape == clip.shape
        assert np.array_equal(made[:start], clip[:start])
        assert not np.allclose(made[start:end], clip[start:end], atol=0.05)
        # The rest is one rigid piece: the same poses, turned and moved in the plane.
        np.testing.assert_allclose(placed(clip[end:], 0, made[end]), made[end:], atol=1e-4)
        np.testing.assert_allclose(made[end:, :, 1], clip[end:, :, 1], atol=1e-5)
        found = jumps(made, 20.0)
        assert all(found.around(seam, 4) <= tuple(1.5 * np.array(LIMITS)) for seam in (start, end))


def test_going_on_and_leading_in(model: MoMaskGenerator, clip: np.ndarray) -> None:
    after = model.between(clip, None, "a person walks forward", 2.0)
    assert len(after) == 100
    assert np.array_equal(after[:60], clip)
    assert after[-1, 0, 2] - clip[-1, 0, 2] > 0.5  # the same way as before
    before = model.between(None, clip, "a person walks forward", 1.35)
    assert len(before) == 87
    np.testing.assert_allclose(before[27:], clip, atol=1e-5)
    pose = model.between(clip[30:31], None, "a person walks forward", 2.0)
    assert len(pose) == 41
    assert np.array_equal(pose[0], clip[30])
    alone = model.between(None, None, "waves", 1.0)
    assert alone.shape == (20, 22, 3)


def test_a_turned_world_turns_the_result(model: MoMaskGenerator, clip: np.ndarray) -> None:
    angle, shift = 1.1, np.array([3.0, 0.0, -2.0], np.float32)
    moved = rotate_about_y(clip, np.full(len(clip), angle, np.float32)) + shift
    straight, turned = (model.between(x, None, "a person walks forward", 1.0, seed=4) for x in (clip, moved))
    np.testing.assert_allclose(rotate_about_y(straight, np.full(80, angle, np.float32)) + shift, turned, atol=5e-3)


def test_what_whole_bodies_cannot_do_is_said(model: MoMaskGenerator, clip: np.ndarray) -> None:
    with pytest.raises(MateError, match="whole body"):
        model.between(clip[:20], None, "waves", 1.0, parts=["left arm"])
    with pytest.raises(MateError, match="along a path"):
        model.between(clip[:20], None, "walks", 1.0, path=np.zeros((20, 2)))
    with pytest.raises(MateError, match=r"fills 0.05 to 9.2 s"):
        model.between(clip[:20], clip[40:], "walks", 9.5)
    with pytest.raises(MateError, match="not finite"):
        model.between(np.full((20, 22, 3), np.nan), None, "walks", 1.0)
    with pytest.raises(MateError, match="is empty"):
        model.between(clip[:20], None, "", 1.0)


def test_array_work(clip: np.ndarray) -> None:
    assert motion_features(clip).shape == (60, 263)
    ramp = np.cumsum(np.r_[np.zeros(20), np.ones(20)])[:, None]
    smooth = smooth_seams(ramp, [20])
    assert np.abs(np.diff(smooth, 2, axis=0)).max() < np.abs(np.diff(ramp, 2, axis=0)).max()
    assert np.array_equal(smooth[:13], ramp[:13])
    step = clip[20:41] + 0.3  # another place
    joined = assemble(clip[:20], step[:-1], clip[40:], 18)
    assert joined.shape == (58, 22, 3)
    assert jumps(joined, 20.0).velocity.max() < 6


# ------------------------------------------------------------------------------------------------------------- smaller weights


@pytest.mark.parametrize(("dtype", "share", "apart"), [("bf16", 0.52, 0.1), ("int8", 0.3, 0.15)])
def test_smaller_weights_make_nearly_the_same(model: MoMaskGenerator, dtype: str, share: float, apart: float) -> None:
    small = MoMaskGenerator.from_pretrained(default_model(), dtype=dtype)
    small.encoder = model.encoder
    layers = [m for m in small.modules() if type(m).__name__ == "_Narrow"]
    wide = sum(4 * m.narrow.numel() for m in layers)  # type: ignore[operator,union-attr]
    assert sum(weight_bytes(m) for m in layers) < share * wide
    pooled = model.pooled(TEXTS)
    a, b = (m.length.logits(pooled) for m in (model, small))
    assert bool((a - b).abs().max() < apart * a.abs().max())
    codes = torch.randint(512, (2, 12, 5), generator=torch.Generator().manual_seed(0))
    a, b = (m.vq.normalizer(m.vq.decode(codes)) for m in (model, small))
    assert float((a - b).abs().mean()) < 0.05
    motions = small.sample(TEXTS, [2.0] * 4)
    assert all(np.isfinite(joints).all() for joints in motions)
    alone = small.sample(TEXTS[:1], [2.0])[0]
    np.testing.assert_allclose(alone, motions[0], atol=1e-4)


def test_an_unknown_number_format(model: MoMaskGenerator) -> None:
    with pytest.raises(MateError, match="fp32, bf16, int8"):
        lower(model, "fp8")


# --------------------------------------------------------------------------------------------------------------- command line


def test_commands(tmp_path: Path, clip: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    walk = tmp_path / "walk.npy"
    save_motion(Motion(clip, 20.0), walk, {})
    runs = (
        (["--timeline", TIMELINE, "--dtype", "int8"], 160, TIMELINE),
        (["--edit", str(walk), "--from", "1", "--to", "2", "waves"], 60, "waves"),
        (["--continue", str(walk), "--seconds", "1.5", "walks"], 90, "walks"),
    )
    for number, (arguments, frames, prompt) in enumerate(runs):
        out = tmp_path / str(number)
        assert main(["generate", *arguments, "--format", "npy", "-o", str(out), "--json"]) == 0
        row = json.loads(capsys.readouterr().out)["motions"][0]
        assert (row["prompt"], row["seconds"]) == (prompt, frames / 20)
        assert np.load(out / "0000.npy").shape == (frames, 22, 3)
    assert np.array_equal(np.load(tmp_path / "1" / "0000.npy")[:20], clip[:20])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timeline", TIMELINE, "walks"], "the timeline holds the prompts"),
        (["--timeline", "walk: 99s"], "0.5 to 10"),
        (["--timeline", "walk"], "expected PROMPT: SECONDS"),
        (["--edit", "{walk}", "waves"], "--from and --to"),
        (["--edit", "{walk}", "--from", "2", "--to", "1", "waves"], "0 <= from < to"),
        (["--edit", "{walk}", "--from", "1", "--to", "9", "waves"], "the motion has 3 s"),
        (["--edit", "{walk}", "--from", "1", "--to", "2", "--part", "left arm", "waves"], "whole body"),
        (["--edit", "{walk}", "--continue", "{walk}", "waves"], "one of them"),
        (["--edit", "nothing.bvh", "--from", "1", "--to", "2", "waves"], "no motion at"),
        (["--continue", "{walk}", "waves"], "give --seconds"),
        (["--continue", "{walk}", "--seconds", "2", "--path", "{path}", "waves"], "along a path"),
        (["--continue", "{walk}", "--seconds", "2", "waves", "jumps"], "2 prompts for one motion"),
        (["--from", "1", "waves"], "without a motion"),
        (["--dtype", "fp8", "waves"], "fp32, bf16, int8"),
    ],
)
def test_bad_commands(
    arguments: list[str], message: str, tmp_path: Path, clip: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    walk, path = tmp_path / "walk.npy", tmp_path / "path.npy"
    save_motion(Motion(clip, 20.0), walk, {})
    np.save(path, np.zeros((40, 2)))
    filled = [argument.format(walk=walk, path=path) for argument in arguments]
    assert main(["generate", *filled, "-o", str(tmp_path / "out")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_seam_statistics(data_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seams_main([str(data_set), "--split", "train", "--timelines", "2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["joins"] == 4
    assert set(printed["real_99"]) == {"frames", "around_a_moment"}
    assert seams_main([str(data_set / "none")]) == 2


@pytest.fixture
def data_set(tmp_path: Path, clip: np.ndarray) -> Path:
    from mate.data.build import write_dataset
    from mate.data.dataset import Caption, Sample

    samples = [Sample(f"c{i}", clip, (Caption(text),), "train", {}) for i, text in enumerate(TEXTS)]
    write_dataset(samples, tmp_path / "set", name="made up", license="CC0-1.0")
    return tmp_path / "set"

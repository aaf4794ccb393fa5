"""The grounding probe: attention and boundaries whose answer is known give the figures that they should."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.align.conftest import tiny_aligner
from tests.align.conftest import tiny_bert as tiny_bert  # a fixture

from mate.align.aligner import Aligner
from mate.cli.app import main
from mate.data.captions import words as words_in
from mate.errors import MateError
from mate.evaluate.grounding import (
    boundary_errors,
    frame_figures,
    random_cuts,
    seams,
    segmentations,
    to_units,
    word_attention,
)
from mate.evaluate.grounding_continuous import TRIALS, change_times, read_trials
from mate.evaluate.grounding_joints import movement, share_figures
from mate.evaluate.grounding_probe import Bootstrap, Measured, grounding_card, measure
from mate.evaluate.grounding_truth import phrases_of, read_clips

CAPTIONS = ("a person walks left, then waves", "a person waves, then walks left and then jumps", "a person jumps")
EDGES = ((0.0, 1.5, 3.2), (0.0, 1.0, 2.0, 3.2), (0.0, 3.2))


@pytest.fixture(scope="module")
def known_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three joined clips of 64 frames, and one of which nothing is known."""
    folder = tmp_path_factory.mktemp("known")
    rng = np.random.default_rng(0)
    for name in ("new_joint_vecs", "new_joints", "texts"):
        (folder / name).mkdir()
    names, rows = [f"clip{n}" for n in range(4)], []
    for n, name in enumerate(names):
        np.save(folder / "new_joint_vecs" / f"{name}.npy", rng.normal(size=(64, 263)).astype(np.float32))
        np.save(folder / "new_joints" / f"{name}.npy", rng.normal(size=(65, 22, 3)).astype(np.float32))
        edges = EDGES[n] if n < 3 else ()
        parts = [{"text": "", "start": a, "end": b} for a, b in itertools.pairwise(edges)]
        rows.append({"name": name, **({"segments": parts} if parts else {})})
        (folder / "texts" / f"{name}.txt").write_text(f"{CAPTIONS[min(n, 2)]}##0.0#0.0\n")
    for split in ("train", "val", "test"):
        (folder / f"{split}.txt").write_text("\n".join(names[3:] if split == "val" else names) + "\n")
    (folder / "meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dataset.json").write_text(json.dumps({"name": "known", "license": "Apache-2.0", "fps": 20.0}))
    np.save(folder / "Mean.npy", np.zeros(263, dtype=np.float32))
    np.save(folder / "Std.npy", np.ones(263, dtype=np.float32))
    return folder


@pytest.fixture(scope="module")
def aligner(tiny_bert: str) -> Aligner:
    return tiny_aligner(tiny_bert)


# ---------------------------------------------------------------------- figures with known answers


@given(frames=st.integers(1, 60), data=st.data())
@settings(max_examples=50, deadline=None)
def test_even_weights_give_the_share_of_true_frames_by_every_figure(frames: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, frames - 1))
    end = data.draw(st.integers(start + 1, frames))
    found = frame_figures(np.full(frames, 0.3), start, end)
    assert np.allclose(found, (end - start) / frames)


def test_weights_where_the_word_is_are_perfect_and_elsewhere_worthless() -> None:
    weights = np.zeros(40)
    weights[10:20] = 0.1
    assert frame_figures(weights, 10, 20).tolist() == [1, 1, 1]
    assert frame_figures(weights, 20, 30).tolist() == [0, 0, 0]
    half = frame_figures(weights, 15, 25)  # half of the peak, half of the mass; 5 frames of 15
    assert np.allclose(half, [0.5, 1 / 3, 0.5])
    weights[5] = 0.2  # one frame outside takes the peak
    assert frame_figures(weights, 10, 20)[0] == 0


def test_joint_shares() -> None:
    assert np.allclose(share_figures(np.ones(22), (0, 1)), 2 / 22)
    assert np.allclose(share_figures(np.zeros(22), (0, 1)), 2 / 22), "no share at all: as for even ones"
    one = np.eye(22)[20]
    assert share_figures(one, (18, 20)).tolist() == [1, 1] and share_figures(one, (19,)).tolist() == [0, 0]
    moving = np.zeros((30, 22, 3))
    moving[:, :, 0] = np.arange(30)[:, None] * 0.1  # all travel alike
    moving[:, 20, 1] = np.sin(np.arange(30))
    assert movement(moving, 0, 30, about_pelvis=True).argmax() == 20
    assert np.allclose(movement(moving, 0, 30, about_pelvis=True)[:20], 0)
    assert movement(moving, 0, 30, about_pelvis=False).min() > 0.09


# ---------------------------------------------------------------------- boundaries


@pytest.mark.parametrize(
    ("found", "true", "errors"),
    [
        ([1.0, 3.0], [(1.5, 1.5), (2.0, 2.0)], [0.5, 1.0]),  # as many: in order, even where another pairing were nearer
        ([1.0], [(0.5, 1.5)], [0.0]),  # within a pause
        ([2.0], [(0.5, 1.5)], [0.5]),
        ([], [(2.0, 2.0), (9.0, 9.0)], [2.0, 1.0]),  # nothing found: to the nearer end of 10 s
        ([8.5], [(2.0, 2.0), (8.0, 8.0)], [2.0, 0.5]),
        ([2.0, 5.0, 8.1], [(2.0, 2.0), (8.0, 8.0)], [0.0, 0.1]),  # one too many
        ([3.0], [], []),
    ],
)
def test_boundary_errors(found: list[float], true: list[tuple[float, float]], errors: list[float]) -> None:
    assert np.allclose(boundary_errors(found, true, 10.0), errors)


@given(st.integers(1, 4), st.integers(0, 1000), st.floats(1.0, 9.8))
@settings(max_examples=50, deadline=None)
def test_controls_cut_inside_the_clip_in_order(count: int, seed: int, seconds: float) -> None:
    rng = np.random.default_rng(seed)
    frames = round(seconds * 20)
    for cuts in (random_cuts(seconds, count, rng), seams(rng.normal(size=(frames, 22, 3)), count, 20.0)):
        assert len(cuts) == count and (np.diff([0.0, *cuts, seconds]) > 0).all()
        units = to_units(cuts, frames // 4, 4, 20.0)
        assert units[0] == 0 and units[-1] == frames // 4 and (np.diff(units) > 0).all()


def test_the_seam_detector_finds_seams() -> None:
    joints = np.zeros((120, 22, 3))
    joints[40:] += 0.5
    joints[80:] += 0.7
    assert np.allclose(seams(joints, 2, 20.0), [2.0, 4.0], atol=0.1)
    assert seams(joints, 0, 20.0).size == 0


# ---------------------------------------------------------------------- truth


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a person walks, then waves", ["a person walks", "waves"]),
        ("a person walks and then waves, then sits", ["a person walks", "waves", "sits"]),
        ("a person walks; after that, waves", ["a person walks", "waves"]),
        ("a person first walks, next waves", ["a person first walks", "waves"]),
        ("after walking on, somebody waves", ["walking on", "somebody waves"]),
        ("somebody walks before waving", ["somebody walks", "waving"]),
        ("somebody walks, followed by waving, followed by bowing", ["somebody walks", "waving", "bowing"]),
        ("a person raises a hand, then holds it, then walks", None),  # of two events: cannot be told apart
    ],
)
def test_phrases_are_told_apart_by_their_connectives(caption: str, phrases: list[str] | None) -> None:
    found = phrases_of(caption, len(phrases) if phrases else 2)
    assert (found and [caption[start:end] for start, end in found]) == phrases


def test_clips_of_a_joined_set(known_set: Path) -> None:
    clips = read_clips(known_set, "test")
    assert [clip.name for clip in clips] == ["clip0", "clip1", "clip2"], "clip3 says nothing of its events"
    assert clips[0].boundaries == ((1.5, 1.5),) and clips[2].boundaries == ()
    walks, left, waves = clips[0].words
    assert (walks.text, walks.start, walks.end) == ("walks", 0, 30) and left.event == (0, 30)
    assert (waves.start, waves.end, waves.once, waves.short) == (30, 64, True, False)
    assert [words_in(clips[0].caption)[word.index].text for word in clips[0].words] == ["walks", "left", "waves"]
    assert len(read_clips(known_set, "test", limit=1)) == 1
    with pytest.raises(MateError, match="known times"):
        read_clips(known_set, "val")


def test_words_of_kinwords(known_set: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(known_set, tmp_path / "set")
    rows = [json.loads(line) for line in (folder / "meta.jsonl").read_text().splitlines()]
    word = {"word": "left", "index": 3, "caption": 0, "joints": [13, 16]}
    rows[0]["words"] = [{**word, "frames": [4, 12]}, {**word, "word": "walks", "index": 2, "frames": [0, 30]}]
    rows[0]["words"] += [{**word, "word": "the", "frames": [0, 30]}, {**word, "caption": 1, "frames": [0, 30]}]
    (folder / "meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    left, walks = read_clips(folder, "test")[0].words
    assert left.short and left.joints == (13, 16) and (left.start, left.end) == (4, 12) and left.event == (0, 30)
    assert not walks.short


def test_when_a_turn_or_a_stop_is() -> None:
    time = np.arange(100) / 20
    speed = np.where(time < 3, 1.5, 0.0)
    joints = np.zeros((100, 22, 3))
    joints[:, :, 2] = np.cumsum(speed / 20)[:, None]
    [stop] = change_times(joints, 20.0, "stop")
    [start] = change_times(joints[::-1], 20.0, "start")
    assert stop == pytest.approx(3, abs=0.15) and start == pytest.approx(2, abs=0.15)


def test_real_trials_change_within_themselves(shared_data: Path) -> None:
    clips = read_trials(shared_data / "cmu" / "snu-subject-16")
    assert len(clips) == len(TRIALS) and all(len(clip.words) >= 3 for clip in clips)
    for clip in clips:
        times = [time for span in clip.boundaries for time in span]
        assert times == sorted(times) and times[0] > 0.25 and times[-1] < len(clip.features) / 20 - 0.1, clip.name
    with pytest.raises(MateError, match="lacks 16_28"):
        read_trials(shared_data / "cmu")


# ---------------------------------------------------------------------- the whole


def test_attention_of_a_batch_is_that_of_each_clip(aligner: Aligner) -> None:
    rng = np.random.default_rng(1)
    motions = [rng.normal(size=(frames, 263)).astype(np.float32) for frames in (66, 30, 50)]
    together = word_attention(aligner, motions, CAPTIONS)
    spans = [segmentations(aligner, m, [c])[0].spans(c) for m, c in zip(motions, CAPTIONS, strict=True)]
    hinted = word_attention(aligner, motions, CAPTIONS, spans, omega=5.0)
    for n, (motion, caption) in enumerate(zip(motions, CAPTIONS, strict=True)):
        [alone] = word_attention(aligner, [motion], [caption])
        assert alone.shape == (len(words_in(caption)), len(motion))
        assert np.allclose(alone, together[n], atol=1e-5) and np.allclose(alone.sum(1), 1, atol=1e-5)
        assert not np.allclose(alone, hinted[n], atol=1e-4)


def test_a_model_that_reads_nothing_equals_even_weights(aligner: Aligner, known_set: Path) -> None:
    import copy

    blind = copy.deepcopy(aligner)
    with torch.no_grad():
        for weight in blind.attention.query.parameters():
            weight.zero_()
    clips = read_clips(known_set)
    card = grounding_card(measure(blind, clips, joints="occlusion"), clips)
    rows = {row["reader"]: row for row in card["frames"] if row["group"] == "all"}
    for figure in ("element_of", "soft_iou", "mass"):
        assert rows["attention"][figure] == pytest.approx(rows["even"][figure])
        assert rows["hinted"][figure] == pytest.approx(rows["even"][figure]), "no logits: nothing to scale"
    assert rows["even"]["attention_ahead"]["value"] == pytest.approx(0, abs=1e-9)
    assert rows["uniform"]["element_of"]["value"] > rows["even"]["element_of"]["value"]
    assert card["splitter"] == {"captions": 3, "exact": 3, "more": 0, "fewer": 0} and not card["joints"]
    assert {row["boundaries"] for row in card["boundaries"] if row["group"] == "all"} == {3}


@pytest.mark.filterwarnings("error")
def test_a_model_without_a_prior_has_no_prior_alone(tiny_bert: str, known_set: Path) -> None:
    plain = tiny_aligner(tiny_bert)
    plain.config = replace(plain.config, prior="none")
    clips = read_clips(known_set)
    card = grounding_card(measure(plain, clips), clips)
    rows = {row["reader"]: row for row in card["frames"] if row["group"] == "all"}
    assert set(rows) == {"attention", "hinted", "even", "other", "speed"}
    assert rows["hinted"]["mass"] == pytest.approx(rows["attention"]["mass"]), "nothing guides it"


def test_intervals_are_over_motions() -> None:
    sampler = Bootstrap.over(40, seed=0)
    rng = np.random.default_rng(0)
    motions = np.repeat(np.arange(40), 5)
    together = np.repeat(rng.normal(size=40), 5)  # the words of a motion agree: 40 facts, not 200
    apart = rng.normal(size=200)

    def width(row: dict[str, float]) -> float:
        assert row["low"] <= row["value"] <= row["high"]
        return row["high"] - row["low"]

    assert width(sampler.mean(together, motions)) > 1.5 * width(sampler.mean(apart, motions))
    assert sampler.median(apart, motions)["value"] == pytest.approx(np.median(apart))
    assert width(sampler.median(together, motions)) > width(sampler.median(apart, motions))
    with pytest.raises(MateError, match="no word"):
        grounding_card(Measured(), [])


def test_the_command(aligner: Aligner, known_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    model = str(aligner.save_pretrained(tmp_path / "model", "# a test model\n"))
    cards = []
    for name in ("a", "b"):
        card, page = tmp_path / f"{name}.json", tmp_path / f"{name}.md"
        arguments = ["probe", "--grounding", model, "--data", str(known_set), "-o", str(card), "--markdown", str(page)]
        assert main([*arguments, "--limit", "2"]) == 0
        cards.append(json.loads(card.read_text()))
        assert "control: uniform segments" in page.read_text()
    assert cards[0] == cards[1] and cards[0]["motions"] == 2 and cards[0]["data"]["split"] == "test"
    assert main(["probe", "--grounding", model]) == 2 and "--data" in capsys.readouterr().err
    assert main(["probe", "--grounding", model, "--data", str(known_set), "--joints", "magic"]) == 2
    assert "magic" in capsys.readouterr().err


def test_joints_of_a_model_that_sees_one_of_them(aligner: Aligner, known_set: Path) -> None:
    """Occlusion finds the one joint that a model looks at; controls of movement do not, where all joints move alike."""
    import copy
    from dataclasses import replace

    from mate.align.grounding import joint_of_feature
    from mate.evaluate.grounding_joints import joint_figures

    one = copy.deepcopy(aligner)
    with torch.no_grad():
        first: torch.nn.Linear = one.motion.embed[0]  # type: ignore[assignment]
        first.weight.mul_(torch.from_numpy(joint_of_feature() == 20).repeat(one.config.stride))
    clip = read_clips(known_set)[0]
    walks, left, waves = clip.words
    told = (replace(walks, joints=(20,)), replace(left, joints=(16,)), replace(waves, joints=(20,)))
    clip = replace(clip, words=told)
    [cut] = segmentations(one, clip.features, [clip.caption])
    rows = dict(joint_figures(one, clip, cut, "occlusion"))
    assert rows[told[0]]["occlusion"] == pytest.approx(1, abs=0.01) and rows[told[1]]["occlusion"][1] < 0.01
    assert (
        rows[told[0]]["control: another word of its event"][0] == 1
        and "control: another word of its event" not in rows[told[2]]
    )
    assert all(row["control: even"] == pytest.approx(1 / 22) for row in rows.values())
    assert all(row["control: speed in the room"][1] < 0.2 for row in rows.values())

"""Joining, extending and the sources made of them, on small made-up motions; splits on the real archive."""

import itertools
import json

import numpy as np
import pytest
from tests.motions import gliding as body

from mate.data.bandai_namco import UNSEEN_PAIRS, label_error, takes
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample, open_dataset
from mate.data.extended import at_length, extended, held_window
from mate.data.joined import LONGEST, Pool, joined, most_active_window
from mate.errors import MateError
from mate.motion.joining import OVERLAP, best_entry, extend, join, loops
from mate.motion.retarget import heading, rotate_about_y
from mate.motion.skeleton import HUMANML3D


def bones(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints - joints[:, np.maximum(HUMANML3D.parents, 0)], axis=2)


def test_a_join_starts_where_the_first_part_ends():
    first, second = body(60, turn=1.5), rotate_about_y(body(60), 2.0) + np.array([5.0, 0.0, -3.0], dtype=np.float32)
    result = join(first, second)
    assert len(result) == 120 - OVERLAP
    np.testing.assert_array_equal(result[: 60 - OVERLAP], first[:-OVERLAP])
    steps = np.linalg.norm(np.diff(result[:, 0], axis=0), axis=1)
    assert steps.max() < 0.08
    assert np.abs(np.diff(heading(result))).max() < 0.1
    np.testing.assert_allclose(bones(result), np.broadcast_to(HUMANML3D.bone_lengths, bones(result).shape), atol=1e-4)


def test_too_short_parts_are_refused():
    with pytest.raises(MateError, match="more than the overlap"):
        join(body(60), body(OVERLAP))


def test_a_loop_is_a_whole_number_of_cycles():
    # The legs swing once a second, 20 frames.
    start, end = loops(body(80), np.random.default_rng(0))
    assert (end - start) % 20 in (0, 1, 19)


def test_extending_keeps_the_beginning_and_reaches_the_length():
    clip = body(80)
    longer = extend(clip, 190, np.random.default_rng(0))
    assert len(longer) >= 190
    start = min(len(clip) // 8, 12)
    np.testing.assert_array_equal(longer[:start], clip[:start])
    assert np.linalg.norm(np.diff(longer[:, 0], axis=0), axis=1).max() < 0.08


def test_the_best_entry_is_where_the_phase_fits():
    assert best_entry(body(60), body(60), latest=19) in (12, 11, 13)


def test_windows_show_the_action():
    turning = np.concatenate([body(60), body(60)[:, :, :]])
    assert 0 <= most_active_window(turning, 30) <= 90
    raised = body(60, speed=0.0, lift=1.0)
    first, last = held_window(raised, "raise-up-left-hand")
    assert first < 30 < last and raised[first, 20, 1] > raised[0, 20, 1] + 0.3


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A made-up set with three contents in every split."""
    folder = tmp_path_factory.mktemp("sets") / "made-up"
    samples = []
    for split, number in [(s, n) for s in ("train", "val", "test") for n in range(3)]:
        for content, clip in (
            ("walk", body(100 + number)),
            ("walk-turn-left", body(90, turn=1.4)),
            ("raise-up-left-hand", body(50, speed=0.0, lift=1.0)),
        ):
            name = f"{split}_{content}_{number}"
            meta = {"content": content, "style": "normal", "take": name, "source": "made up"}
            samples.append(Sample(name, clip, (Caption("a person moves"),), split, meta))
    write_dataset(samples, folder, name="made-up", license="CC0", mirror=False)
    return folder


def test_joined_clips_stay_in_the_split_of_their_takes(prepared, tmp_path):
    write_dataset(joined(prepared, 12, seed=0), tmp_path / "joined", name="joined", license="CC0")
    for split in ("train", "val", "test"):
        dataset = open_dataset(tmp_path / "joined", split)
        assert len(dataset) > 0
        for index, facts in enumerate(dataset.meta):
            assert all(take.startswith(split + "_") for take in facts["takes"])
            spans = facts["segments"]
            assert 2 <= len(spans) <= 4
            assert all(a["end"] == b["start"] for a, b in itertools.pairwise(spans))
            assert spans[0]["start"] == 0.0
            assert abs(spans[-1]["end"] * 20 - dataset.lengths[index]) <= 1.5
            assert dataset.lengths[index] <= LONGEST


def test_joined_clips_depend_on_the_seed_alone(prepared):
    first, again, other = (list(joined(prepared, 4, seed=seed)) for seed in (1, 1, 2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.joints, b.joints)
        assert a.captions == b.captions
    assert any(a.captions != c.captions for a, c in zip(first, other, strict=True))


def test_some_seams_lie_inside_a_sub_text(prepared):
    clips = list(joined(prepared, 40, seed=0))
    inside = sum(len(clip.meta["seams"]) - (len(clip.meta["segments"]) - 1) for clip in clips)
    assert inside > 5


@pytest.mark.parametrize("seconds", [2.0, 5.0, 9.0])
def test_every_content_is_brought_to_any_length(prepared, seconds):
    pool = Pool.open(prepared, "train")
    frames = int(seconds * 20) + 1
    for content, indices in pool.by_content.items():
        clip = at_length(pool, content, "normal", pool.joints(indices[0]), frames, np.random.default_rng(0))
        assert abs(len(clip) - frames) <= 1, content
        assert np.isfinite(clip).all()
        if content == "walk-turn-left":
            assert heading(clip)[-1] - heading(clip)[0] > 0.5


def test_extended_clips_only_hold_takes_of_their_split(prepared):
    for clip in extended(prepared, 20, seed=0, split="train"):
        assert all(take.startswith("train_") for take in clip.meta["takes"])


def test_a_set_without_contents_is_refused(tmp_path):
    write_dataset([Sample("a", body(50), (Caption("walks"),), "train")], tmp_path / "set", name="x", license="CC0")
    with pytest.raises(MateError, match="known contents"):
        Pool.open(tmp_path / "set", "train")


def test_a_mislabelled_turn_is_found():
    assert label_error("walk-turn-left", body(90, turn=1.4)) is None
    assert "+80 degrees" in str(label_error("walk-turn-right", body(90, turn=np.radians(80.0))))
    assert label_error("run", body(90, turn=-1.4)) is None


def test_real_takes_are_split_by_take_and_pairs_stay_unseen(shared_data):
    archive = shared_data / "bandai-namco.zip"
    every = takes(archive)
    assert len(every) == 2505
    splits = {split: [take for take in every if take.split == split] for split in ("train", "val", "test")}
    assert len(splits["train"]) > 1900 and len(splits["test"]) > 200 and len(splits["val"]) > 90
    assert not any((take.content, take.style) in UNSEEN_PAIRS for take in (*splits["train"], *splits["val"]))
    json.dumps([take.name for take in every])

"""Writing a set in HumanML3D's layout and reading it back."""

import json

import numpy as np
import pytest

from mate.data.batch import collate
from mate.data.build import write_dataset
from mate.data.dataset import Caption, MotionTextDataset, Sample, grouped_std, mirrored, open_dataset
from mate.errors import MateError
from mate.motion.features import features_to_joints, process_motion
from mate.motion.skeleton import HUMANML3D


def standing(frames: int = 50, hand_up: bool = False) -> np.ndarray:
    """A body that stands and drifts forward; optionally with the left hand lifted. (T, 22, 3) with canonical bone lengths."""
    pose = np.zeros((22, 3), dtype=np.float32)
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + HUMANML3D.rest_offsets[joint]
    if hand_up:
        for joint, parent in ((18, 16), (20, 18)):
            pose[joint] = pose[parent] + np.array([0.0, HUMANML3D.bone_lengths[joint], 0.0])
    pose[:, 1] -= pose[:, 1].min()
    drift = np.linspace(0, 1, frames, dtype=np.float32)[:, None, None] * np.array([0.0, 0.0, 1.0], dtype=np.float32)
    return (pose[None] + drift).astype(np.float32)


def sample(name: str, split: str = "train", **meta: object) -> Sample:
    captions = (Caption("a person raises the left hand"), Caption("someone lifts an arm", start=0.5, end=1.5))
    return Sample(name, standing(hand_up=True), captions, split, dict(meta))


def write(folder, *samples: Sample, mirror: bool = False):
    return write_dataset(samples, folder, name="tiny", license="CC0", mirror=mirror)


def test_what_is_written_is_read_back(tmp_path):
    report = write(tmp_path / "set", sample("a"), sample("b", "test"), sample("c", "val"))
    assert report.clips == {"train": 1, "val": 1, "test": 1}
    train = open_dataset(tmp_path / "set", "train")
    assert isinstance(train, MotionTextDataset)
    assert train.license == "CC0" and train.fps == 20.0
    expected = process_motion(standing(hand_up=True), retarget=False)
    np.testing.assert_allclose(train.features(0), expected, atol=1e-6)
    np.testing.assert_allclose(train.joints(0), features_to_joints(expected), atol=1e-5)
    np.testing.assert_allclose(train.mean, expected.mean(0), atol=1e-5)


def test_a_caption_about_a_part_is_an_item_of_its_own(tmp_path):
    write(tmp_path / "set", sample("a"))
    train = open_dataset(tmp_path / "set", "train")
    assert train.names == ("a", "a")
    assert [captions[0].text for captions in train.captions] == [
        "a person raises the left hand",
        "someone lifts an arm",
    ]
    assert train.lengths.tolist() == [49, 20]
    np.testing.assert_array_equal(train.features(1), train.features(0)[10:30])


def test_the_mirror_swaps_sides_in_joints_captions_and_words():
    words = [{"word": "left", "start": 0.0, "end": 1.0, "joints": [16, 18, 20]}]
    segments = [{"text": "raises the left hand", "start": 0.0, "end": 2.5}]
    image = mirrored(sample("a", words=words, segments=segments))
    assert image.name == "Ma"
    assert image.captions[0].text == "a person raises the right hand"
    assert image.meta["words"] == [{"word": "right", "start": 0.0, "end": 1.0, "joints": [17, 19, 21]}]
    assert image.meta["segments"][0]["text"] == "raises the right hand"
    assert image.joints[0, 21, 1] > image.joints[0, 20, 1] + 0.5
    bones = np.linalg.norm(image.joints - image.joints[:, np.maximum(HUMANML3D.parents, 0)], axis=2)
    np.testing.assert_allclose(bones, np.broadcast_to(HUMANML3D.bone_lengths, bones.shape), atol=1e-5)


def test_a_mirrored_clip_stays_in_its_split(tmp_path):
    write(tmp_path / "set", sample("a"), sample("b", "test"), mirror=True)
    names = {split: set((tmp_path / "set" / f"{split}.txt").read_text().split()) for split in ("train", "test")}
    assert names == {"train": {"a", "Ma"}, "test": {"b", "Mb"}}


def test_an_unusable_clip_is_reported_and_the_rest_is_written(tmp_path):
    bare = Sample("bare", standing(), (Caption("  "),), "train")
    short = Sample("short", standing(1), (Caption("stands"),), "train")
    report = write(tmp_path / "set", bare, sample("good"), short)
    assert [name for name, _ in report.dropped] == ["bare", "short"]
    assert report.clips["train"] == 1


def test_nothing_is_left_behind_when_no_clip_is_usable(tmp_path):
    with pytest.raises(MateError, match="no clip was left"):
        write(tmp_path / "set", Sample("bare", standing(), (), "train"))
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_the_old_set_alone(tmp_path):
    write(tmp_path / "set", sample("a"))

    def broken():
        yield sample("b")
        raise MateError("the source broke")

    with pytest.raises(MateError, match="the source broke"):
        write_dataset(broken(), tmp_path / "set", name="tiny", license="CC0")
    assert open_dataset(tmp_path / "set").names[0] == "a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.packed"]


@pytest.mark.parametrize(
    ("samples", "message"),
    [((sample("a"), sample("a")), "two clips are called a"), ((sample("a", "training"),), "got split 'training'")],
)
def test_bad_samples_are_refused(tmp_path, samples, message):
    with pytest.raises(MateError, match=message):
        write(tmp_path / "set", *samples)


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(MateError, match=r"has no train\.txt"):
        open_dataset(tmp_path)
    write(tmp_path / "set", sample("a"))
    (tmp_path / "set" / "texts" / "a.txt").write_text("walks#walk/VERB#soon#later\n")
    with pytest.raises(MateError, match="line 1: got times 'soon', 'later'"):
        open_dataset(tmp_path / "set")
    (tmp_path / "set" / "new_joint_vecs" / "a.npy").write_bytes(b"not an array")
    with pytest.raises(MateError, match=r"cannot read .*a\.npy"):
        open_dataset(tmp_path / "set")


def test_std_is_averaged_within_groups():
    std = np.arange(263, dtype=np.float32)
    grouped = grouped_std(std)
    assert grouped[0] == 0 and grouped[1] == grouped[2] == 1.5 and grouped[3] == 3
    assert np.unique(grouped[4:67]).tolist() == [35.0]


def test_a_batch_is_padded_with_true_for_valid():
    batch = collate([(np.ones((3, 263)), "a"), (np.ones((5, 263)), "b")])
    assert batch.features.shape == (2, 5, 263)
    assert batch.mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert batch.features[0, 3:].abs().sum() == 0
    assert batch.lengths.tolist() == [3, 5]


def test_meta_is_kept(tmp_path):
    write(tmp_path / "set", sample("a", content="raise", source="us"))
    assert open_dataset(tmp_path / "set").meta[0]["content"] == "raise"
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["clips"]["train"] == 1

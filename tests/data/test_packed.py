"""The packed form of a set: the same content, made anew when the set changes, quick to open."""

import os

import numpy as np
import pytest

from mate.data.dataset import open_dataset
from mate.data.packed import PackedClips, packed_path
from mate.data.speed import measure_data
from mate.errors import MateError


def assert_same(folder, split: str = "train") -> None:
    packed, plain = open_dataset(folder, split), open_dataset(folder, split, packed=False)
    assert isinstance(packed.clips, PackedClips) and not isinstance(plain.clips, PackedClips)
    assert list(packed.names) == list(plain.names) and tuple(packed.captions) == tuple(plain.captions)
    assert list(packed.spans) == list(plain.spans)
    for index in range(len(plain)):
        np.testing.assert_array_equal(packed.features(index), plain.features(index))
        np.testing.assert_array_equal(packed.joints(index), plain.joints(index))
        assert packed.captions[index] == plain.captions[index]
    np.testing.assert_array_equal(packed.lengths, plain.lengths)


def test_packed_is_the_same_set(prepared):
    text = prepared / "texts" / "000.txt"
    text.write_text(text.read_text() + "someone starts#someone/PRON starts/VERB#0.5#1.5\n")
    for split in ("train", "val", "test"):
        assert_same(prepared, split)
    assert open_dataset(prepared).captions[-1] == open_dataset(prepared).captions[len(open_dataset(prepared)) - 1]


def test_it_is_made_once(prepared):
    open_dataset(prepared)
    made = (packed_path(prepared) / "index.npz").stat().st_mtime_ns
    open_dataset(prepared, "test")
    assert (packed_path(prepared) / "index.npz").stat().st_mtime_ns == made


@pytest.mark.parametrize("change", ["features", "text", "fewer", "statistics", "damaged"])
def test_it_follows_the_folder(prepared, change):
    name = open_dataset(prepared).names[0]
    array = prepared / "new_joint_vecs" / f"{name}.npy"
    if change == "features":
        np.save(array, np.load(array) + 1)
    elif change == "text":
        (prepared / "texts" / f"{name}.txt").write_text("a new caption#a/DET new/ADJ caption/NOUN#0.0#0.0\n")
    elif change == "fewer":
        lines = (prepared / "train.txt").read_text().split()
        (prepared / "train.txt").write_text("\n".join(lines[1:]) + "\n")
    elif change == "statistics":
        np.save(prepared / "Mean.npy", np.load(prepared / "Mean.npy") + 1)
        assert open_dataset(prepared).mean[0] == np.load(prepared / "Mean.npy")[0]
    else:
        (packed_path(prepared) / "index.npz").write_bytes(b"torn")
    assert_same(prepared)


def test_where_it_cannot_be_written_files_are_read(prepared, monkeypatch):
    def refuse(*arguments):
        raise OSError("read-only")

    monkeypatch.setattr("mate.data.packed._pack", refuse)
    assert len(open_dataset(prepared)) == 16
    assert not packed_path(prepared).exists()


def test_a_broken_set_is_refused_with_its_file(prepared):
    open_dataset(prepared)
    name = open_dataset(prepared).names[0]
    (prepared / "new_joint_vecs" / f"{name}.npy").write_bytes(b"not an array")
    with pytest.raises(MateError, match=rf"cannot read .*{name}\.npy"):
        open_dataset(prepared)


def test_the_benchmark_makes_and_removes_a_set(tmp_path):
    rows, notes = measure_data(0.05, tmp_path)
    assert [row["what"] for row in rows] == ["file by file", "packed"]
    assert all(row["random clips read a second"] > 0 for row in rows)
    assert "25 clips" in notes[0] and os.listdir(tmp_path) == []

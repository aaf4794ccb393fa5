"""A set in one memory-mapped file, so that opening it costs no time and reading from it no file handles.

FOLDER.packed/ beside FOLDER holds `features.npy`, (all frames, D) float32, clip after clip, and `index.npz`: where each clip
starts, its captions as they stand in its text file, and which items each split has. It is made on first use and again when a
file of the folder was added, removed or written (names, sizes and times of change are compared). It can be deleted at any time.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from mate.data.dataset import (
    SPLITS,
    Caption,
    MotionTextDataset,
    clip_frames,
    items_of,
    parse_captions,
    read_captions,
    read_description,
)
from mate.errors import MateError
from mate.files import atomic_folder

_FORMAT = "mate packed 1"


def packed_path(folder: str | Path) -> Path:
    """Where the packed form of a set lies."""
    folder = Path(folder).resolve()
    return folder.with_name(f"{folder.name}.packed")


def open_packed(folder: Path, split: str) -> MotionTextDataset | None:
    """The split of a set from its packed form, which is made when it is missing or out of date.

    None where that cannot be done: it cannot be written, or a file of the set is missing or malformed. Reading the files
    themselves then says which.
    """
    place = packed_path(folder)
    try:
        state = _state(folder)
        index = _read_index(place, state)
        if index is None:
            _pack(folder, place, state)
            index = _read_index(place, state)
        if index is None or f"{split}_clip" not in index:
            return None
        return _open(folder, split, place, index)
    except (MateError, OSError, ValueError, KeyError):
        return None


def _open(folder: Path, split: str, place: Path, index: dict[str, np.ndarray]) -> MotionTextDataset:
    facts = read_description(folder)
    clips = bytes(index["names"]).decode().split("\n")
    numbers = index[f"{split}_clip"]
    features = np.load(place / "features.npy", mmap_mode="r", allow_pickle=False)
    if len(features) != index["starts"][-1]:
        raise MateError(f"{place} is damaged")
    captions = PackedCaptions(
        index["text"], index["lines"], index[f"{split}_line"], index[f"{split}_lines_from"], facts.fps
    )
    spans = tuple(zip(index[f"{split}_start"].tolist(), index[f"{split}_end"].tolist(), strict=True))
    numbers = numbers.tolist()
    return MotionTextDataset(
        folder, split, tuple(clips[number] for number in numbers), captions, spans, facts.fps, facts.mean, facts.std,
        facts.license, PackedClips(features, index["starts"]), tuple(numbers),
    )  # fmt: skip


@dataclass(frozen=True)
class PackedClips:
    """All clips in one array (F, D); clip i is rows starts[i] to starts[i + 1]."""

    array: np.ndarray
    starts: np.ndarray

    def features(self, number: int) -> np.ndarray:
        """(T, D) float32, a view into the file."""
        return self.array[self.starts[number] : self.starts[number + 1]]


@dataclass(frozen=True, eq=False)
class PackedCaptions(Sequence[tuple[Caption, ...]]):
    """The captions of every item, parsed when they are asked for.

    Attributes:
        text: all caption lines as UTF-8, (bytes,) uint8; line i is bytes lines[i] to lines[i + 1].
        line: the line numbers of all items, one item after the other; those of item i from lines_from[i] to lines_from[i + 1].
    """

    text: np.ndarray
    lines: np.ndarray
    line: np.ndarray
    lines_from: np.ndarray
    fps: float

    def __len__(self) -> int:
        return len(self.lines_from) - 1

    @overload
    def __getitem__(self, index: int) -> tuple[Caption, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[Caption, ...], ...]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        index = int(index) + len(self) if index < 0 else int(index)
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        found: list[Caption] = []
        for number in self.line[self.lines_from[index] : self.lines_from[index + 1]]:
            text = bytes(self.text[self.lines[number] : self.lines[number + 1]]).decode()
            found.extend(parse_captions(text, "a packed caption"))
        return tuple(found)


def _state(folder: Path) -> str:
    """A hash over the names, sizes and times of change of all files that matter."""
    digest = hashlib.sha256(_FORMAT.encode())
    for part in ("", "new_joint_vecs", "texts"):
        with os.scandir(folder / part) as entries:
            facts = []
            for entry in entries:
                if not part and not (entry.name.endswith((".txt", ".npy")) or entry.name == "dataset.json"):
                    continue
                stat = entry.stat()
                facts.append(f"{entry.name} {stat.st_size} {stat.st_mtime_ns}")
        digest.update(("\n".join([part, *sorted(facts)])).encode())
    return digest.hexdigest()


def _read_index(place: Path, state: str) -> dict[str, np.ndarray] | None:
    try:
        with np.load(place / "index.npz", allow_pickle=False) as archive:
            if str(archive["state"]) != state:
                return None
            return {key: archive[key] for key in archive.files}
    except (OSError, ValueError, KeyError):
        return None


def _pack(folder: Path, place: Path, state: str) -> None:
    facts = read_description(folder)
    splits = {split: folder.joinpath(f"{split}.txt") for split in (*SPLITS, "all")}
    listed = {split: path.read_text().split() for split, path in splits.items() if path.is_file()}
    clips = list(dict.fromkeys(name for names in listed.values() for name in names))
    width = len(facts.mean)
    frames = [clip_frames(folder / "new_joint_vecs" / f"{name}.npy", width) for name in clips]
    starts = np.concatenate([[0], np.cumsum(frames)]).astype(np.int64)
    _check_space(place, int(starts[-1]) * width * 4)

    lines: list[bytes] = []
    first_line: list[int] = []
    items: list[list[tuple[list[int], tuple[int, int]]]] = []
    for name, length in zip(clips, frames, strict=True):
        captions = read_captions(folder / "texts" / f"{name}.txt")
        first_line.append(len(lines))
        lines += [f"{c.text}#{c.tags}#{c.start}#{c.end}".encode() for c in captions]
        at = {id(caption): first_line[-1] + i for i, caption in enumerate(captions)}
        items.append([([at[id(c)] for c in texts], span) for texts, span in items_of(captions, length, facts.fps)])

    arrays: dict[str, np.ndarray] = {
        "state": np.array(state),
        "names": np.frombuffer("\n".join(clips).encode(), dtype=np.uint8),
        "starts": starts,
        "text": np.frombuffer(b"".join(lines), dtype=np.uint8),
        "lines": np.concatenate([[0], np.cumsum([len(line) for line in lines])]).astype(np.int64),
    }
    number_of = {name: number for number, name in enumerate(clips)}
    for split, names in listed.items():
        of_split = [(number_of[name], texts, span) for name in names for texts, span in items[number_of[name]]]
        arrays[f"{split}_clip"] = np.array([number for number, _, _ in of_split], dtype=np.int64)
        arrays[f"{split}_start"] = np.array([span[0] for _, _, span in of_split], dtype=np.int64)
        arrays[f"{split}_end"] = np.array([span[1] for _, _, span in of_split], dtype=np.int64)
        arrays[f"{split}_line"] = np.array([line for _, texts, _ in of_split for line in texts], dtype=np.int64)
        counts = [len(texts) for _, texts, _ in of_split]
        arrays[f"{split}_lines_from"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    with atomic_folder(place) as root:
        packed = np.lib.format.open_memmap(
            root / "features.npy", mode="w+", dtype=np.float32, shape=(int(starts[-1]), width)
        )
        for name, start, length in zip(clips, starts, frames, strict=False):
            packed[start : start + length] = np.load(folder / "new_joint_vecs" / f"{name}.npy", allow_pickle=False)
        packed.flush()
        np.savez(root / "index.npz", **arrays)  # pyright: ignore[reportArgumentType]


def _check_space(place: Path, size: int) -> None:
    free = shutil.disk_usage(place.parent).free
    if free < size + 2**28:
        raise MateError(f"{place} needs {size / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free")

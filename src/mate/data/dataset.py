"""Motion-text sets in HumanML3D's folder layout: writing one, and reading one back.

new_joints/NAME.npy       (T, 22, 3) float32, metres
new_joint_vecs/NAME.npy   (T, 263) float32, HumanML3D features
texts/NAME.txt            one caption a line: `caption#word/POS word/POS ...#start#end` (seconds; 0.0#0.0 = the whole clip)
train.txt val.txt test.txt all.txt, Mean.npy, Std.npy (of the training split)
meta.jsonl                one line a clip: source, licence, segments, words, ... (ours; optional when reading)
dataset.json              what the set is: fps, feature width, licence, counts (ours; optional when reading)
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mate.data.captions import mirror_caption, tag
from mate.errors import MateError
from mate.files import atomic_folder
from mate.motion.features import FEATURE_DIM, features_to_joints, process_motion
from mate.motion.retarget import mirror as mirror_joints
from mate.motion.retarget import retarget_to_canonical
from mate.motion.skeleton import HUMANML3D, LEFT, RIGHT

SPLITS = ("train", "val", "test")
FPS = 20.0
# The widths of the feature groups whose standard deviations HumanML3D averages (its `cal_mean_variance`).
STD_GROUPS = (1, 2, 1, 63, 126, 66, 4)


@dataclass(frozen=True)
class Caption:
    """One caption. `tags` are `word/POS` pairs; `start` and `end` in seconds, 0 and 0 for the whole clip."""

    text: str
    tags: str = ""
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One clip on its way into a data set.

    Attributes:
        joints: (T, 22, 3) float32 at 20 fps with canonical bone lengths.
        split: "train", "val" or "test".
        meta: JSON-able facts: source, license, segments (text, start, end in seconds), words (word, start, end, joints), ...
    """

    name: str
    joints: np.ndarray
    captions: tuple[Caption, ...]
    split: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass
class PrepareReport:
    """What went into a data set and what was dropped, with the reason."""

    clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    seconds: float = 0.0
    dropped: list[tuple[str, str]] = field(default_factory=list)

    def drop(self, name: str, reason: str) -> None:
        """Notes that `name` was left out."""
        self.dropped.append((name, reason))


def grouped_std(std: np.ndarray) -> np.ndarray:
    """Standard deviations averaged within HumanML3D's feature groups, (263,) -> (263,)."""
    edges = np.cumsum((0, *STD_GROUPS))
    means = [std[start:end].mean() for start, end in itertools.pairwise(edges)]
    return np.repeat(means, STD_GROUPS).astype(np.float32)


def mirrored(sample: Sample) -> Sample:
    """The left-right mirror image of a sample: joints, captions, segments and words; its name gets HumanML3D's `M` in front."""
    swap: dict[int, int] = dict(zip((*LEFT, *RIGHT), (*RIGHT, *LEFT), strict=True))
    meta = dict(sample.meta)
    if "segments" in meta:
        meta["segments"] = [{**segment, "text": mirror_caption(segment["text"])} for segment in meta["segments"]]
    if "words" in meta:
        meta["words"] = [
            {
                **word,
                "word": mirror_caption(word["word"]),
                "joints": sorted(swap.get(int(j), int(j)) for j in word["joints"]),
            }
            for word in meta["words"]
        ]
    for key in ("content", "program"):
        if key in meta:
            meta[key] = json.loads(mirror_caption(json.dumps(meta[key])))
    captions = tuple(Caption(mirror_caption(c.text), mirror_caption(c.tags), c.start, c.end) for c in sample.captions)
    joints = retarget_to_canonical(mirror_joints(sample.joints))
    return Sample(f"M{sample.name}", joints, captions, sample.split, {**meta, "mirror_of": sample.name})


class _RunningMoments:
    """Mean and standard deviation of feature rows in one pass (float64)."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, np.zeros(FEATURE_DIM), np.zeros(FEATURE_DIM)

    def add(self, features: np.ndarray) -> None:
        rows = features.astype(np.float64)
        self.count += len(rows)
        self.sum += rows.sum(0)
        self.squares += (rows**2).sum(0)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        mean = self.sum / max(self.count, 1)
        std = np.sqrt(np.maximum(self.squares / max(self.count, 1) - mean**2, 1e-10))
        return mean.astype(np.float32), grouped_std(std)


def write_dataset(
    samples: Iterable[Sample],
    folder: str | Path,
    *,
    name: str,
    license: str,
    mirror: bool = False,
    report: PrepareReport | None = None,
    facts: dict[str, Any] | None = None,
) -> PrepareReport:
    """Writes samples as a HumanML3D-layout folder. The folder appears when it is complete; an interrupted run leaves nothing.

    Args:
        samples: consumed one by one; memory does not grow with their number.
        name: what the set is called in dataset.json.
        license: the licence of the motion data, kept in dataset.json and later in every model trained on it.
        mirror: also write every clip's mirror image.
        report: continued when given (a source may have dropped clips already).
        facts: further JSON-able facts for dataset.json (seed, source, ...).

    Raises:
        MateError: no samples, two samples of one name, a sample without captions, an unknown split, a path that cannot be written.
    """
    report = report or PrepareReport()
    moments = _RunningMoments()
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    with atomic_folder(folder) as root:
        for part in ("new_joints", "new_joint_vecs", "texts"):
            (root / part).mkdir()
        with (root / "meta.jsonl").open("w", encoding="utf-8") as meta_file:
            for original in samples:
                if original.split not in SPLITS:
                    raise MateError(
                        f"{original.name}: got split {original.split!r}, expected one of {', '.join(SPLITS)}"
                    )
                for sample in (original, mirrored(original)) if mirror else (original,):
                    if sample.name in seen:
                        raise MateError(f"two clips are called {sample.name}; names must be unique within a set")
                    seen.add(sample.name)
                    try:
                        features = _write_sample(sample, root)
                    except MateError as error:
                        report.drop(sample.name, str(error))
                        continue
                    if sample.split == "train":
                        moments.add(features)
                    names[sample.split].append(sample.name)
                    report.clips[sample.split] += 1
                    report.seconds += len(features) / FPS
                    meta_file.write(json.dumps({"name": sample.name, "split": sample.split, **sample.meta}) + "\n")
        if not any(names.values()):
            reasons = "; ".join(f"{clip}: {reason}" for clip, reason in report.dropped[:3])
            raise MateError(f"no clip was left for {folder}{': ' + reasons if reasons else ''}")
        for split in SPLITS:
            (root / f"{split}.txt").write_text("".join(f"{clip}\n" for clip in names[split]))
        (root / "all.txt").write_text("".join(f"{clip}\n" for split in SPLITS for clip in names[split]))
        mean, std = moments.result()
        np.save(root / "Mean.npy", mean)
        np.save(root / "Std.npy", std)
        description = {
            "name": name,
            "license": license,
            "fps": FPS,
            "joints": HUMANML3D.joints,
            "feature_dim": FEATURE_DIM,
            "clips": report.clips,
            "hours": round(report.seconds / 3600, 3),
            "dropped": len(report.dropped),
            **(facts or {}),
        }
        (root / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")
    return report


def _write_sample(sample: Sample, root: Path) -> np.ndarray:
    texts = [caption for caption in sample.captions if caption.text.strip()]
    if not texts:
        raise MateError("no caption")
    features = process_motion(sample.joints, retarget=False).astype(np.float32)
    np.save(root / "new_joint_vecs" / f"{sample.name}.npy", features)
    np.save(root / "new_joints" / f"{sample.name}.npy", features_to_joints(features).astype(np.float32))
    lines = [f"{c.text.replace('#', ' ')}#{c.tags or tag(c.text)}#{c.start}#{c.end}\n" for c in texts]
    (root / "texts" / f"{sample.name}.txt").write_text("".join(lines), encoding="utf-8")
    return features


def read_captions(path: Path) -> tuple[Caption, ...]:
    """The captions of one `texts/NAME.txt`. Lines without `#` are taken as bare captions.

    Raises:
        MateError: the file is missing, not UTF-8, or a line's times are not numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(f"cannot read captions from {path}: {error}") from error
    captions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        text, tags, start, end = ([*line.split("#"), "", "0", "0"])[:4]
        try:
            # HumanML3D has a few lines whose times read "nan"; it treats them as the whole clip, and so do we.
            span = [0.0 if value.strip() in ("", "nan") else float(value) for value in (start, end)]
        except ValueError as error:
            raise MateError(f"{path}, line {number}: got times {start!r}, {end!r}, expected seconds") from error
        captions.append(Caption(text.strip(), tags, span[0], span[1]))
    return tuple(captions)


@dataclass(frozen=True)
class MotionTextDataset:
    """The clips of one split. Features are memory-mapped and not normalised.

    Captions that speak of a part of a clip (start, end) make items of their own, cut from the clip, as HumanML3D defines them:
    every item's captions are about the whole item.
    """

    folder: Path
    split: str
    names: tuple[str, ...]
    captions: tuple[tuple[Caption, ...], ...]
    spans: tuple[tuple[int, int], ...]
    fps: float
    mean: np.ndarray
    std: np.ndarray
    license: str

    def __len__(self) -> int:
        return len(self.names)

    def features(self, index: int) -> np.ndarray:
        """(T, 263) float32, not normalised."""
        start, end = self.spans[index]
        return np.load(self.folder / "new_joint_vecs" / f"{self.names[index]}.npy", mmap_mode="r")[start:end]

    def joints(self, index: int) -> np.ndarray:
        """(T, 22, 3) float32, metres."""
        start, end = self.spans[index]
        return np.load(self.folder / "new_joints" / f"{self.names[index]}.npy", mmap_mode="r")[start:end]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Frames of every item, (N,) int64."""
        return np.array([end - start for start, end in self.spans], dtype=np.int64)

    @cached_property
    def meta(self) -> tuple[dict[str, Any], ...]:
        """The lines of meta.jsonl for every item; empty dictionaries where the set has none."""
        path = self.folder / "meta.jsonl"
        if not path.exists():
            return tuple({} for _ in self.names)
        lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        facts = {line["name"]: line for line in lines}
        return tuple(facts.get(name, {}) for name in self.names)


def _frames(path: Path) -> int:
    """The length of an array file, from its header alone."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read {path}: {error}; make the set again with `mate prepare`") from error
    if array.ndim != 2 or array.shape[1] != FEATURE_DIM:
        raise MateError(f"{path}: got shape {array.shape}, expected (T, {FEATURE_DIM})")
    return len(array)


def open_dataset(folder: str | Path, split: str = "train") -> MotionTextDataset:
    """Opens one split of a HumanML3D-layout folder.

    Raises:
        MateError: the folder, the split or one of its files is missing or malformed.
    """
    root = Path(folder)
    listing = root / f"{split}.txt"
    if not listing.is_file():
        raise MateError(f"{root} has no {split}.txt: expected a HumanML3D-layout folder; make one with `mate prepare`")
    description = json.loads((root / "dataset.json").read_text()) if (root / "dataset.json").is_file() else {}
    fps = float(description.get("fps", FPS))
    names: list[str] = []
    captions: list[tuple[Caption, ...]] = []
    spans: list[tuple[int, int]] = []
    for name, texts, span in _items(root, listing, fps):
        names.append(name)
        captions.append(texts)
        spans.append(span)
    try:
        mean, std = np.load(root / "Mean.npy"), np.load(root / "Std.npy")
    except (OSError, ValueError) as error:
        raise MateError(
            f"{root}: Mean.npy or Std.npy is missing or broken; make the set again with `mate prepare`"
        ) from error
    return MotionTextDataset(
        root, split, tuple(names), tuple(captions), tuple(spans), fps, mean, std, description.get("license", "unknown")
    )


def _items(root: Path, listing: Path, fps: float) -> Iterator[tuple[str, tuple[Caption, ...], tuple[int, int]]]:
    for name in listing.read_text().split():
        frames = _frames(root / "new_joint_vecs" / f"{name}.npy")
        texts = read_captions(root / "texts" / f"{name}.txt")
        whole = tuple(c for c in texts if c.start == 0.0 and c.end == 0.0)
        if whole:
            yield name, whole, (0, frames)
        for part in texts:
            start, end = round(part.start * fps), min(round(part.end * fps), frames)
            if part not in whole and end > start:
                yield name, (part,), (start, end)

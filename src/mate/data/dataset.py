"""Motion-text sets in HumanML3D's folder layout: what is in one, and reading it. `mate.data.build` writes one.

new_joints/NAME.npy       (T, 22, 3) float32, metres
new_joint_vecs/NAME.npy   (T, 263) float32, HumanML3D features
texts/NAME.txt            one caption a line: `caption#word/POS word/POS ...#start#end` (seconds; 0.0#0.0 = the whole clip)
train.txt val.txt test.txt all.txt, Mean.npy, Std.npy (of the training split)
meta.jsonl                one line a clip: source, licence, segments, words, ... (ours; optional when reading)
dataset.json              what the set is: fps, feature width, licence, counts (ours; optional when reading)
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mate.data.captions import mirror_caption, mirror_tags
from mate.data.captions import words as split_words
from mate.errors import MateError
from mate.motion.layout import HUMANML3D_FEATURES, KIT_FEATURES, FeatureSpec
from mate.motion.retarget import mirror as mirror_joints
from mate.motion.retarget import retarget_to_canonical
from mate.motion.skeleton import LEFT, RIGHT

SPLITS = ("train", "val", "test")
FPS = 20.0


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
        features: (T - 1, D) where they are known already; by default they are made of the joints.
    """

    name: str
    joints: np.ndarray
    captions: tuple[Caption, ...]
    split: str
    meta: dict[str, Any] = field(default_factory=dict)
    features: np.ndarray | None = None


def grouped_std(std: np.ndarray, spec: FeatureSpec = HUMANML3D_FEATURES) -> np.ndarray:
    """Standard deviations averaged within HumanML3D's feature groups, (D,) -> (D,) float32."""
    edges = np.cumsum((0, *spec.std_groups))
    means = [std[start:end].mean() for start, end in itertools.pairwise(edges)]
    return np.repeat(means, spec.std_groups).astype(np.float32)


def mirrored(sample: Sample) -> Sample:
    """The left-right mirror image of a sample: joints, captions, segments and words; its name gets HumanML3D's `M` in front."""
    swap: dict[int, int] = dict(zip((*LEFT, *RIGHT), (*RIGHT, *LEFT), strict=True))
    meta = dict(sample.meta)
    if "segments" in meta:
        meta["segments"] = [{**segment, "text": mirror_caption(segment["text"])} for segment in meta["segments"]]
    captions = tuple(Caption(mirror_caption(c.text), mirror_tags(c.tags), c.start, c.end) for c in sample.captions)
    if "words" in meta:
        meta["words"] = [
            {
                **word,
                "word": _mirrored_word(word, captions),
                "joints": sorted(swap.get(int(j), int(j)) for j in word["joints"]),
            }
            for word in meta["words"]
        ]
    for key in ("content", "program"):
        if key in meta:
            meta[key] = json.loads(mirror_caption(json.dumps(meta[key])))
    if meta.get("source") == "kinwords" and "program" in meta:
        from mate.data.kinwords.program import mirrored as mirrored_program

        meta["program"] = mirrored_program(meta["program"])
    joints = retarget_to_canonical(mirror_joints(sample.joints))
    return Sample(f"M{sample.name}", joints, captions, sample.split, {**meta, "mirror_of": sample.name})


def _mirrored_word(word: dict[str, Any], captions: tuple[Caption, ...]) -> str:
    """A word of `meta["words"]` as it stands in its mirrored caption: "right" stays in "a right angle"."""
    if "caption" in word and "index" in word:
        found = split_words(captions[word["caption"]].text)
        if word["index"] < len(found) and found[word["index"]].text in (word["word"], mirror_caption(word["word"])):
            return found[word["index"]].text
    return mirror_caption(word["word"])


def read_captions(path: Path) -> tuple[Caption, ...]:
    """The captions of one `texts/NAME.txt`. Lines without `#` are taken as bare captions.

    Raises:
        MateError: the file is missing, not UTF-8, or a line's times are not numbers.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(f"cannot read captions from {path}: {error}") from error
    return parse_captions(text, str(path))


def parse_captions(text: str, source: str) -> tuple[Caption, ...]:
    """The captions of a text in that form; `source` names it in the MateError for a line whose times are not numbers."""
    captions = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        text, tags, start, end = ([*line.split("#"), "", "0", "0"])[:4]
        try:
            # HumanML3D has a few lines whose times read "nan"; it treats them as the whole clip, and so do we.
            span = [0.0 if value.strip() in ("", "nan") else float(value) for value in (start, end)]
            if not np.isfinite(span).all():
                raise ValueError("not finite")
        except ValueError as error:
            raise MateError(f"{source}, line {number}: got times {start!r}, {end!r}, expected seconds") from error
        captions.append(Caption(text.strip(), tags, span[0], span[1]))
    return tuple(captions)


class Clips(Protocol):
    """The feature arrays of the clips of a split: file by file, or one packed file."""

    def features(self, number: int) -> np.ndarray:
        """(T, D) float32, memory-mapped, of the split's clip `number`."""
        ...


@dataclass(frozen=True)
class FileClips:
    """Each clip in a file of its own, as the layout has it."""

    folder: Path
    names: tuple[str, ...]

    def features(self, number: int) -> np.ndarray:
        """(T, D) float32."""
        return np.load(self.folder / "new_joint_vecs" / f"{self.names[number]}.npy", mmap_mode="r", allow_pickle=False)


@dataclass(frozen=True)
class MotionTextDataset:
    """The clips of one split. Features are memory-mapped and not normalised.

    Captions that speak of a part of a clip (start, end) make items of their own, cut from the clip, as HumanML3D defines them:
    every item's captions are about the whole item.

    Attributes:
        names, captions, spans: of every item: its clip, its captions, its frames (start, end) in the clip.
        clips: where the features are; `numbers` says which of them an item is cut from.
        mean, std: (D,).
    """

    folder: Path
    split: str
    names: Sequence[str]
    captions: Sequence[tuple[Caption, ...]]
    spans: Sequence[tuple[int, int]]
    fps: float
    mean: np.ndarray
    std: np.ndarray
    license: str
    clips: Clips
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def spec(self) -> FeatureSpec:
        """What the numbers of a frame are: HumanML3D's or KIT-ML's."""
        return spec_of_width(len(self.mean), self.folder)

    def features(self, index: int) -> np.ndarray:
        """(T, 263) float32, not normalised (KIT-ML: 251)."""
        start, end = self.spans[index]
        return self.clips.features(self.numbers[index])[start:end]

    def joints(self, index: int) -> np.ndarray:
        """(T, 22, 3) float32, metres (KIT-ML: 21 joints, millimetres)."""
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


def spec_of_width(width: int, folder: Path) -> FeatureSpec:
    """Whose features have that many numbers a frame. Raises MateError for a width that is nobody's."""
    for spec in (HUMANML3D_FEATURES, KIT_FEATURES):
        if spec.dim == width:
            return spec
    raise MateError(
        f"{folder}: Mean.npy has {width} numbers, expected {HUMANML3D_FEATURES.dim} (HumanML3D) or {KIT_FEATURES.dim} (KIT-ML)"
    )


def clip_frames(path: Path, width: int) -> int:
    """The length of a feature file, from its header alone. Raises MateError where it is not (T, width) float32."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read {path}: {error}; make the set again with `mate prepare`") from error
    if array.ndim != 2 or array.shape[1] != width:
        raise MateError(f"{path}: got shape {array.shape}, expected (T, {width})")
    return len(array)


@dataclass(frozen=True)
class Description:
    """What a folder says of itself. `fps` is the data set's own where dataset.json does not say it: KIT-ML has 12.5."""

    fps: float
    license: str
    mean: np.ndarray
    std: np.ndarray


def read_description(root: Path) -> Description:
    """Mean.npy, Std.npy and, where there is one, dataset.json. Raises MateError where they are missing or broken."""
    try:
        mean, std = (np.load(root / f"{name}.npy", allow_pickle=False) for name in ("Mean", "Std"))
    except (OSError, ValueError) as error:
        raise MateError(
            f"{root}: Mean.npy or Std.npy is missing or broken; make the set again with `mate prepare`"
        ) from error
    if mean.ndim != 1 or mean.shape != std.shape:
        raise MateError(f"{root}: Mean.npy and Std.npy have shapes {mean.shape} and {std.shape}, expected two (263,)")
    spec = spec_of_width(len(mean), root)
    try:
        facts = json.loads((root / "dataset.json").read_text()) if (root / "dataset.json").is_file() else {}
        return Description(float(facts.get("fps", spec.fps)), facts.get("license", "unknown"), mean, std)
    except (ValueError, TypeError, AttributeError) as error:
        raise MateError(
            f"{root / 'dataset.json'} is broken ({error}); make the set again with `mate prepare`"
        ) from error


def open_dataset(folder: str | Path, split: str = "train", *, packed: bool = True) -> MotionTextDataset:
    """Opens one split of a HumanML3D-layout folder (HumanML3D's 263 features or KIT-ML's 251).

    Args:
        packed: read features and captions from one file beside the folder, which is made on first use and again when the folder has
            changed (`mate.data.packed`); without it, or where it cannot be written, from the folder's own files.

    Raises:
        MateError: the folder, the split or one of its files is missing or malformed.
    """
    from mate.data.packed import open_packed

    root = Path(folder)
    listing = root / f"{split}.txt"
    if not listing.is_file():
        raise MateError(f"{root} has no {split}.txt: expected a HumanML3D-layout folder; make one with `mate prepare`")
    if packed and (opened := open_packed(root, split)) is not None:
        return opened
    facts = read_description(root)
    clips = tuple(listing.read_text().split())
    numbers: list[int] = []
    captions: list[tuple[Caption, ...]] = []
    spans: list[tuple[int, int]] = []
    for number, name in enumerate(clips):
        frames = clip_frames(root / "new_joint_vecs" / f"{name}.npy", len(facts.mean))
        for texts, span in items_of(read_captions(root / "texts" / f"{name}.txt"), frames, facts.fps):
            numbers.append(number)
            captions.append(texts)
            spans.append(span)
    names = tuple(clips[number] for number in numbers)
    return MotionTextDataset(
        root, split, names, tuple(captions), tuple(spans), facts.fps, facts.mean, facts.std, facts.license,
        FileClips(root, clips), tuple(numbers),
    )  # fmt: skip


def items_of(
    texts: Sequence[Caption], frames: int, fps: float
) -> Iterator[tuple[tuple[Caption, ...], tuple[int, int]]]:
    """The items of a clip: the whole of it with its captions, then each part that has a caption of its own."""
    whole = tuple(c for c in texts if c.start == 0.0 and c.end == 0.0)
    if whole:
        yield whole, (0, frames)
    for part in texts:
        start, end = round(part.start * fps), min(round(part.end * fps), frames)
        if part not in whole and end > start:
            yield (part,), (start, end)

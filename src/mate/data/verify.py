"""What is wrong with a training set (`mate verify`): every clip is read, every claim is measured.

A check passes, fails, or only reports. Its tolerances stand here, in metres and seconds; sound sets made by `mate prepare` stay far
inside them.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mate.data.build import in_processes
from mate.data.captions import tag_agreement
from mate.data.dataset import SPLITS, Caption, Description, grouped_std, read_captions, read_description, spec_of_width
from mate.errors import MateError
from mate.motion.features import FeatureSpec, features_to_joints, joints_to_features
from mate.motion.kinematics import counter_turn, total_turn
from mate.motion.skeleton import HUMANML3D

SHORTEST = 1.0  # seconds: shorter clips are reported
UNDER_FLOOR = 0.02  # metres below 0
ABOVE_FLOOR = 0.10  # metres between the lowest joint of a clip and 0
BONE_DRIFT = 0.005  # metres between the longest and the shortest a bone gets within a clip
JOINTS_APART = 0.01  # metres between the joint file and the joints that the features give
ROWS_APART = 0.02  # a feature that far from what the joints give ...
SHARE_APART = 0.05  # ... in this share of the frames
STATISTICS_APART = 0.02  # relative to the standard deviation
RATE_APART = 0.02  # of the data set's frame rate
EDGE = 80  # frames at the end of a clip whose facing depends on a frame that joint files lack

CHECKS = {
    "files": "every listed clip has joints, features and captions, and nothing is left over",
    "splits": "no clip, mirror image or take is in two splits",
    "lengths": "joints and features have the same frames, captions end before their clip does",
    "numbers": "no NaN, no infinite number",
    "fps": "one frame rate, the data set's own",
    "floor": "no foot under the floor, nobody floats",
    "bones": "bones keep their length",
    "statistics": "Mean and Std are those of the data",
    "captions": "every clip has a caption that says something",
    "duplicates": "no motion is there twice",
    "sides": "left, right and clockwise in captions agree with the motion",
    "features": "features are those of the joints",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: with which clip (or file), by which check."""

    check: str
    name: str
    message: str


@dataclass
class Verification:
    """What `verify` found. `facts` are counts and measures; the set is sound when there are no problems."""

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def of(self, check: str) -> list[Problem]:
        """The problems that one check found."""
        return [problem for problem in self.problems if problem.check == check]


@dataclass(frozen=True)
class _Clip:
    """What is kept of a clip after it was read."""

    name: str
    frames: int
    sums: np.ndarray
    digest: str
    problems: tuple[Problem, ...]
    tags: tuple[tuple[str, str], ...]


def verify(
    folder: str | Path, *, jobs: int = 1, progress: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Reads a whole set in HumanML3D's layout and says what is wrong with it.

    Args:
        jobs: processes that read clips.
        progress: called with (clips read, clips in all).

    Raises:
        MateError: it is no such folder: no lists, or no Mean.npy and Std.npy.
    """
    root = Path(folder)
    found = Verification(root)
    if not any((root / f"{split}.txt").is_file() for split in SPLITS):
        raise MateError(f"{root} has no train.txt, val.txt or test.txt: expected a HumanML3D-layout folder")
    facts = read_description(root)
    spec = spec_of_width(len(facts.mean), root)
    listed = {split: _names(root / f"{split}.txt") for split in SPLITS}
    meta = _meta(root, found)
    _check_files(root, listed, found)
    _check_splits(listed, meta, found)
    _check_rates(facts, spec, meta, found)

    names = list(dict.fromkeys(name for split in SPLITS for name in listed[split]))
    chunks = [tuple(names[i : i + 25]) for i in range(0, len(names), 25)]
    clips: dict[str, _Clip] = {}
    done = 0
    for read in in_processes(partial(_read, root, spec, facts.fps), dict(enumerate(chunks)), jobs):
        for clip in read:
            clips[clip.name] = clip
        done += len(read)
        progress(done, len(names))
    read_in_order = [clips[name] for name in names if name in clips]
    for clip in read_in_order:
        found.problems += clip.problems
    _check_duplicates(read_in_order, {name: split for split in SPLITS for name in listed[split]}, found)
    _check_statistics(read_in_order, set(listed["train"]), facts, spec, found)
    seconds = np.array([clip.frames / facts.fps for clip in read_in_order if clip.frames])
    agreement = tag_agreement(pair for clip in read_in_order for pair in clip.tags)
    found.facts = {
        "clips": {split: len(listed[split]) for split in SPLITS},
        "hours": round(float(seconds.sum()) / 3600, 3),
        "seconds": [round(float(v), 2) for v in np.percentile(seconds, (0, 50, 100))] if len(seconds) else [],
        "shorter than a second": int((seconds < SHORTEST).sum()),
        "fps": facts.fps,
        "joints": spec.skeleton.joints,
        "features": spec.dim,
        "captions": sum(len(clip.tags) for clip in read_in_order),
        "tags that mate's tagger gives, too": None if agreement is None else round(agreement, 3),
        **found.facts,
    }
    found.problems.sort(key=lambda problem: list(CHECKS).index(problem.check))
    return found


def _names(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def _meta(root: Path, found: Verification) -> dict[str, dict[str, Any]]:
    path = root / "meta.jsonl"
    lines: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            try:
                line = json.loads(text)
                lines[line["name"]] = line
            except (ValueError, TypeError, KeyError) as error:
                found.problems.append(Problem("files", "meta.jsonl", f"line {number} is broken ({error})"))
    return lines


def _check_files(root: Path, listed: dict[str, list[str]], found: Verification) -> None:
    parts = {"new_joints": ".npy", "new_joint_vecs": ".npy", "texts": ".txt"}
    present = {
        part: {path.stem for path in (root / part).glob(f"*{suffix}")} if (root / part).is_dir() else set()
        for part, suffix in parts.items()
    }
    what = {"new_joints": "joints", "new_joint_vecs": "features", "texts": "captions"}
    everything = {name for names in listed.values() for name in names}
    for part, names in present.items():
        for name in sorted(everything - names):
            found.problems.append(Problem("files", name, f"no {what[part]} ({part}/{name}{parts[part]})"))
    motions = present["new_joints"] | present["new_joint_vecs"]
    for name in sorted(present["texts"] - motions):
        found.problems.append(Problem("files", name, "captions without a motion"))
    for name in sorted(motions - present["texts"] - everything):
        found.problems.append(Problem("files", name, "a motion without captions"))
    for name in sorted((motions & present["texts"]) - everything):
        found.notes.append(Problem("files", name, "in no split"))
    all_list = root / "all.txt"
    if all_list.is_file() and (other := set(_names(all_list)) ^ everything):
        found.problems.append(Problem("files", "all.txt", f"differs from the three splits in {len(other)} clips"))


def _check_splits(listed: dict[str, list[str]], meta: dict[str, dict[str, Any]], found: Verification) -> None:
    owners: dict[str, dict[str, str]] = defaultdict(dict)
    for split in SPLITS:
        names = listed[split]
        if len(set(names)) < len(names):
            found.problems.append(
                Problem("splits", f"{split}.txt", f"{len(names) - len(set(names))} names stand twice")
            )
        if not names:
            found.notes.append(Problem("splits", f"{split}.txt", "no clips"))
        for name in names:
            facts = meta.get(name, {})
            takes = facts.get("takes", [facts["take"]] if "take" in facts else [])
            base = facts.get("mirror_of") or (name[1:] if name[:1] == "M" and name[1:2].isdigit() else name)
            for key in {f"clip {base}", *(f"take {take}" for take in takes)}:
                owners[key].setdefault(split, name)
    for key, splits in owners.items():
        if len(splits) > 1:
            where = " and ".join(f"{split} ({name})" for split, name in splits.items())
            found.problems.append(Problem("splits", key.split(" ", 1)[1], f"the same {key.split()[0]} is in {where}"))


def _check_rates(facts: Description, spec: FeatureSpec, meta: dict[str, dict[str, Any]], found: Verification) -> None:
    if abs(facts.fps / spec.fps - 1) > RATE_APART:
        message = f"says {facts.fps:g} frames per second; {spec.dim} features mean {spec.fps:g}"
        found.problems.append(Problem("fps", "dataset.json", message))
    for name, line in meta.items():
        rate = line.get("true_fps")
        if isinstance(rate, (int, float)) and abs(rate / facts.fps - 1) > RATE_APART:
            found.notes.append(Problem("fps", name, f"plays at {facts.fps / rate:.2f} of its true speed"))


def _read(root: Path, spec: FeatureSpec, fps: float, number: int, names: tuple[str, ...]) -> list[_Clip]:
    return [_read_clip(root, spec, fps, name) for name in names]


def _load(root: Path, part: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    path = root / part / f"{name}.npy"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MateError(f"{part}/{name}.npy cannot be read ({error})") from error
    if array.shape[1:] != shape or not len(array):
        raise MateError(f"{part}/{name}.npy has shape {array.shape}, expected (T, {', '.join(map(str, shape))})")
    return np.array(array, dtype=np.float32)


def _read_clip(root: Path, spec: FeatureSpec, fps: float, name: str) -> _Clip:
    problems: list[Problem] = []

    def wrong(check: str, message: str) -> None:
        problems.append(Problem(check, name, message))

    nothing = np.zeros((2, spec.dim))
    captions: tuple[Caption, ...] = ()
    try:
        if (root / "texts" / f"{name}.txt").is_file():
            captions = read_captions(root / "texts" / f"{name}.txt")
            if not captions or not all(re.search("[a-z]", caption.text.lower()) for caption in captions):
                wrong("captions", "an empty caption" if captions else "no caption")
    except MateError as error:
        wrong("captions", str(error))
    tags = tuple((caption.text, caption.tags) for caption in captions)
    try:
        features = _load(root, "new_joint_vecs", name, (spec.dim,))
        joints = _load(root, "new_joints", name, (spec.skeleton.joints, 3))
    except MateError as error:
        if all((root / part / f"{name}.npy").is_file() for part in ("new_joint_vecs", "new_joints")):
            wrong("numbers", str(error))  # a missing file was reported already
        return _Clip(name, 0, nothing, "", tuple(problems), tags)

    if len(joints) != len(features):
        wrong("lengths", f"{len(joints)} frames of joints, {len(features)} of features")
    for caption in captions:
        if caption.end > len(features) / fps + 0.5 or not 0 <= caption.start <= max(caption.end, caption.start):
            wrong(
                "lengths",
                f"a caption from {caption.start} to {caption.end} s; the clip lasts {len(features) / fps:.1f} s",
            )
    for what, array in (("joints", joints), ("features", features)):
        if not np.isfinite(array).all():
            frame = int(np.argwhere(~np.isfinite(array))[0, 0])
            wrong("numbers", f"NaN or infinite {what}, first in frame {frame}")
    if any(problem.check == "numbers" for problem in problems):
        return _Clip(name, len(features), nothing, "", tuple(problems), tags)
    for check, message in _motion_problems(joints, features, spec):
        wrong(check, message)
    if spec.skeleton.name == HUMANML3D.name:
        for caption in captions:
            part = joints[round(caption.start * fps) : round(caption.end * fps) or None]
            if len(part) > fps / 2 and (message := side_contradiction(part, caption.text, fps)):
                wrong("sides", message)
                break
    rows = features.astype(np.float64)
    sums = np.stack([rows.sum(0), (rows**2).sum(0)])
    digest = hashlib.sha256(np.round(features[:, spec.layout.positions], 3).tobytes()).hexdigest()
    return _Clip(name, len(features), sums, digest, tuple(problems), tags)


def _motion_problems(joints: np.ndarray, features: np.ndarray, spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    metres = spec.metres
    lowest = float(joints[..., 1].min()) * metres
    if lowest < -UNDER_FLOOR:
        yield "floor", f"the lowest joint is {-lowest:.2f} m under the floor"
    elif lowest > ABOVE_FLOOR:
        yield "floor", f"the lowest joint stays {lowest:.2f} m above the floor"
    parents = np.maximum(spec.skeleton.parents, 0)
    lengths = np.linalg.norm(joints - joints[:, parents], axis=-1) * metres
    drift = lengths.max(0) - lengths.min(0)
    if drift.max() > BONE_DRIFT:
        worst = spec.skeleton.joint_names[int(drift.argmax())]
        yield "bones", f"the bone to {worst} changes by {drift.max() * 1000:.0f} mm"
    frames = min(len(joints), len(features))
    apart = np.abs(features_to_joints(features, spec)[:frames] - joints[:frames]).max() * metres
    if apart > JOINTS_APART:
        yield "features", f"features give joints that are up to {apart:.3f} m off"
    elif frames > EDGE + 2:
        # Velocities, rotations and contacts: what positions alone do not show. A turn through -Z has one frame of another sign.
        made = joints_to_features(joints[:frames], spec)[: frames - EDGE - 1]
        scale = np.ones(spec.dim)
        for block in (spec.layout.positions, spec.layout.velocities, spec.layout.root_height):
            scale[block] = metres
        off = (np.abs(made - features[: len(made)]) * scale)[:, : spec.layout.contacts.start].max(1) > ROWS_APART
        if off.mean() > SHARE_APART:
            yield "features", f"features are not those of the joints in {100 * off.mean():.0f} % of the frames"


_SIDED_HAND = re.compile(r"\b(rais|lift|wav|punch|throw|reach|put)\w*\b[^,.]*?\b(left|right) (?:hand|arm)\b")
_SIDED_TURN = re.compile(
    r"\b(?:turn|spin|rotat|pivot)\w*\b[^,.]*?\b(left|right|(?:counter|anti)[- ]?clockwise|clockwise)\b"
)
_SIDE = re.compile(r"\b(?:left|right)\w*|\b\w*clockwise\b|\bboth\b|\bhands\b|\barms\b|\baround\b")


def side_contradiction(joints: np.ndarray, text: str, fps: float) -> str | None:
    """Why a caption's side cannot be that of the motion; None where they agree or where it is not that simple.

    Only captions with one side word are judged. A turn contradicts when the heading changes by more than 45 degrees to the other
    side and hardly back; a hand, when the other wrist moves more than 0.4 m and three times as far as the named one.

    Args:
        joints: (T, 22, 3), metres.
    """
    text = text.lower()
    if len(_SIDE.findall(text)) != 1:
        return None
    if match := _SIDED_TURN.search(text):
        word = match.group(1)
        wanted = -1.0 if word in ("right", "clockwise") else 1.0
        turn = total_turn(joints, fps)
        if wanted * turn < -np.pi / 4 and counter_turn(joints, fps) < np.pi / 8:
            return f"{text!r}, but the heading changes by {np.degrees(turn):+.0f} degrees (positive: left)"
    elif match := _SIDED_HAND.search(text):
        left, right = (
            float(np.ptp(joints[:, wrist] - joints[:, 0], axis=0).max())
            for wrist in (HUMANML3D.index("left_wrist"), HUMANML3D.index("right_wrist"))
        )
        named, other = (left, right) if match.group(2) == "left" else (right, left)
        if other > 0.4 and other > 3 * named:
            return f"{text!r}, but that wrist moves {named:.2f} m and the other one {other:.2f} m"
    return None


def _check_duplicates(clips: Sequence[_Clip], split_of: dict[str, str], found: Verification) -> None:
    same: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        if clip.digest:
            same[clip.digest].append(clip.name)
    for names in same.values():
        for name in names[1:]:
            across = "" if split_of[name] == split_of[names[0]] else f", which is in {split_of[names[0]]}"
            found.problems.append(Problem("duplicates", name, f"the same motion as {names[0]}{across}"))


def _check_statistics(
    clips: Sequence[_Clip], train: set[str], facts: Description, spec: FeatureSpec, found: Verification
) -> None:
    results = {}
    for what, chosen in (
        ("the training split", [clip for clip in clips if clip.name in train]),
        ("all clips", list(clips)),
    ):
        frames = sum(clip.frames for clip in chosen)
        if not frames:
            continue
        mean, squares = np.sum([clip.sums for clip in chosen], axis=0) / frames
        spread = np.sqrt(np.maximum(squares - mean**2, 1e-10))
        std = grouped_std(spread, spec)
        off = max(
            float((np.abs(facts.mean - mean) / np.maximum(std, 1e-6)).max()),
            float((np.abs(facts.std - std) / np.maximum(std, 1e-6)).max()),
        )
        results[what] = off
    if not results:
        return
    what = min(results, key=lambda key: results[key])
    found.facts["Mean and Std are of"] = what if results[what] <= STATISTICS_APART else "other data"
    if not results[what] <= STATISTICS_APART:
        message = f"differ from those of {what} by up to {100 * results[what]:.0f} % of a standard deviation"
        found.problems.append(Problem("statistics", "Mean.npy, Std.npy", message))

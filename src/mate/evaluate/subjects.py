"""What is evaluated: real clips of a data set, anybody's folder of motions, or motions sampled from one of our generators.

Everything comes out sorted by keys that do not depend on where a sample stood, so that no later figure can depend on it either.
Shapes: T frames, D features a frame.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mate.data.dataset import Caption, MotionTextDataset, open_dataset, read_captions, read_description, spec_of_width
from mate.errors import MateError
from mate.evaluate.evaluators import check_width
from mate.evaluate.gather import gather_rows, share
from mate.evaluate.probes import CONTENTS
from mate.formats.arrays import kit_unit
from mate.motion.features import features_to_joints, process_motion
from mate.motion.layout import KIT_FEATURES, FeatureSpec
from mate.motion.retarget import resample
from mate.motion.skeleton import KIT

SUFFIXES = (".npy", ".npz", ".bvh")
CHUNK = 32  # prompts that a generator makes at once: of like lengths, and the same ones for any number of processes
# A length that differs from the announced one by more than this share is a wrong frame rate rather than rounding.
RATE_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class Clip:
    """A real clip, or the part of one that a caption is about.

    Attributes:
        key: its name, unique. features: (T, D) raw. captions: those that are about it. kinds: of each, "seen" or "unseen" wording.
        group: clips of one group show the same. fact: what the kinematic judge can check of it, or None.
        pair: whether training shows its content in its style: "known" or "unseen"; "" where the set does not say.
    """

    key: str
    features: np.ndarray
    captions: tuple[Caption, ...]
    kinds: tuple[str, ...]
    group: str
    fact: str | None
    pair: str = ""


@dataclass(frozen=True, eq=False)
class Made:
    """A motion that was made for a text. Attributes as of `Clip`; joints: (T, 22, 3), metres (KIT-ML: 21)."""

    key: str
    text: str
    features: np.ndarray
    joints: np.ndarray | None = None

    @cached_property
    def positions(self) -> np.ndarray:
        """(T, 22, 3) metres (KIT-ML: 21)."""
        return positions_of(self.features) if self.joints is None else self.joints


def positions_of(features: np.ndarray) -> np.ndarray:
    """Joints (T, J, 3) in metres of raw features (T, D), whose width says which joints they are."""
    spec = spec_of_width(features.shape[1], Path("features"))
    return np.asarray(features_to_joints(features, spec)) * spec.metres


@dataclass(frozen=True)
class Skipped:
    """A file that could not be used, and why."""

    file: str
    reason: str


# ---------------------------------------------------------------------- real clips


def fact_of(meta: dict[str, Any]) -> str | None:
    """What the kinematic judge can check of a clip, from the facts that its set names; None where there is nothing or more than one event.

    Known are the contents of Bandai-Namco's set, and the programs of kinwords: one action, nothing else at the same time.
    """
    if len(meta.get("segments", [])) > 1:
        return None
    events = meta.get("program", {}).get("events") if isinstance(meta.get("program"), dict) else None
    if events is None:
        contents = {content: fact for fact, known in CONTENTS.items() for content in known}
        return contents.get(str(meta.get("content")))
    if len(events) != 1 or events[0].get("meanwhile"):
        return None
    action, side, values = events[0]["action"], events[0].get("side"), events[0].get("values", {})
    plain = {"walk": "walk_forward", "run": "run_forward", "backwards": "walk_backward"}
    if action in plain:
        return plain[action]
    if action in ("raise_both", "wave_both"):
        return f"{action.removesuffix('_both')}_both_hands"
    if side in ("left", "right"):
        if action in ("raise", "wave") and values.get("height", "high") == "high":
            return f"{action}_{side}_hand"
        if action == "walk_turn" and values.get("gait") == "walk":
            return f"turn_{side}"
    return None


Span = Callable[[float, float, int], tuple[int, int] | None]
"""(start, end in seconds as a caption says, frames of the clip) -> the frames it is about, or None if they are not evaluated."""


def read_clips(folder: str | Path, split: str, span: Span, wording: str = "any") -> list[Clip]:
    """The clips of a split that a protocol evaluates, by name.

    Args:
        span: which part of a clip a caption is about, and whether it is taken.
        wording: "seen" or "unseen" keeps captions of that kind where the set tells them apart.

    Raises:
        MateError: not a data set, a broken file, or nothing left.
    """
    dataset = open_dataset(folder, split)
    clips = [clip for clip in _clips(dataset, span) if clip.captions]
    if wording != "any":
        kept = [[n for n, kind in enumerate(clip.kinds) if kind == wording] for clip in clips]
        clips = [
            replace(c, captions=tuple(c.captions[n] for n in own), kinds=tuple(c.kinds[n] for n in own))
            for c, own in zip(clips, kept, strict=True)
            if own
        ]
    if not clips:
        raise MateError(
            f"{folder}: no clip of the {split} split is evaluated (wording {wording}); check its lengths and captions"
        )
    return sorted(clips, key=lambda clip: clip.key)


def _clips(dataset: MotionTextDataset, span: Span) -> Iterator[Clip]:
    facts = dict(zip(dataset.names, dataset.meta, strict=True))
    for name in sorted(facts):
        path = dataset.folder / "new_joint_vecs" / f"{name}.npy"
        features = np.load(path, allow_pickle=False)
        if not np.isfinite(features).all():
            raise MateError(f"{path}: NaN or infinite features; make the set again with `mate prepare`")
        captions = read_captions(dataset.folder / "texts" / f"{name}.txt")
        known = facts[name].get("caption_kinds") or []
        kinds = [known[n] if n < len(known) else "seen" for n in range(len(captions))]
        whole = [n for n, caption in enumerate(captions) if caption.start == 0.0 and caption.end == 0.0]
        # A caption of a part makes a clip of its own, as HumanML3D defines it.
        parts = [[n] for n in range(len(captions)) if n not in whole]
        for numbers in ([whole] if whole else []) + parts:
            first = captions[numbers[0]]
            taken = span(first.start, first.end, len(features))
            if taken is None:
                continue
            own = tuple(captions[n] for n in numbers)
            yield Clip(
                name if numbers is whole else f"{name}/{numbers[0]}",
                features[slice(*taken)],
                own,
                tuple(kinds[n] for n in numbers),
                _group(facts[name], own),
                fact_of(facts[name]) if numbers is whole else None,
                ("unseen" if facts[name]["unseen_pair"] else "known") if "unseen_pair" in facts[name] else "",
            )


def _group(meta: dict[str, Any], captions: Sequence[Caption]) -> str:
    if "content" in meta and "style" in meta:
        return f"{meta['content']}/{meta['style']}"
    return "|".join(sorted({caption.text for caption in captions}))


def data_facts(folder: str | Path) -> dict[str, Any]:
    """name, fps, license of a data set, from its dataset.json; published folders have none and their layout's rate.

    Raises:
        MateError: no data set, or a damaged description.
    """
    root = Path(folder)
    if not (root / "new_joint_vecs").is_dir():
        raise MateError(
            f"{root} has no new_joint_vecs: expected a HumanML3D-layout folder; make one with `mate prepare`"
        )
    facts = read_description(root)
    return {"name": root.resolve().name, "fps": facts.fps, "license": str(facts.license)}


def made_sha256(made: Sequence[Made]) -> str:
    """SHA-256 of texts and features, in the order of their keys."""
    digest = hashlib.sha256()
    for one in sorted(made, key=lambda one: one.key):
        digest.update(one.key.encode() + b"\n" + np.ascontiguousarray(one.features, dtype="<f4").tobytes())
    return digest.hexdigest()


def clips_sha256(clips: Sequence[Clip]) -> str:
    """SHA-256 of names, features and captions: two cards with the same hash were measured on the same."""
    digest = hashlib.sha256()
    for clip in clips:
        texts = json.dumps([[caption.text, caption.tags] for caption in clip.captions])
        digest.update(f"{clip.key}\n{texts}\n".encode())
        digest.update(np.ascontiguousarray(clip.features, dtype="<f4").tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------- anybody's folder


@dataclass(frozen=True)
class Line:
    """One prompt of a prompts file. file: of its motion, where the file says so; seconds: how long the motion should be."""

    text: str
    file: str | None = None
    seconds: float | None = None


def read_prompt_lines(path: str | Path) -> list[Line]:
    """Prompts: a text file with one a line (line n belongs to motion n, from 0), or JSON lines with `prompt` and, if wanted, `file`
    and `seconds`, such as the index.jsonl of `mate generate`.

    Raises:
        MateError: no such file, not UTF-8, no prompts, a line of another form.
    """
    from mate.generate.request import read_prompts

    path = Path(path)
    lines = read_prompts(path)
    if path.suffix != ".jsonl":
        return [Line(line) for line in lines]
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            text, file, seconds = row["prompt"], row.get("file"), row.get("seconds")
            found.append(
                Line(str(text), None if file is None else str(file), None if seconds is None else float(seconds))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MateError(
                f'{path}, line {number}: expected {{"prompt": "...", "file": "0000.npy"}}, got {line[:80]!r}'
            ) from error
    return found


def read_folder(
    folder: str | Path,
    lines: Sequence[Line],
    width: int,
    fps: float = 20.0,
    data_fps: float = 20.0,
    least: int = 2,
    skip_bad: bool = False,
) -> tuple[list[Made], list[Skipped]]:
    """The motions of a folder: 0000, 0001, ... (.npy, .npz or .bvh) in the prompts' order, or the files that the prompts name.

    Joints become features as `mate prepare` makes them (canonical bone lengths, floor, facing +Z, `data_fps`); features (T, width) are
    taken as they are.

    Args:
        fps: of .npy files. width, data_fps: of the features that are compared. least: frames that a motion must have.
        skip_bad: leave out what cannot be read, and say so; otherwise it is an error.

    Returns:
        The motions by text, and what was left out.

    Raises:
        MateError: no folder, a missing, corrupt, empty or too short motion, NaN, another width, another frame rate: the file is named.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MateError(f"{folder} is no folder; give --motions the folder with 0000.npy, 0001.npy, ...")
    found, skipped = [], []
    for number, line in enumerate(lines):
        path = _file_of(folder, number, line)
        try:
            features, joints = read_motion(path, width, fps, data_fps)
            if len(features) < least:
                raise MateError(
                    f"{path}: {len(features)} frames at {data_fps:g} fps, expected at least {least}; leave it out, or give --fps if it has "
                    "another frame rate"
                )
            told, has = line.seconds, (len(features) + (joints is not None)) / data_fps
            if told is not None and abs(has - told) > max(RATE_TOLERANCE * told, 2.0 / data_fps):
                raise MateError(
                    f"{path}: {has:.2f} s long, expected {told:.2f} s by the prompts; wrong frame rate? "
                    f"--fps {_rate(fps * has / told)} would fit"
                )
        except MateError as error:
            if not skip_bad:
                raise
            skipped.append(Skipped(path.name, str(error).removeprefix(f"{path}: ")))
            continue
        found.append(
            (line.text, hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest(), features, joints)
        )
    if not found:
        raise MateError(
            f"{folder}: none of {len(lines)} motions could be used; first: {skipped[0].file}: {skipped[0].reason}"
        )
    return list(_keyed(found)), skipped


def _keyed(found: Sequence[tuple[str, str, np.ndarray, np.ndarray | None]]) -> Iterator[Made]:
    """Sorted by text, then by content: where a motion stood in its folder leaves no trace."""
    counts: dict[str, int] = {}
    for text, _, features, joints in sorted(found, key=lambda one: one[:2]):
        counts[text] = counts.get(text, -1) + 1
        yield Made(f"{text} #{counts[text]}", text, features, joints)


def _file_of(folder: Path, number: int, line: Line) -> Path:
    if line.file is not None:
        return folder / line.file
    for suffix in SUFFIXES:
        if (path := folder / f"{number:04d}{suffix}").is_file():
            return path
    return folder / f"{number:04d}.npy"


def read_motion(path: Path, width: int, fps: float, data_fps: float) -> tuple[np.ndarray, np.ndarray | None]:
    """(features (T, width), joints (T + 1, J, 3) in metres, or None where the file holds features) of one motion file.

    Raises:
        MateError: see `read_folder`.
    """
    from mate.formats.load import load_motion

    if not path.is_file():
        raise MateError(f"{path}: no such file; expected one motion for each prompt, in the order of the prompts")
    if path.suffix == ".npy" and (shape := _shape(path)) is not None and len(shape) == 2:
        check_width(shape[1], width, path)
        features = np.load(path, allow_pickle=False)
        if len(features) == 0 or features.dtype.kind not in "fiu" or not np.isfinite(features).all():
            raise MateError(
                f"{path}: no frames, NaN or infinite values; expected features (T, {width}), not normalised"
            )
        if abs(fps - data_fps) > 1e-6:
            raise MateError(
                f"{path}: features at {fps:g} fps cannot be resampled to {data_fps:g}; give joints (T, 22, 3) instead"
            )
        return features.astype(np.float32), None
    if width == KIT_FEATURES.dim:
        joints = _kit_joints(path, fps, data_fps)
        return features_of(joints, KIT_FEATURES), joints
    try:
        motion = load_motion(path, fps if path.suffix == ".npy" else None)
    except MateError as error:
        raise MateError(str(error) if path.name in str(error) else f"{path}: {error}") from error
    joints = motion.joints if abs(motion.fps - data_fps) < 1e-6 else resample(motion.joints, motion.fps, data_fps)
    if len(joints) < 2:
        raise MateError(f"{path}: {len(joints)} frame(s) at {data_fps:g} fps, expected at least 2")
    return process_motion(joints), joints


def _kit_joints(path: Path, fps: float, data_fps: float) -> np.ndarray:
    """KIT-ML's joints (T, 21, 3), in metres, of an .npy file that has them in metres or millimetres."""
    shape = _shape(path) if path.suffix == ".npy" else None
    if shape is None or len(shape) != 3 or shape[1:] != (KIT.joints, 3):
        raise MateError(
            f"{path}: the data set is KIT-ML's; expected an .npy file with its features (T, {KIT_FEATURES.dim}) or joints "
            f"(T, {KIT.joints}, 3)"
        )
    joints = np.load(path, allow_pickle=False).astype(np.float64)
    if not np.isfinite(joints).all():
        raise MateError(f"{path}: NaN or infinite positions; repair it or leave it out")
    if abs(fps - data_fps) > 1e-6:
        joints = resample(joints, fps, data_fps, KIT)
    if len(joints) < 2:
        raise MateError(f"{path}: {len(joints)} frame(s) at {data_fps:g} fps, expected at least 2")
    return (joints * kit_unit(joints)).astype(np.float32)


def features_of(joints: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Features (T - 1, D) of joints (T, J, 3) in metres; with the spec's bone lengths where it has some."""
    return np.asarray(process_motion(joints / spec.metres, any(spec.skeleton.bone_lengths), spec))


def _rate(fps: float) -> str:
    """A frame rate as it is probably meant."""
    usual = min((20, 24, 25, 30, 50, 60, 100, 120), key=lambda rate: abs(rate / fps - 1))
    return f"{usual if abs(usual / fps - 1) < 0.05 else fps:.3g}"


def _shape(path: Path) -> tuple[int, ...] | None:
    """The shape that an .npy file's header tells, None for one that is not sound."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).shape
    except Exception:  # whatever is wrong with it, `load_motion` says so
        return None


# ---------------------------------------------------------------------- our generators


def sample(
    generator: Any,
    texts: Sequence[str],
    frames: Sequence[int],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Made]:
    """One motion for each text, with features of as many frames as wanted, or nearly so where the model makes none that long.

    Prompts of like lengths run together; under several processes each takes its share of these batches. A motion depends on (seed,
    place of its text in the sorted list), so give texts in a fixed order.

    Args:
        generator: `mate.generate.base.Generator`.
        progress: called with (motions made, motions in all).
    """
    spec: FeatureSpec = generator.spec
    fps, count = spec.fps, spec.skeleton.joints
    low, high = round(generator.min_seconds * fps), int(generator.max_seconds * fps)
    lengths = np.clip(np.asarray(frames) + 1, low, high)  # features have one frame less than joints
    order = np.argsort(lengths, kind="stable")
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    mine = share(len(chunks))
    rows, widest = [], int(lengths.max())
    for number in mine:
        chosen = chunks[number].tolist()
        motions = generator.sample(
            [texts[n] for n in chosen], [lengths[n] / fps for n in chosen], seed=seed, numbers=chosen
        )
        block = np.zeros((CHUNK, widest, 3 * count), dtype=np.float32)
        for row, joints in zip(block, motions, strict=False):
            row[: len(joints)] = joints.reshape(len(joints), 3 * count)
        rows.append(block.reshape(1, -1))
        progress(min(len(texts), (len(rows)) * CHUNK), len(texts))
    joined = gather_rows(
        np.concatenate(rows) if rows else np.zeros((0, CHUNK * widest * 3 * count), dtype=np.float32), len(chunks)
    )
    joined = np.asarray(joined, dtype=np.float32).reshape(-1, widest, count, 3)
    found: dict[int, np.ndarray] = {}
    for number, chunk in enumerate(chunks):
        for place, n in enumerate(chunk.tolist()):
            found[n] = joined[number * CHUNK + place, : lengths[n]]
    counts: dict[str, int] = {}
    made = []
    for n, text in enumerate(texts):
        counts[text] = counts.get(text, -1) + 1
        features = features_of(found[n], spec)[: frames[n]]
        made.append(Made(f"{text} #{counts[text]}", text, features, found[n]))
    return made

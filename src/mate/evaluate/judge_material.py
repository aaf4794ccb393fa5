"""Motions whose truth is known, for judging the judge: procedural ones, real clips, segments labelled by eye, and near misses."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.judge import Claim, measured
from mate.evaluate.judge_truth import CONTENTS, claim_of_event, claims_of_event, claims_of_labels, flips, strangers
from mate.evaluate.metrics import evenly
from mate.motion.kinematics_tracks import Tracks

FPS = 20.0
# Where a file of CMU's lies in the folder with its motions.
_CMU = {"16_": "snu-subject-16", "131_": "bvh11-subject-131"}
_ZIP = "iclone-subjects-002-007.zip"


@dataclass(frozen=True)
class Item:
    """A stretch of motion and what is known of it.

    Attributes:
        source: kinwords, bandai-namco, eye, cmu or near-miss; name: file and stretch.
        place: the file of a real motion, start and end in seconds: which stretches are the same.
        tracks: of the stretch; true, false: claims; kinds: for some of the false ones, which one meaning was flipped.
    """

    source: str
    name: str
    tracks: Tracks
    true: tuple[Claim, ...]
    false: tuple[Claim, ...]
    kinds: tuple[tuple[Claim, str], ...] = ()
    place: tuple[str, float, float] = ("", 0.0, 0.0)


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read {path}: {error}; expected one JSON object a line") from error


def _joints(folder: Path, name: str) -> np.ndarray:
    try:
        return np.load(folder / "new_joints" / f"{name}.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MateError(f"{folder}: cannot read the joints of {name}: {error}") from error


def procedural(folder: Path, clips: int, cross: int = 0, split: str = "") -> Iterator[Item]:
    """Events of a kinwords set: `clips` clips of a split (all splits for ""), spread evenly, mirror images left out.

    The false claims are those that differ from the true one in one meaning; for the first `cross` clips also all other words that
    cannot be true.
    """
    lines = [line for line in _lines(folder / "meta.jsonl") if "program" in line and "mirror_of" not in line]
    lines = [line for line in lines if not split or line.get("split") == split]
    if not lines:
        raise MateError(f"{folder}: no clip with a program in meta.jsonl; expected a set of `mate prepare kinwords`")
    chosen = [lines[i] for i in evenly(len(lines), clips)]
    for number, line in enumerate(chosen):
        whole = measured(_joints(folder, line["name"]), FPS)
        for event in line["program"]["events"]:
            for part in (event, event.get("meanwhile")):
                claim = claim_of_event(part) if part else None
                end = min(event["end"], line["program"]["seconds"])
                if claim is None or end - event["start"] < 1.0:
                    continue
                true = claims_of_event(part)
                flipped = [(kind, other) for kind, other in flips(claim) if other not in true]
                others = strangers(claim) if number < cross and not event.get("meanwhile") else []
                false = tuple(dict.fromkeys([other for _, other in flipped] + others))
                kinds = tuple((other, kind) for kind, other in flipped)
                name = f"{line['name']} {part['action']} {event['start']:.2f}-{end:.2f}"
                # The last step ends with the event: a moment more, and it is seen to be down.
                later = end + 0.15 if claim.word == "steps" else end
                yield Item("kinwords", name, whole.cut(event["start"], later), true, false, kinds)


def mocap_contents(folder: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> Iterator[Item]:
    """Whole clips of a prepared Bandai-Namco set whose content says what is done; mirror images and joined clips left out."""
    for line in _lines(folder / "meta.jsonl"):
        known = CONTENTS.get(line.get("content", ""))
        if known and "mirror_of" not in line and line["split"] in splits and len(line.get("segments", [])) < 2:
            joints = _joints(folder, line["name"])
            if len(joints) < 0.8 * FPS:
                continue
            false = [other for claim in known for _, other in flips(claim)]
            false += [other for other in strangers(known[0]) if _settled(other, known[0])]
            kinds = tuple((other, kind) for claim in known for kind, other in flips(claim))
            name, tracks = line["name"], measured(joints, FPS)
            yield Item(
                "bandai-namco", name, tracks, known, tuple(dict.fromkeys(false)), kinds, (name, 0.0, tracks.seconds)
            )


def _settled(other: Claim, known: Claim) -> bool:
    """Words of which a content's label leaves no doubt: nobody in those clips sits, lies, kneels or jumps; walkers do not run."""
    never = {"sit", "lie", "kneel", "sit_down", "squat", "jump", "hop", "circle", "eight", "clap", "cross"}
    gaits = {"walk", "run", "backwards", "sidestep", "stand", "skip", "sprint"}
    return other.word in never or (known.word in ("walk", "run", "backwards", "diagonal") and other.word in gaits)


def cmu_motion(folder: Path, name: str, unpacked: Path) -> np.ndarray:
    """One of CMU's motions as canonical joints at 20 frames a second, (T, 22, 3). `unpacked`: a folder for files that lie in a zip."""
    from mate.formats.load import load_motion
    from mate.motion.retarget import put_on_floor, resample, retarget_to_canonical

    if name.endswith(".amc"):
        path = folder / "amc" / name
    elif name.startswith(tuple(_CMU)):
        path = folder / next(place for start, place in _CMU.items() if name.startswith(start)) / name
    else:
        path = unpacked / name[:3] / name
        if not path.is_file():
            with zipfile.ZipFile(folder / _ZIP) as archive:
                archive.extract(f"{name[:3]}/{name}", unpacked)
    motion = load_motion(path)
    return put_on_floor(retarget_to_canonical(resample(np.asarray(motion.joints), motion.fps, FPS)))


def labelled(labels: Path, mocap: Path | None, cmu: Path | None) -> Iterator[Item]:
    """Segments that a person labelled by eye (a JSON line each: set, file, start, end, labels); sets that are not given are left out."""
    motions: dict[str, Tracks] = {}
    with tempfile.TemporaryDirectory() as unpacked:
        for line in _lines(labels):
            name = line["file"]
            if (line["set"] == "cmu" and cmu is None) or (line["set"] != "cmu" and mocap is None):
                continue
            start, end = float(line["start"]), float(line["end"])
            if line["set"] == "cmu":
                if name not in motions:
                    motions[name] = _whole(cmu_motion(Path(str(cmu)), name, Path(unpacked)), name)
            elif name not in motions:
                motions[name] = measured(_joints(Path(str(mocap)), name), FPS)
            shift = 0.05 if _tee(name) else 0.0
            true, false = claims_of_labels(line["labels"])
            tracks = motions[name].cut(start - shift, end - shift)
            yield Item(
                "eye", f"{name} {start:.2f}-{end:.2f}", tracks, tuple(true), tuple(false), place=(name, start, end)
            )


def _tee(name: str) -> bool:
    """Files whose first frame is a T-pose metres away from the second."""
    return name.startswith("007_") and name[4:6] not in ("01", "02")


def _whole(joints: np.ndarray, name: str) -> Tracks:
    return measured(joints[1:] if _tee(name) else joints, FPS)


# CMU's own words for subject 16's trials.
_INDEX = {
    "walk": (Claim("walk"),), "run/jog": (Claim("run"),), "run": (Claim("run"),), "veer left": (Claim("turn", "left", extent="slightly"),),
    "veer right": (Claim("turn", "right", extent="slightly"),), "90-degree left turn": (Claim("turn", "left", degrees=90.0),),
    "90-degree right turn": (Claim("turn", "right", degrees=90.0),), "stop": (Claim("stop"),), "sudden stop": (Claim("stop"),),
    "slow walk": (Claim("walk"),),
}  # fmt: skip


def cmu_index(folder: Path, index: Path) -> Iterator[Item]:
    """CMU's subject 16 with the index's descriptions: turns of 90 degrees, veers, sudden stops."""
    import csv

    with open(index, encoding="utf-8") as file:
        texts = {row["trial"]: row["description"] for row in csv.DictReader(file)}
    for path in sorted((folder / "snu-subject-16").glob("*.bvh")):
        trial = "_".join(path.stem.split("_")[:2])
        parts = [part.strip() for part in texts.get(trial, "").split(",")]
        true = [claim for part in parts for claim in _INDEX.get(part, ())]
        tracks = _whole(cmu_motion(folder, path.name, folder), path.name)
        false = [other for claim in true for _, other in flips(claim) if other.side != claim.side]
        if not any(claim.word == "turn" for claim in true):
            false += [Claim("turn", "left"), Claim("turn", "right")]
        false += [Claim("run")] if Claim("walk") in true else [Claim("walk")] if Claim("stop") not in true else []
        whole = (path.name, 0.0, tracks.seconds)
        yield Item("cmu", path.stem, tracks, tuple(true), tuple(false), place=whole)

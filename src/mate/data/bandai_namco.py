"""The Bandai-Namco Research motion set as a source: real motion capture with templated captions.

The zip is read as it is published (its members are LZMA-compressed BVH, 30 fps). File names carry content, style and take
(`dataset-2_walk-turn-left_exhausted_012.bvh`); captions are made from the packaged wordings and are templated, not human-written.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np

from mate.data.build import Dropped, Source, file_key
from mate.data.dataset import FPS, Caption, Sample
from mate.data.wordings import draw, fraction, generator, wordings
from mate.errors import MateError
from mate.formats.bvh import load_bvh
from mate.motion.retarget import heading, resample, retarget_to_canonical

LICENSE = "CC BY-NC 4.0 (Bandai-Namco Research Motiondataset)"

# Whole (content, style) pairs that no training clip shows. Closed under mirroring, since training clips are mirrored.
UNSEEN_PAIRS = frozenset(
    {
        ("walk-turn-left", "elderly"),
        ("walk-turn-right", "elderly"),
        ("raise-up-both-hands", "youthful"),
        ("wave-left-hand", "feminine"),
        ("wave-right-hand", "feminine"),
        ("run", "exhausted"),
    }
)
TURN_RANGE = (np.radians(20.0), np.radians(190.0))  # a clip labelled as a turn turns this much to the labelled side
CAPTIONS = 6


@dataclass(frozen=True)
class Take:
    """What a file name says."""

    member: str
    set: str
    content: str
    style: str
    number: str

    @property
    def name(self) -> str:
        return f"{self.set}_{self.content}_{self.style}_{self.number}"

    @property
    def split(self) -> str:
        """Set 2 by take, whole unseen pairs to the test split; set 1 has one or two files a pair and only trains."""
        if (self.content, self.style) in UNSEEN_PAIRS:
            return "test"
        if self.set == "1":
            return "train"
        place = fraction(self.name)
        return "test" if place < 0.10 else "val" if place < 0.15 else "train"


def takes(archive: str | Path) -> list[Take]:
    """The takes of the zip, in the order of their names.

    Raises:
        MateError: not a zip, or no Bandai-Namco file in it.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = sorted(member for member in file.namelist() if member.endswith(".bvh"))
    except (OSError, zipfile.BadZipFile) as error:
        raise MateError(f"cannot read {archive}: {error}; expected the zip of the Bandai-Namco motion set") from error
    found = []
    for member in members:
        parts = PurePosixPath(member).stem.split("_")
        if len(parts) == 4 and parts[0].startswith("dataset-"):
            found.append(Take(member, parts[0].removeprefix("dataset-"), *parts[1:]))
    if not found:
        raise MateError(
            f"{archive} holds no file named like dataset-2_walk_normal_001.bvh; expected the Bandai-Namco motion set"
        )
    return found


@lru_cache(maxsize=1)
def _opened(archive: str, state: tuple[int, ...]) -> zipfile.ZipFile:
    """The zip, opened once a process: its directory takes longer to read than a member."""
    return zipfile.ZipFile(archive)


def _one(archive: str, state: tuple[int, ...], take: Take) -> Iterator[Sample | Dropped]:
    """A take as canonical joints at 20 fps."""
    try:
        motion = load_bvh(_opened(archive, state).read(take.member), name=PurePosixPath(take.member).name)
        joints = retarget_to_canonical(resample(motion.joints, motion.fps, FPS))
    except MateError as error:
        yield Dropped(take.name, str(error))
        return
    if reason := label_error(take.content, joints):
        yield Dropped(take.name, reason)
    else:
        yield _sample(take, joints)


def bandai_namco_source(archive: str | Path) -> Source:
    """The zip, for `build_dataset`. Clips whose turn contradicts their label are dropped.

    Raises:
        MateError: see `takes`.
    """
    known = wordings()["contents"]
    every = tuple(take for take in takes(archive) if take.content in known)
    state = tuple(file_key(archive))
    return Source(partial(_one, str(archive), state), every, {"source": "bandai-namco", "archive": state})


def label_error(content: str, joints: np.ndarray) -> str | None:
    """Why a clip labelled as a turn is none, from the measured heading; None where label and motion agree."""
    if not content.startswith("walk-turn-"):
        return None
    angles = heading(joints)
    turn = float(angles[-1] - angles[0])
    side = 1.0 if content.endswith("left") else -1.0
    if TURN_RANGE[0] <= side * turn <= TURN_RANGE[1]:
        return None
    return f"labelled {content}, but the heading changes by {np.degrees(turn):+.0f} degrees"


def _sample(take: Take, joints: np.ndarray) -> Sample:
    rng = generator("bandai-namco captions", take.name)
    kinds = ["seen"] * CAPTIONS if take.split == "train" else ["seen", "unseen"] * (CAPTIONS // 2)
    drawn = list(dict.fromkeys(draw(take.content, take.style, kind, rng) for kind in kinds))
    meta = {
        "source": "bandai-namco",
        "license": LICENSE,
        "content": take.content,
        "style": take.style,
        "take": take.name,
        "unseen_pair": (take.content, take.style) in UNSEEN_PAIRS,
        "caption_kinds": [wording.kind for wording in drawn],
        "segments": [{"text": drawn[0].text, "start": 0.0, "end": round(len(joints) / FPS, 3)}],
    }
    return Sample(f"bn{take.name}", joints, tuple(Caption(wording.text) for wording in drawn), take.split, meta)

"""How well motions and texts go together: pairs files in, similarities out."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mate.align.aligner import Aligner, Scoring
from mate.errors import MateError
from mate.motion.features import process_motion
from mate.motion.retarget import resample


@dataclass(frozen=True)
class Pair:
    """One motion and the texts to rank on it; `line` is its place in the pairs file, from 1."""

    motion: str
    texts: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True)
class Scored:
    """A pair with one similarity a text, in the texts' order."""

    pair: Pair
    similarities: tuple[float, ...]


def default_model() -> Path:
    """The packaged retrieval model.

    Raises:
        MateError: this installation has none.
    """
    from mate import checkpoints

    try:
        return checkpoints.default_model("retrieval")
    except MateError as error:
        raise MateError(
            "no packaged retrieval model; make one with `mate align DATA -o OUT` and give --model OUT/retrieval"
        ) from error


def read_pairs(path: str | Path) -> list[Pair]:
    """The pairs of a JSON-lines file: `{"motion": path, "texts": [...]}` a line. Empty lines are skipped.

    Raises:
        MateError: no such file, or a line of another form; the message names the line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(f"cannot read pairs from {path}: {getattr(error, 'strerror', None) or error}") from error
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not pairs:
        raise MateError(
            f'{path} holds no pairs; expected lines such as {{"motion": "walk.npy", "texts": ["a person walks"]}}'
        )
    return pairs


def _pair(path: Path, number: int, line: str) -> Pair:
    try:
        row = json.loads(line)
        motion, texts = row["motion"], row["texts"]
    except (ValueError, KeyError, TypeError) as error:
        raise MateError(
            f'{path}, line {number}: expected {{"motion": path, "texts": [...]}}, got {line[:80]!r}'
        ) from error
    if not isinstance(motion, str) or not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise MateError(f"{path}, line {number}: expected a path and a list of texts, got {line[:80]!r}")
    if not texts:
        raise MateError(f"{path}, line {number}: no texts for {motion}")
    if not all(text.strip() for text in texts):
        raise MateError(f"{path}, line {number}: an empty text for {motion}; write what the motion should be")
    return Pair(motion, tuple(texts), number)


def motion_features(path: str | Path, fps: float = 20.0) -> np.ndarray:
    """Any motion file as raw features (T, 263) at `fps`: canonical bone lengths, on the floor, facing +Z at its start.

    Raises:
        MateError: no such file, an unknown format, or too short a motion.
    """
    from mate.formats.load import load_motion

    motion = load_motion(path)
    joints = motion.joints if abs(motion.fps - fps) < 1e-6 else resample(motion.joints, motion.fps, fps)
    if len(joints) < 2:
        raise MateError(f"{path} has {len(joints)} frame(s) at {fps:g} fps, expected at least 2")
    return process_motion(joints, precise=True)


def score_pairs(aligner: Aligner, pairs: Iterable[Pair], scoring: Scoring = "localized") -> Iterator[Scored]:
    """Scores pair after pair, in order. A motion that several neighbouring pairs name is read once.

    Args:
        scoring: "localized": the mean over sub-texts of the cosine with their own segment; "sentence": one vector against one.

    Raises:
        MateError: a motion or a text that cannot be used; the message names the line where there is one.
    """
    last: tuple[str, np.ndarray] | None = None
    for pair in pairs:
        try:
            if last is None or last[0] != pair.motion:
                last = (pair.motion, motion_features(pair.motion, aligner.config.fps))
            similarities = aligner.score(last[1], pair.texts, scoring)
        except MateError as error:
            where = f"line {pair.line}: " if pair.line else ""
            raise MateError(f"{where}{error}") from error
        yield Scored(pair, tuple(float(value) for value in similarities))


def score(aligner: Aligner, motion: str | Path, texts: Sequence[str], scoring: Scoring = "localized") -> list[float]:
    """The similarities of one motion file and some texts, in the texts' order."""
    return list(next(score_pairs(aligner, [Pair(str(motion), tuple(texts))], scoring)).similarities)

"""The evaluation protocol of text-to-motion papers (Guo et al., CVPR 2022), twice: as its released code behaves, and made repeatable.

`guo-as-released` draws: which caption, where a clip is cropped and by how much, which samples share a pool, which pairs make up the
diversity; up to 31 samples are left out of every repeat. `guo-fixed` does the same comparisons without chance and leaves nobody out.
In both, what is drawn for a sample depends on (seed, repeat, the sample's name) alone: not on the order of the samples, the size of
batches or the number of processes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.evaluate.metrics import (
    Gaussian,
    check_features,
    check_pairs,
    diversity,
    frechet,
    gaussian,
    interval,
    mm_dist,
    multimodality,
    pooled_r_precision,
)

# The reference turns a caption's seconds into frames at this rate, whatever the data's own is.
REFERENCE_FPS = 20.0


@dataclass(frozen=True)
class T2MProtocol:
    """What is done to motions and embeddings.

    Attributes:
        name: written on every result card.
        chance: draw captions, crops and pairs, and drop incomplete pools, as the released code does.
        unit: lengths are cropped to a multiple of this many frames.
        longest: in frames; clips are taken if they have less than `longest` + `unit`.
        pool: samples of a pool for R-precision.
        repeats: figures are means over so many.
        diversity_pairs: pairs for Diversity where chance draws them (100 for sets of up to 300 samples); guo-fixed puts every sample
            into one pair.
        multimodality_prompts, multimodality_samples: MultiModality is measured on so many prompts with so many samples each,
        multimodality_pairs: and so many pairs of them where chance draws them; guo-fixed takes all pairs.
    """

    name: str
    chance: bool
    unit: int = 4
    longest: int = 196
    pool: int = 32
    repeats: int = 20
    diversity_pairs: int = 300
    multimodality_prompts: int = 100
    multimodality_samples: int = 30
    multimodality_pairs: int = 10


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (T2MProtocol("guo-as-released", chance=True), T2MProtocol("guo-fixed", chance=False))
}


def protocol(name: str) -> T2MProtocol:
    """The protocol of that name. Raises MateError for an unknown one."""
    if name not in PROTOCOLS:
        raise MateError(f"got protocol {name!r}, expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def shortest(fps: float) -> int:
    """The shortest clip that is evaluated, in frames: 40 at 20 frames per second (HumanML3D), 24 at 12.5 (KIT-ML)."""
    return 40 if fps >= REFERENCE_FPS else 24


def accepts(frames: int, fps: float, protocol: T2MProtocol) -> bool:
    """Whether a clip, or the part of it that a caption is about, is evaluated."""
    return shortest(fps) <= frames < protocol.longest + protocol.unit


def caption_span(start: float, end: float, frames: int, fps: float, protocol: T2MProtocol) -> tuple[int, int] | None:
    """The frames (first, one past the last) that a caption is about, or None if that part is not evaluated.

    Args:
        start, end: seconds as written beside the caption; 0 and 0 mean the whole clip. As released they are counted at 20 frames per
            second also for KIT-ML's 12.5 and rounded down; otherwise at the data's own rate and rounded.
        frames: of the clip.
    """
    if start == 0.0 and end == 0.0:
        first, last = 0, frames
    elif protocol.chance:
        first, last = int(start * REFERENCE_FPS), min(int(end * REFERENCE_FPS), frames)
    else:
        first, last = round(start * fps), min(round(end * fps), frames)
    return (first, last) if accepts(last - first, fps, protocol) else None


def _rng(*parts: object) -> np.random.Generator:
    """A generator that depends on the parts alone."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def choose_caption(count: int, protocol: T2MProtocol, key: str, repeat: int = 0, seed: int = 0) -> int:
    """Which of a clip's `count` captions a repeat uses: a random one, or in guo-fixed all in turn."""
    if count < 1:
        raise MateError(f"{key}: got no caption, expected at least one")
    if not protocol.chance:
        return repeat % count
    return int(_rng("caption", seed, repeat, key).integers(count))


def crop(frames: int, protocol: T2MProtocol, key: str, repeat: int = 0, seed: int = 0) -> tuple[int, int]:
    """Where the evaluated part of a clip begins and how long it is, in frames.

    The length is a multiple of `unit`. By chance it is, for one clip in three, one unit less, and begins anywhere in the clip; guo-fixed
    takes the clip from its beginning. Of a longer clip than `longest`, `longest` frames are taken.

    Raises:
        MateError: too short.
    """
    length = min(frames, protocol.longest) // protocol.unit * protocol.unit
    start = 0
    if protocol.chance:
        rng = _rng("crop", seed, repeat, key)
        length -= protocol.unit * int(rng.integers(3) == 2)
        start = int(rng.integers(max(frames - length, 0) + 1))
    if length < protocol.unit:
        raise MateError(f"{key}: got {frames} frames, expected at least {2 * protocol.unit}")
    return start, length


def order(keys: Sequence[str], repeat: int = 0, seed: int = 0) -> np.ndarray:
    """The samples shuffled, (N,): each has its place from its own name, so the same names stand in the same order however they came.

    Raises:
        MateError: a name twice.
    """
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise MateError(f"got the name {twice!r} twice, expected every sample once")
    places = [hashlib.sha256(f"pool\x1f{seed}\x1f{repeat}\x1f{key}".encode()).digest() for key in keys]
    return np.array(sorted(range(len(keys)), key=places.__getitem__), dtype=int)


def pools(shuffled: np.ndarray, protocol: T2MProtocol) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled samples as pools: ((P, pool) rows, (P, pool) bool of those that count).

    By chance an incomplete last pool is dropped. guo-fixed fills it up with the first samples, which stand in it but do not count
    twice.

    Raises:
        MateError: fewer samples than a pool.
    """
    count, size = len(shuffled), protocol.pool
    if count < size:
        raise MateError(f"got {count} samples, expected at least {size}: {protocol.name} ranks in pools of {size}")
    if protocol.chance:
        kept = shuffled[: count // size * size].reshape(-1, size)
        return kept, np.ones(kept.shape, dtype=bool)
    filled = np.concatenate([shuffled, shuffled[: -count % size]]).reshape(-1, size)
    return filled, np.arange(filled.size).reshape(filled.shape) < count


def repeat_figures(
    real: np.ndarray | Gaussian,
    text: np.ndarray,
    motion: np.ndarray,
    protocol: T2MProtocol,
    keys: Sequence[str],
    repeat: int = 0,
    seed: int = 0,
) -> dict[str, float]:
    """The figures of one repeat: R@1, R@2, R@3, FID, MM-Dist, Diversity.

    Args:
        real: (M, D) embeddings of real motions, or their `gaussian`, which saves time over repeats.
        text, motion: (N, D) embeddings of captions and of what was made for them; real motions for the "real" row.
        keys: (N,) names of the samples, each once.

    Raises:
        MateError: shapes that do not fit, NaN or infinite values, fewer samples than a pool.
    """
    text, motion = check_pairs(text, motion, ("text", "motion"))
    if len(keys) != len(motion):
        raise MateError(f"got {len(keys)} names for {len(motion)} samples, expected as many")
    shuffled = order(keys, repeat, seed)
    rows, counted = pools(shuffled, protocol)
    precision = pooled_r_precision(text, motion, rows, counted)
    if protocol.chance:
        shuffled = rows.ravel()
        text, motion = text[shuffled], motion[shuffled]
        pairs = protocol.diversity_pairs if len(motion) > protocol.diversity_pairs else min(100, len(motion))
        draw = int(_rng("diversity", seed, repeat).integers(2**32))
        spread = diversity(motion, pairs, draw, self_pairs=True)
    else:
        half = len(motion) // 2
        spread = mm_dist(motion[shuffled[:half]], motion[shuffled[half : 2 * half]])
    reference = real if isinstance(real, Gaussian) else gaussian(check_features(real, "real", 2), "real")
    return {
        **{f"R@{top}": float(value) for top, value in enumerate(precision, start=1)},
        "FID": frechet(reference, gaussian(motion, "motion")),
        "MM-Dist": mm_dist(text, motion),
        "Diversity": spread,
    }


def multimodality_figure(features: np.ndarray, protocol: T2MProtocol, repeat: int = 0, seed: int = 0) -> float:
    """MultiModality of (prompts, samples of each, width) embeddings. Raises MateError as `metrics.multimodality` does."""
    if not protocol.chance:
        return multimodality(features)
    draw = int(_rng("multimodality", seed, repeat).integers(2**32))
    return multimodality(features, protocol.multimodality_pairs, draw, self_pairs=True)


def summary(values: Sequence[float], protocol: T2MProtocol) -> tuple[float, float]:
    """Mean over repeats and half the width of the 95 % interval, by the protocol's rule (`metrics.interval`)."""
    return interval(np.asarray(values, dtype=np.float64), biased=protocol.chance)

"""Where words and sub-texts are in motions, beside controls that know nothing of the words: attention over frames, boundaries.

Frames, of a word's weights a (T,) >= 0 and its true frames S:
    element-of: is the peak of a in S; where several frames share the peak, the share of them that is
    soft IoU: sum min(a', s) / sum max(a', s), of a' = a / max a and s = 1 in S, 0 elsewhere
    mass: the part of a that lies in S
Even weights give |S| / T by all three, exactly.

Boundaries: the error is the time between a boundary found and the true one, 0 within a true pause. Where there are as many of
both they are paired in order. Otherwise they are paired in order so that the sum of errors is least; a true boundary that is left
over counts its distance from the nearer end of the clip (nothing was cut: the cut lies at the end); found ones that are left over
are counted, not scored.

Shapes: T frames, U latent units, W words, N sub-texts, J joints.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mate.align.aligner import Aligner
from mate.align.grounding import over_frames, read_words, word_queries
from mate.align.localization import prior as prior_of
from mate.align.segmentation import uniform_boundaries
from mate.data.captions import words as words_in
from mate.text.subtexts import SubText, split, standalone, words_of

FRAME_FIGURES = ("element_of", "soft_iou", "mass")
SHORTEST = 0.8  # seconds between two cuts of the seam detector and of the random control


@dataclass(frozen=True)
class Segmentation:
    """The segments of one motion by one caption's sub-texts.

    Attributes:
        units: (N + 1,) int64 boundaries in latent units, from 0 to U.
        place: for each of the caption's sub-texts the number of its segment; several may share one in a short clip.
        parts: the caption's sub-texts.
    """

    units: np.ndarray
    place: tuple[int, ...]
    parts: tuple[SubText, ...]

    @property
    def count(self) -> int:
        """N."""
        return len(self.units) - 1

    def seconds(self, stride: int, fps: float) -> np.ndarray:
        """The boundaries inside the clip, (N - 1,) seconds."""
        return self.units[1:-1] * stride / fps

    def spans(self, caption: str) -> np.ndarray:
        """(W, 2): for every word of the caption its segment in units; the whole motion for words between sub-texts."""
        own = words_of(self.parts, words_in(caption))
        place = [self.place[part] if part >= 0 else -1 for part in own]
        return np.array([(self.units[n], self.units[n + 1]) if n >= 0 else (0, self.units[-1]) for n in place])


def segmentations(aligner: Aligner, motion: np.ndarray, captions: Sequence[str]) -> list[Segmentation]:
    """Segments one motion (T, 263), raw, by each of several captions, cut by `mate.split`."""
    parts = [split(caption) for caption in captions]
    several = [n for n, found in enumerate(parts) if len(found) > 1]
    cut = aligner.segments(motion, [standalone(captions[n], parts[n]) for n in several])
    units = np.array([0, max(1, len(motion) // aligner.config.stride)])
    found = [Segmentation(units, (0,) * len(own), tuple(own)) for own in parts]
    for n, (bounds, _, groups) in zip(several, cut, strict=True):
        place = tuple(next(i for i, group in enumerate(groups) if part in group) for part in range(len(parts[n])))
        found[n] = Segmentation(np.asarray(bounds), place, tuple(parts[n]))
    return found


def with_boundaries(like: Segmentation, units: np.ndarray) -> Segmentation:
    """The same sub-texts on other boundaries: a control."""
    return Segmentation(np.asarray(units), like.place, like.parts)


def priors(aligner: Aligner, spans: np.ndarray, units: int) -> Tensor:
    """The model's localization prior of words in segments (W, 2) units: (W, U)."""
    start, end = torch.from_numpy(np.asarray(spans)).to(aligner.device).unbind(-1)
    return prior_of(start, end, units, aligner.config.prior)


@torch.no_grad()
def word_attention(
    aligner: Aligner,
    motions: Sequence[np.ndarray],
    captions: Sequence[str],
    spans: Sequence[np.ndarray] | None = None,
    omega: float | None = None,
    batch_size: int = 32,
) -> list[np.ndarray]:
    """The attention of every word of a caption over its motion's frames.

    Args:
        motions: raw features (T_i, 263). captions: one a motion.
        spans: of every caption (W, 2) segments in latent units (`Segmentation.spans`), for the prior; None: no prior (omega = 0).
        omega: the prior's strength, by default the model's.

    Returns:
        for every caption (W, T) float32, rows summing to 1; W are the words of `mate.data.captions.words`.
    """
    stride = aligner.config.stride
    strength = (aligner.config.omega if omega is None else omega) if spans is not None else 0.0
    found: list[np.ndarray] = [np.zeros((0, 0), dtype=np.float32)] * len(motions)
    order = sorted(range(len(motions)), key=lambda n: len(motions[n]))  # equal lengths together: little padding
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        features, mask = aligner.pad([motions[n] for n in chosen])
        queries = word_queries(aligner, [captions[n] for n in chosen])
        hint = torch.zeros(len(chosen), queries.shape[1], max(1, features.shape[1] // stride), device=aligner.device)
        if spans is not None:
            for row, n in zip(hint, chosen, strict=True):
                units = max(1, len(motions[n]) // stride)
                row[: len(spans[n]), :units] = priors(aligner, spans[n], units)
        _, weights = read_words(aligner, features, mask, queries, hint, strength)
        for row, n in zip(weights, chosen, strict=True):
            own = row[: len(words_in(captions[n])), : max(1, len(motions[n]) // stride)]
            found[n] = over_frames(own, stride, len(motions[n]))
    return found


def frame_figures(weights: np.ndarray, start: int, end: int) -> np.ndarray:
    """Element-of, soft IoU and mass of weights (T,) >= 0, not all 0, for the true frames start..end; (3,), see the module's docstring."""
    weights = np.asarray(weights, dtype=np.float64)
    top = weights.max()
    peak = weights >= top * (1 - 1e-6)
    inside = np.zeros(len(weights), dtype=bool)
    inside[start:end] = True
    scaled = weights / top
    iou = np.minimum(scaled, inside).sum() / np.maximum(scaled, inside).sum()
    return np.array([(peak & inside).sum() / peak.sum(), iou, weights[inside].sum() / weights.sum()])


# ---------------------------------------------------------------------- controls that know no word


def joint_speed(joints: np.ndarray, frames: int) -> np.ndarray:
    """The mean speed of all joints (T, J, 3) about the pelvis, (frames,), smoothed over 5 frames.

    The last frame's speed stands for those behind it.
    """
    about = joints - joints[:, :1]
    speed = np.linalg.norm(np.diff(about, axis=0), axis=-1).mean(-1)
    speed = np.convolve(np.pad(speed, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return np.pad(speed, (0, max(0, frames - len(speed))), mode="edge")[:frames] + 1e-9


def seams(joints: np.ndarray, count: int, fps: float, apart: float = SHORTEST) -> np.ndarray:
    """The `count` strongest peaks of the joints' acceleration (T, J, 3), at least `apart` seconds from each other and from the ends.

    Where there is no room for so many, they may lie closer. Returns (count,) seconds, ascending.
    """
    acceleration = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1).mean(-1)
    strength = np.convolve(np.pad(acceleration, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    times = np.arange(1, len(joints) - 1)  # of the second differences
    apart_frames = min(apart * fps, len(joints) / (2 * (count + 1)))
    chosen: list[int] = []
    for n in np.argsort(-strength, kind="stable"):
        if len(chosen) == count:
            break
        if all(abs(times[n] - other) >= apart_frames for other in (0, len(joints), *chosen)):
            chosen.append(int(times[n]))
    while len(chosen) < count:  # what is left over lies in the middle of the widest gap
        edges = sorted([0, *chosen, len(joints)])
        gap = int(np.argmax(np.diff(edges)))
        chosen.append((edges[gap] + edges[gap + 1]) // 2)
    return np.sort(np.array(chosen, dtype=np.float64)) / fps


def random_cuts(seconds: float, count: int, rng: np.random.Generator, apart: float = SHORTEST) -> np.ndarray:
    """`count` random times, ascending, at least `apart` seconds from each other and from the ends where there is room."""
    apart = min(apart, 0.9 * seconds / (count + 1))
    free = seconds - apart * (count + 1)
    return np.sort(rng.uniform(0, free, count)) + apart * np.arange(1, count + 1)


def even_cuts(units: int, count: int, stride: int, fps: float) -> np.ndarray:
    """`count` cuts into equal segments, in seconds."""
    return uniform_boundaries(units, count + 1)[1:-1] * stride / fps


def to_units(cuts: np.ndarray, units: int, stride: int, fps: float) -> np.ndarray:
    """Cuts in seconds as boundaries in latent units (N + 1,), every segment at least a unit long where there is room."""
    inner = np.round(np.asarray(cuts) * fps / stride).astype(np.int64)
    for n in range(len(inner)):
        inner[n] = min(max(inner[n], inner[n - 1] + 1 if n else 1), units - (len(inner) - n))
    return np.array([0, *inner, units])


# ---------------------------------------------------------------------- boundaries


def boundary_errors(
    found: Sequence[float] | np.ndarray, true: Sequence[tuple[float, float]], seconds: float
) -> np.ndarray:
    """The absolute error of every true boundary, in seconds, see the module's docstring.

    Args:
        found: boundaries found, ascending. true: (earliest, latest) of the true ones, ascending. seconds: the clip's length.
    """
    rows, columns = len(true), len(found)
    if rows == 0:
        return np.zeros(0)
    early, late = np.array(true, dtype=np.float64).T
    times = np.asarray(found, dtype=np.float64).reshape(-1)
    error = np.maximum(0.0, np.maximum(early[:, None] - times[None], times[None] - late[:, None]))  # (true, found)
    if rows == columns:
        return error.diagonal().copy()
    if rows < columns:
        choices = (error[np.arange(rows), list(kept)] for kept in itertools.combinations(range(columns), rows))
        return min(choices, key=np.sum)
    missed = np.minimum(early, seconds - late)

    def paired(kept: tuple[int, ...]) -> np.ndarray:
        errors = missed.copy()
        errors[list(kept)] = error[list(kept), np.arange(columns)]
        return errors

    return min((paired(kept) for kept in itertools.combinations(range(rows), columns)), key=np.sum)

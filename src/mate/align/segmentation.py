"""Which part of a motion each sub-text is about: the paper's motion segmentation.

N sub-texts get N contiguous segments with s_{n+1} = e_n, s_1 = 0, e_N = T, found jointly:

    min over boundaries of  sum_n [ 1 - cos( E_t(t_n), E_m(m[s_n:e_n]) ) ]

Known: the objective; the paper enumerates all partitions. Ours: exact dynamic programming over the latent frame grid
(the same optimum at polynomial cost), and a minimum segment length.

Shapes: N sub-texts, U latent units of the motion, G = U / step + 1 grid points, D features.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from mate.errors import MateError


def best_boundaries(costs: np.ndarray, minimum: int = 1) -> tuple[np.ndarray, float]:
    """The partition of the grid into N contiguous segments with the least total cost, by dynamic programming.

    best(n, e) = min over s <= e - minimum of best(n - 1, s) + costs[n, s, e]; O(N G^2).

    Args:
        costs: (N, G, G), the cost of giving grid interval [s, e) to sub-text n; entries with e <= s are not read.
        minimum: the shortest segment in grid steps.

    Returns:
        boundaries: (N + 1,) int64 grid points from 0 to G - 1. Of equally good partitions, the one with the earliest boundaries.
        total: their cost.

    Raises:
        MateError: N segments of the minimum length do not fit.
    """
    count, points = costs.shape[:2]
    if count < 1 or minimum < 1 or (points - 1) < count * minimum:
        raise MateError(
            f"{count} segments of at least {minimum} steps do not fit into {points - 1} steps; merge sub-texts first"
        )
    grid = np.arange(points)
    allowed = (grid[None, :] - grid[:, None]) >= minimum  # (s, e)
    best = np.where(grid == 0, 0.0, np.inf)  # best cost of covering [0, e) with the first n sub-texts
    choices = np.zeros((count, points), dtype=np.int64)
    for n in range(count):
        total = np.where(allowed, best[:, None] + np.where(allowed, costs[n], 0.0), np.inf)
        choices[n] = total.argmin(0)
        best = total.min(0)
    boundaries = np.empty(count + 1, dtype=np.int64)
    boundaries[count] = points - 1
    for n in range(count - 1, -1, -1):
        boundaries[n] = choices[n, boundaries[n + 1]]
    return boundaries, float(best[-1])


def uniform_boundaries(units: int, count: int) -> np.ndarray:
    """The control: N segments of equal length (to a unit), (N + 1,) int64."""
    if units < count:
        raise MateError(f"{count} segments do not fit into {units} units; merge sub-texts first")
    return np.round(np.linspace(0, units, count + 1)).astype(np.int64)


def fitting_minimum(units: int, count: int, wanted: int) -> int:
    """The minimum segment length: as wanted, shorter where the clip is too short for N such segments, at least 1."""
    return max(1, min(wanted, units // max(count, 1)))


def merge_to_fit(parts: list[list[int]], units: int) -> list[list[int]]:
    """Merges neighbouring groups of sub-texts, smallest pair first, until there are no more groups than units."""
    parts = [list(part) for part in parts]
    while len(parts) > max(units, 1):
        first = min(range(len(parts) - 1), key=lambda n: len(parts[n]) + len(parts[n + 1]))
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts


def grid_points(units: int, step: int) -> np.ndarray:
    """Units at which a boundary may lie: every `step`, and the clip's end. (G,) int64."""
    points = np.arange(0, units + 1, step)
    points[-1] = units  # the last segment takes the remainder
    return points if len(points) > 1 else np.array([0, units])


def candidates(points: int, counts: Iterable[int], minimum: int) -> list[tuple[int, int]]:
    """The grid intervals (s, e) that can be a segment in a partition into N parts, for any N of `counts`.

    A first part starts at 0, a last one ends at the end, and every part leaves room for those before and behind it: for two
    sub-texts that is 2 G intervals instead of G^2 / 2.
    """
    last, wanted = points - 1, sorted(set(counts))

    def fits(s: int, e: int) -> bool:
        before, behind = s // minimum, (last - e) // minimum  # the most parts there is room for on either side
        if e - s < minimum or (0 < s < minimum) or (0 < last - e < minimum):
            return False
        least = (s > 0) + (e < last)
        most = before + behind
        return any(least <= count - 1 <= most for count in wanted)

    return [(s, e) for s in range(points) for e in range(s + 1, points) if fits(s, e)]


def segment_features(
    encode: Callable[[Sequence[tuple[int, int]]], Tensor],
    points: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    chunk: int = 32,
) -> Tensor:
    """E_m of candidate segments, each encoded as a cropped motion of its own.

    Args:
        encode: spans [s, e) of latent units -> normalised sequence features (S, D) of the motion cropped to each.
        points: (G,) grid points in units.
        pairs: the intervals (s, e) of the grid that are wanted, see `candidates`.

    Returns:
        (G, G, D); zero for intervals that are not wanted.
    """
    grid = len(points)
    pairs = sorted(pairs, key=lambda pair: points[pair[1]] - points[pair[0]])  # equal lengths together: little padding
    features: Tensor | None = None
    for start in range(0, len(pairs), chunk):
        group = pairs[start : start + chunk]
        encoded = encode([(int(points[s]), int(points[e])) for s, e in group])
        if features is None:
            features = torch.zeros(grid, grid, encoded.shape[-1], device=encoded.device, dtype=encoded.dtype)
        rows, columns = (torch.tensor(part, device=encoded.device) for part in zip(*group, strict=True))
        features[rows, columns] = encoded
    if features is None:
        raise MateError(f"no segment fits into a grid of {grid - 1} steps; the clip is too short")
    return features


def segment(text: Tensor, features: Tensor, points: np.ndarray, minimum: int) -> tuple[np.ndarray, np.ndarray]:
    """The paper's segmentation for one motion and one caption.

    Args:
        text: (N, D) normalised features E_t(t_n).
        features: (G, G, D) normalised features of the candidate segments.
        points: (G,) grid points in units.
        minimum: the shortest segment in grid steps.

    Returns:
        boundaries (N + 1,) int64 in units, and cos(E_t(t_n), E_m(segment n)) for every sub-text, (N,) float32.
    """
    cosines = torch.einsum("nd,sed->nse", text.float(), features.float()).float().cpu().numpy()
    grid, _ = best_boundaries(1.0 - cosines, minimum)
    own = cosines[np.arange(len(text)), grid[:-1], grid[1:]]
    return points[grid], own.astype(np.float32)

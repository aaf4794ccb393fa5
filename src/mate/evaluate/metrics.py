"""The field's metrics as pure functions of arrays: NumPy only, float64, no global random state.

Rows are samples: `text[i]`, `motion[i]` and `real[i]` belong together where both are given. Unless a function says that it draws,
its value does not depend on the order of the samples. N, M: samples, D: width of an embedding.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mate.errors import MateError

# Rows of a distance matrix that are worked on at once: memory stays at some ten megabytes for any number of samples.
CHUNK = 512
# Squared distances closer than this share of the largest squared length count as ties: it is above the rounding of a matrix product
# and far below every real difference.
_TIE = 1e-12


def check_features(features: np.ndarray, name: str = "features", least: int = 1) -> np.ndarray:
    """`features` as a float64 matrix.

    Raises:
        MateError: not (N, D), fewer rows than `least`, or NaN or infinite values; the message names the rows.
    """
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise MateError(f"{name}: got shape {array.shape} of {array.dtype}, expected numbers of shape (samples, width)")
    if len(array) < least or array.shape[1] == 0:
        raise MateError(f"{name}: got {len(array)} samples of width {array.shape[1]}, expected at least {least}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        rows = ", ".join(map(str, bad[:8])) + (f" and {len(bad) - 8} more" if len(bad) > 8 else "")
        raise MateError(
            f"{name}: NaN or infinite values in rows {rows} of {len(array)}; repair or leave out those samples"
        )
    return array


def check_pairs(
    first: np.ndarray, second: np.ndarray, names: tuple[str, str], least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices of one shape, row i of one beside row i of the other. Raises MateError as `check_features` does."""
    a, b = check_features(first, names[0], least), check_features(second, names[1], least)
    if a.shape != b.shape:
        raise MateError(f"got {names[0]} of shape {a.shape} and {names[1]} of shape {b.shape}, expected the same")
    return a, b


def _check_width(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> None:
    if first.shape[1] != second.shape[1]:
        raise MateError(
            f"{names[0]} have width {first.shape[1]}, {names[1]} {second.shape[1]}: embeddings of different evaluators are not comparable"
        )


def _distances(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances (rows of `first` x all of `second`), a block of rows at a time. Both should be centred."""
    squares = _lengths(second)
    for start in range(0, len(first), CHUNK):
        rows = slice(start, min(start + CHUNK, len(first)))
        block = first[rows] @ second.T
        block *= -2.0
        block += squares
        block += _lengths(first[rows])[:, None]
        yield rows, np.maximum(block, 0.0, out=block)


def _lengths(array: np.ndarray) -> np.ndarray:
    """Squared lengths of the rows, (N,), without a copy of the array."""
    return np.einsum("...d,...d->...", array, array)


def _row_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of row i to row i, (N,)."""
    found = np.empty(len(first))
    for start in range(0, len(first), CHUNK):
        rows = slice(start, start + CHUNK)
        found[rows] = np.sqrt(_lengths(first[rows] - second[rows]))
    return found


def _centred(*arrays: np.ndarray) -> list[np.ndarray]:
    """The arrays moved so that the last one's mean is zero: distances stay, rounding shrinks."""
    centre = arrays[-1].mean(axis=0)
    return [array - centre for array in arrays]


# Distance of distributions


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Attributes: mean (D,) and covariance (D, D) of a set of embeddings."""

    mean: np.ndarray
    covariance: np.ndarray

    @cached_property
    def root(self) -> np.ndarray:
        """The symmetric square root of the covariance, (D, D)."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def gaussian(features: np.ndarray, name: str = "features") -> Gaussian:
    """Mean and (unbiased) covariance of (N, D), N at least 2. Raises MateError as `check_features` does."""
    array = check_features(features, name, least=2)
    mean = array.mean(axis=0)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(array), CHUNK):
        centred = array[start : start + CHUNK] - mean
        covariance += centred.T @ centred
    covariance /= len(array) - 1
    if not np.isfinite(covariance).all():
        raise MateError(
            f"{name}: values up to {np.abs(array).max():.1e} have no finite variance; are these embeddings?"
        )
    return Gaussian(mean, covariance)


def frechet(first: Gaussian, second: Gaussian) -> float:
    """The Frechet distance of two Gaussians, |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½).

    The trace of the square root is the sum of the roots of the eigenvalues of C1^½ C2 C1^½, which is symmetric and has the
    eigenvalues of C1 C2: real and not negative, where the matrix square root of a singular product can be complex or fail.
    """
    _check_width(first.mean[None], second.mean[None], ("the first set's", "the second set's"))
    product = first.root @ second.covariance @ first.root
    values = np.linalg.eigvalsh((product + product.T) / 2)
    # What is under the rounding of the largest one is zero; its root would not be small.
    values = np.where(values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0), values, 0.0)
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2.0 * np.sqrt(values).sum()
    return float(max(0.0, ((first.mean - second.mean) ** 2).sum() + spread))


def fid(real: np.ndarray, generated: np.ndarray) -> float:
    """Frechet distance of the embeddings of real (N, D) and generated (M, D) motions; smaller is better, 0 for equal sets.

    It falls with the number of samples (Heusel et al., 2017): compare figures of equally large sets only. For many sets against the
    same real one use `gaussian` and `frechet`, which keep the root of the real covariance.

    Raises:
        MateError: fewer than two samples, another width, NaN or infinite values (the rows are named).
    """
    return frechet(gaussian(real, "real"), gaussian(generated, "generated"))


# Text and motion


def _share_of_hits(closer: np.ndarray, ties: np.ndarray, others: int, drawn: int, top: int) -> np.ndarray:
    """How likely the true motion is among the nearest 1..top, (N, top).

    Of `others` wrong motions `drawn` are in the pool, each set of them equally likely; `closer` (N,) of all are nearer than the true
    one and `ties` (N,) as near: those come before it or after it with equal chance.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, others + 1)))])

    def choose(n: np.ndarray | int, k: np.ndarray | int) -> np.ndarray:
        n, k = np.broadcast_arrays(n, k)
        inside = (k >= 0) & (k <= n)
        n, k = np.where(inside, n, 0), np.where(inside, k, 0)
        return np.where(inside, logs[n] - logs[k] - logs[n - k], -np.inf)

    nearer = np.arange(others + 1)
    # Exactly j of the nearer ones are drawn: hypergeometric.
    exactly = np.stack(
        [np.exp(choose(nearer, j) + choose(others - nearer, drawn - j) - choose(others, drawn)) for j in range(top)],
        axis=1,
    )
    summed = np.concatenate([np.zeros((1, top)), np.cumsum(np.cumsum(exactly, axis=1), axis=0)])
    return (summed[closer + ties + 1] - summed[closer]) / (ties + 1)[:, None]


def r_precision_by_sample(
    text: np.ndarray, motion: np.ndarray, pool: int = 32, top: int = 3, same: np.ndarray | None = None
) -> np.ndarray:
    """For every text the chance that its motion is among the nearest 1..top of a random pool, (N, top) in 0..1.

    Exact: nothing is drawn. A pool holds the true motion and `pool` - 1 of the others, every choice equally likely; ties count as
    they would on average. The mean over samples is what R-precision gives on average over shuffles. Rows are fit for paired tests.

    Args:
        text, motion: (N, D) each; Euclidean distances, as in the T2M evaluation (Guo et al., CVPR 2022).
        same: (N, N) bool: motion j is no wrong answer to text i, and not in its pools. None: all others are wrong.

    Raises:
        MateError: fewer than `pool` pairs (or wrong answers of a text, to fill its pool), NaN or infinite values, different shapes.
    """
    a, b = _check_pool(text, motion, pool, top)
    a, b = _centred(a, b)
    tolerance = _TIE * max(_lengths(a).max(), _lengths(b).max())
    closer, ties = np.empty(len(a), dtype=int), np.empty(len(a), dtype=int)
    others = np.full(len(a), len(a) - 1)
    if same is not None:
        same = same & ~np.eye(len(a), dtype=bool)
        others -= same.sum(axis=1)
        if others.min() < pool - 1:
            raise MateError(
                f"sample {others.argmin()} has {others.min()} wrong answers, expected at least {pool - 1} to fill a pool of {pool}; "
                "evaluate more different prompts"
            )
    for rows, block in _distances(a, b):
        own = block[np.arange(len(block)), np.arange(rows.start, rows.stop)][:, None]
        if same is not None:
            block = np.where(same[rows], np.inf, block)
        closer[rows] = (block < own - tolerance).sum(axis=1)
        ties[rows] = (block <= own + tolerance).sum(axis=1) - closer[rows] - 1
    hits = np.empty((len(a), top))
    for count in np.unique(others):
        rows = others == count
        hits[rows] = _share_of_hits(closer[rows], ties[rows], int(count), pool - 1, top)
    return hits


def _check_pool(text: np.ndarray, motion: np.ndarray, pool: int, top: int) -> tuple[np.ndarray, np.ndarray]:
    if not 1 <= top <= pool:
        raise MateError(f"got top {top} and pools of {pool}, expected 1 <= top <= pool")
    a, b = check_pairs(text, motion, ("text", "motion"))
    if len(a) < pool:
        raise MateError(
            f"got {len(a)} pairs, expected at least {pool} for pools of {pool}; a smaller pool is another protocol"
        )
    return a, b


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 ... count - 1, evenly spread, ascending; all where there are not more."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()


def pools(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Samples shuffled into pools of `size`, (count // size, size) indices; what is left over is in none.

    The generator is NumPy's `RandomState`, whose stream is frozen: with seed 0 these are TMR's pools of its sorted names.
    """
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    return order[: count // size * size].reshape(-1, size)


def pooled_r_precision(
    text: np.ndarray, motion: np.ndarray, pools: np.ndarray, counted: np.ndarray | None = None, top: int = 3
) -> np.ndarray:
    """R-precision in given pools, (top,) in 0..1: is a text's motion among the nearest 1..top of its pool?

    Args:
        text, motion: (N, D) each.
        pools: (P, size) rows.
        counted: (P, size) bool: which places ask; the others only stand in the pool. All by default.

    Raises:
        MateError: NaN or infinite values, different shapes, pools that name no samples.
    """
    pools = np.asarray(pools)
    if pools.ndim != 2 or not pools.size or pools.dtype.kind not in "iu":
        raise MateError(f"got pools of shape {pools.shape}, expected row numbers of shape (pools, size)")
    a, b = _check_pool(text, motion, pools.shape[1], min(top, pools.shape[1]))
    if pools.min() < 0 or pools.max() >= len(a):
        raise MateError(f"got pools with rows {pools.min()} to {pools.max()}, expected 0 to {len(a) - 1}")
    squares = _lengths(a), _lengths(b)
    tolerance = _TIE * max(square.max() for square in squares)
    distances = squares[0][pools][:, :, None] + squares[1][pools][:, None] - 2.0 * (a[pools] @ b[pools].swapaxes(1, 2))
    own = np.diagonal(distances, axis1=1, axis2=2)[..., None]
    closer = (distances < own - tolerance).sum(axis=2)
    ties = (distances <= own + tolerance).sum(axis=2) - closer - 1
    hits = np.clip((np.arange(1, top + 1) - closer[..., None]) / (ties + 1)[..., None], 0.0, 1.0)
    return hits[np.ones(pools.shape, dtype=bool) if counted is None else np.asarray(counted, dtype=bool)].mean(axis=0)


def r_precision(
    text: np.ndarray, motion: np.ndarray, pool: int = 32, top: int = 3, seed: int | None = None
) -> np.ndarray:
    """R-precision at 1..top, (top,) in 0..1: how often the true motion is among the nearest of a pool (Guo et al., CVPR 2022).

    Args:
        text, motion: (N, D) each, row i of one belongs to row i of the other.
        seed: None gives the exact mean over all random pools, which depends on no order (`r_precision_by_sample`); a number draws one
            division into pools, as released evaluation code does, and leaves up to `pool` - 1 samples over.

    Raises:
        MateError: fewer than `pool` pairs, NaN or infinite values, different shapes.
    """
    if seed is None:
        return r_precision_by_sample(text, motion, pool, top).mean(axis=0)
    _check_pool(text, motion, pool, top)
    return pooled_r_precision(text, motion, pools(len(text), pool, seed), top=top)


def mm_dist(text: np.ndarray, motion: np.ndarray) -> float:
    """Mean Euclidean distance of a text's and its own motion's embedding ("multimodal distance", "matching score").

    Raises:
        MateError: different shapes, no samples, NaN or infinite values.
    """
    a, b = check_pairs(text, motion, ("text", "motion"))
    return float(_row_distances(a, b).mean())


def car(original: np.ndarray, shuffled: np.ndarray) -> float:
    """Chronological accuracy, 0..1: how often a motion is more similar to its caption than to the caption with its events shuffled.

    A tie is a failure, so a model that reads no order gets 0 and not one half (Fujiwara et al., ECCV 2024).

    Args:
        original: (N,) similarities with the captions.
        shuffled: (N,) or (N, K) similarities with one or K shuffles of each; all comparisons weigh the same.

    Raises:
        MateError: other shapes, no captions, NaN or infinite values.
    """
    shape = np.shape(shuffled)
    if np.ndim(original) != 1 or len(shape) not in (1, 2) or len(shape) == 0 or shape[0] != len(original):
        raise MateError(
            f"got similarities of shapes {np.shape(original)} and {shape}, expected (N,) and (N,) or (N, K)"
        )
    right = check_features(np.reshape(original, (-1, 1)), "original")
    wrong = check_features(np.reshape(shuffled, (len(original), -1)), "shuffled")
    return float((right > wrong).mean())


# Spread


def _draw(count: int, pairs: int, seed: int, self_pairs: bool) -> tuple[np.ndarray, np.ndarray]:
    """`pairs` pairs of 0..count-1. With `self_pairs` two draws without replacement that know nothing of each other."""
    rng = np.random.default_rng(seed)
    if self_pairs:
        if pairs > count:
            raise MateError(f"got {count} samples, expected at least as many as pairs ({pairs})")
        return rng.choice(count, pairs, replace=False), rng.choice(count, pairs, replace=False)
    first = rng.integers(count, size=pairs)
    return first, (first + rng.integers(1, count, size=pairs)) % count


def diversity(features: np.ndarray, pairs: int | None = None, seed: int = 0, self_pairs: bool = False) -> float:
    """Mean Euclidean distance of two different samples' embeddings.

    Args:
        features: (N, D).
        pairs: None: the exact mean over all pairs, which draws nothing. A number draws that many.
        self_pairs: draw as the released code does: two sets of `pairs` different samples each, which may put a sample beside itself.

    Raises:
        MateError: fewer than two samples, NaN or infinite values.
    """
    array = check_features(features, least=2)
    if pairs is not None:
        first, second = _draw(len(array), pairs, seed, self_pairs)
        return float(_row_distances(array[first], array[second]).mean())
    (array,) = _centred(array)
    total = 0.0
    for rows, block in _distances(array, array):
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = 0.0
        total += np.sqrt(block).sum()
    return float(total / (len(array) * (len(array) - 1)))


def multimodality(features: np.ndarray, pairs: int | None = None, seed: int = 0, self_pairs: bool = False) -> float:
    """Mean Euclidean distance of two samples of the same prompt.

    Args:
        features: (P, S, D): prompts, samples of each, width.
        pairs, self_pairs: as in `diversity`; the same pairs are drawn for all prompts.

    Raises:
        MateError: fewer than two samples of a prompt, no prompts, NaN or infinite values.
    """
    shape = np.shape(features)
    if len(shape) != 3 or shape[0] == 0 or shape[1] < 2:
        raise MateError(
            f"got features of shape {shape}, expected (prompts, samples of each, width) with two samples or more"
        )
    array = check_features(np.reshape(features, (shape[0] * shape[1], shape[2]))).reshape(shape)
    if pairs is not None:
        first, second = _draw(shape[1], pairs, seed, self_pairs)
        return float(np.mean([_row_distances(prompt[first], prompt[second]).mean() for prompt in array]))
    return float(np.mean([diversity(prompt) for prompt in array]))


# Fidelity and coverage


def _radii(features: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of every sample to its k-th nearest other one, (N,)."""
    found = np.empty(len(features))
    for rows, block in _distances(features, features):
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = np.inf
        found[rows] = np.partition(block, k - 1, axis=1)[:, k - 1]
    return found


def precision_recall_density_coverage(real: np.ndarray, generated: np.ndarray, k: int = 5) -> dict[str, float]:
    """How many generated samples look real, and how much of the real variety is there.

    A ball lies round every sample and reaches to its k-th nearest neighbour in its own set. Precision: the share of generated samples
    inside some real ball; recall: of real samples inside some generated ball (Kynkaanniemi et al., NeurIPS 2019). Density: how many
    real balls hold a generated sample, on average, over k; coverage: the share of real balls that hold a generated sample (Naeem et
    al., ICML 2020). All in 0..1 but density.

    Args:
        real, generated: (N, D) and (M, D), each of more than k samples.

    Raises:
        MateError: too few samples, another width, NaN or infinite values.
    """
    if k < 1:
        raise MateError(f"got k = {k}, expected at least 1")
    a, b = check_features(real, "real", k + 1), check_features(generated, "generated", k + 1)
    _check_width(a, b, ("real", "generated"))
    b, a = _centred(b, a)
    tolerance = _TIE * max(_lengths(a).max(), _lengths(b).max())
    real_radii, generated_radii = _radii(a, k) + tolerance, _radii(b, k) + tolerance
    inside = np.zeros(len(b), dtype=int)
    recalled = covered = 0
    for rows, block in _distances(a, b):
        held = block <= real_radii[rows][:, None]
        inside += held.sum(axis=0)
        covered += int(held.any(axis=1).sum())
        recalled += int((block <= generated_radii).any(axis=1).sum())
    return {
        "precision": float((inside > 0).mean()),
        "recall": recalled / len(a),
        "density": float(inside.mean() / k),
        "coverage": covered / len(a),
    }


def interval(values: np.ndarray, biased: bool = False) -> tuple[float, float]:
    """Mean over repeats and half the width of its 95 % interval; 0 for a single repeat.

    Args:
        values: (R,) one figure a repeat.
        biased: as the released code has it: 1.96 times the root of the mean square over the root of R. Otherwise Student's t with R - 1
            degrees of freedom and the unbiased variance.
    """
    values = check_features(np.reshape(values, (-1, 1)), "repeats")[:, 0]
    count = len(values)
    if count == 1:
        return float(values[0]), 0.0
    if biased:
        return float(values.mean()), float(1.96 * values.std() / math.sqrt(count))
    return float(values.mean()), float(_student(count - 1) * values.std(ddof=1) / math.sqrt(count))


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, to 0.3 %: from the normal one by Abramowitz and Stegun 26.7.5; tabulated where that is poor."""
    if freedom <= 3:
        return (12.7062, 4.3027, 3.1824)[freedom - 1]
    z = 1.959963984540054
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))

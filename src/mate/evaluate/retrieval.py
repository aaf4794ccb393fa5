"""Retrieval between texts and motions under the four protocols of TMR (Petrovich et al., ICCV 2023).

Row i and column i of a similarity matrix belong together: rows are texts, columns motions, larger is more similar.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from mate.errors import MateError
from mate.evaluate.metrics import check_features, pools

Protocol = Literal["normal", "threshold", "nsim", "guo"]
PROTOCOLS = get_args(Protocol)
TOP = (1, 2, 3, 5, 10)
THRESHOLD = 0.95
SUBSET = 100


def retrieve(
    similarity: np.ndarray,
    protocol: Protocol = "normal",
    text_similarity: np.ndarray | None = None,
    threshold: float = THRESHOLD,
    subset: Sequence[int] | np.ndarray | None = None,
    pool: int = 32,
    seed: int = 0,
) -> dict[str, Any]:
    """R@1, 2, 3, 5, 10 (percent) and the median rank (from 1) in both directions.

    normal: every text against all motions. threshold: as found counts whatever has a text that says the same, (1 + cosine) / 2 over
    `threshold`. nsim: among 100 texts that are unlike each other (`subset`, else `dissimilar` ones). guo: in shuffled pools of `pool`,
    means over the pools; samples left over are in none. A rank shared by several is their mean, as in TMR.

    Args:
        similarity: (N, N).
        text_similarity: (N, N) cosines of sentence embeddings of the texts, -1..1; for threshold, and for nsim without a subset.
        subset: rows for nsim, e.g. those of a published list.
        seed: of the pools. Pools depend on the order of the rows: sort them by name. With 0 they are TMR's.

    Returns:
        {"protocol", "samples", "text_to_motion": {"R@1": ..., ..., "MedR": ...}, "motion_to_text": {...}}.

    Raises:
        MateError: an unknown protocol, shapes that do not fit, NaN or infinite values, fewer samples than a pool.
    """
    if protocol not in PROTOCOLS:
        raise MateError(f"got protocol {protocol!r}, expected one of {', '.join(PROTOCOLS)}")
    matrix = _square(similarity, "similarity")
    count = len(matrix)
    texts = None if text_similarity is None else _square(text_similarity, "text_similarity")
    if texts is not None and len(texts) != count:
        raise MateError(f"got text similarities of {len(texts)} texts for {count} motions, expected as many")
    if texts is None and (protocol == "threshold" or (protocol == "nsim" and subset is None)):
        raise MateError(f"the protocol {protocol} needs text_similarity, the cosines of the texts' sentence embeddings")
    same: np.ndarray | None = None
    groups: list[np.ndarray] | None = None  # None: everything in one
    if protocol == "threshold" and texts is not None:
        same = np.eye(count, dtype=bool) | ((1.0 + texts) / 2.0 > threshold)
    elif protocol == "nsim":
        groups = [_rows(subset, count) if texts is None or subset is not None else dissimilar(texts)]
    elif protocol == "guo":
        if count < pool:
            raise MateError(f"got {count} samples, expected at least {pool} for pools of {pool}")
        groups = list(pools(count, pool, seed))
    parts = [matrix] if groups is None else [matrix[np.ix_(rows, rows)] for rows in groups]
    result: dict[str, Any] = {"protocol": protocol, "samples": sum(map(len, parts))}
    for direction, turned in (("text_to_motion", False), ("motion_to_text", True)):
        figures = [_figures(ranks(part.T if turned else part, same)) for part in parts]
        result[direction] = {key: float(np.mean([figure[key] for figure in figures])) for key in figures[0]}
    return result


def ranks(similarity: np.ndarray, same: np.ndarray | None = None) -> np.ndarray:
    """The rank from 0 at which each row finds its own column, or the best of those that count as `same` (N, N) bool; (N,) float.

    Where others are exactly as similar it is the mean of their places.
    """
    if same is None:
        own = np.diagonal(similarity)[:, None]
    else:
        own = np.where(same, similarity, -np.inf).max(axis=1, keepdims=True)
    above, level = np.count_nonzero(similarity > own, axis=1), np.count_nonzero(similarity == own, axis=1)
    return above + (level - 1) / 2.0


def dissimilar(text_similarity: np.ndarray, count: int = SUBSET) -> np.ndarray:
    """`count` rows whose texts are unlike each other, in ascending order; all rows if there are not more.

    Begins with the text that is least like the others on average; then again and again takes the one whose most similar taken text is
    the least similar. (TMR publishes its list of 100; give that as the `subset` to compare with its figures.)

    Args:
        text_similarity: (N, N).
    """
    matrix = _square(text_similarity, "text_similarity")
    if len(matrix) <= count:
        return np.arange(len(matrix))
    taken = [int(matrix.mean(axis=1).argmin())]
    nearest = matrix[taken[0]].copy()
    for _ in range(count - 1):
        nearest[taken[-1]] = np.inf
        taken.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, matrix[taken[-1]])
    return np.sort(taken)


def _figures(places: np.ndarray) -> dict[str, float]:
    found = {f"R@{top}": 100.0 * float((places < top).mean()) for top in TOP}
    return {**found, "MedR": float(np.median(places) + 1.0)}


def _square(matrix: np.ndarray, name: str) -> np.ndarray:
    array = check_features(matrix, name)
    if array.shape[0] != array.shape[1]:
        raise MateError(f"{name}: got shape {array.shape}, expected as many rows as columns")
    return array


def _rows(subset: Sequence[int] | np.ndarray | None, count: int) -> np.ndarray:
    rows = np.unique(np.asarray([] if subset is None else subset))
    if not len(rows) or rows.dtype.kind not in "iu" or rows[0] < 0 or rows[-1] >= count:
        raise MateError(f"got a subset of {len(rows)} rows, expected row numbers from 0 to {count - 1}")
    return rows

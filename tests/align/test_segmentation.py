"""Segmentation: the exact optimum, against every partition there is."""

import functools
import operator
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mate.align.segmentation import (
    best_boundaries,
    candidates,
    fitting_minimum,
    grid_points,
    merge_to_fit,
    segment,
    segment_features,
    uniform_boundaries,
)
from mate.errors import MateError


def every_partition(costs: np.ndarray, minimum: int) -> float:
    """The least cost over all partitions, by trying each."""
    count, points = costs.shape[:2]
    best = np.inf
    for inner in combinations(range(1, points - 1), count - 1):
        cuts = (0, *inner, points - 1)
        if all(end - start >= minimum for start, end in pairwise(cuts)):
            best = min(best, sum(costs[n, cuts[n], cuts[n + 1]] for n in range(count)))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(4, 9), st.integers(1, 3))
def test_dynamic_programming_finds_the_optimum(seed: int, count: int, units: int, minimum: int) -> None:
    costs = np.random.default_rng(seed).uniform(0, 2, (count, units + 1, units + 1))
    if units < count * minimum:
        with pytest.raises(MateError, match="do not fit"):
            best_boundaries(costs, minimum)
        return
    boundaries, total = best_boundaries(costs, minimum)
    assert boundaries[0] == 0 and boundaries[-1] == units
    assert (np.diff(boundaries) >= minimum).all()
    assert total == pytest.approx(sum(costs[n, boundaries[n], boundaries[n + 1]] for n in range(count)))
    assert total == pytest.approx(every_partition(costs, minimum))


def test_known_boundaries_are_found_from_features() -> None:
    # Units show event 0, 1 or 2; a segment's feature is the mean of its units, a sub-text's is its event.
    events = torch.eye(3)
    units = events[[0] * 4 + [1] * 6 + [2] * 2]
    points = grid_points(len(units), 1)

    def encode(spans: Sequence[tuple[int, int]]) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.stack([units[s:e].sum(0) for s, e in spans]), dim=-1)

    features = segment_features(encode, points, candidates(13, [3], 1), chunk=7)
    boundaries, cosines = segment(events, features, points, 1)
    assert boundaries.tolist() == [0, 4, 10, 12]
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
    coarse = grid_points(12, 2)
    boundaries, _ = segment(events, segment_features(encode, coarse, candidates(7, [3], 1)), coarse, 1)
    assert boundaries.tolist() == [0, 4, 10, 12]


def test_every_candidate_is_encoded_as_a_crop() -> None:
    units = torch.arange(10.0).unsqueeze(-1)
    points = grid_points(10, 3)
    assert points.tolist() == [0, 3, 6, 10]
    every = [(s, e) for s in range(4) for e in range(s + 1, 4)]
    seen = segment_features(
        lambda spans: torch.tensor([[units[s:e].sum().item(), float(e - s)] for s, e in spans]), points, every
    )
    for s in range(4):
        for e in range(4):
            expected = (
                [units[points[s] : points[e]].sum().item(), float(points[e] - points[s])] if e > s else [0.0, 0.0]
            )
            assert seen[s, e].tolist() == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(4, 10), st.integers(1, 3))
def test_candidates_are_the_parts_of_all_partitions(count: int, units: int, minimum: int) -> None:
    parts = set()
    for inner in combinations(range(1, units), count - 1):
        cuts = (0, *inner, units)
        spans = list(pairwise(cuts))
        if all(end - start >= minimum for start, end in spans):
            parts.update(spans)
    found = set(candidates(units + 1, [count], minimum))
    assert parts <= found
    if count <= 3:
        assert parts == found


def test_controls_and_clips_that_are_too_short() -> None:
    assert uniform_boundaries(10, 3).tolist() == [0, 3, 7, 10]
    assert fitting_minimum(10, 3, 5) == 3 and fitting_minimum(10, 1, 5) == 5 and fitting_minimum(2, 3, 5) == 1
    merged = merge_to_fit([[0], [1], [2], [3]], 2)
    assert len(merged) == 2 and functools.reduce(operator.iadd, merged, []) == [0, 1, 2, 3]
    assert merge_to_fit([[0], [1]], 0) == [[0, 1]]
    assert grid_points(1, 1).tolist() == [0, 1] and grid_points(3, 2).tolist() == [0, 3]

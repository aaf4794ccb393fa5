"""Retrieval protocols, by hand and under what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mate.errors import MateError
from mate.evaluate.metrics import pools
from mate.evaluate.retrieval import dissimilar, ranks, retrieve

# Rows are texts. Text 0 finds its motion first, text 1 third, text 2 second.
SIMILARITY = np.array([[0.9, 0.1, 0.2], [0.8, 0.3, 0.7], [0.0, 0.6, 0.5]])


def test_ranks_by_hand():
    assert ranks(SIMILARITY).tolist() == [0, 2, 1]
    assert ranks(SIMILARITY.T).tolist() == [0, 1, 1]
    assert ranks(np.ones((3, 3))).tolist() == [1, 1, 1]  # in the middle of a tie


def test_the_whole_set_by_hand():
    found = retrieve(SIMILARITY)
    assert found["samples"] == 3
    assert found["text_to_motion"] == pytest.approx(
        {"R@1": 100 / 3, "R@2": 200 / 3, "R@3": 100, "R@5": 100, "R@10": 100, "MedR": 2}
    )
    assert found["motion_to_text"]["R@1"] == pytest.approx(100 / 3)
    assert found["motion_to_text"]["MedR"] == 2


def test_texts_that_say_the_same_count_under_threshold():
    """Text 1 says what text 0 says (cosine 0.92, scaled 0.96): its motion 0 at the first place is right too."""
    texts = np.array([[1.0, 0.92, 0.1], [0.92, 1.0, 0.2], [0.1, 0.2, 1.0]])
    found = retrieve(SIMILARITY, "threshold", texts)
    assert found["text_to_motion"]["R@1"] == pytest.approx(200 / 3)
    assert retrieve(SIMILARITY, "threshold", texts, threshold=0.97)["text_to_motion"]["R@1"] == pytest.approx(100 / 3)


def test_dissimilar_texts():
    """Three groups of paraphrases: one of each is taken before a second of any."""
    group = np.arange(9) // 3
    texts = np.where(group[:, None] == group, 0.95, 0.1) + 0.001 * np.eye(9)
    chosen = dissimilar(texts, 3)
    assert sorted(group[chosen]) == [0, 1, 2]
    assert dissimilar(texts, 20).tolist() == list(range(9))
    many = np.full((120, 120), 0.2)
    many[:30, :30] = 0.99
    np.fill_diagonal(many, 1.0)
    chosen = dissimilar(many)
    assert len(chosen) == 100
    assert (chosen < 30).sum() == 10  # all 90 others and only then paraphrases


def test_a_subset_is_ranked_among_itself():
    found = retrieve(SIMILARITY, "nsim", subset=[0, 2])
    assert found["samples"] == 2
    assert found["text_to_motion"]["R@1"] == 100.0  # motion 1 is not there to be mistaken for motion 2
    texts = np.eye(3)
    assert retrieve(SIMILARITY, "nsim", texts)["text_to_motion"] == retrieve(SIMILARITY)["text_to_motion"]


def test_pools_of_guo():
    """With seed 0, the pools of NumPy's frozen generator, as TMR has them."""
    order = np.arange(70)
    np.random.RandomState(0).shuffle(order)
    assert np.array_equal(pools(70), order[:64].reshape(2, 32))
    similarity = np.random.default_rng(0).standard_normal((70, 70)) + 2 * np.eye(70)
    found = retrieve(similarity, "guo")
    parts = [retrieve(similarity[np.ix_(rows, rows)]) for rows in pools(70)]
    for direction in ("text_to_motion", "motion_to_text"):
        for key, value in found[direction].items():
            assert value == pytest.approx(np.mean([part[direction][key] for part in parts]))
    assert found["samples"] == 64


@settings(max_examples=25, deadline=None)
@given(arrays(np.float64, (8, 8), elements=st.integers(-3, 3).map(float)), st.permutations(range(8)))
def test_order_does_not_matter(similarity, order):
    texts = np.clip(similarity @ similarity.T / 100, -1, 1)
    for protocol in ("normal", "threshold"):
        first = retrieve(similarity, protocol, texts)
        second = retrieve(similarity[np.ix_(order, order)], protocol, texts[np.ix_(order, order)])
        for direction in ("text_to_motion", "motion_to_text"):
            assert first[direction] == pytest.approx(second[direction])
        values = [first["text_to_motion"][f"R@{top}"] for top in (1, 2, 3, 5, 10)]
        assert values == sorted(values) and values[-1] == 100.0


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (6, 6), elements=st.floats(-1, 1, width=32)))
def test_an_increasing_change_of_the_similarity_does_not_matter(similarity):
    """Only comparisons count (a power of two keeps floats exact)."""
    assert retrieve(similarity) == retrieve(4 * similarity)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SIMILARITY[:2],), "as many rows as columns"),
        ((SIMILARITY, "best"), "expected one of normal, threshold, nsim, guo"),
        ((SIMILARITY, "threshold"), "needs text_similarity"),
        ((SIMILARITY, "nsim"), "needs text_similarity"),
        ((SIMILARITY, "threshold", np.eye(4)), "4 texts for 3 motions"),
        ((SIMILARITY, "guo"), "at least 32"),
        ((np.where(np.eye(3) > 0, np.nan, SIMILARITY),), "rows 0, 1, 2 of 3"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(MateError, match=message):
        retrieve(*arguments)


def test_a_bad_subset_is_refused():
    for subset in ([], [3], [-1, 0], [0.5]):
        with pytest.raises(MateError, match="row numbers from 0 to 2"):
            retrieve(SIMILARITY, "nsim", subset=np.array(subset))

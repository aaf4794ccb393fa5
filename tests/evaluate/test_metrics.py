"""The metrics: values worked out by hand, agreement with the textbook form, and what must not change them."""

import itertools
import math
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mate.errors import MateError
from mate.evaluate import metrics
from mate.evaluate.gather import gather_rows, share
from mate.evaluate.speed import full_run, measure_metrics, plain_fid, plain_r_precision
from mate.evaluate.t2m_protocol import (
    PROTOCOLS,
    accepts,
    caption_span,
    choose_caption,
    crop,
    multimodality_figure,
    order,
    pools,
    protocol,
    repeat_figures,
    summary,
)

FIXED, RELEASED = PROTOCOLS["guo-fixed"], PROTOCOLS["guo-as-released"]


def embeddings(rows: int, width: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width))


matrices = st.integers(1, 5).flatmap(
    lambda width: st.integers(6, 14).flatmap(
        lambda rows: arrays(np.float64, (2, rows, width), elements=st.floats(-100, 100, width=32))
    )
)


# Values by hand


def test_fid_by_hand():
    """One axis: means 1 and 4, variances 2 and 8: 9 + 2 + 8 - 2 sqrt(16) = 11."""
    real, generated = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
    assert metrics.fid(real, generated) == pytest.approx(11.0)
    # Two axes that do not mix: the sum of what each gives.
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=float)
    stretched = square * [2, 3] + [1, 0]
    assert metrics.fid(square, stretched) == pytest.approx(1 + (4 / 3) * ((2 - 1) ** 2 + (3 - 1) ** 2))


@pytest.mark.parametrize("rows", [200, 9], ids=["well-posed", "fewer samples than axes"])
def test_fid_is_the_matrix_square_roots(rows):
    """The form that papers give, tr(C1 + C2 - 2 sqrtm(C1 C2)): where that is well-posed, and its limit where it is not."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    mix = rng.standard_normal((12, 12))
    real = rng.standard_normal((rows, 12)) @ mix
    generated = rng.standard_normal((rows, 12)) @ mix.T + 0.3
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    if rows < 12:
        # sqrtm of a singular product is not reliable; on C1 + e it tends to the value from above like the root of e.
        first = first + 1e-10 * np.eye(12)
        second = second + 1e-10 * np.eye(12)
    root = np.real(np.asarray(sqrtm(first @ second)))
    shift = real.mean(0) - generated.mean(0)
    expected = shift @ shift + np.trace(first + second - 2 * root)
    assert metrics.fid(real, generated) == pytest.approx(expected, rel=1e-9 if rows > 12 else 1e-4)


def test_fid_of_singular_sets_is_a_real_number():
    """Where the matrix square root of the product turns complex: sets in different planes, a constant set, two samples."""
    flat = np.zeros((30, 8))
    flat[:, :3] = embeddings(30, 3)
    other = np.zeros((30, 8))
    other[:, 3:6] = embeddings(30, 3, seed=1)
    expected = np.trace(np.cov(flat.T) + np.cov(other.T)) + ((flat.mean(0) - other.mean(0)) ** 2).sum()
    assert metrics.fid(flat, other) == pytest.approx(expected)
    assert metrics.fid(np.ones((5, 3)), np.ones((7, 3))) == 0.0
    assert metrics.fid(flat, flat) == pytest.approx(0.0, abs=1e-6)
    assert math.isfinite(metrics.fid(flat[:2], other[:2]))


def line(*places: float) -> np.ndarray:
    return np.array(places, dtype=float)[:, None]


def test_r_precision_by_hand():
    """Four texts and motions on a line; in one pool of all, the true motion comes 1st, 2nd, 2nd and 4th."""
    text, motion = line(0, 10, 20, 1), line(1, 18, 11, 40)
    assert metrics.pooled_r_precision(text, motion, np.array([[0, 1, 2, 3]])) == pytest.approx([1 / 4, 3 / 4, 3 / 4])
    assert metrics.r_precision(text, motion, pool=4) == pytest.approx([1 / 4, 3 / 4, 3 / 4])
    # In pools of two: text 0 always wins; 1 and 2 win against two of three others; 3 never wins.
    assert metrics.r_precision_by_sample(text, motion, pool=2, top=1)[:, 0] == pytest.approx([1, 2 / 3, 2 / 3, 0])
    assert metrics.pooled_r_precision(text, motion, np.array([[1, 2], [0, 3]]), top=1)[0] == pytest.approx(1 / 4)
    counted = np.array([[False, False], [True, False]])
    assert metrics.pooled_r_precision(text, motion, np.array([[1, 2], [0, 3]]), counted, top=1)[0] == 1.0


@pytest.mark.parametrize("ties", [False, True])
def test_exact_r_precision_is_the_mean_over_all_pools(ties):
    rng = np.random.default_rng(3)
    text, motion = rng.standard_normal((7, 2)), rng.standard_normal((7, 2))
    if ties:
        text, motion = text.round(), motion.round()
    exact = metrics.r_precision_by_sample(text, motion, pool=4, top=3)
    for sample in range(7):
        others = [other for other in range(7) if other != sample]
        counted = np.array([[True, False, False, False]])
        each = [
            metrics.pooled_r_precision(text, motion, np.array([[sample, *chosen]]), counted)
            for chosen in itertools.combinations(others, 3)
        ]
        assert exact[sample] == pytest.approx(np.mean(each, axis=0))


def test_answers_that_are_not_wrong_are_in_no_pool():
    """Of 7 motions, 1 shows what 0 shows: the exact value is the mean over pools without it."""
    rng = np.random.default_rng(4)
    text, motion = rng.standard_normal((7, 2)), rng.standard_normal((7, 2))
    same = np.eye(7, dtype=bool)
    same[0, 1] = same[1, 0] = True
    exact = metrics.r_precision_by_sample(text, motion, pool=4, top=3, same=same)
    for sample in range(7):
        others = [other for other in range(7) if not same[sample, other]]
        counted = np.array([[True, False, False, False]])
        each = [
            metrics.pooled_r_precision(text, motion, np.array([[sample, *chosen]]), counted)
            for chosen in itertools.combinations(others, 3)
        ]
        assert exact[sample] == pytest.approx(np.mean(each, axis=0))
    with pytest.raises(MateError, match="sample 0 has 0 wrong answers"):
        metrics.r_precision_by_sample(text, motion, pool=4, same=np.ones((7, 7), dtype=bool))


def test_r_precision_of_an_evaluator_that_sees_nothing_is_chance():
    """All embeddings equal: neither 100 % nor 0."""
    constant = np.ones((64, 5))
    assert metrics.r_precision(constant, constant) == pytest.approx([1 / 32, 2 / 32, 3 / 32])
    assert metrics.r_precision(constant, constant, seed=0) == pytest.approx([1 / 32, 2 / 32, 3 / 32])


def test_mm_dist_diversity_and_multimodality_by_hand():
    assert metrics.mm_dist(np.array([[0, 0], [1, 1]]), np.array([[3, 4], [1, 2]])) == pytest.approx(3.0)
    assert metrics.diversity(line(0, 1, 4)) == pytest.approx((1 + 3 + 4) / 3)
    assert metrics.multimodality(np.array([[[0.0], [1], [4]], [[7], [7], [7]]])) == pytest.approx((8 / 3 + 0) / 2)
    # Two sets of all samples put samples beside themselves: the released code's diversity is smaller by (N - 1) / N on average.
    rows = embeddings(40)
    drawn = [metrics.diversity(rows, 40, seed, self_pairs=True) for seed in range(200)]
    assert np.mean(drawn) == pytest.approx(metrics.diversity(rows) * 39 / 40, rel=0.01)
    drawn = [metrics.diversity(rows, 300, seed) for seed in range(50)]
    assert np.mean(drawn) == pytest.approx(metrics.diversity(rows), rel=0.01)


def test_car_by_hand():
    assert metrics.car(np.array([0.5, 0.2, 0.9]), np.array([0.4, 0.3, 0.9])) == pytest.approx(
        1 / 3
    )  # a tie is a failure
    assert metrics.car(np.array([0.5, 0.2]), np.array([[0.4, 0.6], [0.1, 0.0]])) == pytest.approx(3 / 4)


def test_precision_recall_density_coverage_by_hand():
    """Real 0, 1, 3, 10 with radii 1, 1, 2, 7 (nearest neighbour); generated 0.5, 4, 30 with radii 3.5, 3.5, 26."""
    found = metrics.precision_recall_density_coverage(line(0, 1, 3, 10), line(0.5, 4, 30), k=1)
    # 0.5 lies in the balls of 0 and 1; 4 in those of 3 and 10; 30 in none.
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["density"] == pytest.approx(4 / 3)
    assert found["coverage"] == 1.0
    # 0, 1, 3 lie within 3.5 of 0.5 or 4; 10 within 26 of 30.
    assert found["recall"] == 1.0
    far = metrics.precision_recall_density_coverage(line(0, 1, 3, 10), line(100, 101, 102), k=1)
    assert far == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}


def test_intervals():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert metrics.interval(values, biased=True) == pytest.approx((2.5, 1.96 * math.sqrt(1.25) / 2))
    assert metrics.interval(values) == pytest.approx((2.5, 3.1824 * math.sqrt(5 / 3) / 2), rel=3e-3)
    assert metrics.interval(values[:1]) == (1.0, 0.0)
    # Student's quantiles from a table.
    for count, quantile in {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262, 20: 2.093}.items():
        column = np.array([0.0, 1.0] * count)[:count]
        assert metrics.interval(column)[1] == pytest.approx(quantile * column.std(ddof=1) / math.sqrt(count), rel=3e-3)


# What must not matter


@settings(max_examples=25, deadline=None)
@given(matrices, st.randoms(use_true_random=False))
def test_order_of_the_samples_does_not_matter(both, random):
    text, motion = both
    shuffled = list(range(len(text)))
    random.shuffle(shuffled)
    a, b = text[shuffled], motion[shuffled]
    scale = float(max(np.abs(both).max(), 1.0))
    assert metrics.fid(a, motion) == pytest.approx(metrics.fid(text, b), abs=1e-6 * scale**2)
    assert metrics.mm_dist(a, b) == pytest.approx(metrics.mm_dist(text, motion), abs=1e-9 * scale)
    assert metrics.r_precision(a, b, pool=5) == pytest.approx(metrics.r_precision(text, motion, pool=5), abs=1e-9)
    assert metrics.diversity(b) == pytest.approx(metrics.diversity(motion), abs=1e-6 * scale)
    first, second = (metrics.precision_recall_density_coverage(x, y, k=2) for x, y in ((text, motion), (a, b)))
    assert first == pytest.approx(second)


@settings(max_examples=25, deadline=None)
@given(matrices)
def test_figures_stay_in_their_range(both):
    text, motion = both
    scale = float(max(np.abs(both).max(), 1.0))
    value = metrics.fid(text, motion)
    assert isinstance(value, float) and math.isfinite(value) and value >= 0
    assert metrics.fid(motion, text) == pytest.approx(value, abs=1e-5 * scale**2)
    assert metrics.fid(text, text) == pytest.approx(0, abs=1e-5 * scale**2)
    precision = metrics.r_precision(text, motion, pool=6)
    assert np.all(np.diff(precision) >= -1e-12) and precision[0] >= 0 and precision[-1] <= 1 + 1e-12
    assert metrics.r_precision(text, motion, pool=6, top=6)[-1] == pytest.approx(1.0)
    found = metrics.precision_recall_density_coverage(text, text, k=2)
    assert found["precision"] == found["recall"] == found["coverage"] == 1.0


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 6), st.integers(0, 5))
def test_moving_and_turning_everything_changes_nothing(width, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 20, width))
    turn, _ = np.linalg.qr(rng.standard_normal((width, width)))
    c, d = (x @ turn + 5 for x in (a, b))
    assert metrics.fid(c, d) == pytest.approx(metrics.fid(a, b), abs=1e-8)
    assert metrics.r_precision(c, d, pool=8) == pytest.approx(metrics.r_precision(a, b, pool=8))
    assert metrics.diversity(c) == pytest.approx(metrics.diversity(a))
    assert metrics.precision_recall_density_coverage(c, d) == pytest.approx(
        metrics.precision_recall_density_coverage(a, b)
    )


# Bad input


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_rows_are_named(bad):
    rows = embeddings(40)
    broken = rows.copy()
    broken[[3, 17], 2] = bad
    for call in (metrics.fid, metrics.r_precision, metrics.mm_dist, metrics.precision_recall_density_coverage):
        with pytest.raises(MateError, match=r"rows 3, 17 of 40"):
            call(rows, broken)
    with pytest.raises(MateError, match="rows 3, 17"):
        metrics.diversity(broken)
    broken[:] = bad
    with pytest.raises(MateError, match="and 32 more"):
        metrics.diversity(broken)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.fid(embeddings(1), embeddings(9)), "real: got 1 samples .* at least 2"),
        (lambda: metrics.fid(embeddings(9, 4), embeddings(9, 5)), "width 4, .* 5: embeddings of different evaluators"),
        (lambda: metrics.fid(1e200 * embeddings(9), embeddings(9)), "no finite variance"),
        (lambda: metrics.fid(embeddings(9)[0], embeddings(9)), r"shape \(6,\)"),
        (lambda: metrics.r_precision(embeddings(31), embeddings(31)), "got 31 pairs, expected at least 32"),
        (lambda: metrics.r_precision(embeddings(40), embeddings(39)), "expected the same"),
        (lambda: metrics.r_precision(embeddings(40), embeddings(40), pool=2), "top 3 and pools of 2"),
        (lambda: metrics.pooled_r_precision(embeddings(4), embeddings(4), np.array([[0, 1, 4]])), "rows 0 to 4"),
        (lambda: metrics.multimodality(np.zeros((4, 1, 3))), "two samples or more"),
        (lambda: metrics.diversity(embeddings(4), 5, self_pairs=True), "at least as many as pairs"),
        (lambda: metrics.precision_recall_density_coverage(embeddings(5), embeddings(9)), "at least 6"),
        (lambda: metrics.car(np.zeros(3), np.zeros(4)), r"\(3,\) and \(4,\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with np.errstate(over="ignore"), pytest.raises(MateError, match=message):
        call()


# The protocols


def test_released_crops_and_captions_follow_their_chances():
    """Two of three clips keep all their units, one loses one; the place is uniform; captions are drawn evenly."""
    found = [crop(103, RELEASED, f"{index}") for index in range(3000)]
    lengths = np.array([length for _, length in found])
    assert set(lengths) == {100, 96}
    assert (lengths == 100).mean() == pytest.approx(2 / 3, abs=0.03)
    starts = np.array([start for start, length in found if length == 100])
    assert set(starts) == {0, 1, 2, 3} and np.bincount(starts).min() > 400
    captions = np.bincount([choose_caption(3, RELEASED, f"{index}") for index in range(3000)])
    assert captions.min() > 900
    assert crop(103, RELEASED, "a", 1) in {(start, length) for length in (96, 100) for start in range(8)}


def test_the_fixed_protocol_draws_nothing():
    assert {crop(103, FIXED, f"{index}", index) for index in range(50)} == {(0, 100)}
    assert crop(199, FIXED, "a") == (0, 196)
    assert [choose_caption(3, FIXED, "a", repeat) for repeat in range(4)] == [0, 1, 2, 0]
    with pytest.raises(MateError, match="clip: got 3 frames"):
        crop(3, FIXED, "clip")


def test_captions_of_a_part():
    assert caption_span(0.0, 0.0, 100, 20.0, FIXED) == (0, 100)
    assert caption_span(2.5, 5.06, 180, 20.0, RELEASED) == (50, 101)
    # KIT-ML has 12.5 frames per second; the released code counts its seconds at 20.
    assert caption_span(2.0, 4.0, 150, 12.5, RELEASED) == (40, 80)
    assert caption_span(2.0, 4.0, 150, 12.5, FIXED) == (25, 50)
    assert caption_span(2.0, 3.0, 100, 20.0, FIXED) is None
    assert [accepts(frames, 20.0, FIXED) for frames in (39, 40, 199, 200)] == [False, True, True, False]
    assert accepts(24, 12.5, FIXED)


def test_pools_leave_nobody_out_but_as_released():
    names = [f"clip {index}" for index in range(70)]
    shuffled = order(names)
    rows, counted = pools(shuffled, RELEASED)
    assert rows.shape == (2, 32) and counted.all()
    rows, counted = pools(shuffled, FIXED)
    assert rows.shape == (3, 32) and counted.sum() == 70
    assert sorted(rows[counted]) == list(range(70))
    assert all(len(set(row)) == 32 for row in rows)
    assert not np.array_equal(shuffled, order(names, repeat=1))
    with pytest.raises(MateError, match="'a' twice"):
        order(["a", "b", "a"])
    with pytest.raises(MateError, match="got 31 samples"):
        pools(np.arange(31), FIXED)
    with pytest.raises(MateError, match="expected one of guo-as-released, guo-fixed"):
        protocol("guo")


@pytest.mark.parametrize("which", [FIXED, RELEASED], ids=lambda which: which.name)
def test_figures_depend_on_names_and_not_on_order(which):
    rng = np.random.default_rng(0)
    text = rng.standard_normal((100, 8))
    motion, real = text + rng.standard_normal(text.shape), text + 0.5 * rng.standard_normal(text.shape)
    names = [f"{index:03d}" for index in range(100)]
    shuffled = rng.permutation(100)
    first = repeat_figures(real, text, motion, which, names, repeat=2)
    second = repeat_figures(
        metrics.gaussian(real[shuffled]),
        text[shuffled],
        motion[shuffled],
        which,
        [names[i] for i in shuffled],
        repeat=2,
    )
    assert first == pytest.approx(second, abs=1e-9)
    assert list(first) == ["R@1", "R@2", "R@3", "FID", "MM-Dist", "Diversity"]
    assert first != repeat_figures(real, text, motion, which, names, repeat=3)


def test_the_fixed_protocol_agrees_with_the_exact_means():
    rng = np.random.default_rng(1)
    text = rng.standard_normal((500, 8))
    motion = text + rng.standard_normal(text.shape)
    names = [str(index) for index in range(500)]
    repeats = [repeat_figures(text, text, motion, FIXED, names, repeat) for repeat in range(20)]
    for top, exact in enumerate(metrics.r_precision(text, motion), start=1):
        mean, half = summary([figures[f"R@{top}"] for figures in repeats], FIXED)
        assert abs(mean - exact) < 2 * half
    mean, half = summary([figures["Diversity"] for figures in repeats], FIXED)
    assert abs(mean - metrics.diversity(motion)) < 2 * half
    many = rng.standard_normal((5, 30, 4))
    assert multimodality_figure(many, FIXED) == metrics.multimodality(many)
    assert multimodality_figure(many, RELEASED) == multimodality_figure(many, RELEASED)


def test_the_benchmark_measures_a_small_run():
    found = full_run(samples=64, width=8)
    assert found["repeats"] == 20 and found["cpu_seconds"] > 0 and 0 < found["seconds"] < 30


def test_the_plain_forms_give_the_same_figures():
    rng = np.random.default_rng(3)
    text = rng.standard_normal((200, 6))
    motion = text + rng.standard_normal((200, 6))
    assert plain_fid(text, motion) == pytest.approx(metrics.fid(text, motion), abs=1e-8)
    assert plain_r_precision(text, motion) == pytest.approx(metrics.r_precision(text, motion, pool=200), abs=1e-12)
    rows, notes = measure_metrics(1, samples=64, width=8)
    assert [row["seconds"] > 0 for row in rows] == [True] * len(rows) and "64 x 8" in notes[-1]


@pytest.mark.slow
def test_a_full_run_takes_less_than_five_seconds_of_two_cores():
    """4,384 samples of width 512, 20 repeats. Processor time of all threads, so that what else runs here does not count."""
    assert full_run("guo-fixed")["cpu_seconds"] < 10
    assert full_run("guo-as-released")["cpu_seconds"] < 10


# Several processes

SCRIPT = """
import os, sys
import numpy as np
from accelerate import PartialState
from mate.evaluate.gather import gather_rows, share
from mate.evaluate.metrics import fid, r_precision

state = PartialState(cpu=True)
assert state.num_processes == 2 and state.backend == "gloo", state
rng = np.random.default_rng(0)
text = rng.standard_normal((75, 6)).astype(np.float32)
motion = text + rng.standard_normal(text.shape).astype(np.float32)
mine = share(75)
a, b = gather_rows(text[mine], 75), gather_rows(motion[mine], 75)
assert a.dtype == np.float32 and np.array_equal(a, text) and np.array_equal(b, motion)
assert np.array_equal(gather_rows(np.arange(75.0)[mine], 75), np.arange(75.0))
one = gather_rows(text[:1] if state.process_index == 0 else np.zeros((0, 0), dtype=np.float32), 1)
assert np.array_equal(one, text[:1])
print("figures", fid(a, b), *r_precision(a, b))
state.destroy_process_group()
"""


def test_two_processes_give_the_figures_of_one(tmp_path):
    """accelerate's gloo processes on this machine: every one gets all rows in order, so the figures are the same to the last digit."""
    script = tmp_path / "gather.py"
    script.write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    base = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    running = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**base, "RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [process.communicate(timeout=400) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], printed
    rng = np.random.default_rng(0)
    text = rng.standard_normal((75, 6)).astype(np.float32)
    motion = text + rng.standard_normal(text.shape).astype(np.float32)
    expected = [metrics.fid(text, motion), *metrics.r_precision(text, motion)]
    for out, _ in printed:
        figures = next(row for row in out.splitlines() if row.startswith("figures")).split()[1:]
        assert [float(value) for value in figures] == pytest.approx(expected, abs=1e-12)


def test_shares_divide_the_samples():
    parts = [share(11, rank, 4) for rank in range(4)]
    assert sorted(np.concatenate(parts)) == list(range(11))
    assert np.array_equal(share(5), np.arange(5))
    rows = embeddings(5)
    assert gather_rows(rows, 5) is rows
    with pytest.raises(MateError, match="got 4 rows, expected 5"):
        gather_rows(rows[:4], 5)

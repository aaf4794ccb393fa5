"""How long the metrics of a full evaluation take, beside the plain forms of the field's scripts: `mate bench metrics`.

Embeddings are random and fresh in every repeat; making them is not counted. The plain forms are this package's own, of the same
operations as the scripts: FID by SciPy's matrix square root, R-precision by the whole matrix of distances, sorted.
"""

import time
from typing import Any

import numpy as np

from mate.evaluate.metrics import gaussian, r_precision
from mate.evaluate.t2m_protocol import PROTOCOLS, multimodality_figure, protocol, repeat_figures

SAMPLES, WIDTH = 4384, 512  # HumanML3D's test set under the released evaluator


def full_run(name: str = "guo-fixed", samples: int = SAMPLES, width: int = WIDTH) -> dict[str, float]:
    """All metrics of a protocol, all its repeats.

    Returns:
        {"seconds", "cpu_seconds", "samples", "width", "repeats"}; `seconds` on the clock, `cpu_seconds` of all threads.
    """
    chosen, rng = protocol(name), np.random.default_rng(0)
    names = [f"{index:06d}" for index in range(samples)]
    real, text = rng.standard_normal((samples, width)), rng.standard_normal((samples, width))
    many = rng.standard_normal((chosen.multimodality_prompts, chosen.multimodality_samples, width))
    seconds, cpu, reference = 0.0, 0.0, None
    for repeat in range(chosen.repeats):
        motion = text + rng.standard_normal((samples, width))
        start, busy = time.perf_counter(), time.process_time()
        if reference is None or chosen.chance:  # by chance the real clips are cropped anew in every repeat
            reference = gaussian(real)
        repeat_figures(reference, text, motion, chosen, names, repeat)
        multimodality_figure(many, chosen, repeat)
        seconds, cpu = seconds + time.perf_counter() - start, cpu + time.process_time() - busy
    return {"seconds": seconds, "cpu_seconds": cpu, "samples": samples, "width": width, "repeats": chosen.repeats}


def plain_fid(real: np.ndarray, generated: np.ndarray) -> float:
    """FID in its textbook form, with SciPy's matrix square root: (N, E), (M, E) -> one number."""
    from scipy.linalg import sqrtm

    means = real.mean(0), generated.mean(0)
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    root: np.ndarray = np.real(np.array(sqrtm(first @ second)))
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(first + second - 2 * root))


def plain_r_precision(text: np.ndarray, motion: np.ndarray, top: int = 3) -> np.ndarray:
    """R@1 ... R@top over the whole set from the sorted matrix of distances: (N, E), (N, E) -> (top,)."""
    squares = (text**2).sum(1)[:, None] + (motion**2).sum(1) - 2 * text @ motion.T
    nearest = np.argsort(np.sqrt(np.maximum(squares, 0.0)), axis=1)
    hits = nearest == np.arange(len(text))[:, None]
    return np.array([hits[:, : k + 1].any(axis=1).mean() for k in range(top)])


def measure_metrics(rounds: int, samples: int = SAMPLES, width: int = WIDTH) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the table, and what they mean. Whole runs and plain forms take turns, `rounds` times; figures are medians."""
    rng = np.random.default_rng(1)
    text = rng.standard_normal((samples, width))
    motion = text + rng.standard_normal((samples, width))
    ways = {"one FID, by the matrix square root": lambda: plain_fid(text, motion)}
    ways |= {"one whole-set R@1-3, by sorting": lambda: plain_r_precision(text, motion)}
    ways |= {"one whole-set R@1-3, as here (`own`)": lambda: r_precision(text, motion, pool=samples)}
    runs = {f"all metrics of {name}, {protocol(name).repeats} repeats": name for name in PROTOCOLS}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in (*ways, *runs)}
    notes = []
    try:
        import scipy  # noqa: F401
    except ImportError:
        del ways["one FID, by the matrix square root"], taken["one FID, by the matrix square root"]
        notes.append("SciPy is not installed: no FID by the matrix square root.")
    for _ in range(rounds):
        for name, way in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            way()
            taken[name].append((time.perf_counter() - start, time.process_time() - busy))
        for label, name in runs.items():
            found = full_run(name, samples, width)
            taken[label].append((found["seconds"], found["cpu_seconds"]))
    repeated = sum(
        float(np.median([clock for clock, _ in taken[name]]))
        for name in ways
        if name.startswith("one ") and "here" not in name
    )
    rows = []
    for name, times in taken.items():
        clock, cpu = (float(np.median(column)) for column in zip(*times, strict=True))
        share = 20 * repeated / clock if name in runs else None
        rows.append(
            {
                "what": name,
                "seconds": clock,
                "CPU seconds": cpu,
                "20 x the plain forms, as a multiple": "" if share is None else f"{share:.1f}",
            }
        )
    notes.append(
        f"{samples} x {width} embeddings, fresh in each repeat; medians of {rounds} rounds in turn, on the clock."
    )
    return rows, notes

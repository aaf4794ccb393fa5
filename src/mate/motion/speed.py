"""How fast `process_motion` is, against the published procedure (`mate.motion.procedure`): `mate bench features`.

On one thread, unless more are asked for. Inside one process the ways take turns, a short stretch each, so that whatever else the
machine does meets all of them alike; a figure is the median over the rounds of clips per second of processor time (with several
threads: of time on the clock). Whole processes are timed from outside, start-up and imports included, on the same number of clips.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mate.motion.skeleton import HUMANML3D

_STRETCH = 0.4  # seconds of processor time a way and round
_BATCH = 8
WAYS = ("procedure", "precise", "numpy", "torch", "compiled")
_MEANING = {
    "procedure": "the published procedure, joint by joint (NumPy)",
    "precise": "process_motion(precise=True), float64 (NumPy)",
    "numpy": "process_motion (NumPy)",
    "torch": f"process_motion, {_BATCH} clips at a time (torch)",
    "compiled": f"compiled_process_motion, {_BATCH} clips at a time (torch)",
}


def swaying_bodies(clips: int, frames: int, seed: int = 0) -> np.ndarray:
    """Made-up motions with bones of their own lengths: (clips, T, 22, 3) float32, metres."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(frames) / 20
    waves = np.sin(
        seconds[None, :, None, None] * rng.uniform(1, 5, (clips, 1, 22, 3)) + rng.uniform(0, 6, (clips, 1, 22, 3))
    )
    directions = np.array(HUMANML3D.rest_directions) + 0.25 * waves
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    bones = directions * (np.array(HUMANML3D.bone_lengths) * rng.uniform(0.9, 1.1, (clips, 1, 22)))[..., None]
    turn = rng.uniform(-0.2, 0.2, (clips, 1)) * seconds  # the published procedure errs where somebody faces -Z
    joints = np.zeros(bones.shape)
    joints[..., 0, :] = np.stack([np.sin(turn) * seconds, 0.9 + 0 * turn, np.cos(turn) * seconds], -1)
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        joints[..., joint, :] = joints[..., parent, :] + bones[..., joint, :]
    return joints.astype(np.float32)


def way(name: str, motions: np.ndarray, threads: int = 1) -> Callable[[], list[Any]]:
    """A function that processes all of (N, T, 22, 3) in one of the WAYS, to batches of (…, T - 1, 263)."""
    from mate.motion.features import compiled_process_motion, process_motion

    if name == "procedure":
        from mate.motion.procedure import published_process

        return lambda: [published_process(clip)[None] for clip in motions]
    if name in ("precise", "numpy"):
        return lambda: [process_motion(motions, precise=name == "precise")]
    import torch

    torch.set_num_threads(threads)
    batches = torch.from_numpy(motions).split(_BATCH * threads)
    process = compiled_process_motion() if name == "compiled" else process_motion

    def run() -> list[Any]:
        with torch.no_grad():
            return [process(batch) for batch in batches]

    return run


def measure_features(
    frames: int, rounds: int, compile: bool, processes: int, threads: int = 1
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the table, and what they mean. `processes`: clips for whole processes, 0 for none; `threads`: torch's."""
    motions = swaying_bodies(_BATCH * 4 * threads, frames)
    clock = time.process_time if threads == 1 else time.perf_counter
    names = [name for name in WAYS if compile or name != "compiled"]
    runs = {name: way(name, motions, threads) for name in names}
    results = {
        name: np.concatenate([np.asarray(part) for part in run()]) for name, run in runs.items()
    }  # warms up, compiles
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, run in runs.items():
            count, start = 0, clock()
            while (spent := clock() - start) < _STRETCH:
                run()
                count += len(motions)
            speeds[name].append(count / spent)
    rows = []
    for name in names:
        paired = [own / reference for own, reference in zip(speeds[name], speeds["procedure"], strict=True)]
        rows.append(
            {
                "what": _MEANING[name],
                "clips a second": statistics.median(speeds[name]),
                "times the procedure": statistics.median(paired),
                "greatest difference": float(np.abs(results[name] - results["procedure"]).max()),
            }
        )
    per = "processor time, one thread" if threads == 1 else f"time on the clock, {threads} threads for torch"
    notes = [
        f"One process, T = {frames}: clips per second of {per}, medians of {rounds} rounds in turn. "
        "The procedure is this package's own plain version (loops over joints, all frames at once), not the published code."
    ]
    if processes:
        ours, reference = (_whole_process(name, processes, frames) for name in ("numpy", "procedure"))
        notes.append(
            f"Process for process, start-up included, {processes} clips: process_motion (NumPy) {ours:.2f} s, the procedure "
            f"{reference:.2f} s of processor time: {reference / ours:.1f} times."
        )
    return rows, notes


def _whole_process(name: str, clips: int, frames: int) -> float:
    """Seconds of processor time of a process of its own that does `clips` clips."""
    code = (
        "import sys; from mate.motion.speed import swaying_bodies, way\n"
        "name, clips, frames = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])\n"
        "run = way(name, swaying_bodies(50, frames))\n"
        "for _ in range(clips // 50): run()\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = os.times()
    subprocess.run([sys.executable, "-c", code, name, str(clips), str(frames)], check=True, env=environment)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system

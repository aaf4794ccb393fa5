"""How far motions are from each other: diversity over seeds, and the distance to the nearest training clip."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mate.evaluate.metrics import evenly
from mate.motion.kinematics import body_frame
from mate.motion.retarget import face_forward, heading, resample, start_at_origin

WINDOW_SECONDS, WINDOW_FPS = 2.0, 10.0
WINDOW = round(WINDOW_SECONDS * WINDOW_FPS)  # frames
# A difference in speed counts as the distance it makes in this time, a difference in turning as that at half a metre's reach.
SPEED_SECONDS, TURN_REACH = 0.2, 0.5
WIDTH = WINDOW * (22 * 3 + 3)


def joint_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of corresponding joints, metres, after both motions (T, 22, 3) start at the origin and face +Z.

    Frames are compared one by one from the start, as many as the shorter motion has.
    """
    frames = min(len(a), len(b))
    first, second = (start_at_origin(face_forward(motion[:frames])) for motion in (a, b))
    return float(np.linalg.norm(first - second, axis=-1).mean())


def diversity(motions: Sequence[np.ndarray], most: int = 16) -> float | None:
    """Mean `joint_distance` over all pairs of motions, metres; None for fewer than two.

    Of more than `most` motions, that many are taken at even steps.
    """
    if len(motions) < 2:
        return None
    aligned = [start_at_origin(face_forward(motions[number])) for number in evenly(len(motions), most)]
    distances = []
    for i, a in enumerate(aligned):
        for b in aligned[i + 1 :]:
            frames = min(len(a), len(b))
            distances.append(np.linalg.norm(a[:frames] - b[:frames], axis=-1).mean())
    return float(np.mean(distances))


def windows(joints: np.ndarray, fps: float, hop: float) -> np.ndarray:
    """Two-second windows of a motion as vectors whose Euclidean distance is in metres.

    A window is 20 frames at 10 frames per second of joints as the body sees them (pelvis over the origin, facing +Z), the pelvis'
    velocity forward and to the left, and the speed of turning. The squared distance of two windows is the mean over frames of:
    the mean squared joint distance, the squared difference of velocities times (0.2 s)^2, and the squared difference of turning
    speeds times (0.1 m s)^2. A motion shorter than a window holds its last pose.

    Args:
        joints: (T, 22, 3) metres.
        hop: seconds from the start of one window to that of the next. A last window ends with the motion.

    Returns:
        (N, 1380) float32.
    """
    sampled = resample(joints, fps, WINDOW_FPS)
    if len(sampled) < WINDOW:
        sampled = np.concatenate([sampled, np.repeat(sampled[-1:], WINDOW - len(sampled), axis=0)])
    angle = heading(sampled).astype(np.float64)
    x, z = (np.gradient(sampled[:, 0, axis].astype(np.float64)) * WINDOW_FPS for axis in (0, 2))
    forward, left = x * np.sin(angle) + z * np.cos(angle), x * np.cos(angle) - z * np.sin(angle)
    turning = np.gradient(angle) * WINDOW_FPS
    frames = np.concatenate(
        [
            body_frame(sampled).reshape(len(sampled), -1) / np.sqrt(22),
            SPEED_SECONDS * np.stack([forward, left, TURN_REACH * turning], axis=-1),
        ],
        axis=1,
    )
    last = len(sampled) - WINDOW
    starts = np.unique(np.append(np.arange(0, last + 1, max(1, round(hop * WINDOW_FPS))), last))
    return (frames[starts[:, None] + np.arange(WINDOW)] / np.sqrt(WINDOW)).reshape(len(starts), -1).astype(np.float32)


@dataclass(frozen=True)
class TrainingDistance:
    """Attributes: metres: (N,) for each motion, the mean over its windows of the distance to the nearest training window; windows: how
    many training windows there were."""

    metres: np.ndarray
    windows: int


def nearest_training(
    motions: Sequence[np.ndarray], training: Iterable[np.ndarray], fps: float, hop: float = 0.4, chunk: int = 4096
) -> TrainingDistance:
    """How far each motion is from the nearest training clip, by two-second windows (`windows`).

    Windows of the motions follow each other end to end; those of the training clips overlap (one every `hop` seconds), so a copy at
    any time offset is found to within half a hop. Brute force over all of them in chunks: memory does not grow with the training set.

    Args:
        motions, training: (T, 22, 3) each, metres, all at `fps`.
        chunk: training windows a matrix product.
    """
    parts = [windows(joints, fps, WINDOW_SECONDS) for joints in motions]
    queries = np.concatenate(parts) if parts else np.zeros((0, WIDTH), dtype=np.float32)
    # Distances do not change when all windows are moved; centred, they lose less to rounding.
    centre = queries.mean(axis=0) if len(queries) else np.zeros(WIDTH, dtype=np.float32)
    queries -= centre
    lengths = (queries**2).sum(axis=1)
    nearest = np.full(len(queries), np.inf, dtype=np.float32)
    count, waiting, rows = 0, [], 0

    def compare() -> None:
        known = np.concatenate(waiting) - centre
        squares = (known**2).sum(axis=1)
        for start in range(0, len(queries), chunk):
            part = slice(start, start + chunk)
            distances = squares[None] - 2.0 * (queries[part] @ known.T)
            np.minimum(nearest[part], distances.min(axis=1), out=nearest[part])

    for joints in training:
        waiting.append(windows(joints, fps, hop))
        rows += len(waiting[-1])
        count += len(waiting[-1])
        if rows >= chunk:
            compare()
            waiting, rows = [], 0
    if waiting:
        compare()
    distances = np.sqrt(np.maximum(nearest + lengths, 0.0))
    edges = np.cumsum([0, *(len(part) for part in parts)])
    metres = [distances[start:end].mean() for start, end in pairwise(edges)]
    return TrainingDistance(np.array(metres, dtype=np.float64), count)

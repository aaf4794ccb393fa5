"""Joining motions end to end, and making a short one longer by going round inside it.

All functions take canonical joints (T, 22, 3) and give new arrays; every result keeps the bone lengths of what went in.
"""

import numpy as np

from mate.errors import MateError
from mate.motion.retarget import heading, rotate_about_y
from mate.motion.skeleton import HUMANML3D

OVERLAP = 8  # frames of the crossfade: 0.4 s at 20 fps


def body_poses(joints: np.ndarray) -> np.ndarray:
    """Poses seen from the body: root over the origin, facing +Z, and their velocities. (T, 22, 3) -> (T, 132) float32.

    Velocities (metres a frame, root travel included) are scaled by 5, so that a step forward and a step back at the same pose differ.
    """
    centred = joints - joints[:, :1] * np.array([1.0, 0.0, 1.0], dtype=np.float32)
    angle = -heading(joints)
    poses = rotate_about_y(centred, angle)
    velocities = rotate_about_y(np.gradient(joints, axis=0) if len(joints) > 1 else np.zeros_like(joints), angle)
    return np.concatenate([poses.reshape(len(joints), -1), 5.0 * velocities.reshape(len(joints), -1)], axis=1).astype(
        np.float32
    )


def pose_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root-mean-square distance between all rows of two `body_poses` arrays, (A, D) x (B, D) -> (A, B), metres a joint."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
    return np.sqrt(np.maximum(squares, 0.0) / (a.shape[1] / 6))


def join(first: np.ndarray, second: np.ndarray, overlap: int = OVERLAP) -> np.ndarray:
    """`second` after `first`: turned and moved so that it starts where `first` ends, crossfaded over `overlap` frames.

    Returns:
        (T1 + T2 - overlap, 22, 3) float32; the seam's centre is at frame T1 - overlap / 2.

    Raises:
        MateError: a part is not longer than the overlap.
    """
    if min(len(first), len(second)) <= overlap:
        raise MateError(
            f"got parts of {len(first)} and {len(second)} frames, expected more than the overlap of {overlap}"
        )
    middle = overlap // 2
    anchor = first[len(first) - overlap + middle]
    turn = heading(anchor[None])[0] - heading(second[middle][None])[0]
    moved = rotate_about_y(second, np.full(len(second), turn, dtype=np.float32))
    ground = np.array([1.0, 0.0, 1.0], dtype=np.float32)
    moved = moved + (anchor[0] - moved[middle, 0]) * ground
    t = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap
    weight = (t * t * (3.0 - 2.0 * t))[:, None, None]
    seam = (1.0 - weight) * first[-overlap:] + weight * moved[:overlap]
    # Blended positions shorten bones a little; directions are kept and lengths restored.
    seam = restore_lengths(seam, first)
    return np.concatenate([first[:-overlap], seam, moved[overlap:]]).astype(np.float32)


def restore_lengths(joints: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The same bone directions with the bone lengths of the reference's first frame; the root stays."""
    result = joints.copy()
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            bone = joints[:, joint] - joints[:, parent]
            length = np.linalg.norm(reference[0, joint] - reference[0, parent])
            result[:, joint] = result[:, parent] + bone * (
                length / np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-8)
            )
    return result


def best_entry(first: np.ndarray, second: np.ndarray, latest: int, overlap: int = OVERLAP) -> int:
    """The frame of `second`, at most `latest`, at which it continues the end of `first` best."""
    ending = body_poses(first)[len(first) - overlap : len(first)]
    poses = body_poses(second)
    latest = max(0, min(latest, len(second) - overlap - 1))
    distances = pose_distances(ending, poses)
    costs = [np.mean([distances[k, start + k] for k in range(overlap)]) for start in range(latest + 1)]
    return int(np.argmin(costs))


def loops(
    joints: np.ndarray,
    rng: np.random.Generator,
    shortest: int = 12,
    window: tuple[int, int] | None = None,
    overlap: int = OVERLAP,
) -> tuple[int, int]:
    """A pair of frames (start, end) between which a motion can go round: the pose at `end` is like the one at `start`.

    Drawn from the best few pairs, so that repeated calls vary.

    Args:
        shortest: fewest frames of a round.
        window: only frames inside (first, last) are considered.

    Raises:
        MateError: the window is too short for a round.
    """
    low, high = window or (0, len(joints))
    high = min(high, len(joints)) - overlap
    if high - low <= shortest:
        raise MateError(f"got a window of {high - low} frames, expected more than {shortest} for a loop")
    poses = body_poses(joints)
    distances = pose_distances(poses[low : high + overlap], poses[low : high + overlap])
    count = high - low
    costs = np.mean([distances[k : k + count, k : k + count] for k in range(overlap)], axis=0)
    starts, ends = np.nonzero(np.triu(np.ones((count, count), dtype=bool), shortest))
    order = np.argsort(costs[starts, ends])[: max(3, len(starts) // 100)]
    pick = order[int(rng.integers(min(len(order), 3)))]
    return int(low + starts[pick]), int(low + ends[pick])


def extend(
    joints: np.ndarray,
    frames: int,
    rng: np.random.Generator,
    window: tuple[int, int] | None = None,
    overlap: int = OVERLAP,
) -> np.ndarray:
    """Makes a motion at least `frames` long by going round inside `window`; what comes before and after stays as it is."""
    missing = frames - len(joints)
    if missing <= 0:
        return joints
    start, end = loops(joints, rng, window=window, overlap=overlap)
    result, body = joints[: end + overlap], joints[start : end + overlap]
    for _ in range(int(np.ceil(missing / (end - start))) - 1):
        result = join(result, body, overlap)
    return join(result, joints[start:], overlap)

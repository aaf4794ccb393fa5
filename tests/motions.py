"""Analytic motions of the canonical body: what they do is known exactly. Not a test file.

All are (T, 22, 3) float32 at 20 frames per second, metres, on the floor, starting at the origin and facing +Z.
"""

import numpy as np

from mate.motion.retarget import retarget_to_canonical, rotate_about_y
from mate.motion.skeleton import HUMANML3D

FPS = 20.0
ANKLES, TOES = (7, 8), (10, 11)
SIDES = (1.0, -1.0)  # left is at +x


def stand(seconds: float) -> np.ndarray:
    """Arms hanging, standing still."""
    joints = np.zeros((22, 3))
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            joints[joint] = joints[parent] + HUMANML3D.rest_offsets[joint]
    joints[:, 1] -= joints[:, 1].min()
    return np.repeat(joints[None], round(seconds * FPS), axis=0).astype(np.float32)


def arm(joints: np.ndarray, side: int, elevation: np.ndarray, aside: np.ndarray | float = 0.0) -> np.ndarray:
    """A straight arm with the hand `elevation` arm lengths over its hanging place, at most 2, and swung `aside` (metres) in x."""
    joints = joints.copy()
    shoulder, elbow, hand = (16, 18, 20) if side == 0 else (17, 19, 21)
    length = 0.52
    up = np.clip(np.asarray(elevation) - 1.0, -1.0, 1.0)
    direction = np.stack([np.zeros(len(joints)), up, np.sqrt(1.0 - up**2)], axis=-1)
    joints[:, elbow] = joints[:, shoulder] + 0.5 * length * direction
    joints[:, hand] = joints[:, shoulder] + length * direction
    joints[:, hand, 0] += aside
    return joints.astype(np.float32)


def raised(
    side: int | None, seconds: float = 3.0, top: float = 1.8, swing: float = 0.0, hertz: float = 1.5
) -> np.ndarray:
    """One hand (both for None) goes up within half a second, stays, swings by +-`swing` metres, and goes down again."""
    joints = stand(seconds)
    time = np.arange(len(joints)) / FPS
    lift = np.clip(np.minimum(time, time[-1] - time) / 0.5, 0.0, 1.0)
    lift = top * lift * lift * (3 - 2 * lift)
    for which in (0, 1) if side is None else (side,):
        joints = arm(joints, which, lift, swing * np.sin(2 * np.pi * hertz * time) * (lift > 0.9 * top))
    return joints


def gait(
    seconds: float, speed: float, turn: float = 0.0, duty: float = 0.62, cycle: float = 1.0, slide: float = 0.0
) -> np.ndarray:
    """Walks or runs along an arc: `speed` metres per second (negative backwards), `turn` radians in all, positive to the left.

    Each foot stands on its footprint for the share `duty` of a cycle (`slide` metres per second too fast), then swings to the next one.
    """
    joints = stand(seconds).astype(np.float64)
    time = np.arange(len(joints)) / FPS
    end = max(time[-1], 1e-9)

    def place(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        heading = turn * t / end
        rate = turn / end
        if abs(rate) < 1e-9:
            return np.stack([np.zeros_like(t), speed * t], axis=-1), heading
        return speed / rate * np.stack([1 - np.cos(heading), np.sin(heading)], axis=-1), heading

    ground, heading = place(time)
    sin, cos = np.sin(heading)[:, None], np.cos(heading)[:, None]
    x, z = joints[..., 0].copy(), joints[..., 2].copy()
    joints[..., 0] = x * cos + z * sin + ground[:, :1]
    joints[..., 2] = z * cos - x * sin + ground[:, 1:]
    for side, (knee, ankle, toe) in enumerate(((4, 7, 10), (5, 8, 11))):
        phase = time / cycle + 0.5 * side
        number, within = np.floor(phase), phase % 1.0

        def footprint(step: np.ndarray, side: int = side) -> tuple[np.ndarray, np.ndarray]:
            where, angle = place((step - 0.5 * side + duty / 2) * cycle)
            return where + 0.1 * SIDES[side] * np.stack([np.cos(angle), -np.sin(angle)], axis=-1), angle

        here, angle = footprint(number)
        there, next_angle = footprint(number + 1)
        swing = np.clip((within - duty) / (1 - duty), 0.0, 1.0)
        smooth = swing * swing * (3 - 2 * swing)
        spot = here + (there - here) * smooth[:, None]
        angle = angle + (next_angle - angle) * smooth
        forward = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        spot += (within < duty)[:, None] * slide * within[:, None] * cycle * forward
        lift = 0.15 * np.sin(np.pi * swing)
        joints[:, ankle] = np.stack([spot[:, 0], 0.07 + lift, spot[:, 1]], axis=-1)
        joints[:, toe] = joints[:, ankle] + np.stack(
            [0.13 * forward[:, 0], np.full(len(time), -0.07), 0.13 * forward[:, 1]], axis=-1
        )
        joints[:, knee] = 0.5 * (joints[:, ankle] + joints[:, knee - 3])
    return joints.astype(np.float32)


def jumps(count: int, height: float = 0.3) -> np.ndarray:
    """Jumps off both feet, one a second, ballistic."""
    joints = stand(count + 1.0)
    time = np.arange(len(joints)) / FPS % 1.0
    flight = 2 * np.sqrt(2 * height / 9.81)
    air = np.where(np.arange(len(joints)) < count * FPS, time - 0.3, -1.0)
    rise = np.where((air > 0) & (air < flight), 0.5 * 9.81 * air * (flight - air), 0.0)
    joints[..., 1] += rise[:, None]
    return joints


def gliding(frames: int, speed: float = 0.05, turn: float = 0.0, lift: float = 0.0, side: str = "left") -> np.ndarray:
    """A body gliding forward with swinging legs; turning `turn` radians, lifting a hand by `lift` in the middle. (T, 22, 3)."""
    time = np.arange(frames) / 20.0
    directions = np.repeat(np.array(HUMANML3D.rest_directions, dtype=np.float64)[None], frames, axis=0)
    for joint, sign in ((4, 1), (7, 1), (5, -1), (8, -1)):
        angle = 0.4 * sign * np.sin(2 * np.pi * time)
        directions[:, joint] = np.stack([0 * time, -np.cos(angle), np.sin(angle)], axis=1)
    up = np.sin(np.pi * np.clip(np.arange(frames) / frames, 0, 1)) * lift * np.pi
    for joint in {"left": (18, 20), "right": (19, 21)}[side]:
        directions[:, joint] = np.stack([0 * up, -np.cos(up), np.sin(up)], axis=1)
    joints = np.zeros((frames, 22, 3))
    joints[:, 0, 1] = 0.95
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            joints[:, joint] = joints[:, parent] + directions[:, joint] * HUMANML3D.bone_lengths[joint]
    angles = np.linspace(0, turn, frames)
    joints = rotate_about_y(joints, angles)
    steps = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1) * speed
    return retarget_to_canonical((joints + np.cumsum(steps, axis=0)[:, None]).astype(np.float32))

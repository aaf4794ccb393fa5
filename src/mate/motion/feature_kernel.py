"""HumanML3D's processing arranged for speed: the same numbers as `mate.motion.features`, in single precision.

Time is the last axis and a number of a joint is one row of it, so that every operation runs over contiguous memory, in NumPy
as in a compiled torch graph; the frames come first again only in the result. Three things save work: bones keep their direction
when they get their length, so joints come from directions by one matrix product; swings are not normalised, their length is
divided out once in the rotation's numbers; and the smoothing of the facing is a product with a (T, T) matrix.

Clips in which something has no direction (a bone without length or opposite to its rest direction, no heading at the start) are
reported, not computed; `mate.motion.features` does those its own way.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from mate.motion.layout import FeatureSpec
from mate.motion.retarget import Array, array_namespace, like
from mate.motion.skeleton import Skeleton

SMOOTHING_SIGMA, SMOOTHING_RADIUS = 20, 80  # frames
_NEARLY_OPPOSITE = {4: 1e-5, 8: 1e-12}  # bytes of a number -> 1 + the cosine to the rest direction
_NO_LENGTH = 1e-6  # of the length of the leg
_TINY = 1e-30  # keeps divisions finite


@lru_cache(maxsize=32)
def smoothing_matrix(frames: int) -> np.ndarray:
    """(T, T) float64, read-only: row vectors of T values times it are smoothed over time (Gaussian, ends held)."""
    offsets = np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / SMOOTHING_SIGMA) ** 2)
    window = np.clip(np.arange(frames)[:, None] + offsets, 0, frames - 1)
    matrix = np.zeros((frames, frames))
    np.add.at(matrix, (window, np.arange(frames)[:, None]), kernel / kernel.sum())
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=8)
def _from_directions(skeleton: Skeleton) -> np.ndarray:
    """(J, J - 1): times the unit directions of the bones it gives the joints relative to the root."""
    matrix = np.zeros((skeleton.joints, skeleton.joints))
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        matrix[joint] = matrix[parent]
        matrix[joint, joint] = skeleton.bone_lengths[joint]
    return matrix[:, 1:]


def constants(joints: Any, spec: FeatureSpec) -> tuple[Any, Any, Any]:
    """Rest directions (J, 3), joints from unit directions (J, J - 1), the smoothing (T, T): of the kind of `joints` (…, T, J, 3)."""
    skeleton = spec.skeleton
    arrays = np.array(skeleton.rest_directions), _from_directions(skeleton), smoothing_matrix(joints.shape[-3])
    return tuple(like(np.array(values), joints) for values in arrays)  # pyright: ignore[reportReturnType]


def _median(values: Any) -> Any:
    """Over the last axis."""
    # Sorted, as numpy.median alone takes as long as a tenth of all this.
    ordered = np.sort(values) if isinstance(values, np.ndarray) else values.sort(-1).values
    last = values.shape[-1] - 1
    return (ordered[..., last // 2] + ordered[..., (last + 1) // 2]) / 2


def _rows(values: Any, rows: list[int]) -> Any:
    """Rows of (…, J, T)."""
    return values.take(rows, -2) if isinstance(values, np.ndarray) else values[..., rows, :]


def _smallest(values: Any) -> Any:
    """Over the last two axes."""
    return values.min((-2, -1)) if isinstance(values, np.ndarray) else values.amin((-2, -1))


def _turned(x: Any, z: Any, cos: Any, sin: Any) -> tuple[Any, Any]:
    return x * cos + z * sin, z * cos - x * sin


def _steps(values: Any) -> Any:
    return values[..., 1:] - values[..., :-1]


def process(joints: Array, given: tuple[Any, Any, Any], spec: FeatureSpec, retarget: bool) -> tuple[Array, Any]:
    """Bone lengths, floor, origin, facing and features of clips of one length.

    Args:
        joints: (…, T, J, 3), float32 or float64, T >= 2.
        given: `constants(joints, spec)`.
        retarget: whether bones get the skeleton's lengths.

    Returns:
        (…, T - 1, D) features and (…) bool: whether everything in the clip has a direction. Where that is False the
        features mean nothing.
    """
    xp = array_namespace(joints)
    rest, from_directions, smoothing = given
    by_axis: Any = joints.swapaxes(-3, -1)
    by_axis = np.ascontiguousarray(by_axis) if xp is np else by_axis.contiguous()
    # From here on x, y, z and what is made of them are (…, J, T).
    x, y, z = by_axis[..., 0, :, :], by_axis[..., 1, :, :], by_axis[..., 2, :, :]
    root_x, root_y, root_z = x[..., 0, :] - x[..., 0, :1], y[..., 0, :], z[..., 0, :] - z[..., 0, :1]

    # Directions of the bones, without the root's.
    parents = list(spec.skeleton.parents[1:])
    dx, dy, dz = (part[..., 1:, :] - _rows(part, parents) for part in (x, y, z))
    lengths = xp.sqrt(dx * dx + dy * dy + dz * dz)
    leg = _median(lengths[..., spec.leg[0] - 1, :] + lengths[..., spec.leg[1] - 1, :])
    sound = (_smallest(lengths) > _NO_LENGTH * leg) & (leg > _NO_LENGTH)
    inverse = 1 / (lengths + _TINY)
    dx, dy, dz = dx * inverse, dy * inverse, dz * inverse
    if retarget:
        own = sum(spec.skeleton.bone_lengths[bone] for bone in spec.leg)
        scale = (own / leg.clip(_NO_LENGTH))[..., None]
        root_x, root_y, root_z = root_x * scale, root_y * scale, root_z * scale

    # Joints relative to the root, the first frame turned to +Z; the height above the lowest joint of all.
    left_hip, right_hip, left, right = spec.sides
    first = (from_directions @ part[..., :1] for part in (dx, dz)) if retarget else (part[..., :1] for part in (x, z))
    across_x, across_z = (
        part[..., left_hip, :] - part[..., right_hip, :] + part[..., left, :] - part[..., right, :] for part in first
    )
    sound = sound & ((across_x * across_x + across_z * across_z)[..., 0] > 1e-12)
    angle = xp.arctan2(across_z, across_x)
    cos, sin = xp.cos(angle), xp.sin(angle)
    root_x, root_z = _turned(root_x, root_z, cos, sin)
    dx, dz = _turned(dx, dz, cos[..., None], sin[..., None])
    if retarget:
        x, y, z = from_directions @ dx, from_directions @ dy, from_directions @ dz
    else:
        x, y, z = x - x[..., :1, :], y - y[..., :1, :], z - z[..., :1, :]
        x, z = _turned(x, z, cos[..., None], sin[..., None])
    height = y + root_y[..., None, :]
    height = height - _smallest(height)[..., None, None]

    # The smoothed facing, as the procedure has it: hips against shoulders.
    ax, ay, az = (
        part[..., left_hip, :] - part[..., right_hip, :] + part[..., right, :] - part[..., left, :]
        for part in (x, y, z)
    )
    inverse = 1 / xp.sqrt(ax * ax + ay * ay + az * az + _TINY)
    facing = xp.stack([az * inverse, -ax * inverse], -2) @ smoothing
    angle = -xp.arctan2(facing[..., 0, 1:], facing[..., 1, 1:])
    angle = xp.concatenate([xp.zeros_like(angle[..., :1]), angle], -1)
    cos, sin, turn = xp.cos(angle), xp.sin(angle), _steps(angle)
    rotation_velocity = xp.arctan2(xp.sin(turn), xp.cos(turn)) / 2
    root_x, root_z = _steps(root_x), _steps(root_z)
    linear_x, linear_z = _turned(root_x, root_z, cos[..., 1:], sin[..., 1:])

    cos, sin = cos[..., None, :-1], sin[..., None, :-1]
    local_x, local_z = _turned(x[..., 1:, :-1], z[..., 1:, :-1], cos, sin)
    step_y = _steps(height)
    step_x, step_z = _turned(_steps(x) + root_x[..., None, :], _steps(z) + root_z[..., None, :], cos, sin)
    feet = list(spec.contacts)
    foot_x, foot_y, foot_z = (_rows(step, feet) for step in (step_x, step_y, step_z))
    contacts = foot_x * foot_x + foot_y * foot_y + foot_z * foot_z < spec.contact_threshold
    rotations, smallest = _rotations((dx[..., :-1], dy[..., :-1], dz[..., :-1]), rest, angle[..., :-1], spec)
    sound = sound & (smallest > _NEARLY_OPPOSITE[joints.dtype.itemsize])

    blocks: list[tuple[Any, ...]] = [
        (rotation_velocity[..., None, :],),
        (linear_x[..., None, :], linear_z[..., None, :]),
        (height[..., :1, :-1],),
        (local_x, height[..., 1:, :-1], local_z),
        rotations,
        (step_x, step_y, step_z),
        (contacts.astype(joints.dtype) if xp is np else contacts.to(joints.dtype),),
    ]
    return _frames_first(blocks), sound


def _frames_first(blocks: list[tuple[Any, ...]]) -> Any:
    """Blocks of n numbers of m joints, as n arrays (…, m, T), to (…, T, D), the n numbers of a joint side by side."""
    some: Any = blocks[0][0]
    if not isinstance(some, np.ndarray):
        import torch

        rows = [torch.stack(block, -2).flatten(-3, -2) for block in blocks]
        return torch.cat(rows, -2).swapaxes(-2, -1).contiguous()
    *batch, _, frames = some.shape
    width = sum(len(block) * block[0].shape[-2] for block in blocks)
    features = np.empty((*batch, frames, width), dtype=some.dtype)
    start = 0
    for block in blocks:
        rows = np.stack(block, -2).reshape(*batch, -1, frames)
        features[..., start : start + rows.shape[-2]] = rows.swapaxes(-2, -1)
        start += rows.shape[-2]
    return features


def _rotations(
    directions: tuple[Any, Any, Any], rest: Any, angle: Any, spec: FeatureSpec
) -> tuple[tuple[Any, ...], Any]:
    """The six numbers of the rotations of J - 1 bones, and 1 + the cosine of the one nearest to its opposite."""
    xp = array_namespace(angle)
    x, y, z = directions
    rx, ry, rz = (rest[1:, axis, None] for axis in range(3))
    # A swing from rest to bone has the quaternion (1 + rest . bone, rest x bone), but for its length.
    w = 1 + (rx * x + ry * y + rz * z)
    x, y, z = ry * z - rz * y, rz * x - rx * z, rx * y - ry * x
    smallest = _smallest(w)
    half = angle[..., None, :] / 2
    none = xp.zeros_like(half)
    w, x = xp.concatenate([xp.cos(half), w], -2), xp.concatenate([none, x], -2)
    y, z = xp.concatenate([xp.sin(half), y], -2), xp.concatenate([none, z], -2)
    squared = w * w + x * x + y * y + z * z
    before = list(spec.chain_parents[1:])
    aw, ax, ay, az = (_rows(part, before) for part in (w, x, y, z))
    bw, bx, by, bz = (part[..., 1:, :] for part in (w, x, y, z))
    scale = 2 / (_rows(squared, before) * squared[..., 1:, :] + _TINY)
    w = aw * bw + ax * bx + ay * by + az * bz
    x = aw * bx - ax * bw - ay * bz + az * by
    y = aw * by + ax * bz - ay * bw - az * bx
    z = aw * bz - ax * by + ay * bx - az * bw
    sx, sy, sz = scale * x, scale * y, scale * z
    xx, yy, zz, xy, xz, yz = sx * x, sy * y, sz * z, sx * y, sx * z, sy * z
    wx, wy, wz = sx * w, sy * w, sz * w
    return (1 - (yy + zz), xy + wz, xz - wy, xy - wz, 1 - (xx + zz), yz + wx), smallest

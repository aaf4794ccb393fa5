"""Where a motion stands, which way it faces, how fast it is sampled, and whose bones it has.

Everything here works on joint positions, Y up, in metres. The package's sign convention lives in `heading` and
`rotate_about_y`: angles about +Y, positive to the left, so that a body with heading h faces (sin h, 0, cos h).
"""

import re
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mate.errors import MateError
from mate.motion.skeleton import HUMANML3D, Skeleton

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", "np.ndarray", "torch.Tensor")

# A bone or an across vector shorter than this (metres) has no direction.
_NO_LENGTH = 1e-6


def array_namespace(array: Any) -> Any:
    """The module, `numpy` or `torch`, whose functions work on `array`. Raises MateError for any other kind."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    if isinstance(array, torch.Tensor):
        return torch
    raise MateError(f"got {type(array).__name__}, expected a NumPy array or a torch tensor")


def like(values: Any, array: Any) -> Any:
    """`values` as the kind, the floating dtype and on the device of `array`."""
    if isinstance(array, np.ndarray):
        return np.asarray(values, dtype=array.dtype)
    return array_namespace(array).as_tensor(values, dtype=array.dtype, device=array.device)


def check_joints(joints: Any, skeleton: Skeleton = HUMANML3D, frames: int = 1) -> None:
    """Raise MateError unless `joints` is (…, T, J, 3) for the skeleton with T >= `frames`."""
    if not hasattr(joints, "shape") or joints.ndim < 3 or tuple(joints.shape[-2:]) != (skeleton.joints, 3):
        got = tuple(joints.shape) if hasattr(joints, "shape") else type(joints).__name__
        raise MateError(f"got joints of shape {got}, expected (T, {skeleton.joints}, 3)")
    if joints.shape[-3] < frames:
        raise MateError(f"got a motion of {joints.shape[-3]} frames, expected at least {frames}")


def _checked(joints: np.ndarray, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """`joints` as float64, after checks of shape and values."""
    check_joints(joints, skeleton)
    if not np.isfinite(joints).all():
        raise MateError("got NaN or infinite joint positions, expected finite ones: repair or cut those frames")
    return np.asarray(joints, dtype=np.float64)


def sides(skeleton: Skeleton) -> tuple[int, int, int, int]:
    """The left hip, the right hip, the left shoulder, the right shoulder."""
    index = skeleton.index
    return index("left_hip"), index("right_hip"), index("left_shoulder"), index("right_shoulder")


def heading(joints: np.ndarray, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """Which way the body faces, from its hips and shoulders.

    Args:
        joints: (…, T, J, 3), metres.
        skeleton: says which joints those are.

    Returns:
        (…, T) float32 radians about +Y, positive to the left, 0 facing +Z, without jumps at full turns. The first frame
        lies in [-pi, pi]. Frames in which left and right lie exactly above each other keep the heading before them.
    """
    joints = _checked(joints, skeleton)
    left_hip, right_hip, left_shoulder, right_shoulder = sides(skeleton)
    hips = joints[..., left_hip, :] - joints[..., right_hip, :]
    shoulders = joints[..., left_shoulder, :] - joints[..., right_shoulder, :]
    across = hips + shoulders
    known = np.hypot(across[..., 0], across[..., 2]) > _NO_LENGTH
    frames = np.arange(joints.shape[-3])
    # The latest frame so far with a direction; before the first such frame, that first one.
    latest = np.maximum.accumulate(np.where(known, frames, -1), axis=-1)
    latest = np.where(latest < 0, np.argmax(known, axis=-1)[..., None], latest)
    # The body faces (left x up), which for across = (x, z) is (-z, x).
    angle = np.arctan2(-across[..., 2], across[..., 0])
    return np.unwrap(np.take_along_axis(angle, latest, axis=-1), axis=-1).astype(np.float32)


def rotate_about_y(joints: Array, angle: Any) -> Array:
    """Turn positions or vectors about the Y axis through the world's origin.

    Args:
        joints: (…, T, J, 3), NumPy or torch.
        angle: radians, positive to the left (it is added to the heading); one number, or (…, T), one per frame.

    Returns:
        The same shape, kind and dtype.
    """
    xp = array_namespace(joints)
    angle = like(angle, joints)
    if angle.ndim:
        angle = angle[..., None]
    cos, sin = xp.cos(angle), xp.sin(angle)
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    return xp.stack([x * cos + z * sin, y, z * cos - x * sin], -1)


def put_on_floor(joints: np.ndarray) -> np.ndarray:
    """Lower or raise each clip: its lowest joint over all frames gets height 0. (…, T, J, 3) in and out, float32."""
    joints = np.asarray(joints, dtype=np.float64)
    lowest = joints[..., 1].min(axis=(-2, -1))
    return (joints - lowest[..., None, None, None] * np.array([0.0, 1.0, 0.0])).astype(np.float32)


def start_at_origin(joints: np.ndarray) -> np.ndarray:
    """Move each clip level so that its root starts at x = z = 0. (…, T, J, 3) in and out, float32."""
    joints = np.asarray(joints, dtype=np.float64)
    start = joints[..., :1, :1, :] * np.array([1.0, 0.0, 1.0])
    return (joints - start).astype(np.float32)


def face_forward(joints: np.ndarray, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """Turn each clip about the world's Y axis to face +Z in its first frame. (…, T, J, 3) in and out, float32."""
    turn = np.repeat(-heading(joints, skeleton)[..., :1].astype(np.float64), joints.shape[-3], axis=-1)
    return rotate_about_y(np.asarray(joints, dtype=np.float64), turn).astype(np.float32)


def mirror(joints: np.ndarray, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """Swap left and right: x negated, paired joints exchanged. (…, J, 3) in and out, float32.

    Left and right bones differ by some millimetres in the canonical skeleton and are exchanged too, so a mirrored
    canonical motion goes through `retarget_to_canonical` before it is canonical again.
    """
    other = {"left": "right", "right": "left"}
    swapped = [re.sub("^(left|right)", lambda side: other[side.group()], name) for name in skeleton.joint_names]
    order = [skeleton.index(name) for name in swapped]
    return (np.asarray(joints)[..., order, :] * np.array([-1.0, 1.0, 1.0])).astype(np.float32)


def _bones(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Vectors parent -> child, (…, J, 3); zero for the root."""
    parents = np.maximum(skeleton.parents, 0)
    return joints - joints[..., parents, :]


def _assemble(root: np.ndarray, bones: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The joints (…, J, 3) of a root position (…, 3) and vectors parent -> child (…, J, 3)."""
    joints = np.empty_like(bones)
    joints[..., 0, :] = root
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        joints[..., joint, :] = joints[..., parent, :] + bones[..., joint, :]
    return joints


def retarget_to_canonical(
    joints: np.ndarray, skeleton: Skeleton = HUMANML3D, leg: tuple[int, int] = (5, 8)
) -> np.ndarray:
    """Give a motion the skeleton's bone lengths, as HumanML3D's uniform skeleton does.

    HumanML3D turns every bone into the rotation from its rest direction, then poses the target skeleton with these
    rotations. The rotations cancel: each bone keeps its direction in space and takes its new length. That is what is
    done here; it holds also where rotations are undefined (a bone opposite to its rest direction, a body facing -Z).
    The root's path is scaled by the length of one leg, canonical over own (the median over the frames; HumanML3D
    takes the first one).

    A bone without length takes its rest direction, turned with the body.

    Args:
        joints: (…, T, J, 3), metres or any other unit (scaling by the leg also converts units).
        skeleton: whose bone lengths.
        leg: the two bones of that leg; the right one.

    Returns:
        (…, T, J, 3) float32, in the unit of `skeleton.bone_lengths` (metres), with these lengths in every frame.
    """
    facing = heading(joints, skeleton).astype(np.float64)
    joints = _checked(joints, skeleton)
    bones = _bones(joints, skeleton)
    own = np.linalg.norm(bones, axis=-1, keepdims=True)
    lengths = np.array(skeleton.bone_lengths)
    if not lengths[1:].all():
        raise MateError(
            f"the skeleton {skeleton.name} has no bone lengths of its own; take them from a clip of the set"
        )
    bones_of_leg = list(leg)
    own_leg = np.median(own[..., bones_of_leg, 0].sum(axis=-1), axis=-1)[..., None, None]
    if (own_leg < _NO_LENGTH).any():
        raise MateError(
            f"got a {skeleton.joint_names[leg[0]].split('_')[0]} leg (hip to knee to ankle) without length, "
            f"expected the {skeleton.joints} joints of a body"
        )
    rest = np.broadcast_to(np.array(skeleton.rest_directions, dtype=np.float64), bones.shape)
    has_direction = own > _NO_LENGTH * own_leg[..., None]
    directions = np.where(has_direction, bones / np.maximum(own, 1e-300), rotate_about_y(rest, facing))
    root = joints[..., 0, :] * (lengths[bones_of_leg].sum() / own_leg)
    return _assemble(root, directions * lengths[:, None], skeleton).astype(np.float32)


def resample(joints: np.ndarray, fps_in: float, fps_out: float, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """Sample a motion at another frame rate.

    The new frames lie at 0, 1/fps_out, 2/fps_out, … up to the last old frame's time. Between two old frames the root
    moves in a straight line; each bone's vector is interpolated linearly and then set to the interpolated length, so
    bones do not shrink while they swing. New frames that fall on old ones repeat them exactly. There is no low-pass
    filter.

    Args:
        joints: (T, J, 3).
        fps_in, fps_out: frames per second, positive.
        skeleton: says which joint hangs from which.

    Returns:
        (T', J, 3) float32, T' = floor((T - 1) * fps_out / fps_in) + 1.
    """
    joints = _checked(joints, skeleton)
    if not (fps_in > 0 and fps_out > 0 and np.isfinite(fps_in) and np.isfinite(fps_out)):
        raise MateError(f"got {fps_in} and {fps_out} frames per second, expected two positive numbers")
    last = joints.shape[-3] - 1
    # Rates such as 29.97 or 1/0.0333333 must not lose the last frame to rounding.
    count = int(np.floor(last * fps_out / fps_in + 1e-4)) + 1
    position = np.minimum(np.arange(count) * (fps_in / fps_out), last)
    position = np.where(np.abs(position - np.round(position)) < 1e-9 * max(last, 1), np.round(position), position)
    before = np.floor(position).astype(int)
    after = np.minimum(before + 1, last)
    weight = (position - before)[:, None, None]

    bones = _bones(joints, skeleton)
    lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
    mixed = bones[before] * (1 - weight) + bones[after] * weight
    mixed_length = np.linalg.norm(mixed, axis=-1, keepdims=True)
    length = lengths[before] * (1 - weight) + lengths[after] * weight
    # Two opposite bones have no direction between them: hold the earlier one.
    undefined = mixed_length < _NO_LENGTH * np.maximum(length, _NO_LENGTH)
    direction = np.where(undefined, bones[before], mixed)
    direction /= np.where(undefined, lengths[before], mixed_length).clip(1e-300)
    root = joints[before, 0] * (1 - weight[:, 0]) + joints[after, 0] * weight[:, 0]
    result = _assemble(root, direction * length, skeleton)
    exact = weight[:, 0, 0] == 0
    result[exact] = joints[before[exact]]
    return result.astype(np.float32)

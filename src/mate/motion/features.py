"""HumanML3D's 263 numbers per frame, from joint positions and back.

The numbers follow the published procedure to rounding, its peculiarities included:

* The root's rotation is the one about Y that brings the body to face +Z. Its facing is smoothed over time (Gaussian,
  sigma 20 frames) and is *not* `mate.motion.retarget.heading`: the hips enter with the opposite sign of the shoulders.
* In the first frame the root's rotation is the identity: features are for motions starting to +Z (`canonicalize`).
* The root's rotation velocity is half of the change of the angle per frame (the procedure works on quaternions).
* 6-D rotations are swings from the rest direction of each bone, relative to the bone before it in its chain. Each chain
  starts at the root, also the arms', which hang from the upper spine. They are not SMPL's rotations.

One thing differs on purpose. Where the body turns through -Z the published procedure compares quaternions of opposite
sign and gets that frame's rotation velocity with the wrong sign, after which the recovered motion is off by twice that
frame's turn. Here the velocity is the turn itself.

Everything works on NumPy arrays and on torch tensors, with any number of leading batch dimensions (clips of one length:
the smoothing looks across all frames), without a loop over frames. NumPy: computed in float64, returned as float32.
Torch: same device and dtype (float16 and bfloat16 become float32), differentiable.

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.motion.retarget import (
    LEFT_HIP,
    LEFT_SHOULDER,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    Array,
    array_namespace,
    check_joints,
    face_forward,
    like,
    put_on_floor,
    retarget_to_canonical,
    rotate_about_y,
    start_at_origin,
)
from mate.motion.skeleton import HUMANML3D, LEFT_FOOT, RIGHT_FOOT


@dataclass(frozen=True)
class FeatureLayout:
    """Where each group of numbers is in the features of a skeleton with `joints` joints: slices of the lastaxis."""

    joints: int

    @property
    def root_rotation_velocity(self) -> slice:
        """1: half the turn about Y to the next frame, radians, positive to the right (what brings it back to +Z)."""
        return slice(0, 1)

    @property
    def root_linear_velocity(self) -> slice:
        """2: the root's step along x and z to the next frame, metres per frame, in the next frame's facing."""
        return slice(1, 3)

    @property
    def root_height(self) -> slice:
        """1: metres."""
        return slice(3, 4)

    @property
    def root(self) -> slice:
        """4: the three groups above."""
        return slice(0, 4)

    @property
    def positions(self) -> slice:
        """(joints - 1) * 3: positions with the root's x and z and its rotation taken out, metres; without the root."""
        return slice(4, 4 + (self.joints - 1) * 3)

    @property
    def rotations(self) -> slice:
        """(joints - 1) * 6: the first two columns of each rotation matrix; without the root."""
        return slice(self.positions.stop, self.positions.stop + (self.joints - 1) * 6)

    @property
    def velocities(self) -> slice:
        """joints * 3: every joint's step to the next frame, metres per frame, in this frame's facing."""
        return slice(self.rotations.stop, self.rotations.stop + self.joints * 3)

    @property
    def contacts(self) -> slice:
        """4: 1 where the left ankle, left toe, right ankle, right toe stands still."""
        return slice(self.velocities.stop, self.velocities.stop + 4)

    @property
    def dim(self) -> int:
        """How many numbers in all."""
        return self.contacts.stop


LAYOUT = FeatureLayout(HUMANML3D.joints)
FEATURE_DIM = LAYOUT.dim  # 263
CONTACT_JOINTS = (*LEFT_FOOT, *RIGHT_FOOT)
CONTACT_THRESHOLD = 0.002  # squared metres per frame, at 20 fps
SMOOTHING_SIGMA, SMOOTHING_RADIUS = 20, 80  # frames


def _chain_parents() -> tuple[int, ...]:
    """The joint to which each joint's rotation is relative: the one before it in its chain, the root for the first."""
    before = [0] * HUMANML3D.joints
    for chain in HUMANML3D.chains:
        for previous, joint in pairwise(chain[1:]):
            before[joint] = previous
    return tuple(before)


_CHAIN_PARENTS = _chain_parents()


def _computable(array: Any) -> Any:
    """NumPy as float64, torch as at least float32."""
    if isinstance(array, np.ndarray):
        return array.astype(np.float64)
    torch = array_namespace(array)
    return array if array.dtype in (torch.float32, torch.float64) else array.float()


def _result(array: Any) -> Any:
    return array.astype(np.float32) if isinstance(array, np.ndarray) else array


def _normalised(vectors: Any) -> Any:
    """Unit vectors; zero stays zero, with a zero gradient."""
    return vectors / (vectors * vectors).sum(-1).clip(1e-24)[..., None] ** 0.5


def _smoothed(values: Any) -> Any:
    """Gaussian-weighted mean over frames, ends held. (…, T, C) in and out."""
    offsets = np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / SMOOTHING_SIGMA) ** 2)
    window = np.clip(np.arange(values.shape[-2])[:, None] + offsets, 0, values.shape[-2] - 1)
    if not isinstance(values, np.ndarray):
        window = array_namespace(values).as_tensor(window, device=values.device)
    # A product and a sum, not a matrix product: autocast would round that to half precision.
    return (values[..., window, :] * like(kernel / kernel.sum(), values)[:, None]).sum(-2)


def _root_angle(joints: Any) -> Any:
    """The angle about Y that turns each frame to +Z, by the procedure: (…, T), [-pi, pi], 0 in the first frame."""
    xp = array_namespace(joints)
    hips = joints[..., LEFT_HIP, :] - joints[..., RIGHT_HIP, :]
    shoulders = joints[..., RIGHT_SHOULDER, :] - joints[..., LEFT_SHOULDER, :]
    across = _normalised(hips + shoulders)
    facing = _smoothed(xp.stack([across[..., 2], -across[..., 0]], -1))
    # No facing at all (joints all in one place): 0, with a zero gradient.
    known = (facing * facing).sum(-1) > 0
    x, z = xp.where(known, facing[..., 0], 0.0), xp.where(known, facing[..., 1], 1.0)
    angle = -xp.arctan2(x, z)
    return xp.concatenate([xp.zeros_like(angle[..., :1]), angle[..., 1:]], -1)


def _multiplied(a: Any, b: Any) -> Any:
    """The quaternion product a b; (…, 4), w first."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return array_namespace(a).stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def _swings(joints: Any) -> Any:
    """The shortest rotation from each bone's rest direction to its direction: (…, T, 22, 4), root undefined."""
    xp = array_namespace(joints)
    bones = _normalised(joints - joints[..., [max(parent, 0) for parent in HUMANML3D.parents], :])
    rest = like(HUMANML3D.rest_directions, joints)
    # The vector halfway has the cosine and the sine of half the angle to the rest direction. For a bone opposite to its
    # rest direction any vector across it will do: (x, y, z) -> (y, z, x) is one, as rest directions lie along axes.
    halfway = rest + bones
    opposite = (halfway * halfway).sum(-1)[..., None] < 1e-12
    halfway = _normalised(xp.where(opposite, rest[..., [1, 2, 0]], halfway))
    rx, ry, rz = (rest[..., i] for i in range(3))
    hx, hy, hz = (halfway[..., i] for i in range(3))
    return xp.stack([rx * hx + ry * hy + rz * hz, ry * hz - rz * hy, rz * hx - rx * hz, rx * hy - ry * hx], -1)


def _rotations_6d(joints: Any, angle: Any) -> Any:
    """The rotation block: (…, T, 21, 6)."""
    xp = array_namespace(joints)
    zero = xp.zeros_like(angle)
    root = xp.stack([xp.cos(angle / 2), zero, xp.sin(angle / 2), zero], -1)
    swings = xp.concatenate([root[..., None, :], _swings(joints)[..., 1:, :]], -2)
    before = swings[..., list(_CHAIN_PARENTS[1:]), :] * like([1, -1, -1, -1], joints)
    local = _multiplied(before, swings[..., 1:, :])
    w, x, y, z = (local[..., i] for i in range(4))
    first = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]
    second = [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]
    return xp.stack(first + second, -1)


def _flat(array: Any) -> Any:
    return array.reshape(*array.shape[:-2], -1)


def joints_to_features(joints: Array) -> Array:
    """HumanML3D features of joints that are already canonical: canonical bones, floor, start at the origin facing +Z.

    Args:
        joints: (…, T, 22, 3), metres, 20 fps, T >= 2; NumPy or torch.

    Returns:
        (…, T - 1, 263) of the same kind, not normalised. Laid out as `LAYOUT` says.

    Raises:
        MateError: wrong shape, or fewer than two frames.
    """
    check_joints(joints, frames=2)
    xp = array_namespace(joints)
    joints = _computable(joints)
    angle = _root_angle(joints)
    turn = angle[..., 1:] - angle[..., :-1]
    rotation_velocity = xp.arctan2(xp.sin(turn), xp.cos(turn))[..., None] / 2

    step = joints[..., 1:, :, :] - joints[..., :-1, :, :]
    linear_velocity = rotate_about_y(step[..., :1, :], angle[..., 1:])[..., 0, [0, 2]]
    velocities = rotate_about_y(step, angle[..., :-1])

    here, here_angle = joints[..., :-1, :, :], angle[..., :-1]
    positions = rotate_about_y(here - here[..., :1, :] * like([1, 0, 1], here), here_angle)
    rotations = _rotations_6d(here, here_angle)
    feet = step[..., list(CONTACT_JOINTS), :]
    contacts = like((feet * feet).sum(-1) < CONTACT_THRESHOLD, joints)

    blocks = [
        rotation_velocity,
        linear_velocity,
        here[..., 0, 1:2],
        _flat(positions[..., 1:, :]),
        _flat(rotations),
        _flat(velocities),
        contacts,
    ]
    return _result(xp.concatenate(blocks, -1))


def _check_features(features: Any) -> None:
    if not hasattr(features, "shape") or features.ndim < 2 or features.shape[-1] != FEATURE_DIM:
        got = tuple(features.shape) if hasattr(features, "shape") else type(features).__name__
        raise MateError(f"got features of shape {got}, expected (…, T, {FEATURE_DIM})")
    if features.shape[-2] == 0:
        raise MateError("got features of 0 frames, expected at least 1")


def _started_at_zero(values: Any) -> Any:
    """Running sums over frames of all steps before each frame. (…, T, C) in and out."""
    xp = array_namespace(values)
    return xp.concatenate([xp.zeros_like(values[..., :1, :]), xp.cumsum(values[..., :-1, :], -2)], -2)


def features_to_joints(features: Array) -> Array:
    """Joint positions from the root's velocities and the local positions; the other groups are not used.

    Args:
        features: (…, T, 263), not normalised; NumPy or torch.

    Returns:
        (…, T, 22, 3) of the same kind, metres, starting at x = z = 0 facing +Z. Differentiable in torch.
    """
    _check_features(features)
    xp = array_namespace(features)
    features = _computable(features)
    angle = 2 * _started_at_zero(features[..., LAYOUT.root_rotation_velocity])[..., 0]
    velocity = features[..., LAYOUT.root_linear_velocity]
    zero = xp.zeros_like(angle)
    step = xp.stack([velocity[..., 0], zero, velocity[..., 1]], -1)
    # A frame's step is given in the facing of the frame it leads to.
    step = rotate_about_y(step[..., None, :], xp.concatenate([-angle[..., 1:], zero[..., :1]], -1))[..., 0, :]
    path = _started_at_zero(step)

    local = features[..., LAYOUT.positions]
    local = local.reshape(*local.shape[:-1], HUMANML3D.joints - 1, 3)
    joints = rotate_about_y(local, -angle) + path[..., None, :]
    height = features[..., LAYOUT.root_height]
    root = xp.stack([path[..., 0], height[..., 0], path[..., 2]], -1)
    return _result(xp.concatenate([root[..., None, :], joints], -2))


def features_to_contacts(features: Array) -> Array:
    """Which feet stand still: (…, T, 263) not normalised -> (…, T, 4) bool, left ankle and toe, right ankle and toe."""
    _check_features(features)
    return features[..., LAYOUT.contacts] > 0.5


def canonicalize(joints: np.ndarray) -> np.ndarray:
    """Put a motion on the floor (lowest joint over all frames), its root at x = z = 0 and facing +Z in the first frame.

    Args:
        joints: (…, T, 22, 3), metres.

    Returns:
        The same shape, float32. Bone lengths stay.
    """
    check_joints(joints)
    return face_forward(start_at_origin(put_on_floor(joints)))


def process_motion(joints: np.ndarray, retarget: bool = True) -> np.ndarray:
    """All of HumanML3D's processing: canonical bone lengths, floor, origin, facing, features.

    Args:
        joints: (T, 22, 3), Y up, 20 fps; metres, or any unit with `retarget`.
        retarget: give the motion the canonical bone lengths (`retarget_to_canonical`).

    Returns:
        (T - 1, 263) float32, not normalised.

    Raises:
        MateError: wrong shape, positions that are not finite, or fewer than two frames.
    """
    check_joints(joints, frames=2)
    return joints_to_features(canonicalize(retarget_to_canonical(joints) if retarget else joints))

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
the smoothing looks across all frames), without a loop over frames. NumPy: computed in float64, returned as float32
(`process_motion`: float32 throughout unless it is asked to be precise).
Torch: same device and dtype (float16 and bfloat16 become float32), differentiable.

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mate.errors import MateError
from mate.motion import feature_kernel as kernel
from mate.motion.layout import FEATURE_DIM, HUMANML3D_FEATURES, KIT_FEATURES, LAYOUT, FeatureLayout, FeatureSpec
from mate.motion.retarget import (
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
from mate.motion.skeleton import HUMANML3D, Skeleton

if TYPE_CHECKING:
    import torch

__all__ = [
    "FEATURE_DIM", "HUMANML3D_FEATURES", "KIT_FEATURES", "LAYOUT", "FeatureLayout", "FeatureSpec", "canonicalize",
    "compiled_process_motion", "features_to_contacts", "features_to_joints", "joints_to_features", "process_motion",
    "with_bone_lengths_of",
]  # fmt: skip

CONTACT_JOINTS = HUMANML3D_FEATURES.contacts
CONTACT_THRESHOLD = HUMANML3D_FEATURES.contact_threshold  # squared metres per frame, at 20 fps
SMOOTHING_SIGMA, SMOOTHING_RADIUS = kernel.SMOOTHING_SIGMA, kernel.SMOOTHING_RADIUS  # frames


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


def _root_angle(joints: Any, spec: FeatureSpec) -> Any:
    """The angle about Y that turns each frame to +Z, by the procedure: (…, T), [-pi, pi], 0 in the first frame."""
    xp = array_namespace(joints)
    left_hip, right_hip, left_shoulder, right_shoulder = spec.sides
    hips = joints[..., left_hip, :] - joints[..., right_hip, :]
    shoulders = joints[..., right_shoulder, :] - joints[..., left_shoulder, :]
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


def _swings(joints: Any, skeleton: Skeleton) -> Any:
    """The shortest rotation from each bone's rest direction to its direction: (…, T, J, 4), root undefined."""
    xp = array_namespace(joints)
    bones = _normalised(joints - joints[..., [max(parent, 0) for parent in skeleton.parents], :])
    rest = like(skeleton.rest_directions, joints)
    # The vector halfway has the cosine and the sine of half the angle to the rest direction. For a bone opposite to its
    # rest direction any vector across it will do: (x, y, z) -> (y, z, x) is one, as rest directions lie along axes.
    halfway = rest + bones
    opposite = (halfway * halfway).sum(-1)[..., None] < 1e-12
    halfway = _normalised(xp.where(opposite, rest[..., [1, 2, 0]], halfway))
    rx, ry, rz = (rest[..., i] for i in range(3))
    hx, hy, hz = (halfway[..., i] for i in range(3))
    return xp.stack([rx * hx + ry * hy + rz * hz, ry * hz - rz * hy, rz * hx - rx * hz, rx * hy - ry * hx], -1)


def _rotations_6d(joints: Any, angle: Any, spec: FeatureSpec) -> Any:
    """The rotation block: (…, T, J - 1, 6)."""
    xp = array_namespace(joints)
    zero = xp.zeros_like(angle)
    root = xp.stack([xp.cos(angle / 2), zero, xp.sin(angle / 2), zero], -1)
    swings = xp.concatenate([root[..., None, :], _swings(joints, spec.skeleton)[..., 1:, :]], -2)
    before = swings[..., list(spec.chain_parents[1:]), :] * like([1, -1, -1, -1], joints)
    local = _multiplied(before, swings[..., 1:, :])
    w, x, y, z = (local[..., i] for i in range(4))
    first = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]
    second = [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]
    return xp.stack(first + second, -1)


def _flat(array: Any) -> Any:
    return array.reshape(*array.shape[:-2], -1)


def joints_to_features(joints: Array, spec: FeatureSpec = HUMANML3D_FEATURES) -> Array:
    """HumanML3D features of joints that are already canonical: canonical bones, floor, start at the origin facing +Z.

    Args:
        joints: (…, T, 22, 3), metres, 20 fps, T >= 2; NumPy or torch.
        spec: the data set's choices; with `KIT_FEATURES` joints are (…, T, 21, 3) in millimetres.

    Returns:
        (…, T - 1, 263), of the same kind, not normalised. Laid out as `spec.layout` says (KIT: 251).

    Raises:
        MateError: wrong shape, or fewer than two frames.
    """
    check_joints(joints, spec.skeleton, frames=2)
    xp = array_namespace(joints)
    joints = _computable(joints)
    angle = _root_angle(joints, spec)
    turn = angle[..., 1:] - angle[..., :-1]
    rotation_velocity = xp.arctan2(xp.sin(turn), xp.cos(turn))[..., None] / 2

    step = joints[..., 1:, :, :] - joints[..., :-1, :, :]
    linear_velocity = rotate_about_y(step[..., :1, :], angle[..., 1:])[..., 0, [0, 2]]
    velocities = rotate_about_y(step, angle[..., :-1])

    here, here_angle = joints[..., :-1, :, :], angle[..., :-1]
    positions = rotate_about_y(here - here[..., :1, :] * like([1, 0, 1], here), here_angle)
    rotations = _rotations_6d(here, here_angle, spec)
    feet = step[..., list(spec.contacts), :]
    contacts = like((feet * feet).sum(-1) < spec.contact_threshold, joints)

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


def _check_features(features: Any, spec: FeatureSpec) -> None:
    if not hasattr(features, "shape") or features.ndim < 2 or features.shape[-1] != spec.dim:
        got = tuple(features.shape) if hasattr(features, "shape") else type(features).__name__
        raise MateError(f"got features of shape {got}, expected (…, T, {spec.dim})")
    if features.shape[-2] == 0:
        raise MateError("got features of 0 frames, expected at least 1")


def _started_at_zero(values: Any) -> Any:
    """Running sums over frames of all steps before each frame. (…, T, C) in and out."""
    xp = array_namespace(values)
    return xp.concatenate([xp.zeros_like(values[..., :1, :]), xp.cumsum(values[..., :-1, :], -2)], -2)


def features_to_joints(features: Array, spec: FeatureSpec = HUMANML3D_FEATURES) -> Array:
    """Joint positions from the root's velocities and the local positions; the other groups are not used.

    Args:
        features: (…, T, 263), not normalised; NumPy or torch.
        spec: the data set's choices; with `KIT_FEATURES` features are (…, T, 251).

    Returns:
        (…, T, J, 3) of the same kind, in metres (KIT: millimetres), starting at x = z = 0 facing +Z. Differentiable in torch.
    """
    _check_features(features, spec)
    xp, layout = array_namespace(features), spec.layout
    features = _computable(features)
    angle = 2 * _started_at_zero(features[..., layout.root_rotation_velocity])[..., 0]
    velocity = features[..., layout.root_linear_velocity]
    zero = xp.zeros_like(angle)
    step = xp.stack([velocity[..., 0], zero, velocity[..., 1]], -1)
    # A frame's step is given in the facing of the frame it leads to.
    step = rotate_about_y(step[..., None, :], xp.concatenate([-angle[..., 1:], zero[..., :1]], -1))[..., 0, :]
    path = _started_at_zero(step)

    local = features[..., layout.positions]
    local = local.reshape(*local.shape[:-1], spec.skeleton.joints - 1, 3)
    joints = rotate_about_y(local, -angle) + path[..., None, :]
    height = features[..., layout.root_height]
    root = xp.stack([path[..., 0], height[..., 0], path[..., 2]], -1)
    return _result(xp.concatenate([root[..., None, :], joints], -2))


def features_to_contacts(features: Array, spec: FeatureSpec = HUMANML3D_FEATURES) -> Array:
    """Which feet stand still: (…, T, D) not normalised -> (…, T, 4) bool, left ankle and toe, right ankle and toe."""
    _check_features(features, spec)
    return features[..., spec.layout.contacts] > 0.5


def canonicalize(joints: np.ndarray, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """Put a motion on the floor (lowest joint over all frames), its root at x = z = 0 and facing +Z in the first frame.

    Args:
        joints: (…, T, J, 3), metres.

    Returns:
        The same shape, float32. Bone lengths stay.
    """
    check_joints(joints, skeleton)
    return face_forward(start_at_origin(put_on_floor(joints)), skeleton)


def with_bone_lengths_of(joints: np.ndarray, spec: FeatureSpec) -> FeatureSpec:
    """The spec with the bone lengths of the first frame of (T, J, 3) joints: the procedure's example clip."""
    check_joints(joints, spec.skeleton)
    first = np.asarray(joints[0], dtype=np.float64)
    lengths = np.linalg.norm(first - first[np.maximum(spec.skeleton.parents, 0)], axis=-1)
    return replace(spec, skeleton=replace(spec.skeleton, bone_lengths=tuple(float(length) for length in lengths)))


def process_motion(
    joints: Array, retarget: bool = True, spec: FeatureSpec = HUMANML3D_FEATURES, *, precise: bool = False
) -> Array:
    """All of HumanML3D's processing (`process_file`): canonical bone lengths, floor, origin, facing, features.

    Args:
        joints: (…, T, 22, 3), Y up, 20 fps; metres, or any unit with `retarget`. NumPy, or torch: then computed in the tensor's
            own precision, and differentiable.
        retarget: give the motion the canonical bone lengths (`retarget_to_canonical`).
        spec: the data set's choices; `KIT_FEATURES` takes 21 joints in millimetres.
        precise: NumPy only: float64 until the end, by `retarget_to_canonical`, `canonicalize` and `joints_to_features`; about
            a fifth of the speed. Written data sets are made with it. The default agrees with it to 1e-4 (most numbers to 1e-6) but for
            rotations of bones nearly opposite to their rest direction, which feel its rounding to float32 between the steps.

    Returns:
        (…, T - 1, 263), not normalised; NumPy: float32.

    Raises:
        MateError: wrong shape, positions that are not finite, or fewer than two frames.
    """
    check_joints(joints, spec.skeleton, frames=2)
    if not isinstance(joints, np.ndarray):
        joints = _computable(joints)
        return _repaired(
            *kernel.process(joints, kernel.constants(joints, spec), spec, retarget), joints, retarget, spec
        )
    if precise:
        return (
            _step_by_step(joints, retarget, spec) if spec == HUMANML3D_FEATURES else _precisely(joints, retarget, spec)
        )
    constants = kernel.constants(joints[..., :1].astype(np.float32), spec)
    features = np.empty((*joints.shape[:-3], joints.shape[-3] - 1, spec.dim), dtype=np.float32)
    # One clip at a time fits into the processor's cache.
    for clip in np.ndindex(joints.shape[:-3]):
        features[clip], sound = kernel.process(joints[clip].astype(np.float32), constants, spec, retarget)
        if not sound:
            features[clip] = _precisely(joints[clip], retarget, spec)
    return features  # pyright: ignore[reportReturnType]


def _precisely(joints: np.ndarray, retarget: bool, spec: FeatureSpec) -> np.ndarray:
    """In float64 throughout; what has no direction even there goes step by step."""
    joints = joints.astype(np.float64)
    features, sound = kernel.process(joints, kernel.constants(joints, spec), spec, retarget)
    features = features.astype(np.float32)
    for clip in map(tuple, np.argwhere(~sound)):
        features[clip] = _step_by_step(joints[clip], retarget, spec)
    return features


def _step_by_step(joints: np.ndarray, retarget: bool, spec: FeatureSpec) -> np.ndarray:
    """Each step in float64, rounded to float32 between them: sets are written this way and keep their bytes."""
    if retarget:
        joints = retarget_to_canonical(joints, spec.skeleton, spec.leg)
    return joints_to_features(canonicalize(joints, spec.skeleton), spec)


def _repaired(features: Any, sound: Any, joints: Any, retarget: bool, spec: FeatureSpec) -> Any:
    """The features with those of the clips that the kernel cannot do; without gradient there."""
    if bool(sound.all()):
        return features
    features = features.clone()
    for clip in np.argwhere(~sound.cpu().numpy()):
        index = tuple(int(i) for i in clip)
        exact = _precisely(joints[index].detach().cpu().numpy(), retarget, spec)
        features[index] = like(exact, features)
    return features


def compiled_process_motion(
    retarget: bool = True, spec: FeatureSpec = HUMANML3D_FEATURES
) -> "Callable[[torch.Tensor], torch.Tensor]":
    """`process_motion` for torch tensors as one compiled graph: the fastest way where many clips have one shape.

    The first call with a shape compiles (tens of seconds; needs a C++ compiler on a CPU); about 8 clips at a time are fastest on a
    CPU, as they stay in its cache.
    """
    import torch

    # A C library that hands memory back to the system after every call spends more time on getting it again than the features
    # take. One block below glibc's limit of 32 MiB, taken and freed, makes it keep that much.
    block = torch.empty(31 * 2**20, dtype=torch.uint8)
    del block

    @lru_cache(maxsize=8)
    def constants(frames: int, dtype: "torch.dtype", device: "torch.device") -> tuple[Any, Any, Any]:
        return kernel.constants(torch.empty((frames, 0, 0), dtype=dtype, device=device), spec)

    @torch.compile(dynamic=False)
    def compiled(joints: Any, given: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        return kernel.process(joints, given, spec, retarget)

    def process(joints: "torch.Tensor") -> "torch.Tensor":
        check_joints(joints, spec.skeleton, frames=2)
        joints = _computable(joints)
        features, sound = compiled(joints, constants(joints.shape[-3], joints.dtype, joints.device))
        return _repaired(features, sound, joints, retarget, spec)

    return process

"""The published procedure (HumanML3D's `process_file`) step by step, as a yardstick: `mate bench features` and the tests use it.

It goes the published way: quaternions, one chain and one joint at a time, the skeleton made uniform by inverse and forward
kinematics, everything in NumPy over all frames of one clip. `mate.motion.features` gets the same numbers without these detours.

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022.
"""

from itertools import pairwise

import numpy as np

from mate.motion.layout import HUMANML3D_FEATURES, FeatureSpec

_UP, _FORWARD = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The quaternion product, (…, 4), w first."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    w = aw * bw - ax * bx - ay * by - az * bz
    x = aw * bx + ax * bw + ay * bz - az * by
    y = aw * by - ax * bz + ay * bw + az * bx
    return np.stack([w, x, y, aw * bz + ax * by - ay * bx + az * bw], axis=-1)


def _inverse(q: np.ndarray) -> np.ndarray:
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def _rotated(q: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    once = np.cross(q[..., 1:], vectors)
    return vectors + 2 * (q[..., :1] * once + np.cross(q[..., 1:], once))


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The shortest rotation from a to b."""
    w = np.sqrt((a**2).sum(-1, keepdims=True) * (b**2).sum(-1, keepdims=True)) + (a * b).sum(-1, keepdims=True)
    return _unit(np.concatenate([w, np.cross(a, b)], axis=-1))


def _smooth(values: np.ndarray) -> np.ndarray:
    kernel = np.exp(-0.5 * (np.arange(-80, 81) / 20) ** 2)
    padded = np.pad(values, ((80, 80), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)


def _inverse_kinematics(joints: np.ndarray, spec: FeatureSpec, smooth: bool) -> np.ndarray:
    """(T, J, 3) -> each joint's rotation relative to the one before it in its chain, (T, J, 4); the root's faces +Z."""
    left_hip, right_hip, left_shoulder, right_shoulder = spec.sides
    across = joints[:, left_hip] - joints[:, right_hip] + joints[:, right_shoulder] - joints[:, left_shoulder]
    forward = np.cross(_UP, _unit(across))
    if smooth:
        forward = _smooth(forward)
    root = _between(_unit(forward), np.broadcast_to(_FORWARD, forward.shape))
    root[0] = (1, 0, 0, 0)
    rotations = np.zeros((*joints.shape[:2], 4))
    rotations[:, 0] = root
    for chain in spec.skeleton.chains:
        world = root
        for previous, joint in pairwise(chain):
            rest = np.broadcast_to(np.array(spec.skeleton.rest_directions[joint], float), joints[:, joint].shape)
            swing = _between(rest, _unit(joints[:, joint] - joints[:, previous]))
            rotations[:, joint] = _times(_inverse(world), swing)
            world = _times(world, rotations[:, joint])
    return rotations


def _forward_kinematics(rotations: np.ndarray, root: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    joints = np.zeros((*rotations.shape[:2], 3))
    joints[:, 0] = root
    for chain in spec.skeleton.chains:
        world = rotations[:, 0]
        for previous, joint in pairwise(chain):
            world = _times(world, rotations[:, joint])
            offset = np.array(spec.skeleton.rest_directions[joint]) * spec.skeleton.bone_lengths[joint]
            joints[:, joint] = _rotated(world, np.broadcast_to(offset, root.shape)) + joints[:, previous]
    return joints


def _uniform(joints: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    first, parents = joints[0], np.maximum(spec.skeleton.parents, 0)
    own = np.linalg.norm(first - first[parents], axis=-1)
    target = np.array(spec.skeleton.bone_lengths)
    scale = target[list(spec.leg)].sum() / own[list(spec.leg)].sum()
    return _forward_kinematics(_inverse_kinematics(joints, spec, smooth=False), joints[:, 0] * scale, spec)


def published_process(joints: np.ndarray, spec: FeatureSpec = HUMANML3D_FEATURES, retarget: bool = True) -> np.ndarray:
    """(T, J, 3) joints of one clip -> (T - 1, D) float32 features."""
    joints = joints.astype(np.float64)
    if retarget:
        joints = _uniform(joints, spec)
    joints[..., 1] -= joints[..., 1].min()
    joints -= joints[0, 0] * np.array([1, 0, 1])
    left_hip, right_hip, left_shoulder, right_shoulder = spec.sides
    first = joints[0]
    across = first[right_hip] - first[left_hip] + first[right_shoulder] - first[left_shoulder]
    facing = _between(_unit(np.cross(_UP, across)), _FORWARD)
    joints = _rotated(np.broadcast_to(facing, (*joints.shape[:2], 4)), joints)

    steps = joints[1:] - joints[:-1]
    contacts = (steps[:, list(spec.contacts)] ** 2).sum(-1) < spec.contact_threshold
    rotations = _inverse_kinematics(joints, spec, smooth=True)
    w, x, y, z = np.moveaxis(rotations, -1, 0)
    first_column = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]
    second_column = [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]
    six = np.stack(first_column + second_column, axis=-1)
    root = rotations[:, 0]
    linear = _rotated(root[1:], steps[:, 0])[:, [0, 2]]
    angular = np.arcsin(_times(root[1:], _inverse(root[:-1]))[:, 2:3].clip(-1, 1))
    every = np.repeat(root[:, None], joints.shape[1], axis=1)
    local = _rotated(every, joints - joints[:, :1] * np.array([1, 0, 1]))
    velocities = _rotated(every[:-1], steps)
    blocks = (
        angular, linear, joints[:-1, 0, 1:2], local[:-1, 1:].reshape(len(steps), -1),
        six[:-1, 1:].reshape(len(steps), -1), velocities.reshape(len(steps), -1), contacts,
    )  # fmt: skip
    return np.concatenate(blocks, axis=-1).astype(np.float32)

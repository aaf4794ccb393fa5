"""Joint positions to joint rotations and back, and the rig that BVH and GLB files carry.

Conventions: quaternions are (w, x, y, z), unit length; the rotation of a joint turns the offsets of its children, so that
    position[child] = position[joint] + rotate(global[joint], offset[child]),   global[joint] = global[parent] * local[joint].

Positions alone do not fix how a bone is twisted about its own length. A joint that carries one bone takes the smallest rotation
from its parent's frame (no twist), a joint that carries several (pelvis, chest) the rotation that fits all of them best. Everything is
relative to the parent and the body's root is fitted as a full frame, so that a body may turn round any number of times without a flip.

Shapes: T frames, J joints, N rig joints (N >= J).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D, Skeleton

# A T-pose for the 22 joints: arms to the sides, legs straight down, the trunk's joints where they are in a standing person. The rest pose
# of HumanML3D itself (arms hanging) is a poor one to export: a raised arm lies opposite to it, where the smallest rotation is undefined.
_T_POSE = {
    "left_hip": (0.57, -0.82, 0.0), "spine1": (0.0, 0.96, -0.28), "spine2": (0.0, 0.98, 0.2), "spine3": (0.0, 1.0, 0.05),
    "neck": (0.0, 0.99, -0.12), "head": (0.0, 0.87, 0.5), "left_collar": (0.54, 0.83, -0.12), "left_shoulder": (1.0, 0.0, 0.0),
    "left_elbow": (1.0, 0.0, 0.0), "left_wrist": (1.0, 0.0, 0.0), "left_knee": (0.0, -1.0, 0.0), "left_ankle": (0.0, -1.0, 0.0),
    "left_foot": (0.2, -0.35, 0.91),
}  # fmt: skip

_TINY = 1e-9  # metres: below this a bone has no direction


def quaternion_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product a * b (first b, then a) of quaternions (..., 4)."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        axis=-1,
    )


def quaternion_inverse(q: np.ndarray) -> np.ndarray:
    """The inverse of unit quaternions (..., 4)."""
    return q * np.array([1.0, -1.0, -1.0, -1.0], dtype=q.dtype)


def quaternion_rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors v (..., 3) turned by unit quaternions q (..., 4)."""
    twice = 2.0 * np.cross(q[..., 1:], v)
    return v + q[..., :1] * twice + np.cross(q[..., 1:], twice)


def quaternion_to_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3), acting on column vectors, of unit quaternions (..., 4)."""
    return np.stack([quaternion_rotate(q, np.broadcast_to(axis, (*q.shape[:-1], 3))) for axis in np.eye(3)], axis=-1)


def quaternion_continuous(q: np.ndarray) -> np.ndarray:
    """q or -q in every frame, so that neighbours in time lie on the same side; (T, ..., 4), the first frame with w >= 0."""
    sign = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)
    first = np.where(q[:1, ..., 0] < 0, -1.0, 1.0)
    return q * np.cumprod(np.concatenate((first, sign)), axis=0)[..., None].astype(q.dtype)


def quaternion_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation (..., 4) that takes the unit vectors a (..., 3) to b; about a fixed normal of a where they are opposite."""
    a, b = np.broadcast_arrays(a, b)
    # a + b is the half-way vector: its length keeps precision near 180 degrees where 1 + a.b does not.
    half = a + b
    length = np.linalg.norm(half, axis=-1, keepdims=True)
    half = half / np.maximum(length, _TINY)
    q = np.concatenate(((a * half).sum(-1, keepdims=True), np.cross(a, half)), axis=-1)
    least = np.eye(3)[np.abs(a).argmin(-1)]
    normal = np.cross(a, least)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), _TINY)
    opposite = np.concatenate((np.zeros_like(length), normal), axis=-1)
    return _unit(np.where(length > _TINY, q, opposite))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def fit_rotation(rest: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The rotations (T, 4) that best take K vectors rest (K, 3) to directions (T, K, 3), least squares.

    Davenport's q-method: the eigenvector of the largest eigenvalue of a symmetric 4 x 4 matrix (Wahba's problem).
    """
    b = np.einsum("tki,kj->tij", directions, rest)
    trace = np.trace(b, axis1=1, axis2=2)
    z = np.stack((b[:, 2, 1] - b[:, 1, 2], b[:, 0, 2] - b[:, 2, 0], b[:, 1, 0] - b[:, 0, 1]), axis=-1)
    k = np.empty((len(b), 4, 4))
    k[:, 0, 0] = trace
    k[:, 0, 1:] = k[:, 1:, 0] = z
    k[:, 1:, 1:] = b + b.transpose(0, 2, 1) - trace[:, None, None] * np.eye(3)
    return np.linalg.eigh(k)[1][..., -1]


def euler_angles(matrices: np.ndarray, axes: tuple[int, int, int]) -> np.ndarray:
    """Angles (T, ..., 3) in degrees with R = R_i(a) R_j(b) R_k(c) for the three different axes i, j, k, continuous in time.

    Every rotation has two such triples up to full turns, (a, b, c) and (a + 180, 180 - b, c + 180); each frame takes the one nearest to
    the frame before, so that a curve has no jumps and an editor can interpolate it. Where b is a quarter turn the axes i and k fall
    together and only a sum of their angles is known: c then stays what it was.

    Args:
        matrices: (T, ..., 3, 3), acting on column vectors.
        axes: i, j, k as 0, 1, 2 for X, Y, Z, in the order in which a child's frame is built from its parent's.
    """
    i, j, k = axes
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    sine = sign * matrices[..., i, k]
    b = np.arcsin(np.clip(sine, -1.0, 1.0))
    a = np.arctan2(-sign * matrices[..., j, k], matrices[..., k, k])
    c = np.arctan2(-sign * matrices[..., i, j], matrices[..., i, i])
    locked = np.hypot(matrices[..., i, j], matrices[..., i, i]) < 1e-6
    summed = np.degrees(np.arctan2(sign * matrices[..., k, j], matrices[..., j, j]))  # a where c = 0
    angles = np.degrees(np.stack((a, b, c), axis=-1))
    twins = np.stack((angles[..., 0] + 180.0, 180.0 - angles[..., 1], angles[..., 2] + 180.0), axis=-1)
    before = np.where(locked[0, ..., None], 0.0, angles[0])
    for frame in range(len(angles)):
        first, second = angles[frame], twins[frame]
        if locked[frame].any():
            held = summed[frame] - sign * np.sign(sine[frame]) * before[..., 2]
            held = np.stack((held, first[..., 1], before[..., 2]), axis=-1)
            first = np.where(locked[frame, ..., None], held, first)
            second = np.where(locked[frame, ..., None], held, second)
        first = first + 360.0 * np.round((before - first) / 360.0)
        second = second + 360.0 * np.round((before - second) / 360.0)
        further = np.abs(first - before).sum(-1) > np.abs(second - before).sum(-1)
        before = angles[frame] = np.where(further[..., None], second, first)
    return angles


def _carried(joint: int, parents: tuple[int, ...], offsets: np.ndarray) -> list[int]:
    """The ends of the bones that start at a joint; zero-length bones are looked through."""
    ends = []
    for child, parent in enumerate(parents):
        if parent == joint:
            ends += [child] if np.linalg.norm(offsets[child]) > _TINY else _carried(child, parents, offsets)
    return ends


def solve_rotations(positions: np.ndarray, parents: tuple[int, ...], offsets: np.ndarray) -> np.ndarray:
    """Local rotations (T, N, 4), continuous in time, that turn the offsets (N, 3) into the bones of positions (T, N, 3).

    A joint with one bone takes the smallest rotation, one with several the best fit; see the module.
    """
    frames, joints = positions.shape[:2]
    identity = np.broadcast_to([1.0, 0.0, 0.0, 0.0], (frames, 4))
    world = np.empty((frames, joints, 4))
    local = np.empty_like(world)
    for joint, parent in enumerate(parents):
        above = identity if parent < 0 else world[:, parent]
        ends = _carried(joint, parents, offsets)
        turn = identity
        if ends:
            rest = _unit(offsets[ends])
            bones = positions[:, ends] - positions[:, joint, None]
            length = np.linalg.norm(bones, axis=-1, keepdims=True)
            bones = np.where(
                length > _TINY, bones / np.maximum(length, _TINY), quaternion_rotate(above[:, None], rest[None])
            )
            bones = quaternion_rotate(quaternion_inverse(above)[:, None], bones)
            # One bone, or several on one line, leave the twist open: the smallest rotation.
            spread = len(ends) > 1 and np.linalg.matrix_rank(rest, tol=1e-3) > 1
            turn = fit_rotation(rest, bones) if spread else quaternion_between(rest[0], bones[:, 0])
        local[:, joint] = turn
        world[:, joint] = quaternion_multiply(above, turn)
    return quaternion_continuous(_unit(local))


def fit_offsets(joints: np.ndarray, parents: tuple[int, ...], rest_directions: np.ndarray) -> np.ndarray:
    """Offsets (J, 3) in metres: the rest directions (J, 3) times each bone's median length over joints (T, J, 3)."""
    above = [max(parent, 0) for parent in parents]
    length = np.median(np.linalg.norm(joints - joints[:, above], axis=-1), axis=0)
    return _unit(np.asarray(rest_directions, dtype=np.float64)) * length[:, None]


def joints_to_rotations(joints: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Root positions (T, 3) and local rotations (T, J, 4) of joint positions (T, J, 3), relative to the skeleton's rest directions.

    The way back is exact for bones of constant length, except where the bones of a joint with several children move
    against each other (collar bones do): one rotation cannot follow them. `joints_to_rig` is exact there too.
    """
    joints = np.asarray(joints, dtype=np.float64)
    offsets = fit_offsets(joints, skeleton.parents, np.array(skeleton.rest_directions))
    local = solve_rotations(joints, skeleton.parents, offsets)
    return joints[:, 0].astype(np.float32), local.astype(np.float32)


def forward_kinematics(
    root_positions: np.ndarray, local_quaternions: np.ndarray, offsets: np.ndarray, parents: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (T, J, 3) and rotations in the world (T, J, 4), float64.

    Args: root_positions (T, 3); local_quaternions (T, J, 4); offsets (J, 3), that of the root is not used.
    """
    local = _unit(np.asarray(local_quaternions, dtype=np.float64))
    world = np.empty_like(local)
    positions = np.empty((*local.shape[:2], 3))
    for joint, parent in enumerate(parents):
        if parent < 0:
            world[:, joint], positions[:, joint] = local[:, joint], root_positions
        else:
            world[:, joint] = quaternion_multiply(world[:, parent], local[:, joint])
            positions[:, joint] = positions[:, parent] + quaternion_rotate(
                world[:, parent], np.asarray(offsets[joint], dtype=np.float64)
            )
    return positions, world


def rotations_to_joints(
    root_positions: np.ndarray, local_quaternions: np.ndarray, offsets: np.ndarray, parents: tuple[int, ...]
) -> np.ndarray:
    """Forward kinematics: positions (T, J, 3) float32 from root positions (T, 3), local rotations (T, J, 4) and offsets (J, 3)."""
    return forward_kinematics(root_positions, local_quaternions, offsets, parents)[0].astype(np.float32)


@dataclass(frozen=True)
class RigMotion:
    """A motion as a hierarchy of rotations: what BVH and GLB files hold.

    The rig is the skeleton plus one helper joint for every bone of a joint with several children: `left_collar_base` sits at
    `spine3` with offset zero and turns the collar bone alone, as `LHipJoint` does in CMU's files. With them the rotations give every
    joint back, although the collar bones move against the chest. All other joints keep their names; helpers end in `_base`.

    Attributes:
        names: N names, parents before children.
        parents: N indices, -1 for the root.
        offsets: (N, 3) float32 metres to the parent in the rest pose (a T-pose facing +Z for the HumanML3D skeleton).
        root_positions: (T, 3) float32 metres.
        quaternions: (T, N, 4) float32 local rotations w, x, y, z, continuous in time.
        joint_index: J indices: where the skeleton's joints are in the rig.
        fps: frames per second.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    root_positions: np.ndarray
    quaternions: np.ndarray
    joint_index: tuple[int, ...]
    fps: float

    def rest_positions(self) -> np.ndarray:
        """Positions (N, 3) float32 in the rest pose, the root at the origin."""
        positions = np.zeros_like(self.offsets)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                positions[joint] = positions[parent] + self.offsets[joint]
        return positions

    def positions(self) -> np.ndarray:
        """Positions of all rig joints by forward kinematics, (T, N, 3) float32."""
        return rotations_to_joints(self.root_positions, self.quaternions, self.offsets, self.parents)

    def joints(self) -> np.ndarray:
        """Positions of the skeleton's joints by forward kinematics, (T, J, 3) float32."""
        return self.positions()[:, list(self.joint_index)]

    def world_quaternions(self) -> np.ndarray:
        """Rotations in the world, (T, N, 4) float32."""
        world = self.quaternions.astype(np.float64)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                world[:, joint] = quaternion_multiply(world[:, parent], world[:, joint])
        return quaternion_continuous(world).astype(np.float32)


def rest_directions(skeleton: Skeleton) -> np.ndarray:
    """Unit directions (J, 3) parent -> child of the exported rest pose: a T-pose for HumanML3D's joints, else the skeleton's own."""
    if skeleton.joint_names != HUMANML3D.joint_names:
        return np.array(skeleton.rest_directions, dtype=np.float64)
    directions = np.zeros((skeleton.joints, 3))
    for joint, name in enumerate(skeleton.joint_names[1:], start=1):
        mirrored = name.startswith("right_")
        x, y, z = _T_POSE["left_" + name[6:] if mirrored else name]
        directions[joint] = (-x if mirrored else x, y, z)
    return _unit(directions)


def joints_to_rig(motion: Motion, names: Sequence[str] | None = None) -> RigMotion:
    """Rotations for a motion's positions; bones take their median lengths. The joints come back within 1e-5 m if lengths are constant.

    Args:
        names: other names for the skeleton's J joints. The rig then has these joints and no helpers, as programs expect it that know a
            rig by its names, and bones that move against their siblings (collar bones) come back within some millimetres only.
    """
    skeleton = motion.skeleton
    joints = motion.joints.astype(np.float64)
    bones = fit_offsets(joints, skeleton.parents, rest_directions(skeleton))
    rig_names: list[str] = []
    parents: list[int] = []
    offsets: list[np.ndarray] = []
    source: list[int] = []  # whose position a rig joint has
    index: list[int] = []
    for joint, (name, parent) in enumerate(zip(names or skeleton.joint_names, skeleton.parents, strict=True)):
        above = index[parent] if parent >= 0 else -1
        if names is None and parent >= 0 and skeleton.parents.count(parent) > 1:
            rig_names.append(f"{name}_base")
            parents.append(above)
            offsets.append(np.zeros(3))
            source.append(parent)
            above = len(rig_names) - 1
        index.append(len(rig_names))
        rig_names.append(name)
        parents.append(above)
        offsets.append(bones[joint])
        source.append(joint)
    rig_offsets = np.stack(offsets)
    return RigMotion(
        names=tuple(rig_names),
        parents=tuple(parents),
        offsets=rig_offsets.astype(np.float32),
        root_positions=motion.joints[:, 0].copy(),
        quaternions=solve_rotations(joints[:, source], tuple(parents), rig_offsets).astype(np.float32),
        joint_index=tuple(index),
        fps=motion.fps,
    )

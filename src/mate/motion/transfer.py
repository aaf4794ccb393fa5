"""A motion on somebody else's skeleton: other joints, other proportions, another rest pose, another unit and up axis.

The motion's joints become rotations against a T-pose (`mate.motion.rotations`). The other skeleton gives one *reference pose* in which it
stands, its rest pose mostly, and says which of its joints play which of the 22 roles. In that pose

- thigh, shin, upper arm and forearm are matched by direction: afterwards these bones point exactly where the motion's do;
- pelvis, spine, neck, collars and feet are matched as they stand: whoever stands upright on flat feet there does so here, although
  anatomies put these joints in different places (a curved spine, a neck ahead of the chest, a high ankle).

Joints without a role (fingers, twist bones, a prop) keep their place on their parent, as do heads and hands, about whose own rotation
positions say nothing. The path is scaled by the legs, and the lowest joint of the feet comes as low as the motion's own.

Shapes: T frames, N joints of the skeleton. Quaternions w, x, y, z.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.motion.motion import Motion
from mate.motion.rotations import (
    fit_offsets,
    forward_kinematics,
    quaternion_between,
    quaternion_continuous,
    quaternion_inverse,
    quaternion_multiply,
    quaternion_rotate,
    rest_directions,
    solve_rotations,
)
from mate.motion.skeleton import HUMANML3D

# The bones that are matched by direction, by their two ends.
_BONES = {
    f"{side}_{start}": f"{side}_{end}"
    for side in ("left", "right")
    for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
}
# Nothing hangs from these in the motion, so nothing is known of how they are turned.
_ENDS = ("head", "left_wrist", "right_wrist", "left_foot", "right_foot")
_Y_UP = np.array([math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0])  # takes Z to Y


@dataclass(frozen=True, eq=False)
class TargetSkeleton:
    """A skeleton to put a motion on, standing in its reference pose.

    Attributes:
        parents: (N,) indices, parents first, -1 for the root.
        translations: (N, 3) from the parent, in the parent's frame and in the skeleton's own unit.
        rotations: (N, 4) against the parent, in the reference pose.
        roles: the role (one of HUMANML3D.joint_names) of every joint that has one -> its index. Pelvis, hips, knees and ankles are needed.
        up: "y" or "z".
        carrier: the joint that is moved through the world: the pelvis or one above it.
        exact: also the bones of the trunk and the feet are matched by direction: for a skeleton of the motion's own anatomy.
    """

    parents: tuple[int, ...]
    translations: np.ndarray
    rotations: np.ndarray
    roles: Mapping[str, int]
    up: str
    carrier: int
    exact: bool = False


def transfer(motion: Motion, target: TargetSkeleton) -> tuple[np.ndarray, np.ndarray]:
    """Puts a motion on a skeleton.

    Returns:
        (T, 3) where the carrier is on its parent, in the skeleton's own unit and axes; (T, N, 4) local rotations, continuous in time. All
        other joints keep their translations.

    Raises:
        MateError: a motion of other than the 22 joints, or legs without length.
    """
    if motion.skeleton.joint_names != HUMANML3D.joint_names:
        raise MateError(
            f"{motion.name or 'motion'}: a motion of {motion.skeleton.name}, expected HumanML3D's 22 joints"
        )
    roles, parents = target.roles, target.parents
    joints = motion.joints.astype(np.float64)
    tpose = fit_offsets(joints, HUMANML3D.parents, rest_directions(HUMANML3D))
    turned = _accumulate(solve_rotations(joints, HUMANML3D.parents, tpose), HUMANML3D.parents)
    stand, stand_turned = forward_kinematics(
        target.translations[None, 0], target.rotations[None], target.translations, parents
    )
    stand, stand_turned = stand[0], stand_turned[0]
    ours = _Y_UP if target.up == "z" else np.array([1.0, 0.0, 0.0, 0.0])  # their axes -> ours
    facing = quaternion_multiply(_about_y(-_heading(quaternion_rotate(ours, stand), roles)), ours)

    # Rotations of the joints with a role in their world; the others follow.
    world = np.empty((motion.frames, len(parents), 4))
    local = np.empty_like(world)
    leaders = {joint: role for role, joint in roles.items() if role not in _ENDS}
    bones = _every_bone() if target.exact else _BONES
    for joint, parent in enumerate(parents):
        above = world[:, parent] if parent >= 0 else np.array([1.0, 0.0, 0.0, 0.0])
        role = leaders.get(joint)
        if role is None:
            world[:, joint] = quaternion_multiply(above, target.rotations[joint])
        else:
            match = facing
            end = bones.get(role)
            if end is not None and end in roles:
                bone = quaternion_rotate(facing, stand[roles[end]] - stand[joint])
                match = quaternion_multiply(_between(bone, tpose[HUMANML3D.index(end)]), facing)
            turn = quaternion_multiply(turned[:, HUMANML3D.index(role)], match)
            world[:, joint] = quaternion_multiply(
                quaternion_multiply(quaternion_inverse(ours), turn), stand_turned[joint]
            )
        local[:, joint] = quaternion_multiply(quaternion_inverse(above), world[:, joint])
    local = quaternion_continuous(local)
    return _path(joints, target, stand, stand_turned, local, ours), local


def _path(
    joints: np.ndarray,
    target: TargetSkeleton,
    stand: np.ndarray,
    stand_turned: np.ndarray,
    local: np.ndarray,
    ours: np.ndarray,
) -> np.ndarray:
    """Where the carrier is on its parent, (T, 3): the middle of the hips follows that of the motion (T, 22, 3), scaled by the legs."""
    roles, parents, carrier = target.roles, target.parents, target.carrier
    index = HUMANML3D.index
    leg = float(np.mean([_leg(stand, roles["left_hip"], roles["left_knee"], roles["left_ankle"]),
                         _leg(stand, roles["right_hip"], roles["right_knee"], roles["right_ankle"])]))  # fmt: skip
    own = float(np.mean([_leg(joints, index(f"{side}_hip"), index(f"{side}_knee"), index(f"{side}_ankle"))
                         for side in ("left", "right")]))  # fmt: skip
    if not leg > 1e-9 or not own > 1e-9:
        raise MateError("got legs without length, expected a standing body: check the rig's hips, knees and ankles")
    ratio = leg / own  # their unit a metre of ours
    hips = joints[:, [index("left_hip"), index("right_hip")]].mean(axis=1)
    wanted = quaternion_rotate(quaternion_inverse(ours), hips * ratio)

    root = np.tile(target.translations[0], (len(joints), 1))
    positions, world = forward_kinematics(root, local, target.translations, parents)
    above = parents[carrier]
    start = positions[:, above] if above >= 0 else np.zeros(3)
    frame = world[:, above] if above >= 0 else np.array([1.0, 0.0, 0.0, 0.0])
    # The whole body hangs from the carrier: what the hips lack is what the carrier must be moved by.
    missing = wanted - positions[:, [roles["left_hip"], roles["right_hip"]]].mean(axis=1)
    feet = _below(parents, [roles["left_ankle"], roles["right_ankle"]])
    up = 1 if target.up == "y" else 2
    lowest = (positions[:, feet, up] + missing[:, None, up]).min()
    own_feet = joints[:, [index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "foot")], 1]
    missing[:, up] += own_feet.min() * ratio - lowest
    return quaternion_rotate(quaternion_inverse(frame), positions[:, carrier] + missing - start)


def _every_bone() -> dict[str, str]:
    """Each joint with one child -> that child."""
    parents = HUMANML3D.parents
    return {
        HUMANML3D.joint_names[parent]: HUMANML3D.joint_names[joint]
        for joint, parent in enumerate(parents)
        if parent >= 0 and parents.count(parent) == 1
    }


def _accumulate(local: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """Local rotations (T, N, 4) -> rotations in the world."""
    world = local.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            world[:, joint] = quaternion_multiply(world[:, parent], local[:, joint])
    return world


def _about_y(angle: float) -> np.ndarray:
    return np.array([math.cos(angle / 2), 0.0, math.sin(angle / 2), 0.0])


def _heading(stand: np.ndarray, roles: Mapping[str, int]) -> float:
    """Which way a body (N, 3) with Y up faces: radians to the left of +Z."""
    across = stand[roles["left_hip"]] - stand[roles["right_hip"]]
    return math.atan2(-across[2], across[0])


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) < 1e-9:
        return np.array([1.0, 0.0, 0.0, 0.0])
    return quaternion_between(a / lengths[0], b / lengths[1])


def _leg(positions: np.ndarray, hip: int, knee: int, ankle: int) -> float:
    upper = np.linalg.norm(positions[..., knee, :] - positions[..., hip, :], axis=-1)
    return float(np.median(upper + np.linalg.norm(positions[..., ankle, :] - positions[..., knee, :], axis=-1)))


def _below(parents: tuple[int, ...], tops: list[int]) -> list[int]:
    """The joints `tops` and all that hang from them."""
    found = set(tops)
    for joint, parent in enumerate(parents):
        if parent in found:
            found.add(joint)
    return sorted(found)

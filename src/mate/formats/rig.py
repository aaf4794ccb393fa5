"""The user's own rig: a BVH file, or the joint names of Mixamo, Unity Humanoid or VRM.

A BVH rig keeps everything of its file but the numbers under MOTION: hierarchy, names, offsets, channels and their order. Which of its
joints plays which role and its up axis are found as when a motion is read (`mate.formats.mapping`). Its reference pose (see
`mate.motion.transfer`) is the rest pose (all rotations zero) where that stands; where it does not (in some files all bones lie along one
axis), the frame of the file in which the body stands tallest.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.formats.bvh import BvhMotion, read_bvh
from mate.formats.mapping import guess_up, joint_map
from mate.formats.skeleton_file import RigFile
from mate.motion.rotations import fit_rotation
from mate.motion.skeleton import HUMANML3D
from mate.motion.transfer import TargetSkeleton

# The names of the 22 joints elsewhere, in HumanML3D's order; {L} is Left or Right, {l} left or right.
_UNITY = (
    "Hips", "{L}UpperLeg", "{R}UpperLeg", "Spine", "{L}LowerLeg", "{R}LowerLeg", "Chest", "{L}Foot", "{R}Foot", "UpperChest",
    "{L}Toes", "{R}Toes", "Neck", "{L}Shoulder", "{R}Shoulder", "Head", "{L}UpperArm", "{R}UpperArm", "{L}LowerArm", "{R}LowerArm",
    "{L}Hand", "{R}Hand",
)  # fmt: skip
_MIXAMO = (
    "Hips", "{L}UpLeg", "{R}UpLeg", "Spine", "{L}Leg", "{R}Leg", "Spine1", "{L}Foot", "{R}Foot", "Spine2", "{L}ToeBase", "{R}ToeBase",
    "Neck", "{L}Shoulder", "{R}Shoulder", "Head", "{L}Arm", "{R}Arm", "{L}ForeArm", "{R}ForeArm", "{L}Hand", "{R}Hand",
)  # fmt: skip


def _sided(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.format(L="Left", R="Right") for name in names)


# Sources: Mixamo's downloads; Unity's HumanBodyBones; the VRM 1.0 specification's humanoid bones.
NAMED: dict[str, tuple[str, ...]] = {
    "mixamo": tuple(f"mixamorig:{name}" for name in _sided(_MIXAMO)),
    "unity": _sided(_UNITY),
    "vrm": tuple(name[0].lower() + name[1:] for name in _sided(_UNITY)),
}
_UPRIGHT = 0.9  # cosine between the body and the up axis
_MOST_FRAMES = 200  # of a rig's own motion that are looked at
_NEEDED = ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")


@dataclass(frozen=True, eq=False)
class BvhRig:
    """A BVH file to be filled with another motion.

    Attributes:
        bvh: the file; its values are those of the reference pose, one frame.
        skeleton: it as a target of `mate.motion.transfer.transfer`.
    """

    bvh: BvhMotion
    skeleton: TargetSkeleton


def open_rig(rig: str | Path, roles: RigFile | None = None) -> "BvhRig | tuple[str, ...]":
    """The rig that `--rig` names: joint names of `NAMED`, or a BVH file.

    Raises:
        MateError: neither; or see `read_rig`.
    """
    if str(rig).lower() in NAMED and not Path(rig).exists():
        if roles is not None:
            raise MateError(f"got roles for the rig {rig}, whose joints are known; leave them out")
        return NAMED[str(rig).lower()]
    if not Path(rig).is_file():
        raise MateError(f"no rig at {rig}; expected a BVH file, or one of {', '.join(NAMED)}")
    return read_rig(rig, roles)


def read_rig(path: str | Path, roles: RigFile | None = None) -> BvhRig:
    """Reads a BVH file as a rig.

    Args:
        roles: which joint plays which role, and the up axis, for rigs that cannot be guessed.

    Raises:
        MateError: not a sound BVH; a role is missing; nothing that moves the body through the world, or a joint with a role that cannot
            turn freely.
    """
    bvh = read_bvh(path)
    frames = np.unique(np.linspace(0, bvh.frames - 1, min(bvh.frames, _MOST_FRAMES)).round().astype(int))
    bvh = dataclasses.replace(bvh, values=bvh.values[frames])
    mapping = dict(roles.roles) if roles else None
    found = joint_map(bvh.names, bvh.parents, bvh.positions, bvh.name, mapping)
    bodies, rest = found.apply(bvh.positions), found.apply(bvh.rest_positions[None])
    up = roles.up if roles and roles.up else guess_up(bodies, rest[0])
    axis = 1 if up == "y" else 2
    if _stands(rest[0], axis):
        values = np.zeros((1, bvh.values.shape[1]))
        for column, (joint, kind, part) in enumerate(_columns(bvh)):
            if kind == "position":
                values[0, column] = bvh.offsets[joint, part]
    else:
        height = bodies[:, 15, axis] - bodies[:, [7, 8], axis].mean(axis=1)
        tallest = int(height.argmax())
        if not _stands(bodies[tallest], axis):
            raise MateError(
                f"{bvh.name}: the body stands upright neither in its rest pose nor in a frame; expected a rig with a T-pose or "
                "another standing pose as its rest pose or among its frames"
            )
        values = bvh.values[tallest : tallest + 1]
    bvh = dataclasses.replace(bvh, values=values)
    return BvhRig(bvh, _skeleton(bvh, found.weights, up))


def _stands(body: np.ndarray, axis: int) -> bool:
    """Whether a body (22, 3) is upright on straight legs."""
    feet = body[[7, 8]].mean(axis=0)
    trunk = body[15] - feet
    legs = np.linalg.norm(body[[4, 5, 7, 8]] - body[[1, 2, 4, 5]], axis=-1).sum() / 2
    height = body[[1, 2], axis].mean() - feet[axis]
    return bool(trunk[axis] > _UPRIGHT * np.linalg.norm(trunk) and height > 0.8 * legs)


def _columns(bvh: BvhMotion) -> list[tuple[int, str, int]]:
    """Joint, kind and axis of every channel."""
    return [(joint, kind, axis) for joint, channels in enumerate(bvh.channels) for kind, axis in channels]


def _skeleton(bvh: BvhMotion, weights: np.ndarray, up: str) -> TargetSkeleton:
    roles = {}
    for role, row in zip(HUMANML3D.joint_names, weights, strict=True):
        joint = int(row.argmax())
        if row[joint] == 1.0 and joint not in roles.values():  # else the role is a place between joints
            roles[role] = joint
    if missing := [role for role in _NEEDED if role not in roles]:
        raise MateError(f"{bvh.name}: no joint for {', '.join(missing)}; say which ones they are in a skeleton file")
    kinds = [[kind for kind, _ in channels] for channels in bvh.channels]
    for role, joint in list(roles.items()):
        turns = kinds[joint].count("rotation")
        if turns < 3 and joint in bvh.parents:  # an end of the body need not turn
            if turns or role in _NEEDED:
                raise MateError(
                    f"{bvh.name}: the joint {bvh.names[joint]} ({role}) has {turns} rotation channels, expected 3"
                )
            del roles[role]
    carrier = roles["pelvis"]
    while carrier >= 0 and kinds[carrier].count("position") < 3:
        carrier = bvh.parents[carrier]
    if carrier < 0:
        raise MateError(
            f"{bvh.name}: neither the pelvis ({bvh.names[roles['pelvis']]}) nor a joint above it has three position channels; "
            "expected a root that can move"
        )
    translations = bvh.offsets.copy()
    for value, (joint, kind, axis) in zip(bvh.values[0], _columns(bvh), strict=True):
        if kind == "position":
            translations[joint, axis] = value
    matrices = bvh.local_rotations[0]
    rotations = fit_rotation(np.eye(3), matrices.swapaxes(-1, -2))
    return TargetSkeleton(bvh.parents, translations, rotations, roles, up, carrier)

"""BioVision Hierarchy (BVH) files: writing, with our own skeleton or into the user's own file's."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from mate.files import atomic_path
from mate.formats.rig import BvhRig
from mate.motion.motion import Motion
from mate.motion.rotations import (
    RigMotion,
    euler_angles,
    joints_to_rig,
    quaternion_continuous,
    quaternion_inverse,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_matrix,
)
from mate.motion.skeleton import Skeleton
from mate.motion.transfer import transfer

_LIMBS = ("knee", "ankle", "foot", "elbow", "wrist")
_LENGTH_TOLERANCE = 1e-4  # metres by which a written bone may miss its length
_ZXY = (2, 0, 1)
_Z_UP = np.array([math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0])  # takes Y to Z
CENTIMETRE = 0.01


def _hierarchy(rig: RigMotion, moving: dict[int, np.ndarray], unit: float) -> list[str]:
    """The HIERARCHY block, offsets in `unit` metres; joints in `moving` have position channels.

    The rig's joints come parents first but not depth first, as BVH needs them.
    """
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(rig.parents):
        children.setdefault(parent, []).append(joint)
    lines = ["HIERARCHY"]

    def offset(indent: str, values: np.ndarray) -> str:
        return f"{indent}OFFSET " + " ".join(f"{value:.6f}" for value in values.astype(np.float64) / unit)

    stack: list[tuple[int, int]] = [(children[-1][0], 0)]  # (joint, depth); joint -1 closes a brace
    while stack:
        joint, depth = stack.pop()
        indent = "\t" * depth
        if joint < 0:
            lines.append(indent + "}")
            continue
        inner = indent + "\t"
        root = rig.parents[joint] < 0
        positions = "6 Xposition Yposition Zposition" if root or joint in moving else "3"
        lines += [f"{indent}{'ROOT' if root else 'JOINT'} {rig.names[joint]}", indent + "{"]
        lines.append(offset(inner, np.zeros(3) if root else rig.offsets[joint]))
        lines.append(f"{inner}CHANNELS {positions} Zrotation Xrotation Yrotation")
        stack.append((-1, depth))
        if joint in children:
            stack += [(child, depth + 1) for child in reversed(children[joint])]
        else:  # the positions say nothing about where a limb ends: a stub that continues the last bone
            lines += [inner + "End Site", inner + "{", offset(inner + "\t", rig.offsets[joint] * 0.4), inner + "}"]
    return lines


def _depth_first(rig: RigMotion) -> list[int]:
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(rig.parents):
        children.setdefault(parent, []).append(joint)
    order: list[int] = []
    stack = list(children[-1])
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack += reversed(children.get(joint, []))
    return order


def _changing_bones(rig: RigMotion, joints: np.ndarray, skeleton: Skeleton) -> dict[int, np.ndarray]:
    """Rig joint -> its offset in every frame, (T, 3) metres, for bones of the trunk whose length changes in joints (T, J, 3).

    Where a rig has fewer or other joints between the pelvis, the head and the shoulders, ours lie between them and come closer when
    the body bends: by some millimetres. Limbs keep their length in all rigs; where theirs drifts, it is noise, and they do not get it.
    """
    found: dict[int, np.ndarray] = {}
    for joint, (name, parent) in enumerate(zip(skeleton.joint_names, skeleton.parents, strict=True)):
        if parent >= 0 and name.split("_")[-1] not in _LIMBS:
            index = rig.joint_index[joint]
            rest = rig.offsets[index].astype(np.float64)
            median = float(np.linalg.norm(rest))
            lengths = np.linalg.norm((joints[:, joint] - joints[:, parent]).astype(np.float64), axis=-1)
            if median > 1e-6 and np.abs(lengths - median).max() > _LENGTH_TOLERANCE:
                found[index] = rest / median * lengths[:, None]
    return found


def write_bvh(
    motion: Motion,
    path: str | Path,
    rig: BvhRig | tuple[str, ...] | None = None,
    up: str = "y",
    unit: float = CENTIMETRE,
) -> None:
    """Writes a motion as BVH at its own frame rate.

    Without a rig: centimetres, Y up (or `unit` and `up`), T-pose facing +Z as rest pose, Euler order Z X Y. Joints keep their names.
    Every bone that shares its parent with others hangs from a helper joint `<name>_base` of length zero (see
    `mate.motion.rotations.RigMotion`), so that rotations alone give the positions back where bones keep their length. A bone of the
    trunk whose length changes by more than 0.1 mm gets position channels beside its rotation; all others take their median length.

    Args:
        rig: other names for the joints: the same without helpers and with rotations only. Or a BVH file's rig: what is written is that
            file's hierarchy with the motion on it, as `mate.motion.transfer` puts it there, in the file's own unit and axes.
        up: "y", or "z" for a world and a rest pose that stand along Z (facing -Y).
        unit: of length, in metres.

    Raises:
        MateError: the file cannot be written, or see `mate.motion.transfer.transfer`.
    """
    if isinstance(rig, BvhRig):
        _write(path, rig.bvh.hierarchy, _rig_values(motion, rig), motion.fps)
        return
    own = joints_to_rig(motion, rig)
    moving = {} if rig else _changing_bones(own, motion.joints, motion.skeleton)
    if up == "z":
        own = _turned(own)
        moving = {joint: quaternion_rotate(_Z_UP, places) for joint, places in moving.items()}
    order = _depth_first(own)
    angles = euler_angles(quaternion_to_matrix(own.quaternions.astype(np.float64)), _ZXY)
    columns = []
    for joint in order:
        if own.parents[joint] < 0:
            columns.append(own.root_positions.astype(np.float64) / unit)
        elif joint in moving:
            columns.append(moving[joint] / unit)
        columns.append(angles[:, joint])
    hierarchy = "\n".join(_hierarchy(own, moving, unit)).encode("ascii")
    _write(path, hierarchy, np.concatenate(columns, axis=1), motion.fps)


def _turned(rig: RigMotion) -> RigMotion:
    """The rig and its motion with Z up: everything turned by a quarter about X, every joint's own axes with it."""
    quaternions = quaternion_multiply(quaternion_multiply(_Z_UP, rig.quaternions), quaternion_inverse(_Z_UP))
    return dataclasses.replace(
        rig,
        offsets=quaternion_rotate(_Z_UP, rig.offsets),
        root_positions=quaternion_rotate(_Z_UP, rig.root_positions),
        quaternions=quaternion_continuous(quaternions),
    )


def _rig_values(motion: Motion, rig: BvhRig) -> np.ndarray:
    """The numbers under MOTION, (T, C), of a motion on a rig. Joints that do not move keep those of the reference pose."""
    bvh = rig.bvh
    places, rotations = transfer(motion, rig.skeleton)
    values = np.repeat(bvh.values, motion.frames, axis=0)
    start = 0
    for joint, channels in enumerate(bvh.channels):
        turns = [k for k, (kind, _) in enumerate(channels) if kind == "rotation"]
        if len(turns) == 3:
            axes = tuple(channels[k][1] for k in turns)
            matrices = quaternion_to_matrix(rotations[:, joint])
            values[:, [start + k for k in turns]] = euler_angles(matrices, (axes[0], axes[1], axes[2]))
        if joint == rig.skeleton.carrier:
            for k, (kind, axis) in enumerate(channels):
                if kind == "position":
                    values[:, start + k] = places[:, axis]
        start += len(channels)
    return values


def _write(path: str | Path, hierarchy: bytes, values: np.ndarray, fps: float) -> None:
    head = f"MOTION\nFrames: {len(values)}\nFrame Time: {1.0 / fps:.9g}\n".encode("ascii")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(hierarchy.rstrip() + b"\n" + head)
        np.savetxt(file, values, fmt="%.6f")

"""The body that pictures and GLB files show: tapered capsules around the joints. Own geometry, no body model.

Right limbs are blue, left limbs orange, trunk and hips grey, head and hands skin.
"""

from dataclasses import dataclass

import numpy as np

from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

Color = tuple[int, int, int]
TRUNK: Color = (122, 128, 140)
LEFT: Color = (232, 126, 58)
RIGHT: Color = (58, 122, 190)
SKIN: Color = (222, 196, 172)


@dataclass(frozen=True)
class Capsule:
    """Two spheres and the cone between them.

    Attributes:
        a, b: the ends, as indices into the figure's points.
        radius_a, radius_b: metres.
        color: red, green, blue, 0 to 255.
        bone_a, bone_b: which bone carries each end; a bone is named by the joint at its far end.
    """

    a: int
    b: int
    radius_a: float
    radius_b: float
    color: Color
    bone_a: int
    bone_b: int


# Radii in metres at the start and the end of a bone, by the name of the joint at its end; the limbs without left_ or right_.
_LIMBS = {
    "hip": (0.095, 0.085),
    "knee": (0.082, 0.056),
    "ankle": (0.056, 0.038),
    "foot": (0.040, 0.034),
    "collar": (0.070, 0.060),
    "shoulder": (0.062, 0.055),
    "elbow": (0.048, 0.038),
    "wrist": (0.038, 0.028),
}
_SPINE = {"spine1": (0.115, 0.105), "spine2": (0.105, 0.110), "spine3": (0.110, 0.115), "neck": (0.085, 0.050)}


def side_color(name: str) -> Color:
    """The colour of a limb by its joint's name."""
    lower = name.lower()
    if lower.startswith("left") or lower.endswith("_l"):
        return LEFT
    if lower.startswith("right") or lower.endswith("_r"):
        return RIGHT
    return TRUNK


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-8)


def body_figure(motion: Motion) -> tuple[np.ndarray, list[Capsule]]:
    """Points (T, P, 3) in metres and the capsules between them.

    The first J points are the joints. HumanML3D's skeleton gets a head, hands and toes; any other is drawn as plain bones.
    """
    joints = motion.joints.astype(np.float64)
    names = motion.skeleton.joint_names
    bones = [(joint, parent) for joint, parent in enumerate(motion.skeleton.parents) if parent >= 0]
    if names != HUMANML3D.joint_names:
        return joints, [Capsule(p, j, 0.035, 0.03, side_color(names[j]), j, j) for j, p in bones]

    at = {name: joints[:, i] for i, name in enumerate(names)}
    up = _unit(_unit(at["head"] - at["neck"]) + _unit(at["neck"] - at["spine3"]))
    forward = _unit(np.cross(at["left_shoulder"] - at["right_shoulder"], up))
    jaw = at["head"] + 0.01 * up + 0.01 * forward
    extra = [jaw, at["head"] + 0.08 * up - 0.01 * forward, jaw + 0.093 * forward + 0.025 * up]
    for side in ("left", "right"):
        wrist, foot = at[f"{side}_wrist"], at[f"{side}_foot"]
        extra += [wrist + 0.085 * _unit(wrist - at[f"{side}_elbow"])]
        extra += [foot + 0.055 * _unit(foot - at[f"{side}_ankle"]) * (1, 0, 1)]
    points = np.concatenate((joints, np.stack(extra, axis=1)), axis=1)

    capsules = []
    for joint, parent in bones:
        name = names[joint]
        radii = _SPINE.get(name) or _LIMBS.get(name.split("_")[-1])
        if radii:
            trunk = name in _SPINE or name.endswith(("hip", "collar"))
            capsules.append(Capsule(parent, joint, *radii, TRUNK if trunk else side_color(name), joint, joint))
    index = names.index
    first = len(names)
    jaw_point, crown_point, nose_point = first, first + 1, first + 2
    head = index("head")
    for left, right, radius in (("left_hip", "right_hip", 0.09), ("left_shoulder", "right_shoulder", 0.062)):
        a, b = index(left), index(right)
        capsules.append(Capsule(a, b, radius, radius, TRUNK, a, b))
    capsules.append(Capsule(index("neck"), jaw_point, 0.052, 0.048, SKIN, head, head))
    capsules.append(Capsule(jaw_point, crown_point, 0.082, 0.100, SKIN, head, head))
    capsules.append(Capsule(nose_point, nose_point, 0.02, 0.02, SKIN, head, head))
    for start, side in ((first + 3, "left"), (first + 5, "right")):
        wrist, foot = index(f"{side}_wrist"), index(f"{side}_foot")
        capsules.append(Capsule(wrist, start, 0.034, 0.034, SKIN, wrist, wrist))
        capsules.append(Capsule(foot, start + 1, 0.036, 0.028, side_color(side), foot, foot))
    return points, capsules

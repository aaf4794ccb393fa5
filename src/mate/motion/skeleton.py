"""Skeletons: which joints there are, how they hang together, and which roles they play."""

from dataclasses import dataclass

import numpy as np

from mate.errors import MateError


@dataclass(frozen=True)
class Skeleton:
    """A tree of J joints.

    Joints are ordered so that every parent comes before its children; the root has parent -1. `rest_directions` (J, 3) are the
    unit directions parent -> child in the rest pose (Y up, facing +Z, left at +X) and `bone_lengths` (J,) the distances to the
    parent in metres (0 for the root).
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    rest_directions: tuple[tuple[float, float, float], ...]
    bone_lengths: tuple[float, ...]
    chains: tuple[tuple[int, ...], ...]

    @property
    def joints(self) -> int:
        """The number of joints J."""
        return len(self.joint_names)

    def index(self, name: str) -> int:
        """The index of a joint by its name. Raises ValueError for an unknown name."""
        return self.joint_names.index(name)

    @property
    def rest_offsets(self) -> np.ndarray:
        """Offsets to the parent in the rest pose, (J, 3) float32, metres."""
        return (np.array(self.rest_directions) * np.array(self.bone_lengths)[:, None]).astype(np.float32)


# The 22 body joints of SMPL as HumanML3D uses them. Rest directions: HumanML3D's `t2m_raw_offsets`; bone lengths: the distances in the
# first frame of its reference clip 000021, to which it retargets every motion.
HUMANML3D = Skeleton(
    name="humanml3d",
    joint_names=(
        "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3",
        "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
        "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    ),
    parents=(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19),
    rest_directions=(
        (0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, -1, 0), (0, 1, 0), (0, -1, 0), (0, -1, 0), (0, 1, 0),
        (0, 0, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, -1, 0), (0, -1, 0),
        (0, -1, 0), (0, -1, 0), (0, -1, 0), (0, -1, 0),
    ),
    bone_lengths=(
        0.0, 0.1031, 0.109868, 0.131603, 0.393589, 0.390126, 0.143164, 0.432215, 0.425708, 0.057362, 0.143381,
        0.149541, 0.219349, 0.13745, 0.143361, 0.103109, 0.131558, 0.123003, 0.256925, 0.263132, 0.26601, 0.269718,
    ),
    chains=((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20)),
)  # fmt: skip

LEFT = tuple(i for i, name in enumerate(HUMANML3D.joint_names) if name.startswith("left"))
RIGHT = tuple(HUMANML3D.index("right" + HUMANML3D.joint_names[i][4:]) for i in LEFT)
LEFT_FOOT, RIGHT_FOOT = (7, 10), (8, 11)
LEFT_HAND, RIGHT_HAND = 20, 21
HEAD = 15

# KIT-ML's 21 joints as HumanML3D processes them, in its order and with its rest directions (`kit_raw_offsets`). Right and left are those of
# its data: a body that faces +Z has joint 11, the right hip, at -X, opposite to its rest direction. The bone lengths of its reference
# clip were not published (0 here): what is published already has them, so a KIT folder's own first clip gives them.
KIT = Skeleton(
    name="kit",
    joint_names=(
        "pelvis", "spine1", "spine2", "neck", "head", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
        "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "right_midfoot", "right_foot", "left_hip",
        "left_knee", "left_ankle", "left_midfoot", "left_foot",
    ),
    parents=(-1, 0, 1, 2, 3, 3, 5, 6, 3, 8, 9, 0, 11, 12, 13, 14, 0, 16, 17, 18, 19),
    rest_directions=(
        (0, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (1, 0, 0), (0, -1, 0), (0, -1, 0), (-1, 0, 0),
        (0, -1, 0), (0, -1, 0), (1, 0, 0), (0, -1, 0), (0, -1, 0), (0, 0, 1), (0, 0, 1), (-1, 0, 0), (0, -1, 0),
        (0, -1, 0), (0, 0, 1), (0, 0, 1),
    ),
    bone_lengths=(0.0,) * 21,
    chains=((0, 11, 12, 13, 14, 15), (0, 16, 17, 18, 19, 20), (0, 1, 2, 3, 4), (3, 5, 6, 7), (3, 8, 9, 10)),
)  # fmt: skip


def only_humanml3d(skeleton: str, what: str) -> None:
    """Raises MateError, for something that needs HumanML3D's joints, where a motion or a model has those of another skeleton."""
    if skeleton != HUMANML3D.name:
        raise MateError(f"{what}: needs the {HUMANML3D.joints} joints of HumanML3D, got those of {skeleton!r}")

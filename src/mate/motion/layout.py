"""What the numbers of a frame are: which group stands where, for HumanML3D's 22 joints and for KIT-ML's 21."""

from dataclasses import dataclass, replace
from itertools import pairwise

from mate.motion.retarget import sides
from mate.motion.skeleton import HUMANML3D, KIT, LEFT_FOOT, RIGHT_FOOT, Skeleton


@dataclass(frozen=True)
class FeatureLayout:
    """Where each group of numbers is in the features of a skeleton with `joints` joints: slices of the last axis."""

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


@dataclass(frozen=True)
class FeatureSpec:
    """The choices of the published procedure for one skeleton.

    Attributes:
        skeleton: its bone lengths are in the data set's unit.
        fps: frames per second of the data set.
        leg: the two bones (each named by its lower joint) whose length says how a motion is scaled.
        contacts: the joints of the four contact labels: two of the left foot, two of the right one.
        contact_threshold: a foot stands where its squared step per frame is below this; the data set's unit.
        metres: how many metres the data set's unit of length is.
    """

    skeleton: Skeleton
    fps: float
    leg: tuple[int, int]
    contacts: tuple[int, int, int, int]
    contact_threshold: float
    metres: float = 1.0

    @property
    def layout(self) -> FeatureLayout:
        """Which number is what."""
        return FeatureLayout(self.skeleton.joints)

    @property
    def dim(self) -> int:
        """How many numbers a frame has."""
        return self.layout.dim

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """The left hip, the right hip, the left shoulder, the right shoulder."""
        return sides(self.skeleton)

    @property
    def body(self) -> Skeleton:
        """The skeleton with its bone lengths in metres."""
        lengths = tuple(round(length * self.metres, 6) for length in self.skeleton.bone_lengths)
        return replace(self.skeleton, bone_lengths=lengths)

    @property
    def std_groups(self) -> tuple[int, ...]:
        """The widths of the groups whose standard deviations HumanML3D averages (its `cal_mean_variance`)."""
        joints = self.skeleton.joints
        return (1, 2, 1, 3 * (joints - 1), 6 * (joints - 1), 3 * joints, 4)

    @property
    def chain_parents(self) -> tuple[int, ...]:
        """The joint to which each joint's rotation is relative: the one before it in its chain, the root for the first."""
        before = [0] * self.skeleton.joints
        for chain in self.skeleton.chains:
            for previous, joint in pairwise(chain[1:]):
                before[joint] = previous
        return tuple(before)


HUMANML3D_FEATURES = FeatureSpec(HUMANML3D, 20.0, (5, 8), (*LEFT_FOOT, *RIGHT_FOOT), 0.002)
# KIT-ML is in millimetres, its scale comes from the left leg, and its threshold is the published one: (0.05)^0.5 mm a frame.
KIT_FEATURES = FeatureSpec(KIT, 12.5, (17, 18), (19, 20, 14, 15), 0.05, metres=0.001)

LAYOUT = HUMANML3D_FEATURES.layout
FEATURE_DIM = LAYOUT.dim  # 263

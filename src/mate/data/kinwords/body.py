"""The body: from a few dozen channels a frame to the 22 joints of one build.

The trunk, head and arms are forward kinematics of angles; the legs are two-bone inverse kinematics from the hips to planned ankles, so
that planted feet stay where they are. Shapes: T frames, C channels. Radians and metres inside; lengths on the floor and of the legs are
the canonical body's, and a build scales them.
"""

from dataclasses import dataclass

import numpy as np

from mate.data.kinwords.curves import cover
from mate.motion.skeleton import HUMANML3D

Array = np.ndarray

# Pelvis offsets are in the heading frame (sway to the left, shift forward); pitch is positive forward, yaw to the left, roll
# to the right.
CHANNELS = (
    "sway", "height", "shift", "pelvis_pitch", "pelvis_yaw", "pelvis_roll",
    "chest_pitch", "chest_yaw", "chest_roll", "head_pitch", "head_yaw", "head_roll",
    "left_flex", "left_abduct", "left_twist", "left_elbow", "left_shrug",
    "right_flex", "right_abduct", "right_twist", "right_elbow", "right_shrug",
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(CHANNELS)}
LEFT_ARM = slice(12, 17)
RIGHT_ARM = slice(17, 22)
# The mirror image: which channel takes whose place, and which change their sign.
SWAPPED = np.array([*range(12), *range(17, 22), *range(12, 17)])
SIGNS = np.array([-1.0 if name == "sway" or name.endswith(("_yaw", "_roll")) else 1.0 for name in CHANNELS])
ARM = {"left": LEFT_ARM, "right": RIGHT_ARM}

LENGTH = np.array(HUMANML3D.bone_lengths)
BALL_HEIGHT, ANKLE_HEIGHT = 0.02, 0.068
# How far in front of the ankle the ball of the foot stands when the sole is flat, (left, right).
FOOT_REACH = tuple(float(np.sqrt(LENGTH[j] ** 2 - (ANKLE_HEIGHT - BALL_HEIGHT) ** 2)) for j in (10, 11))
THIGH = (LENGTH[4], LENGTH[5])
SHIN = (LENGTH[7], LENGTH[8])
STRAIGHT = 0.9985  # of the full leg: a knee is never locked
STAND_HEIGHT = 0.967
HIP_WIDTH = 0.085

# Directions of the bones of a person standing relaxed, in the frame of the segment that carries them; means of standing people.
NEUTRAL = {
    1: (0.57, -0.81, -0.08), 2: (-0.57, -0.81, -0.08), 3: (0.0, 0.955, -0.27), 6: (0.0, 0.955, 0.22), 9: (0.0, 0.97, 0.24),
    12: (0.0, 0.99, 0.04), 13: (0.55, 0.83, -0.02), 14: (-0.55, 0.83, -0.02), 15: (0.0, 0.82, 0.57),
    16: (0.98, -0.16, -0.04), 17: (-0.98, -0.16, -0.04),
}  # fmt: skip

OFFSET = {j: np.array(d) / np.linalg.norm(d) * LENGTH[j] for j, d in NEUTRAL.items()}
# How far each channel may go, degrees: healthy adults' ranges of motion, the trunk's over its three joints together.
RANGES = {
    "pelvis_pitch": (-100, 75), "pelvis_yaw": (-30, 30), "pelvis_roll": (-20, 20),
    "chest_pitch": (-30, 75), "chest_yaw": (-45, 45), "chest_roll": (-35, 35),
    "head_pitch": (-55, 50), "head_yaw": (-78, 78), "head_roll": (-40, 40),
    "flex": (-60, 182), "abduct": (-45, 170), "twist": (-95, 90), "elbow": (2, 148), "shrug": (-12, 32),
}  # fmt: skip
# The range of every channel, (C,) radians; positions are free.
_RANGE = [RANGES.get(name) or RANGES.get(name.split("_")[-1]) or (-np.inf, np.inf) for name in CHANNELS]
LOWEST, HIGHEST = (np.array([pair[i] for pair in _RANGE]) * np.pi / 180.0 for i in (0, 1))


@dataclass(frozen=True)
class Build:
    """Bone lengths as factors on the canonical ones. All bones of the legs share one factor: such a body, retargeted by its legs as
    HumanML3D does it, keeps its footprints.
    """

    legs: float = 1.0
    trunk: float = 1.0
    shoulders: float = 1.0
    arms: float = 1.0
    head: float = 1.0

    @property
    def factors(self) -> Array:
        """(22,), one a bone."""
        out = np.full(22, self.legs)
        for factor, bones in (
            (self.trunk, (3, 6, 9)),
            (self.shoulders, (13, 14, 16, 17)),
            (self.arms, (18, 19, 20, 21)),
        ):
            out[list(bones)] = factor
        out[[12, 15]] = self.head
        return out


CANONICAL = Build()


def rot_x(a: Array) -> Array:
    """Rotations about x, (T,) radians -> (T, 3, 3)."""
    c, s = np.cos(a), np.sin(a)
    out = np.zeros((*a.shape, 3, 3))
    out[..., 0, 0] = 1.0
    out[..., 1, 1], out[..., 1, 2], out[..., 2, 1], out[..., 2, 2] = c, -s, s, c
    return out


def rot_y(a: Array) -> Array:
    """Rotations about y, (T,) radians -> (T, 3, 3)."""
    c, s = np.cos(a), np.sin(a)
    out = np.zeros((*a.shape, 3, 3))
    out[..., 1, 1] = 1.0
    out[..., 0, 0], out[..., 0, 2], out[..., 2, 0], out[..., 2, 2] = c, s, -s, c
    return out


def rot_z(a: Array) -> Array:
    """Rotations about z, (T,) radians -> (T, 3, 3)."""
    c, s = np.cos(a), np.sin(a)
    out = np.zeros((*a.shape, 3, 3))
    out[..., 2, 2] = 1.0
    out[..., 0, 0], out[..., 0, 1], out[..., 1, 0], out[..., 1, 1] = c, -s, s, c
    return out


def forward(heading: Array) -> Array:
    """Unit vectors (T, 3) that face the heading (T,)."""
    return np.stack([np.sin(heading), np.zeros_like(heading), np.cos(heading)], axis=-1)


def leftward(heading: Array) -> Array:
    """Unit vectors (T, 3) to the left of the heading (T,)."""
    return np.stack([np.cos(heading), np.zeros_like(heading), -np.sin(heading)], axis=-1)


def pelvis_frame(channels: Array, root: Array, heading: Array) -> tuple[Array, Array]:
    """Pelvis positions (T, 3) and orientations (T, 3, 3) from channels (T, C), root path (T, 2) as x, z and heading (T,)."""
    c = channels
    position = np.empty((len(c), 3))
    position[:, ::2] = root
    position[:, 1] = STAND_HEIGHT + c[:, INDEX["height"]]
    position += leftward(heading) * c[:, INDEX["sway"], None] + forward(heading) * c[:, INDEX["shift"], None]
    turn = (
        rot_y(heading + c[:, INDEX["pelvis_yaw"]])
        @ rot_x(c[:, INDEX["pelvis_pitch"]])
        @ rot_z(c[:, INDEX["pelvis_roll"]])
    )
    return position, turn


def lower_into_reach(hips: Array, ankles: Array, bearing: Array) -> Array:
    """How far the pelvis must come down so that both legs reach their ankles, (T,), smooth in time.

    Args:
        hips, ankles: (2, T, 3), left and right.
        bearing: (2, T) 1 for a planted foot, 0 for a foot in the air (which is pulled in instead).
    """
    drop = np.zeros(hips.shape[1])
    for side in (0, 1):
        reach = STRAIGHT * (THIGH[side] + SHIN[side])
        gap = hips[side] - ankles[side]
        horizontal = gap[:, 0] ** 2 + gap[:, 2] ** 2
        drop = np.maximum(drop, bearing[side] * (gap[:, 1] - np.sqrt(np.maximum(reach**2 - horizontal, 0.02))))
    return cover(drop, 2)


def solve_leg(hip: Array, ankle: Array, facing: Array, side: int) -> tuple[Array, Array]:
    """Two-bone inverse kinematics: knee and ankle, each (T, 3).

    The knee bends in the plane of the leg and `facing` (T,) (a heading), turned with the leg: it points forward for a hanging
    leg, upward for a leg kicked forward. An ankle out of reach is pulled in.
    """
    a, b = THIGH[side], SHIN[side]
    line = ankle - hip
    distance = np.sqrt((line * line).sum(-1))
    reach = np.clip(distance, abs(a - b) + 0.05, (a + b) * 0.9998)
    line = line / distance[:, None]
    ankle = hip + line * reach[:, None]
    pole = forward(facing)
    # Rotate the pole by the smallest rotation that takes "down" to the direction of the leg.
    along = (line * pole).sum(-1, keepdims=True)
    down_plus_line = line.copy()
    down_plus_line[:, 1] -= 1.0
    bend = pole - down_plus_line * (along / np.maximum(1.0 - line[:, 1:2], 1e-3))
    cosine = (a * a + reach * reach - b * b) / (2 * a * reach)
    sine = np.sqrt(np.maximum(1.0 - cosine * cosine, 0.0))
    knee = hip + line * (a * cosine)[:, None] + bend * (a * sine)[:, None]
    return knee, ankle


def place_feet(flat: Array, yaw: Array, pitch: Array) -> tuple[Array, Array]:
    """Ankles and balls of the feet, each (2, T, 3).

    Args:
        flat: (2, T, 3) the ankle if the sole were flat; y is the height above a planted ankle (0 = on the floor).
        yaw: (2, T) where the toes point (a heading).
        pitch: (2, T) positive: toes up, about the heel; negative: heel up, about the ball, which stays where it is.
    """
    drop = ANKLE_HEIGHT - BALL_HEIGHT
    ankles, balls = np.empty_like(flat), np.empty_like(flat)
    for side in (0, 1):
        ahead, ankle = forward(yaw[side]), flat[side].copy()
        ankle[:, 1] += ANKLE_HEIGHT
        reach, angle = FOOT_REACH[side], pitch[side]
        c, s = np.cos(angle), np.sin(angle)
        offset = ahead * (reach * c + drop * s)[:, None]
        offset[:, 1] = reach * s - drop * c
        rest = ahead * reach
        rest[:, 1] = -drop
        heel_up = (angle < 0)[:, None]
        ankles[side] = ankle + np.where(heel_up, rest - offset, 0.0)
        balls[side] = ankles[side] + offset
    return ankles, balls


def solve(
    channels: Array,
    root: Array,
    heading: Array,
    flat: Array,
    yaw: Array,
    pitch: Array,
    bearing: Array,
    build: Build = CANONICAL,
) -> Array:
    """Joints (T, 22, 3), float64.

    Args:
        channels: (T, C), see CHANNELS; angles beyond their ranges are held there.
        root: (T, 2) x and z of the path; heading: (T,).
        flat, yaw, pitch: the feet as in `place_feet`; bearing: as in `lower_into_reach`.
        build: whose bones; it scales the path, the feet and the pelvis' movements with its legs.
    """
    c = np.clip(channels, LOWEST, HIGHEST)
    factors = build.factors
    offset = {j: OFFSET[j] * factors[j] for j in NEUTRAL}
    joints = np.empty((len(c), 22, 3))
    ankles, balls = place_feet(flat, yaw, pitch)
    pelvis, turn = pelvis_frame(c, root, heading)
    # The legs are solved at canonical size and scaled: all of their bones share one factor.
    hips = np.stack([pelvis + turn @ (offset[hip] / build.legs) for hip in (1, 2)])
    drop = lower_into_reach(hips, ankles, bearing)
    pelvis[:, 1] -= drop
    hips[:, :, 1] -= drop
    joints[:, 0] = pelvis
    hip_heading = heading + c[:, INDEX["pelvis_yaw"]]
    for side, (hip, knee, ankle, ball) in enumerate(((1, 4, 7, 10), (2, 5, 8, 11))):
        joints[:, hip] = hips[side]
        facing = hip_heading + 0.5 * np.arctan2(np.sin(yaw[side] - hip_heading), np.cos(yaw[side] - hip_heading))
        joints[:, knee], joints[:, ankle] = solve_leg(hips[side], ankles[side], facing, side)
        joints[:, ball] = joints[:, ankle] + (balls[side] - ankles[side])
    pelvis = pelvis * build.legs
    joints[:, [0, 1, 2, 4, 5, 7, 8, 10, 11]] *= build.legs
    # The trunk: a third of the chest's angles at each spine joint.
    p, y, r = (c[:, INDEX[f"chest_{axis}"]] / 3.0 for axis in ("pitch", "yaw", "roll"))
    step = rot_y(y) @ rot_x(p) @ rot_z(r)
    frame = turn
    joints[:, 3] = pelvis + frame @ offset[3]
    for parent, child in ((3, 6), (6, 9)):
        frame = frame @ step
        joints[:, child] = joints[:, parent] + frame @ offset[child]
    chest = frame @ step
    p, y, r = (c[:, INDEX[f"head_{axis}"]] for axis in ("pitch", "yaw", "roll"))
    neck = chest @ rot_x(0.3 * p)
    joints[:, 12] = joints[:, 9] + neck @ offset[12]
    head = neck @ rot_y(y) @ rot_x(0.7 * p) @ rot_z(r)
    joints[:, 15] = joints[:, 12] + head @ offset[15]
    for side, arm, (collar, shoulder, elbow, wrist) in (
        (1.0, LEFT_ARM, (13, 16, 18, 20)),
        (-1.0, RIGHT_ARM, (14, 17, 19, 21)),
    ):
        flex, abduct, twist, fold, shrug = c[:, arm].T
        # A raised arm takes its shoulder blade with it.
        upward = 0.5 - 0.5 * np.cos(flex) * np.cos(abduct)
        girdle = chest @ rot_z(side * (shrug + 0.45 * upward * upward))
        joints[:, collar] = joints[:, 9] + chest @ offset[collar]
        joints[:, shoulder] = joints[:, collar] + girdle @ offset[shoulder]
        upper = chest @ rot_x(-flex) @ rot_z(side * abduct)
        joints[:, elbow] = joints[:, shoulder] - upper[..., 1] * (LENGTH[elbow] * build.arms)
        lower = upper @ rot_y(-side * twist) @ rot_x(-fold)
        joints[:, wrist] = joints[:, elbow] - lower[..., 1] * (LENGTH[wrist] * build.arms)
    return joints

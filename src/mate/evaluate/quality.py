"""How clean motions are, from joint positions alone: feet, floor, jitter, bones and joint limits; and how varied over seeds.

None of it knows the prompt, and a motion that stands still is perfectly clean: read it beside figures of what was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.closeness import diversity
from mate.motion import kinematics
from mate.motion.retarget import check_joints
from mate.motion.skeleton import HUMANML3D, LEFT_FOOT, RIGHT_FOOT

# (hip, knee, ankle) and (shoulder, elbow, wrist), left and right.
LEGS, ARMS = ((1, 4, 7), (2, 5, 8)), ((16, 18, 20), (17, 19, 21))
NECK = (9, 12, 15)  # upper spine, neck, head


@dataclass(frozen=True)
class JointLimits:
    """How far joints bend, degrees from straight: what people reach, with room for markers and retargeting.

    The ranges of motion of healthy adults are about 135-150 for the knee (by itself: more under the body's weight) and 140-150 for the
    elbow, and knees go 5 to 10 beyond straight (American Academy of Orthopaedic Surgeons, 1965). Real clips of HumanML3D fold the
    knees of a kneeling body by up to 170.

    Attributes:
        knee, elbow: a folded joint, thigh against shin or upper arm against forearm.
        neck: the head against the upper spine.
        knee_forward: a knee bent the wrong way, forward being where the foot points.
    """

    knee: float = 172.0
    elbow: float = 160.0
    neck: float = 100.0
    knee_forward: float = 20.0


LIMITS = JointLimits()


def spread(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Median, 5th and 95th percentile; empty for no values."""
    if not len(values):
        return {}
    low, middle, high = np.percentile(np.asarray(values, dtype=float), [5, 50, 95])
    return {"p5": float(low), "median": float(middle), "p95": float(high)}


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """(T, 22, 3) -> (T, 21) metres, the distance of every joint but the root to its parent."""
    check_joints(joints)
    joints = np.asarray(joints, dtype=np.float64)
    return np.linalg.norm(joints[:, 1:] - joints[:, list(HUMANML3D.parents[1:])], axis=-1)


def bone_drift(joints: np.ndarray) -> float:
    """How much bones change their length within a motion, metres: the largest difference from a bone's own median length."""
    lengths = bone_lengths(joints)
    return float(np.abs(lengths - np.median(lengths, axis=0)).max())


def _bend(joints: np.ndarray, chain: tuple[int, int, int]) -> np.ndarray:
    """The angle between the two bones of a chain, (T,) degrees: 0 is straight."""
    upper, lower = joints[:, chain[1]] - joints[:, chain[0]], joints[:, chain[2]] - joints[:, chain[1]]
    cosine = (upper * lower).sum(-1) / np.maximum(np.linalg.norm(upper, axis=-1) * np.linalg.norm(lower, axis=-1), 1e-9)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def limit_violations(joints: np.ndarray, limits: JointLimits = LIMITS) -> np.ndarray:
    """Frames in which a knee, an elbow or the neck bends further than people's do, (T,) bool.

    Positions do not tell which way an elbow bends; a knee's way is told by the foot. Twists are not seen.

    Args:
        joints: (T, 22, 3) metres.
    """
    check_joints(joints)
    joints = np.asarray(joints, dtype=np.float64)
    beyond = _bend(joints, NECK) > limits.neck
    for arm in ARMS:
        beyond |= _bend(joints, arm) > limits.elbow
    for leg, (ankle, toe) in zip(LEGS, (LEFT_FOOT, RIGHT_FOOT), strict=True):
        bend = _bend(joints, leg)
        hip, knee, foot = joints[:, leg[0]], joints[:, leg[1]], joints[:, toe] - joints[:, ankle]
        shin = joints[:, leg[2]] - knee
        shin = shin / np.maximum(np.linalg.norm(shin, axis=-1, keepdims=True), 1e-9)
        # Seen along the shin, the foot points forward and the hip of a bent leg lies behind the knee.
        forward = foot - (foot * shin).sum(-1, keepdims=True) * shin
        thigh = (hip - knee) - ((hip - knee) * shin).sum(-1, keepdims=True) * shin
        # A foot in line with the shin (a pointed toe) tells no side.
        told = np.linalg.norm(forward, axis=-1) > 0.5 * np.linalg.norm(foot, axis=-1)
        beyond |= (bend > limits.knee) | (told & (bend > limits.knee_forward) & ((thigh * forward).sum(-1) > 0.0))
    return beyond


def quality(motions: Sequence[np.ndarray], fps: float = 20.0) -> dict[str, Any]:
    """How clean motions are, over all of them: median, 5th and 95th percentile of figures that each motion has for itself.

    Floor penetration is the deepest of a motion, metres; foot slide `kinematics.foot_skate(...).speed`, metres per second; floating the
    height over the floor while nothing is in flight; acceleration and jerk are means over joints and frames; `bone_drift_m` is
    `bone_drift`, `limit_share` the share of frames with `limit_violations`. Order does not count; empty for no motions.

    Args:
        motions: (T, 22, 3) each, metres, Y up, floor at 0.
        fps: frames per second of all of them.

    Raises:
        MateError: another shape, NaN or infinite positions (the motion's number is named), a rate that is no rate.
    """
    for index, joints in enumerate(motions):
        if np.ndim(joints) != 3 or np.shape(joints)[1:] != (22, 3) or len(joints) == 0:
            raise MateError(f"motion {index}: got shape {np.shape(joints)}, expected (frames, 22, 3)")
        if not np.isfinite(joints).all():
            raise MateError(f"motion {index}: NaN or infinite positions; repair it or leave it out")
    deepest = [float(kinematics.floor_penetration(joints).max()) + 0.0 for joints in motions]  # no -0.0 on cards
    skates = [kinematics.foot_skate(joints, fps) for joints in motions]
    return {
        "floor_penetration_m": {
            **spread(deepest),
            "share_over_2cm": float(np.mean(np.array(deepest) > 0.02)) if deepest else 0.0,
        },
        "foot_slide_m_per_s": spread([skate.speed for skate in skates]),
        "foot_slide_share_over_half_m_per_s": spread([skate.share for skate in skates]),
        "foot_contact_share": spread([skate.contact for skate in skates]),
        "floating_m": spread([kinematics.floating(joints, fps) for joints in motions]),
        "acceleration_m_per_s2": spread([kinematics.acceleration(joints, fps) for joints in motions]),
        "jerk_m_per_s3": spread([kinematics.jerk(joints, fps) for joints in motions]),
        "bone_drift_m": spread([bone_drift(joints) for joints in motions]),
        "limit_share": spread([float(limit_violations(joints).mean()) for joints in motions]),
    }


def seed_diversity(motions: Mapping[str, Sequence[np.ndarray]]) -> dict[str, float]:
    """How far the samples of one prompt are from each other, metres (`closeness.diversity`), spread over prompts.

    Args:
        motions: prompt -> its samples (T, 22, 3). Prompts with a single sample are left out.
    """
    return spread([value for group in motions.values() if (value := diversity(group)) is not None])

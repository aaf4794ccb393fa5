"""Mending what a generator's joints get slightly wrong: bone lengths, height over the floor, feet that slide while they stand.

Pure NumPy on joints (T, J, 3), metres, Y up. Nothing here looks at the prompt. Corrections are centimetres a step, faded in and out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mate.motion.kinematics import segments
from mate.motion.skeleton import HUMANML3D, LEFT_FOOT, RIGHT_FOOT, Skeleton

LEGS = ((1, 4, *LEFT_FOOT), (2, 5, *RIGHT_FOOT))  # of HumanML3D: hip, knee, ankle, toe


@dataclass(frozen=True)
class FootLock:
    """When a foot is held, and how.

    Attributes:
        height: the toe joint is lower than this over the clip's support, metres.
        speed: and slower than this in the plane, metres per second.
        shortest: shorter stands are not held, seconds.
        fade: a correction fades in and out over this time, seconds.
        limit: the largest correction, metres; a foot that travels further while low is shuffling on purpose.
        slip: the body follows a foot that stands and slides slower than this, metres per second; a faster one is swinging.
        swing: a foot that is faster than this in the plane swings, metres per second;
        clearance: at twice that speed its toe passes the floor at least this high, metres.
    """

    height: float = 0.05
    speed: float = 0.45
    shortest: float = 0.1
    fade: float = 0.25
    limit: float = 0.12
    slip: float = 0.8
    swing: float = 0.6
    clearance: float = 0.05


def clean(
    joints: np.ndarray,
    contacts: np.ndarray | None = None,
    foot_lock: bool = True,
    fps: float = 20.0,
    rule: FootLock | None = None,
    skeleton: Skeleton = HUMANML3D,
) -> np.ndarray:
    """The skeleton's bone lengths, on the floor, standing feet held.

    Feet of HumanML3D's joints alone are held: the bounds of `FootLock` are of bodies of that size and were found on such motions. KIT-ML's
    bodies are 1 m tall, and its contact labels, in a frame of which a foot goes less than 0.22 mm, call it standing in one of fifty frames.

    Args:
        joints: (T, J, 3).
        contacts: (T, 4) foot-contact features (left ankle, left toe, right ankle, right toe; 1 = stands) if the generator makes them:
            a foot that it calls swinging is not held.
        foot_lock: False: bones and floor only.
        fps: frames per second.
        rule: see `FootLock`.
        skeleton: what the joints are. Where it has no bone lengths, each bone gets its median length within the motion.

    Returns:
        (T, J, 3) float32.
    """
    joints = np.asarray(joints, np.float64)
    rule = rule or FootLock()
    out = put_on_floor(keep_ankles(restore_bones(joints, skeleton), joints, leg_chains(skeleton)), leg_chains(skeleton))
    if foot_lock and skeleton.name == HUMANML3D.name:
        out = lock_feet(follow_feet(out, fps, contacts, rule), fps, contacts, rule)
    sunk = min(0.0, float(out[..., 1].min()))
    out[..., 1] -= sunk
    return out.astype(np.float32)


def leg_chains(skeleton: Skeleton) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The left and the right leg: hip, knee, ankle and the joints of the foot to its tip."""
    left, right = (
        next(chain[1:] for chain in skeleton.chains if skeleton.index(f"{side}_hip") in chain)
        for side in ("left", "right")
    )
    return left, right


def restore_bones(joints: np.ndarray, skeleton: Skeleton = HUMANML3D) -> np.ndarray:
    """The same directions from joint to joint with the skeleton's bone lengths; the root stays. (T, J, 3) -> (T, J, 3).

    Of a skeleton without bone lengths: with each bone's median length.
    """
    out = np.array(joints, dtype=np.float64)
    lengths: Sequence[float] = skeleton.bone_lengths
    if not any(lengths):
        lengths = np.median(np.linalg.norm(out - out[:, np.maximum(skeleton.parents, 0)], axis=-1), axis=0).tolist()
    for joint, (parent, length) in enumerate(zip(skeleton.parents, lengths, strict=True)):
        if parent >= 0:
            bone = joints[:, joint] - joints[:, parent]
            norm = np.linalg.norm(bone, axis=-1, keepdims=True)
            rest = np.asarray(skeleton.rest_directions[joint], np.float64)
            direction = np.where(norm > 1e-6, bone / np.maximum(norm, 1e-6), rest)
            out[:, joint] = out[:, parent] + length * direction
    return out


def keep_ankles(joints: np.ndarray, wanted: np.ndarray, legs: Sequence[Sequence[int]] = LEGS) -> np.ndarray:
    """Brings the ankles of `joints` to where `wanted` (both (T, J, 3)) has them, knees following, feet keeping their direction.

    After `restore_bones` the small errors of a whole leg have added up at its end, where they are seen most.
    """
    out = joints.copy()
    for hip, knee, ankle, *foot in legs:
        reach = joints[:, foot] - joints[:, [ankle]]
        out[:, knee], out[:, ankle] = two_bone_ik(
            joints[:, hip], joints[:, knee], joints[:, ankle], wanted[:, ankle], forward=reach[:, -1]
        )
        out[:, foot] = out[:, [ankle]] + reach
    return out


def put_on_floor(joints: np.ndarray, legs: Sequence[Sequence[int]] = LEGS) -> np.ndarray:
    """Shifts the whole clip in height so that its support, the 5th percentile of the lower toe, is at the floor."""
    toes = joints[:, [leg[-1] for leg in legs], 1].min(1)
    out = joints.copy()
    out[..., 1] -= np.percentile(toes, 5)
    return out


def follow_feet(
    joints: np.ndarray, fps: float, contacts: np.ndarray | None = None, rule: FootLock | None = None
) -> np.ndarray:
    """Moves the whole body so that the feet it stands on stay where they are: (T, 22, 3) -> (T, 22, 3).

    A generator's root velocity and its legs disagree a little; seen from the ground the standing foot then slides all the time. The
    feet are right where they stand, so the root's path is made to follow them; in between the correction is interpolated.
    """
    rule = rule or FootLock()
    slips, known = np.zeros((len(joints) - 1, 2)), np.zeros(len(joints) - 1)
    for side, (_, _, ankle, toe) in enumerate(LEGS):
        low = joints[:, toe, 1] < rule.height
        if contacts is not None:
            low &= contacts[:, 2 * side : 2 * side + 2].max(1) > 0.5
        both = low[:-1] & low[1:]
        # A foot that rolls stands on its heel or on its toes: on the one that moves less.
        moves = np.diff(joints[:, [toe, ankle]][..., [0, 2]], axis=0)
        speeds = np.linalg.norm(moves, axis=2) * fps
        move = np.where((speeds[:, 0] < speeds[:, 1])[:, None], moves[:, 0], moves[:, 1])
        both &= speeds.min(axis=1) < rule.slip
        slips[both] += move[both]
        known += both
    stands = known > 0
    if not stands.any():
        return joints
    slips[stands] /= known[stands, None]
    frames = np.arange(len(slips))
    slip = np.stack([np.interp(frames, frames[stands], slips[stands, axis]) for axis in (0, 1)], axis=1)
    out = joints.copy()
    out[1:, :, [0, 2]] -= np.cumsum(slip, axis=0)[:, None]
    return out


def lock_feet(
    joints: np.ndarray, fps: float, contacts: np.ndarray | None = None, rule: FootLock | None = None
) -> np.ndarray:
    """Holds each standing foot where it stands and keeps both above the floor; knees follow by two-bone inverse kinematics.

    (T, 22, 3) -> (T, 22, 3); hips and everything above stay, bone lengths too.
    """
    rule = rule or FootLock()
    out = joints.copy()
    for side, (hip, knee, ankle, toe) in enumerate(LEGS):
        label = None if contacts is None else contacts[:, 2 * side : 2 * side + 2].max(1) > 0.5
        shift = np.zeros((len(joints), 3))
        shift[:, [0, 2]] = _holding(joints[:, toe], standing(joints[:, toe], fps, label, rule), fps, rule)
        lowest = np.minimum(joints[:, toe, 1], joints[:, ankle, 1])
        shift[:, 1] = np.maximum(_clearance(joints[:, toe] + shift, fps, rule), -lowest)
        moves = np.abs(shift).max(1) > 0
        before = joints[:, ankle]
        knees, ankles = two_bone_ik(
            joints[:, hip], joints[:, knee], before, before + shift, forward=joints[:, toe] - before
        )
        out[moves, knee] = knees[moves]
        out[moves, ankle] = ankles[moves]
        out[moves, toe] = (joints[:, toe] + ankles - before)[moves]
    return out


def standing(toe: np.ndarray, fps: float, label: np.ndarray | None, rule: FootLock) -> np.ndarray:
    """In which frames a toe joint (T, 3) stands, (T,) bool; `label` (T,) is the generator's own opinion."""
    if len(toe) < 2:
        return np.zeros(len(toe), bool)
    velocity = np.gradient(toe[:, [0, 2]], axis=0) * fps
    flags = (toe[:, 1] < rule.height) & (np.linalg.norm(velocity, axis=-1) < rule.speed)
    if label is not None:
        flags &= label
    shortest = max(2, round(rule.shortest * fps))
    for start, end in segments(~flags):  # a single frame that fails between two stands is noise
        if end - start == 1 and start > 0 and end < len(flags):
            flags[start] = True
    for start, end in segments(flags):
        if end - start < shortest:
            flags[start:end] = False
    return flags


def _holding(toe: np.ndarray, flags: np.ndarray, fps: float, rule: FootLock) -> np.ndarray:
    """Horizontal corrections (T, 2): to the stand's middle position while the foot stands, faded out before and after."""
    plane = toe[:, [0, 2]]
    shift = np.zeros_like(plane)
    stands = segments(flags)
    for start, end in stands:
        wanted = np.median(plane[start:end], axis=0) - plane[start:end]
        size = np.linalg.norm(wanted, axis=-1, keepdims=True)
        # Beyond the limit the correction saturates smoothly instead of dragging the leg behind the body.
        shift[start:end] = wanted * np.where(
            size > 1e-9, rule.limit * np.tanh(size / rule.limit) / np.maximum(size, 1e-9), 1.0
        )
    held = shift.copy()
    fade = max(2, round(rule.fade * fps))
    for number, (start, end) in enumerate(stands):
        before = start - (stands[number - 1][1] if number else 0)
        after = (stands[number + 1][0] if number + 1 < len(stands) else len(plane)) - end
        # Where the gap to the next stand is shorter than both fades, they share it and add up to a blend of the two corrections.
        reach = np.arange(1, min(fade, after) + 1)
        weight = _fall(reach / (min(fade, after) + 1))
        shift[end : end + len(reach)] += weight[:, None] * held[end - 1]
        reach = np.arange(1, min(fade, before) + 1)
        weight = _fall(reach / (min(fade, before) + 1))
        shift[start - len(reach) : start][::-1] += weight[:, None] * held[start]
    return shift


def _clearance(toe: np.ndarray, fps: float, rule: FootLock) -> np.ndarray:
    """How much a swinging toe (T, 3) has to be lifted to clear the floor instead of scuffing over it, (T,) >= 0."""
    if len(toe) < 3:
        return np.zeros(len(toe))
    speed = np.linalg.norm(np.gradient(toe[:, [0, 2]], axis=0), axis=1) * fps
    wanted = rule.clearance * np.clip(speed / rule.swing - 1.0, 0.0, 1.0)
    lift = np.pad(np.maximum(0.0, wanted - toe[:, 1]), 1, mode="edge")
    return 0.25 * lift[:-2] + 0.5 * lift[1:-1] + 0.25 * lift[2:]


def _fall(x: np.ndarray) -> np.ndarray:
    """1 at 0, 0 at 1, flat at both ends; falls so that _fall(x) + _fall(1 - x) = 1."""
    return 1 - x * x * (3 - 2 * x)


def two_bone_ik(
    hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, target: np.ndarray, forward: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle positions for an ankle target, bone lengths kept, the knee bent the way it was.

    Args:
        hip, knee, ankle: (T, 3) as they are.
        target: (T, 3) where the ankle should go; out of reach it stays on the line from the hip.
        forward: (T, 3) which way a straight knee bends (the foot's direction).

    Returns:
        knee (T, 3), ankle (T, 3).
    """
    upper = np.linalg.norm(knee - hip, axis=-1, keepdims=True)
    lower = np.linalg.norm(ankle - knee, axis=-1, keepdims=True)
    line = target - hip
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    axis = line / np.maximum(distance, 1e-8)
    # A leg that was all but straight may stay so; none is stretched further than it was, or than 99.8 % of its length.
    longest = np.maximum(0.998 * (upper + lower), np.linalg.norm(ankle - hip, axis=-1, keepdims=True))
    distance = np.clip(distance, np.abs(upper - lower) + 1e-4, longest)
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    bend = knee - hip + 0.02 * forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-8)
    bend = bend - (bend * axis).sum(-1, keepdims=True) * axis
    bend = bend / np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-8)
    return hip + along * axis + height * bend, hip + distance * axis

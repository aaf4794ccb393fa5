"""Measured facts about a motion: where it goes, which way it turns, what hands and feet do, and how clean it is.

Pure functions of joints (T, 22, 3) in metres, Y up, and the frame rate. Signs: heading and turns are positive to the left
(counter-clockwise seen from above); displacements along the body are positive forward and to the left; arrays over two hands or
feet are in the order (left, right). Facts about the floor take the floor to be at height 0, except where a function says that it
measures above the motion's own lowest support (`support_height`), so that a motion that hovers or sinks is still measured.

The ones about left and right change places, and those about left-positive quantities change sign, when a motion is mirrored; none
depends on where the motion stands or which way it faces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.motion.retarget import check_joints, heading
from mate.motion.skeleton import HEAD, LEFT_FOOT, LEFT_HAND, RIGHT_FOOT, RIGHT_HAND

ANKLES = (LEFT_FOOT[0], RIGHT_FOOT[0])
TOES = (LEFT_FOOT[1], RIGHT_FOOT[1])
HANDS = (LEFT_HAND, RIGHT_HAND)
ELBOWS = (18, 19)
SHOULDERS = (16, 17)
PELVIS, NECK = 0, 12


def _checked(joints: np.ndarray, fps: float = 1.0) -> np.ndarray:
    check_joints(joints)
    if joints.ndim != 3:
        raise MateError(f"got joints of shape {joints.shape}, expected one motion (T, 22, 3)")
    if not fps > 0:
        raise MateError(f"got {fps} frames per second, expected a positive number")
    return np.asarray(joints, dtype=np.float64)


def _smooth(values: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """Gaussian low-pass along the first axis, `seconds` its standard deviation; the ends are continued by their last value."""
    radius = int(np.ceil(4 * seconds * fps))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (seconds * fps)) ** 2)
    padded = np.concatenate([np.repeat(values[:1], radius, 0), values, np.repeat(values[-1:], radius, 0)])
    return np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0) @ (kernel / kernel.sum())


def _rate(values: np.ndarray, fps: float) -> np.ndarray:
    """The derivative along time, per second: central differences, one-sided at the ends; zero for a single frame."""
    return np.gradient(values, axis=0) * fps if len(values) > 1 else np.zeros_like(values)


def segments(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True in (T,) as (first frame, one past the last frame)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, dtype=np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def reversals(signal: np.ndarray, amplitude: float) -> np.ndarray:
    """Frames at which a signal (T,) turns round, counting only swings of at least `amplitude` (its unit) on both sides.

    A turning point is counted when the signal came to it over at least `amplitude` and has left it by at least `amplitude`, so noise
    smaller than that gives none. This is the hysteresis ("racetrack") filter of rainflow counting.
    """
    found = []
    high, low, at_high, at_low, direction = signal[0], signal[0], 0, 0, 0
    for frame, value in enumerate(signal):
        if value > high:
            high, at_high = value, frame
        if value < low:
            low, at_low = value, frame
        if direction >= 0 and value <= high - amplitude:
            if direction > 0:
                found.append(at_high)
            direction, high, at_high, low, at_low = -1, value, frame, value, frame
        elif direction <= 0 and value >= low + amplitude:
            if direction < 0:
                found.append(at_low)
            direction, high, at_high, low, at_low = 1, value, frame, value, frame
    return np.array(found, dtype=int)


# Where it goes


def smooth_heading(joints: np.ndarray, fps: float, seconds: float = 0.35) -> np.ndarray:
    """Heading without the swing of hips and shoulders at every step, (T,) radians, positive to the left, unwrapped.

    Gaussian low-pass with standard deviation `seconds`: a step's swing (about 1 Hz) shrinks to a tenth.
    """
    joints = _checked(joints, fps)
    return _smooth(heading(joints).astype(np.float64), fps, seconds)


def total_turn(joints: np.ndarray, fps: float) -> float:
    """Change of the heading from the first frame to the last, radians, positive to the left; full turns add up.

    Ends are means over 0.25 s of the smoothed heading, so one noisy frame does not count.
    """
    angle = smooth_heading(joints, fps)
    end = max(1, round(0.25 * fps))
    return float(angle[-end:].mean() - angle[:end].mean())


def counter_turn(joints: np.ndarray, fps: float) -> float:
    """The largest turn against the direction of `total_turn` within the motion, radians, not negative."""
    angle = smooth_heading(joints, fps) * (1.0 if total_turn(joints, fps) >= 0 else -1.0)
    return float(np.max(np.maximum.accumulate(angle) - angle))


def root_velocity(joints: np.ndarray, fps: float, seconds: float = 0.1) -> np.ndarray:
    """Planar velocity of the pelvis, (T, 2) metres per second along world x and z, low-passed with deviation `seconds`."""
    joints = _checked(joints, fps)
    return _rate(_smooth(joints[:, PELVIS][:, [0, 2]], fps, seconds), fps)


def root_speed(joints: np.ndarray, fps: float) -> np.ndarray:
    """Planar speed of the pelvis, (T,) metres per second."""
    return np.linalg.norm(root_velocity(joints, fps), axis=-1)


def path_length(joints: np.ndarray, fps: float) -> float:
    """How far the pelvis travelled over the floor, metres (low-passed over 0.1 s, so jitter adds nothing)."""
    joints = _checked(joints, fps)
    path = _smooth(joints[:, PELVIS][:, [0, 2]], fps, 0.1)
    return float(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum())


def body_velocity(joints: np.ndarray, fps: float) -> np.ndarray:
    """Velocity of the pelvis as the body sees it, (T, 2) metres per second: forward, left."""
    angle = smooth_heading(joints, fps)
    vx, vz = root_velocity(joints, fps).T
    sin, cos = np.sin(angle), np.cos(angle)
    return np.stack([vx * sin + vz * cos, vx * cos - vz * sin], axis=-1)


def body_displacement(joints: np.ndarray, fps: float) -> tuple[float, float]:
    """Travel along the body's own facing, summed over the motion: (forward, left) in metres.

    Forward is negative for walking backwards; left is negative for side steps to the right. A circle walked forward gives its
    whole length as forward.
    """
    velocity = body_velocity(joints, fps)
    forward, left = (velocity[:-1] + velocity[1:]).sum(0) / (2 * fps)
    return float(forward), float(left)


# Feet


@dataclass(frozen=True)
class ContactRule:
    """When a foot counts as standing.

    Attributes:
        height: the toe joint (ball of the foot) is less than this above the support, metres.
        vertical_speed: and moves up or down slower than this, metres per second.
    """

    height: float = 0.03
    vertical_speed: float = 0.20


CONTACT = ContactRule()


def support_height(joints: np.ndarray) -> float:
    """The height on which the motion stands, metres: the 5th percentile over frames of the lower toe joint's height.

    0 for a motion that is on the floor, whatever the floor under it was said to be.
    """
    joints = _checked(joints)
    return float(np.percentile(joints[:, TOES, 1].min(axis=1), 5))


def foot_contact(joints: np.ndarray, fps: float, rule: ContactRule = CONTACT) -> np.ndarray:
    """Which foot stands, (T, 2) bool for left and right, above `support_height`. Speeds are not looked at: a foot that slides stands."""
    joints = _checked(joints, fps)
    toes = joints[:, TOES, 1]
    low = toes - support_height(joints) < rule.height
    return low & (np.abs(_rate(toes, fps)) < rule.vertical_speed)


@dataclass(frozen=True)
class FootSkate:
    """How much standing feet slide.

    Attributes:
        speed: mean planar speed of the toe joints over all frames in which their foot stands, metres per second; 0 if none stands.
        share: the share of the standing frames of a foot in which it moves faster than 0.5 m/s (2.5 cm a frame at 20 fps, the limit
            in use in the field since Karunratanakul et al., "Guided Motion Diffusion", ICCV 2023), 0..1.
        contact: the share of frames in which at least one foot stands, 0..1: a motion that hovers has no feet to slide.
    """

    speed: float
    share: float
    contact: float


def foot_skate(joints: np.ndarray, fps: float, rule: ContactRule = CONTACT) -> FootSkate:
    """Sliding of standing feet.

    A foot stands in a frame when `foot_contact` says so in this frame and the two around it (a swinging foot passes the floor too
    fast for that) ; its speed there is the planar speed of the toe joint by central differences.
    """
    joints = _checked(joints, fps)
    touching = foot_contact(joints, fps, rule)
    before, after = np.roll(touching, 1, axis=0), np.roll(touching, -1, axis=0)
    before[0], after[-1] = touching[0], touching[-1]
    stands = touching & before & after
    speed = np.linalg.norm(_rate(joints[:, TOES][..., [0, 2]], fps), axis=-1)[stands]
    if not len(speed):
        return FootSkate(0.0, 0.0, float(touching.any(axis=1).mean()))
    return FootSkate(float(speed.mean()), float((speed > 0.5).mean()), float(touching.any(axis=1).mean()))


def stance(joints: np.ndarray, fps: float) -> np.ndarray:
    """Which foot carries the body, (T, 2) bool for left and right: its toe joint is lower than 6 cm and slower than half the body.

    Unlike `foot_contact` this looks at the speed, so a foot swinging low over the floor is not in stance. Feet of a body that stands
    still (under 0.3 m/s) may move at up to 0.15 m/s.
    """
    joints = _checked(joints, fps)
    low = joints[:, TOES, 1] - support_height(joints) < 0.06
    speed = np.linalg.norm(_rate(joints[:, TOES][..., [0, 2]], fps), axis=-1)
    return low & (speed < 0.5 * max(float(root_speed(joints, fps).mean()), 0.3))


def _moving(joints: np.ndarray, fps: float) -> np.ndarray:
    """Frames in which the body is faster than half its top speed, (T,) bool."""
    speed = root_speed(joints, fps)
    return speed >= 0.5 * np.percentile(speed, 90)


def duty_factor(joints: np.ndarray, fps: float) -> float:
    """The share of the time in which a foot is on the ground, mean of both feet while the body moves, 0..1.

    The classic difference between gaits: over one half both feet stand at times (a walk), under it the body flies (a run). At 20
    frames per second real walks measure 0.50 and more, runs 0.47 and less.
    """
    return float(stance(joints, fps)[_moving(joints, fps)].mean())


def flight_share(joints: np.ndarray, fps: float) -> float:
    """The share of frames in which neither foot is in `stance` while the body moves, 0..1. Walking has almost none."""
    return float((~stance(joints, fps)[_moving(joints, fps)].any(axis=1)).mean())


def step_frequency(joints: np.ndarray, fps: float) -> float:
    """Steps per second (both feet count), 0 where the body does not step.

    A step is a swap of the leading foot: a reversal, over at least 8 cm, of the distance between the toes along the facing.
    """
    joints = _checked(joints, fps)
    angle = smooth_heading(joints, fps)
    apart = joints[:, TOES[0]] - joints[:, TOES[1]]
    lead = _smooth(apart[:, 0] * np.sin(angle) + apart[:, 2] * np.cos(angle), fps, 0.05)
    frames = reversals(lead, 0.08)
    return float((len(frames) - 1) / (frames[-1] - frames[0]) * fps) if len(frames) > 1 else 0.0


def jump_count(joints: np.ndarray, fps: float, rise: float = 0.06) -> int:
    """How often the body jumps off both feet.

    A jump is a stretch in which both toe joints are more than 5 cm above the support, in which the pelvis rises by more than `rise`
    metres over its median height on the ground, and before which both feet stood within the last 0.15 s. In a run one foot has
    been in the air for longer than that when the other leaves the floor.
    """
    joints = _checked(joints, fps)
    pelvis, above = joints[:, PELVIS, 1], joints[:, TOES, 1] - support_height(joints)
    airborne = np.all(above > 0.05, axis=1)
    standing = np.median(pelvis[~airborne]) if (~airborne).any() else np.median(pelvis)
    window = max(1, round(0.15 * fps))
    return sum(
        bool(
            start > 0
            and pelvis[start:end].max() > standing + rise
            and (above[max(0, start - window) : start].min(axis=0) < 0.05).all()
        )
        for start, end in segments(airborne)
    )


# Hands


def hand_elevation(joints: np.ndarray) -> np.ndarray:
    """How high each hand is held, (T, 2) in arm lengths above its hanging place: 0 hangs, 1 at the shoulder's height, 2 straight up.

    The arm's length is the median of upper arm plus forearm.
    """
    joints = _checked(joints)
    upper = np.linalg.norm(joints[:, ELBOWS] - joints[:, SHOULDERS], axis=-1)
    lower = np.linalg.norm(joints[:, HANDS] - joints[:, ELBOWS], axis=-1)
    length = np.maximum(np.median(upper + lower, axis=0), 1e-6)
    return 1.0 + (joints[:, HANDS, 1] - joints[:, SHOULDERS, 1]) / length


def hand_over_head(joints: np.ndarray) -> np.ndarray:
    """Height of each wrist over the head joint, (T, 2) metres, negative below it."""
    joints = _checked(joints)
    return joints[:, HANDS, 1] - joints[:, [HEAD], 1]


def hand_over_shoulder(joints: np.ndarray) -> np.ndarray:
    """Height of each wrist over its own shoulder, (T, 2) metres, negative below it."""
    joints = _checked(joints)
    return joints[:, HANDS, 1] - joints[:, SHOULDERS, 1]


def hand_over_hand(joints: np.ndarray) -> np.ndarray:
    """Height of the left wrist over the right one, (T,) metres."""
    joints = _checked(joints)
    return joints[:, LEFT_HAND, 1] - joints[:, RIGHT_HAND, 1]


@dataclass(frozen=True)
class HandRaise:
    """How high a hand is held and how long, each (2,) for left and right.

    Attributes:
        peak: the elevation (`hand_elevation`) that is reached for at least 0.2 s in all.
        rest: the lowest elevation, likewise for 0.2 s.
        dwell: seconds above the threshold that was asked for.
    """

    peak: np.ndarray
    rest: np.ndarray
    dwell: np.ndarray


def hand_raise(joints: np.ndarray, fps: float, threshold: float = 0.7) -> HandRaise:
    """Peak, rest and dwell of both hands; `threshold` in arm lengths above the hanging hand."""
    elevation = np.sort(hand_elevation(joints), axis=0)
    hold = min(len(elevation), max(1, round(0.2 * fps)))
    return HandRaise(elevation[-hold], elevation[hold - 1], (elevation > threshold).sum(0) / fps)


@dataclass(frozen=True)
class HandWave:
    """Swinging of the hands while they are held up, each (2,) for left and right, in the stretch that has most turning points.

    Attributes:
        count: turning points of the hand against its shoulder, along the body axis that has most of them.
        seconds: how long that stretch is.
        rate: turning points per second of it (twice the frequency of the wave); it counts as half a second at least.
        amplitude: half the distance between neighbouring turning points along that axis (median), metres; 0 without two of them.
    """

    count: np.ndarray
    seconds: np.ndarray
    rate: np.ndarray
    amplitude: np.ndarray


def body_frame(joints: np.ndarray) -> np.ndarray:
    """The motion as the body sees it, (T, 22, 3): pelvis over the origin and facing +Z in every frame; heights stay."""
    joints = _checked(joints)
    angle = heading(joints).astype(np.float64)[:, None]
    x, y, z = np.moveaxis(joints - joints[:, :1] * np.array([1.0, 0.0, 1.0]), -1, 0)
    sin, cos = np.sin(angle), np.cos(angle)
    return np.stack([x * cos - z * sin, y, z * cos + x * sin], axis=-1)


def hand_wave(
    joints: np.ndarray,
    fps: float,
    swing: float | Sequence[float] | np.ndarray = 0.03,
    up: float = 0.4,
    at_least: float = 0.55,
) -> HandWave:
    """Turning points of each raised hand.

    Stretches are judged one by one, so a hand that is raised and lowered again and again does not wave.

    Args:
        swing: smallest swing that counts, metres peak to peak; one number, or one for each hand.
        up: a stretch lasts while the hand's elevation exceeds this share of its peak,
        at_least: and this (arm lengths above the hanging hand). Stretches under 0.25 s are left out.
    """
    elevation, seen = hand_elevation(joints), body_frame(joints)
    peaks = hand_raise(joints, fps).peak
    swings = np.broadcast_to(np.asarray(swing, dtype=np.float64), 2)
    count, seconds, amplitude = np.zeros(2, dtype=int), np.zeros(2), np.zeros(2)
    for side, (hand, shoulder) in enumerate(zip(HANDS, SHOULDERS, strict=True)):
        reach = seen[:, hand] - seen[:, shoulder]
        for start, end in segments(elevation[:, side] > max(at_least, up * peaks[side])):
            if end - start < 0.25 * fps:
                continue
            turns = [reversals(reach[start:end, axis], swings[side]) for axis in range(3)]
            axis = int(np.argmax([len(frames) for frames in turns]))
            if (len(turns[axis]), (end - start) / fps) <= (count[side], seconds[side]):
                continue
            count[side], seconds[side] = len(turns[axis]), (end - start) / fps
            sizes = np.abs(np.diff(reach[start:end, axis][turns[axis]]))
            amplitude[side] = np.median(sizes) / 2 if len(sizes) else 0.0
    return HandWave(count, seconds, count / np.maximum(seconds, 0.5), amplitude)


# Posture and cleanliness


@dataclass(frozen=True)
class Posture:
    """Attributes: lowest, median and highest pelvis height above `support_height`, metres; largest and median trunk pitch, radians.

    Pitch is the angle of pelvis -> neck from the vertical in the body's own forward direction: positive bent forward.
    """

    pelvis_low: float
    pelvis: float
    pelvis_high: float
    pitch: float
    pitch_most: float


def posture(joints: np.ndarray, fps: float) -> Posture:
    """Pelvis height and trunk pitch that the motion reaches (low-passed over 0.1 s)."""
    joints = _checked(joints, fps)
    pelvis = _smooth(joints[:, PELVIS, 1], fps, 0.1) - support_height(joints)
    trunk = _smooth(body_frame(joints)[:, NECK] - joints[:, PELVIS] * np.array([0.0, 1.0, 0.0]), fps, 0.1)
    pitch = np.arctan2(trunk[:, 2], trunk[:, 1])
    most = pitch[np.argmax(np.abs(pitch))]
    return Posture(
        float(pelvis.min()), float(np.median(pelvis)), float(pelvis.max()), float(np.median(pitch)), float(most)
    )


def floor_penetration(joints: np.ndarray) -> np.ndarray:
    """How far the lowest joint is under the floor (height 0), (T,) metres, 0 where nothing is. Take max and mean over the frames."""
    joints = _checked(joints)
    return np.maximum(0.0, -joints[..., 1].min(axis=1))


def floating(joints: np.ndarray, fps: float) -> float:
    """How far the motion hovers, metres: mean height of the lowest joint over the floor in frames that are no flight.

    Joints lie inside the body, so a body that stands on the floor has its lowest joint at about 0 to 3 cm.
    """
    joints = _checked(joints, fps)
    grounded = ~(joints[:, TOES, 1] - support_height(joints) > 0.05).all(axis=1)
    low = np.maximum(0.0, joints[..., 1].min(axis=1))
    return float(low[grounded].mean()) if grounded.any() else float(low.mean())


def acceleration(joints: np.ndarray, fps: float) -> float:
    """Mean acceleration of all joints, metres per second squared, by second differences."""
    joints = _checked(joints, fps)
    if len(joints) < 3:
        return 0.0
    return float(np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).mean() * fps**2)


def jerk(joints: np.ndarray, fps: float) -> float:
    """Mean jerk of all joints, metres per second cubed, by third differences: jitter. 0 for fewer than 4 frames."""
    joints = _checked(joints, fps)
    if len(joints) < 4:
        return 0.0
    return float(np.linalg.norm(np.diff(joints, 3, axis=0), axis=-1).mean() * fps**3)

"""What a body does over time, measured once for a motion: the curves on which `mate.evaluate.judge` decides.

Shapes: T frames; pairs (T, 2) are left and right; vectors (…, 3) are in the body's frame (left, up, forward), metres.
    Signs and
heights as in `mate.motion.kinematics`: positive to the left and forward, heights above the motion's own lowest support.
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np

from mate.motion import kinematics
from mate.motion.kinematics import ANKLES, ELBOWS, HANDS, NECK, PELVIS, SHOULDERS, TOES, body_frame, support_height
from mate.motion.retarget import heading
from mate.motion.skeleton import HEAD, HUMANML3D

HIPS, KNEES, CHEST = (1, 2), (4, 5), 9
LIGHT, SOFT = 0.04, 0.08  # seconds: hardly smoothed, smoothed


@dataclass(frozen=True)
class Way:
    """How a body got about.

    Attributes:
        path, net: way of the pelvis and the distance between its ends, metres; pace: path per second over the whole
            stretch, m/s.
        cruise: speed that it exceeds for 30 % of the time while it goes, m/s; angle: direction of the way against the
            facing, degrees, positive to the left, 180 = backwards; duty: see `kinematics.duty_factor`.
        turn: change of the heading, degrees, positive left; round_turn: the same from less smoothed ends, for turns that
            go on at both; counter: largest swing against it, as a share of it; span: range of the heading, degrees.
        extent: largest extent of the pelvis' place, metres; tread: the same of the foot that goes less far.
    """

    path: float
    net: float
    pace: float
    cruise: float
    angle: float
    duty: float
    turn: float
    round_turn: float
    counter: float
    span: float
    extent: float
    tread: float


@dataclass(frozen=True)
class Tracks:
    """Curves of one motion, or of a stretch of it (`cut`).

    Attributes:
        fps: frames per second; leg, arm: lengths of thigh plus shin and of upper arm plus forearm, metres;
            jitter: noise of a coordinate, metres; head_lean: the
        usual angle of neck -> head from the trunk, radians: where it is small, the head's yaw cannot be seen.
        heading: (T,) radians, without the swing of the steps; facing: the same with less smoothing.
        place: (T, 2) the pelvis over the floor, world x and z, metres.
        velocity: (T, 2) of the pelvis without the sway of the steps, along the body: forward, left, metres a second.
        course: (T,) the direction in which the pelvis goes, radians as the heading; means nothing where it stands.
        pelvis: (T,) height in leg lengths (about 1.1 standing); pelvis_rise: (T,) the height in metres, hardly
            smoothed.
        toes, ankles, knees: (T, 2) heights, metres.
        feet: (T, 2, 3) ankles from the pelvis; feet_speed: (T, 2) of the toes over the floor, metres a second; soles:
            (T, 2, 2) the toes' places over the floor, world x and z, metres.
        stance: (T, 2) bool: a foot carries the body; thigh: (T, 2) angle of the thigh from hanging, radians;
            bend: (T, 2) of the knees.
        pitch: (T,) of pelvis -> neck forward; tilt: (T,) the same from the vertical, any direction, radians.
        lean: (T,) the trunk's lean to the left, radians.
        chest: (T,) the shoulders' yaw against the hips, radians, positive to the left.
        hands: (T, 2, 3) wrists from their shoulders, in arm lengths, as the chest sees them; hands_calm: the
            same in a frame that does not follow the swing of the
        steps; elevation: (T, 2) see `kinematics.hand_elevation`;
        elbow: (T, 2) bend, radians; wrists: (T, 3) from the right wrist to the left one, metres; grip: (T, 2,
            3) wrists from the pelvis.
        hands_trunk: as hands, in a frame that leans with the chest; to_head, to_hip: (T, 2, 3) wrists from the head and
            from their hips, metres; shoulders: (T, 2) height over the neck along the chest, metres.
        gaze: (T, 3) neck -> head; head_yaw (positive left), head_pitch (from the vertical, positive forward): (T,)
            radians; head_yaw_chest: the yaw against the shoulders.
    """

    fps: float
    leg: float
    arm: float
    head_lean: float
    jitter: float
    heading: np.ndarray
    facing: np.ndarray
    place: np.ndarray
    velocity: np.ndarray
    course: np.ndarray
    pelvis: np.ndarray
    pelvis_rise: np.ndarray
    toes: np.ndarray
    ankles: np.ndarray
    knees: np.ndarray
    feet: np.ndarray
    feet_speed: np.ndarray
    soles: np.ndarray
    stance: np.ndarray
    thigh: np.ndarray
    bend: np.ndarray
    pitch: np.ndarray
    tilt: np.ndarray
    lean: np.ndarray
    chest: np.ndarray
    hands: np.ndarray
    hands_calm: np.ndarray
    hands_trunk: np.ndarray
    elevation: np.ndarray
    elbow: np.ndarray
    wrists: np.ndarray
    grip: np.ndarray
    to_head: np.ndarray
    to_hip: np.ndarray
    shoulders: np.ndarray
    gaze: np.ndarray
    head_yaw: np.ndarray
    head_yaw_chest: np.ndarray
    head_pitch: np.ndarray

    def __len__(self) -> int:
        return len(self.heading)

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self) / self.fps

    @cached_property
    def speed(self) -> np.ndarray:
        """Planar speed of the pelvis without the sway of the steps, (T,) metres a second."""
        return np.hypot(self.velocity[:, 0], self.velocity[:, 1])

    @cached_property
    def moving(self) -> np.ndarray:
        """Frames in which the body is faster than half its top speed, (T,) bool."""
        return self.speed >= 0.5 * np.percentile(self.speed, 90)

    @cached_property
    def hand_noise(self) -> float:
        """What jitter leaves of a wrist against its shoulder, metres (standard deviation of a coordinate)."""
        return self.jitter * np.sqrt(2.0) * _kept(self.fps, LIGHT)

    @cached_property
    def shoulder_noise(self) -> float:
        """What jitter leaves of a shoulder's height over the neck, metres (standard deviation)."""
        return self.jitter * np.sqrt(2.0) * _kept(self.fps, SOFT)

    @cached_property
    def head_noise(self) -> tuple[float, float]:
        """What jitter leaves of the head's pitch and of its yaw, degrees (standard deviation)."""
        reach = np.linalg.norm(self.gaze, axis=-1)
        level = np.hypot(self.gaze[:, 0], self.gaze[:, 2])
        off = self.jitter * np.sqrt(2.0) * _kept(self.fps, SOFT)
        pitch, yaw = (np.degrees(off / max(float(np.median(length)), 0.02)) for length in (reach, level))
        return float(pitch), float(yaw)

    @cached_property
    def way(self) -> Way:
        """How the body got about."""
        speed, facing, calm = self.speed, np.degrees(self.facing), np.degrees(self.heading)
        forward, left = self.velocity.sum(axis=0)
        path = float(speed.sum() / self.fps)
        turn, whole = float(calm[-1] - calm[0]), float(facing[-1] - facing[0])
        along = calm * (1.0 if turn >= 0 else -1.0)
        return Way(
            path=path,
            net=float(np.linalg.norm(self.place[-1] - self.place[0])),
            pace=path / self.seconds,
            cruise=float(np.percentile(speed[self.moving], 70)),
            angle=float(np.degrees(np.arctan2(left, forward))),
            duty=float(self.stance[self.moving].mean()),
            turn=turn,
            round_turn=whole,
            counter=float(np.max(np.maximum.accumulate(along) - along)) / max(abs(turn), 1e-6),
            span=float(np.ptp(calm)),
            extent=float(np.ptp(self.place, axis=0).max()),
            tread=float(np.ptp(self.soles, axis=0).max(axis=-1).min()),
        )

    def part(self, start: float, end: float) -> "Tracks":
        """The stretch between two shares (0 to 1) of it."""
        return self.cut(start * self.seconds, end * self.seconds)

    def cut(self, start: float, end: float) -> "Tracks":
        """The stretch from `start` to `end` seconds (at least one frame); smoothing has seen what lies around it."""
        first = min(max(0, round(start * self.fps)), len(self) - 1)
        last = min(len(self), max(first + 1, round(end * self.fps)))
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{n: a[first:last] for n, a in arrays.items() if isinstance(a, np.ndarray)})


def smooth(values: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    """`kinematics`' Gaussian low-pass (`seconds` its standard deviation) for arrays (T, …)."""
    flat = kinematics._smooth(values.reshape(len(values), -1), fps, seconds)
    return flat.reshape(values.shape)


def _kept(fps: float, seconds: float) -> float:
    """The share of white noise (standard deviation) that `smooth` lets through."""
    steps = np.arange(-np.ceil(4 * seconds * fps), np.ceil(4 * seconds * fps) + 1)
    kernel = np.exp(-0.5 * (steps / (seconds * fps)) ** 2)
    return float(np.sqrt((kernel**2).sum()) / kernel.sum())


def jitter(joints: np.ndarray) -> float:
    """Noise of a motion (T, 22, 3), metres (standard deviation of a coordinate).

    Read off the lengths of the bones, which do not change in a body.
    """
    if len(joints) < 3:
        return 0.0
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, list(HUMANML3D.parents[1:])], axis=-1)
    # Two frames of two joints differ: twice the deviation of one.
    return 0.5 * float(np.median(np.diff(lengths, axis=0).std(axis=0)))


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle between vectors (…, 3), radians."""
    norm = np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-9)
    return np.arccos(np.clip((a * b).sum(-1) / norm, -1.0, 1.0))


def _turned(vectors: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """World vectors (T, N, 3) in a frame that faces `angle` (T,)."""
    sin, cos = np.sin(angle)[:, None], np.cos(angle)[:, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([x * cos - z * sin, y, z * cos + x * sin], axis=-1)


def _chest_frame(joints: np.ndarray) -> np.ndarray:
    """Rows left, up and forward of the chest (the shoulders' line, chest -> neck), (T, 3, 3)."""
    left = joints[:, SHOULDERS[0]] - joints[:, SHOULDERS[1]]
    left = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)
    rise = joints[:, NECK] - joints[:, CHEST]
    rise = rise - left * (rise * left).sum(-1, keepdims=True)
    rise = rise / np.maximum(np.linalg.norm(rise, axis=-1, keepdims=True), 1e-9)
    return np.stack([left, rise, np.cross(left, rise)], axis=1)


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _stance(toes: np.ndarray, toe_speed: np.ndarray, speed: float, fps: float) -> np.ndarray:
    """Which foot carries the body, (T, 2) bool: as `kinematics.stance`, but over the floor near by.

    Captured floors slope by some centimetres over a few metres: a foot is low where it is less than 6 cm over its
        own lowest place within
    half a second, which may be up to 6 cm over the motion's floor.
    """
    near = max(1, round(0.5 * fps))
    padded = np.pad(toes, ((near, near), (0, 0)), mode="edge")
    lowest = np.lib.stride_tricks.sliding_window_view(padded, 2 * near + 1, axis=0).min(axis=-1)
    return (toes - np.clip(lowest, 0.0, 0.06) < 0.06) & (toe_speed < 0.5 * max(speed, 0.3))


def measure(joints: np.ndarray, fps: float) -> Tracks:
    """The tracks of a motion (T, 22, 3) in metres, Y up.

    Raises:
        MateError: a wrong shape, NaN, a frame rate that is not positive.
    """
    joints = kinematics._checked(joints, fps)
    raw = heading(joints).astype(np.float64)
    calm = smooth(raw, fps, 0.35)
    # Feet keep their speed, which tells stance from swing: hardly any smoothing there.
    light, soft = smooth(joints, fps, LIGHT), smooth(joints, fps, SOFT)
    # The support of a motion that flies or sits is still the lowest the toes get.
    floor = support_height(joints)
    seen, seen_soft = body_frame(light), body_frame(soft)
    place = smooth(joints[:, PELVIS][:, [0, 2]], fps, 0.1)
    vx, vz = kinematics._rate(smooth(joints[:, PELVIS][:, [0, 2]], fps, 0.25), fps).T
    sin, cos = np.sin(calm), np.cos(calm)
    hips, knees, ankles = (joints[:, list(pair)] for pair in (HIPS, KNEES, ANKLES))
    leg = float(np.median(np.linalg.norm(knees - hips, axis=-1) + np.linalg.norm(ankles - knees, axis=-1)))
    upper = np.linalg.norm(joints[:, ELBOWS] - joints[:, SHOULDERS], axis=-1)
    lower = np.linalg.norm(joints[:, HANDS] - joints[:, ELBOWS], axis=-1)
    arm = max(float(np.median(upper + lower)), 1e-6)
    thighs, shins = (soft[:, list(KNEES)] - soft[:, list(HIPS)]), (soft[:, list(ANKLES)] - soft[:, list(KNEES)])
    down, up = np.array([0.0, -1.0, 0.0]), np.array([0.0, 1.0, 0.0])
    trunk = seen_soft[:, NECK] - seen_soft[:, PELVIS]
    across_hips, across_shoulders = soft[:, 1] - soft[:, 2], soft[:, 16] - soft[:, 17]
    yaw = np.arctan2(-across_shoulders[:, 2], across_shoulders[:, 0])
    chest = _wrap(yaw - np.arctan2(-across_hips[:, 2], across_hips[:, 0]))
    toe_speed = np.linalg.norm(kinematics._rate(light[:, TOES][..., [0, 2]], fps), axis=-1)
    speed = float(np.hypot(vx, vz).mean())
    gaze = _turned(soft[:, [HEAD]] - soft[:, [NECK]], calm)[:, 0]
    return Tracks(
        fps=fps,
        leg=leg,
        arm=arm,
        jitter=jitter(joints),
        head_lean=float(np.percentile(_angle(smooth(gaze, fps, 0.3), smooth(trunk, fps, 0.3)), 70)),
        heading=calm,
        facing=smooth(raw, fps, 0.12),
        place=place,
        velocity=np.stack([vx * sin + vz * cos, vx * cos - vz * sin], axis=-1),
        course=np.unwrap(np.arctan2(vx, vz)),
        pelvis=(soft[:, PELVIS, 1] - floor) / leg,
        pelvis_rise=light[:, PELVIS, 1] - floor,
        toes=light[:, TOES, 1] - floor,
        ankles=light[:, ANKLES, 1] - floor,
        knees=soft[:, list(KNEES), 1] - floor,
        feet=seen[:, list(ANKLES)] - seen[:, [PELVIS]],
        feet_speed=toe_speed,
        soles=soft[:, TOES][..., [0, 2]],
        stance=_stance(light[:, TOES, 1] - floor, toe_speed, speed, fps),
        thigh=_angle(thighs, down),
        bend=_angle(thighs, shins),
        pitch=np.arctan2(trunk[:, 2], trunk[:, 1]),
        tilt=_angle(trunk, up),
        lean=np.arctan2(trunk[:, 0], np.hypot(trunk[:, 1], trunk[:, 2])),
        chest=chest,
        hands=_turned(light[:, HANDS] - light[:, SHOULDERS], yaw) / arm,
        hands_calm=_turned(light[:, HANDS] - light[:, SHOULDERS], calm) / arm,
        hands_trunk=np.einsum("tij,thj->thi", _chest_frame(soft), soft[:, HANDS] - soft[:, SHOULDERS]) / arm,
        elevation=1.0 + (soft[:, HANDS, 1] - soft[:, SHOULDERS, 1]) / arm,
        elbow=_angle(soft[:, ELBOWS] - soft[:, SHOULDERS], soft[:, HANDS] - soft[:, ELBOWS]),
        wrists=seen[:, HANDS[0]] - seen[:, HANDS[1]],
        grip=seen[:, HANDS] - seen[:, [PELVIS]],
        to_head=seen_soft[:, HANDS] - seen_soft[:, [HEAD]],
        to_hip=seen_soft[:, HANDS] - seen_soft[:, list(HIPS)],
        shoulders=np.einsum("tj,thj->th", _chest_frame(soft)[:, 1], soft[:, SHOULDERS] - soft[:, [NECK]]),
        gaze=gaze,
        head_yaw_chest=_wrap(np.arctan2(gaze[:, 0], gaze[:, 2]) + calm - smooth(np.unwrap(yaw), fps, 0.08)),
        head_yaw=np.arctan2(gaze[:, 0], gaze[:, 2]),
        head_pitch=_angle(gaze, up) * np.where(gaze[:, 2] < 0, -1.0, 1.0),
    )

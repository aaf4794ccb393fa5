"""What arms and head do: raise, lower, wave, punch, throw, clap, point, cross, salute; nod, shake, look; shrug, lean.

Every function writes layers onto a Stage between `start` and `end` seconds. Arm poses are (flex, abduct, twist, elbow, shrug) in degrees:
flex lifts the arm forward, abduct sideways, twist turns the upper arm inwards, elbow folds.
"""

import numpy as np

from mate.data.kinwords.body import INDEX
from mate.data.kinwords.curves import DEGREE, integrate, keys, pulse, ramp
from mate.data.kinwords.stage import SIDES, Stage

Array = np.ndarray

NEUTRAL_ARM = (2.0, 9.0, 8.0, 14.0, 0.0)
# Arms that go somewhere and stay there.
HELD = {
    "salute": (115, 37, 59, 111, 4),
    "touch_head": (142, 27, 67, 99, 4),
    "hands_on_hips": (-22, 38, 53, 96, 0),
    "spread": (6, 87, 0, 6, 0),
}


def sides(side: str) -> tuple[str, ...]:
    """("left",), ("right",) or both."""
    return SIDES if side == "both" else (side,)


def idle(stage: Stage, energy: float = 1.0) -> None:
    """Standing as this person stands: posture, arms at rest, breathing, sway of weight and gaze. Once a clip, under all else."""
    t, rng, who = stage.t, stage.rng, stage.person
    rest = np.add(NEUTRAL_ARM, (0.0, who.arms_out, 0.0, who.elbows, 0.0))
    stage.add("height", -who.knees)
    stage.add("chest_pitch", who.stoop * DEGREE)
    # A rounded back pushes the head forward; the eyes stay level.
    stage.add("head_pitch", (who.chin - 0.8 * who.stoop) * DEGREE)
    stage.add("chest_roll", who.slant * DEGREE)
    for side in SIDES:
        pose = rest + rng.normal(0.0, (2.5, 1.0, 4.0, 2.5, 0.0))
        for name, value in zip(("flex", "abduct", "twist", "elbow", "shrug"), pose, strict=True):
            stage.add(f"{side}_{name}", value * DEGREE)
    breath = np.sin(2 * np.pi * rng.uniform(0.22, 0.32) * t + rng.uniform(0, 6))
    stage.add("chest_pitch", (rng.normal(1.0, 2.0) - 0.6 * breath) * DEGREE)
    for side in SIDES:
        stage.add(f"{side}_shrug", 1.2 * breath * DEGREE)
        stage.add(f"{side}_abduct", 0.5 * breath * DEGREE)
    sway, shift, gaze, nod, twist = _wander(t, rng, 5)
    stage.add("sway", 0.008 * energy * sway)
    stage.add("shift", 0.006 * energy * shift)
    stage.add("head_yaw", 4.0 * energy * gaze * DEGREE)
    stage.add("head_pitch", (rng.normal(0.0, 2.5) + 2.0 * energy * nod) * DEGREE)
    stage.add("chest_yaw", 1.5 * energy * twist * DEGREE)


def _wander(t: Array, rng: np.random.Generator, number: int) -> Array:
    """Slow, aimless curves of about unit size, (number, T)."""
    slow, quick = np.array([0.08, 0.18, 0.3]), np.array([0.16, 0.3, 0.5])
    f, p = rng.uniform(slow, quick, (number, 3)), rng.uniform(0, 2 * np.pi, (number, 3))
    return np.array([0.9, 0.5, 0.25]) @ np.sin(2 * np.pi * f[..., None] * t + p[..., None])


def _degrees(*pose: float) -> Array:
    return np.array(pose) * DEGREE


def raise_pose(rng: np.random.Generator, height: str = "high") -> Array:
    """An arm held up, radians (5,). `height`: high, half (about the shoulder) or slight."""
    if height == "high":
        base = (rng.uniform(158, 178), rng.uniform(4, 16), 0, rng.uniform(3, 18), 2)
    elif height == "half":
        base = (rng.uniform(85, 105), rng.uniform(5, 20), 5, rng.uniform(5, 20), 0)
    else:
        base = (rng.uniform(38, 55), rng.uniform(8, 16), 5, rng.uniform(10, 25), 0)
    return _degrees(*base)


def raise_arm(
    stage: Stage,
    side: str,
    start: float,
    end: float,
    rise: float,
    lower: float | None,
    height: str = "high",
    way: str = "front",
) -> None:
    """Raises an arm over `rise` seconds and holds it; lowers it over `lower` seconds up to `end`, or keeps it up beyond."""
    t = stage.t
    pose = raise_pose(stage.rng, height)
    for s in sides(side):
        weight = ramp(t, start, start + rise)
        if lower is not None:
            weight = weight * (1.0 - ramp(t, end - lower, end))
        own = pose + stage.rng.normal(0, 1.0, 5) * DEGREE
        if way == "side" and height == "high":
            # Up through the side: abduction does the work.
            own = _degrees(4, stage.rng.uniform(150, 165), 0, own[3] / DEGREE, 2)
        tremble = 1.2 * DEGREE * np.sin(2 * np.pi * 0.5 * t + stage.rng.uniform(0, 6))
        values = np.broadcast_to(own, (len(t), 5)).copy()
        values[:, 0] += tremble
        # The elbow leads a raise that is made briskly.
        values[:, 3] += weight * (1 - weight) * 140 * DEGREE * stage.rng.uniform(0.2, 0.8)
        stage.draw_arm(s, weight, values)
    tilt = {"left": 1.0, "right": -1.0, "both": 0.0}[side]
    lean = ramp(t, start, start + rise) * (1.0 if lower is None else 1.0 - ramp(t, end - lower, end))
    stage.add("chest_roll", tilt * 3.0 * DEGREE * lean)
    stage.add("chest_pitch", -2.0 * DEGREE * lean)


def lower_arm(stage: Stage, side: str, start: float, end: float, fall: float) -> None:
    """An arm that is up from the first frame comes down between `start` and `start + fall` seconds."""
    t = stage.t
    pose = raise_pose(stage.rng)
    for s in sides(side):
        weight = 1.0 - ramp(t, start, start + fall)
        stage.draw_arm(s, weight, pose + stage.rng.normal(0, 1.0, 5) * DEGREE)


def wave(
    stage: Stage,
    side: str,
    start: float,
    end: float,
    period: float,
    times: int | None = None,
    extent: float = 1.0,
    lower: bool = True,
) -> None:
    """Waves a raised hand: the forearm swings from side to side about an upper arm held out; `times` full swings or all through."""
    t, rng = stage.t, stage.rng
    rise = min(0.6, 0.25 * (end - start))
    a, b = (start + 0.8 * rise, end - (0.8 * rise if lower else 0.0))
    if times is not None:
        period = (b - a) / times
    swing = np.sin(2 * np.pi * (t - a) / period) * pulse(t, a, b + (0.0 if lower else 9.0), min(0.25, 0.3 * period))
    flex, abduct = rng.uniform(12, 40), rng.uniform(85, 118)
    elbow, amplitude = rng.uniform(62, 80), rng.uniform(22, 30) * extent
    for s in sides(side):
        weight = ramp(t, start, start + rise) * (1.0 - ramp(t, end - rise, end) if lower else 1.0)
        values = np.empty((len(t), 5))
        values[:] = _degrees(flex, abduct, -84, elbow, 2)
        values[:, 3] += amplitude * DEGREE * swing
        values[:, 1] += 0.22 * amplitude * DEGREE * swing
        stage.draw_arm(s, weight, values)
    if side != "both":
        stage.add("chest_roll", (1.0 if side == "left" else -1.0) * 1.5 * DEGREE * swing * 0.5)


def _gesture(
    stage: Stage,
    side: str,
    times: Array,
    poses: list[tuple[float, ...]],
    start: float,
    end: float,
    rise: float,
    fall: float,
) -> None:
    """Draws an arm along key poses (degrees) at times, in and out over `rise` and `fall` seconds."""
    values = keys(stage.t, times, np.array(poses) * DEGREE)
    stage.draw_arm(side, pulse(stage.t, start, end, rise, fall), values)


def punch(stage: Stage, side: str, start: float, end: float, times: int, extent: float = 1.0) -> None:
    """Punches forward; with both sides, the fists take turns."""
    t = stage.t
    guard = (32.0, 12.0, 22.0, 128.0, 0.0)
    out = (84.0 + stage.rng.uniform(-6, 8), -2.0, 12.0, 6.0 + 30 * (1 - extent), 4.0)
    arms = sides(side)
    on = min(0.4, 0.3 * (end - start))
    period = (end - start - 2 * on) / times
    for s in SIDES:
        # The other fist guards the chin.
        moments, poses = [start + 0.5 * on], [guard]
        for k in range(times):
            if s == arms[k % len(arms)]:
                a = start + on + k * period
                moments += [a, a + 0.4 * period, a + 0.8 * period]
                poses += [guard, out, guard]
        moments.append(max(end, moments[-1] + 0.05))
        poses.append(guard)
        keep = np.concatenate([[True], np.diff(moments) > 1e-6])
        _gesture(
            stage, s, np.array(moments)[keep], [p for p, k in zip(poses, keep, strict=True) if k], start, end, on, on
        )
        for k in range(times):
            if s == arms[k % len(arms)]:
                a = start + on + k * period
                turn = (
                    (-1.0 if s == "left" else 1.0)
                    * 20
                    * DEGREE
                    * pulse(t, a, a + 0.8 * period, 0.4 * period, 0.4 * period)
                )
                stage.add("chest_yaw", turn)
                stage.add("pelvis_yaw", 0.35 * turn)
                stage.add("head_yaw", -1.2 * turn)


def throw(stage: Stage, side: str, start: float, end: float) -> None:
    """Throws something overhand: the arm is drawn back, whips forward, follows through; the trunk turns with it."""
    t = stage.t
    d = end - start
    at = start + d * np.array([0.0, 0.3, 0.42, 0.55, 0.68, 1.0])
    for s in sides(side):
        sign = 1.0 if s == "left" else -1.0
        _gesture(
            stage, s, at,
            [(5, 15, 0, 30, 0), (-8, 92, -70, 95, 4), (-4, 96, -80, 100, 4), (92, 25, -20, 22, 4), (48, -4, 10, 18, 0), (5, 10, 5, 18, 0)],
            start, end, 0.22 * d, 0.25 * d,
        )  # fmt: skip
        if side == "both":
            continue
        turn = keys(t, at, np.array([0.0, 26.0, 26.0, -18.0, -24.0, 0.0]) * sign * DEGREE)
        stage.add("chest_yaw", turn)
        stage.add("pelvis_yaw", 0.4 * turn)
        stage.add("head_yaw", -1.3 * turn)
        other = "right" if s == "left" else "left"
        _gesture(
            stage, other, at,
            [(5, 12, 8, 15, 0), (55, 8, 0, 25, 0), (55, 10, 0, 25, 0), (10, 22, 5, 45, 0), (0, 20, 5, 30, 0), (2, 10, 8, 15, 0)],
            start, end, 0.2 * d, 0.25 * d,
        )  # fmt: skip
    bend = keys(t, at, np.array([0.0, -9.0, -9.0, 12.0, 16.0, 0.0]) * DEGREE)
    stage.add("chest_pitch", bend)


def clap(stage: Stage, start: float, end: float, times: int) -> None:
    """Claps the hands in front of the chest."""
    t = stage.t
    on = min(0.45, 0.3 * (end - start))
    period = (end - start - 2 * on) / times
    apart = 0.5 + 0.5 * np.cos(2 * np.pi * (t - start - on) / period)
    inside = (t > start + on) & (t < end - on)
    apart = np.where(inside, apart, 1.0)
    height = stage.rng.uniform(-6, 10)
    for s in SIDES:
        values = np.empty((len(t), 5))
        values[:] = _degrees(38 + height, 4, 22, 78, 0)
        values[:, 2] += (20 - 34 * apart) * DEGREE
        values[:, 1] += 7 * apart * DEGREE
        stage.draw_arm(s, pulse(t, start, end, on), values)


def point(stage: Stage, side: str, start: float, end: float, where: str, hold: bool) -> None:
    """Points with a straight arm: forward, left, right or up."""
    t, rng = stage.t, stage.rng
    rise = min(0.6, 0.35 * (end - start))
    for s in sides(side):
        if where == "up":
            pose = (rng.uniform(158, 172), 8, 0, 4, 3)
        elif where == "forward":
            pose = (rng.uniform(82, 94), rng.uniform(-2, 8), 0, 4, 0)
        elif where == s:
            pose = (rng.uniform(-4, 8), rng.uniform(82, 92), 0, 4, 0)
        else:
            # Across the body: straight in front, then inwards.
            pose = (88, -42, 0, 14, 4)
        weight = ramp(t, start, start + rise) * (1.0 if hold else 1.0 - ramp(t, end - rise, end))
        values = np.tile(_degrees(*pose), (len(t), 1))
        if pose[1] < -10:
            # Inwards only once the arm is up: it must not pass through the belly.
            values[:, 1] *= weight**3
        stage.draw_arm(s, weight, values)
        sign = {"left": 1.0, "right": -1.0}.get(where, 0.0)
        if sign and where != s:
            stage.add("chest_yaw", sign * 22 * DEGREE * weight)
        stage.add("head_yaw", sign * 32 * DEGREE * weight)
        if where == "up":
            stage.add("head_pitch", -16 * DEGREE * weight)


def cross(stage: Stage, start: float, end: float, hold: bool) -> None:
    """Folds the arms in front of the chest."""
    t = stage.t
    rise = min(0.8, 0.35 * (end - start))
    weight = ramp(t, start, start + rise) * (1.0 if hold else 1.0 - ramp(t, end - rise, end))
    stage.draw_arm("left", weight, _degrees(34, 4, 66, 92, 0))
    stage.draw_arm("right", weight, _degrees(42, 4, 62, 98, 0))


def held(stage: Stage, action: str, side: str, start: float, end: float, hold: bool) -> None:
    """Brings an arm (or both) to a pose of HELD and keeps it there, beyond `end` where it is to `hold`."""
    t = stage.t
    rise = min(0.7, 0.35 * (end - start))
    for s in sides(side):
        weight = ramp(t, start, start + rise) * (1.0 if hold else 1.0 - ramp(t, end - rise, end))
        stage.draw_arm(s, weight, _degrees(*HELD[action]) + stage.rng.normal(0, 2.0, 5) * DEGREE)


def still(stage: Stage, part: str, start: float, end: float) -> None:
    """Keeps "arms", "left arm", "right arm" or "head" from moving against the trunk, from `start` to `end`."""
    weight = pulse(stage.t, start - 0.3, end + 0.3, 0.3)
    if part == "head":
        stage.draw(weight, head_pitch=stage.base[:, INDEX["head_pitch"]].mean(), head_yaw=0.0, head_roll=0.0)
        return
    for side in SIDES if part == "arms" else (part.split()[0],):
        pose = np.add(NEUTRAL_ARM, (0.0, stage.person.arms_out, 0.0, stage.person.elbows, 0.0))
        stage.draw_arm(side, weight, pose * DEGREE)
    if part == "arms":
        # Who does not swing the arms does not swing the shoulders either.
        stage.draw(0.8 * weight, chest_yaw=0.0)


def shrug(stage: Stage, start: float, end: float, times: int) -> None:
    """Lifts both shoulders and lets them drop."""
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * times * (stage.t - start) / (end - start))
    beat = beat * ((stage.t > start) & (stage.t < end))
    for s in SIDES:
        stage.add(f"{s}_shrug", 22 * DEGREE * beat)
        stage.add(f"{s}_elbow", 16 * DEGREE * beat)
        stage.add(f"{s}_abduct", 6 * DEGREE * beat)
    stage.add("head_pitch", -4 * DEGREE * beat)


def lean(stage: Stage, side: str, start: float, end: float, hold: bool, extent: float = 1.0) -> None:
    """Leans the upper body to a side."""
    rise = min(0.8, 0.35 * (end - start))
    weight = ramp(stage.t, start, start + rise) * (1.0 if hold else 1.0 - ramp(stage.t, end - rise, end))
    sign = 1.0 if side == "left" else -1.0
    stage.add("chest_roll", -sign * 27 * extent * DEGREE * weight)
    stage.add("pelvis_roll", -sign * 5 * extent * DEGREE * weight)
    stage.add("sway", -sign * 0.03 * extent * weight)
    # The arms hang down, they do not lean with the trunk.
    stage.add(f"{side}_abduct", 14 * extent * DEGREE * weight)
    stage.add(f"{'right' if side == 'left' else 'left'}_abduct", -8 * extent * DEGREE * weight)


def swing_arms(
    stage: Stage, side: str, start: float, end: float, period: float, size: float, sense: float, times: int = 0
) -> None:
    """Swings the straight arm in circles at the shoulder (`sense` +1: forward over the top), `times` times or all through."""
    t = stage.t
    rise = min(0.6, 0.3 * (end - start))
    turned = (t - start) / period
    if times:
        pace = integrate(pulse(t, start + 0.5 * rise, end - 0.5 * rise, 0.3), t[1] - t[0])
        turned = times * pace / pace[-1]
    angle = 2 * np.pi * turned * sense
    for s in sides(side):
        values = np.empty((len(t), 5))
        values[:] = _degrees(0, 84, 0, 6, 2)
        values[:, 0] += size * DEGREE * np.cos(angle)
        values[:, 1] += size * DEGREE * np.sin(angle)
        stage.draw_arm(s, pulse(t, start, end, rise), values)


def nod(stage: Stage, start: float, end: float, times: int, extent: float = 1.0) -> None:
    """Nods the head."""
    period = (end - start) / times
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * (stage.t - start) / period)
    stage.add("head_pitch", 30 * DEGREE * extent * beat * pulse(stage.t, start, end, 0.2 * period))


def shake(stage: Stage, start: float, end: float, times: int, extent: float = 1.0) -> None:
    """Shakes the head."""
    beat = np.sin(2 * np.pi * times * (stage.t - start) / (end - start))
    stage.add("head_yaw", 34 * DEGREE * extent * beat * pulse(stage.t, start, end, 0.15))


def look(stage: Stage, start: float, end: float, where: str, hold: bool, extent: float = 1.0) -> None:
    """Turns the gaze left, right, up or down (or to both sides, "around")."""
    t = stage.t
    rise = min(0.5, 0.35 * (end - start))
    if where == "around":
        d = end - start
        angle = keys(t, start + d * np.array([0, 0.25, 0.4, 0.65, 0.8, 1.0]), np.array([0, 58, 58, -58, -58, 0.0]))
        stage.add("head_yaw", angle * extent * DEGREE)
        stage.add("chest_yaw", 0.25 * angle * extent * DEGREE)
        return
    weight = ramp(t, start, start + rise) * (1.0 if hold else 1.0 - ramp(t, end - rise, end))
    if where in SIDES:
        sign = 1.0 if where == "left" else -1.0
        stage.add("head_yaw", sign * 58 * DEGREE * extent * weight)
        stage.add("chest_yaw", sign * 14 * DEGREE * extent * weight)
    else:
        sign = -1.0 if where == "up" else 1.0
        stage.add("head_pitch", sign * 34 * DEGREE * extent * weight)
        stage.add("chest_pitch", sign * 6 * DEGREE * extent * weight)

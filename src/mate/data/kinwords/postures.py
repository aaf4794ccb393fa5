"""Whole-body actions on the spot: sit, lie, stand up, kneel, crouch, squat, lunge, bend, bow; jump, hop, kick, stomp."""

import numpy as np

from mate.data.kinwords.body import HIP_WIDTH
from mate.data.kinwords.curves import DEGREE, keys, pulse, ramp
from mate.data.kinwords.stage import SIDES, FootMove, Stage

Array = np.ndarray


def _arms(stage: Stage, weight: Array, pose: tuple[float, ...]) -> None:
    for side in SIDES:
        stage.draw_arm(side, weight, np.array(pose) * DEGREE)


def _fold(
    stage: Stage, weight: Array, height: float, shift: float, pelvis: float, chest: float, head: float = 0.0
) -> None:
    """Adds a posture: pelvis lower and further forward (metres), pitches in degrees."""
    stage.add("height", height * weight)
    stage.add("shift", shift * weight)
    stage.add("pelvis_pitch", pelvis * DEGREE * weight)
    stage.add("chest_pitch", chest * DEGREE * weight)
    stage.add("head_pitch", head * DEGREE * weight)


def sit(stage: Stage, down: tuple[float, float] | None, up: tuple[float, float] | None) -> None:
    """Sits down on a seat behind during `down` and gets up during `up` (start, end seconds); None: seated from the start, to the end."""
    t = stage.t
    low = np.ones_like(t)
    lean = np.zeros_like(t)
    if down is not None:
        low *= ramp(t, *down)
        lean += pulse(t, down[0], down[1], 0.5 * (down[1] - down[0]))
    if up is not None:
        low *= 1.0 - ramp(t, *up)
        lean += pulse(t, up[0], up[1], 0.5 * (up[1] - up[0]))
    seat = stage.rng.uniform(-0.45, -0.4)
    _fold(stage, low, seat, -0.4, -6, 4)
    _fold(stage, lean, 0.0, 0.05, 22, 20, -16)
    _arms(stage, low, (30, 8, 12, 52, 0))


LYING = 0.475  # metres in front of their usual place: where the feet of a body on its back lie


def lie(stage: Stage, down: tuple[float, float] | None, up: tuple[float, float] | None) -> None:
    """Lies down on the back during `down` and gets up during `up` (start, end seconds); None: lying from the start, to the end.

    Down to a seat on the floor behind the feet, the feet step forward one by one while the trunk rolls back; up is the same backwards.
    """
    t = stage.t

    def part(a: float, b: float) -> Array:
        """1 while lying: comes between the shares `a` and `b` of `down` and goes at the same shares of `up`, counted backwards."""
        w = np.ones_like(t)
        if down is not None:
            d = down[1] - down[0]
            w = w * ramp(t, down[0] + a * d, down[0] + b * d)
        if up is not None:
            d = up[1] - up[0]
            w = w * (1.0 - ramp(t, up[1] - b * d, up[1] - a * d))
        return w

    low, back = part(0.0, 0.5), part(0.45, 0.92)
    lean = 4.0 * part(0.0, 0.5) * (1.0 - part(0.25, 0.6))  # the bend forward that keeps the balance on the way
    stage.add("height", -0.83 * low)
    stage.add("shift", -0.43 * low)
    _fold(stage, np.minimum(lean, 1.0), 0.0, 0.0, 26, 22, -20)
    _fold(stage, low * (1 - back), 0.0, 0.0, -12, 26, 0)
    stage.draw(back, pelvis_pitch=-88 * DEGREE, pelvis_yaw=0.0, pelvis_roll=0.0, sway=0.0)
    # Lying, the trunk rests on the floor, whatever the posture of the person.
    stage.draw(back, chest_pitch=2 * DEGREE, chest_yaw=0.0, chest_roll=0.0, head_pitch=-2 * DEGREE, head_roll=0.0)
    _arms(stage, np.minimum(lean, 1.0), (108, 16, 10, 26, 0))
    # From in front of the knees to behind the seat: bent on the way, or the hands would go through the floor.
    _arms(stage, low * (1 - back) * part(0.36, 0.46), (24, 34, 10, 96, 0))
    _arms(stage, low * (1 - back) * part(0.46, 0.62), (-44, 40, 5, 54, 0))
    _arms(stage, back, (-2, 17, 8, 10, 0))
    for foot in (0, 1):
        late = 0.14 * foot
        place = (0.0, LYING)
        if down is None:
            stage.stance[foot] = place
        else:
            a, d = down[0], down[1] - down[0]
            stage.moves.append(
                FootMove(
                    foot, a + (0.5 + late) * d, a + (0.72 + late) * d, a, height=0.07, offset=place, toe_off=6 * DEGREE
                )
            )
        if up is not None:
            b, d = up[1], up[1] - up[0]
            stage.moves.append(
                FootMove(foot, b - (0.72 + late) * d, b - (0.5 + late) * d, b, height=0.07, strike=10 * DEGREE)
            )
        stage.pitched.append((foot, 62 * DEGREE, part(0.74 + late, 0.88 + 0.5 * late)))


def lunge(stage: Stage, start: float, end: float, side: str, down: float, depth: float = 1.0) -> None:
    """Steps far forward with one foot, sinks until the front knee is bent, and steps back."""
    t = stage.t
    low = ramp(t, start + 0.15 * down, start + down) * (1.0 - ramp(t, end - down, end - 0.15 * down))
    foot = 0 if side == "left" else 1
    far = 0.5 + 0.16 * depth
    _fold(stage, low, -0.3 * depth, 0.36 * far, 2, 4, -4)
    step = FootMove(
        foot, start, start + 0.55 * down, start, height=0.1, offset=(0.0, far), toe_off=12 * DEGREE, strike=10 * DEGREE
    )
    stage.moves.append(step)
    stage.moves.append(FootMove(foot, end - 0.55 * down, end - 0.02, end, height=0.1, toe_off=14 * DEGREE))
    stage.pitched.append((1 - foot, -48 * DEGREE, low))
    _arms(stage, 0.8 * low, (-6, 30, 50, 85, 0))


def kneel(stage: Stage, start: float, end: float, side: str, down: float, up: float | None) -> None:
    """Kneels on the left or right knee over `down` seconds; rises over `up` seconds before `end`, or stays.

    The other foot steps forward first, then the kneeling foot goes back and stands on its toes.
    """
    t = stage.t
    rising = 1.0 if up is None else 1.0 - ramp(t, end - up, end - 0.3 * up)
    low = ramp(t, start + 0.2 * down, start + down) * rising
    _fold(stage, low, -0.457, -0.02, 0, 3)
    foot = 0 if side == "left" else 1
    front = 1 - foot
    sign = 1.0 if foot == 0 else -1.0
    back, ahead, toes = -0.46, 0.24, 72 * DEGREE
    stage.moves.append(
        FootMove(front, start, start + 0.28 * down, start, height=0.07, offset=(0.0, ahead), toe_off=8 * DEGREE)
    )
    stage.moves.append(
        FootMove(
            foot,
            start + 0.3 * down,
            start + 0.72 * down,
            start,
            height=0.1,
            offset=(0.0, back),
            toe_off=10 * DEGREE,
            strike=-toes,
        )
    )
    tipped = ramp(t, start + 0.35 * down, start + down)
    if up is not None:
        tipped = tipped * (1.0 - ramp(t, end - up, end - 0.5 * up))
        stage.moves.append(FootMove(foot, end - 0.7 * up, end - 0.3 * up, end, height=0.1))
        stage.moves.append(FootMove(front, end - 0.3 * up, end - 0.02, end, height=0.07, toe_off=8 * DEGREE))
    # Only the pitch of the foot behind is drawn: its place is where it stepped.
    where = np.tile([sign * HIP_WIDTH * stage.person.stance, 0.0, back - 0.035], (len(t), 1))
    planted = ramp(t, start + 0.72 * down, start + down)
    if up is not None:
        planted = planted * (1.0 - ramp(t, end - up, end - 0.7 * up))
    stage.airborne.append((foot, planted, where, np.full(len(t), -toes)))
    _arms(stage, 0.8 * low, (22, 10, 12, 45, 0))


def crouch(stage: Stage, start: float, end: float, down: float, up: float | None, depth: float = 1.0) -> None:
    """Crouches: hips low, trunk bent forward, heels on the floor."""
    t = stage.t
    low = ramp(t, start, start + down) * (1.0 if up is None else 1.0 - ramp(t, end - up, end))
    _fold(stage, low, -0.42 * depth, -0.16 * depth, 28 * depth, 30 * depth, -34 * depth)
    _arms(stage, low, (66, 2, 15, 62, 0))


def squat(stage: Stage, start: float, end: float, times: int, depth: float = 1.0) -> None:
    """Squats `times` times with the arms stretched forward."""
    t = stage.t
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * times * (t - start) / (end - start))
    low = beat * ((t > start) & (t < end))
    _fold(stage, low, -0.4 * depth, -0.17 * depth, 26 * depth, 14 * depth, -22 * depth)
    _arms(stage, low, (104, 4, 5, 8, 0))


def bow(stage: Stage, start: float, end: float, times: int, extent: float = 1.0) -> None:
    """Bows from the hips with a straight back, arms at the sides."""
    t = stage.t
    d = (end - start) / times
    low = np.zeros_like(t)
    for k in range(times):
        low += pulse(t, start + k * d, start + (k + 1) * d, 0.38 * d)
    _fold(stage, low, -0.02, -0.1 * extent, 38 * extent, 22 * extent, 14 * extent)
    _arms(stage, low, (18 * extent, 5, 8, 6, 0))


def bend(stage: Stage, start: float, end: float, down: float, up: float | None, extent: float = 1.0) -> None:
    """Bends forward and down, hands towards the floor."""
    t = stage.t
    low = ramp(t, start, start + down) * (1.0 if up is None else 1.0 - ramp(t, end - up, end))
    _fold(stage, low, -0.04 * extent, -0.17 * extent, 62 * extent, 52 * extent, 10)
    _arms(stage, low, (100 * extent + 4, 0, 5, 8, 0))


def jump(stage: Stage, start: float, end: float, times: int, apex: float, forward: float, left: float = 0.0) -> None:
    """Jumps off both feet `times` times, `apex` metres high, each `forward` (and `left`) metres far."""
    t = stage.t
    d = (end - start) / times
    flight = 2.0 * np.sqrt(2.0 * apex / stage.person.gravity)
    launch = stage.person.gravity * flight / 2.0
    moments, heights, speeds, swings = [], [], [], []
    for k in range(times):
        a = start + k * d
        room = max(d - flight, 0.45)
        off = a + 0.58 * room
        land = off + flight
        # Down, off the floor with the right speed, a throw, down into the knees, up.
        moments += [a, a + 0.32 * room, off, land, land + 0.17 * room]
        heights += [0.0 if k == 0 else -0.06, -0.24, 0.015, 0.015, -0.2]
        speeds += [0.0, 0.0, launch, -launch, 0.0]
        swings += [0.0, -38.0, 70.0, 58.0, 12.0]
        for foot in (0, 1):
            stage.moves.append(
                FootMove(
                    foot,
                    off,
                    land,
                    land + 0.1,
                    height=apex * 1.02,
                    toe_off=46 * DEGREE,
                    strike=-24 * DEGREE,
                    ballistic=True,
                    width=1.15,
                )
            )
        if forward or left:
            stage.jumps.append((off - 0.08, land + 0.08, forward, left))
    moments.append(end)
    heights.append(0.0)
    speeds.append(0.0)
    swings.append(0.0)
    at = np.array(moments)
    y = keys(t, at, np.array(heights), np.array(speeds))
    stage.add("height", y)
    low = np.clip(-y / 0.24, 0.0, 1.0)
    _fold(stage, low, 0.0, -0.05, 20, 22, -26)
    flex = keys(t, at, np.array(swings))
    weight = pulse(t, start, end, 0.2, 0.3)
    for side in SIDES:
        values = np.empty((len(t), 5))
        values[:] = np.array([0, 14, 5, 30, 0]) * DEGREE
        values[:, 0] = flex * DEGREE
        stage.draw_arm(side, weight, values)


def hop(stage: Stage, start: float, end: float, side: str, times: int, forward: float) -> None:
    """Hops on one foot `times` times; the other foot is held up behind."""
    t = stage.t
    on = 0.55
    foot = 0 if side == "left" else 1
    other = 1 - foot
    sign = 1.0 if foot == 0 else -1.0
    a, b = start + on, end - on
    d = (b - a) / times
    apex = min(0.12, stage.person.gravity * (0.45 * d) ** 2 / 8.0)
    flight = 2.0 * np.sqrt(2.0 * apex / stage.person.gravity)
    launch = stage.person.gravity * flight / 2.0
    moments, heights, speeds = [start], [0.0], [0.0]
    for k in range(times):
        off = a + k * d + 0.55 * (d - flight)
        land = off + flight
        moments += [a + k * d + 0.28 * (d - flight), off, land]
        heights += [-0.09, 0.01, 0.01]
        speeds += [0.0, launch, -launch]
        stage.moves.append(
            FootMove(
                foot,
                off,
                land,
                land + 0.05,
                height=apex * 1.02,
                toe_off=34 * DEGREE,
                strike=-16 * DEGREE,
                ballistic=True,
                offset=(-sign * 0.055, 0.0),
            )
        )
        if forward:
            stage.jumps.append((off - 0.05, land + 0.05, forward, 0.0))
    moments += [moments[-1] + 0.28 * (d - flight), end]
    heights += [-0.08, 0.0]
    speeds += [0.0, 0.0]
    y = keys(t, np.array(moments), np.array(heights), np.array(speeds))
    stage.add("height", y)
    weight = pulse(t, start, end, on, on)
    stage.add("sway", sign * 0.05 * weight)
    stage.add("pelvis_roll", sign * 3 * DEGREE * weight)
    where = np.stack([np.full_like(t, -sign * 0.1), 0.3 + y, np.full_like(t, -0.3)], axis=1)
    stage.airborne.append((other, weight, where, np.full_like(t, -50 * DEGREE)))
    # When it comes down again it stands beside the foot that hopped.
    stage.moves.append(FootMove(other, start + 0.05, end - 0.05, end, height=0.0))
    _fold(stage, weight, -0.01, 0.0, 6, 6, -8)
    for s in SIDES:
        stage.draw_arm(s, 0.9 * weight, np.array([18, 32, 5, 58, 4]) * DEGREE)


def kick(
    stage: Stage, start: float, end: float, side: str, times: int, extent: float = 1.0, aside: bool = False
) -> None:
    """Kicks forward (or `aside`, outwards) with one foot `times` times; the other carries the weight."""
    t = stage.t
    foot = 0 if side == "left" else 1
    sign = 1.0 if foot == 0 else -1.0
    on = min(0.35, 0.2 * (end - start))
    d = (end - start - 2 * on) / times
    moments, places, angles = [start], [(sign * HIP_WIDTH * stage.person.stance, 0.0, -0.035)], [0.0]
    for k in range(times):
        a = start + on + k * d
        moments += [a + 0.12 * d, a + 0.48 * d, a + 0.85 * d]
        if aside:
            out = (sign * (0.52 + 0.08 * extent), 0.3 + 0.22 * extent, 0.04)
            places += [(sign * 0.12, 0.34, 0.02), out, (sign * 0.12, 0.2, 0.0)]
        else:
            out = (sign * 0.07, 0.28 + 0.42 * extent, 0.5 + 0.12 * extent)
            places += [(sign * 0.09, 0.3, -0.36), out, (sign * 0.09, 0.2, 0.02)]
        angles += [-45.0, -18.0, -20.0]
    moments.append(end)
    places.append((sign * HIP_WIDTH * stage.person.stance, 0.0, -0.035))
    angles.append(0.0)
    at = np.array(moments)
    where = keys(t, at, np.array(places))
    weight = pulse(t, start, end, 0.12, 0.12)
    stage.airborne.append((foot, weight, where, keys(t, at, np.array(angles)) * DEGREE))
    hold = pulse(t, start - 0.25, end + 0.25, on + 0.25, on + 0.25)
    stage.add("sway", -sign * 0.07 * hold)
    stage.add("height", -0.025 * hold)
    if aside:
        out = np.clip((np.abs(where[:, 0]) - 0.12) / 0.48, 0.0, 1.0) * weight
        stage.add("pelvis_roll", -sign * 12 * DEGREE * out)
        stage.add("chest_roll", sign * 24 * DEGREE * out)
        _arms(stage, 0.8 * hold, (12, 34, 10, 50, 0))
        return
    out = np.clip(where[:, 2] / 0.6, -0.6, 1.0) * weight
    stage.add("pelvis_pitch", -14 * DEGREE * out * extent)
    stage.add("chest_pitch", 4 * DEGREE * out)
    stage.add("pelvis_yaw", -sign * 10 * DEGREE * out)
    near, far = ("left", "right") if foot == 0 else ("right", "left")
    stage.draw_arm(
        near,
        0.9 * hold,
        np.stack(
            [(8 - 38 * out) * DEGREE, np.full_like(t, 0.5), np.full_like(t, 0.1), np.full_like(t, 0.6), 0 * t], axis=1
        ),
    )
    stage.draw_arm(
        far,
        0.9 * hold,
        np.stack(
            [(14 + 38 * out) * DEGREE, np.full_like(t, 0.5), np.full_like(t, 0.2), np.full_like(t, 0.7), 0 * t], axis=1
        ),
    )


def lift_foot(
    stage: Stage, start: float, end: float, side: str, times: int, height: float, ahead: float, fall: float
) -> None:
    """Lifts one foot `height` metres, the knee in front, and puts it down again, `times` times; `fall`: the share of the way down.

    A slow fall is a raised knee, a quick one a stamp.
    """
    t = stage.t
    foot = 0 if side == "left" else 1
    sign = 1.0 if foot == 0 else -1.0
    on = 0.25
    d = (end - start - 2 * on) / times
    ground, top = (sign * HIP_WIDTH * stage.person.stance, 0.0, -0.035), (sign * 0.09, height, ahead)
    moments, places, angles = [start], [ground], [0.0]
    for k in range(times):
        a = start + on + k * d
        moments += [a, a + 0.4 * d, a + (0.9 - fall) * d, a + 0.9 * d]
        places += [ground, top, top, ground]
        angles += [0.0, -25.0, -12.0, 0.0]
    moments.append(end)
    places.append(ground)
    angles.append(0.0)
    at = np.array(moments)
    where = keys(t, at, np.array(places))
    inside = ((t > start) & (t < end)).astype(float)
    stage.airborne.append((foot, inside, where, keys(t, at, np.array(angles)) * DEGREE))
    hold = pulse(t, start - 0.3, end + 0.3, on + 0.3)
    stage.add("sway", -sign * 0.07 * hold)
    stage.add("height", -0.015 * hold)
    up = where[:, 1] / height
    stage.add("pelvis_pitch", -6 * DEGREE * up)
    stage.add("chest_pitch", 5 * DEGREE * up)
    for s in SIDES:
        stage.draw_arm(s, 0.7 * hold, np.array([6, 26, 5, 32, 0]) * DEGREE)

"""Getting about: gaits as numbers, footsteps from the root's path, and what the rest of the body does in time with the feet."""

from dataclasses import dataclass, fields, replace

import numpy as np

from mate.data.kinwords.body import HIP_WIDTH
from mate.data.kinwords.curves import DEGREE, integrate, pulse, ramp, smooth
from mate.data.kinwords.stage import FPS, FootMove, Stage

Array = np.ndarray


@dataclass(frozen=True)
class Gait:
    """How a body goes. Lengths in metres, times in seconds, angles in degrees.

    Attributes:
        speed: at medium pace, m/s.
        cadence: steps a second at that speed.
        duty: the part of a stride that a foot is on the floor (below 0.5: flight).
        lift: height of the ankle in the swing; early: see FootMove.
        toe_off, strike: see FootMove.
        bob: amplitude of the pelvis' height; sink: how much lower the pelvis rides.
        sway: amplitude of the pelvis to the sides.
        lean: of the trunk, forward.
        arms: amplitude of the upper arms' swing; elbow: their bend; abduct: how far from the body; flex: mean angle forward.
        twist: amplitude of the pelvis' yaw.
        width: factor on the distance between the feet.
        skip: 1 for a hop on the foot that stands, between its landing and its next step.
        tip: angle by which the heels stay off the floor.
        limp: 0 even, to 1: a short, stiff step on one side.
    """

    speed: float
    cadence: float
    duty: float
    lift: float = 0.07
    early: float = 0.8
    toe_off: float = 32.0
    strike: float = 14.0
    bob: float = 0.018
    sink: float = 0.02
    sway: float = 0.02
    lean: float = 3.0
    arms: float = 20.0
    elbow: float = 22.0
    abduct: float = 9.0
    flex: float = 2.0
    twist: float = 5.0
    width: float = 0.85
    limp: float = 0.0
    skip: float = 0.0
    tip: float = 0.0


GAITS = {
    "walk": Gait(1.2, 1.85, 0.61),
    "backwards": Gait(
        0.75, 1.6, 0.64, lift=0.06, toe_off=12, strike=-6, arms=11, lean=1, early=1.0, width=1.0, sink=0.03
    ),
    "jog": Gait(
        2.2,
        2.55,
        0.42,
        lift=0.2,
        early=0.7,
        toe_off=42,
        strike=6,
        bob=0.035,
        sink=0.05,
        lean=8,
        arms=27,
        elbow=82,
        width=0.55,
        twist=7,
    ),
    "run": Gait(
        3.1,
        2.8,
        0.35,
        lift=0.31,
        early=0.68,
        toe_off=48,
        strike=5,
        bob=0.038,
        sink=0.055,
        lean=11,
        arms=38,
        elbow=88,
        width=0.4,
        twist=9,
    ),
    "sprint": Gait(
        4.7,
        3.7,
        0.27,
        lift=0.42,
        early=0.68,
        toe_off=52,
        strike=0,
        bob=0.03,
        sink=0.065,
        lean=17,
        arms=52,
        elbow=90,
        width=0.35,
        twist=11,
    ),
    "tiptoe": Gait(
        0.55,
        1.7,
        0.66,
        lift=0.13,
        toe_off=46,
        strike=-34,
        bob=0.006,
        sink=-0.045,
        lean=5,
        arms=7,
        elbow=66,
        flex=10,
        abduct=16,
        twist=2,
        tip=34,
    ),
    "march": Gait(
        0.95,
        1.75,
        0.58,
        lift=0.36,
        early=1.0,
        toe_off=22,
        strike=2,
        bob=0.01,
        sink=0.015,
        lean=-1,
        arms=42,
        elbow=12,
        twist=2,
        sway=0.025,
    ),
    "limp": Gait(
        0.7,
        1.5,
        0.66,
        lift=0.05,
        toe_off=18,
        strike=6,
        bob=0.012,
        sink=0.035,
        sway=0.03,
        lean=8,
        arms=9,
        twist=3,
        limp=1.0,
    ),
    "sidestep": Gait(
        0.55,
        1.7,
        0.62,
        lift=0.07,
        toe_off=8,
        strike=0,
        bob=0.01,
        sink=0.05,
        sway=0.0,
        lean=3,
        arms=4,
        twist=0,
        width=1.1,
    ),
    "turn": Gait(
        0.0, 1.7, 0.66, lift=0.06, toe_off=12, strike=0, bob=0.006, sink=0.012, sway=0.02, arms=6, twist=0, width=1.0
    ),
    "skip": Gait(
        1.55,
        1.45,
        0.62,
        lift=0.3,
        early=1.0,
        toe_off=34,
        strike=0,
        bob=0.0,
        sink=0.035,
        lean=4,
        arms=45,
        elbow=40,
        twist=6,
        width=0.7,
        skip=1.0,
    ),
    "creep": Gait(
        0.45, 1.2, 0.68, lift=0.1, toe_off=20, strike=4, bob=0.008, sink=0.13, lean=20, arms=8, elbow=55, flex=14
    ),
}


BLENDED = tuple(f.name for f in fields(Gait) if f.name not in ("speed", "limp", "skip"))


@dataclass(frozen=True)
class Leg:
    """One stretch of going: from `start` to `end` seconds with a gait at a velocity and a yaw rate (body frame; left positive).

    `turning` is the mean rate from `turn_start` to `turn_end`. `even`: the rate goes with the speed, so that the path is a circle.
    """

    start: float
    end: float
    gait: Gait
    ahead: float
    aside: float = 0.0
    turning: float = 0.0
    turn_start: float | None = None
    turn_end: float | None = None
    even: bool = False


def paced(gait: Gait, speed: float) -> Gait:
    """The gait at another speed: cadence and step length both give, as people do it (roughly the square root of speed each)."""
    if gait.speed == 0:
        return gait
    r = speed / gait.speed
    duty = gait.duty - 0.06 * (r - 1.0) if gait.duty > 0.5 else gait.duty - 0.05 * (r - 1.0)
    amplitude = r**0.6
    return replace(
        gait,
        speed=speed,
        cadence=gait.cadence * r**0.45,
        duty=float(np.clip(duty, 0.54, 0.72) if gait.duty > 0.5 else np.clip(duty, 0.24, 0.46)),
        toe_off=gait.toe_off * min(amplitude, 1.15),
        strike=gait.strike * min(amplitude, 1.2),
        arms=gait.arms * amplitude,
        twist=gait.twist * amplitude,
        bob=gait.bob * amplitude,
        lean=gait.lean * (0.5 + 0.5 * r),
    )


def command(stage: Stage, legs: list[Leg]) -> None:
    """Writes the wanted velocities of a bout of consecutive legs onto the stage."""
    t = stage.t
    for i, leg in enumerate(legs):
        # Consecutive legs cross-fade; the first starts and the last stops over about a step.
        rise = 0.5 if i else min(0.55 + 0.09 * abs(leg.ahead), 0.45 * (leg.end - leg.start))
        last = i == len(legs) - 1
        fall = 0.5 if not last else min(0.6 + 0.12 * abs(leg.ahead), 0.45 * (leg.end - leg.start))
        start, end = leg.start - (0.25 if i else 0.0), leg.end + (0.0 if last else 0.25)
        going = ramp(t, start, start + rise) * (1.0 - ramp(t, end - fall, end))
        full = 1.0
        if leg.turning:
            a = leg.start if leg.turn_start is None else leg.turn_start
            b = leg.end if leg.turn_end is None else leg.turn_end
            soft = 0.35 * (b - a)
            shape = going if leg.even else ramp(t, a, a + soft) * (1.0 - ramp(t, b - soft, b))
            # Keep the angle exact whatever the ramps take away; on a circle the way round it, too.
            area = float(shape[(t >= a - 0.25) & (t <= b + 0.25)].sum()) / FPS
            rate = (b - a) / max(area, 1e-6)
            stage.turning += leg.turning * rate * shape
            full = rate if leg.even else 1.0
        stage.ahead += leg.ahead * full * going
        stage.aside += leg.aside * going


def steps(
    stage: Stage,
    legs: list[Leg],
    first: int,
    limp_side: int = 0,
    number: int | None = None,
    over: tuple[int, float] | None = None,
) -> None:
    """Footsteps and the gait's body movement for a bout. Call after `Stage.plan_root`.

    Landing i is at phase i + 2 (1 - duty), phase counted in steps from the start; each foot stands where the root is in the
    middle of its stance.

    Args:
        first: the foot that steps first, 0 left, 1 right; limp_side: the sore one.
        number: how many steps, where it is not for the speed to say.
        over: a foot and about when (seconds) it steps over something; the other one follows. Noted in `Stage.spans`.
    """
    t, rng = stage.t, stage.rng
    start, end = legs[0].start, legs[-1].end
    inside = (t >= start) & (t <= end)
    params = _blend(stage, legs)
    cadence = params["cadence"]
    phase = integrate(np.where(inside, cadence, 0.0), 1.0 / FPS)
    duty0, duty1 = legs[0].gait.duty, legs[-1].gait.duty
    total = float(phase[-1])
    lead = 2.0 * (1.0 - duty0)
    count = number or max(2, round(total - lead + 1.0))
    sideways = bool(legs[0].aside) and not legs[0].ahead
    if sideways:
        count += count % 2  # the foot that leads steps first, the other closes up last
    scale = (count - 1.0 + 2.0 * (1.0 - duty1)) / total
    phase, cadence = phase * scale, cadence * scale
    grid = np.flatnonzero(inside)
    lo, hi = max(grid[0] - 1, 0), min(grid[-1] + 1, len(t) - 1)
    ph, ti = phase[lo : hi + 1], t[lo : hi + 1]
    index = np.arange(count)
    feet = (first + index) % 2
    foot_duty = np.interp(np.interp(index + lead, ph, ti), t, params["duty"])
    swing = 2.0 * (1.0 - foot_duty)
    lands = index + 2.0 * (1.0 - foot_duty)
    lifts = index.astype(float)
    limp = legs[0].gait.limp
    if limp:
        # The sound leg hurries over, so that the sore one carries the weight only briefly.
        sore = feet == limp_side
        lands = lands + np.where(sore, 0.0, -0.22 * limp)
        lifts = lifts + np.where(sore, -0.1 * limp, 0.06 * limp)
        lifts = np.maximum(lifts, 0.0)
    # In flight gaits the foot lands close under the body and leaves far behind it, on its toes.
    forwardness = np.where(foot_duty < 0.5, 0.14, 0.03) * np.sign(legs[0].ahead)
    middle = index + 1.0 + swing / 2.0 - forwardness * 2.0 * foot_duty
    middle[-2:] = 1e9
    when = np.interp(middle, ph, ti)
    land_t, lift_t = np.interp(lands, ph, ti), np.interp(lifts, ph, ti)
    lift_h, toe_off, strike, width, early = (
        np.interp(0.5 * (land_t + lift_t), t, params[k]) for k in ("lift", "toe_off", "strike", "width", "early")
    )
    width = np.where(middle >= 1e8, 1.0, width)
    lift_h = np.minimum(lift_h, 0.46)  # higher the ankle meets the hip
    if over is not None:
        own = np.flatnonzero((feet == over[0]) & (index > 0) & (index < count - 2))
        leads = own[np.argmin(np.abs(0.5 * (land_t + lift_t)[own] - over[1]))] if len(own) else 1
        both = slice(leads, leads + 2)
        lift_h[both], early[both], toe_off[both] = (0.36, 0.4), 1.0, (20.0, 40.0)
        # Each foot takes its time over the thing: up to just before the other one needs to leave.
        lift_t[both] -= 0.06
        land_t[both] += 0.04
        lift_t[leads + 1] = max(lift_t[leads + 1], land_t[leads] + 0.02)
        stage.spans["step_over"] = (float(lift_t[leads]), float(land_t[leads + 1]))
    # Stepping aside, the foot that leads goes further and the other only closes up to it: they never cross.
    apart = np.zeros(count)
    if sideways:
        stride = 2.0 * abs(legs[0].aside) / legs[0].gait.cadence
        spread = max(0.0, 0.5 * stride - 2.0 * HIP_WIDTH * stage.person.stance * legs[0].gait.width + 0.16) / 2.0
        leader = 0 if legs[0].aside > 0 else 1
        apart = np.sign(legs[0].aside) * np.where(feet == leader, spread, -spread)
        apart[-2:] = 0.0
    for i in range(count):
        mild = 0.5 if i == 0 or i >= count - 1 else 1.0
        stiff = 0.6 if limp and feet[i] == limp_side else 1.0
        stage.moves.append(
            FootMove(
                int(feet[i]), float(lift_t[i]), float(max(land_t[i], lift_t[i] + 0.12)), float(when[i]),
                height=float(lift_h[i]) * stiff * (0.7 if mild < 1 else 1.0) * float(rng.uniform(0.92, 1.08)),
                toe_off=float(toe_off[i]) * mild * stiff * DEGREE,
                strike=float(strike[i]) * (mild if strike[i] > 0 else 1.0) * DEGREE,
                width=float(width[i]), early=float(early[i]), rolling=0.7 if foot_duty[i] < 0.5 else 0.45,
                offset=(float(apart[i]), -0.06 * limp if limp and feet[i] != limp_side else 0.0),
            )
        )  # fmt: skip
    if legs[0].gait.skip:
        _hops(stage, feet, land_t, lift_t)
    _sway(stage, params, phase, lead, first, start, end, limp, limp_side)


def _hops(stage: Stage, feet: Array, land: Array, lift: Array) -> None:
    """Skipping: in the middle of each stance the standing foot hops and lands a little further on."""
    for i in range(len(feet) - 2):
        stance = lift[i + 2] - land[i]
        off, down = land[i] + 0.36 * stance, land[i] + 0.7 * stance
        mine = [k for k, move in enumerate(stage.moves) if move.foot == feet[i]]
        before = min(mine, key=lambda k: abs(stage.moves[k].land - land[i]))
        stage.moves[before] = replace(stage.moves[before], anchor=float(land[i] + 0.2 * stance))
        stage.moves.append(
            FootMove(
                int(feet[i]),
                float(off),
                float(down),
                float(land[i] + 0.86 * stance),
                height=0.09,
                toe_off=30 * DEGREE,
                ballistic=True,
                width=0.7,
            )
        )
        stage.add("height", 0.085 * pulse(stage.t, float(off) - 0.1, float(down) + 0.1, 0.5 * float(down - off) + 0.1))


def _blend(stage: Stage, legs: list[Leg]) -> dict[str, Array]:
    """The gaits' numbers over time, (N,) each, cross-faded between legs."""
    t = stage.t
    which = np.clip(np.searchsorted([leg.end for leg in legs], t, side="left"), 0, len(legs) - 1)
    out = {}
    for name in BLENDED:
        values = np.array([getattr(leg.gait, name) for leg in legs], float)[which]
        out[name] = smooth(values, 7) if len(legs) > 1 else values
    return out


def _sway(
    stage: Stage,
    p: dict[str, Array],
    phase: Array,
    lead: float,
    first: int,
    start: float,
    end: float,
    limp: float,
    limp_side: int,
) -> None:
    """What pelvis, trunk and arms do in time with the feet."""
    t = stage.t
    soft = min(0.45, 0.3 * (end - start))
    on = ramp(t, start, start + soft) * (1.0 - ramp(t, end - soft, end))
    # 0 when the left foot lands, pi when the right one does.
    stride = np.pi * (phase - lead - (0.0 if first == 0 else 1.0))
    middle = np.pi * p["duty"]
    flight = np.where(p["duty"] < 0.5, -1.0, 1.0)
    stage.add("height", on * (p["bob"] * flight * np.cos(2.0 * (stride - middle)) - p["sink"] - 0.5 * p["bob"]))
    stage.add("sway", on * p["sway"] * np.cos(stride - middle))
    swing = np.cos(stride)
    twist = p["twist"] * DEGREE
    stage.add("pelvis_yaw", -on * twist * swing)
    stage.add("chest_yaw", on * twist * 2.1 * swing)
    stage.add("head_yaw", -on * twist * 1.0 * swing)
    roll = on * 2.5 * DEGREE * np.cos(stride - middle)
    stage.add("pelvis_roll", roll)
    stage.add("chest_roll", -1.3 * roll)
    lean = on * p["lean"] * DEGREE
    stage.add("pelvis_pitch", 0.5 * lean)
    stage.add("chest_pitch", 0.5 * lean)
    stage.add("head_pitch", -0.75 * lean)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        move = sign * swing * (1.0 - sign * stage.person.uneven)
        stage.add(f"{side}_flex", on * (p["arms"] * move + p["flex"]) * DEGREE)
        stage.add(f"{side}_elbow", on * (p["elbow"] - 14.0 + 0.35 * p["arms"] * move) * DEGREE)
        stage.add(f"{side}_abduct", on * (p["abduct"] - 9.0 + 0.05 * p["arms"]) * DEGREE)
        stage.add(f"{side}_twist", on * 0.17 * p["elbow"] * (move * 0.4 + 0.6) * DEGREE)
    if p["tip"].any():
        stage.tips.append((float(p["tip"].max()) * DEGREE, on * p["tip"] / p["tip"].max()))
    if limp:
        sore = np.cos(stride - middle - (0.0 if limp_side == 0 else np.pi))
        sink = np.maximum(sore, 0.0) ** 2
        tilt = 1.0 if limp_side == 0 else -1.0
        stage.add("height", -0.035 * limp * on * sink)
        stage.add("chest_roll", -tilt * 9.0 * DEGREE * limp * on * sink)
        stage.add("chest_pitch", 5.0 * DEGREE * limp * on * sink)

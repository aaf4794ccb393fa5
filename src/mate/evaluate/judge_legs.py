"""The judge's words about legs: jumps, hops, kicks, lifted feet."""

from collections.abc import Callable

import numpy as np
from scipy.signal import find_peaks

from mate.evaluate.judge_curves import held, repeated
from mate.evaluate.judge_going import way
from mate.evaluate.judge_limits import SIDES, Answer, Limits, every, over, some, under
from mate.motion.kinematics import segments
from mate.motion.kinematics_tracks import Tracks


def flights(t: Tracks, rise: float) -> list[tuple[int, int]]:
    """Stretches in which both feet are off the floor and the pelvis is `rise` metres over its standing height."""
    airborne = np.all(t.toes > 0.05, axis=1)
    standing = float(np.median(t.pelvis_rise[~airborne])) if (~airborne).any() else float(np.median(t.pelvis_rise))
    window = max(1, round(0.15 * t.fps))
    return [
        (start, end)
        for start, end in segments(airborne)
        if start > 0
        and end < len(t)
        and t.pelvis_rise[start:end].max() > standing + rise
        and (t.toes[max(0, start - window) : start].min(axis=0) < 0.05).all()
        and (t.toes[end : end + window].min(axis=0) < 0.05).all()
    ]


def _rise(t: Tracks, start: int, end: int) -> float:
    """How far the pelvis gets over its height at the take-off, metres."""
    return float(t.pelvis_rise[start:end].max() - t.pelvis_rise[start - 1])


def _flight_way(t: Tracks, start: int, end: int) -> tuple[float, float]:
    """Forward and left, metres, from before the take-off to after the landing."""
    pad = max(1, round(0.1 * t.fps))
    a, b = max(0, start - pad), min(len(t) - 1, end + pad)
    dx, dz = t.place[b] - t.place[a]
    angle = t.facing[a]
    return float(dx * np.sin(angle) + dz * np.cos(angle)), float(dx * np.cos(angle) - dz * np.sin(angle))


def jump(t: Tracks, k: Limits, where: str = "", count: int = 0, extent: str = "") -> Answer:
    """Jumps off both feet: up, forward, left, right, or anywhere."""
    surely, perhaps = flights(t, k.rise[1]), flights(t, k.rise[0])
    often = repeated(len(surely), len(perhaps), count)
    if extent == "high":
        often = every(often, over(max((_rise(t, *flight) for flight in perhaps), default=0.0), k.jump_high))
    if not perhaps or not where:
        return often
    ways = np.array([_flight_way(t, *flight) for flight in perhaps])
    forward, left = np.median(ways, axis=0)
    side = {"left": left, "right": -left}.get(where, 0.0)
    if where == "up":
        going = under(float(np.hypot(forward, left)), k.near)
    elif where == "forward":
        going = every(over(forward, k.far), over(forward - abs(left), (0.0, 0.05)))
    else:
        going = every(over(side, k.far), over(side - abs(forward), (0.0, 0.05)))
    return every(often, going)


def _hops(t: Tracks, foot: int, rise: float) -> int:
    """Flights of one foot while the other one is held up."""
    other = t.toes[:, 1 - foot] > 0.06
    return sum(
        bool(other[start:end].all() and t.toes[start:end, foot].max() > rise)
        for start, end in segments(t.toes[:, foot] > 0.6 * rise)
        if start > 0 and end < len(t)
    )


def hop(t: Tracks, k: Limits, side: str, where: str = "", count: int = 0) -> Answer:
    """Hops on one foot, the other one stays up: on the spot, forward, or either."""
    foot = 0 if side == "left" else 1
    up = held(t.toes[:, 1 - foot] > 0.6 * k.lifted[1], t.fps)
    surely, perhaps = _hops(t, foot, k.hop[1]), _hops(t, foot, k.hop[0])
    answers = [repeated(surely, perhaps, count), over(up, (0.4, 0.7))]
    moved = way(t).net
    if where == "forward":
        answers.append(every(over(moved, k.far), under(abs(way(t).angle), (30.0, 45.0))))
    return every(*answers)


def kick(t: Tracks, k: Limits, side: str, where: str = "", count: int = 0, extent: str = "") -> Answer:
    """Swings a foot up and forward, or up and outwards ("aside"), while the other one stands; "high": as high as the chest."""
    foot = SIDES.index(side)
    if where == "":
        return some(*(kick(t, k, side, one, count, extent) for one in ("forward", "aside")))
    up = t.ankles[:, foot]
    ahead, outward = t.feet[:, foot, 2] / t.leg, t.feet[:, foot, 0] / t.leg * (1.0 if foot == 0 else -1.0)
    out, least = (ahead, k.kick_out) if where == "forward" else (outward, k.kick_aside)
    # Both at once: how far each is over its limit, the smaller one decides.
    both = np.minimum(out / least[1], up / k.kick_up[1])
    ratio = least[0] / least[1]
    surely = find_peaks(both, height=1.0, prominence=0.5)[0]
    perhaps = find_peaks(both, height=ratio, prominence=0.35)[0]
    low = under(float(np.percentile(t.ankles[:, 1 - foot], 80)), (0.16, 0.22))
    answers = [repeated(len(surely), len(perhaps), count), low]
    if len(perhaps):
        # A foot that goes out both ways goes where it gets farther.
        other = outward if where == "forward" else ahead
        answers.append(over(float(np.median((out - other)[perhaps])), k.kick_way))
    if extent == "high":
        answers.append(over(float(up.max()), k.kick_high if where == "forward" else k.kick_aside_high))
    return every(*answers)


def _lifts(t: Tracks, k: Limits, foot: int, strict: int) -> list[int]:
    """The frames in which a foot is highest, each time that it is lifted with the knee bent and neither ahead nor aside."""
    up = np.degrees(t.thigh[:, foot])
    found = find_peaks(up, height=k.knee_up[strict], prominence=0.6 * k.knee_up[strict])[0]
    ahead = t.feet[:, foot, 2] / t.leg
    outward = np.abs(t.feet[:, foot, 0]) / t.leg
    return [p for p in found if ahead[p] < k.kick_out[strict] and outward[p] < k.kick_aside[1 - strict]]


def _lifted(t: Tracks, k: Limits, side: str, count: int, quick: Callable[[int], Answer]) -> Answer:
    """Is the named foot lifted and put down, the other one not; is each way down as it should be?"""
    foot = SIDES.index(side)
    surely, perhaps = _lifts(t, k, foot, 1), _lifts(t, k, foot, 0)
    other = under(float(np.degrees(t.thigh[:, 1 - foot].max())), k.knee_rest)
    stays = under(way(t).extent, k.stay)
    return every(repeated(len(surely), len(perhaps), count), other, stays, *(quick(peak) for peak in perhaps))


def _fall(t: Tracks, foot: int, peak: int) -> float:
    """How much faster the foot comes down after its peak than it went up before."""
    speed = np.gradient(t.ankles[:, foot]) * t.fps
    # To the lowest place before the next lift: no farther than the foot takes to get down.
    low = np.flatnonzero(t.ankles[peak:, foot] < 0.5 * t.ankles[peak, foot])
    end = peak + (int(low[0]) if len(low) else len(t) - peak)
    high = np.flatnonzero(t.ankles[:peak, foot] < 0.5 * t.ankles[peak, foot])
    start = int(high[-1]) if len(high) else 0
    return float(-speed[peak : end + 2].min() / max(speed[start - min(start, 1) : peak + 1].max(), 1e-3))


def raise_knee(t: Tracks, k: Limits, side: str, count: int = 0) -> Answer:
    """Lifts a knee in front with the shin hanging and puts the foot down again, on the spot."""
    return _lifted(t, k, side, count, lambda peak: True)


def stomp(t: Tracks, k: Limits, side: str, count: int = 0) -> Answer:
    """Lifts a foot and brings it down faster than it went up."""
    return _lifted(t, k, side, count, lambda peak: over(_fall(t, SIDES.index(side), peak), k.stomp))

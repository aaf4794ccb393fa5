"""The judge's words about posture and legs: jumps, hops, kicks; sit, kneel, crouch, squat, bend, bow, lie; what stays still."""

import numpy as np
from scipy.signal import find_peaks

from mate.evaluate.judge_going import way
from mate.evaluate.judge_limits import Answer, Limits, counted, every, opposite, over, some, under
from mate.motion.kinematics import segments
from mate.motion.kinematics_tracks import Tracks


def repeated(surely: int, perhaps: int, wanted: int) -> Answer:
    """At least once where no number is wanted, else exactly so often."""
    if wanted:
        return counted(surely, perhaps, wanted)
    return True if surely > 0 else None if perhaps > 0 else False


def held(flags: np.ndarray, fps: float) -> float:
    """The longest stretch of True, seconds."""
    return max((end - start for start, end in segments(flags)), default=0) / fps


def reached(values: np.ndarray, fps: float, seconds: float, low: bool = False) -> float:
    """What a curve (T,) reaches and keeps for `seconds` in all: near its largest value (smallest with `low`)."""
    order = np.sort(values)
    frames = min(len(order), max(1, round(seconds * fps)))
    return float(order[frames - 1] if low else order[-frames])


def kept(values: np.ndarray, fps: float, seconds: float) -> float:
    """The largest value that a curve (T,) does not fall below for `seconds` on end (for all of it where it is shorter)."""
    frames = min(len(values), max(1, round(seconds * fps)))
    return float(np.lib.stride_tricks.sliding_window_view(values, frames).min(axis=-1).max())


# Jumps, hops, kicks


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


def _flight_way(t: Tracks, start: int, end: int) -> tuple[float, float]:
    """Forward and left, metres, from before the take-off to after the landing."""
    pad = max(1, round(0.1 * t.fps))
    a, b = max(0, start - pad), min(len(t) - 1, end + pad)
    dx, dz = t.place[b] - t.place[a]
    angle = t.facing[a]
    return float(dx * np.sin(angle) + dz * np.cos(angle)), float(dx * np.cos(angle) - dz * np.sin(angle))


def jump(t: Tracks, k: Limits, where: str = "", count: int = 0) -> Answer:
    """Jumps off both feet: up, forward, left, right, or anywhere."""
    surely, perhaps = flights(t, k.rise[1]), flights(t, k.rise[0])
    often = repeated(len(surely), len(perhaps), count)
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


def kick(t: Tracks, k: Limits, side: str, count: int = 0) -> Answer:
    """Swings a foot forward and up from the floor while the other one stands."""
    foot = 0 if side == "left" else 1
    out, up = t.feet[:, foot, 2] / t.leg, t.ankles[:, foot]
    # Both at once: how far each is over its limit, the smaller one decides.
    both = np.minimum(out / k.kick_out[1], up / k.kick_up[1])
    ratio = k.kick_out[0] / k.kick_out[1]
    surely = len(find_peaks(both, height=1.0, prominence=0.5)[0])
    perhaps = len(find_peaks(both, height=ratio, prominence=0.35)[0])
    low = under(float(np.percentile(t.ankles[:, 1 - foot], 80)), (0.16, 0.22))
    return every(repeated(surely, perhaps, count), low)


# Postures


def _legs(t: Tracks) -> np.ndarray:
    """The angle of the less lifted thigh, (T,) degrees."""
    return np.degrees(t.thigh.min(axis=1))


def sit(t: Tracks, k: Limits) -> Answer:
    """Sits for a moment: hips low, thighs level, feet before the body, trunk not far forward."""

    def at(strict: int) -> np.ndarray:
        lean = np.degrees(t.pitch) < k.sit_lean[1 - strict]
        ahead = t.feet[:, :, 2].min(axis=1) / t.leg > k.feet_ahead[strict]
        low = t.pelvis < k.low[1 - strict]
        feet = t.knees.min(axis=1) > k.knee_down[strict]
        return low & ahead & lean & feet & (_legs(t) > k.seat[strict])

    return _holds(t, k, at(1), at(0))


def _holds(t: Tracks, k: Limits, surely: np.ndarray, perhaps: np.ndarray) -> Answer:
    """Is a posture (flags, (T,)) held for long enough?"""
    if held(surely, t.fps) >= k.hold[1]:
        return True
    return None if held(perhaps, t.fps) >= k.hold[0] else False


def sit_down(t: Tracks, k: Limits) -> Answer:
    """Stands at first, sits later."""
    first = float(t.pelvis[: max(1, len(t) // 5)].max())
    return every(sit(t, k), over(first, k.back_up))


def stand_up(t: Tracks, k: Limits) -> Answer:
    """Is low at first and stands at the end."""
    first, end = max(1, len(t) // 4), max(1, round(0.3 * t.fps))
    return every(under(float(t.pelvis[:first].min()), k.low), over(float(t.pelvis[-end:].max()), k.back_up))


def kneel(t: Tracks, k: Limits, side: str = "") -> Answer:
    """Has a knee on the floor for a moment, the named one, with the hips above it."""

    def at(strict: int) -> np.ndarray:
        down = t.knees < k.knee_down[1 - strict]
        knee = down.any(axis=1) if side in ("", "both") else down[:, 0 if side == "left" else 1]
        if side in ("left", "right"):
            knee = knee & ~down[:, 1 if side == "left" else 0]
        return knee & (t.pelvis < k.knee_low[1 - strict]) & (np.degrees(t.tilt) < 50)

    return _holds(t, k, at(1), at(0))


def _folded(t: Tracks, k: Limits, strict: int) -> np.ndarray:
    """Hips low over the standing feet, knees off the floor."""
    low = (t.pelvis < k.low[1 - strict]) & (t.knees.min(axis=1) > k.knee_down[strict])
    return low & (t.ankles.max(axis=1) < 0.3)


def crouch(t: Tracks, k: Limits, extent: str = "") -> Answer:
    """Gets the hips low over the feet with the trunk leaning forward; "slightly": not that low."""
    if extent == "slightly":
        dip = float(t.pelvis.min())
        return every(under(dip, (0.99, 1.03)), over(dip, (0.72, 0.80)), over(np.degrees(t.pitch.max()), (10.0, 15.0)))

    def at(strict: int) -> np.ndarray:
        return _folded(t, k, strict) & (np.degrees(t.pitch) > k.hunch[strict])

    return every(_holds(t, k, at(1), at(0)), opposite(sit(t, k)))


def squat(t: Tracks, k: Limits, count: int = 0) -> Answer:
    """Gets the hips low over the feet and up again, so many times."""
    depth = -t.pelvis
    over_feet = _folded(t, k, 0)
    standing = max(float(np.percentile(t.pelvis, 90)), k.back_up[0])

    def times(low: float, prominence: float) -> int:
        return sum(bool(over_feet[p]) for p in find_peaks(depth, height=-low, prominence=prominence)[0])

    surely, perhaps = times(k.low[0], 0.6 * (standing - k.low[0])), times(k.low[1], 0.35 * (standing - k.low[1]))
    return every(repeated(surely, perhaps, count), opposite(some(sit(t, k), kneel(t, k))), opposite(jump(t, k)))


def _bows(t: Tracks, k: Limits, strict: int) -> int:
    lean = np.degrees(t.pitch)
    # The edges count as upright: a bow that is cut off is a bow.
    padded = np.concatenate([[min(lean[0], 0.0)], lean, [min(lean[-1], 0.0)]])
    return len(find_peaks(padded, height=k.bow[strict], prominence=0.6 * k.bow[strict], plateau_size=1)[0])


def bow(t: Tracks, k: Limits, count: int = 0) -> Answer:
    """Leans the trunk forward from the hips on stretched legs, where it stands."""
    lean = float(np.degrees(t.pitch.max()))
    low = t.pelvis[np.degrees(t.pitch) > k.bow[0]]
    stretched = over(float(np.min(low)) if len(low) else 1.0, k.stretched)
    return every(
        repeated(_bows(t, k, 1), _bows(t, k, 0), count),
        stretched,
        under(lean, k.bow_most),
        under(way(t).extent, (0.5, 0.8)),
    )


def bend(t: Tracks, k: Limits, extent: str = "") -> Answer:
    """Bends down: leans far forward, or leans and reaches down; "slightly": not that far."""
    lean = np.degrees(t.pitch)
    if extent == "slightly":
        return every(over(float(lean.max()), k.bow), under(float(lean.max()), k.bend))
    hands = (t.grip[:, :, 1].min(axis=1) + t.pelvis * t.leg) if len(t) else lean
    deep = over(float(lean.max()), k.bend)
    leaning = lean > k.bow[1]
    lowest = float(hands[leaning].min()) if leaning.any() else 1.0
    return some(deep, every(over(float(lean.max()), (30.0, 40.0)), under(lowest, k.reach_down)))


def lie(t: Tracks, k: Limits) -> Answer:
    """Lies for a moment: hips low, trunk level."""

    def at(strict: int) -> np.ndarray:
        return (t.pelvis < k.lie[1 - strict]) & (np.degrees(t.tilt) > k.flat[strict])

    return _holds(t, k, at(1), at(0))


# What does not move


def still(t: Tracks, k: Limits, part: str) -> Answer:
    """Does a part of the body not move: "arms", "left arm", "right arm", "head", "feet"; "turning": is there no turn?"""
    if part in ("arms", "left arm", "right arm"):
        hands = {"left arm": [0], "right arm": [1]}.get(part, [0, 1])
        low, high = np.percentile(t.hands[:, hands], (3, 97), axis=0)
        return under(float((high - low).max()), k.arms_still)
    if part == "head":
        visible = over(float(np.degrees(t.head_lean)), k.seen)
        spans = [np.ptp(np.percentile(np.unwrap(curve), (3, 97))) for curve in (t.head_yaw, t.head_pitch)]
        return every(None if visible is not True else True, under(float(np.degrees(max(spans))), k.head_still))
    if part == "feet":
        planted = float(np.ptp(t.place, axis=0).max())
        lift = float(np.percentile(t.toes, 97, axis=0).max())
        return every(under(planted, (0.35, 0.5)), under(lift, (0.05, 0.09)))
    return under(way(t).span, k.straight)

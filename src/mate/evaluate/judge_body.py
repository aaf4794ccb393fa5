"""The judge's words about posture: sit, lie, kneel, crouch, squat, lunge, bend, bow, lean; what stays still."""

import numpy as np
from scipy.signal import find_peaks

from mate.evaluate.judge_curves import holds, kept, repeated
from mate.evaluate.judge_going import way
from mate.evaluate.judge_legs import jump
from mate.evaluate.judge_limits import SIDES, Answer, Limits, every, opposite, over, some, under
from mate.motion.kinematics_tracks import Tracks


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

    return holds(at(1), at(0), t.fps, k)


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

    return holds(at(1), at(0), t.fps, k)


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

    return every(holds(at(1), at(0), t.fps, k), opposite(sit(t, k)))


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


def bow(t: Tracks, k: Limits, count: int = 0, extent: str = "") -> Answer:
    """Leans the trunk forward from the hips on stretched legs, where it stands."""
    lean = float(np.degrees(t.pitch.max()))
    low = t.pelvis[np.degrees(t.pitch) > k.bow[0]]
    stretched = over(float(np.min(low)) if len(low) else 1.0, k.stretched)
    return every(
        repeated(_bows(t, k, 1), _bows(t, k, 0), count),
        stretched,
        under(lean, k.bow_slight if extent == "slightly" else k.bow_most),
        under(way(t).extent, (0.5, 0.8)),
    )


def bend(t: Tracks, k: Limits, extent: str = "") -> Answer:
    """Bends down: leans far forward, or leans and reaches down; "slightly": not that far."""
    lean = np.degrees(t.pitch)
    if extent == "slightly":
        return every(over(float(lean.max()), k.bow), under(float(lean.max()), k.bend_slight))
    hands = (t.grip[:, :, 1].min(axis=1) + t.pelvis * t.leg) if len(t) else lean
    deep = over(float(lean.max()), k.bend)
    leaning = lean > k.bow[1]
    lowest = float(hands[leaning].min()) if leaning.any() else 1.0
    return some(deep, every(over(float(lean.max()), (30.0, 40.0)), under(lowest, k.reach_down)))


def lie(t: Tracks, k: Limits) -> Answer:
    """Lies for a moment: hips low, trunk level."""

    def at(strict: int) -> np.ndarray:
        return (t.pelvis < k.lie[1 - strict]) & (np.degrees(t.tilt) > k.flat[strict])

    return holds(at(1), at(0), t.fps, k)


def lie_down(t: Tracks, k: Limits) -> Answer:
    """Stands at first, lies later."""
    first = float(t.pelvis[: max(1, len(t) // 5)].max())
    return every(lie(t, k), over(first, k.back_up))


def get_up(t: Tracks, k: Limits) -> Answer:
    """Lies first and stands at the end."""
    end = max(1, round(0.3 * t.fps))
    return every(lie(t.part(0.0, 0.5), k), over(float(t.pelvis[-end:].max()), k.back_up))


def lean(t: Tracks, k: Limits, side: str, extent: str = "") -> Answer:
    """Leans the trunk to a side, where it stands; "slightly": not that far."""
    aside = np.degrees(t.lean) * (1.0 if side == "left" else -1.0)
    there, back = kept(aside, t.fps, k.held[1]), kept(-aside, t.fps, k.held[1])
    far = every(over(there, k.lean_slight), under(there, k.lean)) if extent == "slightly" else over(there, k.lean)
    upright = under(float(np.degrees(np.abs(t.pitch[aside >= np.percentile(aside, 90)]).max())), k.lean_ahead)
    return every(far, under(back, k.lean), upright, under(way(t).extent, k.stay))


def lunge(t: Tracks, k: Limits, side: str, extent: str = "") -> Answer:
    """Gets the hips low between the feet, the named foot far ahead with its knee bent, both knees off the floor."""
    front = SIDES.index(side)

    def at(strict: int) -> np.ndarray:
        apart = t.feet[:, front, 2] - t.feet[:, 1 - front, 2]
        bent = np.degrees(t.thigh[:, front]) > k.lunge_thigh[strict]
        flags = (apart / t.leg > k.lunge_apart[strict]) & (t.knees.min(axis=1) > k.knee_down[strict])
        if extent == "slightly":
            return flags & (t.pelvis < k.lunge_slight[1 - strict]) & (t.pelvis > k.low[strict])
        return flags & bent & (t.pelvis < k.low[1 - strict])

    calm = opposite(over(way(t).net, k.lunge_net))
    return every(holds(at(1), at(0), t.fps, k), calm)


# What does not move


def still(t: Tracks, k: Limits, part: str) -> Answer:
    """Does a part of the body not move: "arms", "left arm", "right arm", "head", "feet"; "turning": is there no turn?"""
    if part in ("arms", "left arm", "right arm"):
        hands = {"left arm": [0], "right arm": [1]}.get(part, [0, 1])
        # An arm that stays as it is goes with the trunk, or hangs while the trunk bends.
        extents = []
        for frame in (t.hands, t.hands_trunk):
            low, high = np.percentile(frame[:, hands], (3, 97), axis=0)
            extents.append(float((high - low).max()))
        return under(min(extents), k.arms_still)
    if part == "head":
        visible = over(float(np.degrees(t.head_lean)), k.seen)
        pitch = t.head_pitch - t.pitch
        spans = [
            min(float(np.ptp(np.percentile(np.unwrap(curve), (3, 97)))) for curve in curves)
            for curves in ((t.head_yaw, t.head_yaw_chest), (t.head_pitch, pitch))
        ]
        return every(None if visible is not True else True, under(float(np.degrees(max(spans))), k.head_still))
    if part == "feet":
        planted = float(np.ptp(t.soles, axis=0).max())
        lift = float(np.percentile(t.toes, 97, axis=0).max())
        return every(under(planted, k.feet_still), under(lift, (0.05, 0.09)))
    return under(way(t).span, k.straight)

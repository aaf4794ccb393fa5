"""How fast a thing is done: a rate for every word that can be done slowly or quickly, and what is usual for it."""

from collections.abc import Callable

import numpy as np

from mate.evaluate import judge_arms, judge_going
from mate.evaluate.judge_limits import SIDES, Limits
from mate.motion.kinematics import segments
from mate.motion.kinematics_tracks import Tracks


def _pace(curve: np.ndarray, fps: float) -> float:
    """The fastest change of a curve (T,) as a share of its range a second: one over the time that the change takes, nearly."""
    return float(np.abs(np.gradient(curve)).max() * fps / max(np.ptp(curve), 1e-6)) if len(curve) > 1 else 0.0


def _side(side: str) -> int:
    return SIDES.index(side) if side in SIDES else 0


def cruise(t: Tracks, side: str, k: Limits) -> float:
    """Metres a second of the pelvis."""
    return judge_going.way(t).cruise


def turning(t: Tracks, side: str, k: Limits) -> float:
    """Degrees a second while it turns."""
    speed = np.abs(np.gradient(np.degrees(t.facing))) * t.fps if len(t) > 1 else np.zeros(1)
    return float(speed[speed > 0.4 * speed.max()].mean())


def waving(t: Tracks, side: str, k: Limits) -> float:
    """Full swings a second of the waving hand, the slower one of two, from its first turn to its last."""
    rates = []
    for one in (0, 1) if side == "both" else (_side(side),):
        turns = judge_arms.swing_turns(t, k, one)[0]
        rates.append(0.5 * (len(turns) - 1) * t.fps / (turns[-1] - turns[0]) if len(turns) > 1 else 0.0)
    return float(min(rates))


def stepping(t: Tracks, side: str, k: Limits) -> float:
    """Touch-downs a second, over what is usual: from the first foot that is taken up to the last one that is put down."""
    swings = [pair for foot in (0, 1) for pair in segments(~t.stance[:, foot]) if pair[1] - pair[0] >= 2]
    if not swings:
        return 0.0
    often = len(swings) * t.fps / (max(end for _, end in swings) - min(start for start, _ in swings))
    return often / (1.25 if abs(judge_going.way(t).angle) > 90.0 else 1.38)


def pelvis(t: Tracks, side: str, k: Limits) -> float:
    """Of getting down or up."""
    return _pace(t.pelvis, t.fps)


def trunk(t: Tracks, side: str, k: Limits) -> float:
    """Of bending and straightening."""
    return _pace(t.pitch, t.fps)


def hand(t: Tracks, side: str, k: Limits) -> float:
    """Of a hand's way up or down; the slower one of two."""
    return min(_pace(t.elevation[:, one], t.fps) for one in ((0, 1) if side == "both" else (_side(side),)))


def foot(t: Tracks, side: str, k: Limits) -> float:
    """Of a foot's way up or down."""
    return _pace(t.ankles[:, _side(side)], t.fps)


def clapping(t: Tracks, side: str, k: Limits) -> float:
    """Claps a second, from the first to the last."""
    found = judge_arms.claps(t, k.clap[1], k.apart[1])
    return (len(found) - 1) * t.fps / (found[-1] - found[0]) if len(found) > 1 else 0.0


def circling(t: Tracks, side: str, k: Limits) -> float:
    """Rounds a second of a circling arm."""
    tops = judge_arms.rounds(t, _side(side), k.arm_down[0])
    return (len(tops) - 1) * t.fps / (tops[-1] - tops[0]) if len(tops) > 1 else 0.0


RATES: dict[str, Callable[[Tracks, str, Limits], float]] = {
    "cruise": cruise, "turn": turning, "wave": waving, "steps": stepping, "pelvis": pelvis, "trunk": trunk, "hand": hand,
    "foot": foot, "clap": clapping, "circle_arm": circling,
}  # fmt: skip

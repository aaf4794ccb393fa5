"""The judge's words about the head: nod, shake, look."""

import numpy as np
from scipy.signal import find_peaks

from mate.evaluate.judge_curves import counted_swings, reached, repeated
from mate.evaluate.judge_limits import NOISE, Answer, Limits, every, opposite, over, under
from mate.motion.kinematics import reversals
from mate.motion.kinematics_tracks import Tracks, smooth


def _visible(t: Tracks, k: Limits) -> Answer:
    """Can the head's direction be seen? True or None: many files hold a head joint right above the neck."""
    # Left and right of a head mean nothing in a body that lies.
    upright = under(float(np.degrees(t.tilt.max())), k.flat)
    return every(over(float(np.degrees(t.head_lean)), k.seen), upright) or None


def _trunk_still(t: Tracks, k: Limits) -> Answer:
    return under(float(np.degrees(np.ptp(t.pitch))), k.trunk_still)


def _beats(curve: np.ndarray, swing: float) -> int:
    return len(reversals(curve, swing))


def nod(t: Tracks, k: Limits, count: int = 0) -> Answer:
    """Moves the head down and up, so many times."""
    pitch = np.degrees(t.head_pitch - t.pitch)
    edge = np.percentile(pitch, 20)
    padded = np.concatenate([[min(edge, pitch[0])], pitch, [min(edge, pitch[-1])]])
    noise = NOISE * t.head_noise[0]
    surely, perhaps = (len(find_peaks(padded, prominence=swing + noise)[0]) for swing in (k.nod[1], k.nod[0]))
    several = repeated(surely, perhaps, count)
    yaw = np.degrees(np.ptp(np.percentile(t.head_yaw, (5, 95))))
    calm = under(float(yaw), (30.0, 45.0)) if _visible(t, k) else True
    return every(several, calm, _trunk_still(t, k))


def shake(t: Tracks, k: Limits, count: int = 0) -> Answer:
    """Turns the head from side to side, so many times to and fro; cannot tell where its direction cannot be seen."""
    if _visible(t, k) is None:
        return None
    yaw, noise = np.degrees(np.unwrap(t.head_yaw)), NOISE * t.head_noise[1]
    surely, perhaps = _beats(yaw, k.shake[1] + noise), _beats(yaw, k.shake[0] + noise)
    quick = under(t.seconds / max(perhaps, 1), (1.2, 1.8))
    if count:
        often = counted_swings(surely, perhaps, count)
    else:
        often = True if surely >= 2 else None if perhaps >= 2 else False
    return every(often, quick)


def look(t: Tracks, k: Limits, where: str) -> Answer:
    """Turns the head left, right, up or down and holds it there for a moment; "around": to both sides."""
    # What is held for a moment is seen best in a curve without the rest.
    yaw, pitch = (smooth(np.degrees(curve), t.fps, 0.2) for curve in (t.head_yaw, t.head_pitch - t.pitch))
    if where in ("up", "down"):
        usual = float(np.median(pitch[: max(1, len(pitch) // 6)]))
        change = reached(pitch, t.fps, 0.3) - usual if where == "down" else usual - reached(pitch, t.fps, 0.3, low=True)
        return every(over(change, k.head_tilt), _trunk_still(t, k) or None)
    if _visible(t, k) is None:
        return None
    to_left, to_right = reached(yaw, t.fps, 0.3), -reached(yaw, t.fps, 0.3, low=True)
    if where == "around":
        return every(over(to_left, k.head_turn), over(to_right, k.head_turn))
    there, back = (to_left, to_right) if where == "left" else (to_right, to_left)
    return every(over(there, k.head_turn), opposite(over(back, k.head_turn)))

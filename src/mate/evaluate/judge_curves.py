"""What the judge's words share: how long a curve keeps what, and how often something happens."""

import numpy as np

from mate.evaluate.judge_limits import Answer, Limits, counted
from mate.motion.kinematics import segments


def repeated(surely: int, perhaps: int, wanted: int) -> Answer:
    """At least once where no number is wanted, else exactly so often."""
    if wanted:
        return counted(surely, perhaps, wanted)
    return True if surely > 0 else None if perhaps > 0 else False


def held(flags: np.ndarray, fps: float) -> float:
    """The longest stretch of True, seconds."""
    return max((end - start for start, end in segments(flags)), default=0) / fps


def holds(surely: np.ndarray, perhaps: np.ndarray, fps: float, k: Limits) -> Answer:
    """Is a posture (flags, (T,), strict and lax) held for long enough?"""
    if held(surely, fps) >= k.hold[1]:
        return True
    return None if held(perhaps, fps) >= k.hold[0] else False


def reached(values: np.ndarray, fps: float, seconds: float, low: bool = False) -> float:
    """What a curve (T,) reaches and keeps for `seconds` in all: near its largest value (smallest with `low`)."""
    order = np.sort(values)
    frames = min(len(order), max(1, round(seconds * fps)))
    return float(order[frames - 1] if low else order[-frames])


def kept(values: np.ndarray, fps: float, seconds: float) -> float:
    """The largest value that a curve (T,) does not fall below for `seconds` on end (for all of it where it is shorter)."""
    frames = min(len(values), max(1, round(seconds * fps)))
    return float(np.lib.stride_tricks.sliding_window_view(values, frames).min(axis=-1).max())


def counted_swings(surely: int, perhaps: int, wanted: int) -> Answer:
    """Were there `wanted` full swings? Half a swing more or less, and doubtful ones, stay open."""
    if surely == perhaps == 2 * wanted:
        return True
    return None if min(surely, perhaps) - 1 <= 2 * wanted <= max(surely, perhaps) + 1 else False

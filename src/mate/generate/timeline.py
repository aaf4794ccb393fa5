"""A timeline is several prompts one after the other, each with its length: "walk forward: 3s; turn left: 2s".

Parsing it, and measuring how smooth a motion is: by how much position, velocity and heading change from frame to frame. Pure NumPy.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.motion.retarget import heading
from mate.motion.skeleton import HUMANML3D, Skeleton

MAX_STEPS = 100
REACH = 4  # frames before and after a join that belong to it: 0.2 s
# 99th percentiles of real clips' largest changes within 0.2 s of a moment: metres a frame, metres per second, degrees a frame, at 20
# frames per second (`python -m mate.generate.seams data/bandai-namco`). A join beyond one of them is smoothed.
LIMITS, LIMITS_FPS = (0.41, 4.0, 6.4), 20.0
_SECONDS = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:s|sec|second|seconds)?", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """One prompt of a timeline and its length in seconds."""

    text: str
    seconds: float


def parse_timeline(text: str) -> list[Step]:
    """The steps of "PROMPT: SECONDS; PROMPT: SECONDS; ...". The last colon of a step divides it, an `s` after the number may be left out.

    Raises:
        MateError: no step, one without a prompt or without a length, or more than 100.
    """
    steps = []
    for number, part in enumerate((part for part in text.split(";") if part.strip()), 1):
        prompt, colon, length = part.rpartition(":")
        match = _SECONDS.fullmatch(length.strip())
        if not colon or match is None:
            raise MateError(
                f"step {number} of the timeline is {part.strip()!r}, expected PROMPT: SECONDS, such as 'walk forward: 3s'"
            )
        if not prompt.strip():
            raise MateError(f"step {number} of the timeline has no prompt; say in words what the body does")
        steps.append(Step(prompt.strip(), float(match[1])))
    if not steps:
        raise MateError("got an empty timeline, expected 'PROMPT: SECONDS; PROMPT: SECONDS; ...'")
    if len(steps) > MAX_STEPS:
        raise MateError(f"got a timeline of {len(steps)} steps, at most {MAX_STEPS} are possible; make several motions")
    return steps


def bounds(steps: list[Step], fps: float, stride: int = 1) -> list[int]:
    """Frames at which the steps begin, and the end: len(steps) + 1 numbers from 0. Inner ones are multiples of `stride`."""
    ends = np.cumsum([step.seconds for step in steps]) * fps
    return [0, *(round(end / stride) * stride for end in ends[:-1]), round(ends[-1])]


@dataclass(frozen=True)
class Jumps:
    """How much a motion changes from frame to frame.

    Attributes:
        position: (T - 1,) the furthest way that a joint goes between two frames, metres.
        velocity: (T - 2,) the largest change of a joint's velocity, metres per second.
        heading: (T - 1,) the change of heading, degrees.
    """

    position: np.ndarray
    velocity: np.ndarray
    heading: np.ndarray

    def around(self, frame: int, reach: int) -> "tuple[float, float, float]":
        """The largest (position, velocity, heading) within `reach` frames of the seam before `frame`."""
        first, last = max(0, frame - reach), frame + reach
        return tuple(float(values[first:last].max()) for values in (self.position, self.velocity, self.heading))  # type: ignore[return-value]


def limits(fps: float) -> tuple[float, float, float]:
    """What no join should be beyond: (position, velocity, heading) as in `Jumps`."""
    position, velocity, turn = LIMITS
    return position * (LIMITS_FPS / fps), velocity, turn * (LIMITS_FPS / fps)


def jumps(joints: np.ndarray, fps: float, skeleton: Skeleton = HUMANML3D) -> Jumps:
    """The `Jumps` of joints (T, J, 3), metres, T >= 3."""
    joints = np.asarray(joints, np.float64)
    moves = np.diff(joints, axis=0)
    turns = np.abs(np.degrees(np.diff(heading(joints, skeleton))))
    change = np.linalg.norm(np.diff(moves, axis=0), axis=-1) * fps
    return Jumps(np.linalg.norm(moves, axis=-1).max(1), change.max(1), turns)


def check_seconds(value: float, low: float, high: float) -> float:
    """The length. Raises MateError unless it is a number from `low` to `high` seconds."""
    if not (math.isfinite(value) and low <= value <= high):
        raise MateError(f"got a length of {value:g} s; this model makes {low:g} to {high:g} s")
    return value

"""The kinematic judge: does a motion do what a word says, from joint positions alone? True, False, or None for "cannot tell".

A *claim* is a word with what a sentence may add to it: which side, how often, how far, how fast. `judge` answers one claim about one
stretch of a motion; `judge_events` answers whether events happen one after the other somewhere in it. All tolerances stand in
`mate.evaluate.judge_limits`. How well the judge does on motions whose truth is known: docs/judge.md.

Shapes: a motion is (T, 22, 3) joints in metres, Y up. Nothing depends on where it stands or which way it faces in the world.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate import judge_arms, judge_body, judge_going
from mate.evaluate.judge_limits import LIMITS, Answer, Limits, every, over, under
from mate.motion.kinematics_tracks import Tracks, measure
from mate.motion.retarget import check_joints

SIDES = ("left", "right")


@dataclass(frozen=True)
class Claim:
    """What is said of a motion.

    Attributes:
        word: a key of `WORDS`.
        side: left, right or both where the word has sides (a circle to the left is anticlockwise).
        where: forward, left, right, up, down, around, spot or way, where the word has directions; for `still`, the part that does not move.
        count: how many times, 0 where nothing is said.
        extent: slightly, half, high, small or big.
        speed: slowly or quickly.
        degrees: of a turn, 0 where nothing is said.
    """

    word: str
    side: str = ""
    where: str = ""
    count: int = 0
    extent: str = ""
    speed: str = ""
    degrees: float = 0.0

    def json(self) -> dict[str, Any]:
        """Without what is not said."""
        return {key: value for key, value in asdict(self).items() if value}

    def mirrored(self) -> "Claim":
        """The claim of the mirrored motion."""
        swap = {"left": "right", "right": "left", "left arm": "right arm", "right arm": "left arm"}
        return replace(self, side=swap.get(self.side, self.side), where=swap.get(self.where, self.where))

    def __str__(self) -> str:
        degrees = f"{self.degrees:g} degrees" if self.degrees else ""
        times = f"x{self.count}" if self.count else ""
        parts = (self.word.replace("_", " "), self.side, self.where, degrees, self.extent, self.speed, times)
        return " ".join(part for part in parts if part)


Judge = Callable[[Tracks, Claim, Limits], Answer]
going, body, arms = judge_going, judge_body, judge_arms

# Every word: what sides it takes, what directions, whether it can be counted, its usual rate for "slowly" and "quickly", and who decides.


@dataclass(frozen=True)
class Word:
    """Attributes: judge; sides, wheres, extents: what may be said with it; counts: can it be counted; rate, usual: see `_rate`."""

    judge: Judge
    sides: tuple[str, ...] = ("",)
    wheres: tuple[str, ...] = ("",)
    extents: tuple[str, ...] = ("",)
    counts: bool = False
    rate: str = ""
    usual: float = 0.0


_HANDS = ("left", "right", "both")
WORDS: dict[str, Word] = {
    "walk": Word(lambda t, c, k: going.walk(t, k), rate="cruise", usual=1.2),
    "jog": Word(lambda t, c, k: going.jog(t, k), rate="cruise", usual=2.2),
    "run": Word(lambda t, c, k: going.run(t, k), rate="cruise", usual=3.1),
    "sprint": Word(lambda t, c, k: going.sprint(t, k)),
    "tiptoe": Word(lambda t, c, k: going.tiptoe(t, k), rate="cruise", usual=0.55),
    "march": Word(lambda t, c, k: going.march(t, k), rate="cruise", usual=0.95),
    "creep": Word(lambda t, c, k: going.creep(t, k), rate="cruise", usual=0.45),
    "limp": Word(lambda t, c, k: going.limp(t, k, c.side), SIDES, rate="cruise", usual=0.7),
    "skip": Word(lambda t, c, k: going.skip(t, k)),
    "backwards": Word(lambda t, c, k: going.backwards(t, k), rate="cruise", usual=0.75),
    "sidestep": Word(lambda t, c, k: going.sidestep(t, k, c.side), SIDES, rate="cruise", usual=0.5),
    "diagonal": Word(lambda t, c, k: going.diagonal(t, k, c.side), SIDES, rate="cruise", usual=1.05),
    "stand": Word(lambda t, c, k: going.stand(t, k)),
    "stop": Word(lambda t, c, k: going.stop(t, k)),
    "straight": Word(lambda t, c, k: going.straight(t, k)),
    "turn": Word(
        lambda t, c, k: going.turn(t, k, c.side, c.extent, c.degrees, c.where),
        SIDES, ("", "spot", "way"), ("", "slightly"), rate="turn", usual=95.0,
    ),
    "spin": Word(lambda t, c, k: going.spin(t, k, c.side, c.count), SIDES, counts=True),
    "circle": Word(lambda t, c, k: going.circle(t, k, c.side, c.extent), SIDES, extents=("", "small", "big")),
    "eight": Word(lambda t, c, k: going.eight(t, k)),
    "zigzag": Word(lambda t, c, k: going.zigzag(t, k)),
    "jump": Word(lambda t, c, k: body.jump(t, k, c.where, c.count), wheres=("", "up", "forward", *SIDES), counts=True),
    "hop": Word(lambda t, c, k: body.hop(t, k, c.side, c.where, c.count), SIDES, ("", "forward"), counts=True),
    "kick": Word(lambda t, c, k: body.kick(t, k, c.side, c.count), SIDES, counts=True),
    "sit": Word(lambda t, c, k: body.sit(t, k)),
    "sit_down": Word(lambda t, c, k: body.sit_down(t, k)),
    "stand_up": Word(lambda t, c, k: body.stand_up(t, k)),
    "kneel": Word(lambda t, c, k: body.kneel(t, k, c.side), ("", *SIDES)),
    "crouch": Word(lambda t, c, k: body.crouch(t, k, c.extent), extents=("", "slightly")),
    "squat": Word(lambda t, c, k: body.squat(t, k, c.count), counts=True),
    "bend": Word(lambda t, c, k: body.bend(t, k, c.extent), extents=("", "slightly")),
    "bow": Word(lambda t, c, k: body.bow(t, k, c.count), counts=True),
    "lie": Word(lambda t, c, k: body.lie(t, k)),
    "raise": Word(lambda t, c, k: arms.raise_hand(t, k, c.side, c.extent), _HANDS, extents=("", "high", "half", "slightly")),
    "lower": Word(lambda t, c, k: arms.lower_hand(t, k, c.side), _HANDS),
    "wave": Word(lambda t, c, k: arms.wave(t, k, c.side, c.count), _HANDS, counts=True, rate="wave", usual=1.4),
    "punch": Word(lambda t, c, k: arms.punch(t, k, c.side, c.count), _HANDS, counts=True),
    "throw": Word(lambda t, c, k: arms.throw(t, k, c.side), SIDES),
    "clap": Word(lambda t, c, k: arms.clap(t, k, c.count), counts=True),
    "point": Word(lambda t, c, k: arms.point(t, k, c.side, c.where), SIDES, ("forward", "left", "right", "up")),
    "cross": Word(lambda t, c, k: arms.cross(t, k)),
    "circle_arm": Word(lambda t, c, k: arms.circle_arm(t, k, c.side), SIDES),
    "nod": Word(lambda t, c, k: arms.nod(t, k, c.count), counts=True),
    "shake": Word(lambda t, c, k: arms.shake(t, k, c.count), counts=True),
    "look": Word(lambda t, c, k: arms.look(t, k, c.where), wheres=("left", "right", "up", "down", "around")),
    "still": Word(
        lambda t, c, k: body.still(t, k, c.where), wheres=("arms", "left arm", "right arm", "head", "feet", "turning")
    ),
}  # fmt: skip


def check_claim(claim: Claim) -> None:
    """Raises MateError unless the claim is one that the judge knows."""
    word = WORDS.get(claim.word)
    if word is None:
        raise MateError(f"got the word {claim.word!r}, expected one of {', '.join(WORDS)}")
    for name, value, allowed in (
        ("side", claim.side, word.sides),
        ("where", claim.where, word.wheres),
        ("extent", claim.extent, word.extents),
        ("speed", claim.speed, ("", "slowly", "quickly") if word.rate else ("",)),
    ):
        if value not in allowed:
            raise MateError(f"got {claim.word} with {name} {value!r}, expected one of {list(allowed)}")
    if claim.count and not word.counts:
        raise MateError(f"got {claim.word} {claim.count} times, but this word is not counted")
    if claim.degrees and claim.word != "turn":
        raise MateError(f"got {claim.word} with an angle, which only turns have")


def _rate(t: Tracks, claim: Claim) -> float:
    """How fast it was done: speed, degrees a second while it turns, or full swings a second of the waving hand."""
    kind = WORDS[claim.word].rate
    if kind == "turn":
        facing = np.degrees(t.facing)
        speed = np.abs(np.gradient(facing)) * t.fps if len(facing) > 1 else np.zeros(1)
        turning = speed > 0.4 * speed.max()
        return float(speed[turning].mean())
    if kind == "wave":
        hand = 1 if claim.side == "right" else 0
        turns, seconds = arms.waving(t, hand, LIMITS.swing[1])
        return turns / 2 / max(seconds, 0.3)
    return going.way(t).cruise


def speed_answer(t: Tracks, claim: Claim, limits: Limits = LIMITS) -> Answer:
    """Is it done slowly or quickly, as the claim says? True where it says nothing."""
    if not claim.speed:
        return True
    ratio = _rate(t, claim) / WORDS[claim.word].usual
    return under(ratio, limits.slow) if claim.speed == "slowly" else over(ratio, limits.fast)


def judge(motion: Tracks, claim: Claim, limits: Limits = LIMITS) -> Answer:
    """Is the claim true of the motion (`measure(joints, fps)`, or a stretch of one)?

    Returns:
        True, False, or None where the motion is too short or lies between the limits.

    Raises:
        MateError: a claim that the judge does not know.
    """
    check_claim(claim)
    if motion.seconds < limits.shortest:
        return None
    answer = WORDS[claim.word].judge(motion, claim, limits)
    if answer is not False and claim.speed:
        answer = every(answer, speed_answer(motion, claim, limits))
    return answer


def measured(joints: np.ndarray, fps: float) -> Tracks:
    """The tracks of a motion, after checks. Raises MateError for a wrong shape or NaN."""
    check_joints(joints)
    if joints.ndim != 3 or not np.isfinite(joints).all():
        raise MateError(f"got joints of shape {joints.shape} or with NaN, expected one motion (T, 22, 3), finite")
    return measure(joints, fps)


# Several events


@dataclass(frozen=True)
class Happened:
    """Attributes: answer: do all events happen in their order? spans: the seconds (start, end) given to each event, where they do."""

    answer: Answer
    spans: tuple[tuple[float, float], ...] = ()


def judge_events(
    motion: Tracks, events: Sequence[Sequence[Claim]], limits: Limits = LIMITS, step: float = 0.25
) -> Happened:
    """Do events happen one after the other? Each is a tuple of claims that hold at the same time.

    One event must hold of the whole motion. Several hold if the motion can be cut into as many stretches (cuts on a grid of `step`
    seconds, stretches of at least 0.75 s) such that each event holds of its stretch. False if no cut makes none of them false.
    The spans are the first that were found: they say that the order holds, not where exactly an event begins.
    """
    if len(events) == 1:
        return Happened(every(*(judge(motion, claim, limits) for claim in events[0])), ((0.0, motion.seconds),))
    ends = np.unique(np.append(np.arange(0.0, motion.seconds - 0.5 * step, step), motion.seconds))
    rank: Mapping[Answer, int] = {True: 2, None: 1, False: 0}
    # best[i][j]: the best answer of events 0..i with the i-th ending at cut j, and where it starts. Worse than open is not followed.
    reach: dict[int, tuple[int, tuple[int, ...]]] = {0: (2, (0,))}
    for number, event in enumerate(events):
        last = number == len(events) - 1
        ahead: dict[int, tuple[int, tuple[int, ...]]] = {}
        for start, (level, cuts) in reach.items():
            for end in [len(ends) - 1] if last else range(start + 1, len(ends) - 1):
                if ends[end] - ends[start] < 0.75 or ahead.get(end, (0, ()))[0] >= level:
                    continue
                piece = motion.cut(float(ends[start]), float(ends[end]))
                found = min(level, rank[every(*(judge(piece, claim, limits) for claim in event))])
                if found > ahead.get(end, (0, ()))[0]:
                    ahead[end] = (found, (*cuts, end))
        reach = ahead
    level, cuts = reach.get(len(ends) - 1, (0, ()))
    spans = tuple((float(ends[a]), float(ends[b])) for a, b in itertools.pairwise(cuts))
    return Happened({2: True, 1: None, 0: False}[level], spans)

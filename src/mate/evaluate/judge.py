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
from mate.evaluate import judge_arms, judge_body, judge_going, judge_head, judge_legs
from mate.evaluate.judge_limits import LIMITS, SIDES, Answer, Limits, every, over, under
from mate.evaluate.judge_speed import RATES
from mate.motion.kinematics_tracks import Tracks, measure
from mate.motion.retarget import check_joints


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
going, body, legs, arms, head = judge_going, judge_body, judge_legs, judge_arms, judge_head

# Every word: what sides it takes, what directions, whether it can be counted, its usual rate for "slowly" and "quickly", and who decides.


@dataclass(frozen=True)
class Word:
    """Attributes: judge; sides, wheres, extents: what may be said with it; counts: can it be counted; rate: how its
    speed is measured (a key of `judge_speed.RATES`), "" where it is not; usual: that of an ordinary one; loose: its ordinary
    speeds differ so much that `Limits.slow_loose` and `fast_loose` hold."""

    judge: Judge
    sides: tuple[str, ...] = ("",)
    wheres: tuple[str, ...] = ("",)
    extents: tuple[str, ...] = ("",)
    counts: bool = False
    rate: str = ""
    usual: float = 0.0
    loose: bool = False


_HANDS = ("left", "right", "both")
_SLIGHTLY = ("", "slightly")
WORDS: dict[str, Word] = {
    "walk": Word(lambda t, c, k: going.walk(t, k, c.extent), extents=("", "long", "short"), rate="cruise", usual=1.2),
    "jog": Word(lambda t, c, k: going.jog(t, k), rate="cruise", usual=2.2),
    "run": Word(lambda t, c, k: going.run(t, k), rate="cruise", usual=3.1),
    "sprint": Word(lambda t, c, k: going.sprint(t, k)),
    "tiptoe": Word(lambda t, c, k: going.tiptoe(t, k), rate="cruise", usual=0.55),
    "march": Word(lambda t, c, k: going.march(t, k), rate="cruise", usual=0.95),
    "creep": Word(lambda t, c, k: going.creep(t, k), rate="cruise", usual=0.45),
    "limp": Word(lambda t, c, k: going.limp(t, k, c.side), SIDES, rate="cruise", usual=0.7),
    "skip": Word(lambda t, c, k: going.skip(t, k)),
    "backwards": Word(lambda t, c, k: going.backwards(t, k, c.extent), extents=("", "long", "short"), rate="cruise", usual=0.75),
    "sidestep": Word(lambda t, c, k: going.sidestep(t, k, c.side), SIDES, rate="cruise", usual=0.5),
    "diagonal": Word(lambda t, c, k: going.diagonal(t, k, c.side), SIDES, rate="cruise", usual=1.05),
    "steps": Word(
        lambda t, c, k: going.steps(t, k, c.where, c.count),
        wheres=("forward", "backwards"), counts=True, rate="steps", usual=1.0, loose=True,
    ),
    "step_over": Word(lambda t, c, k: going.step_over(t, k, c.side), ("", *SIDES)),
    "stand": Word(lambda t, c, k: going.stand(t, k)),
    "stop": Word(lambda t, c, k: going.stop(t, k)),
    "straight": Word(lambda t, c, k: going.straight(t, k)),
    "turn": Word(
        lambda t, c, k: going.turn(t, k, c.side, c.extent, c.degrees, c.where),
        SIDES, ("", "spot", "way"), _SLIGHTLY, rate="turn", usual=110.0,
    ),
    "spin": Word(lambda t, c, k: going.spin(t, k, c.side, c.count), SIDES, counts=True, rate="turn", usual=125.0),
    "circle": Word(lambda t, c, k: going.circle(t, k, c.side, c.extent, c.count), SIDES, extents=("", "small", "big"), counts=True),
    "eight": Word(lambda t, c, k: going.eight(t, k)),
    "zigzag": Word(lambda t, c, k: going.zigzag(t, k)),
    "jump": Word(
        lambda t, c, k: legs.jump(t, k, c.where, c.count, c.extent), wheres=("", "up", "forward", *SIDES), extents=("", "high"), counts=True
    ),
    "hop": Word(lambda t, c, k: legs.hop(t, k, c.side, c.where, c.count), SIDES, ("", "forward"), counts=True),
    "kick": Word(
        lambda t, c, k: legs.kick(t, k, c.side, c.where, c.count, c.extent),
        SIDES, ("", "forward", "aside"), ("", "high"), True, rate="foot", usual=2.42, loose=True,
    ),
    "raise_knee": Word(lambda t, c, k: legs.raise_knee(t, k, c.side, c.count), SIDES, counts=True, rate="foot", usual=2.6, loose=True),
    "stomp": Word(lambda t, c, k: legs.stomp(t, k, c.side, c.count), SIDES, counts=True),
    "sit": Word(lambda t, c, k: body.sit(t, k)),
    "sit_down": Word(lambda t, c, k: body.sit_down(t, k), rate="pelvis", usual=1.11),
    "stand_up": Word(lambda t, c, k: body.stand_up(t, k), rate="pelvis", usual=1.08),
    "kneel": Word(lambda t, c, k: body.kneel(t, k, c.side), ("", *SIDES), rate="pelvis", usual=1.3, loose=True),
    "crouch": Word(lambda t, c, k: body.crouch(t, k, c.extent), extents=_SLIGHTLY, rate="pelvis", usual=1.7),
    "squat": Word(lambda t, c, k: body.squat(t, k, c.count), counts=True, rate="pelvis", usual=1.85, loose=True),
    "lunge": Word(lambda t, c, k: body.lunge(t, k, c.side, c.extent), SIDES, extents=_SLIGHTLY),
    "bend": Word(lambda t, c, k: body.bend(t, k, c.extent), extents=_SLIGHTLY, rate="trunk", usual=1.7),
    "bow": Word(lambda t, c, k: body.bow(t, k, c.count, c.extent), extents=_SLIGHTLY, counts=True, rate="trunk", usual=2.1, loose=True),
    "lean": Word(lambda t, c, k: body.lean(t, k, c.side, c.extent), SIDES, extents=_SLIGHTLY),
    "lie": Word(lambda t, c, k: body.lie(t, k)),
    "lie_down": Word(lambda t, c, k: body.lie_down(t, k), rate="pelvis", usual=1.03, loose=True),
    "get_up": Word(lambda t, c, k: body.get_up(t, k), rate="pelvis", usual=1.03, loose=True),
    "raise": Word(
        lambda t, c, k: arms.raise_hand(t, k, c.side, c.extent),
        _HANDS, extents=("", "high", "half", "slightly"), rate="hand", usual=2.45, loose=True,
    ),
    "lower": Word(lambda t, c, k: arms.lower_hand(t, k, c.side), _HANDS, rate="hand", usual=2.15, loose=True),
    "wave": Word(
        lambda t, c, k: arms.wave(t, k, c.side, c.count, c.extent),
        _HANDS, extents=("", "slightly", "big"), counts=True, rate="wave", usual=1.35, loose=True,
    ),
    "punch": Word(lambda t, c, k: arms.punch(t, k, c.side, c.count), _HANDS, counts=True),
    "throw": Word(lambda t, c, k: arms.throw(t, k, c.side), SIDES),
    "clap": Word(lambda t, c, k: arms.clap(t, k, c.count), counts=True, rate="clap", usual=2.05, loose=True),
    "point": Word(lambda t, c, k: arms.point(t, k, c.side, c.where), SIDES, ("forward", "left", "right", "up")),
    "cross": Word(lambda t, c, k: arms.cross(t, k)),
    "circle_arm": Word(
        lambda t, c, k: arms.circle_arm(t, k, c.side, c.count), SIDES, counts=True, rate="circle_arm", usual=0.95, loose=True
    ),
    "spread": Word(lambda t, c, k: arms.spread(t, k)),
    "salute": Word(lambda t, c, k: arms.salute(t, k, c.side), SIDES),
    "touch_head": Word(lambda t, c, k: arms.touch_head(t, k, c.side), SIDES),
    "hands_on_hips": Word(lambda t, c, k: arms.hands_on_hips(t, k)),
    "shrug": Word(lambda t, c, k: arms.shrug(t, k, c.count), counts=True),
    "nod": Word(lambda t, c, k: head.nod(t, k, c.count), counts=True),
    "shake": Word(lambda t, c, k: head.shake(t, k, c.count), counts=True),
    "look": Word(lambda t, c, k: head.look(t, k, c.where), wheres=("left", "right", "up", "down", "around")),
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


def rate(t: Tracks, claim: Claim, limits: Limits = LIMITS) -> float:
    """How fast it is done, in the unit of the word's rate (`judge_speed`)."""
    return RATES[WORDS[claim.word].rate](t, claim.side, limits)


def speed_answer(t: Tracks, claim: Claim, limits: Limits = LIMITS) -> Answer:
    """Is it done slowly or quickly, as the claim says? True where it says nothing."""
    if not claim.speed:
        return True
    ratio = rate(t, claim, limits) / WORDS[claim.word].usual
    loose = WORDS[claim.word].loose
    if claim.speed == "slowly":
        return under(ratio, limits.slow_loose if loose else limits.slow)
    return over(ratio, limits.fast_loose if loose else limits.fast)


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

"""Programs: which actions follow each other in a clip, and when."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from mate.data.kinwords.actions import LONGEST, MAKERS, Event
from mate.data.kinwords.stage import FPS


@dataclass(frozen=True)
class Program:
    """Events in order, the length of the clip, and whether it starts and ends on the move."""

    events: tuple[Event, ...]
    seconds: float
    moving_start: bool
    moving_end: bool

    def json(self) -> dict[str, Any]:
        """As plain data, rounded to a tenth of a millisecond."""
        return json.loads(json.dumps(asdict(self)), parse_float=lambda x: round(float(x), 4))


# How often each action stands alone. The first block is what a generator is asked for most; it makes up about 40 %.
CORE = {
    "walk": 13, "run": 7, "backwards": 6, "walk_turn": 13, "raise": 12, "raise_both": 6, "wave": 9, "wave_both": 5,
}  # fmt: skip
COMMON = {
    "jog": 2, "sprint": 2, "tiptoe": 2, "march": 2, "limp": 2, "sidestep": 3, "diagonal": 2, "steps": 2, "steps_back": 1.5,
    "step_over": 2.5, "walk_turn_slight": 2, "walk_turn_back": 2, "turn": 3, "turn_quarter": 1.5, "turn_around": 1.5,
    "turn_degrees": 2, "spin": 2, "circle": 6, "zigzag": 2.5, "stand": 3,
    "raise_half": 1, "raise_slight": 1, "lower": 1.5, "lower_both": 0.8, "punch": 2, "punch_both": 1, "throw": 2,
    "clap": 2, "point": 2, "cross": 1, "circle_arm": 1.5, "spread": 1,
    "nod": 1.5, "shake": 1.5, "look": 1.5, "look_up": 0.7, "look_down": 0.7,
    "sit": 2, "stand_up": 2, "sit_still": 0.7, "lie_down": 2, "get_up": 1.5, "kneel": 2, "crouch": 1.5, "squat": 1.5, "bend": 1.5,
    "bow": 2.5, "jump_up": 2.5, "jump_forward": 2.5, "jump_side": 1, "hop": 1.5, "hop_forward": 1, "kick": 2.5, "kick_side": 1,
    "raise_knee": 1.2,
}  # fmt: skip
# Actions that training clips show some fifteen times in ten thousand: the split of low-frequency words.
RARE = (
    "creep", "skip", "eight", "look_around", "salute", "touch_head", "hands_on_hips", "shrug", "lean", "lunge", "stomp",
)  # fmt: skip
RARE_WEIGHT = 0.2
ALONE = {**CORE, **COMMON, **dict.fromkeys(RARE, RARE_WEIGHT)}
SUBSETS = (
    "standard",
    "rare",
    "combinations",
    "wordings",
)  # of the test split; the last three hold what training does not

MEANWHILE_ARMS = ("wave", "wave_both", "raise", "raise_both", "clap", "point", "circle_arm", "cross")
MEANWHILE_HEAD = ("look", "nod", "shake")
CALM = frozenset(
    {"walk", "backwards", "tiptoe", "march", "sidestep", "diagonal", "circle", "stand", "walk_turn", "jog", "sit_still"}
)
# What an action may be done without.
WITHOUT_ARMS = frozenset(
    {
        "walk", "jog", "run", "march", "backwards", "sidestep", "diagonal", "walk_turn", "circle", "step_over", "turn", "turn_around",
        "jump_up", "sit", "stand_up", "squat", "kneel", "crouch", "hop", "raise_knee", "steps",
    }
)  # fmt: skip
WITHOUT_HEAD = frozenset({"walk", "raise", "wave", "turn", "circle_arm", "clap", "punch", "sidestep"})
WITHOUT_FEET = frozenset(
    {
        "raise", "raise_both", "wave", "wave_both", "clap", "punch", "throw", "point", "nod", "shake", "look", "look_around", "bow",
        "bend", "squat", "crouch", "circle_arm", "lean",
    }
)  # fmt: skip
WITHOUT_OTHER = frozenset({"raise", "raise_half", "raise_slight", "wave", "point", "circle_arm"})
# Down on the ground: what may follow until one is up again.
LOW = {
    "sit": {"stand_up": 4, "nod": 1, "wave": 1, "look": 1, "raise": 1, "clap": 1, "shake": 1, "point": 0.5},
    "lie_down": {"get_up": 1},
}  # fmt: skip
UP = frozenset({"stand_up", "get_up"})


def _draw(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    names = list(weights)
    total = np.cumsum(list(weights.values()))
    return names[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]


@cache
def held_out_pair(kind: str, action: str, other: str) -> bool:
    """Whether a combination stays out of training: about every ninth, by a hash; the commonest actions keep their adverbs.

    Args:
        kind: "then" (`other` follows), "while" (`other` at the same time), "adverb", "count", "without".
    """
    if kind == "adverb" and action in CORE:
        return False
    digest = hashlib.sha256(f"{kind} {action} {other}".encode()).digest()
    return digest[0] < 28


def combinations(program: Program) -> list[tuple[str, str, str]]:
    """Every (kind, action, other) of `held_out_pair` in a program."""
    out: list[tuple[str, str, str]] = []
    for i, event in enumerate(program.events):
        out += [("adverb", event.action, adverb) for adverb in event.adverbs]
        if event.count:
            out.append(("count", event.action, str(event.count)))
        if event.without:
            out.append(("without", event.action, event.without.split()[-1]))
        if event.meanwhile is not None:
            out.append(("while", event.action, event.meanwhile.action))
        if i:
            out.append(("then", program.events[i - 1].action, event.action))
    return out


def held_out(program: Program) -> bool:
    """Whether a program shows a combination that training does not."""
    return any(held_out_pair(*pair) for pair in combinations(program))


def settled(program: Program, spans: Mapping[str, tuple[float, float]]) -> Program:
    """The program with what only its footsteps decide: by action, the seconds of the part that some of its words are about."""
    events = [
        replace(event, turn=(max(spans[event.action][0], 0.0), min(spans[event.action][1], program.seconds)))
        if event.action in spans
        else event
        for event in program.events
    ]
    return replace(program, events=tuple(events))


def _allowed_after(events: list[Event]) -> Mapping[str, float]:
    """What may follow: nobody walks off while seated or lying, an arm is lowered only when it is up."""
    weights = dict(ALONE)
    for name in ("lower", "lower_both", "sit_still"):
        weights.pop(name)
    if not events:
        return weights
    weights.pop("stand_up")
    weights.pop("get_up")
    previous = events[-1]
    low = next((e.action for e in reversed(events) if e.action in LOW or e.action in UP), "")
    if low in LOW:
        return {name: weight for name, weight in LOW[low].items() if name != previous.action}
    if previous.action in ("raise", "raise_both"):
        weights["lower" if previous.action == "raise" else "lower_both"] = 14
    if previous.kind == "go":
        weights["stop"] = 8
    weights.pop(previous.action, None)
    if previous.action in ("stand", "stop"):
        weights.pop("stand", None)
    return weights


def draw_program(rng: np.random.Generator, subset: str = "") -> Program:
    """A program of 1 to 4 events, 2 to 10 seconds.

    Args:
        subset: "rare" and "combinations" show an action or a combination of that kind; all others have no held-out combination.
    """
    while True:
        program = _draw_any(rng, RARE if subset == "rare" else ())
        if held_out(program) == (subset == "combinations"):
            return program


def _draw_any(rng: np.random.Generator, among: tuple[str, ...] = ()) -> Program:
    number = int(rng.choice([1, 2, 3, 4], p=[0.5, 0.23, 0.12, 0.15]))
    if number == 1 or among:
        name = _draw(rng, dict.fromkeys(among, 1.0) or ALONE)
        event = MAKERS[name](name, rng, LONGEST - 0.4)
        if name in CALM and rng.random() < (0.5 if name == "sit_still" else 0.15):
            event = _with_meanwhile(event, rng)
        else:
            event = _without(event, rng, 0.14)
        return _lay_out([event], rng)
    events: list[Event] = []
    room = LONGEST - 0.4
    for k in range(number):
        share = max(min(room / (number - k) + 0.5, room), 2.0)
        for _ in range(8):
            name = _draw(rng, _allowed_after(events))
            event = MAKERS[name](name, rng, share)
            if name == "lower":
                side = events[-1].side
                event = replace(event, side=side, slots={**event.slots, "side": side}, region=f"{side} arm")
            # Whoever is last takes what is left.
            if event.end <= (room if k == number - 1 or number == 2 else min(room, share + 0.8)):
                if name in CALM and rng.random() < 0.1:
                    event = _with_meanwhile(event, rng)
                elif not name.startswith("lower"):
                    event = _without(event, rng, 0.05)
                events.append(event)
                room -= event.end + 0.15
                break
        if room < 1.5:
            break
    return _lay_out(events, rng)


def _without(event: Event, rng: np.random.Generator, chance: float) -> Event:
    """The event with something that does not move, now and then."""
    other = {"left": "right", "right": "left"}.get(event.side, "")
    options = [
        what
        for what, actions in (
            ("arms", WITHOUT_ARMS),
            ("head", WITHOUT_HEAD),
            ("feet", WITHOUT_FEET),
            (f"{other} arm", WITHOUT_OTHER if other else ()),
        )
        if event.action in actions
    ]
    if not options or rng.random() >= chance * (2.0 if "arms" in options else 1.0):
        return event
    return replace(event, without=options[int(rng.integers(len(options)))])


def _with_meanwhile(event: Event, rng: np.random.Generator) -> Event:
    options = MEANWHILE_HEAD if rng.random() < 0.25 else MEANWHILE_ARMS
    name = options[int(rng.integers(len(options)))]
    length = event.end
    other = MAKERS[name](name, rng, max(length, 2.0))
    # It fills the whole stretch, so that "while" is true throughout.
    values = dict(other.values)
    if name in ("nod", "shake", "clap"):
        values["times"] = max(2, int((length - 0.4) / (0.5 if name == "clap" else 0.75)))
    other = replace(other, start=0.0, end=length, count=0, values=values, adverbs=())
    return replace(event, meanwhile=other)


def _lay_out(events: list[Event], rng: np.random.Generator) -> Program:
    """Puts events one after the other in time, with short pauses where the body must come to rest."""
    moving = [e.kind == "go" and e.values["gait"] != "turn" and "steps" not in e.values for e in events]
    moving_start = moving[0] and bool(rng.random() < 0.5)
    at = 0.0 if moving_start else float(rng.uniform(0.0, 0.35))
    placed: list[Event] = []
    for i, event in enumerate(events):
        if i:
            both_go = moving[i] and moving[i - 1]
            at += 0.0 if both_go else float(rng.uniform(0.05, 0.2))
        placed.append(event.moved(at))
        at += event.end - event.start
    moving_end = moving[-1] and bool(rng.random() < 0.5)
    rest = 0.0 if moving_end else float(rng.uniform(0.1, 0.5))
    seconds = float(np.clip(at + rest, 2.0, LONGEST))
    last = placed[-1]
    if at < 2.0 and last.action.startswith(("raise", "lower")):
        seconds = max(seconds, 2.0)
    if last.end > seconds:
        placed[-1] = replace(last, end=seconds)
    return Program(tuple(placed), min(LONGEST, np.ceil(seconds * FPS - 1e-6) / FPS), moving_start, moving_end)


def mirrored(program: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a program's mirror image, given one in which the words for the sides are exchanged: signed numbers change theirs."""

    def flipped(event: dict[str, Any]) -> dict[str, Any]:
        values = dict(event["values"])
        if "legs" in values:  # seconds, ahead, aside, turn, ...
            values["legs"] = [[leg[0], leg[1], -leg[2], -leg[3], *leg[4:]] for leg in values["legs"]]
        if "far" in values and isinstance(values["far"], list):
            values["far"] = [values["far"][0], -values["far"][1]]
        meanwhile = event["meanwhile"]
        return {**event, "values": values, "meanwhile": None if meanwhile is None else flipped(meanwhile)}

    person = program["person"]
    return {
        **program,
        "events": [flipped(event) for event in program["events"]],
        "person": {**person, "slant": -person["slant"], "uneven": -person["uneven"]},
    }

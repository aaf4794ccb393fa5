"""Programs: which actions follow each other in a clip, and when."""

import json
from dataclasses import asdict, dataclass, replace
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


# How often each action stands alone. The first block is what a generator is asked for most; it makes up about 45 %.
ALONE = {
    "walk": 13, "run": 7, "backwards": 6, "walk_turn": 13, "raise": 12, "raise_both": 6, "wave": 9, "wave_both": 5,
    "jog": 2, "sprint": 2, "tiptoe": 2, "march": 2, "limp": 2, "creep": 1, "skip": 1.5, "sidestep": 3, "diagonal": 2,
    "walk_turn_slight": 2, "walk_turn_back": 2, "turn": 3, "turn_quarter": 1.5, "turn_around": 1.5, "spin": 2,
    "circle": 6, "zigzag": 2, "eight": 1.5, "stand": 3,
    "raise_half": 1, "raise_slight": 1, "lower": 1.5, "lower_both": 0.8, "punch": 2, "punch_both": 1, "throw": 2,
    "clap": 2, "point": 2, "cross": 1, "circle_arm": 1,
    "nod": 1.5, "shake": 1.5, "look": 1.5, "look_up": 0.5, "look_down": 0.5, "look_around": 0.7,
    "sit": 2, "stand_up": 2, "sit_still": 0.7, "kneel": 2, "crouch": 1.5, "squat": 1.5, "bend": 1.5, "bow": 2.5,
    "jump_up": 2.5, "jump_forward": 2.5, "jump_side": 1, "hop": 1.5, "hop_forward": 1, "kick": 2.5,
}  # fmt: skip
MEANWHILE_ARMS = ("wave", "wave_both", "raise", "raise_both", "clap", "point", "circle_arm", "cross")
MEANWHILE_HEAD = ("look", "nod", "shake")
CALM = frozenset(
    {"walk", "backwards", "tiptoe", "march", "sidestep", "diagonal", "circle", "stand", "walk_turn", "jog", "sit_still"}
)


def _draw(rng: np.random.Generator, weights: dict[str, float]) -> str:
    names = list(weights)
    total = np.cumsum(list(weights.values()))
    return names[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]


def _allowed_after(previous: Event | None) -> dict[str, float]:
    """What may follow: nobody walks off while seated, an arm is lowered only when it is up."""
    weights = dict(ALONE)
    for name in ("lower", "lower_both", "sit_still", "stand_up"):
        weights.pop(name)
    if previous is None:
        return weights
    if previous.action == "sit":
        return {"stand_up": 4, "nod": 1, "wave": 1, "look": 1, "raise": 1, "clap": 1}
    if previous.action in ("raise", "raise_both"):
        weights["lower" if previous.action == "raise" else "lower_both"] = 14
    if previous.kind == "go":
        weights["stop"] = 8
    weights.pop(previous.action, None)
    if previous.action in ("stand", "stop"):
        weights.pop("stand", None)
    return weights


def draw_program(rng: np.random.Generator) -> Program:
    """A program of 1 to 3 events, 2 to 10 seconds."""
    number = int(rng.choice([1, 2, 3], p=[0.62, 0.27, 0.11]))
    if number == 1:
        name = _draw(rng, ALONE)
        event = MAKERS[name](name, rng, LONGEST)
        if name in CALM and rng.random() < (0.5 if name == "sit_still" else 0.13):
            event = _with_meanwhile(event, rng)
        return _lay_out([event], rng)
    events: list[Event] = []
    room = LONGEST - 0.4
    previous: Event | None = None
    for k in range(number):
        share = room / (number - k) + 0.5
        for _ in range(8):
            name = _draw(rng, _allowed_after(previous))
            if name == "sit" and k == number - 1 and k == 0:
                continue
            event = MAKERS[name](name, rng, max(min(share, room), 2.0))
            if name == "lower" and previous is not None:
                event = replace(event, side=previous.side, slots={"side": previous.side}, region=f"{previous.side} arm")
            if event.end <= room:
                if name in CALM and rng.random() < 0.08:
                    event = _with_meanwhile(event, rng)
                events.append(event)
                previous = event
                room -= event.end + 0.15
                break
        if room < 1.8:
            break
    return _lay_out(events, rng)


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
    moving = [e.kind == "go" and e.values["gait"] != "turn" for e in events]
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

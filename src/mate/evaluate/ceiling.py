"""The ceiling of the probes: procedural motions that do exactly what a prompt asks for, claim by claim, by bodies drawn from a seed.

A program is written from the prompt's claims with kinwords' actions. Its numbers are drawn in one order whatever the claim's side, count,
speed or extent, so that two prompts that differ in one meaning get, with the same seed, the same body and the same numbers but for that
meaning.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mate.data.kinwords.actions import Event
from mate.data.kinwords.gaits import GAITS
from mate.data.kinwords.person import draw_person
from mate.data.kinwords.play import play
from mate.data.kinwords.program import Program
from mate.data.kinwords.stage import FPS
from mate.errors import MateError
from mate.evaluate.judge import Claim

Events = Sequence[Sequence[Claim]]
NAME = "procedural"
# Factors on a word's usual speed; a slow jog is still a run, a quick one no sprint; a short turn takes its time to start and to stop.
_TEMPO = {"slowly": (0.52, 0.62), "": (0.94, 1.06), "quickly": (1.42, 1.52)}
_OWN = {
    "jog": {"slowly": (0.69, 0.73), "": (0.94, 1.06), "quickly": (1.32, 1.35)},
    "turn": {"slowly": (0.52, 0.62), "": (0.94, 1.06), "quickly": (1.8, 2.0)},
}


@dataclass(frozen=True)
class _Asked:
    """What a program is written from: the claim, the seconds that there are for it, the gait that the text names, and the draws."""

    claim: Claim
    room: float
    gait: str
    rng: np.random.Generator

    def among(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def tempo(self) -> float:
        low, high = _OWN.get(self.claim.word, _TEMPO)[self.claim.speed]
        return low + (high - low) * float(self.rng.random())

    @property
    def side(self) -> str:
        return self.claim.side or (self.claim.where if self.claim.where in ("left", "right") else "")

    @property
    def sign(self) -> float:
        return -1.0 if self.side == "right" else 1.0

    def event(self, action: str, kind: str, seconds: float, values: Mapping[str, Any], count: int = 0) -> Event:
        return Event(action, kind, 0.0, seconds, self.side, count, dict(values))


def _going(a: _Asked) -> Event:
    """A gait straight ahead (or back)."""
    word = "walk" if a.claim.word == "straight" else a.claim.word
    speed = GAITS[word].speed * a.tempo() * (-1.0 if word == "backwards" else 1.0)
    return a.event(word, "go", a.room, {"gait": word, "legs": [[a.room, speed, 0.0, 0.0]]})


def _aside(a: _Asked) -> Event:
    tempo, angle = a.tempo(), np.radians(a.among(33.0, 45.0))
    if a.claim.word == "sidestep":
        values = {"gait": "sidestep", "legs": [[a.room, 0.0, a.sign * 0.5 * tempo, 0.0]]}
    else:
        speed = 1.05 * tempo
        values = {"gait": "walk", "legs": [[a.room, speed * np.cos(angle), a.sign * speed * np.sin(angle), 0.0]]}
    return a.event(a.claim.word, "go", a.room, values)


def _turn(a: _Asked) -> Event:
    """A turn, on the spot or, where the claim or the text says so, on the way."""
    claim, tempo, share = a.claim, a.tempo(), a.among(0.0, 1.0)
    angle = claim.degrees + 3.0 * (2 * share - 1) if claim.degrees else 80.0 + 35.0 * share
    if claim.word == "spin":
        angle = 360.0 * max(claim.count, 1) + 10.0 * (share - 0.5)
    elif claim.extent == "slightly":
        angle = 26.0 + 12.0 * share
    on_way = claim.where == "way" or (claim.where == "" and claim.word == "turn" and bool(a.gait))
    if on_way:
        turning = max(angle / 62.0, 0.9)
        before = 0.5 * (a.room - turning)
        leg = [a.room, GAITS[a.gait].speed * 0.92 * tempo, 0.0, a.sign * angle, before, before + turning]
        return a.event("walk_turn", "go", a.room, {"gait": a.gait, "legs": [leg]})
    turning = max(angle / ((110.0 if claim.word == "spin" else 95.0) * tempo), 0.45)
    legs = [[turning + 0.5, 0.0, 0.0, a.sign * angle, 0.1, turning + 0.2]]
    cadence = float(np.clip(tempo, 0.8, 1.3))
    return a.event("turn", "go", turning + 0.5, {"gait": "turn", "legs": legs, "cadence": cadence})


_RADII = {"small": (0.58, 0.72), "": (0.85, 1.0), "big": (1.45, 1.6)}  # of circles, metres


def _circle(a: _Asked) -> Event:
    """As often round as there is time for, at least once."""
    gait, tempo = a.gait or "walk", a.tempo()
    low, high = _RADII[a.claim.extent]
    radius = low + (high - low) * a.among(0.0, 1.0)
    # A runner needs a wider circle than a walker: round a small one he slows down.
    speed = min(GAITS[gait].speed * 0.95 * tempo, 2.8 * radius + 0.4)
    lap = 2 * np.pi * radius / speed
    laps = max(1, round(a.room / lap))
    seconds = min(lap * laps, a.room)
    legs = [[seconds, lap * laps / seconds * speed, 0.0, a.sign * 360.0 * laps, 0.0, seconds]]
    return a.event("circle", "go", seconds, {"gait": gait, "legs": legs, "radius": radius})


def _winding(a: _Asked) -> Event:
    """A figure of eight; a zigzag."""
    tempo, angle, sign = a.tempo(), a.among(66.0, 80.0), 1.0 if a.among(0.0, 1.0) < 0.5 else -1.0
    if a.claim.word == "eight":
        half, speed = a.room / 2, 1.2 * tempo
        legs = [[half, speed, 0.0, 360.0 * way, 0.0, half] for way in (sign, -sign)]
    else:
        number = max(3, round(a.room / 1.7))
        each, turns = a.room / number, [angle * (0.5 if k == 0 else 1.0) * sign * (-1) ** k for k in range(number)]
        legs = [[each, GAITS["walk"].speed * 0.95 * tempo, 0.0, turn, 0.0, 0.62 * each] for turn in turns]
    return a.event(a.claim.word, "go", a.room, {"gait": "walk", "legs": legs})


def _stand(a: _Asked) -> Event:
    return a.event("stand", "stand", a.room, {})


def _times(a: _Asked, usual: int, each: float, rest: float) -> tuple[int, float]:
    """How often something is done, and how long all of it takes: as often as claimed, else about `usual` times as the room allows."""
    times = a.claim.count or max(1, min(usual, int((a.room - rest) / each + 1e-6)))
    return times, rest + times * each


def _raise(a: _Asked) -> Event:
    rise = min(a.among(0.7, 1.0), 0.45 * a.room)
    height = {"half": "half", "slightly": "slight"}.get(a.claim.extent, "high")
    way = ("front", "front", "side")[int(a.rng.integers(3))]
    return a.event("raise", "arms", a.room, {"rise": rise, "height": height, "way": way})


def _lower(a: _Asked) -> Event:
    fall = a.among(0.7, 1.0)
    return a.event("lower", "arms", fall, {"fall": fall})


def _wave(a: _Asked) -> Event:
    period = a.among(0.66, 0.76) / a.tempo()
    seconds = a.claim.count * period + 1.0 if a.claim.count else a.room
    return a.event("wave", "arms", seconds, {"period": period, "extent": 1.0}, a.claim.count)


def _hands(a: _Asked) -> Event:
    """Punches, claps, throws; arms that circle, point, are folded."""
    word, claim = a.claim.word, a.claim
    if word == "punch":
        times, seconds = _times(a, 4 if claim.side == "both" else 3, a.among(0.62, 0.7), 0.8)
        values = {"times": times}
    elif word == "clap":
        times, seconds = _times(a, 8, a.among(0.44, 0.52), 0.9)
        values = {"times": times}
    elif word == "throw":
        seconds, values = min(a.room, a.among(1.7, 2.1)), {}
    elif word == "point":
        seconds, values = min(a.room, a.among(2.0, 2.8)), {"where": claim.where}
    elif word == "cross":
        seconds, values = a.room, {}
    else:
        seconds = min(a.room, 5.0)
        values = {"period": a.among(0.9, 1.1), "size": a.among(44.0, 54.0), "sense": 1.0}
    return a.event(word, "arms", seconds, values)


def _head(a: _Asked) -> Event:
    word = a.claim.word
    if word == "look":
        seconds = a.among(1.7, 2.3) * (1.6 if a.claim.where == "around" else 1.0)
        name = "look" if a.side else f"look_{a.claim.where}"
        return a.event(name, "head", min(a.room, seconds), {"where": a.claim.where})
    times, seconds = _times(a, 3, a.among(0.64, 0.76), 0.3)
    return a.event(word, "head", seconds, {"times": times})


def _posture(a: _Asked) -> Event:
    """Down and, where something follows, up again."""
    word, slightly = a.claim.word, a.claim.extent == "slightly"
    if word == "sit_down":
        return a.event("sit", "body", min(a.room, a.among(1.5, 1.9)), {})
    if word == "lie":
        return a.event("lie_down", "body", min(a.room, a.among(3.2, 3.6)), {})
    down = min(a.among(1.6, 1.8) if word == "kneel" else a.among(0.9, 1.1), 0.45 * a.room)
    side = a.side or ("left", "right")[int(a.rng.integers(2))]
    event = a.event(word, "body", a.room, {"down": down, "extent": 0.36 if slightly else 1.0})
    return replace(event, side=side) if word == "kneel" else event


def _legs(a: _Asked) -> Event:
    """What is done so many times with the legs or the trunk: squats, bows, jumps, hops, kicks."""
    word, where = a.claim.word, a.claim.where
    share = a.among(0.0, 1.0)
    if word == "squat":
        times, seconds = _times(a, 1, 1.55 + 0.2 * share, 0.0)
        return a.event(word, "body", seconds, {}, times)
    if word == "bow":
        times, seconds = _times(a, 1, 1.75 + 0.1 * share, 0.0)
        return a.event(word, "body", seconds, {"times": times, "extent": 1.0})
    if word == "hop":
        times, seconds = _times(a, 4, 0.52 + 0.06 * share, 1.1)
        far = 0.3 + 0.1 * share if where == "forward" else 0.0
        return a.event("hop", "body", seconds, {"times": times, "far": far})
    if word == "kick":
        times, seconds = _times(a, 1, 0.84 + 0.05 * share, 0.6)
        return a.event("kick", "body", seconds, {"times": times, "extent": 1.0})
    apex = 0.2 + 0.06 * share
    times, seconds = _times(a, 1, 1.05 + float(np.sqrt(2 * apex / 9.81)), 0.0)
    far = {"forward": (0.6 + 0.3 * share, 0.0), "": (0.0, 0.0), "up": (0.0, 0.0)}.get(where)
    far = (0.0, a.sign * (0.4 + 0.15 * share)) if far is None else far
    return a.event("jump_up", "body", seconds, {"times": times, "apex": apex, "far": list(far)})


_WRITERS: dict[Callable[[_Asked], Event], str] = {
    _going: "walk straight run jog sprint backwards tiptoe march creep limp skip",
    _aside: "sidestep diagonal",
    _turn: "turn spin",
    _circle: "circle",
    _winding: "eight zigzag",
    _stand: "stand",
    _raise: "raise",
    _lower: "lower",
    _wave: "wave",
    _hands: "punch clap throw point cross circle_arm",
    _head: "nod shake look",
    _posture: "sit_down lie kneel crouch bend",
    _legs: "squat bow hop kick jump",
}
WRITERS = {word: writer for writer, words in _WRITERS.items() for word in words.split()}


def write_program(events: Events, seconds: float, text: str, rng: np.random.Generator) -> Program:
    """The program of a prompt's events: `seconds` long or shorter; longer only where what is claimed takes longer than that.

    Args:
        events: as of a prompt: one after the other, each the claims that hold at the same time: one that is done, one that is done
            meanwhile, what stays still.
        text: says the gait of turns and circles where a single event leaves it open.

    Raises:
        MateError: a claim that no program makes true.
    """
    start, pause, rest = (float(rng.uniform(low, high)) for low, high in ((0.2, 0.35), (0.05, 0.2), (0.15, 0.3)))
    room = (seconds - start - rest - pause * (len(events) - 1)) / len(events)
    named = next((gait for gait in ("walk", "jog", "run") if gait in text), "") if len(events) == 1 else ""
    placed, at = [], start
    for claims in events:
        event = _write(claims, room, named, rng).moved(at)
        placed.append(event)
        at = event.end + pause
    length = max(placed[-1].end + rest, 2.0)
    return Program(tuple(placed), float(np.ceil(length * FPS - 1e-6) / FPS), False, False)


def _write(claims: Sequence[Claim], room: float, gait: str, rng: np.random.Generator) -> Event:
    done = [claim for claim in claims if claim.word != "still"]
    unknown = [claim.word for claim in done if claim.word not in WRITERS]
    if unknown or not 1 <= len(done) <= 2:
        what = f"the word {unknown[0]!r}" if unknown else f"{len(done)} things done at once"
        raise MateError(f"no procedural motion for {what}; expected one or two of {', '.join(WRITERS)}")
    event = WRITERS[done[0].word](_Asked(done[0], room, gait, rng))
    for claim in claims:
        if claim.word == "still" and claim.where != "turning":
            event = replace(event, without=claim.where)
    if len(done) == 2:
        other = WRITERS[done[1].word](_Asked(done[1], event.end, "", rng))
        event = replace(event, meanwhile=replace(other, end=event.end))
    return event


class Procedural:
    """A "generator" that does what the prompts say, because it is told their events. The ceiling row of a probe.

    Args:
        prompts: (text, events) of everything that it may be asked for.
    """

    def __init__(self, prompts: Iterable[tuple[str, Events]]) -> None:
        self.events = dict(prompts)

    def sample(
        self,
        texts: Sequence[str],
        seconds: Sequence[float] | None = None,
        seed: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> list[np.ndarray]:
        """One motion (T, 22, 3) at 20 frames a second for each text, of canonical bone lengths; see `write_program` for how long.

        A motion depends on (seed, number of its text): one body and one way of doing things each.

        Raises:
            MateError: a text that it was not told of, or a claim that no program makes true.
        """
        lengths = [6.0] * len(texts) if seconds is None else seconds
        found = []
        for text, length, number in zip(texts, lengths, numbers or range(len(texts)), strict=True):
            if text not in self.events:
                raise MateError(f"got the prompt {text[:80]!r}, which has no known events; expected one of the probe's")
            rng = np.random.default_rng([seed, number])
            person = draw_person(rng)
            program = write_program(self.events[text], length, text, rng)
            found.append(play(program, person, rng).joints())
        return found

"""Programs: what happens in a clip, drawn at random, and played on a Stage."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mate.data.kinwords import gestures, postures
from mate.data.kinwords.gaits import DEGREE, GAITS, Leg, command, paced, steps
from mate.data.kinwords.grammar import Phrase
from mate.data.kinwords.stage import FPS, Stage

Array = np.ndarray
LONGEST = 10.0
RUN_IN = 1.6  # seconds of going before the first and after the last frame of a clip that starts or ends on the move


@dataclass(frozen=True)
class Event:
    """Something that happens from `start` to `end` seconds.

    Attributes:
        action: which; kind: "go" (root and feet), "arms", "head", "body" (posture, legs).
        side: left, right, both or "".
        count: repetitions that the caption may mention, 0 for none.
        values: the numbers that the action needs.
        slots, adverbs: for the caption.
        meanwhile: what arms or head do at the same time.
    """

    action: str
    kind: str
    start: float
    end: float
    side: str = ""
    count: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    slots: dict[str, str] = field(default_factory=dict)
    adverbs: tuple[str, ...] = ()
    region: str = "body"
    turn: tuple[float, float] | None = None
    meanwhile: "Event | None" = None

    def moved(self, by: float) -> "Event":
        """The same event `by` seconds later."""
        turn = None if self.turn is None else (self.turn[0] + by, self.turn[1] + by)
        meanwhile = None if self.meanwhile is None else self.meanwhile.moved(by)
        return replace(self, start=self.start + by, end=self.end + by, turn=turn, meanwhile=meanwhile)

    def phrases(self) -> list[Phrase]:
        """What there is to say: the event, and what happens meanwhile."""
        own = Phrase(self.action, self.slots, self.adverbs, self.count, self.start, self.end, self.region, self.turn)
        return [own] if self.meanwhile is None else [own, *self.meanwhile.phrases()]


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


def _tempo(rng: np.random.Generator) -> tuple[float, tuple[str, ...]]:
    """A factor on speed, with the adverb that names it where it is marked."""
    x = rng.random()
    if x < 0.13:
        return float(rng.uniform(0.55, 0.68)), ("slow",)
    if x < 0.26:
        return float(rng.uniform(1.38, 1.55)), ("fast",)
    return float(rng.uniform(0.9, 1.12)), ()


def _side(rng: np.random.Generator) -> str:
    return ("left", "right")[int(rng.integers(2))]


def _sign(side: str) -> float:
    return 1.0 if side == "left" else -1.0


GO_WORDS = {"walk": ("walk", "walking"), "run": ("run", "running"), "jog": ("jog", "jogging")}
SENSES = {1.0: ("anticlockwise", "anticlockwise", "counterclockwise", "counter-clockwise"), -1.0: ("clockwise",)}


def _going(rng: np.random.Generator) -> tuple[str, dict[str, str]]:
    name = ("walk", "walk", "walk", "run", "jog")[int(rng.integers(5))]
    return name, {"go": GO_WORDS[name][0], "going": GO_WORDS[name][1]}


def go_straight(action: str, rng: np.random.Generator, room: float) -> Event:
    """Walk, jog, run, sprint, backwards, tiptoe, march, creep, limp."""
    tempo, adverbs = _tempo(rng)
    if action == "sprint":
        tempo, adverbs = float(rng.uniform(0.9, 1.1)), ()
    gait = GAITS[action]
    seconds = float(rng.uniform(2.0, min(room, 9.8 if action != "sprint" else 4.5)))
    side = _side(rng) if action == "limp" else ""
    speed = gait.speed * tempo * (-1.0 if action == "backwards" else 1.0)
    if action in ("run", "jog") and "slow" in adverbs:
        speed = max(speed, 1.6)
    values = {"gait": action, "legs": [[seconds, speed, 0.0, 0.0]]}
    return Event(action, "go", 0.0, seconds, side, 0, values, {"side": side}, adverbs, "going")


def go_aside(action: str, rng: np.random.Generator, room: float) -> Event:
    """Sidestep and diagonal walking."""
    tempo, adverbs = _tempo(rng)
    side = _side(rng)
    seconds = float(rng.uniform(2.0, min(room, 6.0)))
    if action == "sidestep":
        values = {"gait": "sidestep", "legs": [[seconds, 0.0, _sign(side) * 0.5 * tempo, 0.0]]}
    else:
        angle = rng.uniform(28, 48) * DEGREE
        speed = 1.05 * tempo
        values = {"gait": "walk", "legs": [[seconds, speed * np.cos(angle), _sign(side) * speed * np.sin(angle), 0.0]]}
    return Event(action, "go", 0.0, seconds, side, 0, values, {"side": side}, adverbs, "going")


def go_turn(action: str, rng: np.random.Generator, room: float) -> Event:
    """Turns while walking, jogging or running."""
    gait, slots = _going(rng)
    if action == "walk_turn_back":
        gait, slots = "walk", {"go": "walk", "going": "walking"}
    side = _side(rng)
    low, high = {"walk_turn": (60, 115), "walk_turn_slight": (22, 42), "walk_turn_back": (165, 190)}[action]
    angle = float(rng.uniform(low, high))
    tempo, adverbs = _tempo(rng)
    if action == "walk_turn_slight":
        adverbs = ()
    speed = GAITS[gait].speed * min(tempo, 1.25) * (0.92 if angle > 50 else 1.0)
    turning = float(np.clip(angle / (62.0 if gait == "walk" else 75.0), 0.9, 3.2) * rng.uniform(0.9, 1.15))
    seconds = min(room, turning + float(rng.uniform(1.6, 4.5)))
    before = float(rng.uniform(0.3, 0.7)) * (seconds - turning)
    values = {"gait": gait, "legs": [[seconds, speed, 0.0, _sign(side) * angle, before, before + turning]]}
    return Event(action, "go", 0.0, seconds, side, 0, values, {"side": side, **slots}, adverbs, "going", (before, before + turning))


def go_spot(action: str, rng: np.random.Generator, room: float) -> Event:
    """Turns on the spot."""
    side = _side(rng)
    low, high = {"turn": (55, 120), "turn_quarter": (86, 94), "turn_around": (172, 188), "spin": (352, 368)}[action]
    angle = float(rng.uniform(low, high))
    tempo, adverbs = _tempo(rng)
    turning = float(max(angle / (95.0 * tempo), 0.9))
    seconds = turning + 0.5
    values = {"gait": "turn", "legs": [[seconds, 0.0, 0.0, _sign(side) * angle, 0.1, turning + 0.2]], "cadence": float(np.clip(tempo, 0.8, 1.3))}
    sense = SENSES[_sign(side)][int(rng.integers(len(SENSES[_sign(side)])))]
    return Event(action, "go", 0.0, seconds, side, 0, values, {"side": side, "sense": sense}, adverbs, "going", (0.1, turning + 0.2))


def go_circle(action: str, rng: np.random.Generator, room: float) -> Event:
    """Circles and figures of eight."""
    gait, slots = _going(rng)
    tempo, adverbs = _tempo(rng)
    speed = GAITS[gait].speed * (0.95 if gait == "walk" else 0.8) * float(np.clip(tempo, 0.7, 1.3))
    side = _side(rng)
    size = ("small", "", "big")[int(rng.integers(3))]
    radius = float(rng.uniform(*{"small": (0.55, 0.8), "": (0.85, 1.3), "big": (1.5, 2.2)}[size]))
    if action == "eight":
        size, radius = "", float(rng.uniform(0.6, 0.85))
        gait, slots = "walk", {"go": "walk", "going": "walking"}
        speed = 1.25
    # As often round as the time allows, with the radius that fits it.
    lap = 2 * np.pi * radius / speed
    laps = 1.0 if action == "eight" else float(max(1.0, np.floor(min(room, rng.uniform(4, 9.5)) / lap)))
    seconds = lap * laps * (2 if action == "eight" else 1)
    if seconds > room:
        radius *= room / seconds
        seconds = room
    if gait != "walk":
        # A runner needs a wider circle than a walker.
        speed = min(speed, 2.6 * radius)
        seconds = min(room, 2 * np.pi * radius * laps / speed)
    sense = SENSES[_sign(side)][int(rng.integers(len(SENSES[_sign(side)])))]
    rate = _sign(side) * 360.0 * (laps if action == "circle" else 1.0)
    if action == "circle":
        legs = [[seconds, speed, 0.0, rate, 0.0, seconds]]
    else:
        legs = [[seconds / 2, speed, 0.0, rate, 0.0, seconds / 2], [seconds / 2, speed, 0.0, -rate, 0.0, seconds / 2]]
    values = {"gait": gait, "legs": legs, "radius": radius, "round": True}
    return Event(action, "go", 0.0, seconds, side if action == "circle" else "", 0, values, {"sense": sense, "size": size, **slots}, adverbs, "going")


def go_zigzag(action: str, rng: np.random.Generator, room: float) -> Event:
    """Zigzag: short straight stretches with turns to alternate sides."""
    gait, slots = _going(rng)
    gait, slots = ("walk", {"go": "walk", "going": "walking"}) if gait == "run" else (gait, slots)
    speed = GAITS[gait].speed * 0.95
    sign = _sign(_side(rng))
    stretch = float(rng.uniform(1.5, 1.9))
    count = int(min(room // stretch, rng.integers(4, 6)))
    angle = float(rng.uniform(62, 85))
    legs = []
    for k in range(count):
        a = angle * (0.5 if k == 0 else 1.0) * sign * (-1) ** k
        legs.append([stretch, speed, 0.0, a, 0.0, 0.62 * stretch])
    return Event(action, "go", 0.0, stretch * count, "", 0, {"gait": gait, "legs": legs, "round": True}, slots, (), "going")


def standing(action: str, rng: np.random.Generator, room: float) -> Event:
    """Standing still; stopping."""
    return Event(action, "stand", 0.0, float(rng.uniform(1.5 if action == "stop" else 2.0, min(room, 5.0))), region="body")


def _count(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 2, 3, 4, 5], p=[0.28, 0.28, 0.22, 0.12, 0.1]))


def arms(action: str, rng: np.random.Generator, room: float) -> Event:
    """Everything the arms do."""
    side = _side(rng)
    tempo, adverbs = _tempo(rng)
    count, values, slots = 0, {}, {}
    if action.endswith("_both") or action in ("clap", "cross"):
        side = "both"
    if action.startswith("raise"):
        height = {"raise_half": "half", "raise_slight": "slight"}.get(action, "high")
        rise = float(np.clip(rng.uniform(0.7, 1.1) / tempo, 0.45, 1.8))
        seconds = min(room, rise + float(rng.uniform(1.2, 4.5)))
        values = {"rise": rise, "height": height, "way": ("front", "front", "side")[int(rng.integers(3))]}
        if action == "raise_slight":
            adverbs = ()
    elif action.startswith("lower"):
        fall = float(np.clip(rng.uniform(0.7, 1.1) / tempo, 0.45, 1.8))
        values, seconds = {"fall": fall}, fall
    elif action.startswith("wave"):
        period = float(rng.uniform(0.6, 0.85) / tempo)
        if rng.random() < 0.35:
            count = _count(rng)
            seconds = count * period + 1.0
        else:
            seconds = float(rng.uniform(2.0, min(room, 8.0)))
        extent = 1.0
        if not adverbs and rng.random() < 0.12:
            adverbs, extent = (("slight",), 0.5) if rng.random() < 0.5 else (("big",), 1.45)
        values = {"period": period, "extent": extent}
    elif action.startswith("punch"):
        count = _count(rng) if action == "punch" else 0
        times = count or int(rng.integers(2, 6))
        seconds = 0.8 + times * float(rng.uniform(0.6, 0.75) / np.clip(tempo, 0.7, 1.25))
        values = {"times": times}
        count = count if rng.random() < 0.7 or count > 1 else 0
    elif action == "throw":
        seconds, adverbs = float(rng.uniform(1.7, 2.2)), ()
    elif action == "clap":
        count = _count(rng) + 1 if rng.random() < 0.6 else 0
        count = min(count, 5)
        times = count or int(rng.integers(6, 10))
        seconds = 0.9 + times * float(rng.uniform(0.42, 0.55) / np.clip(tempo, 0.65, 1.25))
        values = {"times": times}
    elif action == "point":
        where = ("forward", "left", "right", "up")[int(rng.integers(4))]
        slots = {"where": {"forward": "forward", "up": "up"}.get(where, f"to the {where}")}
        seconds, adverbs, values = float(rng.uniform(1.8, 3.0)), (), {"where": where}
    elif action == "cross":
        seconds, adverbs = float(rng.uniform(2.4, 4.0)), ()
    else:
        period = float(rng.uniform(0.9, 1.2) / tempo)
        size = float(rng.uniform(42, 55))
        seconds = float(rng.uniform(3.0, min(room, 6.0)))
        values = {"period": period, "size": size, "sense": 1.0}
    return Event(action, "arms", 0.0, seconds, side, count, values, {"side": side, **slots}, adverbs, f"{side} arm")


def head(action: str, rng: np.random.Generator, room: float) -> Event:
    """Nod, shake, look."""
    side = _side(rng) if action == "look" else ""
    count, values = 0, {}
    if action in ("nod", "shake"):
        count = _count(rng) if rng.random() < 0.6 else 0
        times = count or int(rng.integers(2, 5))
        values = {"times": times}
        seconds = times * float(rng.uniform(0.6, 0.85)) + 0.3
    else:
        seconds = float(rng.uniform(1.5, 2.6)) * (1.7 if action == "look_around" else 1.0)
        values = {"where": side or action.removeprefix("look_")}
    return Event(action, "head", 0.0, min(seconds, room), side, count, values, {"side": side}, (), "head")


def body(action: str, rng: np.random.Generator, room: float) -> Event:
    """Postures and leaps."""
    side = _side(rng) if action in ("kneel", "kick", "hop", "hop_forward", "jump_side") else ""
    tempo, adverbs = _tempo(rng)
    count, values, region = 0, {}, "body"
    if action in ("sit", "stand_up"):
        seconds = float(rng.uniform(1.5, 1.9) / np.clip(tempo, 0.6, 1.35))
        region = "folding"
    elif action == "sit_still":
        seconds, adverbs = float(rng.uniform(2.0, min(room, 5.0))), ()
        region = "folding"
    elif action == "kneel":
        down = float(rng.uniform(1.6, 2.0) / np.clip(tempo, 0.7, 1.25))
        seconds, values, region = 2 * down + float(rng.uniform(0.5, 1.2)), {"down": down}, "folding"
    elif action in ("crouch", "bend"):
        down = float(rng.uniform(0.9, 1.2) / np.clip(tempo, 0.6, 1.4))
        extent = 1.0
        if not adverbs and rng.random() < 0.2:
            adverbs, extent = ("slight",), 0.45
        seconds, values, region = 2 * down + float(rng.uniform(0.4, 1.2)), {"down": down, "extent": extent}, "folding"
    elif action == "squat":
        count = _count(rng)
        each = float(rng.uniform(1.5, 1.9) / np.clip(tempo, 0.7, 1.3))
        count = max(1, min(count, int(room // each)))
        seconds, region = count * each, "folding"
    elif action == "bow":
        count = int(rng.choice([0, 1, 2], p=[0.6, 0.2, 0.2]))
        extent = 1.0
        if not adverbs and rng.random() < 0.15:
            adverbs, extent = ("slight",), 0.45
        seconds = max(count, 1) * float(rng.uniform(1.9, 2.5) / np.clip(tempo, 0.7, 1.3))
        values, region = {"times": max(count, 1), "extent": extent}, "bowing"
    elif action.startswith("jump"):
        high = action == "jump_up" and rng.random() < 0.2
        apex = float(rng.uniform(0.36, 0.45) if high else rng.uniform(0.18, 0.3))
        count = _count(rng) if rng.random() < 0.75 else 0
        times = max(count, 1)
        each = 1.05 + 2 * np.sqrt(2 * apex / 9.81) * 0.5
        times = max(1, min(times, int(room // each)))
        count = times if count else 0
        seconds = times * each
        far = {"jump_up": (0.0, 0.0), "jump_forward": (float(rng.uniform(0.5, 1.0)), 0.0), "jump_side": (0.0, _sign(side or "left") * float(rng.uniform(0.35, 0.6)))}[action]
        values, adverbs = {"times": times, "apex": apex, "far": list(far)}, ()
        if high:
            adverbs = ("high",)
    elif action.startswith("hop"):
        count = _count(rng) if rng.random() < 0.6 else 0
        times = count or int(rng.integers(3, 6))
        values = {"times": times, "far": float(rng.uniform(0.25, 0.42)) if action == "hop_forward" else 0.0}
        seconds, adverbs, region = 1.1 + times * float(rng.uniform(0.5, 0.6)), (), f"{side} leg"
    else:
        count = _count(rng) if rng.random() < 0.7 else 0
        times = count or 1
        extent = 1.0
        if not adverbs and rng.random() < 0.15:
            adverbs, extent = ("high",), 1.6
        each = float(rng.uniform(0.95, 1.15) / np.clip(tempo, 0.75, 1.2))
        times = max(1, min(times, int((room - 0.6) // each)))
        count = times if count else 0
        values, seconds, region = {"times": times, "extent": extent}, 0.6 + times * each, f"{side} leg"
    return Event(action, "body", 0.0, seconds, side, count, values, {"side": side}, adverbs, region)


MAKERS = {
    **dict.fromkeys(("walk", "jog", "run", "sprint", "backwards", "tiptoe", "march", "limp", "creep"), go_straight),
    **dict.fromkeys(("sidestep", "diagonal"), go_aside),
    **dict.fromkeys(("walk_turn", "walk_turn_slight", "walk_turn_back"), go_turn),
    **dict.fromkeys(("turn", "turn_quarter", "turn_around", "spin"), go_spot),
    **dict.fromkeys(("circle", "eight"), go_circle),
    "zigzag": go_zigzag,
    **dict.fromkeys(("stand", "stop"), standing),
    **dict.fromkeys(
        ("raise", "raise_both", "raise_half", "raise_slight", "lower", "lower_both", "wave", "wave_both", "punch", "punch_both", "throw", "clap", "point", "cross", "circle_arm"), arms
    ),
    **dict.fromkeys(("nod", "shake", "look", "look_up", "look_down", "look_around"), head),
    **dict.fromkeys(
        ("sit", "stand_up", "sit_still", "kneel", "crouch", "squat", "bend", "bow", "jump_up", "jump_forward", "jump_side", "hop", "hop_forward", "kick"), body
    ),
}  # fmt: skip

# How often each action stands alone. The first block is what a generator is asked for most; it makes up about 45 %.
ALONE = {
    "walk": 9, "run": 5, "backwards": 4, "walk_turn": 9, "raise": 8, "raise_both": 4, "wave": 6, "wave_both": 3,
    "jog": 2, "sprint": 2, "tiptoe": 2, "march": 2, "limp": 2, "creep": 1, "sidestep": 3, "diagonal": 2, "walk_turn_slight": 2, "walk_turn_back": 2,
    "turn": 3, "turn_quarter": 1.5, "turn_around": 1.5, "spin": 2, "circle": 6, "zigzag": 2, "eight": 1.5, "stand": 3,
    "raise_half": 1, "raise_slight": 1, "lower": 1.5, "lower_both": 0.8, "punch": 2, "punch_both": 1, "throw": 2, "clap": 2, "point": 2, "cross": 1, "circle_arm": 1,
    "nod": 1.5, "shake": 1.5, "look": 1.5, "look_up": 0.5, "look_down": 0.5, "look_around": 0.7,
    "sit": 2, "stand_up": 2, "sit_still": 0.7, "kneel": 2, "crouch": 1.5, "squat": 1.5, "bend": 1.5, "bow": 2.5, "jump_up": 2.5, "jump_forward": 2.5, "jump_side": 1,
    "hop": 1.5, "hop_forward": 1, "kick": 2.5,
}  # fmt: skip
MEANWHILE_ARMS = ("wave", "wave_both", "raise", "raise_both", "clap", "point", "circle_arm", "cross")
MEANWHILE_HEAD = ("look", "nod", "shake")
CALM = ("walk", "backwards", "tiptoe", "march", "sidestep", "diagonal", "circle", "stand", "walk_turn", "jog", "sit_still")


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
    if name in ("nod", "shake", "clap", "point", "look", "circle_arm", "wave", "wave_both", "cross", "raise", "raise_both"):
        # Fills the whole stretch, so that "while" is true throughout.
        values = dict(other.values)
        if name in ("nod", "shake", "clap"):
            each = {"nod": 0.75, "shake": 0.75, "clap": 0.5}[name]
            values["times"] = max(2, int((length - 0.4) / each))
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
    return Program(tuple(placed), round(seconds * FPS) / FPS, moving_start, moving_end)


def _bouts(events: tuple[Event, ...]) -> list[list[Event]]:
    """Going events that follow each other without a stop make one bout; a turn on the spot is a bout of its own."""
    bouts: list[list[Event]] = []
    previous: Event | None = None
    for event in events:
        if event.kind == "go":
            spot = event.values["gait"] == "turn"
            joins = previous is not None and previous.kind == "go" and not spot and previous.values["gait"] != "turn" and abs(event.start - previous.end) < 1e-6
            if joins and _compatible(previous, event):
                bouts[-1].append(event)
            else:
                bouts.append([event])
        previous = event
    return bouts


def _compatible(a: Event | None, b: Event) -> bool:
    """Forward gaits flow into each other; reversing or stepping aside needs a stop."""
    if a is None:
        return False
    first, second = a.values["legs"][-1], b.values["legs"][0]
    return first[1] > 0.3 and second[1] > 0.3 and "limp" not in (a.action, b.action)


def _legs(bout: list[Event], program: Program, margin: float) -> list[Leg]:
    """The stretches of a bout on the stage's clock."""
    out: list[Leg] = []
    for event in bout:
        at = event.start
        gait = GAITS[event.values["gait"]]
        for entry in event.values["legs"]:
            seconds, ahead, aside, turn = entry[:4]
            pace = float(np.hypot(ahead, aside))
            own = paced(gait, pace) if pace > 0 and gait.speed > 0 else replace(gait, cadence=gait.cadence * event.values.get("cadence", 1.0))
            end = min(at + seconds, event.end)
            if len(entry) > 4:
                a, b = at + entry[4], at + min(entry[5], seconds)
                out.append(Leg(at, end, own, ahead, aside, turn * DEGREE / (b - a), a, b))
            else:
                out.append(Leg(at, end, own, ahead, aside))
            at += seconds
    if program.moving_start and bout[0] is program.events[0]:
        out[0] = replace(out[0], start=out[0].start - margin)
    if program.moving_end and bout[-1] is program.events[-1]:
        out[-1] = replace(out[-1], end=out[-1].end + margin)
    return out


def play(program: Program, rng: np.random.Generator) -> Array:
    """Joints (T, 22, 3) float32 of a program; the body's details come from `rng`."""
    frames = int(round(program.seconds * FPS))
    before = int(round(RUN_IN * FPS)) + 4 if program.moving_start else 0
    after = int(round(RUN_IN * FPS)) + 4 if program.moving_end else 0
    t = np.arange(-before, frames + after) / FPS
    stage = Stage(t, rng)
    gestures.idle(stage)
    bouts = [_legs(bout, program, RUN_IN) for bout in _bouts(program.events)]
    for legs in bouts:
        command(stage, legs)
    for event in program.events:
        _play_before(stage, event, program)
    stage.plan_root()
    for legs, bout in zip(bouts, _bouts(program.events), strict=True):
        first = int(rng.integers(2))
        leg = legs[0]
        if leg.aside or leg.ahead == 0.0:
            # The foot on the side one goes to steps first.
            first = 0 if (leg.aside or leg.turning) > 0 else 1
        steps(stage, legs, first, 0 if bout[0].side == "left" else 1)
    joints = stage.joints()
    return joints[before : before + frames].astype(np.float32)


def _play_before(stage: Stage, event: Event, program: Program) -> None:
    """Everything but footsteps."""
    events = program.events
    last = event is events[-1]
    a, b, v, side = event.start, event.end, event.values, event.side
    name = event.action
    hold = last and name in ("kneel", "crouch", "bend", "point", "cross", "look", "look_up", "look_down")
    far = program.seconds + 9.0
    if name.startswith("raise"):
        lowered = not last and events[events.index(event) + 1].action.startswith("lower")
        if lowered:
            fall = events[events.index(event) + 1]
            gestures.raise_arm(stage, side, a, fall.start + fall.values["fall"], v["rise"], fall.values["fall"], v["height"], v["way"])
        else:
            gestures.raise_arm(stage, side, a, b, v["rise"], None if last else min(v["rise"], 0.4 * (b - a)), v["height"], v["way"])
    elif name.startswith("lower"):
        if event is events[0]:
            gestures.lower_arm(stage, side, a, b, v["fall"])
    elif name.startswith("wave"):
        gestures.wave(stage, side, a, b if not last or event.count else max(b, program.seconds), v["period"], event.count or None, v["extent"], lower=not last or bool(event.count))
    elif name.startswith("punch"):
        gestures.punch(stage, side, a, b, v["times"])
    elif name == "throw":
        gestures.throw(stage, side, a, b)
    elif name == "clap":
        gestures.clap(stage, a, b, v["times"])
    elif name == "point":
        gestures.point(stage, side, a, b, v["where"], hold)
    elif name == "cross":
        gestures.cross(stage, a, b, hold)
    elif name == "circle_arm":
        gestures.swing_arms(stage, side, a, b, v["period"], v["size"], v["sense"])
    elif name == "nod":
        gestures.nod(stage, a, b, v["times"])
    elif name == "shake":
        gestures.shake(stage, a, b, v["times"])
    elif name.startswith("look"):
        gestures.look(stage, a, b, v["where"], hold)
    elif name == "sit_still":
        postures.sit(stage, None, None)
    elif name == "sit":
        up = next((e for e in events if e.action == "stand_up" and e.start >= b), None)
        postures.sit(stage, (a, b), None if up is None else (up.start, up.end))
    elif name == "stand_up":
        if event is events[0]:
            postures.sit(stage, None, (a, b))
    elif name == "kneel":
        postures.kneel(stage, a, far if hold else b, side, v["down"], None if hold else v["down"])
    elif name == "crouch":
        postures.crouch(stage, a, far if hold else b, v["down"], None if hold else v["down"], v["extent"])
    elif name == "bend":
        postures.bend(stage, a, far if hold else b, v["down"], None if hold else v["down"], v["extent"])
    elif name == "squat":
        postures.squat(stage, a, b, event.count)
    elif name == "bow":
        postures.bow(stage, a, b, v["times"], v["extent"])
    elif name.startswith("jump"):
        postures.jump(stage, a, b, v["times"], v["apex"], v["far"][0], v["far"][1])
    elif name.startswith("hop"):
        postures.hop(stage, a, b, side, v["times"], v["far"])
    elif name == "kick":
        postures.kick(stage, a, b, side, v["times"], v["extent"])
    if event.meanwhile is not None:
        _play_before(stage, event.meanwhile, replace(program, events=(event.meanwhile,)) if last else replace(program, events=(event.meanwhile, event)))

"""Actions: what can happen in a clip, each drawn with its numbers, its length and what a caption may say of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mate.data.kinwords.curves import DEGREE
from mate.data.kinwords.gaits import GAITS
from mate.data.kinwords.grammar import Phrase

LONGEST = 10.0  # seconds


@dataclass(frozen=True)
class Event:
    """Something that happens from `start` to `end` seconds.

    Attributes:
        action: which; kind: "go" (root and feet), "arms", "head", "body" (posture, legs).
        side: left, right, both or "".
        count: repetitions that the caption may mention, 0 for none.
        values: the numbers that the action needs.
        slots, adverbs: for the caption.
        turn: the seconds of the part that some words are about: the turn of a walk, the step over something.
        without: what does not move: "arms", "head", "feet", "left arm", "right arm" or "".
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
    without: str = ""
    meanwhile: "Event | None" = None

    def moved(self, by: float) -> "Event":
        """The same event `by` seconds later."""
        turn = None if self.turn is None else (self.turn[0] + by, self.turn[1] + by)
        meanwhile = None if self.meanwhile is None else self.meanwhile.moved(by)
        return replace(self, start=self.start + by, end=self.end + by, turn=turn, meanwhile=meanwhile)

    def phrases(self) -> list[Phrase]:
        """What there is to say: the event, and what happens meanwhile."""
        own = Phrase(
            self.action,
            self.slots,
            self.adverbs,
            self.count,
            self.start,
            self.end,
            self.region,
            self.turn,
            self.without,
        )
        return [own] if self.meanwhile is None else [own, *self.meanwhile.phrases()]


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
SENSES = {1.0: ("anticlockwise", "anticlockwise", "counterclockwise"), -1.0: ("clockwise",)}


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
    if action == "skip":
        adverbs, speed = (), gait.speed * float(rng.uniform(0.9, 1.1))
    if action in ("run", "jog") and "slow" in adverbs:
        speed = max(speed, 1.6)
    values = {"gait": action, "legs": [[seconds, speed, 0.0, 0.0]]}
    if action in ("walk", "backwards") and not adverbs and rng.random() < 0.16:
        # Long steps are a little faster, short ones slower: at an ordinary number of steps a second.
        long = rng.random() < 0.5
        adverbs = ("long",) if long else ("short",)
        values["legs"][0][1] = speed * (1.08 if long else 0.6)
        values["cadence"] = 0.74 if long else 1.12
    return Event(action, "go", 0.0, seconds, side, 0, values, {"side": side}, adverbs, "going")


NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def go_steps(action: str, rng: np.random.Generator, room: float) -> Event:
    """A number of steps forward or back from standing to standing; the one that closes up counts."""
    tempo, adverbs = _tempo(rng)
    back = action == "steps_back"
    gait = GAITS["backwards" if back else "walk"]
    number = int(rng.integers(2, 6))
    cadence = gait.cadence * 0.85 * tempo**0.5
    seconds = float(max((number - 1 + 2 * (1 - gait.duty)) / (0.8 * cadence), 1.2))
    speed = (
        (-1.0 if back else 1.0) * float(rng.uniform(0.36, 0.44) if back else rng.uniform(0.46, 0.56)) * number / seconds
    )
    values = {"gait": "backwards" if back else "walk", "legs": [[seconds, speed, 0.0, 0.0]], "steps": number}
    return Event(action, "go", 0.0, seconds, "", number, values, {"number": NUMBERS[number]}, adverbs, "going")


def go_over(action: str, rng: np.random.Generator, room: float) -> Event:
    """Walks up to something low, steps over it and walks on."""
    side = _side(rng)
    seconds = float(rng.uniform(3.2, max(min(room, 5.5), 3.3)))
    over = seconds * float(rng.uniform(0.42, 0.58))
    values = {"gait": "walk", "legs": [[seconds, float(rng.uniform(0.8, 1.0)), 0.0, 0.0]], "over": over}
    return Event(action, "go", 0.0, seconds, side, 0, values, {"side": side}, (), "going", (over - 0.5, over + 0.9))


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
    seconds = max(min(room, turning + float(rng.uniform(1.6, 4.5))), turning + 0.8)
    before = float(rng.uniform(0.3, 0.7)) * (seconds - turning)
    values = {"gait": gait, "legs": [[seconds, speed, 0.0, _sign(side) * angle, before, before + turning]]}
    return Event(
        action,
        "go",
        0.0,
        seconds,
        side,
        0,
        values,
        {"side": side, **slots},
        adverbs,
        "going",
        (before, before + turning),
    )


DEGREES = {
    45: "forty-five",
    90: "ninety",
    135: "a hundred and thirty-five",
    180: "a hundred and eighty",
    270: "two hundred and seventy",
}


def go_spot(action: str, rng: np.random.Generator, room: float) -> Event:
    """Turns on the spot."""
    side = _side(rng)
    degrees, count = int(rng.choice(list(DEGREES))), 0
    low, high = {
        "turn": (55, 120), "turn_quarter": (86, 94), "turn_around": (172, 188), "spin": (352, 368),
        "turn_degrees": (degrees - 3, degrees + 3),
    }[action]  # fmt: skip
    angle = float(rng.uniform(low, high))
    if action == "spin" and rng.random() < 0.4:
        count = 1 + int(rng.random() < 0.5)
        angle = 360.0 * count + float(rng.uniform(-8, 8))
    tempo, adverbs = _tempo(rng)
    turning = float(max(angle / (95.0 * tempo), 0.9))
    seconds = turning + 0.5
    values = {
        "gait": "turn",
        "legs": [[seconds, 0.0, 0.0, _sign(side) * angle, 0.1, turning + 0.2]],
        "cadence": float(np.clip(tempo, 0.8, 1.3)),
    }
    sense = SENSES[_sign(side)][int(rng.integers(len(SENSES[_sign(side)])))]
    return Event(
        action,
        "go",
        0.0,
        seconds,
        side,
        count,
        values,
        {"side": side, "sense": sense, "degrees": DEGREES[degrees]},
        adverbs,
        "going",
        (0.1, turning + 0.2),
    )


SIZES = {"small": (0.55, 0.8), "": (0.85, 1.3), "big": (1.5, 2.2)}  # radii of circles, metres


def go_circle(action: str, rng: np.random.Generator, room: float) -> Event:
    """Circles and figures of eight."""
    gait, slots = _going(rng)
    tempo, adverbs = _tempo(rng)
    speed = GAITS[gait].speed * (0.95 if gait == "walk" else 0.8) * float(np.clip(tempo, 0.7, 1.3))
    side = _side(rng)
    size = ("small", "", "big")[int(rng.integers(3))]
    low, high = SIZES[size]
    if action == "circle":
        # As wide as the time allows; a small circle needs little, and where even that is too much the event will not fit.
        widest = max(speed * room / (2 * np.pi), 0.55)
        size = next(name for name in (size, "", "small") if widest >= SIZES[name][0])
        low, high = SIZES[size][0], min(SIZES[size][1], widest)
    radius = float(rng.uniform(low, high))
    if action == "eight":
        size, radius = "", float(rng.uniform(0.6, 0.85))
        gait, slots = "walk", {"go": "walk", "going": "walking"}
        speed = 1.25
    if gait != "walk":
        # A runner needs a wider circle than a walker.
        speed = min(speed, 2.6 * radius)
    # As often round as the time allows.
    lap = 2 * np.pi * radius / speed
    laps = 1.0 if action == "eight" else float(max(1.0, np.floor(min(room, rng.uniform(4, 9.5)) / lap)))
    seconds = lap * laps * (2 if action == "eight" else 1)
    sense = SENSES[_sign(side)][int(rng.integers(len(SENSES[_sign(side)])))]
    count = int(laps) if action == "circle" and (laps > 1 or rng.random() < 0.15) else 0
    rate = _sign(side) * 360.0 * (laps if action == "circle" else 1.0)
    if action == "circle":
        legs = [[seconds, speed, 0.0, rate, 0.0, seconds]]
    else:
        legs = [[seconds / 2, speed, 0.0, rate, 0.0, seconds / 2], [seconds / 2, speed, 0.0, -rate, 0.0, seconds / 2]]
    values = {"gait": gait, "legs": legs, "radius": radius}
    return Event(
        action,
        "go",
        0.0,
        seconds,
        side if action == "circle" else "",
        count if rng.random() < 0.6 else 0,
        values,
        {"sense": sense, "size": size, **slots},
        adverbs,
        "going",
    )


def go_zigzag(action: str, rng: np.random.Generator, room: float) -> Event:
    """Zigzag: short straight stretches with turns to alternate sides."""
    gait, slots = _going(rng)
    gait, slots = ("walk", {"go": "walk", "going": "walking"}) if gait == "run" else (gait, slots)
    speed = GAITS[gait].speed * 0.95
    sign = _sign(_side(rng))
    stretch = float(rng.uniform(1.5, 1.9))
    count = int(np.clip(room // stretch, 3, rng.integers(4, 6)))
    angle = float(rng.uniform(62, 85))
    legs = []
    for k in range(count):
        a = angle * (0.5 if k == 0 else 1.0) * sign * (-1) ** k
        legs.append([stretch, speed, 0.0, a, 0.0, 0.62 * stretch])
    return Event(action, "go", 0.0, stretch * count, "", 0, {"gait": gait, "legs": legs}, slots, (), "going")


def standing(action: str, rng: np.random.Generator, room: float) -> Event:
    """Standing still; stopping."""
    return Event(
        action, "stand", 0.0, float(rng.uniform(1.5 if action == "stop" else 2.0, min(room, 5.0))), region="body"
    )


def _count(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 2, 3, 4, 5], p=[0.28, 0.28, 0.22, 0.12, 0.1]))


def arms(action: str, rng: np.random.Generator, room: float) -> Event:
    """Everything the arms do."""
    side = _side(rng)
    tempo, adverbs = _tempo(rng)
    count, values, slots = 0, {}, {}
    if action.endswith("_both") or action in ("clap", "cross", "spread", "hands_on_hips", "shrug"):
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
    elif action in ("cross", "salute", "touch_head", "hands_on_hips", "spread"):
        seconds, adverbs = float(rng.uniform(2.2, 3.8)), ()
    elif action == "shrug":
        count = int(rng.choice([0, 1, 2, 3], p=[0.5, 0.2, 0.2, 0.1]))
        values, adverbs = {"times": max(count, 1)}, ()
        seconds = max(count, 1) * float(rng.uniform(0.9, 1.2))
    else:
        period = float(rng.uniform(0.9, 1.2) / tempo)
        size = float(rng.uniform(42, 55))
        seconds = float(rng.uniform(min(3.0, room), min(room, 6.0)))
        if rng.random() < 0.4:
            count = min(_count(rng), max(1, int((room - 1.2) / period)))
            seconds = count * period + 1.2
        values = {"period": period, "size": size, "sense": 1.0}
    other = {"left": "right", "right": "left"}.get(side, "")
    slots = {"side": side, "other": other, **slots}
    return Event(action, "arms", 0.0, seconds, side, count, values, slots, adverbs, f"{side} arm")


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
    sided = ("kneel", "kick", "kick_side", "hop", "hop_forward", "jump_side", "lunge", "lean", "stomp", "raise_knee")
    side = _side(rng) if action in sided else ""
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
    elif action in ("lie_down", "get_up"):
        seconds = float(rng.uniform(3.2, 4.0) / np.clip(tempo, 0.75, 1.2))
    elif action == "lunge":
        down = float(rng.uniform(0.9, 1.1) / np.clip(tempo, 0.75, 1.2))
        depth = 1.0
        if not adverbs and rng.random() < 0.2:
            adverbs, depth = ("slight",), 0.45
        seconds, values, region = 2 * down + float(rng.uniform(0.3, 0.8)), {"down": down, "extent": depth}, "folding"
    elif action == "lean":
        extent = 1.0
        if rng.random() < 0.25:
            adverbs, extent = ("slight",), 0.45
        else:
            adverbs = ()
        seconds, values, region = float(rng.uniform(1.8, 3.0)), {"extent": extent}, "trunk"
    elif action in ("stomp", "raise_knee"):
        count = _count(rng) if rng.random() < 0.6 else 0
        times = max(count, 1)
        each = float(
            rng.uniform(0.85, 1.0) if action == "stomp" else rng.uniform(1.3, 1.6) / np.clip(tempo, 0.75, 1.25)
        )
        if action == "stomp":
            adverbs = ()
        times = max(1, min(times, int((room - 0.6) // each)))
        count = times if count else 0
        values, seconds, region = {"times": times}, 0.5 + times * each, f"{side} leg"
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
        count = int(rng.choice([0, 1, 2, 3], p=[0.55, 0.18, 0.18, 0.09]))
        extent = 1.0
        if not adverbs and rng.random() < 0.15:
            adverbs, extent = ("slight",), 0.45
        each = float(rng.uniform(1.9, 2.5) / np.clip(tempo, 0.7, 1.3))
        count = min(count, max(1, int(room // each)))
        seconds = max(count, 1) * each
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
        far = {
            "jump_up": (0.0, 0.0),
            "jump_forward": (float(rng.uniform(0.5, 1.0)), 0.0),
            "jump_side": (0.0, _sign(side or "left") * float(rng.uniform(0.35, 0.6))),
        }[action]
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


Maker = Callable[[str, np.random.Generator, float], Event]

# Who draws which action: (name, random generator, the longest it may be in seconds) -> event that starts at 0.
_MAKERS: dict[Maker, str] = {
    go_straight: "walk jog run sprint backwards tiptoe march limp creep skip",
    go_steps: "steps steps_back",
    go_over: "step_over",
    go_aside: "sidestep diagonal",
    go_turn: "walk_turn walk_turn_slight walk_turn_back",
    go_spot: "turn turn_quarter turn_around turn_degrees spin",
    go_circle: "circle eight",
    go_zigzag: "zigzag",
    standing: "stand stop",
    arms: "raise raise_both raise_half raise_slight lower lower_both wave wave_both punch punch_both throw clap point cross "
    "circle_arm salute touch_head hands_on_hips spread shrug",
    head: "nod shake look look_up look_down look_around",
    body: "sit stand_up sit_still lie_down get_up kneel crouch squat lunge bend bow lean jump_up jump_forward jump_side hop "
    "hop_forward kick kick_side stomp raise_knee",
}
MAKERS: dict[str, Maker] = {name: maker for maker, names in _MAKERS.items() for name in names.split()}

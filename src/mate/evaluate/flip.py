"""The flip test: the same seed, one word changed. Does the motion change in that respect, and only in that respect?

Every pair is two prompts that differ in one meaning; what should stay is measured beside it: "quickly" must not enlarge the circle.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import rate, show_rate, table, versions
from mate.evaluate.ceiling import Procedural
from mate.evaluate.judge import Claim, judge_events, measured
from mate.evaluate.judge_limits import Answer
from mate.evaluate.word_probe import SamplesMotion
from mate.evaluate.word_prompts import Events
from mate.motion.kinematics_tracks import Tracks

PROTOCOL = "mate-flip-1"
ROWS = "mate-flip-rows-1"
FPS = 20.0
RESPECTS = ("side", "sense", "angle", "speed", "extent", "count", "order")


@dataclass(frozen=True)
class Flip:
    """Two prompts that differ in one meaning.

    Attributes:
        respect: one of `RESPECTS`; first, second: texts; events: what each asks for, see `WordPrompt.events`.
        keeps: measures (keys of `MEASURES`) that the changed word says nothing about.
        shown: what the procedural motion of each does, where the events leave it open: (first, second).
    """

    respect: str
    first: str
    second: str
    events: tuple[Events, Events]
    keeps: tuple[str, ...]
    seconds: float = 4.0
    shown: tuple[Events, Events] | None = None


def _radius(t: Tracks) -> float:
    return t.way.path / max(float(np.radians(abs(t.way.round_turn))), 0.5)


# What can be measured of any motion: (function, how much two motions of one prompt may differ: a share of the larger one, and at least).
MEASURES: dict[str, tuple[Callable[[Tracks], float], float, float]] = {
    "speed": (lambda t: float(t.speed.mean()), 0.25, 0.10),
    "radius": (_radius, 0.25, 0.15),
    "turn": (lambda t: abs(t.way.turn), 0.25, 15.0),
    "height of the hands": (lambda t: float(np.percentile(t.elevation.max(axis=1), 90)), 0.15, 0.15),
    # Long steps lower the hips; a crouch lowers them by a fifth and more.
    "posture": (lambda t: float(np.percentile(t.pelvis, 10)), 0.12, 0.05),
    "way": (lambda t: t.way.path, 0.30, 0.30),
}
_SENSES = (("clockwise", "right"), ("anticlockwise", "left"))
_GAITS = (("walks", Claim("walk")), ("jogs", Claim("jog")), ("runs", Claim("run")))


def _pair(
    respect: str, texts: tuple[str, str], claims: tuple[Claim, Claim], keeps: tuple[str, ...], seconds: float = 4.0
) -> Flip:
    return Flip(respect, *texts, (((claims[0],),), ((claims[1],),)), keeps, seconds)


def flips_of_probe() -> tuple[Flip, ...]:
    """The pairs of the protocol."""
    return (*_sides(), *_circles(), *_turns(), *_speeds(), *_extents(), *_counts(), *_orders())


def _sides() -> Iterator[Flip]:
    for part in ("hand", "arm"):
        for verb, word in (("raises", "raise"), ("waves", "wave")):
            left, right = (f"a person {verb} the {side} {part}" for side in ("left", "right"))
            claims = (Claim(word, "left"), Claim(word, "right"))
            yield _pair("side", (left, right), claims, ("height of the hands", "posture", "way"))
    for text, word in (("kicks with the {} foot", "kick"), ("punches with the {} fist", "punch")):
        left, right = (f"a person {text.format(side)}" for side in ("left", "right"))
        yield _pair("side", (left, right), (Claim(word, "left"), Claim(word, "right")), ("posture", "way"))
    texts = ("a person walks forward and turns left", "a person walks forward and turns right")
    yield _pair("side", texts, (Claim("turn", "left"), Claim("turn", "right")), ("speed", "turn", "posture"))
    texts = ("a person steps sideways to the left", "a person steps sideways to the right")
    yield _pair("side", texts, (Claim("sidestep", "left"), Claim("sidestep", "right")), ("speed", "turn", "posture"))


def _circles() -> Iterator[Flip]:
    """Sense and size of circles, and the speed at which one is gone round."""
    for go, _ in _GAITS:
        texts = (f"a person {go} in a circle clockwise", f"a person {go} in a circle anticlockwise")
        claims = (Claim("circle", "right"), Claim("circle", "left"))
        yield _pair("sense", texts, claims, ("speed", "radius", "posture"), 6.0)
        for sense, side in _SENSES:
            texts = (f"a person {go} in a small circle {sense}", f"a person {go} in a big circle {sense}")
            claims = (Claim("circle", side, extent="small"), Claim("circle", side, extent="big"))
            # A runner has to slow down in a small circle, a walker has not.
            yield _pair("extent", texts, claims, ("speed", "posture") if go == "walks" else ("posture",), 9.0)
    for sense, side in _SENSES:
        first, second = (f"a person walks in a circle {sense} {how}" for how in ("slowly", "quickly"))
        claims = (Claim("walk", speed="slowly"), Claim("walk", speed="quickly"))
        pair = _pair("speed", (first, second), claims, ("radius", "posture"), 8.0)
        slow, fast = (((Claim("circle", side, speed=claim.speed),),) for claim in claims)
        yield replace(pair, shown=(slow, fast))


def _turns() -> Iterator[Flip]:
    for side in ("left", "right"):
        texts = (f"a person makes a quarter turn to the {side}", f"a person makes a half turn to the {side}")
        claims = (Claim("turn", side, degrees=90.0), Claim("turn", side, degrees=180.0))
        yield _pair("angle", texts, claims, ("posture", "way", "height of the hands"))


def _speeds() -> Iterator[Flip]:
    for verb, claim in (
        ("walks forward", Claim("walk")),
        ("runs forward", Claim("run")),
        ("walks backwards", Claim("backwards")),
        ("steps sideways to the left", Claim("sidestep", "left")),
        ("steps sideways to the right", Claim("sidestep", "right")),
    ):
        texts = (f"a person {verb} slowly", f"a person {verb} quickly")
        yield _pair(
            "speed", texts, (replace(claim, speed="slowly"), replace(claim, speed="quickly")), ("turn", "posture")
        )


def _extents() -> Iterator[Flip]:
    for side in ("left", "right"):
        texts = (f"a person raises the {side} arm slightly", f"a person raises the {side} arm high")
        claims = (Claim("raise", side, extent="slightly"), Claim("raise", side, extent="high"))
        yield _pair("extent", texts, claims, ("way", "turn", "posture"))


def _counts() -> Iterator[Flip]:
    for verb, claim, seconds in (
        ("jumps up", Claim("jump", "", "up"), 5.0),
        ("claps the hands", Claim("clap"), 4.0),
        ("bows", Claim("bow"), 7.0),
        ("nods", Claim("nod"), 4.0),
        ("kicks with the right foot", Claim("kick", "right"), 4.0),
        ("hops on the left foot", Claim("hop", "left"), 4.0),
    ):
        first, second = (f"a person {verb} {times}" for times in ("twice", "three times"))
        yield _pair(
            "count", (first, second), (replace(claim, count=2), replace(claim, count=3)), ("way", "turn"), seconds
        )


def _orders() -> Iterator[Flip]:
    """One word: before or after."""
    done: tuple[tuple[str, str, Claim], ...] = (
        ("claps the hands", "clapping the hands", Claim("clap")),
        ("bows", "bowing", Claim("bow")),
        ("waves the left hand", "waving the left hand", Claim("wave", "left")),
        ("kicks with the right foot", "kicking with the right foot", Claim("kick", "right")),
        ("walks forward", "walking forward", Claim("walk")),
        ("jumps up", "jumping up", Claim("jump", "", "up")),
    )
    for n, (verb, _, claim) in enumerate(done):
        _, ing, other = done[(n + 1) % len(done)]
        texts = (f"a person {verb} before {ing}", f"a person {verb} after {ing}")
        yield Flip("order", *texts, (((claim,), (other,)), ((other,), (claim,))), ("way", "turn", "posture"), 6.0)


def procedural(flips: Sequence[Flip] | None = None) -> Procedural:
    """The ceiling: both motions of a pair from one body and one set of numbers, see `mate.evaluate.ceiling`."""
    flips = flips_of_probe() if flips is None else flips
    events = [(flip, flip.shown or flip.events) for flip in flips]
    return Procedural([*((f.first, e[0]) for f, e in events), *((f.second, e[1]) for f, e in events)])


@dataclass(frozen=True)
class Flipped:
    """The outcome of a pair: did both do as told, and did what the word does not say stay (by measure)?

    Attributes:
        between: the same measures between the first prompt's motions of two seeds: what changes without any word; {} where not measured.
    """

    flip: Flip
    seed: int
    answer: Answer
    kept: dict[str, bool]
    between: dict[str, bool]


def kept(name: str, first: Tracks, second: Tracks) -> bool:
    """Does a measure stay the same between two motions, within its tolerance?"""
    measure, share, least = MEASURES[name]
    a, b = measure(first), measure(second)
    return bool(abs(a - b) <= max(share * max(abs(a), abs(b)), least))


def compare(
    flip: Flip, first: np.ndarray, second: np.ndarray, seed: int = 0, other: np.ndarray | None = None
) -> Flipped:
    """Judges a pair of motions (T, 22, 3) at 20 frames per second.

    Args:
        other: a motion of the first prompt with another seed.

    Raises:
        MateError: a wrong shape.
    """
    one, two = measured(first, FPS), measured(second, FPS)
    answers = [judge_events(t, events).answer for t, events in zip((one, two), flip.events, strict=True)]
    answer = False if False in answers else None if None in answers else True
    again = measured(other, FPS) if other is not None else None
    between = {name: kept(name, one, again) for name in flip.keeps} if again is not None else {}
    return Flipped(flip, seed, answer, {name: kept(name, one, two) for name in flip.keeps}, between)


def flip_card(
    generator: SamplesMotion,
    flips: Sequence[Flip] | None = None,
    seeds: int = 4,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Runs the test: every prompt of every pair, seeds 0, 1, ...; both prompts of a pair get the same noise, by seed and number.

    Args:
        progress: called with (motions made, motions in all).
    """
    flips = flips_of_probe() if flips is None else flips
    lengths, numbers = [flip.seconds for flip in flips], range(len(flips))
    made: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    for seed in range(seeds):
        first, second = (
            generator.sample(texts, lengths, seed=seed, numbers=numbers)
            for texts in ([flip.first for flip in flips], [flip.second for flip in flips])
        )
        made.append((first, second))
        progress(2 * len(flips) * len(made), 2 * len(flips) * seeds)
    found = []
    for seed, (first, second) in enumerate(made):
        others = made[(seed + 1) % seeds][0] if seeds > 1 else [None] * len(flips)
        found += [compare(flip, a, b, seed, c) for flip, a, b, c in zip(flips, first, second, others, strict=True)]
    return summarise(found)


def summarise(found: Sequence[Flipped]) -> dict[str, Any]:
    """The card of outcomes: by respect, how often the change was made, how often the rest stayed, how often both.

    Raises:
        MateError: no outcome.
    """
    if not found:
        raise MateError("got no pairs, expected at least one for the flip test")
    respects = [respect for respect in RESPECTS if any(one.flip.respect == respect for one in found)]
    return {
        "protocol": PROTOCOL,
        "pairs": len({one.flip.first for one in found}),
        "seeds": sorted({one.seed for one in found}),
        "all": _row(found, "all"),
        "by_respect": [_row([one for one in found if one.flip.respect == respect], respect) for respect in respects],
        "answers": [
            {
                "first": one.flip.first,
                "second": one.flip.second,
                "seed": one.seed,
                "answer": one.answer,
                "kept": one.kept,
            }
            for one in found
        ],
        "interval": "Wilson, 95 %",
        "versions": versions(),
    }


def _row(mine: Sequence[Flipped], respect: str) -> dict[str, Any]:
    decided = [one for one in mine if one.answer is not None]

    def stayed(of: Callable[[Flipped], Mapping[str, bool]]) -> list[dict[str, Any]]:
        names = [name for name in MEASURES if any(name in of(one) for one in mine)]
        return [rate((of(one)[name] for one in mine if name in of(one)), measure=name) for name in names]

    return {
        "respect": respect,
        "asked": len(mine),
        "cannot_tell": len(mine) - len(decided),
        "changed": rate(bool(one.answer) for one in decided),
        "only_that": rate(all(one.kept.values()) for one in decided if one.answer),
        "changed_and_only_that": rate(bool(one.answer) and all(one.kept.values()) for one in decided),
        "kept": stayed(lambda one: one.kept),
        "kept_between_seeds": stayed(lambda one: one.between),
    }


def flip_rows(cards: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Several cards of the flip test as one. Raises MateError for cards of another protocol, or of other pairs or seeds."""
    first = next(iter(cards), "")
    for name, card in cards.items():
        if card.get("protocol") != PROTOCOL:
            raise MateError(f"{name}: got a card of the protocol {card.get('protocol')!r}, expected {PROTOCOL!r}")
        asked = [[(one["first"], one["second"], one["seed"]) for one in c["answers"]] for c in (cards[first], card)]
        if asked[0] != asked[1]:
            raise MateError(f"{first} and {name} were not asked the same: pairs or seeds differ; make both cards again")
    if len(cards) < 2:
        raise MateError(f"got {len(cards)} card of the flip test, expected at least two to set side by side")
    kept_keys = ("model", "motions_of", "pairs", "seeds", "all", "by_respect", "versions")
    rows = [{"name": name, **{key: card[key] for key in kept_keys if key in card}} for name, card in cards.items()]
    return {"protocol": ROWS, "of": PROTOCOL, "rows": rows}


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card, or several side by side, as tables."""
    rows: list[Mapping[str, Any]] = list(card.get("rows", [{"name": "motions", **card}]))
    names = [row["name"] for row in rows]

    def by_respect(key: str) -> list[list[str]]:
        groups = [{one["respect"]: one for one in [*row["by_respect"], row["all"]]} for row in rows]
        return [[respect, *(_shown(own.get(respect, {}).get(key)) for own in groups)] for respect in groups[0]]

    def by_measure(row: Mapping[str, Any]) -> list[list[str]]:
        between = {one["measure"]: one for one in row["all"]["kept_between_seeds"]}
        return [[one["measure"], _shown(one), _shown(between.get(one["measure"]))] for one in row["all"]["kept"]]

    pairs = f"{rows[0]['pairs']} pairs, {len(rows[0]['seeds'])} seed(s) each"
    open_ = [f"{row['name']} {row['all']['cannot_tell']} of {row['all']['asked']}" for row in rows]
    lines = [f"Protocol `{PROTOCOL}`: {pairs}. Cannot tell: {', '.join(open_)}.", ""]
    for title, key in (
        ("the motion changes as told", "changed"),
        ("nothing else changes, of those", "only_that"),
        ("both", "changed_and_only_that"),
    ):
        lines += [*table([title, *names], by_respect(key)), ""]
    for row in rows:
        head = [f"stays the same: {row['name']}", "with the word changed", "with another seed and no word changed"]
        lines += [*table(head, by_measure(row)), ""]
    return "\n".join(lines)


def _shown(row: Mapping[str, Any] | None) -> str:
    return show_rate(row) if row and row["n"] else "–"

"""The flip test: the same seed, one word changed. Does the motion change in that respect, and only in that respect?

Every pair is two prompts that differ in one meaning; what should stay is measured beside it: "quickly" must not enlarge the circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from mate.evaluate.card import rate, show_rate, table, versions
from mate.evaluate.judge import Claim, judge, measured
from mate.evaluate.judge_limits import Answer
from mate.motion.kinematics_tracks import Tracks

PROTOCOL = "mate-flip-1"
FPS = 20.0


@dataclass(frozen=True)
class Flip:
    """Two prompts that differ in one meaning.

    Attributes:
        respect: side, sense, speed, extent or count; first, second: texts; claims: what each asks for.
        keeps: measures (keys of `MEASURES`) that the changed word says nothing about.
    """

    respect: str
    first: str
    second: str
    claims: tuple[Claim, Claim]
    keeps: tuple[str, ...]
    seconds: float = 4.0


def _radius(t: Tracks) -> float:
    return t.way.path / max(float(np.radians(abs(t.way.round_turn))), 0.5)


# What can be measured of any motion: (function, how much two motions of one prompt may differ: a share of the larger one, and at least).
MEASURES = {
    "speed": (lambda t: float(t.speed.mean()), 0.25, 0.10),
    "radius": (_radius, 0.25, 0.15),
    "turn": (lambda t: abs(t.way.turn), 0.25, 15.0),
    "height of the hands": (lambda t: float(np.percentile(t.elevation.max(axis=1), 90)), 0.15, 0.15),
    "posture": (lambda t: float(np.percentile(t.pelvis, 10)), 0.08, 0.05),
    "way": (lambda t: t.way.path, 0.30, 0.30),
}


def flips_of_probe() -> tuple[Flip, ...]:
    """The pairs of the protocol."""
    found = []
    for part in ("hand", "arm"):
        for verb, word in (("raises", "raise"), ("waves", "wave")):
            left, right = (f"a person {verb} the {side} {part}" for side in ("left", "right"))
            claims = (Claim(word, "left"), Claim(word, "right"))
            found.append(Flip("side", left, right, claims, ("height of the hands", "posture", "way")))
    found.append(
        Flip("side", "a person walks forward and turns left", "a person walks forward and turns right",
             (Claim("turn", "left"), Claim("turn", "right")), ("speed", "turn", "posture"))
    )  # fmt: skip
    for go in ("walks", "jogs", "runs"):
        texts = (f"a person {go} in a circle clockwise", f"a person {go} in a circle anticlockwise")
        found.append(
            Flip(
                "sense",
                *texts,
                (Claim("circle", "right"), Claim("circle", "left")),
                ("speed", "radius", "posture"),
                6.0,
            )
        )
        for sense, side in (("clockwise", "right"), ("anticlockwise", "left")):
            first, second = (f"a person {go} in a {size} circle {sense}" for size in ("small", "big"))
            claim = Claim("circle", side)
            claims = (replace(claim, extent="small"), replace(claim, extent="big"))
            found.append(Flip("extent", first, second, claims, ("speed", "posture"), 6.0))
    for sense in ("clockwise", "anticlockwise"):
        first, second = (f"a person walks in a circle {sense} {how}" for how in ("slowly", "quickly"))
        claims = (Claim("walk", speed="slowly"), Claim("walk", speed="quickly"))
        found.append(Flip("speed", first, second, claims, ("radius", "posture"), 6.0))
    for verb, claim in (
        ("walks forward", Claim("walk")),
        ("runs forward", Claim("run")),
        ("walks backwards", Claim("backwards")),
    ):
        first, second = (f"a person {verb} {how}" for how in ("slowly", "quickly"))
        found.append(
            Flip(
                "speed",
                first,
                second,
                (replace(claim, speed="slowly"), replace(claim, speed="quickly")),
                ("turn", "posture"),
            )
        )
    for verb, claim in (
        ("jumps up", Claim("jump", "", "up")),
        ("claps the hands", Claim("clap")),
        ("bows", Claim("bow")),
        ("nods", Claim("nod")),
    ):
        first, second = (f"a person {verb} {times}" for times in ("twice", "three times"))
        found.append(Flip("count", first, second, (replace(claim, count=2), replace(claim, count=3)), ("way", "turn")))
    return tuple(found)


class SamplesMotion(Protocol):
    """What the test needs of a generator."""

    def sample(self, texts: list[str], seconds: list[float] | None = None, seed: int = 0) -> list[np.ndarray]:
        """One motion (T, 22, 3) at 20 frames per second for each text."""
        ...


@dataclass(frozen=True)
class Flipped:
    """The outcome of a pair: did both do as told, and did what the word does not say stay (by measure)?"""

    flip: Flip
    seed: int
    answer: Answer
    kept: dict[str, bool]


def kept(name: str, first: Tracks, second: Tracks) -> bool:
    """Does a measure stay the same between two motions, within its tolerance?"""
    measure, share, least = MEASURES[name]
    a, b = measure(first), measure(second)
    return bool(abs(a - b) <= max(share * max(abs(a), abs(b)), least))


def compare(flip: Flip, first: np.ndarray, second: np.ndarray, seed: int = 0) -> Flipped:
    """Judges a pair of motions (T, 22, 3) at 20 frames per second. Raises MateError for wrong shapes."""
    one, two = measured(first, FPS), measured(second, FPS)
    answers = (judge(one, flip.claims[0]), judge(two, flip.claims[1]))
    answer = False if False in answers else None if None in answers else True
    return Flipped(flip, seed, answer, {name: kept(name, one, two) for name in flip.keeps})


def flip_card(generator: SamplesMotion, flips: Sequence[Flip] | None = None, seeds: int = 4) -> dict[str, Any]:
    """Runs the test: every prompt of every pair, seeds 0, 1, ...; both prompts of a pair get the same one."""
    flips = flips_of_probe() if flips is None else flips
    found: list[Flipped] = []
    texts = [text for flip in flips for text in (flip.first, flip.second)]
    lengths = [flip.seconds for flip in flips for _ in range(2)]
    for seed in range(seeds):
        # A sample depends on the seed and its place in the list: each prompt is asked for alone, at the same place.
        motions = [
            generator.sample([text], [length], seed=seed)[0] for text, length in zip(texts, lengths, strict=True)
        ]
        found += [compare(flip, motions[2 * i], motions[2 * i + 1], seed) for i, flip in enumerate(flips)]
    return summarise(found)


def summarise(found: Sequence[Flipped]) -> dict[str, Any]:
    """The card of outcomes: by respect, how often the change was made, how often the rest stayed, how often both."""
    rows = []
    for respect in sorted({one.flip.respect for one in found}):
        mine = [one for one in found if one.flip.respect == respect]
        decided = [one for one in mine if one.answer is not None]
        rows.append(
            {
                "respect": respect,
                "changed": rate(bool(one.answer) for one in decided),
                "only_that": rate(all(one.kept.values()) for one in decided if one.answer),
                "cannot_tell": len(mine) - len(decided),
                "kept": [
                    rate((one.kept[name] for one in mine if name in one.kept), measure=name)
                    for name in MEASURES
                    if any(name in one.kept for one in mine)
                ],
            }
        )
    return {"protocol": PROTOCOL, "pairs": len(found), "rows": rows, "versions": versions()}


def to_markdown(card: dict[str, Any]) -> str:
    """The card as a table."""
    body = [
        [
            row["respect"], show_rate(row["changed"]), show_rate(row["only_that"]), str(row["cannot_tell"]),
            "; ".join(f"{one['measure']} {100 * one['rate']:.0f} %" for one in row["kept"]),
        ]
        for row in card["rows"]
    ]  # fmt: skip
    head = ["one word changed", "the motion changes so", "and nothing else (of those)", "cannot tell", "what stayed"]
    return "\n".join([*table(head, body), ""])

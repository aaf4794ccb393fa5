"""Near misses: procedural motions that almost do what a word says, each beside one that does."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np

from mate.data.kinwords.actions import MAKERS, Event
from mate.data.kinwords.person import draw_person
from mate.data.kinwords.play import play
from mate.data.kinwords.program import Program
from mate.evaluate.judge import Claim, measured
from mate.evaluate.judge_material import FPS, Item
from mate.evaluate.judge_truth import claim_of_event

Change = Callable[[Event], Event]


def _legs(event: Event, change: Callable[[list[float]], list[float]], keep: int | None = None) -> Event:
    legs = [change(list(leg)) for leg in event.values["legs"]][:keep]
    end = event.start + sum(leg[0] for leg in legs)
    return replace(event, end=end, values={**event.values, "legs": legs})


def _turned(share: float) -> Change:
    """The same way with only this share of the turn, or of one lap where it has more."""

    def change(event: Event) -> Event:
        def less(leg: list[float]) -> list[float]:
            return [*leg[:3], float(np.sign(leg[3]) * min(abs(leg[3]), 360.0)) * share, *leg[4:]]

        return _legs(event, less)

    return change


def _first(number: int) -> Change:
    """Only the first legs of the way."""
    return lambda event: _legs(event, lambda leg: leg, number)


# What is made, how it is spoiled, and the word that is then false.
_SPOILED: tuple[tuple[str, Change, Claim], ...] = (
    ("circle", _turned(0.70), Claim("circle", "*")),
    ("spin", _turned(0.72), Claim("spin", "*")),
    ("turn_around", _turned(0.6), Claim("turn", "*", degrees=180.0)),
    ("turn_quarter", _turned(0.4), Claim("turn", "*", degrees=90.0)),
    ("eight", _first(1), Claim("eight")),
    ("zigzag", _first(1), Claim("zigzag")),
)
_COUNTED = (
    "jump_up", "jump_forward", "hop", "kick", "kick_side", "raise_knee", "stomp", "steps", "steps_back", "clap", "nod", "shake", "shrug",
    "bow", "squat", "punch", "circle_arm",
)  # fmt: skip
_WRONG_SENSE = {"left": "right", "right": "left"}


def _item(name: str, event: Event, seed: int, true: tuple[Claim, ...], false: tuple[Claim, ...]) -> Item:
    rng = np.random.default_rng([77, seed])
    placed = event.moved(0.3)
    joints = play(Program((placed,), placed.end + 0.4, False, False), draw_person(rng), rng).joints()
    tracks = measured(joints, FPS).cut(placed.start, placed.end + (0.15 if "steps" in event.values else 0.0))
    return Item("near-miss", f"{name} {seed}", tracks, true, false)


def near_misses(each: int = 6, seed: int = 0) -> Iterator[Item]:
    """`each` motions of every kind: three quarters of a circle are none; three jumps are neither two nor four."""
    number = seed * 10_000
    for action, spoil, claim in _SPOILED:
        for _ in range(each):
            number += 1
            rng = np.random.default_rng([55, number])
            event = MAKERS[action](action, rng, 9.0)
            side = event.side if claim.side else ""
            own = claim_of_event(asdict(event))
            yield _item(action, event, number, (own,) if own else (), ())
            senses = (side, _WRONG_SENSE[side]) if side else ("",)
            false = tuple(replace(claim, side=sense) for sense in senses)
            yield _item(f"almost {action}", spoil(event), number, (), false)
    for action in _COUNTED:
        for _ in range(each):
            number += 1
            rng = np.random.default_rng([55, number])
            event = MAKERS[action](action, rng, 9.0)
            while not event.count:
                event = MAKERS[action](action, rng, 9.0)
            claim = claim_of_event(asdict(event))
            if claim is not None:
                off = tuple(replace(claim, count=n) for n in (claim.count - 1, claim.count + 1) if n > 0)
                yield _item(f"{action} x{event.count}", event, number, (claim,), off)

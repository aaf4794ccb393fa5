"""What is known of motions whose truth is known: the claims that are true and those that are false of them.

Procedural motions carry their program; real clips carry what their data set or a person who looked at them says.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mate.evaluate.judge import SIDES, WORDS, Claim

_OTHER = {"left": "right", "right": "left"}

# What else may be true of a motion that a word is true of, beside the word itself: no evidence against the judge either way.
_GOING = {"walk", "run", "jog", "sprint", "tiptoe", "march", "creep", "limp", "straight"}
COMPATIBLE: dict[str, set[str]] = {
    "walk": {"straight", "stop"},
    "jog": {"run", "straight", "stop"},
    "run": {"jog", "sprint", "straight", "stop"},
    "sprint": {"run", "straight", "stop"},
    "tiptoe": {"walk", "straight", "stop"},
    "march": {"walk", "straight", "stop", "tiptoe"},
    "creep": {"walk", "straight", "stop", "bow"},
    "limp": {"walk", "straight", "stop"},
    "skip": {"straight", "stop", "jump", "hop", "run", "jog"},
    "backwards": {"straight", "stop"},
    "sidestep": {"straight", "stop"},
    "diagonal": {"straight", "stop", "walk"},
    "stand": {"still"},
    "stop": _GOING | {"stand"},
    "turn": _GOING | {"stop", "stand", "zigzag", "circle"},
    "spin": {"turn", "circle", "stand"},
    "circle": _GOING | {"turn", "spin", "stop", "eight"},
    "eight": _GOING | {"turn", "stop", "circle"},
    "zigzag": _GOING | {"turn", "stop"},
    "jump": {"sidestep", "squat", "crouch", "bow", "bend", "stand", "raise", "stop", "straight", "stand_up"},
    "hop": {"jump", "stand", "walk", "run", "jog", "skip", "stop", "straight"},
    "kick": {"bow", "stand", "stop", "raise", "lower"},
    "sit_down": {"sit", "bow", "crouch", "stand", "squat"},
    "sit": {
        "sit_down",
        "stand_up",
        "bow",
        "squat",
        "nod",
        "shake",
        "look",
        "wave",
        "raise",
        "clap",
        "point",
        "cross",
        "circle_arm",
        "lower",
    },
    "stand_up": {"sit", "bow", "crouch", "bend"},
    "kneel": {"stand_up", "bow", "crouch", "squat", "stop"},
    "crouch": {"squat", "stand_up", "raise", "bend", "bow"},
    "squat": {"crouch", "stand_up", "raise", "point", "bend", "bow"},
    "bend": {"bow", "raise", "point", "stand"},
    "bow": {"stand", "bend", "raise"},
    "lie": {"bend"},
    "raise": {"stand", "point", "still"},
    "lower": {"stand", "raise", "point"},
    "wave": {"stand", "circle_arm"},
    "punch": {"stand", "raise", "point", "cross"},
    "throw": {"look", "shake", "stand", "raise", "punch", "circle_arm", "point", "lower", "wave", "bow"},
    "clap": {"stand", "raise", "wave"},
    "point": {"stand", "raise", "look"},
    "cross": {"stand", "raise"},
    "circle_arm": {"stand", "raise", "wave", "throw", "lower", "point"},
    "nod": {"stand", "look"},
    "shake": {"stand", "look"},
    "look": {"stand", "shake", "nod"},
    "still": set(WORDS),
}

# What is asked of every motion, for false answers: one claim a word and side.
PLAIN: tuple[Claim, ...] = tuple(
    Claim(name, side, where)
    for name, word in WORDS.items()
    if name not in ("still", "straight")
    for side, where in itertools.product(
        [s for s in word.sides if s] or [""],
        [w for w in word.wheres if w] if name in ("look", "point", "jump") else [""],
    )
)

_SAME = (
    "walk jog run sprint tiptoe march creep skip backwards stand eight zigzag squat bend bow throw clap cross nod shake "
    "stand_up crouch punch hop kick limp sidestep diagonal lie"
)
_TURNS = {
    "walk_turn": ("way", "", 0.0),
    "walk_turn_slight": ("way", "slightly", 0.0),
    "walk_turn_back": ("way", "", 180.0),
    "turn": ("spot", "", 0.0),
    "turn_quarter": ("spot", "", 90.0),
    "turn_around": ("spot", "", 180.0),
}
_ACTIONS: dict[str, Claim] = {
    **{name: Claim(name) for name in _SAME.split()},
    **{
        name: Claim("turn", "*", where, extent=extent, degrees=angle) for name, (where, extent, angle) in _TURNS.items()
    },
    "stop": Claim("stand"),
    "spin": Claim("spin", "*"),
    "circle": Claim("circle", "*"),
    "sit": Claim("sit_down"),
    "sit_still": Claim("sit"),
    "kneel": Claim("kneel", "*"),
    "jump_up": Claim("jump", "", "up"),
    "jump_forward": Claim("jump", "", "forward"),
    "jump_side": Claim("jump", "", "*"),
    "hop_forward": Claim("hop", "*", "forward"),
    "raise": Claim("raise", "*", extent="high"),
    "raise_both": Claim("raise", "both", extent="high"),
    "raise_half": Claim("raise", "*", extent="half"),
    "raise_slight": Claim("raise", "*", extent="slightly"),
    "lower": Claim("lower", "*"),
    "lower_both": Claim("lower", "both"),
    "wave": Claim("wave", "*"),
    "wave_both": Claim("wave", "both"),
    "punch_both": Claim("punch", "both"),
    "point": Claim("point", "*", "*"),
    "circle_arm": Claim("circle_arm", "*"),
    "look": Claim("look", "", "*"),
    "look_up": Claim("look", "", "up"),
    "look_down": Claim("look", "", "down"),
    "look_around": Claim("look", "", "around"),
}


def claim_of_event(event: Mapping[str, Any]) -> Claim | None:
    """The claim that an event of a procedural program makes true, None for an action that the judge has no word for."""
    claim = _ACTIONS.get(event["action"])
    if claim is None:
        return None
    word, side, values = WORDS[claim.word], str(event.get("side") or ""), event.get("values", {})
    if claim.where == "*":
        claim = replace(claim, where=str(values.get("where") or side))
    if side in word.sides and claim.side in ("", "*"):
        claim = replace(claim, side=side)
    if claim.word == "circle":
        size = event.get("slots", {}).get("size", "")
        radius = float(values.get("radius", 1.0))
        # A program that has no room for its big circle makes a small one: only what it made counts.
        fits = {"small": radius <= 0.85, "big": radius >= 1.3}.get(size, False)
        claim = replace(claim, extent=size if fits else "")
    adverbs = event.get("adverbs", ())
    if word.rate and claim.word != "turn" and event["action"] != "wave_both":
        claim = replace(claim, speed="slowly" if "slow" in adverbs else "quickly" if "fast" in adverbs else "")
    if claim.word in ("bend", "crouch") and "slight" in adverbs:
        claim = replace(claim, extent="slightly")
    if word.counts and event.get("count"):
        claim = replace(claim, count=int(event["count"]))
    return claim


def flips(claim: Claim) -> list[tuple[str, Claim]]:
    """Claims that differ in exactly one meaning, and which: what a motion that does as told does not do."""
    found = []
    if claim.side in _OTHER:
        sense = "sense" if claim.word in ("circle", "spin") else "side"
        found.append((sense, replace(claim, side=_OTHER[claim.side])))
    elif claim.side == "both":
        found += [("one or both", replace(claim, side=side)) for side in SIDES if side in WORDS[claim.word].sides]
    if claim.where in ("left", "right", "up", "down", "forward") and claim.word != "hop":
        other = {"left": "right", "right": "left", "up": "down", "down": "up", "forward": "left"}[claim.where]
        if claim.word == "jump":
            other = {"up": "forward", "forward": "up"}.get(claim.where, other)
        if other in WORDS[claim.word].wheres:
            found.append(("direction", replace(claim, where=other)))
    if claim.count:
        found += [("count", replace(claim, count=other)) for other in (claim.count - 1, claim.count + 1) if other > 0]
    if claim.speed:
        found.append(("speed", replace(claim, speed="slowly" if claim.speed == "quickly" else "quickly")))
    if claim.extent in ("small", "big"):
        found.append(("extent", replace(claim, extent="big" if claim.extent == "small" else "small")))
    if claim.extent in ("high", "slightly") and claim.word == "raise":
        found.append(("extent", replace(claim, extent="slightly" if claim.extent == "high" else "high")))
    if claim.degrees == 90.0:
        found.append(("extent", replace(claim, degrees=180.0)))
    if claim.degrees == 180.0:
        found.append(("extent", replace(claim, degrees=90.0)))
    return found


def strangers(claim: Claim) -> list[Claim]:
    """Plain claims of other words that are false of a motion of which this one is true."""
    return [
        other
        for other in PLAIN
        if other.word != claim.word
        and other.word not in COMPATIBLE[claim.word]
        and claim.word not in COMPATIBLE[other.word]
    ]


# Real clips


def claims_of_labels(labels: Mapping[str, Any]) -> tuple[list[Claim], list[Claim]]:
    """What labels that a person gave by eye make true and false.

    `going`: stand, walk, run, backwards, diagonal:left, ...; `turn`: left, right or none; `left_hand`, `right_hand`: low, up or wave;
    `does`: what else happens, as word or word:side.
    """
    true: list[Claim] = []
    false: list[Claim] = [Claim("lie"), Claim("sit"), Claim("kneel")]
    going, _, side = labels.get("going", "").partition(":")
    if going:
        # Who stays where he is may do anything else there.
        true += [] if going == "stand" else [Claim(going, side)]
        if side:
            false.append(Claim(going, _OTHER[side]))
        ways = {"walk", "run", "backwards"} - {going}
        if going in ("walk", "run", "backwards", "diagonal"):
            false += [Claim("stand"), Claim("sidestep", "left"), Claim("sidestep", "right"), Claim("skip")]
        if going == "diagonal":
            ways.discard("walk")
        false += [Claim(word) for word in sorted(ways)]
    turn = labels.get("turn", "")
    if turn in SIDES:
        true.append(Claim("turn", turn))
        false.append(Claim("turn", _OTHER[turn]))
    if turn == "none":
        false += [Claim("turn", one) for one in SIDES] + [Claim("spin", one) for one in SIDES]
    left, right = labels.get("left_hand", ""), labels.get("right_hand", "")
    for own, other, name in ((left, right, "left"), (right, left, "right")):
        if own == "low":
            false += [Claim(word, name) for word in ("raise", "wave", "punch", "throw")]
            false += [Claim(word, "both") for word in ("raise", "wave")]
        if own in ("up", "wave") and other == "low":
            true.append(Claim({"up": "raise"}.get(own, own), name))
        if own == "up" and other in ("low", "up"):
            false.append(Claim("wave", name))
        if own == "wave" and other in ("low", "wave"):
            false.append(Claim("raise", name))
    if left == right and left in ("up", "wave"):
        word = "raise" if left == "up" else "wave"
        true.append(Claim(word, "both"))
        false += [Claim(word, one) for one in SIDES]
    for entry in labels.get("does", ()):
        word, _, side = entry.partition(":")
        true.append(Claim("jump", "", "up") if word == "jump_up" else Claim(word, side))
        if side:
            false.append(Claim(word, _OTHER[side]))
    if going in ("walk", "run", "backwards", "diagonal") or "stand" in going:
        jumps = "jump_up" in labels.get("does", ())
        false += [] if jumps else [Claim("jump")]
    return list(dict.fromkeys(true)), list(dict.fromkeys(claim for claim in false if claim not in true))


# Contents of the Bandai-Namco motion set: what its labels make true.
CONTENTS: dict[str, tuple[Claim, ...]] = {
    "walk": (Claim("walk"), Claim("straight")),
    "run": (Claim("run"),),
    "dash": (Claim("run"),),
    "walk-back": (Claim("backwards"),),
    "walk-left": (Claim("diagonal", "left"),),
    "walk-right": (Claim("diagonal", "right"),),
    "walk-turn-left": (Claim("turn", "left", "way"),),
    "walk-turn-right": (Claim("turn", "right", "way"),),
    "raise-up-left-hand": (Claim("raise", "left"),),
    "raise-up-right-hand": (Claim("raise", "right"),),
    "raise-up-both-hands": (Claim("raise", "both"),),
    "wave-left-hand": (Claim("wave", "left"),),
    "wave-right-hand": (Claim("wave", "right"),),
    "wave-both-hands": (Claim("wave", "both"),),
    "bow": (Claim("bow"),),
    "kick": (Claim("kick", "right"),),
}

"""What is known of motions whose truth is known: the claims that are true and those that are false of them.

Procedural motions carry their program; real clips carry what their data set or a person who looked at them says.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mate.data.kinwords.actions import DEGREES
from mate.evaluate.judge import WORDS, Claim
from mate.evaluate.judge_limits import SIDES

_OTHER = {"left": "right", "right": "left"}

# What else may be true of a motion that a word is true of, beside the word itself: no evidence against the judge either way.
_ALWAYS = {"still", "steps"}  # said of many motions at once
_GOING = "walk run jog sprint tiptoe march creep limp straight"
_SEATED = "sit_down stand_up bow squat nod shake look wave raise clap point cross circle_arm lower"
_MORE: dict[str, str] = {
    "walk": "straight stop step_over",
    "jog": "run straight stop",
    "run": "jog sprint straight stop",
    "sprint": "run straight stop",
    "tiptoe": "walk straight stop",
    "march": "walk straight stop tiptoe step_over raise_knee",
    "creep": "walk straight stop bow",
    "limp": "walk straight stop step_over",
    "skip": "straight stop jump hop run jog step_over",
    "backwards": "straight stop",
    "sidestep": "straight stop",
    "diagonal": "straight stop walk",
    "steps": f"{_GOING} backwards stop",
    "step_over": f"{_GOING} stop raise_knee stomp",
    "stand": "still",
    "stop": f"{_GOING} stand",
    "turn": f"{_GOING} stop stand zigzag circle",
    "spin": "turn circle stand",
    "circle": f"{_GOING} turn spin stop eight",
    "eight": f"{_GOING} turn stop circle",
    "zigzag": f"{_GOING} turn stop",
    "jump": "sidestep squat crouch bow bend stand raise stop straight stand_up",
    "hop": "jump stand walk run jog skip stop straight raise_knee",
    "kick": "bow stand stop raise lower raise_knee stomp lean",
    "raise_knee": "stand stop stomp kick",
    "stomp": "stand stop raise_knee",
    "sit_down": "sit bow crouch stand squat",
    "sit": _SEATED,
    "stand_up": "sit bow crouch bend",
    "kneel": "stand_up bow crouch squat stop lunge stomp raise_knee",
    "crouch": "squat stand_up raise bend bow",
    "squat": "crouch stand_up raise point bend bow",
    "lunge": "stand_up crouch squat bow stop stand kneel",
    "bend": "bow raise point stand",
    "bow": "stand bend raise",
    "lean": "stand kick bow bend",
    "lie": "bend lie_down get_up sit kneel crouch squat",
    "lie_down": "lie sit sit_down bend crouch squat bow kneel raise_knee stomp spread backwards raise lower lunge",
    "get_up": "lie stand_up sit bend crouch squat bow kneel raise_knee stomp spread walk steps raise lower lunge",
    "raise": "stand point still spread salute touch_head",
    "lower": "stand raise point",
    "wave": "stand circle_arm",
    "punch": "stand raise point cross",
    "throw": "look shake stand raise punch circle_arm point lower wave bow lean",
    "clap": "stand raise wave",
    "point": "stand raise look",
    "cross": "stand raise",
    "circle_arm": "stand raise wave throw lower point",
    "spread": "stand raise point",
    "salute": "stand raise",
    "touch_head": "stand raise",
    "hands_on_hips": "stand cross",
    "shrug": "stand",
    "nod": "stand look",
    "shake": "stand look",
    "look": "stand shake nod",
    "still": " ".join(WORDS),
}
COMPATIBLE: dict[str, set[str]] = {word: set(more.split()) | _ALWAYS for word, more in _MORE.items()}

# What is asked of every motion, for false answers: one claim a word and side.
PLAIN: tuple[Claim, ...] = tuple(
    Claim(name, side, where)
    for name, word in WORDS.items()
    if name not in ("still", "straight", "steps")
    for side, where in itertools.product(
        [s for s in word.sides if s] or [""],
        [w for w in word.wheres if w] if name in ("look", "point", "jump", "kick") else [""],
    )
)

_SAME = (
    "walk jog run sprint tiptoe march creep skip backwards stand eight zigzag squat bend bow throw clap cross nod shake "
    "stand_up crouch punch hop limp sidestep diagonal lie_down get_up lunge lean stomp raise_knee spread salute touch_head "
    "hands_on_hips shrug step_over"
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
    "turn_degrees": Claim("turn", "*", "spot"),
    "steps": Claim("steps", "", "forward"),
    "steps_back": Claim("steps", "", "backwards"),
    "kick": Claim("kick", "*", "forward"),
    "kick_side": Claim("kick", "*", "aside"),
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


# How far or how long the numbers of a program must be for what its caption says: small and big circles, steps, swings, heights.
_SIZES = {"slight": "slightly", "high": "high", "long": "long", "short": "short", "big": "big"}
# Adverbs that the judge does not answer for, and why. Turns on the spot take 0.9 s or more: of those that are held
# there the speed is not asked.
NOT_JUDGED: dict[tuple[str, str], str] = {
    (
        "kick_side",
        "speed",
    ): "the corpus holds their tempo to 0.75 to 1.2 of the usual one, and ordinary side kicks differ by as much",
    (
        "lunge",
        "speed",
    ): "the corpus holds their tempo to 0.75 to 1.2 of the usual one, and ordinary lunges differ by as much",
    (
        "punch",
        "speed",
    ): "slow, ordinary and quick fists of the corpus overlap: 3.0 to 3.6, 3.4 to 4.6, 4.0 to 4.9 reaches a second",
    ("punch_both", "speed"): "as punch",
    (
        "walk_turn",
        "speed",
    ): "quick ones are held to 1.15 of the usual speed, and the word says nothing of the turn's own speed",
    ("walk_turn_back", "speed"): "as walk_turn",
    ("circle", "speed"): "the radius holds runners' speeds down; a slow walker's is judged as a walk",
    ("eight", "speed"): "all eights of the corpus are walked at one speed",
}


def _speed(event: Mapping[str, Any], claim: Claim) -> str:
    """slowly, quickly or nothing: as the program's adverb says, where the program had room to be slow or quick."""
    adverbs = event.get("adverbs", ())
    speed = "slowly" if "slow" in adverbs else "quickly" if "fast" in adverbs else ""
    if not speed or not WORDS[claim.word].rate or (event["action"], "speed") in NOT_JUDGED:
        return ""
    if WORDS[claim.word].rate == "turn":
        # Nobody turns on the spot in less than 0.9 s, however quickly.
        legs = event.get("values", {}).get("legs", [])
        if claim.where == "way" or any(leg[5] - leg[4] < 1.02 for leg in legs if len(leg) > 5):
            return ""
    return speed


def _degrees(event: Mapping[str, Any]) -> float:
    """The angle that the caption of a turn by an angle names: the nearest of those that there are words for."""
    turned = sum(abs(float(leg[3])) for leg in event.get("values", {}).get("legs", []))
    return float(min(DEGREES, key=lambda degrees: abs(degrees - turned)))


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
    if event["action"] == "turn_degrees":
        claim = replace(claim, degrees=_degrees(event))
    if claim.word == "circle":
        size = event.get("slots", {}).get("size", "")
        radius = float(values.get("radius", 1.0))
        # A program that has no room for its big circle makes a small one: only what it made counts.
        fits = {"small": radius <= 0.85, "big": radius >= 1.3}.get(size, False)
        claim = replace(claim, extent=size if fits else "")
    for adverb in event.get("adverbs", ()):
        extent = _SIZES.get(adverb, "")
        if extent in word.extents and (event["action"], adverb) not in NOT_JUDGED:
            claim = replace(claim, extent=extent or claim.extent)
    claim = replace(claim, speed=_speed(event, claim))
    if word.counts and event.get("count"):
        claim = replace(claim, count=int(event["count"]))
    return claim


def claims_of_event(event: Mapping[str, Any]) -> tuple[Claim, ...]:
    """All claims that an event makes true: what is done, and what does not move meanwhile."""
    own, without = claim_of_event(event), str(event.get("without") or "")
    gait = []
    if event["action"] in ("circle", "eight", "zigzag") and event.get("slots", {}).get("go") == "walk":
        adverbs = event.get("adverbs", ()) if event["action"] == "circle" else ()
        gait = [Claim("walk", speed="slowly" if "slow" in adverbs else "")]
    return (*([own] if own else []), *gait, *([Claim("still", "", without)] if without else []))


# What moves in whoever does a thing: without moving it the thing cannot be done.
_MOVES = {
    **dict.fromkeys(
        "walk jog run sprint tiptoe march creep limp skip backwards sidestep diagonal steps step_over".split(), "feet"
    ),
    **dict.fromkeys("circle eight zigzag hop kick raise_knee stomp lunge kneel".split(), "feet"),
    **dict.fromkeys(
        "raise lower wave punch throw clap point cross circle_arm spread salute touch_head hands_on_hips".split(),
        "arms",
    ),
    **dict.fromkeys(("nod", "look", "shake"), "head"),
}


def denied(claim: Claim) -> list[Claim]:
    """ "Without moving ...": false of a motion that does what the claim says."""
    part = _MOVES.get(claim.word, "")
    if part == "arms" and claim.extent == "slightly":
        return []
    if part == "arms":
        sides = SIDES if claim.side in ("both", "") else (claim.side,)
        return [Claim("still", "", "arms"), *(Claim("still", "", f"{side} arm") for side in sides if side in SIDES)]
    return [Claim("still", "", part)] if part else []


def flips(claim: Claim) -> list[tuple[str, Claim]]:
    """Claims that differ in exactly one meaning, and which: what a motion that does as told does not do."""
    found = []
    if claim.side in _OTHER:
        sense = "sense" if claim.word in ("circle", "spin") else "side"
        found.append((sense, replace(claim, side=_OTHER[claim.side])))
    elif claim.side == "both":
        found += [("one or both", replace(claim, side=side)) for side in SIDES if side in WORDS[claim.word].sides]
    if claim.where in ("left", "right", "up", "down", "forward", "backwards", "aside") and claim.word != "hop":
        other = {"left": "right", "right": "left", "up": "down", "down": "up"}.get(claim.where, "left")
        if claim.word == "jump":
            other = {"up": "forward", "forward": "up"}.get(claim.where, other)
        if claim.word == "kick":
            other = "aside" if claim.where == "forward" else "forward"
        if claim.word == "steps":
            other = "backwards" if claim.where == "forward" else "forward"
        if other in WORDS[claim.word].wheres:
            found.append(("direction", replace(claim, where=other)))
    if claim.count:
        found += [("count", replace(claim, count=other)) for other in (claim.count - 1, claim.count + 1) if other > 0]
    if claim.speed:
        found.append(("speed", replace(claim, speed="slowly" if claim.speed == "quickly" else "quickly")))
    found += [("negation", other) for other in denied(claim)]
    if claim.extent in ("small", "big") and claim.word == "circle":
        found.append(("extent", replace(claim, extent="big" if claim.extent == "small" else "small")))
    if claim.extent in ("high", "slightly") and claim.word == "raise":
        found.append(("extent", replace(claim, extent="slightly" if claim.extent == "high" else "high")))
    if claim.extent in ("long", "short"):
        found.append(("extent", replace(claim, extent="short" if claim.extent == "long" else "long")))
    if claim.extent in ("slightly", "big") and claim.word == "wave":
        found.append(("extent", replace(claim, extent="big" if claim.extent == "slightly" else "slightly")))
    if claim.degrees:
        found += [
            ("extent", replace(claim, degrees=float(other)))
            for other in DEGREES
            if abs(other - claim.degrees) in (45, 90)
        ]
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


def _named(entry: str) -> Claim:
    """The claim of a label such as "bow", "punch:left:1", "still:left arm", "steps:forward:3"."""
    if entry == "jump_up":
        return Claim("jump", "", "up")
    word, *more = entry.split(":")
    claim = Claim(word)
    for part in more:
        if part.isdigit():
            claim = replace(claim, count=int(part))
        elif part in WORDS[word].sides:
            claim = replace(claim, side=part)
        else:
            claim = replace(claim, where=part)
    return claim


def claims_of_labels(labels: Mapping[str, Any]) -> tuple[list[Claim], list[Claim]]:
    """What labels that a person gave by eye make true and false.

    `going`: stand, walk, run, backwards, diagonal:left, ...; `turn`: left, right or none; `left_hand`, `right_hand`: low, up or wave;
    `does`, `does_not`: what else happens or does not, as word, word:side, word:where or word:where:count.
    """
    true: list[Claim] = []
    low = any(entry.partition(":")[0] in ("kneel", "sit", "lie") for entry in labels.get("does", ()))
    false: list[Claim] = [] if low else [Claim("lie"), Claim("sit"), Claim("kneel")]
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
        claim = _named(entry)
        true.append(claim)
        if claim.side in _OTHER:
            false.append(replace(claim, side=_OTHER[claim.side]))
    false += [_named(entry) for entry in labels.get("does_not", ())]
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

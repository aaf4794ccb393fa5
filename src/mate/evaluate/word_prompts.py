"""The prompts of the generator probe: what each asks for, on which rung. A fixed file; this is how it was made.

A rung asks for one kind of meaning: action, side, sense, angle, speed, extent, count, order of two, three or four events, two things at
once, and what must not happen. `python -m mate.evaluate.word_prompts FILE` writes the file again; the packaged one is frozen.
"""

import hashlib
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from mate.errors import MateError
from mate.evaluate.judge import Claim, check_claim

RUNGS = (
    "action",
    "side",
    "sense",
    "angle",
    "speed",
    "extent",
    "count",
    "order of two",
    "order of three",
    "order of four",
    "while",
    "not",
)
SUBJECTS = ("a person", "someone", "a man", "a woman", "the figure")
Events = tuple[tuple[Claim, ...], ...]


@dataclass(frozen=True)
class WordPrompt:
    """Attributes: text; rung: one of `RUNGS`; events: one after the other, each the claims that hold at once; seconds: a fit length."""

    text: str
    rung: str
    events: Events
    seconds: float

    def json(self) -> dict[str, Any]:
        """As plain data."""
        events = [[claim.json() for claim in event] for event in self.events]
        return {"text": self.text, "rung": self.rung, "seconds": self.seconds, "events": events}

    def words(self) -> list[str]:
        """The words that it is about, each once."""
        return list(dict.fromkeys(claim.word for event in self.events for claim in event))


# Actions with two wordings each; verbs in brackets, {side} is filled.
_ACTIONS: tuple[tuple[Claim, tuple[str, ...]], ...] = (
    (Claim("walk"), ("[walk] forward", "[take] a few steps ahead")),
    (Claim("run"), ("[run] forward", "[run] straight ahead")),
    (Claim("jog"), ("[jog] forward", "[jog] along")),
    (Claim("sprint"), ("[sprint] ahead", "[run] at top speed")),
    (Claim("backwards"), ("[walk] backwards", "[step] back several times")),
    (Claim("tiptoe"), ("[walk] on tiptoe", "[tiptoe] ahead")),
    (Claim("march"), ("[march] forward", "[walk] with high knees")),
    (Claim("creep"), ("[creep] forward", "[sneak] ahead with bent knees")),
    (Claim("skip"), ("[skip] forward", "[skip] along")),
    (Claim("stand"), ("[stand] still", "[stay] on the spot")),
    (Claim("straight"), ("[walk] in a straight line", "[go] straight ahead")),
    (Claim("zigzag"), ("[walk] in a zigzag", "[zigzag] ahead")),
    (Claim("eight"), ("[walk] in a figure eight", "[follow] the shape of an eight")),
    (Claim("jump", "", "up"), ("[jump] up", "[jump] on the spot")),
    (Claim("jump", "", "forward"), ("[jump] forward", "[leap] ahead")),
    (Claim("sit_down"), ("[sit] down", "[take] a seat")),
    (Claim("kneel"), ("[kneel] down", "[go] down on one knee")),
    (Claim("crouch"), ("[crouch] down", "[duck] down low")),
    (Claim("squat"), ("[squat]", "[do] a deep knee bend")),
    (Claim("bend"), ("[bend] down to the floor", "[bend] over")),
    (Claim("bow"), ("[bow]", "[take] a bow")),
    (Claim("lie"), ("[lie] down", "[lie] down on the floor")),
    (Claim("clap"), ("[clap] the hands", "[applaud]")),
    (Claim("cross"), ("[cross] the arms", "[fold] the arms in front of the chest")),
    (Claim("raise", "both"), ("[raise] both hands", "[put] both arms up")),
    (Claim("wave", "both"), ("[wave] with both hands", "[wave] both arms")),
    (Claim("punch", "both"), ("[punch] with both fists in turn", "[box]")),
    (Claim("nod"), ("[nod]", "[nod] the head")),
    (Claim("shake"), ("[shake] the head", "[say] no with the head")),
    (Claim("look", "", "up"), ("[look] up", "[lift] the head to look up")),
    (Claim("look", "", "down"), ("[look] down", "[lower] the head")),
    (Claim("look", "", "around"), ("[look] around", "[look] to both sides")),
)
_SIDED: tuple[tuple[Claim, tuple[str, ...]], ...] = (
    (Claim("raise", "*"), ("[raise] the {side} hand", "[lift] up the {side} arm", "[put] the {side} hand up")),
    (
        Claim("wave", "*"),
        ("[wave] with the {side} hand", "[wave] the {side} hand", "[greet] with a wave of the {side} hand"),
    ),
    (
        Claim("punch", "*"),
        ("[punch] with the {side} fist", "[throw] a punch with the {side} hand", "[hit] forward with the {side} fist"),
    ),
    (Claim("throw", "*"), ("[throw] a ball with the {side} hand", "[throw] something overhand with the {side} arm")),
    (Claim("circle_arm", "*"), ("[swing] the {side} arm in circles", "[circle] the {side} arm")),
    (Claim("point", "*", "forward"), ("[point] forward with the {side} hand", "[point] ahead with the {side} arm")),
    (
        Claim("kick", "*"),
        ("[kick] with the {side} foot", "[kick] the {side} leg forward", "[kick] a ball with the {side} foot"),
    ),
    (Claim("hop", "*"), ("[hop] on the {side} foot", "[hop] on the {side} leg", "[jump] on the {side} foot only")),
    (Claim("kneel", "*"), ("[kneel] down on the {side} knee", "[go] down on the {side} knee")),
    (Claim("limp", "*"), ("[limp] on the {side} leg", "[walk] as if the {side} leg hurt")),
    (
        Claim("sidestep", "*"),
        ("[step] sideways to the {side}", "[sidestep] to the {side}", "[take] side steps to the {side}"),
    ),
    (Claim("diagonal", "*"), ("[walk] diagonally to the {side}", "[move] diagonally forward to the {side}")),
    (Claim("turn", "*"), ("[turn] {side}", "[walk] forward and [turn] {side}", "[turn] to the {side} while walking")),
    (Claim("turn", "*", "spot"), ("[turn] {side} on the spot", "[turn] to the {side} in place")),
    (Claim("look", "", "*"), ("[look] to the {side}", "[turn] the head to the {side}")),
    (Claim("jump", "", "*"), ("[jump] to the {side}", "[leap] sideways to the {side}")),
)
_SENSE = {"left": ("anticlockwise", "counterclockwise"), "right": ("clockwise",)}
_COUNTED: tuple[tuple[Claim, str], ...] = (
    (Claim("jump", "", "up"), "[jump] up"),
    (Claim("jump", "", "forward"), "[jump] forward"),
    (Claim("clap"), "[clap] the hands"),
    (Claim("nod"), "[nod]"),
    (Claim("shake"), "[shake] the head"),
    (Claim("bow"), "[bow]"),
    (Claim("squat"), "[squat]"),
    (Claim("wave", "left"), "[wave] the left hand"),
    (Claim("wave", "right"), "[wave] the right hand"),
    (Claim("punch", "left"), "[punch] with the left fist"),
    (Claim("punch", "right"), "[punch] with the right fist"),
    (Claim("kick", "left"), "[kick] with the left foot"),
    (Claim("kick", "right"), "[kick] with the right foot"),
    (Claim("hop", "left"), "[hop] on the left foot"),
    (Claim("hop", "right"), "[hop] on the right foot"),
)
_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times", 5: "five times"}
_PACED: tuple[tuple[Claim, str], ...] = (
    (Claim("walk"), "[walk] forward"),
    (Claim("run"), "[run] forward"),
    (Claim("jog"), "[jog] forward"),
    (Claim("backwards"), "[walk] backwards"),
    (Claim("sidestep", "left"), "[step] sideways to the left"),
    (Claim("sidestep", "right"), "[step] sideways to the right"),
    (Claim("tiptoe"), "[walk] on tiptoe"),
    (Claim("march"), "[march] forward"),
    (Claim("turn", "left", "spot"), "[turn] left on the spot"),
    (Claim("turn", "right", "spot"), "[turn] right on the spot"),
    (Claim("wave", "left"), "[wave] the left hand"),
    (Claim("wave", "right"), "[wave] the right hand"),
)
# Events that follow each other in any order.
_CHAIN: tuple[tuple[Claim, str], ...] = (
    (Claim("walk"), "[walk] forward"),
    (Claim("run"), "[run] forward"),
    (Claim("backwards"), "[walk] backwards"),
    (Claim("turn", "left"), "[turn] left"),
    (Claim("turn", "right"), "[turn] right"),
    (Claim("raise", "left"), "[raise] the left hand"),
    (Claim("raise", "right"), "[raise] the right hand"),
    (Claim("raise", "both"), "[raise] both hands"),
    (Claim("wave", "left"), "[wave] the left hand"),
    (Claim("wave", "right"), "[wave] the right hand"),
    (Claim("wave", "both"), "[wave] both hands"),
    (Claim("clap"), "[clap] the hands"),
    (Claim("bow"), "[bow]"),
    (Claim("jump", "", "up"), "[jump] up"),
    (Claim("kick", "right"), "[kick] with the right foot"),
    (Claim("kick", "left"), "[kick] with the left foot"),
    (Claim("squat"), "[squat]"),
    (Claim("sidestep", "left"), "[step] sideways to the left"),
    (Claim("sidestep", "right"), "[step] sideways to the right"),
)
_JOIN: dict[int, tuple[str, ...]] = {
    2: ("{s} {0}, then {1}", "{s} {0} and then {1}", "before {1:ing}, {s} {0}", "{s} {1} after {0:ing}"),
    3: ("{s} {0}, then {1}, then {2}", "{s} {0}, {1} and finally {2}", "{s} first {0}, then {1}, and lastly {2}"),
    4: ("{s} {0}, then {1}, then {2}, then {3}", "{s} first {0}, then {1}, next {2}, and lastly {3}"),
}
_GOING = (
    (Claim("walk"), "[walk] forward"),
    (Claim("backwards"), "[walk] backwards"),
    (Claim("jog"), "[jog] forward"),
    (Claim("sidestep", "left"), "[step] sideways to the left"),
    (Claim("sidestep", "right"), "[step] sideways to the right"),
    (Claim("circle", "left"), "[walk] in a circle anticlockwise"),
    (Claim("circle", "right"), "[walk] in a circle clockwise"),
    (Claim("stand"), "[stand] still"),
)
_MEANWHILE = (
    (Claim("wave", "left"), "[wave] the left hand"),
    (Claim("wave", "right"), "[wave] the right hand"),
    (Claim("wave", "both"), "[wave] both hands"),
    (Claim("raise", "left"), "[raise] the left hand"),
    (Claim("raise", "right"), "[raise] the right hand"),
    (Claim("raise", "both"), "[raise] both hands"),
    (Claim("clap"), "[clap] the hands"),
    (Claim("cross"), "[cross] the arms"),
)
_NOT = (
    (Claim("walk"), "[walk] forward", ("arms", "head", "left arm", "right arm")),
    (Claim("backwards"), "[walk] backwards", ("arms", "head")),
    (Claim("march"), "[march] forward", ("arms",)),
    (Claim("run"), "[run] forward", ("turning",)),
    (Claim("walk"), "[walk] ahead", ("turning",)),
    (Claim("wave", "left"), "[wave] the left hand", ("feet", "right arm", "head")),
    (Claim("wave", "right"), "[wave] the right hand", ("feet", "left arm", "head")),
    (Claim("raise", "left"), "[raise] the left hand", ("feet", "right arm")),
    (Claim("raise", "right"), "[raise] the right hand", ("feet", "left arm")),
    (Claim("turn", "left", "spot"), "[turn] left on the spot", ("arms",)),
    (Claim("turn", "right", "spot"), "[turn] right on the spot", ("arms",)),
    (Claim("kick", "left"), "[kick] with the left foot", ("turning",)),
    (Claim("kick", "right"), "[kick] with the right foot", ("turning",)),
    (Claim("squat"), "[squat]", ("feet",)),
    (Claim("bow"), "[bow]", ("feet",)),
    (Claim("nod"), "[nod]", ("arms", "feet")),
    (Claim("shake"), "[shake] the head", ("arms", "feet")),
    (Claim("jump", "", "up"), "[jump] up", ("turning",)),
)
_WITHOUT = {
    "arms": "without moving the arms",
    "head": "without moving the head",
    "left arm": "without moving the left arm",
    "right arm": "without moving the right arm",
    "feet": "without moving the feet",
    "turning": "without turning",
}


def _filled(claim: Claim, side: str) -> Claim:
    return replace(
        claim, side=side if claim.side == "*" else claim.side, where=side if claim.where == "*" else claim.where
    )


def _singles() -> Iterator[tuple[str, Claim, str, str]]:
    """(rung, claim, wording, what follows it) of prompts with one event."""
    for claim, wordings in _ACTIONS:
        yield from (("action", claim, wording, "") for wording in wordings)
    for claim, wordings in _SIDED:
        for side in ("left", "right"):
            yield from (("side", _filled(claim, side), wording.replace("{side}", side), "") for wording in wordings)
    for side, words in _SENSE.items():
        for word in words if side == "left" else words * 2:
            for go in ("walk", "jog", "run"):
                yield "sense", Claim("circle", side), f"[{go}] in a circle", word
                yield "sense", Claim("circle", side), f"[{go}] {word} around a circle", ""
            yield "sense", Claim("spin", side), f"[spin] once {word} on the spot", ""
            yield "sense", Claim("spin", side), f"[turn] all the way round {word} in place", ""
        for wording in ("[turn] slightly {side}", "[walk] in a gentle curve to the {side}"):
            yield "angle", Claim("turn", side, extent="slightly"), wording.replace("{side}", side), ""
        for wording in ("[make] a quarter turn to the {side}", "[turn] ninety degrees to the {side}"):
            yield "angle", Claim("turn", side, degrees=90.0), wording.replace("{side}", side), ""
        for wording in (
            "[make] a half turn to the {side}",
            "[turn] around to the {side}",
            "[turn] halfway round to the {side}",
        ):
            yield "angle", Claim("turn", side, degrees=180.0), wording.replace("{side}", side), ""
        for wording in ("[make] a full turn to the {side}", "[spin] all the way round to the {side}"):
            yield "angle", Claim("spin", side), wording.replace("{side}", side), ""
        for extent, words_ in (
            ("high", ("high",)),
            ("half", ("to shoulder height",)),
            ("slightly", ("slightly", "a little")),
        ):
            for word in words_:
                for part in ("hand", "arm"):
                    yield "extent", Claim("raise", side, extent=extent), f"[raise] the {side} {part}", word
        for extent in ("small", "big"):
            for go in ("walk", "jog"):
                yield "extent", Claim("circle", side, extent=extent), f"[{go}] in a {extent} circle", _SENSE[side][0]
    for word in ("bend", "crouch"):
        for extra in ("slightly", "a little"):
            yield "extent", Claim(word, extent="slightly"), f"[{word}] down", extra
    for claim, wording in _PACED:
        for speed, adverbs in (("slowly", ("slowly", "at a slow pace")), ("quickly", ("quickly", "fast"))):
            yield from (("speed", replace(claim, speed=speed), wording, adverb) for adverb in adverbs)
    for claim, wording in _COUNTED:
        yield from (("count", replace(claim, count=n), wording, times) for n, times in _TIMES.items())


def build_word_prompts(each: int = 170) -> tuple[WordPrompt, ...]:
    """All prompts; subjects take turns. `each`: how many chains of two events; three and four events get fewer."""
    from mate.data.kinwords.grammar import ing, spoken, third

    made: dict[str, WordPrompt] = {}
    subjects = itertools.cycle(SUBJECTS)

    def add(text: str, rung: str, events: Events, seconds: float) -> None:
        for claim in itertools.chain(*events):
            check_claim(claim)
        made.setdefault(text, WordPrompt(text, rung, events, seconds))

    for rung, claim, wording, extra in _singles():
        length = _seconds(claim)
        for _ in range(2 if rung in ("action", "sense", "angle", "extent", "speed") else 1):
            add(f"{next(subjects)} {spoken(wording, third)} {extra}".strip(), rung, ((claim,),), length)
    for number, rung, many in (
        (2, "order of two", each),
        (3, "order of three", each * 6 // 10),
        (4, "order of four", each * 4 // 10),
    ):
        chains = [chain for chain in itertools.permutations(_CHAIN, number) if _apart([claim for claim, _ in chain])]
        step = len(chains) / many
        for index in range(many):
            chain = chains[int(index * step)]
            pattern = _JOIN[number][index % len(_JOIN[number])]
            text = pattern.replace("{s}", next(subjects))
            for place, (_, wording) in enumerate(chain):
                text = text.replace(f"{{{place}:ing}}", spoken(wording, ing)).replace(
                    f"{{{place}}}", spoken(wording, third)
                )
            add(text, rung, tuple((claim,) for claim, _ in chain), min(10.0, 1.0 + 2.5 * number))
    for (going, way), (claim, wording) in itertools.product(_GOING, _MEANWHILE):
        length = max(5.0, _seconds(going))
        add(f"{next(subjects)} {spoken(way, third)} while {spoken(wording, ing)}", "while", ((going, claim),), length)
        add(f"{next(subjects)} {spoken(wording, third)} while {spoken(way, ing)}", "while", ((going, claim),), length)
    for claim, wording, parts in _NOT:
        for part in parts:
            for _ in range(2):
                text = f"{next(subjects)} {spoken(wording, third)} {_WITHOUT[part]}"
                add(text, "not", ((claim, Claim("still", "", part)),), 4.0)
    return tuple(made.values())


def _seconds(claim: Claim) -> float:
    """Time enough for one event at an ordinary pace."""
    if claim.word == "circle":
        return 9.0 if claim.extent == "big" else 6.0
    once = {"eight": 8.0, "zigzag": 6.0, "lie": 6.0, "spin": 5.0}.get(claim.word, 6.0 if claim.count > 3 else 4.0)
    each = {"bow": 2.0, "squat": 1.8, "jump": 1.4}.get(claim.word, 0.0)
    return min(10.0, max(once, math.ceil(2.0 * (each * claim.count + 0.6)) / 2.0))


def _apart(claims: Sequence[Claim]) -> bool:
    """Do neighbours differ in more than the pose they need: no raise beside a raise or wave of the same arm?"""
    arms = {"raise", "wave"}
    return all(a.word != b.word and not (a.word in arms and b.word in arms) for a, b in itertools.pairwise(claims))


def parse_prompts(entries: Iterable[dict[str, Any]]) -> tuple[WordPrompt, ...]:
    """Prompts from plain data. Raises MateError for a claim that the judge does not know."""
    prompts = []
    for entry in entries:
        try:
            events = tuple(tuple(Claim(**claim) for claim in event) for event in entry["events"])
            prompts.append(WordPrompt(str(entry["text"]), str(entry["rung"]), events, float(entry["seconds"])))
        except (KeyError, TypeError, ValueError) as error:
            raise MateError(f"got a prompt without text, rung, seconds or events: {error!r}") from error
    return tuple(prompts)


@cache
def packaged_prompts() -> tuple[WordPrompt, ...]:
    """The fixed prompts that every card of this protocol is about."""
    content = json.loads((files("mate.evaluate") / "word_prompts.json").read_text(encoding="utf-8"))
    return parse_prompts(content["prompts"])


def without_subject(text: str) -> str:
    """The prompt without the one of `SUBJECTS` that it names: prompts that differ in nothing else ask for the same."""
    return re.sub(rf"\b({'|'.join(SUBJECTS)})\b", "", text, count=1).strip()


def word_prompts_hash(prompts: Iterable[WordPrompt]) -> str:
    """SHA-256 of what is asked: two cards with the same hash asked the same."""
    lines = "".join(json.dumps(prompt.json(), sort_keys=True) + "\n" for prompt in prompts)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def main() -> None:
    """Writes the file of prompts."""
    prompts = build_word_prompts()
    lines = ",\n".join(json.dumps(prompt.json()) for prompt in prompts)
    about = "Prompts of the protocol mate-words-1, made by mate.evaluate.word_prompts and then frozen. Apache-2.0."
    Path(sys.argv[1]).write_text(f'{{"about": {json.dumps(about)},\n"prompts": [\n{lines}\n]}}\n', encoding="utf-8")
    print(len(prompts))


if __name__ == "__main__":
    main()

"""Minimal pairs of kinwords: the program that made a clip is told in the grammar's wordings, with one fact changed.

A caption is a `Told`: subject, connective and, for each event, what is said of it word by word. Right and wrong are the same but for one
fact, which the program contradicts.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from mate.data.dataset import MotionTextDataset
from mate.data.kinwords import CONCEPTS
from mate.data.kinwords.actions import DEGREES, NUMBERS, Event
from mate.data.kinwords.grammar import (
    ADVERBS,
    ADVERBS_UNSEEN,
    CONNECTIVES,
    CONNECTIVES_UNSEEN,
    COUNTS,
    PRONOUN,
    SUBJECTS,
    SUBJECTS_UNSEEN,
    WHILE,
    WHILE_UNSEEN,
    Phrase,
    ing,
    spoken,
    third,
)
from mate.data.kinwords.grammar import PARTS as BODY
from mate.data.kinwords.program import RARE
from mate.evaluate.minimal_pairs import Makers, MinimalPair, one_word_apart
from mate.evaluate.opposites import (
    EXTENTS,
    GAITS,
    OPPOSITES,
    OTHER_SIDE,
    PARTS,
    RESTING,
    STILL,
    STILL_UNSEEN,
    SWINGING,
    TWO_WAYS,
    WAVING,
    alike,
)
from mate.text.vocabulary import stem

TRIES = 8  # captions drawn of a clip to find one in which a fact stands

# ---------------------------------------------------------------------- what is said


@dataclass(frozen=True)
class Saying:
    """What is said of one phrase.

    Attributes:
        concept: its action. wording: verbs in brackets, slots in braces. slots: their fillers.
        adverbs: (key, words) of each. count: how many times, 0 where it is not said; times: in words.
        still: (part, words) of what does not move; moving: (part, words) of what moves.
    """

    concept: str
    wording: str
    slots: tuple[tuple[str, str], ...]
    adverbs: tuple[tuple[str, str], ...] = ()
    count: int = 0
    times: str = ""
    still: tuple[str, str] = ("", "")
    moving: tuple[str, str] = ("", "")

    def slot(self, name: str) -> str:
        """The filler of a slot that the wording has, else nothing."""
        return dict(self.slots).get(name, "") if "{" + name + "}" in self.wording else ""

    def filled(self, **slots: str) -> "Saying":
        """The same with other fillers."""
        return replace(self, slots=tuple({**dict(self.slots), **slots}.items()))

    def form(self, form: str) -> str:
        """The text: "third" (walks), "ing" (walking) or "base" (walk)."""
        parts = (self.wording, *(words for _, words in self.adverbs), self.times, self.still[1], self.moving[1])
        text = " ".join(part for part in parts if part)
        for name, value in self.slots:
            text = text.replace("{" + name + "}", value)
        shapes: dict[str, Callable[[str], str]] = {"third": third, "ing": ing, "base": str}
        return re.sub(r"\s+", " ", spoken(text, shapes[form])).strip()


_PLACE = re.compile(r"(\{p\} )?\{(\w)(:ing)?\}")


@dataclass(frozen=True)
class Told:
    """A caption in its parts. `events`: for each event in order of time, how two things at once are joined, and what is said of them."""

    subject: str
    connective: str
    events: tuple[tuple[str, tuple[Saying, ...]], ...]

    @property
    def text(self) -> str:
        """The caption."""

        def event(number: str, form: str) -> str:
            pattern, sayings = self.events[int(number)]
            return self._fill(pattern, form, lambda which, own: sayings["ab".index(which)].form(own))

        return self._fill(self.connective.replace("{s}", self.subject), "third", event)

    def _fill(self, pattern: str, form: str, say: Callable[[str, str], str]) -> str:
        pronoun = PRONOUN[self.subject]

        def one(match: re.Match[str]) -> str:
            said, which, participle = match.groups()
            finite = ("base" if pronoun == "they" else "third") if said else form
            return (f"{pronoun} " if said else "") + say(which, "ing" if participle else finite)

        return _PLACE.sub(one, pattern)

    def put(self, event: int, place: int, saying: Saying) -> "Told":
        """The caption with one thing said otherwise."""
        pattern, sayings = self.events[event]
        changed = (pattern, (*sayings[:place], saying, *sayings[place + 1 :]))
        return replace(self, events=(*self.events[:event], changed, *self.events[event + 1 :]))

    def swapped(self, event: int) -> "Told":
        """The caption with an event and the next in each other's place."""
        first, second = self.events[event : event + 2]
        return replace(self, events=(*self.events[:event], second, first, *self.events[event + 2 :]))


def events_of(program: dict[str, Any]) -> list[list[Phrase]]:
    """What there is to say of each event of a program, as meta.jsonl holds it."""

    def event(facts: dict[str, Any]) -> Event:
        turn = None if facts["turn"] is None else tuple(facts["turn"])
        meanwhile = None if facts["meanwhile"] is None else event(facts["meanwhile"])
        return Event(**{**facts, "adverbs": tuple(facts["adverbs"]), "turn": turn, "meanwhile": meanwhile})

    return [event(facts).phrases() for facts in program["events"]]


def true_of(told: Told, events: Sequence[Sequence[Phrase]]) -> bool:
    """Is what a caption says, event for event, what the program did? Other wordings of one action are the grammar's to know."""
    return len(told.events) == len(events) and all(
        len(sayings) <= len(phrases) and all(any(_fits(saying, phrase) for phrase in phrases) for saying in sayings)
        for (_, sayings), phrases in zip(told.events, events, strict=True)
    )


def _fits(saying: Saying, phrase: Phrase) -> bool:
    both = (
        WAVING.get(phrase.concept) == saying.concept and saying.moving[0]
    )  # one hand of two, the other moving as well
    if saying.concept != phrase.concept and not both:
        return False
    for name in ("side", "sense", "size", "degrees", "number", "where"):
        said, is_so = saying.slot(name), phrase.slots.get(name)
        if name == "sense" and said:  # anticlockwise and counterclockwise are one
            said, is_so = (word == "clockwise" for word in (said, is_so))
        if saying.slot(name) and said != is_so and not (both and name == "side"):
            return False
    if saying.wording in dict(EXTENTS.values()) and saying.wording != EXTENTS.get(phrase.concept, ("",))[0]:
        return False
    return (
        all(key in phrase.adverbs for key, _ in saying.adverbs)
        and saying.count in (0, phrase.count)
        and saying.still[0] in ("", phrase.without)
    )


# ---------------------------------------------------------------------- telling, and flipping


def _pick(options: Sequence[Any], rng: np.random.Generator) -> Any:
    return options[int(rng.integers(len(options)))]


def say(phrase: Phrase, wording: str, rng: np.random.Generator) -> Saying:
    """All that is to be said of a phrase, in wordings of a kind."""
    unseen = wording == "unseen"
    concept = CONCEPTS[phrase.concept]
    chosen = _pick(concept.unseen if unseen else concept.seen, rng)
    adverbs = []
    for key in phrase.adverbs:
        options = [pair[0] for pair in OPPOSITES[key][2 if unseen else 1]] if key in OPPOSITES else None
        if options is None or (key in ("slight", "big") and phrase.concept not in TWO_WAYS):
            options = (ADVERBS_UNSEEN if unseen else ADVERBS)[key]
        adverbs.append((key, _pick(options, rng)))
    numbered = "{number}" in chosen
    times = "" if numbered or not phrase.count else _pick(COUNTS[phrase.count], rng)
    still = ("", "")
    if phrase.without and phrase.without != "head":
        kind = phrase.without.split()[-1]
        still = (
            phrase.without,
            _pick((STILL_UNSEEN if unseen else STILL)[kind], rng)[0].replace("{part}", phrase.without),
        )
    return Saying(phrase.concept, chosen, tuple(phrase.slots.items()), tuple(adverbs), phrase.count, times, still)


def tell(events: Sequence[Sequence[Phrase]], wording: str, rng: np.random.Generator) -> Told:
    """A caption of a program."""
    unseen = wording == "unseen"
    subject = str(_pick((SUBJECTS_UNSEEN if unseen else SUBJECTS), rng))
    connective = (
        "{s} {0}" if len(events) == 1 else _pick((CONNECTIVES_UNSEEN if unseen else CONNECTIVES)[len(events)], rng)
    )
    said = []
    for phrases in events:
        pattern = "{a}" if len(phrases) == 1 else _pick(WHILE_UNSEEN if unseen else WHILE, rng)
        said.append((pattern, tuple(say(phrase, wording, rng) for phrase in phrases)))
    return Told(subject, str(connective), tuple(said))


Flip = tuple[str, Told, Told, tuple[str, ...]]  # fact, right, wrong, the deciding actions


def flips(told: Told, events: Sequence[Sequence[Phrase]], wording: str, rng: np.random.Generator) -> Iterator[Flip]:
    """Every way to flip one fact of a caption."""
    for number, phrases in enumerate(events):
        for place, phrase in enumerate(phrases):
            saying = told.events[number][1][place]
            for fact, right, wrong in _of_saying(saying, phrase, wording, rng):
                yield fact, told.put(number, place, right), told.put(number, place, wrong), (phrase.concept,)
        yield from _of_negation(told, number, phrases, wording, rng)
    for number in range(len(events) - 1):
        actions = [events[number + k][0].concept for k in range(2)]
        if not alike(*actions) and not RESTING & {*actions}:
            yield "order", told, told.swapped(number), tuple(actions)


def _of_saying(
    saying: Saying, phrase: Phrase, wording: str, rng: np.random.Generator
) -> Iterator[tuple[str, Saying, Saying]]:
    side, sense = saying.slot("side"), saying.slot("sense")
    sided = f"{saying.still[1]} {' '.join(words for _, words in saying.adverbs)}"
    if side in OTHER_SIDE and not re.search(r"\b(left|right)\b", sided):
        yield "side", saying, saying.filled(side=OTHER_SIDE[side])
    if sense:
        other = (
            _pick(("anticlockwise", "anticlockwise", "counterclockwise"), rng) if sense == "clockwise" else "clockwise"
        )
        yield "sense", saying, saying.filled(sense=other)
    for n, (key, words) in enumerate(saying.adverbs):
        if key not in OPPOSITES or (key in ("slight", "big") and phrase.concept not in TWO_WAYS):
            continue
        opposite, *tables = OPPOSITES[key]
        other = next(b for a, b in tables[wording == "unseen"] if a == words)
        flipped = (*saying.adverbs[:n], (opposite, other), *saying.adverbs[n + 1 :])
        yield "speed" if key in ("slow", "fast") else "extent", saying, replace(saying, adverbs=flipped)
    size, degrees = saying.slot("size"), saying.slot("degrees")
    if size:
        yield "extent", saying, saying.filled(size={"small": "big", "big": "small"}[size])
    if degrees:
        amounts = {name: amount for amount, name in DEGREES.items()}
        far = [name for name, amount in amounts.items() if abs(amount - amounts[degrees]) >= 90]
        yield "extent", saying, saying.filled(degrees=_pick(far, rng))
    if wording == "seen" and phrase.concept in EXTENTS and not saying.adverbs:
        right, wrong = (replace(saying, wording=one) for one in EXTENTS[phrase.concept])
        yield "extent", right, wrong
    if saying.slot("number"):
        other = _pick([n for n in NUMBERS if n != phrase.count], rng)
        yield "count", saying, replace(saying.filled(number=NUMBERS[other]), count=other)
    elif saying.times:
        other = _pick([n for n in COUNTS if n != saying.count], rng)
        form = COUNTS[other][-1 if saying.times.endswith(("time", "times")) else 0]
        yield "count", saying, replace(saying, count=other, times=form)
    for concept, own, other in PARTS[wording == "unseen"]:
        if concept == phrase.concept and not saying.still[0]:
            chosen = side or phrase.slots.get("side", "")
            chosen = chosen if chosen in OTHER_SIDE else _pick(tuple(OTHER_SIDE), rng)
            yield (
                "part",
                replace(saying, wording=own).filled(side=chosen),
                replace(saying, wording=other).filled(side=chosen),
            )
    for own, name, other in _competing(wording == "unseen").get(phrase.concept, []):
        if own == saying.wording:
            yield "action", saying, replace(saying, concept=name, wording=other)


def _of_negation(
    told: Told, number: int, phrases: Sequence[Phrase], wording: str, rng: np.random.Generator
) -> Iterator[Flip]:
    """What does not move, told as moving, and the other way round; in as many wordings each."""
    table = STILL_UNSEEN if wording == "unseen" else STILL
    pattern, sayings = told.events[number]
    phrase, saying = phrases[0], sayings[0]

    def pair(part: str, said: Saying, event: str, is_still: bool, still: str = "") -> Flip:
        options = table[part.split()[-1]]
        quiet, moving = next((one for one in options if one[0].replace("{part}", part) == still), _pick(options, rng))
        both = (
            replace(said, still=(part, quiet.replace("{part}", part)), moving=("", "")),
            replace(said, still=("", ""), moving=(part, moving.replace("{part}", part))),
        )
        captions = [
            replace(told, events=(*told.events[:number], (event, (one,)), *told.events[number + 1 :]))
            for one in (both if is_still else both[::-1])
        ]
        return "negation", captions[0], captions[1], (phrase.concept,)

    if saying.still[0]:
        yield pair(saying.still[0], saying, pattern, True, saying.still[1])
    elif len(phrases) == 1 and phrase.concept in SWINGING:
        yield pair("arms", saying, pattern, False)
    elif len(phrases) == 1 and phrase.concept in WAVING:
        side = str(_pick(tuple(OTHER_SIDE), rng))
        one = WAVING[phrase.concept]
        concept = CONCEPTS[one]
        chosen = str(_pick(concept.unseen if wording == "unseen" else concept.seen, rng))
        yield pair(
            f"{OTHER_SIDE[side]} arm", replace(saying, concept=one, wording=chosen).filled(side=side), "{a}", False
        )
    elif len(phrases) == 2 and phrase.region == "going" and phrases[1].region != "head":
        yield pair("feet", sayings[1], "{a}", False)


@cache
def _competing(unseen: bool) -> dict[str, list[tuple[str, str, str]]]:
    """`one_word_apart` of the wordings of actions that exclude each other."""
    told = {name: concept for name, concept in CONCEPTS.items() if name not in RESTING}
    apart = one_word_apart({name: concept.unseen if unseen else concept.seen for name, concept in told.items()})

    def exclude(name: str, own: str, other: str, competing: str) -> bool:
        part = {*own.split()} ^ {*competing.split()} <= {*BODY}  # that is another fact
        return not part and (not alike(name, other) or any({name, other} <= gaits for gaits in GAITS))

    return {
        name: [(own, other, competing) for own, other, competing in options if exclude(name, own, other, competing)]
        for name, options in apart.items()
    }


class ProgramMakers(Makers):
    """Pairs of kinwords clips."""

    def __init__(self, dataset: MotionTextDataset) -> None:
        self.dataset = dataset
        self.events = [events_of(facts["program"]) for facts in dataset.meta]
        self.contents = tuple(
            "|".join(" & ".join(_content(phrase) for phrase in phrases) for phrases in events) for events in self.events
        )

    def of(self, index: int, rng: np.random.Generator, wording: str) -> Iterator[MinimalPair]:
        """At most one pair a fact: the first caption, of a few, in which the fact can be flipped, any of its places."""
        found: dict[str, list[Flip]] = {}
        for _ in range(TRIES):
            told = tell(self.events[index], wording, rng)
            made: dict[str, list[Flip]] = defaultdict(list)
            for flip in flips(told, self.events[index], wording, rng):
                made[flip[0]].append(flip)
            found = {**made, **found}
        for fact in sorted(found):
            yield self._pair(index, wording, fact, _pick(found[fact], rng))

    def by_word(
        self, index: int, rng: np.random.Generator, wording: str, stems: set[str]
    ) -> Iterator[tuple[str, MinimalPair]]:
        """The word is the one that an action flip exchanges."""
        events = self.events[index]
        told = tell(events, wording, rng)
        by_stem: dict[str, list[Flip]] = defaultdict(list)
        for number, phrases in enumerate(events):
            for place, phrase in enumerate(phrases):
                for own, name, other in _competing(wording == "unseen").get(phrase.concept, []):
                    differ = {*re.findall(r"[\w-]+", own)} ^ {*re.findall(r"[\w-]+", other)}
                    saying = replace(told.events[number][1][place], wording=own)
                    wrong = replace(saying, concept=name, wording=other)
                    for known in {stem(word) for word in differ} & stems:
                        flip = (
                            "word",
                            told.put(number, place, saying),
                            told.put(number, place, wrong),
                            (phrase.concept,),
                        )
                        by_stem[known].append(flip)
        for known in sorted(by_stem):
            yield known, self._pair(index, wording, "word", _pick(by_stem[known], rng))

    def _pair(self, index: int, wording: str, fact: str, flip: Flip) -> MinimalPair:
        _, right, wrong, actions = flip
        frequency = "rare" if set(actions) & set(RARE) else "frequent"
        denies = fact == "negation" and _denials(right) > _denials(wrong)
        name = self.dataset.names[index]
        return MinimalPair(name, index, right.text, wrong.text, fact, len(right.events), wording, frequency, denies)


def _denials(told: Told) -> int:
    return sum(bool(saying.still[0]) for _, sayings in told.events for saying in sayings)


def _content(phrase: Phrase) -> str:
    slots = [phrase.slots[name] for name in ("side", "sense", "size", "degrees", "where") if phrase.slots.get(name)]
    return " ".join([phrase.concept, *slots, *phrase.adverbs, str(phrase.count), phrase.without]).strip()

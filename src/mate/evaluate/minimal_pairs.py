"""Minimal pairs: a motion, the caption that is true of it, and one in which exactly one meaning is flipped.

Pairs are made of what a set knows of its clips: kinwords' programs (`minimal_pairs_kinwords`), the contents of real clips, single or
joined, in the packaged wordings. They are a function of (set, split, seed, each) and nothing else; `pairs_hash` names them.
"""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mate.data.captions import mirror_caption, words
from mate.data.dataset import MotionTextDataset, open_dataset
from mate.data.joined import sentence
from mate.data.wordings import draw, fraction, generator, paraphrases, wordings
from mate.errors import MateError
from mate.text.vocabulary import stem

FACTS = ("side", "sense", "speed", "extent", "count", "order", "part", "negation", "action", "synonym", "word")
WORDINGS = ("seen", "unseen")
EACH = 60  # pairs of one fact, number of events and wording


@dataclass(frozen=True)
class MinimalPair:
    """One motion and two captions.

    Attributes:
        clip: the motion's name in its set; index: its place in the split.
        right, wrong: captions that differ in one meaning; `right` is true of the motion.
        fact: which meaning, one of FACTS. events: how many a caption tells of.
        wording: "seen" (training wordings) or "unseen" (held out).
        frequency: "rare" where the deciding action is one that training hardly shows, else "frequent".
        denies: of pairs of negation: the right caption says what does not move, the wrong one that it moves; else the other way round.
        word: of pairs made for a word (fact "word"): that word.
    """

    clip: str
    index: int
    right: str
    wrong: str
    fact: str
    events: int
    wording: str
    frequency: str = "frequent"
    denies: bool = False
    word: str = ""

    @property
    def deciding(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words that only the right and that only the wrong caption has."""
        right, wrong = (Counter(word.text for word in words(text)) for text in (self.right, self.wrong))
        return tuple((right - wrong).elements()), tuple((wrong - right).elements())

    @property
    def rung(self) -> tuple[str, int, str, str]:
        """What pairs are counted by."""
        return self.fact, self.events, self.wording, self.frequency


@dataclass(frozen=True)
class PairSet:
    """The pairs of one split of a set.

    Attributes:
        contents: what each clip of the split shows; two clips with the same are no wrong answer for each other.
    """

    dataset: MotionTextDataset
    pairs: tuple[MinimalPair, ...]
    contents: tuple[str, ...]

    @property
    def name(self) -> str:
        """The set's folder."""
        return self.dataset.folder.resolve().name

    @property
    def sha256(self) -> str:
        """See `pairs_hash`."""
        return pairs_hash(self.pairs)


def pairs_hash(pairs: Iterable[MinimalPair]) -> str:
    """SHA-256 of clips and captions in their order: two cards with the same hash asked the same."""
    lines = "".join(json.dumps(asdict(pair), sort_keys=True) + "\n" for pair in pairs)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def make_pairs(folder: str | Path, split: str = "test", seed: int = 0, each: int = EACH) -> PairSet:
    """The pairs of a split of kinwords, of joined clips or of single clips with known contents.

    Clips are taken in an order that a hash of (seed, name) gives, and each gives one pair for a fact and a wording, until a rung has
    `each`: so the same clips serve many rungs.

    Raises:
        MateError: no such split, or a set that does not say what its clips show.
    """
    dataset = open_dataset(folder, split)
    contents, makers = _describe(dataset)
    return PairSet(dataset, _capped(dataset, makers, seed, each), contents)


def pairs_for_words(
    deciding: Sequence[str], folder: str | Path, split: str = "test", seed: int = 0, each: int = EACH
) -> PairSet:
    """Pairs (fact "word") in which one of these words, in any inflection, is right or wrong against a competing word.

    In one half of them the motion shows what the word says, in the other what its competitor says, so that neither word can win by its
    looks. A word that no wording puts against another in the same frame has no pairs.

    Args:
        each: pairs of one word.

    Raises:
        MateError: as `make_pairs`, or none of the words decides anything.
    """
    dataset = open_dataset(folder, split)
    contents, makers = _describe(dataset)
    stems = {stem(word.lower()): word.lower() for word in deciding}
    taken: dict[tuple[str, bool], list[MinimalPair]] = defaultdict(list)
    for known, pair in _by_word(dataset, makers, set(stems), seed):
        is_right = known in {stem(word) for word in pair.deciding[0]}
        if len(taken[stems[known], is_right]) < each // 2:
            taken[stems[known], is_right].append(replace(pair, word=stems[known]))
    if not taken:
        raise MateError(f"{folder}, split {split}: none of {', '.join(deciding)} decides a pair; see `deciding_words`")
    return PairSet(dataset, tuple(pair for key in sorted(taken) for pair in taken[key]), contents)


def deciding_words(
    folder: str | Path, split: str = "test", seed: int = 0, clips: int = 100, pairs: int = 50
) -> list[tuple[str, int, int]]:
    """Words to thin out: those in the captions of at least `clips` training clips that decide at least `pairs` pairs of the split.

    Returns:
        (word, training clips, pairs), most pairs first. All inflections count together; the word is the commonest one.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    training: Counter[str] = Counter()
    for captions in open_dataset(folder, "train").captions:
        said = {word.text for caption in captions for word in words(caption.text)}
        training.update({stem(word) for word in said})
        for word in said:
            forms[stem(word)][word] += 1
    dataset = open_dataset(folder, split)
    _, makers = _describe(dataset)
    common = {known for known, count in training.items() if count >= clips}
    decided = Counter(known for known, _ in _by_word(dataset, makers, common, seed))
    listed = [(known, count) for known, count in decided.most_common() if count >= pairs]
    return [(forms[known].most_common(1)[0][0], training[known], count) for known, count in listed]


def _by_word(
    dataset: MotionTextDataset, makers: "Makers", stems: set[str], seed: int
) -> Iterator[tuple[str, MinimalPair]]:
    for index in _order(dataset, seed):
        for wording in WORDINGS:
            rng = generator("words", seed, dataset.names[index], wording)
            yield from makers.by_word(index, rng, wording, stems)


class Makers:
    """Makes the pairs of one kind of set. The generator decides all that is drawn."""

    def of(self, index: int, rng: np.random.Generator, wording: str) -> Iterator[MinimalPair]:
        """At most one pair for every fact that can be flipped in a clip."""
        raise NotImplementedError

    def by_word(
        self, index: int, rng: np.random.Generator, wording: str, stems: set[str]
    ) -> Iterator[tuple[str, MinimalPair]]:
        """At most one pair for each of these stems that can decide one of the clip, with the stem."""
        raise NotImplementedError


def _describe(dataset: MotionTextDataset) -> tuple[tuple[str, ...], Makers]:
    facts = dataset.meta[0] if len(dataset) else {}
    if facts.get("source") == "kinwords" and "program" in facts:
        from mate.evaluate.minimal_pairs_kinwords import ProgramMakers

        makers = ProgramMakers(dataset)
        return makers.contents, makers
    named = [tuple(map(str, entry.get("contents") or [entry.get("content")])) for entry in dataset.meta]
    if not named or not all(content in wordings()["contents"] for contents in named for content in contents):
        raise MateError(
            f"{dataset.folder}, split {dataset.split}: its meta.jsonl names no programs and no known contents; minimal pairs "
            "are made of sets like those of `mate prepare kinwords`, `mate prepare bandai-namco` and `mate prepare joined`"
        )
    return tuple("+".join(contents) for contents in named), ContentMakers(dataset, named)


def _order(dataset: MotionTextDataset, seed: int) -> list[int]:
    return sorted(range(len(dataset)), key=lambda index: (fraction(f"pairs {seed} {dataset.names[index]}"), index))


def _capped(dataset: MotionTextDataset, makers: Makers, seed: int, each: int) -> tuple[MinimalPair, ...]:
    """At most `each` pairs a rung; of negation as many that deny as that affirm, since only one of them sounds like training."""
    taken: dict[tuple[str, int, str, str], dict[bool, list[MinimalPair]]] = defaultdict(lambda: {False: [], True: []})
    for index in _order(dataset, seed):
        for wording in WORDINGS:
            for pair in makers.of(index, generator("pairs", seed, dataset.names[index], wording), wording):
                group = taken[pair.rung][pair.denies]
                if len(group) < (max(1, each // 2) if pair.fact == "negation" else each):
                    group.append(pair)
    found: list[MinimalPair] = []
    for rung in sorted(taken):
        affirmed, denied = taken[rung].values()
        fewer = min(len(affirmed), len(denied)) if rung[0] == "negation" else None
        found += [*affirmed[:fewer], *denied[:fewer]]
    return tuple(found)


# ---------------------------------------------------------------------- wordings that differ in one word


def one_word_apart(phrases: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, str, str]]]:
    """By name: (its phrase, the other name, the other's phrase) for all phrases of two names that differ in exactly one word."""
    frames: dict[tuple[str, ...], set[tuple[str, str]]] = defaultdict(set)
    for name, phrase in ((name, phrase) for name, listed in phrases.items() for phrase in listed):
        parts = phrase.split()
        for place in (n for n, part in enumerate(parts) if len(words(part)) == 1):  # not those with a hyphen
            frames[(*parts[:place], "_", *parts[place + 1 :])].add((name, phrase))
    found: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for members in frames.values():
        for (name, phrase), (other, competing) in itertools.permutations(sorted(members), 2):
            if name != other and phrase != competing:
                found[name].add((phrase, other, competing))
    return {name: sorted(options) for name, options in sorted(found.items())}


# ---------------------------------------------------------------------- real clips

# Contents that one caption may fit: going forward and turning on the way, running, gestures of greeting, one hand and both.
_ALIKE = (
    {"walk", "walk-left", "walk-right", "walk-turn-left", "walk-turn-right"},
    {"run", "dash"},
    {"wave-left-hand", "wave-right-hand", "wave-both-hands", "bye", "byebye", "call", "respond", "guide"},
    {"raise-up-left-hand", "raise-up-right-hand", "raise-up-both-hands"},
    {"run", "walk-turn-left", "walk-turn-right"},
)
# What words that stand alone in `synonyms` need behind them, by content.
_OBJECTS = {
    "raise-up-left-hand": "the left hand", "raise-up-right-hand": "the right hand", "raise-up-both-hands": "both hands",
    "wave-left-hand": "the left hand", "wave-right-hand": "the right hand", "wave-both-hands": "both hands",
    "walk-turn-left": "left", "walk-turn-right": "right",
}  # fmt: skip


def alike(first: str, second: str) -> bool:
    """May one caption fit clips of both contents?"""
    return first == second or any(first in group and second in group for group in _ALIKE)


def _ordered(first: str, second: str) -> bool:
    """Does it say something which of two contents comes first? A hand that waves was raised before it waved."""
    actions = {content.split("-")[0] for content in (first, second)}
    return not alike(first, second) and actions != {"raise", "wave"}


@cache
def _competing(kind: str, present: frozenset[str]) -> dict[str, list[tuple[str, str, str]]]:
    """`one_word_apart` of the wordings of contents that are not alike; `kind`: seen, unseen or synonym."""
    table = wordings()["contents"]
    if kind == "synonym":
        phrases = {
            name: [f"{word} {_OBJECTS.get(name, '')}".strip() for word in table[name]["synonyms"] if " " not in word]
            for name in present
        }
    elif kind == "seen":
        phrases = {name: [*table[name]["train"], *paraphrases()["phrases"].get(name, ())] for name in present}
    else:
        phrases = {name: table[name]["held_out"] for name in present}
    return {
        name: [option for option in options if not alike(name, option[1])]
        for name, options in one_word_apart(phrases).items()
    }


@dataclass(frozen=True)
class ContentMakers(Makers):
    """Pairs of real clips, from the contents that they show in order of time.

    side: the words of side of one event are mirrored; action: one word of one event is another content's, which the split shows too
    (raise and wave among them: a waved hand is raised as well, but "waves" says more); synonym: the same with words that no training
    caption has, in otherwise known wording; order: two neighbouring events change places. Styles are not named.
    """

    dataset: MotionTextDataset
    named: Sequence[tuple[str, ...]]

    @cached_property
    def present(self) -> frozenset[str]:
        return frozenset(content for contents in self.named for content in contents)

    def of(self, index: int, rng: np.random.Generator, wording: str) -> Iterator[MinimalPair]:
        contents = self.named[index]
        phrases = [_phrase(content, wording, rng) for content in contents]
        frame = _frame(len(contents), wording, rng)
        sided = [n for n, phrase in enumerate(phrases) if _changed(phrase, mirror_caption(phrase)) == 1]
        if sided:
            place = int(rng.choice(sided))
            yield self._pair(
                index, wording, "side", frame, phrases, _put(phrases, place, mirror_caption(phrases[place]))
            )
        for fact, kind in (("action", wording), ("synonym", "synonym")):
            options = [n for n, content in enumerate(contents) if _competing(kind, self.present).get(content)]
            if options and (fact == "action" or wording == "seen"):
                place = int(rng.choice(options))
                own, _, other = _one_of(_competing(kind, self.present)[contents[place]], rng)
                right, wrong = _put(phrases, place, own), _put(phrases, place, other)
                yield self._pair(index, "unseen" if fact == "synonym" else wording, fact, frame, right, wrong)
        apart = [n for n in range(len(contents) - 1) if _ordered(contents[n], contents[n + 1])]
        if apart:
            place = int(rng.choice(apart))
            swapped = [*phrases]
            swapped[place : place + 2] = [phrases[place + 1], phrases[place]]
            yield self._pair(index, wording, "order", frame, phrases, swapped)

    def by_word(
        self, index: int, rng: np.random.Generator, wording: str, stems: set[str]
    ) -> Iterator[tuple[str, MinimalPair]]:
        contents = self.named[index]
        phrases = [_phrase(content, wording, rng) for content in contents]
        frame = _frame(len(contents), wording, rng)
        by_stem: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        for place, content in enumerate(contents):
            for own, _, other in _competing(wording, self.present).get(content, []):
                for known in {stem(word) for word in {*own.split()} ^ {*other.split()}} & stems:
                    by_stem[known].append((place, own, other))
        for known in sorted(by_stem):
            place, own, other = by_stem[known][int(rng.integers(len(by_stem[known])))]
            yield (
                known,
                self._pair(index, wording, "word", frame, _put(phrases, place, own), _put(phrases, place, other)),
            )

    def _pair(
        self,
        index: int,
        wording: str,
        fact: str,
        frame: tuple[str, list[str]],
        right: Sequence[str],
        wrong: Sequence[str],
    ) -> MinimalPair:
        true, false = (sentence(frame[0], list(phrases), frame[1]) for phrases in (right, wrong))
        return MinimalPair(self.dataset.names[index], index, true, false, fact, len(right), wording)


def _phrase(content: str, wording: str, rng: np.random.Generator) -> str:
    return draw(content, "normal", wording, rng, style_share=0.0).phrase


def _frame(events: int, wording: str, rng: np.random.Generator) -> tuple[str, list[str]]:
    """A subject, and the connectives between the events."""
    from mate.data.joined import templates

    table, part = wordings(), {"seen": "train", "unseen": "held_out"}[wording]
    subject = str(rng.choice(table["subjects"][part]))
    return subject, [str(rng.choice(templates(part, events))) for _ in range(events - 1)]


def _changed(first: str, second: str) -> int:
    """How many words differ between two phrases of one form."""
    return sum(a != b for a, b in zip(first.split(), second.split(), strict=True))


def _put(phrases: Sequence[str], place: int, phrase: str) -> list[str]:
    return [*phrases[:place], phrase, *phrases[place + 1 :]]


def _one_of(options: Sequence[Any], rng: np.random.Generator) -> Any:
    return options[int(rng.integers(len(options)))]

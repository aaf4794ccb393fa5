"""Captions: their words, simple part-of-speech tags, and their mirror image."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from mate.errors import MateError

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+", re.IGNORECASE)
_SIDES = {
    "left": "right",
    "lefts": "rights",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "clockwise": "anticlockwise",
}
_MIRROR = {**_SIDES, **{right: left for left, right in _SIDES.items()}, "counterclockwise": "clockwise"}
_MIRROR |= {"cw": "ccw", "ccw": "cw"}
# "right" and "left" that are no sides: "all right", "has left", "is left over"; "right away", "right angle" ...
_NO_SIDE_BEFORE = re.compile(r"(?:\ball|\bis|\bare|\bwas|\bhas|\bhave|\bhad|\bnothing|\bthat's)\s+$", re.IGNORECASE)
_NO_SIDE_AFTER = {
    "right": re.compile(r"^\s+(?:away|now|over|through|behind|next to|in front|on top|angles?|up to)\b", re.IGNORECASE),
    "left": re.compile(r"^\s+(?:over|behind)\b", re.IGNORECASE),
}
# ... and "sits down right after", but not "turns right after" nor "to the right after".
_MAYBE_NO_SIDE_AFTER = re.compile(r"^\s+(?:then|before|after)\b", re.IGNORECASE)
_SIDE_BEFORE = re.compile(
    r"(?:\b(?:the|their|his|her|its|a|to|and|or|then|left|right|slightly|sharply)|"
    r"\b(?:turn|step|mov|shift|lean|look|bend|veer|fac|go|walk|hop|jump|slid|sidestep|swerv|rotat|spin|twist|shuffl)\w*)\s+$",
    re.IGNORECASE,
)
_REACH = 32  # characters around a side word that tell what it means
_SIDE_WORD = re.compile(r"\b(counter[- ]clockwise|anti[- ]clockwise|" + "|".join(_MIRROR) + r")\b", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(a)n?( (?:anti)?clockwise)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Word:
    """One word of a caption, in lower case, with its character offsets."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """The words of a caption in reading order; hyphens and punctuation separate words."""
    return [Word(match.group().lower(), match.start(), match.end()) for match in _WORD.finditer(text)]


def mirror_caption(text: str) -> str:
    """The caption of the mirrored motion: left and right, clockwise and anticlockwise change places.

    "all right", "right away", "right angle" and the like keep their word. The case of the first letter is kept.
    """

    def swap(match: re.Match[str]) -> str:
        word = match.group()
        if word.lower() in ("left", "right"):
            # Only the neighbours matter; whole captions here would take quadratic time on a very long one.
            before, after = (
                text[max(0, match.start() - _REACH) : match.start()],
                text[match.end() : match.end() + _REACH],
            )
            if _NO_SIDE_BEFORE.search(before) and not re.match(r"\s+(?:hand|arm|leg|foot|side|knee)", after):
                return word
            if _NO_SIDE_AFTER[word.lower()].match(after) and not re.search(r"\b(?:the|to)\s+$", before):
                return word
            if word.lower() == "right" and _MAYBE_NO_SIDE_AFTER.match(after) and not _SIDE_BEFORE.search(before):
                return word
        other = _MIRROR.get(re.sub("[- ]", "", word.lower()), word)
        return other.capitalize() if word[0].isupper() else other

    swapped = _SIDE_WORD.sub(swap, text)
    return _ARTICLE.sub(
        lambda match: f"{match.group(1)}{'n' if 'anti' in match.group(2).lower() else ''}{match.group(2)}", swapped
    )


def mirror_tags(tags: str) -> str:
    """`word/POS` pairs of the mirrored motion: the words that `mirror_caption` exchanges when they stand in their sentence."""
    pairs = [pair.rpartition("/") for pair in tags.split()]
    swapped = mirror_caption(" ".join(word for word, _, _ in pairs)).split()
    if len(swapped) != len(pairs):
        swapped = [mirror_caption(word) for word, _, _ in pairs]
    return " ".join(f"{word}{slash}{part}" for word, (_, slash, part) in zip(swapped, pairs, strict=True))


Tagger = Literal["rules", "spacy"]

_DETERMINERS = frozenset("a an the this that these those his her their its".split())
_PREPOSITIONS = frozenset(
    "in on at to with from of by for into onto over under forward while as if like towards toward across along around "
    "before after".split()
)
_PRONOUNS = frozenset("he she it they him them someone somebody who".split())
_NOUNS = frozenset(
    "person man woman figure actor hand hands arm arms leg legs foot feet head body knee knees side step steps circle "
    "left right way turn jump kick punch wave bow dance ground floor place air energy times time line corner "
    "direction".split()
)
_ADVERBS = frozenset(
    "then up down forward forwards backward backwards ahead straight once twice high again back together".split()
)
_NUMBERS = frozenset("one two three four five several both".split())


def tag(text: str, tagger: Tagger = "rules") -> str:
    """`word/POS` pairs in HumanML3D's form.

    Args:
        tagger: "rules" is a small rule-based one (no model): approximate, good for its evaluators' input. "spacy" gives the original
            tags, nouns and verbs as lemmas, where spaCy and its English model are installed.

    Raises:
        MateError: spaCy or its model is missing.
    """
    if tagger == "spacy":
        return _spacy_tags(text)
    return " ".join(f"{word.text}/{_part_of_speech(word.text)}" for word in words(text))


@lru_cache(maxsize=1)
def _spacy_model() -> Any:
    try:
        import spacy  # pyright: ignore[reportMissingImports]

        return spacy.load("en_core_web_sm")
    except (ImportError, OSError) as error:
        raise MateError(
            "the spaCy tagger needs spaCy and its model en_core_web_sm (`pip install spacy`, then "
            "`python -m spacy download en_core_web_sm`); or take the tagger `rules`"
        ) from error


def _spacy_tags(text: str) -> str:
    pairs = []
    for token in _spacy_model()(text.replace("-", "")):
        if token.text.isalpha():
            lemma = token.pos_ in ("NOUN", "VERB") and token.text != "left"
            pairs.append(f"{token.lemma_ if lemma else token.text}/{token.pos_}")
    return " ".join(pairs)


def tag_agreement(texts: Iterable[tuple[str, str]]) -> float | None:
    """The share of words of (caption, tags) pairs whose part of speech the rules give, too; None where nothing can be compared.

    Captions whose tags name another number of words are left out.
    """
    same = total = 0
    for text, tags in texts:
        given = [pair.rpartition("/")[2] for pair in tags.split()]
        ours = [pair.rpartition("/")[2] for pair in tag(text.replace("-", "")).split()]
        if len(given) == len(ours):
            total += len(given)
            same += sum(a == b for a, b in zip(given, ours, strict=True))
    return same / total if total else None


def _part_of_speech(word: str) -> str:
    for known, part in (
        (_DETERMINERS, "DET"),
        (_ADVERBS, "ADV"),
        (_PREPOSITIONS, "ADP"),
        (_PRONOUNS, "PRON"),
        (_NOUNS, "NOUN"),
        (_NUMBERS, "NUM"),
    ):
        if word in known:
            return part
    if word in ("and", "or", "but"):
        return "CCONJ"
    if word in ("is", "are", "was"):
        return "AUX"
    if word.isdigit():
        return "NUM"
    if word.endswith("ly"):
        return "ADV"
    return "VERB" if word.endswith(("s", "ing", "ed")) else "NOUN"

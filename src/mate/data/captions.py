"""Captions: their words, simple part-of-speech tags, and their mirror image."""

import re
from dataclasses import dataclass

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+", re.IGNORECASE)
_SIDES = {
    "left": "right",
    "lefts": "rights",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "clockwise": "anticlockwise",
}
_MIRROR = {**_SIDES, **{right: left for left, right in _SIDES.items()}, "counterclockwise": "clockwise"}
# "right" and "left" that are no sides: "all right", "right away", "right angle", "has left", "is left over".
_NO_SIDE_BEFORE = re.compile(r"(?:\ball|\bis|\bare|\bwas|\bhas|\bhave|\bhad|\bnothing|\bthat's)\s+$", re.IGNORECASE)
_NO_SIDE_AFTER = re.compile(
    r"^\s+(?:away|now|then|over\b|before|after|through|behind|angles?\b|up to\b)", re.IGNORECASE
)
_SIDE_WORD = re.compile(r"\b(counter-clockwise|anti-clockwise|" + "|".join(_MIRROR) + r")\b", re.IGNORECASE)
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
            before, after = text[: match.start()], text[match.end() :]
            if _NO_SIDE_BEFORE.search(before) and not re.match(r"\s+(?:hand|arm|leg|foot|side|knee)", after):
                return word
            if _NO_SIDE_AFTER.match(after):
                return word
        other = _MIRROR.get(word.lower().replace("-", ""), word)
        return other.capitalize() if word[0].isupper() else other

    swapped = _SIDE_WORD.sub(swap, text)
    return _ARTICLE.sub(
        lambda match: f"{match.group(1)}{'n' if 'anti' in match.group(2).lower() else ''}{match.group(2)}", swapped
    )


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


def tag(text: str) -> str:
    """`word/POS` pairs in HumanML3D's form, by a small rule-based tagger (no model): approximate, good for its evaluators' input."""
    return " ".join(f"{word.text}/{_part_of_speech(word.text)}" for word in words(text))


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

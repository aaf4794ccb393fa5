"""Captions: concepts with their wordings, how they inflect and join, and which frames and joints every word is about.

A wording writes its verbs in square brackets in the base form, `[walk] forward`, and slots in braces: {side}, {go}, {sense}.
`seen` wordings may be used anywhere, `unseen` ones only in test captions.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mate.data.captions import words as split_words
from mate.data.kinwords.concepts import CONCEPTS
from mate.data.kinwords.words import HELD_OUT, JOINTS, MOCAP_CONTENTS
from mate.data.wordings import paraphrases

FPS = 20

SUBJECTS = ("a person", "someone", "a man", "a woman", "the figure")
SUBJECTS_UNSEEN = ("somebody", "the actor")
FURTHER_SHARE = 0.6  # of the wordings of actions that have further ones

# {i} the i-th event in the third person, {i:ing} in the -ing form; events count in order of time.
CONNECTIVES: dict[int, tuple[str, ...]] = {
    2: (
        "{s} {0}, then {1}", "{s} {0} and then {1}", "{s} {0}; after that, {p} {1}", "first {s} {0}, next {p} {1}",
        "{s} {0} and afterwards {1}", "before {1:ing}, {s} {0}", "{s} {1} after {0:ing}", "{s} first {0}, and then {1}",
    ),
    3: (
        "{s} {0}, then {1}, then {2}", "{s} {0}, {1} and then {2}", "first {s} {0}, next {p} {1}; after that, {p} {2}",
        "{s} {0} and then {1}, and finally {2}", "before {1:ing}, {s} {0}, and then {p} {2}",
        "{s} first {0}, then {1}, and lastly {2}",
    ),
    4: (
        "{s} {0}, then {1}, then {2}, then {3}", "{s} {0}, {1}, {2} and then {3}",
        "first {s} {0}, next {p} {1}; after that, {p} {2} and then {3}",
        "{s} {0} and then {1}; after that, {p} {2}, and finally {3}", "before {1:ing}, {s} {0}; then {p} {2} and finally {3}",
        "{s} {1} after {0:ing}, then {2}, and lastly {3}",
    ),
}  # fmt: skip
CONNECTIVES_UNSEEN: dict[int, tuple[str, ...]] = {
    2: ("{s} {0} before {1:ing}", "after {0:ing}, {s} {1}", "{s} {0}, followed by {1:ing}"),
    3: (
        "{s} {0} before {1:ing}, and then {p} {2}", "after {0:ing}, {s} {1} and then {2}", "{s} {0}, followed by {1:ing} and {2:ing}",
    ),
    4: (
        "{s} {0} before {1:ing}, and then {p} {2} before {3:ing}", "after {0:ing}, {s} {1}, followed by {2:ing} and {3:ing}",
        "{s} {0}, followed by {1:ing}, {2:ing} and {3:ing}",
    ),
}  # fmt: skip
WHILE = ("{a} while {b:ing}", "{a} and {b} at the same time", "{a}, {b:ing} all the while", "{b} while {a:ing}")
WHILE_UNSEEN = ("{a} as {p} {b}", "{b} during {a:ing}")

ADVERBS = {
    "slow": ("slowly", "slowly", "at a slow pace", "without hurry"),
    "fast": ("quickly", "quickly", "fast", "rapidly", "at a fast pace"),
    "slight": ("slightly", "a little", "a bit"),
    "big": ("with a big movement", "widely"),
    "high": ("high", "high up", "up high"),
    "long": ("with long steps", "with big steps", "taking big steps"),
    "short": ("with short steps", "with small steps", "taking small steps"),
}
ADVERBS_UNSEEN = {
    "slow": ("unhurriedly",),
    "fast": ("swiftly",),
    "slight": ("a touch",),
    "big": ("amply",),
    "high": ("loftily",),
    "long": ("with wide steps",),
    "short": ("with tiny steps",),
}
# What does not move; {part} is an arm with its side.
NEGATIONS = {
    "arms": (
        "without moving the arms", "with the arms still", "keeping the arms still", "not moving the arms", "without using the arms",
        "with arms that do not move",
    ),
    "head": (
        "without moving the head", "with the head still", "keeping the head still", "not moving the head", "without turning the head",
        "with a head that does not move",
    ),
    "feet": (
        "without moving the feet", "with both feet in place", "keeping both feet in place", "not moving the feet", "without taking a step",
        "without stepping",
    ),
    "arm": (
        "without moving the {part}", "with the {part} still", "keeping the {part} still", "not moving the {part}",
        "without using the {part}",
        "leaving the {part} still",
    ),
}  # fmt: skip
NEGATIONS_UNSEEN = {
    "arms": ("with motionless arms", "with the arms at rest"),
    "head": ("with a motionless head", "with the head at rest"),
    "feet": ("with motionless feet", "with the feet at rest"),
    "arm": ("with a motionless {part}", "with the {part} at rest"),
}
COUNTS = {
    1: ("once", "one time"),
    2: ("twice", "two times"),
    3: ("three times",),
    4: ("four times",),
    5: ("five times",),
}

# Verbs of several syllables whose last consonant doubles; with one syllable all do that end like "hop".
DOUBLED = frozenset(
    {
        "sidestep", "zigzag", "backstep", "begin", "admit", "submit", "transmit", "confer", "forget", "offset", "outrun", "dogtrot",
        "footslog", "sideslip", "wigwag", "dogleg", "overtop", "patrol", "slingshot",
    }
)  # fmt: skip
_ONE_SYLLABLE = re.compile(r"[^aeiou]*(?:qu)?[aeiou][^aeiouwxy]")
THIRD = {"be": "is", "do": "does", "go": "goes", "have": "has"}
# Words that no frame or joint is about.
SILENT = frozenset(
    {
        "the", "a", "an", "is", "are", "of", "with", "to", "in", "and", "on", "as", "at", "from", "it", "its", "for", "by",
        "while", "all", "or", "if", "were", "then", "first", "next", "that", "after", "before", "he", "she", "they", "same",
        "during", "does", "do", "followed", "finally", "lastly", "afterwards",
    }
)  # fmt: skip
PARTS = {
    "hand": "hand", "hands": "hand", "fist": "hand", "fists": "hand", "palms": "hand", "arm": "arm", "arms": "arm",
    "shoulder": "arm", "head": "head", "face": "head", "leg": "leg", "legs": "leg", "knee": "leg", "knees": "leg",
    "foot": "foot", "feet": "foot", "toes": "foot", "body": "trunk", "hips": "hips",
}  # fmt: skip
# Words that are about the turn of a walk that turns, not about the whole walk.
TURNING = frozenset(
    {
        "turn", "turns", "turning", "left", "right", "corner", "direction", "changes", "changing", "rounds", "rounding",
        "curve", "curves", "curving", "around", "halfway", "half", "back",
    }
)  # fmt: skip
OVER = frozenset(
    {
        "step", "steps", "stepping", "over", "obstacle", "something", "bar", "box", "low", "leading", "first", "left", "right", "leg",
        "foot",
        "hurdle", "clear", "clears", "clearing", "surmount", "surmounts", "surmounting", "front",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Phrase:
    """What a caption says of one event: its concept, what fills the slots, and where and when it is true.

    Attributes:
        concept: a key of CONCEPTS.
        slots: fillers of the braces.
        adverbs: keys of ADVERBS; count: how many times, 0 for none.
        start, end: seconds; turn: the seconds of the turn (or the step over something) inside it, if there is one.
        without: what does not move, see NEGATIONS.
        region: a key of JOINTS, with the side in front where it has one: "left arm".
    """

    concept: str
    slots: dict[str, str]
    adverbs: tuple[str, ...]
    count: int
    start: float
    end: float
    region: str
    turn: tuple[float, float] | None = None
    without: str = ""


@dataclass(frozen=True)
class Wording:
    """A phrase in three forms: "walks forward", "walking forward", and after "they" "walk forward"."""

    third: str
    ing: str
    base: str


def third(verb: str) -> str:
    """walk -> walks."""
    if verb in THIRD:
        return THIRD[verb]
    if re.search(r"(s|sh|ch|x|z)$", verb):
        return verb + "es"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + "s"


def ing(verb: str) -> str:
    """walk -> walking."""
    if verb in DOUBLED or _ONE_SYLLABLE.fullmatch(verb):
        return verb + verb[-1] + "ing"
    if verb.endswith("ic"):
        return verb + "king"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe")) and verb != "be":
        return verb[:-1] + "ing"
    return verb + "ing"


def base(verb: str) -> str:
    """walks -> walk: the inverse of `third`."""
    irregular = {form: plain for plain, form in THIRD.items()}
    if verb in irregular:
        return irregular[verb]
    if re.search(r"(ss|sh|ch|x|zz)es$", verb):
        return verb[:-2]
    if re.search(r"[^aeiou]ies$", verb):
        return verb[:-3] + "y"
    return verb[:-1]


_VERB_PLACE = re.compile(r"(^|, |\band (?:then )?|\bthen )([a-z]+s)\b")


_LATER_VERBS = set("closes ebbs finishes freezes pauses shuts stays sustains swivels uncrosses".split())


_ORDER = re.compile(r"\b(after|before|then)\b")


@cache
def further_wordings(concept: str) -> tuple[str, ...]:
    """Wordings with bracketed verbs, made of the mocap corpus' training phrases for the same action; none where it has none.

    Phrases without a verb in the third person in front ("is walking", "with both arms up") are left out, and those that tell of
    an order of their own ("turns after a few steps"), which connectives would tangle.
    """
    name = MOCAP_CONTENTS.get(concept)
    if name is None:
        return ()
    phrases = [phrase.replace(" left", " {side}") for phrase in paraphrases()["phrases"][name.format(side="left")]]
    starts = {found[2] for found in map(_VERB_PLACE.match, phrases) if found} - {
        "is",
        "has",
        "arms",
        "hands",
    } | _LATER_VERBS

    def bracket(found: re.Match) -> str:
        return f"{found[1]}[{base(found[2])}]" if found[2] in starts else found[0]

    wordings = (_VERB_PLACE.sub(bracket, phrase) for phrase in phrases)
    return tuple(wording for wording in wordings if wording.startswith("[") and not _ORDER.search(wording))


def spoken(wording: str, form: Callable[[str], str]) -> str:
    """A wording with its verbs in a form, `third` or `ing`."""
    return re.sub(r"\[(\w+)\]", lambda match: form(match[1]), wording)


def pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of the options, evenly."""
    return options[int(rng.integers(len(options)))]


def word_phrase(phrase: Phrase, rng: np.random.Generator, unseen: bool, progressive: bool = False) -> Wording:
    """A wording for a phrase; `progressive` allows "is walking"."""
    concept = CONCEPTS[phrase.concept]
    # They name no slot but the side, and leave no room for an adverb or a count.
    plain_event = (
        not phrase.adverbs and not phrase.count and not phrase.without and phrase.slots.get("go", "walk") == "walk"
    )
    further = further_wordings(phrase.concept) if plain_event and not unseen else ()
    if further and rng.random() < FURTHER_SHARE:
        text = pick(further, rng)
    else:
        text = pick(concept.unseen if unseen and concept.unseen else concept.seen, rng)
    for key, value in phrase.slots.items():
        text = text.replace("{" + key + "}", value)
    text = re.sub(r"\s+", " ", text).strip()
    for adverb in phrase.adverbs:
        words = pick((ADVERBS_UNSEEN if unseen else ADVERBS)[adverb], rng)
        if words.endswith("ly") and rng.random() < 0.3:
            text = f"{words} {text}"
        else:
            text = f"{text} {words}"
    if phrase.count and "{number}" not in concept.seen[0]:
        text = f"{text} {pick(COUNTS[phrase.count], rng)}"
    finite, participle = spoken(text, third), spoken(text, ing)
    plain = text.replace("[", "").replace("]", "")
    # Now and then the progressive: "is walking".
    if progressive and text.startswith("[") and text.count("[") == 1 and rng.random() < 0.2:
        finite, plain = "is " + participle, "are " + participle
    return Wording(finite, participle, plain)


PRONOUN = {
    "a man": "he",
    "a woman": "she",
    "the figure": "it",
    "the actor": "they",
    "a person": "they",
    "someone": "they",
    "somebody": "they",
}


Piece = tuple[str, Phrase | None]
_SLOT = re.compile(r"(\{[^}]*\})")


def _event(
    phrases: list[Phrase], pronoun: str, rng: np.random.Generator, unseen: bool, progressive: bool
) -> dict[str, list[Piece]]:
    """The pieces of text of one event (one phrase, or two at the same time) in the forms of `Wording`."""
    wordings = [word_phrase(phrase, rng, unseen, progressive) for phrase in phrases]
    pattern = "{a}" if len(phrases) == 1 else pick(WHILE_UNSEEN if unseen and rng.random() < 0.5 else WHILE, rng)
    still = [_negation(phrase, rng, unseen) for phrase in phrases]
    forms: dict[str, list[Piece]] = {}
    for form in ("third", "ing", "base"):
        pieces: list[Piece] = []
        after_pronoun = False
        for piece in filter(None, _SLOT.split(pattern)):
            if piece == "{p}":
                pieces.append((pronoun, None))
                after_pronoun = True
            elif piece[0] == "{":
                which = "ab".index(piece[1])
                own = "ing" if "ing" in piece else form
                if after_pronoun:
                    own = "base" if pronoun == "they" else "third"
                pieces.append((getattr(wordings[which], own), phrases[which]))
                pieces += still[which]
            else:
                pieces.append((piece, None))
        forms[form] = pieces
    return forms


def _negation(phrase: Phrase, rng: np.random.Generator, unseen: bool) -> list[Piece]:
    """What a phrase says of something that does not move: words about that part, throughout."""
    if not phrase.without:
        return []
    kind = phrase.without.split()[-1]
    text = pick((NEGATIONS_UNSEEN if unseen else NEGATIONS)[kind], rng).replace("{part}", phrase.without)
    region = {"arms": "arm", "feet": "foot"}.get(kind, phrase.without)
    return [(" ", None), (text, replace(phrase, region=region, turn=None))]


def caption(
    parts: list[list[Phrase]], rng: np.random.Generator, unseen: bool = False
) -> tuple[str, list[dict], list[str]]:
    """Writes a caption for events in order of time; each event is one phrase, or two that happen at once.

    Returns:
        The text, the words it is true of ({"word", "start", "end", "joints", "index"}; "index" counts the caption's words from 0) and one
        text an event.
    """
    subject = pick(SUBJECTS_UNSEEN if unseen and rng.random() < 0.5 else SUBJECTS, rng)
    pronoun = PRONOUN[subject]
    events = [_event(phrases, pronoun, rng, unseen, len(parts) == 1) for phrases in parts]
    pattern = "{s} {0}"
    if len(parts) > 1:
        pattern = pick((CONNECTIVES_UNSEEN if unseen else CONNECTIVES)[len(parts)], rng)
    pieces: list[Piece] = []
    form = "third"
    for piece in filter(None, _SLOT.split(pattern)):
        if piece == "{s}":
            pieces.append((subject, None))
            form = "third"
        elif piece == "{p}":
            pieces.append((pronoun, None))
            form = "base" if pronoun == "they" else "third"
        elif piece[0] == "{":
            pieces += events[int(piece[1])]["ing" if "ing" in piece else form]
        else:
            pieces.append((piece, None))
    text = ""
    words: list[dict] = []
    for piece, phrase in pieces:
        if phrase is not None:
            words += _ground(piece, phrase, len(text))
        text += piece
    # The place of a word among the words of the caption survives mirroring, a character offset would not.
    order = {word.start: i for i, word in enumerate(split_words(text))}
    for word in words:
        word["index"] = order[word.pop("at")]
    return text, words, ["".join(piece for piece, _ in event["third"]) for event in events]


def _ground(text: str, phrase: Phrase, at: int) -> list[dict]:
    """The words of a phrase with their seconds and joints."""
    out = []
    side = next((s for s in ("left", "right") if phrase.region.startswith(s)), "")
    for found in split_words(text):
        word = found.text
        if word in SILENT:
            continue
        region = phrase.region
        if word in PARTS:
            part = PARTS[word]
            region = f"{side} {part}" if side and part not in ("head", "trunk", "hips") else part
        start, end = phrase.start, phrase.end
        if phrase.turn is not None and word in (OVER if phrase.concept == "step_over" else TURNING):
            start, end = phrase.turn
        out.append(
            {
                "word": word,
                "start": round(start, 3),
                "end": round(end, 3),
                "frames": [round(start * FPS), round(end * FPS)],
                "joints": list(JOINTS[region]),
                "at": at + found.start,
            }
        )
    return out


def training_wordings() -> list[str]:
    """Every training wording in both forms, with the slots empty: what must not hold a held-out word."""
    out: list[str] = [*SUBJECTS, *WHILE, *(c for group in CONNECTIVES.values() for c in group)]
    out += [text for table in (ADVERBS, COUNTS, NEGATIONS) for group in table.values() for text in group]
    for name, concept in CONCEPTS.items():
        for text in (*concept.seen, *further_wordings(name)):
            out += [spoken(text, third), spoken(text, ing)]
    return out


def vocabulary() -> dict[str, list[str]]:
    """The words of motion (all but the silent ones) of the training wordings, and those that only held-out wordings have, in base form."""
    slots = "left right up forward clockwise anticlockwise counterclockwise small big two three four five degrees"

    def of(texts: Iterable[str]) -> set[str]:
        plain = (re.sub(r"\{[^}]*\}", " ", text).replace("[", "").replace("]", "") for text in texts)
        return {word.text for text in plain for word in split_words(text)} - SILENT

    seen = [text for name, concept in CONCEPTS.items() for text in (*concept.seen, *further_wordings(name))]
    unseen = [text for concept in CONCEPTS.values() for text in concept.unseen]
    seen += [text for table in (ADVERBS, COUNTS, NEGATIONS) for group in table.values() for text in group]
    unseen += [text for table in (ADVERBS_UNSEEN, NEGATIONS_UNSEEN) for group in table.values() for text in group]
    training = of([*seen, slots])
    forms = {form(word) for word in training for form in (third, ing)}
    return {"training": sorted(training), "held out": sorted(of(unseen) - training - forms)}


def held_out_in(text: str) -> list[str]:
    """The held-out words and phrases that a text contains."""
    low = f" {re.sub(r'[^a-z -]', ' ', text.lower())} "
    low = re.sub(r"\s+", " ", low)
    return sorted(p for p in HELD_OUT if f" {p} " in low)

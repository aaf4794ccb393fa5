"""The motion words of a corpus, and the word pieces (rows of the word-embedding table) that they are made of.

A word of several pieces is one word: its word embedding is the mean of its pieces' rows.

Known from the paper: one prototype a word of the motion vocabulary (K = 5161 for HumanML3D, 1191 for KIT-ML).
Ours: words that say nothing about movement are left out (`FUNCTION_WORDS`, `SUBJECT_WORDS`), so that neither their rows
nor prototypes for them are trained.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mate.data.captions import Word, words
from mate.errors import MateError
from mate.text.encoder import TextEncoder

# Articles, pronouns, auxiliaries, conjunctions and the prepositions without a direction. Words of place, direction, order,
# number and negation stay: they change the movement.
_FUNCTION_WORDS = """
a an the this that these those his her hers him he she it its they them their theirs himself herself itself themselves who which
what whose is are was were be been being am do does did has have had having can could will would shall should may might must and
or but nor so if as of at by for with from to in on than such there here s t
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
# Who moves: every motion has somebody, so these tell no motion from another.
_SUBJECT_WORDS = """
person persons people man men woman women someone somebody figure figures human humans guy lady boy girl actor actress character
individual subject one's someone's person's
"""
SUBJECT_WORDS = frozenset(_SUBJECT_WORDS.split())
_IRREGULAR = {
    "ran": "run",
    "sat": "sit",
    "stood": "stand",
    "went": "go",
    "goes": "go",
    "gone": "go",
    "came": "come",
    "threw": "throw",
    "thrown": "throw",
    "fell": "fall",
    "fallen": "fall",
    "knelt": "kneel",
    "swung": "swing",
    "bent": "bend",
    "lay": "lie",
    "lying": "lie",
    "lies": "lie",
    "took": "take",
    "taken": "take",
    "held": "hold",
    "put": "put",
    "brought": "bring",
    "drew": "draw",
    "drawn": "draw",
    "crept": "creep",
    "leapt": "leap",
    "swam": "swim",
    "shook": "shake",
    "shaken": "shake",
    "hands": "hand",
    "feet": "foot",
    "left": "left",
}
# Suffixes, longest first, and how many letters must be left.
_SUFFIXES = (
    ("ingly", 3),
    ("edly", 3),
    ("ily", 3),
    ("ing", 2),
    ("ied", 2),
    ("ies", 2),
    ("ly", 4),
    ("ed", 3),
    ("es", 3),
    ("s", 3),
)


def stem(word: str) -> str:
    """A word without its inflection: walk, walks, walked and walking share a stem. Small and rule-based, for English.

    It errs towards joining words: a joined pair is left out of the negatives, a wrong negative would hurt.
    """
    word = word.lower()
    if word in _IRREGULAR:
        return _bare(_IRREGULAR[word])
    for suffix, least in _SUFFIXES:
        if suffix == "s" and word.endswith(("ss", "us", "is")):
            continue
        if word.endswith(suffix) and len(word) - len(suffix) >= least and _has_vowel(word[: -len(suffix)]):
            rest = word[: -len(suffix)]
            if suffix in ("ies", "ied", "ily"):
                rest += "y"
            elif suffix in ("ing", "ed") and len(rest) > 3 and rest[-1] == rest[-2] and rest[-1] not in "lsz":
                rest = rest[:-1]  # stopping -> stop
            return _bare(rest)
    return _bare(word)


def _bare(word: str) -> str:
    """Final e and y/i made alike: wave and wav(ing), carry and carri(es)."""
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word.endswith("y") and word[-2] not in "aeiou" else word


def _has_vowel(text: str) -> bool:
    return any(letter in "aeiouy" for letter in text)


def is_motion_word(word: str) -> bool:
    """Whether a (lower-case) word may say something about movement."""
    return word not in FUNCTION_WORDS and word not in SUBJECT_WORDS


@dataclass(frozen=True)
class MotionVocabulary:
    """K motion words and their word pieces.

    Attributes:
        words: K distinct lower-case words, sorted.
        counts: how often each occurs in the corpus.
        pieces: for every word the ids of its word pieces (several spellings in context are merged).
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    pieces: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """word -> its number."""
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """The stem of every word."""
        return tuple(stem(word) for word in self.words)

    @cached_property
    def token_ids(self) -> Tensor:
        """The rows of the word-embedding table that the words use, (R,) int64, ascending."""
        return torch.tensor(sorted({piece for pieces in self.pieces for piece in pieces}), dtype=torch.long)

    @cached_property
    def stem_ids(self) -> Tensor:
        """(K,) int64: words with one stem have one number."""
        numbers = {name: number for number, name in enumerate(sorted(set(self.stems)))}
        return torch.tensor([numbers[name] for name in self.stems], dtype=torch.long)

    def find(self, text: str) -> list[tuple[Word, int]]:
        """The motion words of a caption with their numbers, in reading order."""
        return [(word, self.index[word.text]) for word in words(text) if word.text in self.index]


def build_vocabulary(captions: Iterable[str], encoder: TextEncoder, least: int = 1) -> MotionVocabulary:
    """The motion vocabulary of a corpus.

    Args:
        captions: repeated captions count once.
        least: words that occur in fewer captions are left out.

    Raises:
        MateError: no motion word was found.
    """
    unique = sorted({caption for caption in captions if caption.strip()})
    counts: Counter[str] = Counter()
    pieces: dict[str, set[int]] = {}
    for start in range(0, len(unique), 1024):
        _count(unique[start : start + 1024], encoder, counts, pieces)
    kept = sorted(word for word, count in counts.items() if count >= least)
    if not kept:
        raise MateError(
            f"found no motion words in {len(unique)} captions; expected captions such as 'a person walks forward'"
        )
    return MotionVocabulary(
        tuple(kept), tuple(counts[word] for word in kept), tuple(tuple(sorted(pieces[word])) for word in kept)
    )


def _count(texts: Sequence[str], encoder: TextEncoder, counts: Counter[str], pieces: dict[str, set[int]]) -> None:
    """Adds the motion words of `texts` to `counts`, and their pieces to `pieces`."""
    tokens = encoder.tokenize(texts, truncate=True)
    ids, offsets = tokens.ids.tolist(), tokens.offsets.tolist()
    for text, row, spans in zip(texts, ids, offsets, strict=True):
        seen = set()
        # Padding and special tokens have no characters: most of a batch's places, which no word has to look at.
        said = [(piece, start, end) for piece, (start, end) in zip(row, spans, strict=True) if end > start]
        for word in words(text):
            if not is_motion_word(word.text):
                continue
            own = {piece for piece, start, end in said if start < word.end and end > word.start}
            if own:
                pieces.setdefault(word.text, set()).update(own)
                seen.add(word.text)
        counts.update(seen)


def pieces_of(encoder: TextEncoder, spoken: Sequence[str]) -> dict[str, Tensor]:
    """word -> the ids of its pieces, in order. Read inside a text: some tokenisers write a text's first word in another way."""
    found: dict[str, Tensor] = {}
    lead = "the "
    for start in range(0, len(spoken), 512):
        group = spoken[start : start + 512]
        tokens = encoder.tokenize([f"{lead}{word}" for word in group], truncate=True)
        for word, ids, spans in zip(group, tokens.ids.cpu(), tokens.offsets, strict=True):
            inside = (spans[:, 1] > len(lead)) & (spans[:, 1] > spans[:, 0])
            found[word] = ids[inside]
    return found

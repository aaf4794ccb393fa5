"""Clips whose captions say, word by word, which frames a word is about: what the grounding probe measures on.

    joined real clips   `mate prepare joined`: a word is about the event whose phrase it stands in; boundaries are seams between events
    kinwords            meta["words"]: frames and joints by construction, also of words shorter than their event

The phrases of a joined caption are told apart by the connectives that put them together (`wordings.json`), not by our splitter: what is
measured must not make its own truth.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mate.data.captions import Word
from mate.data.captions import words as words_in
from mate.data.dataset import MotionTextDataset, open_dataset
from mate.data.wordings import paraphrases, wordings
from mate.errors import MateError
from mate.text.vocabulary import is_motion_word

Span = tuple[float, float]


@cache
def manner_words() -> frozenset[str]:
    """Words of the packaged wordings that say how something is done ("tired", "vigour") and are in none for what is done."""
    table, phrases = wordings(), paraphrases()["phrases"]

    def spoken(entries: Iterable[Mapping[str, Sequence[str]]]) -> set[str]:
        return {word.text for entry in entries for kind in entry.values() for text in kind for word in words_in(text)}

    done = spoken(table["contents"].values()) | {
        word.text for texts in phrases.values() for text in texts for word in words_in(text)
    }
    return frozenset(spoken(table["styles"].values()) - done)


@dataclass(frozen=True)
class KnownWord:
    """A motion word with its truth.

    Attributes:
        text: in lower case. index: its place among the words of its caption.
        start, end: its frames. event: the frames of the event that it belongs to.
        joints: the joints that it is about; empty where that is not known.
        once: no other event of the caption has this word. Without a prior a word's attention is the same wherever it stands.
    """

    text: str
    index: int
    start: int
    end: int
    event: tuple[int, int]
    joints: tuple[int, ...] = ()
    once: bool = True

    @property
    def short(self) -> bool:
        """Is it about no more than three quarters of its event?"""
        return self.end - self.start <= 0.75 * (self.event[1] - self.event[0])


@dataclass(frozen=True)
class KnownClip:
    """One motion with one of its captions.

    Attributes:
        name: of the clip: clips of one name are one motion.
        features: (T, 263), raw. joints: (T, 22, 3) metres, for the controls. fps: frames a second.
        wording: "seen" or "unseen" in training.
        boundaries: where one event ends and the next begins, in order, as (earliest, latest) seconds.
        words: those whose truth is known; empty where the phrases could not be told apart.
    """

    name: str
    features: np.ndarray
    joints: np.ndarray
    fps: float
    caption: str
    wording: str
    boundaries: tuple[Span, ...]
    words: tuple[KnownWord, ...]


_AFTER = re.compile(r"after (.+?ing\b.*), (.+)", re.IGNORECASE)
_CONNECTIVE = re.compile(r"; after that, |, followed by |, then | and then | before ")


def phrases_of(caption: str, count: int) -> list[tuple[int, int]] | None:
    """The character spans of the phrases of a templated caption of `count` events, in order of time.

    None where they cannot be told apart: a phrase that says "then" itself.
    """
    inverted = _AFTER.fullmatch(caption)
    if inverted and count == 2:
        return [inverted.span(1), inverted.span(2)] if caption.count(", ") == 1 else None
    pattern = re.compile(r", next ") if count == 2 and re.search(r"\bfirst\b.*, next ", caption) else _CONNECTIVE
    cuts = [match.span() for match in pattern.finditer(caption)]
    if len(cuts) != count - 1:
        return None
    starts, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(caption)]
    return list(zip(starts, ends, strict=True))


def read_clips(folder: str | Path, split: str = "test", limit: int | None = None) -> list[KnownClip]:
    """The clips of a split of a joined set or of kinwords, each with its first caption in a seen and its first in an unseen wording.

    Args:
        limit: at most so many motions, the first of the split.

    Raises:
        MateError: no such set, or its meta.jsonl does not say when the events of any clip are.
    """
    dataset = open_dataset(folder, split)
    numbers = range(len(dataset) if limit is None else min(limit, len(dataset)))
    found = [clip for number in numbers for clip in _clips(dataset, number)]
    if not found:
        raise MateError(
            f"{folder}, split {split}: no clip's events have known times in meta.jsonl; "
            "expected a set of `mate prepare joined` or `mate prepare kinwords`"
        )
    return found


def _clips(dataset: MotionTextDataset, number: int) -> Iterator[KnownClip]:
    facts = dataset.meta[number]
    segments = facts.get("segments") or []
    if not segments:
        return
    features = np.asarray(dataset.features(number))
    joints = np.asarray(dataset.joints(number))
    kinds = facts.get("caption_kinds") or ["seen"] * len(dataset.captions[number])
    edges = [(float(part["start"]), float(part["end"])) for part in segments]
    boundaries = tuple((min(end, start), max(end, start)) for (_, end), (start, _) in itertools.pairwise(edges))
    frames = [(round(start * dataset.fps), min(round(end * dataset.fps), len(features))) for start, end in edges]
    for kind in dict.fromkeys(kinds):
        place = kinds.index(kind)
        caption = dataset.captions[number][place].text
        if "words" in facts:
            rows = [word for word in facts["words"] if word.get("caption", 0) == place]
            words = _told(rows, frames, len(features))
        else:
            words = known_words(caption, frames)
        yield KnownClip(dataset.names[number], features, joints, dataset.fps, caption, kind, boundaries, words)


def _told(rows: Sequence[dict[str, Any]], events: Sequence[tuple[int, int]], frames: int) -> tuple[KnownWord, ...]:
    """The words of a kinwords caption."""
    found = []
    for row in rows:
        start, end = row["frames"][0], min(row["frames"][1], frames)
        overlap = [min(end, b) - max(start, a) for a, b in events]
        event = events[int(np.argmax(overlap))]
        if end > start and is_motion_word(row["word"]):
            found.append(KnownWord(row["word"], row["index"], start, end, event, tuple(row["joints"])))
    return _marked(found)


def known_words(caption: str, events: Sequence[tuple[int, int]]) -> tuple[KnownWord, ...]:
    """The motion words of a caption of phrases joined by connectives, each about its whole event; none where `phrases_of` finds none.

    Args:
        events: the frames (start, end) of each phrase, in order of time.
    """
    spans = phrases_of(caption, len(events))

    def event_of(word: Word) -> tuple[int, int] | None:
        return next((e for (a, b), e in zip(spans or [], events, strict=False) if a <= word.start < b), None)

    placed = [(n, word, event_of(word)) for n, word in enumerate(words_in(caption)) if is_motion_word(word.text)]
    return _marked(
        [KnownWord(word.text, n, *event, event) for n, word, event in placed if event and event[1] > event[0]]
    )


def _marked(words: Sequence[KnownWord]) -> tuple[KnownWord, ...]:
    """The words with `once` set."""
    events: dict[str, set[tuple[int, int]]] = {}
    for word in words:
        events.setdefault(word.text, set()).add(word.event)
    return tuple(replace(word, once=len(events[word.text]) == 1) for word in words)

"""What alignment reads: the clips of several data sets, their captions, and which of them belong together.

Shapes: B items of a batch, T frames.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mate.data.captions import words
from mate.data.dataset import MotionTextDataset, open_dataset
from mate.errors import MateError
from mate.text.split_cache import SplitCache, open_splitter
from mate.text.subtexts import SubText, standalone
from mate.text.vocabulary import is_motion_word, stem

# Words of side: which of them a clip shows is said by its own captions alone, never by what other clips of its content say.
_SIDES = frozenset(
    stem(word)
    for word in ("left", "right", "leftwards", "rightwards", "clockwise", "anticlockwise", "counterclockwise")
)


@dataclass(frozen=True)
class Item:
    """One clip.

    Attributes:
        dataset, index: where its features are.
        captions, kinds: its captions, and of each whether its wording is "seen" or "unseen" in training.
        group: clips of one group show the same (content and style): they are no negatives of each other.
        contents: the actions it shows, where its set says so.
        frames: its length.
    """

    dataset: int
    index: int
    captions: tuple[str, ...]
    kinds: tuple[str, ...]
    group: str
    contents: tuple[str, ...]
    frames: int


@dataclass(frozen=True)
class Corpus:
    """One split of one or more data sets.

    Attributes:
        datasets: the opened sets.
        items: all clips with at least one caption.
        splitter: what splits captions into sub-texts, as `open_splitter` takes it.
        keep_splits: whether new splits are kept beside the sets; not those of captions that no set holds.
    """

    datasets: tuple[MotionTextDataset, ...]
    items: tuple[Item, ...]
    splitter: str = "rules"
    keep_splits: bool = True

    @classmethod
    def open(cls, folders: Sequence[str | Path], split_name: str, splitter: str = "rules") -> "Corpus":
        """Raises MateError where a folder is no data set or all of them together hold no captioned clip in this split."""
        datasets = tuple(open_dataset(folder, split_name) for folder in folders)
        rates = {dataset.fps for dataset in datasets}
        if len(rates) > 1:
            raise MateError(
                f"the data sets have different frame rates ({', '.join(map(str, sorted(rates)))}); align on one rate at a time"
            )
        items = tuple(item for number, dataset in enumerate(datasets) for item in _items(number, dataset))
        if not items:
            raise MateError(f"no captioned clip in {split_name}.txt of {', '.join(str(folder) for folder in folders)}")
        return cls(datasets, items, splitter)

    def __len__(self) -> int:
        return len(self.items)

    def features(self, number: int) -> np.ndarray:
        """(T, 263) float32, not normalised."""
        item = self.items[number]
        return self.datasets[item.dataset].features(item.index)

    @cached_property
    def normaliser(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (263,) over all sets, weighted by their frames."""
        weights = np.array([max(1, int(dataset.lengths.sum())) for dataset in self.datasets], dtype=np.float64)
        weights /= weights.sum()
        means = np.stack([dataset.mean for dataset in self.datasets]).astype(np.float64)
        squares = np.stack([dataset.std for dataset in self.datasets]).astype(np.float64) ** 2 + means**2
        mean = weights @ means
        return mean.astype(np.float32), np.sqrt(np.maximum(weights @ squares - mean**2, 1e-12)).astype(np.float32)

    @cached_property
    def captions(self) -> list[str]:
        """Every distinct caption, sorted."""
        return sorted({caption for item in self.items for caption in item.captions})

    @cached_property
    def caption_number(self) -> dict[str, int]:
        """caption -> its place in `captions`."""
        return {caption: number for number, caption in enumerate(self.captions)}

    @cached_property
    def parts(self) -> dict[str, list[SubText]]:
        """The sub-texts of every caption, in order of time.

        Answers stand in `splits.jsonl` beside each set, where they may be read and corrected; what stands there is used.

        Raises:
            MateError: the splitter gave no answer, or the file is damaged or cannot be written (beside a set that is read-only, the
            rules do without it).
        """
        found: dict[str, list[SubText]] = {}
        for number, dataset in enumerate(self.datasets):
            cache = SplitCache.beside(dataset.folder, open_splitter(self.splitter))
            try:
                captions = {caption for item in self.items if item.dataset == number for caption in item.captions}
                found |= {caption: cache(caption) for caption in sorted(captions)}
            finally:  # answers of an endpoint cost time or money: those that came are kept
                if self.keep_splits and (self.splitter != "rules" or os.access(dataset.folder, os.W_OK)):
                    cache.save()
        return found

    @cached_property
    def sub_texts(self) -> dict[str, list[str]]:
        """The sub-texts, as a text encoder should read them, of every caption that has more than one."""
        return {caption: standalone(caption, found) for caption, found in self.parts.items() if len(found) > 1}

    @cached_property
    def present_stems(self) -> list[frozenset[str]]:
        """For every item the stems that are *not* absent from it.

        These are the stems of all captions of its group and, as another wording of the same action is no negative, of all clips
        that show one of its actions and nothing else; of those, words of side do not count.
        """
        own = [
            {stem(word.text) for caption in item.captions for word in words(caption) if is_motion_word(word.text)}
            for item in self.items
        ]
        groups: dict[str, set[str]] = {}
        actions: dict[str, set[str]] = {}
        for item, stems in zip(self.items, own, strict=True):
            groups.setdefault(item.group, set()).update(stems)
            if len(item.contents) == 1:
                actions.setdefault(item.contents[0], set()).update(stems - _SIDES)
        return [
            frozenset(groups[item.group].union(*(actions.get(content, ()) for content in item.contents)))
            for item in self.items
        ]

    @cached_property
    def _group_numbers(self) -> np.ndarray:
        """(number of items,) int64: clips of one group have one number."""
        return np.unique([item.group for item in self.items], return_inverse=True)[1]

    @cached_property
    def _caption_numbers(self) -> np.ndarray:
        """(number of items, most captions) int64 caption numbers, -1 where a clip has fewer."""
        width = max(len(item.captions) for item in self.items)
        numbers = np.full((len(self.items), width), -1, dtype=np.int64)
        for row, item in zip(numbers, self.items, strict=True):
            row[: len(item.captions)] = [self.caption_number[caption] for caption in item.captions]
        return numbers

    def together(self, numbers: Sequence[int], captions: Sequence[str]) -> Tensor:
        """(B, B) bool: text i fits motion j, because they are one, show the same, or one's captions hold the other's text."""
        chosen = np.asarray(numbers)
        groups, known = self._group_numbers[chosen], self._caption_numbers[chosen]  # (B,), (B, most captions)
        said = np.array([self.caption_number[caption] for caption in captions])
        held = (said[:, None, None] == known[None]).any(-1)  # the caption of i is one of j's
        return torch.from_numpy((groups[:, None] == groups[None]) | held | held.T | np.eye(len(chosen), dtype=bool))

    @property
    def licenses(self) -> list[str]:
        """The distinct licences of the sets."""
        return sorted({dataset.license for dataset in self.datasets})

    @property
    def names(self) -> list[str]:
        """The names of the sets' folders."""
        return [dataset.folder.resolve().name for dataset in self.datasets]


def _items(number: int, dataset: MotionTextDataset) -> Iterator[Item]:
    lengths = dataset.lengths
    for index, captions in enumerate(dataset.captions):
        texts = tuple(caption.text.strip() for caption in captions)
        kept = [n for n, text in enumerate(texts) if text and any(letter.isalpha() for letter in text)]
        if not kept:
            continue
        facts = dataset.meta[index]
        kinds = facts.get("caption_kinds") or ["seen"] * len(texts)
        yield Item(
            number,
            index,
            tuple(texts[n] for n in kept),
            tuple(kinds[n] if n < len(kinds) else "seen" for n in kept),
            _group(number, facts, texts),
            _contents(facts),
            int(lengths[index]),
        )


def _contents(facts: dict[str, Any]) -> tuple[str, ...]:
    """The actions that a clip's facts name: a list `contents`, or `content`, where "+" joins several."""
    named = facts.get("contents") or [part for part in str(facts.get("content") or "").split("+") if part]
    return tuple(str(part) for part in named)


def _group(number: int, facts: dict[str, Any], texts: Sequence[str]) -> str:
    """Clips of one group show the same: same content and style where the set names both, else the same set of captions.

    A content alone is not enough: "raises a hand" may be the content of both hands.
    """
    if "content" in facts and "style" in facts:
        return f"{number}/{facts['content']}/{facts['style']}"
    return f"{number}/" + "|".join(sorted(set(texts)))


def batches(lengths: Sequence[int], size: int, seed: int, epoch: int, pool: int = 8) -> list[np.ndarray]:
    """One epoch of batches of item numbers: shuffled, then sorted by length within pools of `pool` batches, so that padding is small.

    A pure function of its arguments. A last, smaller batch is filled up from the epoch's beginning.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    if len(order) % size:
        order = np.concatenate([order, np.resize(order, size - len(order) % size)])
    ordered = []
    for start in range(0, len(order), size * pool):
        part = order[start : start + size * pool]
        part = part[np.argsort(np.asarray(lengths)[part], kind="stable")]
        ordered.extend(part[first : first + size] for first in range(0, len(part), size))
    return [ordered[n] for n in generator.permutation(len(ordered))]

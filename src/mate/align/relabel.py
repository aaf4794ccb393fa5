"""Training captions made worse on purpose: sides swapped (label noise), words thinned out or held out.

Both are functions of a seed and a clip's name alone: 5 % of the clips are among the 10 %, the five clips that keep a word are among
the twenty.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mate.align.corpus import Corpus, Item
from mate.data.captions import mirror_caption, words
from mate.errors import MateError
from mate.text.vocabulary import stem
from mate.training import mix_seed


def relabel(corpus: Corpus, share: float, limits: Mapping[str, int], seed: int) -> tuple[Corpus, dict[str, Any]]:
    """The corpus with both changes, thinning first, and what they did, for the report."""
    thinned, kept = thin(corpus, limits, seed)
    flipped, number = flip_sides(thinned, share, seed)
    facts = {"flipped_clips": number, "thinned_to_clips": kept, "clips_left_out": len(corpus) - len(flipped)}
    return flipped, facts


def flip_sides(corpus: Corpus, share: float, seed: int) -> tuple[Corpus, int]:
    """Swaps left and right in all captions of a share of the clips, as an annotator would who mistook the sides.

    What else says which side a clip shows, its contents and its group, is swapped with them.

    Args:
        share: in [0, 1], of the clips whose captions name a side (drawn clip by clip).

    Returns:
        The corpus, and the number of clips with swapped captions.

    Raises:
        MateError: `share` is out of range.
    """
    if not 0.0 <= share <= 1.0:
        raise MateError(f"got a share of {share} clips to flip, expected 0 to 1")
    if share == 0.0:
        return corpus, 0
    items, number = [], 0
    for item in corpus.items:
        captions = tuple(mirror_caption(caption) for caption in item.captions)
        chosen = captions != item.captions and mix_seed(seed, "flip", *_name(corpus, item)) < share * 2**63
        number += chosen
        items.append(_mirrored(item, captions) if chosen else item)
    return replace(corpus, items=tuple(items), keep_splits=False), number


def thin(corpus: Corpus, limits: Mapping[str, int], seed: int) -> tuple[Corpus, dict[str, int]]:
    """Keeps the captions with a word in a few clips only; the other clips lose them, and a clip without captions is left out.

    Args:
        limits: word, or words in a row -> number of clips that keep it, 0 holds it out. All words of its stem count ("skip" for
            "skips" and "skipping").

    Returns:
        The corpus, and of each word how many clips still say it (fewer than asked for, where two thinned words share captions).

    Raises:
        MateError: a negative number, a word in no caption, or nothing is left.
    """
    if not limits:
        return corpus, {}
    stems = {caption: tuple(stem(word.text) for word in words(caption)) for caption in corpus.captions}
    # The rarest word last: what it drops may take captions of the others, but the others have more of them.
    order_of_words = sorted(limits, key=lambda word: (-limits[word], word))
    wanted = {word: tuple(stem(part.text) for part in words(word)) for word in order_of_words}
    items = list(corpus.items)
    for word, run in wanted.items():
        holders = [n for n, item in enumerate(items) if any(_says(stems[caption], run) for caption in item.captions)]
        if limits[word] < 0 or not run:
            raise MateError(f"got {word!r} in {limits[word]} clips, expected a word and 0 or more clips")
        if not any(_says(found, run) for found in stems.values()):
            raise MateError(f"no training caption holds {word!r}, so it cannot be thinned; check its spelling")
        order = sorted(holders, key=lambda n: mix_seed(seed, "thin", word, *_name(corpus, corpus.items[n])))
        for n in order[limits[word] :]:
            said = [not _says(stems[caption], run) for caption in items[n].captions]
            captions, kinds = (
                tuple(value for value, kept in zip(values, said, strict=True) if kept)
                for values in (items[n].captions, items[n].kinds)
            )
            items[n] = replace(items[n], captions=captions, kinds=kinds)
    left = tuple(item for item in items if item.captions)
    if not left:
        raise MateError(f"thinning {', '.join(wanted)} leaves no caption; thin fewer words")
    kept = {
        word: sum(any(_says(stems[caption], run) for caption in item.captions) for item in left)
        for word, run in wanted.items()
    }
    return replace(corpus, items=left), kept


def _name(corpus: Corpus, item: Item) -> tuple[int, str]:
    return item.dataset, corpus.datasets[item.dataset].names[item.index]


def _says(found: tuple[str, ...], run: tuple[str, ...]) -> bool:
    return any(found[n : n + len(run)] == run for n in range(len(found) - len(run) + 1))


def _mirrored(item: Item, captions: tuple[str, ...]) -> Item:
    contents = tuple(_other_side(content) for content in item.contents)
    first, bar, rest = item.group.partition("/")
    # A group that is a set of captions is written in alphabetical order.
    group = "|".join(sorted(_other_side(part) for part in rest.split("|")))
    return replace(item, captions=captions, contents=contents, group=f"{first}{bar}{group}")


def _other_side(name: str) -> str:
    """A name such as "turn-left" or "turn_left" or a caption, with the other side."""
    swapped = mirror_caption(name)
    if swapped != name:
        return swapped
    other = {"left": "right", "right": "left"}
    return re.sub(r"(?<![a-z])(left|right)(?![a-z])", lambda match: other[match.group()], name)

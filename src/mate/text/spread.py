"""Words never seen: what alignment did to words is carried to their neighbours in the language model (ours, beyond the paper).

A word that was in no training caption gets the weighted mean of its nearest aligned words' displacements, times a confidence that
fades to zero with its distance from them: "swiftly" profits from "quickly", "violin" stays as it is. Near is what is near in the model
as published; opposites are near, too, and what they moved in opposite directions cancels out. How near is near enough is learned from
the aligned words: each is predicted from the others, and where that does not help, nothing spreads.

    python -m mate.text.spread patch.safetensors -o spread.safetensors [--encoder ID] [--words FILE] [--space context]

Shapes: K aligned words, N other words, D embedding size.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch
from mate.text.vocabulary import is_motion_word, pieces_of
from mate.text.whole_words import mean_rows

MARK = "spread"  # the entry of a patch's metadata that names the rows no motion was seen for
Space = Literal["table", "context"]


@dataclass(frozen=True)
class SpreadConfig:
    """How displacements spread. All of it is ours.

    Attributes:
        neighbours: aligned words that a word takes its displacement from, weighted by how far their cosine is above the floor.
        space: where words are near: "table", their (mean) rows, or "context", the model's last layer for the word alone (slower).
    """

    neighbours: int = 4
    space: Space = "table"


@dataclass(frozen=True)
class Fade:
    """The confidence in a displacement by the best cosine with an aligned word: 0 below `floor`, 1 from `full` on, straight between.

    Attributes:
        explained: the share of the aligned words' squared displacements that their neighbours' predict, each word left out in turn;
            0 and a floor of 1 where they predict nothing.
    """

    floor: float
    full: float
    explained: float

    def __call__(self, best: Tensor) -> Tensor:
        """Cosines (N,) -> confidence (N,) in [0, 1]."""
        return ((best - self.floor) / max(self.full - self.floor, 1e-6)).clamp(0, 1)


def carried(cosines: Tensor, neighbours: Tensor, displacement: Tensor, floor: float) -> Tensor:
    """The mean displacement of each word's neighbours, weighted by their cosines above the floor.

    Args:
        cosines: (N, n), nearest first. neighbours: (N, n), numbers in 0 .. K - 1. displacement: (K, D).

    Returns:
        (N, D).
    """
    weights = (cosines - floor).clamp(min=0)
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
    return (weights.unsqueeze(-1) * displacement[neighbours]).sum(1)


def fit_fade(vectors: Tensor, displacement: Tensor, neighbours: int) -> Fade:
    """Where confidence has to fade: learned from the aligned words themselves, each predicted from the others.

    Cosines mean something else in every model, so floor and full are those of a grid with the least squared error.

    Args:
        vectors: (K, D) where the aligned words are, of length 1. displacement: (K, D) how they moved.
    """
    nothing = Fade(1.0, 1.0, 0.0)
    if len(vectors) < 3:
        return nothing
    cosines = vectors @ vectors.T
    cosines.fill_diagonal_(-1.0)
    near = cosines.topk(min(neighbours, len(vectors) - 1), dim=1)
    total = max(float(displacement.square().sum()), 1e-12)
    tried = []
    for low in range(20):
        predicted = carried(near.values, near.indices, displacement, low / 20)
        for high in range(low + 1, 21):
            fade = Fade(low / 20, high / 20, 0.0)
            missed = displacement - fade(near.values[:, 0]).unsqueeze(1) * predicted
            tried.append(replace(fade, explained=round(1.0 - float(missed.square().sum()) / total, 4)))
    most = max(fade.explained for fade in tried)
    if most <= 0:
        return nothing
    # Of those that are about as good, the one that asks for the most nearness.
    return max((fade for fade in tried if fade.explained >= 0.99 * most), key=lambda fade: fade.floor + fade.full)


def spread_patch(
    patch: WordPatch,
    encoder: TextEncoder,
    config: SpreadConfig | None = None,
    leave: Iterable[str] = (),
    words: Sequence[str] = (),
) -> WordPatch:
    """The patch with rows for words that it was not made for.

    The language model's words of one piece get rows; of words of several pieces only those that are asked for, as tokens of their own.
    The metadata's entry `spread` names the new rows with their confidence, and the fade with the share that it explains.

    Args:
        encoder: the base language model, not patched.
        leave: words that stay as they are, besides those that say nothing about movement: what was in the captions.
        words: further words, of one piece or several.

    Raises:
        MateError: another base model, a patch that was spread before, one without whole words, or settings out of range.
    """
    config = config or SpreadConfig()
    _check(patch, encoder, config)
    table = encoder.table.detach().float().cpu()
    pieces = _whole_words(encoder)
    ids = {int(token): n for n, token in enumerate(patch.token_ids)}
    known = [word for word, own in pieces.items() if int(own[0]) in ids and is_motion_word(word)]
    others = [word for word, own in pieces.items() if int(own[0]) not in ids and is_motion_word(word)]
    displacement = patch.rows[[ids[int(pieces[word][0])] for word in known]] - mean_rows(
        table, [pieces[w] for w in known]
    )
    asked = sorted({word.lower() for word in words if word.strip()} - pieces.keys() - set(patch.words))
    pieces |= pieces_of(encoder, [*asked, *patch.words])
    if patch.words:
        start = mean_rows(table, [pieces[word] for word in patch.words])
        displacement, known = torch.cat([displacement, patch.word_rows - start]), [*known, *patch.words]
    excluded = {*known, *(word.lower() for word in leave)}
    others = [word for word in (*others, *asked) if word not in excluded and len(pieces[word])]
    if not known or not others:
        raise MateError("the patch has no rows of whole words, or the model no others: there is nothing to spread")
    origin = _vectors(encoder, known, pieces, config.space)
    fade = fit_fade(origin, displacement, config.neighbours)
    cosines, neighbours = _nearest(origin, _vectors(encoder, others, pieces, config.space), config.neighbours)
    confidence = fade(cosines[:, 0])
    shift = carried(cosines, neighbours, displacement, fade.floor) * confidence.unsqueeze(-1)
    moved = {word: (float(sure), row) for word, sure, row in zip(others, confidence, shift, strict=True) if sure > 0}
    return _with_rows(patch, encoder, {**asdict(config), **asdict(fade)}, pieces, moved)


def _check(patch: WordPatch, encoder: TextEncoder, config: SpreadConfig) -> None:
    patch.check(encoder.table.detach())
    if MARK in patch.metadata:
        raise MateError("the patch was spread already; start from the one that `mate align` wrote")
    if config.space not in get_args(Space) or config.neighbours < 1:
        raise MateError(f"got {config}, expected space {' or '.join(get_args(Space))}, and one neighbour or more")


def _with_rows(
    patch: WordPatch,
    encoder: TextEncoder,
    facts: dict[str, Any],
    pieces: Mapping[str, Tensor],
    moved: Mapping[str, tuple[float, Tensor]],
) -> WordPatch:
    """The patch with further words moved: word -> confidence, displacement (D,)."""
    table = encoder.table.detach().float().cpu()
    single = [word for word in moved if len(pieces[word]) == 1]
    several = [word for word in moved if len(pieces[word]) > 1 and encoder.tokenizer.token_to_id(word) is None]
    start = {word: table[pieces[word]].mean(0) for word in (*single, *several)}
    ids, rows, added = patch.token_ids, patch.rows, patch.word_rows
    if single:
        ids = torch.cat([ids, torch.stack([pieces[word][0] for word in single])])
        rows = torch.cat([rows, torch.stack([start[word] + moved[word][1] for word in single])])
    if several:
        more = torch.stack([start[word] + moved[word][1] for word in several])
        added = torch.cat([added, more]) if patch.words else more
    order = torch.argsort(ids)
    mark = {
        **facts,
        "tokens": {str(int(pieces[word][0])): round(moved[word][0], 3) for word in single},
        "words": {word: round(moved[word][0], 3) for word in several},
    }
    return replace(
        patch,
        token_ids=ids[order],
        rows=rows[order],
        metadata={**patch.metadata, MARK: json.dumps(mark, ensure_ascii=False)},
        words=(*patch.words, *several),
        word_rows=added,
    )


def _whole_words(encoder: TextEncoder) -> dict[str, Tensor]:
    """The language model's words of one piece, with that piece, in alphabetical order."""
    spelt = {encoder.tokenizer.decode([token]).strip() for token in encoder.tokenizer.get_vocab().values()}
    names = sorted(word for word in spelt if len(word) > 1 and word.isascii() and word.isalpha() and word.islower())
    return {word: ids for word, ids in pieces_of(encoder, names).items() if len(ids) == 1}


@torch.no_grad()
def _vectors(encoder: TextEncoder, words: Sequence[str], pieces: Mapping[str, Tensor], space: Space) -> Tensor:
    """Where words are, (N, D), of length 1. A table's common part is taken off: in some models all rows share most of it."""
    if space == "table":
        table = encoder.table.detach().float().cpu()
        return F.normalize(mean_rows(table - table.mean(0), [pieces[word] for word in words]), dim=1)
    parts = []
    for group in _groups(words, 256):
        features = encoder.word_features(group)
        count = features.mask.sum(1, keepdim=True).clamp(min=1)
        parts.append(((features.vectors * features.mask.unsqueeze(-1)).sum(1) / count).float().cpu())
    return F.normalize(torch.cat(parts), dim=1)


def _groups(words: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), size):
        yield words[start : start + size]


def _nearest(known: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each of N others the cosines with its nearest known words, and which they are, (N, count) both, nearest first."""
    count = min(count, len(known))
    parts = [(part @ known.T).topk(count, dim=1) for part in others.split(2048)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the module's docstring."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m mate.text.spread", description="Spread a word patch to words never seen."
    )
    parser.add_argument("patch", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--encoder", help="the base language model; default: the one the patch names")
    parser.add_argument("--words", type=Path, help="a text file of further words, one a line")
    parser.add_argument("--space", choices=get_args(Space), default="table")
    given = parser.parse_args(arguments)
    patch = WordPatch.load(given.patch)
    encoder = TextEncoder.from_pretrained(given.encoder or patch.metadata["base_model"])
    words = given.words.read_text(encoding="utf-8").split() if given.words else ()
    made = spread_patch(patch, encoder, SpreadConfig(space=given.space), words=words)
    made.save(given.out)
    mark = json.loads(made.metadata[MARK])
    print(
        f"neighbours explain {mark['explained']:.1%} of the aligned words' displacements; confidence from cosine {mark['floor']} to "
        f"{mark['full']}; {len(mark['tokens'])} rows and {len(mark['words'])} words of their own added: {given.out}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

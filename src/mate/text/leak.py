"""How far a word patch moves words that it was not made for, through the word pieces that they share with its own.

"anticlockwise" and "counterclockwise" share ##cl ##ock ##wise: moving one word's pieces moves the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch


@dataclass(frozen=True)
class Leak:
    """What a patch does to words that are not its own.

    A word's shift is |new - old| / |old| of its word embedding, the mean of its pieces' rows.

    Attributes:
        own: the mean shift of the patch's own words.
        words: how many other words were looked at. touched: how many of them share a moved piece.
        shift: the mean shift of the touched ones, 0 where there is none.
        worst: the touched words that moved furthest, with their shifts, furthest first.
    """

    own: float
    words: int
    touched: int
    shift: float
    worst: tuple[tuple[str, float], ...]

    @property
    def share(self) -> float:
        """The share of the other words that are touched."""
        return self.touched / self.words if self.words else 0.0


def piece_leak(encoder: TextEncoder, patch: WordPatch, own: Sequence[str], others: Sequence[str]) -> Leak:
    """Measures the leak of shared word pieces.

    Args:
        encoder: the base language model, not patched.
        own: the words the patch was made for. others: any other words; those that are in `own` too are left out.

    Raises:
        MateError: the encoder's table is not the patch's base, or there are no own words.
    """
    table = encoder.table.detach().float().cpu()
    patch.check(encoder.table.detach())
    mine = sorted({word.lower() for word in own if word.strip()})
    rest = sorted({word.lower() for word in others if word.strip()} - set(mine))
    if not mine:
        raise MateError("got no words that the patch was made for, expected at least one")
    moved = torch.zeros(len(table), dtype=torch.bool)
    moved[patch.token_ids] = True
    new = table.clone()
    new[patch.token_ids] = patch.rows
    pieces = _pieces(encoder, [*mine, *rest])
    touched = {word: _shift(pieces[word], table, new) for word in rest if bool(moved[pieces[word]].any())}
    worst = sorted(touched.items(), key=lambda item: (-item[1], item[0]))
    return Leak(
        own=sum(_shift(pieces[word], table, new) for word in mine) / len(mine),
        words=len(rest),
        touched=len(touched),
        shift=sum(touched.values()) / len(touched) if touched else 0.0,
        worst=tuple(worst[:20]),
    )


def _shift(ids: Tensor, old: Tensor, new: Tensor) -> float:
    if not len(ids):  # the tokeniser has nothing for it
        return 0.0
    before = old[ids].mean(0)
    return float((new[ids].mean(0) - before).norm() / before.norm().clamp(min=1e-12))


def _pieces(encoder: TextEncoder, words: Sequence[str]) -> dict[str, Tensor]:
    """word -> the ids of its pieces. Read inside a text: some tokenisers write a text's first word in another way."""
    found: dict[str, Tensor] = {}
    lead = "the "
    for start in range(0, len(words), 512):
        group = words[start : start + 512]
        tokens = encoder.tokenize([f"{lead}{word}" for word in group], truncate=True)
        for word, ids, spans in zip(group, tokens.ids.cpu(), tokens.offsets, strict=True):
            inside = (spans[:, 1] > len(lead)) & (spans[:, 1] > spans[:, 0])
            found[word] = ids[inside]
    return found

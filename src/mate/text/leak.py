"""How far a word patch moves words that it was not made for, through the word pieces that they share with its own.

"anticlockwise" and "counterclockwise" share ##cl ##ock ##wise: moving one word's pieces moves the other. Words with tokens of their
own (`mate.text.whole_words`) move nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch
from mate.text.vocabulary import pieces_of


@dataclass(frozen=True)
class Leak:
    """What a patch does to words that are not its own.

    A word's shift is |new - old| / |old| of its word embedding, the mean of its pieces' rows (or the row of its own token).

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
    patch.check(encoder.table.detach())
    mine = sorted({word.lower() for word in own if word.strip()})
    rest = sorted({word.lower() for word in others if word.strip()} - set(mine))
    if not mine:
        raise MateError("got no words that the patch was made for, expected at least one")
    spoken = [*mine, *rest]
    pieces, before = _read(encoder, spoken)
    moved = set(patch.token_ids.tolist())
    with patch.apply(encoder):
        new_pieces, after = _read(encoder, spoken)
    shifts = {word: _shift(before[word], after[word]) for word in spoken}
    touched = {word: shifts[word] for word in rest if pieces[word] != new_pieces[word] or moved & set(pieces[word])}
    worst = sorted(touched.items(), key=lambda item: (-item[1], item[0]))
    return Leak(
        own=sum(shifts[word] for word in mine) / len(mine),
        words=len(rest),
        touched=len(touched),
        shift=sum(touched.values()) / len(touched) if touched else 0.0,
        worst=tuple(worst[:20]),
    )


def _read(encoder: TextEncoder, words: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, Tensor]]:
    """The words' pieces, and their word embeddings (D,); not finite for a word that the tokeniser has nothing for."""
    table = encoder.table.detach()
    pieces = pieces_of(encoder, words)
    vectors = {word: table[ids.to(table.device)].float().mean(0).cpu() for word, ids in pieces.items()}
    return {word: ids.tolist() for word, ids in pieces.items()}, vectors


def _shift(before: Tensor, after: Tensor) -> float:
    if not bool(before.isfinite().all()):  # the mean of no pieces
        return 0.0
    return float((after - before).norm() / before.norm().clamp(min=1e-12))

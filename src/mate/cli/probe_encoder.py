"""`mate probe --encoder`: minimal pairs for a text encoder with a motion encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mate.evaluate.minimal_pairs import PairSet


def encoder_probe(
    encoders: Sequence[str],
    data: Sequence[Path],
    scoring: Sequence[str],
    split: str,
    each: int,
    deciding: str | None,
    retrieval: bool,
    device: str,
) -> "tuple[dict[str, Any], str]":
    """The card of encoders on the minimal pairs of sets, and its tables.

    Args:
        encoders: model folders, or `package.module:function`. scoring: of model folders; each of them is asked in every way.
        each: the most pairs of a rung. deciding: words, with commas, that are to decide the pairs; None: the ladder.

    Raises:
        MateError: no data, or a model, a function or a set that is of no use.
    """
    import sys

    import typer

    from mate.errors import MateError
    from mate.evaluate.encoder_probe import encoder_card, to_markdown
    from mate.evaluate.encoders import open_encoders

    if not data:
        raise MateError(
            "--encoder needs --data DIR, a prepared set that says what its clips show; it may be given again"
        )
    ways = list(dict.fromkeys(scoring)) or ["localized"]
    opened = [one for source in encoders for one in open_encoders(source, ways, device)]  # pyright: ignore[reportArgumentType]

    def progress(doing: str) -> None:
        if sys.stderr.isatty():
            typer.echo(doing, err=True)

    sets: list[PairSet] = [_pairs(folder, split, each, deciding) for folder in data]
    card = encoder_card(opened, sets, with_retrieval=retrieval, progress=progress)
    return card, to_markdown(card)


def _pairs(folder: Path, split: str, each: int, deciding: str | None) -> "PairSet":
    from mate.evaluate.minimal_pairs import make_pairs, pairs_for_words

    if deciding is None:
        return make_pairs(folder, split, each=each)
    words = [word.strip() for word in deciding.split(",") if word.strip()]
    return pairs_for_words(words, folder, split, each=each)

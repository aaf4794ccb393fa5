"""Cards of the encoder probe, of the same pairs, as one table of pairs and one of retrieval.

    python -m mate.evaluate.encoder_table results/encoder/sentence.json results/encoder/localized.json

Percent right of two with Wilson's 95 % interval, s: saturated, u: unsolved; points: the encoder before them less the first of its card,
bootstrapped over clips. Retrieval: text to motion by one vector, a clip of the same content is a hit; ± is over draws of a caption.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from mate.errors import MateError
from mate.evaluate.card import read_probe, run_module, table
from mate.evaluate.encoder_probe import PROTOCOL, TABLES, retrieving, show_accuracy, show_draws, show_points

LABELS = TABLES["by_rung"]
MARKS = {"saturated": " s", "unsolved": " u", "between": ""}
RANKS = ("R@1", "R@10")


def read_cards(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Cards of `mate probe --encoder`.

    Raises:
        MateError: no such file, another kind of card, a single encoder in it, or other pairs than in the first.
    """
    cards: list[dict[str, Any]] = []
    for path in paths:
        card = read_probe(path)
        if card.get("protocol") != PROTOCOL:
            raise MateError(
                f"{path}: got the protocol {card.get('protocol')!r}, expected {PROTOCOL!r}; give a card of `mate probe --encoder`"
            )
        if len(card["encoders"]) < 2:
            raise MateError(
                f"{path} has a single encoder, expected two or more; give `mate probe` --encoder once for each"
            )
        cards.append(card)
        first, own = (one["pairs_sha256"] for one in (cards[0], card))
        if own != first:
            raise MateError(
                f"{path} is about other pairs (SHA-256 {own[:12]}) than {paths[0]} ({first[:12]}); make both with the same "
                "--data, --split, --each and --deciding"
            )
    return cards


def to_markdown(cards: Sequence[Mapping[str, Any]]) -> str:
    """The table of pairs, and that of retrieval where a card has it."""
    tables = [_pairs(cards), _retrieval([row for card in cards for row in card["encoders"]])]
    return "\n\n".join("\n".join(lines) for lines in tables if lines)


def _pairs(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    rungs = cards[0]["encoders"][0]["by_rung"]
    columns = [[label, "all" if label == "set" else "", *(rung[label] for rung in rungs)] for label in LABELS]
    columns.append(["n", str(cards[0]["pairs"]), *(str(rung["n"]) for rung in rungs)])
    for card in cards:
        first, *others = card["encoders"]
        columns.append(_accuracies(first))
        for row, difference in zip(others, card["differences"], strict=True):
            points = [difference["all"], *difference["by_rung"]]
            columns += [_accuracies(row), ["points", *(show_points(one) for one in points)]]
    return _side_by_side(columns)


def _accuracies(row: Mapping[str, Any]) -> list[str]:
    """An encoder's column. A rung has too few pairs for tenths of a percent."""
    rungs = [show_accuracy(rung, digits=0) + MARKS[rung["state"]] for rung in row["by_rung"]]
    return [row["name"], show_accuracy(row["all"]) + MARKS[row["all"]["state"]], *rungs]


def _retrieval(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    found = list(retrieving(rows).values())
    if not found:
        return []
    columns = [[label, *(str(line[label]) for line in found[0]["retrieval"])] for label in ("set", "wording", "pool")]
    for row in found:
        model = row["name"].removesuffix(f", {row.get('scoring')}")
        figures = [line["text_to_motion content"] for line in row["retrieval"]]
        cells = [" / ".join(show_draws(*figure[rank]) for rank in RANKS) for figure in figures]
        columns.append([f"{model}, {' / '.join(RANKS)}", *cells])
    return _side_by_side(columns)


def _side_by_side(columns: Sequence[Sequence[str]]) -> list[str]:
    head, *body = zip(*columns, strict=True)
    return table(head, body)


def main() -> None:
    """Prints the tables of the cards named on the command line."""
    import typer

    def show(
        cards: Annotated[list[Path], typer.Argument(help="Cards of `mate probe --encoder`, of the same pairs.")],
    ) -> None:
        print(to_markdown(read_cards(cards)))

    run_module(show)


if __name__ == "__main__":
    main()

"""Several result cards as one table: the real motions, then every card, and what each differs in from the first.

    python -m mate.evaluate.tables results/evaluate/bandai-namco/*.json

Rows are called after the files. The cards must be of one protocol, one data set and the same evaluators, or they are refused.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from mate.errors import MateError
from mate.evaluate.card import named, read_card, run_module, show_rate, table
from mate.evaluate.compare import check_comparable, compare
from mate.evaluate.protocol import BETTER

FIGURES = ("R@1", "R@3", "FID", "MM-Dist", "Diversity", "precision", "recall", "density", "coverage")
ARROWS = {1: "↑", -1: "↓", 0: "→"}


def side_by_side(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a table for each evaluator, the judge's rates, and paired differences from the first card.

    Args:
        cards: name of the row -> card of `mate evaluate`, in order.

    Raises:
        MateError: no card, or cards that do not compare.
    """
    if not cards:
        raise MateError("got no card, expected result cards of `mate evaluate -o FILE`")
    first, *others = cards
    for name in others:
        check_comparable(cards[first], cards[name], (first, name))
    one = cards[first]
    data, settings = one["data"], one["protocol"]
    half = "repeats_95" if settings["name"] == "guo-as-released" else "prompts_95"
    lines = [
        f"Data `{data.get('name', '')}`, {data['clips']} clips of the {data.get('split', '')} split (SHA-256 `{data['sha256'][:12]}`); "
        f"protocol `{settings['name']}`, {settings['repeats']} repeat(s), seed {settings['seed']}; {settings['wording']} wordings. "
        f"± is {settings[half]}.",
        "",
    ]
    for evaluator in one["evaluators"]:
        rows = {"real motions": one["rows"]["real"][evaluator]} | {
            name: card["rows"]["made"][evaluator] for name, card in cards.items()
        }
        shown = [figure for figure in FIGURES if any(figure in row for row in rows.values())]
        head = [f"`{evaluator}`", *(f"{figure} {ARROWS[BETTER[figure]]}" for figure in shown)]
        lines += [*table(head, [[name, *_cells(row, shown, half)] for name, row in rows.items()]), ""]
    if one.get("judge"):
        rows = {"real motions": one["judge"]["real"]} | {name: card["judge"]["made"] for name, card in cards.items()}
        parts = {
            f"{row[name]} {name}s": (name, row[name])
            for name in ("wording", "pair")
            for found in rows.values()
            for row in found.get(f"by_{name}", [])
        }
        body = [
            [name, show_rate(found["all"]), *(show_rate(_part(found, *part)) for part in parts.values())]
            for name, found in rows.items()
        ]
        lines += [*table(["kinematic judge", "all", *parts], body), ""]
    if others:
        lines += [f"Differences from {first}, paired by prompt (p: sign-flip test; 95 % intervals over prompts):", ""]
        body = [_difference(one, cards[name], first, name) for name in others]
        lines += [
            *table(
                ["", *(label for label, _ in body[0])],
                [[n, *(v for _, v in r)] for n, r in zip(others, body, strict=True)],
            ),
            "",
        ]
    return "\n".join(lines)


def _cells(row: Mapping[str, Mapping[str, float]], shown: Sequence[str], half: str) -> list[str]:
    return [
        "–"
        if figure not in row
        else f"{row[figure]['value']:.3f}" + (f" ± {row[figure][half]:.3f}" if row[figure].get(half) else "")
        for figure in shown
    ]


def _part(found: Mapping[str, Any], name: str, own: str) -> Mapping[str, Any] | None:
    return next((row for row in found.get(f"by_{name}", []) if row[name] == own), None)


def _difference(first: Mapping[str, Any], second: Mapping[str, Any], *names: str) -> list[tuple[str, str]]:
    """(column, value) of R@1 and FID by each evaluator and of the judge."""
    found = compare(first, second, (names[0], names[1]))
    cells = []
    for row in found["rows"]:
        if row["figure"] not in ("R@1", "FID", "facts shown"):
            continue
        half = f" ± {row['half']:.3f}" if row["half"] is not None else ""
        test = f" (p {row['p']:.4f})" if row["p"] is not None else ""
        cells.append((f"{row['figure']}, {row['evaluator']}", f"{row['difference']:+.3f}{half}{test}"))
    return cells


def main() -> None:
    """Prints the tables of the cards named on the command line."""
    import typer

    def run(cards: Annotated[list[Path], typer.Argument(help="Result cards of `mate evaluate`.")]) -> None:
        print(side_by_side({name: read_card(path) for name, path in named(cards).items()}))

    run_module(run)


if __name__ == "__main__":
    main()

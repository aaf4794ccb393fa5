"""The rows of `mate.evaluate.generators` as tables: means over seeds, differences from the frozen text encoder, words; and their plot.

    python -m mate.evaluate.generator_table results/generators --html table.html

± is half of Student's 95 % interval over seeds. A difference is paired: the same seed, and for the judge's answers also the same prompt.
Rows of a kind of generator count only where it does at least 80 % of the single events with the frozen text encoder.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import run_module, show_repeats, table, write_text
from mate.evaluate.compare import sign_flip
from mate.evaluate.generators import ENCODERS, GENERATORS, read_row
from mate.evaluate.metrics import interval
from mate.evaluate.protocol import BETTER
from mate.evaluate.row import FIGURES, share

JUDGED = "what the judge finds"
EVERYTHING = "everything, read as one"
FEWEST = 20  # prompts of a part that is shown apart when it is made by sub-texts
MARK = 0.80  # of single events in training wordings, for the frozen text encoder
ARROWS = {1: "↑", -1: "↓", 0: "→"}
Cards = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""(generator, text encoder) -> its rows, by seed"""


def read_rows(paths: Sequence[Path]) -> Cards:
    """All rows of files and folders.

    Raises:
        MateError: no row, another kind of file, or rows of one generator that were not made and measured alike.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    cards = sorted(
        (read_row(file) for file in files),
        key=lambda card: (GENERATORS.index(card["generator"]), ENCODERS.index(card["encoder"]), card["seed"]),
    )
    if not cards:
        raise MateError(f"no row in {', '.join(map(str, paths))}; `mate train table` writes them")
    for kind, own in groupby(cards, lambda card: card["generator"]):
        first, *others = own
        for other in others:
            if differ := [name for name, part in _alike(first).items() if part != _alike(other)[name]]:
                raise MateError(
                    f"{kind}: {first['encoder']} {first['seed']} and {other['encoder']} {other['seed']} differ in {', '.join(differ)}; "
                    "make the rows alike"
                )
    return {key: list(own) for key, own in groupby(cards, lambda card: (card["generator"], card["encoder"]))}


def _alike(card: Mapping[str, Any]) -> dict[str, Any]:
    """What rows of one generator must share."""
    measured = card["measured"]
    sets = {name: (own["sha256"], own["evaluators"]) for name, own in measured["sets"].items()}
    prompts = [measured.get(part, {}).get("prompts_sha256") for part in ("single_events", "words")]
    return {"settings": card["settings"], "test sets or evaluators": sets, "prompts": prompts}


def asked_of(card: Mapping[str, Any]) -> dict[str, str]:
    """What the judge was asked, in order: name of a column -> answers. First everything that was asked once, together."""
    measured = card["measured"]
    columns = {
        f"single events, {wording} wordings": "".join(own.values())
        for wording, own in measured.get("single_events", {}).get("answers", {}).items()
    }
    for own in measured["sets"].values():
        columns |= {name: part["answers"] for name, part in own["parts"].items() if set(part["answers"]) - {"-"}}
    if not columns:
        return {}
    again = {name: part["answers"] for own in measured["sets"].values() for name, part in again_of(own).items()}
    return {EVERYTHING: "".join(columns.values()), **columns, **again}


def again_of(measured_set: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Column -> the judge's answers about captions that were also made by sub-texts; parts with few of them are left to the JSON."""
    return {
        f"{name}, by sub-texts": part
        for name, part in measured_set["by_sub_texts"].items()
        if len(part["answers"]) >= FEWEST
    }


def counts(cards: Cards, generator: str) -> tuple[float, bool] | None:
    """The frozen rows' share of single events in training wordings, and whether it is enough; None without such rows, or any events."""
    frozen = [card for card in cards.get((generator, "frozen"), ()) if "single_events" in card["measured"]]
    if not frozen:
        return None
    reached = float(np.mean([share(asked_of(card)["single events, training wordings"]) for card in frozen]))
    return reached, reached >= MARK


def paired(cards: Cards, key: tuple[str, str], value: Callable[[Mapping[str, Any]], float]) -> list[float]:
    """Differences of a figure from the frozen rows of the same generator and seed."""
    base = {card["seed"]: value(card) for card in cards.get((key[0], "frozen"), ())}
    return [value(card) - base[card["seed"]] for card in cards[key] if card["seed"] in base]


def flips(cards: Cards, key: tuple[str, str], column: str) -> float | None:
    """p of the sign-flip test over prompts: each prompt's mean difference over seeds, where the judge decides both."""
    base = {card["seed"]: asked_of(card)[column] for card in cards.get((key[0], "frozen"), ())}
    differences: dict[int, list[int]] = {}
    for card in cards[key]:
        for place, (mine, other) in enumerate(zip(asked_of(card)[column], base.get(card["seed"], ""), strict=False)):
            if mine in "01" and other in "01":
                differences.setdefault(place, []).append(int(mine) - int(other))
    if len(differences) < 2:
        return None
    return sign_flip(np.array([np.mean(values) for values in differences.values()]))


def to_markdown(cards: Cards) -> str:
    """All tables."""
    lines: list[str] = []
    for generator in dict.fromkeys(kind for kind, _ in cards):
        keys = [key for key in cards if key[0] == generator]
        first = cards[keys[0]][0]
        lines += [f"### {generator}", "", _about(first, cards, keys), "", _mark(cards, generator), ""]
        lines += [*_judged(cards, keys), ""] if asked_of(first) else []
        for name in first["measured"]["sets"]:
            lines += [*_figures(cards, keys, name), ""]
        lines += _differences(cards, keys)
        lines += _words(cards, keys)
    return "\n".join(lines)


def _about(card: Mapping[str, Any], cards: Cards, keys: Sequence[tuple[str, str]]) -> str:
    made = card["settings"]
    steps = ", ".join(f"{stage} {done['steps']:,}" for stage, done in card["training"].items())
    data = ", ".join(f"{one['name']} (`{one['sha256'][:12]}`)" for one in made["data"])
    seeds = "; ".join(
        f"{encoder}: {', '.join(str(row['seed']) for row in cards[kind, encoder])}" for kind, encoder in keys
    )
    return f"Preset `{made['preset']}`; steps: {steps}; training data {data}; seeds of {seeds}. One sample a prompt."


def _mark(cards: Cards, generator: str) -> str:
    rows = [card for (kind, _), own in cards.items() if kind == generator for card in own]
    if "left_out" in rows[0]["measured"]:
        return str(rows[0]["measured"]["left_out"])
    found = counts(cards, generator)
    if found is None:
        return "No row with the frozen text encoder yet: nothing to compare with."
    verdict = "these rows count" if found[1] else "**these rows do not count: raise the budget**"
    return (
        f"Frozen text encoder: {found[0]:.1%} of single events in training wordings, the mark is {MARK:.0%}: {verdict}."
    )


def _judged(cards: Cards, keys: Sequence[tuple[str, str]]) -> list[str]:
    first = cards[keys[0]][0]
    real = {
        name: share(part["real"])
        for own in first["measured"]["sets"].values()
        for name, part in {**own["parts"], **again_of(own)}.items()
    }
    rows = [
        [f"{len(answers)} x {column}", show_repeats([100 * real.get(column, float("nan"))], digits=1)]
        + [show_repeats([100 * share(asked_of(card)[column]) for card in cards[key]], digits=1) for key in keys]
        for column, answers in asked_of(first).items()
    ]
    return table(["the judge finds it, % ↑", "real clips", *(encoder for _, encoder in keys)], rows)


def _figures(cards: Cards, keys: Sequence[tuple[str, str]], name: str) -> list[str]:
    first = cards[keys[0]][0]["measured"]["sets"][name]
    lines: list[str] = []
    for evaluator, rows in first["figures"].items():
        shown = [figure for figure in FIGURES if figure in rows["made"]]
        body = [["real motions", *(f"{rows['real'][figure]:.3f}" for figure in shown)]]
        for key in keys:
            own = [card["measured"]["sets"][name]["figures"][evaluator]["made"] for card in cards[key]]
            body.append([key[1], *(show_repeats([row[figure] for row in own]) for figure in shown)])
        head = f"{name}, {first['clips']} clips, `{evaluator}`"
        lines += [*table([head, *(f"{figure} {ARROWS[BETTER[figure]]}" for figure in shown)], body), ""]
        rows_of_parts = [
            [part]
            + [
                show_repeats([card["measured"]["sets"][name]["parts"][part]["R@1"][evaluator] for card in cards[key]])
                for key in keys
            ]
            for part in first["parts"]
        ]
        lines += [*table([f"R@1 ↑ by part, `{evaluator}`", *(encoder for _, encoder in keys)], rows_of_parts), ""]
    return lines[:-1]


def _compared(
    cards: Cards, keys: Sequence[tuple[str, str]]
) -> list[tuple[str, str, dict[tuple[str, str], list[float]]]]:
    """(figure, of what, differences by row) of all that is compared; the figure JUDGED is in percentage points."""
    others = [key for key in keys if key[1] != "frozen"]
    found = []
    for column in asked_of(cards[keys[0]][0]):
        differences = {key: paired(cards, key, lambda card, c=column: 100 * share(asked_of(card)[c])) for key in others}
        found.append((JUDGED, column, differences))
    for name, own in cards[keys[0]][0]["measured"]["sets"].items():
        for evaluator in own["figures"]:
            for figure in ("R@1", "FID", "MM-Dist"):

                def value(card: Mapping[str, Any], where: tuple[str, str, str] = (name, evaluator, figure)) -> float:
                    return card["measured"]["sets"][where[0]]["figures"][where[1]]["made"][where[2]]

                differences = {key: paired(cards, key, value) for key in others}
                found.append((figure, f"{name}, `{evaluator}`", differences))
    return found


def _differences(cards: Cards, keys: Sequence[tuple[str, str]]) -> list[str]:
    others = [key for key in keys if key[1] != "frozen"]
    if not others or (keys[0][0], "frozen") not in cards:
        return []
    rows = []
    for figure, what, differences in _compared(cards, keys):
        judged, cells = figure == JUDGED, []
        for key in others:
            cell = show_repeats(differences[key], digits=1 if judged else 3, sign="+")
            p = flips(cards, key, what) if judged else None
            cells.append(cell + (f" (p {p:.4f})" if p is not None else ""))
        rows.append([what if judged else f"{figure} {ARROWS[BETTER[figure]]}, {what}", *cells])
    note = "Differences from frozen, paired by seed (± over seeds); p: sign flips over prompts, of each one's mean over seeds."
    return [note, "", *table(["", *(encoder for _, encoder in others)], rows), ""]


def _words(cards: Cards, keys: Sequence[tuple[str, str]]) -> list[str]:
    """Shares by fact and by word, over all seeds; the words that differ most first."""

    def pooled(key: tuple[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for card in cards[key]:
            measured = card["measured"]
            single = measured.get("single_events", {}).get("answers", {})
            facts = [pair for own in single.values() for pair in own.items()]
            names = [(f"fact: {fact.replace('_', ' ')}", answers) for fact, answers in facts]
            for name, answers in [*names, *measured.get("words", {}).get("answers", {}).items()]:
                found[name] = found.get(name, "") + answers
        return found

    answers = {key: pooled(key) for key in keys}
    if not answers[keys[0]]:
        return []
    shares = {name: [share(answers[key].get(name, "")) for key in keys] for name in answers[keys[0]]}

    def spread(name: str) -> float:
        known = [value for value in shares[name] if np.isfinite(value)]
        return max(known) - min(known) if known else 0.0

    order = sorted(shares, key=lambda name: (not name.startswith("fact"), -spread(name), name))
    rows = [
        [name.replace("_", " "), str(len(answers[keys[0]][name]))]
        + [f"{100 * value:.0f}" if np.isfinite(value) else "–" for value in shares[name]]
        for name in order
    ]
    return [*table(["fact or word, % over all seeds", "asked", *(encoder for _, encoder in keys)], rows), ""]


def to_html(cards: Cards) -> str:
    """A self-contained page: paired differences of what the judge finds and of R@1, with their intervals over seeds, by generator.

    Raises:
        MateError: no row to compare with a frozen one.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    kinds = [kind for kind in dict.fromkeys(kind for kind, _ in cards) if (kind, "frozen") in cards]
    kinds = [kind for kind in kinds if sum(key[0] == kind for key in cards) > 1 and asked_of(cards[kind, "frozen"][0])]
    if not kinds:
        raise MateError(
            "no frozen row with another one beside it that the judge was asked about: there is nothing to plot"
        )
    columns = {JUDGED: 1.0, "R@1": 100.0}  # to percentage points
    titles = [f"{kind}: {column}" for kind in kinds for column in columns]
    figure: Any = make_subplots(
        len(kinds), len(columns), subplot_titles=titles, horizontal_spacing=0.28, vertical_spacing=0.2 / len(kinds)
    )
    for place, kind in enumerate(kinds, start=1):
        keys = [key for key in cards if key[0] == kind]
        compared = _compared(cards, keys)[::-1]
        for column, (wanted, points) in enumerate(columns.items(), start=1):
            lines = [(what.replace("`", ""), differences) for name, what, differences in compared if name == wanted]
            for number, key in enumerate(key for key in keys if key[1] != "frozen"):
                found = [(what, interval(points * np.array(own[key]))) for what, own in lines if own[key]]
                figure.add_trace(
                    go.Scatter(
                        x=[mean for _, (mean, _) in found],
                        y=[what for what, _ in found],
                        error_x={"type": "data", "array": [half for _, (_, half) in found]},
                        mode="markers",
                        marker={"size": 9, "color": ("#3a7abe", "#e87e3a")[number % 2]},
                        name=key[1],
                        legendgroup=key[1],
                        showlegend=place == column == 1,
                    ),
                    row=place,
                    col=column,
                )
            figure.add_vline(x=0, line_width=1, line_color="grey", row=place, col=column)
            figure.update_xaxes(title_text="percentage points more", row=place, col=column)
    figure.update_layout(
        title="Motion-aligned words against the frozen text encoder, paired by seed; 95 % intervals over seeds",
        height=200 + 420 * len(kinds),
        template="plotly_white",
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def main() -> None:
    """Prints the tables of the rows named on the command line."""
    import typer

    def show(
        rows: Annotated[list[Path], typer.Argument(help="Rows of `mate train table`, or folders of them.")],
        html: Annotated[Path | None, typer.Option(help="Write the plots there, too.")] = None,
    ) -> None:
        cards = read_rows(rows)
        print(to_markdown(cards))
        if html is not None:
            write_text(html, to_html(cards))

    run_module(show)


if __name__ == "__main__":
    main()

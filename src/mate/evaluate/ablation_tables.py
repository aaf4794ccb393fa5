"""The runs of `mate.evaluate.ablation` as tables: the method against the frozen encoder, then every variant.

    python -m mate.evaluate.ablation_tables results/align

± is half of Student's 95 % interval over seeds. In brackets: the difference from the frozen encoder that had the same seed, captions and
steps, averaged over seeds.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.ablation import CAPTIONS, FEW, PROTOCOL, SCORINGS, TABLES, VARIANTS
from mate.evaluate.card import run_module, show_repeats, table
from mate.evaluate.grounding_probe import SHORT

Rows = Mapping[tuple[str, int], Mapping[str, Any]]
"""(variant, seed) -> what the run left"""
Reading = Callable[[Mapping[str, Any]], float]
METHOD = "rows"
LADDER = ("set", "events", "fact", "wording", "word")
DIRECTIONS = {"text_to_motion content": "text to motion", "motion_to_text content": "motion to text"}
RANKS = ("R@1", "R@3", "R@10", "MedR")
LOCATED = {"element_of": "element-of", "soft_iou": "soft IoU", "mass": "mass in the true segment"}
CUT = {"median": "median error, s", "mean": "mean error, s", "within": "share within 0.35 s"}
ATTENTIONS = ("attention", "hinted")  # what depends on the rows; the rest are controls
DAMAGE = {
    "drift_mean": "drift, mean",
    "drift_max": "drift, largest",
    "similarity_correlation": "correlation of similarities",
    "partner_before": "partner found, before",
    "partner_after": "partner found, after",
}
# The figures of the ablations and their digits: pairs in percent, in unseen wordings.
FIGURES = {
    "side, localized": 1,
    "order, localized": 1,
    "side, one vector": 1,
    "order, one vector": 1,
    "synonyms": 1,
    "thinned words": 1,
    "R@1": 1,
    "MedR": 1,
    "element-of": 3,
    "boundary error, s": 2,
}


def read_results(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """What the runs of a folder left, other files left out.

    Raises:
        MateError: there is none, or runs on other data are among them.
    """
    read = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json")))
    found = {(row["variant"], row["seed"]): row for row in read if row.get("protocol") == PROTOCOL}
    if not found:
        raise MateError(f"{results} holds no run of the ablation; `python -m mate.evaluate.ablation` makes them")
    data = {tuple(row["data"]) for row in found.values()}
    if len(data) > 1:
        raise MateError(f"{results} holds runs on other data ({sorted(data)}); keep them in folders of their own")
    return found


def baseline(variant: str) -> str:
    """The frozen encoder that a variant is compared with: the one of the same training captions."""
    captions = VARIANTS[variant].captions
    return "nothing" if captions == "whole" else f"nothing-{captions}"


def headline(row: Mapping[str, Any]) -> dict[str, float]:
    """`FIGURES` of one run: pairs and retrieval of the second set in unseen wordings; synonyms and thinned words of the first, too.

    NaN for a fact that the set has no pairs of.
    """
    unseen = {"set": row["data"][-1], "wording": "unseen"}
    recall = _only(row["retrieval"], **unseen)["text_to_motion content"]
    values = (
        *(_right(row, {"scoring": how, "fact": fact, **unseen}) for how in SCORINGS for fact in ("side", "order")),
        _right(row, {"scoring": "sentence", "fact": "synonym", "wording": "unseen"}),
        _right(row, {"scoring": "sentence", "fact": "word"}),
        recall["R@1"][0],
        recall["MedR"][0],
        _only(row["grounding"]["frames"], group="all", reader="attention")["element_of"]["value"],
        _only(row["grounding"]["boundaries"], group="all", cutter="segments")["median"]["value"],
    )
    return dict(zip(FIGURES, values, strict=True))


def to_markdown(rows: Rows) -> str:
    """All tables that there are runs for."""
    own = any(variant == METHOD for variant, _ in rows)
    parts = [_facts(rows), _ladder(rows), _retrieval(rows), _located(rows), _boundaries(rows)] if own else []
    figures = {key: headline(row) for key, row in rows.items()}
    # The method and its baseline alone would say the same in every table.
    both, first = {METHOD, baseline(METHOD)}, next(iter(TABLES))
    parts += [
        _variants(figures, title, names)
        for title, names in TABLES.items()
        if title == first or any(_of(rows, name) for name in names if name not in both)
    ]
    return "\n".join(line for part in [*parts, _thinned(rows), _damage(rows)] for line in part)


# ---------------------------------------------------------------------- the method against the frozen encoder


def _facts(rows: Rows) -> list[str]:
    """What the ladder has by numbers of events, together."""
    labels = ("set", "fact", "wording")
    facts = dict.fromkeys(tuple(pair[name] for name in labels) for pair in _first(rows)["pairs"])
    return _pairs_table(rows, "Minimal pairs, percent right of two", labels, facts)


def _ladder(rows: Rows) -> list[str]:
    rungs = dict.fromkeys(tuple(pair.get(name, "") for name in LADDER) for pair in _first(rows)["pairs"])
    return _pairs_table(rows, "The same by number of events and by word", LADDER, rungs)


def _pairs_table(rows: Rows, title: str, labels: Sequence[str], groups: Iterable[tuple[Any, ...]]) -> list[str]:
    body = []
    for group in groups:
        chosen = {name: value for name, value in zip(labels, group, strict=True) if value != ""}
        cells = [str(value) for value in group]
        for scoring in SCORINGS:
            cells += _against(rows, partial(_right, labels={"scoring": scoring, **chosen}), 1)
        body.append(cells)
    head = [*labels, *(f"{who}, {scoring}" for scoring in SCORINGS for who in ("frozen", "rows"))]
    return _titled(title, head, body)


def _right(row: Mapping[str, Any], labels: Mapping[str, Any]) -> float:
    """The percentage of a run's minimal pairs with these labels; NaN if it has none of them."""
    chosen = [one for one in row["pairs"] if labels.items() <= one.items()]
    if not chosen:
        return float("nan")
    return 100.0 * float(np.average([one["rate"] for one in chosen], weights=[one["n"] for one in chosen]))


def _retrieval(rows: Rows) -> list[str]:
    body = []
    for line in _first(rows)["retrieval"]:
        where = {name: line[name] for name in ("set", "wording")}
        for key, direction in DIRECTIONS.items():
            cells = [*where.values(), str(line["pool"]), direction]
            for rank in RANKS:
                cells += _against(rows, lambda row, w=where, k=key, r=rank: _only(row["retrieval"], **w)[k][r][0], 1)
            body.append(cells)
    head = ["set", "wording", "pool", "direction", *(f"{rank}, {who}" for rank in RANKS for who in ("frozen", "rows"))]
    return _titled("Retrieval by one vector, percent; a clip or caption of the same content is a hit", head, body)


def _located(rows: Rows) -> list[str]:
    body = []
    for found in _first(rows)["grounding"]["frames"]:
        if found["group"] in ("all", SHORT):
            cells = [found["title"] + (f"; words {SHORT}" if found["group"] == SHORT else "")]
            for figure in LOCATED:
                reading = partial(_located_by, group=found["group"], reader=found["reader"], figure=figure)
                frozen, own = _against(rows, reading, 3)
                cells += [frozen if found["reader"] in ATTENTIONS else "", own]
            body.append(cells)
    head = ["", *(f"{figure}, {who}" for figure in LOCATED.values() for who in ("frozen", "rows"))]
    return _titled(f"Where words are, on test clips of {_second(rows)}", head, body)


def _located_by(row: Mapping[str, Any], group: str, reader: str, figure: str) -> float:
    return _only(row["grounding"]["frames"], group=group, reader=reader)[figure]["value"]


def _boundaries(rows: Rows) -> list[str]:
    body = []
    for found in _first(rows)["grounding"]["boundaries"]:
        if found["group"] == "all":
            readings = [
                [
                    _only(row["grounding"]["boundaries"], group="all", cutter=found["cutter"])[figure]["value"]
                    for figure in CUT
                ]
                for row in _of(rows, METHOD).values()
            ]
            body.append([found["title"], *(show_repeats(column, 2) for column in zip(*readings, strict=True))])
    return _titled(f"Boundaries between sub-texts, on test clips of {_second(rows)}", ["", *CUT.values()], body)


# ---------------------------------------------------------------------- variants


def _variants(figures: Rows, title: str, names: Sequence[str]) -> list[str]:
    """One ablation. figures: what `headline` found in each run."""
    body = [
        [
            VARIANTS[name].label,
            ", ".join(map(str, _of(figures, name))),
            *(_cell(figures, name, itemgetter(figure), digits) for figure, digits in FIGURES.items()),
        ]
        for name in names
        if _of(figures, name)
    ]
    return _titled(title, ["", "seeds", *FIGURES], body) if body else []


def _thinned(rows: Rows) -> list[str]:
    """Few clips, word by word: the figure of all thinned words hides that they are not equally easy."""
    names = {
        **{name: f"{name.removeprefix('few-')} clips" for name in CAPTIONS if name.startswith("few-")},
        "whole": "all clips",
    }
    variants = [who if name == "whole" else f"{who}-{name}" for name in names for who in ("nothing", METHOD)]
    if not any(_of(rows, variant) for variant in variants[:-2]):
        return []
    body = [[word, *(_cell(rows, variant, partial(_word, word=word), 1) for variant in variants)] for word in FEW]
    head = ["word", *(f"{label}, {who}" for label in names.values() for who in ("frozen", "rows"))]
    return _titled("Thinned words, percent right of two, by one vector", head, body)


def _word(row: Mapping[str, Any], word: str) -> float:
    return _right(row, {"fact": "word", "word": word, "scoring": "sentence"})


def _damage(rows: Rows) -> list[str]:
    body = []
    for name, variant in VARIANTS.items():
        found = [row["damage"] for row in _of(rows, name).values() if row.get("damage")]
        if found:
            cells = [show_repeats([one[figure] for one in found], 4) for figure in DAMAGE]
            body.append([variant.label, str(len(found)), *cells])
    return (
        _titled("Sentences that have nothing to do with motion", ["", "runs", *DAMAGE.values()], body) if body else []
    )


# ---------------------------------------------------------------------- cells


def _of(rows: Rows, variant: str) -> dict[int, Mapping[str, Any]]:
    """A variant's rows by seed."""
    return {seed: rows[name, seed] for name, seed in sorted(rows) if name == variant}


def _first(rows: Rows) -> Mapping[str, Any]:
    return next(iter(_of(rows, METHOD).values()))


def _second(rows: Rows) -> str:
    """The set of clips of several events, on which most is measured."""
    return _first(rows)["data"][-1]


def _against(rows: Rows, reading: Reading, digits: int) -> list[str]:
    """Two cells: the frozen encoder, and the method with its difference."""
    return [_cell(rows, baseline(METHOD), reading, digits), _cell(rows, METHOD, reading, digits)]


def _cell(rows: Rows, variant: str, reading: Reading, digits: int) -> str:
    """A figure over seeds; behind it, for what is trained, the difference from the frozen encoder over the seeds that both have."""
    own, frozen = _of(rows, variant), _of(rows, baseline(variant))
    shown = show_repeats([reading(row) for row in own.values()], digits)
    both = [reading(row) - reading(frozen[seed]) for seed, row in own.items() if seed in frozen]
    return shown if variant == baseline(variant) or not both else f"{shown} ({show_repeats(both, digits, '+')})"


def _only(rows: Iterable[Mapping[str, Any]], **labels: Any) -> Mapping[str, Any]:
    return next(row for row in rows if all(row.get(name) == value for name, value in labels.items()))


def _titled(title: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return [f"**{title}**", "", *table(head, body), ""]


def main() -> None:
    """Prints the tables of a folder of runs."""
    import typer

    def show(results: Annotated[Path, typer.Argument(help="Where the runs left their figures.")]) -> None:
        print(to_markdown(read_results(results)))

    run_module(show)


if __name__ == "__main__":
    main()

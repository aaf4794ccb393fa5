"""One page of plots from result cards: rungs and words with their intervals, before and after MATE. No library, nothing from the network.

A card may say itself what is to be drawn: `plots`, a list of {"title", "rows": [{"name", "series", "value", "low", "high", "n"}]} with
values as shares (`series` may be left out). Cards of the word probe and of the flip test are known; of any other card every list of
figures with `low` and `high` is drawn.
"""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mate.errors import MateError
from mate.evaluate import flip, word_probe, word_rows

CHANCE = "chance"
AGAIN = ", another seed"  # ends the series of what another seed changes: drawn hollow, in the colour of its model
_NAMES = ("name", "rung", "word", "respect", "fact", "measure", "group", "kind", "wording", "split")
_VALUES = ("value", "rate", "difference", "mean")
_LABEL, _WIDTH, _PAD, _STEP = (
    168,
    560,
    30,
    11,
)  # pixels: of the names, of the axis, around it, between the series of a name


@dataclass(frozen=True)
class Mark:
    """One figure: whose it is (`name`), which line of the legend (`series`), its 95 % interval, of how many."""

    name: str
    series: str
    value: float
    low: float
    high: float
    n: int | None = None


@dataclass(frozen=True)
class Plot:
    """A plot of marks. Attributes: notes: what is written behind a name; shift: differences about zero and not shares from 0 to 100 %."""

    title: str
    marks: tuple[Mark, ...]
    about: str = ""
    notes: Mapping[str, str] | None = None
    shift: bool = False


def plots_of(name: str, card: Mapping[str, Any]) -> list[Plot]:
    """What is drawn of a card. `name`: what it is called where the card does not say.

    Raises:
        MateError: nothing in it has an interval.
    """
    protocol = card.get("protocol")
    if "plots" in card:
        found = [_given(name, plot) for plot in card["plots"]]
    elif protocol == word_probe.PROTOCOL:
        found = list(_words(word_rows.alone(name, card)))
    elif protocol == word_rows.ROWS:
        found = list(_words(card))
    elif protocol in (flip.PROTOCOL, flip.ROWS):
        found = _flips(card.get("rows") or [{"name": name, **card}])
    else:
        found = [plot for plot in _any(card, ()) if plot.marks]
    if not any(plot.marks for plot in found):
        raise MateError(
            f"{name}: nothing to draw: no figures with low and high; expected a result card of `mate probe`"
        )
    return found


def _given(name: str, plot: Mapping[str, Any]) -> Plot:
    try:
        marks = tuple(_mark(row, str(row["name"]), str(row.get("series", name))) for row in plot["rows"])
        return Plot(str(plot["title"]), marks, str(plot.get("about", "")), shift=bool(plot.get("difference", False)))
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise MateError(f"{name}: got plots without title, rows, name, value, low or high ({error!r})") from error


def _mark(row: Mapping[str, Any], name: str, series: str) -> Mark:
    value = next(row[key] for key in _VALUES if row.get(key) is not None)
    n = row.get("n")
    return Mark(name, series, float(value), float(row["low"]), float(row["high"]), None if n is None else int(n))


def _words(card: Mapping[str, Any]) -> Iterator[Plot]:
    """By rung, the differences, by word."""
    rows = card["rows"]
    floored = any(row["name"] == word_rows.FLOOR for row in rows)
    of_baseline = next(row for row in rows if row["name"] == card["baseline"])
    words = sorted({one["word"] for row in rows for one in row["by_word"]})

    def marks(key: str, label: str, groups: Sequence[str]) -> tuple[Mark, ...]:
        found = [_mark(one, one[label], row["name"]) for row in rows for one in row[key] if one["n"]]
        if not floored:
            chances = [one for one in of_baseline[key] if one["chance_n"]]
            figures = ("chance", "chance_low", "chance_high", "chance_n")
            found = [*(Mark(one[label], CHANCE, *(one[figure] for figure in figures)) for one in chances), *found]
        return _plain(_ordered(found, groups))

    about = "Share of the prompts that are obeyed, of those that the judge decides, with Wilson's 95 % interval."
    yield Plot("By kind of meaning", marks("by_rung", "rung", list(card["states"])), about, card["states"])
    for title, kinds, groups in (
        ("Differences by kind of meaning", ("all", "rung"), ["all", *card["states"]]),
        ("Differences by word", ("word",), words),
    ):
        own = [row for row in card["differences"] if row["kind"] in kinds and row["n"]]
        if own:
            over = f"Points over {card['baseline']}, paired by wording, with 95 % intervals. Of so many, some lie off zero by chance."
            found = [_mark(row, row["group"], row["name"]) for row in own]
            yield Plot(title, _plain(_ordered(found, groups)), over, shift=True)
    yield Plot("By word", marks("by_word", "word", words), about)


def _plain(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Words as people write them."""
    return tuple(replace(mark, name=mark.name.replace("_", " ")) for mark in marks)


def _flips(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    found = []
    for key, title, about in (
        ("changed", "The changed word", "Pairs in which both motions do as told, of those that the judge decides."),
        ("only_that", "Nothing else", "Of these, pairs in which nothing changes that the word says nothing about."),
    ):
        marks = [
            _mark(one[key], one["respect"], row["name"])
            for row in rows
            for one in [*row["by_respect"], row["all"]]
            if one[key]["n"]
        ]
        found.append(Plot(title, _ordered(marks, [*flip.RESPECTS, "all"]), about))
    marks = [
        _mark(one, one["measure"], f"{row['name']}{suffix}")
        for row in rows
        for key, suffix in (("kept", ""), ("kept_between_seeds", AGAIN))
        for one in row["all"][key]
    ]
    about = "With the word changed (full); with another seed and no word changed (hollow)."
    return [*found, Plot("What stays the same", _ordered(marks, list(flip.MEASURES)), about)]


def _ordered(marks: Sequence[Mark], names: Sequence[str]) -> tuple[Mark, ...]:
    """The marks in the order of their names, whichever row has one first."""
    return tuple(sorted(marks, key=lambda mark: names.index(mark.name)))


def _any(value: Any, path: tuple[str, ...]) -> Iterator[Plot]:
    """Every list of figures with an interval."""
    if isinstance(value, Mapping):
        for key, own in value.items():
            yield from _any(own, (*path, str(key)))
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        drawn = [one for one in value if _drawable(one)]
        marks = []
        for one in drawn:
            texts = [str(one[key]).replace("_", " ") for key in _NAMES if isinstance(one.get(key), str)]
            series = str(one.get("series", ""))
            marks.append(_mark(one, ", ".join(texts) or str(len(marks) + 1), series))
        shift = any(mark.low < 0 for mark in marks)
        yield Plot(" / ".join(path).replace("_", " "), tuple(marks), shift=shift)
        for one in value:
            if one not in drawn:
                yield from _any(one, path)


def _drawable(one: Mapping[str, Any]) -> bool:
    figures = [one.get("low"), one.get("high"), next((one[key] for key in _VALUES if one.get(key) is not None), None)]
    return all(isinstance(figure, int | float) and not isinstance(figure, bool) for figure in figures)


# The page


def page(cards: Mapping[str, Mapping[str, Any]], title: str = "Word probes") -> str:
    """An HTML page with the plots of all cards.

    Args:
        cards: what each is called -> card.

    Raises:
        MateError: no cards, or one with nothing to draw.
    """
    if not cards:
        raise MateError("got no cards, expected result cards of `mate probe -o FILE`")
    parts = []
    for name, card in cards.items():
        facts = [str(card.get("of", card.get("protocol", "")))]
        facts += [f"{card['prompts']} prompts"] if isinstance(card.get("prompts"), int) else []
        facts += [f"SHA-256 {str(card['prompts_sha256'])[:12]}"] if "prompts_sha256" in card else []
        parts.append(f"<h2>{html.escape(name)}</h2><p class=facts>{html.escape(' · '.join(filter(None, facts)))}</p>")
        plots = plots_of(name, card)
        colours = _colours(list(dict.fromkeys(mark.series for plot in plots for mark in plot.marks)))
        parts += [_section(plot, colours) for plot in plots if plot.marks]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{html.escape(title)}</h1>"
        f"{''.join(parts)}</main></body></html>\n"
    )


_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5d6878;--line:#d9dee6;--paper:#fff;--band:#f4f6f9;
--s0:#3b6fb6;--s1:#d9731a;--s2:#7a4fb5;--s3:#0d8f83;--s4:#b8336a;--s5:#8a7500;--floor:#98a2b0;--ceiling:#3f8f3a}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#9aa6b6;--line:#36404e;--paper:#14181e;--band:#1b2129;
--s0:#79a9ea;--s1:#f0a050;--s2:#b596ea;--s3:#4cc9bb;--s4:#ee7fae;--s5:#d6bd3c;--floor:#7b8696;--ceiling:#7cc474}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:860px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:26px;margin:0 0 8px}h2{font-size:20px;margin:40px 0 0}h3{font-size:16px;margin:28px 0 2px}
p{margin:2px 0 8px;max-width:70ch}.facts,.about{color:var(--soft);font-size:13px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;padding:0;margin:4px 0;font-size:13px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:6px;background:var(--c)}
.scroll{overflow-x:auto}svg{display:block;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}
svg .band{fill:var(--band)}svg .grid{stroke:var(--line)}svg .zero{stroke:var(--soft)}
details{font-size:13px;margin:4px 0}summary{cursor:pointer;color:var(--soft)}
table{border-collapse:collapse;margin:6px 0}td,th{text-align:left;padding:1px 14px 1px 0;font-variant-numeric:tabular-nums}
"""


def _colours(series: Sequence[str]) -> dict[str, str]:
    """One colour a series in all plots of a card; floor and chance are grey and the ceiling is green, wherever they stand."""
    fixed = {word_rows.FLOOR: "floor", CHANCE: "floor", word_rows.CEILING: "ceiling"}
    models = {name: name.removesuffix(AGAIN) for name in series}
    free = list(dict.fromkeys(model for model in models.values() if model not in fixed))
    return {name: f"var(--{fixed.get(model) or f's{free.index(model) % 6}'})" for name, model in models.items()}


def _section(plot: Plot, colours: Mapping[str, str]) -> str:
    own = {mark.series for mark in plot.marks}
    series = [name for name in colours if name in own]
    legend = "".join(
        f'<li><i style="--c:{colours[name]}"></i>{html.escape(name)}</li>'
        for name in series
        if (name or len(series) > 1) and not name.endswith(AGAIN)
    )
    about = f"<p class=about>{html.escape(plot.about)}</p>" if plot.about else ""
    return (
        f"<section><h3>{html.escape(plot.title)}</h3>{about}<ul class=legend>{legend}</ul>"
        f"<div class=scroll>{_svg(plot, series, colours)}</div>{_table(plot)}</section>"
    )


def _axis(plot: Plot) -> tuple[float, float, list[float]]:
    """Where the axis begins and ends, and its marks."""
    if not plot.shift:
        low, high = min(0.0, *(m.low for m in plot.marks)), max(1.0, *(m.high for m in plot.marks))
        return low, high, [n / 5 for n in range(math.ceil(low * 5), math.floor(high * 5) + 1)]
    reach = max(0.1, *(max(abs(m.low), abs(m.high)) for m in plot.marks))
    step = next(step for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, reach) if reach / step <= 5)
    reach = step * math.ceil(reach / step - 1e-9)
    return -reach, reach, [step * n for n in range(-round(reach / step), round(reach / step) + 1)]


def _svg(plot: Plot, series: Sequence[str], colours: Mapping[str, str]) -> str:
    names = list(dict.fromkeys(mark.name for mark in plot.marks))
    low, high, ticks = _axis(plot)
    each = _STEP * len(series) + 8
    tall = each * len(names)
    wide = _LABEL + _WIDTH + _PAD * 2 + (70 if plot.notes else 0)

    def x(value: float) -> float:
        return round(_LABEL + _PAD + _WIDTH * (min(max(value, low), high) - low) / (high - low), 1)

    parts = [
        f'<svg role="img" aria-label="{html.escape(plot.title, quote=True)}" width="{wide}" height="{tall + 24}" '
        f'viewBox="0 0 {wide} {tall + 24}">'
    ]
    for row, name in enumerate(names):
        top = row * each
        if row % 2 == 0:
            parts.append(f'<rect class="band" x="0" y="{top}" width="{wide}" height="{each}"/>')
        parts.append(f'<text x="{_LABEL}" y="{top + each / 2 + 4}" text-anchor="end">{html.escape(name)}</text>')
        if plot.notes and name in plot.notes:
            note = html.escape(plot.notes[name])
            parts.append(f'<text class="soft" x="{_LABEL + _WIDTH + _PAD + 10}" y="{top + each / 2 + 4}">{note}</text>')
    for tick in ticks:
        style = "zero" if abs(tick) < 1e-9 else "grid"
        text = f"{100 * tick:+.0f}" if plot.shift else f"{100 * tick:.0f} %"
        parts.append(f'<line class="{style}" x1="{x(tick)}" x2="{x(tick)}" y1="0" y2="{tall}"/>')
        parts.append(f'<text class="soft" x="{x(tick)}" y="{tall + 17}" text-anchor="middle">{text}</text>')
    for mark in plot.marks:
        y = names.index(mark.name) * each + 4 + _STEP * (series.index(mark.series) + 0.5)
        colour, hollow = colours[mark.series], mark.series.endswith(AGAIN)
        fill = "var(--paper)" if hollow else colour
        parts.append(
            f"<g><title>{html.escape(_said(mark, plot.shift))}</title>"
            f'<line x1="{x(mark.low)}" x2="{x(mark.high)}" y1="{y}" y2="{y}" style="stroke:{colour}" stroke-width="2" opacity="0.55"/>'
            f'<circle cx="{x(mark.value)}" cy="{y}" r="{3 if hollow else 4}" style="fill:{fill};stroke:{colour}"/></g>'
        )
    return "".join([*parts, "</svg>"])


def _figures(mark: Mark, shift: bool) -> tuple[str, str]:
    sign, unit = ("+", "") if shift else ("", " %")
    return f"{100 * mark.value:{sign}.1f}{unit}", f"[{100 * mark.low:{sign}.1f}, {100 * mark.high:{sign}.1f}]"


def _said(mark: Mark, shift: bool) -> str:
    of = "" if mark.n is None else f" of {mark.n}"
    return f"{mark.name}, {mark.series}: {' '.join(_figures(mark, shift))}{of}"


def _table(plot: Plot) -> str:
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{html.escape(cell)}</td>"
            for cell in (m.name, m.series, *_figures(m, plot.shift), "" if m.n is None else str(m.n))
        )
        + "</tr>"
        for m in plot.marks
    )
    head = "".join(f"<th>{name}</th>" for name in ("", "", "value", "95 %", "n"))
    return (
        f"<details><summary>The figures</summary><div class=scroll><table><tr>{head}</tr>{rows}</table></div></details>"
    )

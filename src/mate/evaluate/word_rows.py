"""Word cards side by side: generators on the same prompts and seeds, a floor, a ceiling, and what lies between them with paired intervals.

The first card is the baseline: the others are compared with it, and it says which rungs are saturated or unsolved.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import show_rate, table, versions
from mate.evaluate.ceiling import NAME as CEILING
from mate.evaluate.compare import sign_flip
from mate.evaluate.word_probe import PROTOCOL, SATURATED, UNSOLVED, state
from mate.evaluate.word_prompts import WordPrompt, packaged_prompts, without_subject, word_prompts_hash

ROWS = "mate-words-rows-1"
FLOOR = "shuffled captions"
_KEPT = ("model", "motions_of", "device", "platform", "seeds", "versions")  # what a row still says of its card


def paired_interval(differences: Iterable[float], z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a mean of paired differences in [-1, 1], one a wording.

    The adjusted Wald interval of Bonett and Price (2012): one more in each direction, so that it is never of width zero, not
    even where all pairs agree.
    """
    more = np.array([*differences, 1.0, -1.0])
    centre, half = float(more.mean()), z * float(more.std()) / np.sqrt(len(more))
    return max(-1.0, centre - half), min(1.0, centre + half)


def difference(first: Sequence[bool | None], second: Sequence[bool | None], units: Sequence[Any]) -> dict[str, Any]:
    """second - first over pairs that both decide, paired; pairs of one unit (a wording with its subjects and seeds) count as one.

    Returns:
        difference, low, high (see `paired_interval`), p (of a sign-flip test; None without pairs), n (units).
    """
    by_unit: dict[Any, list[float]] = {}
    for a, b, unit in zip(first, second, units, strict=True):
        if a is not None and b is not None:
            by_unit.setdefault(unit, []).append(float(b) - float(a))
    values = np.array([np.mean(own) for own in by_unit.values()])
    low, high = paired_interval(values)
    return {
        "difference": float(values.mean()) if len(values) else 0.0,
        "low": low,
        "high": high,
        "p": sign_flip(values) if len(values) else None,
        "n": len(values),
    }


def side_by_side(cards: Mapping[str, Mapping[str, Any]], prompts: Sequence[WordPrompt] | None = None) -> dict[str, Any]:
    """One card of several.

    Args:
        cards: name of the row -> its card, the baseline first. The card of the procedural motions is the ceiling, wherever it stands;
            with its captions shuffled it is the floor.
        prompts: that the cards are about; the packaged ones if nothing is said.

    Raises:
        MateError: fewer than two cards, or cards of other prompts or seeds.
    """
    prompts = packaged_prompts() if prompts is None else prompts
    ceilings = [name for name, card in cards.items() if is_ceiling(name, card)]
    compared = [name for name in cards if name not in ceilings]
    if len(cards) < 2 or not compared or len(ceilings) > 1:
        raise MateError(
            f"got {len(cards)} card(s), {len(ceilings)} of them procedural; expected two or more, at most one of them procedural"
        )
    for name, card in cards.items():
        _check(name, card, prompts)
    baseline = cards[compared[0]]
    keys = [(one["prompt"], one["seed"]) for one in baseline["answers"]]
    for name in [*compared[1:], *ceilings]:
        if [(one["prompt"], one["seed"]) for one in cards[name]["answers"]] != keys:
            raise MateError(
                f"{compared[0]} and {name} were not asked the same: prompts or seeds differ; make both cards with the same --seeds"
            )
    rows = [_row(name, cards[name]) for name in [*compared, *ceilings]]
    rows = [*([_floor(cards[ceilings[0]])] if ceilings else []), *rows]
    states = {row["rung"]: state(row) for row in baseline["by_rung"]}
    return {
        "protocol": ROWS,
        "of": PROTOCOL,
        "prompts": baseline["prompts"],
        "prompts_sha256": baseline["prompts_sha256"],
        "seeds": baseline["seeds"],
        "baseline": compared[0],
        "ceiling": ceilings[0] if ceilings else None,
        "states": states,
        "state_is": f"of the baseline: saturated above {SATURATED:.0%}, unsolved up to {UNSOLVED:.0%} above its own chance",
        "rows": rows,
        "differences": [
            row for name in compared[1:] for row in _differences(name, cards[name], baseline, compared[0], prompts)
        ],
        "interval": "of rates: Wilson, 95 %; of differences: adjusted Wald over pairs of wordings, 95 %; p: sign-flip test over them",
        "versions": versions(),
    }


def alone(name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """One card in the form of several, with nothing to compare it with."""
    states = {row["rung"]: row["state"] for row in card["by_rung"]}
    rows = [_row(name, card)]
    return {"protocol": ROWS, "of": PROTOCOL, "baseline": name, "states": states, "rows": rows, "differences": []}


def is_ceiling(name: str, card: Mapping[str, Any]) -> bool:
    """Is it the card of the procedural motions?"""
    return CEILING in (name, card.get("motions_of"))


def _check(name: str, card: Mapping[str, Any], prompts: Sequence[WordPrompt]) -> None:
    if card.get("protocol") != PROTOCOL:
        raise MateError(f"{name}: got a card of the protocol {card.get('protocol')!r}, expected {PROTOCOL!r}")
    if card["prompts_sha256"] != word_prompts_hash(prompts):
        raise MateError(
            f"{name}: its prompts (SHA-256 {card['prompts_sha256'][:12]}) are not those of this version; make the card again"
        )


def _row(name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    about = {key: card[key] for key in _KEPT if key in card}
    return {"name": name, **about, **{key: card[key] for key in ("all", "by_rung", "by_word")}}


def _floor(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the ceiling's motions get for other prompts of their rung."""

    def floor(row: Mapping[str, Any]) -> dict[str, Any]:
        labels = {key: row[key] for key in ("rung", "word") if key in row}
        figures = {key: row[f"chance_{key}"] for key in ("low", "high", "n")}
        return {
            **labels, "asked": row["asked"], "cannot_tell": row["asked"] - row["chance_n"],
            "rate": row["chance"], **figures, "chance": row["chance"], "chance_n": row["chance_n"],
        }  # fmt: skip

    parts = {key: [floor(row) for row in card[key]] for key in ("by_rung", "by_word")}
    return {"name": FLOOR, "motions_of": CEILING, "all": floor(card["all"]), **parts}


def _differences(
    name: str, card: Mapping[str, Any], baseline: Mapping[str, Any], against: str, prompts: Sequence[WordPrompt]
) -> list[dict[str, Any]]:
    known = {prompt.text: prompt for prompt in prompts}
    asked = [known[one["prompt"]] for one in baseline["answers"]]
    units = [without_subject(prompt.text) for prompt in asked]
    first, second = ([one["answer"] for one in side["answers"]] for side in (baseline, card))

    def row(kind: str, group: str, belongs: Callable[[WordPrompt], bool]) -> dict[str, Any]:
        mine = [n for n, prompt in enumerate(asked) if belongs(prompt)]
        found = difference([first[n] for n in mine], [second[n] for n in mine], [units[n] for n in mine])
        better = name if found["low"] > 0 else against if found["high"] < 0 else ""
        return {"name": name, "against": against, "kind": kind, "group": group, **found, "better": better}

    rungs = [row["rung"] for row in baseline["by_rung"]]
    words = [row["word"] for row in baseline["by_word"]]
    return [
        row("all", "all", lambda prompt: True),
        *(row("rung", rung, lambda prompt, rung=rung: prompt.rung == rung) for rung in rungs),
        *(row("word", word, lambda prompt, word=word: word in prompt.words()) for word in words),
    ]


# In words


def to_markdown(card: Mapping[str, Any]) -> str:
    """The rows as Markdown: all, by rung, differences, by word."""
    rows = card["rows"]
    names = [row["name"] for row in rows]
    total = [
        [
            row["name"], show_rate(row["all"]), f"{100 * row['all']['chance']:.1f} %",
            f"{100 * row['all']['cannot_tell'] / max(row['all']['asked'], 1):.1f} %",
        ]
        for row in rows
    ]  # fmt: skip

    def cells(key: str, label: str) -> list[list[str]]:
        """One line a rung or word, with a cell for each row that has it."""
        groups = list(dict.fromkeys(one[label] for row in rows for one in row[key]))
        found = [{one[label]: one for one in row[key]} for row in rows]
        return [[group, *(_short(own.get(group)) for own in found)] for group in groups]

    by_rung = [[*line, card["states"].get(line[0], "")] for line in cells("by_rung", "rung")]
    by_word = [[line[0].replace("_", " "), *line[1:]] for line in cells("by_word", "word")]
    lines = [
        f"Protocol `{card['of']}`: {card['prompts']} prompts (SHA-256 `{card['prompts_sha256'][:12]}`), {len(card['seeds'])} sample(s) "
        f"each. Baseline: `{card['baseline']}`.",
        "",
        *table(["motions of", "obeyed, 95 % interval", "chance", "cannot tell"], total),
        "",
        *table(["rung", *names, "of the baseline"], by_rung),
        "",
    ]
    if card["differences"]:
        lines += [*_difference_table(card), ""]
    return "\n".join([*lines, *table(["word", *names], by_word), ""])


def _short(row: Mapping[str, Any] | None) -> str:
    if row is None or not row["n"]:
        return "–"
    return f"{100 * row['rate']:.0f} [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"


def _difference_table(card: Mapping[str, Any]) -> list[str]:
    named = list(dict.fromkeys(row["name"] for row in card["differences"]))
    body = []
    for group in ["all", *card["states"]]:
        own = {row["name"]: row for row in card["differences"] if row["kind"] != "word" and row["group"] == group}
        body.append([group, *(show_difference(own.get(name)) for name in named)])
    return table(["points over the baseline", *named], body)


def show_difference(row: Mapping[str, Any] | None) -> str:
    """Points with their interval and p."""
    if row is None or not row["n"]:
        return "–"
    p = "" if row["p"] is None else f", p {row['p']:.4f}"
    return f"{100 * row['difference']:+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}] of {row['n']}{p}"

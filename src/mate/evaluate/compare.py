"""Two result cards beside each other: differences with intervals and paired tests, as Markdown and as a page with plots.

Samples of the same prompt are paired. Per-sample figures (R@k, MM-Dist, the judge) get a sign-flip permutation test; FID, which is no
mean over samples, gets the interval of a paired jackknife over parts of the prompts.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import table
from mate.evaluate.protocol import BETTER, folds, jackknife

FLIPS = 10_000


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[str, str] = ("a", "b"), seed: int = 0
) -> dict[str, Any]:
    """Differences second - first.

    Returns:
        `names`, `pairs`, and `rows`: evaluator, figure, first, second, difference, half (of its 95 % interval over prompts), p (of the
        sign-flip test; None for figures of a whole set), better ("a", "b", or "" where the interval holds zero or neither direction is
        better).

    Raises:
        MateError: cards that are not comparable; the message says in what they differ.
    """
    check_comparable(first, second, names)
    mine, other = first["samples"], second["samples"]
    place = {key: n for n, key in enumerate(other["keys"])}
    shared = [(n, place[key]) for n, key in enumerate(mine["keys"]) if key in place]
    if len(shared) < 2:
        raise MateError(
            f"{names[0]} and {names[1]} share {len(shared)} prompts, expected at least 2; evaluate both on the same prompts file"
        )
    left, right = (np.array(rows) for rows in zip(*shared, strict=True))
    texts = [mine["keys"][n].rsplit(" #", 1)[0] for n in left]
    fold = folds(texts)
    complete = len(shared) == len(mine["keys"]) == len(other["keys"])
    rows = []
    for evaluator in first["evaluators"]:
        for figure in first["rows"]["made"][evaluator]:
            a, b = (card["rows"]["made"][evaluator].get(figure, {}).get("value") for card in (first, second))
            if a is None or b is None:
                continue
            base = {"evaluator": evaluator, "figure": figure, "first": a, "second": b, "difference": b - a}
            columns = [samples["figures"][evaluator].get(figure) for samples in (mine, other)]
            if columns[0] is not None and columns[1] is not None:
                rows.append({**base, **_paired(np.array(columns[0])[left], np.array(columns[1])[right], fold, seed)})
            elif figure == "FID" and complete:
                without = [np.array(card["folds"][evaluator]["FID"]) for card in (first, second)]
                half = jackknife(b - a, list(without[1] - without[0])) if without[0].shape == without[1].shape else None
                rows.append({**base, "half": half, "p": None})
            else:
                rows.append({**base, "half": None, "p": None})
    judged = [
        np.array([np.nan if value is None else value for value in samples["judge"]], dtype=float)
        for samples in (mine, other)
    ]
    if len(judged[0]) and len(judged[1]):
        a, b = judged[0][left], judged[1][right]
        known = ~(np.isnan(a) | np.isnan(b))
        if known.sum() > 1:
            base = {"evaluator": "judge", "figure": "facts shown", "first": a[known].mean(), "second": b[known].mean()}
            rows.append({**base, **_paired(a[known], b[known], fold[known], seed)})
    for row in rows:
        row["better"] = _better(row, names)
    return {"names": list(names), "pairs": len(shared), "protocol": first["protocol"]["name"], "rows": rows}


def check_comparable(first: Mapping[str, Any], second: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Raises MateError unless two cards were made by the same protocol, on the same data, with the same evaluators."""
    differ = []
    for where, keys in (("protocol", ("name", "repeats", "wording", "pool")), ("data", ("sha256",))):
        for key in keys:
            if first[where].get(key) != second[where].get(key):
                differ.append(f"{where} {key}: {first[where].get(key)} and {second[where].get(key)}")
    known = [
        {name: about.get("sha256", about.get("files")) for name, about in card["evaluators"].items()}
        for card in (first, second)
    ]
    if known[0] != known[1]:
        differ.append(f"evaluators: {', '.join(known[0])} and {', '.join(known[1])}, by their hashes")
    for name, card in zip(names, (first, second), strict=True):
        if "made" not in card["rows"]:
            raise MateError(f"{name} has real motions alone: there is nothing to compare")
    if differ:
        raise MateError(f"{names[0]} and {names[1]} are not comparable: {'; '.join(differ)}; evaluate both alike")


def _paired(a: np.ndarray, b: np.ndarray, fold: np.ndarray, seed: int) -> dict[str, Any]:
    difference = b - a
    _, fold = np.unique(fold, return_inverse=True)
    without = [difference[fold != part].mean() for part in range(fold.max() + 1)] if fold.max() else []
    return {
        "difference": float(difference.mean()),
        "half": jackknife(difference.mean(), without),
        "p": sign_flip(difference, seed),
    }


def sign_flip(difference: np.ndarray, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p of the hypothesis that the differences (N,) lie evenly about zero: how often random signs give as large a mean.

    The observed signs count as one of the draws, so p is never 0.
    """
    rng = np.random.default_rng(seed)
    observed, beyond, done = abs(difference.mean()), 0, 0
    while done < flips:
        count = min(1000, flips - done)
        signs = rng.integers(0, 2, size=(count, len(difference)), dtype=np.int8) * 2.0 - 1.0
        beyond += int((np.abs(signs @ difference) / len(difference) >= observed - 1e-12).sum())
        done += count
    return (beyond + 1) / (flips + 1)


def _better(row: Mapping[str, Any], names: tuple[str, str]) -> str:
    direction = BETTER.get(row["figure"], 1)
    half = row["half"]
    if half is None or not np.isfinite(half) or direction == 0 or abs(row["difference"]) <= half:
        return ""
    return names[1] if row["difference"] * direction > 0 else names[0]


# ---------------------------------------------------------------------- output


def to_markdown(result: Mapping[str, Any]) -> str:
    """The comparison as a Markdown table."""
    first, second = result["names"]

    def number(value: float | None, sign: str = "") -> str:
        return "–" if value is None or not np.isfinite(value) else f"{value:{sign}.4f}"

    rows = [
        [
            row["evaluator"],
            row["figure"],
            number(row["first"]),
            number(row["second"]),
            f"{number(row['difference'], '+')} ± {number(row['half'])}",
            "–" if row["p"] is None else f"{row['p']:.4f}",
            row["better"] or "–",
        ]
        for row in result["rows"]
    ]
    return "\n".join(
        [
            f"Protocol `{result['protocol']}`, {result['pairs']} pairs of motions made for the same prompts.",
            "",
            *table(["evaluator", "figure", first, second, f"{second} - {first}, 95 %", "p", "better"], rows),
            "",
            f"The interval is over prompts (jackknife); p is of a paired sign-flip test with {FLIPS:,} draws. Many figures are tested: a "
            "single p near 0.05 is no finding.",
            "",
        ]
    )


def to_html(result: Mapping[str, Any]) -> str:
    """A self-contained page: a plot for each evaluator, differences with their intervals in units of the interval's half."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    kept = [row for row in result["rows"] if row["half"] is not None and np.isfinite(row["half"]) and row["half"] > 0]
    evaluators = list(dict.fromkeys(row["evaluator"] for row in kept))
    if not kept:
        raise MateError("no figure of the comparison has an interval: there is nothing to plot")
    first, second = result["names"]
    figure: Any = make_subplots(
        rows=len(evaluators), cols=1, subplot_titles=evaluators, vertical_spacing=0.3 / len(evaluators)
    )
    for place, evaluator in enumerate(evaluators, start=1):
        own = [row for row in kept if row["evaluator"] == evaluator][::-1]
        sign = [BETTER.get(row["figure"], 1) or 1 for row in own]
        figure.add_trace(
            go.Scatter(
                x=[row["difference"] * s / row["half"] for row, s in zip(own, sign, strict=True)],
                y=[row["figure"] for row in own],
                error_x={"type": "constant", "value": 1.0},
                mode="markers",
                marker={"size": 9},
                text=[
                    f"{row['first']:.4f} -> {row['second']:.4f} ({row['difference']:+.4f} ± {row['half']:.4f})"
                    for row in own
                ],
                hovertemplate="%{y}: %{text}<extra></extra>",
                showlegend=False,
            ),
            row=place,
            col=1,
        )
        figure.add_vline(x=0, line_width=1, line_color="grey", row=place, col=1)
    figure.update_xaxes(
        title_text=f"in favour of {second} → (1 = half of the 95 % interval)", row=len(evaluators), col=1
    )
    figure.update_layout(
        title=f"{second} against {first}: {result['protocol']}, {result['pairs']} pairs",
        height=170 + 190 * len(evaluators),
        template="plotly_white",
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True))

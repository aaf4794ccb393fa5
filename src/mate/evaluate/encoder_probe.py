"""The encoder probe: does a text encoder with a motion encoder find the true caption of two that differ in one meaning?

Similarities come from learned embeddings alone. A pair counts 1 where the right caption is the more similar one, 0 where the wrong one is,
and one half where both are equal: chance is one half for anything that does not look. The floor is the same captions with a motion of
another clip.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mate.data.wordings import generator
from mate.errors import MateError
from mate.evaluate.card import show_rate, table, versions, wilson
from mate.evaluate.encoders import Encoder
from mate.evaluate.metrics import interval
from mate.evaluate.minimal_pairs import MinimalPair, PairSet

PROTOCOL = "mate-pairs-1"
CHANCE, SATURATED, UNSOLVED = 0.5, 0.95, 0.10
RESAMPLES = 2000  # of the bootstrap
DRAWS = 5  # of one caption a clip, for retrieval
RANKS = (1, 3, 10)
# What pairs are counted by: name of the table -> labels.
TABLES = {
    "by_rung": ("set", "fact", "wording"),
    "by_events": ("set", "fact", "wording", "events"),
    "by_frequency": ("set", "fact", "frequency"),
    "by_word": ("set", "word"),
}
# ---------------------------------------------------------------------- outcomes


def foreign_clips(pair_set: PairSet, seed: int = 0) -> list[int]:
    """For every pair another clip of its set, of as many events: the floor's motion.

    Any other clip: to leave out those that show what the right caption says would leave those that show what the wrong one says.
    """
    clips: dict[int, set[int]] = defaultdict(set)
    for pair in pair_set.pairs:
        clips[pair.events].add(pair.index)
    chosen = []
    for pair in pair_set.pairs:
        others = sorted(clips[pair.events] - {pair.index})
        rng = generator("floor", seed, pair.clip, pair.right)
        chosen.append(others[int(rng.integers(len(others)))] if others else pair.index)
    return chosen


def outcomes(encoder: Encoder, pair_set: PairSet, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of each pair, with its own motion and with a foreign one: 1 right, 0 wrong, 0.5 a tie; two (K,) float."""
    pairs = pair_set.pairs
    foreign = foreign_clips(pair_set, seed)
    clips = sorted({pair.index for pair in pairs} | set(foreign))
    texts = sorted({text for pair in pairs for text in (pair.right, pair.wrong)})
    clip_at, text_at = ({key: n for n, key in enumerate(keys)} for keys in (clips, texts))
    asked = np.array(
        [
            (clip_at[index], text_at[text])
            for own in ([pair.index for pair in pairs], foreign)
            for pair, index in zip(pairs, own, strict=True)
            for text in (pair.right, pair.wrong)
        ]
    )
    found = encoder.asked(_motions(encoder, pair_set, clips), texts, asked).reshape(2, -1, 2)
    right, wrong = found[..., 0], found[..., 1]
    counted = np.where(right > wrong, 1.0, np.where(right == wrong, 0.5, 0.0))
    return counted[0], counted[1]


def _motions(encoder: Encoder, pair_set: PairSet, clips: Sequence[int]) -> list[np.ndarray]:
    read = pair_set.dataset.features if encoder.reads == "features" else pair_set.dataset.joints
    return [read(index) for index in clips]


def retrieval(encoder: Encoder, pair_set: PairSet, seed: int = 0, draws: int = DRAWS) -> list[dict[str, Any]]:
    """R@1, 3, 10 (percent) and the median rank over a whole split, both ways, by kind of wording.

    The pool is every clip that has a caption of the kind, one a clip, drawn anew `draws` times: each figure is a mean with half of its
    95 % interval over the draws. "content": a clip that shows the same, or one of whose captions is the text, is a hit too; "exact": only
    the clip itself.
    """
    dataset, rows = pair_set.dataset, []
    for kind in ("seen", "unseen"):
        said = {n: texts for n in range(len(dataset)) if (texts := _captions_of_kind(pair_set, n, kind))}
        if len(said) < 2:
            continue
        clips = sorted(said)
        drawn = []
        for draw in range(draws):
            rng = generator("retrieval", seed, kind, draw)
            drawn.append([said[n][int(rng.integers(len(said[n])))] for n in clips])
        texts = sorted({text for one in drawn for text in one})
        place = {text: n for n, text in enumerate(texts)}
        similarity = encoder.matrix(_motions(encoder, pair_set, clips), texts)
        contents = np.unique([pair_set.contents[n] for n in clips], return_inverse=True)[1]
        holders = {text: np.zeros(len(clips), dtype=bool) for text in texts}
        for number, text in ((number, text) for number, n in enumerate(clips) for text in said[n] if text in holders):
            holders[text][number] = True
        row: dict[str, Any] = {"set": pair_set.name, "wording": kind, "pool": len(clips), "draws": draws}
        figures: dict[str, list[dict[str, float]]] = defaultdict(list)
        for one in drawn:
            matrix = similarity[[place[text] for text in one]]
            held = np.array([holders[text] for text in one])
            same = (contents[:, None] == contents[None]) | held
            for hits, allowed in (("content", same), ("exact", np.eye(len(clips), dtype=bool))):
                figures[f"text_to_motion {hits}"].append(_figures(places(matrix, allowed)))
                figures[f"motion_to_text {hits}"].append(_figures(places(matrix.T, allowed.T)))
        for name, repeats in figures.items():
            row[name] = {key: interval(np.array([repeat[key] for repeat in repeats])) for key in repeats[0]}
        rows.append(row)
    return rows


def places(similarity: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """From 0, the place of each row's best hit among what is no hit, (N,) float; equals share a place.

    `mate.evaluate.retrieval.ranks` takes hits that are exactly equal, such as one text twice, for each other's rivals.

    Args:
        similarity: (N, M). hits: (N, M) bool, at least one a row.
    """
    best = np.where(hits, similarity, -np.inf).max(axis=1, keepdims=True)
    others = np.where(hits, -np.inf, similarity)
    return np.count_nonzero(others > best, axis=1) + np.count_nonzero(others == best, axis=1) / 2.0


def _captions_of_kind(pair_set: PairSet, index: int, kind: str) -> list[str]:
    captions = pair_set.dataset.captions[index]
    kinds = pair_set.dataset.meta[index].get("caption_kinds") or ["seen"] * len(captions)
    return [caption.text for caption, own in zip(captions, kinds, strict=False) if own == kind]


def _figures(found: np.ndarray) -> dict[str, float]:
    return {**{f"R@{top}": 100.0 * float((found < top).mean()) for top in RANKS}, "MedR": float(np.median(found) + 1)}


# ---------------------------------------------------------------------- cards


def _labels(sets: Sequence[PairSet]) -> list[tuple[str, MinimalPair]]:
    return [(one.name, pair) for one in sets for pair in one.pairs]


def groups(sets: Sequence[PairSet], by: Sequence[str]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The pairs of all sets, together, in groups: their labels, and the numbers of their pairs."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, (name, pair) in enumerate(_labels(sets)):
        key = tuple(name if label == "set" else getattr(pair, label) for label in by)
        if ("word" in by) == bool(pair.word):
            found[key].append(number)
    for key, numbers in found.items():
        yield dict(zip(by, key, strict=True)), np.array(numbers)


def _row(counted: np.ndarray, **labels: Any) -> dict[str, Any]:
    """Accuracy with Wilson's 95 % interval; a tie is half a hit."""
    holds, n = float(counted.sum()), len(counted)
    low, high = wilson(holds, n)
    rate = holds / max(n, 1)
    state = "saturated" if rate > SATURATED else "unsolved" if rate <= CHANCE + UNSOLVED else "between"
    ties = int((counted == 0.5).sum())
    return {**labels, "n": n, "rate": rate, "low": low, "high": high, "ties": ties, "state": state}


def bootstrap(difference: np.ndarray, clips: np.ndarray, seed: int = 0) -> dict[str, float]:
    """The mean of paired differences (K,) with its 95 % interval: whole clips (K,) are drawn again, as pairs of one clip go together."""
    numbers = np.unique(clips, return_inverse=True)[1]
    sums, counts = np.bincount(numbers, difference), np.bincount(numbers)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    low, high = np.percentile((drawn @ sums) / (drawn @ counts), (2.5, 97.5))
    return {"difference": float(difference.mean()), "low": float(low), "high": float(high), "n": len(difference)}


def encoder_card(
    encoders: Sequence[Encoder],
    sets: Sequence[PairSet],
    seed: int = 0,
    with_retrieval: bool = True,
    progress: Callable[[str], None] = lambda doing: None,
) -> dict[str, Any]:
    """The result card: every encoder on the same pairs, and how much each differs from the first.

    Args:
        seed: of the floor's motions, the bootstrap, and which caption of a clip is retrieved by.
        progress: told what is done next.

    Raises:
        MateError: no encoder or no pairs, or an encoder's answer is of no use.
    """
    if not encoders or not any(one.pairs for one in sets):
        raise MateError("got no encoder or no pairs; give a model folder and prepared sets")
    clips = np.array([f"{one.name}/{pair.clip}" for one in sets for pair in one.pairs])
    rows, found = [], []
    for encoder in encoders:
        parts = []
        for one in sets:
            progress(f"{encoder.name}: {len(one.pairs)} pairs of {one.name}")
            parts.append(outcomes(encoder, one, seed))
        own, floor = (np.concatenate([part[n] for part in parts]) for n in range(2))
        found.append(own)
        row: dict[str, Any] = {"name": encoder.name, **encoder.about, "all": _row(own), "floor": _row(floor)}
        for name, by in TABLES.items():
            row[name] = [{**_row(own[n], **key), "floor": float(floor[n].mean())} for key, n in groups(sets, by)]
        if with_retrieval:  # one model asked in two ways retrieves in one
            twin = next((n for n, other in enumerate(encoders[: len(rows)]) if other.matrix is encoder.matrix), None)
            if twin is None:
                progress(f"{encoder.name}: retrieval")
                row["retrieval"] = [line for one in sets for line in retrieval(encoder, one, seed)]
            else:
                row["retrieval"] = rows[twin]["retrieval"]
        row["outcomes"] = "".join("1" if one == 1 else "0" if one == 0 else "=" for one in own)
        rows.append(row)
    differences = [
        {
            "name": row["name"],
            "baseline": rows[0]["name"],
            "all": bootstrap(own - found[0], clips, seed),
            **{
                name: [{**key, **bootstrap((own - found[0])[n], clips[n], seed)} for key, n in groups(sets, by)]
                for name, by in TABLES.items()
            },
        }
        for row, own in zip(rows[1:], found[1:], strict=True)
    ]
    hashes = [one.sha256 for one in sets]
    return {
        "protocol": PROTOCOL,
        "sets": [
            {
                "name": one.name,
                "split": one.dataset.split,
                "license": one.dataset.license,
                "clips": len({pair.index for pair in one.pairs}),
                "pairs": len(one.pairs),
                "pairs_sha256": digest,
            }
            for one, digest in zip(sets, hashes, strict=True)
        ],
        "pairs": sum(len(one.pairs) for one in sets),
        "pairs_sha256": hashlib.sha256("".join(hashes).encode()).hexdigest(),
        "chance": CHANCE,
        "ties": "count one half",
        "floor_is": f"the same captions with a motion of another clip (seed {seed})",
        "seed": seed,
        "encoders": rows,
        "differences": differences,
        "versions": versions(),
    }


# ---------------------------------------------------------------------- tables


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card's tables: rungs, numbers of events, rare words, words, retrieval; encoders side by side."""
    encoders, differences = card["encoders"], card["differences"]
    numbers = range(1, len(encoders) + 1)
    sets = ", ".join(f"{one['pairs']} of {one['name']} ({one['split']}, {one['clips']} clips)" for one in card["sets"])
    lines = [
        f"Protocol `{card['protocol']}`: {card['pairs']} pairs (SHA-256 `{card['pairs_sha256'][:12]}`): {sets}. Right of two in percent, "
        f"chance 50, with Wilson's 95 % interval; floor: {card['floor_is']}.",
        "",
        *table(
            ["", "encoder", "all pairs", "floor", *(["against 1"] if differences else [])],
            [
                [str(number), row["name"], show_rate(row["all"]), show_rate(row["floor"])]
                + ([_change(differences, number - 1, "all", 0)] if differences else [])
                for number, row in zip(numbers, encoders, strict=True)
            ],
        ),
        "",
    ]
    for name, by in TABLES.items():
        shown = [label for label in by if label != "set" or len(card["sets"]) > 1]
        only_frequent = name == "by_frequency" and all(row["frequency"] != "rare" for row in encoders[0][name])
        if not encoders[0][name] or only_frequent:
            continue
        head = [*shown, "n", *(f"encoder {number}" for number in numbers), *(f"{number} - 1" for number in numbers[1:])]
        body = []
        for place, first in enumerate(encoders[0][name]):
            cells = [_cell(row[name][place]) for row in encoders]
            changes = [_change(differences, n, name, place) for n in range(1, len(encoders))]
            body.append([*(str(first[label]) for label in shown), str(first["n"]), *cells, *changes])
        lines += [*table(head, body), ""]
    lines += _retrieval_table(encoders)
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    figure = f"{show_accuracy(row)}, floor {100 * row['floor']:.0f}"
    return figure if row["state"] == "between" else f"{figure}, {row['state']}"


def show_accuracy(row: Mapping[str, Any], digits: int = 1) -> str:
    """Percent right with its interval."""
    return f"{100 * row['rate']:.{digits}f} [{100 * row['low']:.{digits}f}, {100 * row['high']:.{digits}f}]"


def show_points(one: Mapping[str, Any]) -> str:
    """A difference of two encoders in percentage points, with its interval."""
    return f"{100 * one['difference']:+.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"


def show_draws(mean: float, half: float) -> str:
    """A figure of retrieval, with half of its interval over the draws."""
    return f"{mean:.1f} ± {half:.1f}" if np.isfinite(half) else f"{mean:.1f}"


def _change(differences: Sequence[Mapping[str, Any]], encoder: int, name: str, place: int) -> str:
    if encoder == 0:
        return "–"
    one = differences[encoder - 1][name]
    return show_points(one if name == "all" else one[place])


def retrieving(encoders: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """The rows that have figures of retrieval, by number from 1; of a model that was asked in two ways the first."""
    found: dict[int, Mapping[str, Any]] = {}
    for number, row in enumerate(encoders, start=1):
        if row.get("retrieval") and all(row["retrieval"] != other["retrieval"] for other in found.values()):
            found[number] = row
    return found


def _retrieval_table(encoders: Sequence[Mapping[str, Any]]) -> list[str]:
    body = []
    for number, row in retrieving(encoders).items():
        for line in row["retrieval"]:
            for hits in ("content", "exact"):
                for way, title in (("text_to_motion", "text to motion"), ("motion_to_text", "motion to text")):
                    cells = [show_draws(*figure) for figure in line[f"{way} {hits}"].values()]
                    body.append([str(number), line["set"], line["wording"], str(line["pool"]), title, hits, *cells])
    if not body:
        return []
    head = ["encoder", "set", "wording", "pool", "", "hits", *(f"R@{top}" for top in RANKS), "MedR"]
    return ["Retrieval, whole split, one vector a text and a motion:", "", *table(head, body), ""]

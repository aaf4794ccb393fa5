"""Judges the judge: how often it is right, and how often it cannot tell, on motions whose truth is known. Made by one command:

    python -m mate.evaluate.judging --kinwords data/kinwords --mocap data/bandai-namco --cmu CMU --index cmu-index.csv \\
        --labels tests/evaluate/labels.jsonl -o results/judge.json --markdown docs/judge-table.md

Every part that is not given is left out, and said to be.
"""

import argparse
import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mate.evaluate.card import rate, show_rate, table, to_json, versions, write_text
from mate.evaluate.judge import WORDS, Claim, judge, measured
from mate.evaluate.judge_limits import LIMITS, Answer
from mate.evaluate.judge_material import FPS, Item, cmu_index, labelled, mocap_contents, procedural
from mate.evaluate.judge_truth import PLAIN
from mate.evaluate.metrics import evenly
from mate.motion.retarget import mirror, rotate_about_y

PROTOCOL = "mate-judge-1"
VALIDATED = 20  # different real stretches of which it is true that a word needs to be called validated on real motion
_REAL = ("eye", "bandai-namco", "cmu")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Asked:
    """Attributes: source, name: of the item; claim; truth: what is known; answer: the judge's; kind: of a flipped meaning, or "";
    place: see `Item`."""

    source: str
    name: str
    claim: Claim
    truth: bool
    answer: Answer
    kind: str = ""
    place: tuple[str, float, float] = ("", 0.0, 0.0)


def ask(items: Iterable[Item]) -> list[Asked]:
    """The judge's answers to everything that is known of the items."""
    asked = []
    for item in items:
        kinds = dict(item.kinds)
        for truth, claims in ((True, item.true), (False, item.false)):
            asked += [
                Asked(item.source, item.name, claim, truth, judge(item.tracks, claim), kinds.get(claim, ""), item.place)
                for claim in claims
            ]
    return asked


def summary(asked: Sequence[Asked], **labels: Any) -> Row:
    """Agreement where the judge decides, with Wilson's interval, and how often it cannot tell."""
    decided = [one.answer == one.truth for one in asked if one.answer is not None]
    return {**labels, "asked": len(asked), "cannot_tell": len(asked) - len(decided), **rate(decided)}


def stretches(asked: Iterable[Asked]) -> int:
    """How many different stretches of motion: of those that overlap, one counts."""
    found: dict[str, float] = {}
    number = 0
    for file, start, end in sorted({one.place for one in asked}, key=lambda place: place[2]):
        if start >= found.get(file, 0.0) - 0.11:
            found[file] = end
            number += 1
    return number


def word_rows(asked: Sequence[Asked]) -> list[Row]:
    """One row a word: true and false claims, on procedural and on real motion, and whether real motion has validated it."""
    rows = []
    for word in WORDS:
        mine = [one for one in asked if one.claim.word == word]
        row: Row = {"word": word}
        for name, sources in (("kinwords", ("kinwords",)), ("real", _REAL)):
            for truth in (True, False):
                chosen = [one for one in mine if one.source in sources and one.truth is truth]
                row[f"{name}_{'true' if truth else 'false'}"] = summary(chosen) if chosen else None
        real = row["real_true"]
        row["examples"] = stretches(one for one in mine if one.source in _REAL and one.truth)
        row["validated"] = "validated on real motion" if real and row["examples"] >= VALIDATED else "synthetic only"
        if not any(row[key] for key in row if key.endswith("_true")):
            row["validated"] = "not validated"
        rows.append(row)
    return rows


def sides(asked: Sequence[Asked]) -> Row:
    """Real motions of one named hand or side: is the other one ever taken for it?"""
    wrong = [
        one
        for one in asked
        if one.source in _REAL
        and not one.truth
        and one.claim.side in ("left", "right")
        and one.kind in ("side", "sense")
    ]
    hands = [one for one in wrong if one.claim.word in ("raise", "wave", "punch")]
    return {
        "asked": len(wrong),
        "confused": [f"{one.name}: {one.claim}" for one in wrong if one.answer is True],
        "hands_asked": len(hands),
        "hands_confused": [f"{one.name}: {one.claim}" for one in hands if one.answer is True],
    }


# Words about going say how fast, too: a walk played fast is a run.
_GAITS = {
    "walk", "jog", "run", "sprint", "tiptoe", "march", "creep", "limp", "skip", "backwards", "sidestep", "diagonal", "stand", "stop",
    "punch", "throw", "jump", "hop", "step_over",
}  # fmt: skip


def properties(motions: Sequence[np.ndarray], seed: int = 0, changes: Sequence[str] = ()) -> list[Row]:
    """How many judgements change when nothing should: all words of whole motions (T, 22, 3) at 20 frames a second.

    Mirrored motions are asked for the mirrored claim. `reversed`: True became False or the other way round; `opened`: to or from "cannot
    tell". Played at 1.25 of the speed, only words that say nothing of speed are counted. `changes`: only those
    that are named, all where none is.
    """
    rng = np.random.default_rng(seed)
    all_changes: dict[str, Any] = {
        "mirrored": lambda joints: (mirror(joints), FPS),
        "world turned": lambda joints: (rotate_about_y(joints, np.full(len(joints), 2.0)), FPS),
        "noise of 5 mm": lambda joints: (joints + rng.normal(0.0, 0.005, joints.shape), FPS),
        "noise of 2 mm": lambda joints: (joints + rng.normal(0.0, 0.002, joints.shape), FPS),
        "played at 1.25 of the speed": lambda joints: (joints, 1.25 * FPS),
    }
    rows = []
    before = [(joints, {claim: judge(measured(joints, FPS), claim) for claim in PLAIN}) for joints in motions]
    for name in changes or all_changes:
        change = all_changes[name]
        reversed_, opened, total = 0, 0, 0
        words: Counter[str] = Counter()
        for joints, known in before:
            tracks = measured(*change(joints))
            for claim, answer in known.items():
                if name.startswith("played") and claim.word in _GAITS:
                    continue
                after = judge(tracks, claim.mirrored() if name == "mirrored" else claim)
                total += 1
                words[claim.word] += answer != after
                reversed_ += None not in (answer, after) and answer != after
                opened += answer != after and None in (answer, after)
        rows.append(
            {"change": name, "judgements": total, "reversed": reversed_, "opened": opened, "words": dict(+words)}
        )
    return rows


def some_motions(folders: Iterable[Path | None], each: int) -> list[np.ndarray]:
    """`each` motions of every prepared set, evenly spread."""
    found = []
    for folder in folders:
        if folder is not None:
            paths = sorted((folder / "new_joints").glob("[!M]*.npy"))
            found += [np.load(paths[number], allow_pickle=False) for number in evenly(len(paths), each)]
    return found


def disagreements(asked: Sequence[Asked], sources: Sequence[str]) -> list[dict[str, str]]:
    """Every decided answer against a label, for a person to look at: either may be wrong."""
    return [
        {
            "source": one.source,
            "clip": one.name,
            "claim": str(one.claim),
            "label": str(one.truth),
            "judge": str(one.answer),
        }
        for one in asked
        if one.source in sources and one.answer is not None and one.answer != one.truth
    ]


def build_card(
    asked: Sequence[Asked],
    near: Sequence[Asked],
    unchanged: Sequence[Row],
    left_out: Sequence[str],
    settings: dict[str, Any],
) -> Row:
    """Everything in one result card."""
    parts = []
    for source in ("kinwords", *_REAL):
        mine = [one for one in asked if one.source == source]
        if mine:
            true, false = ([one for one in mine if one.truth is truth] for truth in (True, False))
            parts.append({"source": source, "all": summary(mine), "true": summary(true), "false": summary(false)})
    return {
        "protocol": PROTOCOL,
        **settings,
        "left_out": list(left_out),
        "parts": parts,
        "real": summary([one for one in asked if one.source in _REAL]),
        "real_true": summary([one for one in asked if one.source in _REAL and one.truth]),
        "flips": [
            summary([one for one in asked if one.kind == kind], kind=kind)
            for kind in sorted({one.kind for one in asked if one.kind})
        ],
        "near_misses": summary(near) if near else None,
        "near_miss_rows": [
            {"name": one.name, "claim": str(one.claim), "truth": one.truth, "answer": one.answer} for one in near
        ],
        "properties": list(unchanged),
        "words": word_rows([*asked, *near]),
        "sides": sides(asked),
        "disagreements": disagreements(asked, _REAL),
        "disagreements_kinwords": disagreements(asked, ("kinwords",))[:200],
        "limits": dataclasses.asdict(LIMITS),
        "versions": versions(),
    }


_NAMES = {
    "kinwords": "kinwords (procedural)", "eye": "segments labelled by eye", "bandai-namco": "Bandai-Namco contents",
    "cmu": "CMU subject 16, index", "near": "near misses (procedural)",
}  # fmt: skip


def _cells(row: Row | None) -> list[str]:
    return [show_rate(row), f"{100 * row['cannot_tell'] / max(row['asked'], 1):.1f} %"] if row else ["–", "–"]


def _part(number: int, total: int) -> str:
    return f"{number} ({100 * number / max(total, 1):.2f} %)"


def to_markdown(card: Row) -> str:
    """The tables of the card."""
    body = []
    for part in card["parts"]:
        for which in ("true", "false"):
            body.append([_NAMES[part["source"]], which, *_cells(part[which])])
    if card["near_misses"]:
        body.append([_NAMES["near"], "both", *_cells(card["near_misses"])])
    lines = table(["motions", "claims", "right, of those decided", "cannot tell"], body)
    lines += [
        "",
        *table(
            ["flipped meaning", "right, of those decided", "cannot tell"],
            [[r["kind"], *_cells(r)] for r in card["flips"]],
        ),
    ]
    changed = [
        [row["change"], str(row["judgements"]), *(_part(row[key], row["judgements"]) for key in ("reversed", "opened"))]
        for row in card["properties"]
    ]
    lines += ["", *table(["what was done", "judgements", "reversed", "to or from cannot tell"], changed)]
    head = [
        "word",
        "kinwords, true",
        "open",
        "kinwords, false",
        "open",
        "real, true",
        "open",
        "stretches",
        "real, false",
        "open",
        "",
    ]
    words = [
        [
            row["word"].replace("_", " "),
            *(cell for key in ("kinwords_true", "kinwords_false", "real_true") for cell in _cells(row[key])),
            str(row["examples"]),
            *_cells(row["real_false"]),
            row["validated"],
        ]
        for row in card["words"]
    ]
    return "\n".join([*lines, "", *table(head, words), ""])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m mate.evaluate.judging", description="Judge the kinematic judge.")
    for name, text in (
        ("kinwords", "a set of `mate prepare kinwords`"),
        ("mocap", "a set of `mate prepare bandai-namco`"),
        ("cmu", "the folder with CMU's files"),
        ("index", "CMU's cmu-index.csv"),
        ("labels", "segments labelled by eye, JSON lines"),
        ("markdown", "write the tables here"),
    ):
        parser.add_argument(f"--{name}", type=Path, help=text)
    parser.add_argument("-o", "--output", type=Path, required=True, help="write the card here, JSON")
    parser.add_argument("--clips", type=int, default=1200, help="kinwords clips")
    parser.add_argument("--cross", type=int, default=250, help="of these, clips asked for all words")
    parser.add_argument("--motions", type=int, default=60, help="of each set, whose judgements should not change")
    parser.add_argument("--kinwords-split", default="test", help="of the kinwords set; all for an empty one")
    parser.add_argument("--splits", default="train,val,test", help="of the mocap set")
    given = parser.parse_args(arguments)
    from mate.evaluate.judge_near import near_misses

    asked: list[Asked] = []
    near = ask(near_misses())
    left_out = [name for name in ("kinwords", "mocap", "cmu", "index", "labels") if getattr(given, name) is None]
    if given.kinwords is not None:
        asked += ask(procedural(given.kinwords, given.clips, given.cross, given.kinwords_split))
    if given.mocap is not None:
        asked += ask(mocap_contents(given.mocap, tuple(given.splits.split(","))))
    if given.labels is not None:
        asked += ask(labelled(given.labels, given.mocap, given.cmu))
    if given.cmu is not None and given.index is not None:
        asked += ask(cmu_index(given.cmu, given.index))
    settings = {name: getattr(given, name) for name in ("clips", "cross", "kinwords_split", "splits")}
    unchanged = properties(some_motions((given.kinwords, given.mocap), given.motions))
    card = build_card(asked, near, unchanged, left_out, settings)
    write_text(given.output, to_json(card))
    if given.markdown is not None:
        write_text(given.markdown, to_markdown(card))
    print(to_markdown(card))


if __name__ == "__main__":
    main()

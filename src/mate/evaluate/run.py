"""One evaluation, from what is evaluated to its result card: what `mate evaluate` does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate import protocol
from mate.evaluate.card import KIND, rate, show_rate, table, versions
from mate.evaluate.evaluators import Evaluator
from mate.evaluate.obedience import FACTS, judge_all
from mate.evaluate.protocol import BETTER, Plan, Repeat
from mate.evaluate.quality import quality
from mate.evaluate.retrieval import retrieve
from mate.evaluate.subjects import Clip, Made, Skipped, clips_sha256, positions_of, sample
from mate.motion.layout import HUMANML3D_FEATURES

LEFT_OUT = "The kinematic judge and the figures of cleanliness read HumanML3D's joints: they are left out on KIT-ML's."


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated beside the real clips.

    Attributes:
        about: JSON-able: kind ("model", "motions" or "real"), name, hashes.
        made: one list of motions for every sampling; none for real clips alone.
        skipped: files that were left out.
    """

    about: dict[str, Any]
    made: list[list[Made]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def sampled(generator: Any, clips: Sequence[Clip], plan: Plan, about: dict[str, Any], progress: Any = None) -> Subject:
    """Motions of a generator: one for every clip's caption and length in every repeat, with seeds plan.seed, plan.seed + 1, ...

    Args:
        progress: called with (motions made, motions in all) of a repeat.

    Raises:
        MateError: the generator makes another skeleton than the clips have, or at another frame rate.
    """
    spec, width = generator.spec, clips[0].features.shape[1]
    if (spec.dim, spec.fps) != (width, plan.fps):
        raise MateError(
            f"the generator makes {spec.dim} numbers a frame at {spec.fps:g} a second ({spec.skeleton.name}), the data set has {width} at "
            f"{plan.fps:g}; evaluate it on a set of its own skeleton"
        )
    made = []
    for repeat in range(plan.repeats):
        chosen = protocol.choose(clips, plan, repeat)
        texts = [clip.captions[one.caption].text for clip, one in zip(clips, chosen, strict=True)]
        lengths = [one.length for one in chosen]
        seed = plan.seed + repeat
        made.append(
            sample(generator, texts, lengths, seed, progress) if progress else sample(generator, texts, lengths, seed)
        )
    return Subject({"kind": "model", **about}, made)


def evaluate(
    evaluators: Sequence[Evaluator],
    clips: Sequence[Clip],
    plan: Plan,
    subject: Subject,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The result card: the real row always, the row of `subject` where it has motions, by every evaluator.

    No figure depends on the order of clips or motions, on the size of batches or on the number of processes.

    Args:
        clips: the evaluated clips of the data, by name (`read_clips`).
        facts: further JSON-able entries: data (name, split, licence), command, wording.

    Raises:
        MateError: no evaluator, two of one name, another width than the data's, too few samples.
    """
    if not evaluators:
        raise MateError("got no evaluator, expected one, better two")
    if len({evaluator.name for evaluator in evaluators}) < len(evaluators):
        raise MateError(
            f"two evaluators are called {evaluators[0].name}; rename a folder, their figures stand side by side by name"
        )
    width = clips[0].features.shape[1]
    for evaluator in evaluators:
        if evaluator.width != width:
            raise MateError(
                f"the evaluator {evaluator.name} reads {evaluator.width} numbers a frame, the data set has {width}"
            )
    facts = dict(facts or {})
    captions = {caption.text: caption for clip in clips for caption in reversed(clip.captions)}
    rows: dict[str, dict[str, Any]] = {"real": {}}
    ranked: dict[str, dict[str, Any]] = {}
    folds: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    keys: list[str] = []
    for evaluator in evaluators:
        repeats, references = protocol.real_repeats(evaluator, clips, plan)
        groups = [[clip.group for clip in clips]] * len(repeats)
        rows["real"][evaluator.name] = protocol.row(repeats, plan, clips, groups)["figures"]
        if plan.guo is None:
            ranked.setdefault("real", {})[evaluator.name] = _retrieval(repeats[0])
        if not subject.made:
            continue
        made = protocol.made_repeats(evaluator, subject.made, captions, references, plan)
        found = protocol.row(made, plan, clips)
        rows.setdefault("made", {})[evaluator.name] = found["figures"]
        if plan.guo is None:
            ranked.setdefault("made", {})[evaluator.name] = _retrieval(made[0])
        folds[evaluator.name] = found["folds"]
        keys = list(found["samples"])
        names = list(next(iter(found["samples"].values())))
        columns[evaluator.name] = {name: [one[name] for one in found["samples"].values()] for name in names}
    settings = plan.guo
    unknown = sorted({one.text for motions in subject.made for one in motions} - captions.keys())
    judged, column = _judged(clips, subject.made, plan.fps)
    clean = {}
    if width == HUMANML3D_FEATURES.dim:
        clean["real"] = quality([_joints(clip) for clip in clips], plan.fps)
        if subject.made:
            clean["made"] = quality([one.positions for one in subject.made[0]], plan.fps)
    return {
        "card": KIND,
        "protocol": {
            "name": plan.name,
            "repeats": plan.repeats,
            "seed": plan.seed,
            **(
                {}
                if settings is None
                else {key: value for key, value in asdict(settings).items() if key not in ("name", "repeats")}
            ),
            **(
                {"pool": protocol.POOL, "shortest_s": protocol.SHORTEST, "longest_s": protocol.LONGEST}
                if settings is None
                else {}
            ),
            "wording": facts.pop("wording", "any"),
            "repeats_95": "half of the 95 % interval over repeats",
            "prompts_95": f"half of the 95 % interval over prompts (jackknife, {protocol.FOLDS} parts), the real motions kept",
            "real_row": protocol.reference_note(plan),
        },
        "data": {
            **facts.pop("data", {}),
            "clips": len(clips),
            "fps": plan.fps,
            "width": width,
            "sha256": clips_sha256(clips),
        },
        "subject": {
            **subject.about,
            **({"motions": len(subject.made[0]), "samplings": len(subject.made)} if subject.made else {}),
            "prompts_not_in_data": len(unknown),
            "skipped": [asdict(one) for one in subject.skipped],
        },
        "evaluators": {evaluator.name: evaluator.about for evaluator in evaluators},
        "rows": rows,
        "retrieval": ranked,
        "judge": judged,
        "quality": clean,
        **({} if clean else {"left_out": LEFT_OUT}),
        "folds": folds,
        "samples": {"keys": keys, "figures": columns, "judge": [column.get(key) for key in keys]},
        "versions": versions(),
        **facts,
    }


def _retrieval(one: Repeat) -> dict[str, Any]:
    """Retrieval over the whole split (TMR's "normal": only the own motion counts)."""
    squares = (one.text**2).sum(axis=1)[:, None] + (one.motion**2).sum(axis=1)
    return retrieve(2.0 * one.text @ one.motion.T - squares, "normal")


def _joints(clip: Clip) -> np.ndarray:
    return positions_of(clip.features)


def _judged(
    clips: Sequence[Clip], made: Sequence[Sequence[Made]], fps: float
) -> tuple[dict[str, Any], dict[str, float]]:
    """The kinematic judge's rates for real and made motions, where the data say what a clip shows; and each sample's, by key."""
    facts, kinds, pairs = {}, {}, {}
    for clip in clips:
        if clip.fact is None:
            continue
        for caption, kind in zip(clip.captions, clip.kinds, strict=True):
            facts.setdefault(caption.text, clip.fact)
            kinds.setdefault(caption.text, kind)
            pairs.setdefault(caption.text, clip.pair)
            if facts[caption.text] != clip.fact:  # a text that names two facts is none for the judge
                facts[caption.text] = ""
    real = [(clip.fact, _holds(_joints(clip), fps, clip.fact)) for clip in clips if clip.fact is not None]
    if not real:
        return {}, {}
    outcomes, column = [], {}
    for one in (one for motions in made for one in motions if facts.get(one.text)):
        holds = _holds(one.positions, fps, facts[one.text])
        outcomes.append((one.text, holds))
        column.setdefault(one.key, []).append(float(bool(holds)))
    judged = {"real": _rates(real)}
    if made:
        judged["made"] = _rates([(facts[text], holds) for text, holds in outcomes])
        for name, known in (("wording", kinds), ("pair", pairs)):
            judged["made"][f"by_{name}"] = [
                rate((holds for text, holds in outcomes if known[text] == own), **{name: own})
                for own in sorted({known[text] for text, _ in outcomes} - {""})
            ]
    return judged, {key: float(np.mean(values)) for key, values in column.items()}


def _holds(joints: np.ndarray, fps: float, fact: str) -> bool:
    """Whether a fact holds; a motion too short to tell does not show it."""
    return bool(judge_all(joints, fps)[fact].holds)


def _rates(outcomes: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    known = {fact for fact, _ in outcomes}
    return {
        "all": rate(holds for _, holds in outcomes),
        "by_fact": [
            rate((holds for own, holds in outcomes if own == fact), fact=fact) for fact in FACTS if fact in known
        ],
    }


# ---------------------------------------------------------------------- the card in words

COLUMNS = (
    "R@1",
    "R@2",
    "R@3",
    "FID",
    "MM-Dist",
    "Diversity",
    "MultiModality",
    "precision",
    "recall",
    "density",
    "coverage",
)
ARROWS = {1: "↑", -1: "↓", 0: "→"}


def headline(card: Mapping[str, Any]) -> str:
    """What was evaluated, on what, how."""
    data, subject, settings = card["data"], card["subject"], card["protocol"]
    what = {"model": "the generator", "motions": "the motions"}.get(subject["kind"], "real motions alone")
    name = f"{what} `{subject['name']}`" if "name" in subject else what
    count = f", {subject['motions']} motions x {subject['samplings']}" if "motions" in subject else ""
    return (
        f"Protocol `{settings['name']}`, {settings['repeats']} repeat(s), seed {settings['seed']}: {name}{count}; data "
        f"{data.get('name', '')}, {data['clips']} clips of the {data.get('split', '')} split (SHA-256 `{data['sha256'][:12]}`), "
        f"{settings['wording']} wordings."
    )


def figures_table(rows: Mapping[str, Any], evaluator: str, interval: str) -> list[str]:
    """One evaluator's table: real and made, with half the interval that is named."""
    names = [name for name in COLUMNS if any(name in row[evaluator] for row in rows.values())]

    def cell(one: Mapping[str, float] | None) -> str:
        if one is None:
            return "–"
        half = one.get(interval)
        return f"{one['value']:.3f}" + (f" ± {half:.3f}" if half else "")

    head = ["", *(f"{name} {ARROWS[BETTER[name]]}" for name in names)]
    return table(head, [[which, *(cell(row[evaluator].get(name)) for name in names)] for which, row in rows.items()])


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown: a table for each evaluator, the judge, cleanliness, what was left out."""
    released = card["protocol"]["name"] == "guo-as-released"
    lines = [headline(card), ""]
    for name, about in card["evaluators"].items():
        known = about.get("sha256") or about.get("files")
        digest = known[:12] if isinstance(known, str) else ", ".join(sorted(known)) if known else ""
        lines += [f"Evaluator `{name}` ({about.get('reads', about.get('type', ''))}; `{digest}`):", ""]
        lines += [*figures_table(card["rows"], name, "repeats_95" if released else "prompts_95"), ""]
    lines.append(
        f"± is {card['protocol']['repeats_95' if released else 'prompts_95']}; → is best where it is nearest to the real row; "
        f"{card['protocol']['real_row']}."
    )
    if len(card["evaluators"]) < 2:
        lines.append("One evaluator alone cannot tell a better generator from one that was fitted to it.")
    lines.append("")
    lines += _retrieval_lines(card.get("retrieval") or {})
    lines += _judge_lines(card.get("judge") or {})
    lines += _quality_lines(card["quality"])
    lines += [card["left_out"], ""] if "left_out" in card else []
    skipped = card["subject"]["skipped"]
    if skipped:
        shown = "; ".join(f"{one['file']}: {one['reason']}" for one in skipped[:5])
        lines += [f"**{len(skipped)} file(s) left out**: {shown}{'; ...' if len(skipped) > 5 else ''}", ""]
    if card["subject"]["prompts_not_in_data"]:
        lines += [
            f"{card['subject']['prompts_not_in_data']} prompts are no captions of the data: the judge does not see them, and the parts of "
            "speech of their words are found by rule.",
            "",
        ]
    return "\n".join(lines)


def _retrieval_lines(ranked: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Text to motion over the whole split."""
    names = ("R@1", "R@5", "R@10", "MedR")
    rows = [
        [which, evaluator, *(f"{found['text_to_motion'][name]:.1f}" for name in names)]
        for which, own in ranked.items()
        for evaluator, found in own.items()
    ]
    lines = [
        "Text to motion over the whole split, where the own motion alone counts (TMR's normal protocol, percent; MedR: rank):",
        "",
    ]
    return [*lines, *table(["", "evaluator", *names], rows), ""] if rows else []


def _judge_lines(judged: Mapping[str, Any]) -> list[str]:
    if not judged:
        return []
    facts = {which: {row["fact"]: row for row in found["by_fact"]} for which, found in judged.items()}
    rows: Iterable[Sequence[str]] = [
        [fact.replace("_", " "), *(show_rate(found.get(fact)) for found in facts.values())]
        for fact in FACTS
        if any(fact in found for found in facts.values())
    ]
    total = ["all", *(show_rate(found["all"]) for found in judged.values())]
    parts = [
        [f"{row[name]} {name}s", "–", show_rate(row)]
        for name in ("wording", "pair")
        for row in judged.get("made", {}).get(f"by_{name}", [])
    ]
    return [
        "The kinematic judge, which reads joint positions alone (95 % intervals):",
        "",
        *table(["fact", *facts], [*rows, total, *parts]),
        "",
    ]


def _quality_lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not found:
        return []
    wanted = (
        ("floor penetration, 95th percentile", ("floor_penetration_m", "p95"), 100.0, "cm"),
        ("slide of standing feet, median", ("foot_slide_m_per_s", "median"), 100.0, "cm/s"),
        ("hovering, 95th percentile", ("floating_m", "p95"), 100.0, "cm"),
        ("jerk, median", ("jerk_m_per_s3", "median"), 1.0, "m/s³"),
    )
    rows = [
        [label, *(f"{row[part].get(which, float('nan')) * factor:.1f} {unit}" for row in found.values())]
        for label, (part, which), factor, unit in wanted
    ]
    return [*table(["cleanliness", *found], rows), ""]

"""The word probes: prompts that ask for facts, and the table of how often generated motions show them.

How well the judge agrees with the labels of real clips is part of every result card made with data, so that the judge itself is judged.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import rate, show_rate, table, versions
from mate.evaluate.closeness import diversity, nearest_training
from mate.evaluate.obedience import FACTS, LOCOMOTION, TOLERANCES, judge_all
from mate.evaluate.quality import quality, spread

if TYPE_CHECKING:
    from mate.data.dataset import MotionTextDataset

PROTOCOL = "mate-obedience-1"
FPS = 20.0  # of sampled motions, and of prepared sets
# What Bandai-Namco calls the content of clips for which a fact holds, in FACTS' order. The first is where a fact's prompts come from.
CONTENTS: dict[str, tuple[str, ...]] = {
    "walk_forward": ("walk",),
    "run_forward": ("run", "dash"),
    "walk_backward": ("walk-back",),
    "turn_left": ("walk-turn-left",),
    "turn_right": ("walk-turn-right",),
    "raise_left_hand": ("raise-up-left-hand",),
    "raise_right_hand": ("raise-up-right-hand",),
    "raise_both_hands": ("raise-up-both-hands",),
    "wave_left_hand": ("wave-left-hand",),
    "wave_right_hand": ("wave-right-hand",),
    "wave_both_hands": ("wave-both-hands",),
}


# The prompts


@dataclass(frozen=True)
class Prompt:
    """Attributes: text; fact: the one of `FACTS` that it asks for; wording: "training" or "held-out"."""

    text: str
    fact: str
    wording: str


def build_prompts(wordings: Mapping[str, Any], train: int = 4) -> tuple[Prompt, ...]:
    """Prompts for all facts from a table of wordings.

    Subjects take turns: training wordings get training subjects, held-out wordings get held-out subjects, so that a held-out prompt
    shares no phrase with the captions that a model may have seen.

    Args:
        wordings: `subjects` and `contents`, each with lists `train` and `held_out` (the packaged wordings have this form).
        train: how many training wordings a fact gets; it gets all held-out ones.

    Raises:
        MateError: a content or a list is missing.
    """
    prompts = []
    try:
        for number, (fact, contents) in enumerate(CONTENTS.items()):
            for key, wording, limit in (("train", "training", train), ("held_out", "held-out", None)):
                subjects = wordings["subjects"][key]
                for turn, phrase in enumerate(wordings["contents"][contents[0]][key][:limit]):
                    prompts.append(Prompt(f"{subjects[(number + turn) % len(subjects)]} {phrase}", fact, wording))
    except (KeyError, TypeError) as error:
        raise MateError(
            f"the wordings lack {error}; expected subjects and contents, each with lists train and held_out"
        ) from error
    return tuple(prompts)


@cache
def builtin_prompts() -> tuple[Prompt, ...]:
    """The packaged prompts: made by `build_prompts` from the packaged wordings, then frozen, so that result cards stay comparable."""
    content = json.loads((files("mate.evaluate") / "obedience_prompts.json").read_text(encoding="utf-8"))
    return tuple(Prompt(**prompt) for prompt in content["prompts"])


def prompts_hash(prompts: Iterable[Prompt]) -> str:
    """SHA-256 of texts, facts and wordings in their order: two cards with the same hash asked the same."""
    lines = "".join(f"{prompt.text}\t{prompt.fact}\t{prompt.wording}\n" for prompt in prompts)
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def match_prompts(texts: Sequence[str], prompts: Sequence[Prompt] | None = None) -> list[Prompt]:
    """The prompt of each text, matched by its wording (surrounding space ignored); texts may repeat.

    Raises:
        MateError: a text that is none of the prompts.
    """
    prompts = builtin_prompts() if prompts is None else prompts
    known = {prompt.text: prompt for prompt in prompts}
    unknown = [(line, text) for line, text in enumerate(texts, start=1) if text.strip() not in known]
    if unknown:
        line, text = unknown[0]
        raise MateError(
            f"line {line}: {text[:80]!r} is none of the {len(known)} probe prompts ({len(unknown)} such lines); "
            "`mate probe --write-prompts FILE` writes them"
        )
    return [known[text.strip()] for text in texts]


# The table


class SamplesMotion(Protocol):
    """What the table needs of a generator."""

    def sample(self, texts: list[str], seconds: list[float] | None = None, seed: int = 0) -> list[np.ndarray]:
        """One motion (T, 22, 3) at 20 frames per second for each text."""
        ...


@dataclass(frozen=True)
class Probed:
    """One motion that was made for a prompt. `seconds`: the length that was asked for; `seed`: None where it is not known."""

    prompt: Prompt
    seconds: float
    seed: int | None
    joints: np.ndarray


def sample_probes(
    generator: SamplesMotion,
    prompts: Sequence[Prompt],
    seconds: Sequence[float] = (2.0, 5.0, 9.0),
    seeds: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Probed]:
    """One sample for every prompt, length and seed (0, 1, ...): nothing is drawn twice, chosen or thrown away.

    Args:
        progress: called with (samples made, samples in all).
    """
    texts, made = [prompt.text for prompt in prompts], []
    total = len(texts) * len(seconds) * seeds
    for length in seconds:
        for seed in range(seeds):
            motions = generator.sample(texts, [float(length)] * len(texts), seed=seed)
            made += [
                Probed(prompt, float(length), seed, joints) for prompt, joints in zip(prompts, motions, strict=True)
            ]
            progress(len(made), total)
    return made


@dataclass(frozen=True)
class RealClip:
    """A real clip of the control: its name, the fact that its label says, joints (T, 22, 3) at 20 frames per second, its split."""

    name: str
    fact: str
    joints: np.ndarray
    split: str = ""


@dataclass(frozen=True)
class Control:
    """What generated motions are put beside: real held-out clips, and the training clips that nothing should be a copy of.

    Attributes:
        name: of the data set.
        split: of the held-out clips.
        sha256: of the list of held-out clips.
        clips: the held-out clips whose label is one of the facts; mirror images are left out.
        substitutes: training clips of the facts that no held-out clip has. Only the judge's agreement with labels is measured on them.
        training: makes a pass over the joints of all training clips.
    """

    name: str
    split: str
    sha256: str
    clips: tuple[RealClip, ...]
    substitutes: tuple[RealClip, ...]
    training: Callable[[], Iterable[np.ndarray]]


def real_control(folder: str | Path, split: str = "test") -> Control:
    """The control from a prepared set whose meta.jsonl names contents (Bandai-Namco's).

    Raises:
        MateError: not a prepared set, or none of its held-out clips has a label that is one of the facts.
    """
    from mate.data.dataset import open_dataset

    held_out, training = open_dataset(folder, split), open_dataset(folder, "train")
    clips = _labelled(held_out)
    known = {clip.fact for clip in clips}
    substitutes = tuple(clip for clip in _labelled(training) if clip.fact not in known)
    if not clips:
        raise MateError(
            f"{folder}: no clip of the {split} split has a content such as walk or wave-left-hand in meta.jsonl; "
            "expected a set made by `mate prepare bandai-namco`"
        )
    listing = hashlib.sha256("\n".join(clip.name for clip in clips).encode("utf-8")).hexdigest()
    return Control(
        Path(folder).name,
        split,
        listing,
        clips,
        substitutes,
        lambda: (np.asarray(training.joints(i)) for i in range(len(training))),
    )


def _labelled(dataset: "MotionTextDataset") -> tuple[RealClip, ...]:
    """The clips of a split whose label is one of the facts, without mirror images and clips of several events."""
    facts = {content: fact for fact, contents in CONTENTS.items() for content in contents}
    clips = []
    for index, name in enumerate(dataset.names):
        about = dataset.meta[index]
        if about.get("content") in facts and "mirror_of" not in about and len(about.get("segments", [])) < 2:
            clips.append(RealClip(name, facts[about["content"]], np.asarray(dataset.joints(index)), dataset.split))
    return tuple(clips)


def judge_real(clips: Sequence[RealClip], fps: float = FPS) -> dict[str, Any]:
    """How often the judge agrees with the labels of real clips.

    Returns:
        `rows` (a rate for each fact), `all` (the rate over all), `confusion` (label -> what was judged -> clips; "none": no fact holds)
        and `too_short` (clips under `Tolerances.min_seconds`, which are not counted).
    """
    confusion: dict[str, dict[str, int]] = {}
    short = 0
    splits = {clip.fact: clip.split for clip in clips}
    for clip in clips:
        judged = judge_all(clip.joints, fps)
        if judged[clip.fact].holds is None:
            short += 1
            continue
        found = next((fact for fact in FACTS if judged[fact].holds), "none")
        row = confusion.setdefault(clip.fact, {})
        row[found] = row.get(found, 0) + 1
    outcomes = {
        fact: [found == fact for found, count in confusion.get(fact, {}).items() for _ in range(count)]
        for fact in FACTS
    }
    return {
        "all": rate(value for values in outcomes.values() for value in values),
        "rows": [rate(values, fact=fact, split=splits[fact]) for fact, values in outcomes.items() if values],
        "confusion": {fact: confusion[fact] for fact in FACTS if fact in confusion},
        "too_short": short,
    }


def obedience_table(
    generator: SamplesMotion,
    prompts: Sequence[Prompt] | None = None,
    seconds: Sequence[float] = (2.0, 5.0, 9.0),
    seeds: int = 8,
    control: Control | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Samples and judges: `sample_probes`, then `obedience_card`. One sample for each prompt, length and seed; no reranking."""
    prompts = builtin_prompts() if prompts is None else prompts
    return obedience_card(sample_probes(generator, prompts, seconds, seeds, progress), control)


def obedience_card(probed: Sequence[Probed], control: Control | None = None, fps: float = FPS) -> dict[str, Any]:
    """The result card of motions that were made for prompts, JSON-able.

    Args:
        probed: the motions; one that is too short to judge counts as not obeying.
        control: real clips to put beside, and training clips to measure the distance to; without it these figures are left out.

    Returns:
        `rows` (fact x wording x seconds: holds, n, rate and Wilson's 95 % interval low..high), `all`, `by_fact`, `by_wording`,
        `by_seconds`, `confusion`, `quality` (and that of walks, runs and turns alone, whose feet have more chance to slide),
        `diversity_m`, `nearest_training_m`, `real` and the protocol. The intervals take samples for independent; samples of one
        prompt are not quite, so they are somewhat too narrow.

    Raises:
        MateError: nothing to judge, or a motion that is none.
    """
    if not probed:
        raise MateError("got no motions, expected at least one")
    judged = [judge_all(item.joints, fps) for item in probed]
    ok = [bool(facts[item.prompt.fact].holds) for item, facts in zip(probed, judged, strict=True)]
    confusion: dict[str, dict[str, int]] = {}
    for item, facts in zip(probed, judged, strict=True):
        found = next((fact for fact in FACTS if facts[fact].holds), "none")
        row = confusion.setdefault(item.prompt.fact, {})
        row[found] = row.get(found, 0) + 1

    def rates(*keys: str) -> list[dict[str, Any]]:
        cells: dict[tuple[Any, ...], list[bool]] = {}
        for item, holds in zip(probed, ok, strict=True):
            labels = {"fact": item.prompt.fact, "wording": item.prompt.wording, "seconds": item.seconds}
            cells.setdefault(tuple(labels[key] for key in keys), []).append(holds)
        return [rate(values, **dict(zip(keys, cell, strict=True))) for cell, values in cells.items()]

    motions = [item.joints for item in probed]
    prompts = list(dict.fromkeys(item.prompt for item in probed))
    groups: dict[tuple[str, float], list[np.ndarray]] = {}
    for item in probed:
        groups.setdefault((item.prompt.text, item.seconds), []).append(item.joints)
    card: dict[str, Any] = {
        "protocol": PROTOCOL,
        "prompts": len(prompts),
        "prompts_sha256": prompts_hash(prompts),
        "seconds": sorted({item.seconds for item in probed}),
        "seeds": sorted({item.seed for item in probed if item.seed is not None}),
        "samples": len(probed),
        "selection": "one sample for each prompt, length and seed; none chosen or left out",
        "interval": "Wilson, 95 %",
        "tolerances": json.loads(json.dumps(asdict(TOLERANCES))),
        "versions": versions(),
        "all": rate(ok),
        "by_fact": rates("fact"),
        "by_wording": rates("wording"),
        "by_seconds": rates("seconds"),
        "rows": rates("fact", "wording", "seconds"),
        "confusion": confusion,
        "quality": quality(motions, fps),
        "quality_locomotion": quality([item.joints for item in probed if item.prompt.fact in LOCOMOTION], fps),
        "diversity_m": spread([value for group in groups.values() if (value := diversity(group)) is not None]),
    }
    if control is not None:
        card |= _beside_real(motions, control, fps)
    return card


def _beside_real(motions: Sequence[np.ndarray], control: Control, fps: float) -> dict[str, Any]:
    """The figures of the card that need real clips."""
    real = [clip.joints for clip in control.clips]
    distances = nearest_training([*motions, *real], control.training(), fps)
    generated, held_out = distances.metres[: len(motions)], distances.metres[len(motions) :]
    same_fact = [diversity([clip.joints for clip in control.clips if clip.fact == fact]) for fact in FACTS]
    # Closer to a training clip than all but 1 % of real held-out clips are: a copy, probably.
    limit = float(np.percentile(held_out, 1))
    return {
        "nearest_training_m": {**spread(generated), "share_under_real_p1": float(np.mean(generated < limit))},
        "real": {
            "data": control.name,
            "split": control.split,
            "clips": len(real),
            "clips_sha256": control.sha256,
            "training_windows": distances.windows,
            "obedience": judge_real([*control.clips, *control.substitutes], fps),
            "quality": quality(real, fps),
            "quality_locomotion": quality([clip.joints for clip in control.clips if clip.fact in LOCOMOTION], fps),
            "diversity_m": spread([value for value in same_fact if value is not None]),
            "nearest_training_m": {**spread(held_out), "p1": limit},
        },
    }


# The card in words


def _share(row: Mapping[str, Any] | None) -> str:
    return f"{100 * row['rate']:.0f} % ({row['holds']}/{row['n']})" if row else "–"


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown: obedience by fact, wording and length; cleanliness and closeness beside those of real clips."""
    cells = {(row["fact"], row["wording"], row["seconds"]): row for row in card["rows"]}
    columns = [(wording, length) for wording in ("training", "held-out") for length in card["seconds"]]
    columns = [key for key in columns if any((fact, *key) in cells for fact in FACTS)]
    facts = [row["fact"] for row in card["by_fact"]]
    total = {row["fact"]: row for row in card["by_fact"]}
    real = card.get("real")
    real_rows = {row["fact"]: row for row in real["obedience"]["rows"]} if real else {}
    head = ["fact", *(f"{wording}, {length:g} s" for wording, length in columns), "all, 95 % interval"]
    head += ["real clips"] * (real is not None)

    def substituted(fact: str) -> str:
        other = real and fact in real_rows and real_rows[fact]["split"] != real["split"]
        return f" ({real_rows[fact]['split']} split)" if other else ""

    body = [
        [
            fact.replace("_", " "),
            *(_share(cells.get((fact, *key))) for key in columns),
            show_rate(total[fact]),
            *([show_rate(real_rows.get(fact)) + substituted(fact)] if real else []),
        ]
        for fact in facts
    ]
    by_wording = "; ".join(f"{row['wording']} wordings {show_rate(row)}" for row in card["by_wording"])
    model = card.get("model", {}).get("name")
    lines = [
        f"Protocol `{card['protocol']}`: {card['prompts']} prompts (SHA-256 `{card['prompts_sha256'][:12]}`), "
        f"{card['samples']} motions, {card['selection']}." + (f" Model: `{model}`." if model else ""),
        "",
        f"The fact holds for {show_rate(card['all'])}; {by_wording}.",
        "",
        *table(head, body),
        "",
    ]
    if real:
        agreed, short = real["obedience"]["all"], real["obedience"]["too_short"]
        lines += [
            f"Real clips: {real['clips']} of the {real['split']} split of {real['data']}, mirror images left out. The judge agrees with "
            f"{show_rate(agreed)} labels" + (f" ({short} clips too short to judge)." if short else "."),
            "",
        ]
    return "\n".join([*lines, *_quality_table(card, real), ""])


def _quality_table(card: Mapping[str, Any], real: Mapping[str, Any] | None) -> list[str]:
    def number(source: Mapping[str, Any], path: str, unit: str, factor: float) -> str:
        value: Any = source
        for key in path.split("/"):
            value = value.get(key, {})
        return f"{value * factor:.1f} {unit}" if isinstance(value, float) else "–"

    wanted = [
        ("floor penetration, 95th percentile", "quality/floor_penetration_m/p95", "cm", 100.0),
        ("motions deeper than 2 cm", "quality/floor_penetration_m/share_over_2cm", "%", 100.0),
        ("slide of standing feet, median", "quality/foot_slide_m_per_s/median", "cm/s", 100.0),
        ("slide of standing feet, 95th percentile", "quality/foot_slide_m_per_s/p95", "cm/s", 100.0),
        ("the same of walks, runs and turns, median", "quality_locomotion/foot_slide_m_per_s/median", "cm/s", 100.0),
        (
            "the same of walks, runs and turns, 95th percentile",
            "quality_locomotion/foot_slide_m_per_s/p95",
            "cm/s",
            100.0,
        ),
        ("frames with a foot on the ground, median", "quality/foot_contact_share/median", "%", 100.0),
        ("hovering, 95th percentile", "quality/floating_m/p95", "cm", 100.0),
        ("jerk, median", "quality/jerk_m_per_s3/median", "m/s³", 1.0),
        ("distance between samples of one prompt (real: clips of one fact), median", "diversity_m/median", "cm", 100.0),
        ("distance to the nearest training clip, median", "nearest_training_m/median", "cm", 100.0),
        ("distance to the nearest training clip, 5th percentile", "nearest_training_m/p5", "cm", 100.0),
        ("closer to one than 99 % of real held-out clips are", "nearest_training_m/share_under_real_p1", "%", 100.0),
    ]
    rows = []
    for label, path, unit, factor in wanted:
        cells = [number(source, path, unit, factor) for source in (card, real) if source is not None]
        if cells[0] != "–":
            rows.append([label, *cells])
    return table(["measure", "generated", *(["real held-out clips"] if real else [])], rows)

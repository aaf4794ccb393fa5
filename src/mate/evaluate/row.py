"""One row of the table of generators: what one generator does on several test sets, in a few kilobytes.

One sample a prompt, nothing chosen. Every answer of the judge is kept, so that rows that were asked the same can be paired by prompt.
    single events  the prompts of eleven facts (`mate.evaluate.probes`) at three lengths, in training and in held-out wordings
    test sets      one caption of every clip: R-precision, FID and MM-Dist by each evaluator, and what the judge finds in each part;
                   some captions of several sub-texts again, made one sub-text after the other (`mate.generate.sub_texts`)
    words          every n-th prompt of the word probe

Answers are strings with a letter a prompt: 1 holds, 0 does not, ? cannot be told, - nothing is asked. The judge reads HumanML3D's joints:
a generator of KIT-ML's has test sets alone, and `left_out` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mate.data.dataset import open_dataset
from mate.evaluate.evaluators import Evaluator
from mate.evaluate.judge import judge_events, measured
from mate.evaluate.judge_limits import Answer
from mate.evaluate.judge_truth import CONTENTS, claim_of_event
from mate.evaluate.metrics import evenly
from mate.evaluate.obedience import judge_all
from mate.evaluate.probes import builtin_prompts, prompts_hash
from mate.evaluate.protocol import Plan, plan
from mate.evaluate.run import LEFT_OUT, evaluate, sampled
from mate.evaluate.subjects import Clip, Made, data_facts, positions_of, read_clips
from mate.evaluate.word_probe import obeys
from mate.evaluate.word_prompts import Events, packaged_prompts, word_prompts_hash
from mate.generate.sub_texts import BySubTexts
from mate.motion.skeleton import HUMANML3D

PROTOCOL = "guo-fixed"
FIGURES = ("R@1", "R@3", "FID", "MM-Dist", "Diversity")
SECONDS = (2.0, 5.0, 9.0)
LETTERS: Mapping[Answer, str] = {True: "1", False: "0", None: "?"}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measure:
    """How a row is measured. Rows with the same settings and test sets compare.

    Attributes:
        tests: prepared sets; their test splits are read.
        most: clips of a test set, spread evenly over it; mirror images are left out.
        seconds: lengths of the single events.
        words: every n-th prompt of the word probe; 0: none.
        by_sub_texts: captions of several sub-texts, of each test set, that are also made by sub-texts; 0: none.
    """

    tests: tuple[Path, ...]
    most: int = 320
    seconds: tuple[float, ...] = SECONDS
    words: int = 4
    by_sub_texts: int = 60


@dataclass(frozen=True, eq=False)
class Asked:
    """A test clip and what the judge is asked about a motion for its caption.

    Attributes:
        clip: its first caption is the one that is generated.
        part: of the test set: held-out takes, unseen pairs, joined clips, ..., with the wording of its first caption.
        events: what the caption says, one after the other; (): the clip's fact, or nothing, is asked.
    """

    clip: Clip
    part: str
    events: Events


def read_asked(folder: Path, most: int) -> list[Asked]:
    """The clips of a test split that are asked for. Where a clip has captions in seen and unseen wordings, clips take turns.

    Raises:
        MateError: no data set, or nothing left of it.
    """
    facts = data_facts(folder)
    dataset = open_dataset(folder, "test")
    metas = dict(zip(dataset.names, dataset.meta, strict=True))
    clips = read_clips(folder, "test", plan(PROTOCOL, float(facts["fps"]), 1).span())
    own = [clip for clip in clips if "mirror_of" not in metas[clip.key.partition("/")[0]]]
    asked = []
    for turn, place in enumerate(evenly(len(own), most)):
        clip, meta = own[place], metas[own[place].key.partition("/")[0]]
        wanted = ("seen", "unseen")[turn % 2]
        first = clip.kinds.index(wanted) if wanted in clip.kinds else 0
        order = [first, *(n for n in range(len(clip.kinds)) if n != first)]
        clip = replace(clip, captions=tuple(clip.captions[n] for n in order), kinds=tuple(clip.kinds[n] for n in order))
        asked.append(Asked(clip, f"{part_of(meta)}, {clip.kinds[0]} wordings", events_of(meta)))
    return asked


def part_of(meta: Mapping[str, Any]) -> str:
    """Which part of a test set a clip is in, by what its set says of it."""
    if "unseen_pair" in meta:
        return "unseen pairs" if meta["unseen_pair"] else "held-out takes"
    if len(meta.get("contents", ())) > 1:
        return "joined clips"
    return f"{meta.get('source', 'clips')} {meta['subset']}" if meta.get("subset") else str(meta.get("source", "clips"))


def events_of(meta: Mapping[str, Any]) -> Events:
    """The events of a clip of several contents, or of a kinwords program; events that the judge does not know are left out."""
    if len(meta.get("contents", ())) > 1:
        return tuple((CONTENTS[content][0],) for content in meta["contents"] if content in CONTENTS)
    events = []
    for event in (meta.get("program") or {}).get("events", ()):
        claims = [claim_of_event(part) for part in (event, event.get("meanwhile")) if part]
        if known := tuple(claim for claim in claims if claim is not None):
            events.append(known)
    return tuple(events)


def measure(
    generator: Any, evaluators: Sequence[Evaluator], how: Measure, seed: int, say: Say = lambda text: None
) -> dict[str, Any]:
    """Samples a generator once for every prompt and returns the figures, JSON-able.

    Args:
        generator: `mate.generate.base.Generator`.
        seed: of the samples.
        say: told what is done.

    Raises:
        MateError: a test set that cannot be read or has no clip for an evaluator.
    """
    judged = generator.spec.skeleton.name == HUMANML3D.name
    found: dict[str, Any] = {} if judged else {"left_out": LEFT_OUT}
    if judged:
        found["single_events"] = single = single_events(generator, how.seconds, seed)
        say(f"single events: {share(''.join(single['answers']['training'].values())):.1%} in training wordings")
    sets = found["sets"] = {}
    for folder in how.tests:
        name = str(data_facts(folder)["name"])
        sets[name] = measure_set(generator, evaluators, folder, how, seed)
        shares = {part: share(own["answers"]) for part, own in sets[name]["parts"].items()}
        say(f"{name}: {', '.join(f'{part} {value:.0%}' for part, value in shares.items()) if judged else 'measured'}")
    if how.words and judged:
        found["words"] = words(generator, how.words, seed)
    return found


def single_events(generator: Any, seconds: Sequence[float], seed: int) -> dict[str, Any]:
    """Answers by wording and fact, for every prompt at every length."""
    prompts = builtin_prompts()
    answers: dict[str, dict[str, str]] = {}
    for length in seconds:
        motions = generator.sample([prompt.text for prompt in prompts], [length] * len(prompts), seed=seed)
        for prompt, joints in zip(prompts, motions, strict=True):
            own = answers.setdefault(prompt.wording, {})
            holds = bool(judge_all(joints, generator.fps)[prompt.fact].holds)
            own[prompt.fact] = own.get(prompt.fact, "") + LETTERS[holds]
    return {"prompts_sha256": prompts_hash(prompts), "seconds": list(seconds), "answers": answers}


def measure_set(
    generator: Any, evaluators: Sequence[Evaluator], folder: Path, how: Measure, seed: int
) -> dict[str, Any]:
    """Figures of one test set: each evaluator's over the whole set, beside real motions; answers and R@1 of each part."""
    asked = read_asked(folder, how.most)
    clips = [one.clip for one in asked]
    settings = plan(PROTOCOL, float(data_facts(folder)["fps"]), 1, seed)
    subject = sampled(generator, clips, settings, {})
    card = evaluate(evaluators, clips, settings, subject)
    place = {key: number for number, key in enumerate(card["samples"]["keys"])}
    found = judged(asked, subject.made[0], settings.fps)
    hits: dict[str, dict[str, list[float]]] = {}
    for one, made in zip(asked, subject.made[0], strict=True):
        for name, columns in card["samples"]["figures"].items():
            hits.setdefault(one.part, {}).setdefault(name, []).append(columns["R@1"][place[made.key]])
    for part, own in found.items():
        own["R@1"] = {name: round(float(np.mean(values)), 4) for name, values in hits[part].items()}
    return {
        "sha256": card["data"]["sha256"],
        "clips": len(clips),
        "protocol": PROTOCOL,
        "evaluators": {name: about.get("sha256", about.get("files")) for name, about in card["evaluators"].items()},
        "figures": {
            name: {row: _figures(card["rows"][row][name]) for row in ("real", "made")} for name in card["evaluators"]
        },
        "parts": dict(sorted(found.items())),
        "by_sub_texts": by_sub_texts(generator, asked, how.by_sub_texts, settings),
    }


def judged(asked: Sequence[Asked], made: Sequence[Made], fps: float) -> dict[str, dict[str, Any]]:
    """Part -> the judge's answers about what was made, and about the real clips."""
    found: dict[str, dict[str, Any]] = {}
    for one, motion in zip(asked, made, strict=True):
        own = found.setdefault(one.part, {"answers": "", "real": ""})
        own["answers"] += answer(one, motion.positions, fps)
        own["real"] += answer(one, positions_of(one.clip.features), fps)
    return found


def by_sub_texts(generator: Any, asked: Sequence[Asked], most: int, settings: Plan) -> dict[str, dict[str, Any]]:
    """`judged` for at most so many captions of several sub-texts, spread evenly, made one sub-text after the other."""
    if not most or not hasattr(generator, "timeline"):
        return {}
    maker = BySubTexts(generator)
    several = [one for one in asked if one.events and len(maker.parts(one.clip.captions[0].text)) > 1]
    chosen = [several[n] for n in evenly(len(several), most)]
    if not chosen:
        return {}
    made = sampled(maker, [one.clip for one in chosen], settings, {}).made[0]
    return dict(sorted(judged(chosen, made, settings.fps).items()))


def _figures(row: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {figure: round(float(row[figure]["value"]), 4) for figure in FIGURES if figure in row}


def answer(asked: Asked, joints: np.ndarray, fps: float) -> str:
    """The judge's letter for a motion (T, 22, 3); "-" where it is asked nothing."""
    if asked.clip.fact is not None:
        return LETTERS[bool(judge_all(joints, fps)[asked.clip.fact].holds)]
    if not asked.events:
        return "-"
    return LETTERS[judge_events(measured(joints, fps), asked.events, step=0.5).answer]


def words(generator: Any, every: int, seed: int) -> dict[str, Any]:
    """Answers of every n-th prompt of the word probe, by word; a prompt counts for each of its words."""
    prompts = packaged_prompts()[::every]
    motions = generator.sample([one.text for one in prompts], [one.seconds for one in prompts], seed=seed)
    answers: dict[str, str] = {}
    for prompt, joints in zip(prompts, motions, strict=True):
        letter = LETTERS[obeys(prompt, measured(joints, generator.fps))]
        for word in prompt.words():
            answers[word] = answers.get(word, "") + letter
    return {
        "prompts_sha256": word_prompts_hash(prompts),
        "prompts": len(prompts),
        "answers": dict(sorted(answers.items())),
    }


def share(answers: str) -> float:
    """How often it holds, of the prompts that the judge decides; NaN where it decides none."""
    decided = [letter for letter in answers if letter in "01"]
    return decided.count("1") / len(decided) if decided else float("nan")

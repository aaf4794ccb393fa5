"""Does a timeline do what its steps say, in their order? `python -m mate.evaluate.timelines --model default -o CARD.json`

Random timelines of different facts, in wordings like those of training, 2 to 4 s a step; one motion each, none chosen. The judge of many
words (`mate.evaluate.judge`) looks for the events one after the other anywhere in the motion; it does not know where the steps join.
Chance is the same motions asked for the same events in another order.
"""

import argparse
import hashlib
import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import check_writable, rate, show_rate, table, to_json, versions, write_text
from mate.evaluate.judge import Claim, judge_events, measured
from mate.evaluate.judge_limits import Answer
from mate.evaluate.judge_truth import CONTENTS as CLAIMS
from mate.evaluate.probes import CONTENTS, builtin_prompts
from mate.generate.base import Editor
from mate.generate.timeline import Step, bounds

PROTOCOL = "mate-timelines-1"
SECONDS = (2.0, 2.5, 3.0, 3.5, 4.0)


@dataclass(frozen=True)
class Timeline:
    """Attributes: steps: prompts and their lengths; facts: what each asks for."""

    steps: tuple[Step, ...]
    facts: tuple[str, ...]

    @property
    def events(self) -> tuple[tuple[Claim, ...], ...]:
        """One claim a step, as the judge of many words has it."""
        return tuple((claim_of(fact),) for fact in self.facts)


def claim_of(fact: str) -> Claim:
    """The first claim of the clips that a fact's prompts are about."""
    return CLAIMS[CONTENTS[fact][0]][0]


def random_timelines(count: int, steps: int = 3, seed: int = 0, wording: str = "training") -> list[Timeline]:
    """`count` timelines of different facts, each in a random one of its wordings ("training" or "held-out") and of a random length.

    Raises:
        MateError: fewer than two steps, or more than there are facts.
    """
    if not 2 <= steps <= len(CONTENTS):
        raise MateError(f"got {steps} steps, expected 2 to {len(CONTENTS)}: every fact comes once")
    texts: dict[str, list[str]] = {}
    for prompt in builtin_prompts():
        if prompt.wording == wording:
            texts.setdefault(prompt.fact, []).append(prompt.text)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        facts = tuple(str(fact) for fact in rng.choice(list(texts), steps, replace=False))
        made = tuple(Step(str(rng.choice(texts[fact])), float(rng.choice(SECONDS))) for fact in facts)
        found.append(Timeline(made, facts))
    return found


def timelines_sha256(timelines: Sequence[Timeline]) -> str:
    """Two cards with the same hash asked the same."""
    lines = json.dumps([[[step.text, step.seconds] for step in one.steps] for one in timelines])
    return hashlib.sha256(lines.encode()).hexdigest()


def timeline_card(
    model: Editor,
    timelines: Sequence[Timeline],
    fps: float,
    stride: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Makes and judges the motions: the result card, JSON-able.

    Args:
        fps: of the motions. stride: the model's resolution in time, frames.
        progress: told (timelines judged, timelines in all).

    Raises:
        MateError: no timelines.
    """
    if not timelines:
        raise MateError("got no timelines, expected at least one")
    in_order: list[Answer] = []
    other_order: list[Answer] = []
    own: dict[str, list[Answer]] = {}
    for number, one in enumerate(timelines):
        tracks = measured(model.timeline(one.steps, seed, number=number), fps)
        in_order.append(judge_events(tracks, one.events).answer)
        other_order.append(judge_events(tracks, one.events[1:] + one.events[:1]).answer)
        edges = [edge / fps for edge in bounds(list(one.steps), fps, stride)]
        for place, fact in enumerate(one.facts):
            piece = tracks.cut(edges[place], edges[place + 1])
            own.setdefault(fact, []).append(judge_events(piece, [one.events[place]]).answer)
        progress(number + 1, len(timelines))
    return {
        "protocol": PROTOCOL,
        "timelines": len(timelines),
        "steps": sorted({len(one.steps) for one in timelines}),
        "seconds": list(SECONDS),
        "timelines_sha256": timelines_sha256(timelines),
        "seed": seed,
        "selection": "one motion a timeline; none chosen or left out",
        "in_order": _decided(in_order),
        "in_another_order": _decided(other_order),
        "in_its_own_step": [_decided(own[fact], fact=fact) for fact in CONTENTS if fact in own],
        "missed": [
            {"steps": [step.text for step in one.steps], "answer": answer}
            for one, answer in zip(timelines, in_order, strict=True)
            if answer is not True
        ],
        "versions": versions(),
    }


def _decided(answers: Sequence[Answer], **labels: Any) -> dict[str, Any]:
    """How often it holds, of all: what the judge cannot tell does not hold."""
    return {**rate((answer is True for answer in answers), **labels), "cannot_tell": sum(a is None for a in answers)}


def to_markdown(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    rows = [[row["fact"].replace("_", " "), show_rate(row), str(row["cannot_tell"])] for row in card["in_its_own_step"]]
    name = card.get("model", {}).get("name", "")
    return "\n".join(
        [
            f"Protocol `{card['protocol']}`{f', model `{name}`' if name else ''}: {card['timelines']} random timelines of "
            f"{', '.join(map(str, card['steps']))} facts (SHA-256 `{card['timelines_sha256'][:12]}`), seed {card['seed']}.",
            "",
            f"All events in order: {show_rate(card['in_order'])} ({card['in_order']['cannot_tell']} cannot be told and count as not). The "
            f"same events asked for in another order: {show_rate(card['in_another_order'])}.",
            "",
            *table(["fact, within its own step", "holds, 95 % interval", "cannot tell"], rows),
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from mate.checkpoints import WEIGHTS, generator_class, resolve, sha256

    parser = argparse.ArgumentParser(
        prog="python -m mate.evaluate.timelines", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--model", default="default")
    parser.add_argument("--timelines", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--wording", choices=("training", "held-out"), default="training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.output is not None:
            check_writable(given.output)
        folder = resolve(given.model)
        model: Any = generator_class(folder).from_pretrained(folder)
        if not hasattr(model, "timeline"):
            raise MateError(f"{given.model} makes no timelines; give a generator")
        model.only_humanml3d("the kinematic judge")
        asked = random_timelines(given.timelines, given.steps, given.seed, given.wording)
        card = timeline_card(model, asked, model.fps, getattr(model, "stride", 1), given.seed)
    except MateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    card |= {
        "wording": given.wording,
        "model": {"name": folder.name, "sha256": sha256(folder / WEIGHTS)},
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if given.output is not None:
        write_text(given.output, to_json(card))
    print(to_markdown(card))
    return 0


if __name__ == "__main__":
    sys.exit(main())

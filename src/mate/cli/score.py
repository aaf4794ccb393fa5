"""`mate score`."""

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mate.errors import MateError


class Scoring(StrEnum):
    """How a text is compared with a motion."""

    localized = "localized"
    sentence = "sentence"


def score(
    motion: Annotated[Path | None, typer.Argument(help="A motion file (npy, npz, bvh).")] = None,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to rank on it.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help='JSON lines, each {"motion": path, "texts": [...]}.', show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Retrieval model of `mate align` (OUT/retrieval).")] = None,
    scoring: Annotated[
        Scoring, typer.Option(help="Sub-texts on their own segments, or whole text on whole motion.")
    ] = Scoring.localized,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, in order.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.", show_default=False)] = None,
) -> None:
    """Say how well motions and texts go together.

    `mate score walk.npy "a person walks" "a person waves"` ranks texts on one motion; `mate score --pairs FILE --json`
    scores many: one line of output for every line of input, in order.
    """
    if (pairs is None) == (motion is None):
        raise MateError("give a motion and texts, or --pairs FILE: `mate score MOTION TEXT...`")
    if motion is not None and not texts:
        raise MateError(f'got no text for {motion}: `mate score {motion} "a person walks"`')
    from mate.align.score import Pair, read_pairs, score_pairs  # after the cheap checks: this brings in PyTorch

    jobs = read_pairs(pairs) if pairs is not None else [Pair(str(motion), tuple(texts or ()))]
    import torch

    from mate.align.aligner import Aligner
    from mate.align.score import default_model

    if threads:
        torch.set_num_threads(threads)
    aligner = Aligner.from_pretrained(model or default_model(), device)
    for number, scored in enumerate(_shown(score_pairs(aligner, jobs, scoring.value), len(jobs)), start=1):
        if as_json:
            row = {"motion": scored.pair.motion, "similarities": [round(value, 6) for value in scored.similarities]}
            print(json.dumps(row, ensure_ascii=False), flush=True)
            continue
        if len(jobs) > 1:
            print(("\n" if number > 1 else "") + scored.pair.motion)
        ranked = sorted(zip(scored.similarities, scored.pair.texts, strict=True), key=lambda pair: -pair[0])
        for similarity, text in ranked:
            print(f"{similarity:+.3f}  {text}")


def _shown(results: Iterator[Any], total: int) -> Iterator[Any]:
    """A progress bar on standard error, for people only."""
    if total < 2 or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "scoring", total, console=Console(stderr=True))

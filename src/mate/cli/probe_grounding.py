"""`mate probe --grounding`: are words, sub-texts and body parts found where they are?"""

from pathlib import Path
from typing import Any


def grounding(
    model: str, data: Path, split: str, limit: int | None, joints: str, trials: Path | None, seed: int, device: str
) -> "dict[str, Any]":
    """The card of the grounding probe; of joints only where the set says which joints a word is about.

    Args:
        trials: a folder with CMU subject 16's BVH files, for a part of its own.

    Raises:
        MateError: no such model or set, a set without known times, or arguments that make no sense.
    """
    from mate.errors import MateError

    if joints not in ("occlusion", "gradient", "none"):
        raise MateError(f"got --joints {joints!r}, expected occlusion, gradient or none")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mate.align.aligner import Aligner
    from mate.checkpoints import WEIGHTS, sha256
    from mate.evaluate.grounding_continuous import read_trials
    from mate.evaluate.grounding_probe import grounding_card, measure
    from mate.evaluate.grounding_truth import read_clips

    clips = read_clips(data, split, limit)
    recordings = read_trials(trials) if trials is not None else []
    aligner = Aligner.from_pretrained(model, device)
    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("measuring", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = measure(aligner, clips, seed, joints, progress)
    card = {
        **grounding_card(found, clips, seed),
        "model": {"name": Path(model).name, "sha256": sha256(Path(model) / WEIGHTS)},
        "data": {"name": data.resolve().name, "split": split, "limit": limit},
        "omega": aligner.config.omega,
        "device": device,
    }
    if recordings:
        card["continuous"] = grounding_card(measure(aligner, recordings, seed), recordings, seed)
    return card

"""`mate probe --grounding`: are words, sub-texts and body parts found where they are?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

SEED = 0  # of the bootstrap and of the control with random cuts


def grounding_probe(
    model: str, data: Sequence[Path], split: str, limit: int | None, joints: str, trials: Path | None, device: str
) -> tuple[dict[str, Any], str]:
    """The card of the grounding probe, and its tables; of joints only where the set says which joints a word is about.

    Args:
        trials: a folder with CMU subject 16's BVH files, for a part of its own.

    Raises:
        MateError: no such model or set, a set without known times, or arguments that make no sense.
    """
    from mate.errors import MateError

    if joints not in ("occlusion", "gradient", "none"):
        raise MateError(f"got --joints {joints!r}, expected occlusion, gradient or none")
    if len(data) != 1:
        raise MateError(
            f"got --data {len(data)} times; --grounding needs one set of `mate prepare joined` or `mate prepare kinwords`"
        )
    from mate.align.aligner import Aligner
    from mate.checkpoints import WEIGHTS, sha256
    from mate.cli.progress import progress_bar
    from mate.evaluate.grounding_continuous import read_trials
    from mate.evaluate.grounding_probe import grounding_card, measure, to_markdown
    from mate.evaluate.grounding_truth import read_clips

    clips = read_clips(data[0], split, limit)
    recordings = read_trials(trials) if trials is not None else []
    aligner = Aligner.from_pretrained(model, device)
    with progress_bar("measuring") as progress:
        found = measure(aligner, clips, SEED, joints, progress)
    card = {
        **grounding_card(found, clips, SEED),
        "model": {"name": Path(model).name, "sha256": sha256(Path(model) / WEIGHTS)},
        "data": {"name": data[0].resolve().name, "split": split, "limit": limit},
        "omega": aligner.config.omega,
        "device": device,
    }
    if recordings:
        card["continuous"] = grounding_card(measure(aligner, recordings, SEED), recordings, SEED)
    return card, to_markdown(card)

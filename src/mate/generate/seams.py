"""How smooth the joins of timelines are, beside real clips: `python -m mate.generate.seams DATA --model default`.

Prints JSON: the 99th percentiles of position, velocity and heading changes in real clips, of single frames and of the largest within
0.2 s of a random moment, and the largest within 0.2 s of the joins of random timelines (captions of the data, 2 to 4 s each).
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from mate.checkpoints import from_pretrained
from mate.data.dataset import MotionTextDataset, open_dataset
from mate.errors import MateError
from mate.generate.base import Editor, Generator
from mate.generate.timeline import REACH, Step, bounds, jumps
from mate.motion.features import features_to_joints
from mate.motion.skeleton import only_humanml3d

NAMES = ("position_m", "velocity_m_s", "heading_deg")


def real_percentiles(dataset: MotionTextDataset, each: int = 4, seed: int = 0) -> dict[str, dict[str, float]]:
    """99th percentiles over all frames, and over the largest change around `each` random moments of every clip."""
    rng = np.random.default_rng(seed)
    frames, windows = [], []
    for i in range(len(dataset)):
        if dataset.lengths[i] < 4 * REACH:
            continue
        found = jumps(features_to_joints(np.array(dataset.features(i))), dataset.fps)
        frames.append(np.stack([found.position[1:], found.velocity, found.heading[1:]], 1))
        moments = rng.integers(REACH + 1, len(found.velocity) - REACH, each)
        windows += [found.around(int(moment), REACH) for moment in moments]
    if not windows:
        raise MateError(f"{dataset.folder} has no clip of at least {4 * REACH} frames; give another split")
    return {
        "frames": _named(np.percentile(np.concatenate(frames), 99, axis=0)),
        "around_a_moment": _named(np.percentile(np.array(windows), 99, axis=0)),
    }


def random_timelines(texts: list[str], count: int, steps: int = 3, seed: int = 0) -> list[list[Step]]:
    """`count` timelines of `steps` different texts, 2 to 4 s each."""
    rng = np.random.default_rng(seed)
    return [
        [
            Step(str(text), float(rng.choice(np.arange(2.0, 4.1, 0.5))))
            for text in rng.choice(texts, steps, replace=False)
        ]
        for _ in range(count)
    ]


def seam_jumps(model: Editor, timelines: list[list[Step]], fps: float, stride: int, seed: int = 0) -> np.ndarray:
    """(joins, 3) the largest change around every join."""
    rows = []
    for number, steps in enumerate(timelines):
        found = jumps(model.timeline(steps, seed, number=number), fps)
        rows += [found.around(frame, REACH) for frame in bounds(steps, fps, stride)[1:-1]]
    return np.array(rows)


def _named(values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(NAMES, values, strict=True)}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mate.generate.seams", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", help="a prepared folder of real clips")
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="default")
    parser.add_argument("--timelines", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        dataset = open_dataset(Path(given.data), given.split)
        real = real_percentiles(dataset)
        model = from_pretrained(given.model)
        if not isinstance(model, Generator) or not isinstance(model, Editor):
            raise MateError(f"{given.model} makes no timelines; give a generator")
        only_humanml3d(model.spec.skeleton.name, "the measure of joins")
        texts = sorted({caption.text for captions in dataset.captions for caption in captions})
        rows = seam_jumps(
            model,
            random_timelines(texts, given.timelines, seed=given.seed),
            model.fps,
            getattr(model, "stride", 1),
            given.seed,
        )
    except MateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    beyond = {
        kind: _named((rows > np.array([limits[name] for name in NAMES])).mean(0)) for kind, limits in real.items()
    }
    made = {f"p{p}": _named(np.percentile(rows, p, axis=0)) for p in (50, 95, 99, 100)}
    print(json.dumps({"real_99": real, "joins": len(rows), "made": made, "share_beyond_real_99": beyond}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

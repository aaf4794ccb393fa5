"""Real clips at every length from 2 to 10 s, for training generators.

A raised hand lasts 2.4 s in the recordings and a run 3.2 s; users ask for 9. Gaits and waves go round inside
themselves, a raised hand is held, a turn is walked into and out of. Contents are drawn by WEIGHTS, so rare ones are
oversampled; some clips are joined from several. Every clip stays in the split of its takes.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from mate.data.build import Source
from mate.data.dataset import FPS, Caption, Sample
from mate.data.joined import Pool, crop, joined_sample, pool_of, set_key
from mate.data.wordings import draw, generator
from mate.errors import MateError
from mate.motion.joining import OVERLAP, best_entry, extend, join
from mate.motion.retarget import resample

SHORTEST, LONGEST = 2.0, 9.9  # seconds
SEVERAL_EVENTS = 0.15  # share of joined clips
GAITS = ("walk", "run", "dash", "walk-back", "walk-left", "walk-right")
CAPTIONS = 8
STYLE_SHARE = (
    0.85  # of a styled clip's captions that name the style: a prompt without one mostly means the normal style
)
# How often a content is drawn, relative to 1 for a content that is not listed.
WEIGHTS = {
    "walk": 6.0, "run": 5.0, "walk-back": 5.0, "walk-turn-left": 6.0, "walk-turn-right": 6.0,
    "raise-up-left-hand": 5.0, "raise-up-right-hand": 5.0, "raise-up-both-hands": 5.0,
    "wave-left-hand": 5.0, "wave-right-hand": 5.0, "wave-both-hands": 5.0, "dash": 2.0,
}  # fmt: skip


def extended(folder: str | Path, clips: int, seed: int, split: str = "train") -> Iterator[Sample]:
    """Draws `clips` samples of 2 to 9.9 s from one split of a prepared set.

    Raises:
        MateError: the set names no known contents.
    """
    pool = Pool.open(folder, split)
    for number in range(clips):
        yield _sample(pool, seed, number)


def extended_source(folder: str | Path, clips: int, seed: int) -> Source:
    """`clips` training clips and a tenth as many for validation, for `build_dataset`. Raises MateError as `extended` does."""
    counts = {"train": clips, "val": max(clips // 10, 1)}
    for split in counts:
        Pool.open(folder, split)
    items = tuple((split, number) for split, count in counts.items() for number in range(count))
    state = set_key(folder)
    key = {"source": "extended", "seed": seed, "set": state}
    return Source(partial(_one, str(folder), str(state), seed), items, key, 20)


def _one(folder: str, state: str, seed: int, item: tuple[str, int]) -> list[Sample]:
    split, number = item
    return [_sample(pool_of(folder, state, split), seed, number)]


def _sample(pool: Pool, seed: int, number: int) -> Sample:
    split = pool.dataset.split
    contents = sorted(pool.by_content)
    weights = np.array([WEIGHTS.get(content, 1.0) for content in contents])
    rng = generator("extended", seed, split, number)
    name = f"ext{split}{number:05d}"
    if rng.random() < SEVERAL_EVENTS:
        return joined_sample(pool, name, rng)
    content = str(rng.choice(contents, p=weights / weights.sum()))
    index = int(rng.choice(pool.by_content[content]))
    frames = round(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST))) * FPS) + 1  # as many of 2-3 s as of 6-9
    style = pool.dataset.meta[index].get("style", "normal")
    joints = at_length(pool, content, style, pool.joints(index), frames, rng)
    wordings = [draw(content, style, "seen", rng, STYLE_SHARE) for _ in range(CAPTIONS)]
    meta = {
        "source": pool.dataset.meta[index].get("source", ""),
        "license": pool.dataset.license,
        "content": content,
        "style": style,
        "takes": [pool.dataset.meta[index].get("take", pool.dataset.names[index])],
        "caption_kinds": ["seen"] * CAPTIONS,
        "segments": [{"text": wordings[0].text, "start": 0.0, "end": round(len(joints) / FPS, 3)}],
    }
    return Sample(name, joints, tuple(Caption(wording.text) for wording in wordings), split, meta)


def at_length(
    pool: Pool, content: str, style: str, joints: np.ndarray, frames: int, rng: np.random.Generator
) -> np.ndarray:
    """A clip of `content` with `frames` frames; a clip that cannot be made longer stays as long as it is."""
    if len(joints) >= frames:
        return _shortened(content, joints, frames, rng)
    try:
        if content.startswith("walk-turn-"):
            longer = _walked_out(pool, style, joints, frames, rng)
        elif content.startswith("raise-"):
            longer = extend(joints, frames, rng, window=held_window(joints, content))
        elif content.startswith("wave-"):
            longer = extend(joints, frames, rng, window=(len(joints) // 5, 4 * len(joints) // 5))
        else:
            longer = extend(joints, frames, rng)
    except MateError:
        return joints
    return longer[:frames]


def _shortened(content: str, joints: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    if content in GAITS:
        start = int(rng.integers(len(joints) - frames + 1))
        return joints[start : start + frames]
    if content.startswith("raise-"):
        # A gesture is played up to a fifth faster before its end is cut off.
        speed = min(len(joints) / frames, 1.2)
        return resample(joints, FPS, FPS / speed)[:frames]
    return crop(joints, frames)


def held_window(joints: np.ndarray, content: str) -> tuple[int, int]:
    """The frames in which a raised hand is up: at least 80 % of the way from its lowest to its highest point."""
    hands = {"left": [20], "right": [21], "both": [20, 21]}[content.split("-")[2]]
    height = joints[:, hands, 1].mean(1) - joints[:, 0, 1]
    up = np.flatnonzero(height >= height.min() + 0.8 * (height.max() - height.min()))
    peak = int(np.argmax(height))
    first, last = peak, peak
    while first - 1 in up:
        first -= 1
    while last + 1 in up:
        last += 1
    return first, last + 1


def _walked_out(pool: Pool, style: str, joints: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    """A turn with straight walking of the same style after it, and in half of the cases before it."""
    walks = pool.by_content.get("walk", [])
    same = [index for index in walks if pool.dataset.meta[index].get("style") == style] or walks
    if not same:
        raise MateError("no straight walk in the pool")
    missing = frames - len(joints) + OVERLAP
    before = int(rng.uniform(0.0, 1.0) * missing) if rng.random() < 0.5 else 0
    if before > 2 * OVERLAP:
        walk = _steady(pool.joints(int(rng.choice(same))), before + OVERLAP, rng)
        entry = best_entry(walk, joints, latest=min(20, len(joints) // 4))
        joints = join(walk, joints[entry:])
    missing = frames - len(joints) + OVERLAP
    if missing > OVERLAP:
        walk = pool.joints(int(rng.choice(same)))
        entry = best_entry(joints, walk, latest=len(walk) // 2)
        joints = join(joints, _steady(walk[entry:], missing, rng))
    return joints


def _steady(walk: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
    return (walk if len(walk) >= frames else extend(walk, frames, rng))[:frames]

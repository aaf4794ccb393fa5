"""Real clips joined end to end: sub-texts, boundaries and the time of every event are known, on real motion capture.

Takes are split before anything is joined: a joined clip only holds takes of its own split. Some sub-texts hold two
clips of the same action, so that a seam alone does not give a boundary away.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from mate.data.build import Source, file_key
from mate.data.dataset import FPS, SPLITS, Caption, MotionTextDataset, Sample, open_dataset
from mate.data.wordings import connect, draw, generator, wordings
from mate.errors import MateError
from mate.motion.joining import OVERLAP, best_entry, join
from mate.motion.retarget import heading

LONGEST = 196  # frames: HumanML3D's longest clip
SHORTEST_EVENT, LONGEST_EVENT = 1.0, 6.0  # seconds
EVENTS = (2, 3, 4)
EVENT_SHARES = (0.5, 0.3, 0.2)
LONGEST_TO_SHORTEST = 4.0  # the most by which one event's share of the time may exceed another's
SAME_ACTION_SEAMS = 0.25  # share of the sub-texts that are made of two clips of one action


@dataclass(frozen=True)
class Pool:
    """The clips of one split, by their content."""

    dataset: MotionTextDataset
    by_content: dict[str, list[int]]

    @classmethod
    def open(cls, folder: str | Path, split: str) -> "Pool":
        """Raises MateError where the set's meta.jsonl names no known contents."""
        dataset = open_dataset(folder, split)
        by_content: dict[str, list[int]] = defaultdict(list)
        for index, facts in enumerate(dataset.meta):
            if facts.get("content") in wordings()["contents"]:
                by_content[facts["content"]].append(index)
        if len(by_content) < 2:
            raise MateError(
                f"{folder}, split {split}: found {len(by_content)} known contents in meta.jsonl, expected at least 2; "
                "joined clips are made from a set like the one of `mate prepare bandai-namco`"
            )
        return cls(dataset, dict(by_content))

    def joints(self, index: int) -> np.ndarray:
        """(T, 22, 3) float32."""
        return np.array(self.dataset.joints(index))


def most_active_window(joints: np.ndarray, frames: int) -> int:
    """The first frame of the window of `frames` that shows most of what a clip does.

    That is its change of heading if it turns, the motion of its limbs otherwise.
    """
    angles = heading(joints)
    if abs(angles[-1] - angles[0]) > np.radians(20.0):
        activity = np.abs(np.diff(angles))
    else:
        centred = joints - joints[:, :1]
        activity = np.linalg.norm(np.diff(centred, axis=0), axis=2).sum(1)
    sums = np.concatenate([[0.0], np.cumsum(activity)])
    scores = sums[frames - 1 :] - sums[: len(sums) - frames + 1]
    return int(np.argmax(scores))


def crop(joints: np.ndarray, frames: int) -> np.ndarray:
    """At most `frames` frames of a clip, where it does most."""
    if len(joints) <= frames:
        return joints
    start = most_active_window(joints, frames)
    return joints[start : start + frames]


def joined(folder: str | Path, clips: int, seed: int) -> Iterator[Sample]:
    """Joins clips of a prepared set: `clips` training samples, a tenth as many for validation and a fifth for test.

    Each sample has 2 to 4 events and lasts at most 9.8 s. meta["segments"] holds the sub-texts with their true times (the centres of
    the seams), meta["seams"] all seams, those inside a sub-text included.

    Raises:
        MateError: the set names no known contents.
    """
    source = joined_source(folder, clips, seed)
    for item in source.items:
        yield from source.make(item)  # pyright: ignore[reportReturnType]


def joined_source(folder: str | Path, clips: int, seed: int) -> Source:
    """What `joined` yields, for `build_dataset`. Raises MateError as it does."""
    for split in SPLITS:
        Pool.open(folder, split)
    counts = {"train": clips, "val": max(clips // 10, 1), "test": max(clips // 5, 1)}
    items = tuple((split, number) for split in SPLITS for number in range(counts[split]))
    state = set_key(folder)
    return Source(
        partial(_one, str(folder), str(state), seed), items, {"source": "joined", "seed": seed, "set": state}, 20
    )


def set_key(folder: str | Path) -> dict[str, object]:
    """What tells one prepared set from another, for `Source.key`."""
    root = Path(folder).resolve()
    return {"folder": str(root), **{name: file_key(root / name) for name in ("all.txt", "meta.jsonl", "Mean.npy")}}


@lru_cache(maxsize=3)
def pool_of(folder: str | Path, state: str, split: str) -> Pool:
    """`Pool.open`, once a process for all items of one `state` of the set."""
    return Pool.open(folder, split)


def _one(folder: str | Path, state: str, seed: int, item: tuple[str, int]) -> Iterator[Sample]:
    split, number = item
    name = f"join{split}{number:05d}"
    yield joined_sample(pool_of(folder, state, split), name, generator("joined", seed, split, number))


def joined_sample(pool: Pool, name: str, rng: np.random.Generator) -> Sample:
    """One joined clip from a pool."""
    events = int(rng.choice(EVENTS, p=EVENT_SHARES))
    contents = _contents(pool, events, rng)
    indices, starts, seams = [], [0], []
    motion: np.ndarray | None = None
    for content, budget in zip(contents, _budgets(events, generator("lengths", name)), strict=True):
        twice = rng.random() < SAME_ACTION_SEAMS
        longest = min(budget, int(LONGEST_EVENT * FPS)) // (2 if twice else 1)
        chosen = [int(rng.choice(pool.by_content[content])) for _ in range(2 if twice else 1)]
        indices.append(chosen[0])
        for part, index in enumerate(chosen):
            joints = crop(
                pool.joints(index), max(longest, int(SHORTEST_EVENT * FPS) // (2 if twice else 1) + 2 * OVERLAP)
            )
            if motion is None:
                motion = joints
                continue
            entry = best_entry(motion, joints, latest=min(10, len(joints) - 2 * OVERLAP))
            seams.append(len(motion) - OVERLAP // 2)
            if part == 0:
                starts.append(seams[-1])
            motion = join(motion, joints[entry:])
    assert motion is not None
    motion = motion[: LONGEST + 1]
    seams = [seam for seam in seams if seam < len(motion)]
    ends = [*starts[1:], len(motion)]
    styles = [pool.dataset.meta[index].get("style", "normal") for index in indices]
    captions, kinds, segments = _captions(contents, styles, pool.dataset.split, rng)
    meta = {
        "source": "joined " + str(pool.dataset.meta[indices[0]].get("source", "")),
        "license": pool.dataset.license,
        "takes": [pool.dataset.meta[index].get("take", pool.dataset.names[index]) for index in indices],
        "contents": contents,
        "caption_kinds": kinds,
        "segments": [
            {"text": text, "start": round(start / FPS, 3), "end": round(end / FPS, 3)}
            for text, start, end in zip(segments, starts, ends, strict=True)
        ],
        "seams": [round(seam / FPS, 3) for seam in seams],
    }
    return Sample(name, motion, tuple(captions), pool.dataset.split, meta)


def _budgets(events: int, rng: np.random.Generator) -> list[int]:
    """Frames for each event: uneven, so that cutting a clip into equal parts does not find its events."""
    shares = rng.uniform(1.0, LONGEST_TO_SHORTEST, events)
    frames = (LONGEST + OVERLAP * (events - 1)) * shares / shares.sum()
    return [max(int(SHORTEST_EVENT * FPS), int(count)) for count in frames]


def _contents(pool: Pool, events: int, rng: np.random.Generator) -> list[str]:
    """Contents drawn evenly, no two neighbours alike."""
    chosen: list[str] = []
    names = sorted(pool.by_content)
    for _ in range(events):
        chosen.append(str(rng.choice([name for name in names if not chosen or name != chosen[-1]])))
    return chosen


def _captions(
    contents: list[str], styles: list[str], split: str, rng: np.random.Generator
) -> tuple[list[Caption], list[str], list[str]]:
    kinds = ["seen"] * 4 if split == "train" else ["seen", "unseen"] * 2
    captions: list[Caption] = []
    segments: list[str] = []
    for kind in kinds:
        drawn = [draw(content, style, kind, rng, 0.4) for content, style in zip(contents, styles, strict=True)]
        phrases = [wording.phrase for wording in drawn]
        segments = segments or phrases
        between = templates({"seen": "train", "unseen": "held_out"}[kind], len(phrases))
        captions.append(Caption(sentence(drawn[0].subject, phrases, [str(rng.choice(between)) for _ in phrases[1:]])))
    return captions, kinds, segments


def templates(part: str, events: int) -> list[str]:
    """The connectives of captions with so many events; `part`: "train" or "held_out". Not all of them can be chained."""
    found = wordings()["connectives"][part]
    return [one for one in found if one.startswith(("{0}, ", "{0} and"))] if events > 2 else found


def sentence(subject: str, phrases: list[str], templates: list[str]) -> str:
    """A caption: phrases in order of time, with a connective before each but the first."""
    if not templates:
        return f"{subject} {phrases[0]}"
    if templates[0].startswith("after {0:ing}"):
        return connect(templates[0].replace("{1}", f"{subject} {{1}}"), phrases)
    text = phrases[0]
    for template, phrase in zip(templates, phrases[1:], strict=True):
        text = connect(template, [text, phrase])
    return f"{subject} {text}"

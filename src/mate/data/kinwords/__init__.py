"""kinwords: procedural human motion whose every word is true by construction.

A program (1 to 3 events with numbers) is drawn from a seed, played on the canonical skeleton, and captioned by a grammar that knows which
frames and joints each word is about. Clip i depends on (seed, i) only.
"""

import hashlib
from collections.abc import Iterator
from functools import partial

import numpy as np

from mate.data.build import Source
from mate.data.dataset import Caption, Sample
from mate.data.kinwords.grammar import caption
from mate.data.kinwords.play import play
from mate.data.kinwords.program import draw_program
from mate.data.kinwords.words import CONCEPTS, HELD_OUT

__all__ = ["CONCEPTS", "HELD_OUT", "kinwords", "kinwords_source", "make_clip"]

LICENSE = "Apache-2.0"
CAPTIONS = 3


def split_of(seed: int, index: int) -> str:
    """train (85 %), val (5 %) or test (10 %), by a hash of the program's seed."""
    digest = hashlib.sha256(f"kinwords {seed} {index}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "train" if share < 0.85 else "val" if share < 0.9 else "test"


def make_clip(seed: int, index: int) -> Sample:
    """Clip `index` of the corpus `seed`: joints (T, 22, 3) at 20 fps, canonical bone lengths, 2 to 10 s, floor at 0.

    It starts at the origin, facing +Z.
    """
    rng = np.random.default_rng([seed, index])
    program = draw_program(rng)
    joints = play(program, rng)
    split = split_of(seed, index)
    kinds = ["seen", "unseen"] if split == "test" else ["seen"] * CAPTIONS
    parts = [event.phrases() for event in program.events]
    captions, words, segments = [], [], []
    for i, kind in enumerate(kinds):
        text, grounded, texts = caption(parts, rng, unseen=kind == "unseen")
        captions.append(Caption(text))
        words += [{**word, "caption": i} for word in grounded]
        if i == 0:
            segments = [
                {"text": piece, "start": round(event.start, 3), "end": round(min(event.end, program.seconds), 3)}
                for piece, event in zip(texts, program.events, strict=True)
            ]
    meta = {
        "source": "kinwords",
        "license": LICENSE,
        "content": "+".join(event.action for event in program.events),
        "caption_kinds": kinds,
        "segments": segments,
        "words": words,
        "program": {"seed": seed, "index": index, **program.json()},
    }
    return Sample(name=f"K{seed:03d}_{index:06d}", joints=joints, captions=tuple(captions), split=split, meta=meta)


def kinwords(clips: int, seed: int, start: int = 0) -> Iterator[Sample]:
    """Yields `clips` samples, numbers `start` to `start + clips - 1` of the corpus `seed`; the same arguments give the same bytes."""
    for index in range(start, start + clips):
        yield make_clip(seed, index)


def _one(seed: int, index: int) -> list[Sample]:
    return [make_clip(seed, index)]


def kinwords_source(clips: int, seed: int) -> Source:
    """The first `clips` clips of the corpus `seed`, for `build_dataset`."""
    return Source(partial(_one, seed), tuple(range(clips)), {"source": "kinwords", "seed": seed}, per_part=20)

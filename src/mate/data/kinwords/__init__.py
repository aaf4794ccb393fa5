"""kinwords: procedural human motion whose every word is true by construction.

A program (1 to 4 events with numbers) and a person are drawn from a seed, the program is played by that person, and captioned by a grammar
that knows which frames and joints each word is about. Clip i depends on (seed, i) only.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from mate.data.build import Source
from mate.data.dataset import Caption, Sample, mirrored
from mate.data.kinwords.body import CANONICAL
from mate.data.kinwords.concepts import CONCEPTS
from mate.data.kinwords.grammar import caption
from mate.data.kinwords.person import draw_person
from mate.data.kinwords.play import play
from mate.data.kinwords.program import SUBSETS, draw_program, settled
from mate.data.kinwords.words import HELD_OUT

__all__ = ["CONCEPTS", "HELD_OUT", "kinwords", "kinwords_source", "make_clip"]

LICENSE = "Apache-2.0"
CAPTIONS = 3


def split_of(seed: int, index: int) -> tuple[str, str]:
    """train (80 %), val (5 %) or test (15 %), and which part of the test split, by a hash of the clip's seed.

    Half of the test split is "standard": made as the training clips are. A sixth each shows actions that training hardly shows
    ("rare"), combinations that it does not show ("combinations"), and has captions in held-out wordings only ("wordings").
    """
    digest = hashlib.sha256(f"kinwords {seed} {index}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    if share < 0.85:
        return ("train", "") if share < 0.8 else ("val", "")
    return "test", SUBSETS[max(0, int((share - 0.85) / 0.025) - 2)]


def make_clip(seed: int, index: int, own_build: bool = False, mirror: bool = False) -> Sample:
    """Clip `index` of the corpus `seed`: joints (T, 22, 3) at 20 fps, 2 to 10 s, floor at 0, starting at the origin and facing +Z.

    Args:
        own_build: joints with the person's own bone lengths, as a recording has them, not with the canonical ones. Retargeted they are
            the canonical ones, footprints included.
        mirror: the mirror image, with its feet planted exactly; captions, words and program are mirrored too.
    """
    rng = np.random.default_rng([seed, index])
    split, subset = split_of(seed, index)
    program = draw_program(rng, subset)
    person = draw_person(rng)
    played = play(program, person, rng)
    joints = played.joints(person.build if own_build else CANONICAL, mirror)
    program = settled(program, played.stage.spans)
    kinds = {"": ["seen"] * CAPTIONS, "wordings": ["unseen"] * 2}.get(subset, ["seen", "unseen"])
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
        "program": {"seed": seed, "index": index, **program.json(), "person": person.json()},
    }
    if subset:
        meta["subset"] = subset
    sample = Sample(name=f"K{seed:03d}_{index:06d}", joints=joints, captions=tuple(captions), split=split, meta=meta)
    return replace(mirrored(sample), joints=joints) if mirror else sample


def kinwords(clips: int, seed: int, start: int = 0) -> Iterator[Sample]:
    """Yields `clips` samples, numbers `start` to `start + clips - 1` of the corpus `seed`; the same arguments give the same bytes."""
    for index in range(start, start + clips):
        yield make_clip(seed, index)


def _one(seed: int, index: int) -> list[Sample]:
    return [make_clip(seed, index)]


def kinwords_source(clips: int, seed: int) -> Source:
    """The first `clips` clips of the corpus `seed`, for `build_dataset`."""
    return Source(partial(_one, seed), tuple(range(clips)), {"source": "kinwords", "seed": seed}, per_part=20)

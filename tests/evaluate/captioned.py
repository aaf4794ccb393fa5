"""A small captioned set of analytic motions, in every split: what the evaluation tests read. Not a test file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests import motions as make

from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample
from mate.motion.retarget import retarget_to_canonical

# content -> (caption, another wording, the motion of a number in 0..1 and a length in seconds)
CONTENTS = {
    "walk": ("a person walks forward", "somebody strides ahead", lambda x, s: make.gait(s, 0.9 + 0.4 * x)),
    "walk-back": ("a person walks backwards", "somebody backs away", lambda x, s: make.gait(s, -0.7 - 0.3 * x)),
    "walk-turn-left": (
        "a person turns left",
        "somebody rounds a left corner",
        lambda x, s: make.gait(s, 1.0, 1.4 + 0.3 * x),
    ),
    "walk-turn-right": (
        "a person turns right",
        "somebody rounds a right corner",
        lambda x, s: make.gait(s, 1.0, -1.4 - 0.3 * x),
    ),
    "run": ("a person runs", "somebody dashes off", lambda x, s: make.gait(s, 2.5 + x, duty=0.35, cycle=0.7)),
    "raise-up-left-hand": (
        "a person raises the left hand",
        "somebody lifts the left arm",
        lambda x, s: make.raised(0, s, 1.6 + 0.3 * x),
    ),
    "raise-up-right-hand": (
        "a person raises the right hand",
        "somebody lifts the right arm",
        lambda x, s: make.raised(1, s, 1.6 + 0.3 * x),
    ),
    "wave-left-hand": (
        "a person waves the left hand",
        "somebody greets with the left",
        lambda x, s: make.raised(0, s, 1.7, 0.1 + 0.1 * x),
    ),
}
STYLES = ("calm", "brisk", "tired", "proud", "young", "old")


def samples(split: str, styles: int, length: float = 2.6) -> Iterator[Sample]:
    """One clip of every content in each of so many styles."""
    rng = np.random.default_rng(len(split))
    for content, (caption, other, motion) in CONTENTS.items():
        for style in STYLES[:styles]:
            joints = retarget_to_canonical(motion(rng.random(), length + 0.8 * rng.random()))
            texts = (f"{caption} like a {style} one", f"{other} like a {style} one")
            meta = {
                "content": content,
                "style": style,
                "caption_kinds": ["seen", "unseen" if split == "test" else "seen"],
            }
            yield Sample(f"{split}_{content}_{style}", joints, tuple(Caption(text) for text in texts), split, meta)


def write(folder: Path) -> Path:
    """The set: 32 training, 8 validation and 48 test clips."""
    everything = (
        sample for split, styles in (("train", 4), ("val", 1), ("test", 6)) for sample in samples(split, styles)
    )
    write_dataset(everything, folder, name="made up", license="CC0-1.0")
    return folder

"""Prompts of several sub-actions, made one after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mate.checkpoints import default_model
from mate.cli.app import main
from mate.errors import MateError
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.sub_texts import BySubTexts
from mate.generate.timeline import Step
from mate.motion.layout import HUMANML3D_FEATURES


class Recording:
    """A generator that writes down what it is asked for; a motion's first number says who made it."""

    spec, fps, min_seconds, max_seconds = HUMANML3D_FEATURES, 20.0, 0.5, 10.0

    def __init__(self) -> None:
        self.samples: list[tuple[Any, ...]] = []
        self.timelines: list[tuple[list[Step], int, int]] = []

    def sample(
        self, texts: list[str], seconds: list[float] | None, seed: int, guidance: float | None, *,
        numbers: Sequence[int], foot_lock: bool, progress: Any, step: Any,
    ) -> list[np.ndarray]:  # fmt: skip
        self.samples.append((texts, seconds, seed, list(numbers)))
        return [np.full((4, 22, 3), number, np.float32) for number in numbers]

    def timeline(
        self, steps: Sequence[Step], seed: int, guidance: float | None, *, number: int, foot_lock: bool, step: Any
    ) -> np.ndarray:
        self.timelines.append((list(steps), seed, number))
        return np.full((4, 22, 3), 100 + number, np.float32)

    def choose_seconds(self, texts: Sequence[str], seed: int, keys: Sequence[tuple]) -> list[float]:
        assert len({*keys}) == len(texts)
        return [1.0 + len(text.split()) for text in texts]


TEXTS = ["a person walks", "a person bows, then claps and finally sits down", "a woman waves while walking"]


def test_parts_in_their_order_and_whole_prompts_as_they_are() -> None:
    generator = Recording()
    found = BySubTexts(generator).sample(TEXTS, [2.0, 6.0, 3.0], seed=7, numbers=[4, 5, 6])
    assert generator.samples == [([TEXTS[0], TEXTS[2]], [2.0, 3.0], 7, [4, 6])]
    steps = [Step(f"a person {what}", 2.0) for what in ("bows", "claps", "sits down")]
    assert generator.timelines == [(steps, 7, 5)]
    assert [motion[0, 0, 0] for motion in found] == [4, 105, 6]


def test_time_order_and_chosen_lengths() -> None:
    generator = Recording()
    BySubTexts(generator).sample(["after sitting down, she waves"])
    [(steps, _, _)] = generator.timelines
    assert ["sitting" in step.text for step in steps] == [True, False]
    assert [step.seconds for step in steps] == [1.0 + len(step.text.split()) for step in steps]


def test_no_time_for_parts() -> None:
    generator = Recording()
    assert BySubTexts(generator).steps(TEXTS[1], 1.2) == [] == BySubTexts(generator).steps(TEXTS[0])
    assert BySubTexts(generator).parts(TEXTS[1], 1.2) == [TEXTS[1]]
    assert len(BySubTexts(generator).parts(TEXTS[1], 1.5)) == 3
    BySubTexts(generator).sample([TEXTS[1]], [1.2])
    assert generator.samples and not generator.timelines, "the prompt is left as it is"


def test_what_cannot_be_done() -> None:
    with pytest.raises(MateError, match="whole motions only"):
        BySubTexts(object())
    with pytest.raises(MateError, match="1 lengths for 2 prompts"):
        BySubTexts(Recording()).sample(TEXTS[:2], [1.0])
    with pytest.raises(MateError, match="empty"):
        BySubTexts(Recording()).sample([" "])


def test_the_shipped_generator_by_sub_texts() -> None:
    """A motion depends on the seed and its number, and has the length that was asked for."""
    generator = MoMaskGenerator.from_pretrained(default_model())
    by = BySubTexts(generator)
    one, other = by.sample(["a person bows, then walks forward", "a person waves"], [4.0, 2.0], seed=3)
    assert one.shape == (80, 22, 3) and other.shape == (40, 22, 3)
    [again] = by.sample(["a person waves"], [2.0], seed=3, numbers=[1])
    np.testing.assert_array_equal(other, again)
    [alone] = generator.sample(["a person waves"], [2.0], seed=3, numbers=[1])
    np.testing.assert_array_equal(other, alone)
    assert np.linalg.norm(one[-1, 0, [0, 2]] - one[30, 0, [0, 2]]) > 0.5, "it walks in its second half"
    lengths = generator.choose_seconds(["a person bows", "a person walks"], 3, [(0, "step", 0), (0, "step", 1)])
    assert lengths == generator.choose_seconds(["a person bows", "a person walks"], 3, [(0, "step", 0), (0, "step", 1)])
    assert all(generator.min_seconds <= length <= generator.max_seconds for length in lengths)


def test_the_command(tmp_path: Path) -> None:
    text, common = "a person bows, then walks forward", ["--seconds", "3", "--format", "npy"]
    assert main(["generate", text, *common, "-o", str(tmp_path / "parts")]) == 0
    assert main(["generate", text, *common, "--whole", "-o", str(tmp_path / "whole")]) == 0
    parts, whole = (np.load(tmp_path / name / "0000.npy") for name in ("parts", "whole"))
    generator = MoMaskGenerator.from_pretrained(default_model())
    np.testing.assert_array_equal(whole, generator.sample([text], [3.0])[0])
    np.testing.assert_array_equal(parts, BySubTexts(generator).sample([text], [3.0])[0])
    assert not np.array_equal(parts, whole)

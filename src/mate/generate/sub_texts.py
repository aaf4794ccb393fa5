"""Prompts of several sub-actions, made one sub-action after the other.

A generator that reads a prompt as one vector learns what happens, and hardly in which order. Here the prompt is cut into its sub-texts
(`mate.text.subtexts`), each is read by itself, and the generator makes one timeline of them. No judge and no choice among samples takes
part. Prompts of one sub-text are left to the generator as they are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.generate.base import StepHook, check_one_each, check_texts, part_of
from mate.generate.timeline import Step
from mate.motion.layout import FeatureSpec
from mate.text.subtexts import SubText, split, standalone


class BySubTexts:
    """A generator in front of which prompts are cut (`mate.generate.base.Generator`, but for training and saving).

    Args:
        generator: a `mate.generate.base.Generator` that is an `Editor` too.
        splitter: what cuts a prompt into sub-texts, in order of time.

    Raises:
        MateError: a generator that makes whole motions only.
    """

    def __init__(self, generator: Any, splitter: Callable[[str], Sequence[SubText]] = split):
        if not hasattr(generator, "timeline"):
            raise MateError("this generator makes whole motions only: its prompts cannot be cut into sub-texts")
        self.generator, self.splitter = generator, splitter
        self.spec: FeatureSpec = generator.spec
        self.fps: float = generator.fps
        self.min_seconds: float = generator.min_seconds
        self.max_seconds: float = generator.max_seconds

    def parts(self, text: str, seconds: float | None = None) -> list[str]:
        """The sub-texts of a prompt as texts of their own, in order of time; the prompt where there is one, or no time for several."""
        found = standalone(text, self.splitter(text))
        short = seconds is not None and seconds / len(found) < self.min_seconds
        return [text] if short or len(found) == 1 else found

    def steps(self, text: str, seconds: float | None = None, seed: int = 0, number: int = 0) -> list[Step]:
        """The timeline that a prompt is made as; empty for one that is left to the generator as it is.

        The parts share `seconds` evenly; without `seconds` the generator chooses each one's length.
        """
        parts = self.parts(text, seconds)
        if len(parts) == 1:
            return []
        lengths = (
            [seconds / len(parts)] * len(parts)
            if seconds is not None
            else self.generator.choose_seconds(parts, seed, [(number, "step", k) for k in range(len(parts))])
        )
        return [Step(part, length) for part, length in zip(parts, lengths, strict=True)]

    def sample(
        self,
        texts: list[str],
        seconds: list[float] | None = None,
        seed: int = 0,
        guidance: float | None = None,
        *,
        numbers: Sequence[int] | None = None,
        foot_lock: bool = True,
        progress: Callable[[int, int], None] | None = None,
        step: StepHook | None = None,
    ) -> list[np.ndarray]:
        """Motions of the texts; see `mate.generate.base.Generator.sample`.

        `foot_lock` and `progress` are passed on; `step` is told as if every prompt took its own steps.
        """
        check_texts(texts)
        check_one_each(texts, {"lengths": seconds, "numbers": numbers})
        own = list(range(len(texts)) if numbers is None else numbers)
        lengths: Sequence[float | None] = [None] * len(texts) if seconds is None else seconds
        timelines = [self.steps(text, lengths[n], seed, own[n]) for n, text in enumerate(texts)]
        whole = [n for n, steps in enumerate(timelines) if not steps]
        found: dict[int, np.ndarray] = {}
        if whole:
            made = self.generator.sample(
                [texts[n] for n in whole],
                None if seconds is None else [seconds[n] for n in whole],
                seed,
                guidance,
                numbers=[own[n] for n in whole],
                foot_lock=foot_lock,
                progress=None if progress is None else lambda done, _: progress(done, len(texts)),
                step=part_of(step, 0, len(whole), len(texts)),
            )
            found.update(zip(whole, made, strict=True))
        for n, steps in enumerate(timelines):
            if not steps:
                continue
            hook = part_of(step, len(found), 1, len(texts))
            found[n] = self.generator.timeline(steps, seed, guidance, number=own[n], foot_lock=foot_lock, step=hook)
            if progress is not None:
                progress(len(found), len(texts))
        return [found[n] for n in range(len(texts))]

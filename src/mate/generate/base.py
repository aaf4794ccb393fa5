"""What every motion generator offers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from torch import Tensor

from mate.errors import MateError
from mate.generate.timeline import Step, check_seconds
from mate.motion.layout import FeatureSpec
from mate.text.encoder import MAX_CHARACTERS

StepHook = Callable[[int, int], None]
"""Told (sampling steps done, steps in all) after every step of sampling; what it raises ends the sampling."""


def part_of(step: StepHook | None, before: int, own: int, whole: int) -> StepHook | None:
    """The hook for a run that does `own` of `whole` equal parts of the work, where `before` of them are done."""
    if step is None:
        return None
    return lambda done, total: step(before * total + own * done, whole * total)


def check_texts(texts: Sequence[str]) -> None:
    """Raises MateError for an empty prompt or one that is too long."""
    for i, text in enumerate(texts):
        which = f"prompt {i + 1}" if len(texts) > 1 else "the prompt"
        if not text.strip():
            raise MateError(f"{which} is empty; say in words what the body does")
        if len(text) > MAX_CHARACTERS:
            raise MateError(
                f"{which} has {len(text):,} characters, at most {MAX_CHARACTERS:,} are possible; shorten it"
            )


def check_one_each(texts: Sequence[str], given: Mapping[str, Sequence[Any] | None]) -> None:
    """Raises MateError unless what is given, by name, is one for each prompt; None is not given."""
    for name, values in given.items():
        if values is not None and len(values) != len(texts):
            raise MateError(f"got {len(values)} {name} for {len(texts)} prompts, expected one each")


def check_steps(steps: Sequence[Step], low: float, high: float) -> list[Step]:
    """The steps of a timeline. Raises MateError: none, an empty prompt, or a length outside of `low` to `high` seconds."""
    if not steps:
        raise MateError("got a timeline without steps, expected at least one")
    check_texts([step.text for step in steps])
    return [Step(step.text, check_seconds(step.seconds, low, high)) for step in steps]


@runtime_checkable
class Generator(Protocol):
    """Texts in, motions out.

    A sample depends on (seed, index of the prompt) only: not on the batch it ran in, and not on the global random state.
    """

    spec: FeatureSpec
    fps: float
    min_seconds: float
    max_seconds: float

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Named losses of a `mate.data.batch.MotionTextBatch`; their sum is what training minimises."""
        ...

    def sample(
        self,
        texts: list[str],
        seconds: list[float] | None = None,
        seed: int = 0,
        guidance: float | None = None,
        *,
        numbers: Sequence[int] | None = None,
        step: StepHook | None = None,
    ) -> list[np.ndarray]:
        """Motions of the texts, each (T, J, 3) float32: metres, Y up, T = round(seconds * fps), joints of `spec.skeleton`.

        Args:
            texts: one prompt a motion.
            seconds: one length a prompt; None: the model chooses.
            seed: same seed, same motions.
            guidance: strength of classifier-free guidance; None: the model's own.
            numbers: the index of each prompt, where the texts are a part of a longer list or in another order; None: 0, 1, ...
            step: told (sampling steps done, steps in all) after every step; what it raises ends the sampling. It changes no motion.

        Raises:
            mate.errors.MateError: an empty prompt, or a length that the model cannot make.
        """
        ...

    def save_pretrained(self, folder: str | Path, card: str = "") -> Path:
        """Writes the model folder."""
        ...

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> Self:
        """Reads a model folder."""
        ...


@runtime_checkable
class Editor(Protocol):
    """What a generator offers that can put motion beside motion. Same seeds and numbers, same motions."""

    def timeline(
        self,
        steps: Sequence[Step],
        seed: int = 0,
        guidance: float | None = None,
        *,
        number: int = 0,
        foot_lock: bool = True,
        step: StepHook | None = None,
    ) -> np.ndarray:
        """One motion of several prompts one after the other, (T, J, 3) float32, T = round(sum of seconds * fps).

        Step k begins at round(seconds before it * fps), give or take the generator's resolution in time (`mate.generate.timeline.bounds`).
        `step` as in `Generator.sample`.

        Raises:
            mate.errors.MateError: an empty prompt, or a length that the model cannot make.
        """
        ...

    def choose_seconds(self, texts: Sequence[str], seed: int, keys: Sequence[tuple]) -> list[float]:
        """How long motions of the texts should last, in seconds; a length depends on the seed and its key (numbers and names) only.

        Raises:
            mate.errors.MateError: a model without a length predictor.
        """
        ...

    def between(
        self,
        before: np.ndarray | None,
        after: np.ndarray | None,
        text: str,
        seconds: float,
        seed: int = 0,
        guidance: float | None = None,
        *,
        number: int = 0,
        foot_lock: bool = True,
        parts: Sequence[str] = (),
        path: np.ndarray | None = None,
        middle: np.ndarray | None = None,
    ) -> np.ndarray:
        """Goes on from `before` for `seconds` as the text says and leads into `after`: (P + G + S, 22, 3) float32.

        Args:
            before: (P, 22, 3) at 20 fps with the canonical bone lengths, kept to the last bit; one frame is a start pose. None: nothing.
            after: (S, 22, 3), kept as one rigid piece, turned and moved to where the new motion leads (it stays where it is where
                nothing comes before). None: nothing.
            text: what happens in between.
            seconds: how long.
            parts: the body parts that are made anew, where not the whole body is.
            path: (G, 2) where the root goes, metres in the plane.
            middle: (G, 22, 3) what was there: its other parts stay where `parts` are given; then `after` stays in its place.

        Raises:
            mate.errors.MateError: an empty prompt, an impossible length, something that this kind of model cannot do, or a model of
                other joints than HumanML3D's.
        """
        ...

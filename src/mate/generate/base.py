"""What every motion generator offers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from torch import Tensor


@runtime_checkable
class Generator(Protocol):
    """Texts in, motions out.

    A sample depends on (seed, index of the prompt) only: not on the batch it ran in, and not on the global random state.
    """

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
    ) -> list[np.ndarray]:
        """Motions of the texts, each (T, 22, 3) float32: metres, Y up, T = round(seconds * fps).

        Args:
            texts: one prompt a motion.
            seconds: one length a prompt; None: the model chooses.
            seed: same seed, same motions.
            guidance: strength of classifier-free guidance; None: the model's own.
            numbers: the index of each prompt, where the texts are a part of a longer list or in another order; None: 0, 1, ...

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

"""Padded batches with the one mask convention: True = valid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class MotionTextBatch:
    """B motions with one text each.

    Attributes:
        features: (B, T, D) float32; rows beyond a motion's length are zero.
        mask: (B, T) bool, True where a frame is valid.
        texts: B captions.
    """

    features: torch.Tensor
    mask: torch.Tensor
    texts: list[str]

    @property
    def lengths(self) -> torch.Tensor:
        """(B,) int64."""
        return self.mask.sum(1)


def collate(items: Sequence[tuple[np.ndarray, str]]) -> MotionTextBatch:
    """Pads (features (T_i, D), text) pairs to the longest of them."""
    lengths = torch.tensor([len(features) for features, _ in items])
    padded = torch.zeros(len(items), int(lengths.max()), items[0][0].shape[1])
    for row, (features, _) in zip(padded, items, strict=True):
        row[: len(features)] = torch.from_numpy(np.array(features, dtype=np.float32))
    mask = torch.arange(padded.shape[1])[None] < lengths[:, None]
    return MotionTextBatch(padded, mask, [text for _, text in items])

"""Kinematic prototypes: one learnable vector a word of the motion vocabulary (known).

They serve training only: the word patch and the retrieval model do not hold them.
"""

import torch
from torch import Tensor, nn

from mate.align.losses import self_loss


class Prototypes(nn.Module):
    """f^p_{w_k} for K words, and the criterion that ties word features to them.

    Attributes:
        vectors: (K, D) parameter. Their number is the vocabulary's; their start is random (ours).
        tau: the temperature (ours).
    """

    def __init__(self, words: int, dim: int, tau: float, seed: int = 0) -> None:
        super().__init__()
        start = torch.randn(words, dim, generator=torch.Generator().manual_seed(seed))
        self.vectors = nn.Parameter(start / dim**0.5)
        self.tau = tau

    def forward(self, features: Tensor, words: Tensor, negative: Tensor | None = None) -> Tensor:
        """L_self of word features (n, D) with their word numbers (n,); `negative` (n, K) as in `self_loss`."""
        return self_loss(features, self.vectors, words, self.tau, negative)

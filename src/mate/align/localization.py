"""The feature of a word in a motion: a Gaussian prior from its sub-text's segment, and attention that it guides.

    Prior(tau) = exp( -(tau - c_n)^2 / (2 sigma_n^2) ),  c_n = (s_n + e_n) / 2,  sigma_n = (e_n - s_n) / 2
    Q = Proj(WE(w)),   K = (1 + omega * Prior) * F^m (frame by frame),   V = F^m,   f^m_w = MHA(Q, K, V)

Known: both. The prior is a hint, not a mask: it covers the whole sequence, so that a wrong segment can be recovered from.

Shapes: B motions, T latent frames, W words, D features, H heads.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mate.errors import MateError

PriorKind = Literal["gaussian", "binary", "inside", "none"]


def prior(start: Tensor, end: Tensor, frames: int, kind: PriorKind = "gaussian") -> Tensor:
    """Where in the motion a word's sub-text is.

    Args:
        start, end: (...) segment bounds in latent frames. An empty segment (end <= start) means "not in this motion": zeros.
        frames: T.
        kind: "gaussian" over the full sequence (the paper), "binary" (1 inside), "inside" (the Gaussian, 0 outside), "none".

    Returns:
        (..., T) float32 in [0, 1].
    """
    if kind not in get_args(PriorKind):
        raise MateError(f"got prior {kind!r}, expected one of {', '.join(get_args(PriorKind))}")
    start, end = start.float().unsqueeze(-1), end.float().unsqueeze(-1)
    tau = torch.arange(frames, device=start.device) + 0.5  # the middle of each latent frame
    known = end > start
    if kind == "none":
        return torch.zeros_like(start * tau)
    inside = (tau >= start) & (tau < end) & known
    if kind == "binary":
        return inside.float()
    centre, sigma = (start + end) / 2, ((end - start) / 2).clamp(min=1e-3)
    gaussian = torch.exp(-((tau - centre) ** 2) / (2 * sigma**2)) * known
    return gaussian * inside if kind == "inside" else gaussian


class GuidedAttention(nn.Module):
    """Multi-head cross-attention from words to a motion's frames, with keys scaled by (1 + omega * prior).

    The key projection has no bias, so that scaling F^m and scaling its projection are the same thing, and scaling the
    logits of a word is the same again: no keys are made per word.
    """

    def __init__(self, dim: int, heads: int, omega: float = 1.0) -> None:
        super().__init__()
        if dim % heads:
            raise MateError(f"got {dim} features and {heads} heads; the first must be a multiple of the second")
        self.heads, self.omega = heads, omega
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, words: Tensor, frames: Tensor, mask: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """words (B, W, D), frames (B, T, D), mask (B, T) True=valid, prior (B, W, T) or None.

        Returns:
            f^m_w (B, W, D) and the attention weights (B, H, W, T).
        """
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, words), (self.key, frames), (self.value, frames))
        )  # (B, H, W or T, D / H)
        logits = (query @ key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5  # (B, H, W, T)
        if prior is not None:
            logits = logits * (1.0 + self.omega * prior.unsqueeze(1))
        weights = logits.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(-1)
        read = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return self.out(read), weights

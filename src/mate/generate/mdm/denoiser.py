"""The transformer of MDM: noisy motion, time and text in, clean motion out.

Shapes: B batch, T frames, D features a frame, N tokens, W width, L text vectors of S numbers each. Masks: True = valid.
With the settings of the released sizes it computes what the reference does (`convert.py` brings the weights over); the tests hold both
against each other. The adaptive blocks and several frames a token are ours, see `DenoiserConfig`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.generate.linear import Linear
from mate.generate.mdm.config import DenoiserConfig
from mate.generate.momask.transformer import TextNormalizer, dropout, guide, sinusoids


class TextCondition(nn.Module):
    """Text vectors (B, L, S) -> (B, L, W). No text is the zero vector, as in MDM."""

    def __init__(self, dim: int, config: DenoiserConfig):
        super().__init__()
        self.config = config.text
        self.normalizer = TextNormalizer(dim)
        hidden = config.text.hidden
        self.project: nn.Module = (
            nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(config.text.dropout), nn.Linear(hidden, config.width))
            if hidden
            else nn.Linear(dim, config.width)
        )  # fmt: skip

    def forward(self, text: Tensor, drop: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """`drop` (B,) True: without text. In train mode texts are dropped at random and noise is added."""
        if self.training:
            drop = torch.rand(len(text), generator=generator, device=text.device) < self.config.drop
        x = self.normalizer(text, self.config.noise if self.training else 0.0, generator)
        return self.project(x if drop is None else x * ~drop[:, None, None])


class Attention(nn.Module):
    """Multi-head attention of x to itself or to a memory."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, attend: Tensor | None, memory: Tensor | None = None) -> Tensor:
        """x (B, N, W), memory (B, M, W); attend (B, 1, 1, N or M), True = may be looked at."""
        if memory is None:
            q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        else:
            weight, bias, width = self.qkv.weight, self.qkv.bias, x.shape[-1]
            q = F.linear(x, weight[:width], bias[:width]).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            k, v = (
                F.linear(memory, weight[width:], bias[width:]).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
            )
        p = self.dropout if self.training else 0.0
        if p == 0 and self.training and x.device.type == "cpu":
            # Spelled out: with its backward pass, at 50 tokens on a CPU, four times as fast as the fused kernel.
            scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
            if attend is not None:
                scores = scores.masked_fill(~attend, -torch.inf)
            seen = scores.softmax(-1).to(v.dtype) @ v
        else:
            seen = F.scaled_dot_product_attention(q, k, v, attend, dropout_p=p)
        return self.out(seen.transpose(1, 2).flatten(2))


class ReleasedBlock(nn.Module):
    """A block as released: each branch, then the norm of the sum; with cross-attention in the decoder."""

    def __init__(self, config: DenoiserConfig, cross: bool):
        super().__init__()
        width = config.width
        self.dropout = config.dropout
        self.attention = Attention(width, config.heads, config.dropout)
        self.cross = Attention(width, config.heads, config.dropout) if cross else None
        self.up, self.down = Linear(width, config.ff), Linear(config.ff, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if cross else 2))

    def forward(self, x: Tensor, attend: Tensor | None, memory: Tensor, memory_attend: Tensor | None) -> Tensor:
        """x (B, N, W), memory (B, M, W) -> (B, N, W)."""
        p, training = self.dropout, self.training
        x = self.norms[0](x + F.dropout(self.attention(x, attend), p, training))
        if self.cross is not None:
            x = self.norms[1](x + F.dropout(self.cross(x, memory_attend, memory), p, training))
        hidden = F.dropout(self.up(x, gelu=True), p, training)
        return self.norms[-1](x + F.dropout(self.down(hidden), p, training))


class AdaptiveBlock(nn.Module):
    """A block of ours: norms are scaled and shifted, and branches weighed, by the condition; all weights of branches start at zero."""

    def __init__(self, config: DenoiserConfig):
        super().__init__()
        width = config.width
        self.dropout = config.dropout
        self.attention = Attention(width, config.heads, 0.0)
        self.up, self.down = Linear(width, config.ff), Linear(config.ff, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.adapt = Linear(width, 6 * width)
        nn.init.zeros_(self.adapt.weight)
        nn.init.zeros_(self.adapt.bias)

    def forward(self, x: Tensor, attend: Tensor | None, condition: Tensor, _: Tensor | None) -> Tensor:
        """x (B, N, W), condition (B, 1, W) -> (B, N, W)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adapt(F.silu(condition)).chunk(6, -1)
        seen = self.attention(self.norm(x) * (1 + scale1) + shift1, attend)
        x = x + gate1 * dropout(seen, self.dropout, self.training)
        hidden = self.down(self.up(self.norm(x) * (1 + scale2) + shift2, gelu=True))
        return x + gate2 * dropout(hidden, self.dropout, self.training)


class Denoiser(nn.Module):
    """Clean motion from noisy motion, noise level and text."""

    positions: Tensor

    def __init__(self, config: DenoiserConfig, features: int, text_dim: int, max_frames: int, steps: int):
        super().__init__()
        self.config = config
        width, reach = config.width, config.frames * (1 if config.frames == 1 else 2)
        self.text = TextCondition(text_dim, config)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.input = Linear(reach * features, width)
        cross = config.architecture != "encoder"
        self.blocks = nn.ModuleList(
            AdaptiveBlock(config) if config.adaptive else ReleasedBlock(config, cross) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width) if config.adaptive else nn.Identity()
        self.output = Linear(width, reach * features)
        rows = max(steps, -(-max_frames // config.frames) + 1)
        self.register_buffer("positions", sinusoids(rows, width), persistent=False)

    def forward(
        self,
        x: Tensor,
        times: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        mask: Tensor | None = None,
        drop: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The clean motion, (B, T, D).

        Args:
            x: (B, T, D) noisy motion, normalised.
            times: (B,) int64 noise levels, 0 the least.
            text: (B, L, S) text vectors; L = 1: pooled.
            text_mask: (B, L), or None: all valid.
            mask: (B, T), or None: all valid. Frames beyond a motion's end have no say in the others.
            drop: (B,) True: without text.
            generator: in training, of dropped texts and text noise.
        """
        return self.denoise(x, times, self.text(text, drop, generator), text_mask, mask)

    def denoise(
        self,
        x: Tensor,
        times: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        mask: Tensor | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """As `forward`, with text that went through `self.text`: it does not change between steps.

        Args:
            text: (B, L, W); (2 B, L, W), first with text and then without, where guidance is not 1. The motions go through the
                blocks twice then, and once through the layers before and behind, which are the same for both or linear.
            text_mask: (B, L), or None: all valid.
            guidance: clean = without + guidance * (with - without).
        """
        frames, architecture, copies = x.shape[1], self.config.architecture, len(text) // len(x)
        time = self.time(self.positions[times]).unsqueeze(1).repeat(copies, 1, 1)
        condition = text + time
        tokens = self.input(self._windows(x if mask is None else x * mask.unsqueeze(-1))).repeat(
            copies, 1, 1
        )  # (B, N, W)
        front = tokens.shape[1]
        if architecture == "encoder":
            tokens = torch.cat((condition[:, :1].to(tokens.dtype), tokens), 1)
        elif architecture == "decoder+token":
            tokens = torch.cat((time.to(tokens.dtype), tokens), 1)
        front = tokens.shape[1] - front  # tokens in front: 0 or 1
        attend = valid = None
        if mask is not None:
            valid = F.pad(mask, (0, -frames % self.config.frames)).unflatten(1, (-1, self.config.frames)).any(-1)
            attend = F.pad(valid, (front, 0), value=True)[:, None, None].repeat(copies, 1, 1, 1)
        memory_attend = None if text_mask is None else text_mask[:, None, None].repeat(copies, 1, 1, 1)
        tokens = tokens + self.positions[: tokens.shape[1]].to(tokens.dtype)
        tokens = F.dropout(tokens, self.config.dropout, self.training and not self.config.adaptive)
        for block in self.blocks:
            tokens = block(tokens, attend, condition, memory_attend)
        windows = self.output(guide(self.norm(tokens[:, front:]), guidance))
        if valid is not None and self.config.frames > 1:
            # The first window behind a motion's end reaches into its last frames; alone, the motion has no such window.
            windows = windows * valid.unsqueeze(-1)
        return self._frames(windows, frames)

    def _windows(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, N, window * D): each token's own frames and half as many on both sides."""
        size = self.config.frames
        if size == 1:
            return x
        x = F.pad(x, (0, 0, size // 2, -x.shape[1] % size + size // 2))
        return torch.cat((x[:, :-size].unflatten(1, (-1, size)), x[:, size:].unflatten(1, (-1, size))), 2).flatten(2)

    def _frames(self, x: Tensor, frames: int) -> Tensor:
        """(B, N, window * D) -> (B, T, D): overlapping windows are added."""
        size = self.config.frames
        if size == 1:
            return x
        first, second = x.unflatten(2, (2, size, -1)).unbind(2)  # each (B, N, size, D)
        added = F.pad(first, (0, 0, 0, 0, 0, 1)) + F.pad(second, (0, 0, 0, 0, 1, 0))
        return added.flatten(1, 2)[:, size // 2 : size // 2 + frames]

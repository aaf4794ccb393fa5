"""How long a motion should last: a distribution over token counts from the pooled text."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.generate.momask.config import LengthConfig
from mate.generate.momask.transformer import Noise, TextNormalizer, choose


class LengthPredictor(nn.Module):
    """p(token count | text), counts 1 ... max_tokens."""

    def __init__(self, config: LengthConfig, text_dim: int, max_tokens: int):
        super().__init__()
        self.config, self.max_tokens = config, max_tokens
        self.normalizer = TextNormalizer(text_dim)
        if config.layers:
            self.layers = _released(config, text_dim, max_tokens + 1)
            return
        self.layers = nn.Sequential(
            nn.Linear(text_dim, config.hidden), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(config.hidden, max_tokens),
        )  # fmt: skip

    def logits(self, pooled: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(B, S) -> (B, max_tokens); entry i is the count i + 1."""
        x = self.layers(self.normalizer(pooled, self.config.noise if self.training else 0.0, generator))
        return x[:, x.shape[1] - self.max_tokens :]  # MoMask's first entry is the count 0, which no motion has

    def forward(self, counts: Tensor, pooled: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Cross entropy () of token counts (B,)."""
        return F.cross_entropy(self.logits(pooled, generator).float(), counts.clamp(1, self.max_tokens) - 1)

    @torch.no_grad()
    def sample(
        self, pooled: Tensor, noise: Noise, temperature: float, shortest: int, top_k: float = 0.5
    ) -> Sequence[int]:
        """A token count a text, at least `shortest`; `top_k` is the fraction of the counts that is filtered out."""
        logits = self.logits(pooled).float()
        logits[:, : shortest - 1] = -torch.inf
        counts = []
        for i in range(len(pooled)):
            uniform = noise(i, "length").to(logits.device) if temperature > 0 else None
            counts.append(int(choose(logits[i : i + 1], temperature, top_k, uniform)[0]) + 1)
        return counts


def _released(config: LengthConfig, inputs: int, outputs: int) -> nn.Sequential:
    """MoMask's estimator: Linear, LayerNorm, LeakyReLU, with dropout between the hidden layers."""
    layers: list[nn.Module] = []
    for i, width in enumerate(config.layers):
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.LeakyReLU(0.2)]
        if i + 1 < len(config.layers):
            layers.append(nn.Dropout(config.dropout))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))

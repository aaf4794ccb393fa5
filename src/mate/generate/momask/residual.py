"""The residual transformer: the finer tokens, layer after layer, from text and the layers below.

Shapes: B batch, N tokens, Q quantiser layers, W width, K codes, E code_dim, S text dimension. As in MoMask: one network for
all layers, told by a layer token; its input is the sum of the embeddings of all layers below.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.generate.linear import Linear, packed
from mate.generate.momask.config import SamplingConfig, TransformerConfig
from mate.generate.momask.transformer import Noise, TextCondition, Tick, Trunk, choose, guide, head


class ResidualTransformer(nn.Module):
    """p(tokens of layer q | layers below q, text) for q = 1 ... Q-1."""

    def __init__(self, config: TransformerConfig, codes: int, layers: int, text_dim: int, max_tokens: int):
        super().__init__()
        self.config, self.codes, self.layers = config, codes, layers
        codes += config.padding_code
        self.condition = TextCondition(text_dim, config.width, config.text)
        # Tables of layers 0 ... Q-1 if shared (layer 0 is only read, layer Q-1 only written), of 0 ... Q-2 and 1 ... Q-1 otherwise.
        self.embed = nn.Parameter(torch.randn(layers if config.share else layers - 1, codes, config.code_dim) * 0.02)
        self.outputs = None if config.share else nn.Parameter(torch.randn(layers - 1, codes, config.code_dim) * 0.02)
        self.bias = nn.Parameter(torch.zeros(layers - 1, codes))
        self.layer = nn.Embedding(layers - 1, config.width)
        self.trunk = Trunk(config, max_tokens)
        self.head = head(config)
        self.narrow = Linear(config.width, config.code_dim)
        nn.init.normal_(self.layer.weight, std=0.02)

    def below(self, tokens: Tensor, layer: Tensor) -> Tensor:
        """The sum (B, N, E) of the embeddings of the layers below `layer` (B,) of tokens (B, N, Q)."""
        total = tokens.new_zeros(*tokens.shape[:2], self.config.code_dim, dtype=self.embed.dtype)
        for q in range(self.layers - 1):
            total = total + F.embedding(tokens[..., q], self.embed[q]) * (layer > q)[:, None, None]
        return total

    def logits(self, tokens: Tensor, layer: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        """Logits (B, N, K) of each sample's `layer` (B,) in 1 ... Q-1, given tokens (B, N, Q) of the layers below it."""
        prefix = torch.stack((condition, self.layer(layer - 1).to(condition.dtype)), 1)
        states = self.narrow(self.head(self.trunk(prefix, self.below(tokens, layer), mask)))  # (B, N, E)
        table = self.embed[layer] if self.outputs is None else self.outputs[layer - 1]  # (B, K, E)
        return states @ table.to(states.dtype).transpose(1, 2) + self.bias[layer - 1].unsqueeze(1).to(states.dtype)

    def forward(
        self, tokens: Tensor, mask: Tensor, pooled: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """(cross entropy of one random layer a sample (), share of tokens that is right ()); arguments as in `MaskedTransformer`."""
        if self.config.cosine_layers:
            draw = 1 - torch.cos(torch.rand(len(tokens), generator=generator, device=tokens.device) * (math.pi / 2))
            layer = (draw * (self.layers - 2)).round().long() + 1
        else:
            layer = torch.randint(1, self.layers, (len(tokens),), generator=generator, device=tokens.device)
        logits = self.logits(tokens, layer, self.condition(pooled, generator=generator), mask)[mask].float()
        target = tokens.gather(-1, layer[:, None, None].expand(-1, tokens.shape[1], 1)).squeeze(-1)[mask]
        return F.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean()

    @torch.no_grad()
    def sample(
        self,
        base: Tensor,
        pooled: Tensor,
        lengths: Sequence[int],
        noise: Noise,
        config: SamplingConfig,
        given: Tensor | None = None,
        tick: Tick | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All tokens (B, N, Q) from base tokens (B, N), and the probabilities (B, N, Q - 1, K) of the layers above the base.

        Where `given` (B, N, Q) is not -1 its tokens stay as they are. A drawn -1 is the padding code, which stands for nothing.
        """
        with packed(self):
            return self._sample(base, pooled, lengths, noise, config, given, tick)

    def _sample(
        self,
        base: Tensor,
        pooled: Tensor,
        lengths: Sequence[int],
        noise: Noise,
        config: SamplingConfig,
        given: Tensor | None,
        tick: Tick | None,
    ) -> tuple[Tensor, Tensor]:
        (batch, longest), device, guidance = base.shape, base.device, config.residual_guidance
        mask = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
        tokens = torch.zeros(*base.shape, self.layers, dtype=torch.long, device=device)
        tokens[..., 0] = torch.where(mask, base, 0)
        copies = 1 if guidance == 1.0 else 2
        condition = self.condition(pooled.repeat(copies, 1), torch.arange(copies * batch, device=device) >= batch)
        attend = None if min(lengths) == longest else mask.repeat(copies, 1)
        below, probabilities = torch.zeros((), device=device), []
        for q in range(1, self.layers):
            below = below + F.embedding(tokens[..., q - 1], self.embed[q - 1])
            prefix = torch.stack((condition, self.layer.weight[q - 1].expand_as(condition)), 1)
            states = self.head(self.trunk.states(prefix, self.trunk.widen(below).repeat(copies, 1, 1), attend))
            table = self.embed[q] if self.outputs is None else self.outputs[q - 1]  # (K, E)
            logits = F.linear(self.narrow(guide(states, guidance)), table, self.bias[q - 1]).float()
            probabilities.append(logits.softmax(-1)[..., : self.codes])
            for i, length in enumerate(lengths):
                uniform = noise(i, "residual").to(device) if config.residual_temperature > 0 else None
                tokens[i, :length, q] = choose(logits[i, :length], config.residual_temperature, config.top_k, uniform)
            if given is not None:
                tokens[..., q] = torch.where(given[..., q] < 0, tokens[..., q], given[..., q])
            if tick is not None:
                tick()
        return torch.where(tokens < self.codes, tokens, -1), torch.stack(probabilities, 2)

"""Residual vector quantisation with MoMask's codebook rule, all state in buffers.

Shapes: B batch, N latent frames, D code dimension, K codes, Q quantiser layers.
The rule (Guo et al., "MoMask", CVPR 2024; from Jukebox and T2M-GPT): codes follow the exponential moving average of the vectors assigned to
them; a code whose running count falls below 1 takes the place of a random vector of the batch; the first batch gives the first codes.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from mate.generate.momask.config import QuantizerConfig


def _all_reduce(*tensors: Tensor) -> None:
    if dist.is_available() and dist.is_initialized():
        for tensor in tensors:
            dist.all_reduce(tensor)


def _from_first_process(tensor: Tensor) -> None:
    if dist.is_available() and dist.is_initialized():
        dist.broadcast(tensor, 0)


class Codebook(nn.Module):
    """K codes that follow the data by moving averages instead of gradients.

    Buffers: `codes` (K, D), `sums` (K, D) and `counts` (K,), the running sum and number of vectors a code, and `initialised` ().
    """

    codes: Tensor
    sums: Tensor
    counts: Tensor
    initialised: Tensor

    def __init__(self, size: int, dim: int, decay: float):
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.zeros(size, dim))
        self.register_buffer("sums", torch.zeros(size, dim))
        self.register_buffer("counts", torch.zeros(size))
        self.register_buffer("initialised", torch.tensor(False))

    def scores(self, x: Tensor) -> Tensor:
        """Negative squared distances (M, K) of vectors (M, D), up to a constant a row."""
        return 2 * x @ self.codes.T - self.codes.square().sum(1)

    def assign(self, x: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """Indices (M,) of the nearest codes of (M, D); with a temperature drawn from softmax(-distance^2 / temperature)."""
        scores = self.scores(x)
        if temperature > 0:
            uniform = torch.rand(scores.shape, generator=generator, device=x.device)
            scores = scores / temperature - torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))
        return scores.argmax(1)

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: torch.Generator | None) -> None:
        """Random vectors of the first batch become the codes."""
        self.codes.copy_(self._draw(x, generator))
        _from_first_process(self.codes)
        self.sums.copy_(self.codes)
        self.counts.fill_(1)
        self.initialised.fill_(True)

    @torch.no_grad()
    def update(self, x: Tensor, indices: Tensor, generator: torch.Generator | None) -> Tensor:
        """One step of the moving averages from vectors (M, D) and their codes (M,). Returns the perplexity of the assignment, ()."""
        size = len(self.codes)
        counts = torch.bincount(indices, minlength=size).to(x.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, indices, x)
        fresh = self._draw(x, generator)
        _all_reduce(counts, sums)
        _from_first_process(fresh)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        used = (self.counts >= 1).unsqueeze(1)
        self.codes.copy_(torch.where(used, self.sums / self.counts.clamp(min=1e-6).unsqueeze(1), fresh))
        share = counts / counts.sum().clamp(min=1)
        return torch.exp(-(share * torch.log(share + 1e-7)).sum())

    def _draw(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """K random rows of x (M, D); with slight noise where M < K makes repeats necessary."""
        size, dim = self.codes.shape
        if len(x) >= size:
            return x[torch.randperm(len(x), generator=generator, device=x.device)[:size]]
        rows = x[torch.randint(len(x), (size,), generator=generator, device=x.device)]
        return rows + torch.randn(size, dim, generator=generator, device=x.device) * (0.01 / dim**0.5)


class ResidualQuantizer(nn.Module):
    """Q codebooks, each of which quantises what the ones before it left over."""

    def __init__(self, config: QuantizerConfig):
        super().__init__()
        self.config = config
        count = 1 if config.shared else config.layers
        self.books = nn.ModuleList(Codebook(config.codes, config.dim, config.decay) for _ in range(count))

    def book(self, layer: int) -> Codebook:
        """The codebook of a layer."""
        book = self.books[0 if self.config.shared else layer]
        assert isinstance(book, Codebook)
        return book

    def forward(
        self, x: Tensor, mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quantises (B, N, D); in train mode the codebooks learn.

        Args:
            x: (B, N, D) float32.
            mask: (B, N), True = valid; other vectors neither move codes nor count in the loss. None: all valid.
            generator: of every random choice (dropout of layers, fresh codes, Gumbel noise).

        Returns:
            quantised (B, N, D) with straight-through gradient; indices (B, N, Q), -1 for layers that were dropped;
            commitment loss (), mean over layers; perplexity (), mean over layers.
        """
        config = self.config
        valid = x[mask] if mask is not None else x.reshape(-1, x.shape[-1])  # (M, D)
        keep = config.layers
        if self.training and config.dropout > 0:
            draw = torch.rand(2, generator=generator, device=x.device).tolist()
            if draw[0] < config.dropout:
                keep = 1 + int(draw[1] * config.layers)
        residual, total, straight = valid, torch.zeros_like(valid), torch.zeros_like(valid)
        indices, losses, perplexities = [], [], []
        for layer in range(keep):
            book = self.book(layer)
            flat = residual.detach()
            if self.training and not bool(book.initialised):
                book.initialise(flat, generator)
            chosen = book.assign(flat, config.temperature if self.training else 0.0, generator)
            codes = F.embedding(chosen, book.codes)
            if self.training:
                perplexities.append(book.update(flat, chosen, generator))
            losses.append(F.mse_loss(residual, codes))
            if config.gradient_per_layer:
                straight = straight + residual + (codes - residual).detach()
            # The next layer's commitment loss sees the encoder through the residual, as in MoMask.
            residual = residual - codes
            total = total + codes
            indices.append(chosen)
        if not config.gradient_per_layer:
            straight = valid + (total - valid).detach()
        stacked = torch.stack(indices + [torch.full_like(indices[0], -1)] * (config.layers - keep), -1)  # (M, Q)
        loss = torch.stack(losses).mean()
        perplexity = torch.stack(perplexities).mean() if perplexities else x.new_tensor(float("nan"))
        if mask is None:
            return straight.view_as(x), stacked.view(*x.shape[:2], -1), loss, perplexity
        quantised = torch.zeros_like(x)
        quantised[mask] = straight
        places = torch.zeros(*x.shape[:2], config.layers, dtype=torch.long, device=x.device)
        places[mask] = stacked
        return quantised, places, loss, perplexity

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Indices (B, N, Q) of (B, N, D)."""
        residual, indices = x.reshape(-1, x.shape[-1]), []
        for layer in range(self.config.layers):
            chosen = self.book(layer).assign(residual)
            residual = residual - F.embedding(chosen, self.book(layer).codes)
            indices.append(chosen)
        return torch.stack(indices, -1).view(*x.shape[:2], -1)

    def decode(self, indices: Tensor) -> Tensor:
        """The sum of the codes (B, N, D) of indices (B, N, q), q <= Q; -1 counts as nothing."""
        total = 0
        for layer in range(indices.shape[-1]):
            chosen = indices[..., layer]
            total = total + F.embedding(chosen.clamp(min=0), self.book(layer).codes) * (chosen >= 0).unsqueeze(-1)
        assert isinstance(total, Tensor)
        return total

    def expected(self, base: Tensor, probabilities: Tensor) -> Tensor:
        """The codes (B, N, D) of base indices (B, N), plus the expected codes of the layers above under probabilities (B, N, Q - 1, K)."""
        total = F.embedding(base, self.book(0).codes)
        for layer in range(1, self.config.layers):
            total = total + probabilities[:, :, layer - 1] @ self.book(layer).codes
        return total

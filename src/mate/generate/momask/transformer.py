"""The masked transformer: base tokens from text, all at once, by unmasking the surest first.

Shapes: B batch, N tokens, W width, K codes, S text dimension. Masks: True = valid.
The scheme is MoMask's (there from MaskGIT): cosine schedule, BERT-style corruption, the text as one token in front,
classifier-free guidance. Ours: pre-norm blocks (stable at the high learning rates of a short training), a learned "no text"
token, noise that belongs to a sample and not to a batch.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.generate.linear import Linear, packed
from mate.generate.momask.config import SamplingConfig, TextConfig, TransformerConfig

Noise = Callable[[int, str], Tensor]
"""(sample, purpose) -> the next uniform random numbers of that sample."""
Tick = Callable[[], None]
"""Called after every step of sampling; what it raises ends the sampling."""


class TextNormalizer(nn.Module):
    """Centres pooled text vectors and scales them to unit variance, with the statistics of the training texts as buffers.

    Captions of motions share most of their direction; what tells them apart is small until the mean is gone.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def set(self, pooled: Tensor) -> None:
        """Takes the statistics of training texts (M, S)."""
        self.mean.copy_(pooled.mean(0))
        self.scale.copy_((pooled - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, pooled: Tensor, noise: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """(B, S) -> (B, S); `noise` as in `TextConfig.noise`."""
        x = (pooled - self.mean) / self.scale
        if noise > 0:
            x = x + noise * torch.randn(x.shape, generator=generator, device=x.device)
        return x


class TextCondition(nn.Module):
    """Pooled text vectors (B, S) -> condition tokens (B, W); a dropped text gives the learned "no text" token."""

    def __init__(self, dim: int, width: int, config: TextConfig):
        super().__init__()
        self.config = config
        self.normalizer = TextNormalizer(dim)
        self.null = nn.Parameter(torch.randn(width) * 0.02) if config.learned_null else None
        if config.hidden:
            self.project: nn.Module = nn.Sequential(
                nn.Linear(dim, config.hidden), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, width)
            )
        else:
            self.project = nn.Linear(dim, width)

    def forward(self, pooled: Tensor, drop: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """`drop` (B,) True: without text. In train mode texts are dropped at random and noise is added."""
        if self.training:
            drop = torch.rand(len(pooled), generator=generator, device=pooled.device) < self.config.drop
        x = self.normalizer(pooled, self.config.noise if self.training else 0.0, generator)
        if drop is not None and self.null is None:
            x = x.masked_fill(drop[:, None], 0.0)
        token = self.project(x)
        return (
            token if drop is None or self.null is None else torch.where(drop[:, None], self.null.to(token.dtype), token)
        )


class Block(nn.Module):
    """Self-attention and feed-forward, normalised before (pre-norm) or after (post-norm)."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width = config.width
        self.heads, self.dropout, self.post_norm = config.heads, config.dropout, config.post_norm
        self.inner = config.dropout if config.inner_dropout else 0.0
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        self.up, self.down = Linear(width, config.ff), Linear(config.ff, width)

    def forward(self, x: Tensor, attend: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """x (B, L, W); attend (B, 1, 1, L), True = may be looked at -> (B, L, W), or (B, M, W) of the places `rows` (B, M)."""
        kept = x if rows is None else pick(x, rows)
        if self.post_norm:
            x = self.norm1(kept + dropout(self._attention(x, attend, rows), self.dropout, self.training))
            return self.norm2(x + dropout(self._feed_forward(x), self.dropout, self.training))
        x = kept + dropout(self._attention(self.norm1(x), attend, rows), self.dropout, self.training)
        return x + dropout(self._feed_forward(self.norm2(x)), self.dropout, self.training)

    def _attention(self, x: Tensor, attend: Tensor | None, rows: Tensor | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, H, L, W/H)
        if rows is not None:
            q = q.take_along_dim(rows[:, None, :, None], 2)
        if not (self.training or torch.is_grad_enabled()):
            return self.out(F.scaled_dot_product_attention(q, k, v, attend).transpose(1, 2).flatten(2))
        # Spelled out: at 50 tokens in bfloat16 on a CPU this is four times as fast as the fused kernel with its backward pass.
        weights = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if attend is not None:
            weights = weights.masked_fill(~attend, -torch.inf)
        weights = dropout(weights.softmax(-1).to(v.dtype), self.inner, self.training)
        return self.out((weights @ v).transpose(1, 2).flatten(2))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.down(dropout(self.up(x, gelu=True), self.inner, self.training))


def pick(x: Tensor, rows: Tensor) -> Tensor:
    """The places `rows` (B, M) of x (B, L, D): (B, M, D)."""
    return x.take_along_dim(rows.unsqueeze(-1), 1)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout whose probability is rounded to 1/256: one random byte a number makes it three times as fast on a CPU."""
    drop = round(p * 256)
    if not training or drop == 0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p, training)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    keep = words.view(torch.uint8)[: x.numel()].view(x.shape) >= drop
    return x * (keep.to(x.dtype) * (256 / (256 - drop)))


def sinusoids(length: int, width: int) -> Tensor:
    """The fixed sine and cosine position code, (length, width)."""
    angle = torch.arange(length).unsqueeze(1) * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)


class Trunk(nn.Module):
    """Blocks over [prefix tokens, motion tokens]; returns the motion tokens' states."""

    positions: Tensor

    def __init__(self, config: TransformerConfig, max_tokens: int):
        super().__init__()
        self.widen = Linear(config.code_dim, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.Identity() if config.post_norm else nn.LayerNorm(config.width)
        self.dropout, self.prefix_positions = config.dropout, config.prefix_positions
        self.register_buffer("positions", sinusoids(max_tokens + 2, config.width), persistent=False)
        for name, p in self.named_parameters():  # small residual branches at the start
            if p.ndim == 2:
                branch = not config.post_norm and name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * config.layers) if branch else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, prefix: Tensor, codes: Tensor, mask: Tensor | None) -> Tensor:
        """prefix (B, P, W), codes (B, N, code_dim), mask (B, N) -> (B, N, W)."""
        return self.states(prefix, self.widen(codes), mask)

    def states(self, prefix: Tensor, x: Tensor, mask: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """As `forward`, from codes that were widened, x (B, N, W); with `rows` (B, M) of these places alone, (B, M, W)."""
        x, front = x.to(prefix.dtype), prefix.shape[1]
        if self.prefix_positions:
            x = torch.cat((prefix, x), 1)
            x = dropout(x + self.positions[: x.shape[1]].to(x.dtype), self.dropout, self.training)
        else:
            x = dropout(x + self.positions[: x.shape[1]].to(x.dtype), self.dropout, self.training)
            x = torch.cat((prefix, x), 1)
        attend = None if mask is None else F.pad(mask, (front, 0), value=True)[:, None, None]
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, attend)
        if rows is None:
            return self.norm(last(x, attend)[:, front:])
        return self.norm(last(x, attend, rows + front))


def masked_fraction(t: Tensor) -> Tensor:
    """The cosine schedule: t in [0, 1] -> fraction of tokens that are masked, from 1 to 0."""
    return torch.cos(t * (math.pi / 2))


def choose(logits: Tensor, temperature: float, top_k: float, uniform: Tensor | None) -> Tensor:
    """Token indices (...) from logits (..., K).

    Args:
        logits: unnormalised.
        temperature: 0: the likeliest.
        top_k: fraction of the K tokens that is filtered out.
        uniform: (..., K) in [0, 1), the randomness; needed where temperature > 0.
    """
    if temperature <= 0 or uniform is None:
        return logits.argmax(-1)
    keep = max(1, math.ceil((1 - top_k) * logits.shape[-1]))
    floor = logits.topk(keep, dim=-1).values[..., -1:]
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))
    return torch.where(logits >= floor, logits / temperature + gumbel, -torch.inf).argmax(-1)


def head(config: TransformerConfig) -> nn.Sequential:
    """What lies between the blocks and the logits, as in BERT."""
    width = config.width
    return nn.Sequential(Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=config.head_eps))


def guide(states: Tensor, guidance: float) -> Tensor:
    """States (2 B, ...) with text, then without -> (B, ...) under guidance; (B, ...) as they are where guidance is 1.

    What follows them is linear, so that guiding them is guiding the logits, and the output layer runs once.
    """
    if guidance == 1.0:
        return states
    with_text, without = states.chunk(2)
    return without + guidance * (with_text - without)


class MaskedTransformer(nn.Module):
    """p(base tokens | text), learned by filling in masked tokens. Token K is the mask, K + 1 the padding."""

    def __init__(self, config: TransformerConfig, codes: int, text_dim: int, max_tokens: int):
        super().__init__()
        self.config, self.codes, self.max_tokens = config, codes, max_tokens
        self.condition = TextCondition(text_dim, config.width, config.text)
        self.embed = nn.Embedding(codes + 2, config.code_dim)
        self.trunk = Trunk(config, max_tokens)
        self.head = head(config)
        self.logits = Linear(config.width, codes)

    @property
    def mask_id(self) -> int:
        """The token that stands for "to be filled in"."""
        return self.codes

    def states(self, tokens: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        """States (B, N, W) of tokens (B, N) under condition tokens (B, W)."""
        if mask is not None:
            tokens = torch.where(mask, tokens, self.codes + 1)
        return self.trunk(condition.unsqueeze(1), self.embed(tokens), mask)

    def forward(
        self, tokens: Tensor, mask: Tensor, pooled: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """(cross entropy on the masked tokens (), share of them that is right ()).

        Args:
            tokens: (B, N) base tokens.
            mask: (B, N), True = valid.
            pooled: (B, S) text vectors.
            generator: of the masking, the dropped texts and the text noise.
        """
        corrupted, hidden = corrupt(tokens, mask, self.codes, generator)
        states = self.states(corrupted, self.condition(pooled, generator=generator), mask)
        logits = self.logits(self.head(states[hidden])).float()
        target = tokens[hidden]
        return F.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean()

    @torch.no_grad()
    def sample(
        self,
        pooled: Tensor,
        lengths: Sequence[int],
        noise: Noise,
        config: SamplingConfig,
        guidance: float,
        given: Tensor | None = None,
        tick: Tick | None = None,
    ) -> Tensor:
        """Base tokens (B, max length); beyond a sample's own length they mean nothing.

        Args:
            pooled: (B, S) text vectors.
            lengths: tokens a sample.
            noise: uniform numbers in [0, 1); asked for (length, K) a sample and step.
            config: steps, temperature, top_k, to_the_end.
            guidance: logits = none + guidance * (text - none); both in one batch.
            given: (B, max length) tokens that stay as they are, -1 where one is to be found; None: all are.
        """
        with packed(self):
            return self._sample(pooled, lengths, noise, config, guidance, given, tick)

    def _sample(
        self,
        pooled: Tensor,
        lengths: Sequence[int],
        noise: Noise,
        config: SamplingConfig,
        guidance: float,
        given: Tensor | None,
        tick: Tick | None,
    ) -> Tensor:
        batch, longest, device = len(lengths), max(lengths), pooled.device
        sizes = torch.tensor(lengths, device=device)
        mask = torch.arange(longest, device=device) < sizes[:, None]  # (B, N)
        wanted = mask if given is None else mask & (given < 0)
        ids = torch.full((batch, longest), self.mask_id, device=device)
        if given is not None:
            ids = torch.where(wanted, ids, given.clamp(min=0))
        free = wanted.sum(1)
        scores = torch.where(wanted, 0.0, torch.inf)
        times = torch.linspace(0, 1, config.steps) if config.to_the_end else torch.arange(config.steps) / config.steps
        copies = 1 if guidance == 1.0 else 2
        drop = torch.arange(copies * batch, device=device) >= batch
        prefix = self.condition(pooled.repeat(copies, 1), drop).unsqueeze(1)
        attend = None if min(lengths) == longest else mask.repeat(copies, 1)
        table = self.trunk.widen(self.embed.weight)  # (K + 2, W), each token once and not in every step
        uniform = torch.zeros(batch, longest, self.codes, device=device)
        for step in range(config.steps):
            count = (float(masked_fraction(times[step])) * free).round().clamp(min=1)
            # The least sure ones are masked again; they alone are drawn, so that the last block and the logits need no others.
            rows = scores.argsort(dim=1, stable=True)[:, : int(count.max())]
            hidden = (torch.arange(rows.shape[1], device=device) < count[:, None]) & wanted.gather(1, rows)
            ids = ids.scatter(1, rows, torch.where(hidden, self.mask_id, ids.gather(1, rows)))
            x = F.embedding(torch.where(mask, ids, self.codes + 1), table).repeat(copies, 1, 1)
            states = self.head(self.trunk.states(prefix, x, attend, rows.repeat(copies, 1)))
            logits = self.logits(guide(states, guidance)).float()
            for i, length in enumerate(lengths):
                uniform[i, :length] = noise(i, "masked")
            drawn = choose(logits, config.temperature, config.top_k, pick(uniform, rows))
            ids = ids.scatter(1, rows, torch.where(hidden, drawn, ids.gather(1, rows)))
            sure = logits.softmax(-1).gather(-1, drawn.unsqueeze(-1)).squeeze(-1)
            # A token that was kept once stays.
            scores = torch.full_like(scores, torch.inf).scatter(1, rows, torch.where(hidden, sure, torch.inf))
            if tick is not None:
                tick()
        return ids


def corrupt(tokens: Tensor, mask: Tensor, codes: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """MoMask's training corruption of tokens (B, N): (corrupted tokens, which ones are to be predicted), both (B, N).

    A cosine-distributed share of the valid tokens is to be predicted. Of these 10 % become random tokens, 88 % of the rest the mask
    token, the others stay.
    """
    device = tokens.device
    share = masked_fraction(torch.rand(len(tokens), 1, generator=generator, device=device))
    count = (share * mask.sum(1, keepdim=True)).round().clamp(min=1)
    order = torch.where(mask, torch.rand(tokens.shape, generator=generator, device=device), 2.0)
    hidden = (order.argsort(1).argsort(1) < count) & mask
    lot = torch.rand(tokens.shape, generator=generator, device=device)
    random = torch.randint(codes, tokens.shape, generator=generator, device=device)
    out = torch.where(hidden & (lot < 0.1 + 0.9 * 0.88), codes, tokens)
    return torch.where(hidden & (lot < 0.1), random, out), hidden

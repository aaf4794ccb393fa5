"""How MoMask and MDM sample in their authors' programs, written plainly: what `mate bench generate` measures against.

The same weights and random numbers as in the generators here, so that results can be compared number by number. What the authors'
programs do (github.com/EricGuo5513/momask-codes at 94a6636, github.com/GuyTevet/motion-diffusion-model at d4fd88c), this does too:
torch's own `nn.TransformerEncoder` with the sequence as the first dimension, two passes a step for guidance, all places through all
layers in every step, every projection and output layer in both passes, CLIP over 77 places however short the text, in MoMask once for
each of the two transformers. Left out is what takes no time worth measuring: progress bars, checks, copies to other devices.

Shapes: B batch, N tokens, T frames, D features, W width, K codes, Q layers, S text dimension.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from mate.generate.mdm.denoiser import ReleasedBlock
from mate.generate.mdm.diffusion import MotionDiffusion, betas
from mate.generate.momask.config import SamplingConfig
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.momask.residual import ResidualTransformer
from mate.generate.momask.transformer import Block, MaskedTransformer, Noise, masked_fraction

Encode = Callable[[list[str]], Tensor]
"""Texts -> pooled vectors (B, S), at the text encoder's full length."""


def encoder_of(blocks: nn.ModuleList, width: int, heads: int, ff: int) -> nn.TransformerEncoder:
    """torch's own encoder with the weights of released blocks (norms after the sums)."""
    layer = nn.TransformerEncoderLayer(width, heads, ff, activation="gelu")
    encoder = nn.TransformerEncoder(layer, len(blocks), enable_nested_tensor=False).eval()
    for target, block in zip(encoder.layers, blocks, strict=True):
        if isinstance(block, Block):
            attention, norms = block, (block.norm1, block.norm2)
        else:
            assert isinstance(block, ReleasedBlock)
            attention, norms = block.attention, (block.norms[0], block.norms[1])
        parts = (
            ("self_attn.in_proj_", attention.qkv), ("self_attn.out_proj.", attention.out),
            ("linear1.", block.up), ("linear2.", block.down), ("norm1.", norms[0]), ("norm2.", norms[1]),
        )  # fmt: skip
        target.load_state_dict(
            {f"{name}{end}": getattr(part, end) for name, part in parts for end in ("weight", "bias")}
        )
    return encoder


class PlainMoMask:
    """A released MoMask, sampled as its authors' programs do it."""

    def __init__(self, model: MoMaskGenerator, encode: Encode) -> None:
        self.model, self.encode = model, encode
        masked, residual = model.config.masked, model.config.residual
        assert masked.post_norm and residual.post_norm and not masked.text.learned_null
        self.masked = encoder_of(model.masked.trunk.blocks, masked.width, masked.heads, masked.ff)
        self.residual = encoder_of(model.residual.trunk.blocks, residual.width, residual.heads, residual.ff)

    @torch.no_grad()
    def __call__(self, texts: list[str], tokens: int, noise: Noise) -> Tensor:
        """Raw features (B, 4 * tokens, 263); all motions are of one length."""
        config = self.model.config.sampling
        padding = torch.zeros(len(texts), tokens, dtype=torch.bool)
        base = self._base(self.encode(texts), padding, noise, config)
        return self.model.vq.decode(self._finer(base, self.encode(texts), padding, noise, config))

    def _base(self, pooled: Tensor, padding: Tensor, noise: Noise, config: SamplingConfig) -> Tensor:
        model, (batch, tokens) = self.model.masked, padding.shape
        ids = torch.where(padding, model.codes + 1, model.mask_id)
        scores = torch.where(padding, 1e5, 0.0)
        for time in torch.linspace(0, 1, config.steps):
            count = (masked_fraction(time) * torch.full((batch,), tokens)).round().clamp(min=1)
            hidden = scores.argsort(dim=1, stable=True).argsort(1) < count[:, None]
            ids = torch.where(hidden, model.mask_id, ids)
            text = self._masked_logits(model, ids, pooled, padding)
            none = self._masked_logits(model, ids, torch.zeros_like(pooled), padding)
            logits = none + (text - none) * config.guidance
            drawn = draw(logits, config, noise, "masked")
            ids = torch.where(hidden, drawn, ids)
            sure = logits.softmax(-1).gather(2, drawn.unsqueeze(-1)).squeeze(-1)
            scores = sure.masked_fill(~hidden, 1e5)
        return ids

    def _masked_logits(self, model: MaskedTransformer, ids: Tensor, pooled: Tensor, padding: Tensor) -> Tensor:
        x = model.trunk.widen(model.embed(ids).transpose(0, 1))  # (N, B, W)
        x = torch.cat((model.condition.project(pooled).unsqueeze(0), x + model.trunk.positions[: len(x), None]))
        padding = torch.cat((torch.zeros_like(padding[:, :1]), padding), 1)
        return model.logits(model.head(self.masked(x, src_key_padding_mask=padding)[1:])).transpose(0, 1)

    def _finer(self, base: Tensor, pooled: Tensor, padding: Tensor, noise: Noise, config: SamplingConfig) -> Tensor:
        model, batch = self.model.residual, len(base)
        every, below = [base], torch.zeros(())
        for layer in range(1, model.layers):
            table = model.embed[layer - 1].unsqueeze(0).repeat(batch, 1, 1)  # (B, K, E)
            below = below + table.gather(1, every[-1].unsqueeze(-1).repeat(1, 1, table.shape[-1]))
            text = self._residual_logits(model, layer, below, pooled, padding)
            none = self._residual_logits(model, layer, below, torch.zeros_like(pooled), padding)
            every.append(draw(none + (text - none) * config.residual_guidance, config, noise, "residual"))
        tokens = torch.stack(every, -1)
        return torch.where(tokens < model.codes, tokens, -1)

    def _residual_logits(
        self, model: ResidualTransformer, layer: int, below: Tensor, pooled: Tensor, padding: Tensor
    ) -> Tensor:
        x = model.trunk.widen(below.transpose(0, 1))
        which = model.layer.weight[layer - 1].expand(1, len(pooled), -1)
        x = torch.cat((model.condition.project(pooled).unsqueeze(0), which, x + model.trunk.positions[: len(x), None]))
        padding = torch.cat((torch.zeros_like(padding[:, :2]), padding), 1)
        states = model.narrow(model.head(self.residual(x, src_key_padding_mask=padding)[2:]))  # (N, B, E)
        table = (model.embed[layer] if model.outputs is None else model.outputs[layer - 1]).expand(len(pooled), -1, -1)
        return torch.einsum("bke,nbe->bnk", table, states) + model.bias[layer - 1]


def draw(logits: Tensor, config: SamplingConfig, noise: Noise, purpose: str) -> Tensor:
    """Codes (B, N) from logits (B, N, K): the likeliest ones alone are kept, Gumbel noise decides among them."""
    keep = math.ceil((1 - config.top_k) * logits.shape[-1])
    values, places = logits.topk(keep, dim=-1)
    filtered = torch.full_like(logits, -torch.inf).scatter(-1, places, values)
    uniform = torch.stack([noise(i, purpose) for i in range(len(logits))])
    return (filtered / config.temperature - torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))).argmax(-1)


class PlainMDM:
    """A released MDM with CLIP (`trans_enc`), sampled by DDPM over all its noise levels as its authors' programs do it."""

    def __init__(self, model: MotionDiffusion, encode: Encode) -> None:
        self.model, self.encode = model, encode
        config = model.config.denoiser
        assert config.architecture == "encoder" and not config.adaptive and config.frames == 1
        self.encoder = encoder_of(model.denoiser.blocks, config.width, config.heads, config.ff)

    @torch.no_grad()
    def __call__(self, texts: list[str], frames: int, streams: Sequence[torch.Generator]) -> Tensor:
        """Raw features (B, T, 263)."""
        added = betas(self.model.config.diffusion)
        kept = (1 - added).cumprod(0)
        before = torch.cat((torch.ones(1, dtype=torch.float64), kept[:-1]))
        variance = added * (1 - before) / (1 - kept)
        of_clean, of_noisy = added * before.sqrt() / (1 - kept), (1 - before) * (1 - added).sqrt() / (1 - kept)
        given = {
            "text": self.encode(texts).unsqueeze(0),
            "scale": torch.full((len(texts),), self.model.config.sampling.guidance),
        }
        shape = frames, len(self.model.columns)
        x = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
        for time in reversed(range(len(added))):
            without = deepcopy(given)
            without["text"] = torch.zeros_like(without["text"])
            times = torch.full((len(texts),), time)
            with_text, none = self._clean(x, times, given["text"]), self._clean(x, times, without["text"])
            clean = none + given["scale"].view(-1, 1, 1) * (with_text - none)
            x = of_clean[time].float() * clean + of_noisy[time].float() * x
            if time > 0:
                noise = torch.cat([torch.randn((1, *shape), generator=stream) for stream in streams])
                x = x + (0.5 * variance[time].log()).exp().float() * noise
        return self.model.restore(x)

    def _clean(self, x: Tensor, times: Tensor, text: Tensor) -> Tensor:
        denoiser = self.model.denoiser
        front = denoiser.text.project(text) + denoiser.time(denoiser.positions[times]).unsqueeze(0)  # (1, B, W)
        x = torch.cat((front, denoiser.input(x.transpose(0, 1))))
        x = self.encoder(x + denoiser.positions[: len(x), None])[1:]
        return denoiser.output(x).transpose(0, 1)

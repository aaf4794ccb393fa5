"""Training a MoMask-type generator, stage by stage.

    1. vq        the tokeniser learns to rebuild windows of motion
       decoder   its decoder is refined on whole paths; the tokens stay what they are
    2. tokens    every clip becomes tokens, once for each of a few frame offsets; every distinct caption becomes one text vector
    3. masked    the masked transformer learns base tokens from text
    4. residual  the residual transformer learns the finer tokens
    5. length    the length predictor learns token counts
    6. the model folder

`OUT.train/` holds the stages' runs and the cached tokens and texts; `OUT/` is the model folder, written at the end of each
call. The same command continues an interrupted training.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mate.errors import MateError
from mate.generate.clips import Captions, Clips, cached, check_spec, length_batches, open_sets
from mate.generate.momask.config import MoMaskConfig
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.momask.vqvae import DecoderStage, MotionVQ, decoder_losses, parameter_count, vq_losses
from mate.generate.reader import UNTRAINED
from mate.generate.stages import Stages, model_card
from mate.motion.layout import FeatureSpec
from mate.text.encoder import TextEncoder
from mate.training import TrainReport, mix_seed

STAGES = ("vq", "decoder", "masked", "residual", "length")
TOKEN_STAGES = STAGES[2:]
TOKENS = "tokens.safetensors"
TITLE = "A text-to-motion generator of mate"
METHOD = "MoMask's architecture: residual vector quantisation, masked transformer, residual transformer."


@dataclass(frozen=True)
class TokenBatch:
    """B clips as tokens: tokens (B, N, Q) int64, mask (B, N) True = valid, pooled text vectors (B, S)."""

    tokens: Tensor
    mask: Tensor
    pooled: Tensor

    def to(self, device: torch.device) -> "TokenBatch":
        """The batch on another device."""
        return TokenBatch(self.tokens.to(device), self.mask.to(device), self.pooled.to(device))


def vq_batches(clips: Clips, window: int, size: int, seed: int) -> Callable[[int], tuple[Tensor, Tensor | None]]:
    """Batch number -> raw windows (size, window, D) and their mask, None where all frames are valid."""
    # A clip is drawn by its weight and by the number of windows in it.
    share = clips.weights * np.maximum(1, clips.lengths / window)
    cumulative = np.cumsum(share / share.sum())
    reach = np.arange(window)

    def batch(number: int) -> tuple[Tensor, Tensor | None]:
        rng = np.random.default_rng(mix_seed(seed, "vq", number))
        chosen = np.minimum(np.searchsorted(cumulative, rng.random(size)), len(clips) - 1)
        lengths = clips.lengths[chosen]
        offsets = (rng.random(size) * (np.maximum(lengths - window, 0) + 1)).astype(np.int64)
        frames = (offsets[:, None] + reach).clip(max=lengths[:, None] - 1)
        x = torch.from_numpy(clips.features[clips.starts[chosen][:, None] + frames])
        if (lengths >= window).all():
            return x, None
        mask = torch.from_numpy(reach < lengths[:, None])
        return x * mask.unsqueeze(-1), mask

    return batch


@dataclass(frozen=True)
class Tokens:
    """All clips as tokens, end to end, for each frame offset.

    Attributes:
        tokens: (P, sum of N, Q) int16, one row of clips for each of P frame offsets.
        starts: (M,), counts: (P, M), where each clip lies and its tokens.
    """

    tokens: Tensor
    starts: np.ndarray
    counts: np.ndarray


@torch.no_grad()  # not inference mode: these tensors take part in training
def tokenize(vq: MotionVQ, clips: Clips, phases: int, batch_frames: int = 16_384) -> Tokens:
    """Every clip in tokens, once for each frame offset 0 ... phases - 1."""
    stride, device = vq.config.stride, vq.normalizer.mean.device
    counts = np.stack([np.maximum(0, clips.lengths - phase) // stride for phase in range(phases)])
    starts = np.concatenate(([0], np.cumsum(counts[0])[:-1]))
    out = torch.zeros(phases, int(counts[0].sum()), vq.quantizer.config.layers, dtype=torch.int16)
    order = np.argsort(clips.lengths, kind="stable")
    vq.eval()
    for phase in range(phases):
        at = 0
        while at < len(order):
            size = max(1, batch_frames // int(clips.lengths[order[min(len(order) - 1, at + 64)]]))
            part = order[at : at + size]
            at += len(part)
            frames = counts[phase, part] * stride
            x = np.zeros((len(part), int(frames.max()), clips.features.shape[1]), np.float32)
            for row, clip, count in zip(x, part, frames, strict=True):
                begin = clips.starts[clip] + phase
                row[:count] = clips.features[begin : begin + count]
            mask = torch.arange(x.shape[1]) < torch.from_numpy(frames)[:, None]
            indices = vq.encode(torch.from_numpy(x).to(device), mask.to(device)).to(torch.int16).cpu()
            for row, clip in zip(indices, part, strict=True):
                count = counts[phase, clip]
                out[phase, starts[clip] : starts[clip] + count] = row[:count]
    return Tokens(out, starts, counts)


def token_batches(
    clips: Clips, tokens: Tokens, pooled: Tensor, max_tokens: int, batch_tokens: int, seed: int, buckets: int = 8
) -> Callable[[int], TokenBatch]:
    """Batch number -> clips of like lengths, each at a random frame offset and with a random one of its captions.

    A bucket of lengths is drawn by its weight, then clips in it by theirs; clips longer than `max_tokens` give a random part.
    """
    order = np.argsort(tokens.counts[0], kind="stable")
    groups = [group for group in np.array_split(order, min(buckets, len(order))) if clips.weights[group].sum() > 0]
    mass = np.cumsum([clips.weights[group].sum() for group in groups])
    inside = [np.cumsum(clips.weights[group]) / clips.weights[group].sum() for group in groups]
    phases, width = tokens.tokens.shape[0], tokens.tokens.shape[-1]

    def batch(number: int) -> TokenBatch:
        rng = np.random.default_rng(mix_seed(seed, "tokens", number))
        bucket = min(int(np.searchsorted(mass, rng.random() * mass[-1])), len(groups) - 1)
        group = groups[bucket]
        longest = min(max_tokens, int(tokens.counts[0, group].max()))
        size = max(1, batch_tokens // longest)
        chosen = group[np.minimum(np.searchsorted(inside[bucket], rng.random(size)), len(group) - 1)]
        phase = rng.integers(phases, size=size)
        phase = np.where(tokens.counts[phase, chosen] > 0, phase, 0)
        counts = tokens.counts[phase, chosen]
        kept = np.minimum(counts, max_tokens)
        begin = tokens.starts[chosen] + (rng.random(size) * (counts - kept + 1)).astype(np.int64)
        reach = np.arange(longest)
        mask = reach < kept[:, None]
        places = torch.from_numpy(np.where(mask, begin[:, None] + reach, 0))
        rows = tokens.tokens[torch.from_numpy(phase)[:, None], places].long()
        said = [int(rng.choice(clips.captions[clip])) for clip in chosen]
        return TokenBatch(rows.view(size, longest, width), torch.from_numpy(mask), pooled[said])

    return batch


def _token_loss(
    module: nn.Module, batch: TokenBatch, generator: torch.Generator, layer: int | None
) -> dict[str, Tensor]:
    tokens = batch.tokens if layer is None else batch.tokens[..., layer]
    loss, right = module(tokens, batch.mask, batch.pooled, generator)
    return {"cross_entropy": loss, "accuracy": right.detach()}


def _weights_digest(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def train_generator(
    folders: Sequence[str | Path],
    out: str | Path,
    config: MoMaskConfig,
    *,
    encoder: TextEncoder,
    patch: str | Path | None = None,
    weights: Sequence[float] | None = None,
    balance: float = 0.0,
    phases: int = 2,
    init: str | Path | None = None,
    stages: Sequence[str] = STAGES,
    facts: dict[str, object] | None = None,
    command: str = "",
    quiet: bool = False,
) -> dict[str, TrainReport]:
    """Trains the stages and writes the model folder `out`.

    Args:
        folders: HumanML3D-layout data sets, of one skeleton; their training splits are used.
        out: the model folder; `OUT.train/` beside it holds what is needed to continue.
        config: sizes and training of the stages; `init` brings its own sizes.
        encoder: the text encoder, with the patch applied if `patch` is given. It does not change.
        patch: the word-patch file that goes into the model folder.
        weights: of the folders; default: their clip counts.
        balance: 0 draws clips alike, 1 draws every content alike (meta `content`).
        phases: frame offsets at which clips are tokenised, 1 to the tokeniser's stride.
        init: a model folder to start all stages from; of the data's skeleton.
        stages: which ones to train; the others keep what earlier calls or `init` gave.
        facts: further entries for config.json.
        command: what was typed, for the model card.
        quiet: no progress output.

    Returns:
        The stages' reports.

    Raises:
        MateError: bad data, bad options, or another run's folder.
    """
    kept = Stages(out, STAGES, stages, quiet)
    if not 1 <= phases <= config.vq.stride:
        raise MateError(f"got {phases} frame offsets, expected 1 to {config.vq.stride}")
    sets = open_sets(folders)
    clips = Clips(sets, weights or [len(ds) for ds in sets], balance, config.vq.stride * 2)
    kept.say(clips.about())
    with torch.random.fork_rng([]):
        torch.manual_seed(mix_seed(config.train_vq.seed, "weights"))
        model = _start(config, encoder, clips.spec, init)
    for ds in sets:
        check_spec(ds, model.spec, str(init))
    config = model.config
    model.facts |= {"license": clips.license, **(facts or {})}
    if init is None:
        mean, std = clips.moments()
        model.vq.normalizer.set(mean, std, config.vq.feat_bias)
    size = max(1, config.batch_frames // config.vq.window)
    seeds = config.train_vq.seed, config.train_masked.seed, config.train_residual.seed, config.train_length.seed
    kept.run(
        "vq", model.vq, vq_batches(clips, config.vq.window, size, seeds[0]),
        lambda module, batch, generator: vq_losses(module, model.vq, batch, generator), config.train_vq,
    )  # fmt: skip
    tokeniser = _weights_digest(model.vq.encoder)
    kept.run(
        "decoder", DecoderStage(model.vq), vq_batches(clips, 2 * config.vq.window, max(1, size // 2), mix_seed(seeds[0], 1)),
        lambda module, batch, generator: decoder_losses(module, model.vq, batch, generator), config.train_decoder,
    )  # fmt: skip
    model.vq.requires_grad_(True)
    if _weights_digest(model.vq.encoder) != tokeniser:
        raise MateError(
            f"the tokeniser was trained on after its decoder had been refined; remove {kept.work / 'decoder'} and train "
            "the stages decoder, masked and residual again"
        )
    if any(stage in stages for stage in TOKEN_STAGES):
        pooled = Captions(encoder, clips.texts, kept.work / "texts.safetensors").pooled
        if init is None:
            for condition in (model.masked.condition, model.residual.condition):
                if condition.config.normalize:
                    condition.normalizer.set(pooled)
            if not config.length.layers:
                model.length.normalizer.set(pooled)
        # The decoder has no say in the tokens.
        key = f"{clips.digest()} {_weights_digest(nn.ModuleList([model.vq.encoder, model.vq.quantizer]))} {phases}"
        tokens = cached(
            kept.work / TOKENS,
            key,
            lambda: _as_tensors(tokenize(model.vq.to(config.train_masked.device), clips, phases)),
        )
        model.vq.cpu()
        known = Tokens(tokens["tokens"], tokens["starts"].numpy(), tokens["counts"].numpy())

        def batches(seed: int) -> Callable[[int], TokenBatch]:
            return token_batches(clips, known, pooled, model.max_tokens, config.batch_tokens, seed)

        kept.run(
            "masked", model.masked, batches(seeds[1]), lambda m, b, g: _token_loss(m, b, g, 0), config.train_masked
        )
        kept.run(
            "residual", model.residual, batches(seeds[2]), lambda m, b, g: _token_loss(m, b, g, None), config.train_residual
        )  # fmt: skip
        kept.run(
            "length", model.length, length_batches(clips, pooled, config.vq.stride, config.batch_texts, seeds[3]),
            lambda m, b, g: {"cross_entropy": m(*b, g)}, config.train_length,
        )  # fmt: skip
    else:
        for stage in TOKEN_STAGES:
            kept.load(stage, getattr(model, stage))
    model.facts |= {"training": kept.facts(), "training_data": clips.sources}
    if "length" in model.facts["training"]:
        model.facts.pop(UNTRAINED, None)
    parts = {name: parameter_count(getattr(model, name)) for name in ("vq", *TOKEN_STAGES)}
    lengths = model.min_seconds, model.max_seconds
    card = model_card(TITLE, METHOD, model.facts, parts, lengths, model.encoder.model_id, model.spec, command)
    model.save_pretrained(out, card, patch)
    kept.say(
        f"model folder: {out} ({parameter_count(model) / 1e6:.2f} M parameters); {kept.work} is no longer needed, except to train on"
    )
    return kept.reports


def _start(config: MoMaskConfig, encoder: TextEncoder, spec: FeatureSpec, init: str | Path | None) -> MoMaskGenerator:
    if init is None:
        return MoMaskGenerator(config, encoder, spec=spec)
    model = MoMaskGenerator.from_pretrained(init)
    model.take_bones(spec)
    sizes = ("quantizer", "vq", "masked", "residual", "length", "min_seconds", "max_seconds")
    model.config = replace(config, **{name: getattr(model.config, name) for name in sizes})
    model.encoder = encoder
    return model


def _as_tensors(tokens: Tokens) -> dict[str, Tensor]:
    return {
        "tokens": tokens.tokens,
        "starts": torch.from_numpy(tokens.starts),
        "counts": torch.from_numpy(tokens.counts),
    }

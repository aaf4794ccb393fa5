"""Training an MDM-type generator.

    1. denoiser  the transformer learns to take noise out of clips, told by their captions what to see in it
    2. length    the length predictor learns how long a clip of a caption lasts
    3. the model folder

`OUT.train/` holds the stages' runs and the cached texts; `OUT/` is the model folder, written at the end. The same command continues an
interrupted training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mate.errors import MateError
from mate.generate.clips import Captions, Clips, check_spec, length_batches, open_sets
from mate.generate.mdm.config import MDMConfig
from mate.generate.mdm.model import LENGTH_STRIDE, MDMGenerator
from mate.generate.momask.transformer import TextNormalizer
from mate.generate.momask.vqvae import parameter_count
from mate.generate.reader import UNTRAINED
from mate.generate.stages import Stages, model_card
from mate.motion.layout import FeatureSpec
from mate.motion.skeleton import HUMANML3D
from mate.text.encoder import TextEncoder
from mate.training import TrainReport, mix_seed

STAGES = ("denoiser", "length")
TITLE = "A text-to-motion generator of mate (MDM type)"
METHOD = "MDM's method: a transformer predicts the clean motion, classifier-free guidance; {steps} steps of {sampler} by default."
EDITS = " It also edits motions, by time range and by body part."  # of HumanML3D's joints


@dataclass(frozen=True)
class ClipBatch:
    """B clips: raw features (B, T, D), mask (B, T) True = valid, text (B, L, S), its mask (B, L) or None."""

    features: Tensor
    mask: Tensor
    text: Tensor
    text_mask: Tensor | None

    def to(self, device: torch.device) -> "ClipBatch":
        """The batch on another device."""
        text_mask = None if self.text_mask is None else self.text_mask.to(device)
        return ClipBatch(self.features.to(device), self.mask.to(device), self.text.to(device), text_mask)


def clip_batches(
    clips: Clips, captions: Captions, max_frames: int, batch_frames: int, seed: int, buckets: int = 8
) -> Callable[[int], ClipBatch]:
    """Batch number -> clips of like lengths, each with a random one of its captions.

    A bucket of lengths is drawn by its weight, then clips in it by theirs; clips longer than `max_frames` give a random part.
    """
    order = np.argsort(clips.lengths, kind="stable")
    groups = [group for group in np.array_split(order, min(buckets, len(order))) if clips.weights[group].sum() > 0]
    mass = np.cumsum([clips.weights[group].sum() for group in groups])
    inside = [np.cumsum(clips.weights[group]) / clips.weights[group].sum() for group in groups]

    def batch(number: int) -> ClipBatch:
        rng = np.random.default_rng(mix_seed(seed, "clips", number))
        bucket = min(int(np.searchsorted(mass, rng.random() * mass[-1])), len(groups) - 1)
        group = groups[bucket]
        longest = min(max_frames, int(clips.lengths[group].max()))
        size = max(1, batch_frames // longest)
        chosen = group[np.minimum(np.searchsorted(inside[bucket], rng.random(size)), len(group) - 1)]
        kept = np.minimum(clips.lengths[chosen], max_frames)
        begin = clips.starts[chosen] + (rng.random(size) * (clips.lengths[chosen] - kept + 1)).astype(np.int64)
        reach = np.arange(longest)
        mask = reach < kept[:, None]
        features = clips.features[np.where(mask, begin[:, None] + reach, 0)]
        features[~mask] = 0
        text, text_mask = captions([int(rng.choice(clips.captions[clip])) for clip in chosen])
        return ClipBatch(torch.from_numpy(features), torch.from_numpy(mask), text, text_mask)

    return batch


def denoiser_loss(module: nn.Module, batch: ClipBatch, generator: torch.Generator) -> dict[str, Tensor]:
    """Named losses of a batch; see `MotionDiffusion.forward`."""
    return module(batch.features, batch.mask, batch.text, batch.text_mask, generator)


def train_generator(
    folders: Sequence[str | Path],
    out: str | Path,
    config: MDMConfig,
    *,
    encoder: TextEncoder,
    patch: str | Path | None = None,
    weights: Sequence[float] | None = None,
    balance: float = 0.0,
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
        init: a model folder to start from; of the data's skeleton.
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
    sets = open_sets(folders)
    clips = Clips(sets, weights or [len(ds) for ds in sets], balance, 2 * LENGTH_STRIDE)
    kept.say(clips.about())
    with torch.random.fork_rng([]):
        torch.manual_seed(mix_seed(config.train_denoiser.seed, "weights"))
        model = _start(config, encoder, clips.spec, init)
    for ds in sets:
        check_spec(ds, model.spec, str(init))
    captions = Captions(encoder, clips.texts, kept.work / "texts.safetensors", config.denoiser.words)
    if init is None:
        model.diffusion.normalizer.set(*clips.moments(), config.feat_bias)
        if config.denoiser.adaptive:  # the released form takes text vectors as they come
            _assign(model.diffusion.denoiser.text.normalizer, *captions.moments())
        model.length.normalizer.set(captions.pooled)
    seeds = config.train_denoiser.seed, config.train_length.seed
    kept.run(
        "denoiser", model.diffusion,
        clip_batches(clips, captions, model.diffusion.max_frames, config.batch_frames, seeds[0]), denoiser_loss, config.train_denoiser,
    )  # fmt: skip
    kept.run(
        "length", model.length, length_batches(clips, captions.pooled, LENGTH_STRIDE, config.batch_texts, seeds[1]),
        lambda m, b, g: {"cross_entropy": m(*b, g)}, config.train_length,
    )  # fmt: skip
    model.facts |= {
        "license": clips.license, **(facts or {}), "training": kept.facts(), "training_data": clips.sources,
    }  # fmt: skip
    if "length" in model.facts["training"]:
        model.facts.pop(UNTRAINED, None)
    method = METHOD.format(steps=config.sampling.steps, sampler=config.sampling.sampler)
    method += EDITS if model.spec.skeleton.name == HUMANML3D.name else ""
    parts = {"denoiser": parameter_count(model.diffusion), "length": parameter_count(model.length)}
    lengths = model.min_seconds, model.max_seconds
    card = model_card(TITLE, method, model.facts, parts, lengths, model.encoder.model_id, model.spec, command)
    model.save_pretrained(out, card, patch)
    kept.say(
        f"model folder: {out} ({parameter_count(model) / 1e6:.2f} M parameters); {kept.work} is no longer needed, except to train on"
    )
    return kept.reports


@torch.no_grad()
def _assign(normalizer: TextNormalizer, mean: Tensor, scale: Tensor) -> None:
    normalizer.mean.copy_(mean)
    normalizer.scale.copy_(scale)


def _start(config: MDMConfig, encoder: TextEncoder, spec: FeatureSpec, init: str | Path | None) -> MDMGenerator:
    if init is None:
        return MDMGenerator(config, encoder, spec=spec)
    model = MDMGenerator.from_pretrained(init)
    model.take_bones(spec)
    if model.config.denoiser.words != config.denoiser.words or model.config.features != config.features:
        raise MateError(f"{init} was made with another preset; choose the preset that it was trained with")
    model.encoder = encoder
    return model

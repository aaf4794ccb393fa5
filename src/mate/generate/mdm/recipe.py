"""Training an MDM-type generator.

    1. denoiser  the transformer learns to take noise out of clips, told by their captions what to see in it
    2. length    the length predictor learns how long a clip of a caption lasts
    3. the model folder

`OUT.train/` holds the stages' runs and the cached texts; `OUT/` is the model folder, written at the end. The same command continues an
interrupted training.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mate.checkpoints import load_strict
from mate.data.dataset import open_dataset
from mate.errors import MateError
from mate.files import atomic_path
from mate.generate.mdm.config import MDMConfig
from mate.generate.mdm.model import FPS, LENGTH_STRIDE, MDMGenerator
from mate.generate.momask.recipe import FINAL, Clips, keep_stage, length_batches
from mate.generate.momask.transformer import TextNormalizer
from mate.generate.momask.vqvae import parameter_count
from mate.text.encoder import TextEncoder
from mate.text.patch import tensor_sha256
from mate.training import LossFn, TrainConfig, TrainReport, mix_seed, train

STAGES = ("denoiser", "length")


@dataclass(frozen=True)
class ClipBatch:
    """B clips: raw features (B, T, 263), mask (B, T) True = valid, text (B, L, S), its mask (B, L) or None."""

    features: Tensor
    mask: Tensor
    text: Tensor
    text_mask: Tensor | None

    def to(self, device: torch.device) -> "ClipBatch":
        """The batch on another device."""
        text_mask = None if self.text_mask is None else self.text_mask.to(device)
        return ClipBatch(self.features.to(device), self.mask.to(device), self.text.to(device), text_mask)


class Captions:
    """The distinct captions of a corpus as vectors: pooled ones are computed once, those of words for each batch.

    Args:
        encoder: the text encoder.
        texts: distinct captions.
        words: every token's vector instead of the pooled one.
        cache: a file for the pooled vectors.
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], words: bool, cache: Path):
        self.encoder, self.texts, self.words = encoder, list(texts), words
        facts = [encoder.model_id, tensor_sha256(encoder.table.float()), self.texts]
        self.pooled = self._read(cache, hashlib.sha256(json.dumps(facts).encode()).hexdigest())

    def __call__(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """(B, L, S) and its mask (B, L) of the captions with these numbers."""
        if not self.words:
            return self.pooled[list(numbers)].unsqueeze(1), None
        with torch.no_grad():
            found = self.encoder.encode([self.texts[i] for i in numbers], truncate=True)
        return found.tokens.float().cpu(), found.mask.cpu()

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean (S,), scale ()) of the vectors that the denoiser sees, over at most 2,000 captions of words."""
        vectors = self.pooled
        if self.words:
            parts = [
                self(range(start, min(start + 64, len(self.texts))))
                for start in range(0, min(2000, len(self.texts)), 64)
            ]
            vectors = torch.cat([text[mask] for text, mask in parts if mask is not None])
        mean = vectors.mean(0)
        return mean, (vectors - mean).square().mean().sqrt().clamp(min=1e-6)

    @torch.no_grad()  # not inference mode: these tensors take part in training
    def _read(self, path: Path, key: str) -> Tensor:
        """The pooled vectors (M, S), from `path` if they are there."""
        if path.is_file():
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") == key:
                    return load_file(path)["pooled"]
        order = sorted(range(len(self.texts)), key=lambda i: len(self.texts[i]))  # like lengths share a batch
        pooled = torch.empty(len(order), self.encoder.dim)
        for start in range(0, len(order), 256):
            part = order[start : start + 256]
            pooled[part] = self.encoder.encode([self.texts[i] for i in part], truncate=True).pooled.float().cpu()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as tmp:
            save_file({"pooled": pooled}, tmp, metadata={"key": key})
        return pooled


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
        folders: HumanML3D-layout data sets; their training splits are used.
        out: the model folder; `OUT.train/` beside it holds what is needed to continue.
        config: sizes and training of the stages; `init` brings its own sizes.
        encoder: the text encoder, with the patch applied if `patch` is given. It does not change.
        patch: the word-patch file that goes into the model folder.
        weights: of the folders; default: their clip counts.
        balance: 0 draws clips alike, 1 draws every content alike (meta `content`).
        init: a model folder to start from.
        stages: which ones to train; the others keep what earlier calls or `init` gave.
        facts: further entries for config.json.
        command: what was typed, for the model card.
        quiet: no progress output.

    Returns:
        The stages' reports.

    Raises:
        MateError: bad data, bad options, or another run's folder.
    """
    out = Path(out)
    work = out.with_name(out.name + ".train")
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise MateError(f"got the stage {unknown[0]!r}, expected {', '.join(STAGES)} or all")
    if not folders:
        raise MateError("got no data folder; give one or more HumanML3D-layout folders, `mate prepare` makes them")
    sets = [open_dataset(folder, "train") for folder in folders]
    if other := [ds for ds in sets if ds.fps != FPS]:
        raise MateError(f"{other[0].folder} has {other[0].fps:g} frames a second, this generator is made for {FPS:g}")

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    clips = Clips(sets, weights or [len(ds) for ds in sets], balance, 2 * LENGTH_STRIDE)
    say(f"{len(clips)} clips, {clips.lengths.sum() / FPS / 3600:.2f} h, {len(clips.texts)} distinct captions")
    with torch.random.fork_rng([]):
        torch.manual_seed(mix_seed(config.train_denoiser.seed, "weights"))
        model = _start(config, encoder, init)
    captions = Captions(encoder, clips.texts, config.denoiser.words, work / "texts.safetensors")
    if init is None:
        model.diffusion.normalizer.set(*clips.moments(), config.feat_bias)
        if config.denoiser.adaptive:  # the released form takes text vectors as they come
            _assign(model.diffusion.denoiser.text.normalizer, *captions.moments())
        model.length.normalizer.set(captions.pooled)
    reports: dict[str, TrainReport] = {}

    def run(stage: str, module: nn.Module, batch: Callable[[int], object], loss: LossFn, settings: TrainConfig) -> None:
        folder = work / stage
        if stage in stages:
            reports[stage] = train(module, batch, loss, folder, settings, name=stage, quiet=quiet)
            keep_stage(folder, module, reports[stage])
        elif (folder / FINAL).is_file():
            load_strict(module, load_file(folder / FINAL), folder)
        module.cpu().eval()

    seeds = config.train_denoiser.seed, config.train_length.seed
    run(
        "denoiser", model.diffusion,
        clip_batches(clips, captions, model.diffusion.max_frames, config.batch_frames, seeds[0]), denoiser_loss, config.train_denoiser,
    )  # fmt: skip
    run(
        "length", model.length, length_batches(clips, captions.pooled, LENGTH_STRIDE, config.batch_texts, seeds[1]),
        lambda m, b, g: {"cross_entropy": m(*b, g)}, config.train_length,
    )  # fmt: skip
    known = [(stage, work / stage / "report.json") for stage in STAGES]  # of earlier calls too
    model.facts |= {"license": clips.license, **(facts or {})}
    model.facts["training"] = {stage: json.loads(path.read_text()) for stage, path in known if path.is_file()}
    model.facts["training_data"] = [{"folder": ds.folder.name, "clips": len(ds), "license": ds.license} for ds in sets]
    model.save_pretrained(out, model_card(model, clips.license, command), patch)
    say(
        f"model folder: {out} ({parameter_count(model) / 1e6:.2f} M parameters); {work} is no longer needed, except to train on"
    )
    return reports


@torch.no_grad()
def _assign(normalizer: TextNormalizer, mean: Tensor, scale: Tensor) -> None:
    normalizer.mean.copy_(mean)
    normalizer.scale.copy_(scale)


def _start(config: MDMConfig, encoder: TextEncoder, init: str | Path | None) -> MDMGenerator:
    if init is None:
        return MDMGenerator(config, encoder)
    model = MDMGenerator.from_pretrained(init)
    if model.config.denoiser.words != config.denoiser.words or model.config.features != config.features:
        raise MateError(f"{init} was made with another preset; choose the preset that it was trained with")
    model.encoder = encoder
    return model


def model_card(model: MDMGenerator, license: str, command: str = "") -> str:
    """The README.md of a model folder."""
    config = model.config
    rows = [f"| {stage} | {f['steps']} | {f['minutes']} |" for stage, f in model.facts.get("training", {}).items()]
    data = [
        f"- `{d['folder']}`: {d['clips']} training clips; licence: {d['license']}"
        for d in model.facts.get("training_data", [])
    ]
    return "\n".join([
        "# A text-to-motion generator of mate (MDM type)",
        "",
        "Prompts in, human motion out: 22 joints (the HumanML3D skeleton), 20 frames a second, "
        f"{model.min_seconds:g} to {model.max_seconds:g} seconds. MDM's method: a transformer predicts the clean motion, classifier-free "
        f"guidance; {config.sampling.steps} steps of {config.sampling.sampler} by default. It also edits motions, by time range and by "
        "body part. The text encoder is not inside, only its name and, if there is one, a word patch.",
        "",
        f"**Licence of the weights: {license}** (it follows the training data). Outputs carry it in their metadata.",
        "",
        "## Training data", "", *data, "",
        f"Text encoder: {model.encoder.model_id}.", "",
        "## Size", "",
        f"- denoiser: {parameter_count(model.diffusion) / 1e6:.2f} M", f"- length: {parameter_count(model.length) / 1e6:.2f} M", "",
        "## Training", "", "| stage | steps | minutes |", "|---|---|---|", *rows, "",
        *(["```", command, "```", ""] if command else []),
        "## Limits", "",
        "It knows the actions of its training data and little else. Captions may be templated; see the data's own description.", "",
        "The resolved configuration stands in `config.json`.", "",
    ])  # fmt: skip

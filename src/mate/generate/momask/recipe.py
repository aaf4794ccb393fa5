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
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mate.checkpoints import load_strict
from mate.data.dataset import MotionTextDataset, grouped_std, open_dataset
from mate.errors import MateError
from mate.files import atomic_path
from mate.generate.momask.config import MoMaskConfig
from mate.generate.momask.model import FPS, MoMaskGenerator
from mate.generate.momask.vqvae import DecoderStage, MotionVQ, decoder_losses, parameter_count, vq_losses
from mate.text.encoder import TextEncoder
from mate.text.patch import tensor_sha256
from mate.training import LossFn, TrainConfig, TrainReport, mix_seed, train

STAGES = ("vq", "decoder", "masked", "residual", "length")
TOKEN_STAGES = STAGES[2:]
FINAL = "final.safetensors"


@dataclass(frozen=True)
class TokenBatch:
    """B clips as tokens: tokens (B, N, Q) int64, mask (B, N) True = valid, pooled text vectors (B, S)."""

    tokens: Tensor
    mask: Tensor
    pooled: Tensor

    def to(self, device: torch.device) -> "TokenBatch":
        """The batch on another device."""
        return TokenBatch(self.tokens.to(device), self.mask.to(device), self.pooled.to(device))


class Clips:
    """The clips of several sets in memory: features end to end, captions as numbers of distinct texts, a sampling weight a clip.

    Attributes:
        features: (sum of T, 263) float32, raw.
        starts, lengths: (M,) where each clip lies.
        weights: (M,) sampling probabilities.
        texts: the distinct captions.
        captions: for each clip the numbers of its captions in `texts`.
        license: of all sets.
    """

    def __init__(self, sets: Sequence[MotionTextDataset], weights: Sequence[float], balance: float, shortest: int):
        chosen = [
            (ds, i, w) for ds, w in zip(sets, _per_clip(sets, weights, balance), strict=True) for i in range(len(ds))
        ]
        rows = [(ds, i, float(w[i])) for ds, i, w in chosen if ds.lengths[i] >= shortest and ds.captions[i]]
        if not rows:
            raise MateError(
                f"no clip of at least {shortest} frames with a caption in {', '.join(str(ds.folder) for ds in sets)}"
            )
        self.lengths = np.array([ds.lengths[i] for ds, i, _ in rows])
        self.starts = np.concatenate(([0], np.cumsum(self.lengths)[:-1]))
        self.features = np.empty((int(self.lengths.sum()), sets[0].mean.shape[0]), np.float32)
        for start, length, (ds, i, _) in zip(self.starts, self.lengths, rows, strict=True):
            self.features[start : start + length] = ds.features(i)
        weight = np.array([w for _, _, w in rows])
        self.weights = weight / weight.sum()
        number: dict[str, int] = {}
        self.captions = [
            np.array([number.setdefault(c.text, len(number)) for c in ds.captions[i]]) for ds, i, _ in rows
        ]
        self.texts = list(number)
        self.license = "; ".join(dict.fromkeys(ds.license for ds in sets))
        self.names = [ds.names[i] for ds, i, _ in rows]

    def __len__(self) -> int:
        return len(self.lengths)

    def digest(self) -> str:
        """Changes when clips, their order or captions change."""
        facts = json.dumps([self.names, self.lengths.tolist(), self.texts, [c.tolist() for c in self.captions]])
        return hashlib.sha256(facts.encode()).hexdigest()

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean, std) of the raw features over all clips, (263,) each; std averaged within HumanML3D's feature groups."""
        count, total, squares = 0, np.zeros(self.features.shape[1]), np.zeros(self.features.shape[1])
        for start in range(0, len(self.features), 65_536):
            part = self.features[start : start + 65_536].astype(np.float64)
            count, total, squares = count + len(part), total + part.sum(0), squares + (part**2).sum(0)
        mean = total / count
        std = grouped_std(np.sqrt(np.maximum(squares / count - mean**2, 1e-10)))
        return torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(np.asarray(std, np.float32))


def _per_clip(sets: Sequence[MotionTextDataset], weights: Sequence[float], balance: float) -> list[np.ndarray]:
    """Each set's share is its weight; within a set, a clip's weight is its meta `weight` times 1 / (clips of its content) ** balance."""
    if len(weights) != len(sets) or any(not w > 0 for w in weights):
        raise MateError(f"got {len(weights)} weights for {len(sets)} data folders, expected one positive weight each")
    out = []
    for ds, share in zip(sets, weights, strict=True):
        meta = ds.meta
        contents = [str(meta[i].get("content") or meta[i].get("contents") or "") for i in range(len(ds))]
        counts: dict[str, int] = {}
        for content in contents:
            counts[content] = counts.get(content, 0) + 1
        own = np.array(
            [float(meta[i].get("weight", 1.0)) * (counts[c] ** -balance if c else 1.0) for i, c in enumerate(contents)]
        )
        out.append(own / own.sum() * share)
    return out


def vq_batches(clips: Clips, window: int, size: int, seed: int) -> Callable[[int], tuple[Tensor, Tensor | None]]:
    """Batch number -> raw windows (size, window, 263) and their mask, None where all frames are valid."""
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


def length_batches(
    clips: Clips, pooled: Tensor, stride: int, size: int, seed: int
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batch number -> token counts (size,) and text vectors (size, S)."""
    cumulative = np.cumsum(clips.weights)

    def batch(number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(mix_seed(seed, "length", number))
        chosen = np.minimum(np.searchsorted(cumulative, rng.random(size)), len(clips) - 1)
        said = [int(rng.choice(clips.captions[clip])) for clip in chosen]
        return torch.from_numpy(np.maximum(1, clips.lengths[chosen] // stride)), pooled[said]

    return batch


def _token_loss(
    module: nn.Module, batch: TokenBatch, generator: torch.Generator, layer: int | None
) -> dict[str, Tensor]:
    tokens = batch.tokens if layer is None else batch.tokens[..., layer]
    loss, right = module(tokens, batch.mask, batch.pooled, generator)
    return {"cross_entropy": loss, "accuracy": right.detach()}


def _cached(path: Path, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from `path` if they were made from the same inputs (`key`), else made and written there."""
    if path.is_file():
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") == key:
                return load_file(path)
    tensors = make()
    with atomic_path(path) as tmp:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp, metadata={"key": key})
    return tensors


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
        folders: HumanML3D-layout data sets; their training splits are used.
        out: the model folder; `OUT.train/` beside it holds what is needed to continue.
        config: sizes and training of the stages; `init` brings its own sizes.
        encoder: the text encoder, with the patch applied if `patch` is given. It does not change.
        patch: the word-patch file that goes into the model folder.
        weights: of the folders; default: their clip counts.
        balance: 0 draws clips alike, 1 draws every content alike (meta `content`).
        phases: frame offsets at which clips are tokenised, 1 to the tokeniser's stride.
        init: a model folder to start all stages from.
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
    if not 1 <= phases <= config.vq.stride:
        raise MateError(f"got {phases} frame offsets, expected 1 to {config.vq.stride}")
    if not folders:
        raise MateError("got no data folder; give one or more HumanML3D-layout folders, `mate prepare` makes them")
    sets = [open_dataset(folder, "train") for folder in folders]
    other = [ds for ds in sets if ds.fps != FPS]
    if other:
        raise MateError(f"{other[0].folder} has {other[0].fps:g} frames a second, this generator is made for {FPS:g}")

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    clips = Clips(sets, weights or [len(ds) for ds in sets], balance, config.vq.stride * 2)
    say(f"{len(clips)} clips, {clips.lengths.sum() / FPS / 3600:.2f} h, {len(clips.texts)} distinct captions")
    with torch.random.fork_rng([]):
        torch.manual_seed(mix_seed(config.train_vq.seed, "weights"))
        model = _start(config, encoder, init)
    config = model.config
    model.facts |= {"license": clips.license, **(facts or {})}
    if init is None:
        mean, std = clips.moments()
        model.vq.normalizer.set(mean, std, config.vq.feat_bias)
    reports: dict[str, TrainReport] = {}

    def run(stage: str, module: nn.Module, batch: Callable[[int], object], loss: LossFn, settings: TrainConfig) -> None:
        folder = work / stage
        if stage in stages:
            reports[stage] = train(module, batch, loss, folder, settings, name=stage, quiet=quiet)
            keep_stage(folder, module, reports[stage])
        elif (folder / FINAL).is_file():
            load_strict(module, load_file(folder / FINAL), folder)
        module.cpu().eval()

    size = max(1, config.batch_frames // config.vq.window)
    seeds = config.train_vq.seed, config.train_masked.seed, config.train_residual.seed, config.train_length.seed
    run(
        "vq", model.vq, vq_batches(clips, config.vq.window, size, seeds[0]),
        lambda module, batch, generator: vq_losses(module, model.vq, batch, generator), config.train_vq,
    )  # fmt: skip
    tokeniser = _weights_digest(model.vq.encoder)
    run(
        "decoder", DecoderStage(model.vq), vq_batches(clips, 2 * config.vq.window, max(1, size // 2), mix_seed(seeds[0], 1)),
        lambda module, batch, generator: decoder_losses(module, model.vq, batch, generator), config.train_decoder,
    )  # fmt: skip
    model.vq.requires_grad_(True)
    if _weights_digest(model.vq.encoder) != tokeniser:
        raise MateError(
            f"the tokeniser was trained on after its decoder had been refined; remove {work / 'decoder'} and train "
            "the stages decoder, masked and residual again"
        )
    if any(stage in stages for stage in TOKEN_STAGES):
        pooled = _encode_texts(encoder, clips, work)
        if init is None:
            for condition in (model.masked.condition, model.residual.condition):
                if condition.config.normalize:
                    condition.normalizer.set(pooled)
            if not config.length.layers:
                model.length.normalizer.set(pooled)
        # The decoder has no say in the tokens.
        key = f"{clips.digest()} {_weights_digest(nn.ModuleList([model.vq.encoder, model.vq.quantizer]))} {phases}"
        tokens = _cached(
            work / "tokens.safetensors",
            key,
            lambda: _as_tensors(tokenize(model.vq.to(config.train_masked.device), clips, phases)),
        )
        model.vq.cpu()
        cached = Tokens(tokens["tokens"], tokens["starts"].numpy(), tokens["counts"].numpy())

        def batches(seed: int) -> Callable[[int], TokenBatch]:
            return token_batches(clips, cached, pooled, model.max_tokens, config.batch_tokens, seed)

        run("masked", model.masked, batches(seeds[1]), lambda m, b, g: _token_loss(m, b, g, 0), config.train_masked)
        run(
            "residual",
            model.residual,
            batches(seeds[2]),
            lambda m, b, g: _token_loss(m, b, g, None),
            config.train_residual,
        )
        run(
            "length", model.length, length_batches(clips, pooled, config.vq.stride, config.batch_texts, seeds[3]),
            lambda m, b, g: {"cross_entropy": m(*b, g)}, config.train_length,
        )  # fmt: skip
    else:
        for stage in TOKEN_STAGES:  # trained by earlier calls
            if (work / stage / FINAL).is_file():
                load_strict(getattr(model, stage), load_file(work / stage / FINAL), work / stage)
    known = [(stage, work / stage / "report.json") for stage in STAGES]  # of earlier calls too
    model.facts["training"] = {stage: json.loads(path.read_text()) for stage, path in known if path.is_file()}
    model.facts["training_data"] = [{"folder": ds.folder.name, "clips": len(ds), "license": ds.license} for ds in sets]
    model.save_pretrained(out, model_card(model, clips, command), patch)
    say(
        f"model folder: {out} ({parameter_count(model) / 1e6:.2f} M parameters); {work} is no longer needed, except to train on"
    )
    return reports


def keep_stage(folder: Path, module: nn.Module, report: TrainReport) -> None:
    """What a finished stage leaves for later calls that train other stages."""
    with atomic_path(folder / FINAL) as tmp:
        save_file({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}, tmp)
    losses = {name: round(value, 5) for name, value in report.losses.items()}
    facts = {"steps": report.steps, "minutes": round(report.seconds / 60, 1), **losses}
    with atomic_path(folder / "report.json") as tmp:
        tmp.write_text(json.dumps(facts))


def _start(config: MoMaskConfig, encoder: TextEncoder, init: str | Path | None) -> MoMaskGenerator:
    if init is None:
        return MoMaskGenerator(config, encoder)
    model = MoMaskGenerator.from_pretrained(init)
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


@torch.no_grad()  # not inference mode: these tensors take part in training
def _encode_texts(encoder: TextEncoder, clips: Clips, work: Path) -> Tensor:
    """(distinct captions, S) float32, computed once for each encoder and table."""
    key = hashlib.sha256(
        json.dumps([encoder.model_id, tensor_sha256(encoder.table.float()), clips.texts]).encode()
    ).hexdigest()

    def make() -> dict[str, Tensor]:
        # Texts of like lengths share a batch: little padding.
        order = sorted(range(len(clips.texts)), key=lambda i: len(clips.texts[i]))
        pooled = torch.empty(len(order), encoder.dim)
        for start in range(0, len(order), 256):
            part = order[start : start + 256]
            pooled[part] = encoder.encode([clips.texts[i] for i in part]).pooled.float().cpu()
        return {"pooled": pooled}

    return _cached(work / "texts.safetensors", key, make)["pooled"]


def model_card(model: MoMaskGenerator, clips: Clips, command: str = "") -> str:
    """The README.md of a model folder."""
    rows = [f"| {stage} | {f['steps']} | {f['minutes']} |" for stage, f in model.facts.get("training", {}).items()]
    data = [
        f"- `{d['folder']}`: {d['clips']} training clips; licence: {d['license']}"
        for d in model.facts.get("training_data", [])
    ]
    parts = {name: parameter_count(getattr(model, name)) / 1e6 for name in ("vq", *TOKEN_STAGES)}
    return "\n".join([
        "# A text-to-motion generator of mate",
        "",
        "Prompts in, human motion out: 22 joints (the HumanML3D skeleton), 20 frames a second, "
        f"{model.min_seconds:g} to {model.max_seconds:g} seconds. MoMask's architecture: residual vector quantisation, masked transformer, "
        "residual transformer; the text encoder is not inside, only its name and, if there is one, a word patch.",
        "",
        f"**Licence of the weights: {clips.license}** (it follows the training data). Outputs carry it in their metadata.",
        "",
        "## Training data", "", *data, "",
        f"Text encoder: {model.encoder.model_id}.", "",
        "## Size", "", *(f"- {name}: {count:.2f} M" for name, count in parts.items()), "",
        "## Training", "", "| stage | steps | minutes |", "|---|---|---|", *rows, "",
        *(["```", command, "```", ""] if command else []),
        "## Limits", "",
        "It knows the actions of its training data and little else. Captions may be templated; see the data's own description.", "",
        "The resolved configuration stands in `config.json`.", "",
    ])  # fmt: skip

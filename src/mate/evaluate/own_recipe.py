"""Training our own evaluator: from captioned motions to a folder that `mate evaluate --evaluator` takes.

    L = InfoNCE(text, motion), both ways; clips that show the same, or share the caption, are no negatives of each other
      + moments_weight * || moments(f^m) - (mean and deviation over time of every feature) ||
The second term keeps in the motion's vector what no caption says, so that distances between sets see how bodies move, not
only what is told of them. Training splits alone are read; validation figures go into the README and choose nothing.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.align.corpus import Corpus, batches
from mate.align.losses import symmetric_nce
from mate.errors import MateError
from mate.evaluate.own_evaluator import CONTACTS, EvaluatorConfig, LanguageTower, OwnEvaluator, describe
from mate.files import atomic_path
from mate.text.encoder import TextEncoder
from mate.training import TrainConfig, TrainReport, mix_seed, train

CACHE_BYTES = 1 << 30  # motion features that training keeps in memory


@dataclass(frozen=True)
class EvaluatorTraining:
    """How an evaluator is trained.

    Attributes:
        model: its sizes. train: the loop; its seed is the evaluator's.
        batch_size: clips a step. tau: temperature of InfoNCE. moments_weight: of the second term.
        max_seconds: longer clips are cropped at random.
    """

    model: EvaluatorConfig
    train: TrainConfig
    batch_size: int = 128
    tau: float = 0.07
    moments_weight: float = 0.3
    max_seconds: float = 10.0


def preset(name: str) -> EvaluatorTraining:
    """`words` and `sentences`: about ten minutes on one core for ten thousand clips; `tiny`: seconds, for tests.

    Raises:
        MateError: an unknown name.
    """
    loop = TrainConfig(
        steps=1_400,
        lr=6e-4,
        warmup=100,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        ema=0.99,
        bf16=True,
        checkpoint_minutes=1.0,
    )
    presets = {
        "words": EvaluatorTraining(EvaluatorConfig("words"), loop),
        "sentences": EvaluatorTraining(EvaluatorConfig("sentences", layers=3), replace(loop, steps=900, lr=4e-4)),
        "tiny": EvaluatorTraining(
            EvaluatorConfig("words", width=32, layers=2, dim=16, buckets=512),
            replace(loop, steps=60, lr=3e-3, warmup=5, log_steps=10, ema=0.0, bf16=False),
            batch_size=16,
        ),
    }
    if name not in presets:
        raise MateError(f"got the preset {name!r}, expected {', '.join(presets)}")
    return presets[name]


@dataclass(frozen=True)
class Batch:
    """B clips: features (B, T, D) raw, mask (B, T), what the text tower reads, together (B, B) bool: text i fits motion j."""

    features: Tensor
    mask: Tensor
    text: tuple[Tensor, ...]
    together: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        text = tuple(part.to(device) for part in self.text)
        return Batch(self.features.to(device), self.mask.to(device), text, self.together.to(device))


class CaptionStates:
    """The language model's token states of every distinct caption, in half precision, end to end; kept on disk for a later call."""

    def __init__(self, language: TextEncoder, captions: Sequence[str], path: Path) -> None:
        from safetensors import safe_open
        from safetensors.torch import save_file

        key = hashlib.sha256(json.dumps([language.model_id, language.table_sha256, *captions]).encode()).hexdigest()
        if path.is_file():
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("key") == key:
                    self.states, self.lengths = file.get_tensor("states"), file.get_tensor("lengths")
        if not hasattr(self, "states"):
            self.states, self.lengths = self._read(language, captions)
            with atomic_path(path) as temporary:
                save_file({"states": self.states, "lengths": self.lengths}, temporary, metadata={"key": key})
        self.starts = torch.cat([torch.zeros(1, dtype=torch.long), self.lengths.cumsum(0)])

    @staticmethod
    @torch.no_grad()
    def _read(language: TextEncoder, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        order = sorted(range(len(captions)), key=lambda n: len(captions[n]))
        found: list[Tensor] = [torch.empty(0)] * len(captions)
        for start in range(0, len(order), 64):
            chosen = order[start : start + 64]
            read = language.encode([captions[n] for n in chosen], truncate=True)
            for n, states, mask in zip(chosen, read.tokens, read.mask, strict=True):
                found[n] = states[mask].half().cpu()
        return torch.cat(found), torch.tensor([len(states) for states in found])

    def __call__(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Numbers of captions -> (token states (B, L, D'), mask (B, L))."""
        lengths = self.lengths[list(numbers)]
        rows = [self.states[self.starts[n] : self.starts[n + 1]].float() for n in numbers]
        padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return padded, torch.arange(padded.shape[1])[None] < lengths[:, None]


class Sampler:
    """Batch number -> batch: a pure function of (seed, number)."""

    def __init__(
        self, corpus: Corpus, evaluator: OwnEvaluator, training: EvaluatorTraining, states: CaptionStates | None
    ) -> None:
        self.corpus, self.evaluator, self.states = corpus, evaluator, states
        self.seed = mix_seed(training.train.seed, "evaluator") % 2**32
        self.size = min(training.batch_size, len(corpus))
        self.longest = round(training.max_seconds * training.model.fps)
        self.lengths = [min(item.frames, self.longest) for item in corpus.items]
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])
        self._cache: dict[int, np.ndarray] = {}
        self._room = CACHE_BYTES

    def _items(self, number: int) -> list[int]:
        per_epoch = -(-len(self.corpus) // self.size)
        epoch = number // per_epoch
        if self._epoch[0] != epoch:
            self._epoch = (epoch, batches(self.lengths, self.size, self.seed, epoch))
        return self._epoch[1][number % per_epoch].tolist()

    def _features(self, index: int) -> np.ndarray:
        if index in self._cache:
            return self._cache[index]
        clip = np.array(self.corpus.features(index))
        if clip.nbytes <= self._room:
            self._room -= clip.nbytes
            self._cache[index] = clip
        return clip

    def __call__(self, number: int) -> Batch:
        chosen = self._items(number)
        generator = np.random.default_rng([self.seed, number])
        captions, clips = [], []
        for index in chosen:
            item = self.corpus.items[index]
            captions.append(item.captions[int(generator.integers(len(item.captions)))])
            clip = self._features(index)
            first = int(generator.integers(max(0, len(clip) - self.longest) + 1))
            clips.append(torch.from_numpy(clip[first : first + self.longest]))
        features = nn.utils.rnn.pad_sequence(clips, batch_first=True)
        mask = torch.arange(features.shape[1])[None] < torch.tensor([len(clip) for clip in clips])[:, None]
        if self.states is not None:
            text: tuple[Tensor, ...] = self.states([self.corpus.caption_number[caption] for caption in captions])
        else:
            text = self.evaluator.text.prepare(captions)
        return Batch(features, mask, text, self.corpus.together(chosen, captions))


class Stage(nn.Module):
    """The evaluator with the head that its second term needs; the head is thrown away."""

    def __init__(self, evaluator: OwnEvaluator, training: EvaluatorTraining) -> None:
        super().__init__()
        self.evaluator, self.training_config = evaluator, training
        self.moments = nn.Linear(training.model.dim, 2 * (training.model.feature_dim - CONTACTS))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named losses."""
        evaluator, settings = self.evaluator, self.training_config
        mask = batch.mask.unsqueeze(-1)
        features = (batch.features - evaluator.mean) / evaluator.std * mask
        motion = evaluator.motion(features, batch.mask)
        text = evaluator.text(*batch.text)
        wanted = features[..., :-CONTACTS].float()
        mean = wanted.sum(1) / mask.sum(1)
        deviation = (((wanted - mean.unsqueeze(1)) ** 2 * mask).sum(1) / mask.sum(1) + 1e-6).sqrt()
        told = self.moments(F.normalize(motion.float(), dim=-1) * motion.shape[-1] ** 0.5)
        moments = F.smooth_l1_loss(told, torch.cat([mean, deviation], -1))
        return {
            "contrast": symmetric_nce(text, motion, batch.together, settings.tau),
            "moments": settings.moments_weight * moments,
        }


def train_evaluator(
    folders: Sequence[str | Path],
    out: str | Path,
    training: EvaluatorTraining,
    *,
    command: str = "",
    quiet: bool = False,
) -> TrainReport:
    """Trains an evaluator on the training splits of some data sets and writes its folder `out`.

    `OUT.train/` beside it keeps what is needed to continue; the same call continues.

    Raises:
        MateError: bad data, or `out` holds a run with other settings.
    """
    out = Path(out)
    corpus = Corpus.open(folders, "train")
    mean, std = corpus.normaliser
    model = replace(
        training.model,
        feature_dim=len(mean),
        fps=corpus.datasets[0].fps,
        seed=training.train.seed,
        data=", ".join(corpus.names),
        license="; ".join(corpus.licenses),
    )
    language = None
    if model.kind == "sentences":
        language = TextEncoder.from_pretrained(model.encoder, device=training.train.device)
        model = replace(model, text_dim=language.token_dim)
    training = replace(training, model=model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seed(model.seed, model.kind, "weights"))
        stage = Stage(OwnEvaluator(model, mean, std, language), training)
    evaluator = stage.evaluator
    work = out.with_name(out.name + ".train")
    _remember(work, corpus, training)
    states = None
    if isinstance(evaluator.text, LanguageTower):
        states = CaptionStates(evaluator.text.language, corpus.captions, work / "captions.safetensors")
    report = train(
        stage,
        Sampler(corpus, evaluator, training, states),
        lambda module, batch, _: module(batch),
        work,
        training.train,
        name="evaluator",
        quiet=quiet,
    )
    evaluator.double()
    figures = validation(evaluator, folders)
    evaluator.save_pretrained(out, _card(evaluator.config, corpus, report, figures, command))
    return report


def _remember(work: Path, corpus: Corpus, training: EvaluatorTraining) -> None:
    """Writes what the run is, or refuses where `work` holds another one."""
    facts = {
        "data": corpus.names,
        "clips": len(corpus),
        "captions": hashlib.sha256("\n".join(corpus.captions).encode()).hexdigest(),
        "model": training.model.__dict__,
        "batch_size": training.batch_size,
        "tau": training.tau,
        "moments_weight": training.moments_weight,
        "max_seconds": training.max_seconds,
    }
    facts = json.loads(json.dumps(facts))
    path = work / "evaluator.json"
    if not path.is_file():
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MateError(f"{path} is damaged; choose another output folder") from error
    if known != facts:
        changed = ", ".join(key for key in facts if known.get(key) != facts[key])
        raise MateError(
            f"{work} holds a run with other settings ({changed}); repeat the command that started it, or choose another -o"
        )


def validation(evaluator: OwnEvaluator, folders: Sequence[str | Path]) -> dict[str, Any]:
    """Text-to-motion retrieval over each set's validation split, R@1, 3, 10: clips that show the same count as hits."""
    from mate.align.report import recall

    figures = {}
    for folder in folders:
        try:
            corpus = Corpus.open([folder], "val")
        except MateError:  # a set may have none
            continue
        texts = [item.captions[0] for item in corpus.items]
        motions = evaluator.embed_motions([np.asarray(corpus.features(n)) for n in range(len(corpus))])
        similarity = torch.from_numpy(evaluator.embed_texts(texts) @ motions.T)
        fits = corpus.together(range(len(corpus)), texts)
        figures[corpus.names[0]] = {"clips": len(corpus), **recall(similarity, fits)}
    return figures


def _card(config: EvaluatorConfig, corpus: Corpus, report: TrainReport, figures: dict[str, Any], command: str) -> str:
    lines = [
        f"# Text-motion evaluator `{config.kind}`",
        "",
        f"Text: {describe(config)}. {config.dim} numbers a text and a motion; the two are compared by their angle.",
        "",
        f"Trained on the training splits of {config.data} alone: {len(corpus)} clips, {len(corpus.captions)} captions, "
        f"{report.steps} steps, seed {config.seed}.",
        *(["", f"    {command}"] if command else []),
        "",
        "It shares no weights with the retrieval model that aligns words or with any generator, and reads no word patch. Figures made "
        "with it compare with figures made with it alone: the SHA-256 of model.safetensors, on every result card, says which.",
        "",
        f"Licence of the weights, from their data: {config.license}",
        "",
        "| validation split | clips | R@1 | R@3 | R@10 |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {row['clips']} | {row['R@1']:.3f} | {row['R@3']:.3f} | {row['R@10']:.3f} |"
            for name, row in figures.items()
        ),
        "",
        "Text to motion over the whole split with first captions; a hit is the clip itself or one that shows the same.",
        "",
    ]
    return "\n".join(lines)

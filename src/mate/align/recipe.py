"""Motion-aligned text encoding, from data and a language model to a word patch.

    stage 1  retrieval   a retrieval model with the language model frozen: L_rec + omega_2 * L_sent
    stage 2  segments    it segments every motion by the sub-texts of its captions
    stage 3  align       L_all = L_rec + omega_1 * L_word + omega_2 * L_sent; of the language model only the
                         word-embedding rows of the motion vocabulary move (or what `AlignConfig.train` says)

The stages and the criteria are the paper's; every number in `AlignConfig` is ours unless its line says otherwise.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mate.align.aligner import Aligner, AlignerConfig
from mate.align.corpus import Corpus, batches
from mate.align.language import RowKind, Source, finish, groups, own_words
from mate.align.localization import PriorKind, prior
from mate.align.losses import align_loss, cross_loss, reconstruction_loss, sentence_loss
from mate.align.prototypes import Prototypes
from mate.align.relabel import relabel
from mate.align.report import evaluate, left_right_cosines
from mate.align.segmentation import merge_to_fit, uniform_boundaries
from mate.errors import MateError
from mate.files import atomic_path
from mate.text.encoder import DEFAULT_MODEL, TextEncoder, Tokens
from mate.text.split_cache import open_splitter
from mate.text.tuning import Trained, tune
from mate.text.vocabulary import MotionVocabulary, build_vocabulary
from mate.training import TrainConfig, TrainReport, mix_seed, train

Negatives = Literal["absent", "all"]


@dataclass(frozen=True)
class AlignConfig:
    """How words are aligned. "(paper)" marks what the paper states, everything else is ours.

    Attributes:
        retrieval_steps, retrieval_batch_size: of stage 1, and its motions a step. steps, batch_size: of stage 3.
        lr: of the retrieval model. word_lr: of what stage 3 adds to it: Proj, attention, prototypes. rows_lr: of the word-embedding
            rows. warmup: steps.
        layers_lr: of the language model's later layers ("layers", "all"): low enough for fine-tuning them not to collapse.
        lora_lr, lora_rank: of the low-rank additions ("lora").
        omega_word: omega_1. omega_sentence: omega_2. (Both are in the paper, their values are not.)
        tau: temperature of L_self and L_align. tau_sentence: of L_sent.
        hint_dropout: share of the drawn words that must find their frames without the prior.
        sentence_every: L_sent and L_rec are computed on every so many-th step of stage 3, as the language model is what costs time and
            words are read without it; on every step where no criterion of words is in use.
        negatives: of L_self and L_align: "absent", the words that are not in the word's stretch of the motion (ours), or "all" other
            words (paper). Words of one stretch have the same frames to be read from: told apart, they have to look elsewhere.
        words_per_motion: how many words w of a caption are drawn a step.
        losses: the criteria in use (paper: all five); leaving some out gives the paper's ablation.
        train: what of the language model moves: "rows" (paper) of the word-embedding table; "nothing", the control; and the paper's
            other ablations, "layers" (all parameters but the table), "all" (rows and layers), "lora" (query and value projections).
        rows: of words of several pieces: "pieces", the rows of their pieces, which other words share; "whole-words", a new token a word,
            which starts as the mean of its pieces' rows.
        prior, omega: kind (paper: "gaussian") and strength of the localization prior.
        segmentation: "semantic" (paper) or "uniform" (control).
        splitter: of captions into sub-texts: "rules" (ours), a file of ready splits, or "URL#MODEL", a language model behind an
            OpenAI-compatible endpoint (the paper asks one). Answers are kept in `splits.jsonl` beside the data.
        start: the output folder of another run on the same data, whose stages 1 and 2 are taken over: for variants of stage 3.
        flip_sides: share of the training clips whose captions have left and right swapped, to measure what label noise does.
        thin: word -> number of training clips whose captions may keep it, 0 holds it out (`mate.align.relabel.thin`).
        max_seconds: longer clips with a single sub-text are cropped at random.
        least_count: a motion word occurs in so many captions at least.
        least_change: a row goes into the patch if it moved by at least this fraction of its own length.
        spread: whether the patch also moves words that were in no caption, as their neighbours moved (`mate.text.spread`).
        model: sizes of the retrieval model.
        bf16: bfloat16 matrix products in the forward pass; losses, weights and optimiser stay in float32.
        seed: of everything random. device: "cpu", "cuda", ...
        max_minutes: the two training stages together end by the clock (shares as their steps).
    """

    retrieval_steps: int = 400
    steps: int = 600
    retrieval_batch_size: int = 64
    batch_size: int = 64
    lr: float = 3e-4
    word_lr: float = 1e-3
    rows_lr: float = 1e-3
    layers_lr: float = 2e-5
    lora_lr: float = 3e-4
    lora_rank: int = 8
    warmup: int = 50
    omega_word: float = 1.0
    omega_sentence: float = 1.0
    tau: float = 0.1
    tau_sentence: float = 0.07
    hint_dropout: float = 0.5
    sentence_every: int = 4
    negatives: Negatives = "absent"
    words_per_motion: int = 8
    losses: tuple[str, ...] = ("rec", "self", "cross", "align", "sent")
    train: Trained = "rows"
    rows: RowKind = "pieces"
    prior: PriorKind = "gaussian"
    omega: float = 1.0
    segmentation: str = "semantic"
    splitter: str = "rules"
    start: str | None = None
    flip_sides: float = 0.0
    thin: dict[str, int] = field(default_factory=dict)
    max_seconds: float = 10.0
    least_count: int = 1
    least_change: float = 0.0
    spread: bool = False
    model: AlignerConfig = field(default_factory=AlignerConfig)
    bf16: bool = True
    seed: int = 0
    device: str = "cpu"
    max_minutes: float | None = None


FROZEN = "frozen"  # the retrieval model after stage 1, in the output folder
SEGMENTS = "segments.jsonl"
SETTINGS = "align.json"
REPORT = "report.json"
CACHE_BYTES = 1 << 30  # motion features that a training stage keeps in memory
LOSSES = ("rec", "self", "cross", "align", "sent")
WORD_LOSSES = {"self", "cross", "align"}


@dataclass(frozen=True)
class AlignResult:
    """What `align` wrote.

    Attributes:
        patch: the word patch (there is no such file where no rows moved, or more than rows). model: the retrieval model's folder.
        report: the figures, also in report.json. language_model: the folder of the tuned language model, where its layers moved.
    """

    patch: Path
    model: Path
    report: dict[str, Any]
    language_model: Path | None = None


@dataclass(frozen=True)
class Batch:
    """B clips with one caption each, and n words drawn from the captions.

    Attributes:
        features: (B, T, 263) raw, zero-padded. mask: (B, T). tokens: of the captions, or caption numbers where text is frozen.
        together: (B, B) bool, text i fits motion j.
        words: (n,) numbers in the vocabulary. motion: (n,) the clip of each.
        start, end: (n,) segment of the word's sub-text in latent units.
        sentences: whether L_sent and L_rec are computed.
        hinted: (n,) bool, whether the prior helps the word to find its frames.
        absent: (B, n) bool, the meaning of word j is not in motion b. same: (n, n) bool, words of one stem.
        negative: (n, K) bool, the vocabulary's words that are not in the stretch of the motion that word i is about.
    """

    features: Tensor
    mask: Tensor
    ids: Tensor
    text_mask: Tensor
    captions: Tensor
    together: Tensor
    words: Tensor
    motion: Tensor
    start: Tensor
    end: Tensor
    sentences: bool
    hinted: Tensor
    absent: Tensor
    same: Tensor
    negative: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device."""
        tensors = {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)}
        return replace(self, **tensors)


class Sampler:
    """Batch number -> batch: a pure function of (seed, number), so that a resumed run sees what an uninterrupted one sees."""

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: MotionVocabulary,
        encoder: TextEncoder,
        config: AlignConfig,
        stage: str,
        segments: dict[tuple[int, str], tuple[np.ndarray, list[list[int]]]] | None = None,
    ) -> None:
        self.corpus, self.vocabulary, self.config = corpus, vocabulary, config
        self.sentence_every = config.sentence_every if WORD_LOSSES & set(config.losses) else 1
        self.batch_size = config.retrieval_batch_size if stage == "retrieval" else config.batch_size
        self.segments = segments or {}
        self.seed = mix_seed(config.seed, stage) % 2**32
        self.longest = round(config.max_seconds * config.model.fps)
        self.lengths = [min(item.frames, self.longest) for item in corpus.items]
        self.tokens = encoder.tokenize(corpus.captions, truncate=True)
        self.pad_id = encoder.pad_id
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])
        self._cache: dict[int, np.ndarray] = {}
        self._room = CACHE_BYTES
        self.stem_ids = vocabulary.stem_ids
        stems = dict(zip(vocabulary.stems, vocabulary.stem_ids.tolist(), strict=True))
        count = int(self.stem_ids.max()) + 1
        self.present = np.zeros((len(corpus), count), dtype=bool)  # [item, stem]
        for row, found in zip(self.present, corpus.present_stems, strict=True):
            row[[stems[name] for name in found if name in stems]] = True
        self.found = [vocabulary.find(caption) for caption in corpus.captions]
        # Rare words are drawn more often than they are written, frequent ones less: weight 1 / sqrt(count).
        self.weights = 1.0 / np.sqrt(np.array(vocabulary.counts, dtype=np.float64))

    def __call__(self, number: int) -> Batch:
        corpus, generator = self.corpus, np.random.default_rng([self.seed, number])
        chosen = self._items(number)
        captions, features = [], []
        for index in chosen:
            item = corpus.items[index]
            caption = item.captions[int(generator.integers(len(item.captions)))]
            captions.append(caption)
            motion = self._features(index)
            if len(motion) > self.longest and caption not in corpus.sub_texts:
                first = int(generator.integers(len(motion) - self.longest + 1))
                motion = motion[first : first + self.longest]
            features.append(motion)
        lengths = torch.tensor([len(motion) for motion in features])
        padded = torch.zeros(len(features), int(lengths.max()), features[0].shape[1])
        for row, motion in zip(padded, features, strict=True):
            row[: len(motion)] = torch.from_numpy(motion)
        mask = torch.arange(padded.shape[1])[None] < lengths[:, None]
        numbers = torch.tensor([corpus.caption_number[caption] for caption in captions])
        text_mask = self.tokens.mask[numbers.to(self.tokens.mask.device)].cpu()
        width = int(text_mask.sum(1).max())
        ids = self.tokens.ids[numbers.to(self.tokens.ids.device)].cpu()
        words, motion_of, start, end, elsewhere = self._words(
            chosen, captions, numbers.tolist(), lengths.tolist(), generator
        )
        present = self.present[np.asarray(chosen)]
        stems = self.stem_ids[words]
        foreign = torch.from_numpy(~present[motion_of.numpy()] | elsewhere)  # (n, stems)
        return Batch(
            features=padded,
            mask=mask,
            ids=ids[:, :width],
            text_mask=text_mask[:, :width],
            captions=numbers,
            together=corpus.together(chosen, captions),
            words=words,
            motion=motion_of,
            start=start,
            end=end,
            sentences=number % self.sentence_every == 0,
            hinted=torch.from_numpy(generator.random(len(words)) >= self.config.hint_dropout),
            absent=~torch.from_numpy(present)[:, stems],
            same=stems[:, None] == stems[None],
            negative=foreign[:, self.stem_ids],
        )

    def _features(self, index: int) -> np.ndarray:
        """Raw features (T, 263); kept in memory as long as there is room."""
        if index not in self._cache:
            motion = np.array(self.corpus.features(index))
            if self._room < motion.nbytes:
                return motion
            self._room -= motion.nbytes
            self._cache[index] = motion
        return self._cache[index]

    def _items(self, number: int) -> list[int]:
        size = min(self.batch_size, len(self.corpus))
        per_epoch = -(-len(self.corpus) // size)
        epoch = number // per_epoch
        if self._epoch[0] != epoch:
            self._epoch = (epoch, batches(self.lengths, size, self.seed, epoch))
        return self._epoch[1][number % per_epoch].tolist()

    def _words(
        self,
        chosen: list[int],
        captions: list[str],
        numbers: list[int],
        lengths: list[int],
        generator: np.random.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, np.ndarray]:
        """Draws words from the captions; each with the segment of the sub-text that contains it, and the stems of other segments alone."""
        rows: list[tuple[int, int, float, float]] = []
        elsewhere: list[np.ndarray] = []
        for place, (index, caption, number, length) in enumerate(zip(chosen, captions, numbers, lengths, strict=True)):
            found = self.found[number]
            if not found:
                continue
            weights = self.weights[[word for _, word in found]]
            drawn = generator.choice(
                len(found), min(self.config.words_per_motion, len(found)), replace=False, p=weights / weights.sum()
            )
            units = max(1, length // self.config.model.stride)
            bounds = [self._bounds(index, caption, spoken.start, units) for spoken, _ in found]
            stems = self.stem_ids[[word for _, word in found]].numpy()
            for which in sorted(drawn.tolist()):
                rows.append((found[which][1], place, *bounds[which]))
                start, end = bounds[which]
                own = np.array([first < end and last > start for first, last in bounds])
                others = np.zeros(self.present.shape[1], dtype=bool)
                others[stems[~own]] = True
                others[stems[own]] = False
                elsewhere.append(others)
        if (
            not rows
        ):  # a batch without a single motion word: one dummy that no loss can use would be worse than an error
            raise MateError("a whole batch of captions holds no motion word; check the captions of the data set")
        columns = list(zip(*rows, strict=True))
        return (
            torch.tensor(columns[0]),
            torch.tensor(columns[1]),
            torch.tensor(columns[2]),
            torch.tensor(columns[3]),
            np.stack(elsewhere),
        )

    def _bounds(self, index: int, caption: str, offset: int, units: int) -> tuple[float, float]:
        """The segment, in latent units, of the sub-text that contains the character `offset`: the whole clip where there is but one."""
        known = self.segments.get((index, caption))
        if known is None:
            return 0.0, float(units)
        boundaries, groups = known
        parts = self.corpus.parts[caption]
        own = next((part.order for part in parts if part.start <= offset < part.end), None)
        place = next((n for n, group in enumerate(groups) if own in group), None)
        return (0.0, float(units)) if place is None else (float(boundaries[place]), float(boundaries[place + 1]))


class RetrievalStage(nn.Module):
    """Stage 1: L_rec + omega_2 * L_sent with the language model frozen; its pooled vectors are computed once."""

    def __init__(self, aligner: Aligner, pooled: Tensor, config: AlignConfig) -> None:
        super().__init__()
        self.aligner, self.config = aligner, config
        self.pooled = pooled

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        features = self.aligner.normalize(batch.features) * batch.mask.unsqueeze(-1)
        sequence, _, valid = self.aligner.motion(features, batch.mask)
        text = self.aligner.project_text(self.pooled[batch.captions.to(self.pooled.device)].to(features.device))
        return _sentence_terms(self.aligner, self.config, features, batch, sequence, valid, text)


class AlignStage(nn.Module):
    """Stage 3: L_all. Holds the trainable rows and the prototypes beside the retrieval model."""

    def __init__(self, aligner: Aligner, vocabulary: MotionVocabulary, config: AlignConfig) -> None:
        super().__init__()
        self.aligner, self.config = aligner, config
        self.prototypes = Prototypes(len(vocabulary), config.model.width, config.tau, config.seed)
        self.encoder = aligner.text_encoder
        self.tuned = tune(self.encoder, config.train, vocabulary.token_ids, config.lora_rank, config.seed)
        self.rows, self.layers = self.tuned.rows, nn.ParameterList(self.tuned.layers)
        longest = max(len(pieces) for pieces in vocabulary.pieces)
        pieces = torch.zeros(len(vocabulary), longest, dtype=torch.long)
        weights = torch.zeros(len(vocabulary), longest)
        for number, own in enumerate(vocabulary.pieces):
            pieces[number, : len(own)] = torch.tensor(own)
            weights[number, : len(own)] = 1.0 / len(own)
        self.register_buffer("pieces", pieces, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def word_embeddings(self, words: Tensor) -> Tensor:
        """WE(w) of vocabulary words (n,): the mean of their pieces' rows, (n, embedding_dim)."""
        rows = self.encoder.embeddings(self.pieces[words])  # type: ignore[index]
        return (rows * self.weights[words].unsqueeze(-1)).sum(1)  # type: ignore[index]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        aligner, config = self.aligner, self.config
        features = aligner.normalize(batch.features) * batch.mask.unsqueeze(-1)
        sequence, frames, valid = aligner.motion(features, batch.mask)
        terms: dict[str, Tensor] = {}
        if batch.sentences:
            tokens = Tokens(batch.ids, batch.text_mask, batch.ids)
            text = aligner.project_text(self.encoder.forward_tokens(tokens).pooled)
            terms = _sentence_terms(aligner, config, features, batch, sequence, valid, text)
        if not WORD_LOSSES & set(config.losses):
            return terms

        words = aligner.word(self.word_embeddings(batch.words))  # Q = Proj(WE(w)), (n, D)
        # Every word asks every motion: its own with its sub-text's prior, the others with none.
        count, clips, units = len(words), len(frames), frames.shape[1]
        own_motion = torch.arange(clips, device=words.device)[:, None] == batch.motion[None]  # (B, n)
        hint = prior(batch.start, batch.end, units, config.prior) * batch.hinted.unsqueeze(-1)  # (n, U)
        hints = torch.where(own_motion.unsqueeze(-1), hint, torch.zeros_like(hint))  # (B, n, U)
        read, _ = aligner.attention(words.expand(clips, -1, -1), frames, valid, hints)  # (B, n, D)
        own = read[batch.motion, torch.arange(count, device=words.device)]  # f^{m_i}_{w_i}, (n, D)

        negative = batch.negative if config.negatives == "absent" else None
        pairs = (
            None if negative is None else negative[:, batch.words].T
        )  # [i, j]: word i is not in what word j was read from
        named: dict[str, Callable[[], Tensor]] = {
            "self": lambda: self.prototypes(own, batch.words, negative),
            "cross": lambda: cross_loss(own, read, batch.motion, batch.absent),
            "align": lambda: align_loss(words, own, batch.same, config.tau, pairs),
        }
        return terms | {name: config.omega_word * term() for name, term in named.items() if name in config.losses}


def _sentence_terms(
    aligner: Aligner, config: AlignConfig, features: Tensor, batch: Batch, sequence: Tensor, valid: Tensor, text: Tensor
) -> dict[str, Tensor]:
    """L_rec and omega_2 * L_sent, where they are in use."""
    terms: dict[str, Tensor] = {}
    if "rec" in config.losses and aligner.decoder is not None:
        decoded = aligner.decoder(sequence, valid)
        frames = min(decoded.shape[1], features.shape[1])
        terms["rec"] = reconstruction_loss(decoded[:, :frames], features[:, :frames], batch.mask[:, :frames])
    if "sent" in config.losses:
        terms["sent"] = config.omega_sentence * sentence_loss(text, sequence, batch.together, config.tau_sentence)
    return terms


def align(
    data: Sequence[str | Path],
    out: str | Path,
    encoder: str = DEFAULT_MODEL,
    config: AlignConfig | None = None,
    quiet: bool = False,
    evaluated: Sequence[str] = ("val", "test"),
) -> AlignResult:
    """Aligns a language model's motion words to motion.

    Writes into `out`: patch.safetensors, retrieval/ (a model folder for `mate score`), segments.jsonl, report.json, and under
    runs/ the checkpoints and tensorboard logs of both training stages. Interrupted, the same call continues.

    Args:
        data: folders in HumanML3D's layout.
        encoder: the language model, as `TextEncoder.from_pretrained` takes it.
        evaluated: the splits on which the report gives retrieval figures, before and after.

    Raises:
        MateError: the data or the language model cannot be used, or `out` holds a run with other settings.
    """
    config = config or AlignConfig()
    _check(config)
    out = Path(out)
    corpus, relabelled = relabel(
        Corpus.open(data, "train", config.splitter), config.flip_sides, config.thin, config.seed
    )
    language = TextEncoder.from_pretrained(encoder, device=config.device)
    vocabulary = build_vocabulary(corpus.captions, language, config.least_count)
    names, licenses = ", ".join(corpus.names), "; ".join(corpus.licenses)
    model = replace(
        config.model,
        encoder=encoder,
        text_dim=language.dim,
        embedding_dim=language.table.shape[1],
        fps=corpus.datasets[0].fps,
        feature_dim=len(corpus.normaliser[0]),
        prior=config.prior,
        omega=config.omega,
        license=licenses,
        data=names,
    )
    config = replace(config, model=model)
    _remember(out, data, encoder, config)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seed(config.seed, "weights"))
        aligner = Aligner(model, language, *corpus.normaliser)
    aligner.to(config.device)
    lr_cosines = {"before": left_right_cosines(language)}

    total = config.retrieval_steps + config.steps
    pooled = _pooled(language, corpus.captions, config) if config.start is None else None

    # Stage 1
    first: TrainReport | None = None
    if pooled is None:
        _load_start(aligner, config, data, encoder)
    else:
        first = train(
            RetrievalStage(aligner, pooled, config),
            Sampler(corpus, vocabulary, language, config, "retrieval"),
            lambda module, batch, _: module(batch),
            out / "runs" / "retrieval",
            _train_config(config, config.retrieval_steps, config.retrieval_steps / total),
            name="retrieval",
            quiet=quiet,
        )
    aligner.eval()
    before = _known_before(config, evaluated) or _evaluations(aligner, data, evaluated)
    if first is not None:
        aligner.save_pretrained(out / FROZEN, _frozen_card(names, licenses))

    # Stage 2
    ready = Path(config.start or out) / SEGMENTS
    if config.start is not None and config.segmentation == "semantic" and ready.is_file():
        shutil.copyfile(ready, out / SEGMENTS)
    segments = _segments(aligner, corpus, config, out, quiet)

    # Stage 3 starts from stage 1's weights (ours: the paper does not say).
    own = None
    if config.rows == "whole-words":
        own, vocabulary = own_words(language, vocabulary, corpus.captions, config.least_count)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seed(config.seed, "align weights"))
        stage = AlignStage(aligner, vocabulary, config)
    stage.to(config.device)
    sampler = Sampler(corpus, vocabulary, language, config, "align", segments)
    second = train(
        stage,
        sampler,
        lambda module, batch, _: module(batch),
        out / "runs" / "align",
        _train_config(config, config.steps, config.steps / total),
        name="align",
        groups=groups(stage, stage.tuned, config),
        quiet=quiet,
    )

    stages = {"align": second} if first is None else {"retrieval": first, "align": second}
    report: dict[str, Any] = {
        "data": corpus.names,
        "license": licenses,
        "encoder": encoder,
        "table_sha256": language.table_sha256,
        "clips": len(corpus),
        "captions": len(corpus.captions),
        "captions_with_sub_texts": len(corpus.sub_texts),
        "motion_words": len(vocabulary),
        "rows": len(vocabulary.token_ids),
        **relabelled,
        "steps": {name: result.steps for name, result in stages.items()},
        "seconds": {name: round(result.seconds, 1) for name, result in stages.items()},
        "losses": {name: result.losses for name, result in stages.items()},
        "config": _jsonable(config),
    }
    source = Source(encoder, names, licenses)
    patch, tuned_folder = finish(aligner, stage.tuned, vocabulary, source, out, config, report, own)
    aligner.eval()
    lr_cosines["after"] = left_right_cosines(language)
    report["retrieval"] = {"before": before, "after": _evaluations(aligner, data, evaluated)}
    report["left_right_cosine"] = lr_cosines
    folder = aligner.save_pretrained(out / "retrieval", _card(report), patch)
    with atomic_path(out / REPORT) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return AlignResult(out / "patch.safetensors", folder, report, tuned_folder)


def _check(config: AlignConfig) -> None:
    unknown = set(config.losses) - set(LOSSES)
    if unknown or not {"self", "align", "sent"} & set(config.losses):
        raise MateError(
            f"got losses {', '.join(config.losses)}; expected some of {', '.join(LOSSES)}, with self, align or sent among them"
        )
    if "rec" in config.losses and not config.model.decoder_layers:
        raise MateError(
            "got the loss rec with decoder_layers 0; leave rec out of the losses, or give the decoder layers"
        )
    if config.segmentation not in ("semantic", "uniform"):
        raise MateError(f"got segmentation {config.segmentation!r}, expected semantic or uniform")
    if config.train not in get_args(Trained):
        raise MateError(f"got train {config.train!r}, expected one of {', '.join(get_args(Trained))}")
    if config.rows not in get_args(RowKind) or (config.rows == "whole-words" and config.train != "rows"):
        raise MateError(
            f"got rows {config.rows!r} with train {config.train!r}; expected one of {', '.join(get_args(RowKind))}, "
            "and whole-words only where rows alone are trained"
        )
    if config.lora_rank < 1:
        raise MateError(f"got lora_rank {config.lora_rank}, expected 1 or more")
    if config.negatives not in get_args(Negatives):
        raise MateError(f"got negatives {config.negatives!r}, expected one of {', '.join(get_args(Negatives))}")
    if config.sentence_every < 1:
        raise MateError(f"got sentence_every {config.sentence_every}, expected 1 or more")
    open_splitter(config.splitter)
    if min(config.retrieval_steps, config.steps) < 1 or min(config.retrieval_batch_size, config.batch_size) < 2:
        raise MateError("alignment needs at least one step of each stage and a batch of two")


def _jsonable(config: AlignConfig) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(config)))


def _settings(data: Sequence[str | Path], encoder: str, config: AlignConfig) -> dict[str, Any]:
    """What a run was called with, but for what its stages do not depend on."""
    settings = {
        "data": [str(Path(folder).resolve()) for folder in data],
        "encoder": encoder,
        "config": _jsonable(config),
    }
    for free in ("device", "max_minutes", "least_change", "spread"):
        settings["config"].pop(free)
    return settings


def _remember(out: Path, data: Sequence[str | Path], encoder: str, config: AlignConfig) -> None:
    """Writes the run's settings, or refuses where `out` holds a run with others: stages of two runs must not be mixed."""
    settings = _settings(data, encoder, config)
    path = out / SETTINGS
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise MateError(f"{path} is damaged; choose another output folder") from error
        if known != settings:
            old, new = known.get("config", {}), settings["config"]
            changed = [key for key in new if old.get(key) != new[key]] or ["data or encoder"]
            raise MateError(
                f"{out} holds a run with other settings ({', '.join(changed)}); choose another output folder or remove it"
            )
        return
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _load_start(aligner: Aligner, config: AlignConfig, data: Sequence[str | Path], encoder: str) -> None:
    """The weights that stage 1 of another run left, which must have had the same data, language model and sizes."""
    from mate.checkpoints import load_folder, load_strict

    root = Path(config.start or "")
    try:
        known = json.loads((root / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MateError(f"{root} holds no finished run of `mate align`; give its output folder") from error
    ours, theirs = ({**one, **one["config"]} for one in (_settings(data, encoder, config), known))
    first = ["data", "encoder", "splitter", "seed", "flip_sides", "thin"]
    first += ["segmentation"] if config.segmentation == "semantic" else []
    changed = [name for name in first if theirs.get(name) != ours[name]]
    if changed:
        raise MateError(f"{root} is a run with other {', '.join(changed)}; its first stages cannot be taken over")
    _, tensors, folder = load_folder(root / FROZEN, "aligner")
    load_strict(aligner, tensors, folder)


def _train_config(config: AlignConfig, steps: int, share: float) -> TrainConfig:
    return TrainConfig(
        steps=steps,
        lr=config.lr,
        warmup=min(config.warmup, steps),
        betas=(0.9, 0.98),
        bf16=config.bf16,
        seed=config.seed,
        device=config.device,
        max_minutes=None if config.max_minutes is None else config.max_minutes * share,
    )


def _pooled(language: TextEncoder, captions: list[str], config: AlignConfig) -> Tensor:
    """The frozen language model's pooled vectors of all captions, (number of captions, D), short ones together."""
    with torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.bf16):
        return language.pooled(captions, batch_size=64)


def _segments(
    aligner: Aligner, corpus: Corpus, config: AlignConfig, out: Path, quiet: bool
) -> dict[tuple[int, str], tuple[np.ndarray, list[list[int]]]]:
    """Stage 2: boundaries for every (clip, caption with several sub-texts), kept in segments.jsonl.

    A clip is encoded once for all its captions. The stage is short; interrupted, it starts again.

    Returns:
        (item number, caption) -> boundaries (N + 1,) in latent units, and which sub-texts each segment holds.
    """
    path = out / SEGMENTS
    found: dict[tuple[int, str], tuple[np.ndarray, list[list[int]]]] = {}
    if path.is_file():  # a finished stage: the file appears when it is complete
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["item"], row["caption"]] = (np.array(row["units"], dtype=np.int64), row["groups"])
        return found
    seconds = config.model.stride / config.model.fps
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        several = [
            (number, item, found_here)
            for number, item in enumerate(corpus.items)
            if (found_here := [caption for caption in item.captions if caption in corpus.sub_texts])
        ]
        for number, item, captions in _shown(several, "segments", quiet):
            results = _segment_item(aligner, corpus, config, number, captions)
            for caption, (units, own, groups) in zip(captions, results, strict=True):
                found[number, caption] = (units, groups)
                row = {
                    "item": number,
                    "name": corpus.datasets[item.dataset].names[item.index],
                    "caption": caption,
                    "sub_texts": corpus.sub_texts[caption],
                    "groups": groups,
                    "units": units.tolist(),
                    "seconds": [round(float(unit) * seconds, 2) for unit in units],
                    "cosines": [round(float(value), 4) for value in own],
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return found


def _shown(items: Sequence[Any], name: str, quiet: bool) -> Iterator[Any]:
    """The items, with a progress bar on standard error; in a log file, a line every half minute."""
    import sys
    import time

    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not quiet and console.is_terminal:
        yield from track(items, name, console=console)
        return
    told = time.monotonic()
    for number, item in enumerate(items):
        if not quiet and time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{name}: {number}/{len(items)}", file=sys.stderr, flush=True)
        yield item


def _segment_item(
    aligner: Aligner, corpus: Corpus, config: AlignConfig, number: int, captions: list[str]
) -> list[tuple[np.ndarray, np.ndarray, list[list[int]]]]:
    parts = [corpus.sub_texts[caption] for caption in captions]
    if config.segmentation == "semantic":
        with torch.autocast(config.device.split(":")[0], torch.bfloat16, enabled=config.bf16):
            return aligner.segments(np.asarray(corpus.features(number)), parts)
    units = max(1, corpus.items[number].frames // config.model.stride)
    merged = [merge_to_fit([[n] for n in range(len(part))], units) for part in parts]
    return [
        (uniform_boundaries(units, len(groups)), np.zeros(len(groups), dtype=np.float32), groups) for groups in merged
    ]


def _known_before(config: AlignConfig, splits: Sequence[str]) -> dict[str, Any] | None:
    """The figures of stage 1 where it is another run's that is finished and has them."""
    report = Path(config.start or "") / REPORT
    if config.start is None or not report.is_file():
        return None
    known = json.loads(report.read_text(encoding="utf-8"))["retrieval"]["before"]
    return {name: known[name] for name in splits} if known.keys() >= set(splits) else None


def _evaluations(aligner: Aligner, data: Sequence[str | Path], splits: Sequence[str]) -> dict[str, Any]:
    """The retrieval figures on those of the splits that are there."""
    found = {}
    for name in splits:
        try:
            corpus = Corpus.open(data, name)
        except MateError:
            continue
        found[name] = evaluate(aligner, corpus)
    return found


def _frozen_card(data: str, licenses: str) -> str:
    return "\n".join(
        [
            "# Motion-text retrieval model with the language model as published",
            "",
            f"What stage 1 of `mate align` leaves: trained on {data}. It segments motions and is the frozen baseline.",
            "",
            f"Licence of the weights, from their data: {licenses}",
            "",
        ]
    )


def _card(report: dict[str, Any]) -> str:
    """The retrieval model's model card."""
    lines = [
        "# Motion-text retrieval model",
        "",
        f"Trained with `mate align` on {', '.join(report['data'])} ({report['clips']} clips, {report['captions']} captions).",
        f"Language model: {report['encoder']}; trained in it: {report['config']['train']} ({report['rows_in_patch']} rows in the patch).",
        "",
        f"Licence of the weights, from their data: {report['license']}",
        "",
        "| split | stage | R@1 | R@3 | R@10 | left/right told apart |",
        "|---|---|---|---|---|---|",
    ]
    for stage in ("before", "after"):
        for split_name, figures in report["retrieval"][stage].items():
            recall = figures["text_to_motion"]
            side = figures["left_right_accuracy"]
            shown = "-" if side is None else f"{side:.3f}"
            ranks = " | ".join(f"{value:.3f}" for value in recall.values())
            lines.append(f"| {split_name} | {stage} alignment | {ranks} | {shown} |")
    lines += [
        "",
        "Text to motion over the whole split; a hit is the clip itself or one that shows the same (content and style).",
        '"before": after stage 1, with the language model as published.',
        "",
    ]
    return "\n".join(lines)

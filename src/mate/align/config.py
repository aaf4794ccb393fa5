"""Every setting of the alignment. Every number is ours unless its line says otherwise."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from mate.align.aligner import AlignerConfig
from mate.align.localization import PriorKind
from mate.errors import MateError
from mate.text.split_cache import open_splitter
from mate.text.tuning import Trained

Negatives = Literal["absent", "all"]
RowKind = Literal["pieces", "whole-words"]
LOSSES = ("rec", "self", "cross", "align", "sent")
WORD_LOSSES = {"self", "cross", "align"}


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
        bf16: bfloat16 matrix products in the forward pass, where the processor has them; losses, weights and optimiser stay in float32.
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


def check(config: AlignConfig) -> None:
    """Raises MateError for settings that are no choice or exclude each other."""
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

"""The language model's part in alignment: what of it moves, at which learning rates, and what is left of it afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mate.align.aligner import Aligner
from mate.align.config import AlignConfig
from mate.text.encoder import TextEncoder
from mate.text.patch import SparseRows, WordPatch
from mate.text.patch_export import export_tuned
from mate.text.spread import spread_patch
from mate.text.tuning import Tuned, settle
from mate.text.vocabulary import MotionVocabulary, build_vocabulary, pieces_of
from mate.text.whole_words import AddedWords, add_words, mean_rows

if TYPE_CHECKING:
    from mate.align.stages import AlignStage

LANGUAGE_MODEL = "language_model"  # a tuned language model's folder, beside the retrieval model's


@dataclass(frozen=True)
class Source:
    """Where a language model and what it learned come from: its id, the data sets' names, and their licences."""

    encoder: str
    data: str
    license: str


@dataclass(frozen=True)
class OwnWords:
    """Motion words of several pieces that were given tokens of their own, while the model is trained."""

    words: tuple[str, ...]
    added: AddedWords


def own_words(
    language: TextEncoder, vocabulary: MotionVocabulary, captions: Sequence[str], least: int
) -> tuple[OwnWords | None, MotionVocabulary]:
    """Gives every motion word of several pieces a token of its own, which starts as the mean of their rows.

    Words whose spelling is a token already, if only as a part of words, cannot have one and stay pieces.

    Returns:
        The words (None: there is none), and the vocabulary in the new tokens.
    """
    pieces = pieces_of(language, vocabulary.words)
    several = [
        word for word in vocabulary.words if len(pieces[word]) > 1 and language.tokenizer.token_to_id(word) is None
    ]
    if not several:
        return None, vocabulary
    _ = language.table_sha256  # of the table as published: read before it grows
    added = add_words(language, several, mean_rows(language.table, [pieces[word] for word in several]))
    return OwnWords(tuple(several), added), build_vocabulary(captions, language, least)


def groups(stage: "AlignStage", tuned: Tuned, config: "AlignConfig") -> list[dict[str, Any]]:
    """Parameter groups for the optimiser: the retrieval model, what reads words in motions, rows, the language model's later layers."""
    language = {id(parameter) for parameter in (tuned.rows, *tuned.layers)}
    reading = {
        id(p) for part in (stage.aligner.word, stage.aligner.attention, stage.prototypes) for p in part.parameters()
    }
    rest = [p for p in stage.parameters() if id(p) not in language]
    found: list[dict[str, Any]] = [
        {"params": [p for p in rest if id(p) not in reading]},
        {"params": [p for p in rest if id(p) in reading], "lr": config.word_lr},
    ]
    if tuned.rows is not None:
        found.append({"params": [tuned.rows], "lr": config.rows_lr})
    if tuned.layers:
        lr = config.lora_lr if config.train == "lora" else config.layers_lr
        found.append({"params": list(tuned.layers), "lr": lr, "weight_decay": 0.0})
    return found


def finish(
    aligner: Aligner,
    tuned: Tuned,
    vocabulary: MotionVocabulary,
    source: Source,
    out: Path,
    config: "AlignConfig",
    report: dict[str, Any],
    own: OwnWords | None = None,
) -> tuple[Path | None, Path | None]:
    """Ends the language model's training and writes what is left of it; figures about it go into `report`.

    Afterwards the aligner's language model is what anybody gets who loads what was written.

    Returns:
        The word patch, where nothing but rows moved; the tuned model's folder, where later layers moved.
    """
    language = aligner.text_encoder
    path, folder = None, None
    report["rows_in_patch"], report["own_words"] = 0, 0 if own is None else len(own.words)
    moved = _moved_rows(language, tuned)
    settle(language, tuned)
    if own is not None:
        own.added.remove()
    if moved is not None and not tuned.layers:
        patch = _patch(language, moved, own, vocabulary, source, config, report)
        if config.spread:
            aligned = len(patch.token_ids)
            patch = spread_patch(patch, language, leave=vocabulary.words)
            report["rows_spread"] = len(patch.token_ids) - aligned
        path = patch.save(out / "patch.safetensors")
        language.apply(patch)
    if tuned.layers:
        facts = {
            "training_data": source.data,
            "license": source.license,
            "steps": str(report["steps"]["align"]),
            "seed": str(config.seed),
        }
        folder = export_tuned(language, source.encoder, out / LANGUAGE_MODEL, config.train, facts)
        language.model_id = str(folder)
        # The retrieval model's folder lies beside it: together they can be moved.
        aligner.config = replace(aligner.config, encoder=f"../{LANGUAGE_MODEL}")
        report["tuned_parameters"] = sum(parameter.numel() for parameter in tuned.layers)
    return path, folder


def _moved_rows(language: TextEncoder, tuned: Tuned) -> tuple[Tensor, Tensor, Tensor] | None:
    """The rows that were trained: their tokens (K,), what they were and what they are (K, D)."""
    layer = language.embeddings
    if tuned.rows is None or not isinstance(layer, SparseRows):
        return None
    ids = layer.token_ids
    return ids.cpu(), layer.weight[ids].detach().cpu(), layer.rows().cpu()


def _patch(
    language: TextEncoder,
    trained: tuple[Tensor, Tensor, Tensor],
    own: OwnWords | None,
    vocabulary: MotionVocabulary,
    source: Source,
    config: "AlignConfig",
    report: dict[str, Any],
) -> WordPatch:
    """The rows that moved far enough, and all words with tokens of their own, as a patch."""
    from mate import __version__

    ids, before, after = trained
    changes, lengths = (after - before).norm(dim=1), before.norm(dim=1)
    added = torch.zeros(0, dtype=torch.long) if own is None else own.added.ids
    moved = (changes >= config.least_change * lengths) & ~torch.isin(ids, added)
    report["rows_in_patch"] = int(moved.sum())
    report["mean_row_change"] = float(changes[moved].mean()) if bool(moved.any()) else 0.0
    report["mean_row_norm"] = float(lengths[moved].mean()) if bool(moved.any()) else 0.0
    notes = {
        "motion_words": str(len(vocabulary)),
        "steps": str(report["steps"]["align"]),
        "seed": str(config.seed),
    }
    return WordPatch.from_tables(
        language.table,
        ids[moved],
        after[moved],
        base_model=source.encoder,
        training_data=source.data,
        license=source.license,
        version=__version__,
        notes=notes,
        words=() if own is None else own.words,
        word_rows=None if own is None else after[torch.searchsorted(ids, added)],
    )

"""Other language models in an alignment: CLIP, DistilBERT and T5, with rows of pieces and with tokens of their own for whole words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.text.conftest import tiny_model

from mate.align.aligner import Aligner
from mate.align.recipe import align
from mate.text.encoder import TextEncoder
from mate.text.leak import piece_leak
from mate.text.patch import WordPatch, embedding_layer
from mate.text.patch_export import export_patched

from .test_language import FEW

# "walks", "waves" and "kicks" are two pieces each and share one; the others are whole.
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "person", "then", ",", "walk", "wave", "kick", "##s")
VOCABULARY = (*PIECES, "jumps", "left", "right", "look", "the")
TEXTS = ["a person walks left", "a person waves left, then jumps right", "looks"]
KINDS = ("clip", "distilbert", "t5")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tiny_model(kind, tmp_path_factory.mktemp(kind), 32, VOCABULARY) for kind in KINDS}


@pytest.mark.parametrize("rows", ["pieces", "whole-words"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_move_and_nothing_else(
    kind: str, rows: str, folders: dict[str, Path], toy_set: Path, tmp_path: Path
) -> None:
    import transformers

    base = str(folders[kind])
    result = align([toy_set], tmp_path / "out", base, replace(FEW, rows=rows), quiet=True)  # type: ignore[arg-type]
    patch, plain = WordPatch.load(result.patch), TextEncoder.from_pretrained(base)
    moved = {VOCABULARY[number] for number in patch.token_ids.tolist()}
    whole = {"jumps", "left", "right", "then"}
    if rows == "pieces":
        assert moved == whole | {"walk", "wave", "kick", "##s"} and not patch.words
    else:
        assert moved == whole and patch.words == ("kicks", "walks", "waves")
        assert result.report["own_words"] == 3
    before = {name: value.clone() for name, value in plain.model.state_dict().items()}
    tables = {
        name for name, value in before.items() if value.data_ptr() == plain.table.data_ptr() or "embed_tokens" in name
    }
    tables |= {
        name for name, value in before.items() if value.shape == plain.table.shape and torch.equal(value, plain.table)
    }
    assert (patch.rows != plain.table[patch.token_ids]).any(1).all()

    # The retrieval model's language model is the base with the patch: all else is bit for bit the same, and all is after a revert.
    features = plain.encode(TEXTS).pooled
    aligned = Aligner.from_pretrained(result.model).text_encoder
    state = aligned.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.items() if name not in tables)
    stay = [n for n in range(len(VOCABULARY)) if n not in patch.token_ids.tolist()]
    assert torch.equal(aligned.table[stay], plain.table[stay])
    handle = plain.apply(patch)
    patched = plain.encode(TEXTS).pooled
    assert torch.equal(aligned.encode(TEXTS).pooled, patched) and not torch.allclose(patched, features)

    folder = export_patched(patch, base, tmp_path / "exported")
    exported: Any = transformers.AutoModel.from_pretrained(folder)
    weight: Any = embedding_layer(exported).weight
    assert torch.equal(weight[patch.token_ids], patch.rows)
    assert torch.equal(weight[len(VOCABULARY) :], patch.word_rows) or not patch.words
    again = TextEncoder.from_pretrained(str(folder))
    torch.testing.assert_close(again.encode(TEXTS).pooled, patched, rtol=1e-5, atol=1e-6)
    handle.revert()
    after = plain.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(plain.encode(TEXTS).pooled, features)

    leak = piece_leak(plain, patch, ["walks", "waves", "kicks"], ["looks", "look"])
    assert leak.own > 0
    assert leak.touched == (1 if rows == "pieces" else 0), "'looks' shares ##s"

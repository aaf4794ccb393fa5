"""What alignment did to words, carried to their neighbours: where neighbours agree, only as far as they are near, and marked."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch
from mate.text.spread import MARK, Fade, SpreadConfig, fit_fade, main, spread_patch

from .conftest import tiny_model

FACTS: dict[str, Any] = {"base_model": "tiny", "training_data": "synthetic", "license": "Apache-2.0", "version": "1"}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s")
# Words of one letter's kind mean nearly the same; "lonely" is near to none.
KINDS = ("run", "turn", "wave")
WORDS = tuple(f"{kind}{letter}" for kind in KINDS for letter in "abcdef")
VOCABULARY = (*SPECIAL, *WORDS, "lonely")
HELD_OUT = ("runa", "turna", "wavea")


@pytest.fixture
def encoder(tmp_path: Path) -> TextEncoder:
    """A tiny model whose table has the kinds of words near each other."""
    encoder = TextEncoder.from_pretrained(str(tiny_model("bert", tmp_path / "base", 32, VOCABULARY)))
    generator = torch.Generator().manual_seed(0)
    centres = F.normalize(torch.randn(4, 32, generator=generator), dim=1)
    with torch.no_grad():
        for number, word in enumerate(VOCABULARY[len(SPECIAL) :], start=len(SPECIAL)):
            kind = next((n for n, kind in enumerate(KINDS) if word.startswith(kind)), 3)
            encoder.table[number] = centres[kind] + 0.05 * torch.randn(32, generator=generator)
    return encoder


def aligned(encoder: TextEncoder, together: bool) -> WordPatch:
    """All words but those held out moved: each kind in a direction of its own, or every word in its own."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(3, 32, generator=generator)
    ids = [VOCABULARY.index(word) for word in WORDS if word not in HELD_OUT]
    kinds = [next(n for n, kind in enumerate(KINDS) if VOCABULARY[token].startswith(kind)) for token in ids]
    shift = directions[kinds] if together else torch.randn(len(ids), 32, generator=generator)
    table = encoder.table.detach()
    return WordPatch.from_tables(table, torch.tensor(ids), table[ids] + shift, **FACTS)


def test_neighbours_that_agree_move_the_words_between_them(encoder: TextEncoder) -> None:
    patch, table = aligned(encoder, together=True), encoder.table.detach().clone()
    made = spread_patch(patch, encoder)
    mark = json.loads(made.metadata[MARK])
    tokens = {VOCABULARY[int(token)]: sure for token, sure in mark["tokens"].items()}
    assert set(tokens) == set(HELD_OUT), "lonely stays, and so does 'the'"
    assert mark["explained"] > 0.9 and min(tokens.values()) > 0.5
    place = {int(token): n for n, token in enumerate(made.token_ids)}
    for word, kind in zip(HELD_OUT, KINDS, strict=True):
        token, other = VOCABULARY.index(word), VOCABULARY.index(f"{kind}b")
        carried, seen = made.rows[place[token]] - table[token], made.rows[place[other]] - table[other]
        assert F.cosine_similarity(carried, seen, dim=0) > 0.99
    old = torch.tensor([place[int(token)] for token in patch.token_ids])
    assert torch.equal(made.rows[old], patch.rows) and torch.equal(encoder.table, table)
    with encoder.apply(made):
        assert not torch.equal(encoder.table[VOCABULARY.index("runa")], table[VOCABULARY.index("runa")])
    assert set(json.loads(spread_patch(patch, encoder, leave=["runa"]).metadata[MARK])["tokens"]) < set(mark["tokens"])
    with pytest.raises(MateError, match="spread already"):
        spread_patch(made, encoder)


def test_where_neighbours_say_nothing_nothing_spreads(encoder: TextEncoder) -> None:
    patch = aligned(encoder, together=False)
    made = spread_patch(patch, encoder)
    mark = json.loads(made.metadata[MARK])
    assert mark["explained"] < 0.05
    table = encoder.table.detach()
    carried = {int(token): float(sure) for token, sure in mark["tokens"].items()}
    rows = [n for n, token in enumerate(made.token_ids.tolist()) if token in carried]
    assert (made.rows[rows] - table[made.token_ids[rows]]).norm(dim=1).sum() < 0.6 * patch.rows.norm(dim=1).mean()


def test_words_of_several_pieces_get_tokens_when_asked_for(encoder: TextEncoder) -> None:
    made = spread_patch(aligned(encoder, together=True), encoder, words=["runas", "lonelys", "the"])
    assert made.words == ("runas",) and made.word_rows.shape == (1, 32)
    with encoder.apply(made):
        assert encoder.tokenizer.token_to_id("runas") is not None


def test_confidence_fades_with_distance() -> None:
    fade = Fade(0.4, 0.8, 0.5)
    torch.testing.assert_close(fade(torch.tensor([0.1, 0.4, 0.6, 0.8, 1.0])), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert fit_fade(torch.eye(2), torch.eye(2), 4) == Fade(1.0, 1.0, 0.0), "too few words to learn from"
    vectors = F.normalize(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    assert fit_fade(vectors, vectors @ torch.randn(8, 8), 4).explained > 0.2, "near words moved alike"


def test_what_cannot_be_spread_and_the_command(
    encoder: TextEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = aligned(encoder, together=True)
    with pytest.raises(MateError, match="one neighbour"):
        spread_patch(patch, encoder, SpreadConfig(neighbours=0))
    piece = torch.tensor([VOCABULARY.index("##s")])
    only = WordPatch.from_tables(encoder.table.detach(), piece, torch.ones(1, 32), **FACTS)
    with pytest.raises(MateError, match="nothing to spread"):
        spread_patch(only, encoder)
    hugging_face: Any = encoder.model
    hugging_face.save_pretrained(tmp_path / "base")  # with the table as it was made here
    patch.save(tmp_path / "patch.safetensors")
    command = [
        str(tmp_path / "patch.safetensors"),
        "-o",
        str(tmp_path / "out.safetensors"),
        "--encoder",
        str(tmp_path / "base"),
    ]
    (tmp_path / "words.txt").write_text("runbs\n")
    assert main([*command, "--space", "context", "--words", str(tmp_path / "words.txt")]) == 0
    assert "of the aligned words' displacements" in capsys.readouterr().out
    assert json.loads(WordPatch.load(tmp_path / "out.safetensors").metadata[MARK])["space"] == "context"

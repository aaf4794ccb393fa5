"""Words with tokens of their own: in and out of models and tokenizers, in whole exported folders, and without a leak."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.leak import piece_leak
from mate.text.patch import WordPatch, embedding_layer
from mate.text.vocabulary import pieces_of
from mate.text.whole_words import add_words, extend_tokenizer, mean_rows

from .conftest import KINDS, VOCABULARY, tiny_model

FACTS: dict[str, Any] = {"base_model": "tiny", "training_data": "synthetic", "license": "Apache-2.0", "version": "1"}
TEXTS = ["a person walks forward", "turns left , then turns right walks", "a person walkss left"]
WORDS = ("walks", "turns")
LEFT = VOCABULARY.index("left")


def patch_with_words(encoder: TextEncoder, scale: float = 1.0) -> WordPatch:
    """Rows for "left" and for two words of two pieces each."""
    generator = torch.Generator().manual_seed(1)
    table = encoder.table.detach()
    pieces = pieces_of(encoder, WORDS)
    start = mean_rows(table, [pieces[word] for word in WORDS])
    rows = start + scale * torch.randn(start.shape, generator=generator)
    left = torch.randn(1, table.shape[1], generator=generator)
    return WordPatch.from_tables(table, torch.tensor([LEFT]), left, **FACTS, words=WORDS, word_rows=rows)


@pytest.mark.parametrize("kind", KINDS)
def test_in_and_out_of_a_text_encoder(kind: str, tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    table, parameter, tokenizer = encoder.table.clone(), encoder.table, encoder.tokenizer.to_str()
    before, sha256 = encoder.encode(TEXTS), encoder.table_sha256
    patch = patch_with_words(encoder)
    for _ in range(2):  # and once more after a revert
        handle = encoder.apply(patch)
        tokens = encoder.tokenize(TEXTS)
        new = encoder.tokenizer.token_to_id("walks")
        assert tokens.ids[0].tolist().count(new) == 1 and tokens.mask.sum(1).tolist() == [6, 9, 8], (
            "walkss is another word"
        )
        assert torch.equal(encoder.embeddings(torch.tensor(new)), patch.word_rows[0])
        assert torch.equal(encoder.table[LEFT], patch.rows[0])
        others = [n for n in range(len(table)) if n != LEFT]
        assert torch.equal(encoder.table[others], table[others]), "no piece moves"
        assert encoder.table_sha256 == sha256
        features = encoder.word_features(TEXTS)
        assert [word.text for word in features.words[0]] == ["a", "person", "walks", "forward"] and features.mask[
            0, :4
        ].all()
        with pytest.raises(MateError, match="patched already"):
            encoder.apply(patch)
        handle.revert()
        handle.revert()
        assert encoder.table is parameter and torch.equal(encoder.table, table)
        assert encoder.tokenizer.to_str() == tokenizer and torch.equal(encoder.encode(TEXTS).pooled, before.pooled)


@pytest.mark.parametrize("kind", KINDS)
def test_other_peoples_models_and_exported_folders(kind: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    import transformers

    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    patch = WordPatch.load(patch_with_words(encoder).save(tmp_path / "patch.safetensors"))
    loader: Any = {"clip": transformers.CLIPTextModelWithProjection, "t5": transformers.T5EncoderModel}.get(
        kind, transformers.AutoModel
    )
    model, tokenizer = loader.from_pretrained(tiny[kind]).eval(), transformers.AutoTokenizer.from_pretrained(tiny[kind])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    size, ids = model.config.vocab_size, tokenizer(TEXTS)["input_ids"]
    with pytest.raises(MateError, match=r"patch\.apply\(model, tokenizer\)"):
        patch.apply(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "refused whole"

    encoder.apply(patch)
    tokenizer(TEXTS, padding=True)  # which a fast tokenizer remembers
    state = tokenizer.backend_tokenizer.to_str()
    with patch.apply(model, tokenizer):
        assert model.config.vocab_size == size + 2 == len(embedding_layer(model).weight)  # type: ignore[arg-type]
        inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
        states = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        valid = inputs["attention_mask"].bool()
        expected = encoder.encode(TEXTS).tokens
        torch.testing.assert_close(states[valid], expected[valid], rtol=1e-5, atol=1e-6)
    assert model.config.vocab_size == size and tokenizer.backend_tokenizer.to_str() == state
    assert tokenizer(TEXTS)["input_ids"] == ids and tokenizer.convert_tokens_to_ids("walks") == VOCABULARY.index(
        "[UNK]"
    )
    after = model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(value, before[name]) for name, value in after.items())

    folder = patch.export(tiny[kind], tmp_path / "out")
    automatic = transformers.AutoModel.from_pretrained(folder)
    assert torch.equal(embedding_layer(automatic).weight[-2:], patch.word_rows)  # type: ignore[index]
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs(TEXTS)["input_ids"] == [
        row[: sum(mask)]
        for row, mask in zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True)
    ]
    again = TextEncoder.from_pretrained(str(folder))
    torch.testing.assert_close(again.encode(TEXTS).pooled, encoder.encode(TEXTS).pooled, rtol=1e-5, atol=1e-6)


def test_shared_tables_grow_together(tmp_path: Path) -> None:
    import transformers

    folder = tiny_model("whole t5", tmp_path)
    model: Any = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    patch = patch_with_words(TextEncoder.from_pretrained(str(folder)))
    shared = model.shared.weight
    with patch.apply(model, tokenizer):
        assert model.shared.weight is model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight
        assert len(model.shared.weight) == len(VOCABULARY) + 2
        inputs = tokenizer("a person walks", return_tensors="pt")
        assert model(**inputs, decoder_input_ids=torch.tensor([[0]])).logits.shape[-1] == len(VOCABULARY)
    assert model.shared.weight is model.encoder.embed_tokens.weight is shared


@pytest.mark.slow
def test_a_real_sentence_transformer_brings_its_tokenizer(tiny: dict[str, Path], tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(tiny["bert"]), device="cpu")
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    patch = patch_with_words(encoder)
    before = model.encode(TEXTS)
    with patch.apply(model):
        patched = model.encode(TEXTS)
    assert (model.encode(TEXTS) == before).all()
    encoder.apply(patch)
    torch.testing.assert_close(torch.tensor(patched), encoder.encode(TEXTS).pooled, rtol=1e-4, atol=1e-5)


def test_what_takes_no_words(tiny: dict[str, Path]) -> None:
    import transformers

    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    patch = patch_with_words(encoder)
    openai_clip: Any = nn.Module()
    openai_clip.token_embedding = nn.Embedding.from_pretrained(encoder.table.detach().clone())
    with pytest.raises(MateError, match="openai-clip"):
        patch.apply(openai_clip)
    theirs = transformers.AutoModel.from_pretrained(tiny["bert"])
    with pytest.raises(MateError, match="takes no new tokens"):
        patch.apply(theirs, tokenizer=str.split)
    with pytest.raises(MateError, match="tokens for left already"):
        add_words(encoder, ["left"], torch.zeros(1, 32))
    with pytest.raises(MateError, match="rows"):
        add_words(encoder, ["walks"], torch.zeros(2, 32))
    old_clip: Any = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(  # type: ignore[call-arg]
            vocab_size=15,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=64,
            eos_token_id=2,
        )
    )
    with pytest.raises(MateError, match="eos_token_id 2"):
        add_words(old_clip, ["walks"], torch.zeros(1, 32), transformers.AutoTokenizer.from_pretrained(tiny["bert"]))
    for words, rows in (
        (("walks",), torch.zeros(2, 32)),
        (("walks", "walks"), torch.zeros(2, 32)),
        ((" walks",), torch.zeros(1, 32)),
    ):
        with pytest.raises(MateError, match="words"):
            WordPatch(patch.token_ids, patch.rows, patch.metadata, words, rows)


def test_files_with_words_come_back_and_old_ones_stay_as_they_were(tiny: dict[str, Path], tmp_path: Path) -> None:
    from safetensors import safe_open

    patch = patch_with_words(TextEncoder.from_pretrained(str(tiny["bert"])))
    path = patch.save(tmp_path / "patch.safetensors", torch.float16)
    back = WordPatch.load(path)
    assert back.words == WORDS and torch.equal(back.word_rows, patch.word_rows.half().float())
    assert dict(back.metadata) == dict(patch.metadata)
    content = path.read_bytes()
    (tmp_path / "other.safetensors").write_bytes(content.replace(b"walks", b"talks"))
    with pytest.raises(MateError, match="own hash"):
        WordPatch.load(tmp_path / "other.safetensors")
    without = WordPatch(patch.token_ids, patch.rows, patch.metadata).save(tmp_path / "old.safetensors")
    with safe_open(without, framework="pt") as file:
        assert file.metadata()["format_version"] == "1" and set(file.keys()) == {"token_ids", "rows"}
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format_version"] == "2", "a program that knows no words refuses it"


def test_whole_words_do_not_leak(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    others = ["turnss", "walkforward", "walk", "forwards", "lefts"]
    table, piece = encoder.table.detach(), VOCABULARY.index("##s")
    pieces = WordPatch.from_tables(table, torch.tensor([piece]), table[[piece]] * 2, **FACTS)
    leaking = piece_leak(encoder, pieces, WORDS, others)
    assert leaking.touched == 3
    words = patch_with_words(encoder)
    words = WordPatch(torch.zeros(0, dtype=torch.long), words.rows[:0], words.metadata, words.words, words.word_rows)
    whole = piece_leak(encoder, words, WORDS, others)
    assert whole.own > 0.1 and (whole.touched, whole.shift, whole.worst) == (0, 0.0, ())
    start = piece_leak(encoder, patch_with_words(encoder, scale=0.0), WORDS, ["forwards"])
    assert start.own == pytest.approx(0.0, abs=1e-6), "a new word starts as what its pieces gave"
    assert torch.equal(encoder.table, table)


def byte_level() -> Any:
    """RoBERTa's kind: a word's space is a part of the word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        ["he walks left and then"] * 4, trainers.BpeTrainer(vocab_size=300, show_progress=False)
    )
    return tokenizer


def sentence_piece() -> Any:
    """T5's kind: the space before a word is a sign of it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    trainer = trainers.UnigramTrainer(vocab_size=60, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"])
    tokenizer.train_from_iterator(["he walks left and then jumps back again"] * 4, trainer)
    return tokenizer


def clip_like() -> Any:
    """CLIP's kind: the last piece of a word has a sign."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=60, show_progress=False, end_of_word_suffix="</w>")
    tokenizer.train_from_iterator(["he walks left and then"] * 4, trainer)
    return tokenizer


@pytest.mark.parametrize("make", [byte_level, sentence_piece, clip_like])
def test_the_words_around_a_new_word_keep_their_tokens(make: Any) -> None:
    tokenizer = make()
    comma = "" if make is sentence_piece else ","  # T5's tokenizer writes a lone space before a comma behind a new word
    text = f"he jogs left and jogs{comma} then jogsaw"
    pieces = tokenizer.encode("he jogs").ids[len(tokenizer.encode("he").ids) :]
    before = tokenizer.encode(text)
    new = int(extend_tokenizer(tokenizer, ["jogs"])[0])
    after = tokenizer.encode(text)
    assert after.ids.count(new) == 2
    expanded = [part for number in after.ids for part in (pieces if number == new else [number])]
    assert expanded == before.ids, "nothing but the word's own pieces is replaced, and no lone space is left"
    spans = [
        text[start:end].strip() for number, (start, end) in zip(after.ids, after.offsets, strict=True) if number == new
    ]
    assert spans == ["jogs", "jogs"]

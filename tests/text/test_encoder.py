"""Text encoders: the embedded default, tiny models of every supported class, the frozen promise, words and their pieces."""

from pathlib import Path
from typing import Any

import pytest
import torch

import mate.text.encoder as encoder_module
from mate.data.captions import words
from mate.errors import MateError
from mate.text.encoder import DEFAULT_PACKAGE, TextEncoder, default_model_folder, word_matrix

TEXTS = ["a person walks forward", "turns left , then turns right walks"]
KINDS = ("bert", "roberta", "mpnet", "distilbert", "clip", "t5")

needs_minilm = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec(DEFAULT_PACKAGE) is None, reason="the extra `offline` is not installed"
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_matches_transformers(kind: str, tiny: dict[str, Path]) -> None:
    import transformers as hf

    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    features = encoder.encode(TEXTS)
    assert encoder.family == {"clip": "clip_text_model"}.get(kind, kind)
    assert encoder.dim == (24 if kind == "clip" else 32) and encoder.token_dim == 32
    assert features.pooled.shape == (2, encoder.dim) and features.tokens.shape[:2] == features.mask.shape
    assert features.mask.dtype == torch.bool and features.mask.sum(1).tolist() == [7, 12]
    loader = {"clip": hf.CLIPTextModelWithProjection, "t5": hf.T5EncoderModel}.get(kind, hf.AutoModel)
    reference = loader.from_pretrained(tiny[kind]).eval()
    tokens = encoder.tokenize(TEXTS)
    output = reference(input_ids=tokens.ids, attention_mask=tokens.mask.long())
    valid = tokens.mask
    torch.testing.assert_close(features.tokens[valid], output.last_hidden_state[valid], rtol=1e-5, atol=1e-6)
    if kind == "clip":
        torch.testing.assert_close(features.pooled, output.text_embeds, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_reach_the_features(kind: str, tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    torch.testing.assert_close(encoder.encode(TEXTS).pooled[:1], encoder.encode(TEXTS[:1]).pooled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "clip", "t5"])
def test_frozen_stays_frozen_inside_a_module_in_train_mode(kind: str, tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    before = encoder.encode(TEXTS).pooled
    holder = torch.nn.Module()
    holder.language = encoder.model  # even registered as a sub-module
    holder.train()
    encoder.model.train()
    assert not any(module.training for module in encoder.model.modules())
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())
    assert torch.equal(encoder.encode(TEXTS).pooled, before)


def test_an_encoder_is_no_module_so_that_generators_do_not_store_it(tiny: dict[str, Path]) -> None:
    holder: Any = torch.nn.Module()
    holder.encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    assert not holder.state_dict() and not list(holder.parameters())


def test_a_word_is_the_mean_of_its_pieces(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    features = encoder.word_features(TEXTS)
    assert [word.text for word in features.words[0]] == ["a", "person", "walks", "forward"]
    assert features.mask.tolist() == [[True] * 4 + [False] * 2, [True] * 6]
    tokens = encoder.encode(TEXTS).tokens
    torch.testing.assert_close(features.vectors[0, 2], tokens[0, 3:5].mean(0))  # walk ##s
    assert not features.vectors[0, 4:].any()


def test_word_matrix_takes_tokens_that_start_at_the_space_before_their_word() -> None:
    text = "walks left"
    offsets = torch.tensor([[(0, 5), (5, 10), (0, 0)]])  # sentencepiece: " left" is one token
    assert word_matrix(offsets, [words(text)]).tolist() == [[[1, 0, 0], [0, 1, 0]]]


def test_texts_that_cannot_be_encoded(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    for texts, message in (
        ([""], "empty"),
        (["walk", "  \t"], "text 1 is empty"),
        (["w" * 10_000], "10,000 characters"),
        ([" ".join(["walk"] * 40)], "42 tokens"),
        ([], "no texts"),
        ("walk", "write \\[text\\]"),
    ):
        with pytest.raises(MateError, match=message):
            encoder.encode(texts)


def test_truncation_keeps_the_closing_token(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    tokens = encoder.tokenize([" ".join(["walk"] * 40), "walk"], truncate=True)
    assert tokens.ids.shape == (2, 32)
    assert tokens.ids[0, -1] == 3 and tokens.mask[1].sum() == 3


def test_an_unknown_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MateError, match="cannot load the language model"):
        TextEncoder.from_pretrained(str(tmp_path / "nothing"))


@needs_minilm
def test_the_default_equals_transformers() -> None:
    from transformers import BertModel

    encoder = TextEncoder.from_pretrained()
    tokens = encoder.tokenize(["a person walks forward", "raises the left hand, then waves goodbye"])
    reference = BertModel.from_pretrained(default_model_folder(), add_pooling_layer=False).eval()
    expected = reference(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
    features = encoder.forward_tokens(tokens)
    torch.testing.assert_close(features.tokens[tokens.mask], expected[tokens.mask], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.pooled.norm(dim=1), torch.ones(2))
    mean = expected[0][tokens.mask[0]].mean(0)
    torch.testing.assert_close(features.pooled[0], mean / mean.norm(), rtol=1e-4, atol=1e-5)


@needs_minilm
def test_the_default_refuses_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for source in default_model_folder().iterdir():
        if source.is_file():
            (folder / source.name).write_bytes(source.read_bytes())
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\1\2\3")
    monkeypatch.setattr(encoder_module, "default_model_folder", lambda: folder)
    with pytest.raises(MateError, match="not the published"):
        TextEncoder.from_pretrained()

"""Word patches in other people's models: every layout they come in, whole exported folders, and the leak of shared pieces."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.leak import piece_leak
from mate.text.patch import WordPatch, embedding_layer

from .conftest import KINDS, VOCABULARY, tiny_model

FACTS: dict[str, Any] = {"base_model": "tiny", "training_data": "synthetic", "license": "Apache-2.0", "version": "1"}
IDS = (7, 9, 11)


def some_patch(table: torch.Tensor, ids: tuple[int, ...] = IDS) -> WordPatch:
    rows = torch.randn(len(ids), table.shape[1], generator=torch.Generator().manual_seed(3))
    return WordPatch.from_tables(table.detach(), torch.tensor(ids), rows, **FACTS)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of two towers or with a decoder: kind -> folder."""
    return {kind: tiny_model(kind, tmp_path_factory.mktemp("whole")) for kind in ("whole clip", "whole t5")}


class Layout(nn.Module):
    """Named parts and nothing else."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def layouts(table: torch.Tensor, hugging_face: nn.Module) -> dict[str, nn.Module]:
    """The places of the word embeddings in libraries that are not installed here."""

    def embedding() -> nn.Module:
        return nn.Embedding.from_pretrained(table.detach().clone())

    def blocks() -> nn.Module:
        return Layout(resblocks=nn.Linear(2, 2))

    return {
        "openai-clip": Layout(visual=Layout(transformer=blocks()), transformer=blocks(), token_embedding=embedding()),
        "open_clip": Layout(visual=nn.Linear(2, 2), transformer=blocks(), token_embedding=embedding()),
        "open_clip, text tower": Layout(
            visual=nn.Linear(2, 2), text=Layout(transformer=blocks(), token_embedding=embedding())
        ),
        "open_clip, Hugging Face text tower": Layout(
            visual=nn.Linear(2, 2), text=Layout(transformer=hugging_face, proj=nn.Linear(32, 24))
        ),
        "sentence-transformers": nn.Sequential(Layout(auto_model=hugging_face), nn.Identity()),
    }


def test_every_layout_is_patched_and_reverted_bit_for_bit(tiny: dict[str, Path]) -> None:
    import transformers

    hugging_face = transformers.AutoModel.from_pretrained(tiny["bert"])
    table = hugging_face.get_input_embeddings().weight
    patch = some_patch(table)
    for name, model in layouts(table, hugging_face).items():
        before = {key: value.clone() for key, value in model.state_dict().items()}
        with patch.apply(model):
            changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
            assert len(changed) == 1 and "embedding" in changed[0], name
            assert torch.equal(model.state_dict()[changed[0]][patch.token_ids], patch.rows), name
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()), name


def test_two_towers_and_decoders(whole: dict[str, Path]) -> None:
    import transformers

    ids = torch.tensor([[2, 5, 7, 3]])
    clip: Any = transformers.AutoModel.from_pretrained(whole["whole clip"]).eval()
    table = clip.text_model.embeddings.token_embedding.weight
    assert embedding_layer(clip).weight is table
    pixels = torch.zeros(1, 3, 8, 8)
    before = clip(input_ids=ids, pixel_values=pixels)
    with some_patch(table).apply(clip):
        after = clip(input_ids=ids, pixel_values=pixels)
    assert not torch.allclose(after.text_embeds, before.text_embeds)
    assert torch.equal(after.image_embeds, before.image_embeds)

    t5: Any = transformers.T5ForConditionalGeneration.from_pretrained(whole["whole t5"]).eval()
    original = t5.shared.weight.detach().clone()
    handle = some_patch(t5.shared.weight).apply(t5)
    assert torch.equal(t5.encoder.embed_tokens.weight, t5.shared.weight), "the encoder and the decoder share the table"
    handle.revert()
    assert torch.equal(t5.shared.weight, original)


@pytest.mark.slow
def test_a_real_sentence_transformer(tiny: dict[str, Path], tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    (tmp_path / "model").mkdir()
    for path in tiny["bert"].iterdir():
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    model = library.SentenceTransformer(str(tmp_path / "model"), device="cpu")
    model.save(str(tmp_path / "saved"))
    patch = some_patch(embedding_layer(model).weight)  # type: ignore[arg-type]
    before = model.encode(["a person turns left"])
    with patch.apply(model):
        patched = model.encode(["a person turns left"])
    assert (model.encode(["a person turns left"]) == before).all() and (patched != before).any()

    exported = patch.export(tmp_path / "saved", tmp_path / "exported")
    again = library.SentenceTransformer(str(exported), device="cpu")
    assert (again.encode(["a person turns left"]) == patched).all(), "pooling and tokeniser are in the folder too"


@pytest.mark.parametrize("kind", [*KINDS, "whole clip", "whole t5"])
def test_an_exported_folder_loads_without_mate(
    kind: str, tiny: dict[str, Path], whole: dict[str, Path], tmp_path: Path
) -> None:
    import transformers

    base = {**tiny, **whole}[kind]
    loader: Any = {
        "clip": transformers.CLIPTextModelWithProjection,
        "t5": transformers.T5EncoderModel,
        "whole t5": transformers.T5ForConditionalGeneration,
    }.get(kind, transformers.AutoModel)
    model = loader.from_pretrained(base)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    patch = some_patch(embedding_layer(model).weight)  # type: ignore[arg-type]
    folder = patch.export(base, tmp_path / "out")

    exported = loader.from_pretrained(folder)
    automatic = transformers.AutoModel.from_pretrained(folder)
    assert torch.equal(embedding_layer(automatic).weight[patch.token_ids], patch.rows)  # type: ignore[index]
    with patch.apply(model):
        assert all(torch.equal(value, exported.state_dict()[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert (
        tokenizer("a person")["input_ids"] == transformers.AutoTokenizer.from_pretrained(base)("a person")["input_ids"]
    )
    card = (folder / "README.md").read_text()
    assert "3 rows" in card and patch.metadata["table_sha256"] in card
    with pytest.raises(MateError, match="no word-embedding table"):  # it is patched now: another table
        patch.export(folder, tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_export_keeps_number_formats_and_every_other_number(tiny: dict[str, Path], tmp_path: Path) -> None:
    import transformers
    from safetensors.torch import load_file

    model = transformers.AutoModel.from_pretrained(tiny["distilbert"])
    patch = some_patch(model.get_input_embeddings().weight)
    model.half().save_pretrained(tmp_path / "half")
    (tmp_path / "half" / "README.md").write_text("the base model's card")
    (tmp_path / "half" / "pytorch_model.bin").write_text("stale weights")
    folder = patch.export(tmp_path / "half", tmp_path / "out")
    old, new = (load_file(path / "model.safetensors") for path in (tmp_path / "half", folder))
    changed = [name for name in old if not torch.equal(old[name], new[name])]
    assert changed == ["embeddings.word_embeddings.weight"] and new[changed[0]].dtype == torch.float16
    assert torch.equal(new[changed[0]][patch.token_ids], patch.rows.half())
    assert (folder / "README.base.md").read_text() == "the base model's card"
    assert not (folder / "pytorch_model.bin").exists()


def test_a_folder_without_safetensors_is_converted(tiny: dict[str, Path], tmp_path: Path) -> None:
    import transformers

    model = transformers.AutoModel.from_pretrained(tiny["bert"])
    base = tmp_path / "base"
    base.mkdir()
    for path in tiny["bert"].iterdir():
        if path.suffix == ".json":
            (base / path.name).write_bytes(path.read_bytes())
    torch.save(model.state_dict(), base / "pytorch_model.bin")
    patch = some_patch(model.get_input_embeddings().weight)
    exported = transformers.AutoModel.from_pretrained(patch.export(base, tmp_path / "out"))
    with patch.apply(model):
        assert all(torch.equal(value, exported.state_dict()[name]) for name, value in model.state_dict().items())


def test_what_cannot_be_exported(tiny: dict[str, Path], tmp_path: Path) -> None:
    patch = some_patch(TextEncoder.from_pretrained(str(tiny["bert"])).table)
    with pytest.raises(MateError, match="no word-embedding table"):
        patch.export(tiny["distilbert"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == [], "nothing half-written"
    with pytest.raises(MateError, match="not empty"):
        patch.export(tiny["bert"], tiny["bert"])
    with pytest.raises(MateError, match=r"no config\.json"):
        patch.export(tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_the_default_model_exports_and_encodes_alike(tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained()
    patch = some_patch(encoder.table, (2187, 2157))
    folder = patch.export("all-MiniLM-L6-v2", tmp_path / "out")
    encoder.apply(patch)
    again = TextEncoder.from_pretrained(str(folder))
    texts = ["a person turns left", "a person turns right"]
    torch.testing.assert_close(again.encode(texts).pooled, encoder.encode(texts).pooled, rtol=1e-5, atol=1e-6)
    assert json.loads((folder / "modules.json").read_text())


# ---------------------------------------------------------------------- the leak


def test_shared_pieces_leak(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    piece = VOCABULARY.index("##s")
    table = encoder.table.detach()
    rows = table[[piece]] * 2
    patch = WordPatch.from_tables(table, torch.tensor([piece]), rows, **FACTS)
    leak = piece_leak(encoder, patch, ["walks"], ["turns", "left", "lefts", "Walks"])
    assert (leak.words, leak.touched) == (3, 2) and leak.share == pytest.approx(2 / 3)
    assert {word for word, _ in leak.worst} == {"turns", "lefts"} and leak.worst[0][1] >= leak.worst[1][1]
    mean = table[[VOCABULARY.index("turn"), piece]].mean(0)
    assert dict(leak.worst)["turns"] == pytest.approx(float(table[piece].norm() / 2 / mean.norm()), rel=1e-5)
    assert leak.own > 0 and leak.shift == pytest.approx(sum(shift for _, shift in leak.worst) / 2)
    none = piece_leak(encoder, patch, ["walks"], ["left"])
    assert none.touched == 0 and none.shift == 0.0
    with pytest.raises(MateError, match="no words"):
        piece_leak(encoder, patch, [], ["left"])
    encoder.apply(patch)
    with pytest.raises(MateError, match="made for"):
        piece_leak(encoder, patch, ["walks"], ["left"])

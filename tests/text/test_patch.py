"""Word patches: in, out, refused; and rows that train without the table."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.patch import SparseRows, WordPatch, embedding_layer, table_hashes, tensor_sha256
from mate.text.speed import measure_patch

TEXTS = ["a person walks forward", "turns left , then turns right walks"]
KINDS = ("bert", "roberta", "mpnet", "distilbert", "clip", "t5")
FACTS: dict[str, Any] = {"base_model": "tiny", "training_data": "synthetic", "license": "Apache-2.0", "version": "1"}


def some_patch(table: torch.Tensor, ids: tuple[int, ...] = (9, 7, 11)) -> WordPatch:
    rows = torch.randn(len(ids), table.shape[1], generator=torch.Generator().manual_seed(3))
    return WordPatch.from_tables(table, torch.tensor(ids), rows, **FACTS)


def test_the_table_hash_is_of_the_fp32_bytes() -> None:
    table = torch.randn(5, 3)
    assert tensor_sha256(table) == hashlib.sha256(table.numpy().tobytes()).hexdigest()
    assert table_hashes(table)["table_sha256"] == tensor_sha256(table)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_patch_file_comes_back_as_it_was(tmp_path: Path, dtype: torch.dtype) -> None:
    patch = some_patch(torch.randn(15, 32))
    path = patch.save(tmp_path / "patch.safetensors", dtype)
    back = WordPatch.load(path)
    assert back.token_ids.tolist() == [7, 9, 11]
    assert back.rows.dtype == torch.float32
    assert torch.equal(back.rows, patch.rows.to(dtype).float())
    assert dict(back.metadata) == dict(patch.metadata)
    assert [file.name for file in tmp_path.iterdir()] == ["patch.safetensors"]


@pytest.mark.parametrize("kind", KINDS)
def test_apply_and_revert_bit_for_bit(kind: str, tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    table, features, name = encoder.table.clone(), encoder.encode(TEXTS).pooled, encoder.table_sha256
    patch = some_patch(encoder.table)
    handle = encoder.apply(patch)
    assert torch.equal(encoder.table[patch.token_ids], patch.rows)
    untouched = [n for n in range(len(table)) if n not in patch.token_ids.tolist()]
    assert torch.equal(encoder.table[untouched], table[untouched])
    assert not torch.allclose(encoder.encode(TEXTS).pooled, features)
    assert encoder.table_sha256 == name
    with pytest.raises(MateError, match="patched already"):
        encoder.apply(patch)
    handle.revert()
    handle.revert()
    assert torch.equal(encoder.table, table) and torch.equal(encoder.encode(TEXTS).pooled, features)


def test_apply_to_other_peoples_models(tiny: dict[str, Path]) -> None:
    import transformers as hf

    theirs = hf.AutoModel.from_pretrained(tiny["bert"])
    patch = some_patch(theirs.get_input_embeddings().weight)
    openai_clip: Any = nn.Module()
    openai_clip.token_embedding = theirs.get_input_embeddings()
    wrapper: Any = nn.Module()
    wrapper.auto_model = theirs
    models: list[Any] = [theirs, openai_clip, nn.Sequential(wrapper)]
    for model in models:
        table: Any = embedding_layer(model).weight
        before = table.clone()
        with patch.apply(model):
            assert torch.equal(theirs.get_input_embeddings().weight[patch.token_ids], patch.rows)
        assert torch.equal(table, before)
    with pytest.raises(MateError, match="no word-embedding layer"):
        patch.apply(nn.Linear(2, 2))


def test_a_copy_in_half_precision_is_recognised() -> None:
    table = torch.randn(15, 32)
    holder: Any = nn.Module()
    holder.token_embedding = nn.Embedding.from_pretrained(table).half()
    patch = some_patch(table)
    with patch.apply(holder):
        assert torch.equal(holder.token_embedding.weight[patch.token_ids], patch.rows.half())
    assert torch.equal(holder.token_embedding.weight, table.half())


def test_another_table_is_refused(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    other = encoder.table.clone()
    other[3, 3] += 1e-3
    for table in (other, torch.randn(15, 16), torch.randn(4, 32)):
        with pytest.raises(MateError):
            some_patch(table, (1, 2)).apply(encoder)
    with pytest.raises(MateError, match="names token 14"):
        some_patch(torch.randn(15, 32), (14,)).check(torch.randn(10, 32))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = some_patch(torch.randn(15, 32)).save(tmp_path / "patch.safetensors")
    content = path.read_bytes()
    for name, damaged, message in (
        ("changed", content[:-3] + b"\1\2\3", "own hash"),
        ("short", content[: len(content) // 2], "damaged"),
        ("text", b"hello", "damaged"),
    ):
        other = tmp_path / f"{name}.safetensors"
        other.write_bytes(damaged)
        with pytest.raises(MateError, match=message):
            WordPatch.load(other)
    save_file({"rows": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(MateError, match="not a word patch"):
        WordPatch.load(tmp_path / "model.safetensors")
    with pytest.raises(MateError, match="no word patch"):
        WordPatch.load(tmp_path / "absent.safetensors")
    with pytest.raises(MateError, match=r"ends in \.safetensors"):
        some_patch(torch.randn(15, 32)).save(tmp_path / "patch.pt")


@pytest.mark.parametrize(
    ("ids", "rows", "metadata", "message"),
    [
        (torch.tensor([1, 1]), torch.zeros(2, 4), FACTS, "distinct"),
        (torch.tensor([1]), torch.full((1, 4), float("nan")), FACTS, "finite"),
        (torch.tensor([1, 2]), torch.zeros(3, 4), FACTS, "expected"),
        (torch.tensor([1]), torch.zeros(1, 4), FACTS, "missing: table_sha256"),
    ],
)
def test_what_is_no_patch(ids: torch.Tensor, rows: torch.Tensor, metadata: dict[str, str], message: str) -> None:
    with pytest.raises(MateError, match=message):
        WordPatch(ids, rows, metadata)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_chosen_rows_train(kind: str, tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny[kind]))
    before, table = encoder.encode(TEXTS).pooled.detach(), encoder.table.clone()
    rows = encoder.train_rows(torch.tensor([11, 12, 4]))
    assert torch.equal(encoder.encode(TEXTS).pooled, before), "a fresh layer changes nothing"
    optimizer = torch.optim.Adam([rows.delta], lr=0.1)
    encoder.encode(TEXTS).pooled.square().sum().backward()
    optimizer.step()
    assert all(parameter.grad is None for parameter in encoder.model.parameters() if parameter is not rows.delta)
    assert rows.delta.shape == (3, table.shape[1])
    assert not rows.delta[0].any(), "token 4 occurs in no text"
    assert rows.delta[1].any() and rows.delta[2].any()
    state = optimizer.state[rows.delta]
    assert max(value.numel() for value in state.values()) == rows.delta.numel(), (
        "no optimiser state for the whole table"
    )
    trained = encoder.encode(TEXTS).pooled.detach()
    assert not torch.allclose(trained, before)
    patch = WordPatch.from_tables(encoder.table, rows.token_ids, rows.rows(), **FACTS)
    encoder.end_training()
    assert torch.equal(encoder.table, table) and torch.equal(encoder.encode(TEXTS).pooled, before)
    encoder.apply(patch)
    torch.testing.assert_close(encoder.encode(TEXTS).pooled, trained, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("two_threads")
def test_the_gradient_of_rows_is_the_same_every_time() -> None:
    """A word that many captions hold gets its gradient from many places, and threads must not race for it."""
    torch.manual_seed(0)
    rows = SparseRows(nn.Embedding(6, 64), torch.tensor([1, 4]))
    ids, weight = torch.randint(6, (40, 32)), torch.randn(40, 32, 64)

    def gradient() -> torch.Tensor:
        rows.zero_grad()
        (rows(ids) * weight).sum().backward()
        assert rows.delta.grad is not None
        return rows.delta.grad.clone()

    first = gradient()
    assert first.any() and all(torch.equal(gradient(), first) for _ in range(5))


def test_sparse_rows_refuse_unknown_ids_and_take_none() -> None:
    base = nn.Embedding(6, 3)
    with pytest.raises(MateError, match=r"expected 0\.\.5"):
        SparseRows(base, torch.tensor([7]))
    ids = torch.tensor([[0, 5]])
    assert torch.equal(SparseRows(base, torch.empty(0, dtype=torch.long))(ids), base(ids))


def test_the_benchmark_tells_the_size_of_a_patch_for_clip() -> None:
    """6,000 rows of 512 numbers: at most 13 MB, half of it in fp16."""
    lines, notes = measure_patch(1)
    size = {line["what"]: line["file, MB"] for line in lines if line["file, MB"]}
    assert size["load, fp32"] < 13 and size["load, fp16"] < 6.5
    assert all(line["processor seconds"] > 0 for line in lines) and "6,000 rows" in notes[0]

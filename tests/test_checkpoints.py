"""Model folders: strict, without pickle, hashes checked."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mate.checkpoints import (
    CARD,
    CONFIG,
    WEIGHTS,
    as_int8,
    from_pretrained,
    load_folder,
    load_strict,
    read_config,
    save_folder,
)
from mate.errors import MateError

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.float16)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    extra = tmp_path / "extra.safetensors"
    extra.write_bytes(b"extra")
    return save_folder(
        tmp_path / "model", {"model_type": "thing", "x": 1}, TENSORS, "# card\n", {"patch.safetensors": extra}
    )


def test_round_trip(folder: Path) -> None:
    config, tensors, path = load_folder(folder, "thing")
    assert path == folder
    assert config["x"] == 1
    assert all(
        torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in TENSORS.items()
    )
    assert (folder / CARD).read_text() == "# card\n"
    assert set(config["sha256"]) == {WEIGHTS, "patch.safetensors"}


@pytest.mark.parametrize("shape", [(80, 64), (5, 32, 64), (48, 40, 3)], ids=["linear", "codebook", "convolution"])
def test_int8_weights_come_back_within_half_a_step_of_their_row(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rows = torch.logspace(-3, 1, shape[0]).view(-1, *[1] * (len(shape) - 1))  # rows of very different size
    tensors = {
        "weight": torch.randn(shape, generator=torch.Generator().manual_seed(0)) * rows,
        "bias": torch.randn(shape[0]),
        "normalizer.scale": torch.tensor(3.0),
        "counts": torch.arange(6).view(2, 3),
        "zeros": torch.zeros(shape),
    }
    packed = as_int8(tensors)
    folder = save_folder(tmp_path / "model", {"model_type": "thing"}, packed, "")
    assert packed["weight"].dtype == torch.int8
    found = load_folder(folder)[1]
    assert found.keys() == tensors.keys()
    for name in ("bias", "normalizer.scale", "counts", "zeros"):
        assert torch.equal(found[name], tensors[name]), name
    largest = tensors["weight"].abs().flatten(1).amax(dim=1).view(rows.shape)
    assert bool(((found["weight"] - tensors["weight"]).abs() <= 0.501 / 127 * largest).all())


def test_saving_over_itself_keeps_the_further_files(folder: Path) -> None:
    save_folder(folder, {"model_type": "thing"}, TENSORS, "", {"patch.safetensors": folder / "patch.safetensors"})
    assert (folder / "patch.safetensors").read_bytes() == b"extra"


@pytest.mark.parametrize("name", [WEIGHTS, "patch.safetensors"])
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(MateError, match="was changed or is damaged"):
        load_folder(folder)


def test_a_truncated_or_missing_file_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:20])
    with pytest.raises(MateError, match="damaged"):
        load_folder(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(MateError, match="missing"):
        load_folder(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 1}', ""])
def test_a_broken_configuration_is_refused(folder: Path, content: str) -> None:
    (folder / CONFIG).write_text(content)
    with pytest.raises(MateError, match="not a model configuration"):
        load_folder(folder)


def test_weights_without_a_hash_are_refused(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    del config["sha256"]
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(MateError, match="SHA-256"):
        load_folder(folder)


def test_other_folders_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MateError, match="no model folder"):
        load_folder(tmp_path / "nothing" / "here" / "at all")
    with pytest.raises(MateError, match=r"has no config\.json"):
        load_folder(tmp_path)
    with pytest.raises(MateError, match="expected 'momask'"):
        read_config(folder, "momask")
    with pytest.raises(MateError, match="this version knows"):
        from_pretrained(folder)


def test_loading_into_a_module_is_strict() -> None:
    module = nn.Linear(3, 2)
    good = {"weight": torch.ones(2, 3, dtype=torch.float16), "bias": torch.zeros(2)}
    load_strict(module, good, "here")
    assert module.weight.dtype == torch.float32
    assert float(module.weight.sum()) == 6
    for bad, message in (
        ({"weight": good["weight"]}, "1 missing"),
        ({**good, "more": torch.ones(1)}, "1 unexpected"),
        ({**good, "bias": torch.zeros(3)}, "1 of another shape"),
    ):
        with pytest.raises(MateError, match=message):
            load_strict(module, bad, "here")

"""`mate info` and the library function under it."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from mate.about import about, safetensors_header
from mate.checkpoints import save_folder
from mate.cli.app import main
from mate.errors import MateError
from mate.formats.save import save_motion
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

NOTES = {"prompt": "a person waits: <b>here</b>; then sits", "license": "CC BY-NC 4.0", "model": "default", "seed": "7"}


@pytest.fixture
def motion() -> Motion:
    """Ten frames of a standing figure that moves forward, 0.1 m a frame."""
    pose = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + HUMANML3D.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    forward = np.arange(10, dtype=np.float32)[:, None, None] * np.array([0, 0, 0.1], np.float32)
    return Motion(pose + forward, fps=20.0, name="forward")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch = pytest.importorskip("torch")
    config = {"model_type": "momask", "license": "CC BY-NC 4.0", "steps": 10, "codes": list(range(99))}
    tensors = {"a": torch.zeros(3, 4, dtype=torch.float16), "b": torch.zeros(5)}
    return save_folder(tmp_path / "model", config, tensors, "# card")


def test_an_installation_names_versions_threads_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "installation"
    assert facts["torch"].startswith("2.")
    assert facts["threads"] >= 1
    for name in (
        "model default",
        "model kinwords",
        "model retrieval",
        "model evaluator-words",
        "model evaluator-sentences",
    ):
        assert facts[name] == "not in this installation" or facts[name]["license"] != "not stated"


def test_a_model_folder_names_its_licence_and_size(model: Path) -> None:
    facts = about(model)
    assert (facts["kind"], facts["model_type"], facts["license"]) == ("model", "momask", "CC BY-NC 4.0")
    assert facts["parameters"] == 17
    assert facts["number format"] == "F16, F32"
    assert facts["intact"] is True
    assert facts["steps"] == 10
    assert "codes" not in facts


def test_a_changed_model_is_called_not_intact(model: Path) -> None:
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert about(model)["intact"] is False


def test_a_word_patch_names_its_base_model(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from mate.text.patch import WordPatch

    base = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([2, 5, 7])
    patch = WordPatch.from_tables(
        base, ids, base[ids] + 1, base_model="tiny", training_data="kinwords", license="Apache-2.0", version="0.1.0"
    )
    facts = about(patch.save(tmp_path / "patch.safetensors"))
    assert (facts["kind"], facts["rows"], facts["width"]) == ("word patch", 3, 4)
    assert (facts["base_model"], facts["license"]) == ("tiny", "Apache-2.0")
    assert len(facts["table_sha256"]) == 64


@pytest.mark.parametrize("suffix", ["glb", "html", "mp4", "png", "npz"])
def test_a_written_motion_names_its_licence(suffix: str, motion: Motion, tmp_path: Path) -> None:
    path = save_motion(motion, tmp_path / f"motion.{suffix}", NOTES)
    facts = about(path)
    assert {key: facts[key] for key in NOTES} == NOTES


@pytest.mark.parametrize("suffix", ["npy", "bvh"])
def test_formats_without_a_place_for_it_have_it_in_the_index(suffix: str, motion: Motion, tmp_path: Path) -> None:
    path = save_motion(motion, tmp_path / f"0000.{suffix}")
    assert "license" not in about(path)
    row = {"prompt": "x", "file": "0000.npy", "seconds": 0.5, "seed": 7, "model": "default", "license": "CC BY-NC 4.0"}
    (tmp_path / "index.jsonl").write_text(json.dumps(row) + "\n")
    facts = about(path)
    assert (facts["license"], facts["seed"], facts["frames"], facts["fps"]) == ("CC BY-NC 4.0", "7", 10, 20.0)
    assert facts["way of the hips (m)"] == pytest.approx(0.9, abs=0.01)
    assert about(tmp_path)["license"] == "CC BY-NC 4.0"


def test_a_data_set_is_counted(tmp_path: Path) -> None:
    (tmp_path / "new_joint_vecs").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one#one/NUM#0.0#0.0\ntwo#two/NUM#0.0#0.0\n")
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "x", "license": "Apache-2.0", "fps": 20}))
    facts = about(tmp_path)
    assert (facts["kind"], facts["license"], facts["clips"], facts["captions"]) == (
        "data set",
        "Apache-2.0",
        {"train": 1},
        2,
    )


def test_the_table_has_what_the_json_has(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model)]) == 0
    shown = capsys.readouterr().out
    assert "CC BY-NC 4.0" in shown
    assert "intact" in shown


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("short.safetensors", b"\x00"),
        ("long.safetensors", struct.pack("<Q", 1 << 40) + b"{}"),
        ("text.safetensors", struct.pack("<Q", 2) + b"[]"),
        ("cut.safetensors", struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}     '),
        ("broken.glb", b"glTF"),
        ("broken.png", b"no picture"),
        ("notes.txt", b"hello"),
    ],
)
def test_what_it_does_not_know_is_one_error(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MateError):
        about(tmp_path / name)


def test_missing_paths_and_empty_folders_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MateError, match=r"expected|none of"):
            about(path)


def test_the_header_is_the_one_safetensors_writes(model: Path) -> None:
    tensors, notes = safetensors_header(model / "model.safetensors")
    assert tensors["a"]["shape"] == [3, 4]
    assert notes in ({}, {"format": "pt"})

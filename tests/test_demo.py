"""The demo's parts, at a size that takes seconds."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from mate import demo as module  # noqa: E402
from mate.cli.app import main  # noqa: E402
from mate.demo import DemoConfig, describe, opposite_cosines, run_demo  # noqa: E402
from mate.errors import MateError  # noqa: E402
from mate.formats.load import load_motion  # noqa: E402
from mate.generate.momask.config import PRESETS  # noqa: E402
from mate.generate.momask.model import MoMaskGenerator  # noqa: E402
from mate.motion.motion import Motion  # noqa: E402
from mate.text.encoder import TextEncoder  # noqa: E402
from mate.text.patch import WordPatch  # noqa: E402


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator folder with random weights and a word patch."""
    folder = tmp_path_factory.mktemp("demo")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = TextEncoder.from_pretrained()
        model = MoMaskGenerator(PRESETS["tiny"], encoder, facts={"license": "Apache-2.0"})
    ids = torch.tensor([2187, 2157])  # left, right
    rows = encoder.table[ids] + 0.1
    patch = WordPatch.from_tables(
        encoder.table, ids, rows, base_model=encoder.model_id, training_data="test", license="Apache-2.0", version="0"
    )
    return model.save_pretrained(folder / "tiny", "# tiny", patch.save(folder / "patch.safetensors"))


def test_opposites_are_near_each_other_in_the_published_model() -> None:
    encoder = TextEncoder.from_pretrained()
    cosines = opposite_cosines(encoder)
    assert cosines["left / right"]["words"] == pytest.approx(0.677, abs=0.005), "of the published model"
    assert cosines["left / right"]["texts"] == pytest.approx(0.896, abs=0.005)


def test_a_missing_model_ends_it_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "-o", str(tmp_path / "out"), "--model", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_too_few_clips_are_refused(generator: Path, tmp_path: Path) -> None:
    with pytest.raises(MateError, match="at least 100"):
        run_demo(tmp_path / "out", DemoConfig(clips=10, model=str(generator)))
    assert not (tmp_path / "out").exists()


def test_a_description_tells_way_and_side() -> None:
    import numpy as np

    from mate.motion.skeleton import HUMANML3D

    pose = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + HUMANML3D.rest_offsets[joint]
    angles = np.linspace(0, np.pi / 2, 60)  # to the left
    rotation = np.stack([[[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]] for a in angles])
    joints = np.einsum("tij,kj->tki", rotation, pose).astype(np.float32)
    said = describe(Motion(joints, fps=20.0))
    assert said.startswith("went 0.0 m")
    assert said.endswith("degrees to the left")


@pytest.mark.slow
def test_the_whole_demo_runs_small(generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMATS", ("npy", "bvh"))
    lines: list[str] = []
    config = DemoConfig(clips=100, retrieval_steps=2, align_steps=2, seconds=2.0, model=str(generator))
    result = run_demo(tmp_path / "out", config, say=lines.append, quiet=True)

    for made in result["motions"].values():
        for file in made["files"]:
            assert load_motion(file).seconds == pytest.approx(2.0)
            assert any(file in line for line in lines), "the demo says where its files are"
        assert made["license"] == "Apache-2.0"
    assert [made["patch"] for made in result["motions"].values()] == [True, False]
    assert WordPatch.load(result["words"]["patch"]).rows.shape[0] == result["words"]["rows"]
    assert json.loads((tmp_path / "out" / "demo.json").read_text()) == result

    again = run_demo(tmp_path / "out", config, say=lines.append, quiet=True)
    for pair, values in result["words"]["cosines"].items():  # the clock may end training, so not to the last bit
        assert again["words"]["cosines"][pair]["after"] == pytest.approx(values["after"], abs=1e-3)

"""The retrieval model that comes with the package."""

import json

import numpy as np
import pytest

import mate
from mate.align.aligner import Aligner
from mate.align.score import default_model
from mate.cli.app import main


@pytest.fixture(scope="module")
def packaged() -> Aligner:
    return Aligner.from_pretrained(default_model())


def test_it_is_small_and_names_its_licence() -> None:
    folder = default_model()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 7e6
    assert "CC BY-NC 4.0" in json.loads((folder / "config.json").read_text())["license"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_it_tells_sides_and_actions_apart_on_generated_motion(packaged: Aligner, side: str) -> None:
    from mate.motion.features import process_motion

    generator = mate.from_pretrained("kinwords")  # not trained on the same clips, nor on its language model
    wanted = f"a person raises the {side} hand"
    other = wanted.replace(side, {"left": "right", "right": "left"}[side])
    [joints] = generator.sample([wanted], [4.0], seed=3)
    scores = packaged.score(process_motion(joints), [wanted, other, "a person runs forward"])
    assert int(np.argmax(scores)) == 0


def test_score_needs_no_model_folder(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    still = np.zeros((40, 22, 3), np.float32) + np.linspace(0, 1, 22, dtype=np.float32)[None, :, None]
    np.save(tmp_path / "motion.npy", still)
    line = json.dumps(
        {"motion": str(tmp_path / "motion.npy"), "texts": ["a person walks", "a person waves, then sits"]}
    )
    (tmp_path / "pairs.jsonl").write_text(line + "\n")
    assert main(["score", "--pairs", str(tmp_path / "pairs.jsonl"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert len(row["similarities"]) == 2 and all(-1 <= value <= 1 for value in row["similarities"])

"""`mate ground` as a person calls it, with a small random model."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.align.conftest import tiny_aligner
from tests.align.conftest import tiny_bert as tiny_bert  # a fixture
from tests.motions import gliding

from mate.cli.app import main

TEXT = "a person walks left, then waves right"


@pytest.fixture(scope="module")
def model(tiny_bert: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    aligner = tiny_aligner(tiny_bert)
    return str(aligner.save_pretrained(tmp_path_factory.mktemp("model") / "retrieval", "a card"))


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("motion") / "walk.npy"
    np.save(path, gliding(81).astype(np.float32))
    return str(path)


def test_bars_for_people(model: str, motion: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ground", motion, TEXT, "--model", model]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0].startswith("1") and "a person walks left" in lines[0] and "waves right" in lines[1]
    assert all(any(line.startswith(word) and "█" in line for line in lines) for word in ("walks", "left", "waves"))
    assert not any(line.startswith("person") for line in lines) and "%" in shown
    assert main(["ground", motion, TEXT, "--model", model, "--every-word"]) == 0
    assert any(line.startswith("person") for line in capsys.readouterr().out.splitlines())


def test_json_and_a_picture(model: str, motion: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    png = tmp_path / "g.png"
    assert main(["ground", motion, TEXT, "--model", model, "--omega", "0", "--json", "--png", str(png)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["omega"] == 0 and facts["joint_method"] == "occlusion" and facts["frames"] == 80
    assert len(facts["words"]) == 7 and len(facts["words"][0]["attention"]) == 80
    assert png.read_bytes().startswith(b"\x89PNG")


def test_segments_alone(model: str, motion: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ground", motion, TEXT, "--model", model, "--segments"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    splits = tmp_path / "splits.jsonl"
    splits.write_text(json.dumps({"text": TEXT, "sub_texts": ["waves right", "a person walks left"]}))
    call = ["ground", motion, TEXT, "--model", model, "--segments", "--json"]
    assert main([*call, "--splitter", str(splits)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts) == {"text", "segments"}
    assert [part["sub_texts"] for part in facts["segments"]] == [["waves right"], ["a person walks left"]]
    assert facts["segments"][0]["end"] == facts["segments"][1]["start"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.npy", TEXT], "no motion"),
        (["MOTION", "  "], "empty text"),
        (["MOTION", TEXT, "--omega", "-1"], "omega"),
        (["MOTION", TEXT, "--png", "picture.jpg"], ".png"),
        (["MOTION", TEXT, "--splitter", "nonsense"], "splitter"),
        (["MOTION", TEXT, "--joints", "magic"], "magic"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, model: str, motion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [motion if argument == "MOTION" else argument for argument in arguments]
    assert main(["ground", *arguments, "--model", model]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1

"""A user's own folder of motion files with a captions table."""

import numpy as np
import pytest
from tests.motions import gliding as body

from mate.data.build import PrepareReport, write_dataset
from mate.data.dataset import open_dataset
from mate.data.mocap_folder import mocap_folder, read_caption_table
from mate.errors import MateError


@pytest.fixture
def folder(tmp_path):
    motions = tmp_path / "motions"
    (motions / "more").mkdir(parents=True)
    np.save(motions / "walk.npy", body(80))
    np.save(motions / "more" / "turn.npy", body(80, turn=1.2))
    np.save(motions / "short.npy", body(10))
    (motions / "broken.npy").write_bytes(b"nothing")
    return motions


def prepare(folder, table: str, tmp_path, name: str = "captions.csv"):
    path = tmp_path / name
    path.write_text(table)
    report = PrepareReport()
    samples = mocap_folder(folder, path, report, license="ours")
    write_dataset(samples, tmp_path / "set", name="mine", license="ours", mirror=True, report=report)
    return report


def test_csv_table(folder, tmp_path):
    table = (
        "file,caption,start,end,split\n"
        "walk.npy,a person walks,,,train\nwalk.npy,someone starts to walk,0,2,train\nmore/turn.npy,turns left,,,train\n"
        "short.npy,twitches,,,\nbroken.npy,walks,,,\nmissing.npy,walks,,,\n../captions.csv,walks,,,\n"
    )
    report = prepare(folder, table, tmp_path)
    reasons = dict(report.dropped)
    assert "expected at least 1.0 s" in reasons["short"]
    assert "no such file" in reasons["missing"]
    assert "outside" in reasons[".._captions"]
    assert "broken" in reasons
    train = open_dataset(tmp_path / "set", "train")
    assert set(train.names) == {"walk", "Mwalk", "more_turn", "Mmore_turn"}
    assert {caption.text for captions in train.captions for caption in captions} >= {"turns left", "turns right"}


def test_json_lines_table(folder, tmp_path):
    table = '{"file": "walk.npy", "caption": "a person walks", "split": "train"}\n'
    report = prepare(folder, table, tmp_path, "captions.jsonl")
    assert report.clips["train"] == 2 and not report.dropped


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("a.csv", "file,text\nx,y\n", "line 2: got fields"),
        ("a.csv", "file,caption\n", "has no rows"),
        ("a.csv", "file,caption,start\nx,y,soon\n", "must be seconds"),
        ("a.csv", "file,caption,split\nx,y,training\n", "got split 'training'"),
        ("a.jsonl", "{broken\n", "line 1: not JSON"),
        ("a.jsonl", "[1]\n", "expected an object"),
        ("a.csv", "file,caption,start\nx,y,nan\n", "must be seconds"),
        ("a.csv", "file,caption,start\nx,y,-1\n", "must be seconds"),
        ("a.csv", "file,caption\nx," + "y" * 200_000, "line 2: not CSV"),
        ("a.jsonl", '{"file": "x", "caption": "y", "start": 1' + "0" * 400 + "}", "must be seconds"),
        ("a.jsonl", '{"file": "x", "caption": ["y"]}', "must be texts"),
        ("a.jsonl", '{"file": "x\\u0000", "caption": "y"}', "must be texts"),
        ("a.jsonl", '{"file": "x", "caption": "\\ud800"}', "expected Unicode text"),
    ],
)
def test_bad_tables_are_refused(tmp_path, name, table, message):
    (tmp_path / name).write_text(table)
    with pytest.raises(MateError, match=message):
        read_caption_table(tmp_path / name)


def test_a_missing_table_or_folder_is_refused(tmp_path):
    with pytest.raises(MateError, match="cannot read the captions table"):
        read_caption_table(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("file,caption\nx,y\n")
    with pytest.raises(MateError, match="is not a folder"):
        list(mocap_folder(tmp_path / "none", tmp_path / "a.csv", PrepareReport(), license=""))

"""CSV, out and in."""

from pathlib import Path

import numpy as np
import pytest

from mate.errors import MateError
from mate.formats.load import load_motion
from mate.formats.save import Output, save_motion
from mate.formats.table import load_csv, write_csv
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D


@pytest.mark.parametrize(("up", "unit"), [("y", 1.0), ("z", 0.01), ("y", 0.001), ("z", 0.0254)])
def test_any_unit_and_axis_comes_back(motion: Motion, tmp_path: Path, up: str, unit: float) -> None:
    path = save_motion(motion, tmp_path / "a.csv", output=Output(up=up, unit=unit))
    back = load_motion(path)
    assert (back.fps, back.frames, back.name) == (20.0, 24, "a")
    np.testing.assert_allclose(back.joints, motion.joints, atol=2e-6)


def test_the_table_says_what_its_columns_are(motion: Motion, tmp_path: Path) -> None:
    write_csv(motion, tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().split("\n")
    header = lines[0].split(",")
    assert header[:5] == ["frame", "time", "pelvis_x", "pelvis_y", "pelvis_z"] and len(header) == 2 + 66
    assert lines[-1] == "" and len(lines) == 26
    row = dict(zip(header, map(float, lines[3].split(",")), strict=True))
    assert (row["frame"], row["time"]) == (2, 0.1)
    place = motion.joints[2, HUMANML3D.index("right_wrist")]
    np.testing.assert_allclose([row[f"right_wrist_{axis}"] for axis in "xyz"], place, atol=1e-6)


def test_columns_in_another_order_and_others_between(motion: Motion, tmp_path: Path) -> None:
    write_csv(motion, tmp_path / "a.csv")
    rows = [line.split(",") for line in (tmp_path / "a.csv").read_text().split("\n")[:-1]]
    order = np.random.default_rng(0).permutation(len(rows[0]))
    shuffled = [",".join([*(row[i] for i in order), "note" if n == 0 else "x"]) for n, row in enumerate(rows)]
    (tmp_path / "b.csv").write_text("\r\n".join(shuffled))
    np.testing.assert_allclose(load_csv(tmp_path / "b.csv").joints, motion.joints, atol=2e-6)


def test_a_rate_that_is_not_round_and_one_that_is_given(motion: Motion, tmp_path: Path) -> None:
    write_csv(Motion(motion.joints, 29.97), tmp_path / "a.csv")
    assert load_csv(tmp_path / "a.csv").fps == pytest.approx(29.97, abs=1e-3)
    assert load_motion(tmp_path / "a.csv", 60).fps == 60
    write_csv(Motion(motion.joints[:1], 20.0), tmp_path / "b.csv")
    with pytest.raises(MateError, match="a single frame"):
        load_csv(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pelvis_x", "hips_x", "1 columns are missing, pelvis_x"),
        ("\n3,", "\n3,x", "line 5: got '3,x0.15"),
        ("\n3,0.150000,", "\n3,", "line 5: 67 values, expected 68"),
        ("\n3,0.150000,", "\n3,0.150000,nan,0,", "line 5: 70 values"),
        ("\n3,0.150000,", "\n3,9.150000,", "does not advance evenly"),
        ("0.15000", "1_0.000", "line 5"),
    ],
)
def test_defects_are_named_with_their_line(motion: Motion, tmp_path: Path, old: str, new: str, message: str) -> None:
    write_csv(motion, tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    assert old in text
    (tmp_path / "a.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(MateError, match=message):
        load_motion(tmp_path / "a.csv")

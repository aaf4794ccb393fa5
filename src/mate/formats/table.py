"""CSV: a line a frame, for spreadsheets, R, MATLAB and pandas.

Columns: frame (from 0), time (seconds), then <joint>_x, <joint>_y, <joint>_z for every joint. Comma, dot, a header line, no quotes.
"""

import math
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.formats.mapping import guess_scale, upright
from mate.formats.text import MAX_COORDINATES, bytes_of, shown
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D


def write_csv(motion: Motion, path: str | Path, unit: float = 1.0) -> None:
    """Writes a motion; `unit` is that of the numbers, in metres (0.01: centimetres). Six decimals of a metre, eight digits elsewhere."""
    header = ["frame", "time"] + [f"{name}_{axis}" for name in motion.skeleton.joint_names for axis in "xyz"]
    frames = np.arange(motion.frames)
    places = motion.joints.reshape(motion.frames, -1).astype(np.float64) / unit
    table = np.column_stack((frames, frames / motion.fps, places))
    decimals = max(0, 6 + round(math.log10(unit)))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write((",".join(header) + "\n").encode("utf-8"))
        np.savetxt(file, table, fmt=["%d", "%.6f", *[f"%.{decimals}f"] * places.shape[1]], delimiter=",")


def load_csv(path: str | Path, fps: float | None = None) -> Motion:
    """Reads such a file, in metres and Y up whatever its unit and up axis are.

    The columns of HumanML3D's 22 joints are looked for by name, others are left alone. The frame rate is that of the column `time`.

    Args:
        fps: instead of what `time` says.

    Raises:
        MateError: not such a table: a column is missing, a line is short or holds no numbers, times that do not advance evenly.
    """
    data, name = bytes_of(path, None, "CSV")
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    header = [word.strip().strip('"') for word in lines[0].decode("utf-8", "replace").split(",")]
    wanted = [f"{joint}_{axis}" for joint in HUMANML3D.joint_names for axis in "xyz"]
    if missing := [column for column in wanted if column not in header]:
        raise MateError(
            f"{name}: {len(missing)} columns are missing, {', '.join(missing[:3])} among them; expected frame, time and "
            "<joint>_x, _y, _z for HumanML3D's 22 joints, as `mate export` writes them"
        )
    rows = [(number, line) for number, line in enumerate(lines[1:], start=2) if line and not line.isspace()]
    if not rows:
        raise MateError(f"{name}: no frames below the header")
    if len(rows) * len(header) > MAX_COORDINATES:
        raise MateError(
            f"{name}: {len(rows)} lines of {len(header)} columns are too many to hold at once; cut the file"
        )
    columns = [header.index(column) for column in wanted]
    clock = header.index("time") if "time" in header else None
    places = np.empty((len(rows), len(wanted)))
    times = np.empty(len(rows))
    for row, (number, line) in enumerate(rows):
        cells = line.split(b",")
        if len(cells) != len(header):
            raise MateError(f"{name}, line {number}: {len(cells)} values, expected {len(header)} as in the header")
        try:
            if b"_" in line:  # Python would read 1_0 as 10
                raise ValueError
            places[row] = [float(cells[column]) for column in columns]
            times[row] = 0.0 if clock is None else float(cells[clock])
        except ValueError:
            text = shown(line[:60].decode("utf-8", "replace"))
            raise MateError(f"{name}, line {number}: got {text}, expected numbers") from None
    sound = (np.abs(places) <= 1e12).all(axis=1)  # False for NaN, too
    if not sound.all():
        raise MateError(f"{name}, line {rows[int(sound.argmin())][0]}: NaN, infinite or absurd numbers")
    joints = places.reshape(len(rows), HUMANML3D.joints, 3)
    joints = upright(joints * guess_scale(joints, name))
    return Motion(joints.astype(np.float32), fps or _rate(times, clock is not None, name), HUMANML3D, Path(path).stem)


def _rate(times: np.ndarray, known: bool, name: str) -> float:
    steps = np.diff(times)
    if not known or not len(steps):
        raise MateError(
            f"{name}: no frame rate ({'a single frame' if known else 'no column time'}); give it (--source-fps)"
        )
    rate = len(steps) / (times[-1] - times[0]) if times[-1] > times[0] else math.nan
    if not 1e-3 <= rate <= 1e5 or np.abs(steps * rate - 1).max() > 0.1:
        raise MateError(f"{name}: the column time does not advance evenly; give the frame rate (--source-fps)")
    return round(rate) * 1.0 if abs(rate - round(rate)) < 1e-3 * rate else float(rate)

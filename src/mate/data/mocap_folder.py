"""A folder of motion files and a captions table as a source."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mate.data.dataset import FPS, SPLITS, Caption, PrepareReport, Sample
from mate.data.wordings import fraction
from mate.errors import MateError
from mate.formats.load import load_motion
from mate.motion.retarget import resample, retarget_to_canonical

SHORTEST = 1.0  # seconds; a shorter clip is dropped


@dataclass(frozen=True)
class CaptionRow:
    """One row of a captions table: which file, what it shows, between which seconds (0, 0 = the whole file), in which split ("" = ours)."""

    file: str
    caption: str
    start: float = 0.0
    end: float = 0.0
    split: str = ""


def read_caption_table(path: str | Path) -> list[CaptionRow]:
    """Reads a CSV with a header, or JSON lines, with the fields file, caption and optionally start, end (seconds), split.

    Raises:
        MateError: not readable, a field is missing or not a number, an unknown split, no rows; the line is named.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(
            f"cannot read the captions table {path}: {error}; expected a CSV or JSON-lines file in UTF-8"
        ) from error
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        records = list(_json_records(path, text))
    else:
        records = [(number, dict(row)) for number, row in enumerate(csv.DictReader(text.splitlines()), start=2)]
    rows = [_row(path, number, record) for number, record in records]
    if not rows:
        raise MateError(f"{path} has no rows; expected lines with file, caption[, start, end, split]")
    return rows


def _json_records(path: Path, text: str) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MateError(f"{path}, line {number}: not JSON ({error}); expected one object a line") from error
        if not isinstance(record, dict):
            raise MateError(
                f"{path}, line {number}: got {type(record).__name__}, expected an object with file and caption"
            )
        yield number, record


def _row(path: Path, number: int, record: dict) -> CaptionRow:
    if not record.get("file") or record.get("caption") is None:
        raise MateError(
            f"{path}, line {number}: got fields {sorted(map(str, record))}, expected at least file and caption"
        )
    try:
        start, end = (float(record.get(key) or 0.0) for key in ("start", "end"))
    except (TypeError, ValueError) as error:
        raise MateError(f"{path}, line {number}: start and end must be seconds ({error})") from error
    split = str(record.get("split") or "")
    if split and split not in SPLITS:
        raise MateError(f"{path}, line {number}: got split {split!r}, expected one of {', '.join(SPLITS)}")
    return CaptionRow(str(record["file"]), str(record["caption"]).strip(), start, end, split)


def mocap_folder(
    folder: str | Path,
    table: str | Path,
    report: PrepareReport,
    *,
    license: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Sample]:
    """Reads every captioned motion file below `folder`; what cannot be used goes to `report.dropped` with its reason.

    Files without a split in the table are put into train, val or test (80, 5, 15 %) by a hash of their path, so that
    adding files moves none.

    Raises:
        MateError: the folder is missing or the table unusable.
    """
    root = Path(folder)
    if not root.is_dir():
        raise MateError(f"{root} is not a folder; expected one with motion files (BVH, npz or npy)")
    by_file: dict[str, list[CaptionRow]] = {}
    for row in read_caption_table(table):
        by_file.setdefault(row.file, []).append(row)
    for done, (file, rows) in enumerate(by_file.items(), start=1):
        name = Path(file).with_suffix("").as_posix().replace("/", "_")
        try:
            yield _sample(root, file, name, rows, license, report)
        except MateError as error:
            report.drop(name, str(error))
        progress(done, len(by_file))


def _sample(root: Path, file: str, name: str, rows: list[CaptionRow], license: str, report: PrepareReport) -> Sample:
    path = (root / file).resolve()
    if not path.is_relative_to(root.resolve()):
        raise MateError(f"{file} lies outside {root}; expected paths below it")
    if not path.is_file():
        raise MateError(f"no such file below {root}")
    motion = load_motion(path)
    joints = retarget_to_canonical(resample(motion.joints, motion.fps, FPS))
    if len(joints) / FPS < SHORTEST:
        raise MateError(f"lasts {len(joints) / FPS:.1f} s, expected at least {SHORTEST} s")
    captions = []
    for row in rows:
        if not row.caption:
            report.drop(name, "an empty caption")
        elif row.end and not 0.0 <= row.start < row.end <= len(joints) / FPS + 0.5:
            report.drop(name, f"a caption from {row.start} to {row.end} s in a clip of {len(joints) / FPS:.1f} s")
        else:
            captions.append(Caption(row.caption, start=row.start, end=row.end))
    if not captions:
        raise MateError("no usable caption")
    place = fraction(file)
    split = rows[0].split or ("test" if place < 0.15 else "val" if place < 0.20 else "train")
    return Sample(name, joints, tuple(captions), split, {"source": file, "license": license})

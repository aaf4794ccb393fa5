"""A folder of motion files and a captions table as a source."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mate.data.build import Dropped, PrepareReport, Source, file_key
from mate.data.captions import Tagger, tag
from mate.data.dataset import FPS, SPLITS, Caption, Sample
from mate.data.wordings import fraction
from mate.errors import MateError
from mate.formats.load import load_motion
from mate.formats.skeleton_file import RigFile, read_rig_file
from mate.motion.retarget import resample, retarget_to_canonical

SHORTEST = 1.0  # seconds; a shorter clip is dropped
_MAX_TABLE = 64 * 2**20


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
        MateError: not readable, larger than 64 MiB, a field is missing or of a wrong kind, an unknown split, no rows; the line is named.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_TABLE + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise MateError(
            f"cannot read the captions table {path}: {error}; expected a CSV or JSON-lines file in UTF-8"
        ) from error
    if len(data) > _MAX_TABLE:
        raise MateError(f"{path}: more than {_MAX_TABLE // 2**20} MiB; expected a table of captions, split it")
    records = _json_records if path.suffix.lower() in (".jsonl", ".ndjson", ".json") else _csv_records
    rows = [_row(path, number, record) for number, record in records(path, text)]
    if not rows:
        raise MateError(f"{path} has no rows; expected lines with file, caption[, start, end, split]")
    return rows


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, dict]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        raise MateError(
            f"{path}, line {reader.line_num + 1}: not CSV ({error}); expected quoted texts on one line"
        ) from error


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
    where = f"{path}, line {number}"
    file, caption = record.get("file"), record.get("caption")
    if not file or caption is None:
        fields = ", ".join(sorted(str(key)[:40] for key in record)[:12])
        raise MateError(f"{where}: got fields {fields or 'none'}, expected at least file and caption")
    if not isinstance(file, str) or not isinstance(caption, str) or "\0" in file:
        raise MateError(f"{where}: file and caption must be texts")
    try:
        (file + caption).encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can name
        raise MateError(f"{where}: {error.reason} in file or caption, expected Unicode text") from error
    times = []
    for key in ("start", "end"):
        value = record.get(key) or 0.0
        try:
            times.append(float(value))
        except (TypeError, ValueError, OverflowError):
            times.append(math.nan)
        if not 0 <= times[-1] < math.inf:
            raise MateError(f"{where}: start and end must be seconds of the file, got {key} {str(value)[:40]!r}")
    split = record.get("split") or ""
    if split and split not in SPLITS:
        raise MateError(f"{where}: got split {str(split)[:40]!r}, expected one of {', '.join(SPLITS)}")
    return CaptionRow(file, " ".join(caption.split()), times[0], times[1], split)


def mocap_folder(
    folder: str | Path,
    table: str | Path,
    report: PrepareReport,
    *,
    license: str,
    skeleton: str | Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Sample]:
    """Reads every captioned motion file below `folder`, one after the other; see `mocap_source`.

    Args:
        report: gets what cannot be used, with its reason.
        progress: called with (files read, files in all).
    """
    source = mocap_source(folder, table, license=license, skeleton=skeleton)
    for done, item in enumerate(source.items, start=1):
        yield from replace(source, items=(item,)).samples(report)
        progress(done, len(source.items))


def mocap_source(
    folder: str | Path,
    table: str | Path,
    *,
    license: str,
    skeleton: str | Path | None = None,
    body_model: str | Path | None = None,
    tagger: Tagger = "rules",
) -> Source:
    """Every captioned motion file below `folder`, for `build_dataset`; what cannot be used is dropped with its reason.

    Files without a split in the table are put into train, val or test (80, 5, 15 %) by a hash of their path, so that
    adding files moves none.

    Args:
        skeleton: a skeleton file for a rig whose joints cannot be guessed (see `mate.formats.skeleton_file`).
        body_model: where body models for AMASS files are (see `mate.load_motion`).
        tagger: who says which part of speech a word is.

    Raises:
        MateError: the folder is missing, or the table, the skeleton file or the tagger unusable.
    """
    root = Path(folder)
    rig = read_rig_file(skeleton) if skeleton is not None else None
    if not root.is_dir():
        raise MateError(f"{root} is not a folder; expected one with motion files (BVH, AMC, npz or npy)")
    tag("a test", tagger)
    by_file: dict[str, list[CaptionRow]] = {}
    for row in read_caption_table(table):
        by_file.setdefault(row.file, []).append(row)
    items = []
    taken: dict[str, str] = {}
    for file, rows in by_file.items():
        name = Path(file).with_suffix("").as_posix().replace("/", "_")
        items.append(MocapItem(name, file, tuple(rows), taken.setdefault(name, file)))
    key: dict[str, Any] = {"source": "mocap", "folder": str(root.resolve()), "license": license, "tagger": tagger}
    key |= {"skeleton": file_key(skeleton) if skeleton else None, "body_model": str(body_model)}
    key["files"] = [file_key(root / file) for file in by_file]
    return Source(partial(_one, root, rig, body_model, tagger, license), tuple(items), key)


@dataclass(frozen=True)
class MocapItem:
    """A file with its rows; `owner` is the file that its name belongs to (two files of one name: the first)."""

    name: str
    file: str
    rows: tuple[CaptionRow, ...]
    owner: str


def _one(
    root: Path, rig: RigFile | None, body_model: str | Path | None, tagger: Tagger, license: str, item: MocapItem
) -> Iterator[Sample | Dropped]:
    file, name = item.file, item.name
    if item.owner != file:
        raise MateError(f"{file} would be called like {item.owner}; rename one of them")
    path = (root / file).resolve()
    if not path.is_relative_to(root.resolve()):
        raise MateError(f"{file} lies outside {root}; expected paths below it")
    if not path.is_file():
        raise MateError(f"no such file below {root}")
    motion = load_motion(path, skeleton=rig, body_model=body_model)
    joints = retarget_to_canonical(resample(motion.joints, motion.fps, FPS))
    if len(joints) / FPS < SHORTEST:
        raise MateError(f"lasts {len(joints) / FPS:.1f} s, expected at least {SHORTEST} s")
    captions = []
    for row in item.rows:
        if not row.caption:
            yield Dropped(name, "an empty caption")
        elif row.end and not 0.0 <= row.start < row.end <= len(joints) / FPS + 0.5:
            yield Dropped(name, f"a caption from {row.start} to {row.end} s in a clip of {len(joints) / FPS:.1f} s")
        else:
            captions.append(Caption(row.caption, tag(row.caption, tagger), row.start, row.end))
    if not captions:
        raise MateError("no usable caption")
    place = fraction(file)
    split = item.rows[0].split or ("test" if place < 0.15 else "val" if place < 0.20 else "train")
    yield Sample(name, joints, tuple(captions), split, {"source": file, "license": license})

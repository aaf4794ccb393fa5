"""HumanML3D from its ingredients: AMASS (and HumanAct12) recordings, the published index, texts and splits.

The published procedure, step for step:

1. Every recording is sampled by taking each `int(fps / 20)`-th frame. Rates that 20 does not divide therefore play a little fast or
   slow; meta.jsonl keeps the true rate of each clip.
2. Recordings of five subsets lose their beginning (calibration poses), then `start_frame` and `end_frame` of the index are cut out.
   HumanAct12 files are used whole, as they are.
3. Each clip is also mirrored: x negated, left and right joints exchanged; its captions are the texts named with an `M`.
4. Both go through `process_file`: canonical bone lengths, floor, origin, facing, features. Mean and Std are over all clips.

The procedure gets its upright axis by exchanging y and z, which mirrors the world, and negates x afterwards, which undoes that. Both
together are a rotation; clips are turned to +Z anyway, so recordings that are read upright need neither.

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022.
"""

import csv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np

from mate.data.build import Dropped, Source, file_key
from mate.data.captions import mirror_caption, mirror_tags
from mate.data.dataset import FPS, SPLITS, Caption, Sample, parse_captions
from mate.data.wordings import fraction
from mate.errors import MateError
from mate.formats.load import load_motion
from mate.motion.features import process_motion
from mate.motion.retarget import mirror
from mate.motion.skeleton import HUMANML3D

LICENSE = "HumanML3D texts over AMASS and HumanAct12 motions: non-commercial research, no redistribution"

# The index's names of AMASS's subsets -> the names that AMASS gave them at one time or another.
ALIASES = {
    "BioMotionLab_NTroje": ("BMLrub",),
    "DFaust_67": ("DFaust", "DFAUST"),
    "Eyes_Japan_Dataset": ("Eyes_Janpan_Dataset", "EyesJapanDataset"),
    "MPI_HDM05": ("HDM05",),
    "MPI_Limits": ("PosePrior",),
    "MPI_mosh": ("MoSh", "Mosh", "MOSH"),
    "SSM_synced": ("SSM",),
    "TCD_handMocap": ("TCDHands", "TCD_handMocap"),
    "Transitions_mocap": ("Transitions",),
}
# Frames at 20 fps that are cut from the beginning of a subset's recordings before start_frame is counted.
TRIMMED = {
    "Eyes_Japan_Dataset": 60, "MPI_HDM05": 60, "TotalCapture": 20, "MPI_Limits": 20, "Transitions_mocap": 10,
}  # fmt: skip
HUMANACT12 = "humanact12"


@dataclass(frozen=True)
class IndexRow:
    """One line of index.csv: the clip `name` is frames `start` to `end` (at 20 fps, -1: to the last but one) of a recording."""

    name: str
    path: str
    start: int
    end: int

    @property
    def subset(self) -> str:
        """AMASS's subset as the index names it."""
        return self.path.split("/")[0]


def read_index(path: str | Path) -> tuple[IndexRow, ...]:
    """Reads index.csv (columns source_path, start_frame, end_frame, new_name). Raises MateError."""
    path = Path(path)
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    name = PurePosixPath(row["new_name"].strip()).stem
                    source = row["source_path"].strip().replace("\\", "/").removeprefix("./").removeprefix("pose_data/")
                    rows.append(IndexRow(name, source, int(row["start_frame"]), int(row["end_frame"])))
                except (KeyError, ValueError, TypeError, AttributeError) as error:
                    raise MateError(
                        f"{path}, line {number}: expected source_path, start_frame, end_frame, new_name as in HumanML3D's index.csv"
                    ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MateError(f"cannot read {path}: {error}; expected HumanML3D's index.csv") from error
    if not rows:
        raise MateError(f"{path} has no rows; expected HumanML3D's index.csv")
    return tuple(rows)


def find_recording(amass: Path, row: IndexRow) -> Path:
    """The AMASS file of a row: its subset under any of its names, SMPL+H's `_poses` or SMPL-X's `_stageii`. Raises MateError."""
    subset, _, rest = row.path.partition("/")
    stem = rest.removesuffix(".npy").removesuffix("_poses")
    names = dict.fromkeys((subset, *ALIASES.get(subset, ())))
    stems = dict.fromkeys((stem, stem.replace(" ", "_")))
    for name in names:
        for folder in (amass / name, amass / name / name):  # an archive may unpack into a folder of its own name
            for variant in stems:
                for suffix in ("_poses.npz", "_stageii.npz", ".npz"):
                    if (path := folder / f"{variant}{suffix}").is_file():
                        return path
    raise MateError(f"no {stem}_poses.npz below {amass} in {' or '.join(names)}; download that subset of AMASS")


@lru_cache(maxsize=4)
def _texts(path: str, state: tuple[int, ...]) -> dict[str, str]:
    """Clip name -> its text file's content, of a folder or a zip."""
    if Path(path).is_dir():
        return {file.stem: file.read_text(encoding="utf-8") for file in Path(path).glob("*.txt")}
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".txt")]
        return {PurePosixPath(name).stem: archive.read(name).decode("utf-8") for name in members}


def read_splits(folder: str | Path) -> dict[str, str]:
    """Clip name -> split, from train.txt, val.txt and test.txt. Raises MateError where a list is missing or two share a name."""
    found: dict[str, str] = {}
    for split in SPLITS:
        path = Path(folder) / f"{split}.txt"
        try:
            names = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise MateError(
                f"cannot read {path}: {error}; expected the published train.txt, val.txt and test.txt"
            ) from error
        for name in names:
            if found.setdefault(name, split) != split:
                raise MateError(f"{name} is in {found[name]}.txt and in {split}.txt of {folder}; a clip has one split")
    return found


def humanml3d_source(
    index: str | Path,
    texts: str | Path,
    amass: str | Path,
    *,
    humanact12: str | Path | None = None,
    splits: str | Path | None = None,
    body_model: str | Path | None = None,
) -> Source:
    """HumanML3D, for `build_dataset` (with `every_split_counts`, as its Mean and Std are over all clips).

    Args:
        index: HumanML3D's index.csv.
        texts: its texts.zip, or the folder of it.
        amass: the folder that holds AMASS's subsets.
        humanact12: the folder of HumanAct12's joint files (`.npy`), as HumanML3D ships it.
        splits: the folder of train.txt, val.txt and test.txt; without it clips go 80 : 5 : 15 by a hash of the recording.
        body_model: where SMPL+H or SMPL-X body models are; see `mate.load_motion`.

    Raises:
        MateError: the index, the texts or the splits cannot be read.
    """
    rows = read_index(index)
    state = tuple(file_key(texts))
    try:
        _texts(str(texts), state)
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise MateError(
            f"cannot read the texts {texts}: {error}; expected HumanML3D's texts.zip or its folder"
        ) from error
    if not Path(amass).is_dir():
        raise MateError(f"{amass} is no folder; expected the folder that holds AMASS's subsets")
    lists = read_splits(splits) if splits is not None else None
    places = {
        "amass": str(amass),
        "humanact12": humanact12 and str(humanact12),
        "body_model": body_model and str(body_model),
    }
    split_of = {row.name: None if lists is None else (lists.get(row.name), lists.get(f"M{row.name}")) for row in rows}
    items = tuple((row, split_of[row.name]) for row in rows)
    make = partial(_one, (str(texts), state), Path(amass), Path(humanact12) if humanact12 else None, body_model)
    key = {"source": "humanml3d", "index": file_key(index), "texts": state, "splits": str(splits), **places}
    return Source(make, items, key)  # pyright: ignore[reportArgumentType]


def _one(
    texts: tuple[str, tuple[int, ...]],
    amass: Path,
    humanact12: Path | None,
    body_model: str | Path | None,
    item: tuple[IndexRow, tuple[str | None, str | None] | None],
) -> Iterator[Sample | Dropped]:
    row, listed = item
    captions = _texts(*texts)
    for name, split in zip((row.name, f"M{row.name}"), listed or ("", ""), strict=True):
        if split is None:
            yield Dropped(name, "in none of the split lists")
    if listed == (None, None):
        return
    try:
        joints, rate = _recording(row, amass, humanact12, body_model)
        if len(joints) < 2:
            raise MateError(f"frames {row.start} to {row.end} leave {len(joints)} frames, expected at least 2")
        own = parse_captions(captions[row.name], f"{row.name}.txt") if row.name in captions else ()
        if not own:
            raise MateError("no text")
    except MateError as error:
        yield Dropped(row.name, str(error))
        return
    if f"M{row.name}" in captions:
        other = parse_captions(captions[f"M{row.name}"], f"M{row.name}.txt")
    else:
        other = tuple(Caption(mirror_caption(c.text), mirror_tags(c.tags), c.start, c.end) for c in own)
    place = fraction(row.path)
    drawn = "test" if place < 0.15 else "val" if place < 0.20 else "train"
    meta = {"source": row.path, "license": LICENSE, "true_fps": rate}
    images = ((row.name, own, joints), (f"M{row.name}", other, mirror(joints)))
    for (name, of_image, positions), split in zip(images, listed or (drawn, drawn), strict=True):
        if split is None:
            continue
        facts = meta if name == row.name else {**meta, "mirror_of": row.name}
        try:
            features = process_motion(positions, precise=True)
        except MateError as error:
            yield Dropped(name, str(error))
            continue
        yield Sample(name, positions, of_image, split, facts, features)


def _recording(
    row: IndexRow, amass: Path, humanact12: Path | None, body_model: str | Path | None
) -> tuple[np.ndarray, float]:
    """The row's frames (T, 22, 3), taken as 20 a second, and how many a second they truly are."""
    if HUMANACT12 in row.path:
        return _humanact12(row, humanact12), FPS
    motion = load_motion(find_recording(amass, row), body_model=body_model)
    step = int(motion.fps / FPS)
    if step < 1:
        raise MateError(f"recorded at {motion.fps:g} frames per second, expected at least {FPS:g}")
    joints = motion.joints[::step]
    for subset, frames in TRIMMED.items():
        if subset in row.path:
            joints = joints[frames:]
    return joints[row.start : row.end], round(motion.fps / step, 4)


def _humanact12(row: IndexRow, folder: Path | None) -> np.ndarray:
    name = PurePosixPath(row.path).name
    if folder is None:
        raise MateError(f"{name} is one of HumanAct12's; give the folder of its joint files with --humanact12")
    for path in (folder / name, folder / HUMANACT12 / name):
        if path.is_file():
            break
    else:
        raise MateError(f"no {name} in {folder}; expected HumanAct12's joint files as HumanML3D ships them")
    try:
        joints = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MateError(f"{path} is not a sound .npy file: {error}") from error
    if joints.ndim != 3 or joints.shape[1] < HUMANML3D.joints or joints.shape[2] != 3:
        raise MateError(f"{path}: got shape {joints.shape}, expected (T, 24, 3)")
    return np.array(joints[:, : HUMANML3D.joints], dtype=np.float32)

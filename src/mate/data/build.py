"""Writing a training set: over several processes, to be continued after a kill, the same bytes however it was made.

A `Source` says which items there are and how one of them becomes samples. Items are made in parts; a finished part leaves a
record in `.NAME.partial` beside the set that is being made. The same command run again makes only the parts that have no
record. When all are there, the lists, statistics and descriptions are written from the records in the order of the items, and
the folder takes its name.
"""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mate import __version__
from mate.data.captions import tag
from mate.data.dataset import SPLITS, Sample, grouped_std, mirrored
from mate.errors import MateError
from mate.files import atomic_folder, atomic_path
from mate.motion.features import HUMANML3D_FEATURES, FeatureSpec, features_to_joints, process_motion

Progress = Callable[[int, int], None]
Made = TypeVar("Made")
_PARTS = ("new_joints", "new_joint_vecs", "texts")


@dataclass(frozen=True)
class Dropped:
    """Something that is left out of a set, and why."""

    name: str
    reason: str


@dataclass
class PrepareReport:
    """What went into a data set and what was dropped, with the reason."""

    clips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    seconds: float = 0.0
    dropped: list[tuple[str, str]] = field(default_factory=list)

    def drop(self, name: str, reason: str) -> None:
        """Notes that `name` was left out."""
        self.dropped.append((name, reason))


@dataclass(frozen=True)
class Source:
    """Where samples come from, in pieces that do not depend on each other.

    Attributes:
        make: one item -> its samples and what of it is dropped. With the items it goes to other processes, so it is a function of
            a module or a `functools.partial` of one. An item that raises is dropped, with what was raised as its reason.
        items: what there is, in the order of the set.
        key: JSON-able facts that change whenever the samples would: a run is only continued where they are the same.
        per_part: items that are made, recorded and, after a kill, repeated together.
    """

    make: Callable[[Any], Iterable[Sample | Dropped]]
    items: tuple[Any, ...]
    key: dict[str, Any]
    per_part: int = 8

    def samples(self, report: PrepareReport) -> Iterator[Sample]:
        """All samples in order, in this process; what is dropped goes to the report."""
        for item in self.items:
            for made in _made(self.make, item):
                if isinstance(made, Dropped):
                    report.drop(made.name, made.reason)
                else:
                    yield made


def file_key(path: str | Path) -> list[int]:
    """Size and time of change of a file, for `Source.key`; zeros where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return [0, 0]
    return [facts.st_size, facts.st_mtime_ns]


def _made(make: Callable[[Any], Iterable[Sample | Dropped]], item: Any) -> Iterator[Sample | Dropped]:
    name = str(getattr(item, "name", item))[:120]
    try:
        yield from make(item)
    except MateError as error:
        yield Dropped(name, str(error))
    except (Exception, RecursionError) as error:  # a defect in a reader must not cost the other files
        yield Dropped(name, f"could not be read ({type(error).__name__}: {error}); please report this")


@dataclass(frozen=True)
class _Clip:
    """What is remembered of a clip that was written: enough to finish the set."""

    name: str
    split: str
    frames: int
    meta: str
    sums: np.ndarray


def _write_clip(sample: Sample, root: Path, spec: FeatureSpec) -> _Clip:
    if sample.split not in SPLITS:
        raise ValueError(f"{sample.name}: got split {sample.split!r}, expected one of {', '.join(SPLITS)}")
    texts = [caption for caption in sample.captions if caption.text.strip()]
    if not texts:
        raise MateError("no caption")
    features = sample.features
    if features is None:
        features = process_motion(sample.joints, retarget=False, spec=spec, precise=True)
    features = features.astype(np.float32)
    if not np.isfinite(features).all():
        raise MateError("NaN or infinite features")
    np.save(root / "new_joint_vecs" / f"{sample.name}.npy", features)
    np.save(root / "new_joints" / f"{sample.name}.npy", features_to_joints(features, spec).astype(np.float32))
    lines = [f"{c.text.replace('#', ' ')}#{c.tags or tag(c.text)}#{c.start}#{c.end}\n" for c in texts]
    (root / "texts" / f"{sample.name}.txt").write_text("".join(lines), encoding="utf-8")
    rows = features.astype(np.float64)
    meta = json.dumps({"name": sample.name, "split": sample.split, **sample.meta}) + "\n"
    return _Clip(sample.name, sample.split, len(features), meta, np.stack([rows.sum(0), (rows**2).sum(0)]))


def _written(
    made: Iterable[Sample | Dropped], root: Path, mirror: bool, spec: FeatureSpec
) -> Iterator[_Clip | Dropped]:
    """Writes samples (and their mirror images) below `root`."""
    for original in made:
        if isinstance(original, Dropped):
            yield original
            continue
        for image in (False, True) if mirror else (False,):
            name = f"M{original.name}" if image else original.name
            try:
                yield _write_clip(mirrored(original) if image else original, root, spec)
            except ValueError as error:
                raise MateError(str(error)) from error
            except MateError as error:
                yield Dropped(name, str(error))


def _new_layout(root: Path) -> None:
    for part in _PARTS:
        (root / part).mkdir(parents=True, exist_ok=True)


def _finish(
    root: Path,
    written: Iterable[_Clip | Dropped],
    report: PrepareReport,
    spec: FeatureSpec,
    description: dict[str, Any],
    facts: dict[str, Any],
    every_split_counts: bool,
) -> None:
    """Lists, statistics, meta.jsonl and dataset.json, from what was written, in its order.

    A clip whose meta names a `subset` of its split stands in a list of that name too: test_rare.txt.
    """
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    subsets: dict[str, list[str]] = {}
    rows, sums = 0, np.zeros((2, spec.dim))
    with (root / "meta.jsonl").open("w", encoding="utf-8") as meta_file:
        for clip in written:
            if isinstance(clip, Dropped):
                report.drop(clip.name, clip.reason)
                continue
            if clip.name in seen:
                raise MateError(f"two clips are called {clip.name}; names must be unique within a set")
            seen.add(clip.name)
            if clip.split == "train" or every_split_counts:
                rows += clip.frames
                sums += clip.sums
            names[clip.split].append(clip.name)
            report.clips[clip.split] += 1
            report.seconds += clip.frames / spec.fps
            meta_file.write(clip.meta)
            if '"subset"' in clip.meta and (subset := json.loads(clip.meta).get("subset")):
                subsets.setdefault(f"{clip.split}_{subset}", []).append(clip.name)
    if not seen:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.dropped[:3])
        raise MateError(f"no clip was left for the set{': ' + reasons if reasons else ''}")
    for split, own in (names | subsets).items():
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in own))
    (root / "all.txt").write_text("".join(f"{name}\n" for split in SPLITS for name in names[split]))
    mean = sums[0] / max(rows, 1)
    std = np.sqrt(np.maximum(sums[1] / max(rows, 1) - mean**2, 1e-10))
    np.save(root / "Mean.npy", mean.astype(np.float32))
    np.save(root / "Std.npy", grouped_std(std, spec))
    unit = {} if spec.metres == 1.0 else {"metres_per_unit": spec.metres}
    description = {
        **description,
        "fps": spec.fps,
        "joints": spec.skeleton.joints,
        "feature_dim": spec.dim,
        **unit,
        "clips": report.clips,
        **({"subsets": {name: len(own) for name, own in sorted(subsets.items())}} if subsets else {}),
        "hours": round(report.seconds / 3600, 3),
        "dropped": len(report.dropped),
        **facts,
    }
    (root / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")
    for part in _PARTS:  # what a killed run may have left
        for path in (root / part).iterdir():
            if path.stem not in seen:
                path.unlink()


def write_dataset(
    samples: Iterable[Sample],
    folder: str | Path,
    *,
    name: str,
    license: str,
    mirror: bool = False,
    report: PrepareReport | None = None,
    facts: dict[str, Any] | None = None,
    spec: FeatureSpec = HUMANML3D_FEATURES,
) -> PrepareReport:
    """Writes samples as a HumanML3D-layout folder, in this process. It appears when it is complete; an interrupted run leaves nothing.

    Args:
        samples: consumed one by one; memory does not grow with their number.
        name: what the set is called in dataset.json.
        license: the licence of the motion data, kept in dataset.json and later in every model trained on it.
        mirror: also write every clip's mirror image.
        report: continued when given (a source may have dropped clips already).
        facts: further JSON-able facts for dataset.json (seed, source, ...).

    Raises:
        MateError: no samples, two samples of one name, an unknown split, a path that cannot be written.
    """
    report = report or PrepareReport()
    with atomic_folder(folder) as root:
        _new_layout(root)
        written = _written(samples, root, mirror, spec)
        _finish(root, written, report, spec, {"name": name, "license": license}, facts or {}, False)
    return report


def build_dataset(
    source: Source,
    folder: str | Path,
    *,
    name: str,
    license: str,
    mirror: bool = False,
    facts: dict[str, Any] | None = None,
    spec: FeatureSpec = HUMANML3D_FEATURES,
    jobs: int = 1,
    every_split_counts: bool = False,
    progress: Progress = lambda done, total: None,
) -> PrepareReport:
    """Makes a set from a source: over `jobs` processes, continuing a run of the same call that was killed.

    The result does not depend on `jobs` nor on interruptions.

    Args:
        every_split_counts: Mean and Std over all clips, as published for HumanML3D, instead of the training split's.
        progress: called with (items done, items in all).

    Raises:
        MateError: no clip was left, two clips of one name, another run is making the same set, a path that cannot be written.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise MateError(f"{target} is a file, expected a folder or a free name; choose another output path")
    report = PrepareReport()
    description = {"name": name, "license": license}
    plan = {"mate": __version__, **description, "mirror": mirror, "facts": facts or {}, "spec": spec.skeleton.name}
    plan |= {"source": source.key, "items": [str(item) for item in source.items], "per_part": source.per_part}
    parts = [source.items[i : i + source.per_part] for i in range(0, len(source.items), source.per_part)]
    with _staging(target, plan) as staging:
        make = partial(_make_part, staging, source.make, mirror, spec)
        missing = [number for number in range(len(parts)) if not _record(staging, number).exists()]
        done = len(source.items) - sum(len(parts[number]) for number in missing)
        progress(done, len(source.items))
        for number in in_processes(make, {number: parts[number] for number in missing}, jobs):
            done += len(parts[number])
            progress(done, len(source.items))
        written = (clip for number in range(len(parts)) for clip in _read_part(staging, number, spec))
        try:
            _finish(staging / "set", written, report, spec, description, facts or {}, every_split_counts)
        except MateError:
            shutil.rmtree(staging)  # the same run would end the same way
            raise
        if target.exists():
            target.rename(staging / "replaced")
        (staging / "set").rename(target)
        shutil.rmtree(staging)
    return report


@contextmanager
def _staging(target: Path, plan: dict[str, Any]) -> Iterator[Path]:
    """The folder of the unfinished set, held by one run at a time; emptied when it belongs to another plan."""
    staging = target.parent / f".{target.name}.partial"
    fingerprint = hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()
    try:
        staging.mkdir(parents=True, exist_ok=True)
        lock = (staging / "lock").open("w")
    except OSError as error:
        raise MateError(f"cannot write into {target.parent}: {error.strerror}; choose another output path") from error
    with lock:
        _lock(lock, target)
        plan_file = staging / "plan"
        if not plan_file.exists() or plan_file.read_text() != fingerprint:
            for entry in staging.iterdir():
                if entry.name != "lock":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            (staging / "parts").mkdir()
            _new_layout(staging / "set")
            with atomic_path(plan_file) as temporary:
                temporary.write_text(fingerprint)
        _new_layout(staging / "set")  # a kill between the last two renames leaves none
        yield staging


def _lock(file: Any, target: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs into one folder are then the user's to avoid
        return
    for _ in range(20):  # workers of a killed run take a moment to end
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
    raise MateError(f"another run is making {target}; wait for it or choose another output path")


def _record(staging: Path, number: int) -> Path:
    return staging / "parts" / f"{number:06d}.json"


def _make_part(
    staging: Path,
    make: Callable[[Any], Iterable[Sample | Dropped]],
    mirror: bool,
    spec: FeatureSpec,
    number: int,
    items: tuple[Any, ...],
) -> int:
    """Writes the samples of some items, then the record that they are there."""
    made = (sample for item in items for sample in _made(make, item))
    entries: list[Any] = []
    sums: list[np.ndarray] = []
    for clip in _written(made, staging / "set", mirror, spec):
        if isinstance(clip, Dropped):
            entries.append([clip.name, clip.reason])
        else:
            entries.append([clip.name, clip.split, clip.frames, clip.meta])
            sums.append(clip.sums)
    record = _record(staging, number)
    np.save(record.with_suffix(".npy"), np.array(sums).reshape(len(sums), 2, spec.dim))
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps(entries))
    return number


def _read_part(staging: Path, number: int, spec: FeatureSpec) -> Iterator[_Clip | Dropped]:
    record = _record(staging, number)
    sums = iter(np.load(record.with_suffix(".npy"), allow_pickle=False))
    for entry in json.loads(record.read_text()):
        if len(entry) == 2:
            yield Dropped(*entry)
        else:
            name, split, frames, meta = entry
            yield _Clip(name, split, frames, meta, next(sums))


def in_processes(
    make: Callable[[int, tuple[Any, ...]], Made], parts: dict[int, tuple[Any, ...]], jobs: int
) -> Iterator[Made]:
    """`make(number, items)` for every part, over `jobs` processes; yields what it returns, in any order."""
    if jobs <= 1 or len(parts) <= 1:
        yield from (make(number, items) for number, items in parts.items())
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    with ProcessPoolExecutor(min(jobs, len(parts)), get_context("spawn"), _end_with_parent) as pool:
        futures = [pool.submit(make, number, items) for number, items in parts.items()]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise MateError(
                "a process was ended from outside (out of memory?); run the same command again to continue, with fewer --jobs"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends at once: what it still wrote could meet the files of the next run."""
    from multiprocessing import parent_process

    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""How fast a set opens and reads: `mate bench data`. The set is synthetic, of any size, and deleted afterwards."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.motion.layout import FEATURE_DIM

_SECONDS = 7.06  # HumanML3D: 28.6 hours in 14,616 clips without mirrors
_CAPTIONS = 3

# Run in a process of its own, so that nothing is warm but the operating system's cache, and memory is its own.
_OPEN = """
import json, resource, sys, time
import numpy as np
from mate.data.dataset import open_dataset
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start, processor = time.perf_counter(), time.process_time()
data = open_dataset(sys.argv[1], "train", packed=sys.argv[2] == "packed")
opened, busy = time.perf_counter() - start, time.process_time() - processor
memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
rng = np.random.default_rng(0)
chosen = rng.integers(len(data), size=2000)
start = time.perf_counter()
for index in chosen:
    np.array(data.features(index)); data.captions[index]
read = time.perf_counter() - start
print(json.dumps({"opened": opened, "busy": busy, "memory": memory, "read": len(chosen) / read, "items": len(data)}))
"""


def write_synthetic(folder: Path, hours: float) -> int:
    """A set of noise in HumanML3D's layout; returns its clips. Features only: joints are not needed to train."""
    clips = max(10, round(hours * 3600 / _SECONDS))
    frames = max(2, round(_SECONDS * 20))
    for part in ("new_joint_vecs", "new_joints", "texts"):
        (folder / part).mkdir(parents=True)
    noise = np.random.default_rng(0).normal(size=(frames + 64, FEATURE_DIM)).astype(np.float32)
    text = "a person walks forward and turns left#a/DET person/NOUN walk/VERB forward/ADV and/CCONJ turn/VERB left/ADV#0.0#0.0\n"
    names = [f"{number:06d}" for number in range(clips)]
    for number, name in enumerate(names):
        np.save(folder / "new_joint_vecs" / f"{name}.npy", noise[number % 64 : number % 64 + frames])
        (folder / "texts" / f"{name}.txt").write_text(text * _CAPTIONS)
    (folder / "train.txt").write_text("\n".join(names) + "\n")
    np.save(folder / "Mean.npy", noise.mean(0))
    np.save(folder / "Std.npy", noise.std(0))
    return clips


def measure_data(hours: float, where: Path | None = None) -> tuple[list[dict[str, Any]], list[str]]:
    """Opening and random reading of a synthetic set, from its files and packed: rows of a table, and what they mean."""
    size = hours * 3600 * 20 * FEATURE_DIM * 4
    with tempfile.TemporaryDirectory(dir=where, prefix="mate-bench-") as temporary:
        free = shutil.disk_usage(temporary).free
        if free < 2.2 * size:
            raise MateError(
                f"{temporary} has {free / 2**30:.1f} GiB free, {2.2 * size / 2**30:.1f} are needed; give --folder or fewer --hours"
            )
        folder = Path(temporary) / "set"
        clips = write_synthetic(folder, hours)
        start = time.perf_counter()
        _measure(folder, "packed")
        first = time.perf_counter() - start
        rows = [
            {"what": what, **dict(_named(_measure(folder, how)))}
            for what, how in (("file by file", "files"), ("packed", "packed"))
        ]
    notes = [
        f"{clips} clips, {hours:g} h, {size / 1e9:.2f} GB of features, {_CAPTIONS} captions a clip; each row in a process of its own, "
        f"files in the system's cache. Making the packed form and opening it took {first:.1f} s, once."
    ]
    return rows, notes


def _measure(folder: Path, how: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", _OPEN, str(folder), how], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _named(measured: dict[str, float]) -> Iterator[tuple[str, float]]:
    yield "opened in s", measured["opened"]
    yield "of it processor s", measured["busy"]
    yield "memory taken in MB", measured["memory"]
    yield "random clips read a second", measured["read"]

"""Preparing over several processes, and after a kill."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.motions import gliding

from mate.data.build import Dropped, Source, build_dataset
from mate.data.dataset import Caption, Sample
from mate.data.kinwords import kinwords_source
from mate.data.mocap_folder import mocap_source
from mate.errors import MateError


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make(bad: int, number: int):
    """A source of the tests: item 3 is broken in the given way."""
    if number == 3 and bad:
        raise MateError("a torn page") if bad == 1 else IndexError("list index out of range")
    if number == 4:
        yield Dropped("four", "not wanted")
        return
    yield Sample(f"c{number}", gliding(40 + number), (Caption("a person walks"),), "train")


def source(items: int = 10, bad: int = 0) -> Source:
    return Source(partial(make, bad), tuple(range(items)), {"source": "test", "bad": bad}, per_part=2)


def build(folder: Path, made: Source, **more):
    return build_dataset(made, folder, name="t", license="CC0", **more)


def test_processes_do_not_change_the_bytes(tmp_path, captioned):
    made = mocap_source(*captioned, license="CC0")
    first = build(tmp_path / "one", made, mirror=True, jobs=1)
    second = build(tmp_path / "two", made, mirror=True, jobs=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert first.clips == second.clips == {"train": 16, "val": 4, "test": 4}
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize("bad", [1, 2])
def test_a_bad_item_is_listed_and_the_rest_is_there(tmp_path, bad):
    report = build(tmp_path / "set", source(bad=bad))
    assert [name for name, _ in report.dropped] == ["3", "four"]
    assert ("torn page" if bad == 1 else "IndexError") in report.dropped[0][1]
    assert report.clips["train"] == 8


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    build(whole, source())

    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(stopped, source(), progress=stop)
    assert not stopped.exists()
    # What is recorded is not made again; a file that was only half written is.
    record = tmp_path / ".stopped.partial" / "set" / "new_joint_vecs"
    times = {path.name: path.stat().st_mtime_ns for path in record.iterdir()}
    assert set(times) == {"c0.npy", "c1.npy", "c2.npy", "c3.npy"}
    (record / "c4.npy").write_bytes(b"half")
    build(stopped, source())
    assert digest(stopped) == digest(whole)
    kept = {name: (stopped / "new_joint_vecs" / name).stat().st_mtime_ns for name in times}
    assert kept == times


def test_another_plan_starts_anew(tmp_path):
    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "set", source(), progress=stop)
    build(tmp_path / "set", source(items=6, bad=1))
    build(tmp_path / "other", source(items=6, bad=1))
    assert digest(tmp_path / "set") == digest(tmp_path / "other")


def test_nothing_usable_leaves_nothing(tmp_path):
    with pytest.raises(MateError, match="no clip was left"):
        build(tmp_path / "set", Source(partial(make, 1), (3, 4), {}))
    assert list(tmp_path.iterdir()) == []


def test_an_old_set_stays_until_the_new_one_is_there(tmp_path):
    build(tmp_path / "set", source())
    before = digest(tmp_path / "set")

    def stop(done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "set", source(items=4), progress=stop)
    assert digest(tmp_path / "set") == before
    assert build(tmp_path / "set", source(items=4)).clips["train"] == 4


def test_two_runs_do_not_share_a_folder(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    staging = tmp_path / ".set.partial"
    staging.mkdir()
    with (staging / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(MateError, match="another run is making"):
            build(tmp_path / "set", source())


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_kill_9_in_the_middle_and_again(tmp_path, jobs):
    """The command is killed while parts are being written; the same command then gives an uninterrupted run's bytes."""
    clips = 160
    command = [sys.executable, "-m", "mate.cli.app", "prepare", "kinwords", "--clips", str(clips), "--jobs", str(jobs)]
    command += ["--seed", "5", "--json", "-o", str(tmp_path / "set")]
    records = tmp_path / ".set.partial" / "parts"
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(records.glob("*.json")):
            assert running.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = len(list(records.glob("*.json")))
    assert 0 < done < clips // 20, "killed too late to prove anything"
    assert not (tmp_path / "set").exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Through the library and in one process: what the command should have written.
    facts = {"seed": 5, "captions": "from mate's grammar"}
    build_dataset(kinwords_source(clips, 5), tmp_path / "whole", name="kinwords", license="Apache-2.0", facts=facts)
    assert digest(tmp_path / "set") == digest(tmp_path / "whole")
    assert not records.exists()


def test_published_features_are_kept_as_they_are(tmp_path):
    features = np.random.default_rng(0).normal(size=(30, 263)).astype(np.float32)
    given = Sample("a", gliding(31), (Caption("walks"),), "train", {}, features)
    build(tmp_path / "set", Source(lambda item: [item], (given,), {}))
    np.testing.assert_array_equal(np.load(tmp_path / "set" / "new_joint_vecs" / "a.npy"), features)

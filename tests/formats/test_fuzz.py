"""Damaged files: nothing but MateError, no hang, no memory that a lying header asks for.

A seeded mutator breaks sound files in the ways of real damage (cut, overwritten, doubled, swapped) and of malice (numbers and words that
mean something to the reader). Archives are broken as bytes and, with checksums that fit, inside. `MATE_FUZZ` sets how many files of a
kind the slow test takes; 20,000 by default.
"""

import io
import os
import resource
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.formats.rigs import odd_rig

from mate.data.captions import mirror_caption, tag
from mate.data.dataset import read_captions
from mate.data.mocap_folder import read_caption_table
from mate.errors import MateError
from mate.formats.body_model import read_body_model
from mate.formats.bvh_writer import write_bvh
from mate.formats.gltf import write_glb
from mate.formats.load import load_motion
from mate.formats.rig import read_rig
from mate.formats.skeleton_file import read_rig_file
from mate.formats.table import write_csv
from mate.motion.motion import Motion

FEW, MANY = 250, int(os.environ.get("MATE_FUZZ", "20000"))
SECONDS = 5.0  # for one file
MEMORY = 400  # MiB that a whole run may add
WORDS = [
    *(
        b"nan inf -inf 1e308 -1e308 1e-320 0 -1 1 1_0 99999999999999999999 4294967295 0x10 1,5 --1 . \xff\xfe \x00".split()
    ),
    *(b"{ } [ ] ( ) : # ' , ; \" \n \r\n \t".split(b" ")),
    *(b"ROOT x {|End Site|JOINT a {|MOTION|Frames: 900000000|Frame Time: 0|CHANNELS 6|OFFSET|HIERARCHY".split(b"|")),
    *(
        b":bonedata|:hierarchy|:units|begin|end|root|dof rx|name root|axis 0 0 0 ZYX|:RADIANS|length 0|direction 0 0 0".split(
            b"|"
        )
    ),
    *(
        b"(1000000000000, 22, 3)|'<f8'|'|O'|'<U9'|True|(-1,)|null|true|1e999|[[[[[[[[|0.0#0.0|#|\"file\": |left|right".split(
            b"|"
        )
    ),
]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """`data` with one to four changes."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, len(out) + 1))
        length = int(rng.choice([0, 1, 1, 2, 4, 16, 80, 400]))
        kind = rng.integers(0, 8)
        if kind == 0:
            out[at : at + length] = rng.bytes(max(length, 1))
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = out[at : at + length] * int(rng.integers(1, 40))
        elif kind == 4 and len(out) > at:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 5:
            other = int(rng.integers(0, len(out) + 1))
            out[at : at + length], out[other : other + length] = out[other : other + length], out[at : at + length]
        else:
            out[at : at + length] = WORDS[rng.integers(0, len(WORDS))]
    return bytes(out)


def rezipped(data: bytes, rng: np.random.Generator) -> bytes:
    """An `.npz` with one of its arrays' bytes mutated; the archive itself is sound."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        victim = names[rng.integers(0, len(names))]
        for name in names:
            content = old.read(name)
            if name == victim:  # mostly its header
                head = content[:128]
                content = mutated(head, rng) + content[128:] if rng.random() < 0.7 else mutated(content, rng)
            new.writestr(name, content)
    return buffer.getvalue()


def run(
    files: int, seeds: list[bytes], path: Path, load: Callable[[Path], object], archive: bool = False
) -> tuple[int, float]:
    """Loads `files` mutations; the number that loaded all the same, and the longest time for one."""
    rng = np.random.default_rng(len(seeds[0]))
    loaded, longest = 0, 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(files):
        seed = seeds[number % len(seeds)]
        data = rezipped(seed, rng) if archive and rng.random() < 0.7 else mutated(seed, rng)
        path.write_bytes(data)
        start = time.process_time()
        try:
            load(path)
        except MateError:
            pass
        except BaseException:
            (path.parent / "culprit").write_bytes(data)
            print("broke at", number, path)
            raise
        else:
            loaded += 1
        longest = max(longest, time.process_time() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert longest < SECONDS
    assert grown < MEMORY, f"{grown:.0f} MiB"
    print(f"{files} files, {loaded} loaded, longest {longest:.3f} s, {grown:.0f} MiB more memory")
    return loaded, longest


def sound(path: Path) -> None:
    """Loads a motion; what comes out is finite and can be used."""
    motion = load_motion(path)
    assert np.isfinite(motion.joints).all() and motion.joints.shape[1:] == (22, 3) and 0 < motion.fps < np.inf


HOW_MANY = pytest.mark.parametrize(
    "files", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
)


@HOW_MANY
def test_bvh(files: int, motion: Motion, tmp_path: Path) -> None:
    write_bvh(Motion(motion.joints[:3], 20.0), tmp_path / "seed.bvh")
    whole = (tmp_path / "seed.bvh").read_bytes()
    loaded, _ = run(files, [whole], tmp_path / "a.bvh", sound)
    assert 0 < loaded < files


@HOW_MANY
def test_asf_and_amc(files: int, acclaim: tuple[str, str], tmp_path: Path) -> None:
    asf, amc = (text.encode() for text in acclaim)
    (tmp_path / "a.asf").write_bytes(asf)
    (tmp_path / "b.amc").write_bytes(amc)
    loaded, _ = run(files // 2, [amc], tmp_path / "a.amc", sound)
    assert 0 < loaded < files
    loaded, _ = run(files - files // 2, [asf], tmp_path / "b.asf", lambda path: sound(path.with_suffix(".amc")))
    assert 0 < loaded < files


@HOW_MANY
def test_npz_and_npy(
    files: int, motion: Motion, body_model: dict[str, np.ndarray], tmp_path: Path, monkeypatch
) -> None:
    def packed(**arrays: Any) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    monkeypatch.setenv("MATE_BODY_MODELS", str(tmp_path))
    model = packed(**body_model)
    (tmp_path / "smplh_male.npz").write_bytes(model)
    joints = motion.joints[:4]
    poses = {
        "trans": joints[:, 0],
        "betas": np.zeros(16),
        "gender": np.array("male"),
        "mocap_framerate": np.array(120.0),
    }
    seeds = [
        packed(posed_joints=joints, mocap_framerate=np.array(20.0), prompt=np.array("a person walks")),
        packed(poses=np.zeros((4, 156)), **poses),
        packed(
            root_orient=np.zeros((4, 3)), pose_body=np.zeros((4, 63)), surface_model_type=np.array("smplh"), **poses
        ),
    ]
    loaded, _ = run(files, seeds, tmp_path / "a.npz", sound, archive=True)
    assert 0 < loaded < files
    run(files // 10, [model], tmp_path / "model.npz", read_body_model, archive=True)
    arrays = []
    for array in (joints, np.zeros((4, 263), np.float32), np.concatenate([joints, joints[:, :2]], 1)):
        np.save(tmp_path / "seed.npy", array)
        arrays.append((tmp_path / "seed.npy").read_bytes())
    run(files // 5, arrays, tmp_path / "a.npy", sound)


@HOW_MANY
def test_csv_and_glb(files: int, motion: Motion, tmp_path: Path) -> None:
    short = Motion(motion.joints[:4], 20.0)
    write_csv(short, tmp_path / "seed.csv")
    loaded, _ = run(files // 2, [(tmp_path / "seed.csv").read_bytes()], tmp_path / "a.csv", sound)
    assert 0 < loaded < files
    write_glb(short, tmp_path / "seed.glb")
    whole = (tmp_path / "seed.glb").read_bytes()
    # Damage where it tells: the description and the animation at the end, with the length that the header then needs.
    size = struct.unpack_from("<I", whole, 12)[0]

    def load(path: Path) -> None:
        text = path.read_bytes()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text + whole[20 + size :]
        path.with_suffix(".glb").write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
        sound(path.with_suffix(".glb"))

    loaded, _ = run(files // 2, [whole[20 : 20 + size]], tmp_path / "a.json", load)
    assert 0 < loaded < files
    run(files // 10, [whole], tmp_path / "b.glb", sound)


@HOW_MANY
def test_rigs(files: int, tmp_path: Path) -> None:
    for seed in (odd_rig(), odd_rig("ZYX", along_x=True)):
        loaded, _ = run(files // 4, [seed.encode()], tmp_path / "a.bvh", read_rig)
        assert 0 < loaded < files


TABLE = """file,caption,start,end,split
walk.npy,"a person walks, then turns left",0,2.5,train
more/turn.npy,turns right away to the left clockwise,,,
"""
LINES = """{"file": "walk.npy", "caption": "a person walks", "start": 0, "end": 2.5, "split": "train"}
{"file": "turn.npy", "caption": "turns left"}
"""
TEXTS = """a man kicks with the left leg.#a/DET man/NOUN kick/VERB with/ADP the/DET left/ADJ leg/NOUN#0.0#0.0
he turns right away#he/PRON turn/VERB right/ADV away/ADV#1.0#3.5
"""
RIG = """{"roles": {"left_hip": "LeftUpLeg"}, "joints": ["Hips", "LeftUpLeg"], "parents": [-1, 0], "scale": 0.01, "up": "z", "fps": 30}
"""


@HOW_MANY
def test_caption_and_skeleton_files(files: int, tmp_path: Path) -> None:
    def table(path: Path) -> None:
        for row in read_caption_table(path):
            assert 0 <= row.start < np.inf and 0 <= row.end < np.inf
            assert mirror_caption(mirror_caption(row.caption)) is not None and tag(row.caption) is not None

    def texts(path: Path) -> None:
        for caption in read_captions(path):
            assert np.isfinite([caption.start, caption.end]).all()
            mirror_caption(caption.text)

    part = files // 3 + 1
    for seed, name, load in (
        (TABLE, "a.csv", table),
        (LINES, "a.jsonl", table),
        (TEXTS, "a.txt", texts),
        (RIG, "a.json", read_rig_file),
    ):
        loaded, _ = run(part, [seed.encode()], tmp_path / name, load)
        assert 0 < loaded < part


@pytest.mark.parametrize(
    "text",
    ["left " * 100_000, "right" + " " * 300_000 + "away", "all " * 100_000 + "right"],
    ids=["words", "spaces", "all"],
)
def test_very_long_captions_take_no_quadratic_time(text: str) -> None:
    start = time.process_time()
    mirror_caption(text)
    tag(text)
    assert time.process_time() - start < SECONDS

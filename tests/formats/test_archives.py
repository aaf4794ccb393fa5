"""Real motion capture of every kind at hand: it loads, is a body that stands and faces where it goes, and survives an export to BVH."""

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mate.formats.bvh import load_bvh, read_bvh
from mate.formats.bvh_writer import write_bvh
from mate.formats.load import load_motion
from mate.motion.kinematics import total_turn
from mate.motion.motion import Motion
from mate.motion.retarget import heading
from mate.motion.skeleton import HUMANML3D

WALKS = ("walk", "run", "dash")


def archive(shared_data: Path, name: str) -> zipfile.ZipFile:
    if not (shared_data / name).exists():
        pytest.skip(f"no {name}")
    return zipfile.ZipFile(shared_data / name)


def folder(shared_data: Path, name: str) -> Path:
    if not (shared_data / name).is_dir():
        pytest.skip(f"no {name}")
    return shared_data / name


def index(shared_data: Path) -> dict[str, str]:
    """CMU's line of text for each trial."""
    with open(shared_data / "captions" / "cmu-index.csv", newline="", encoding="utf-8") as file:
        return {row["trial"]: row["description"] for row in csv.DictReader(file)}


def along(motion: Motion) -> float:
    """How much of the path goes where the body faces: 1 all of it, -1 backwards."""
    angle = heading(motion.joints)[:-1]
    steps = np.diff(motion.joints[:, 0], axis=0)[:, [0, 2]]
    return float((steps * np.stack([np.sin(angle), np.cos(angle)], 1)).sum() / np.linalg.norm(steps, axis=1).sum())


def check_body(motion: Motion) -> None:
    joints = motion.joints
    assert motion.skeleton is HUMANML3D
    hips, knees, ankles = joints[:, [1, 2]], joints[:, [4, 5]], joints[:, [7, 8]]
    legs = np.median(np.linalg.norm(hips - knees, axis=-1) + np.linalg.norm(knees - ankles, axis=-1))
    assert 0.7 < legs < 1.0
    assert -0.06 < joints[:, [7, 8, 10, 11], 1].min() < 0.08
    assert 1.15 < joints[:, 15, 1].max() < 2.3  # the head joint, at the base of the skull
    bones = np.linalg.norm(joints[:, 1:] - joints[:, list(HUMANML3D.parents[1:])], axis=-1)
    assert np.median(bones, axis=0).min() > 0.02
    # The foot on the ground points ahead, with the left hip at its left (a foot in the air may point backwards).
    lower = joints[:, [7, 8], 1].argmin(axis=1)
    frames = np.arange(len(joints))
    toes = joints[frames, 10 + lower] - joints[frames, 7 + lower]
    assert np.mean(np.cross(toes, hips[:, 0] - hips[:, 1])[:, 1] < 0) < 0.25


def check_round_trip(motion: Motion, tmp_path: Path) -> None:
    write_bvh(motion, tmp_path / "again.bvh")
    again = load_bvh(tmp_path / "again.bvh")
    assert again.fps == pytest.approx(motion.fps, rel=1e-6)
    assert again.joints.shape == motion.joints.shape
    assert np.linalg.norm(again.joints - motion.joints, axis=-1).max() < 0.001


def bandai_namco(shared_data: Path, step: int) -> Iterator[tuple[str, Motion]]:
    with archive(shared_data, "bandai-namco.zip") as file:
        names = sorted(name for name in file.namelist() if name.endswith(".bvh"))
        assert len(names) == 2505
        for name in names[::step]:
            yield Path(name).stem, load_bvh(file.read(name), name)


FEW_OR_ALL = pytest.mark.parametrize(
    "few", [pytest.param(True, id="few"), pytest.param(False, id="all", marks=pytest.mark.slow)]
)


@FEW_OR_ALL
def test_bandai_namco(shared_data: Path, tmp_path: Path, few: bool) -> None:
    step = 250 if few else 1
    files = 0
    for number, (name, motion) in enumerate(bandai_namco(shared_data, step)):
        files += 1
        assert motion.fps == 30.0
        check_body(motion)
        _, content, style, take = name.split("_")
        if content in WALKS:
            assert along(motion) > 0.6, name
        if content.startswith("walk-turn") and not mislabelled(content, style, take):
            turn = total_turn(motion.joints, motion.fps)
            assert np.sign(turn) == (1 if content.endswith("left") else -1), name
        if number % 6 == 0 or few:
            check_round_trip(motion, tmp_path)
    assert files == -(-2505 // step)


def mislabelled(content: str, style: str, take: str) -> bool:
    """Takes that turn to the other side than their name says; see docs/data.md."""
    return (content, style, take) in {
        ("walk-turn-left", "masculine", "006"),
        ("walk-turn-left", "masculine", "007"),
        ("walk-turn-right", "masculine", "006"),
        ("walk-turn-right", "masculine", "007"),
        ("walk-turn-right", "normal", "004"),
        ("walk-turn-right", "normal", "032"),
    }


@FEW_OR_ALL
def test_cmu_subject_16_turns_as_its_index_says(shared_data: Path, tmp_path: Path, few: bool) -> None:
    named = index(shared_data)
    files = sorted(folder(shared_data, "cmu/snu-subject-16").glob("*.bvh"))
    assert len(files) == 14
    turned = 0
    for path in files:
        motion = load_motion(path)
        assert motion.fps == 30.0
        check_body(motion)
        assert along(motion) > 0.75, path.name
        if not few or path.stem == "16_28_1":
            check_round_trip(motion, tmp_path)
        text = named[path.stem[:5]]
        side = 1 if "left" in text else -1 if "right" in text else 0
        angle = np.degrees(heading(motion.joints))
        turn = angle[-1] - angle[0]
        if "90-degree" in text:
            turned += 1
            assert turn == pytest.approx(90 * side, abs=20), path.name
        elif "veer" in text:
            turned += 1
            assert 20 < turn * side < 70, path.name
        else:
            assert abs(turn) < 20, path.name
    assert turned == 6


@FEW_OR_ALL
def test_cmu_subject_131(shared_data: Path, tmp_path: Path, few: bool) -> None:
    turns = {}
    files = sorted(folder(shared_data, "cmu/bvh11-subject-131").glob("*.bvh"))
    assert len(files) == 3
    for path in files[2:] if few else files:
        motion = load_motion(path)
        assert motion.fps == 120.0
        check_body(motion)
        check_round_trip(motion, tmp_path)
        turns[path.stem] = np.degrees(total_turn(motion.joints, motion.fps))
    assert turns["131_03"] == pytest.approx(-360, abs=20)  # a full turn, and it survives the round trip


@FEW_OR_ALL
def test_cmu_amc_trials(shared_data: Path, tmp_path: Path, few: bool) -> None:
    trials = sorted(folder(shared_data, "cmu/amc").glob("*.amc"))
    assert len(trials) == 5
    for path in trials[:2] if few else trials:
        motion = load_motion(path)
        assert motion.fps == 120.0
        check_body(motion)
        check_round_trip(motion, tmp_path)
        if path.stem == "35_01":
            assert "walk" in index(shared_data)["35_01"]
            assert along(motion) > 0.95


REST_POSE_FIRST = {f"007_{trial:02}" for trial in range(3, 13)}
ON_THE_GROUND = {"002_01", "002_02", "002_03", "007_01"}  # their root is; the pelvis's rise and fall was lost
IN_PLACE = {f"002_{trial:02}" for trial in range(4, 11)}


@FEW_OR_ALL
def test_cc_base_rigs(shared_data: Path, tmp_path: Path, few: bool) -> None:
    with archive(shared_data, "cmu/iclone-subjects-002-007.zip") as file:
        names = sorted(name for name in file.namelist() if name.endswith(".bvh"))
        assert len(names) == 22
        for name in names:
            trial = Path(name).stem
            if few and trial not in ("002_03", "002_04", "007_12"):
                continue
            raw, motion = read_bvh(file.read(name), name), load_bvh(file.read(name), name)
            assert motion.fps == 60.0
            assert raw.frames - motion.frames == (trial in REST_POSE_FIRST), name
            check_body(motion)
            check_round_trip(motion, tmp_path)
            # On the floor in most frames, not in one.
            assert np.median(motion.joints[:, [7, 8, 10, 11], 1].min(axis=1)) < 0.05, name
            if trial not in IN_PLACE:
                assert along(motion) > 0.9, name
            if trial in ON_THE_GROUND:
                assert 0.02 < np.ptp(motion.joints[:, 0, 1]) < 0.12, name


def test_golden_pairs(shared_data: Path, tmp_path: Path) -> None:
    files = sorted(folder(shared_data, "humanml3d-golden").rglob("new_joints/*.npy"))
    assert len(files) == 6
    for path in files:
        joints = load_motion(path)
        features = load_motion(path.parents[1] / "new_joint_vecs" / path.name)
        assert joints.fps == features.fps == 20.0
        frames = min(joints.frames, features.frames)
        np.testing.assert_allclose(features.joints[:frames], joints.joints[:frames], atol=1e-3)
        if path.stem == "M010655":  # turns half round
            check_round_trip(joints, tmp_path)
    check_body(load_motion(folder(shared_data, "humanml3d-golden") / "000021_raw_pose.npy"))  # all 52 joints of SMPL+H

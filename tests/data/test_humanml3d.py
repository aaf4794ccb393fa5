"""HumanML3D and KIT-ML from made-up archives of the published form."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tests.formats.conftest import made_up_body_model
from tests.motions import gliding

from mate.cli.app import main
from mate.data.build import build_dataset
from mate.data.dataset import open_dataset
from mate.data.humanml3d import IndexRow, find_recording, humanml3d_source, read_index, read_splits
from mate.data.kit import kit_source
from mate.data.verify import verify
from mate.errors import MateError
from mate.formats.load import load_motion
from mate.motion.features import KIT_FEATURES, joints_to_features
from mate.motion.procedure import published_process
from mate.motion.skeleton import HUMANML3D, KIT

LEFT_RIGHT = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]
INDEX = (
    "source_path,start_frame,end_frame,new_name\n"
    "./pose_data/KIT/3/kick high_poses.npy,5,40,000000.npy\n"
    "./pose_data/MPI_HDM05/bk/HDM_bk_01_poses.npy,0,30,000001.npy\n"
    "./pose_data/humanact12/humanact12/P01.npy,0,-1,000002.npy\n"
    "./pose_data/CMU/01/01_01_poses.npy,0,50,000003.npy\n"
    "./pose_data/KIT/3/kick high_poses.npy,90,95,000004.npy\n"
)


def poses(frames: int) -> dict[str, Any]:
    """SMPL+H pose parameters in AMASS's Z-up world: standing, moving a little, turning and walking."""
    time = np.linspace(0, 1, frames)
    rotations = 0.3 * np.sin(time[:, None, None] * np.random.default_rng(1).uniform(2, 9, (52, 3)))
    turn = Rotation.from_euler("z", 40 * time[:, None], degrees=True) * Rotation.from_euler("x", 90, degrees=True)
    rotations[:, 0] = turn.as_rotvec()
    path = np.stack([0.5 * time, -0.8 * time, np.full(frames, 0.95)], axis=1)
    return {
        "poses": rotations.reshape(frames, -1),
        "trans": path,
        "betas": np.full(16, 0.5),
        "gender": np.array("male"),
    }


def z_up(joints: np.ndarray) -> np.ndarray:
    return np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)


@pytest.fixture
def archive(tmp_path) -> dict[str, Path]:
    amass = tmp_path / "amass"
    for folder in ("KIT/3", "HDM05/HDM05/bk"):
        (amass / folder).mkdir(parents=True)
    np.savez(amass / "KIT/3/kick_high_stageii.npz", mocap_frame_rate=np.array(100.0), **poses(400))
    joints = z_up(gliding(700, speed=0.01, turn=1.0))
    np.savez(amass / "HDM05/HDM05/bk/HDM_bk_01_poses.npz", mocap_framerate=np.array(120.0), joints=joints)
    models = tmp_path / "models" / "smplh" / "male"
    models.mkdir(parents=True)
    np.savez(models / "model.npz", **made_up_body_model())  # pyright: ignore[reportArgumentType]
    (tmp_path / "humanact12").mkdir()
    np.save(tmp_path / "humanact12" / "P01.npy", np.concatenate([gliding(45, turn=0.5), gliding(45)[:, :2]], axis=1))
    (tmp_path / "index.csv").write_text(INDEX)
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as texts:
        for number in range(5):
            texts.writestr(f"texts/{number:06d}.txt", "a man kicks left#a/DET man/NOUN kick/VERB left/ADV#0.0#0.0\n")
        texts.writestr("texts/M000000.txt", "the man kicks right#the/DET man/NOUN kick/VERB right/ADV#0.0#0.0\n")
    lists = {"train": ["000000", "M000000", "000001"], "val": ["000002", "M000002"], "test": ["000003", "000004"]}
    for split, names in lists.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(names) + "\n")
    return {"root": tmp_path, "amass": amass, "models": tmp_path / "models"}


def source(archive, **more):
    root = archive["root"]
    return humanml3d_source(
        root / "index.csv", root / "texts.zip", archive["amass"], humanact12=root / "humanact12", splits=root,
        body_model=archive["models"], **more,
    )  # fmt: skip


def by_the_published_way(recording: np.ndarray, mirrored: bool) -> np.ndarray:
    """Z-up joints at 20 fps -> features: y and z exchanged, x negated, perhaps mirrored, `process_file`."""
    joints = recording[..., [0, 2, 1]] * np.array([-1.0, 1, 1])
    if mirrored:
        joints = joints[:, LEFT_RIGHT] * np.array([-1.0, 1, 1])
    return published_process(joints)


def test_the_published_steps(archive):
    out = archive["root"] / "set"
    report = build_dataset(source(archive), out, name="h", license="x", every_split_counts=True, jobs=1)
    assert report.clips == {"train": 3, "val": 2, "test": 0}
    reasons = dict(report.dropped)
    assert reasons["M000001"] == "in none of the split lists"
    assert "download that subset" in reasons["000003"] and "CMU" in reasons["000003"]
    assert "leave" in reasons["000004"]

    kick = load_motion(archive["amass"] / "KIT/3/kick_high_stageii.npz", body_model=archive["models"]).joints
    expected = {"000000": z_up(kick)[::5][5:40]}
    hdm = z_up(gliding(700, speed=0.01, turn=1.0))
    expected["000001"] = hdm[::6][60:][0:30]  # the subset loses its first three seconds
    for name, recording in expected.items():
        for image in (False, True):
            path = out / "new_joint_vecs" / f"{'M' if image else ''}{name}.npy"
            if path.exists():
                np.testing.assert_allclose(np.load(path), by_the_published_way(recording, image), atol=1e-4)
    act = np.load(out / "new_joint_vecs" / "000002.npy")
    np.testing.assert_allclose(act, published_process(gliding(45, turn=0.5)), atol=1e-4)

    train = open_dataset(out, "train")
    captions = {name: texts[0] for name, texts in zip(train.names, train.captions, strict=True)}
    assert captions["M000000"].text == "the man kicks right"
    assert captions["000000"].tags == "a/DET man/NOUN kick/VERB left/ADV"
    every = np.concatenate([np.load(path) for path in sorted((out / "new_joint_vecs").iterdir())])
    np.testing.assert_allclose(train.mean, every.mean(0), atol=1e-5)
    val = open_dataset(out, "val")
    assert {name: texts[0].text for name, texts in zip(val.names, val.captions, strict=True)} == {
        "000002": "a man kicks left",
        "M000002": "a man kicks right",  # no text of its own: mirrored here
    }
    assert not verify(out).of("statistics")


def test_the_command_gives_the_same(archive):
    root = archive["root"]
    build_dataset(
        source(archive), root / "set", name="humanml3d", license="x", every_split_counts=True, jobs=1
    )  # fmt: skip
    arguments = ["prepare", "humanml3d", str(archive["amass"]), "--index", str(root / "index.csv"), "--texts"]
    arguments += [str(root / "texts.zip"), "--splits", str(root), "--humanact12", str(root / "humanact12")]
    arguments += ["--body-model", str(archive["models"]), "--jobs", "1", "--json", "-o", str(root / "other")]
    assert main(arguments) == 0
    for name in ("new_joint_vecs/000000.npy", "Mean.npy", "texts/M000002.txt", "train.txt"):
        assert (root / "set" / name).read_bytes() == (root / "other" / name).read_bytes()


def test_names_of_subsets(tmp_path):
    row = IndexRow("000000", "BioMotionLab_NTroje/rub001/0000_treadmill_poses.npy", 0, 10)
    with pytest.raises(MateError, match="BioMotionLab_NTroje or BMLrub"):
        find_recording(tmp_path, row)
    path = tmp_path / "BMLrub" / "rub001" / "0000_treadmill_poses.npz"
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_recording(tmp_path, row) == path


@pytest.mark.parametrize("table", ["", "a,b\n1,2\n", "source_path,start_frame,end_frame,new_name\nx,soon,1,y\n"])
def test_an_index_that_is_none(tmp_path, table):
    (tmp_path / "index.csv").write_text(table)
    with pytest.raises(MateError, match="index.csv"):
        read_index(tmp_path / "index.csv")


def test_a_name_in_two_splits(tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.txt").write_text("a\n" if split != "val" else "")
    with pytest.raises(MateError, match=r"a is in train\.txt and in test\.txt"):
        read_splits(tmp_path)


@pytest.fixture
def kit(tmp_path):
    """A folder of KIT-ML's form: a body facing +Z, millimetres, 21 joints."""
    root = tmp_path / "KIT-ML"
    for part in ("new_joints", "new_joint_vecs", "texts"):
        (root / part).mkdir(parents=True)
    offsets = np.array(KIT.rest_directions, dtype=float) * np.array([-1, 1, 1]) * 150
    for number, split in enumerate(("train", "train", "val", "test")):
        time = np.arange(60) / 12.5
        joints = np.zeros((60, 21, 3))
        joints[:, 0] = np.stack([0 * time, np.full(60, 450.0), (300 + 50 * number) * time], axis=1)
        for joint, parent in enumerate(KIT.parents[1:], start=1):
            swing = 0.3 * np.sin(time + joint + number)
            turn = np.stack([np.cos(swing), np.sin(swing)], axis=1)
            x, y, z = offsets[joint]
            bone = np.stack([x + 0 * time, y * turn[:, 0] - z * turn[:, 1], y * turn[:, 1] + z * turn[:, 0]], axis=1)
            joints[:, joint] = joints[:, parent] + bone
        joints[..., 1] -= joints[..., 1].min()
        features = joints_to_features(joints, KIT_FEATURES)
        np.save(root / "new_joint_vecs" / f"{number:05d}.npy", features)
        np.save(root / "new_joints" / f"{number:05d}.npy", joints[:-1].astype(np.float32))
        (root / "texts" / f"{number:05d}.txt").write_text("a person walks#a/DET person/NOUN walk/VERB#0.0#2.0\n")
        with (root / f"{split}.txt").open("a") as listing:
            listing.write(f"{number:05d}\n")
    return root


def test_kit_keeps_its_numbers_and_its_rate(kit, tmp_path):
    broken = np.load(kit / "new_joints" / "00001.npy")
    np.save(kit / "new_joints" / "00001.npy", broken + 20)
    out = tmp_path / "set"
    report = build_dataset(kit_source(kit), out, name="kit", license="x", spec=KIT_FEATURES, every_split_counts=True)
    assert report.clips == {"train": 1, "val": 1, "test": 1}
    assert report.dropped[0][0] == "00001" and "disagree by up to 20 mm" in report.dropped[0][1]
    train = open_dataset(out)
    assert train.fps == 12.5 and train.spec.dim == 251
    assert train.lengths.tolist() == [25]  # two seconds are 25 frames, not 40
    np.testing.assert_array_equal(train.features(0), np.load(kit / "new_joint_vecs" / "00000.npy")[:25])
    assert verify(out).sound, verify(out).problems


def test_kit_from_joints_alone(kit, tmp_path):
    (kit / "new_joint_vecs").rename(tmp_path / "put away")
    (kit / "new_joints").rename(kit / "joints")
    report = build_dataset(kit_source(kit), tmp_path / "set", name="kit", license="x", spec=KIT_FEATURES)
    assert report.clips["train"] == 2 and not report.dropped
    assert HUMANML3D.joints == 22 and open_dataset(tmp_path / "set").joints(0).shape[1:] == (21, 3)

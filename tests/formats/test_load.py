"""Loading motions from every supported kind of file."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mate.errors import MateError
from mate.formats.bvh_writer import write_bvh
from mate.formats.load import load_motion
from mate.formats.npz import NpzReader, read_metadata
from mate.formats.npz_writer import write_npz
from mate.motion.features import joints_to_features
from mate.motion.layout import KIT_FEATURES
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D


def standing(frames: int = 4) -> np.ndarray:
    joints = np.zeros((22, 3))
    joints[0, 1] = 0.9
    directions = np.array(HUMANML3D.rest_directions, dtype=float)
    directions[10:12] = [0, -0.4, 0.9]
    directions[13:15, 1] = 1.0
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        joints[joint] = (
            joints[parent] + directions[joint] / np.linalg.norm(directions[joint]) * HUMANML3D.bone_lengths[joint]
        )
    moved = np.repeat(joints[None], frames, axis=0)
    moved[:, :, 2] += 0.05 * np.arange(frames)[:, None]
    return moved.astype(np.float32)


def test_npy_joints(tmp_path):
    np.save(tmp_path / "a.npy", standing().astype(np.float64))
    motion = load_motion(tmp_path / "a.npy")
    assert (motion.fps, motion.name, motion.skeleton) == (20.0, "a", HUMANML3D)
    np.testing.assert_array_equal(motion.joints, standing())
    assert load_motion(tmp_path / "a.npy", fps=30).fps == 30.0
    (tmp_path / "a.npy").write_bytes(b"")  # nothing stays mapped
    np.testing.assert_array_equal(motion.joints, standing())


def test_npy_features(tmp_path):
    features = joints_to_features(standing(30))
    np.save(tmp_path / "f.npy", features)
    motion = load_motion(tmp_path / "f.npy")
    assert motion.joints.shape == (29, 22, 3)
    np.testing.assert_allclose(motion.joints[:, 0, 1], 0.9, atol=1e-5)


def kit(frames: int = 30) -> np.ndarray:
    """`standing` as KIT-ML has it: its 21 joints, right before left, millimetres, 1 m tall."""
    source = [0, 3, 9, 12, 15, 17, 19, 21, 16, 18, 20, 2, 5, 8, 8, 11, 1, 4, 7, 7, 10]
    return standing(frames)[:, source] * (1000 / 1.7)


def test_kit_joints_and_features_are_the_same_body_in_metres(tmp_path):
    np.save(tmp_path / "joints.npy", kit())
    motion = load_motion(tmp_path / "joints.npy")
    assert (motion.fps, motion.skeleton, motion.joints.shape) == (12.5, HUMANML3D, (30, 22, 3))
    given = standing(30) / 1.7
    ours = [0, 1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19, 20, 21]  # all that KIT has
    np.testing.assert_allclose(motion.joints[:, ours], given[:, ours], atol=1e-5)
    assert motion.joints[0, 1, 0] > 0 > motion.joints[0, 2, 0]  # left is at +X of a body that faces +Z
    np.save(tmp_path / "features.npy", joints_to_features(kit().astype(np.float32), KIT_FEATURES))
    features = load_motion(tmp_path / "features.npy")
    assert (features.fps, features.frames) == (12.5, 29)
    np.testing.assert_allclose(features.joints, motion.joints[:29] - motion.joints[0, 0] * [1, 0, 1], atol=1e-4)


def test_humanact12_joints_of_a_camera_that_looks_down(tmp_path):
    body = np.concatenate([standing(8), standing(8)[:, 20:22]], axis=1)  # SMPL's 24 joints
    np.save(tmp_path / "P01G01R01F0001T0064A0101.npy", body * [1, -1, -1])
    motion = load_motion(tmp_path / "P01G01R01F0001T0064A0101.npy")
    assert motion.fps == 20.0
    np.testing.assert_allclose(motion.joints, body[:, :22], atol=1e-6)
    np.save(tmp_path / "centred.npy", body - body[:, :1])  # about the pelvis: the feet come to the floor
    motion = load_motion(tmp_path / "centred.npy")
    assert motion.joints[..., 1].min() == pytest.approx(0.0, abs=1e-6)


def test_our_own_npz_and_bvh_come_back(tmp_path):
    motion = Motion(standing(), 20.0, name="walk")
    write_npz(motion, tmp_path / "walk.npz", {"prompt": "a person walks"})
    write_bvh(motion, tmp_path / "walk.bvh")
    np.testing.assert_array_equal(load_motion(tmp_path / "walk.npz").joints, motion.joints)
    np.testing.assert_allclose(load_motion(tmp_path / "walk.bvh").joints, motion.joints, atol=1e-5)
    (tmp_path / "walk.BVH2").write_bytes((tmp_path / "walk.bvh").read_bytes())
    assert load_motion(tmp_path / "walk.BVH2").frames == 4  # by its first bytes


def test_npz_of_smpl_family_bodies(tmp_path):
    joints = np.concatenate([standing(), np.ones((4, 30, 3), dtype=np.float32)], axis=1)
    np.savez(tmp_path / "h.npz", joints=joints, mocap_framerate=np.float64(120))
    motion = load_motion(tmp_path / "h.npz")
    assert motion.fps == 120.0
    np.testing.assert_array_equal(motion.joints, standing())
    x, y, z = np.moveaxis(standing(), -1, 0)
    np.savez(tmp_path / "z.npz", joints=np.stack([x, -z, y], axis=-1), mocap_frame_rate=60)
    np.testing.assert_allclose(load_motion(tmp_path / "z.npz").joints, standing(), atol=1e-6)
    np.savez_compressed(tmp_path / "k.npz", posed_joints=standing()[None], global_root_heading=np.zeros((4, 2)))
    assert load_motion(tmp_path / "k.npz").fps == 30.0


def test_what_npz_files_lack_is_said(tmp_path):
    np.savez(
        tmp_path / "amass.npz",
        poses=np.zeros((5, 156)),
        trans=np.zeros((5, 3)),
        betas=np.zeros(16),
        mocap_framerate=120,
    )
    with pytest.raises(MateError, match="body model"):
        load_motion(tmp_path / "amass.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(MateError, match="weights; expected joint positions under one of posed_joints"):
        load_motion(tmp_path / "other.npz")
    np.savez(tmp_path / "rate.npz", joints=standing())
    with pytest.raises(MateError, match="no frame rate"):
        load_motion(tmp_path / "rate.npz")
    assert load_motion(tmp_path / "rate.npz", fps=25).fps == 25.0
    for rate in (0.0, -1.0, np.nan, np.inf, [1.0, 2.0], "twenty"):
        np.savez(tmp_path / "bad.npz", joints=standing(), fps=np.array(rate))
        with pytest.raises(MateError, match="frame"):
            load_motion(tmp_path / "bad.npz")
    np.savez(tmp_path / "soma.npz", posed_joints=np.zeros((4, 77, 3)), global_root_heading=np.zeros(2))
    with pytest.raises(MateError, match="SOMA"):
        load_motion(tmp_path / "soma.npz")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 21, 3)), "head lies on the pelvis"),
        (np.zeros((5, 251)), "head lies on the pelvis"),
        (np.zeros((5, 23, 3)), "give a skeleton file"),
        (np.zeros((5, 100)), "KIT-ML"),
        (np.zeros((0, 21, 3)), "no frames"),
        (np.full((3, 24, 3), np.nan), "NaN"),
        (np.zeros((22, 3)), "shape"),
        (np.zeros(()), "shape"),
        (np.zeros((0, 22, 3)), "no frames"),
        (np.zeros((0, 263)), "no frames"),
        (np.full((3, 22, 3), np.nan), "NaN"),
        (np.full((3, 22, 3), 1e300), "infinite"),
        (np.full((3, 263), np.inf), "infinite features, first at frame 0"),
        (np.zeros((3, 22, 3), dtype=complex), "expected numbers"),
        (np.zeros((3, 22, 3), dtype="U3"), "expected numbers"),
        (np.array([{"motion": 1}], dtype=object), "pickled"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_arrays_that_are_no_motion(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(MateError, match=message) as error:
        load_motion(tmp_path / "a.npy")
    assert "a" in str(error.value)


def test_an_npy_that_runs_code_when_unpickled_is_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").write_text, ("x",))

    np.save(tmp_path / "t.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "t.npz", joints=np.array([Trap()], dtype=object))
    for name in ("t.npy", "t.npz"):
        with pytest.raises(MateError, match="pickled Python objects"):
            load_motion(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_damaged_and_lying_arrays(tmp_path):
    np.save(tmp_path / "a.npy", standing())
    data = (tmp_path / "a.npy").read_bytes()
    for length in (0, 3, 6, 40, 128, len(data) - 1):
        (tmp_path / "cut.npy").write_bytes(data[:length])
        with pytest.raises(MateError):
            load_motion(tmp_path / "cut.npy")
    huge = data.replace(b"(4, 22, 3), }", b"(4, 22, 3000000000000), }"[:13]).replace(
        b"'shape': (4, ", b"'shape': (9000000000, "
    )
    (tmp_path / "huge.npy").write_bytes(huge)
    with pytest.raises(MateError):
        load_motion(tmp_path / "huge.npy")
    buffer = io.BytesIO()
    np.savez(buffer, joints=standing(), fps=20)
    data = buffer.getvalue()
    rng = np.random.default_rng(0)
    for trial in range(150):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 1 + trial % 5):
            broken[at] = rng.integers(256)
        (tmp_path / "b.npz").write_bytes(broken[: len(data) - trial * 13 % 900])
        with contextlib.suppress(MateError):
            load_motion(tmp_path / "b.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("shape", [(10**15, 22, 3), (10**7, 22, 3), (5, 22, 3), (3, 22, 3), (-4, 22, 3)])
def test_an_npz_whose_array_is_not_as_long_as_its_header_says(tmp_path, shape, compression):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w", compression) as archive:
        archive.writestr("joints.npy", head.getvalue() + standing().tobytes())
    with pytest.raises(MateError, match="joints"):
        load_motion(tmp_path / "lie.npz", fps=20)


def test_strings_that_are_no_characters(tmp_path):
    text = np.array("smplh")
    np.savez(tmp_path / "a.npz", name=text, swapped=text.astype(">U5"), bytes=np.bytes_(b"smplh"))
    with NpzReader(tmp_path / "a.npz") as archive:
        assert [archive.text(key) for key in ("name", "swapped", "bytes", "absent")] == ["smplh", "smplh", "smplh", ""]
    np.savez(tmp_path / "a.npz", name=np.array([0xFFFFFFFF, 0x61], dtype="<u4").view("<U2").reshape(()))
    assert read_metadata(tmp_path / "a.npz")["name"].endswith("a")


def test_other_paths(tmp_path):
    (tmp_path / "a.fbx").write_bytes(b"Kaydara FBX")
    (tmp_path / "noext").write_bytes(b"hello")
    with pytest.raises(MateError, match=r"unknown kind of file '.fbx'; supported are .bvh"):
        load_motion(tmp_path / "a.fbx")
    with pytest.raises(MateError, match="no suffix"):
        load_motion(tmp_path / "noext")
    with pytest.raises(MateError, match="folder"):
        load_motion(tmp_path)
    for path in (tmp_path / "absent.bvh", "a\0b.npy"):
        with pytest.raises(MateError, match="cannot read"):
            load_motion(path)
    with pytest.raises(MateError, match="fps"):
        load_motion(tmp_path / "noext", fps=0)


def test_golden_joints_and_features_agree(shared_data: Path):
    pairs = sorted((shared_data / "humanml3d-golden").rglob("new_joint_vecs/*.npy"))
    if not pairs:
        pytest.skip("no golden pairs")
    joints = load_motion(pairs[0].parents[1] / "new_joints" / pairs[0].name)
    features = load_motion(pairs[0])
    frames = min(joints.frames, features.frames)
    np.testing.assert_allclose(features.joints[:frames], joints.joints[:frames], atol=1e-3)

"""SMPL-family pose parameters with a body model: a small made-up one of the real files' format."""

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mate.errors import MateError
from mate.formats.body_model import find_body_model, read_body_model
from mate.formats.load import load_motion
from mate.motion.skeleton import HUMANML3D

SHAPES, FRAMES = 16, 6


@pytest.fixture
def models(tmp_path, monkeypatch, body_model, other_body_model):
    """A folder of body models, named as AMASS and the smplx package do."""
    folder = tmp_path / "models"
    (folder / "smplh" / "male").mkdir(parents=True)
    (folder / "smplx").mkdir()
    np.savez(folder / "smplh" / "male" / "model.npz", **body_model)
    np.savez(folder / "smplx" / "SMPLX_FEMALE.npz", **other_body_model)
    monkeypatch.setenv("MATE_BODY_MODELS", str(folder))
    return folder


def parameters(joints: int = 52) -> dict[str, Any]:
    """A body that stands up in AMASS's Z-up world, moves its limbs, turns to the left and walks."""
    rng = np.random.default_rng(2)
    poses = rng.normal(0, 0.2, (FRAMES, joints, 3))
    up = Rotation.from_euler("x", 90, degrees=True)
    turn = Rotation.from_euler("z", np.linspace(0, 60, FRAMES)[:, None], degrees=True)
    poses[:, 0] = (turn * up).as_rotvec()
    trans = np.stack([np.linspace(0, 0.2, FRAMES), np.linspace(0, -0.5, FRAMES), np.full(FRAMES, 0.95)], axis=1)
    return {"poses": poses.reshape(FRAMES, -1), "trans": trans, "betas": rng.normal(0, 1, SHAPES)}


def expected(model: dict[str, Any], given: dict[str, Any]) -> np.ndarray:
    """The skinning paper's joints by 4 x 4 transforms along the tree, (T, 22, 3) in the file's axes."""
    shaped = model["v_template"] + np.einsum("vcs,s->vc", model["shapedirs"], given["betas"])
    rest = model["J_regressor"] @ shaped
    result = np.zeros((FRAMES, 22, 3))
    for frame in range(FRAMES):
        world = []
        for joint, parent in enumerate(HUMANML3D.parents):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_rotvec(given["poses"][frame, 3 * joint : 3 * joint + 3]).as_matrix()
            local[:3, 3] = rest[joint] - (rest[parent] if parent >= 0 else 0)
            world.append(local if parent < 0 else world[parent] @ local)
            result[frame, joint] = world[joint][:3, 3] + given["trans"][frame]
    return result


def y_up(joints: np.ndarray) -> np.ndarray:
    return np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1)


@pytest.mark.parametrize("gender", ["male", np.bytes_(b"male")], ids=["text", "bytes"])
def test_amass_smplh_files_with_the_old_keys(models, body_model, tmp_path, gender):
    given = parameters()
    np.savez(tmp_path / "walk_poses.npz", **given, gender=gender, mocap_framerate=120.0, dmpls=np.zeros((FRAMES, 8)))
    motion = load_motion(tmp_path / "walk_poses.npz")
    assert (motion.fps, motion.name, motion.skeleton) == (120.0, "walk_poses", HUMANML3D)
    np.testing.assert_allclose(motion.joints, y_up(expected(body_model, given)), atol=1e-5)
    assert (motion.joints[:, 15, 1] > motion.joints[:, 0, 1]).all()


@pytest.mark.parametrize("keys", [("root_orient", "pose_body", "trans"), ("global_orient", "body_pose", "transl")])
def test_smplx_files_with_the_new_keys(models, other_body_model, tmp_path, keys):
    given = parameters(55)
    root, body, trans = keys
    split: dict[str, Any] = {
        root: given["poses"][:, :3],
        body: given["poses"][:, 3:66],
        trans: given["trans"],
        "betas": given["betas"],
    }
    np.savez(tmp_path / "a.npz", **split, gender="female", surface_model_type="smplx", mocap_frame_rate=np.array(60))
    motion = load_motion(tmp_path / "a.npz")
    assert motion.fps == 60.0
    np.testing.assert_allclose(motion.joints, y_up(expected(other_body_model, given)), atol=1e-5)
    np.savez(tmp_path / "poses.npz", **given, gender="female", mocap_frame_rate=60)  # 165 columns say SMPL-X
    np.testing.assert_array_equal(load_motion(tmp_path / "poses.npz").joints, motion.joints)


def test_which_body_model_and_where(models, body_model, tmp_path, monkeypatch):
    given = parameters()
    np.savez(tmp_path / "a.npz", **given, gender="neutral", mocap_framerate=120.0)
    with pytest.raises(
        MateError, match=r"Extended SMPL\+H.*gender neutral; looked in .*models for smplh/neutral/model.npz"
    ):
        load_motion(tmp_path / "a.npz")
    file = models / "smplh" / "male" / "model.npz"
    by_file = load_motion(tmp_path / "a.npz", body_model=file)
    by_model = load_motion(tmp_path / "a.npz", body_model=read_body_model(file))
    np.testing.assert_array_equal(by_file.joints, by_model.joints)
    assert find_body_model("smplh", "male", models) == file
    monkeypatch.delenv("MATE_BODY_MODELS")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MateError, match=r"looked in .*\.mate/body_models .*MATE_BODY_MODELS"):
        load_motion(tmp_path / "a.npz")
    home = tmp_path / ".mate" / "body_models"
    home.mkdir(parents=True)
    np.savez(home / "SMPLH_neutral.npz", **body_model)
    np.testing.assert_array_equal(load_motion(tmp_path / "a.npz").joints, by_file.joints)


def test_a_body_that_lies_all_the_time_is_still_in_a_z_up_world(models, tmp_path):
    given = parameters()
    given["poses"][:, :3] = [0, 0, 0]  # along Y on the floor of a world whose Z is up
    given["trans"][:, 2] = 0.1
    np.savez(tmp_path / "lying.npz", **given, gender="male", mocap_framerate=120.0)
    assert np.ptp(load_motion(tmp_path / "lying.npz").joints[:, [0, 15], 1]) < 0.4


def test_pickles_are_refused(models, body_model, tmp_path):
    np.savez(tmp_path / "a.npz", **parameters(), gender="female", mocap_framerate=120.0)
    (models / "smplh" / "SMPLH_FEMALE.pkl").write_bytes(b"c")
    with pytest.raises(MateError, match=r"smplh/smplh_female.pkl: pickles are never read"):
        load_motion(tmp_path / "a.npz")
    with pytest.raises(MateError, match="can run code"):
        load_motion(tmp_path / "a.npz", body_model=models / "smplh" / "SMPLH_FEMALE.pkl")
    (tmp_path / "a.pkl").write_bytes(b"c")
    with pytest.raises(MateError, match="can run code"):
        load_motion(tmp_path / "a.pkl")
    model = dict(body_model)
    model["J_regressor"] = np.array({"sparse": 1}, dtype=object)
    np.savez(tmp_path / "model.npz", **model)
    with pytest.raises(MateError, match="J_regressor.* pickled"):
        load_motion(tmp_path / "a.npz", body_model=tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v_template": None}, "no v_template"),
        ({"shapedirs": np.zeros((3, 3, 16))}, r"shapedirs \(3, 3, 16\)"),
        ({"J_regressor": np.zeros((20, 120))}, "J_regressor"),
        ({"kintree_table": np.zeros((2, 52), dtype=int)}, "do not hang together"),
        ({"v_template": np.full((120, 3), np.nan)}, "NaN"),
    ],
)
def test_files_that_are_no_body_model(body_model, tmp_path, change, message):
    arrays = {key: value for key, value in (body_model | change).items() if value is not None}
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(MateError, match=message):
        read_body_model(tmp_path / "model.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trans": None}, "no `trans`"),
        ({"trans": np.zeros((3, 3))}, r"`trans` of shape \(3, 3\)"),
        ({"betas": None}, "no `betas`"),
        ({"poses": np.zeros((FRAMES, 12))}, "66"),
        ({"poses": np.zeros(7)}, "66"),
        ({"poses": None}, "joint positions under one of"),
        ({"poses": np.full((FRAMES, 156), np.inf)}, "NaN or infinite"),
        ({"poses": None, "root_orient": np.zeros((FRAMES, 3))}, "expected `poses`, or"),
        ({"mocap_framerate": None}, "no frame rate"),
    ],
)
def test_parameters_that_are_not_sound(models, tmp_path, change, message):
    arrays = parameters() | {"gender": np.array("male"), "mocap_framerate": np.array(120.0)} | change
    np.savez(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(MateError, match=message):
        load_motion(tmp_path / "a.npz")

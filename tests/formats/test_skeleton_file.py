"""Rigs of one's own from a small JSON or YAML file."""

import json

import numpy as np
import pytest

from mate.errors import MateError
from mate.formats.load import load_motion
from mate.formats.skeleton_file import RigFile, read_rig_file
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

# The same body with its joints in another order, under other names, in centimetres, Z up.
ORDER = tuple(np.random.default_rng(1).permutation(22).tolist())
NAMES = tuple(f"Gelenk{joint}" for joint in ORDER)
PARENTS = tuple(ORDER.index(HUMANML3D.parents[joint]) if joint else -1 for joint in ORDER)


def described(**change) -> dict:
    roles = {role: f"Gelenk{joint}" for joint, role in enumerate(HUMANML3D.joint_names)}
    return {
        "roles": roles,
        "joints": list(NAMES),
        "parents": list(PARENTS),
        "scale": 0.01,
        "up": "z",
        "fps": 25,
    } | change


@pytest.fixture
def foreign(motion: Motion, tmp_path):
    x, y, z = np.moveaxis(motion.joints, -1, 0)
    np.save(tmp_path / "foreign.npy", (np.stack([x, -z, y], axis=-1) * 100)[:, ORDER])
    return tmp_path / "foreign.npy"


def test_an_array_of_any_rig(foreign, motion, tmp_path):
    (tmp_path / "rig.json").write_text(json.dumps(described()))
    loaded = load_motion(foreign, skeleton=tmp_path / "rig.json")
    assert loaded.fps == 25.0
    np.testing.assert_allclose(loaded.joints, motion.joints, atol=1e-5)
    assert load_motion(foreign, fps=50, skeleton=RigFile(**described(joints=NAMES, parents=PARENTS))).fps == 50.0
    guessed = described(scale=None, up=None)
    (tmp_path / "rig.json").write_text(json.dumps(guessed))
    np.testing.assert_allclose(load_motion(foreign, skeleton=tmp_path / "rig.json").joints, motion.joints, atol=1e-5)
    np.savez(tmp_path / "foreign.npz", joints=np.load(foreign))
    loaded = load_motion(tmp_path / "foreign.npz", skeleton=tmp_path / "rig.json")
    assert loaded.fps == 25.0
    np.testing.assert_allclose(loaded.joints, motion.joints, atol=1e-5)


def test_yaml_says_the_same(foreign, motion, tmp_path):
    yaml = pytest.importorskip("yaml")
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump(described()))
    np.testing.assert_allclose(load_motion(foreign, skeleton=tmp_path / "rig.yaml").joints, motion.joints, atol=1e-5)
    (tmp_path / "run.yaml").write_text("roles: !!python/object/apply:os.system ['true']")
    with pytest.raises(MateError, match="cannot read the skeleton file"):
        read_rig_file(tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": [-1] * 22}, "22 joints with parent -1, expected one root"),
        ({"parents": [-1, 2, 1] + [0] * 19}, "do not hang from the root"),
        ({"parents": [-1, 99] + [0] * 20}, "do not hang from the root"),
        ({"parents": [-1]}, "22 joints and 1 parents"),
        ({"joints": ["a"] * 22}, "two joints of one name"),
        ({"joints": "Hips"}, "joints must be a list of names"),
        ({"parents": ["a"]}, "parents must be a list of whole numbers"),
        ({"roles": {"tail": "Gelenk1"}}, "the role 'tail', expected one of pelvis"),
        ({"roles": ["pelvis"]}, "roles must be an object"),
        ({"up": "x"}, "got up 'x', expected y or z"),
        ({"scale": -1}, "got scale -1"),
        ({"scale": 0}, "got scale 0"),
        ({"fps": "many"}, "got fps 'many'"),
        ({"unit": "cm"}, "the entry 'unit', expected roles, joints"),
    ],
)
def test_files_that_do_not_describe_a_rig(tmp_path, change, message):
    (tmp_path / "rig.json").write_text(json.dumps(described(**change)))
    with pytest.raises(MateError, match=message) as error:
        read_rig_file(tmp_path / "rig.json")
    assert "rig.json" in str(error.value)


def test_what_a_rig_file_cannot_be(foreign, tmp_path):
    for content in ("[1]", "{", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "1", "[" * 100_000):
        (tmp_path / "rig.json").write_text(content)
        with pytest.raises(MateError):
            read_rig_file(tmp_path / "rig.json")
    with pytest.raises(MateError, match="cannot read"):
        read_rig_file(tmp_path / "absent.json")
    (tmp_path / "roles.json").write_text(json.dumps({"pelvis": "Hips"}))
    with pytest.raises(MateError, match=r"shape \(24, 22, 3\), expected \(T, 1, 3\)"):
        load_motion(foreign, skeleton=RigFile(joints=("a",), parents=(-1,)))
    assert read_rig_file(tmp_path / "roles.json").roles == {"pelvis": "Hips"}

"""GLB files, read back without our own code: the structure, the skin and the animation."""

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mate.formats.gltf import write_glb
from mate.formats.rig import NAMED
from mate.motion.motion import Motion
from mate.motion.rotations import rotations_to_joints

COMPONENTS = {5126: ("<f4", 4), 5121: ("u1", 1), 5123: ("<u2", 2)}
WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """The two chunks of a GLB."""

    def __init__(self, data: bytes) -> None:
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        assert size % 4 == 0
        self.json: dict[str, Any] = json.loads(data[20 : 20 + size])
        binary, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0"
        self.binary = data[28 + size : 28 + size + binary]

    def array(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        dtype, size = COMPONENTS[accessor["componentType"]]
        start = view["byteOffset"] + accessor.get("byteOffset", 0)
        assert start % size == 0
        count = accessor["count"] * WIDTH[accessor["type"]]
        assert count * size <= view["byteLength"]
        return np.frombuffer(self.binary, dtype, count, start).reshape(accessor["count"], -1)


@pytest.fixture(scope="module")
def glb(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Glb:
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    write_glb(motion, path, {"prompt": "a person turns", "license": "CC BY-NC 4.0"})
    return Glb(path.read_bytes())


def test_accessors_lie_inside_the_buffer_and_state_their_bounds(glb: Glb) -> None:
    assert glb.json["buffers"][0]["byteLength"] <= len(glb.binary)
    for index, accessor in enumerate(glb.json["accessors"]):
        values = glb.array(index)
        assert np.isfinite(values).all()
        if "min" in accessor:
            np.testing.assert_array_equal(np.float32(accessor["min"]), values.min(0))
            np.testing.assert_array_equal(np.float32(accessor["max"]), values.max(0))
    for view in glb.json["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(glb.binary)


def test_metadata(glb: Glb) -> None:
    assert glb.json["asset"]["extras"] == {"prompt": "a person turns", "license": "CC BY-NC 4.0"}
    assert glb.json["asset"]["copyright"] == "CC BY-NC 4.0"


def test_mesh_is_closed_looks_outwards_and_is_bound_to_the_rig(glb: Glb) -> None:
    skin = glb.json["skins"][0]
    for primitive in glb.json["meshes"][0]["primitives"]:
        attributes = primitive["attributes"]
        assert {"min", "max"} <= set(glb.json["accessors"][attributes["POSITION"]])
        vertices, normals = glb.array(attributes["POSITION"]), glb.array(attributes["NORMAL"])
        triangles = glb.array(primitive["indices"]).reshape(-1, 3)
        assert triangles.max() < len(vertices)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        a, b, c = (vertices[triangles[:, i]] for i in range(3))
        face = np.cross(b - a, c - a)
        outward = (face * normals[triangles].sum(1)).sum(-1)
        assert (outward > 0).all()
        joints, weights = glb.array(attributes["JOINTS_0"]), glb.array(attributes["WEIGHTS_0"])
        assert joints.max() < len(skin["joints"])
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)


def test_inverse_bind_matrices_undo_the_rest_pose(glb: Glb) -> None:
    nodes, skin = glb.json["nodes"], glb.json["skins"][0]
    matrices = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    world = {}
    stack = [(skin["skeleton"], np.zeros(3))]
    while stack:
        node, origin = stack.pop()
        world[node] = origin + nodes[node]["translation"]
        stack += [(child, world[node]) for child in nodes[node].get("children", [])]
    for matrix, node in zip(matrices, skin["joints"], strict=True):
        np.testing.assert_allclose(matrix @ np.append(world[node], 1), [0, 0, 0, 1], atol=1e-5)


def test_animation_moves_the_joints_as_the_motion_does(glb: Glb, motion: Motion) -> None:
    nodes, joints = glb.json["nodes"], glb.json["skins"][0]["joints"]
    order = {node: i for i, node in enumerate(joints)}
    parents = [-1] * len(joints)
    for node in joints:
        for child in nodes[node].get("children", []):
            parents[order[child]] = order[node]
    offsets = np.array([nodes[node]["translation"] for node in joints])
    animation = glb.json["animations"][0]
    root = np.zeros((motion.frames, 3))
    local = np.zeros((motion.frames, len(joints), 4))
    local[..., 0] = 1
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times, values = glb.array(sampler["input"])[:, 0], glb.array(sampler["output"])
        np.testing.assert_allclose(times, np.arange(motion.frames) / motion.fps, atol=1e-6)
        joint = order[channel["target"]["node"]]
        if channel["target"]["path"] == "translation":
            assert parents[joint] == -1
            root = values
        else:
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
            assert ((values[1:] * values[:-1]).sum(1) > 0).all()
            local[:, joint] = values[:, [3, 0, 1, 2]]
    positions = rotations_to_joints(root, local, offsets, tuple(parents))
    names = [nodes[node]["name"] for node in joints]
    index = [names.index(name) for name in motion.skeleton.joint_names]
    assert np.abs(positions[:, index] - motion.joints).max() < 1e-3


VALIDATOR = "gltf-validator@2.0.0-dev.3.10"  # Khronos's own
CHECK = """
const validator = require("gltf-validator");
const data = new Uint8Array(require("fs").readFileSync(process.argv[2]));
validator.validateBytes(data).then(report => console.log(JSON.stringify(report.issues)));
"""


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Khronos's validator and a script that runs it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm, which run the Khronos glTF validator")
    folder = tmp_path_factory.mktemp("validator")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), VALIDATOR]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    if done.returncode or not (folder / "node_modules" / "gltf-validator").is_dir():
        pytest.skip(f"npm cannot install {VALIDATOR}: {done.stderr[-200:]}")
    (folder / "check.js").write_text(CHECK)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("what", ["plain", *NAMED, "one frame", "bare", "names"])
def test_the_khronos_validator_finds_nothing(validator: Path, what: str, motion: Motion, tmp_path: Path) -> None:
    path, metadata = tmp_path / "a.glb", {"prompt": "a person \u201cturns\u201d \u2603", "license": "CC BY-NC 4.0"}
    if what == "one frame":
        motion = Motion(motion.joints[:1], 20.0)
    elif what == "bare":
        metadata = {}
    elif what == "names":
        motion = Motion(motion.joints, 29.97, name="</script>\n\u2603")
    write_glb(motion, path, metadata, NAMED.get(what))
    done = subprocess.run(
        ["node", str(validator / "check.js"), str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    issues = json.loads(done.stdout)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]
    # It does look: a damaged file is not passed.
    data = bytearray(path.read_bytes())
    data[-5] = 0xFF
    data[-6] = 0xFF
    data[data.index(b'"POSITION":') + 11] = ord("9")
    path.write_bytes(bytes(data))
    done = subprocess.run(
        ["node", str(validator / "check.js"), str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode or json.loads(done.stdout)["numErrors"]

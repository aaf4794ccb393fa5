"""GLB files, in: ours, and what other programs write."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mate.errors import MateError
from mate.formats.gltf import write_glb
from mate.formats.gltf_reader import load_glb
from mate.formats.load import load_motion
from mate.motion.motion import Motion


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def join(path: Path, content: dict[str, Any], binary: bytes) -> None:
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)


@pytest.fixture
def glb(motion: Motion, tmp_path: Path) -> Path:
    write_glb(motion, tmp_path / "a.glb")
    return tmp_path / "a.glb"


def test_ours_comes_back(glb: Path, motion: Motion) -> None:
    back = load_motion(glb)
    assert (back.fps, back.frames, back.name) == (20.0, 24, "a")
    np.testing.assert_allclose(back.joints, motion.joints, atol=1e-5)


def test_another_rate_samples_between_the_keys(glb: Path, motion: Motion) -> None:
    back = load_glb(glb, fps=60)
    assert (back.fps, back.frames) == (60, 70)
    np.testing.assert_allclose(back.joints[::3], motion.joints, atol=1e-5)
    between = np.linalg.norm(back.joints[1:] - back.joints[:-1], axis=-1)
    assert between.max() < 0.5 * np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1).max()


def test_an_armature_that_scales_and_turns_the_joints(glb: Path, motion: Motion) -> None:
    """As Mixamo and Blender write them: joints in centimetres and Z up, under a node that makes metres and Y up of it."""
    content, binary = parts(glb)
    binary = binary[: content["buffers"][0]["byteLength"]]
    half = float(np.sqrt(0.5))
    x, y, z = motion.joints[:, 0].T.astype("<f4") * 100
    root = np.ascontiguousarray(np.stack((x, -z, y), axis=1), "<f4").tobytes()
    for channel in content["animations"][0]["channels"]:
        if channel["target"]["path"] == "translation":
            sampler = content["animations"][0]["samplers"][channel["sampler"]]
            accessor = content["accessors"][sampler["output"]]
            content["bufferViews"][accessor["bufferView"]] |= {"byteOffset": len(binary), "byteLength": len(root)}
    content["buffers"][0]["byteLength"] = len(binary + root)
    # The pelvis itself keeps its axes: a node between undoes the turn.
    nodes = content["nodes"]
    nodes.append(
        {"name": "Armature", "children": [len(nodes) + 1], "scale": [0.01] * 3, "rotation": [-half, 0, 0, half]}
    )
    nodes.append({"name": "Hips", "children": [1]})
    for node in nodes[2:-2]:
        node["translation"] = [100 * value for value in node["translation"]]
    inner = {"name": "inner", "rotation": [half, 0, 0, half], "children": nodes[1].pop("children")}
    nodes.append(inner)
    nodes[1]["children"] = [len(nodes) - 1]
    for channel in content["animations"][0]["channels"]:
        if channel["target"] == {"node": 1, "path": "rotation"}:
            channel["target"] = {"node": len(nodes) - 1, "path": "rotation"}
    content["scenes"][0]["nodes"] = [0, len(nodes) - 3]
    join(glb, content, binary + root)
    back = load_glb(glb)
    # The turn of the inner node and the pelvis's own do not commute: compare what does not depend on it.
    np.testing.assert_allclose(back.joints[:, 0], motion.joints[:, 0], atol=1e-4)
    lengths = [np.linalg.norm(joints[:, 4] - joints[:, 1], axis=-1) for joints in (back.joints, motion.joints)]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-4)


def test_vrm_names_come_from_its_human_bones(glb: Path, motion: Motion, tmp_path: Path) -> None:
    from mate.formats.rig import NAMED
    from mate.motion.skeleton import HUMANML3D

    content, binary = parts(glb)
    where = {node["name"]: number for number, node in enumerate(content["nodes"])}
    bones = {new: where[old] for old, new in zip(HUMANML3D.joint_names, NAMED["vrm"], strict=True)}
    for number, node in enumerate(content["nodes"]):
        node["name"] = f"骨{number}"
    content["extensions"] = {"VRMC_vrm": {"humanoid": {"humanBones": {n: {"node": i} for n, i in bones.items()}}}}
    join(tmp_path / "a.vrm", content, binary)
    np.testing.assert_allclose(load_motion(tmp_path / "a.vrm").joints, motion.joints, atol=1e-5)
    content["extensions"] = {"VRM": {"humanoid": {"humanBones": [{"bone": n, "node": i} for n, i in bones.items()]}}}
    join(tmp_path / "b.vrm", content, binary)
    np.testing.assert_allclose(load_motion(tmp_path / "b.vrm").joints, motion.joints, atol=1e-5)


@pytest.mark.parametrize("how", ["STEP", "CUBICSPLINE"])
def test_other_interpolations(glb: Path, motion: Motion, how: str) -> None:
    content, binary = parts(glb)
    binary = binary[: content["buffers"][0]["byteLength"]]
    for sampler in content["animations"][0]["samplers"]:
        sampler["interpolation"] = how
        if how == "CUBICSPLINE":  # no tangents: still exact on the keys
            accessor = content["accessors"][sampler["output"]]
            view = content["bufferViews"][accessor["bufferView"]]
            width = {"VEC3": 3, "VEC4": 4}[accessor["type"]]
            start = view["byteOffset"]
            values = np.frombuffer(binary, "<f4", accessor["count"] * width, start).reshape(-1, 1, width)
            spread = np.concatenate((0 * values, values, 0 * values), axis=1).astype("<f4").tobytes()
            view |= {"byteOffset": len(binary), "byteLength": len(spread)}
            accessor["count"] *= 3
            accessor.pop("min", None)
            binary += spread
    content["buffers"][0]["byteLength"] = len(binary)
    join(glb, content, binary)
    np.testing.assert_allclose(load_glb(glb, 20).joints, motion.joints, atol=1e-5)


def broken(content: dict[str, Any], what: str) -> None:
    nodes, animation = content["nodes"], content["animations"][0]
    if what == "no animation":
        del content["animations"]
    elif what == "no joint of the body":
        animation["channels"] = [c | {"target": {"node": 0, "path": "translation"}} for c in animation["channels"][:1]]
    elif what == "two parents":
        nodes[2]["children"] = [*nodes[2].get("children", []), 5]
        nodes[3]["children"] = [*nodes[3].get("children", []), 5]
    elif what == "beyond the end":
        for view in content["bufferViews"]:
            view["byteOffset"] = 10**9
    elif what == "external data":
        content["buffers"][0]["uri"] = "http://example.com/a.bin"
    elif what == "not a sound GLB":
        nodes[4]["translation"] = ["a", None, 1]
    elif what == "no joint found":
        for node in nodes:
            node["name"] = "x"


@pytest.mark.parametrize(
    "what",
    ["no animation", "no joint of the body", "two parents", "beyond the end", "external data", "not a sound GLB", "no joint found"],
)  # fmt: skip
def test_defects_are_mate_errors(glb: Path, what: str) -> None:
    content, binary = parts(glb)
    broken(content, what)
    join(glb, content, binary)
    with pytest.raises(MateError, match=what):
        load_glb(glb)


def test_cut_files_and_other_files(glb: Path) -> None:
    data = glb.read_bytes()
    for length in (0, 3, 19, 25, 1000, len(data) // 2, len(data) - 1):
        glb.write_bytes(data[:length])
        with pytest.raises(MateError):
            load_glb(glb)

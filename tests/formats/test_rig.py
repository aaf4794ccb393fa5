"""Motions onto other rigs: any proportions, axes, Euler orders and rest poses."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from tests.formats.rigs import dancer, odd_rig, person

from mate.errors import MateError
from mate.formats.bvh import load_bvh, read_bvh
from mate.formats.bvh_writer import write_bvh
from mate.formats.gltf_reader import load_glb
from mate.formats.load import load_motion
from mate.formats.rig import NAMED, BvhRig, open_rig, read_rig
from mate.formats.save import Output, save_motion
from mate.formats.skeleton_file import RigFile
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D
from mate.motion.transfer import transfer

KNEE = "JOINT LeftLowerLeg\n{\nOFFSET 0.0000000 -40.0000000 0.0000000\nCHANNELS 3 Xrotation Yrotation Zrotation"
LIMBS = ("knee", "ankle", "elbow", "wrist")


def directions(joints: np.ndarray) -> np.ndarray:
    """Unit vectors of the eight long bones of the limbs, (T, 8, 3)."""
    ends = [j for j, name in enumerate(HUMANML3D.joint_names) if name.split("_")[-1] in LIMBS]
    bones = joints[:, ends].astype(float) - joints[:, [HUMANML3D.parents[j] for j in ends]]
    return bones / np.linalg.norm(bones, axis=-1, keepdims=True)


def put(motion: Motion, text: str | bytes, folder: Path) -> Path:
    """The motion on a rig given as a BVH text."""
    (folder / "rig.bvh").write_bytes(text if isinstance(text, bytes) else text.encode())
    write_bvh(motion, folder / "out.bvh", read_rig(folder / "rig.bvh"))
    return folder / "out.bvh"


@pytest.mark.parametrize(
    "options",
    [
        *({"order": "".join(order)} for order in itertools.permutations("XYZ")),
        {"up": "z", "order": "ZYX"},
        {"facing": 130.0},
        {"arms": 60.0},
        {"along_x": True, "order": "ZYX"},
        {"along_x": True, "up": "z", "facing": -70.0},
    ],
    ids=lambda options: " ".join(f"{key}={value}" for key, value in options.items()),
)
def test_limbs_point_where_the_motion_says_on_any_rig(options: dict, tmp_path: Path) -> None:
    motion = dancer(30, 0.5)
    text = odd_rig(**options)
    out = put(motion, text, tmp_path)
    assert out.read_text().split("MOTION")[0].strip() == text.split("MOTION")[0].strip(), (
        "the hierarchy is kept as it was"
    )
    back = load_bvh(out)
    assert (back.frames, back.fps) == (30, 20.0)
    np.testing.assert_allclose(directions(back.joints), directions(motion.joints), atol=2e-3)
    # The bones are the rig's own: 0.4 and 0.42 m of leg. The path is scaled by them.
    assert np.linalg.norm(back.joints[:, 4] - back.joints[:, 1], axis=-1) == pytest.approx(0.4, abs=1e-4)
    leg = 0.82 / (sum(HUMANML3D.bone_lengths[joint] for joint in (4, 5, 7, 8)) / 2)
    hips = [joints[:, [1, 2]].mean(axis=1) for joints in (back.joints, motion.joints)]
    np.testing.assert_allclose(np.ptp(hips[0][:, [0, 2]], axis=0), leg * np.ptp(hips[1][:, [0, 2]], axis=0), rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"along_x": True, "order": "ZXY"}, {"order": "YXZ", "up": "z"}], ids=str)
def test_a_body_that_turns_round_twice_does_not_flip(options: dict, tmp_path: Path) -> None:
    motion = dancer(80, turns=2.0)
    (tmp_path / "rig.bvh").write_text(odd_rig(**options))
    rig = read_rig(tmp_path / "rig.bvh")
    _, rotations = transfer(motion, rig.skeleton)
    assert (rotations[1:] * rotations[:-1]).sum(-1).min() > 0.7, "quaternions keep their sign"
    write_bvh(motion, tmp_path / "out.bvh", rig)
    local = read_bvh(tmp_path / "out.bvh").local_rotations
    steps = np.einsum("tjab,tjab->tj", local[1:], local[:-1])  # trace of the rotation from frame to frame
    assert np.degrees(np.arccos(np.clip((steps - 1) / 2, -1, 1))).max() < 40
    facing = np.unwrap(np.arctan2(*(lambda a: (-a[:, 2], a[:, 0]))(_across(load_bvh(tmp_path / "out.bvh").joints))))
    assert np.degrees(facing[-1] - facing[0]) == pytest.approx(720, abs=3)


def _across(joints: np.ndarray) -> np.ndarray:
    return joints[:, 1] - joints[:, 2]


def test_the_yaw_of_a_yxz_root_is_one_curve(tmp_path: Path) -> None:
    values = read_bvh(put(dancer(120, 2.0), odd_rig("YXZ"), tmp_path)).values
    assert values[-1, 3] - values[0, 3] == pytest.approx(720, abs=45)
    assert np.abs(np.diff(values[:, 3])).max() < 20


def test_feet_stand_as_low_as_in_the_motion(motion: Motion, tmp_path: Path) -> None:
    floored = Motion(motion.joints - motion.joints[..., 1].min() * np.array([0, 1, 0], np.float32), 20.0)
    bvh = read_bvh(put(floored, person(), tmp_path))
    feet = [joint for joint, name in enumerate(bvh.names) if re.search("Foot|Toes", name)]
    assert bvh.positions[:, feet, 1].min() == pytest.approx(0.0, abs=1e-3)


def test_who_stands_in_the_rest_pose_gets_the_rest_pose(tmp_path: Path) -> None:
    """The trunk is matched as it stands: a body in the T-pose leaves the rotations of spine, neck and feet at zero."""
    from mate.motion.rotations import rest_directions

    pose = np.zeros((2, 22, 3))
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        pose[:, joint] = pose[:, parent] + rest_directions(HUMANML3D)[joint] * HUMANML3D.bone_lengths[joint]
    bvh = read_bvh(put(Motion(pose, 20.0), person(), tmp_path))
    assert np.abs(bvh.values[:, 3:]).max() < 1e-3


def test_other_joints_keep_their_numbers(tmp_path: Path) -> None:
    """A hinge of one channel without a role, and position channels in every joint."""
    text = odd_rig("ZXY")
    prop = "JOINT Lantern\n{\nOFFSET 1 2 3\nCHANNELS 1 Yrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"
    text = text.replace("End Site", prop + "End Site", 1)
    lines = text.rstrip().split("\n")
    hierarchy = "\n".join(lines[: lines.index("MOTION")])
    count = len(read_bvh(text.replace(lines[-1], lines[-1] + " 0")).values[0])
    out = put(
        dancer(5), "\n".join([hierarchy, "MOTION", "Frames: 1", "Frame Time: 0.1", " ".join(["0"] * count)]), tmp_path
    )
    bvh = read_bvh(out)
    column = sum(len(c) for c in bvh.channels[: bvh.names.index("Lantern")])
    assert not bvh.values[:, column].any()


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("suffix", [".bvh", ".glb"])
def test_named_rigs_have_the_names_and_come_back(name: str, suffix: str, motion: Motion, tmp_path: Path) -> None:
    names = open_rig(name)
    assert names == NAMED[name] and len(set(NAMED[name])) == 22
    path = save_motion(motion, tmp_path / f"a{suffix}", output=Output(rig=names))
    if suffix == ".bvh":
        bvh = read_bvh(path)
        assert sorted(n for n in bvh.names if not n.endswith("_end")) == sorted(NAMED[name])
    back = load_motion(path)  # by the names alone
    assert np.abs(back.joints - motion.joints).max() < 0.02  # collar bones cannot move against the chest
    np.testing.assert_allclose(directions(back.joints), directions(motion.joints), atol=2e-3)


def test_a_glb_of_a_named_rig_has_no_other_nodes(motion: Motion, tmp_path: Path) -> None:
    import json
    import struct

    path = save_motion(motion, tmp_path / "a.glb", output=Output(rig=NAMED["mixamo"]))
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    nodes = [node["name"] for node in json.loads(data[20 : 20 + size])["nodes"]]
    assert sorted(nodes[1:]) == sorted(NAMED["mixamo"])
    assert load_glb(path).fps == 20.0


def test_a_rig_with_names_of_its_own_needs_roles(tmp_path: Path) -> None:
    text = person(rename={"{L}UpperLeg": "{L}Schenkel", "{L}LowerArm": "{L}Unterarm"})
    (tmp_path / "rig.bvh").write_text(text)
    with pytest.raises(MateError, match="no joint found for left_hip"):
        read_rig(tmp_path / "rig.bvh")
    roles = {f"{s}_hip": f"{s.title()}Schenkel" for s in ("left", "right")}
    roles |= {f"{s}_elbow": f"{s.title()}Unterarm" for s in ("left", "right")}
    rig = open_rig(tmp_path / "rig.bvh", RigFile(roles=roles))
    assert isinstance(rig, BvhRig)
    write_bvh(dancer(10), tmp_path / "out.bvh", rig)
    back = load_bvh(tmp_path / "out.bvh", mapping=roles)
    np.testing.assert_allclose(directions(back.joints), directions(dancer(10).joints), atol=2e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("6 Xposition Yposition Zposition", "3", "three position channels"),
        (KNEE, KNEE.replace("3 Xrotation Yrotation Zrotation", "1 Xrotation"), r"LeftLowerLeg \(left_knee\) has 1 rotation"),
        ("HIERARCHY", "", "expected HIERARCHY"),
    ],
)  # fmt: skip
def test_rigs_that_cannot_carry_a_motion(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = odd_rig()
    assert old in text
    text = text.replace(old, new, 1)
    hierarchy = text.split("MOTION")[0]
    width = sum(int(count) for count in re.findall(r"CHANNELS (\d)", hierarchy))
    (tmp_path / "rig.bvh").write_text(f"{hierarchy}MOTION\nFrames: 1\nFrame Time: 0.1\n{'0 ' * width}\n")
    with pytest.raises(MateError, match=message):
        read_rig(tmp_path / "rig.bvh")


def test_a_rig_that_never_stands_is_refused(tmp_path: Path) -> None:
    lines = odd_rig(along_x=True).rstrip().split("\n")
    lines[-1] = " ".join(["0"] * len(lines[-1].split()))
    (tmp_path / "rig.bvh").write_text("\n".join(lines) + "\n")
    with pytest.raises(MateError, match="stands upright neither"):
        read_rig(tmp_path / "rig.bvh")
    with pytest.raises(MateError, match="no rig at .*mixamo, unity, vrm"):
        open_rig(tmp_path / "absent.bvh")


@pytest.mark.parametrize("name", ["M010655", "012314"])
def test_real_motions_on_real_rigs(name: str, shared_data: Path, tmp_path: Path) -> None:
    motions, rig = (
        shared_data / "humanml3d-golden" / "new_joints",
        shared_data / "cmu" / "bvh11-subject-131" / "131_01.bvh",
    )
    if not (motions / f"{name}.npy").is_file() or not rig.is_file():
        pytest.skip(f"no {motions / name} or {rig}")
    motion = Motion(np.load(motions / f"{name}.npy"), 20.0)
    write_bvh(motion, tmp_path / "a.bvh", open_rig(rig))
    back = load_bvh(tmp_path / "a.bvh")
    np.testing.assert_allclose(directions(back.joints), directions(motion.joints), atol=2e-3)
    assert back.joints[..., [7, 8, 10, 11], 1].min() < 0.05
    local = read_bvh(tmp_path / "a.bvh").local_rotations
    steps = np.einsum("tjab,tjab->tj", local[1:], local[:-1])
    assert np.degrees(np.arccos(np.clip((steps - 1) / 2, -1, 1))).max() < 75

"""BVH reading, mapping to the 22 joints, and writing."""

import json
import re

import numpy as np
import pytest
from tests.formats.rigs import dancer, person, rig

from mate.errors import MateError
from mate.formats.bvh import load_bvh, read_bvh
from mate.formats.bvh_writer import write_bvh
from mate.formats.load import load_motion
from mate.formats.mapping import joint_map
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

TWO_BONES = """HIERARCHY
ROOT base
{
  OFFSET 5 6 7
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT upper part
  {
    OFFSET 0 10 0
    CHANNELS 3 Yrotation Zrotation Xrotation
    JOINT lower
    {
      OFFSET 0 0 4
      CHANNELS 2 Yposition Xrotation
      End Site
      {
        OFFSET 0 0 1
      }
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 0 0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 0 0 0 0 0
1 2 3 0 0 90 0 0 90 2 90
"""


def test_forward_kinematics_of_a_file_with_known_answers():
    bvh = read_bvh(TWO_BONES, "two.bvh")
    assert bvh.names == ("base", "upper part", "lower", "lower_end")
    assert bvh.parents == (-1, 0, 1, 2)
    assert bvh.fps == 30.0
    # Channels replace the root's offset; a lone Yposition replaces the y of the joint's offset.
    np.testing.assert_allclose(bvh.positions[0], [[0, 0, 0], [0, 10, 0], [0, 10, 4], [0, 10, 5]], atol=1e-9)
    # Z +90 takes up to -X.
    np.testing.assert_allclose(bvh.positions[1], [[1, 2, 3], [-9, 2, 3], [-9, 2, 7], [-9, 2, 8]], atol=1e-9)
    # Y +90 takes +Z to +X; then X +90 takes +Y to +Z and +Z to -Y within that frame, where 2 replaces the offset's y.
    base, upper = np.array([1, 2, 3]), np.array([1, 12, 3])
    lower = upper + np.array([2.0, -4.0, 0.0])  # (0, 2, 4) after X +90 is (0, -4, 2), after Y +90 (2, -4, 0)
    np.testing.assert_allclose(bvh.positions[2], [base, upper, lower, lower + _end(bvh)], atol=1e-9)


def _end(bvh) -> np.ndarray:
    """The End Site's offset in the world by chaining the local rotations, which are computed another way."""
    rotations = bvh.local_rotations[2]
    return rotations[0] @ rotations[1] @ rotations[2] @ np.array([0, 0, 1.0])


def test_rotations_apply_in_the_order_of_the_channels_line():
    text = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 %s\nEnd Site\n{\nOFFSET 1 2 3\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.05\n%s\n"

    def matrix(axis: str, degrees: float) -> np.ndarray:
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return {
            "X": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
            "Y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
            "Z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
        }[axis]

    for order in ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"):
        bvh = read_bvh(text % (" ".join(f"{axis}rotation" for axis in order), "20 -50 130"))
        expected = matrix(order[0], 20) @ matrix(order[1], -50) @ matrix(order[2], 130)
        np.testing.assert_allclose(bvh.local_rotations[0, 0], expected, atol=1e-12)
        np.testing.assert_allclose(bvh.positions[0, 1], expected @ [1, 2, 3], atol=1e-12)


def test_wrapped_frames_crlf_bom_and_latin_names_are_read():
    lines = TWO_BONES.splitlines()
    wrapped = lines[:-3] + [part for line in lines[-3:] for part in (line[:9], line[9:])]
    expected = read_bvh(TWO_BONES).positions
    for data in (
        "\n".join(wrapped).encode(),
        b"\xef\xbb\xbf" + TWO_BONES.replace("\n", "\r\n").encode(),
        TWO_BONES.encode("utf-16"),
        TWO_BONES.replace("lower", "Bein\u00e4").encode("latin-1"),
    ):
        np.testing.assert_array_equal(read_bvh(data).positions, expected)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", "line 1: got 'HIERARCHIE', expected HIERARCHY"),
        ("MOTION", "ROOT second\n{\nOFFSET 0 0 0\n}\nMOTION", "line 21: a second ROOT"),
        ("OFFSET 0 10 0", "OFFSET 0 ten 0", "line 8: got 'ten'"),
        ("OFFSET 0 10 0", "OFFSET 0 nan 0", "line 8: got 'nan'"),
        ("OFFSET 0 10 0", "", "has no OFFSET"),
        ("OFFSET 0 10 0", "OFFSET 0 10 0\nOFFSET 0 10 0", "second OFFSET"),
        ("CHANNELS 3 Y", "CHANNELS 4 Y", "expected Xposition"),
        ("CHANNELS 3 Y", "CHANNELS 99 Y", "got '99' channels"),
        ("Yrotation Zrotation Xrotation", "Yrotation Yrotation Xrotation", "appears twice"),
        ("Frames: 3", "Frames: 4", "announces 4 frames of 11 values, the file holds 33 values on 3 lines"),
        ("Frames: 3", "Frames: 2", "announces 2 frames"),
        ("Frames: 3", "Frames: 900000000000", "announces 900000000000 frames"),
        ("Frames: 3", "Frames: 0", "at least one frame"),
        ("Frames: 3", "Frames: many", "whole number"),
        ("Frame Time: 0.0333333", "Frame Time: 0", "line 23: got 'Frame Time: 0'"),
        ("Frame Time: 0.0333333", "Frame Time: 0,0333", "Frame Time"),
        ("Frame Time: 0.0333333", "", "expected 'Frame Time:'"),
        ("1 2 3 90 0 0", "1 2 nan 90 0 0", "line 25 (frame 1): NaN"),
        ("1 2 3 90 0 0", "1 2 1e999 90 0 0", "line 25 (frame 1): NaN or infinite"),
        ("1 2 3 90 0 0", "1 2 3,5 90 0 0", "line 25 (frame 1): got '3,5'"),
        ("1 2 3 90 0 0", "1 2 1_0 90 0 0", "got '1_0'"),
        ("1 2 3 90 0 0", "1 2 3 90 0", "line 25 (frame 1): 10 values, expected 11"),
        (
            "0 0 0 0 0 0 0 0 0 0 0\n1 2 3 90 0 0",
            "0 0 0 0 0 0 0 0 0 0\n9 1 2 3 90 0 0",
            "line 24 (frame 0): 10 values, expected 11",
        ),
    ],
)
def test_defects_are_named_with_their_line(old, new, message):
    assert old in TWO_BONES
    with pytest.raises(MateError, match=re.escape(message)) as error:
        read_bvh(TWO_BONES.replace(old, new, 1), "clip.bvh").positions  # noqa: B018
    assert str(error.value).startswith("clip.bvh")


def test_a_header_without_joints_or_channels_is_refused():
    with pytest.raises(MateError, match="no joints"):
        read_bvh("HIERARCHY\nMOTION\nFrames: 1\nFrame Time: 0.1\n")
    with pytest.raises(MateError, match="no joint has CHANNELS"):
        read_bvh("HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n}\nMOTION\nFrames: 1\nFrame Time: 0.1\n1\n")


def test_every_truncation_is_a_mate_error():
    data = TWO_BONES.encode()
    for length in range(len(data) - 2):  # without its last digit the last value is another number
        with pytest.raises(MateError):
            read_bvh(data[:length], "cut.bvh")


def test_a_deep_hierarchy_neither_recurses_nor_runs_away():
    def chain(depth: int) -> str:
        body = "".join(f"JOINT j{i}\n{{\nOFFSET 0 1 0\nCHANNELS 0\n" for i in range(depth)) + "}\n" * depth
        return f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n{body}}}\nMOTION\nFrames: 1\nFrame Time: 0.1\n0\n"

    assert read_bvh(chain(1500)).positions[0, -1, 1] == 1500
    with pytest.raises(MateError, match="more than 2000 joints"):
        read_bvh(chain(5_000))


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "absent.bvh", tmp_path, "a\0b.bvh"):
        with pytest.raises(MateError, match="cannot read"):
            load_bvh(path)


SMPL = {
    "Hips": "Pelvis", "Spine": "Spine1", "Chest": "Spine3", "{L}UpperLeg": "{L}_Hip", "{L}LowerLeg": "{L}_Knee", "{L}Foot": "{L}_Ankle",
    "{L}Toes": "{L}_Foot", "{L}Collar": "{L}_Collar", "{L}UpperArm": "{L}_Shoulder", "{L}LowerArm": "{L}_Elbow", "{L}Hand": "{L}_Wrist",
}  # fmt: skip
MIXAMO = {
    "Hips": "mixamorig:Hips", "Spine": "mixamorig:Spine", "Chest": "mixamorig:Spine2", "Neck": "mixamorig:Neck", "Head": "mixamorig:Head",
    "{L}Collar": "mixamorig:{L}Shoulder", "{L}UpperArm": "mixamorig:{L}Arm", "{L}LowerArm": "mixamorig:{L}ForeArm",
    "{L}Hand": "mixamorig:{L}Hand", "{L}UpperLeg": "mixamorig:{L}UpLeg", "{L}LowerLeg": "mixamorig:{L}Leg", "{L}Foot": "mixamorig:{L}Foot",
    "{L}Toes": "mixamorig:{L}ToeBase",
}  # fmt: skip
BIPED = {
    "Hips": "Bip01 Pelvis", "Spine": "Bip01 Spine", "Chest": "Bip01 Spine1", "Neck": "Bip01 Neck", "Head": "Bip01 Head",
    "{L}Collar": "Bip01 {L} Clavicle", "{L}UpperArm": "Bip01 {L} UpperArm", "{L}LowerArm": "Bip01 {L} Forearm",
    "{L}Hand": "Bip01 {L} Hand", "{L}UpperLeg": "Bip01 {L} Thigh", "{L}LowerLeg": "Bip01 {L} Calf", "{L}Foot": "Bip01 {L} Foot",
    "{L}Toes": "Bip01 {L} Toe0",
}  # fmt: skip
UNREAL = {
    "Hips": "pelvis", "Spine": "spine_01", "Chest": "spine_02", "Neck": "neck_01", "Head": "head", "{L}Collar": "clavicle_{L}",
    "{L}UpperArm": "upperarm_{L}", "{L}LowerArm": "lowerarm_{L}", "{L}Hand": "hand_{L}", "{L}UpperLeg": "thigh_{L}",
    "{L}LowerLeg": "calf_{L}", "{L}Foot": "foot_{L}", "{L}Toes": "ball_{L}",
}  # fmt: skip
RIGIFY = UNREAL | {
    "Hips": "spine", "Spine": "spine.001", "Chest": "spine.002", "Neck": "spine.004", "{L}Collar": "DEF-shoulder.{L}",
    "{L}UpperArm": "DEF-upper_arm.{L}", "{L}LowerArm": "DEF-forearm.{L}", "{L}LowerLeg": "DEF-shin.{L}", "{L}Toes": "DEF-toe.{L}",
}  # fmt: skip
STYLE100 = {
    "Spine": "Chest", "Chest": "Chest2", "{L}UpperArm": "{L}Shoulder", "{L}LowerArm": "{L}Elbow", "{L}Hand": "{L}Wrist",
    "{L}UpperLeg": "{L}Hip", "{L}LowerLeg": "{L}Knee", "{L}Foot": "{L}Ankle", "{L}Toes": "{L}Toe",
}  # fmt: skip
ASF = {
    "Hips": "root", "Spine": "lowerback", "Chest": "thorax", "Neck": "lowerneck", "Head": "head", "{L}Collar": "{L}clavicle",
    "{L}UpperArm": "{L}humerus", "{L}LowerArm": "{L}radius", "{L}Hand": "{L}wrist", "{L}UpperLeg": "{L}femur", "{L}LowerLeg": "{L}tibia",
    "{L}Foot": "{L}foot", "{L}Toes": "{L}toes",
}  # fmt: skip
VRM = {
    "Hips": "J_Bip_C_Hips", "Head": "J_Bip_C_Head", "{L}Collar": "J_Bip_{L}_Shoulder", "{L}UpperArm": "J_Bip_{L}_UpperArm",
    "{L}LowerArm": "J_Bip_{L}_LowerArm", "{L}Hand": "J_Bip_{L}_Hand", "{L}UpperLeg": "J_Bip_{L}_UpperLeg",
    "{L}LowerLeg": "J_Bip_{L}_LowerLeg", "{L}Foot": "J_Bip_{L}_Foot", "{L}Toes": "J_Bip_{L}_ToeBase",
}  # fmt: skip


@pytest.mark.parametrize(
    ("rename", "sides"),
    [
        ({}, ("Left", "Right")), ({}, ("left", "right")), (SMPL, ("L", "R")), (MIXAMO, ("Left", "Right")), (BIPED, ("L", "R")),
        (UNREAL, ("l", "r")), (RIGIFY, ("L", "R")), (STYLE100, ("Left", "Right")), (ASF, ("l", "r")), (VRM, ("L", "R")),
    ],
    ids=["plain", "lower", "smpl", "mixamo", "biped", "unreal", "rigify", "100style", "asf", "vrm"],
)  # fmt: skip
def test_naming_conventions_give_the_same_body(rename, sides):
    expected = load_bvh(person().encode(), "plain").joints
    np.testing.assert_allclose(load_bvh(person(rename=rename, names=sides).encode(), "rig").joints, expected, atol=1e-5)


def test_the_body_of_a_rig_with_two_spine_joints():
    joints = load_bvh(person().encode(), "plain").joints[0]
    at = dict(zip(HUMANML3D.joint_names, joints, strict=True))
    np.testing.assert_allclose(at["pelvis"], [0, 0.9, 0], atol=1e-6)
    np.testing.assert_allclose(at["spine1"], [0, 1.02, 0], atol=1e-6)
    np.testing.assert_allclose(at["spine2"], [0, 1.12, 0], atol=1e-6)  # half way
    np.testing.assert_allclose(at["spine3"], [0, 1.22, 0], atol=1e-6)
    np.testing.assert_allclose(at["left_collar"], [0.08, 1.34, 0], atol=1e-6)
    np.testing.assert_allclose(at["right_wrist"], [-0.72, 1.34, 0], atol=1e-6)
    np.testing.assert_allclose(at["left_foot"], [0.1, -0.03, 0.14], atol=1e-6)
    np.testing.assert_allclose(at["head"], [0, 1.52, 0.02], atol=1e-6)


def test_missing_toes_collars_and_spine_are_made():
    text = person(drop=("{L}Toes",), rename={"Chest": "Chest"})
    joints = load_bvh(text.encode(), "no toes").joints[0]
    np.testing.assert_allclose(joints[10] - joints[7], [0, 0, 0.05], atol=1e-6)  # the End Site of the foot
    bare = re.sub(r"(Foot \{\nOFFSET[^\n]*\nCHANNELS[^\n]*\n)End Site\n\{\n[^\n]*\n\}\n", r"\1", text)
    joints = load_bvh(bare.encode(), "no feet").joints[0]
    forward = joints[10] - joints[7]
    assert forward[2] > 0.12 and abs(forward[0]) < 1e-6 and abs(forward[1]) < 1e-6


@pytest.mark.parametrize(
    ("unit", "name"), [(1.0, "m"), (0.01, "cm"), (0.001, "mm"), (0.0254, "inch"), (0.0254 / 0.45, "CMU")]
)
def test_the_unit_of_length_is_guessed_from_the_legs(unit, name):
    joints = load_bvh(person(unit=unit).encode(), name).joints
    np.testing.assert_allclose(np.linalg.norm(joints[0, 7] - joints[0, 1]), 0.82, atol=1e-4)


def test_a_scale_can_be_given_and_absurd_legs_are_refused():
    with pytest.raises(MateError, match="give the scale"):
        load_bvh(person(unit=1e-6).encode(), "huge.bvh")
    joints = load_bvh(person(unit=1e-6).encode(), "huge.bvh", scale=1e-6).joints
    np.testing.assert_allclose(np.linalg.norm(joints[0, 7] - joints[0, 1]), 0.82, atol=1e-4)


def test_a_z_up_file_is_turned():
    lines, channels = rig()

    def turned(line: str) -> str:
        if not line.startswith("OFFSET"):
            return line
        x, y, z = map(float, line.split()[1:])
        return f"OFFSET {x} {-z} {y}"

    row = " ".join(["0", "0", "90", *["0"] * (channels - 3)])
    text = "\n".join([*map(turned, lines), "MOTION", "Frames: 1", "Frame Time: 0.05", row])
    np.testing.assert_allclose(
        load_bvh(text.encode(), "z").joints[0], load_bvh(person().encode(), "y").joints[0], atol=1e-5
    )


def test_a_rest_pose_far_away_is_dropped_and_a_body_under_the_floor_raised():
    walk = np.stack([np.linspace(3, 4, 30), np.zeros(30), np.zeros(30)], axis=1)
    motion = load_bvh(person(frames=np.concatenate([np.zeros((1, 3)), walk])).encode(), "walk")
    assert motion.frames == 30
    assert motion.joints[..., [7, 8, 10, 11], 1].min() == pytest.approx(0.0, abs=1e-6)
    assert load_bvh(person(frames=walk).encode(), "walk").frames == 30


def test_names_that_cannot_be_guessed_need_a_mapping(tmp_path):
    odd = {"{L}UpperLeg": "{L}Schenkel", "{L}LowerArm": "{L}Unterarm"}
    text = person(rename=odd).encode()
    with pytest.raises(
        MateError, match=r"no joint found for left_hip, right_hip, left_elbow, right_elbow.*LeftSchenkel.*mapping"
    ):
        load_bvh(text, "odd.bvh")
    mapping = {f"{s}_hip": f"{s.title()}Schenkel" for s in ("left", "right")}
    mapping |= {f"{s}_elbow": f"{s.title()}Unterarm" for s in ("left", "right")}
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    (tmp_path / "odd.bvh").write_bytes(text)
    joints = load_motion(tmp_path / "odd.bvh", skeleton=tmp_path / "mapping.json").joints
    np.testing.assert_array_equal(joints, load_bvh(person().encode(), "plain").joints)
    with pytest.raises(MateError, match="names the role 'tail'"):
        load_bvh(text, "odd.bvh", mapping={"tail": "Hips"})
    with pytest.raises(MateError, match="'Nase', which is not in the file"):
        load_bvh(text, "odd.bvh", mapping=mapping | {"head": "Nase"})


def test_limbs_that_do_not_hang_together_are_refused():
    swapped = {"{L}UpperLeg": "{L}LowerLeg", "{L}LowerLeg": "{L}UpperLeg"}
    with pytest.raises(MateError, match="does not hang from"):
        load_bvh(person(rename=swapped).encode(), "swapped.bvh")


def test_joint_maps_are_weights_that_sum_to_one():
    bvh = read_bvh(person())
    weights = joint_map(bvh.names, bvh.parents, bvh.positions, "x").weights
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


# --- writing ---


def test_export_and_import_give_the_joints_back(tmp_path):
    motion = dancer()
    write_bvh(motion, tmp_path / "dancer.bvh")
    back = load_bvh(tmp_path / "dancer.bvh")
    assert (back.fps, back.name, back.frames) == (20.0, "dancer", motion.frames)
    assert np.abs(back.joints - motion.joints).max() < 1e-4
    bvh = read_bvh(tmp_path / "dancer.bvh")
    # Two turns to the left in one continuous curve, and no Euler angle that jumps by half a turn anywhere.
    column = 5  # the root's Yrotation, the last of Z, X, Y
    assert bvh.values[-1, column] - bvh.values[0, column] == pytest.approx(720, abs=45)
    assert np.abs(np.diff(bvh.values[:, 3:], axis=0)).max() < 100


def test_drifting_bone_lengths_are_exported_at_their_median(tmp_path):
    motion = dancer(60)
    stretched = Motion(motion.joints * np.linspace(0.99, 1.01, 60, dtype=np.float32)[:, None, None], 20.0)
    write_bvh(stretched, tmp_path / "a.bvh")
    back = load_bvh(tmp_path / "a.bvh").joints
    bones = np.linalg.norm(back[:, 4] - back[:, 1], axis=1)
    assert np.ptp(bones) < 1e-5
    assert np.abs(back - stretched.joints).max() < 0.02


def test_other_readers_meet_a_plain_depth_first_file_in_centimetres(tmp_path):
    write_bvh(dancer(2), tmp_path / "a.bvh")
    text = (tmp_path / "a.bvh").read_text()
    assert text.startswith("HIERARCHY\nROOT pelvis\n{\n\tOFFSET 0.000000 0.000000 0.000000\n\tCHANNELS 6 Xposition")
    assert text.count("{") == text.count("}")
    assert "Frames: 2\nFrame Time: 0.05\n" in text
    bvh = read_bvh(text)
    assert 150 < np.ptp(bvh.rest_positions[:, 1]) < 190
    assert bvh.rest_positions[bvh.names.index("left_wrist"), 0] > 50  # a T-pose, left at +X


def test_writing_where_one_cannot(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MateError):
        write_bvh(dancer(2), tmp_path / "file" / "a.bvh")

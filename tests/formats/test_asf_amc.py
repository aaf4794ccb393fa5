"""ASF/AMC reading, against rotations composed another way."""

import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mate.errors import MateError
from mate.formats.asf_amc import find_asf, load_amc, read_amc, read_asf
from mate.formats.load import load_motion
from mate.motion.skeleton import HUMANML3D

UNIT = 0.0254 / 0.45


def frames_of(amc: str) -> list[dict[str, np.ndarray]]:
    frames: list[dict[str, np.ndarray]] = []
    for line in amc.splitlines():
        words = line.split()
        if words and words[0].isdigit():
            frames.append({})
        elif words and words[0][0] not in "#:":
            frames[-1][words[0]] = np.array(words[1:], dtype=float)
    return frames


def expected(bones: dict, frame: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where each bone starts and ends in one frame, by the format's definition: W = W_before C M C^-1, angles in degrees."""
    turns = {"root": Rotation.from_euler("xyz", frame["root"][3:], degrees=True)}
    ends = {"root": frame["root"][:3]}
    places = {"root": ends["root"]}
    for name, (before, direction, length, axis, dof) in bones.items():
        own = Rotation.from_euler("xyz", axis, degrees=True)
        angles = np.zeros(3)
        for letter, value in zip(dof.split(), frame.get(name, []), strict=True):
            angles["xyz".index(letter[1])] = value
        turns[name] = turns[before] * own * Rotation.from_euler("xyz", angles, degrees=True) * own.inv()
        places[name] = ends[before]
        ends[name] = ends[before] + turns[name].apply(np.array(direction) / np.linalg.norm(direction) * length)
        places[f"{name}_end"] = ends[name]
    return places


def test_every_joint_is_where_the_definition_puts_it(acclaim, acclaim_bones):
    asf, amc = acclaim
    skeleton = read_asf(asf)
    assert skeleton.unit == pytest.approx(UNIT)
    positions = skeleton.positions(read_amc(amc, skeleton))
    assert positions.shape == (3, len(acclaim_bones) + 1 + 5, 3)  # five leaves: head, two hands, two feet
    for number, frame in enumerate(frames_of(amc)):
        places = expected(acclaim_bones, frame)
        for joint, name in enumerate(skeleton.joint_names):
            np.testing.assert_allclose(positions[number, joint], places[name], atol=1e-9, err_msg=name)


def test_a_loaded_motion_has_the_declared_unit_and_the_joints_of_the_bones(acclaim, acclaim_bones, tmp_path):
    asf, amc = acclaim
    (tmp_path / "07.asf").write_text(asf)
    (tmp_path / "07_01.amc").write_text(amc)
    motion = load_motion(tmp_path / "07_01.amc")
    assert (motion.fps, motion.name, motion.skeleton) == (120.0, "07_01", HUMANML3D)
    places = expected(acclaim_bones, frames_of(amc)[0])
    names = {"left_hip": "lfemur", "right_ankle": "rfoot", "left_foot": "ltoes", "left_shoulder": "lhumerus"}
    names |= {"right_elbow": "rradius", "head": "head", "pelvis": "root"}
    for role, bone in names.items():
        np.testing.assert_allclose(
            motion.joints[0, HUMANML3D.index(role)], places[bone] * UNIT, atol=1e-5, err_msg=role
        )
    # CMU's forearm is two bones: the wrist is where the hand starts.
    np.testing.assert_allclose(motion.joints[0, 20], places["lhand"] * UNIT, atol=1e-5)
    assert load_motion(tmp_path / "07_01.amc", fps=60).fps == 60.0
    given = load_amc(amc, asf=asf, mapping={"left_wrist": "lwrist"})
    np.testing.assert_allclose(given.joints[0, 20], places["lwrist"] * UNIT, atol=1e-5)


def test_radians_units_and_line_ends(acclaim):
    asf, amc = acclaim
    expected_joints = load_amc(amc, asf=asf).joints

    def radians(match: re.Match[str]) -> str:
        name, numbers = match[1], [float(word) for word in match[2].split()]
        lengths = numbers[:3] if name == "root" else []
        return f"{name} " + " ".join(f"{value:.12g}" for value in [*lengths, *np.radians(numbers[len(lengths) :])])

    turned = re.sub(r"^([a-z]\w*)((?: [-\d.]+)+)$", radians, amc, flags=re.MULTILINE)
    np.testing.assert_allclose(
        load_amc(turned.replace(":DEGREES", ":RADIANS"), asf=asf).joints, expected_joints, atol=1e-5
    )

    def axis_in_radians(match: re.Match[str]) -> str:
        return "axis " + " ".join(f"{np.radians(float(word)):.12g}" for word in match[1].split()) + " XYZ"

    in_radians = re.sub(r"axis ((?:[-\d.]+ ){3})XYZ", axis_in_radians, asf).replace("angle deg", "angle rad")
    np.testing.assert_allclose(load_amc(amc, asf=in_radians).joints, expected_joints, atol=1e-5)  # the AMC says degrees
    np.testing.assert_allclose(
        load_amc(turned.replace(":DEGREES\n", ""), asf=in_radians).joints, expected_joints, atol=1e-5
    )
    metres = asf.replace("length 0.45", "length 1.0")  # not an inch with these legs: guessed
    np.testing.assert_allclose(load_amc(amc, asf=metres).joints, expected_joints, atol=1e-5)
    np.testing.assert_allclose(load_amc(amc, asf=asf, scale=2 * UNIT).joints, 2 * expected_joints, atol=1e-5)
    windows = load_amc(b"\xef\xbb\xbf" + amc.replace("\n", "\r\n").encode(), asf=asf.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(windows.joints, expected_joints)


def test_which_asf_belongs_to_an_amc(acclaim, tmp_path):
    asf, amc = acclaim
    path = tmp_path / "16_01.amc"
    path.write_text(amc)
    with pytest.raises(MateError, match=r"in its folder there is none. Put 16.asf beside it or give asf="):
        load_motion(path)
    (tmp_path / "any.ASF").write_text(asf)
    assert find_asf(path).name == "any.ASF"
    (tmp_path / "1.asf").write_text(asf)
    with pytest.raises(MateError, match=r"2 of other names: 1.asf, any.ASF"):
        load_motion(path)
    (tmp_path / "16.asf").write_text(asf)
    assert find_asf(path).name == "16.asf"
    (tmp_path / "16_01.asf").write_text(asf)
    assert find_asf(path).name == "16_01.asf"
    joints = load_motion(path, asf=tmp_path / "any.ASF").joints
    np.testing.assert_array_equal(joints, load_motion(path).joints)
    with pytest.raises(MateError, match=r"without motion; give the .amc"):
        load_motion(tmp_path / "16.asf")
    with pytest.raises(MateError, match="give asf="):
        load_amc(amc)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("angle deg", "angle grad", "'grad', expected deg or rad"),
        ("order TX TY TZ", "order TX TX TZ", "line 6: degree of freedom TX appears twice"),
        ("dof rx ry rz", "dof rx ry l", "degree of freedom 'l', expected RX, RY, RZ"),
        ("direction 0 1 0", "direction 0 one 0", "expected 3 numbers for a direction"),
        ("length 7.3", "length nan", "expected 1 numbers for a length"),
        ("axis 0 0 20 XYZ", "axis 0 0 20 XXZ", "'XXZ', expected XYZ"),
        ("name ltibia", "name lfemur", "a second bone 'lfemur'"),
        ("name ltibia", "", "without a name"),
        ("ltibia lfoot", "ltibia nothing", "'nothing', which is no bone"),
        ("lfemur ltibia", "lfemur ltoes", "hangs from two bones"),
        ("lfoot ltoes", "lfoot", "lacks 'ltoes'"),
        ("    lfemur ltibia", "    lfoot ltibia", "do not hang from the root"),
        (":bonedata", ":bones", "no bones|no bone of"),
    ],
)
def test_defects_of_an_asf_are_named(acclaim, old, new, message):
    asf, _ = acclaim
    assert old in asf
    with pytest.raises(MateError, match=message) as error:
        read_asf(asf.replace(old, new, 1), "a.asf")
    assert str(error.value).startswith("a.asf")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nltibia ", "\nshin ", "line 7: got 'shin', expected a bone of"),
        ("\nltibia ", "\nltibia 1 ", "line 7: 2 values for 'ltibia', expected 1"),
        ("\nltibia ", "\nltibia x", "line 7: got 'x"),
        ("\n1\nroot", "\nroot", "expected a frame's number; this is not an AMC file"),
        ("\nltibia ", "\nlfemur 1 2 3\nltibia ", "a second line for 'lfemur'"),
        ("\n2\nroot", "\nroot", "a second line for 'root' in frame 1"),
    ],
)
def test_defects_of_an_amc_are_named(acclaim, old, new, message):
    asf, amc = acclaim
    assert old in amc
    with pytest.raises(MateError, match=message):
        read_amc(amc.replace(old, new, 1), read_asf(asf), "a.amc")


def test_every_cut_of_an_amc_between_its_lines_is_refused(acclaim):
    asf, amc = acclaim
    skeleton = read_asf(asf)
    lines = amc.splitlines()
    whole = [number for number, line in enumerate(lines) if line.isdigit()] + [len(lines)]
    for length in range(len(lines)):
        if length in whole[1:]:
            continue  # complete frames only
        with pytest.raises(MateError):
            read_amc("\n".join(lines[:length]) + "\n", skeleton, "cut.amc")


def test_a_skeleton_of_another_animal(acclaim):
    asf, amc = acclaim
    with pytest.raises(MateError, match=r"no joint found for left_hip.*skeleton file"):
        load_amc(amc.replace("lfemur", "lstifle"), asf=asf.replace("lfemur", "lstifle"))

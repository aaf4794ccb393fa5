"""Fixtures for the format tests."""

import numpy as np
import pytest

from mate.motion.motion import Motion
from mate.motion.rotations import rest_directions, rotations_to_joints
from mate.motion.skeleton import HUMANML3D


@pytest.fixture(scope="session")
def motion() -> Motion:
    """A person with canonical bones who walks a curve, swings the legs and raises the left arm: 24 frames at 20 fps."""
    time = np.linspace(0, 1.15, 24)
    offsets = rest_directions(HUMANML3D) * np.array(HUMANML3D.bone_lengths)[:, None]
    local = np.zeros((len(time), 22, 4))
    local[..., 0] = 1

    def turn(name: str, angle: np.ndarray, axis: int) -> None:
        joint = HUMANML3D.index(name)
        local[:, joint, 0], local[:, joint, 1 + axis] = np.cos(angle / 2), np.sin(angle / 2)

    turn("pelvis", 1.2 * time, 1)
    turn("left_hip", 0.5 * np.sin(6 * time), 0)
    turn("right_hip", -0.5 * np.sin(6 * time), 0)
    turn("left_collar", 0.1 * time, 2)
    turn("left_shoulder", 1.3 * time, 2)
    turn("right_shoulder", np.full(24, 1.2), 2)
    turn("left_elbow", -0.8 * time, 1)
    root = np.stack((0.4 * time**2, 0.93 + 0.02 * np.sin(12 * time), time), axis=1)
    return Motion(rotations_to_joints(root, local, offsets, HUMANML3D.parents), 20.0, name="curve")


# CMU's ASF in small: bone -> (before, direction, length in the file's unit, axis in degrees, degrees of freedom)
ACCLAIM_BONES = {
    "lhipjoint": ("root", (0.64, -0.72, 0.27), 2.5, (0, 0, 0), ""),
    "lfemur": ("lhipjoint", (0.342, -0.94, 0), 7.3, (0, 0, 20), "rx ry rz"),
    "ltibia": ("lfemur", (0.342, -0.94, 0), 7.8, (0, 0, 20), "rx"),
    "lfoot": ("ltibia", (0.09, -0.245, 0.965), 2.0, (-90, 0, 20), "rx rz"),
    "ltoes": ("lfoot", (0, 0, 1), 1.0, (-90, 0, 20), "rx"),
    "lowerback": ("root", (0, 0.98, -0.2), 2.1, (0, 0, 0), "rx ry rz"),
    "upperback": ("lowerback", (0, 1, 0), 2.1, (0, 0, 0), "rx ry rz"),
    "thorax": ("upperback", (0, 1, 0.08), 2.2, (0, 0, 0), "rx ry rz"),
    "lowerneck": ("thorax", (0, 0.98, 0.16), 1.8, (0, 0, 0), "rx ry rz"),
    "upperneck": ("lowerneck", (0, 0.98, -0.18), 1.8, (0, 0, 0), "rz"),
    "head": ("upperneck", (0, 1, 0), 1.8, (0, 0, 0), "rx ry rz"),
    "lclavicle": ("thorax", (0.94, 0.34, -0.08), 3.5, (0, 0, 0), "ry rz"),
    "lhumerus": ("lclavicle", (1, 0, 0), 5.6, (180, -30, -90), "rx ry rz"),
    "lradius": ("lhumerus", (1, 0, 0), 3.5, (180, -30, -90), "rx"),
    "lwrist": ("lradius", (1, 0, 0), 1.7, (0, 90, 90), "ry"),
    "lhand": ("lwrist", (1, 0, 0), 0.7, (0, 90, 90), "rx rz"),
}


def _both_sides() -> dict[str, tuple[str, tuple[float, ...], float, tuple[float, ...], str]]:
    bones = dict(ACCLAIM_BONES)
    for name, (before, (x, y, z), length, (a, b, c), dof) in ACCLAIM_BONES.items():
        if name[0] == "l" and not name.startswith("lower"):
            above = "r" + before[1:] if before[0] == "l" and not before.startswith("lower") else before
            bones["r" + name[1:]] = (above, (-x, y, z), length, (a, -b, -c), dof)
    return bones


@pytest.fixture(scope="session")
def acclaim_bones() -> dict[str, tuple[str, tuple[float, ...], float, tuple[float, ...], str]]:
    """Bones of both sides, the one before first."""
    return _both_sides()


@pytest.fixture(scope="session")
def acclaim(acclaim_bones) -> tuple[str, str]:
    """An ASF and an AMC text: a person who moves every joint, three frames."""
    lines = [
        ":version 1.10",
        ":units",
        "  length 0.45",
        "  angle deg",
        ":root",
        "  order TX TY TZ RX RY RZ",
        "  axis XYZ",
    ]
    lines += ["  position 0 0 0", "  orientation 0 0 0", ":bonedata"]
    for number, (name, (_, direction, length, axis, dof)) in enumerate(acclaim_bones.items(), start=1):
        words = [" ".join(map(str, values)) for values in (direction, axis)]
        lines += [
            "  begin",
            f"    id {number}",
            f"    name {name}",
            f"    direction {words[0]}",
            f"    length {length}",
        ]
        lines += [f"    axis {words[1]} XYZ", *([f"    dof {dof}", "    limits (-160 20)"] if dof else []), "  end"]
    lines += [":hierarchy", "  begin"]
    for before in ("root", *acclaim_bones):
        if children := [name for name, bone in acclaim_bones.items() if bone[0] == before]:
            lines.append(f"    {before} {' '.join(children)}")
    asf = "\n".join([*lines, "  end", ""])
    rng = np.random.default_rng(0)
    lines = ["# made up", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(3):
        lines += [str(frame + 1), f"root {frame} 17.5 {-frame * 0.5} 3 {10 * frame} -2"]
        for name, bone in acclaim_bones.items():
            if bone[4]:
                lines.append(name + "".join(f" {value:.4f}" for value in rng.normal(0, 15, len(bone[4].split()))))
    return asf, "\n".join([*lines, ""])


@pytest.fixture(scope="session")
def body_model() -> dict[str, np.ndarray]:
    """The arrays of a small made-up body model in the format of SMPL+H's file: every joint is the mean of two of its vertices."""
    return made_up_body_model()


def made_up_body_model(joints: int = 52, seed: int = 0, vertices: int = 120, shapes: int = 16) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    offsets = rest_directions(HUMANML3D) * np.array(HUMANML3D.bone_lengths)[:, None]
    body = np.zeros((joints, 3))
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        body[joint] = body[parent] + offsets[joint]
    body[22:] = body[20]
    template = rng.normal(0, 0.1, (vertices, 3))
    regressor = np.zeros((joints, vertices))
    for joint in range(joints):
        template[2 * joint : 2 * joint + 2] = body[joint] + np.array([[0.05, 0, 0], [-0.05, 0, 0]])
        regressor[joint, 2 * joint : 2 * joint + 2] = 0.5
    parents = [*HUMANML3D.parents, *[20] * (joints - 22)]
    return {
        "v_template": template,
        "shapedirs": rng.normal(0, 0.003, (vertices, 3, shapes)),
        "J_regressor": regressor,
        # The real files keep the root's parent as the largest unsigned number.
        "kintree_table": np.array([parents, range(joints)]).astype(np.uint32),
        "posedirs": np.zeros((vertices, 3, 9)),
    }


@pytest.fixture(scope="session")
def other_body_model() -> dict[str, np.ndarray]:
    """Another one, with SMPL-X's 55 joints."""
    return made_up_body_model(55, seed=1)

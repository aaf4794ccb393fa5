"""Rigs and motions made up for the tests."""

import warnings
from typing import Any

import numpy as np

from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

# name -> (parent, offset in metres); a standing body, arms to the sides
PERSON = {
    "Hips": ("", (0, 0, 0)),
    "Spine": ("Hips", (0, 0.12, 0)),
    "Chest": ("Spine", (0, 0.2, 0)),
    "Neck": ("Chest", (0, 0.2, 0)),
    "Head": ("Neck", (0, 0.1, 0.02)),
    "{L}Collar": ("Chest", (0.08, 0.12, 0)),
    "{L}UpperArm": ("{L}Collar", (0.1, 0, 0)),
    "{L}LowerArm": ("{L}UpperArm", (0.28, 0, 0)),
    "{L}Hand": ("{L}LowerArm", (0.26, 0, 0)),
    "{L}UpperLeg": ("Hips", (0.1, -0.05, 0)),
    "{L}LowerLeg": ("{L}UpperLeg", (0, -0.4, 0)),
    "{L}Foot": ("{L}LowerLeg", (0, -0.42, 0)),
    "{L}Toes": ("{L}Foot", (0, -0.06, 0.14)),
}


def rig(
    rename: dict[str, str] | None = None,
    unit: float = 0.01,
    drop: tuple[str, ...] = (),
    names: tuple[str, str] = ("Left", "Right"),
):
    """PERSON as a BVH header: (lines, number of channels). `rename` maps PERSON's bare names to others."""
    joints: list[tuple[str, str, tuple[float, float, float]]] = []
    for name, (parent, offset) in PERSON.items():
        for side, sign in ((names[0], 1), (names[1], -1)) if "{L}" in name else (("", 1),):
            if name in drop:
                continue
            x, y, z = offset

            def made(bare: str, side: str = side) -> str:
                bare = (rename or {}).get(bare, bare)
                return bare.replace("{L}", side)

            joints.append((made(name), made(parent) if parent else "", (x * sign, y, z)))
    lines = ["HIERARCHY"]

    def write(name: str) -> None:
        offset = next(o for n, _, o in joints if n == name)
        lines.append(f"{'JOINT' if name != joints[0][0] else 'ROOT'} {name} {{")
        lines.append("OFFSET " + " ".join(str(v / unit) for v in offset))
        lines.append(
            "CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
            if name == joints[0][0]
            else "CHANNELS 3 Zrotation Yrotation Xrotation"
        )
        below = [n for n, parent, _ in joints if parent == name]
        for child in below:
            write(child)
        if not below:
            lines.extend(["End Site", "{", f"OFFSET 0 0 {0.05 / unit}", "}"])
        lines.append("}")

    write(joints[0][0])
    return lines, 3 + 3 * len(joints)


def person(frames: np.ndarray | None = None, unit: float = 0.01, time: float = 0.05, **options) -> str:
    """A BVH text. `frames` (T, 3) are root positions in metres; by default two frames standing still."""
    lines, channels = rig(unit=unit, **options)
    roots = np.array([[0, 0.9, 0]] * 2) if frames is None else frames
    rows = [" ".join(f"{v:.6f}" for v in [*(root / unit), *[0.0] * (channels - 3)]) for root in roots]
    return "\n".join([*lines, "MOTION", f"Frames: {len(rows)}", f"Frame Time: {time}", *rows, ""])


def dancer(frames: int = 120, turns: float = 2.0) -> Motion:
    """Rigid bones, arms that swing over the head, collars that move, the body turning round."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, frames)
    directions = np.array(HUMANML3D.rest_directions, dtype=float)
    directions[10:12] = [0, -0.4, 0.9]
    directions[13:15, 1] = 0.5
    joints = np.zeros((frames, 22, 3))
    joints[:, 0] = [0, 0.95, 0]
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        swing = 0.35 * np.sin(2 * np.pi * (time[:, None] * rng.integers(1, 3) + rng.random(3)))
        if joint >= 16:
            angle = np.pi * np.sin(np.pi * time) ** 2
            swing += np.stack([np.sin(angle), 1 - np.cos(angle), 0 * angle], axis=1) * np.array(
                [1 if joint % 2 == 0 else -1, 1, 1]
            )
        bone = directions[joint] + swing
        joints[:, joint] = (
            joints[:, parent] + bone / np.linalg.norm(bone, axis=1, keepdims=True) * HUMANML3D.bone_lengths[joint]
        )
    yaw = 2 * np.pi * turns * time
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    turned = (
        np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=-1)
        + np.stack([time, 0 * time, 2 * time], axis=1)[:, None]
    )
    return Motion(turned, 20.0, name="dancer")


def odd_rig(order: str = "XYZ", up: str = "y", facing: float = 0.0, arms: float = 0.0, along_x: bool = False) -> str:
    """PERSON as a one-frame BVH text with the channel order, up axis, facing (degrees) and arms (degrees below a T-pose) given.

    along_x: the bones of the rest pose all lie along X, as in some motion-capture sets; the frame stands in the T-pose.
    """
    from scipy.spatial.transform import Rotation

    names: list[str] = []
    parents: list[int] = []
    places: list[np.ndarray] = []
    for name, (parent, offset) in PERSON.items():
        for side, sign in (("Left", 1), ("Right", -1)) if "{L}" in name else (("", 1),):
            above = names.index(parent.replace("{L}", side)) if parent else -1
            step = np.array(offset) * (sign, 1, 1)
            if name in ("{L}LowerArm", "{L}Hand"):
                step = Rotation.from_euler("z", -sign * arms, degrees=True).apply(step)
            names.append(name.replace("{L}", side))
            parents.append(above)
            places.append(step + (places[above] if above >= 0 else (0, 0.93, 0)))
    turn = Rotation.from_euler("y", facing, degrees=True)
    if up == "z":
        turn = Rotation.from_euler("x", 90, degrees=True) * turn
    world = turn.apply(np.array(places))
    frames = [Rotation.identity()] * len(names)
    children = {j: [c for c, p in enumerate(parents) if p == j] for j in range(len(names))}
    if along_x:
        for joint, below in children.items():
            bone = world[below[0]] - world[joint] if below else world[joint] - world[parents[joint]]
            frames[joint] = Rotation.align_vectors([bone], [[1.0, 0, 0]])[0]
    lines = ["HIERARCHY"]
    values: list[float] = []

    def write(joint: int) -> None:
        parent = parents[joint]
        above = frames[parent] if parent >= 0 else Rotation.identity()
        offset = above.inv().apply(world[joint] - world[parent]) * 100 if parent >= 0 else np.zeros(3)
        if parent < 0:
            values.extend(world[joint] * 100)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a gimbal lock: any of the triples will do
            values.extend((above.inv() * frames[joint]).as_euler(order, degrees=True))
        turns = " ".join(f"{axis}rotation" for axis in order)
        lines.extend((f"{'JOINT' if parent >= 0 else 'ROOT'} {names[joint]}", "{"))
        lines.append("OFFSET " + " ".join(f"{value:.7f}" for value in offset))
        lines.append(f"CHANNELS {'6 Xposition Yposition Zposition' if parent < 0 else '3'} {turns}")
        for child in children[joint]:
            write(child)
        if not children[joint]:
            lines.extend(["End Site", "{", "OFFSET 5 0 0" if along_x else "OFFSET 0 0 5", "}"])
        lines.append("}")

    write(0)
    row = " ".join(f"{value:.7f}" for value in values)
    return "\n".join([*lines, "MOTION", "Frames: 1", "Frame Time: 0.0333333", row, ""])


def grounding(motion: Motion) -> dict[str, Any]:
    """What `mate ground --json` prints, made up: the last word is about the left arm at the end."""
    count = motion.frames - 1
    late, even = np.linspace(0, 1, count) ** 4, np.full(count, 1.0)
    words = [
        ("a", False, even, None),
        ("person", False, even, None),
        ("<waves>", True, late, {"left_wrist": 0.7, "left_elbow": 0.3}),
    ]
    return {
        "text": "a person <waves>", "fps": motion.fps, "frames": count, "seconds": count / motion.fps,
        "segments": [{"sub_texts": ["a person <waves>"], "start": 0.0, "end": count / motion.fps, "cosine": 0.5}],
        "words": [
            {"word": word, "motion_word": moves, "segment": 0, "attention": (weight / weight.sum()).tolist(), "joints": joints}
            for word, moves, weight, joints in words
        ],
    }  # fmt: skip

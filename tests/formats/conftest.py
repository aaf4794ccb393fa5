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

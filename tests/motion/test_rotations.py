"""Joint positions to rotations and back."""

from pathlib import Path

import numpy as np
import pytest

from mate.motion.motion import Motion
from mate.motion.rotations import (
    fit_offsets,
    fit_rotation,
    joints_to_rig,
    joints_to_rotations,
    quaternion_between,
    quaternion_continuous,
    quaternion_inverse,
    quaternion_multiply,
    quaternion_rotate,
    quaternion_to_matrix,
    rest_directions,
    rotations_to_joints,
)
from mate.motion.skeleton import HUMANML3D

GOLDEN = ("007005", "009548", "011673", "012314", "M010655", "M010968")


def about(axis: int, angle: np.ndarray | float) -> np.ndarray:
    """Quaternions (..., 4) for turns about one axis, radians."""
    angle = np.asarray(angle)
    q = np.zeros((*angle.shape, 4))
    q[..., 0], q[..., 1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
    return q


def moving_body(turns: float, frames: int = 120, children_rigid: bool = False) -> np.ndarray:
    """(T, 22, 3): a body that turns about the vertical while its limbs move."""
    rng = np.random.default_rng(3)
    time = np.linspace(0, 1, frames)
    directions = np.array(HUMANML3D.rest_directions) if children_rigid else rest_directions(HUMANML3D)
    offsets = directions * np.array(HUMANML3D.bone_lengths)[:, None]
    local = np.zeros((frames, 22, 4))
    for joint in range(1, 22):
        axis, size = int(rng.integers(3)), rng.uniform(0.1, 0.9)
        local[:, joint] = about(axis, size * np.sin(2 * np.pi * time * rng.integers(1, 4)))
    local[:, 0] = quaternion_multiply(about(1, 2 * np.pi * turns * time), about(0, 0.2 * np.sin(9 * time)))
    root = np.stack((time, 0.9 + 0 * time, np.sin(3 * time)), axis=1)
    return rotations_to_joints(root, local, offsets, HUMANML3D.parents)


def steps(q: np.ndarray) -> np.ndarray:
    """Angles (T-1, ...) between successive rotations (T, ..., 4), the sign taken seriously: a flip shows as a large angle."""
    return 2 * np.arccos(np.clip((q[1:] * q[:-1]).sum(-1), -1, 1))


def test_quaternions_agree_with_scipy() -> None:
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    rng = np.random.default_rng(0)
    a, b = rotation.random(50, rng=rng), rotation.random(50, rng=rng)
    qa, qb = a.as_quat(scalar_first=True), b.as_quat(scalar_first=True)
    v = rng.normal(size=(50, 3))
    np.testing.assert_allclose(quaternion_to_matrix(qa), a.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(quaternion_rotate(qa, v), a.apply(v), atol=1e-12)
    np.testing.assert_allclose(quaternion_to_matrix(quaternion_multiply(qa, qb)), (a * b).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(quaternion_rotate(quaternion_inverse(qa), quaternion_rotate(qa, v)), v, atol=1e-12)


def test_fit_rotation_finds_the_best_rotation() -> None:
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    rng = np.random.default_rng(1)
    rest = rng.normal(size=(4, 3))
    truth = rotation.random(30, rng=rng)
    noisy = np.stack([r.apply(rest) for r in truth]) + rng.normal(scale=0.05, size=(30, 4, 3))
    expected = np.stack([rotation.align_vectors(bones, rest)[0].as_matrix() for bones in noisy])
    np.testing.assert_allclose(quaternion_to_matrix(fit_rotation(rest, noisy)), expected, atol=1e-6)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-9, 1e-6, 1e-3, 0.5, 3.0])
def test_smallest_rotation_is_right_up_to_the_opposite_direction(gap: float) -> None:
    a = np.array([[0.0, -1.0, 0.0]])
    b = np.array([[np.sin(gap), np.cos(gap), 0.0]])
    q = quaternion_between(a, b)
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(quaternion_rotate(q, a), b, atol=1e-8)


@pytest.mark.parametrize("name", GOLDEN)
def test_rig_gives_real_motions_back(shared_data: Path, name: str) -> None:
    path = shared_data / "humanml3d-golden" / "new_joints" / f"{name}.npy"
    if not path.is_file():
        pytest.skip(f"no {path}")
    motion = Motion(np.load(path), 20.0)
    rig = joints_to_rig(motion)
    assert np.abs(rig.joints() - motion.joints).max() < 1e-5
    np.testing.assert_allclose(np.linalg.norm(rig.quaternions, axis=-1), 1, atol=1e-6)
    assert steps(rig.quaternions).max() < np.radians(60)


@pytest.mark.parametrize("turns", [2, -2, 5])
def test_a_body_that_turns_round_does_not_flip(turns: float) -> None:
    motion = Motion(moving_body(turns), 20.0)
    rig = joints_to_rig(motion)
    assert np.abs(rig.joints() - motion.joints).max() < 1e-5
    # The root turns by the same small step in every frame, and no limb notices the turning.
    still = joints_to_rig(Motion(moving_body(0), 20.0))
    assert steps(rig.quaternions)[:, 0].max() < 2 * np.pi * abs(turns) / 119 + 0.05
    np.testing.assert_allclose(np.abs(rig.quaternions[:, 1:]), np.abs(still.quaternions[:, 1:]), atol=2e-3)
    assert steps(rig.quaternions)[:, 1:].max() < 0.3


def test_an_arm_raised_overhead_moves_smoothly() -> None:
    angle = np.linspace(-1.4, 1.5, 60)  # from hanging to straight up
    local = np.zeros((60, 22, 4))
    local[..., 0] = 1
    local[:, HUMANML3D.index("left_shoulder")] = about(2, angle)
    offsets = rest_directions(HUMANML3D) * np.array(HUMANML3D.bone_lengths)[:, None]
    joints = rotations_to_joints(np.zeros((60, 3)), local, offsets, HUMANML3D.parents)
    rig = joints_to_rig(Motion(joints, 20.0))
    np.testing.assert_allclose(rig.quaternions[:, rig.names.index("left_shoulder")], local[:, 16], atol=1e-5)


def test_plain_rotations_are_exact_where_children_are_rigid() -> None:
    joints = moving_body(2, children_rigid=True)
    root, local = joints_to_rotations(joints, HUMANML3D)
    assert root.shape == (120, 3)
    assert local.shape == (120, 22, 4)
    offsets = fit_offsets(joints, HUMANML3D.parents, np.array(HUMANML3D.rest_directions))
    back = rotations_to_joints(root, local, offsets, HUMANML3D.parents)
    assert np.abs(back - joints).max() < 1e-5


def test_rig_is_a_tree_with_helpers_of_no_length() -> None:
    rig = joints_to_rig(Motion(moving_body(0), 20.0))
    assert all(parent < joint for joint, parent in enumerate(rig.parents))
    assert [rig.names[i] for i in rig.joint_index] == list(HUMANML3D.joint_names)
    helpers = [i for i, name in enumerate(rig.names) if name.endswith("_base")]
    assert len(helpers) == 6
    assert not rig.offsets[helpers].any()
    # The rest pose stands in a T: hands at shoulder height to the sides, left at +X, feet under the hips pointing to +Z.
    rest = dict(zip(rig.names, rig.rest_positions(), strict=True))
    assert rest["left_wrist"][0] > 0.6
    assert abs(rest["left_wrist"][1] - rest["left_shoulder"][1]) < 1e-6
    assert rest["left_foot"][2] > rest["left_ankle"][2]
    assert rest["right_ankle"][1] < -0.8


def test_world_rotations_turn_the_offsets_into_bones() -> None:
    rig = joints_to_rig(Motion(moving_body(1), 20.0))
    positions, world = rig.positions(), rig.world_quaternions()
    joint = rig.names.index("left_elbow")
    parent = rig.parents[joint]
    bone = quaternion_rotate(world[:, parent], np.broadcast_to(rig.offsets[joint], (120, 3)))
    np.testing.assert_allclose(positions[:, joint] - positions[:, parent], bone, atol=1e-5)


def test_one_frame_and_collapsed_bones_are_harmless() -> None:
    motion = Motion(np.zeros((1, 22, 3)), 20.0)
    rig = joints_to_rig(motion)
    assert np.isfinite(rig.quaternions).all()
    assert np.abs(rig.joints()).max() == 0


def test_continuous_undoes_random_signs() -> None:
    q = about(1, np.linspace(0, 9, 40))[:, None]
    signs = np.where(np.random.default_rng(0).random((40, 1, 1)) < 0.5, -1, 1)
    np.testing.assert_allclose(quaternion_continuous(q * signs), q, atol=1e-12)

"""Heading, floor, mirroring, frame rates and canonical bones."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from mate.errors import MateError
from mate.motion.retarget import (
    face_forward,
    heading,
    mirror,
    put_on_floor,
    resample,
    retarget_to_canonical,
    rotate_about_y,
    start_at_origin,
)
from mate.motion.skeleton import HUMANML3D

CANONICAL = np.array(HUMANML3D.bone_lengths)


def body(frames: int, seed: int = 0, turns: float = 0.0, lengths: np.ndarray = CANONICAL) -> np.ndarray:
    """A body that sways smoothly and turns to the left, with the given bone lengths: (T, 22, 3) float32."""
    generator = np.random.default_rng(seed)
    directions = np.array(HUMANML3D.rest_directions, dtype=float)
    directions[[16, 17]] = (1, -0.2, 0), (-1, -0.2, 0)
    directions = directions + gaussian_filter1d(generator.normal(size=(frames, 22, 3)), 8, axis=0) * 1.5
    norms = np.linalg.norm(directions, axis=-1, keepdims=True)
    bones = rotate_about_y(directions / norms * lengths[:, None], np.linspace(0, 2 * np.pi * turns, frames))
    joints = np.zeros_like(bones)
    joints[:, 0] = np.cumsum(gaussian_filter1d(generator.normal(size=(frames, 3)), 5, axis=0), axis=0) * (
        0.05,
        0.01,
        0.05,
    )
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + bones[:, joint]
    return joints.astype(np.float32)


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints - joints[:, np.maximum(HUMANML3D.parents, 0)], axis=-1)


def uniform_skeleton_by_rotations(joints: np.ndarray) -> np.ndarray:
    """HumanML3D's way: swing rotations along the chains, then forward kinematics with the target's offsets."""
    joints = joints.astype(float)
    lengths = bone_lengths(joints)[0]
    result = np.zeros_like(joints)
    result[:, 0] = joints[:, 0] * (CANONICAL[[5, 8]].sum() / lengths[[5, 8]].sum())
    for chain in HUMANML3D.chains:
        # Any rotation of the root will do: what follows is relative to it.
        world = posed = Rotation.from_rotvec(np.linspace(0, 1, len(joints))[:, None] * (0, 1, 0))
        for previous, joint in pairwise(chain):
            rest = np.array(HUMANML3D.rest_directions[joint], dtype=float)
            bone = joints[:, joint] - joints[:, previous]
            bone /= np.linalg.norm(bone, axis=-1, keepdims=True)
            axis = np.cross(rest, bone)
            sine, cosine = np.linalg.norm(axis, axis=-1, keepdims=True), (bone @ rest)[:, None]
            swing = Rotation.from_rotvec(axis / np.maximum(sine, 1e-12) * np.arctan2(sine, cosine))
            local = world.inv() * swing
            world, posed = world * local, posed * local
            result[:, joint] = result[:, previous] + posed.apply(HUMANML3D.rest_offsets[joint])
    return result


@pytest.mark.parametrize("turns", [0.0, 2.0, -2.0])
def test_retargeting_equals_rotations_on_another_skeleton(turns: float) -> None:
    lengths = CANONICAL * np.random.default_rng(1).uniform(0.7, 1.3, 22) * 90
    joints = body(120, seed=4, turns=turns, lengths=lengths)
    result = retarget_to_canonical(joints)
    np.testing.assert_allclose(result, uniform_skeleton_by_rotations(joints), atol=1e-5)
    np.testing.assert_allclose(bone_lengths(result), np.tile(CANONICAL, (120, 1)), atol=1e-6)
    # Nothing breaks while turning: no joint jumps.
    own_step = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() / 90
    assert np.linalg.norm(np.diff(result, axis=0), axis=-1).max() < 2 * own_step
    np.testing.assert_allclose(retarget_to_canonical(result), result, atol=1e-6)


def test_the_clip_whose_skeleton_is_canonical(shared_data: Path) -> None:
    file = shared_data / "humanml3d-golden" / "000021_raw_pose.npy"
    if not file.is_file():
        pytest.skip(f"no {file}")
    joints = np.load(file)[:, :22]
    np.testing.assert_allclose(bone_lengths(joints)[0], CANONICAL, atol=1e-6)
    result = retarget_to_canonical(joints)
    np.testing.assert_allclose(result, joints, atol=1e-5)
    np.testing.assert_allclose(result, uniform_skeleton_by_rotations(joints), atol=1e-5)


def test_retargeting_fills_bones_without_length() -> None:
    joints = body(30, turns=0.5)
    joints[:, 10] = joints[:, 7]  # no left toe
    joints[:, 13] = joints[:, 9]  # no left collar
    result = retarget_to_canonical(joints)
    np.testing.assert_allclose(bone_lengths(result), np.tile(CANONICAL, (30, 1)), atol=1e-6)
    facing = heading(joints)
    toe = (result[:, 10] - result[:, 7]) / CANONICAL[10]
    np.testing.assert_allclose(toe, np.stack([np.sin(facing), 0 * facing, np.cos(facing)], -1), atol=1e-5)
    with pytest.raises(MateError, match="right leg"):
        retarget_to_canonical(np.zeros((5, 22, 3)))


def test_signs_of_heading() -> None:
    standing = np.cumsum(np.zeros((1, 22, 3)), axis=0)
    standing[:, [1, 16], 0], standing[:, [2, 17], 0] = 0.1, -0.1  # left at +X: facing +Z
    assert heading(standing)[0] == 0
    # A quarter turn to the left looks to +X, and then left is at -Z.
    left = rotate_about_y(standing, np.pi / 2)
    assert left[0, 1, 2] == pytest.approx(-0.1)
    assert heading(left)[0] == pytest.approx(np.pi / 2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), angle=st.floats(-20, 20), turns=st.floats(-3, 3))
def test_turning_adds_to_the_heading(seed: int, angle: float, turns: float) -> None:
    joints = body(100, seed, turns)
    before, after = heading(joints).astype(float), heading(rotate_about_y(joints, angle)).astype(float)
    assert before.shape == (100,)
    assert abs(before[0]) <= np.pi
    assert np.abs(np.diff(before)).max() < 1
    np.testing.assert_allclose(after - after[0], before - before[0], atol=1e-4)
    np.testing.assert_allclose(np.cos(after - before - angle), 1, atol=1e-6)
    assert abs(heading(face_forward(joints))[0]) < 1e-5


def test_heading_of_batches_and_of_frames_without_one() -> None:
    clips = np.stack([body(50, seed, turns=seed - 1) for seed in range(3)])
    np.testing.assert_array_equal(heading(clips), np.stack([heading(clip) for clip in clips]))
    np.testing.assert_array_equal(face_forward(clips), np.stack([face_forward(clip) for clip in clips]))
    joints = body(50, turns=1)
    expected = heading(joints)
    joints[[0, 1, 20, 21], :] = 0
    expected[[0, 1]], expected[[20, 21]] = expected[2], expected[19]
    np.testing.assert_allclose(heading(joints), expected, atol=1e-6)
    assert (heading(np.zeros((4, 22, 3))) == 0).all()


def test_rotation_keeps_kind_and_gradient() -> None:
    joints = body(10)
    angle = np.linspace(0, 1, 10)
    tensor = torch.from_numpy(joints).requires_grad_()
    turned = rotate_about_y(tensor, torch.from_numpy(angle))
    assert turned.dtype == torch.float32
    assert turned.requires_grad
    np.testing.assert_allclose(turned.detach().numpy(), rotate_about_y(joints, angle), atol=1e-6)
    with pytest.raises(MateError, match="str"):
        rotate_about_y("joints", 1.0)  # pyright: ignore[reportArgumentType]


def test_floor_and_origin() -> None:
    clips = np.stack([body(20, seed) for seed in range(3)]) + np.array([5, 7, 9], dtype=np.float32)
    np.testing.assert_allclose(put_on_floor(clips)[..., 1].min(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(start_at_origin(clips)[:, 0, 0][:, [0, 2]], 0, atol=1e-6)
    np.testing.assert_array_equal(start_at_origin(clips)[..., 1], clips[..., 1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), turns=st.floats(-2, 2))
def test_mirror_is_an_involution(seed: int, turns: float) -> None:
    joints = body(40, seed, turns)
    np.testing.assert_array_equal(mirror(mirror(joints)), joints)
    np.testing.assert_allclose(np.diff(heading(mirror(joints))), -np.diff(heading(joints)), atol=1e-5)


def test_mirror_swaps_sides() -> None:
    joints = body(5)
    left, right = HUMANML3D.index("left_wrist"), HUMANML3D.index("right_wrist")
    np.testing.assert_array_equal(mirror(joints)[:, right], joints[:, left] * np.array([-1, 1, 1], dtype=np.float32))
    np.testing.assert_array_equal(mirror(joints)[:, 15, 1], joints[:, 15, 1])


@settings(max_examples=30, deadline=None)
@given(
    frames=st.integers(1, 90),
    fps_in=st.sampled_from([12.5, 20, 24, 29.97, 30, 60, 120]) | st.floats(5, 240),
    fps_out=st.sampled_from([12.5, 20, 30]) | st.floats(5, 240),
)
def test_resampling_keeps_bone_lengths(frames: int, fps_in: float, fps_out: float) -> None:
    joints = body(frames, seed=frames, turns=1)
    result = resample(joints, fps_in, fps_out)
    assert result.dtype == np.float32
    np.testing.assert_allclose(bone_lengths(result), np.tile(CANONICAL, (len(result), 1)), atol=1e-5)
    np.testing.assert_array_equal(result[0], joints[0])
    # The duration from the first to the last frame, to less than one new frame.
    lost = (frames - 1) / fps_in - (len(result) - 1) / fps_out
    assert -1e-3 / fps_out < lost < 1 / fps_out
    assert np.isfinite(result).all()


def test_resampling_goes_by_time() -> None:
    joints = body(121, seed=2, turns=0.5)
    np.testing.assert_array_equal(resample(joints, 120, 20), joints[::6])
    np.testing.assert_array_equal(resample(joints, 20, 20), joints)
    np.testing.assert_array_equal(resample(joints, 30, 20)[::2], joints[::3])
    # Rates from rounded frame times lose no frame.
    assert len(resample(joints, 1 / 0.0083333, 20)) == len(resample(joints, 1 / 0.0083334, 20)) == 21
    # Down and up again stays near: the sway is slow against 60 fps.
    again = resample(resample(joints, 120, 60), 60, 120)
    assert np.linalg.norm(again - joints, axis=-1).mean() < 2e-3
    with pytest.raises(MateError, match="frames per second"):
        resample(joints, 0, 20)


def test_bones_that_reverse_between_frames() -> None:
    joints = body(2)
    joints[1] = joints[0]
    joints[1, 20] = joints[0, 18] - (joints[0, 20] - joints[0, 18])
    result = resample(joints, 10, 20)
    np.testing.assert_allclose(bone_lengths(result), np.tile(CANONICAL, (3, 1)), atol=1e-5)

"""HumanML3D features: the golden pairs, both array kinds, the way there and back, full turns."""

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
from mate.motion.features import (
    CONTACT_JOINTS,
    FEATURE_DIM,
    HUMANML3D_FEATURES,
    KIT_FEATURES,
    LAYOUT,
    FeatureLayout,
    canonicalize,
    features_to_contacts,
    features_to_joints,
    joints_to_features,
    process_motion,
    with_bone_lengths_of,
)
from mate.motion.procedure import published_process
from mate.motion.retarget import heading, retarget_to_canonical, rotate_about_y
from mate.motion.skeleton import HUMANML3D

GOLDEN = ("007005", "009548", "011673", "012314", "M010655", "M010968")
LENGTHS = np.array(HUMANML3D.bone_lengths)


def body(frames: int, seed: int = 0, turns: float = 0.0, facing: float = 0.0) -> np.ndarray:
    """A body with canonical bones that sways smoothly and turns to the left: (T, 22, 3) float32."""
    generator = np.random.default_rng(seed)
    directions = np.array(HUMANML3D.rest_directions, dtype=float)
    directions[[16, 17]] = (1, -0.2, 0), (-1, -0.2, 0)
    directions = directions + gaussian_filter1d(generator.normal(size=(frames, 22, 3)), 8, axis=0) * 1.5
    norms = np.linalg.norm(directions, axis=-1, keepdims=True)
    bones = rotate_about_y(directions / norms * LENGTHS[:, None], facing + np.linspace(0, 2 * np.pi * turns, frames))
    joints = np.zeros_like(bones)
    joints[:, 0] = np.cumsum(gaussian_filter1d(generator.normal(size=(frames, 3)), 5, axis=0), axis=0) * (
        0.05,
        0.01,
        0.05,
    )
    for joint, parent in enumerate(HUMANML3D.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + bones[:, joint]
    return joints.astype(np.float32)


def golden_pair(shared_data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = shared_data / "humanml3d-golden"
    if not folder.is_dir():
        pytest.skip(f"no golden pairs at {folder}")
    return np.load(folder / "new_joints" / f"{name}.npy"), np.load(folder / "new_joint_vecs" / f"{name}.npy")


def with_last_frame(joints: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The published joints with the frame that they lack, from the last joint velocities."""
    angle = 2 * features[:-1, 0].astype(float).sum()
    step = rotate_about_y(features[-1:, LAYOUT.velocities].reshape(1, 22, 3).astype(float), -angle)
    return np.concatenate([joints, joints[-1:] + step])


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_features(shared_data: Path, name: str) -> None:
    joints, expected = golden_pair(shared_data, name)
    np.testing.assert_allclose(joints_to_features(with_last_frame(joints, expected)), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_features_without_the_rebuilt_frame(shared_data: Path, name: str) -> None:
    joints, expected = golden_pair(shared_data, name)
    features = joints_to_features(joints)
    np.testing.assert_allclose(features[:-80], expected[: len(features)][:-80], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_joints(shared_data: Path, name: str) -> None:
    joints, features = golden_pair(shared_data, name)
    np.testing.assert_allclose(features_to_joints(features), joints, atol=1e-5, rtol=0)
    from_torch = features_to_joints(torch.from_numpy(features))
    np.testing.assert_allclose(from_torch.numpy(), joints, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_motions_are_canonical(shared_data: Path, name: str) -> None:
    joints, features = golden_pair(shared_data, name)
    # The floor is that of all frames, the last one too.
    whole = with_last_frame(joints, features)
    moved = rotate_about_y(whole, 2.0) + np.array([3.0, 0.5, -1.0])
    np.testing.assert_allclose(canonicalize(moved), whole, atol=1e-5, rtol=0)
    for precise in (False, True):
        np.testing.assert_allclose(process_motion(moved, False, precise=precise), features, atol=1e-4, rtol=0)
    in_torch = process_motion(torch.from_numpy(moved.astype(np.float32)), retarget=False)
    np.testing.assert_allclose(in_torch.numpy(), features, atol=1e-4, rtol=0)
    np.testing.assert_allclose(published_process(moved, retarget=False), features, atol=1e-4, rtol=0)


def test_layout() -> None:
    groups = (
        "root_rotation_velocity",
        "root_linear_velocity",
        "root_height",
        "positions",
        "rotations",
        "velocities",
        "contacts",
    )
    slices = [getattr(LAYOUT, group) for group in groups]
    assert [s.stop - s.start for s in slices] == [1, 2, 1, 63, 126, 66, 4]
    assert [s.start for s in slices] == [0, *(s.stop for s in slices[:-1])]
    assert LAYOUT.dim == FEATURE_DIM == 263
    assert FeatureLayout(21).dim == 251
    assert LAYOUT.root == slice(0, 4)


def test_rotations_pose_the_skeleton() -> None:
    """The rotation block, composed along HumanML3D's chains from the root's rotation, gives the bones' directions."""
    joints = canonicalize(body(60, turns=0.3))
    features = joints_to_features(joints).astype(float)
    six = features[:, LAYOUT.rotations].reshape(-1, 21, 2, 3)
    matrices = np.stack([six[..., 0, :], six[..., 1, :], np.cross(six[..., 0, :], six[..., 1, :])], axis=-1)
    angle = 2 * np.concatenate([[0], np.cumsum(features[:-1, 0])])
    for chain in HUMANML3D.chains:
        rotation = Rotation.from_rotvec(angle[:, None] * (0, 1, 0))
        for previous, joint in pairwise(chain):
            rotation = rotation * Rotation.from_matrix(matrices[:, joint - 1])
            bone = rotation.apply(HUMANML3D.rest_offsets[joint])
            np.testing.assert_allclose(bone, (joints[:, joint] - joints[:, previous])[:-1], atol=2e-5)


def test_velocities_and_contacts() -> None:
    joints = canonicalize(body(40, seed=3))
    joints[10:20] = joints[10]
    features = joints_to_features(joints)
    angle = 2 * np.concatenate([[0], np.cumsum(features[:-1, 0])])
    steps = rotate_about_y(features[:, LAYOUT.velocities].reshape(-1, 22, 3), -angle)
    np.testing.assert_allclose(steps, joints[1:] - joints[:-1], atol=1e-5)
    contacts = features_to_contacts(features)
    assert contacts.shape == (39, 4)
    assert contacts.dtype == bool
    squared = ((joints[1:] - joints[:-1])[:, list(CONTACT_JOINTS)] ** 2).sum(-1)
    np.testing.assert_array_equal(contacts, squared < 0.002)
    assert contacts[10:19].all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(2, 120), turns=st.floats(-2, 2), facing=st.floats(-4, 4))
def test_there_and_back(seed: int, frames: int, turns: float, facing: float) -> None:
    joints = canonicalize(body(frames, seed, turns, facing))
    features = joints_to_features(joints)
    assert features.shape == (frames - 1, FEATURE_DIM)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features_to_joints(features), joints[:-1], atol=1e-5)


@pytest.mark.parametrize("turns", [2.0, -2.0])
def test_two_full_turns(turns: float) -> None:
    """Passing -Z changes nothing: the published procedure loses twice the frame's turn at each passage."""
    joints = canonicalize(body(160, seed=1, turns=turns))
    features = joints_to_features(joints)
    # The smoothed facing stays behind at both ends and sways with the hips, but it turns one way only.
    total = -2 * features[:, 0].sum()
    assert abs(total - 2 * np.pi * turns) < np.pi / 2
    assert (np.sign(turns) * features[:, 0] < 0).all()
    back = features_to_joints(features)
    np.testing.assert_allclose(back, joints[:-1], atol=1e-5)
    np.testing.assert_allclose(heading(back), heading(joints)[:-1], atol=1e-4)
    assert abs(heading(back)[-1] - 2 * np.pi * turns) < 0.5


def test_numpy_and_torch_agree_and_batches_are_single_clips() -> None:
    clips = np.stack([canonicalize(body(50, seed, turns=seed / 3)) for seed in range(6)])
    single = np.stack([joints_to_features(clip) for clip in clips])
    nested = clips.reshape(2, 3, 50, 22, 3)
    np.testing.assert_allclose(joints_to_features(nested).reshape(single.shape), single, atol=1e-6)
    in_torch = joints_to_features(torch.from_numpy(nested))
    assert isinstance(in_torch, torch.Tensor)
    assert in_torch.dtype == torch.float32
    np.testing.assert_allclose(in_torch.numpy().reshape(single.shape), single, atol=1e-4)
    in_double = joints_to_features(torch.from_numpy(nested).double())
    assert in_double.dtype == torch.float64
    np.testing.assert_allclose(in_double.numpy().reshape(single.shape), single, atol=1e-6)

    back = features_to_joints(single.reshape(2, 3, 49, FEATURE_DIM))
    np.testing.assert_allclose(back.reshape(6, 49, 22, 3), clips[:, :-1], atol=1e-5)
    back = features_to_joints(torch.from_numpy(single).view(2, 3, 49, FEATURE_DIM))
    assert isinstance(back, torch.Tensor)
    np.testing.assert_allclose(back.numpy().reshape(6, 49, 22, 3), clips[:, :-1], atol=1e-5)
    assert isinstance(features_to_contacts(in_torch), torch.Tensor)


def test_gradients_flow() -> None:
    joints = canonicalize(body(30, seed=5, turns=0.5))
    features = torch.from_numpy(joints_to_features(joints)).double().requires_grad_()
    used = [LAYOUT.root, LAYOUT.positions]
    (gradient,) = torch.autograd.grad(features_to_joints(features).square().sum(), features)
    assert torch.isfinite(gradient).all()
    # A step moves all later frames; the last frame's step moves none.
    assert all((gradient[:-1, group].abs() > 0).any(-1).all() for group in used)
    assert (gradient[:, LAYOUT.rotations.start :] == 0).all()
    short = features[:4].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: features_to_joints(values), (short,))

    moving = torch.from_numpy(joints).double().requires_grad_()
    (gradient,) = torch.autograd.grad(joints_to_features(moving).square().sum(), moving)
    assert torch.isfinite(gradient).all()
    # Also where nothing is defined: padding, with all joints in one place.
    nowhere = torch.zeros(5, 22, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(joints_to_features(nowhere).square().sum(), nowhere)
    assert torch.isfinite(gradient).all()


def test_any_device_and_precision() -> None:
    # A meta tensor does not mix with tensors of another device: nothing is made on the CPU behind the caller's back.
    assert joints_to_features(torch.zeros(2, 9, 22, 3, device="meta")).shape == (2, 8, FEATURE_DIM)
    assert features_to_joints(torch.zeros(2, 9, FEATURE_DIM, device="meta")).device.type == "meta"
    features = torch.from_numpy(joints_to_features(canonicalize(body(60, seed=2, turns=1))))
    half = features.to(torch.bfloat16)
    assert features_to_joints(half).dtype == torch.float32
    torch.testing.assert_close(features_to_joints(half), features_to_joints(half.float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = features_to_joints(features)
    torch.testing.assert_close(inside, features_to_joints(features))


def test_bones_opposite_to_their_rest_direction() -> None:
    joints = canonicalize(body(20))
    # Arms straight up: opposite to the rest direction of every arm bone.
    for joint in (18, 19, 20, 21):
        joints[:, joint] = joints[:, HUMANML3D.parents[joint]] + np.array([0, LENGTHS[joint], 0])
    features = joints_to_features(joints)
    assert np.isfinite(features).all()
    columns = features[:, LAYOUT.rotations].reshape(-1, 2, 3)
    np.testing.assert_allclose(
        columns @ columns.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (len(columns), 2, 2)), atol=1e-5
    )


def test_process_motion_is_its_steps() -> None:
    joints = body(45, seed=7, turns=0.4, facing=2.5) * 100 + np.array([400, 90, -30])
    expected = joints_to_features(canonicalize(retarget_to_canonical(joints)))
    np.testing.assert_array_equal(process_motion(joints, precise=True), expected)
    np.testing.assert_allclose(process_motion(joints), expected, atol=1e-4, rtol=0)
    canonical = features_to_joints(expected)
    np.testing.assert_allclose(canonical[0, 0, [0, 2]], 0, atol=1e-6)
    assert abs(heading(canonical)[0]) < 1e-5
    bones = canonical[:, 1:] - canonical[:, list(HUMANML3D.parents[1:])]
    np.testing.assert_allclose(np.linalg.norm(bones, axis=-1), np.tile(LENGTHS[1:], (44, 1)), atol=1e-5)


@pytest.mark.parametrize("function", [joints_to_features, process_motion])
def test_too_short(function) -> None:
    with pytest.raises(MateError, match="1 frames, expected at least 2"):
        function(body(1))


def test_wrong_input() -> None:
    with pytest.raises(MateError, match=r"\(10, 24, 3\), expected \(T, 22, 3\)"):
        process_motion(np.zeros((10, 24, 3)))
    with pytest.raises(MateError, match=r"\(10, 251\), expected .*263"):
        features_to_joints(np.zeros((10, 251)))
    with pytest.raises(MateError, match="list"):
        features_to_joints([1.0])  # pyright: ignore[reportArgumentType]
    broken = body(10)
    broken[3, 4, 1] = np.nan
    with pytest.raises(MateError, match="NaN"):
        process_motion(broken)


def kit_body(frames: int, seed: int = 0, turn: float = 0.3) -> np.ndarray:
    """A body with KIT's 21 joints in millimetres that sways and turns: (T, 21, 3) float32. Facing +Z its right is at -X."""
    skeleton = KIT_FEATURES.skeleton
    generator = np.random.default_rng(seed)
    lengths = generator.uniform(60, 250, 21)
    lengths[[5, 8]], lengths[[11, 16]] = 180, 80  # the procedure's facing needs shoulders wider than hips
    directions = np.array(skeleton.rest_directions, dtype=float)
    directions[:, 0] *= -1  # KIT's rest directions have the sides of its data exchanged
    directions = directions + gaussian_filter1d(generator.normal(size=(frames, 21, 3)), 8, axis=0) * 0.5
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    bones = rotate_about_y(directions * lengths[:, None], np.linspace(0.4, 0.4 + turn, frames))
    joints = np.zeros_like(bones)
    joints[:, 0] = np.cumsum(gaussian_filter1d(generator.normal(size=(frames, 3)), 5, axis=0), axis=0) * (40, 5, 40)
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + bones[:, joint]
    return joints.astype(np.float32)


# What is in millimetres may be as many of them off as HumanML3D's numbers may be metres: 1e-4 of a millimetre is below float32.
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kit_equals_the_procedure(seed: int) -> None:
    joints = kit_body(100, seed)
    spec = with_bone_lengths_of(kit_body(5, seed=9), KIT_FEATURES)
    for retarget in (True, False):
        expected = published_process(joints, spec, retarget)
        assert expected.shape == (99, 251)
        layout, scale = spec.layout, np.full(251, 1000.0)
        scale[layout.root_rotation_velocity] = scale[layout.rotations] = scale[layout.contacts] = 1
        precise = process_motion(joints, retarget, spec, precise=True)
        np.testing.assert_allclose(precise / scale, expected / scale, atol=1e-4, rtol=0)
        fast = process_motion(joints, retarget, spec)
        moving = slice(0, layout.contacts.start)  # a float32 step may fall to the other side of the contacts' threshold
        np.testing.assert_allclose((fast / scale)[:, moving], (expected / scale)[:, moving], atol=1e-4, rtol=0)
        assert (fast != expected)[:, layout.contacts].mean() < 0.01
        in_torch = process_motion(torch.from_numpy(joints).double(), retarget, spec)
        np.testing.assert_allclose(in_torch.numpy() / scale, expected / scale, atol=1e-4, rtol=0)
    back = features_to_joints(precise, KIT_FEATURES)
    assert back.shape == (99, 21, 3)
    np.testing.assert_allclose(back, canonicalize(joints, spec.skeleton)[:-1], atol=0.05)
    assert HUMANML3D_FEATURES.std_groups == (1, 2, 1, 63, 126, 66, 4) and sum(KIT_FEATURES.std_groups) == 251


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(2, 200), turns=st.floats(-2, 2), facing=st.floats(-4, 4))
def test_fast_and_precise_agree(seed: int, frames: int, turns: float, facing: float) -> None:
    joints = body(frames, seed, turns, facing) * 1.3
    contacts = LAYOUT.contacts.start
    double = process_motion(torch.from_numpy(joints).double()).numpy()[:, :contacts]
    np.testing.assert_allclose(process_motion(joints)[:, :contacts], double, atol=1e-4, rtol=0)
    np.testing.assert_allclose(
        process_motion(torch.from_numpy(joints)).numpy()[:, :contacts], double, atol=1e-4, rtol=0
    )
    # Rounding between the steps is felt by bones that are all but opposite to their rest direction.
    stepwise = process_motion(joints, precise=True)[:, :contacts]
    np.testing.assert_allclose(stepwise, double, atol=2e-2, rtol=0)
    assert (np.abs(stepwise - double) < 1e-4).mean() > 0.999


def test_the_procedure_agrees_where_nobody_faces_away() -> None:
    joints = body(150, seed=3, turns=0.3) * 1.2
    np.testing.assert_allclose(published_process(joints), process_motion(joints, precise=True), atol=1e-4, rtol=0)


def test_process_motion_in_batches_and_its_gradient() -> None:
    clips = np.stack([body(50, seed, turns=seed / 3) for seed in range(4)])
    single = np.stack([process_motion(clip) for clip in clips])
    np.testing.assert_array_equal(process_motion(clips.reshape(2, 2, 50, 22, 3)).reshape(single.shape), single)
    tensor = torch.from_numpy(clips).requires_grad_()
    made = process_motion(tensor)
    np.testing.assert_allclose(made.detach().numpy(), single, atol=1e-5)
    (gradient,) = torch.autograd.grad(made.square().sum(), tensor)
    assert torch.isfinite(gradient).all() and (gradient.abs().sum((1, 2, 3)) > 0).all()


def test_clips_without_a_direction_somewhere_are_done_precisely() -> None:
    clips = np.stack([body(30, seed) for seed in range(3)])
    clips[1, :, 10] = clips[1, :, 7]  # no left toe
    for joint in (18, 20):  # the left arm straight up: opposite to its rest direction
        clips[2, :, joint] = clips[2, :, HUMANML3D.parents[joint]] + np.array([0, LENGTHS[joint], 0])
    expected = np.stack([process_motion(clip, precise=True) for clip in clips])
    np.testing.assert_allclose(process_motion(clips), expected, atol=1e-4, rtol=0)
    np.testing.assert_allclose(process_motion(torch.from_numpy(clips)).numpy(), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_compiled_graph_gives_the_same_numbers() -> None:
    from mate.motion.features import compiled_process_motion

    clips = np.stack([body(60, seed, turns=0.3) for seed in range(4)])
    compiled = compiled_process_motion()(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(compiled, process_motion(clips), atol=1e-5)

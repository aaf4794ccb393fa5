"""Bones, floor, feet: on a made-up walker whose feet slide."""

import numpy as np

from mate.generate.postprocess import (
    LEGS,
    clean,
    follow_feet,
    keep_ankles,
    lock_feet,
    put_on_floor,
    restore_bones,
    two_bone_ik,
)
from mate.motion.kinematics import floor_penetration, foot_skate, jerk
from mate.motion.skeleton import HUMANML3D

FPS = 20.0


def standing_pose() -> np.ndarray:
    """(22, 3): the rest pose with slightly bent knees, toes at the floor."""
    directions = np.array(HUMANML3D.rest_directions, np.float64)
    for knee, ankle in ((4, 7), (5, 8)):
        directions[knee] = (0, -np.cos(0.3), np.sin(0.3))
        directions[ankle] = (0, -np.cos(0.3), -np.sin(0.3))
    pose = np.zeros((22, 3))
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + HUMANML3D.bone_lengths[joint] * directions[joint]
    pose[:, 1] -= pose[[10, 11], 1].min()
    return pose


def sliding(frames: int = 60, drift: float = 0.1) -> np.ndarray:
    """A body that sways while its left foot, which should stand, drifts back and forth by `drift` m/s."""
    joints = np.repeat(standing_pose()[None], frames, axis=0)
    t = np.arange(frames) / FPS
    for hip, knee, ankle, toe in LEGS[:1]:
        shift = np.zeros((frames, 3))
        shift[:, 2] = drift * np.sin(2 * np.pi * t / 1.5) * 1.5 / (2 * np.pi) * 2
        k, a = two_bone_ik(
            joints[:, hip],
            joints[:, knee],
            joints[:, ankle],
            joints[:, ankle] + shift,
            joints[:, toe] - joints[:, ankle],
        )
        joints[:, toe] += a - joints[:, ankle]
        joints[:, knee], joints[:, ankle] = k, a
    return joints


def bones(joints: np.ndarray) -> np.ndarray:
    parents = np.array(HUMANML3D.parents[1:])
    return np.linalg.norm(joints[:, 1:] - joints[:, parents], axis=-1)


def test_bones_get_their_lengths_and_keep_their_directions() -> None:
    rng = np.random.default_rng(0)
    joints = sliding() + rng.normal(0, 0.01, (60, 22, 3))
    out = restore_bones(joints)
    np.testing.assert_allclose(bones(out), np.repeat([HUMANML3D.bone_lengths[1:]], 60, 0), atol=1e-6)
    np.testing.assert_allclose(out[:, 0], joints[:, 0])
    assert np.isfinite(restore_bones(np.zeros((2, 22, 3)))).all()


def test_ankles_stay_where_they_were_made() -> None:
    joints = sliding() + np.random.default_rng(0).normal(0, 0.01, (60, 22, 3))
    before = restore_bones(joints)
    out = keep_ankles(before, joints)
    np.testing.assert_allclose(bones(out), bones(before), atol=1e-6)
    errors = [np.linalg.norm(x[:, 7:9] - joints[:, 7:9], axis=-1).mean() for x in (before, out)]
    assert errors[1] < 0.3 * errors[0]


def test_floor() -> None:
    joints = sliding() + np.array([0, 0.3, 0])
    out = put_on_floor(joints)
    assert abs(np.percentile(out[:, [10, 11], 1].min(1), 5)) < 1e-9


def test_a_sliding_foot_is_held() -> None:
    joints = sliding()
    before, after = foot_skate(joints.astype(np.float32), FPS), foot_skate(clean(joints), FPS)
    assert before.speed > 0.04
    assert after.speed < 0.2 * before.speed
    out = lock_feet(put_on_floor(joints), FPS)
    np.testing.assert_allclose(bones(out), bones(joints), atol=1e-6)
    np.testing.assert_allclose(out[:, :1], put_on_floor(joints)[:, :1])
    assert jerk(out.astype(np.float32), FPS) < 2 * jerk(joints.astype(np.float32), FPS) + 1


def test_without_foot_lock_feet_are_left() -> None:
    joints = restore_bones(sliding())
    np.testing.assert_allclose(clean(joints, foot_lock=False)[:, 10, [0, 2]], joints[:, 10, [0, 2]], atol=1e-5)


def test_corrections_fade_without_a_pop() -> None:
    joints = sliding(80)
    lift = np.clip(np.sin(np.linspace(0, 4 * np.pi, 80)), 0, None) * 0.15  # the foot leaves the floor twice
    for hip, knee, ankle, toe in LEGS[:1]:
        target = joints[:, ankle] + np.stack((np.zeros(80), lift, np.zeros(80)), -1)
        k, a = two_bone_ik(joints[:, hip], joints[:, knee], joints[:, ankle], target, joints[:, toe] - joints[:, ankle])
        joints[:, toe] += a - joints[:, ankle]
        joints[:, knee], joints[:, ankle] = k, a
    moved = lock_feet(joints, FPS) - joints
    steps = np.linalg.norm(np.diff(moved[:, 10], axis=0), axis=-1)
    assert np.abs(moved[:, 10]).max() > 0.005
    assert steps.max() < 0.03


def test_feet_under_the_floor_come_up() -> None:
    joints = sliding()
    joints[20:24, :, 1] -= 0.03
    assert floor_penetration(joints.astype(np.float32)).max() > 0.025
    assert floor_penetration(clean(joints)).max() < 1e-5


def test_what_the_model_calls_swinging_is_not_held() -> None:
    joints = sliding()
    out = lock_feet(joints, FPS, contacts=np.zeros((60, 4), np.float32))
    np.testing.assert_allclose(out[:, 10, [0, 2]], joints[:, 10, [0, 2]], atol=1e-9)


def test_ik_reaches_and_does_not_break_a_straight_leg() -> None:
    rng = np.random.default_rng(0)
    hip, knee, ankle = np.zeros((50, 3)), np.tile([0, -0.4, 0.05], (50, 1)), np.tile([0, -0.8, 0.0], (50, 1))
    target = ankle + rng.normal(0, 0.05, (50, 3))
    forward = np.tile([0, 0, 1.0], (50, 1))
    new_knee, new_ankle = two_bone_ik(hip, knee, ankle, target, forward)
    length = np.linalg.norm(knee - hip, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(new_knee - hip, axis=-1), length, atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(new_ankle - new_knee, axis=-1), np.linalg.norm(ankle - knee, axis=-1), atol=1e-6
    )
    reachable = np.linalg.norm(target, axis=-1) < 0.8
    np.testing.assert_allclose(new_ankle[reachable], target[reachable], atol=1e-6)
    far = two_bone_ik(hip, knee, ankle, ankle * 2, forward)
    assert np.isfinite(far[0]).all()
    assert np.linalg.norm(far[1], axis=-1).max() < 0.82


def test_short_clips() -> None:
    for frames in (1, 2, 3):
        assert clean(sliding(60)[:frames]).shape == (frames, 22, 3)


def test_the_body_follows_the_foot_it_stands_on() -> None:
    still = np.repeat(standing_pose()[None], 60, axis=0)
    drifting = still + np.linspace(0, 1, 60)[:, None, None] * np.array([0.3, 0.0, 0.6])
    np.testing.assert_allclose(follow_feet(drifting, FPS), still, atol=1e-6)


def test_a_body_in_the_air_keeps_its_path() -> None:
    flying = np.repeat(standing_pose()[None], 60, axis=0) + np.array([0.0, 0.5, 0.0])
    flying += np.linspace(0, 3, 60)[:, None, None] * np.array([0.0, 0.0, 1.0])
    np.testing.assert_array_equal(follow_feet(flying, FPS), flying)


def test_a_foot_that_the_generator_calls_swinging_is_not_followed() -> None:
    drifting = np.repeat(standing_pose()[None], 60, axis=0)
    drifting = drifting + np.linspace(0, 1, 60)[:, None, None] * np.array([0.0, 0.0, 0.6])
    np.testing.assert_array_equal(follow_feet(drifting, FPS, contacts=np.zeros((60, 4))), drifting)


def test_a_swinging_foot_clears_the_floor() -> None:
    joints = np.repeat(standing_pose()[None], 40, axis=0)
    hip, knee, ankle, toe = LEGS[0]
    shift = np.zeros((40, 3))
    shift[:, 2] = 0.25 * np.sin(2 * np.pi * np.arange(40) / 20)  # the left foot scuffs to and fro at up to 1.6 m/s
    foot = joints[:, toe] - joints[:, ankle]
    joints[:, knee], joints[:, ankle] = two_bone_ik(
        joints[:, hip], joints[:, knee], joints[:, ankle], joints[:, ankle] + shift, foot
    )
    joints[:, toe] = joints[:, ankle] + foot
    mended = lock_feet(joints, FPS)
    speed = np.linalg.norm(np.gradient(mended[:, toe][:, [0, 2]], axis=0), axis=1) * FPS
    fast = speed > 1.4
    assert fast.any() and joints[fast, toe, 1].max() < 0.02
    assert mended[fast, toe, 1].min() > 0.035
    np.testing.assert_allclose(bones(mended), bones(joints), atol=1e-6)

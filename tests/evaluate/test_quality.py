"""Kinematic quality: each figure moves with the flaw that it names, by the size of the flaw, and with no other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import motions as make

from mate.errors import MateError
from mate.evaluate.quality import JointLimits, bone_drift, bone_lengths, limit_violations, quality, seed_diversity
from mate.motion.retarget import mirror, rotate_about_y
from mate.motion.skeleton import HUMANML3D

FPS = make.FPS
CLEAN = {
    "floor_penetration_m": 0.0,
    "foot_slide_m_per_s": 0.0,
    "floating_m": 0.0,
    "acceleration_m_per_s2": 0.0,
    "jerk_m_per_s3": 0.0,
    "bone_drift_m": 0.0,
    "limit_share": 0.0,
}


def medians(joints: np.ndarray) -> dict[str, float]:
    found = quality([joints], FPS)
    return {key: found[key]["median"] for key in CLEAN}


def test_standing_still_is_clean():
    assert medians(make.stand(2.0)) == pytest.approx(CLEAN, abs=1e-5)
    assert quality([make.stand(2.0)], FPS)["foot_contact_share"]["median"] == 1.0


def test_sinking_and_floating():
    assert medians(make.stand(2.0) - np.array([0, 0.05, 0], dtype=np.float32))["floor_penetration_m"] == pytest.approx(
        0.05, abs=1e-4
    )
    assert medians(make.stand(2.0) + np.array([0, 0.07, 0], dtype=np.float32))["floating_m"] == pytest.approx(
        0.07, abs=1e-4
    )
    assert (
        quality([make.stand(1.0), make.stand(1.0) - np.float32(0.05)], FPS)["floor_penetration_m"]["share_over_2cm"]
        == 0.5
    )


def test_skating():
    sliding = make.stand(2.0).astype(np.float64)
    sliding[..., 2] += 0.3 * np.arange(len(sliding))[:, None] / FPS
    assert medians(sliding)["foot_slide_m_per_s"] == pytest.approx(0.3, abs=1e-4)


def test_jitter():
    """A joint that moves as a cubic of time: x = t³ has the jerk 6 m/s³ and one of 22 joints does so."""
    joints = make.stand(2.0).astype(np.float64)
    joints[:, 20, 0] += (np.arange(len(joints)) / FPS) ** 3
    assert quality([joints], FPS)["jerk_m_per_s3"]["median"] == pytest.approx(6 / 22, rel=1e-3)


def test_bones():
    lengths = bone_lengths(make.stand(1.0))
    assert lengths.shape == (20, 21)
    assert lengths[0] == pytest.approx(np.array(HUMANML3D.bone_lengths[1:]), abs=1e-5)
    joints = make.stand(2.0)
    joints[7, 20, 1] -= 0.04  # a hanging forearm gets longer by 4 cm in one frame
    assert bone_drift(joints) == pytest.approx(0.04, abs=1e-3)


def folded(chain: tuple[int, int, int], degrees: float, axis: tuple[float, float, float]) -> np.ndarray:
    """Standing, with everything below the middle joint of a chain turned about it; one frame of two."""
    from scipy.spatial.transform import Rotation

    joints = make.stand(0.1)[:2].copy()
    parents, moved = HUMANML3D.parents, {chain[2]}
    for joint, parent in enumerate(parents):
        if parent in moved:
            moved.add(joint)
    rows = sorted(moved)
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix()
    joints[1, rows] = (joints[1, rows] - joints[1, chain[1]]) @ turn.T + joints[1, chain[1]]
    return joints


@pytest.mark.parametrize(
    ("chain", "degrees", "axis", "beyond"),
    [
        ((1, 4, 7), 90, (1, 0, 0), False),  # heel towards the seat
        ((1, 4, 7), 150, (1, 0, 0), False),
        ((1, 4, 7), 177, (1, 0, 0), True),  # through the thigh
        ((1, 4, 7), -40, (1, 0, 0), True),  # a knee that bends forward
        ((2, 5, 8), -40, (1, 0, 0), True),
        ((1, 4, 7), -8, (1, 0, 0), False),  # a little beyond straight, as knees go
        ((16, 18, 20), 140, (-1, 0, 0), False),
        ((17, 19, 21), 175, (-1, 0, 0), True),
        ((9, 12, 15), 150, (1, 0, 0), True),
    ],
)
def test_joint_limits(chain, degrees, axis, beyond):
    joints = folded(chain, degrees, axis)
    assert limit_violations(joints).tolist() == [False, beyond]
    assert limit_violations(mirror(joints)).tolist() == [False, beyond]
    assert limit_violations(joints, JointLimits(180, 180, 180, 180)).tolist() == [False, False]


@pytest.mark.parametrize(
    "motion", [make.gait(4.0, 1.2), make.gait(4.0, 2.5, duty=0.4), make.raised(0)], ids=["walk", "run", "raise"]
)
def test_made_gaits_break_no_joint(motion):
    assert not limit_violations(motion).any()


@settings(max_examples=8, deadline=None)
@given(st.floats(-3, 3), st.floats(-5, 5), st.permutations(range(4)))
def test_place_facing_side_and_order_do_not_matter(angle, place, order):
    motions = [make.gait(2.0, 1.0), make.raised(0, 2.0), make.stand(1.0), make.gait(2.0, -0.5, slide=0.2)]
    motions[0] = motions[0] - np.array([0, 0.03, 0], dtype=np.float32)
    moved = [rotate_about_y(motions[i].astype(np.float64), angle) + np.array([place, 0, -place]) for i in order]
    first = quality(motions, FPS)
    for other in (quality(moved, FPS), quality([mirror(motion) for motion in motions], FPS)):
        for key, value in first.items():
            assert other[key] == pytest.approx(value, abs=1e-3, rel=1e-3), key


def test_seed_diversity_is_a_distance_in_metres():
    still, up = make.stand(2.0), make.raised(None, 2.0)
    found = seed_diversity({"one": [still, still], "two": [still, up], "single": [up]})
    from mate.evaluate.closeness import joint_distance

    assert found["median"] == pytest.approx(joint_distance(still, up) / 2)
    assert seed_diversity({"single": [up]}) == {}


def test_no_motions_and_bad_ones():
    assert quality([], FPS)["bone_drift_m"] == {}
    broken = make.stand(1.0).copy()
    broken[3, 4, 0] = np.nan
    with pytest.raises(MateError, match="motion 1: NaN"):
        quality([make.stand(1.0), broken], FPS)
    with pytest.raises(MateError, match=r"motion 0: got shape \(20, 21, 3\)"):
        quality([make.stand(1.0)[:, :21]], FPS)
    with pytest.raises(MateError, match="frames per second"):
        quality([make.stand(1.0)], 0.0)


def test_real_clips_stay_within_the_joint_limits(shared_data):
    """The limits say what people do: the reference clips of HumanML3D."""
    clips = sorted((shared_data / "humanml3d-golden" / "new_joints").glob("*.npy"))
    assert clips
    for path in clips:
        assert limit_violations(np.load(path)).mean() < 0.01, path.name

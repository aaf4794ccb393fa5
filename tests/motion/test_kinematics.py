"""Measured facts of analytic motions, whose numbers are known, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import motions as make

from mate.errors import MateError
from mate.motion import kinematics as k
from mate.motion.retarget import mirror, rotate_about_y

FPS = make.FPS
MOTIONS = {
    "stand": make.stand(2.0),
    "walk": make.gait(5.0, 1.2),
    "back": make.gait(4.0, -0.8),
    "left": make.gait(5.0, 1.0, turn=np.pi / 2),
    "run": make.gait(3.0, 3.0, duty=0.35, cycle=0.7),
    "raise left": make.raised(0),
    "wave right": make.raised(1, seconds=5.0, swing=0.1),
    "jumps": make.jumps(2),
}


@pytest.mark.parametrize("turn", [np.pi / 2, -np.pi / 2, 3 * np.pi, -0.5])
def test_total_turn_is_positive_to_the_left_and_adds_up(turn):
    # The ends are smoothed means, so a little of the turn is lost there.
    assert k.total_turn(make.gait(6.0, 1.0, turn=turn), FPS) == pytest.approx(turn, rel=0.12)


def test_counter_turn_is_the_swing_to_the_other_side():
    first, second = make.gait(4.0, 1.0, turn=1.5), make.gait(4.0, 1.0, turn=-0.5)
    there = rotate_about_y(second, np.full(len(second), 1.5)) + first[-1, :1] * np.array([1.0, 0.0, 1.0])
    both = np.concatenate([first, there]).astype(np.float32)
    assert k.counter_turn(both, FPS) == pytest.approx(0.5, abs=0.15)
    assert k.counter_turn(first, FPS) < 0.02


@pytest.mark.parametrize(("speed", "turn"), [(1.2, 0.0), (-0.8, 0.0), (1.0, 2.0), (-1.0, -2.0)])
def test_displacement_is_along_the_body(speed, turn):
    motion = make.gait(5.0, speed, turn=turn)
    way = speed * (len(motion) - 1) / FPS
    forward, left = k.body_displacement(motion, FPS)
    assert forward == pytest.approx(way, rel=0.03)
    assert abs(left) < 0.05 * abs(way)
    assert k.path_length(motion, FPS) == pytest.approx(abs(way), rel=0.03)
    assert k.root_speed(motion, FPS)[10:-10] == pytest.approx(abs(speed), rel=0.02)


def test_side_steps_are_left_of_the_body():
    motion = make.stand(3.0)
    motion[..., 0] += np.linspace(0, 1.5, len(motion))[:, None]
    forward, left = k.body_displacement(motion, FPS)
    assert (forward, left) == (pytest.approx(0.0, abs=1e-6), pytest.approx(1.5, abs=0.05))


def test_gaits_by_steps_duty_and_flight():
    walk, run = MOTIONS["walk"], MOTIONS["run"]
    assert k.step_frequency(walk, FPS) == pytest.approx(2.0, rel=0.05)
    assert k.step_frequency(run, FPS) == pytest.approx(2 / 0.7, rel=0.05)
    assert k.step_frequency(MOTIONS["stand"], FPS) == 0.0
    assert k.duty_factor(walk, FPS) > 0.55 > 0.45 > k.duty_factor(run, FPS)
    assert k.flight_share(walk, FPS) < 0.02 < 0.1 < k.flight_share(run, FPS)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_jumps_are_counted(count):
    assert k.jump_count(make.jumps(count), FPS) == count


def test_flights_of_a_run_are_no_jumps():
    run = MOTIONS["run"].copy()
    run[..., 1] += (0.12 * np.abs(np.sin(np.pi * np.arange(len(run)) / FPS / 0.35)))[:, None]
    assert k.jump_count(run, FPS) == 0


def test_hand_heights():
    motion = make.arm(make.arm(make.stand(1.0), 0, np.full(20, 2.0)), 1, np.full(20, 1.0))
    assert k.hand_elevation(motion) == pytest.approx(np.tile([2.0, 1.0], (20, 1)), abs=0.01)
    assert k.hand_elevation(make.stand(1.0)) == pytest.approx(0.0, abs=0.01)
    assert k.hand_over_shoulder(motion) == pytest.approx(np.tile([0.52, 0.0], (20, 1)), abs=1e-3)
    assert k.hand_over_hand(motion) == pytest.approx(0.52, abs=0.03)
    assert (k.hand_over_head(motion)[:, 0] > 0).all()
    assert (k.hand_over_head(motion)[:, 1] < 0).all()


def test_hand_raise_has_peak_rest_and_dwell():
    lifted = k.hand_raise(make.raised(0, seconds=3.0, top=1.6), FPS)
    assert lifted.peak == pytest.approx([1.6, 0.0], abs=0.02)
    assert lifted.rest == pytest.approx([0.0, 0.0], abs=0.1)
    assert lifted.dwell[0] == pytest.approx(2.5, abs=0.2)
    assert lifted.dwell[1] == 0


@pytest.mark.parametrize("hertz", [0.7, 1.5, 2.5])
def test_waves_are_counted(hertz):
    wave = k.hand_wave(make.raised(1, seconds=6.0, swing=0.1, hertz=hertz), FPS)
    assert wave.count[0] == 0
    assert wave.rate[1] == pytest.approx(2 * hertz, rel=0.2)
    assert wave.amplitude[1] == pytest.approx(0.1, rel=0.15)


def test_one_hand_going_up_and_down_again_and_again_does_not_wave():
    motion = np.concatenate([make.raised(0, seconds=2.0)] * 4)
    assert k.hand_wave(motion, FPS).count[0] <= 3


@pytest.mark.parametrize(("amplitude", "expected"), [(0.5, 9), (1.9, 9), (2.1, 0)])
def test_reversals_have_hysteresis(amplitude, expected):
    time = np.linspace(0, 5, 501)
    noise = 0.05 * np.random.default_rng(0).uniform(-1, 1, 501)
    signal = np.cos(2 * np.pi * time)
    assert len(k.reversals(signal, amplitude)) == expected
    if amplitude == 0.5:
        frames = k.reversals(signal + noise, amplitude)
        assert len(frames) == expected
        assert time[frames] == pytest.approx(np.arange(1, 10) / 2, abs=0.08)


def test_posture_sees_squats_and_bows():
    squat = make.stand(2.0)
    upper = [joint for joint in range(22) if joint not in (4, 5, 7, 8, 10, 11)]
    squat[10:30, upper, 1] -= 0.4
    measured = k.posture(squat, FPS)
    assert measured.pelvis_high - measured.pelvis_low == pytest.approx(0.4, abs=0.02)
    bow = make.stand(2.0)
    pelvis, trunk = bow[:, :1].copy(), [3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
    x, y, z = np.moveaxis(bow[:, trunk] - pelvis, -1, 0)
    bow[:, trunk] = pelvis + np.stack([x, y * np.cos(0.8) - z * np.sin(0.8), y * np.sin(0.8) + z * np.cos(0.8)], -1)
    assert k.posture(bow, FPS).pitch == pytest.approx(0.8, abs=0.05)
    assert k.posture(make.stand(2.0), FPS).pitch == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("speed", [0.0, 0.2, 0.8])
def test_feet_that_slide_are_measured(speed):
    motion = make.stand(3.0)
    motion[..., 2] += speed * np.arange(len(motion))[:, None] / FPS
    skate = k.foot_skate(motion, FPS)
    assert skate.speed == pytest.approx(speed, abs=1e-4)
    assert skate.share == (1.0 if speed > 0.5 else 0.0)
    assert skate.contact == 1.0


def test_a_clean_walk_does_not_slide_and_a_sliding_one_does():
    clean, sliding = k.foot_skate(MOTIONS["walk"], FPS), k.foot_skate(make.gait(5.0, 1.2, slide=0.3), FPS)
    assert clean.speed < 0.1 < 0.2 < sliding.speed < 0.4
    assert clean.contact > 0.95


def test_sliding_is_seen_although_the_motion_hovers():
    motion = make.gait(5.0, 1.2, slide=0.3)
    lifted = motion + np.array([0.0, 0.1, 0.0], dtype=np.float32)
    assert k.foot_skate(lifted, FPS).speed == pytest.approx(k.foot_skate(motion, FPS).speed)
    assert k.floating(lifted, FPS) - k.floating(motion, FPS) == pytest.approx(0.1, abs=1e-4)


def test_floor_penetration_in_metres():
    motion = make.stand(1.0)
    motion[5, :, 1] -= 0.03
    under = k.floor_penetration(motion)
    assert under.max() == pytest.approx(0.03, abs=1e-6)
    assert under.mean() == pytest.approx(0.03 / 20, abs=1e-6)


def test_jerk_and_acceleration():
    time = np.arange(40)[:, None, None] / FPS
    falling = make.stand(2.0) + 0.5 * np.array([0.0, 2.0, 0.0]) * time**2
    assert k.acceleration(falling, FPS) == pytest.approx(2.0, rel=1e-3)
    assert k.jerk(falling, FPS) < 0.05
    shaking = make.stand(2.0) + 0.01 * np.random.default_rng(0).normal(size=(40, 22, 3))
    assert k.jerk(shaking, FPS) > 100


def facts(motion: np.ndarray) -> np.ndarray:
    """Every scalar, with left-positive ones first: mirroring flips the first two and keeps the rest."""
    forward, left = k.body_displacement(motion, FPS)
    skate, posture = k.foot_skate(motion, FPS), k.posture(motion, FPS)
    return np.array(
        [
            *(k.total_turn(motion, FPS), left, forward, k.counter_turn(motion, FPS), k.path_length(motion, FPS)),
            *(k.duty_factor(motion, FPS), k.flight_share(motion, FPS), k.step_frequency(motion, FPS)),
            *(skate.speed, skate.share, skate.contact, posture.pelvis, posture.pitch, posture.pitch_most),
            *(k.floor_penetration(motion).max(), k.floating(motion, FPS), k.acceleration(motion, FPS)),
            *(k.jerk(motion, FPS), k.jump_count(motion, FPS)),
        ]
    )


def hands(motion: np.ndarray) -> np.ndarray:
    """Everything about the two hands, (n, 2)."""
    lifted, wave = k.hand_raise(motion, FPS), k.hand_wave(motion, FPS)
    return np.stack([lifted.peak, lifted.rest, lifted.dwell, wave.count, wave.seconds, wave.rate, wave.amplitude])


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(MOTIONS)), st.floats(-7, 7), st.floats(-50, 50), st.floats(-50, 50))
def test_place_and_direction_change_nothing(name, angle, x, z):
    motion = MOTIONS[name].astype(np.float64)
    moved = rotate_about_y(motion, angle) + np.array([x, 0.0, z])
    assert facts(moved) == pytest.approx(facts(motion), rel=1e-3, abs=1e-3)
    assert hands(moved) == pytest.approx(hands(motion), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_mirroring_swaps_sides(name):
    motion, image = MOTIONS[name], mirror(MOTIONS[name])
    assert facts(image)[2:] == pytest.approx(facts(motion)[2:], rel=2e-3, abs=2e-3)
    assert facts(image)[:2] == pytest.approx(-facts(motion)[:2], abs=2e-3)
    assert hands(image) == pytest.approx(hands(motion)[:, ::-1], rel=1e-3, abs=1e-3)
    assert (k.foot_contact(image, FPS) == k.foot_contact(motion, FPS)[:, ::-1]).all()


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_few_frames_are_enough_for_every_measure(frames):
    assert np.isfinite(facts(MOTIONS["walk"][:frames])).all()
    assert np.isfinite(hands(MOTIONS["walk"][:frames])).all()


def test_wrong_shapes_are_refused():
    with pytest.raises(MateError, match="expected"):
        k.root_speed(np.zeros((10, 21, 3)), FPS)
    with pytest.raises(MateError, match="one motion"):
        k.root_speed(np.zeros((2, 10, 22, 3)), FPS)
    with pytest.raises(MateError, match="frames per second"):
        k.root_speed(make.stand(1.0), 0.0)

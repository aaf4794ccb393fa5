"""Does a motion do what its prompt says? A judge of eleven facts, from joint positions alone; every tolerance stands in one table.

Tuned on the odd takes of the Bandai-Namco motion set and tested on the even ones: see `Tolerances`.
Shapes: a motion is (T, 22, 3) joints in metres at `fps` frames per second.
"""

from dataclasses import dataclass

import numpy as np

from mate.errors import MateError
from mate.motion import kinematics
from mate.motion.retarget import check_joints

LOCOMOTION = ("walk_forward", "run_forward", "walk_backward", "turn_left", "turn_right")
RAISES = ("raise_left_hand", "raise_right_hand", "raise_both_hands")
WAVES = ("wave_left_hand", "wave_right_hand", "wave_both_hands")
FACTS = (*LOCOMOTION, *RAISES, *WAVES)
_HANDS = {"left": (True, False), "right": (False, True), "both": (True, True)}


@dataclass(frozen=True)
class Tolerances:
    """All thresholds of the judge. Tuned on the odd takes of the Bandai-Namco clips, reported on the even ones.

    Attributes:
        min_seconds: shorter motions are not judged (`holds` is None).
        travel_speed: a body that walks, runs or rounds a corner covers at least this much ground, metres per second over the clip.
            Real walks have 0.39 and more, also the saddest.
        still_speed: and a body that stands and gestures at most this much; real gestures have up to 0.16.
        along: walking and running: this share of the path goes forward (or backward) as the body faces.
        aside: and the sideways drift is at most this share of it. All real diagonal walks have more, no straight one has.
        run_speed: a run covers at least this much ground, metres per second; real ones have 1.57 and more.
        duty: a run's feet are on the ground for less of the time than this, a walk's for more (`kinematics.duty_factor`). Real runs
            have up to 0.47 (one sad one 0.49), walks 0.50 and more.
        straight: largest change of heading of a straight walk or run, radians, for motions up to 2 s and for those of 4 s and more; in
            between it grows evenly.
        turn: smallest change of heading of a turn to its side, likewise. Real turns have 80 degrees and more over 3 to 7 s. Between
            the two a motion is neither.
        counter: a turn may swing to the other side by at most this share of the turn.
        raised: elevation of a raised or waving hand, held for 0.2 s, in arm lengths above the hanging hand (1 = shoulder height).
            Feminine takes stop at 0.85, hanging hands of masculine takes swing up to 0.51.
        lead: a single raised hand is this much higher than the other one ever is.
        swing: smallest swing of a waving hand against its shoulder, metres peak to peak, while the hand is over `swing_up` of its
            peak. A raised arm that is held trembles by up to 2 cm.
        swing_low: the same for a hand that stays below `low`, as those do that wave from the wrist with a bent elbow.
        wave_turns: turning points that make a wave, in motions shorter than each of
        wave_seconds: these, and in longer ones. A raise has up to three: over the top, and in and out on its way. The slowest real
            waves have 1.2 a second.
        wave_rate: and so many of them a second of the time that the hand is up.
        short_up: in motions of the shortest kind the hand is up for at least this long, seconds.
    """

    min_seconds: float = 0.8
    travel_speed: float = 0.30
    still_speed: float = 0.25
    along: float = 0.80
    aside: float = 0.25
    run_speed: float = 1.2
    duty: float = 0.49
    straight: tuple[float, float] = (float(np.radians(20.0)), float(np.radians(35.0)))
    turn: tuple[float, float] = (float(np.radians(25.0)), float(np.radians(45.0)))
    counter: float = 0.5
    raised: float = 0.75
    lead: float = 0.30
    swing: float = 0.03
    swing_low: float = 0.015
    low: float = 1.05
    swing_up: float = 0.4
    wave_turns: tuple[int, int, int] = (2, 3, 4)
    wave_seconds: tuple[float, float] = (2.2, 3.5)
    wave_rate: float = 0.8
    short_up: float = 1.3

    def at(self, limits: tuple[float, float], seconds: float) -> float:
        """A limit on the heading for a motion of this length, radians."""
        return float(np.interp(seconds, [2.0, 4.0], limits))


TOLERANCES = Tolerances()


@dataclass(frozen=True)
class Judgement:
    """Attributes: holds: True, False, or None where the motion is too short to tell; evidence: the measured numbers behind it."""

    holds: bool | None
    evidence: dict[str, float]


def judge(joints: np.ndarray, fps: float, fact: str, tolerances: Tolerances = TOLERANCES) -> Judgement:
    """Does `fact` hold for the motion?

    Facts exclude each other: at most one holds for any motion. Walking forward means straight ahead; a left hand is raised only if the
    right one is not, and neither waves; and so on. Gestures are judged of a body that stays where it is.

    Args:
        joints: (T, 22, 3) metres, Y up.
        fps: frames per second.
        fact: one of `FACTS`.

    Raises:
        MateError: an unknown fact, a wrong shape, NaN.
    """
    if fact not in FACTS:
        raise MateError(f"got fact {fact!r}, expected one of {', '.join(FACTS)}")
    return judge_all(joints, fps, tolerances)[fact]


def judge_all(joints: np.ndarray, fps: float, tolerances: Tolerances = TOLERANCES) -> dict[str, Judgement]:
    """`judge` for all facts at once. Raises MateError for a wrong shape or NaN."""
    check_joints(joints)
    if joints.ndim != 3 or not np.isfinite(joints).all():
        raise MateError(
            f"got joints of shape {joints.shape} or with NaN, expected one motion (T, 22, 3) of finite positions"
        )
    if len(joints) / fps < tolerances.min_seconds:
        return {fact: Judgement(None, {"seconds": len(joints) / fps}) for fact in FACTS}
    return {**_judge_locomotion(joints, fps, tolerances), **_judge_hands(joints, fps, tolerances)}


def _judge_locomotion(joints: np.ndarray, fps: float, t: Tolerances) -> dict[str, Judgement]:
    seconds = len(joints) / fps
    path = kinematics.path_length(joints, fps)
    forward, left = kinematics.body_displacement(joints, fps)
    turn, counter = kinematics.total_turn(joints, fps), kinematics.counter_turn(joints, fps)
    duty = kinematics.duty_factor(joints, fps)
    speed = path / seconds
    travels = speed >= t.travel_speed
    ahead = travels and abs(forward) >= t.along * path and abs(left) <= t.aside * abs(forward)
    straight = abs(turn) <= t.at(t.straight, seconds)
    runs = duty < t.duty and speed >= t.run_speed
    walks = duty >= t.duty
    turns = (
        travels and walks and forward > 0 and abs(turn) >= t.at(t.turn, seconds) and counter <= t.counter * abs(turn)
    )
    holds = {
        "walk_forward": ahead and forward > 0 and walks and straight,
        "run_forward": ahead and forward > 0 and runs and straight,
        "walk_backward": ahead and forward < 0 and straight,
        "turn_left": turns and turn > 0,
        "turn_right": turns and turn < 0,
    }
    evidence = {
        "seconds": seconds,
        "speed_m_per_s": speed,
        "forward_m": forward,
        "left_m": left,
        "turn_degrees": float(np.degrees(turn)),
        "counter_turn_degrees": float(np.degrees(counter)),
        "duty_factor": duty,
    }
    return {fact: Judgement(bool(value), evidence) for fact, value in holds.items()}


def _judge_hands(joints: np.ndarray, fps: float, t: Tolerances) -> dict[str, Judgement]:
    seconds = len(joints) / fps
    speed = kinematics.path_length(joints, fps) / seconds
    peak = kinematics.hand_raise(joints, fps).peak
    wave = kinematics.hand_wave(joints, fps, np.where(peak < t.low, t.swing_low, t.swing), t.swing_up)
    raised = peak >= t.raised
    length = sum(seconds >= limit for limit in t.wave_seconds)  # 0, 1, 2
    needed = t.wave_turns[length]
    long_enough = wave.seconds >= (t.short_up if length == 0 else 0.0)
    waving = raised & long_enough & (wave.rate >= t.wave_rate) & (wave.count >= needed)
    # Of two raised hands one may swing a little more than a raise should: together they must not.
    pair_waves = long_enough.any() and wave.rate.mean() >= t.wave_rate and wave.count.mean() >= needed
    still = speed <= t.still_speed
    evidence = {"seconds": seconds, "speed_m_per_s": speed}
    for i, side in enumerate(("left", "right")):
        evidence[f"{side}_elevation"] = float(peak[i])
        evidence[f"{side}_turning_points"] = float(wave.count[i])
        evidence[f"{side}_swing_m"] = float(2 * wave.amplitude[i])
    result = {}
    for which, wanted in _HANDS.items():
        clear = which == "both" or abs(peak[0] - peak[1]) >= t.lead
        lifted = still and clear and (bool(raised[0]), bool(raised[1])) == wanted
        calm = not pair_waves if which == "both" else not waving.any()
        waves = (bool(waving[0]), bool(waving[1])) == wanted
        plural = "s" if which == "both" else ""
        result[f"raise_{which}_hand{plural}"] = Judgement(bool(lifted and calm), evidence)
        result[f"wave_{which}_hand{plural}"] = Judgement(bool(lifted and waves), evidence)
    return {fact: result[fact] for fact in (*RAISES, *WAVES)}

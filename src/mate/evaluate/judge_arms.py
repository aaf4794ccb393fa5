"""The judge's words about arms: raise, lower, wave, punch, throw, clap, point, cross, circle, spread, salute; hands on head or hips."""

import numpy as np
from scipy.signal import find_peaks

from mate.evaluate.judge_curves import counted_swings, held, holds, kept, reached, repeated
from mate.evaluate.judge_limits import NOISE, SIDES, Answer, Limits, Pair, every, opposite, over, under
from mate.motion.kinematics import reversals, segments
from mate.motion.kinematics_tracks import Tracks


def _which(side: str) -> list[int]:
    return [0, 1] if side == "both" else [SIDES.index(side)]


def _alone(t: Tracks, k: Limits, side: str) -> Answer:
    """With one hand named, the other one stays down."""
    if side == "both":
        return True
    return under(reached(t.elevation[:, 1 - SIDES.index(side)], t.fps, 0.2), k.down)


def waving(t: Tracks, hand: int, amplitude: float) -> tuple[int, float]:
    """Turning points of a raised hand against its shoulder in the stretch that has most, and how long that is (seconds).

    A stretch lasts while the hand is over 0.62 of its peak and over 0.55 arm lengths; the axis with most turning points counts. An arm that
    is held while the body walks swings with the chest or against it, so the hand has to swing in the frame of both.
    """
    amplitude += NOISE * t.hand_noise
    up = max(0.55, 0.62 * reached(t.elevation[:, hand], t.fps, 0.2))
    best = (0, 0.0)
    for start, end in segments(t.elevation[:, hand] > up):
        if end - start < 0.25 * t.fps:
            continue
        turns = []
        for frame in (t.hands, t.hands_calm):
            reach = frame[start:end, hand] * t.arm
            wide = [axis for axis in range(3) if np.ptp(reach[:, axis]) >= amplitude]
            turns.append(max((len(reversals(reach[:, axis], amplitude)) for axis in wide), default=0))
            if not turns[0]:
                break
        best = max(best, (min(turns), (end - start) / t.fps))
    return best


def _swing(t: Tracks, k: Limits, hand: int) -> tuple[float, float]:
    return k.small_swing if reached(t.elevation[:, hand], t.fps, 0.2) < k.low_hand else k.swing


def _waves(t: Tracks, k: Limits, hand: int) -> Answer:
    high = over(reached(t.elevation[:, hand], t.fps, 0.2), k.raised)
    if high is False:
        return False
    lax, strict = _swing(t, k, hand)
    (surely, seconds), (perhaps, longer) = waving(t, hand, strict), waving(t, hand, lax)
    lots = over(surely, k.wave_turns) is True and over(surely / max(seconds, 0.7), k.wave_rate) is True
    some_turns = over(perhaps, k.wave_turns) is not False and over(perhaps / max(longer, 0.7), k.wave_rate) is not False
    return every(high, True if lots else None if some_turns else False)


def wave(t: Tracks, k: Limits, side: str, count: int = 0, extent: str = "") -> Answer:
    """Swings a raised hand to and fro, the other hand does not; `count` full swings."""
    answers = [_waves(t, k, hand) for hand in _which(side)]
    if False in answers:
        return False
    if side != "both":
        answers.append(opposite(_waves(t, k, 1 - SIDES.index(side))))
    if count:
        numbers = [swing_count(t, k, hand) for hand in _which(side)]
        surely, perhaps = min(min(n) for n in numbers), max(max(n) for n in numbers)
        answers.append(counted_swings(surely, perhaps, count))
    answers.append(clap(t, k) is not True if side == "both" else True)
    if extent:
        swings = [swing_turns(t, k, hand)[1] for hand in _which(side)]
        sizes = [float(np.median(swing)) if len(swing) else 0.0 for swing in swings]
        answers += [under(size, k.wave_small) if extent == "slightly" else over(size, k.wave_big) for size in sizes]
    boxing = any(_boxes(t, k, hand) for hand in _which(side))
    return every(*answers, not boxing)


def swing_turns(t: Tracks, k: Limits, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a raised hand turns (frames) and how far each swing goes (metres), along the axis on which it swings farthest in all."""
    up = t.elevation[:, hand] > max(0.55, 0.62 * reached(t.elevation[:, hand], t.fps, 0.2))
    start, end = max(segments(up), key=lambda pair: pair[1] - pair[0], default=(0, len(t)))
    reach = t.hands_calm[start:end, hand] * t.arm
    frames = [reversals(reach[:, axis], _swing(t, k, hand)[1] + NOISE * t.hand_noise) for axis in range(3)]
    swings = [np.abs(np.diff(reach[found, axis])) for axis, found in enumerate(frames)]
    axis = max(range(3), key=lambda one: swings[one].sum())
    return start + frames[axis], swings[axis]


def swing_count(t: Tracks, k: Limits, hand: int) -> tuple[int, int]:
    """Half swings of the hand, with strict and lax amplitude: it turns once more than that, on its way up or down."""
    lax, strict = _swing(t, k, hand)
    return waving(t, hand, strict)[0] - 1, waving(t, hand, lax)[0] - 1


def _calm(t: Tracks, k: Limits, hand: int) -> Answer:
    return opposite(_waves(t, k, hand))


def raise_hand(t: Tracks, k: Limits, side: str, extent: str = "") -> Answer:
    """Holds a hand up without waving it, the other one is down. extent: "high", "half" (shoulder height) or "slightly"."""
    answers, runs = [_alone(t, k, side)], t.way.duty < k.grounded[1] and t.way.cruise > k.running[0]
    for hand in _which(side):
        high = kept(t.elevation[:, hand], t.fps, k.held[1])
        if extent == "slightly":
            answers += [over(high, k.slight_low), under(high, k.raised)]
        else:
            # Bent arms swing high in a run.
            answers += [over(high, k.running_arms if runs else k.raised), _calm(t, k, hand)]
        if extent == "high":
            answers.append(over(high, k.high))
        if extent == "half":
            answers.append(under(high, k.half))
    if False in answers:
        return False
    # Other things that hands do at shoulder height.
    above = min(kept(t.elevation[:, hand], t.fps, k.held[1]) for hand in _which(side)) > k.punch_high[0]
    fists = () if above else tuple(punch(t, k, one) for one in SIDES)
    return every(*answers, True not in (clap(t, k), cross(t, k), *fists))


def lower_hand(t: Tracks, k: Limits, side: str) -> Answer:
    """A hand that was up comes down and stays there."""
    first, end = max(1, round(0.3 * t.fps)), max(1, round(0.2 * t.fps))
    answers = []
    for hand in _which(side):
        answers += [
            over(float(t.elevation[:first, hand].min()), k.raised),
            under(float(t.elevation[-end:, hand].max()), k.down),
        ]
    if side != "both":
        answers.append(
            opposite(over(float(t.elevation[:first, 1 - SIDES.index(side)].max()), k.raised)),
        )
    return every(*answers)


def _thrusts(t: Tracks, k: Limits, hand: int, strict: int) -> int:
    """How often the fist shoots forward at chest height or above and comes back."""
    # A boxer stands sideways: the fist goes away from the shoulder, and not only forward.
    reach = np.hypot(t.hands[:, hand, 0], t.hands[:, hand, 2])
    ahead = t.hands[:, hand, 2]
    back = np.concatenate([[reach[0] - 1.0], reach, [reach[-1] - 1.0]])
    speed = np.gradient(reach) * t.fps
    window = max(1, round(0.3 * t.fps))
    found = 0
    for peak in find_peaks(back, height=k.punch_out[strict], prominence=k.punch_back[strict])[0] - 1:
        before = slice(max(0, peak - window), peak + 1)
        high = k.punch_height[strict] < t.elevation[peak, hand] < k.punch_high[1 - strict]
        # Somewhere on its way the fist is before the body.
        high = high and ahead[max(0, peak - window // 2) : peak + window // 2 + 1].max() > k.punch_ahead[strict]
        found += bool(high and speed[before].max() > k.punch_speed[strict] and t.elbow[before, hand].max() > 1.0)
    return found


def punch(t: Tracks, k: Limits, side: str, count: int = 0) -> Answer:
    """Shoots a fist forward from a bent arm and takes it back; with "both", the fists take turns."""
    thrusts = [[_thrusts(t, k, hand, strict) for strict in (1, 0)] for hand in (0, 1)]
    if side == "both":
        return every(*(repeated(surely, perhaps, 0) for surely, perhaps in thrusts), _apart(t))
    own, other = thrusts[SIDES.index(side)], thrusts[1 - SIDES.index(side)]
    thrown = throw(t, k, side) if count <= 1 else False
    return every(repeated(own[0], own[1], count), opposite(repeated(other[0], other[1], 0)), opposite(thrown))


def _boxes(t: Tracks, k: Limits, hand: int) -> bool:
    """Does the raised hand go to and fro forward rather than sideways or up and down?"""
    extent = (
        np.ptp(t.hands[t.elevation[:, hand] > 0.7, hand], axis=0) if (t.elevation[:, hand] > 0.7).any() else np.zeros(3)
    )
    return bool(extent[2] > 1.2 * max(extent[0], extent[1]) and _thrusts(t, k, hand, 1))


def _apart(t: Tracks) -> Answer:
    """The fists do not go out together."""
    left, right = t.hands[:, 0, 2], t.hands[:, 1, 2]
    return under(float(np.corrcoef(left, right)[0, 1]) if left.std() > 0 and right.std() > 0 else 0.0, (0.3, 0.7))


def throw(t: Tracks, k: Limits, side: str) -> Answer:
    """Draws a raised hand back behind its shoulder and whips it forward."""
    hand = SIDES.index(side)
    reach, high = t.hands[:, hand, 2], t.elevation[:, hand]
    up = high > 0.9
    if not up.any():
        return False
    back = int(np.argmin(np.where(up, reach, np.inf)))
    window = slice(back, back + max(2, round(0.7 * t.fps)))
    speed = np.gradient(reach) * t.fps if len(reach) > 1 else np.zeros(1)
    return every(
        over(-float(reach[back]), k.throw_back),
        over(float(speed[window].max()), k.throw_speed),
        over(float(reach[window].max()), k.punch_out),
    )


def claps(t: Tracks, near: float, apart: float) -> list[int]:
    """The frames in which the hands meet before the body, having parted by `apart` metres between."""
    between = np.linalg.norm(t.wrists, axis=1)
    before = t.grip[:, :, 2].min(axis=1) > 0.08
    # The edges count as apart.
    padded = np.concatenate([[1.0], between, [1.0]])
    return [int(p) - 1 for p in find_peaks(-padded, height=-near, prominence=apart)[0] if before[p - 1]]


def clap(t: Tracks, k: Limits, count: int = 0) -> Answer:
    """Brings the hands together before the body, so many times."""
    surely, perhaps = len(claps(t, k.clap[0], k.apart[1])), len(claps(t, k.clap[1], k.apart[0]))
    if not count:
        # Once together may be folded hands.
        return True if surely >= 2 else None if perhaps >= 2 or surely else False
    return repeated(surely, perhaps, count)


_AIMS = {"forward": (0.0, 0.0, 1.0), "left": (1.0, 0.0, 0.0), "right": (-1.0, 0.0, 0.0), "up": (0.0, 1.0, 0.0)}


def point(t: Tracks, k: Limits, side: str, where: str) -> Answer:
    """Holds a straight arm forward, left, right or up; the other one is down."""
    hand = SIDES.index(side)
    arm = t.hands[:, hand]
    length = np.maximum(np.linalg.norm(arm, axis=1), 1e-6)
    off = np.degrees(np.arccos(np.clip(arm @ np.array(_AIMS[where]) / length, -1, 1)))
    # An arm across the body cannot be as straight, nor point as far aside.
    slack = 25.0 if where == ("right", "left")[hand] else 0.0
    bend = np.degrees(t.elbow[:, hand])

    def seconds(strict: int) -> float:
        aimed = (off < k.toward[1 - strict] + slack) & (bend < k.straight_arm[1 - strict])
        return held(aimed, t.fps)

    long = True if seconds(1) >= 0.35 else None if seconds(0) >= 0.2 else False
    if long is False:
        return False
    busy = _waves(t, k, hand) is True or punch(t, k, side) is True
    return every(long, _alone(t, k, side), not busy)


def cross(t: Tracks, k: Limits) -> Answer:
    """Holds the wrists across each other before the chest, elbows bent."""
    across = -t.wrists[:, 0]
    chest = (t.grip[:, :, 1].min(axis=1) > 0.05) & (t.grip[:, :, 2].min(axis=1) > 0.02)
    bent = np.degrees(t.elbow.min(axis=1))

    def seconds(strict: int) -> float:
        return held((across > k.crossed[strict]) & (bent > k.folded[strict]) & chest, t.fps)

    return True if seconds(1) >= 0.4 else None if seconds(0) >= 0.25 else False


def rounds(t: Tracks, hand: int, least: float) -> np.ndarray:
    """The frames in which a circling hand is over the top, having come down by `least` arm lengths between."""
    return find_peaks(t.elevation[:, hand], height=1.0, prominence=least)[0]


def circle_arm(t: Tracks, k: Limits, side: str, count: int = 0) -> Answer:
    """Swings an arm round in circles: in the plane across or along the body, whichever it goes round in most."""
    hand = SIDES.index(side)
    middle = t.hands[:, hand] - np.median(t.hands[:, hand], axis=0)
    # The plane in which it moves most.
    plane = middle @ np.linalg.svd(middle - middle.mean(axis=0), full_matrices=False)[2][:2].T
    angle = np.unwrap(np.arctan2(plane[:, 0], plane[:, 1]))
    # Only while the hand is far from the middle: small loops of a swaying hand do not add up.
    far = np.hypot(plane[:, 0], plane[:, 1])[1:] > 0.2
    turned = over(float(abs(np.degrees(np.diff(angle)[far].sum()))), k.arm_once if count == 1 else k.arm_round)
    surely, perhaps = (len(rounds(t, hand, least)) for least in (k.arm_down[1], k.arm_down[0]))
    return every(turned, repeated(surely, perhaps, count), over(float(t.elevation[:, hand].max()), k.arm_over))


def spread(t: Tracks, k: Limits) -> Answer:
    """Holds both arms stretched out to the sides at the height of the shoulders."""
    outward = np.minimum(t.hands_calm[:, 0, 0], -t.hands_calm[:, 1, 0])
    bent = np.degrees(t.elbow.max(axis=1))

    def at(strict: int) -> np.ndarray:
        level = (t.elevation > k.spread_height[0][strict]).all(axis=1) & (
            t.elevation < k.spread_height[1][1 - strict]
        ).all(axis=1)
        return level & (outward > k.spread[strict]) & (bent < k.straight_arm[1 - strict])

    return holds(at(1), at(0), t.fps, k)


def _at_head(t: Tracks, k: Limits, hand: int, strict: int) -> np.ndarray:
    return np.linalg.norm(t.to_head[:, hand], axis=-1) < k.at_head[1 - strict]


def _on_head(t: Tracks, k: Limits, side: str, above: Pair | None, below: Pair | None) -> Answer:
    """Is the named hand at the head, so high over the middle of it and no higher; is the other hand down?"""
    hand = SIDES.index(side)
    height = t.to_head[:, hand, 1]

    def at(strict: int) -> np.ndarray:
        flags = _at_head(t, k, hand, strict)
        flags = flags & (height > above[strict]) if above else flags
        return flags & (height < below[1 - strict]) if below else flags

    return every(holds(at(1), at(0), t.fps, k), _alone(t, k, side))


def touch_head(t: Tracks, k: Limits, side: str) -> Answer:
    """Lays a hand on top of the head."""
    return _on_head(t, k, side, k.crown, None)


def salute(t: Tracks, k: Limits, side: str) -> Answer:
    """Brings a hand to the brow and holds it there, the elbow out."""
    hand = SIDES.index(side)
    out = t.to_head[:, hand, 0] * (1.0 if hand == 0 else -1.0)
    return every(_on_head(t, k, side, k.brow, k.crown), over(kept(out, t.fps, k.held[1]), k.brow_out))


def hands_on_hips(t: Tracks, k: Limits) -> Answer:
    """Holds both hands at the hips, elbows bent."""
    # Where a wrist rests: outside and above the hip joint.
    rest = np.array([[0.11, 0.15, 0.02], [-0.11, 0.15, 0.02]])
    away = np.linalg.norm(t.to_hip - rest, axis=-1).max(axis=1)
    bent = np.degrees(t.elbow.min(axis=1))

    def at(strict: int) -> np.ndarray:
        return (away < k.at_hips[1 - strict]) & (bent > k.folded[strict])

    return holds(at(1), at(0), t.fps, k)


def shrug(t: Tracks, k: Limits, count: int = 0) -> Answer:
    """Lifts both shoulders and lets them drop, hands down."""
    rise, noise = t.shoulders.min(axis=1), NOISE * t.shoulder_noise
    padded = np.concatenate([[rise.min()], rise, [rise.min()]])
    surely, perhaps = (
        len(find_peaks(padded, prominence=least)[0]) for least in (k.shrug[1] + noise, k.shrug[0] + noise)
    )
    down = under(reached(t.elevation.max(axis=1), t.fps, 0.2), k.down)
    return every(repeated(surely, perhaps, count), down)

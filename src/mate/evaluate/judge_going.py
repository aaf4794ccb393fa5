"""The judge's words about getting about: gaits, turns, paths, speed. Every function answers one word of one stretch of a motion."""

import itertools

import numpy as np

from mate.evaluate.judge_curves import repeated
from mate.evaluate.judge_limits import SIDES, Answer, Limits, every, opposite, over, some, under
from mate.motion.kinematics import reversals, segments
from mate.motion.kinematics_tracks import Tracks, Way


def way(t: Tracks) -> Way:
    """How the body got about."""
    return t.way


def going_frames(t: Tracks) -> np.ndarray:
    """Frames in which the body is faster than half its top speed, (T,) bool."""
    return t.moving


def _goes(w: Way, k: Limits) -> Answer:
    return every(over(w.path, k.path), over(w.pace, k.pace), over(w.tread, k.tread))


def _forward(w: Way, k: Limits) -> Answer:
    return every(_goes(w, k), under(abs(w.angle), k.ahead))


def _grounded(w: Way, k: Limits) -> Answer:
    return over(w.duty, k.grounded)


def _flies(w: Way, k: Limits) -> Answer:
    return opposite(over(w.duty, k.grounded))


def walk(t: Tracks, k: Limits, extent: str = "") -> Answer:
    """Goes forward without flight, at walking speed. Tiptoeing, marching, creeping and limping bodies walk too."""
    w = way(t)
    plain = every(_forward(w, k), _grounded(w, k), under(w.cruise, k.walking), opposite(repeats(t, k)))
    return every(plain, stepping(t, extent, 0.66, k))


def run(t: Tracks, k: Limits) -> Answer:
    """Goes forward with flight between the steps; jogs and sprints are runs."""
    w = way(t)
    return every(_forward(w, k), _flies(w, k), over(w.cruise, k.running), opposite(repeats(t, k)))


def jog(t: Tracks, k: Limits) -> Answer:
    """Runs without haste."""
    return every(run(t, k), under(way(t).cruise, k.jogging))


def sprint(t: Tracks, k: Limits) -> Answer:
    """Runs at top speed."""
    return every(run(t, k), over(way(t).cruise, k.sprinting))


def backwards(t: Tracks, k: Limits, extent: str = "") -> Answer:
    """Goes against its facing."""
    w = way(t)
    return every(_goes(w, k), under(180.0 - abs(w.angle), k.ahead), stepping(t, extent, 0.45, k))


def sidestep(t: Tracks, k: Limits, side: str) -> Answer:
    """Goes to its own left or right."""
    w = way(t)
    to_side = w.angle if side == "left" else -w.angle
    return every(_goes(w, k), over(to_side, k.aside), under(to_side, (180 - k.aside[1], 180 - k.aside[0])))


def diagonal(t: Tracks, k: Limits, side: str) -> Answer:
    """Goes forward and to a side at once, facing ahead."""
    w = way(t)
    to_side = w.angle if side == "left" else -w.angle
    return every(_goes(w, k), over(to_side, k.slant[0]), under(to_side, k.slant[1]))


def _stance_frames(t: Tracks) -> np.ndarray:
    return t.stance & going_frames(t)[:, None]


def heel_angle(t: Tracks) -> float:
    """Angle of the standing foot while the body goes, degrees: the quarter of frames in which it is flattest decides."""
    frames = _stance_frames(t)
    if not frames.any():
        return 0.0
    # Ankle over toe; the foot's length is the farthest that the two get apart.
    rise = t.ankles - t.toes
    length = max(float(np.percentile(np.abs(rise), 99)), 0.145)
    return float(np.degrees(np.percentile(np.arcsin(np.clip(rise / length, -1, 1))[frames], 30)))


def tiptoe(t: Tracks, k: Limits) -> Answer:
    """Walks with the heels off the floor."""
    return every(walk(t, k), over(heel_angle(t), k.heel))


def march(t: Tracks, k: Limits) -> Answer:
    """Walks with the knees high in every step."""
    moving = going_frames(t)
    lift = float(np.percentile(t.toes[moving], 88, axis=0).mean())
    knee = float(np.degrees(np.percentile(t.thigh[moving], 95, axis=0).mean()))
    return every(walk(t, k), over(lift, k.high_step), over(knee, k.high_knee), opposite(creep(t, k)))


def creep(t: Tracks, k: Limits) -> Answer:
    """Walks crouched."""
    w = way(t)
    low = under(float(np.median(t.pelvis)), k.creep)
    return every(_forward(w, k), _grounded(w, k), low, over(float(np.degrees(np.median(t.pitch))), k.stoop))


def stand_seconds(t: Tracks) -> tuple[float, float] | None:
    """How long the left and the right foot stand in a step, medians over the steps that are seen whole; None without one of each."""
    times = []
    for side in (0, 1):
        whole = [end - start for start, end in segments(t.stance[:, side]) if start > 0 and end < len(t)]
        whole = [length for length in whole if length > 2]
        if not whole:
            return None
        times.append(float(np.median(whole)) / t.fps)
    return times[0], times[1]


def limp(t: Tracks, k: Limits, side: str) -> Answer:
    """Walks with one leg standing for a shorter time; cannot tell where no step of each foot is seen whole."""
    times = stand_seconds(t)
    if times is None:
        return every(walk(t, k), None)
    left, right = times
    ratio = left / right if side == "left" else right / left
    return every(walk(t, k), under(ratio, k.limp))


def landings(t: Tracks) -> list[int]:
    """Which foot (0 left, 1 right) touches down, one after the other."""
    found = []
    for side in (0, 1):
        # A foot that has been off the floor for at least two frames.
        off = [(s, e) for s, e in segments(~t.stance[:, side]) if e - s >= 2 and e < len(t)]
        found += [(end, side) for _, end in off]
    return [side for _, side in sorted(found)]


def repeats(t: Tracks, k: Limits) -> Answer:
    """Does the same foot land twice in a row as skipping bodies do, or again and again as hopping ones do?"""
    order = landings(t)
    if len(order) < 3:
        return False
    same = float(np.mean([a == b for a, b in itertools.pairwise(order)]))
    return over(same, k.skipping)


def skip(t: Tracks, k: Limits) -> Answer:
    """Goes forward with a hop on each foot before the next step."""
    order = landings(t)
    both = min(order.count(0), order.count(1)) >= 2
    if len(order) < 4:
        return every(_forward(way(t), k), None if len(order) > 1 else False)
    return every(_forward(way(t), k), repeats(t, k), both)


def _swings(t: Tracks, foot: int, least: float, share: float) -> int:
    """How often a foot is taken up and put down at least `least` metres away.

    A swing that the stretch cuts off counts where at least `share` of the longest one is seen of it.
    """
    spot, last = t.soles[:, foot], len(t) - 1
    pieces = segments(~t.stance[:, foot])
    ways = [float(np.linalg.norm(spot[min(end, last)] - spot[max(start - 1, 0)])) for start, end in pieces]
    # In mid-swing at an edge, that is: a foot that comes to rest there is down.
    quick = t.feet_speed[:, foot] > 0.35 * t.feet_speed[:, foot].max()
    cut = [bool((start == 0 and quick[0]) or (end > last and quick[last])) for start, end in pieces]
    part = share * max(ways, default=0.0)
    return sum(way > (max(least, part) if edge else least) for way, edge in zip(ways, cut, strict=True))


def steps(t: Tracks, k: Limits, where: str, count: int = 0) -> Answer:
    """Takes steps forward or backwards, so many of both feet together."""
    surely, perhaps = (sum(_swings(t, foot, k.step[i], k.step_part[i]) for foot in (0, 1)) for i in (1, 0))
    w = way(t)
    off = abs(w.angle) if where == "forward" else 180.0 - abs(w.angle)
    return every(over(w.path, k.path), under(off, k.ahead), repeated(surely, perhaps, count))


def step_over(t: Tracks, k: Limits, side: str = "") -> Answer:
    """Goes ahead and lifts one foot high over something, then the other one; `side`: the foot that is first."""

    def high(least: float) -> list[tuple[int, int]]:
        """(frame, foot) of every swing that gets so high, in order."""
        found = []
        for foot in (0, 1):
            for start, end in segments(t.toes[:, foot] > 0.5 * least):
                peak = start + int(t.toes[start:end, foot].argmax())
                if t.toes[peak, foot] > least:
                    found.append((peak, foot))
        return sorted(found)

    def clears(swings: list[tuple[int, int]]) -> bool:
        right_order = len(swings) == 2 and swings[0][1] != swings[1][1] and swings[1][0] - swings[0][0] < 1.5 * t.fps
        return right_order and (not side or swings[0][1] == SIDES.index(side))

    surely, perhaps = clears(high(k.over_it[1])), clears(high(k.over_it[0]))
    return every(_forward(way(t), k), True if surely and perhaps else None if surely or perhaps else False)


def stride(t: Tracks) -> float | None:
    """The usual length of a step, metres: speed times the time from one touch-down to the next; None without three of them."""
    times = []
    for foot in (0, 1):
        times += [end for start, end in segments(~t.stance[:, foot]) if end - start >= 2 and end < len(t)]
    times.sort()
    if len(times) < 3:
        return None
    return float(np.median(np.diff(times)) / t.fps * way(t).cruise)


def stepping(t: Tracks, extent: str, usual: float, k: Limits) -> Answer:
    """Are the steps "long" or "short"? True where nothing is said, cannot tell without three touch-downs."""
    if extent not in ("long", "short"):
        return True
    length = stride(t)
    if length is None:
        return None
    return over(length / usual, k.long_steps) if extent == "long" else under(length / usual, k.short_steps)


def stand(t: Tracks, k: Limits) -> Answer:
    """Stays upright where it is, feet on the floor, facing the same way. Arms and head may move."""
    w = way(t)
    feet = float(np.percentile(t.toes, 95, axis=0).max())
    calm = every(under(w.extent, k.stay), under(w.span, k.straight), under(feet, k.calm_feet))
    return every(calm, over(float(np.percentile(t.pelvis, 10)), k.upright), under(np.degrees(t.tilt.max()), k.sit_lean))


def stop(t: Tracks, k: Limits) -> Answer:
    """Goes first and stands at the end."""
    quarter, end = max(1, len(t) // 4), max(1, round(0.4 * t.fps))
    return every(over(float(t.speed[:quarter].mean()), k.before), under(float(t.speed[-end:].mean()), k.halt))


# Turns and paths


def _toward(t: Tracks, side: str) -> float:
    turn = way(t).round_turn
    return turn if side == "left" else -turn


def turn(t: Tracks, k: Limits, side: str, extent: str = "", degrees: float = 0.0, place: str = "") -> Answer:
    """Turns to a side; by an angle where one is named; `place`: "spot" or "way" where it matters.

    extent "slightly": by less than half a right angle or so.
    """
    w = way(t)
    angle = w.turn if side == "left" else -w.turn
    answers = [under(w.counter, k.counter)]
    if extent == "slightly":
        answers += [over(angle, k.at_all), under(angle, k.slight)]
    elif degrees:
        answers += [under(abs(angle - degrees), k.within)]
    else:
        answers += [over(angle, k.turn), under(angle, k.whole)]
    if place == "spot":
        answers.append(under(w.path, k.spot))
    if place == "way":
        answers += [over(w.path, k.spot), under(abs(w.angle), k.ahead)]
    return every(*answers)


def spin(t: Tracks, k: Limits, side: str, count: int = 0) -> Answer:
    """Turns all the way round on the spot."""
    angle = _toward(t, side)
    whole = over(angle, k.spin) if count < 2 else under(abs(angle - 360.0 * count), k.within)
    once = under(angle, (400.0, 540.0)) if count == 1 else True
    return every(under(way(t).path, k.spot), whole, once)


def circle(t: Tracks, k: Limits, side: str, extent: str = "", count: int = 0) -> Answer:
    """Goes round a circle: anticlockwise is to the left."""
    w = way(t)
    angle = _toward(t, side)
    radius = w.path / max(np.radians(abs(angle)), 1e-6)
    middle = t.place.mean(axis=0)
    distance = np.linalg.norm(t.place - middle, axis=1)
    size = {"small": under(radius, k.small), "big": over(radius, k.big)}.get(extent, True)
    roundness = under(float(distance.std() / max(distance.mean(), 1e-6)), k.round)
    often = under(abs(angle - 360.0 * count), k.laps) if count else True
    return every(over(w.path, (1.2, 1.6)), over(angle, k.lap), under(w.counter, (0.1, 0.2)), roundness, size, often)


def eight(t: Tracks, k: Limits) -> Answer:
    """Goes round one loop to one side, then one to the other."""
    facing = np.degrees(t.facing)
    high, low = facing.max(), facing.min()
    hill = min(high - facing[0], high - facing[-1])
    dale = min(facing[0] - low, facing[-1] - low)
    return every(over(way(t).path, (1.2, 1.6)), over(float(max(hill, dale)), k.loop))


def zigzag(t: Tracks, k: Limits) -> Answer:
    """Goes ahead with turns to alternate sides."""
    w, facing = way(t), np.degrees(t.facing)
    surely, perhaps = (len(reversals(facing, amplitude)) for amplitude in (k.zig[1], k.zig[0]))
    turns = True if surely >= 2 else None if perhaps >= 1 else False
    return every(_forward(w, k), turns, over(w.net / max(w.path, 1e-6), k.onward), under(w.span, (150.0, 200.0)))


def straight(t: Tracks, k: Limits) -> Answer:
    """Goes along a straight line."""
    w = way(t)
    return every(_goes(w, k), under(w.span, k.straight), over(w.net / max(w.path, 1e-6), k.direct))


def circle_or_eight(t: Tracks, k: Limits) -> Answer:
    """Comes round in a circle or an eight, either sense: what a straight way does not do."""
    return some(circle(t, k, "left"), circle(t, k, "right"), eight(t, k))

"""Playing a program: its events onto a Stage, and the joints that come of it."""

from dataclasses import replace

import numpy as np

from mate.data.kinwords import gestures, postures
from mate.data.kinwords.actions import Event
from mate.data.kinwords.gaits import DEGREE, GAITS, Leg, command, paced, steps
from mate.data.kinwords.program import Program
from mate.data.kinwords.stage import FPS, Stage

Array = np.ndarray
RUN_IN = 1.6  # seconds of going before the first and after the last frame of a clip that starts or ends on the move


def _bouts(events: tuple[Event, ...]) -> list[list[Event]]:
    """Going events that follow each other without a stop make one bout; a turn on the spot is a bout of its own."""
    bouts: list[list[Event]] = []
    previous: Event | None = None
    for event in events:
        if event.kind == "go":
            spot = event.values["gait"] == "turn"
            joins = (
                previous is not None
                and previous.kind == "go"
                and not spot
                and previous.values["gait"] != "turn"
                and abs(event.start - previous.end) < 1e-6
            )
            if joins and _compatible(previous, event):
                bouts[-1].append(event)
            else:
                bouts.append([event])
        previous = event
    return bouts


def _compatible(a: Event | None, b: Event) -> bool:
    """Forward gaits flow into each other; reversing or stepping aside needs a stop."""
    if a is None:
        return False
    first, second = a.values["legs"][-1], b.values["legs"][0]
    return first[1] > 0.3 and second[1] > 0.3 and "limp" not in (a.action, b.action)


def _legs(bout: list[Event], program: Program, margin: float) -> list[Leg]:
    """The stretches of a bout on the stage's clock."""
    out: list[Leg] = []
    for event in bout:
        at = event.start
        gait = GAITS[event.values["gait"]]
        for entry in event.values["legs"]:
            seconds, ahead, aside, turn = entry[:4]
            pace = float(np.hypot(ahead, aside))
            own = (
                paced(gait, pace)
                if pace > 0 and gait.speed > 0
                else replace(gait, cadence=gait.cadence * event.values.get("cadence", 1.0))
            )
            end = min(at + seconds, event.end)
            if len(entry) > 4:
                a, b = at + entry[4], at + min(entry[5], seconds)
                out.append(
                    Leg(
                        at,
                        end,
                        own,
                        ahead,
                        aside,
                        turn * DEGREE / (b - a),
                        a,
                        b,
                        even=event.action in ("circle", "eight"),
                    )
                )
            else:
                out.append(Leg(at, end, own, ahead, aside))
            at += seconds
    if program.moving_start and bout[0] is program.events[0]:
        out[0] = replace(out[0], start=out[0].start - margin)
    if program.moving_end and bout[-1] is program.events[-1]:
        out[-1] = replace(out[-1], end=out[-1].end + margin)
    return out


def play(program: Program, rng: np.random.Generator) -> Array:
    """Joints (T, 22, 3) float32 of a program; the body's details come from `rng`."""
    frames = int(round(program.seconds * FPS))
    before = int(round(RUN_IN * FPS)) + 4 if program.moving_start else 0
    after = int(round(RUN_IN * FPS)) + 4 if program.moving_end else 0
    t = np.arange(-before, frames + after) / FPS
    stage = Stage(t, rng)
    gestures.idle(stage)
    bouts = [_legs(bout, program, RUN_IN) for bout in _bouts(program.events)]
    for legs in bouts:
        command(stage, legs)
    for event in program.events:
        _play_before(stage, event, program)
    stage.plan_root()
    for legs, bout in zip(bouts, _bouts(program.events), strict=True):
        first = int(rng.integers(2))
        leg = legs[0]
        if leg.aside or leg.ahead == 0.0:
            # The foot on the side one goes to steps first.
            first = 0 if (leg.aside or leg.turning) > 0 else 1
        steps(stage, legs, first, 0 if bout[0].side == "left" else 1)
    joints = stage.joints()
    return joints[before : before + frames].astype(np.float32)


def _play_before(stage: Stage, event: Event, program: Program) -> None:
    """Everything but footsteps."""
    events = program.events
    last = event is events[-1]
    a, b, v, side = event.start, event.end, event.values, event.side
    name = event.action
    hold = last and name in ("kneel", "crouch", "bend", "point", "cross", "look", "look_up", "look_down")
    far = program.seconds + 9.0
    if name.startswith("raise"):
        lowered = not last and events[events.index(event) + 1].action.startswith("lower")
        if lowered:
            fall = events[events.index(event) + 1]
            gestures.raise_arm(
                stage, side, a, fall.start + fall.values["fall"], v["rise"], fall.values["fall"], v["height"], v["way"]
            )
        else:
            gestures.raise_arm(
                stage, side, a, b, v["rise"], None if last else min(v["rise"], 0.4 * (b - a)), v["height"], v["way"]
            )
    elif name.startswith("lower"):
        if event is events[0]:
            gestures.lower_arm(stage, side, a, b, v["fall"])
    elif name.startswith("wave"):
        gestures.wave(
            stage,
            side,
            a,
            b if not last or event.count else max(b, program.seconds),
            v["period"],
            event.count or None,
            v["extent"],
            lower=not last or bool(event.count),
        )
    elif name.startswith("punch"):
        gestures.punch(stage, side, a, b, v["times"])
    elif name == "throw":
        gestures.throw(stage, side, a, b)
    elif name == "clap":
        gestures.clap(stage, a, b, v["times"])
    elif name == "point":
        gestures.point(stage, side, a, b, v["where"], hold)
    elif name == "cross":
        gestures.cross(stage, a, b, hold)
    elif name == "circle_arm":
        gestures.swing_arms(stage, side, a, b, v["period"], v["size"], v["sense"])
    elif name == "nod":
        gestures.nod(stage, a, b, v["times"])
    elif name == "shake":
        gestures.shake(stage, a, b, v["times"])
    elif name.startswith("look"):
        gestures.look(stage, a, b, v["where"], hold)
    elif name == "sit_still":
        postures.sit(stage, None, None)
    elif name == "sit":
        up = next((e for e in events if e.action == "stand_up" and e.start >= b), None)
        postures.sit(stage, (a, b), None if up is None else (up.start, up.end))
    elif name == "stand_up":
        if event is events[0]:
            postures.sit(stage, None, (a, b))
    elif name == "kneel":
        postures.kneel(stage, a, far if hold else b, side, v["down"], None if hold else v["down"])
    elif name == "crouch":
        postures.crouch(stage, a, far if hold else b, v["down"], None if hold else v["down"], v["extent"])
    elif name == "bend":
        postures.bend(stage, a, far if hold else b, v["down"], None if hold else v["down"], v["extent"])
    elif name == "squat":
        postures.squat(stage, a, b, event.count)
    elif name == "bow":
        postures.bow(stage, a, b, v["times"], v["extent"])
    elif name.startswith("jump"):
        postures.jump(stage, a, b, v["times"], v["apex"], v["far"][0], v["far"][1])
    elif name.startswith("hop"):
        postures.hop(stage, a, b, side, v["times"], v["far"])
    elif name == "kick":
        postures.kick(stage, a, b, side, v["times"], v["extent"])
    if event.meanwhile is not None:
        _play_before(
            stage,
            event.meanwhile,
            replace(program, events=(event.meanwhile,)) if last else replace(program, events=(event.meanwhile, event)),
        )

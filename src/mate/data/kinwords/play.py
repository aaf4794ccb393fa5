"""Playing a program: its events onto a Stage, and the joints that come of it."""

from dataclasses import dataclass, replace

import numpy as np

from mate.data.kinwords import gestures, postures
from mate.data.kinwords.actions import Event
from mate.data.kinwords.body import CANONICAL, Build
from mate.data.kinwords.curves import DEGREE
from mate.data.kinwords.gaits import GAITS, Leg, command, paced, steps
from mate.data.kinwords.person import Person
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
    alike = 0.4 < first[1] / second[1] < 2.5 if min(first[1], second[1]) > 0.3 else False
    return alike and not {"limp", "skip", "steps", "steps_back", "step_over"} & {a.action, b.action}


def _legs(bout: list[Event], program: Program, margin: float) -> list[Leg]:
    """The stretches of a bout on the stage's clock."""
    out: list[Leg] = []
    for event in bout:
        at = event.start
        gait = GAITS[event.values["gait"]]
        for entry in event.values["legs"]:
            seconds, ahead, aside, turn = entry[:4]
            pace = float(np.hypot(ahead, aside))
            own = paced(gait, pace) if pace > 0 and gait.speed > 0 else gait
            own = replace(own, cadence=own.cadence * event.values.get("cadence", 1.0))
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


def _styled(legs: list[Leg], who: Person) -> list[Leg]:
    """The legs as one person goes them."""
    out = []
    for leg in legs:
        own = {name: getattr(leg.gait, name) * factor for name, factor in who.style.items()}
        own["cadence"] = leg.gait.cadence * who.steps
        out.append(replace(leg, gait=replace(leg.gait, lean=leg.gait.lean + who.lean, **own)))
    return out


@dataclass(frozen=True)
class Played:
    """A program played by a person.

    Attributes:
        stage: everything that was laid out, on its own clock; `kept`: its frames that make the clip.
    """

    stage: Stage
    kept: slice

    def joints(self, build: Build = CANONICAL, mirror: bool = False) -> Array:
        """Joints (T, 22, 3) float32 of a build, or of its mirror image."""
        return self.stage.joints(build, mirror)[self.kept].astype(np.float32)


def play(program: Program, person: Person, rng: np.random.Generator) -> Played:
    """Lays a program out; what is never twice the same in one body comes from `rng`."""
    frames = round(program.seconds * FPS)
    margin = round(RUN_IN * FPS) + 4
    before, after = margin if program.moving_start else 0, margin if program.moving_end else 0
    t = np.arange(-before, frames + after) / FPS
    stage = Stage(t, person, rng)
    gestures.idle(stage)
    grouped = _bouts(program.events)
    bouts = [_styled(_legs(bout, program, RUN_IN), person) for bout in grouped]
    for legs in bouts:
        command(stage, legs)
    for event in program.events:
        _act(stage, event, program)
    stage.plan_root()
    for legs, bout in zip(bouts, grouped, strict=True):
        first = int(rng.integers(2))
        leg = legs[0]
        if leg.aside or leg.ahead == 0.0:
            # The foot on the side one goes to steps first.
            first = 0 if (leg.aside or leg.turning) > 0 else 1
        values, own_side = bout[0].values, 0 if bout[0].side == "left" else 1
        over = (own_side, bout[0].start + values["over"]) if "over" in values else None
        steps(stage, legs, first, own_side, values.get("steps"), over)
    stage.jitter = person.jitter(len(t), rng)
    return Played(stage, slice(before, before + frames))


def _act(stage: Stage, event: Event, program: Program) -> None:
    """Writes everything of an event but its footsteps."""
    last = event is program.events[-1]
    if event.kind == "arms":
        _arms(stage, event, program, last)
    elif event.kind == "head":
        _head(stage, event, last)
    elif event.kind == "body":
        _body(stage, event, program, last)
    if event.without and event.without != "feet":
        keep = program.seconds + 9.0 if last and event.kind == "body" else event.end
        gestures.still(stage, event.without, event.start, keep)
    if event.meanwhile is not None:
        after = () if last else (event,)
        _act(stage, event.meanwhile, replace(program, events=(event.meanwhile, *after)))


def _arms(stage: Stage, event: Event, program: Program, last: bool) -> None:
    """Raised, waving, pointing and folded arms stay up where nothing follows."""
    events = program.events
    name, side, v = event.action, event.side, event.values
    a, b = event.start, event.end
    if name.startswith("raise"):
        following = None if last else events[events.index(event) + 1]
        fall = None if last else min(v["rise"], 0.4 * (b - a))
        if following is not None and following.action.startswith("lower"):
            fall = following.values["fall"]
            b = following.start + fall
        gestures.raise_arm(stage, side, a, b, v["rise"], fall, v["height"], v["way"])
    elif name.startswith("lower") and event is events[0]:
        # After a raise the raise itself brings the arm down.
        gestures.lower_arm(stage, side, a, b, v["fall"])
    elif name.startswith("wave"):
        through = last and not event.count
        end = max(b, program.seconds) if through else b
        gestures.wave(stage, side, a, end, v["period"], event.count or None, v["extent"], lower=not through)
    elif name.startswith("punch"):
        gestures.punch(stage, side, a, b, v["times"])
    elif name == "throw":
        gestures.throw(stage, side, a, b)
    elif name == "clap":
        gestures.clap(stage, a, b, v["times"])
    elif name == "point":
        gestures.point(stage, side, a, b, v["where"], last)
    elif name in gestures.HELD:
        gestures.held(stage, name, side, a, b, last)
    elif name == "shrug":
        gestures.shrug(stage, a, b, v["times"])
    elif name == "cross":
        gestures.cross(stage, a, b, last)
    elif name == "circle_arm":
        gestures.swing_arms(stage, side, a, b, v["period"], v["size"], v["sense"], event.count)


def _head(stage: Stage, event: Event, last: bool) -> None:
    a, b, v = event.start, event.end, event.values
    if event.action == "nod":
        gestures.nod(stage, a, b, v["times"])
    elif event.action == "shake":
        gestures.shake(stage, a, b, v["times"])
    else:
        gestures.look(stage, a, b, v["where"], last and event.action != "look_around")


def _body(stage: Stage, event: Event, program: Program, last: bool) -> None:
    """Low postures are kept where nothing follows."""
    events = program.events
    name, side, v = event.action, event.side, event.values
    a, b = event.start, event.end
    if name == "sit_still":
        postures.sit(stage, None, None)
    elif name == "sit":
        up = next((e for e in events if e.action == "stand_up" and e.start >= b), None)
        postures.sit(stage, (a, b), None if up is None else (up.start, up.end))
    elif name == "stand_up" and event is events[0]:
        # After a "sit" the sitting itself ends with getting up.
        postures.sit(stage, None, (a, b))
    elif name == "lie_down":
        up = next((e for e in events if e.action == "get_up" and e.start >= b), None)
        postures.lie(stage, (a, b), None if up is None else (up.start, up.end))
    elif name == "get_up" and event is events[0]:
        # After "lie down" the lying itself ends with getting up.
        postures.lie(stage, None, (a, b))
    elif name == "lunge":
        postures.lunge(stage, a, b, side, v["down"], v["extent"])
    elif name == "lean":
        gestures.lean(stage, side, a, b, last, v["extent"])
    elif name == "stomp":
        postures.lift_foot(stage, a, b, side, v["times"], 0.26, 0.14, 0.16)
    elif name == "raise_knee":
        postures.lift_foot(stage, a, b, side, v["times"], 0.4, 0.26, 0.36)
    elif name in ("kneel", "crouch", "bend"):
        end, up = (program.seconds + 9.0, None) if last else (b, v["down"])
        if name == "kneel":
            postures.kneel(stage, a, end, side, v["down"], up)
        elif name == "crouch":
            postures.crouch(stage, a, end, v["down"], up, v["extent"])
        else:
            postures.bend(stage, a, end, v["down"], up, v["extent"])
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
    elif name == "kick_side":
        postures.kick(stage, a, b, side, v["times"], v["extent"], aside=True)

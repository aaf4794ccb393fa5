"""kinwords: what a program says is what the joints do. The words are in test_kinwords_words.py."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mate.data.dataset import Sample
from mate.data.kinwords import kinwords, make_clip
from mate.data.kinwords.actions import LONGEST, MAKERS, Event
from mate.data.kinwords.body import BALL_HEIGHT
from mate.data.kinwords.person import draw_person
from mate.data.kinwords.play import play
from mate.data.kinwords.program import UP, _lay_out, draw_program
from mate.evaluate.quality import limit_violations
from mate.motion.retarget import retarget_to_canonical
from mate.motion.skeleton import HUMANML3D, LEFT_HAND, RIGHT_HAND

CLIPS = 240


@pytest.fixture(scope="module")
def clips() -> list[Sample]:
    return list(kinwords(CLIPS, seed=3))


@pytest.fixture(scope="module")
def alone(clips: list[Sample]) -> dict[str, list[Sample]]:
    """Clips of a single event with nothing at the same time, by action; enough of each."""
    out: dict[str, list[Sample]] = defaultdict(list)
    for sample in [*clips, *kinwords(560, seed=3, start=CLIPS)]:
        events = sample.meta["program"]["events"]
        if len(events) == 1 and events[0]["meanwhile"] is None:
            out[events[0]["action"]].append(sample)
    return out


def heading(joints: np.ndarray) -> np.ndarray:
    """Unwrapped heading (T,) of the hips, radians, positive to the left."""
    left = joints[:, 1] - joints[:, 2]
    return np.unwrap(np.arctan2(-left[:, 2], left[:, 0]))


def event(sample: Sample) -> dict:
    return sample.meta["program"]["events"][0]


def window(sample: Sample) -> slice:
    """The frames of the first event."""
    e = event(sample)
    return slice(int(np.ceil(e["start"] * 20)), int(e["end"] * 20) + 1)


def digest(samples: list[Sample]) -> str:
    h = hashlib.sha256()
    for s in samples:
        h.update(s.joints.tobytes())
        h.update(repr((s.name, s.captions, s.split, s.meta)).encode())
    return h.hexdigest()


def test_same_seed_same_bytes_and_clips_do_not_depend_on_each_other() -> None:
    assert digest(list(kinwords(8, seed=5))) == digest(list(kinwords(8, seed=5)))
    assert digest(list(kinwords(8, seed=5))[5:]) == digest(list(kinwords(3, seed=5, start=5)))
    assert digest(list(kinwords(8, seed=5))) != digest(list(kinwords(8, seed=6)))


def test_shape_length_and_canonical_bones(clips: list[Sample]) -> None:
    parents, lengths = np.array(HUMANML3D.parents[1:]), np.array(HUMANML3D.bone_lengths[1:])
    for s in clips:
        assert s.joints.dtype == np.float32 and s.joints.shape[1:] == (22, 3)
        assert 40 <= len(s.joints) <= 200
        assert np.isfinite(s.joints).all()
        bones = np.linalg.norm(s.joints[:, 1:] - s.joints[:, parents], axis=-1)
        np.testing.assert_allclose(bones, np.broadcast_to(lengths, bones.shape), atol=2e-5)
        assert abs(heading(s.joints)[0]) < 0.35, s.name
        assert np.abs(s.joints[0, 0, [0, 2]]).max() < 0.5


def test_no_penetration_and_no_floating(clips: list[Sample]) -> None:
    for s in clips:
        assert s.joints[..., 1].min() > BALL_HEIGHT - 0.01, s.meta["content"]
        lowest = s.joints[:, [0, 10, 11], 1].min(1)  # lying, the feet are turned up
        in_air = lowest > 0.14 if {"lie_down", "get_up"} & set(s.meta["content"].split("+")) else lowest > 0.06
        # Nobody stays in the air: the longest flight is a high jump's.
        longest = max((len(run) for run in re.findall("1+", "".join("01"[int(a)] for a in in_air))), default=0)
        assert longest <= 13, (s.meta["content"], longest)


def slip(joints: np.ndarray, height: float = BALL_HEIGHT) -> float:
    """How far the ball of a foot moves while it is on the floor, metres."""
    furthest = 0.0
    for foot in (10, 11):
        planted = np.abs(joints[:, foot, 1] - height) < 1e-4
        edges = np.flatnonzero(np.diff(np.concatenate([[0], planted.astype(int), [0]])))
        for start, end in edges.reshape(-1, 2):
            furthest = max(furthest, np.ptp(joints[start:end, foot][:, [0, 2]], axis=0).max())
    return float(furthest)


def test_planted_feet_do_not_slide(clips: list[Sample]) -> None:
    for s in clips:
        assert slip(s.joints) < 1e-3, (s.name, s.meta["content"])


def test_bodies_differ_and_keep_their_footprints_when_retargeted() -> None:
    statures, bones = [], []
    for i in range(40):
        own, canonical = make_clip(3, i, own_build=True), make_clip(3, i)
        person = own.meta["program"]["person"]
        statures.append(person["stature"])
        lengths = np.linalg.norm(own.joints[:, 1:] - own.joints[:, HUMANML3D.parents[1:]], axis=-1)
        assert np.ptp(lengths, axis=0).max() < 1e-5
        bones.append(lengths[0])
        np.testing.assert_allclose(retarget_to_canonical(own.joints), canonical.joints, atol=1e-5)
        assert slip(own.joints, BALL_HEIGHT * person["build"]["legs"]) < 1e-3
        assert own.captions == canonical.captions and own.meta == canonical.meta
    assert min(statures) < 1.65 and max(statures) > 1.8
    spread = np.std(bones, axis=0) / np.mean(bones, axis=0)
    assert (spread > 0.015).all()


def test_joint_limits_hold(clips: list[Sample]) -> None:
    for s in clips:
        assert not limit_violations(s.joints).any(), (s.name, s.meta["content"])


def test_no_jumps_in_position_or_velocity(clips: list[Sample]) -> None:
    for s in clips:
        velocity = np.diff(s.joints.astype(float), axis=0) * 20
        speed = np.linalg.norm(velocity, axis=-1)
        assert speed.max() < 13.0, (s.name, s.meta["content"])
        assert speed[:, 0].max() < 6.5
        change = np.linalg.norm(np.diff(velocity, axis=0), axis=-1)
        assert change.max() < 11.0, (s.name, s.meta["content"], change.max())
        assert change[:, [0, 9, 15]].max() < 3.0, (s.name, s.meta["content"])


def test_knees_bend_forward_and_elbows_do_not_bend_back(clips: list[Sample]) -> None:
    for s in clips:
        j = s.joints.astype(float)
        h = heading(j)
        facing = np.stack([np.sin(h), np.zeros_like(h), np.cos(h)], -1)
        for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
            line = j[:, ankle] - j[:, hip]
            along = line / np.linalg.norm(line, axis=-1, keepdims=True)
            out = (j[:, knee] - j[:, hip]) - ((j[:, knee] - j[:, hip]) * along).sum(-1, keepdims=True) * along
            # Forward for a hanging leg, upward for one stretched forward, downward for one stretched back.
            pole = facing - ((facing * along).sum(-1, keepdims=True)) * along
            told = np.abs((facing * along).sum(-1)) < 0.95  # of a lying leg, forward is no side
            assert ((out * pole).sum(-1)[told] > -0.02).all(), (s.name, s.meta["content"])


def test_arms_stay_out_of_the_trunk(clips: list[Sample]) -> None:
    for s in clips:
        j = s.joints.astype(float)
        a, b = j[:, 0], j[:, 9]
        for elbow, wrist in ((18, 20), (19, 21)):
            for u in (0.5, 1.0):
                p = j[:, elbow] + u * (j[:, wrist] - j[:, elbow])
                k = np.clip(((p - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)[:, None]
                assert np.linalg.norm(p - a - k * (b - a), axis=-1).min() > 0.09, (s.name, s.meta["content"])


def test_sides_of_raised_and_waving_hands(alone: dict[str, list[Sample]]) -> None:
    for action in ("raise", "wave", "raise_both", "wave_both"):
        assert len(alone[action]) >= 10
        for s in alone[action]:
            e = event(s)
            top = s.joints[int(0.5 * (e["start"] + e["end"]) * 20) - 4 :]
            top = top[: len(top) // 2]
            left, right = top[:, LEFT_HAND, 1].mean(), top[:, RIGHT_HAND, 1].mean()
            if e["side"] == "both":
                assert min(left, right) > top[:, 9, 1].mean(), s.name
            else:
                assert (left - right) * (1 if e["side"] == "left" else -1) > 0.3, s.name
                assert all(e["side"] in c.text for c in s.captions)


@pytest.fixture(scope="module")
def make() -> Callable[..., tuple[Event, np.ndarray]]:
    """A clip of one action alone: its event and joints (T, 22, 3)."""

    def one(action: str, seed: int, without: str = "") -> tuple[Event, np.ndarray]:
        rng = np.random.default_rng([seed, *action.encode()])
        drawn = MAKERS[action](action, rng, LONGEST - 0.4)
        program = _lay_out([replace(drawn, without=without)], rng)
        return program.events[0], play(program, draw_person(rng), rng).joints()

    return one


@pytest.mark.parametrize("action", sorted(MAKERS))
def test_every_action_is_sound(make: Callable[..., tuple[Event, np.ndarray]], action: str) -> None:
    for seed in range(6):
        _, joints = make(action, seed)
        assert joints[..., 1].min() > 0.01
        assert slip(joints) < 1e-3
        assert not limit_violations(joints).any()
        velocity = np.diff(joints.astype(float), axis=0) * 20
        assert np.linalg.norm(np.diff(velocity, axis=0), axis=-1).max() < 11.0


def test_lying_down_and_getting_up(make: Callable[..., tuple[Event, np.ndarray]]) -> None:
    for seed in range(4):
        for action, lying, standing in (("lie_down", -1, 0), ("get_up", 0, -1)):
            _, joints = make(action, seed)
            assert joints[lying, [0, 3, 6, 9, 12, 15, 16, 17], 1].max() < 0.3
            assert joints[standing, 15, 1] > 1.4


def test_stepping_over(make: Callable[..., tuple[Event, np.ndarray]]) -> None:
    for seed in range(8):
        event, joints = make("step_over", seed)
        near = slice(
            round((event.values["over"] + event.start - 1.0) * 20),
            round((event.values["over"] + event.start + 1.6) * 20),
        )
        tops = [int(joints[near, foot, 1].argmax()) for foot in (7, 8)]
        assert min(joints[near, foot, 1].max() for foot in (7, 8)) > 0.3
        first = "left" if tops[0] < tops[1] else "right"
        assert first == event.side
        others = np.concatenate([joints[: near.start], joints[near.stop :]])
        assert others[:, [7, 8], 1].max() < 0.28


@pytest.mark.parametrize(
    ("action", "without", "joints", "carrier"),
    [
        ("walk", "arms", (18, 19, 20, 21), 9), ("run", "arms", (18, 19, 20, 21), 9), ("jump_up", "arms", (18, 19, 20, 21), 9),
        ("squat", "arms", (18, 19, 20, 21), 9), ("walk", "head", (15,), 9), ("turn", "head", (15,), 9),
    ],
)  # fmt: skip
def test_what_does_not_move(
    make: Callable[..., tuple[Event, np.ndarray]], action: str, without: str, joints: tuple[int, ...], carrier: int
) -> None:
    def sway(moving: np.ndarray) -> float:
        """Median over the joints of how much they move against the chest, metres."""
        collars = moving[:, 16] - moving[:, 17]
        x = collars / np.linalg.norm(collars, axis=-1, keepdims=True)
        up = moving[:, 12] - moving[:, carrier]
        z = np.cross(x, up)
        z /= np.linalg.norm(z, axis=-1, keepdims=True)
        frame = np.stack([x, np.cross(z, x), z], axis=1)
        local = np.einsum("tij,tkj->tki", frame, moving[:, list(joints)] - moving[:, [carrier]])
        return float(np.median(np.ptp(local, axis=0).max(-1)))

    for seed in range(3):
        event, still = make(action, seed, without)
        _, moving = make(action, seed)
        span = slice(int(event.start * 20) + 1, int(event.end * 20))
        assert sway(still[span].astype(float)) < 0.05
        if without == "arms":
            assert sway(moving[span].astype(float)) > 3 * sway(still[span].astype(float))


def test_arms_and_head_move_without_the_feet(clips: list[Sample]) -> None:
    spans = [(s, e) for s in clips for e in s.meta["program"]["events"] if e["without"] == "feet" and e["start"] > 0]
    assert spans
    for s, e in spans:
        feet = s.joints[int(np.ceil(e["start"] * 20)) + 1 : int(e["end"] * 20) - 1][:, [10, 11]]
        assert np.ptp(feet, axis=0).max() < 2e-3, (s.name, s.meta["content"])


def test_nobody_walks_while_seated() -> None:
    for i in range(1500):
        low = False
        for event in draw_program(np.random.default_rng([9, i])).events:
            low = event.action in ("sit", "lie_down") or (low and event.action not in UP)
            assert not (low and event.kind == "go")
    assert {len(draw_program(np.random.default_rng([9, i])).events) for i in range(120)} == {1, 2, 3, 4}


def test_raise_is_held_to_the_end(alone: dict[str, list[Sample]]) -> None:
    for s in alone["raise"]:
        hand = LEFT_HAND if event(s)["side"] == "left" else RIGHT_HAND
        assert s.joints[-1, hand, 1] > s.joints[-1, 15, 1], s.name


def test_turns_have_the_right_side_and_amount(alone: dict[str, list[Sample]]) -> None:
    for action in ("walk_turn", "turn", "turn_quarter", "turn_around", "turn_degrees", "spin", "walk_turn_back"):
        assert alone[action]
        for s in alone[action]:
            wanted = event(s)["values"]["legs"][0][3]
            turned = np.degrees(heading(s.joints)[-1] - heading(s.joints)[0])
            assert abs(turned - wanted) < 16, (s.name, wanted, turned)
            assert np.sign(wanted) == (1 if event(s)["side"] == "left" else -1)


def test_circles_have_the_right_sense_and_close(alone: dict[str, list[Sample]]) -> None:
    assert len(alone["circle"]) >= 10
    for s in alone["circle"]:
        sense = event(s)["slots"]["sense"]
        sign = -1 if sense == "clockwise" else 1
        turned = np.degrees(heading(s.joints)[-1] - heading(s.joints)[0]) * sign
        assert turned > 290, (s.name, turned)
        radius, said = event(s)["values"]["radius"], [c.text for c in s.captions]
        assert radius < 0.81 or not any("small" in text for text in said)
        assert radius > 1.49 or not any("big" in text for text in said)
        width = np.ptp(s.joints[:, 0][:, [0, 2]], axis=0) / 2
        assert np.abs(width - radius).max() < 0.1, (s.name, radius, width)
        # The root itself goes round the middle of its path, not only the body around itself.
        path = s.joints[:, 0][:, [0, 2]].astype(float)
        spoke = path - 0.5 * (path.min(0) + path.max(0))
        assert np.linalg.norm(spoke, axis=1).min() > 0.2
        round_ = np.degrees(np.unwrap(np.arctan2(spoke[:, 0], spoke[:, 1])))
        assert (round_[-1] - round_[0]) * sign > 250, s.name


def test_travel_follows_the_words(alone: dict[str, list[Sample]]) -> None:
    speeds = {}
    for action in ("walk", "jog", "run", "sprint", "backwards", "sidestep"):
        assert alone[action]
        pace = []
        for s in alone[action]:
            h = heading(s.joints)
            step = np.diff(s.joints[:, 0], axis=0) * 20
            ahead = step[:, 0] * np.sin(h[1:]) + step[:, 2] * np.cos(h[1:])
            aside = step[:, 0] * np.cos(h[1:]) - step[:, 2] * np.sin(h[1:])
            if action == "sidestep":
                assert aside.mean() * (1 if event(s)["side"] == "left" else -1) > 0.15, s.name
                feet = s.joints[:, 7] - s.joints[:, 8]
                assert (feet[:, 0] * np.cos(h) - feet[:, 2] * np.sin(h)).min() > 0.0, s.name
            elif action == "backwards":
                assert ahead.mean() < -0.2, s.name
            else:
                assert ahead.mean() > 0.3, s.name
            if not event(s)["adverbs"]:
                pace.append(np.percentile(ahead, 80))
        if action in ("walk", "jog", "run", "sprint"):
            speeds[action] = np.mean(pace)
    assert speeds["walk"] < speeds["jog"] < speeds["run"] < speeds["sprint"]


def peaks(x: np.ndarray, level: float) -> int:
    """How often x rises above the level."""
    above = x > level
    return int(above[0]) + int((above[1:] & ~above[:-1]).sum())


def test_counts(alone: dict[str, list[Sample]], make: Callable[..., tuple[Event, np.ndarray]]) -> None:
    for s in (*alone["jump_up"], *alone["jump_forward"]):
        assert peaks(s.joints[:, [10, 11], 1].min(1), BALL_HEIGHT + 0.08) == event(s)["values"]["times"], s.name
    for s in alone["kick"]:
        foot = 7 if event(s)["side"] == "left" else 8
        assert peaks(s.joints[:, foot, 1], 0.5) == event(s)["values"]["times"], s.name
        assert s.joints[:, 15 - foot, 1].max() < 0.2
    for action, level in (("stomp", 0.1), ("raise_knee", 0.2)):
        for seed in range(6):
            own, joints = make(action, seed)
            assert peaks(joints[:, 10 if own.side == "left" else 11, 1], level) == own.values["times"]
            assert joints[:, 11 if own.side == "left" else 10, 1].max() < 0.04
    for action in ("steps", "steps_back"):
        for seed in range(8):
            own, joints = make(action, seed)
            assert sum(peaks(joints[:, foot, 1], BALL_HEIGHT + 0.012) for foot in (10, 11)) == own.count
    for seed in range(12):
        own, joints = make("circle", seed)
        if own.count:
            assert round(abs(heading(joints)[-1] - heading(joints)[0]) / (2 * np.pi)) == own.count
    for s in alone["squat"]:
        assert peaks(-s.joints[:, 0, 1], -0.75) == event(s)["count"]
    numbers = {1: "(once|one time)", 2: "(twice|two times)", 3: "three times", 4: "four times", 5: "five times"}
    for s in (*alone["jump_up"], *alone["kick"], *alone["clap"]):
        if event(s)["count"]:
            assert all(re.search(numbers[event(s)["count"]], c.text) for c in s.captions)


def test_postures(alone: dict[str, list[Sample]]) -> None:
    for s in alone["sit"]:
        assert s.joints[0, 0, 1] > 0.9 and s.joints[-1, 0, 1] < 0.6
    for s in alone["stand_up"]:
        assert s.joints[0, 0, 1] < 0.6 and s.joints[-1, 0, 1] > 0.9
    for s in alone["kneel"]:
        knee = 4 if event(s)["side"] == "left" else 5
        assert s.joints[:, knee, 1].min() < 0.12 < 0.3 < s.joints[:, 9 - knee, 1].min(), s.name
    for s in alone["hop"]:
        held = 11 if event(s)["side"] == "left" else 10
        middle = s.joints[window(s)]
        middle = middle[len(middle) // 3 : -len(middle) // 3]
        assert middle[:, held, 1].min() > 0.12, s.name


def test_a_clip_is_made_quickly() -> None:
    import time

    make_clip(0, 0)
    start = time.process_time()
    for i in range(40):
        make_clip(1, i)
    assert (time.process_time() - start) / 40 < 0.012

"""kinwords: what a program says is what the joints do."""

import hashlib
import re
from collections import defaultdict

import numpy as np
import pytest

from mate.data.captions import words as split_words
from mate.data.dataset import Sample
from mate.data.kinwords import CONCEPTS, HELD_OUT, kinwords, make_clip
from mate.data.kinwords.body import BALL_HEIGHT
from mate.data.kinwords.grammar import SUBJECTS_UNSEEN, held_out_in, ing, third, training_wordings
from mate.data.kinwords.program import MAKERS
from mate.data.wordings import wordings
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
        lowest = s.joints[:, [10, 11], 1].min(1)
        in_air = lowest > 0.06
        # Nobody stays in the air: the longest flight is a high jump's.
        longest = max((len(run) for run in re.findall("1+", "".join("01"[int(a)] for a in in_air))), default=0)
        assert longest <= 13, (s.meta["content"], longest)


def test_planted_feet_do_not_slide(clips: list[Sample]) -> None:
    for s in clips:
        for foot in (10, 11):
            planted = np.abs(s.joints[:, foot, 1] - BALL_HEIGHT) < 5e-4
            edges = np.flatnonzero(np.diff(np.concatenate([[0], planted.astype(int), [0]])))
            for start, end in edges.reshape(-1, 2):
                place = s.joints[start:end, foot][:, [0, 2]]
                assert np.ptp(place, axis=0).max() < 5e-3, (s.name, s.meta["content"], foot, start, end)


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
            assert ((out * pole).sum(-1) > -0.02).all(), (s.name, s.meta["content"])


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


def test_raise_is_held_to_the_end(alone: dict[str, list[Sample]]) -> None:
    for s in alone["raise"]:
        hand = LEFT_HAND if event(s)["side"] == "left" else RIGHT_HAND
        assert s.joints[-1, hand, 1] > s.joints[-1, 15, 1], s.name


def test_turns_have_the_right_side_and_amount(alone: dict[str, list[Sample]]) -> None:
    for action in ("walk_turn", "turn", "turn_quarter", "turn_around", "spin", "walk_turn_back"):
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


def test_counts(alone: dict[str, list[Sample]]) -> None:
    for s in (*alone["jump_up"], *alone["jump_forward"]):
        assert peaks(s.joints[:, [10, 11], 1].min(1), BALL_HEIGHT + 0.08) == event(s)["values"]["times"], s.name
    for s in alone["kick"]:
        foot = 7 if event(s)["side"] == "left" else 8
        assert peaks(s.joints[:, foot, 1], 0.5) == event(s)["values"]["times"], s.name
        assert s.joints[:, 15 - foot, 1].max() < 0.2
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


def test_captions_words_and_segments(clips: list[Sample]) -> None:
    for s in clips:
        seconds = len(s.joints) / 20
        assert s.meta["source"] == "kinwords" and s.meta["license"] == "Apache-2.0"
        assert len(s.meta["caption_kinds"]) == len(s.captions)
        starts = [segment["start"] for segment in s.meta["segments"]]
        assert starts == sorted(starts)
        assert len(starts) == len(s.meta["program"]["events"])
        for segment in s.meta["segments"]:
            assert 0 <= segment["start"] < segment["end"] <= seconds + 1e-6
        for caption in s.captions:
            assert not re.search(r"[{}\[\]#]|  ", caption.text), caption.text
        for word in s.meta["words"]:
            found = split_words(s.captions[word["caption"]].text)[word["index"]]
            assert found.text == word["word"]
            assert 0 <= word["start"] < word["end"] <= seconds + 1e-6, (s.name, word)
            assert word["joints"] and set(word["joints"]) <= set(range(22))


def test_held_out_wordings_stay_out_of_training(clips: list[Sample]) -> None:
    table = wordings()
    groups = [*table["contents"].values(), *table["styles"].values()]
    forbidden = {text for group in groups for key in ("held_out", "synonyms") for text in group[key] if text} | set(
        HELD_OUT
    )
    training = [
        c.text for s in clips for c, kind in zip(s.captions, s.meta["caption_kinds"], strict=True) if kind == "seen"
    ]
    for text in [*training, *training_wordings()]:
        low = f" {' '.join(re.findall(r'[a-z-]+', text.lower()))} "
        hits = [phrase for phrase in forbidden if f" {phrase} " in low]
        assert not hits and not held_out_in(text), (text, hits)
    unseen = {wording for concept in CONCEPTS.values() for wording in concept.unseen}
    assert not unseen & {wording for concept in CONCEPTS.values() for wording in concept.seen}
    assert held_out_in("the actor strides along") == ["strides", "strides along", "the actor"]
    assert set(SUBJECTS_UNSEEN) <= HELD_OUT


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("walk", ("walks", "walking")), ("run", ("runs", "running")), ("punch", ("punches", "punching")), ("go", ("goes", "going")),
        ("hit", ("hits", "hitting")), ("wave", ("waves", "waving")), ("sidestep", ("sidesteps", "sidestepping")),
        ("tiptoe", ("tiptoes", "tiptoeing")), ("box", ("boxes", "boxing")), ("carry", ("carries", "carrying")),
    ],
)  # fmt: skip
def test_verbs_inflect(verb: str, forms: tuple[str, str]) -> None:
    assert (third(verb), ing(verb)) == forms


def test_splits_and_kinds(clips: list[Sample]) -> None:
    share = {split: np.mean([s.split == split for s in clips]) for split in ("train", "val", "test")}
    assert 0.79 < share["train"] < 0.91 and 0.02 < share["val"] < 0.09 and 0.06 < share["test"] < 0.14
    for s in clips:
        assert s.meta["caption_kinds"] == (["seen", "unseen"] if s.split == "test" else ["seen"] * 3)


def test_vocabulary_is_wide() -> None:
    assert set(MAKERS) == set(CONCEPTS)
    assert all(len(concept.seen) >= 6 and concept.unseen for concept in CONCEPTS.values())
    heads = {
        verb for concept in CONCEPTS.values() for wording in concept.seen for verb in re.findall(r"\[(\w+)\]", wording)
    }
    assert len(heads) >= 45
    assert len(CONCEPTS) + len(heads) >= 80


def test_a_clip_is_made_quickly() -> None:
    import time

    make_clip(0, 0)
    start = time.process_time()
    for i in range(40):
        make_clip(1, i)
    assert (time.process_time() - start) / 40 < 0.012

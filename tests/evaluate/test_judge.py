"""The kinematic judge: known motions, near misses, Kleene's logic, and what must not change its answers."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import motions as make

from mate.data.kinwords import make_clip
from mate.data.kinwords.actions import MAKERS
from mate.data.kinwords.person import draw_person
from mate.data.kinwords.play import play
from mate.data.kinwords.program import Program
from mate.errors import MateError
from mate.evaluate.judge import WORDS, Claim, judge, judge_events, measured
from mate.evaluate.judge_limits import LIMITS, counted, every, opposite, over, some, under
from mate.evaluate.judge_material import procedural
from mate.evaluate.judge_near import near_misses
from mate.evaluate.judge_truth import (
    NOT_JUDGED,
    PLAIN,
    claim_of_event,
    claims_of_event,
    claims_of_labels,
    flips,
    strangers,
)
from mate.evaluate.judging import Asked, ask, properties, stretches, summary, word_rows
from mate.motion.kinematics_tracks import jitter
from mate.motion.retarget import mirror, rotate_about_y

FPS = make.FPS
ANSWERS = st.sampled_from([True, False, None])
# Words that say how fast: gaits do as well, for a walk played fast is a run.
GAITS = {
    "walk",
    "run",
    "jog",
    "sprint",
    "tiptoe",
    "march",
    "creep",
    "limp",
    "skip",
    "backwards",
    "sidestep",
    "diagonal",
    "straight",
}
KNOWN = {
    "walk": (make.gait(4.0, 1.2), Claim("walk")),
    "run": (make.gait(3.0, 3.0, duty=0.35, cycle=0.7), Claim("run")),
    "backwards": (make.gait(4.0, -0.8), Claim("backwards")),
    "left": (make.gait(5.0, 1.0, turn=np.pi / 2), Claim("turn", "left", degrees=90.0)),
    "circle": (make.gait(7.0, 1.1, turn=-2 * np.pi), Claim("circle", "right")),
    "raise": (make.raised(0), Claim("raise", "left", extent="high")),
    "wave": (make.raised(1, seconds=5.0, swing=0.1), Claim("wave", "right")),
    "jumps": (make.jumps(2), Claim("jump", "", "up", count=2)),
    "stand": (make.stand(3.0), Claim("stand")),
}


@given(ANSWERS, ANSWERS)
def test_answers_combine_as_in_kleenes_logic(a, b):
    assert every(a, b) is opposite(some(opposite(a), opposite(b)))
    assert every(a, b) is every(b, a)
    assert every(a, True) is a and some(a, False) is a
    assert every(a, False) is False and some(a, True) is True


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 5))
def test_a_limit_is_open_between_its_two_numbers(value, low, width):
    limit = (low, low + width)
    assert over(value, limit) in ((True,) if value >= limit[1] else (False,) if value <= low else (None,))
    if low < value < limit[1]:
        assert over(value, limit) is None and under(value, limit) is None


def test_counts_with_doubtful_repetitions():
    assert counted(3, 3, 3) is True and counted(3, 3, 4) is False
    assert counted(2, 3, 3) is None and counted(2, 3, 2) is None and counted(2, 3, 5) is False


@pytest.mark.parametrize("name", KNOWN)
def test_analytic_motions(name):
    joints, claim = KNOWN[name]
    tracks = measured(joints, FPS)
    assert judge(tracks, claim) is True
    for _, other in flips(claim):
        assert judge(tracks, other) is False


@pytest.mark.parametrize("name", KNOWN)
def test_mirroring_a_motion_and_its_claims_keeps_the_judgement(name):
    joints, _ = KNOWN[name]
    here, there = measured(joints, FPS), measured(mirror(joints), FPS)
    assert [judge(here, claim) for claim in PLAIN] == [judge(there, claim.mirrored()) for claim in PLAIN]


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("angle", [0.7, 3.0])
def test_turning_the_world_changes_nothing(name, angle):
    joints, _ = KNOWN[name]
    turned = rotate_about_y(joints, np.full(len(joints), angle)) + np.array([3.0, 0.0, -2.0])
    here, there = measured(joints, FPS), measured(turned.astype(np.float32), FPS)
    assert [judge(here, claim) for claim in PLAIN] == [judge(there, claim) for claim in PLAIN]


def test_a_walk_played_fast_changes_speed_words_only():
    joints, _ = KNOWN["left"]
    slow, fast = measured(joints, FPS), measured(joints, 1.5 * FPS)
    changed = {c.word for c in PLAIN if {judge(slow, c), judge(fast, c)} == {True, False}}
    assert changed <= GAITS
    claim = Claim("turn", "left", degrees=90.0)
    assert judge(slow, claim) is judge(fast, claim) is True
    assert judge(fast, Claim("walk", speed="slowly")) is False


def test_jitter_is_read_off_the_bones():
    joints = KNOWN["walk"][0].astype(float)
    noisy = joints + np.random.default_rng(0).normal(0, 0.005, joints.shape)
    assert jitter(joints) < 0.001 and jitter(joints[:1]) == 0.0
    assert jitter(noisy) == pytest.approx(0.005, rel=0.15)


def _changed(motions):
    """The share of judgements that 5 mm of noise change, to and from "cannot tell" included; and of those that it reverses."""
    row = next(row for row in properties(motions, changes=("noise of 5 mm",)))
    assert row["judgements"] == len(motions) * len(PLAIN)
    return (row["reversed"] + row["opened"]) / row["judgements"], row["reversed"] / row["judgements"]


def test_five_millimetres_of_noise_change_few_judgements():
    changed, reversed_ = _changed([joints for joints, _ in KNOWN.values()])
    assert changed <= 0.005 and reversed_ <= 0.002


@pytest.mark.slow
def test_five_millimetres_of_noise_change_at_most_half_a_percent():
    changed, reversed_ = _changed([make_clip(21, index).joints for index in range(80)])
    assert changed <= 0.005 and reversed_ <= 0.002


def _made(action, seed):
    """The stretch of one drawn event, and the claims that it makes true."""
    rng = np.random.default_rng([5, seed])
    event = MAKERS[action](action, rng, 9.0).moved(0.3)
    joints = play(Program((event,), event.end + 0.4, False, False), draw_person(rng), rng).joints()
    end = event.end + (0.15 if "steps" in event.values else 0.0)
    return joints, measured(joints, FPS).cut(event.start, end), claims_of_event(asdict(event))


NEW = (
    "steps", "steps_back", "step_over", "turn_degrees", "lie_down", "get_up", "lunge", "lean", "stomp", "raise_knee", "kick_side",
    "spread", "salute", "touch_head", "hands_on_hips", "shrug",
)  # fmt: skip


@pytest.mark.parametrize("action", NEW)
def test_what_is_done_is_seen_and_nothing_else_of_its_kind(action):
    decided = 0
    for seed in range(3):
        _, stretch, true = _made(action, seed)
        assert true and all(judge(stretch, claim) is not False for claim in true), action
        decided += judge(stretch, replace(true[0], speed="")) is True
        false = [other for claim in true for _, other in flips(claim) if other not in true]
        assert not [str(other) for other in false if judge(stretch, other) is True]
    assert decided >= 2


@pytest.mark.parametrize("action", ["lunge", "step_over", "salute", "raise_knee"])
def test_mirroring_keeps_the_newer_words_too(action):
    joints, _, _ = _made(action, 1)
    here, there = measured(joints, FPS), measured(mirror(joints), FPS)
    assert [judge(here, claim) for claim in PLAIN] == [judge(there, claim.mirrored()) for claim in PLAIN]


@pytest.mark.parametrize("action", MAKERS)
def test_every_action_and_modifier_of_the_corpus_is_judged_or_listed(action):
    for seed in range(60):
        event = MAKERS[action](action, np.random.default_rng(seed), 9.0)
        claim = claim_of_event(asdict(event))
        assert claim is not None
        assert claim.count == (event.count if WORDS[claim.word].counts else 0) and (event.count == 0 or claim.count)
        for adverb in event.adverbs:
            if adverb in ("slow", "fast"):
                spot = action.startswith("turn")  # where the turn takes no time to speak of
                assert claim.speed or spot or NOT_JUDGED.get((action, "speed")), (action, adverb)
            else:
                assert claim.extent or NOT_JUDGED.get((action, adverb)), (action, adverb)


def test_what_does_not_move_is_a_claim_of_its_own():
    event = {"action": "walk", "adverbs": (), "without": "arms", "values": {}}
    assert claims_of_event(event) == (Claim("walk"), Claim("still", "", "arms"))
    assert ("negation", Claim("still", "", "feet")) in flips(Claim("walk"))
    assert Claim("still", "", "left arm") in [other for _, other in flips(Claim("wave", "left"))]


def test_procedural_motions_do_what_their_program_says():
    right = wrong = 0
    for index in range(60):
        clip = make_clip(11, index)
        whole = measured(clip.joints, FPS)
        for event in clip.meta["program"]["events"]:
            claims = claims_of_event(event)
            end = min(event["end"], clip.meta["program"]["seconds"])
            if end - event["start"] < 1.0:
                continue
            stretch = whole.cut(event["start"], end + (0.15 if "steps" in event["action"] else 0.0))
            answers = [(judge(stretch, claim), True) for claim in claims]
            answers += [(judge(stretch, other), False) for _, other in flips(claims[0]) if other not in claims]
            right += sum(answer is truth for answer, truth in answers)
            wrong += sum(answer is not None and answer is not truth for answer, truth in answers)
    assert right > 200 and wrong <= 0.01 * right


def test_near_misses_are_told_from_the_real_thing():
    asked = ask(near_misses(each=1))
    row = summary(asked)
    assert row["n"] > 30 and row["holds"] >= row["n"] - 1
    assert any(one.name.startswith("almost circle") and not one.truth for one in asked)


def test_order_of_events():
    walk, raised = make.gait(3.0, 1.2), make.raised(0, seconds=3.0)
    there = raised + (walk[-1, :1] - raised[0, :1]) * np.array([1.0, 0.0, 1.0])
    motion = measured(np.concatenate([walk, there]).astype(np.float32), FPS)
    events = ((Claim("walk"),), (Claim("raise", "left"),))
    happened = judge_events(motion, events)
    assert happened.answer is True
    assert len(happened.spans) == 2 and happened.spans[0][1] == happened.spans[1][0] < 4.5
    assert judge_events(motion, events[::-1]).answer is False
    assert judge_events(motion, (events[0], (Claim("raise", "right"),))).answer is False


def test_negation():
    still, waving = measured(make.gait(4.0, 1.2), FPS), measured(make.raised(1, seconds=4.0, swing=0.1), FPS)
    assert judge(still, Claim("still", "", "arms")) is True and judge(still, Claim("still", "", "feet")) is False
    assert (
        judge(waving, Claim("still", "", "right arm")) is False
        and judge(waving, Claim("still", "", "left arm")) is True
    )


def test_a_head_above_the_neck_has_no_yaw_that_could_be_seen():
    joints = make.stand(3.0)
    joints[:, 15] = joints[:, 12] + np.array([0.0, 0.1, 0.0])
    assert judge(measured(joints, FPS), Claim("shake")) in (None, False)
    assert judge(measured(joints, FPS), Claim("look", "", "left")) in (None, False)


def test_too_short_to_tell():
    assert judge(measured(make.gait(0.5, 1.2), FPS), Claim("walk")) is None


@pytest.mark.parametrize(
    "claim",
    [
        Claim("dance"),
        Claim("walk", "left"),
        Claim("walk", count=2),
        Claim("jump", speed="slowly"),
        Claim("bow", degrees=90.0),
    ],
)
def test_unknown_claims_are_refused(claim):
    with pytest.raises(MateError):
        judge(measured(make.stand(1.0), FPS), claim)


def test_every_word_has_claims_and_knows_its_strangers():
    assert {claim.word for claim in PLAIN} >= set(WORDS) - {"still", "straight", "steps"}
    assert Claim("run") in strangers(Claim("backwards")) and Claim("walk") not in strangers(Claim("tiptoe"))


def test_labels_become_claims():
    true, false = claims_of_labels({"going": "walk", "turn": "left", "left_hand": "low", "right_hand": "wave"})
    assert Claim("walk") in true and Claim("turn", "left") in true and Claim("wave", "right") in true
    assert Claim("turn", "right") in false and Claim("raise", "left") in false and not set(true) & set(false)


def test_the_labels_are_many_and_sound(repository):
    lines = (repository / "tests/evaluate/labels.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert len(entries) >= 250
    for entry in entries:
        assert entry["end"] > entry["start"] and set(entry) <= {
            "set",
            "file",
            "start",
            "end",
            "labels",
            "corrected",
            "why",
            "round",
        }
        true, _ = claims_of_labels(entry["labels"])
        assert all(claim.word in WORDS for claim in true)


def test_stretches_that_overlap_count_once():
    def at(file, start, end):
        return Asked("eye", file, Claim("bow"), True, True, place=(file, start, end))

    assert stretches([at("a", 0, 2), at("a", 2, 4), at("a", 0, 9), at("b", 0, 9), at("b", 1, 3)]) == 3


def test_labels_name_counts_and_parts():
    true, false = claims_of_labels(
        {"does": ["steps:forward:3", "still:left arm", "punch:left:1"], "does_not": ["still:arms"]}
    )
    assert {Claim("steps", "", "forward", 3), Claim("still", "", "left arm"), Claim("punch", "left", count=1)} <= set(
        true
    )
    assert {Claim("still", "", "arms"), Claim("punch", "right", count=1)} <= set(false)


def test_rows_of_words_say_what_has_been_validated(tmp_path):
    folder = tmp_path / "set"
    (folder / "new_joints").mkdir(parents=True)
    clips = [make_clip(11, index) for index in range(4)]
    for clip in clips:
        np.save(folder / "new_joints" / f"{clip.name}.npy", clip.joints)
    lines = [json.dumps({"name": clip.name, "split": clip.split, **clip.meta}) for clip in clips]
    (folder / "meta.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asked = ask(procedural(folder, 4, cross=1))
    assert {one.truth for one in asked} == {True, False}
    rows = {row["word"]: row for row in word_rows(asked)}
    assert set(rows) == set(WORDS) and not any(row["validated"] == "validated on real motion" for row in rows.values())
    with pytest.raises(MateError, match="meta.jsonl"):
        list(procedural(tmp_path, 4))
    assert LIMITS.shortest > 0

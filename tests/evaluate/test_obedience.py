"""The judge of facts: on analytic motions, under mirroring and rotation, and on real clips with labels."""

import zipfile

import numpy as np
import pytest
from tests import motions as make

from mate.errors import MateError
from mate.evaluate.obedience import FACTS, judge, judge_all
from mate.evaluate.probes import CONTENTS
from mate.motion.retarget import mirror, resample, retarget_to_canonical, rotate_about_y

FPS = make.FPS


def showing(fact: str, seconds: float) -> np.ndarray:
    """An analytic motion that shows a fact."""
    what, _, side = fact.partition("_")
    if what in ("raise", "wave"):
        hand = {"left_hand": 0, "right_hand": 1, "both_hands": None}[side]
        return make.raised(hand, seconds, swing=0.12 if what == "wave" else 0.0)
    if what == "turn":
        return make.gait(seconds, 1.1, turn=(1 if side == "left" else -1) * (0.7 if seconds < 3 else 1.6))
    if what == "run":
        return make.gait(seconds, 3.0, duty=0.35, cycle=0.7)
    return make.gait(seconds, 1.2 if fact == "walk_forward" else -0.8)


def holding(motion: np.ndarray, fps: float = FPS) -> list[str]:
    return [fact for fact, judged in judge_all(motion, fps).items() if judged.holds]


@pytest.mark.parametrize("seconds", [2.0, 5.0, 9.0])
@pytest.mark.parametrize("fact", FACTS)
def test_a_motion_shows_its_fact_and_no_other(fact, seconds):
    motion = showing(fact, seconds)
    assert holding(motion) == [fact]
    assert judge(motion, FPS, fact).holds is True
    assert judge(motion, FPS, fact).evidence["seconds"] == seconds


@pytest.mark.parametrize("fact", FACTS)
def test_mirroring_swaps_left_and_right(fact):
    image = fact.replace("left", "RIGHT").replace("right", "left").lower()
    assert holding(mirror(showing(fact, 4.0))) == [image]


@pytest.mark.parametrize("fact", FACTS)
def test_place_and_direction_change_nothing(fact):
    moved = rotate_about_y(showing(fact, 4.0), 2.3) + np.array([40.0, 0.0, -7.0], dtype=np.float32)
    assert holding(moved) == [fact]


@pytest.mark.parametrize("fact", FACTS)
def test_the_frame_rate_changes_nothing(fact):
    assert holding(resample(showing(fact, 4.0), FPS, 30.0), 30.0) == [fact]


def test_standing_shows_nothing():
    assert holding(make.stand(5.0)) == []
    swaying = make.stand(5.0)
    swaying[..., 0] += 0.03 * np.sin(np.arange(100) / 10)[:, None]
    assert holding(swaying) == []


def test_in_between_is_neither():
    slant = make.gait(5.0, 1.2)
    slant[..., 0] += np.linspace(0, 2.5, len(slant))[:, None]
    assert holding(slant) == []  # a diagonal walk
    assert holding(make.gait(5.0, 1.2, turn=0.8)) == []  # veers: not straight, not a turn
    assert holding(make.gait(5.0, 2.8, turn=1.6, duty=0.35, cycle=0.7)) == []  # runs round a corner
    half = make.arm(make.raised(0, 4.0), 1, np.full(80, 0.6))
    assert "raise_both_hands" not in holding(half)
    one = make.arm(make.raised(0, 4.0, swing=0.12), 1, np.full(80, 1.8))
    assert holding(one) == []  # both are up, one waves


def test_raising_again_and_again_is_no_wave():
    assert holding(np.concatenate([make.raised(1, 2.0)] * 4)) == ["raise_right_hand"]


def test_a_hand_that_trembles_is_no_wave():
    motion = make.raised(0, 6.0, swing=0.01, hertz=2.0)
    assert holding(motion) == ["raise_left_hand"]


def test_a_low_hand_is_judged_against_the_other_one():
    assert holding(make.raised(0, 4.0, top=0.9)) == ["raise_left_hand"]
    assert holding(make.raised(1, 6.0, top=0.9, swing=0.012, hertz=2.0)) == ["wave_right_hand"]


def test_too_short_to_tell():
    assert {judged.holds for judged in judge_all(make.gait(0.6, 1.2), FPS).values()} == {None}


def test_bad_input_is_refused():
    with pytest.raises(MateError, match="expected one of walk_forward"):
        judge(make.stand(2.0), FPS, "fly")
    broken = make.stand(2.0)
    broken[3, 4, 1] = np.nan
    with pytest.raises(MateError, match="NaN"):
        judge(broken, FPS, "walk_forward")
    with pytest.raises(MateError, match="shape"):
        judge(np.zeros((40, 21, 3)), FPS, "walk_forward")


def test_real_clips_agree_with_their_labels(shared_data):
    """A few even takes for each fact (thresholds were chosen on odd ones); over all clips `mate probe --data` makes the table."""
    archive = shared_data / "bandai-namco.zip"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    from mate.data.bandai_namco import label_error, takes
    from mate.formats.bvh import load_bvh

    facts = {content: fact for fact, contents in CONTENTS.items() for content in contents}
    chosen: dict[str, list] = {fact: [] for fact in FACTS}
    for take in takes(archive):
        if take.content in facts and (take.set == "1" or int(take.number) % 2 == 0):
            chosen[facts[take.content]].append(take)
    agreed, wrong = 0, []
    with zipfile.ZipFile(archive) as file:
        for fact, candidates in chosen.items():
            for take in candidates[:: max(1, len(candidates) // 5)]:
                motion = load_bvh(file.read(take.member), name=take.name)
                joints = retarget_to_canonical(resample(motion.joints, motion.fps, FPS))
                if label_error(take.content, joints) or len(joints) < 0.8 * FPS:
                    continue
                found = holding(joints)
                agreed += found == [fact]
                if found != [fact]:
                    wrong.append((take.name, fact, found))
    assert agreed >= 50
    assert len(wrong) <= 0.03 * (agreed + len(wrong)), wrong
    for _, fact, found in wrong:
        other = {"left": "right", "right": "left"}.get(fact.split("_")[1])
        assert not any(other and name.split("_")[1] == other for name in found)

"""The procedural ceiling: it does what the prompts say, in the time that they give, and nobody else's prompt."""

import numpy as np
import pytest

from mate.errors import MateError
from mate.evaluate.card import to_json
from mate.evaluate.ceiling import WRITERS, Procedural, write_program
from mate.evaluate.judge import Claim, judge, measured
from mate.evaluate.word_probe import made, sample_words, word_card
from mate.evaluate.word_prompts import RUNGS, WordPrompt, packaged_prompts
from mate.motion.skeleton import HUMANML3D

PROMPTS = packaged_prompts()
# Some of every rung, spread evenly.
SOME = [prompt for rung in RUNGS for prompt in [one for one in PROMPTS if one.rung == rung][3::24]]


def procedural(prompts=PROMPTS):
    return Procedural((prompt.text, prompt.events) for prompt in prompts)


@pytest.fixture(scope="module")
def card():
    return word_card(sample_words(procedural(), SOME))


def test_the_ceiling_is_high_and_the_floor_low(card):
    assert card["all"]["rate"] >= 0.97 and card["all"]["cannot_tell"] <= 0.1 * card["all"]["asked"]
    assert card["all"]["chance"] <= 0.12
    assert {row["rung"] for row in card["by_rung"]} == set(RUNGS)


def test_cards_are_the_same_every_time(card):
    assert to_json(word_card(sample_words(procedural(), SOME))) == to_json(card)


def test_every_prompt_has_a_program_that_fits_its_length():
    for number, prompt in enumerate(PROMPTS):
        program = write_program(prompt.events, prompt.seconds, prompt.text, np.random.default_rng(number))
        assert 2.0 <= program.seconds <= prompt.seconds + 0.05, prompt.text
        assert len(program.events) == len(prompt.events)
        ends = [event.end for event in program.events]
        assert all(a <= event.start for a, event in zip(ends, program.events[1:], strict=False))
    assert {word for prompt in PROMPTS for word in prompt.words()} <= {*WRITERS, "still"}


def test_a_motion_depends_on_its_seed_and_number_alone():
    texts, generator = [prompt.text for prompt in PROMPTS[:3]], procedural()
    together = generator.sample(texts, [4.0] * 3, seed=5)
    alone = generator.sample(texts[2:], [4.0], seed=5, numbers=[2])[0]
    np.testing.assert_array_equal(together[2], alone)
    assert not np.array_equal(alone, generator.sample(texts[2:], [4.0], seed=6, numbers=[2])[0])
    bones = np.linalg.norm(alone[:, 1:] - alone[:, list(HUMANML3D.parents[1:])], axis=-1)
    np.testing.assert_allclose(bones, np.broadcast_to(HUMANML3D.bone_lengths[1:], bones.shape), atol=1e-4)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Claim("circle", "left", extent="small"), Claim("circle", "left", extent="big")),
        (Claim("jump", "", "up", count=2), Claim("jump", "", "up", count=3)),
        (Claim("backwards", speed="slowly"), Claim("backwards", speed="quickly")),
        (Claim("kick", "left"), Claim("kick", "right")),
    ],
)
def test_what_is_true_of_one_is_false_of_the_other(first, second):
    generator = Procedural((str(claim), ((claim,),)) for claim in (first, second))
    motions = generator.sample([str(first), str(second)], [8.0, 8.0], seed=1, numbers=[0, 0])
    one, two = (measured(joints, 20.0) for joints in motions)
    assert [judge(one, first), judge(one, second), judge(two, first), judge(two, second)] == [True, False, False, True]


def test_without_leaves_the_arms_alone():
    claims = (Claim("walk"), Claim("still", "", "arms"))
    [joints] = Procedural([("still arms", (claims,))]).sample(["still arms"], [4.0])
    assert judge(measured(joints, 20.0), claims[1]) is True
    [swings] = Procedural([("walks", (claims[:1],))]).sample(["walks"], [4.0])
    assert judge(measured(swings, 20.0), claims[1]) is not True


def test_what_it_was_not_told_is_refused():
    with pytest.raises(MateError, match="no known events"):
        procedural().sample(["a cat sleeps"])
    for events in (((Claim("stop"),),), ((Claim("walk"), Claim("clap"), Claim("nod")),)):
        with pytest.raises(MateError, match="no procedural motion"):
            Procedural([("x", events)]).sample(["x"])


@pytest.mark.slow
def test_the_whole_ceiling_stands_on_every_rung():
    card = word_card(sample_words(procedural()))
    low = [row for row in card["by_rung"] if row["rate"] < 0.97]
    assert not low and card["all"]["rate"] >= 0.97


def test_a_prompt_of_ones_own():
    own = WordPrompt("claps, bows", "order of two", ((Claim("clap", count=3),), (Claim("bow"),)), 6.0)
    [joints] = procedural([own]).sample([own.text], [own.seconds])
    assert word_card([made(own, joints)])["all"]["rate"] == 1.0

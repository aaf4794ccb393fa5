"""The generator probe's prompts and table, and the flip test."""

import json

import numpy as np
import pytest
from tests import motions as make

from mate.cli.app import main
from mate.errors import MateError
from mate.evaluate import flip
from mate.evaluate.judge import Claim, measured
from mate.evaluate.word_probe import Made, made, match_words, obeys, shuffled, to_markdown, word_card
from mate.evaluate.word_prompts import RUNGS, WordPrompt, build_word_prompts, packaged_prompts, word_prompts_hash
from mate.formats.save import save_motion
from mate.motion.motion import Motion
from mate.text.subtexts import split


def test_the_prompts_are_many_on_every_rung_and_frozen():
    prompts = packaged_prompts()
    assert len(prompts) >= 1000 and len({prompt.text for prompt in prompts}) == len(prompts)
    assert {prompt.rung for prompt in prompts} == set(RUNGS)
    assert min(sum(prompt.rung == rung for prompt in prompts) for rung in RUNGS) >= 30
    assert word_prompts_hash(prompts).startswith("d86a56704ec7")


def test_the_builder_still_makes_the_packaged_prompts():
    assert build_word_prompts() == packaged_prompts()


def test_left_and_right_are_asked_for_alike():
    sides = [claim.side or claim.where for p in packaged_prompts() for event in p.events for claim in event]
    left, right = sides.count("left"), sides.count("right")
    assert abs(left - right) <= 0.1 * (left + right)


WALK, LEFT = (
    WordPrompt("w", "action", ((Claim("walk"),),), 3.0),
    WordPrompt("l", "action", ((Claim("raise", "left"),),), 3.0),
)


def test_a_card_counts_and_knows_chance():
    walk, raised = make.gait(3.0, 1.2), make.raised(0)
    good = [made(prompt, joints) for prompt, joints in ((WALK, walk), (LEFT, raised))]
    card = word_card(good)
    assert card["all"]["rate"] == 1.0 and card["all"]["chance"] == 0.0 and card["by_rung"][0]["state"] == "saturated"
    swapped = word_card([made(WALK, raised), made(LEFT, walk)])
    assert swapped["all"]["rate"] == 0.0 and swapped["by_rung"][0]["state"] == "unsolved"
    assert "| action |" in to_markdown(card) and json.dumps(card)
    assert obeys(WALK, good[0].tracks) is True
    with pytest.raises(MateError, match="no motions"):
        word_card([])


def test_the_shuffle_is_the_same_in_every_process():
    """Nothing in it may hang on the order of a set, which differs from process to process."""
    tracks = measured(make.stand(1.0), 20.0)
    motions = [Made(prompt, tracks) for prompt in packaged_prompts()[::60]]
    assert shuffled(motions) == [2, 2, 1, 3, 4, 5, 7, 6, 8, 10, 9, 9, 13, 12, 14, 16, 15, 17]


def test_foreign_texts_are_told(tmp_path):
    texts = [prompt.text for prompt in packaged_prompts()[:4]]
    assert match_words(["a cat sleeps"]) is None
    with pytest.raises(MateError, match="line 5"):
        match_words([*texts, "a cat sleeps"])


def test_a_folder_of_joints_features_and_bvh(tmp_path, capsys):
    made_, prompts = tmp_path / "made", tmp_path / "prompts.txt"
    made_.mkdir()
    by_word = {prompt.words()[0]: prompt for prompt in reversed(packaged_prompts()) if prompt.rung == "action"}
    texts = [by_word[word].text for word in ("walk", "stand", "backwards")]
    prompts.write_text("\n".join(texts), encoding="utf-8")
    np.save(made_ / "0000.npy", make.gait(4.0, 1.2))
    np.save(made_ / "0001.npy", np.repeat(make.stand(4.0)[:1], 80, axis=0))
    save_motion(Motion(make.gait(4.0, -0.8), fps=20.0, name="back"), made_ / "0002.bvh")
    assert main(["probe", "--motions", str(made_), "--prompts", str(prompts), "--words", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["protocol"] == "mate-words-1" and [one["answer"] for one in card["answers"]] == [True, True, True]
    (made_ / "0001.npy").unlink()
    assert main(["probe", "--motions", str(made_), "--prompts", str(prompts), "--words"]) == 2
    assert "0001" in capsys.readouterr().err


def test_the_prompts_are_written(tmp_path, capsys):
    target = tmp_path / "prompts.txt"
    assert main(["probe", "--words", "--write-prompts", str(target)]) == 0
    assert len(target.read_text(encoding="utf-8").splitlines()) == len(packaged_prompts())


class _Obedient:
    """Raises and waves the hand that the text names, and stands still for everything else."""

    def sample(self, texts, seconds=None, seed=0, *, numbers=None):
        lengths = seconds or [4.0] * len(texts)
        found = []
        for text, length in zip(texts, lengths, strict=True):
            side = 0 if "left" in text else 1
            swing = 0.1 if "waves" in text else 0.0
            found.append(make.raised(side, length, swing=swing) if " the " in text else make.stand(length))
        return found


def test_the_flip_test_sees_what_changes_and_what_stays():
    pairs = [
        one for one in flip.flips_of_probe() if one.respect == "side" and one.first.split()[2] in ("raises", "waves")
    ]
    card = flip.flip_card(_Obedient(), pairs, seeds=2)
    [row] = card["by_respect"]
    assert row["changed"]["rate"] == 1.0 and row["changed_and_only_that"]["rate"] == 1.0
    assert {one["measure"] for one in row["kept_between_seeds"]} == set(pairs[0].keeps)
    assert "| side |" in flip.to_markdown(card) and card["seeds"] == [0, 1]


def test_who_ignores_the_word_changes_nothing():
    class Deaf(_Obedient):
        def sample(self, texts, seconds=None, seed=0, *, numbers=None):
            return super().sample(["a person raises the left hand"] * len(texts), seconds, seed)

    pairs = [one for one in flip.flips_of_probe() if one.respect == "side"]
    card = flip.flip_card(Deaf(), pairs, seeds=1)
    assert card["all"]["changed"]["rate"] == 0.0 and card["all"]["kept"][0]["rate"] == 1.0
    assert "kept_between_seeds" in card["all"] and not card["all"]["kept_between_seeds"]


def test_the_ceiling_of_the_flip_test_changes_one_thing():
    wanted = {"walks in a circle clockwise", "raises the left hand", "bows twice", "claps the hands before bowing"}
    pairs = [one for one in flip.flips_of_probe() if any(text in one.first for text in wanted)]
    assert {one.respect for one in pairs} == {"sense", "side", "count", "order", "speed"}
    card = flip.flip_card(flip.procedural(), pairs, seeds=2)
    assert card["all"]["changed"]["rate"] == 1.0 and card["all"]["only_that"]["rate"] >= 0.9


def test_flip_cards_side_by_side():
    pairs = [one for one in flip.flips_of_probe() if one.respect == "side" and "hand" in one.first]
    card, fewer = flip.flip_card(_Obedient(), pairs, seeds=1), flip.flip_card(_Obedient(), pairs[:1], seeds=1)
    rows = flip.flip_rows({"a": card, "b": card})
    assert [row["name"] for row in rows["rows"]] == ["a", "b"] and "| both | a | b |" in flip.to_markdown(rows)
    with pytest.raises(MateError, match="not asked the same"):
        flip.flip_rows({"a": card, "b": fewer})
    with pytest.raises(MateError, match="at least two"):
        flip.flip_rows({"a": card})


def test_a_circle_that_grows_with_its_speed_is_entangled():
    small, big = make.gait(6.0, 0.7, turn=2 * np.pi), make.gait(6.0, 1.8, turn=2 * np.pi)
    [pair, *_] = [one for one in flip.flips_of_probe() if one.respect == "speed" and "radius" in one.keeps]
    outcome = flip.compare(pair, small, big)
    assert not outcome.kept["radius"] and outcome.kept["posture"]


def test_pairs_differ_in_one_place():
    for one in flip.flips_of_probe():
        first, second = one.first.split(), one.second.split()
        changed = len([a for a, b in zip(first, second, strict=False) if a != b]) + abs(len(first) - len(second))
        assert 1 <= changed <= 2 and one.events[0] != one.events[1]
        assert set(one.keeps) <= set(flip.MEASURES)
    assert {one.respect for one in flip.flips_of_probe()} == set(flip.RESPECTS)


def test_the_splitter_finds_the_events_of_every_order_prompt() -> None:
    """What docs/probes.md says of the 340 prompts of several events."""
    several = [prompt for prompt in packaged_prompts() if len(prompt.events) > 1]
    assert len(several) == 340
    assert all(len(split(prompt.text)) == len(prompt.events) for prompt in several)

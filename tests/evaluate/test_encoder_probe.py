"""The encoder probe: minimal pairs, their truth, and cards of encoders on them."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mate.cli.app import main
from mate.data.captions import words
from mate.data.dataset import MotionTextDataset
from mate.data.kinwords import make_clip, split_of
from mate.data.wordings import generator
from mate.errors import MateError
from mate.evaluate.encoder_probe import bootstrap, encoder_card, foreign_clips, outcomes, places, retrieval, to_markdown
from mate.evaluate.encoders import aligner_encoders, callable_encoder, open_encoders
from mate.evaluate.minimal_pairs import (
    FACTS,
    MinimalPair,
    PairSet,
    alike,
    deciding_words,
    make_pairs,
    one_word_apart,
    pairs_for_words,
)
from mate.evaluate.minimal_pairs_kinwords import ProgramMakers, flips, tell, true_of
from mate.evaluate.opposites import PARTS

CONTENTS = (
    "walk", "run", "walk-turn-left", "walk-turn-right", "raise-up-left-hand", "raise-up-right-hand", "raise-up-both-hands",
    "wave-left-hand", "wave-right-hand", "wave-both-hands",
)  # fmt: skip
NUMBERS = {"once": 1, "one": 1, "twice": 2, "two": 2, "three": 3, "four": 4, "five": 5}


def write_set(folder: Path, clips: list[dict], captions: list[list[tuple[str, str]]]) -> Path:
    """A set in HumanML3D's layout whose features hold nothing but the number of the clip. `captions`: (text, kind)."""
    for name in ("new_joint_vecs", "new_joints", "texts"):
        (folder / name).mkdir(parents=True)
    names = [f"clip{number:04d}" for number in range(len(clips))]
    for number, (name, said) in enumerate(zip(names, captions, strict=True)):
        np.save(folder / "new_joint_vecs" / f"{name}.npy", np.full((24, 263), number, dtype=np.float32))
        np.save(folder / "new_joints" / f"{name}.npy", np.full((25, 22, 3), number, dtype=np.float32))
        (folder / "texts" / f"{name}.txt").write_text("".join(f"{text}##0.0#0.0\n" for text, _ in said))
    lines = [
        {"name": name, "license": "none", **facts, "caption_kinds": [kind for _, kind in said]}
        for name, facts, said in zip(names, clips, captions, strict=True)
    ]
    (folder / "meta.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for split in ("train", "test"):
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    np.save(folder / "Mean.npy", np.zeros(263, dtype=np.float32))
    np.save(folder / "Std.npy", np.ones(263, dtype=np.float32))
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test clips of kinwords: their programs and captions."""
    numbers = [n for n in range(900) if split_of(5, n)[0] == "test"]
    made = [make_clip(5, n) for n in numbers]
    captions = [
        [(caption.text, kind) for caption, kind in zip(clip.captions, clip.meta["caption_kinds"], strict=True)]
        for clip in made
    ]
    keep = ("source", "program", "content")
    clips = [{key: clip.meta[key] for key in keep} for clip in made]
    return write_set(tmp_path_factory.mktemp("programs") / "kinwords", clips, captions)


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Joined clips, as meta.jsonl describes them."""
    rng = np.random.default_rng(0)
    clips = []
    for _ in range(60):
        shown: list[str] = []
        while len(shown) < int(rng.integers(1, 5)):
            shown += [one for one in [str(rng.choice(CONTENTS))] if one not in shown[-1:]]
        clips.append({"source": "joined", "contents": shown})
    said = [[(f"somebody does {' '.join(clip['contents'])}", "seen"), ("somebody moves", "unseen")] for clip in clips]
    return write_set(tmp_path_factory.mktemp("contents") / "joined", clips, said)


@pytest.fixture(scope="session")
def of_programs(programs: Path) -> PairSet:
    return make_pairs(programs)


@pytest.fixture(scope="session")
def of_contents(contents: Path) -> PairSet:
    return make_pairs(contents)


@pytest.fixture
def both(of_programs: PairSet, of_contents: PairSet) -> tuple[PairSet, PairSet]:
    return of_programs, of_contents


def program_of(pair: MinimalPair, dataset: MotionTextDataset) -> list[dict]:
    """The events of the clip, those that happen at the same time beside each other."""
    events = dataset.meta[pair.index]["program"]["events"]
    return [one for event in events for one in (event, event["meanwhile"]) if one is not None]


# Pairs


def test_there_are_pairs_of_every_fact_and_wording(both):
    programs, contents = (Counter((pair.fact, pair.wording) for pair in one.pairs) for one in both)
    kinwords = set(FACTS) - {"synonym", "word"}
    assert set(programs) == {(fact, wording) for fact in kinwords for wording in ("seen", "unseen")}
    assert {fact for fact, _ in contents} == {"side", "action", "synonym", "order"}
    assert {pair.events for one in both for pair in one.pairs} == {1, 2, 3, 4}
    assert {pair.frequency for pair in both[0].pairs} == {"frequent", "rare"}
    denied = [pair.denies for pair in both[0].pairs if pair.fact == "negation"]
    assert sum(denied) == len(denied) / 2 >= 4


def test_pairs_are_the_same_again_and_another_seed_makes_others(programs, of_programs):
    assert make_pairs(programs).sha256 == of_programs.sha256
    assert make_pairs(programs, seed=1).sha256 != of_programs.sha256
    few = Counter(pair.rung for pair in make_pairs(programs, each=2).pairs)
    assert max(few.values()) == 2


@pytest.mark.parametrize("wording", ["seen", "unseen"])
def test_every_flip_is_false_of_its_motion_by_the_program(of_programs, wording):
    makers = ProgramMakers(of_programs.dataset)
    seen = Counter()
    for number, events in enumerate(makers.events):
        for draw in range(3):
            rng = generator("test", number, draw)
            for fact, right, wrong, _ in flips(tell(events, wording, rng), events, wording, rng):
                if fact == "part":  # in wordings of two actions, see the next test
                    assert right.text != wrong.text
                elif fact == "negation":
                    assert [s.still[0] for _, p in wrong.events for s in p] != [
                        s.still[0] for _, p in right.events for s in p
                    ]
                else:
                    assert true_of(right, events), (right.text, events)
                    assert not true_of(wrong, events), (wrong.text, events)
                seen[fact] += 1
    assert len(seen) == 9


def test_a_body_part_is_as_often_right_as_wrong():
    for rows in PARTS:
        for concept, own, other in rows:
            [counterpart] = [name for name, *wordings in rows if wordings == [other, own]]
            assert counterpart != concept


def between(pair: MinimalPair) -> tuple[list[str], list[str]]:
    """What is left of both captions without their common beginning and end."""
    right, wrong = ([word.text for word in words(text)] for text in (pair.right, pair.wrong))
    while right and wrong and right[0] == wrong[0]:
        right, wrong = right[1:], wrong[1:]
    while right and wrong and right[-1] == wrong[-1]:
        right, wrong = right[:-1], wrong[:-1]
    return right, wrong


def test_captions_differ_in_one_place_or_in_the_order(both):
    for pair in (pair for one in both for pair in one.pairs):
        assert pair.right != pair.wrong and not re.search(r"[{}\[\]]|  ", pair.right + pair.wrong)
        if pair.fact != "order":
            right, wrong = between(pair)
            assert max(len(right), len(wrong)) <= (6 if pair.fact == "extent" else 4), pair
        else:
            letters = [Counter(word.text[:3] for word in words(text)) for text in (pair.right, pair.wrong)]
            assert sum((letters[0] - letters[1]).values()) <= 2, pair  # a verb may have another form


def test_deciding_words_say_what_the_program_says(of_programs):
    """Read from meta.jsonl alone, for captions of one event."""
    checked = Counter()
    for pair in (pair for pair in of_programs.pairs if pair.events == 1):
        events = program_of(pair, of_programs.dataset)
        [right, wrong] = pair.deciding
        if pair.fact == "side":
            assert {*right} <= {event["side"] for event in events} and {*right, *wrong} == {"left", "right"}
        elif pair.fact == "sense":
            assert ("clockwise" in right) == any(event["side"] == "right" for event in events) != ("clockwise" in wrong)
        elif pair.fact == "count":
            [said] = {NUMBERS[word] for word in right if word in NUMBERS}
            [other] = {NUMBERS[word] for word in wrong if word in NUMBERS}
            assert said in {event["count"] for event in events} and other != said
        elif pair.fact == "speed":
            slow = bool({*right} & {"slowly", "slow", "unhurriedly"})
            assert slow == any("slow" in event["adverbs"] for event in events)
            assert slow != any("fast" in event["adverbs"] for event in events)
        elif pair.fact == "negation":
            denial = r"without|still|motionless|at rest|in place"
            assert pair.denies == any(event["without"] not in ("", "head") for event in events)
            assert bool(re.search(denial, pair.right)) == pair.denies != bool(re.search(denial, pair.wrong))
        else:
            continue
        checked[pair.fact] += 1
    assert min(checked[fact] for fact in ("side", "sense", "count", "speed", "negation")) >= 4


def test_pairs_of_real_clips_are_false_of_their_contents(of_contents):
    for pair in of_contents.pairs:
        shown = of_contents.dataset.meta[pair.index]["contents"]
        assert len(shown) == pair.events
        [right, wrong] = pair.deciding
        if pair.fact == "side":
            side = right[0][:4] if right[0].startswith("left") else right[0][:5]
            assert any(side in content for content in shown) and {word[:4] for word in right + wrong} == {
                "left",
                "righ"[:4],
            }
        if pair.fact in ("action", "synonym"):
            assert len(right) == len(wrong) == 1


def test_order_is_not_asked_of_contents_that_one_caption_fits(of_contents):
    assert alike("walk", "walk-turn-left") and alike("run", "dash") and not alike("walk", "run")
    for pair in (pair for pair in of_contents.pairs if pair.fact == "order" and pair.events == 2):
        assert not alike(*of_contents.dataset.meta[pair.index]["contents"])


def test_wordings_one_word_apart():
    found = one_word_apart({"walk": ["walks forward", "goes"], "run": ["runs forward", "walks forward", "goes by"]})
    assert found == {
        "walk": [("walks forward", "run", "runs forward")],
        "run": [("runs forward", "walk", "walks forward")],
    }


def test_pairs_that_a_word_decides(contents, programs):
    found = pairs_for_words(["waves", "jog"], contents, each=10)
    assert {pair.word for pair in found.pairs} == {"waves", "jog"} and max(
        Counter(p.word for p in found.pairs).values()
    ) <= 10
    for pair in found.pairs:
        assert any(word.startswith(pair.word[:3]) for own in pair.deciding for word in own)
    rights = [any(word.startswith("wav") for word in p.deciding[0]) for p in found.pairs if p.word == "waves"]
    assert sum(rights) == len(rights) / 2
    with pytest.raises(MateError, match="none of perambulated, yodel"):
        pairs_for_words(["perambulated", "yodel"], programs)
    listed = deciding_words(programs, clips=1, pairs=3)
    assert listed and all(clips >= 1 and pairs >= 3 for _, clips, pairs in listed)


def test_a_set_that_knows_nothing_is_refused(tmp_path):
    folder = write_set(tmp_path / "set", [{}], [[("somebody walks", "seen")]])
    with pytest.raises(MateError, match="no programs and no known contents"):
        make_pairs(folder)


# Encoders


def oracle(pair_set: PairSet):
    """Embeddings of an encoder that has been told everything."""

    def encode(motions, texts):
        true = {(pair.index, pair.right) for pair in pair_set.pairs}
        return np.array([[1.0 if (int(motion.flat[0]), text) in true else 0.0 for text in texts] for motion in motions])

    return encode


def test_an_oracle_gets_all_a_constant_half_and_foreign_motions_chance(of_programs, of_contents):
    for one in (of_programs, of_contents):
        own, floor = outcomes(callable_encoder(oracle(one), "oracle"), one)
        assert own.mean() == 1.0 and 0.4 < floor.mean() < 0.6
        own, floor = outcomes(
            callable_encoder(lambda m, t: (np.ones((len(m), 3)), np.ones((len(t), 3))), "constant"), one
        )
        assert own.mean() == floor.mean() == 0.5
        clips = foreign_clips(one)
        assert all(clip != pair.index for clip, pair in zip(clips, one.pairs, strict=True))
        assert clips == foreign_clips(one) and clips != foreign_clips(one, seed=1)


def test_a_card_counts_compares_and_is_the_same_again(programs, contents):
    of_programs, of_contents = (make_pairs(folder, each=6) for folder in (programs, contents))
    random = callable_encoder(lambda m, t: np.random.default_rng(0).normal(size=(len(m), len(t))), "random")
    sets = [of_programs, of_contents]
    knows = callable_encoder(lambda m, t: oracle(of_programs)(m, t) + oracle(of_contents)(m, t), "oracle")
    card = encoder_card([random, knows], sets)
    assert card == encoder_card([random, knows], sets)
    first, second = card["encoders"]
    assert second["all"]["rate"] > 0.95 > 0.6 > first["all"]["rate"] > 0.4 and first["all"]["state"] == "unsolved"
    assert sum(row["n"] for row in first["by_rung"]) == card["pairs"] == len(first["outcomes"])
    [change] = card["differences"]
    assert change["all"]["low"] <= change["all"]["difference"] <= change["all"]["high"] and change["all"]["low"] > 0.3
    assert {row["set"] for row in first["by_rung"]} == {"kinwords", "joined"}
    text = to_markdown(card)
    assert "saturated" in text and "unsolved" in text and "2 - 1" in text and "motion to text" in text


def test_a_bootstrap_draws_clips_not_pairs():
    difference = np.tile([1.0, -1.0], 50)
    alone = bootstrap(difference, np.arange(100))
    together = bootstrap(difference, np.tile([0, 1], 50))
    assert alone["difference"] == together["difference"] == 0.0
    assert together["high"] == 1.0 and alone["high"] < 0.3


def test_places_are_those_of_retrieval_where_only_the_own_counts():
    from mate.evaluate.retrieval import ranks

    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 6, size=(20, 20)).astype(float)  # with ties
    own = np.eye(20, dtype=bool)
    assert (places(similarity, own) == ranks(similarity)).all()
    assert (places(similarity, own | (rng.random((20, 20)) < 0.2)) <= ranks(similarity)).all()


def test_retrieval_counts_clips_that_show_the_same(of_contents):
    dataset = of_contents.dataset

    def by_content(motions, texts):
        shown = ["somebody does " + " ".join(dataset.meta[int(motion.flat[0])]["contents"]) for motion in motions]
        return np.array([[float(own == text) for text in texts] for own in shown])

    [row, unseen] = retrieval(callable_encoder(by_content, "x"), of_contents)
    assert (row["wording"], row["pool"]) == ("seen", len(dataset)) and unseen["wording"] == "unseen"
    assert row["text_to_motion content"]["R@1"] == (100.0, 0.0) and row["motion_to_text content"]["MedR"] == (1.0, 0.0)
    assert row["text_to_motion exact"]["R@1"][0] < 100.0
    assert unseen["text_to_motion content"]["R@1"][0] == 100.0  # all have the same caption


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda m, t: np.zeros((len(m), 1)), "expected embeddings"),
        (lambda m, t: (np.zeros((len(m), 2)), np.zeros((len(t), 3))), "got arrays of shapes"),
        (lambda m, t: np.full((len(m), len(t)), np.nan), "finite"),
    ],
)
def test_answers_of_no_use_are_told(of_contents, answer, reason):
    with pytest.raises(MateError, match=reason):
        outcomes(callable_encoder(answer, "mine"), of_contents)


def reads_joints(motions, texts):
    """An encoder for `package.module:function`."""
    assert motions[0].shape[1:] == (22, 3)
    return np.ones((len(motions), 2)), np.ones((len(texts), 2))


reads_joints.reads = "joints"  # pyright: ignore[reportFunctionMemberAccess]


def test_functions_are_named_on_the_command_line(contents, tmp_path, capsys):
    card = tmp_path / "card.json"
    call = ["probe", "--encoder", f"{__name__}:reads_joints", "--data", str(contents)]
    assert main([*call, "--each", "3", "-o", str(card), "--no-retrieval"]) == 0
    written = json.loads(card.read_text())
    assert written["encoders"][0]["all"]["rate"] == 0.5 and "retrieval" not in written["encoders"][0]
    assert "mate-pairs-1" in capsys.readouterr().out
    assert main([*call, "--deciding", "jogs", "--json", "--no-retrieval"]) == 0
    assert [row["word"] for row in json.loads(capsys.readouterr().out)["encoders"][0]["by_word"]] == ["jogs"]
    for wrong, reason in (
        (["--encoder", "no.such:thing", "--data", str(contents)], "no.such:thing"),
        (["--encoder", f"{__name__}:NUMBERS", "--data", str(contents)], "expected a function"),
        (call[1:3], "--data DIR"),
        ([*call[1:], "--model", "default"], "expected one of them"),
    ):
        assert main(["probe", *wrong]) == 2
        assert reason in capsys.readouterr().err


def test_the_packaged_model_scores_as_mate_score_does(of_contents):
    rng = np.random.default_rng(0)
    motions = [rng.normal(size=(frames, 263)).astype(np.float32) for frames in (40, 64)]
    texts = ["a person walks", "a person walks, then sits", "a person waves and then jumps"]
    pairs = np.array([(0, 0), (1, 1), (0, 2), (1, 0), (1, 1)])
    scorings = ("localized", "sentence")
    for encoder, scoring in zip(aligner_encoders("retrieval", scorings), scorings, strict=True):
        found = encoder.asked(motions, texts, pairs)
        aligner = encoder.asked.args[0]  # pyright: ignore[reportFunctionMemberAccess]
        scored = [aligner.score(motions[motion], texts, scoring)[text] for motion, text in pairs]
        np.testing.assert_allclose(found, scored, atol=1e-5)
    with pytest.raises(MateError, match="expected localized or sentence"):
        open_encoders("retrieval", ["both"])  # pyright: ignore[reportArgumentType]

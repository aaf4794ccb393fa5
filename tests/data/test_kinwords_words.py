"""kinwords: captions, the frames and joints of their words, splits and mirror images. The motions are in test_kinwords.py."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mate.data.build import build_dataset, write_dataset
from mate.data.captions import words as split_words
from mate.data.dataset import Sample, mirrored, open_dataset
from mate.data.kinwords import CONCEPTS, HELD_OUT, kinwords, kinwords_source, make_clip, split_of
from mate.data.kinwords.actions import MAKERS
from mate.data.kinwords.body import BALL_HEIGHT
from mate.data.kinwords.grammar import (
    NEGATIONS,
    NEGATIONS_UNSEEN,
    SUBJECTS_UNSEEN,
    Phrase,
    held_out_in,
    ing,
    third,
    training_wordings,
    vocabulary,
)
from mate.data.kinwords.grammar import caption as write_caption
from mate.data.kinwords.program import (
    ALONE,
    COMMON,
    CORE,
    RARE,
    SUBSETS,
    combinations,
    draw_program,
    held_out,
    held_out_pair,
)
from mate.data.kinwords.words import JOINTS
from mate.data.wordings import wordings
from mate.motion.retarget import mirror


@pytest.fixture(scope="module")
def clips() -> list[Sample]:
    return list(kinwords(400, seed=4))


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
            first, end = word["frames"]
            assert (
                0 <= first < end <= len(s.joints)
                and abs(first / 20 - word["start"]) < 0.026
                and abs(end / 20 - word["end"]) < 0.026
            )


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
    assert 0.74 < share["train"] < 0.86 and 0.02 < share["val"] < 0.09 and 0.1 < share["test"] < 0.2
    for s in clips:
        wanted = {"": ["seen"] * 3, "wordings": ["unseen"] * 2}.get(s.meta.get("subset", ""), ["seen", "unseen"])
        assert s.meta["caption_kinds"] == wanted
        assert ("subset" in s.meta) == (s.split == "test")


def test_vocabulary_is_wide() -> None:
    assert set(MAKERS) == set(CONCEPTS)
    assert all(len(concept.seen) >= 6 and len(concept.unseen) >= 2 for concept in CONCEPTS.values())
    assert all(len(set(c.seen)) == len(c.seen) and len(set(c.unseen)) == len(c.unseen) for c in CONCEPTS.values())
    heads = {
        verb for concept in CONCEPTS.values() for wording in concept.seen for verb in re.findall(r"\[(\w+)\]", wording)
    }
    assert len(heads) >= 60
    assert len(CONCEPTS) >= 70
    table = vocabulary()
    assert len(table["training"]) >= 200 and len(table["held out"]) >= 60
    assert not set(table["training"]) & set(table["held out"])


def test_test_subsets_hold_what_training_does_not(clips: list[Sample]) -> None:
    by = Counter(s.meta.get("subset", s.split) for s in clips)
    assert set(by) == {"train", "val", *SUBSETS}
    for s in clips:
        actions = {e["action"] for e in s.meta["program"]["events"]}
        if s.meta.get("subset") == "rare":
            assert actions <= set(RARE) and len(actions) == 1
    rare = sum(bool(set(s.meta["content"].split("+")) & set(RARE)) for s in clips if s.split == "train")
    assert rare / by["train"] < 0.05


def test_held_out_combinations() -> None:
    for i in range(60):
        rng = np.random.default_rng([12, i])
        assert not held_out(draw_program(rng))
        assert held_out(draw_program(rng, "combinations"))
    pairs = [("then", a, b) for a in ALONE for b in ALONE]
    share = np.mean([held_out_pair(*pair) for pair in pairs])
    assert 0.08 < share < 0.14
    assert not any(held_out_pair("adverb", action, adverb) for action in CORE for adverb in ("slow", "fast"))
    # Each half of a held-out combination is known from others.
    shown: set[tuple[str, str]] = set()
    for i in range(1500):
        for kind, action, other in combinations(draw_program(np.random.default_rng([13, i]))):
            shown |= {(kind, action), (kind, other)}
    missing = [a for a in {**CORE, **COMMON} if ("then", a) not in shown and a != "sit_still"]
    assert missing == []


def test_splits_do_not_depend_on_the_number_of_clips() -> None:
    assert [split_of(0, i) for i in range(4)] == [split_of(0, i) for i in range(4)]
    shares = Counter(split_of(7, i) for i in range(4000))
    assert abs(shares["train", ""] / 4000 - 0.8) < 0.03
    assert abs(shares["test", "standard"] / 4000 - 0.075) < 0.015
    for subset in SUBSETS[1:]:
        assert abs(shares["test", subset] / 4000 - 0.025) < 0.01


def test_a_prepared_set_lists_the_subsets(clips: list[Sample], tmp_path: Path) -> None:
    folder = tmp_path / "kinwords"
    write_dataset(clips[:60], folder, name="kinwords", license="Apache-2.0")
    listed = [
        name
        for subset in SUBSETS
        if (folder / f"test_{subset}.txt").exists()
        for name in (folder / f"test_{subset}.txt").read_text().split()
    ]
    assert sorted(listed) == sorted((folder / "test.txt").read_text().split())
    kinds = {s.name: s.meta["caption_kinds"] for s in clips}
    subset = open_dataset(folder, "test_standard")
    assert len(subset) and all(len(subset.captions[i]) == len(kinds[name]) for i, name in enumerate(subset.names))
    description = json.loads((folder / "dataset.json").read_text())
    assert sum(description["subsets"].values()) == description["clips"]["test"]


def test_words_of_what_does_not_move_are_about_that_part(clips: list[Sample]) -> None:
    regions = {"arms": "arm", "head": "head", "feet": "foot", "left arm": "left arm", "right arm": "right arm"}
    seen = set()
    for s in clips:
        events = s.meta["program"]["events"]
        if len(events) > 1 or not events[0]["without"]:
            continue
        wanted = JOINTS[regions[events[0]["without"]]]
        for number, caption in enumerate(s.captions):
            texts = [text for group in (*NEGATIONS.values(), *NEGATIONS_UNSEEN.values()) for text in group]
            texts = [text.replace("{part}", events[0]["without"]) for text in texts]
            said = max((text for text in texts if text in caption.text), key=len)
            start = caption.text.index(said)
            # Every word of the phrase is about the part that does not move.
            inside = {i for i, w in enumerate(split_words(caption.text)) if start <= w.start < start + len(said)}
            own = [w for w in s.meta["words"] if w["caption"] == number and w["index"] in inside]
            assert own and all(set(w["joints"]) <= set(wanted) for w in own), (caption.text, own)
            seen.add(events[0]["without"].split()[-1])
    assert {"arms", "feet", "head", "arm"} == seen


def test_order_of_events_in_captions_and_words(clips: list[Sample]) -> None:
    """Whatever the order of a caption's clauses ("after", "before"), the words carry the time of their own event."""
    checked = 0
    for s in clips:
        events = s.meta["program"]["events"]
        if len(events) != 2 or {events[0]["action"], events[1]["action"]} & {"stop", "stand"}:
            continue
        for number, caption in enumerate(s.captions):
            own = [w for w in s.meta["words"] if w["caption"] == number]
            first = min(own, key=lambda w: w["index"])
            low = caption.text.lower()
            later_first = low.startswith("before ") or (
                " after " in low and not low.startswith("after ") and "after that" not in low
            )
            assert (first["start"] > events[0]["end"] - 1e-2) == later_first, caption.text
            checked += 1
    assert checked > 100


def test_mirror_images_are_consistent(clips: list[Sample]) -> None:
    swap = {"left": "right", "right": "left"}
    for s in clips[:200]:
        m = mirrored(s)
        for mine, other in zip(s.meta["program"]["events"], m.meta["program"]["events"], strict=True):
            assert other["side"] == swap.get(mine["side"], mine["side"])
            assert other["without"].split()[0:1] == [swap.get(w, w) for w in mine["without"].split()[0:1]]
            for a, b in zip(mine["values"].get("legs", []), other["values"].get("legs", []), strict=True):
                assert b[1] == a[1] and b[2] == -a[2] and b[3] == -a[3]
        for word in m.meta["words"]:
            assert split_words(m.captions[word["caption"]].text)[word["index"]].text == word["word"]
        for text, image in zip(s.captions, m.captions, strict=True):
            words, images = (
                Counter(w.text for w in split_words(c.text.replace("right angle", ""))) for c in (text, image)
            )
            assert (
                words["left"] == images["right"]
                and words["clockwise"] == images["anticlockwise"] + images["counterclockwise"]
            )
        twice = mirrored(m)
        one_name = json.dumps(s.meta["program"]).replace("counterclockwise", "anticlockwise")  # two names of one sense
        assert twice.meta["program"] == json.loads(one_name)


def test_a_mirrored_clip_is_solved_anew() -> None:
    for i in range(40):
        clip, image = make_clip(4, i), make_clip(4, i, mirror=True)
        assert image.name == f"M{clip.name}" and image.captions == mirrored(clip).captions
        swapped = mirror(clip.joints)
        # Left and right bones differ by up to a centimetre, so the images differ by a little more; the footprints do not.
        assert np.abs(swapped - image.joints).max() < 0.06, clip.meta["content"]
        for foot in (10, 11):
            assert np.abs(swapped[:, foot, [0, 2]] - image.joints[:, foot, [0, 2]]).max() < 0.04
        low = [joints[:, [10, 11], 1] < BALL_HEIGHT + 1e-4 for joints in (swapped, image.joints)]
        assert np.mean(low[0] == low[1]) > 0.99


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    digests = set()
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        build_dataset(kinwords_source(50, 0), folder, name="kinwords", license="Apache-2.0", jobs=jobs)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        whole = b"".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)
        digests.add(hashlib.sha256(whole).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("verb", "participle"),
    [
        ("tip", "tipping"), ("describe", "describing"), ("shut", "shutting"), ("frolic", "frolicking"), ("patrol", "patrolling"),
        ("lie", "lying"), ("tiptoe", "tiptoeing"), ("be", "being"), ("bow", "bowing"), ("lower", "lowering"), ("raise", "raising"),
        ("box", "boxing"), ("lean", "leaning"), ("kneel", "kneeling"),
    ],
)  # fmt: skip
def test_participles(verb: str, participle: str) -> None:
    assert ing(verb) == participle


def test_verbs_agree_with_the_last_subject() -> None:
    """ "... after that, they bow and then wave": what follows a pronoun is said of it."""
    events = [
        [Phrase(name, {"side": "left"}, (), 0, n, n + 1.0, "body")]
        for n, name in enumerate(("bow", "clap", "nod", "squat"))
    ]
    seen = set()
    for seed in range(400):
        text, _, _ = write_caption(events, np.random.default_rng(seed))
        last = re.search(r"\bthey (?!are)(\w+).*?(?:and then|and finally) (\w+)", text)
        if last:
            seen.add(text)
            assert not last[2].endswith("s"), text
    assert len(seen) > 20

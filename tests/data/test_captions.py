"""Words, mirrored captions and the templated wordings."""

import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mate.data.captions import mirror_caption, mirror_tags, tag, tag_agreement, words
from mate.data.wordings import connect, draw, expand, gerund, paraphrases, split_subject, wordings
from mate.errors import MateError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raises the left hand", "raises the right hand"),
        ("Left, then right.", "Right, then left."),
        ("jogs in a clockwise circle", "jogs in an anticlockwise circle"),
        ("turns counterclockwise", "turns clockwise"),
        ("turns counter-clockwise", "turns clockwise"),
        ("steps leftwards", "steps rightwards"),
        ("feels all right and sits down right away", "feels all right and sits down right away"),
        ("is left standing", "is left standing"),
        ("turns counter clockwise", "turns clockwise"),
        ("walks in an anti-clockwise circle", "walks in a clockwise circle"),
        ("turns right then left", "turns left then right"),
        ("turns left before walking", "turns right before walking"),
        ("takes two steps left and three steps right", "takes two steps right and three steps left"),
        ("raises the right then the left hand", "raises the left then the right hand"),
        ("sits down right after a jump", "sits down right after a jump"),
        ("walks right through and stops right now", "walks right through and stops right now"),
        ("steps to the right now", "steps to the left now"),
        ("the right-handed man, left-handed twice", "the left-handed man, right-handed twice"),
        ("spins ccw twice", "spins cw twice"),
        ("makes a right angle", "makes a right angle"),
        ("the copyright of brightly", "the copyright of brightly"),
    ],
)
def test_mirrored_captions(text, expected):
    assert mirror_caption(text) == expected


@given(st.lists(st.sampled_from(["left", "right", "clockwise", "anticlockwise", "hand", "walks", "the"]), max_size=8))
def test_mirroring_twice_gives_the_caption_back(parts):
    text = " ".join(parts)
    assert mirror_caption(mirror_caption(text)) == text


def test_tags_are_mirrored_as_their_sentence_is():
    assert mirror_tags("turn/VERB left/ADV then/ADV") == "turn/VERB right/ADV then/ADV"
    assert mirror_tags("be/AUX all/ADV right/ADJ") == "be/AUX all/ADV right/ADJ"
    assert mirror_tags("a/DET counterclockwise/ADJ circle/NOUN") == "a/DET clockwise/ADJ circle/NOUN"


def test_agreement_of_tags():
    assert tag_agreement([("a person walks", "a/DET person/NOUN walk/VERB")]) == 1.0
    assert tag_agreement([("a person walks", "a/DET person/VERB walk/VERB"), ("a b c", "a/DET")]) == 2 / 3
    assert tag_agreement([]) is None


def test_without_spacy_its_tagger_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MateError, match="needs spaCy"):
        tag("a person walks", "spacy")


def test_words_have_offsets():
    text = "A man's left-hand wave"
    assert [word.text for word in words(text)] == ["a", "man's", "left", "hand", "wave"]
    assert all(text[word.start : word.end].lower() == word.text for word in words(text))


def test_tags_have_one_part_of_speech_a_word():
    assert tag("A person walks forward slowly.") == "a/DET person/NOUN walks/VERB forward/ADV slowly/ADV"


def held_out_words() -> set[str]:
    """Words of the held-out wordings and synonyms that no training wording has, common function words left out."""
    table = wordings()
    entries = [*table["contents"].values(), *table["styles"].values()]
    training = " ".join(text for entry in entries for text in entry["train"]) + " ".join(table["subjects"]["train"])
    held_out = " ".join(text for entry in entries for text in (*entry["held_out"], *entry["synonyms"]))
    common = set("by air away street line says full few two out towards moving off speed upper body".split())
    find = re.compile("[a-z]+")
    return set(find.findall(held_out)) - set(find.findall(training)) - common


def test_no_held_out_word_occurs_in_a_training_caption():
    rng = np.random.default_rng(0)
    table = wordings()
    texts = {draw(content, "active", "seen", rng).text for content in table["contents"] for _ in range(300)}
    found = {word.text for text in texts for word in words(text)}
    assert not found & held_out_words()
    assert not any(text.startswith(("somebody", "the actor")) for text in texts)


def test_every_reading_of_a_template_is_complete():
    rng = np.random.default_rng(0)
    for templates in paraphrases()["contents"].values():
        for template in templates:
            text = expand(template, rng)
            assert text and not set(text) & set("(|)@{}") and text == " ".join(text.split())


def test_mirrored_contents_have_mirrored_paraphrases():
    contents = paraphrases()["contents"]
    assert [mirror_caption(text) for text in contents["wave-left-hand"]] == contents["wave-right-hand"]
    assert not any("left" in text for text in contents["walk-turn-right"])


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("walks forward and turns left", "walking forward and turning left"),
        ("is waving the right arm", "waving the right arm"),
        ("puts both hands up", "putting both hands up"),
        ("takes several steps forward", "taking several steps forward"),
        ("dashes ahead", "dashing ahead"),
        ("goes for a run", "going for a run"),
        ("bows", "bowing"),
    ],
)
def test_gerunds(phrase, expected):
    assert gerund(phrase) == expected


def test_connectives():
    assert connect("{0}, followed by {1:ing}", ["runs forward", "waves"]) == "runs forward, followed by waving"
    assert connect("after {0:ing}, {1}", ["bows", "steps back"]) == "after bowing, steps back"


def test_subjects_are_found():
    assert split_subject("a person walks") == ("a person", "walks")
    assert split_subject("walks") is None

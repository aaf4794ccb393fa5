"""The motion vocabulary: words, their pieces, their stems."""

from pathlib import Path

import pytest

from mate.errors import MateError
from mate.text.encoder import TextEncoder
from mate.text.vocabulary import build_vocabulary, stem


@pytest.mark.parametrize(
    "words",
    [
        ("walk", "walks", "walked", "walking"),
        ("wave", "waves", "waving", "waved"),
        ("run", "runs", "running", "ran"),
        ("stop", "stops", "stopping", "stopped"),
        ("carry", "carries", "carried", "carrying"),
        ("sit", "sits", "sitting", "sat"),
        ("punch", "punches", "punching"),
        ("hand", "hands"),
        ("quick", "quickly"),
        ("angry", "angrily"),
    ],
)
def test_inflections_share_a_stem(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1, {word: stem(word) for word in words}


def test_opposites_do_not() -> None:
    words = [
        "left",
        "right",
        "clockwise",
        "forward",
        "backward",
        "up",
        "down",
        "fast",
        "slow",
        "run",
        "walk",
        "sing",
        "ring",
    ]
    assert len({stem(word) for word in words}) == len(words)


def test_vocabulary_leaves_out_function_words_and_joins_pieces(tiny: dict[str, Path]) -> None:
    encoder = TextEncoder.from_pretrained(str(tiny["bert"]))
    vocabulary = build_vocabulary(["a person walks forward", "a person turns left", "a person walks left"], encoder)
    assert vocabulary.words == ("forward", "left", "turns", "walks")
    assert dict(zip(vocabulary.words, vocabulary.counts, strict=True)) == {
        "forward": 1,
        "left": 2,
        "turns": 1,
        "walks": 2,
    }
    assert vocabulary.pieces[3] == (7, 8)  # walk, ##s
    assert vocabulary.token_ids.tolist() == [7, 8, 9, 10, 11]
    assert [(word.text, number) for word, number in vocabulary.find("the man turns left")] == [
        ("turns", 2),
        ("left", 1),
    ]
    assert build_vocabulary(["walks left", "turns left"], encoder, least=2).words == ("left",)


def test_no_motion_words_is_an_error(tiny: dict[str, Path]) -> None:
    with pytest.raises(MateError, match="no motion words"):
        build_vocabulary(["a person", " "], TextEncoder.from_pretrained(str(tiny["bert"])))

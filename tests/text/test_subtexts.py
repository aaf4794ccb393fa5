"""Sub-texts: verbatim, in order of time."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mate.errors import MateError
from mate.text.subtexts import split, standalone

CASES = {
    "a person walks forward": ["a person walks forward"],
    "walks, stops and sits": ["walks", "stops", "sits"],
    "walks and waves": ["walks and waves"],
    "a person walks forward and turns left": ["a person walks forward and turns left"],
    "a person walks and stops": ["a person walks", "stops"],
    "a person walks forward, then turns left": ["a person walks forward", "turns left"],
    "a person walks forward and then turns left": ["a person walks forward", "turns left"],
    "walks; after that, sits down": ["walks", "sits down"],
    "first a person walks forward, next turns left": ["a person walks forward", "turns left"],
    "a person bows, followed by raising both hands": ["a person bows", "raising both hands"],
    "a person bows before waving": ["a person bows", "waving"],
    "after bowing, a person waves": ["bowing", "a person waves"],
    "a person, after bowing, waves": ["bowing", "waves"],
    "a person waves after bowing": ["bowing", "a person waves"],
    "before sitting, he walks. Then he stands up!": ["he walks", "sitting", "he stands up"],
    "a person takes several steps, swinging the arms, and sits down": [
        "a person takes several steps, swinging the arms",
        "sits down",
    ],
    "a person walks in a circle while waving": ["a person walks in a circle while waving"],
    "a man stands next to a wall": ["a man stands next to a wall"],
    "a person steps with one foot after the other": ["a person steps with one foot after the other"],
    "he looks at the wall before him": ["he looks at the wall before him"],
    "walks 3.5 m. Stops.": ["walks 3.5 m", "Stops"],
    "...": ["..."],
}


@pytest.mark.parametrize("text", CASES)
def test_splits(text: str) -> None:
    assert [part.text for part in split(text)] == CASES[text]


@given(st.text(alphabet="walksturn,.; andthen before after\n'é", min_size=1, max_size=80))
def test_any_text_gives_verbatim_ordered_parts(text: str) -> None:
    if not text.strip():
        return
    parts = split(text)
    assert parts and [part.order for part in parts] == list(range(len(parts)))
    assert all(text[part.start : part.end] == part.text and part.text.strip() for part in parts)
    spans = sorted((part.start, part.end) for part in parts)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans)), "parts overlap"
    assert split(text) == parts


def test_an_empty_caption_is_refused() -> None:
    with pytest.raises(MateError, match="empty caption"):
        split("  ")


def test_sub_texts_get_the_subject_for_reading() -> None:
    text = "a man walks, then quickly sits; the left hand goes up"
    assert standalone(text, split(text)) == ["a man walks", "a man quickly sits", "the left hand goes up"]


def test_real_captions_split_without_errors(shared_data) -> None:
    import json

    path = shared_data / "captions" / "kit-ml-annotations.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    rows = json.loads(path.read_text())
    texts = [
        note["text"] for row in (rows.values() if isinstance(rows, dict) else rows) for note in row["annotations"]
    ][:3000]
    counts = [len(split(text)) for text in texts if text.strip()]
    assert 1.0 < sum(counts) / len(counts) < 2.0

"""Sub-texts: verbatim, in order of time."""

import hashlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mate.data.captions import words
from mate.errors import MateError
from mate.evaluate.splitting import quality, read_expected
from mate.text.subtexts import split, standalone, words_of

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
    "he then sits down and is then pushed": ["he then sits down", "is then pushed"],
    "a person then waves": ["a person then waves"],
    "walks and then": ["walks"],
    "someone walks and finally stops after that": ["someone walks", "stops"],
    "a person bends down and drinks": ["a person bends down", "drinks"],
    "a person walks forward and does a U-turn": ["a person walks forward", "does a U-turn"],
    "a person bows, walks and turns left": ["a person bows", "walks and turns left"],
    "a person walking, turning and sitting": ["a person walking", "turning", "sitting"],
    "a person walks, turning and swinging the arms": ["a person walks, turning and swinging the arms"],
    "a person performs jumps, kicks and turns": ["a person performs jumps, kicks and turns"],
    "a person walks forward gets pushed and falls": ["a person walks forward", "gets pushed", "falls"],
    "a person who walks forward gets pushed": ["a person who walks forward gets pushed"],
    "a person takes one step forward and two steps back": ["a person takes one step forward", "two steps back"],
    "a person walked forward and stopped": ["a person walked forward", "stopped"],
    "a person walks, turn around, and go back": ["a person walks", "turn around", "go back"],
    "a person hops. It resembles a frog": ["a person hops. It resembles a frog"],
    "a person walks. On his toes.": ["a person walks. On his toes"],
    "when the bell rings, he gets up": ["when the bell rings, he gets up"],
    "after a jump he rolls on the floor": ["a jump", "he rolls on the floor"],
    "he stops after two steps": ["he stops after two steps"],
    "he walks four steps, starting with the left foot": ["he walks four steps, starting with the left foot"],
}


EXPECTED = Path(__file__).with_name("splits.jsonl")
# Of the lines held back from tuning, as they were written down before the splitter was tuned on the others.
HELD_BACK_SHA256 = "75e1e95044ffa5c653c6bbc74d9e78aae9e6e25ba722971e0901730f08e9ccd5"


@pytest.mark.parametrize("text", CASES)
def test_splits(text: str) -> None:
    assert [part.text for part in split(text)] == CASES[text]


@settings(deadline=None)
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
    path = shared_data / "captions" / "kit-ml-annotations.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    rows = json.loads(path.read_text())
    texts = [
        note["text"] for row in (rows.values() if isinstance(rows, dict) else rows) for note in row["annotations"]
    ][:3000]
    counts = [len(split(text)) for text in texts if text.strip()]
    assert 1.0 < sum(counts) / len(counts) < 2.0


def test_every_word_is_in_one_sub_text_or_between_them() -> None:
    text = "First a man walks, and then he sits down"
    spoken, parts = words(text), split(text)
    assert words_of(parts, spoken) == [-1, 0, 0, 0, -1, -1, 1, 1, 1]
    reversed_in_time = "he waves after bowing"
    assert words_of(split(reversed_in_time), words(reversed_in_time)) == [1, 1, -1, 0]


def test_expected_splits_are_verbatim_and_held_back_ones_untouched() -> None:
    lines = EXPECTED.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    held_back = "".join(f"{line}\n" for line, row in zip(lines, rows, strict=True) if row.get("held_back"))
    assert hashlib.sha256(held_back.encode()).hexdigest() == HELD_BACK_SHA256
    assert sum("text" in row for row in rows) >= 40 and sum("id" in row for row in rows) >= 150
    assert held_back.count("\n") == 50
    for row in rows:
        ordered = sorted(row["spans"])
        assert all(start < end for start, end in ordered)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(ordered)), row


def test_our_own_captions_split_as_expected() -> None:
    found = quality(read_expected(EXPECTED))
    assert found.captions >= 40 and found.exact == 1.0 and found.boundary_f1 == 1.0


def test_real_captions_split_as_a_person_did(shared_data: Path) -> None:
    path = shared_data / "captions" / "kit-ml-annotations.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    rows = [row for row in read_expected(EXPECTED, path) if row.source == "kit" and not row.held_back]
    found = quality(rows)
    assert found.captions == 131
    assert found.exact >= 0.95 and found.boundary_f1 >= 0.97
    whole = quality(rows, lambda text: split("x" * len(text)))
    assert whole.exact < 0.5 and whole.boundary_f1 == 0.0, "the figures can be low"


def test_a_changed_caption_is_noticed(tmp_path: Path) -> None:
    entry = {"id": "1", "annotation": 0, "sha256": hashlib.sha256(b"walks").hexdigest(), "held_back": False}
    file, captions = tmp_path / "splits.jsonl", tmp_path / "captions.json"
    file.write_text(json.dumps({**entry, "spans": [[0, 5]]}))
    captions.write_text(json.dumps({"1": {"annotations": [{"text": "walks"}]}}))
    assert quality(read_expected(file, captions)).exact == 1.0
    captions.write_text(json.dumps({"1": {"annotations": [{"text": "walkS"}]}}))
    with pytest.raises(MateError, match="another one"):
        read_expected(file, captions)
    file.write_text("[]")
    with pytest.raises(MateError, match="line 1"):
        read_expected(file, captions)

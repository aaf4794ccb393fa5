"""Cards of the encoder probe as one table: docs/probes.md shows what the command prints, and that is what the cards counted."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mate.errors import MateError
from mate.evaluate.encoder_table import main, read_cards, to_markdown

ROOT = Path(__file__).resolve().parents[2]
CARDS = [ROOT / "results" / "encoder" / f"{scoring}.json" for scoring in ("sentence", "localized")]


def rows_of(markdown: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in markdown.splitlines()]


def changed(path: Path, **values: object) -> Path:
    """The first card with other values."""
    path.write_text(json.dumps({**json.loads(CARDS[0].read_text(encoding="utf-8")), **values}), encoding="utf-8")
    return path


def test_the_page_shows_what_the_command_prints(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["encoder_table", *map(str, CARDS)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    printed = capsys.readouterr().out.strip().split("\n\n")
    assert len(printed) == 2 and all(one.startswith("| set |") for one in printed)
    page = (ROOT / "docs" / "probes.md").read_text(encoding="utf-8")
    assert all(f"\n\n{one}\n\n" in page for one in printed)


def test_a_pair_of_columns_and_points_for_each_card():
    cards = read_cards(CARDS)
    head, _, first, *rungs = rows_of(to_markdown(cards).split("\n\n")[0])
    assert len(rungs) == len(cards[0]["encoders"][0]["by_rung"])
    assert head[4:] == [
        name for card in cards for name in (card["encoders"][0]["name"], card["encoders"][1]["name"], "points")
    ]
    for place, card in enumerate(cards):
        before, after = (
            np.array([{"1": 1.0, "0": 0.0, "=": 0.5}[letter] for letter in row["outcomes"]]) for row in card["encoders"]
        )
        shown = [float(re.match(r"[+-]?[\d.]+", cell)[0]) for cell in first[4 + 3 * place :][:3]]  # type: ignore[index]
        assert shown == pytest.approx(
            [100 * before.mean(), 100 * after.mean(), 100 * (after - before).mean()], abs=0.0501
        )


def test_a_third_encoder_has_its_own_points_and_a_model_retrieves_once():
    [card] = read_cards(CARDS[:1])
    third = {**card["encoders"][1], "name": "third", "retrieval": []}
    card = {**card, "encoders": [*card["encoders"], third], "differences": 2 * card["differences"]}
    pairs, retrieval = to_markdown([card]).split("\n\n")
    assert rows_of(pairs)[0][6:] == ["points", "third", "points"]
    assert len(rows_of(retrieval)[0]) == 5


def test_cards_without_retrieval_have_one_table():
    [card] = read_cards(CARDS[:1])
    bare = [{key: value for key, value in row.items() if key != "retrieval"} for row in card["encoders"]]
    assert "\n\n" not in to_markdown([{**card, "encoders": bare}])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"pairs_sha256": "0" * 64}, "other pairs .SHA-256 000000000000. than .*sentence.json"),
        ({"encoders": [{}]}, "a single encoder"),
        ({"protocol": "mate-words-1"}, "got the protocol 'mate-words-1'"),
    ],
)
def test_cards_of_no_use_are_told(tmp_path, values, reason):
    with pytest.raises(MateError, match=reason):
        read_cards([CARDS[0], changed(tmp_path / "other.json", **values)])


def test_a_wrong_file_ends_the_command_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["encoder_table", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2 and capsys.readouterr().err.startswith("error: cannot read")

"""Random timelines and what the judge finds in them, on motions whose order is known."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests import motions as make

from mate.errors import MateError
from mate.evaluate.timelines import Timeline, main, random_timelines, timeline_card, timelines_sha256, to_markdown
from mate.generate.base import StepHook
from mate.generate.timeline import Step

MOVES = {"raises the left hand": lambda s: make.raised(0, s), "raises the right hand": lambda s: make.raised(1, s)}


class Player:
    """Plays known motions, the steps in their order or the other way round."""

    def __init__(self, backwards: bool = False) -> None:
        self.backwards = backwards

    def timeline(self, steps: Sequence[Step], seed: int = 0, guidance: float | None = None, *, number: int = 0,
                 foot_lock: bool = True, step: StepHook | None = None) -> np.ndarray:  # fmt: skip
        order = steps[::-1] if self.backwards else steps
        return np.concatenate([MOVES[step.text](step.seconds) for step in order])

    def choose_seconds(self, texts: Sequence[str], seed: int, keys: Sequence[tuple]) -> list[float]:
        raise NotImplementedError

    def between(self, *_: object, **__: object) -> np.ndarray:
        raise NotImplementedError


def test_timelines_are_random_and_repeatable() -> None:
    first, again, other = random_timelines(20), random_timelines(20), random_timelines(20, seed=1)
    assert timelines_sha256(first) == timelines_sha256(again) != timelines_sha256(other)
    assert all(len(set(one.facts)) == 3 for one in first), "every fact once"
    assert {step.seconds for one in first for step in one.steps} == {2.0, 2.5, 3.0, 3.5, 4.0}
    held_out = {step.text for one in random_timelines(20, wording="held-out") for step in one.steps}
    assert not held_out & {step.text for one in first for step in one.steps}
    with pytest.raises(MateError, match="2 to 11"):
        random_timelines(1, 12)


@pytest.mark.parametrize(("backwards", "found", "other"), [(False, 1.0, 0.0), (True, 0.0, 1.0)])
def test_the_order_is_found(backwards: bool, found: float, other: float) -> None:
    steps = tuple(Step(text, 3.0) for text in MOVES)
    asked = [Timeline(steps, ("raise_left_hand", "raise_right_hand"))] * 2
    card = timeline_card(Player(backwards), asked, 20.0)
    assert card["in_order"]["rate"] == found and card["in_another_order"]["rate"] == other
    assert [row["rate"] for row in card["in_its_own_step"]] == [found, found]
    assert len(card["missed"]) == (2 if backwards else 0)
    assert "All events in order" in to_markdown(card)


def test_the_command_writes_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "card.json"
    assert main(["--timelines", "2", "--steps", "2", "-o", str(path)]) == 0
    card = json.loads(path.read_text())
    assert card["timelines"] == 2 and card["model"]["name"] == "default"
    assert main(["--steps", "1"]) == 2
    assert "2 to 11" in capsys.readouterr().err

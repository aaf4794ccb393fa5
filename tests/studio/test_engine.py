"""How the engine reads prompts: part by part, both of a pair with the same cuts, and so that a job can be stopped."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.studio.conftest import PROMPT

from mate.checkpoints import default_model
from mate.errors import MateError
from mate.generate.timeline import Step
from mate.motion.layout import HUMANML3D_FEATURES
from mate.studio.engine import Engine, Take
from mate.studio.jobs import Cancelled, Job

PARTS = ["a person walks forward", "a person waves with the left hand"]


class Recording:
    """A generator that writes down what it is asked for, in four steps; lengths are other ones with the patch than without."""

    spec, fps, min_seconds, max_seconds = HUMANML3D_FEATURES, 20.0, 0.5, 10.0

    def __init__(self) -> None:
        self.patched = False
        self.asked: list[Any] = []

    def _make(self, seconds: float, step: Any) -> np.ndarray:
        for done in range(1, 5):
            step(done, 4)
        return np.zeros((round(seconds * self.fps), 22, 3), np.float32)

    def sample(self, texts: list[str], seconds: Any, seed: int, guidance: Any, *, step: Any) -> list[np.ndarray]:
        self.asked.append((texts, seconds))
        return [self._make(seconds[0] if seconds else 2.0 + self.patched, step)]

    def timeline(self, steps: Sequence[Step], seed: int, guidance: Any, *, step: Any) -> np.ndarray:
        self.asked.append(list(steps))
        return self._make(sum(one.seconds for one in steps), step)

    def choose_seconds(self, texts: Sequence[str], seed: int, keys: Sequence[tuple]) -> list[float]:
        return [1.0 + n + self.patched for n, _ in enumerate(texts)]


class WholeOnly:
    """A generator that makes whole motions only."""

    fps = 20.0

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def sample(self, texts: list[str], seconds: Any, seed: int, guidance: Any, *, step: Any) -> list[np.ndarray]:
        self.asked.append((texts, seconds))
        return [np.zeros((20, 22, 3), np.float32)]


class Reading(Engine):
    """An engine around one generator, which does not look for words."""

    def __init__(self, generator: Any, max_seconds: float = 60.0) -> None:
        super().__init__(["default"], max_seconds=max_seconds)
        self.generator = generator

    def _generator(self, info: Any, patched: bool) -> Any:
        self.generator.patched = patched
        return self.generator

    def _take(self, job: Job, variant: Any, joints: Any, fps: float, caption: str, facts: dict[str, str]) -> Take:
        return Take(variant, joints, fps, None, "", facts)


class StoppedAt(Job):
    """A job that is cancelled when it is so far; notes how far it came."""

    def __init__(self, share: float) -> None:
        super().__init__(None)
        self.share = share
        self.seen: list[float] = []

    def report(self, progress: float, phase: str | None = None) -> None:
        super().report(progress, phase)
        self.seen.append(progress)
        if progress >= self.share:
            self.cancelled.set()


@pytest.mark.parametrize(
    ("prompt", "seconds", "whole", "asked", "frames"),
    [
        (PROMPT, None, False, [[Step(PARTS[0], 2.0), Step(PARTS[1], 3.0)]] * 2, 100),
        (PROMPT, 4.0, False, [[Step(PARTS[0], 2.0), Step(PARTS[1], 2.0)]] * 2, 80),
        (PROMPT, None, True, [([PROMPT], None), ([PROMPT], [3.0])], 60),
        (PROMPT, 0.8, False, [([PROMPT], [0.8])] * 2, 16),
        (PARTS[0], None, False, [(PARTS[:1], None), (PARTS[:1], [3.0])], 60),
        (PARTS[0], 2.5, False, [(PARTS[:1], [2.5])] * 2, 50),
    ],
    ids=["parts", "parts of a given length", "whole", "no time for parts", "one action", "one of a given length"],
)
def test_both_of_a_pair_have_the_same_cuts(
    prompt: str, seconds: float | None, whole: bool, asked: list[Any], frames: int
) -> None:
    generator, job = Recording(), StoppedAt(2.0)
    result = Reading(generator).generate(job, "default", prompt, seconds, 3, None, ["patched", "plain"], whole)
    assert generator.asked == asked
    assert [len(take.joints) for take in result.takes] == [frames] * 2
    told = {" | ".join(PARTS)} if isinstance(asked[0], list) else {None}
    assert {take.facts.get("sub_texts") for take in result.takes} == told
    assert job.seen == sorted(job.seen), "progress goes one way"


def test_a_generator_of_whole_motions_reads_prompts_as_one() -> None:
    generator = WholeOnly()
    Reading(generator).generate(StoppedAt(2.0), "default", PROMPT, None, 3, None, ["patched"])
    assert generator.asked == [([PROMPT], None)]


def test_actions_without_end_are_refused() -> None:
    generator = Recording()
    engine = Reading(generator, max_seconds=4.0)
    with pytest.raises(MateError, match="the 2 actions of the prompt would take 5 s, at most 4 s"):
        engine.generate(StoppedAt(2.0), "default", PROMPT, None, 3, None, ["patched"])
    assert generator.asked == []
    assert engine.generate(StoppedAt(2.0), "default", PROMPT, 4.0, 3, None, ["patched"]).takes


@pytest.mark.parametrize(("model", "prompt"), [("default", PROMPT), ("default", PARTS[0]), ("kinwords", PROMPT)])
def test_a_motion_is_stopped_half_way(model: str, prompt: str) -> None:
    """With the shipped models: at the sampling step after the cancelling, and the same engine makes the next motion."""
    try:
        default_model(model)
    except MateError as error:
        pytest.skip(str(error))
    engine, job = Engine([model]), StoppedAt(0.4)
    with pytest.raises(Cancelled):
        engine.generate(job, model, prompt, 2.0, 3, None, ["patched"])
    assert 0.4 <= job.seen[-1] < 0.6 and len(job.seen) > 3 and job.phase == "generating"
    again = StoppedAt(0.8)
    with pytest.raises(Cancelled):
        engine.generate(again, model, prompt, 2.0, 3, None, ["patched"])
    assert again.seen[-1] == pytest.approx(0.8) and again.seen[: len(job.seen)] == job.seen

"""What is told after every step of sampling, by every kind of generator; that it changes no motion; and that raising ends it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from mate.checkpoints import default_model
from mate.generate.mdm.config import preset
from mate.generate.mdm.model import MDMGenerator
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.sub_texts import BySubTexts
from mate.generate.timeline import Step
from mate.text.encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = [Step("a person walks", 1.0), Step("someone raises the left hand", 0.8)]
TEXTS = ["a person walks", "a person bows, then walks forward", "someone waves"]
KINDS = ["momask", "mdm"]

Make = Callable[..., Any]


class Stop(Exception):
    """What a hook may raise."""


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """A shipped MoMask-type generator, and an MDM-type one that has learned nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mdm = MDMGenerator(preset("tiny"), TextEncoder.from_pretrained()).eval()
    return {"momask": MoMaskGenerator.from_pretrained(default_model()), "mdm": mdm}


def steps_of(model: Any) -> int:
    """Steps of one run."""
    residual = model.config.quantizer.layers - 1 if isinstance(model, MoMaskGenerator) else 0
    return model.config.sampling.steps + residual


def told_by(make: Make) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """What is made, motions end to end, and what the hook was told meanwhile."""
    told: list[tuple[int, int]] = []
    made = make(step=lambda done, total: told.append((done, total)))
    return np.concatenate(made) if isinstance(made, list) else made, told


def makers(model: Any) -> dict[str, Make]:
    return {
        "timeline": partial(model.timeline, STEPS, seed=3),
        "sample": partial(model.sample, TEXTS[:1], [1.0], seed=3),
        "by sub-texts": partial(BySubTexts(model).sample, TEXTS[1:2], [2.0], seed=3),
    }


@pytest.mark.parametrize("what", ["timeline", "sample", "by sub-texts"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_told_and_changes_nothing(models: dict[str, Any], kind: str, what: str) -> None:
    make = makers(models[kind])[what]
    watched, told = told_by(make)
    total = steps_of(models[kind])
    assert told == [(n, total) for n in range(1, total + 1)]
    alone = make()
    np.testing.assert_array_equal(watched, np.concatenate(alone) if isinstance(alone, list) else alone)


@pytest.mark.parametrize("what", ["timeline", "sample", "by sub-texts"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_hook_raises_ends_the_sampling_and_breaks_nothing(
    models: dict[str, Any], kind: str, what: str
) -> None:
    make, told = makers(models[kind])[what], []
    before = make()

    def stop(done: int, total: int) -> None:
        told.append(done)
        if done >= total // 2:
            raise Stop

    with pytest.raises(Stop):
        make(step=stop)
    assert told[-1] == steps_of(models[kind]) // 2
    np.testing.assert_array_equal(make()[0], before[0])


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_that_do_not_run_together_are_counted_on(models: dict[str, Any], kind: str) -> None:
    model, texts = models[kind], TEXTS[:1] * 33
    _, told = told_by(partial(model.sample, texts, [0.5] * 33))
    total = 2 * steps_of(model)
    assert told == [(n, total) for n in range(1, total + 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_with_and_without_parts_are_counted_together(models: dict[str, Any], kind: str) -> None:
    _, told = told_by(partial(BySubTexts(models[kind]).sample, TEXTS, [0.5, 1.0, 0.5]))
    shares = [done / total for done, total in told]
    assert len(told) == 2 * steps_of(models[kind]) and shares[-1] == 1 and (np.diff(shares) > 0).all()
    assert shares[steps_of(models[kind]) - 1] == pytest.approx(2 / 3), "two of three prompts are done"


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 3), ("ddpm", 4), ("dpm++", 5)])
def test_every_sampler_tells_its_steps(models: dict[str, Any], sampler: str, steps: int) -> None:
    make = partial(models["mdm"].sample, TEXTS[:1], [1.0], sampler=sampler, steps=steps)
    assert told_by(make)[1] == [(n, steps) for n in range(1, steps + 1)]

"""Fixtures of the evaluation tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluate import captioned

from mate.data.dataset import open_dataset
from mate.evaluate.own_evaluator import EvaluatorConfig, OwnEvaluator


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioned set in HumanML3D's layout."""
    return captioned.write(tmp_path_factory.mktemp("captioned") / "set")


@pytest.fixture(scope="session")
def evaluators(tmp_path_factory: pytest.TempPathFactory, data: Path) -> list[Path]:
    """The folders of two evaluators with random weights: what figures depend on can be tested without training them."""
    root = tmp_path_factory.mktemp("evaluators")
    opened = open_dataset(data, "train")
    folders = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = EvaluatorConfig("words", width=32, layers=2, dim=16, buckets=512, seed=seed)
            evaluator = OwnEvaluator(config, np.asarray(opened.mean), np.asarray(opened.std))
        folders.append(evaluator.save_pretrained(root / f"random-{seed}", "# random weights\n"))
    return folders

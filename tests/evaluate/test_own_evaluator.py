"""Our own evaluator: independent of batches, trained on the training split alone, resumable, a folder."""

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mate.checkpoints import default_model, from_pretrained
from mate.cli.app import main
from mate.data.dataset import Caption, open_dataset
from mate.errors import MateError
from mate.evaluate import own_recipe
from mate.evaluate.evaluators import open_evaluator, shipped
from mate.evaluate.own_evaluator import EvaluatorConfig, OwnEvaluator, letter_groups
from mate.evaluate.own_recipe import Sampler, preset, train_evaluator
from mate.generate.momask.model import MoMaskGenerator
from mate.motion.features import process_motion

TEXTS = ["a person walks", "somebody turns left, then waves", "a person runs quickly ahead"]


@pytest.fixture(scope="module", params=["words", "sentences"])
def random_one(request: pytest.FixtureRequest) -> OwnEvaluator:
    """An evaluator of each kind with random weights, in double precision as a loaded one."""
    config = EvaluatorConfig(request.param, width=32, layers=2, dim=16, buckets=512)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return OwnEvaluator(config, np.zeros(263), np.ones(263)).double().eval()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """An evaluator of the tiny preset, trained from the command line on a set whose test clips are gone."""
    root = tmp_path_factory.mktemp("trained")
    copy = shutil.copytree(data, root / "train-only")
    for name in (copy / "test.txt").read_text().split():
        for file in (copy / "new_joint_vecs" / f"{name}.npy", copy / "texts" / f"{name}.txt"):
            file.unlink()
    out = root / "evaluator"
    assert main(["train", "evaluator", str(copy), "-o", str(out), "--preset", "tiny", "--seed", "3", "--json"]) == 0
    return out


def test_letter_groups_are_the_same_everywhere() -> None:
    assert letter_groups("wave", 1000)[0] == zlib.crc32(b"<wave>") % 1000 == 239
    shared = set(letter_groups("waves", 1 << 30)) & set(letter_groups("waving", 1 << 30))
    assert {zlib.crc32(group) % (1 << 30) for group in (b"<wa", b"wav", b"<wav")} <= shared


def test_what_else_is_in_the_batch_does_not_show(random_one: OwnEvaluator) -> None:
    rng = np.random.default_rng(0)
    motions = [rng.normal(size=(frames, 263)).astype(np.float32) for frames in (3, 40, 41, 97, 160)]
    together, alone = random_one.embed_motions(motions), [random_one.embed_motions([motion])[0] for motion in motions]
    assert np.abs(together - np.stack(alone)).max() < 1e-12
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0)
    texts = random_one.embed_texts(TEXTS)
    assert np.abs(texts[[2, 0]] - random_one.embed_texts([TEXTS[2], TEXTS[0]])).max() < 1e-6
    assert np.abs(texts[0] - texts[1]).max() > 1e-3


def test_frames_behind_the_last_unit_and_contacts_are_not_read(random_one: OwnEvaluator) -> None:
    motion = np.random.default_rng(0).normal(size=(43, 263)).astype(np.float32)
    other = motion.copy()
    other[:, 259:] = 7.0
    other[40:] = 0.0
    assert np.array_equal(random_one.embed_motions([motion]), random_one.embed_motions([other]))


@pytest.mark.parametrize(
    ("motion", "words"),
    [(np.zeros((40, 251)), "251"), (np.zeros((0, 263)), "(0, 263)"), (np.full((40, 263), np.nan), "NaN")],
)
def test_motions_that_it_cannot_read(random_one: OwnEvaluator, motion: np.ndarray, words: str) -> None:
    with pytest.raises(MateError, match="motion 1") as error:
        random_one.embed_motions([np.zeros((40, 263)), motion])
    assert words in str(error.value)


def test_training_teaches_what_goes_together(trained: Path, data: Path) -> None:
    evaluator = from_pretrained(trained)
    clips = open_dataset(data, "test")
    chosen = [n for n in range(len(clips)) if clips.meta[n]["style"] == "calm"]
    motions = evaluator.embed_motions([clips.features(n) for n in chosen])
    texts = evaluator.embed_texts([clips.captions[n][0].text for n in chosen])
    right = (texts @ motions.T).argmax(1) == np.arange(len(chosen))
    assert right.mean() >= 0.5, "one in eight is chance"


def test_a_folder_says_what_it_is(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((trained / "config.json").read_text())
    assert (config["model_type"], config["kind"], config["seed"]) == ("evaluator", "words", 3)
    assert (config["data"], config["license"]) == ("train-only", "CC0-1.0")
    card = (trained / "README.md").read_text()
    for words in ("CC0-1.0", "training splits of train-only alone", "32 clips", "seed 3", "R@1"):
        assert words in card
    assert main(["info", str(trained), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["license"] == "CC0-1.0"


def test_an_interrupted_training_continues_to_the_same_evaluator(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = preset("tiny")
    training = replace(training, train=replace(training.train, steps=8, checkpoint_steps=4))
    train_evaluator([data], tmp_path / "whole", training, quiet=True)
    draw = Sampler.__call__

    def stopping(self: Sampler, number: int) -> own_recipe.Batch:
        if number == 6:
            raise RuntimeError("power cut")
        return draw(self, number)

    monkeypatch.setattr(Sampler, "__call__", stopping)
    with pytest.raises(RuntimeError, match="power cut"):
        train_evaluator([data], tmp_path / "parts", training, quiet=True)
    assert not (tmp_path / "parts").exists()
    monkeypatch.undo()
    train_evaluator([data], tmp_path / "parts", training, quiet=True)
    whole, parts = (from_pretrained(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    with pytest.raises(MateError, match="other settings"):
        train_evaluator([data], tmp_path / "parts", replace(training, tau=0.5), quiet=True)


def test_seeds_give_evaluators_of_their_own(data: Path, tmp_path: Path) -> None:
    training = preset("tiny")
    for seed in (0, 1):
        loop = replace(training.train, steps=2, seed=seed)
        train_evaluator([data], tmp_path / str(seed), replace(training, train=loop), quiet=True)
    first, second = (from_pretrained(tmp_path / str(seed)).embed_texts(TEXTS) for seed in (0, 1))
    assert np.abs(first - second).max() > 0.01


@pytest.mark.slow
def test_sentences_train_and_continue_without_reading_captions_again(data: Path, tmp_path: Path) -> None:
    training = preset("sentences")
    training = replace(
        training,
        model=replace(training.model, width=32, layers=2, dim=16),
        train=replace(training.train, steps=4, bf16=False),
    )
    report = train_evaluator([data], tmp_path / "one", training, quiet=True)
    kept = (tmp_path / "one.train" / "captions.safetensors").stat().st_mtime_ns
    assert report.steps == 4 and np.isfinite(report.losses["contrast"])
    train_evaluator([data], tmp_path / "one", training, quiet=True)
    assert (tmp_path / "one.train" / "captions.safetensors").stat().st_mtime_ns == kept


def test_bad_requests_from_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, words in (
        ([str(data), "--preset", "huge"], "expected words, sentences, tiny"),
        ([str(tmp_path / "none")], "train.txt"),
        ([str(data), "--minutes", "0"], "expected more than 0"),
    ):
        assert main(["train", "evaluator", *options, "-o", str(tmp_path / "out")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_packaged_evaluators_find_what_was_generated() -> None:
    """Both, of unlike parts, put a generated motion nearest to the prompt it was made for."""
    texts = [
        "a person walks forward",
        "a person raises the left hand",
        "a person waves with the right hand",
        "a person runs forward",
    ]
    generator = MoMaskGenerator.from_pretrained(default_model())
    motions = [process_motion(joints) for joints in generator.sample(texts, [4.0] * len(texts), seed=0)]
    evaluators = [open_evaluator(folder) for folder in shipped()]
    assert [evaluator.name for evaluator in evaluators] == ["evaluator-words", "evaluator-sentences"]
    for evaluator in evaluators:
        similarity = evaluator.texts([Caption(text) for text in texts]) @ evaluator.motions(motions).T
        assert similarity.argmax(axis=1).tolist() == list(range(len(texts))), evaluator.name

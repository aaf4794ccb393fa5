"""`mate evaluate`: protocols on folders, generators and real motions; cards; comparisons; what no figure may depend on."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import motions as make
from tests.evaluate.t2m_files import write_release

from mate.cli.app import main
from mate.data.dataset import Caption, open_dataset
from mate.errors import MateError
from mate.evaluate import subjects
from mate.evaluate.card import read_card
from mate.evaluate.compare import compare, sign_flip, to_html, to_markdown
from mate.evaluate.evaluators import OTHER_WIDTHS
from mate.evaluate.metrics import r_precision_by_sample
from mate.evaluate.protocol import NAMES, folds, halves, jackknife, plan, same_shown
from mate.evaluate.run import _judged, sampled
from mate.evaluate.subjects import CHUNK, Clip, Made, fact_of, read_clips, sample
from mate.evaluate.tables import side_by_side
from mate.formats.save import save_motion
from mate.motion.features import process_motion
from mate.motion.layout import HUMANML3D_FEATURES
from mate.motion.motion import Motion
from mate.motion.retarget import resample

FIGURES = ("R@1", "R@2", "R@3", "FID", "MM-Dist", "Diversity")


def write_motions(folder: Path, data: Path, noise: float = 0.0, order: Sequence[int] | None = None) -> Path:
    """A folder made outside: the joints of the test clips with some noise, and the prompts in `prompts.txt`."""
    clips = open_dataset(data, "test")
    folder.mkdir()
    numbers = list(range(len(clips))) if order is None else list(order)
    for place, n in enumerate(numbers):
        joints = np.asarray(clips.joints(n)) + noise * np.random.default_rng(n).normal(size=(1, 22, 3))
        np.save(folder / f"{place:04d}.npy", joints.astype(np.float32))
    (folder / "prompts.txt").write_text("".join(f"{clips.captions[n][0].text}\n" for n in numbers))
    return folder


def evaluate(folder: Path | None, data: Path, evaluators: Sequence[Path], *options: str) -> int:
    made = [] if folder is None else ["--motions", str(folder), "--prompts", str(folder / "prompts.txt")]
    chosen = [part for path in evaluators for part in ("--evaluator", str(path))]
    return main(["evaluate", *made, "--data", str(data), *chosen, *options])


def flat(card: dict[str, Any]) -> dict[str, float]:
    """All figures of a card by their path."""
    return {
        f"{row}/{evaluator}/{name}/{part}": value
        for row, own in card["rows"].items()
        for evaluator, figures in own.items()
        for name, figure in figures.items()
        for part, value in figure.items()
        if value is not None
    }


@pytest.fixture(scope="module")
def motions(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return write_motions(tmp_path_factory.mktemp("made") / "outside", data, 0.01)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory, motions: Path, data: Path, evaluators: list[Path]) -> dict[str, Any]:
    """The card of the folder under our protocol."""
    path = tmp_path_factory.mktemp("cards") / "outside.json"
    assert evaluate(motions, data, evaluators, "-o", str(path), "--json") == 0
    return read_card(path)


# ---------------------------------------------------------------------- cards


def test_a_card_holds_what_is_needed_to_repeat_it(card: dict[str, Any], data: Path, evaluators: list[Path]) -> None:
    assert card["protocol"] | {"name": "own", "pool": 32, "repeats": 1, "seed": 0, "wording": "any"} == card["protocol"]
    assert card["data"] | {"name": "set", "split": "test", "clips": 48, "license": "CC0-1.0"} == card["data"]
    assert (
        card["subject"] | {"kind": "motions", "motions": 48, "skipped": [], "prompts_not_in_data": 0} == card["subject"]
    )
    for where in (card["data"], card["subject"], *card["evaluators"].values()):
        assert len(where["sha256"]) == 64
    assert len(card["subject"]["prompts_sha256"]) == 64
    assert list(card["evaluators"]) == [folder.name for folder in evaluators]
    assert {"mate", "numpy", "python", "torch", "platform"} <= card["versions"].keys()
    assert card["command"].startswith("mate")


def test_the_real_row_is_there_and_close_motions_are_close(card: dict[str, Any]) -> None:
    for name in card["evaluators"]:
        real, made = card["rows"]["real"][name], card["rows"]["made"][name]
        assert set(FIGURES) <= real.keys() and set(FIGURES) <= made.keys()
        assert made["MM-Dist"]["value"] == pytest.approx(real["MM-Dist"]["value"], abs=0.05)
        assert 0 <= made["FID"]["value"] < 0.5 * made["Diversity"]["value"]
    assert card["judge"]["real"]["all"]["n"] == 48
    assert card["judge"]["made"]["all"]["rate"] > 0.6, "most motions are what their prompts say"


def test_figures_of_samples_average_to_the_row(card: dict[str, Any]) -> None:
    for name, columns in card["samples"]["figures"].items():
        for figure, values in columns.items():
            assert np.mean(values) == pytest.approx(card["rows"]["made"][name][figure]["value"], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_works_on_a_folder(
    name: str, motions: Path, data: Path, evaluators: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "card.json"
    status = evaluate(
        motions,
        data,
        evaluators,
        "--protocol",
        name,
        "--repeats",
        "3",
        "-o",
        str(out),
        "--markdown",
        str(tmp_path / "card.md"),
    )
    assert status == 0, capsys.readouterr().err
    card = read_card(out)
    assert card["protocol"]["name"] == name
    for row in card["rows"].values():
        for figures in row.values():
            assert all(np.isfinite(figures[figure]["value"]) for figure in FIGURES)
    tables = (tmp_path / "card.md").read_text()
    for words in (name, "| real |", "| made |", *(folder.name for folder in evaluators), "kinematic judge", "±"):
        assert words in tables


def test_real_motions_alone(data: Path, evaluators: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(None, data, evaluators[:1], "--json") == 0
    card = json.loads(capsys.readouterr().out)
    assert list(card["rows"]) == ["real"] and card["subject"]["kind"] == "real"


def test_wordings_are_chosen(
    data: Path, motions: Path, evaluators: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(None, data, evaluators[:1], "--wording", "unseen", "--json") == 0
    unseen = json.loads(capsys.readouterr().out)
    assert evaluate(None, data, evaluators[:1], "--wording", "seen", "--json") == 0
    seen = json.loads(capsys.readouterr().out)
    name = evaluators[0].name
    assert unseen["protocol"]["wording"] == "unseen"
    assert unseen["rows"]["real"][name]["MM-Dist"] != seen["rows"]["real"][name]["MM-Dist"]


# ---------------------------------------------------------------------- what no figure depends on


@pytest.mark.parametrize("name", NAMES)
def test_order_and_batch_size_change_nothing(
    name: str, motions: Path, data: Path, evaluators: list[Path], tmp_path: Path
) -> None:
    order = np.random.default_rng(1).permutation(48)
    other = write_motions(tmp_path / "shuffled", data, 0.01, order.tolist())
    turned = shutil.copytree(data, tmp_path / "turned")
    for part in ("test.txt", "meta.jsonl"):
        (turned / part).write_text("\n".join(reversed((data / part).read_text().splitlines())) + "\n")
    found = []
    for folder, source, size in ((motions, data, "64"), (other, turned, "5")):
        out = tmp_path / f"{size}.json"
        assert (
            evaluate(
                folder,
                source,
                evaluators,
                "--protocol",
                name,
                "--repeats",
                "2",
                "--batch-size",
                size,
                "-o",
                str(out),
                "--json",
            )
            == 0
        )
        found.append(read_card(out))
    first, second = map(flat, found)
    assert first.keys() == second.keys()
    assert max(abs(first[key] - second[key]) for key in first) < 1e-6
    assert found[0]["data"]["sha256"] == found[1]["data"]["sha256"]
    assert found[0]["subject"]["sha256"] == found[1]["subject"]["sha256"]
    assert found[0]["judge"] == found[1]["judge"]


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(
    motions: Path, data: Path, evaluators: list[Path], tmp_path: Path
) -> None:
    out = [tmp_path / "one.json", tmp_path / "two.json"]
    assert evaluate(motions, data, evaluators, "-o", str(out[0]), "--json") == 0
    chosen = [part for path in evaluators for part in ("--evaluator", str(path))]
    command = [
        sys.executable, "-m", "mate.cli.app", "evaluate", "--motions", str(motions), "--prompts", str(motions / "prompts.txt"),
        "--data", str(data), *chosen, "-o", str(out[1]), "--json",
    ]  # fmt: skip
    here = dict(os.environ, MASTER_ADDR="127.0.0.1", MASTER_PORT="29517", WORLD_SIZE="2", OMP_NUM_THREADS="1")
    running = [subprocess.Popen(command, env={**here, "RANK": str(rank)}, stdout=subprocess.PIPE) for rank in (0, 1)]
    printed = [process.communicate(timeout=600)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert printed[0] and not printed[1], "the first process alone prints"
    first, second = (flat(read_card(path)) for path in out)
    assert first.keys() == second.keys()
    assert max(abs(first[key] - second[key]) for key in first) < 1e-6


@pytest.mark.parametrize("name", ["guo-fixed", "guo-as-released"])
def test_the_released_form_of_evaluator_beside_ours(
    name: str, motions: Path, data: Path, evaluators: list[Path], tmp_path: Path
) -> None:
    released = write_release(tmp_path / "t2m")
    found = []
    for size in ("64", "7"):
        out = tmp_path / f"{size}.json"
        options = ["--protocol", name, "--repeats", "2", "--batch-size", size, "-o", str(out), "--json"]
        assert evaluate(motions, data, [released, evaluators[0]], *options) == 0
        found.append(read_card(out))
    assert list(found[0]["evaluators"]) == ["t2m-263", "random-0"]
    assert {"finest.tar", "mean", "std"} <= found[0]["evaluators"]["t2m-263"]["files"].keys()
    first, second = map(flat, found)
    assert max(abs(first[key] - second[key]) for key in first) < 1e-6


class Counting:
    """A stand-in for a generator: what it makes shows (seed, number, length); what it was asked is kept."""

    fps, min_seconds, max_seconds = 20.0, 1.0, 9.8
    spec = HUMANML3D_FEATURES

    def __init__(self) -> None:
        self.asked: list[list[float]] = []

    def sample(
        self, texts: list[str], seconds: list[float], seed: int = 0, numbers: Sequence[int] = ()
    ) -> list[np.ndarray]:
        self.asked.append(list(seconds))
        return [
            make.gait(length, 0.5 + 0.01 * number + 0.1 * seed) for length, number in zip(seconds, numbers, strict=True)
        ]


def test_motions_are_sampled_by_length_and_keep_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(40, 120, size=40).tolist()
    texts = [f"a person walks for the {n // 2}th time" for n in range(40)]
    generator = Counting()
    made = sample(generator, texts, frames, seed=1)
    assert [len(asked) for asked in generator.asked] == [CHUNK, 40 - CHUNK]
    everything = list(itertools.chain(*generator.asked))
    assert everything == sorted(everything), "like lengths run together"
    assert [len(one.features) for one in made] == frames
    assert [one.key for one in made[:3]] == [f"{texts[0]} #0", f"{texts[0]} #1", f"{texts[2]} #0"]
    speeds = [
        np.linalg.norm(one.positions[-1, 0] - one.positions[0, 0]) / (len(one.positions) - 1) * 20 for one in made
    ]
    assert speeds == pytest.approx([0.6 + 0.01 * n for n in range(40)], abs=1e-3)
    monkeypatch.setattr(subjects, "CHUNK", 7)
    again = sample(Counting(), texts, frames, seed=1)
    assert all(np.array_equal(a.features, b.features) for a, b in zip(made, again, strict=True))


def test_a_generator_is_sampled_once_a_repeat_with_its_own_seed(data: Path) -> None:
    settings = plan("guo-fixed", 20.0, repeats=2)
    clips = read_clips(data, "test", settings.span())
    subject = sampled(Counting(), clips, settings, {"name": "counting"})
    assert [len(motions) for motions in subject.made] == [48, 48]
    assert subject.made[0][0].text != subject.made[1][0].text, "guo-fixed takes the captions in turn"
    lengths = [len(clip.features) // 4 * 4 for clip in clips]
    assert [len(one.features) for one in subject.made[0]] == lengths


def test_momask_samples_the_numbers_it_is_given() -> None:
    from mate.generate.momask.config import preset
    from mate.generate.momask.model import MoMaskGenerator
    from mate.text.encoder import TextEncoder

    generator = MoMaskGenerator(preset("tiny"), TextEncoder.from_pretrained()).eval()
    texts = ["a person walks", "a person waves", "a person turns"]
    whole = generator.sample(texts, [2.0, 2.0, 2.0], seed=5)
    part = generator.sample([texts[2], texts[0]], [2.0, 2.0], seed=5, numbers=[2, 0])
    for own, other in zip(part, (whole[2], whole[0]), strict=True):
        assert np.abs(own - other).max() < 1e-4
    with pytest.raises(MateError, match="2 numbers for 3 prompts"):
        generator.sample(texts, seed=5, numbers=[0, 1])


# ---------------------------------------------------------------------- bad input

BAD = {
    "corrupt": (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9", "not a sound .npy file"),
    "empty": (np.zeros((0, 22, 3), np.float32), "no frames"),
    "nan": (np.full((60, 22, 3), np.nan, np.float32), "NaN"),
    "nan features": (np.full((60, 263), np.nan, np.float32), "NaN"),
    "pickle": (np.array([{"a": 1}], dtype=object), "pickled"),
    "one frame": (np.zeros((1, 22, 3), np.float32), "1 frame"),
    "too short": (make.stand(0.5), "expected at least 20"),
    "67": (np.zeros((60, 67), np.float32), "without rotations"),
    "272": (np.zeros((60, 272), np.float32), "30 fps"),
    "251": (np.zeros((60, 251), np.float32), "KIT-ML"),
    "unknown width": (np.zeros((60, 100), np.float32), "not a layout that is known"),
    "missing": (None, "no such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_motions_are_named_or_skipped_and_counted(
    kind: str, motions: Path, data: Path, evaluators: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, words = BAD[kind]
    folder = shutil.copytree(motions, tmp_path / "bad")
    path = folder / "0007.npy"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    out = tmp_path / "card.json"
    assert evaluate(folder, data, evaluators[:1], "-o", str(out)) == 2
    message = capsys.readouterr().err
    assert "0007.npy" in message and words in message and message.count("\n") == 1
    assert not out.exists()
    if kind in ("corrupt", "272", "missing"):
        assert evaluate(folder, data, evaluators[:1], "-o", str(out), "--skip-bad") == 0
        assert "1 file(s) left out" in capsys.readouterr().out
        subject = read_card(out)["subject"]
        assert subject["motions"] == 47
        assert [one["file"] for one in subject["skipped"]] == ["0007.npy"] and words in subject["skipped"][0]["reason"]


def test_a_wrong_frame_rate_is_noticed_and_the_right_one_heals_it(
    data: Path, evaluators: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Motions at 30 fps in files that do not say so, with prompts that say how long they are."""
    clips, folder, rows = open_dataset(data, "test"), tmp_path / "thirty", []
    folder.mkdir()
    for n in range(len(clips)):
        np.save(folder / f"{n:04d}.npy", resample(np.asarray(clips.joints(n)), 20.0, 30.0))
        rows.append(
            {"prompt": clips.captions[n][0].text, "file": f"{n:04d}.npy", "seconds": len(clips.joints(n)) / 20.0}
        )
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = [
        "evaluate",
        "--motions",
        str(folder),
        "--prompts",
        str(prompts),
        "--data",
        str(data),
        "--evaluator",
        str(evaluators[0]),
    ]
    assert main(options) == 2
    message = capsys.readouterr().err
    assert "0000.npy" in message and "wrong frame rate" in message and "--fps 30" in message
    assert main([*options, "--fps", "30", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subject"]["fps"] == 30.0


def test_bvh_and_features_are_read_beside_joints(
    motions: Path, data: Path, evaluators: list[Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(motions, tmp_path / "mixed")
    save_motion(Motion(np.load(folder / "0000.npy"), 20.0), folder / "0000.bvh")
    (folder / "0000.npy").unlink()
    clips = open_dataset(data, "test")
    np.save(folder / "0001.npy", clips.features(1))
    out = tmp_path / "card.json"
    assert evaluate(folder, data, evaluators[:1], "-o", str(out), "--json") == 0
    assert read_card(out)["subject"]["motions"] == 48


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "DATA", "--motions", "MOTIONS"], "belong together"),
        (["--data", "DATA", "--model", "default", "--motions", "MOTIONS", "--prompts", "PROMPTS"], "not both"),
        ([], "give --data DIR"),
        (["--data", "MOTIONS"], "new_joint_vecs"),
        (["--data", "DATA", "--protocol", "guo"], "expected one of own, "),
        (["--data", "DATA", "--wording", "new"], "expected any, seen or unseen"),
        (["--data", "DATA", "--evaluator", "DATA/none"], "no evaluator at"),
        (["--data", "DATA", "--evaluator", "EVALUATOR", "--evaluator", "EVALUATOR"], "two evaluators are called"),
        (["--data", "DATA", "--evaluator", "EVALUATOR", "--model", "EVALUATOR"], "no motion generator"),
        (["--data", "DATA", "--html", "MOTIONS/x.html"], "needs --compare"),
        (["--data", "DATA", "-o", "MOTIONS"], "it is a folder"),
        (["--compare", "MOTIONS/none.json", "MOTIONS/none.json"], "cannot read"),
        (["--compare", "MOTIONS/prompts.txt", "MOTIONS/prompts.txt"], "is not JSON"),
    ],
)
def test_bad_requests(
    options: list[str],
    words: str,
    motions: Path,
    data: Path,
    evaluators: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = {"DATA": data, "MOTIONS": motions, "PROMPTS": motions / "prompts.txt", "EVALUATOR": evaluators[0]}
    typed = []
    for option in options:
        first, _, rest = option.partition("/")
        typed.append(str(names[first] / rest) if first in names else option)
    assert main(["evaluate", *typed]) == 2
    assert words in capsys.readouterr().err


def test_prompts_are_written_as_they_are_read(data: Path, tmp_path: Path) -> None:
    for suffix in ("txt", "jsonl"):
        assert main(["evaluate", "--data", str(data), "--write-prompts", str(tmp_path / f"prompts.{suffix}")]) == 0
    plain = subjects.read_prompt_lines(tmp_path / "prompts.txt")
    timed = subjects.read_prompt_lines(tmp_path / "prompts.jsonl")
    assert [line.text for line in plain] == [line.text for line in timed] and len(plain) == 48
    clips = read_clips(data, "test", plan("own", 20.0).span())
    assert [line.seconds for line in timed] == pytest.approx([(len(clip.features) + 1) / 20.0 for clip in clips])


def test_every_known_width_says_what_to_do() -> None:
    for width, hint in OTHER_WIDTHS.items():
        with pytest.raises(MateError, match=f"{width} numbers a frame") as error:
            subjects.check_width(width, 1, "x.npy")
        assert hint[:20] in str(error.value)


# ---------------------------------------------------------------------- parts


def test_what_shows_the_same_is_no_wrong_answer() -> None:
    clips = [
        Clip(str(n), np.zeros((4, 263)), tuple(Caption(text) for text in texts), ("seen",) * len(texts), group, None)
        for n, (group, texts) in enumerate((("a", ("x", "y")), ("a", ("z",)), ("b", ("x",)), ("c", ("w",))))
    ]
    captions = [clip.captions[0] for clip in clips]  # x z x w
    same = same_shown(captions, [clip.group for clip in clips], clips)
    assert same.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    rng = np.random.default_rng(0)
    text, motion = rng.normal(size=(2, 40, 4))
    nothing = np.eye(40, dtype=bool)
    assert np.allclose(r_precision_by_sample(text, motion), r_precision_by_sample(text, motion, same=nothing))
    pair = nothing.copy()
    pair[0, 1] = True
    rest = np.delete(np.arange(40), 1)
    assert np.allclose(
        r_precision_by_sample(text, motion, same=pair)[0], r_precision_by_sample(text[rest], motion[rest])[0]
    )
    with pytest.raises(MateError, match="sample 0 has 0 wrong answers"):
        r_precision_by_sample(text, motion, same=np.ones((40, 40), dtype=bool))


def test_the_jackknife_of_a_mean_is_students_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=20)
    without = [np.delete(values, n).mean() for n in range(20)]
    assert jackknife(values.mean(), without) == pytest.approx(2.093 * values.std(ddof=1) / np.sqrt(20), rel=2e-3)
    assert np.isnan(jackknife(1.0, [1.0]))


def test_folds_keep_prompts_whole_and_are_even() -> None:
    texts = [f"prompt {n % 50}" for n in range(200)]
    parts = folds(texts)
    assert all(len(set(parts[n::50])) == 1 for n in range(50))
    assert set(np.bincount(parts)) == {8, 12}
    order = np.random.default_rng(0).permutation(200)
    assert np.array_equal(folds([texts[n] for n in order]), parts[order])
    assert halves(texts[:50]).sum() == 25


def test_sign_flips_against_all_of_them() -> None:
    difference = np.array([0.3, -0.1, 0.5, 0.2, 0.4, -0.2, 0.1, 0.6])
    signs = np.array(list(itertools.product((-1, 1), repeat=8)))
    exact = (np.abs((signs * difference).mean(1)) >= abs(difference.mean()) - 1e-12).mean()
    assert sign_flip(difference) == pytest.approx(exact, abs=0.01)
    assert sign_flip(np.zeros(8)) == 1.0
    assert sign_flip(np.ones(40)) < 1e-3


@pytest.mark.parametrize(
    ("meta", "fact"),
    [
        ({"content": "walk-turn-left"}, "turn_left"),
        ({"content": "punch"}, None),
        ({"content": "walk", "segments": [{}, {}]}, None),
        (
            {"program": {"events": [{"action": "raise", "side": "left", "values": {"height": "high"}}]}},
            "raise_left_hand",
        ),
        ({"program": {"events": [{"action": "raise", "side": "left", "values": {"height": "low"}}]}}, None),
        ({"program": {"events": [{"action": "walk_turn", "side": "right", "values": {"gait": "walk"}}]}}, "turn_right"),
        ({"program": {"events": [{"action": "walk_turn", "side": "right", "values": {"gait": "run"}}]}}, None),
        ({"program": {"events": [{"action": "wave_both"}]}}, "wave_both_hands"),
        ({"program": {"events": [{"action": "walk", "meanwhile": {"action": "nod"}}]}}, None),
        ({}, None),
    ],
)
def test_facts_of_clips(meta: dict[str, Any], fact: str | None) -> None:
    assert fact_of(meta) == fact


# ---------------------------------------------------------------------- comparisons


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory, data: Path, evaluators: list[Path]) -> dict[str, Any]:
    """The card of motions that were made for other prompts than they stand beside."""
    root = tmp_path_factory.mktemp("worse")
    folder = write_motions(root / "turned", data, 0.01)
    lines = (folder / "prompts.txt").read_text().splitlines()
    (folder / "prompts.txt").write_text("\n".join(lines[20:] + lines[:20]) + "\n")
    assert evaluate(folder, data, evaluators, "-o", str(root / "worse.json"), "--json") == 0
    return read_card(root / "worse.json")


def test_a_card_against_itself(card: dict[str, Any]) -> None:
    result = compare(card, card)
    assert result["pairs"] == 48
    for row in result["rows"]:
        assert row["difference"] == pytest.approx(0.0, abs=1e-12) and row["better"] == ""
        assert row["p"] in (None, 1.0)


def test_a_real_difference_is_found(card: dict[str, Any], worse: dict[str, Any]) -> None:
    result = compare(card, worse, ("right", "wrong"))
    [judged] = [row for row in result["rows"] if row["evaluator"] == "judge"]
    assert judged["better"] == "right" and judged["p"] < 0.001 and judged["difference"] < -0.3
    [fid] = [row for row in result["rows"] if row["figure"] == "FID" and row["evaluator"] == "random-0"]
    assert abs(fid["difference"]) < 1e-6, "the same motions beside other prompts are the same set"
    tables = to_markdown(result)
    assert "| judge | facts shown |" in tables and "wrong - right" in tables
    page = to_html(result)
    assert "<script src=" not in page and "http" not in page.split("<body")[0].replace("http-equiv", "")
    assert "random-0" in page and "right" in page


def test_comparing_from_the_command_line(
    card: dict[str, Any], worse: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, one in (("a", card), ("b", worse)):
        (tmp_path / f"{name}.json").write_text(json.dumps(one))
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    outputs = ["--markdown", str(tmp_path / "c.md"), "--html", str(tmp_path / "c.html"), "-o", str(tmp_path / "c.json")]
    assert main(["evaluate", "--compare", *files, *outputs]) == 0
    assert "judge" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["names"] == ["a", "b"]
    assert (tmp_path / "c.html").stat().st_size > 1_000_000, "plotly is in the page"


def test_cards_side_by_side(card: dict[str, Any], worse: dict[str, Any]) -> None:
    text = side_by_side({"right": card, "wrong": worse})
    figures = [line for line in text.splitlines() if line.startswith("| right | ")]
    value = card["rows"]["made"]["random-0"]["R@1"]["value"]
    assert any(f"| right | {value:.3f}" in line for line in figures)
    assert text.count("| real motions |") == 3, "a row for each evaluator, and one for the judge"
    assert "Differences from right" in text and "facts shown, judge" in text
    other = json.loads(json.dumps(card))
    other["data"]["sha256"] = "0" * 64
    with pytest.raises(MateError, match="not comparable"):
        side_by_side({"a": card, "b": other})
    with pytest.raises(MateError, match="no card"):
        side_by_side({})


@pytest.mark.parametrize(
    ("where", "key", "value", "words"),
    [
        ("data", "sha256", "0" * 64, "data sha256"),
        ("protocol", "name", "guo-fixed", "protocol name"),
        ("evaluators", "random-0", {"sha256": "0" * 64}, "evaluators"),
        ("rows", "made", None, "real motions alone"),
    ],
)
def test_cards_that_are_not_comparable(card: dict[str, Any], where: str, key: str, value: Any, words: str) -> None:
    other = json.loads(json.dumps(card))
    if value is None:
        del other[where][key]
    else:
        other[where][key] = value
    with pytest.raises(MateError, match=words):
        compare(card, other)


def test_the_judge_counts_wordings_and_pairs_apart() -> None:
    walk, still = make.gait(4.0, 1.3), make.raised(0, 4.0)
    features = process_motion(walk)
    clips = [
        Clip(str(n), features, tuple(Caption(text) for text in texts), kinds, "walk", "walk_forward", pair)
        for n, (texts, kinds, pair) in enumerate(
            [(("walks", "strolls"), ("seen", "unseen"), "known"), (("walks sadly",), ("seen",), "unseen")]
        )
    ]
    shown = {"walks": walk, "strolls": still, "walks sadly": still}
    made = [[Made(text, text, features, joints) for text, joints in shown.items()]]
    judged, _ = _judged(clips, made, 20.0)
    counted = {
        name: {row[name]: (row["holds"], row["n"]) for row in judged["made"][f"by_{name}"]}
        for name in ("wording", "pair")
    }
    assert counted == {"wording": {"seen": (1, 2), "unseen": (0, 1)}, "pair": {"known": (1, 2), "unseen": (0, 1)}}
    plain = [replace(clip, pair="") for clip in clips]
    assert _judged(plain, made, 20.0)[0]["made"]["by_pair"] == [], "a set that does not say is not parted"

"""Prompts, the obedience table and its card, closeness to training clips, and `mate probe`."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests import motions as make

from mate.cli.app import main
from mate.data.wordings import wordings
from mate.errors import MateError
from mate.evaluate.card import wilson
from mate.evaluate.closeness import diversity, joint_distance, nearest_training, windows
from mate.evaluate.obedience import FACTS
from mate.evaluate.probes import (
    CONTENTS,
    Control,
    Prompt,
    RealClip,
    build_prompts,
    builtin_prompts,
    judge_real,
    match_prompts,
    obedience_card,
    obedience_table,
    prompts_hash,
    quality,
    real_control,
    sample_probes,
    to_markdown,
)
from mate.motion.retarget import resample, rotate_about_y

FPS = make.FPS


class Obedient:
    """A stand-in for a generator: walks, whatever the prompt, or raises the named hand; what it was asked is kept."""

    def __init__(self):
        self.asked = []

    def sample(self, texts: list[str], seconds: list[float] | None = None, seed: int = 0) -> list[np.ndarray]:
        assert seconds is not None
        self.asked += [(text, length, seed) for text, length in zip(texts, seconds, strict=True)]
        return [self.one(text, length, seed) for text, length in zip(texts, seconds, strict=True)]

    def one(self, text, seconds, seed):
        if "left hand" in text:
            return make.raised(0, seconds, top=1.5 + 0.1 * seed)
        return make.gait(seconds, 1.0 + 0.1 * seed)


PROMPTS = (
    Prompt("a person walks forward", "walk_forward", "training"),
    Prompt("somebody strides along", "walk_forward", "held-out"),
    Prompt("a person raises the left hand", "raise_left_hand", "training"),
    Prompt("a person runs forward", "run_forward", "training"),
)


def test_packaged_prompts_are_what_the_wordings_give():
    assert builtin_prompts() == build_prompts(wordings())


def test_prompts_cover_every_fact_in_both_kinds_of_wording():
    prompts = builtin_prompts()
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    training = {phrase for content in wordings()["contents"].values() for phrase in content["train"]}
    for fact in FACTS:
        kinds = [prompt.wording for prompt in prompts if prompt.fact == fact]
        assert kinds.count("training") == 4
        assert kinds.count("held-out") == len(wordings()["contents"][CONTENTS[fact][0]]["held_out"])
    for prompt in prompts:
        seen = any(prompt.text.endswith(" " + phrase) for phrase in training)
        assert seen == (prompt.wording == "training"), prompt
        subjects = wordings()["subjects"]["train" if seen else "held_out"]
        assert any(prompt.text.startswith(subject + " ") for subject in subjects)


def test_wordings_without_a_list_are_refused():
    with pytest.raises(MateError, match="held_out"):
        build_prompts(
            {"subjects": {"train": ["a person"], "held_out": ["the actor"]}, "contents": {"walk": {"train": ["walks"]}}}
        )


def test_prompts_are_matched_by_text():
    first, last = builtin_prompts()[0], builtin_prompts()[-1]
    assert match_prompts([last.text, f" {first.text} ", last.text]) == [last, first, last]
    with pytest.raises(MateError, match=r"line 2: 'a dog barks' is none of the 72"):
        match_prompts([first.text, "a dog barks"])


@pytest.mark.parametrize(
    ("holds", "n", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0, 1)]
)
def test_wilson_intervals(holds, n, low, high):
    assert wilson(holds, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_one_sample_for_every_prompt_length_and_seed():
    generator = Obedient()
    probed = sample_probes(generator, PROMPTS, seconds=(2.0, 5.0), seeds=3)
    assert len(generator.asked) == len(set(generator.asked)) == len(probed) == 4 * 2 * 3
    assert {(item.prompt.text, item.seconds, item.seed) for item in probed} == set(generator.asked)


def control() -> Control:
    real = (
        RealClip("walk", "walk_forward", make.gait(4.0, 1.3), "test"),
        RealClip("wrong", "raise_left_hand", make.raised(1, 3.0), "test"),
        RealClip("short", "walk_forward", make.gait(0.5, 1.3), "test"),
    )
    substitutes = (RealClip("run", "run_forward", make.gait(3.0, 3.0, duty=0.35, cycle=0.7), "train"),)
    return Control(
        "set", "test", "0" * 64, real, substitutes, lambda: iter([make.gait(6.0, 1.0), make.raised(0, 5.0, top=1.2)])
    )


def test_the_card_counts_what_holds():
    card = obedience_table(Obedient(), PROMPTS, seconds=(2.0, 5.0), seeds=3, control=control())
    assert json.loads(json.dumps(card)) == card
    assert (card["samples"], card["prompts"], card["seconds"], card["seeds"]) == (24, 4, [2.0, 5.0], [0, 1, 2])
    assert card["prompts_sha256"] == prompts_hash(PROMPTS)
    assert card["all"]["rate"] == 0.75
    rates = {row["fact"]: row["rate"] for row in card["by_fact"]}
    assert rates == {"walk_forward": 1.0, "raise_left_hand": 1.0, "run_forward": 0.0}
    assert card["confusion"]["run_forward"] == {"walk_forward": 6}
    rows = {(row["fact"], row["wording"], row["seconds"]): row for row in card["rows"]}
    assert rows["walk_forward", "held-out", 2.0]["n"] == 3
    assert rows["walk_forward", "held-out", 2.0]["low"] == pytest.approx(wilson(3, 3)[0])
    assert card["diversity_m"]["median"] > 0.05
    real = card["real"]
    assert real["obedience"]["confusion"]["raise_left_hand"] == {"raise_right_hand": 1}
    assert real["obedience"]["too_short"] == 1
    assert real["obedience"]["all"]["n"] == 3
    # Seed 0 walks at the speed of a training clip, from the same phase: a copy.
    assert card["nearest_training_m"]["p5"] < 0.01 < real["nearest_training_m"]["median"]


def test_the_markdown_has_every_fact_and_the_real_clips():
    card = obedience_table(Obedient(), PROMPTS, seconds=(2.0,), seeds=2, control=control())
    text = to_markdown({**card, "model": {"name": "some model"}})
    assert "| walk forward | 100 % (2/2) | 100 % (2/2) |" in text
    assert "(train split)" in text
    assert "some model" in text
    assert "nearest training clip" in text
    alone = to_markdown(obedience_table(Obedient(), PROMPTS, seconds=(2.0,), seeds=1))
    assert "real" not in alone.split("\n", 2)[2].replace("(real: clips of one fact)", "")


def test_a_motion_that_is_too_short_does_not_obey():
    card = obedience_card([*sample_probes(Obedient(), PROMPTS[:1], seconds=(0.5,), seeds=2)])
    assert (card["all"]["holds"], card["all"]["n"]) == (0, 2)
    with pytest.raises(MateError, match="no motions"):
        obedience_card([])


def test_quality_figures_are_metres():
    sunk = make.stand(2.0) - np.array([0.0, 0.05, 0.0], dtype=np.float32)
    figures = quality([make.stand(2.0), sunk])
    assert figures["floor_penetration_m"]["share_over_2cm"] == 0.5
    assert figures["floor_penetration_m"]["p95"] == pytest.approx(0.0475, abs=1e-3)
    assert figures["foot_slide_m_per_s"]["p95"] == pytest.approx(0.0, abs=1e-6)


def test_judge_real_has_a_row_for_each_label():
    result = judge_real(control().clips)
    assert [row["fact"] for row in result["rows"]] == ["walk_forward", "raise_left_hand"]
    assert result["all"]["rate"] == 0.5


# Closeness


def test_joint_distance_ignores_place_and_direction():
    motion = make.gait(3.0, 1.2)
    moved = rotate_about_y(motion, 1.0) + np.array([3.0, 0.0, 1.0], dtype=np.float32)
    assert joint_distance(motion, moved) < 1e-5
    assert joint_distance(make.stand(2.0), make.stand(2.0) + np.array([0.0, 0.1, 0.0])) == pytest.approx(0.1, abs=1e-5)


def test_diversity_is_the_mean_over_pairs():
    steps = [make.stand(2.0) + np.array([0.0, 0.1 * i, 0.0], dtype=np.float32) for i in range(3)]
    assert diversity(steps) == pytest.approx((0.1 + 0.2 + 0.1) / 3, abs=1e-5)
    assert diversity([steps[0]] * 4) == pytest.approx(0.0, abs=1e-6)
    assert diversity(steps[:1]) is None


def test_window_distance_is_in_metres():
    low, high = make.stand(2.0), make.stand(2.0) + np.array([0.0, 0.1, 0.0], dtype=np.float32)
    a, b = windows(low, FPS, 1.0), windows(high, FPS, 1.0)
    assert a.shape == (1, 1380)
    assert np.linalg.norm(a - b) == pytest.approx(0.1, abs=1e-4)
    slow, fast = windows(make.stand(2.0), FPS, 1.0), windows(make.gait(2.0, 1.0) * 0 + make.stand(2.0), FPS, 1.0)
    assert np.linalg.norm(slow - fast) == 0
    assert len(windows(make.stand(5.0), FPS, 2.0)) == 3
    assert len(windows(make.stand(1.0), FPS, 2.0)) == 1


def test_nearest_training_finds_copies_wherever_they_are():
    clips = [make.gait(6.0, 0.8 + 0.1 * i, turn=0.2 * i) for i in range(5)] + [make.raised(1, 6.0)]
    copy = rotate_about_y(clips[3][16:], -2.0) + np.array([9.0, 0.0, 9.0], dtype=np.float32)
    new = make.raised(0, 4.0)
    result = nearest_training([copy[:40], new], iter(clips), FPS, chunk=16)
    assert result.metres[0] < 0.01
    assert result.metres[1] > 0.1
    assert result.windows == sum(len(windows(clip, FPS, 0.4)) for clip in clips)


def test_nearest_training_is_the_brute_force_minimum():
    rng = np.random.default_rng(0)
    clips = [make.gait(4.0, speed, turn) for speed, turn in rng.uniform(0.5, 1.5, (6, 2))]
    queries = [make.gait(4.0, 1.0), make.gait(5.0, -1.0)]
    every = np.concatenate([windows(clip, FPS, 0.4) for clip in clips])
    expected = [
        np.mean([np.linalg.norm(every - window, axis=1).min() for window in windows(query, FPS, 2.0)])
        for query in queries
    ]
    assert nearest_training(queries, clips, FPS, chunk=7).metres == pytest.approx(expected, rel=1e-3)


# On prepared sets


@pytest.fixture
def prepared(tmp_path):
    from mate.data.build import write_dataset
    from mate.data.dataset import Caption, Sample

    def clips():
        for number, split in enumerate(["train", "train", "test", "test"]):
            joints = make.gait(3.0, 1.0 + 0.1 * number)
            meta = {"content": "walk", "segments": [{"text": "walks", "start": 0.0, "end": 3.0}]}
            yield Sample(f"walk{number}", joints, (Caption("a person walks forward"),), split, meta)
        yield Sample(
            "back", make.gait(3.0, -0.8), (Caption("a person walks backwards"),), "train", {"content": "walk-back"}
        )

    write_dataset(clips(), tmp_path / "set", name="synthetic", license="none", mirror=True)
    return tmp_path / "set"


def test_the_control_comes_from_a_prepared_set(prepared):
    real = real_control(prepared)
    assert [clip.name for clip in real.clips] == ["walk2", "walk3"]
    assert [(clip.name, clip.split) for clip in real.substitutes] == [("back", "train")]
    assert len(list(real.training())) == 6
    rows = judge_real([*real.clips, *real.substitutes])["rows"]
    assert {row["fact"]: row["rate"] for row in rows} == {"walk_forward": 1.0, "walk_backward": 1.0}


def test_a_set_without_contents_is_refused(tmp_path):
    from mate.data.build import write_dataset
    from mate.data.dataset import Caption, Sample

    samples = [Sample(split, make.gait(3.0, 1.0), (Caption("a person walks"),), split) for split in ("train", "test")]
    write_dataset(samples, tmp_path / "set", name="plain", license="none")
    with pytest.raises(MateError, match="content"):
        real_control(tmp_path / "set")


# The command


@pytest.fixture
def folder(tmp_path):
    """Motions that obey the first walking and the first left-hand prompt, with their prompts file."""
    texts = [next(p.text for p in builtin_prompts() if p.fact == fact) for fact in ("walk_forward", "raise_left_hand")]
    (tmp_path / "prompts.txt").write_text("\n".join(texts) + "\n")
    (tmp_path / "made").mkdir()
    for number, motion in enumerate((make.gait(5.0, 1.2), make.raised(0, 5.0))):
        np.save(tmp_path / "made" / f"{number:04d}.npy", motion)
    return tmp_path


def test_prompts_are_written(tmp_path, capsys):
    assert main(["probe", "--write-prompts", str(tmp_path / "p.txt")]) == 0
    lines = (tmp_path / "p.txt").read_text().splitlines()
    assert lines == [prompt.text for prompt in builtin_prompts()]
    assert "72 prompts" in capsys.readouterr().out


def test_a_folder_of_motions_is_judged(folder, prepared, capsys):
    card_file, table = folder / "card.json", folder / "card.md"
    options = ["--motions", str(folder / "made"), "--prompts", str(folder / "prompts.txt"), "--data", str(prepared)]
    assert main(["probe", *options, "--json", "-o", str(card_file), "--markdown", str(table)]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card == json.loads(card_file.read_text())
    assert (card["all"]["holds"], card["all"]["n"], card["seconds"]) == (2, 2, [5.0])
    assert card["real"]["clips"] == 2
    assert "100 % (1/1)" in table.read_text()


def test_other_frame_rates_are_resampled(folder, capsys):
    for path in (folder / "made").iterdir():
        np.save(path, resample(np.load(path), FPS, 60.0))
    options = ["--motions", str(folder / "made"), "--prompts", str(folder / "prompts.txt"), "--fps", "60", "--json"]
    assert main(["probe", *options]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["all"]["holds"], card["seconds"]) == (2, [5.0])


def test_a_table_is_printed_for_people(folder, capsys):
    assert main(["probe", "--motions", str(folder / "made"), "--prompts", str(folder / "prompts.txt")]) == 0
    assert "raise left hand" in capsys.readouterr().out


def spoil(folder: Path, what: str) -> None:
    if what == "unknown prompt":
        (folder / "prompts.txt").write_text("a dog barks\n")
    elif what == "missing motion":
        (folder / "made" / "0001.npy").unlink()
    elif what == "wrong shape":
        np.save(folder / "made" / "0001.npy", np.zeros((40, 263)))
    elif what == "truncated":
        (folder / "made" / "0001.npy").write_bytes((folder / "made" / "0001.npy").read_bytes()[:200])
    elif what == "NaN":
        np.save(folder / "made" / "0001.npy", np.full((40, 22, 3), np.nan))
    elif what == "pickle":
        np.save(folder / "made" / "0001.npy", np.array([{}], dtype=object), allow_pickle=True)
    elif what == "text":
        np.save(folder / "made" / "0001.npy", np.full((40, 22, 3), "a"))
    elif what == "no prompts":
        (folder / "prompts.txt").unlink()


@pytest.mark.parametrize(
    "what", ["unknown prompt", "missing motion", "wrong shape", "truncated", "NaN", "pickle", "text", "no prompts"]
)
def test_bad_input_is_one_line_and_status_2(folder, capsys, what):
    spoil(folder, what)
    out = folder / "card.json"
    assert (
        main(["probe", "--motions", str(folder / "made"), "--prompts", str(folder / "prompts.txt"), "-o", str(out)])
        == 2
    )
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--motions", "x"], ["--model", "x", "--motions", "y"], ["--model", "/nowhere/at/all"]]
)
def test_unclear_requests_are_refused(arguments, capsys):
    assert main(["probe", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("text", ["", "2,x", "0", "-1,2"])
def test_lengths_are_checked(text, capsys):
    assert main(["probe", "--model", "default", "--seconds", text]) == 2
    assert "--seconds" in capsys.readouterr().err

"""The generator as a whole, trained for a few steps on a made-up set: folders, samples, and the command line."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mate.checkpoints import CARD, CONFIG, WEIGHTS, from_pretrained
from mate.cli.app import main
from mate.cli.train import stage_steps
from mate.data.batch import collate
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample, open_dataset
from mate.errors import MateError
from mate.generate.base import Generator
from mate.generate.clips import Clips
from mate.generate.momask.config import MoMaskConfig, from_dict, preset, to_dict, with_training
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.momask.recipe import Tokens, token_batches, tokenize, train_generator, vq_batches
from mate.generate.postprocess import restore_bones
from mate.motion.skeleton import HUMANML3D
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 4
TEXTS = ["a person walks", "someone raises the left hand", "he turns right", "she waves"]


def swaying(frames: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None] / 20
    pose = np.cumsum(np.zeros((22, 3)), 0)
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + HUMANML3D.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    joints = pose + 0.03 * np.sin(t * rng.uniform(1, 4, (22, 3)) + rng.uniform(0, 6, (22, 3)))
    joints += t * np.array([0, 0, rng.uniform(0, 1)])
    return restore_bones(joints).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    samples = [
        Sample(
            f"clip{i}",
            swaying(frames, i),
            (Caption(TEXTS[i % 4]), Caption(TEXTS[i % 4] + " slowly")),
            "train",
            {"content": TEXTS[i % 4]},
        )
        for i, frames in enumerate((45, 60, 81, 100, 150, 220))
    ]
    write_dataset(samples, folder, name="made up", license="CC0-1.0")
    return folder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.from_pretrained()


@pytest.fixture(scope="module")
def config() -> MoMaskConfig:
    return with_training(preset("tiny"), steps=STEPS, log_steps=2)


@pytest.fixture(scope="module")
def folder(data: Path, encoder: TextEncoder, config: MoMaskConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "made-up"
    train_generator([data], out, config, encoder=encoder, quiet=True)
    return out


@pytest.fixture
def model(folder: Path, encoder: TextEncoder) -> MoMaskGenerator:
    generator = MoMaskGenerator.from_pretrained(folder)
    generator.encoder = encoder
    return generator


@pytest.fixture
def tampered(folder: Path) -> Iterator[Path]:
    original = (folder / WEIGHTS).read_bytes()
    changed = bytearray(original)
    changed[len(changed) // 2] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(changed))
    yield folder
    (folder / WEIGHTS).write_bytes(original)


# ------------------------------------------------------------------------------------------------------------------- sampling


def test_lengths_are_exact_and_samples_are_clean(model: MoMaskGenerator) -> None:
    seconds = [0.5, 2.0, 2.05, 3.333, 10.0]
    motions = model.sample([*TEXTS, "stands"], seconds, seed=3)
    assert isinstance(model, Generator)
    for joints, value in zip(motions, seconds, strict=True):
        assert joints.shape == (round(value * 20), 22, 3)
        assert joints.dtype == np.float32
        assert np.isfinite(joints).all()


def test_a_sample_depends_on_seed_and_index_not_on_the_batch(model: MoMaskGenerator) -> None:
    seconds = [2.0, 9.0, 4.5, 0.8]
    together = model.sample(TEXTS, seconds, seed=5)
    again = model.sample(TEXTS, seconds, seed=5)
    fewer = model.sample(TEXTS[:2], seconds[:2], seed=5)
    other_company = model.sample(["jumps", *TEXTS[1:]], [10.0, *seconds[1:]], seed=5)
    torch.rand(5)  # the global generator plays no part
    for i in range(4):
        assert np.array_equal(together[i], again[i])
        if i < 2:
            np.testing.assert_allclose(fewer[i], together[i], atol=1e-4)
        if i > 0:
            np.testing.assert_allclose(other_company[i], together[i], atol=1e-4)
    assert not np.array_equal(together[0], model.sample(TEXTS[:1], seconds[:1], seed=6)[0])
    same_prompt = model.sample([TEXTS[0]] * 2, [3.0, 3.0], seed=5)
    assert not np.array_equal(same_prompt[0], same_prompt[1])


def test_many_prompts_run_in_chunks_with_their_own_indices(
    model: MoMaskGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.sample(TEXTS, [1.0] * 4, seed=1)
    monkeypatch.setattr("mate.generate.momask.model._CHUNK", 3)
    seen: list[tuple[int, int]] = []
    parts = model.sample(TEXTS, [1.0] * 4, seed=1, progress=lambda done, total: seen.append((done, total)))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert seen == [(3, 4), (4, 4)]


def test_the_model_chooses_a_length(model: MoMaskGenerator) -> None:
    lengths = [len(joints) for joints in model.sample(TEXTS, None, seed=0)]
    assert all(10 <= length <= 200 for length in lengths)
    assert lengths == [len(joints) for joints in model.sample(TEXTS, None, seed=0)]
    assert lengths[0] == len(model.sample(TEXTS[:1], None, seed=0)[0])


@pytest.mark.parametrize(
    ("texts", "seconds", "message"),
    [
        ([" "], None, "is empty"),
        (["x" * 2001], None, "2,001 characters"),
        (["a", "b"], [1.0], "1 lengths for 2"),
        (["a"], [0.1], "0.5 to 10"),
        (["a"], [float("nan")], "0.5 to 10"),
        (["a"], [10.5], "0.5 to 10"),
    ],
)
def test_impossible_requests_are_refused(
    model: MoMaskGenerator, texts: list[str], seconds: list[float] | None, message: str
) -> None:
    with pytest.raises(MateError, match=message):
        model.sample(texts, seconds)


def test_sampling_leaves_the_training_mode_as_it_was(model: MoMaskGenerator) -> None:
    model.train()
    model.sample(TEXTS[:1], [0.5])
    assert model.training
    assert not model.encoder.model.training


# -------------------------------------------------------------------------------------------------------------------- folders


def test_a_saved_model_is_the_same_model(
    model: MoMaskGenerator, folder: Path, tmp_path: Path, encoder: TextEncoder
) -> None:
    again = from_pretrained(model.save_pretrained(tmp_path / "copy", "# card\n"))
    assert isinstance(again, MoMaskGenerator)
    for (name, a), b in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    again.encoder = encoder
    np.testing.assert_array_equal(model.sample(TEXTS[:1], [2.0])[0], again.sample(TEXTS[:1], [2.0])[0])
    assert again.facts["license"] == "CC0-1.0"
    config = json.loads((folder / CONFIG).read_text())
    assert config["text_encoder"] == "all-MiniLM-L6-v2"
    assert config["sha256"][WEIGHTS] == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert config["skeleton"]["bone_lengths"] == list(HUMANML3D.bone_lengths)
    card = (folder / CARD).read_text()
    assert "CC0-1.0" in card
    assert "masked" in card


def test_a_tampered_model_is_refused(tampered: Path) -> None:
    with pytest.raises(MateError, match="was changed or is damaged"):
        from_pretrained(tampered)


def test_weights_of_other_sizes_are_refused(folder: Path, tmp_path: Path) -> None:
    from mate.checkpoints import load_folder, save_folder

    config, tensors, _ = load_folder(folder)
    config["config"]["masked"]["layers"] = 3
    save_folder(tmp_path / "other", config, tensors, "")
    with pytest.raises(MateError, match="do not fit the configuration"):
        from_pretrained(tmp_path / "other")


def test_configurations_round_trip() -> None:
    for name in ("laptop", "momask", "tiny"):
        assert from_dict(MoMaskConfig, json.loads(json.dumps(to_dict(preset(name))))) == preset(name)
    with pytest.raises(MateError, match="does not know: more"):
        from_dict(MoMaskConfig, {**to_dict(preset("tiny")), "more": 1})
    with pytest.raises(MateError, match="expected one of laptop"):
        preset("huge")


def test_a_patch_goes_into_the_folder_and_into_the_encoder(
    folder: Path, data: Path, config: MoMaskConfig, tmp_path: Path
) -> None:
    plain = TextEncoder.from_pretrained()
    ids = torch.tensor([2187, 2157])  # left, right
    table = plain.table.detach()
    patch = WordPatch.from_tables(
        table, ids, table[ids] + 0.5, base_model=plain.model_id, training_data="none", license="CC0-1.0", version="0"
    )
    path = patch.save(tmp_path / "words.safetensors")
    patched = TextEncoder.from_pretrained(patch=path)
    out = tmp_path / "patched"
    train_generator([data], out, config, encoder=patched, patch=path, init=folder, stages=["length"], quiet=True)
    with_patch, without = MoMaskGenerator.from_pretrained(out), MoMaskGenerator.from_pretrained(out, patch=False)
    text = ["raises the left hand"]
    assert torch.equal(with_patch.encoder.encode(text).pooled, patched.encode(text).pooled)
    assert torch.equal(without.encoder.encode(text).pooled, plain.encode(text).pooled)
    assert not torch.allclose(patched.encode(text).pooled, plain.encode(text).pooled)
    # Trained on from there without a patch, the model must not take its parent's along.
    bare = tmp_path / "bare"
    train_generator([data], bare, config, encoder=plain, init=out, stages=["length"], quiet=True)
    assert not (bare / "patch.safetensors").exists()


# ------------------------------------------------------------------------------------------------------------------- training


def test_an_interrupted_training_continues_to_the_same_model(
    folder: Path, data: Path, encoder: TextEncoder, config: MoMaskConfig, tmp_path: Path
) -> None:
    out = tmp_path / "made-up"
    for stages in (["vq"], ["decoder"], ["masked"], ["residual", "length"]):
        train_generator([data], out, config, encoder=encoder, stages=stages, quiet=True)
    assert (out / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert set(json.loads((out / CONFIG).read_text())["training"]) == {"vq", "decoder", "masked", "residual", "length"}


def test_a_start_from_another_models_weights(folder: Path, data: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    config = replace(with_training(preset("laptop"), steps=1, lr=0.0, weight_decay=0.0, ema=0.0), batch_tokens=60)
    train_generator([data], tmp_path / "next", config, encoder=encoder, init=folder, stages=["masked"], quiet=True)
    before, after = MoMaskGenerator.from_pretrained(folder), MoMaskGenerator.from_pretrained(tmp_path / "next")
    assert after.config.masked == before.config.masked
    for (name, a), b in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_bad_training_requests(data: Path, encoder: TextEncoder, config: MoMaskConfig, tmp_path: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(MateError, match="stage 'foo'"):
        train_generator([data], out, config, encoder=encoder, stages=["foo"])
    with pytest.raises(MateError, match="no data folder"):
        train_generator([], out, config, encoder=encoder)
    with pytest.raises(MateError, match="1 to 4"):
        train_generator([data], out, config, encoder=encoder, phases=5)
    with pytest.raises(MateError, match="2 weights for 1"):
        train_generator([data], out, config, encoder=encoder, weights=[1, 2], quiet=True)
    assert not out.exists()


def test_the_whole_loss(model: MoMaskGenerator, data: Path) -> None:
    dataset = open_dataset(data)
    normalised = [
        (dataset.features(i) - model.vq.normalizer.mean.numpy()) / model.vq.normalizer.std.numpy() for i in range(3)
    ]
    batch = collate([(features, TEXTS[i]) for i, features in enumerate(normalised)])
    losses = model.train().loss(batch)
    assert {"reconstruction", "commitment", "masked", "residual", "length"} <= set(losses)
    assert all(bool(torch.isfinite(value)) for value in losses.values())


def test_batches_are_functions_of_their_number(model: MoMaskGenerator, data: Path) -> None:
    dataset = open_dataset(data)
    clips = Clips([dataset], [1.0], 0.5, 8)
    windows = vq_batches(clips, 64, 16, 0)
    (a, mask), (b, _), (c, _) = windows(3), windows(3), windows(4)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert mask is not None  # there are clips shorter than the window
    assert bool((a[~mask] == 0).all())
    tokens = tokenize(model.vq, clips, 3)
    assert tokens.counts.tolist() == [[(int(n) - phase) // 4 for n in clips.lengths] for phase in range(3)]
    one = model.vq.encode(torch.from_numpy(np.array(dataset.features(2)))[None, 1:])[0]
    start = tokens.starts[2]
    assert torch.equal(tokens.tokens[1, start : start + len(one)].long(), one)
    pooled = torch.randn(len(clips.texts), 8)
    draw = token_batches(clips, tokens, pooled, 20, 60, 0, buckets=3)
    for number in range(10):
        batch = draw(number)
        assert batch.tokens.shape[1] <= 20
        assert torch.equal(batch.tokens, draw(number).tokens)
        assert batch.tokens.shape[:2] == batch.mask.shape
        assert bool(batch.mask.any(1).all())


def test_balance_draws_contents_alike(data: Path) -> None:
    dataset = open_dataset(data)
    even, alike = Clips([dataset], [1.0], 0.0, 8), Clips([dataset], [1.0], 1.0, 8)
    np.testing.assert_allclose(even.weights, 1 / 6)
    np.testing.assert_allclose(alike.weights, [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 8, 1 / 8])
    assert isinstance(Tokens, type)


# --------------------------------------------------------------------------------------------------------------- command line


def test_generate_writes_what_was_asked(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out"
    prompts.write_text("a person walks\n\nshe waves\n")
    arguments = ["generate", "--prompts", str(prompts), "--seconds", "2", "--seed", "1", "--model", str(folder)]
    assert main([*arguments, "--format", "npy,bvh", "-o", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert printed["motions"] == rows
    assert [row["prompt"] for row in rows] == ["a person walks", "she waves"]
    assert [row["file"] for row in rows] == ["0000.npy", "0001.npy"]
    assert all(row["license"] == "CC0-1.0" and row["seed"] == 1 and row["seconds"] == 2.0 for row in rows)
    assert sorted(path.name for path in out.iterdir()) == [
        "0000.bvh",
        "0000.npy",
        "0001.bvh",
        "0001.npy",
        "index.jsonl",
    ]
    joints = np.load(out / "0001.npy")
    assert joints.shape == (40, 22, 3)
    assert joints.dtype == np.float32
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "mine.txt").write_text("stays")
    assert main([*arguments, "--format", "npy,bvh", "-o", str(out)]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.name != "mine.txt"} == first
    assert "CC0-1.0" in capsys.readouterr().err


def test_files_say_which_sub_texts_they_were_made_of(folder: Path, tmp_path: Path) -> None:
    out, prompts = tmp_path / "out", ["a person walks, then waves", "a person walks"]
    arguments = ["generate", *prompts, "--seconds", "4", "--model", str(folder), "--format", "npz", "-o", str(out)]

    def written() -> tuple[list[dict[str, Any]], np.ndarray]:
        rows = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
        return rows, np.load(out / "0000.npz", allow_pickle=False)

    assert main(arguments) == 0
    [two, one], file = written()
    assert two["sub_texts"] == ["a person walks", "a person waves"] and "sub_texts" not in one
    assert str(file["sub_texts"]) == "a person walks | a person waves"
    assert main([*arguments, "--whole"]) == 0
    assert not any("sub_texts" in row for row in written()[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "is empty"),
        (["x" * 10_000], "10,000 characters"),
        (["x", "--format", "fbx"], "got the format 'fbx'"),
        (["x", "--seconds", "60"], "0.5 to 10 s"),
        (["x", "y", "--seconds", "1", "--seconds", "2", "--seconds", "3"], "3 lengths for 2"),
        (["x", "--seed", "-1"], "got the seed -1"),
        (["x", "--guidance", "nan"], "got a guidance"),
        ([], "got no prompt"),
        (["--prompts", "/does/not/exist.txt"], "cannot read the prompts"),
        (["x", "--model", "/does/not/exist"], "no model folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    model = [] if "--model" in arguments else ["--model", str(folder)]
    assert main(["generate", *arguments, *model, "-o", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_tampered_model_and_an_output_that_cannot_be_written(
    tampered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "x", "--model", str(tampered), "-o", str(tmp_path / "out")]) == 2
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/mate-test")):
        assert main(["generate", "x", "--model", str(tampered), "-o", str(place)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_train_from_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    assert main(["train", "generator", str(data), "-o", str(out), "--preset", "tiny", "--steps", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed["stages"]) == {"vq", "decoder", "masked", "residual", "length"}
    assert (out / WEIGHTS).is_file()
    assert main(["train", "generator", str(data), "-o", str(tmp_path / "y"), "--preset", "huge"]) == 2
    assert main(["train", "generator", str(tmp_path), "-o", str(tmp_path / "y")]) == 2
    assert not (tmp_path / "y").exists()


def test_a_sheet_shows_every_motion(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    sheet = tmp_path / "sheet.png"
    command = ["generate", *TEXTS, TEXTS[0], "--seconds", "1", "--format", "npy", "--model", str(folder)]
    assert main([*command, "-o", str(tmp_path / "out"), "--sheet", str(sheet)]) == 0
    with Image.open(sheet) as image:
        assert image.width > 2 * image.height, "five strips in two columns"
        assert image.info["license"] == "CC0-1.0"
    assert main([*command, "-o", str(tmp_path / "other"), "--sheet", str(tmp_path / "sheet.bmp")]) == 2
    assert "expected a .png" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_steps_of_stages() -> None:
    stages = ("vq", "masked")
    assert stage_steps(None, stages) == {}
    assert stage_steps("7", stages) == {"vq": 7, "masked": 7}
    assert stage_steps("masked=7", stages) == {"masked": 7}
    assert stage_steps("masked=7, vq=2", stages) == {"masked": 7, "vq": 2}
    for wrong in ("0", "x", "", "other=3", "masked=", "masked=0", "3,masked=2", "2,3"):
        with pytest.raises(MateError, match="--steps"):
            stage_steps(wrong, stages)

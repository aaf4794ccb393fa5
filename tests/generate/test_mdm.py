"""The MDM-type generator: samples, kept parts, training, folders and the command line, trained for a few steps on a made-up set."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mate.checkpoints import CARD, CONFIG, WEIGHTS, from_pretrained
from mate.cli.app import main
from mate.data.batch import collate
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample, open_dataset
from mate.errors import MateError
from mate.generate.base import Generator
from mate.generate.mdm.config import MDMConfig, preset, to_dict, with_training
from mate.generate.mdm.denoiser import Denoiser
from mate.generate.mdm.known import Known, continue_from, edit, follow
from mate.generate.mdm.model import MDMGenerator
from mate.generate.mdm.recipe import train_generator
from mate.generate.momask.config import from_dict
from mate.generate.postprocess import restore_bones
from mate.motion.retarget import heading
from mate.motion.skeleton import HUMANML3D
from mate.text.encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 4
TEXTS = ["a person walks", "someone raises the left hand", "he turns right", "she waves"]


def swaying(frames: int, seed: int, turn: float = 0.0) -> np.ndarray:
    """A body that sways, goes forward and turns `turn` radians a second: (T, 22, 3)."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None] / 20
    pose = np.zeros((22, 3))
    for joint, parent in enumerate(HUMANML3D.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + HUMANML3D.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    joints = pose + 0.03 * np.sin(t * rng.uniform(1, 4, (22, 3)) + rng.uniform(0, 6, (22, 3)))
    angle = turn * t[:, :, 0]
    x, z = joints[..., 0].copy(), joints[..., 2].copy()
    joints[..., 0], joints[..., 2] = x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)
    speed = rng.uniform(0.5, 1)
    joints[..., 0] += np.cumsum(np.sin(angle) * speed / 20, 0)
    joints[..., 2] += np.cumsum(np.cos(angle) * speed / 20, 0)
    return restore_bones(joints).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    samples = [
        Sample(f"clip{i}", swaying(frames, i), (Caption(TEXTS[i % 4]), Caption(TEXTS[i % 4] + " slowly")), "train")
        for i, frames in enumerate((45, 60, 81, 100, 150, 220))
    ]
    write_dataset(samples, folder, name="made up", license="CC0-1.0")
    return folder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.from_pretrained()


@pytest.fixture(scope="module")
def config() -> MDMConfig:
    return with_training(preset("tiny"), steps=STEPS, log_steps=2)


@pytest.fixture(scope="module")
def folder(data: Path, encoder: TextEncoder, config: MDMConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "made-up"
    train_generator([data], out, config, encoder=encoder, quiet=True)
    return out


@pytest.fixture(scope="module")
def model(folder: Path, encoder: TextEncoder) -> MDMGenerator:
    generator = MDMGenerator.from_pretrained(folder)
    generator.encoder = encoder
    return generator


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 4), ("ddpm", 3), ("dpm++", 5)])
def test_lengths_are_exact_and_samples_are_clean(model: MDMGenerator, sampler: str, steps: int) -> None:
    assert isinstance(model, Generator)
    seconds = [0.5, 2.05, 3.333, 10.0]
    for joints, value in zip(model.sample(TEXTS, seconds, seed=3, sampler=sampler, steps=steps), seconds, strict=True):
        assert joints.shape == (round(value * 20), 22, 3) and joints.dtype == np.float32
        assert np.isfinite(joints).all()
        bones = np.linalg.norm(joints - joints[:, np.maximum(HUMANML3D.parents, 0)], axis=-1)
        assert np.allclose(bones, HUMANML3D.bone_lengths, atol=1e-4)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++"])
def test_a_sample_depends_on_seed_and_index_not_on_the_batch(model: MDMGenerator, sampler: str) -> None:
    seconds = [2.0, 9.0, 4.5, 0.8]
    # Without foot lock: whether a foot stands is a decision, which rounding can turn in a model that learned nothing.
    together = model.sample(TEXTS, seconds, seed=5, sampler=sampler, foot_lock=False)
    for i, joints in enumerate(together):
        [alone] = model.sample([TEXTS[i]], [seconds[i]], seed=5, sampler=sampler, numbers=[i], foot_lock=False)
        assert np.abs(alone - joints).max() < 1e-4
    state = torch.random.get_rng_state()
    again = model.sample(TEXTS, seconds, seed=5, sampler=sampler, foot_lock=False)
    assert all((a == b).all() for a, b in zip(together, again, strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    other = model.sample(TEXTS, seconds, seed=6, sampler=sampler)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(together, other, strict=True))


def test_lengths_are_chosen_where_none_are_given(model: MDMGenerator) -> None:
    first, again = (model.sample(TEXTS[:2], seed=1, steps=1) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert len(a) == len(b) and 0.5 <= len(a) / 20 <= 10


def test_guidance_goes_from_none_to_the_text(model: MDMGenerator) -> None:
    """At 0 the text has no say; at 1 it is the plain prediction; in between and beyond it is linear."""
    diffusion = model.diffusion
    text = torch.randn(2, 1, 384, generator=torch.Generator().manual_seed(0))
    x, times = (
        torch.randn(2, 20, len(diffusion.columns), generator=torch.Generator().manual_seed(1)),
        torch.tensor([900, 10]),
    )
    with torch.no_grad():
        for block in diffusion.denoiser.blocks:
            block.adapt.weight.add_(0.05)  # type: ignore[operator,union-attr]
        none, plain, twice = (diffusion.guided(text, None, None, g)(x, times) for g in (0.0, 1.0, 2.0))
        other = diffusion.guided(-text, None, None, 0.0)(x, times)
        for block in diffusion.denoiser.blocks:
            block.adapt.weight.sub_(0.05)  # type: ignore[operator,union-attr]
    assert torch.equal(none, other)
    assert (plain - none).abs().max() > 1e-4
    assert torch.allclose(twice, 2 * plain - none, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"texts": [" "]}, "empty"),
        ({"texts": ["x" * 3000]}, "characters"),
        ({"texts": ["walk"], "seconds": [11.0]}, "0.5 to 10 s"),
        ({"texts": ["walk"], "seconds": [float("nan")]}, "0.5 to 10 s"),
        ({"texts": ["walk"], "seconds": [2.0, 3.0]}, "2 lengths for 1 prompts"),
        ({"texts": ["walk"], "sampler": "euler"}, "ddpm, ddim, dpm"),
        ({"texts": ["walk"], "steps": 5000}, "sampling steps"),
        ({"texts": ["walk"], "seconds": [2.0], "known": [None]}, "leave the lengths out"),
    ],
)
def test_bad_requests(model: MDMGenerator, arguments: dict, told: str) -> None:
    with pytest.raises(MateError, match=told):
        model.sample(**arguments)


# ---------------------------------------------------------------------------------------------------------- what must be kept


def standing_elsewhere(joints: np.ndarray, turn: float = 1.2) -> np.ndarray:
    """The same motion turned and away from the origin."""
    cos, sin = np.cos(turn), np.sin(turn)
    x, z = joints[..., 0], joints[..., 2]
    return np.stack([x * cos + z * sin + 2.0, joints[..., 1], z * cos - x * sin - 1.0], -1).astype(np.float32)


@pytest.mark.parametrize("change", [[(1.0, 2.5)], [(0.0, 1.0)], [(3.0, 4.0)], [(0.5, 1.0), (2.0, 3.0)]])
def test_time_ranges_are_made_anew_and_the_rest_stays(model: MDMGenerator, change: list) -> None:
    given = standing_elsewhere(swaying(80, 3, turn=0.5))
    known = edit(given, change)
    [made] = model.sample(["he turns right"], known=[known], seed=2)
    new = np.zeros(80, bool)
    for start, end in change:
        new[round(start * 20) : round(end * 20)] = True
    assert (made[~new] == given[~new]).all()
    assert np.abs(made[new] - given[new]).max(axis=(1, 2)).min() > 1e-3
    # Nothing jumps where new meets old: an untrained model shakes, but from a frame to the next it stays in place.
    assert np.linalg.norm(np.diff(made[:, 0], axis=0), axis=1).max() < 0.35


def test_the_path_is_led_back_to_where_the_motion_goes_on() -> None:
    """What a generator made of a stretch turns and travels as it likes; after `close` the kept frames are where they were."""
    given = swaying(60, 1, turn=0.8)
    known = edit(given, [(1.0, 2.0)])
    features = known.features.copy()
    features[20:40, 0] += 0.02
    features[20:40, 1:3] += 0.01
    from mate.motion.features import features_to_joints

    for wanted, shown in ((known.features, False), (known.close(features), True)):
        assert np.abs(features_to_joints(wanted) - features_to_joints(known.features)).max() < 1e-4 or shown
    off, led = (
        np.abs(features_to_joints(f) - features_to_joints(known.features))[40:].max()
        for f in (features, known.close(features))
    )
    assert off > 0.3
    assert led < 1e-4


@pytest.mark.parametrize(("parts", "changed"), [(["left arm"], [13, 16, 18, 20]), (["right leg"], [2, 5, 8, 11])])
def test_body_parts_are_made_anew_and_the_rest_stays(model: MDMGenerator, parts: list[str], changed: list[int]) -> None:
    given = standing_elsewhere(swaying(50, 2))
    [made] = model.sample(["someone raises the left hand"], known=[edit(given, parts=parts)], seed=1)
    others = [joint for joint in range(22) if joint not in changed]
    assert np.abs(made[:, others] - given[:, others]).max() < 1e-4
    assert np.abs(made[:, changed[-1]] - given[:, changed[-1]]).max() > 0.02
    bones = np.linalg.norm(made - made[:, np.maximum(HUMANML3D.parents, 0)], axis=-1)
    assert np.allclose(bones, HUMANML3D.bone_lengths, atol=1e-4)


def test_goes_on_from_a_motion_and_from_a_pose(model: MDMGenerator) -> None:
    given = standing_elsewhere(swaying(70, 5, turn=0.4))
    [made] = model.sample(["she waves"], known=[continue_from(given, 2.0)], seed=1)
    assert len(made) == 20 + 40
    assert (made[:20] == given[-20:]).all()
    assert np.linalg.norm(made[20, 0] - made[19, 0]) < 0.35
    [made] = model.sample(["she waves"], known=[continue_from(given[-1:], 2.0)], seed=1)
    assert len(made) == 1 + 40 and (made[0] == given[-1]).all()


def test_follows_a_path(model: MDMGenerator) -> None:
    t = np.arange(60) / 20
    path = np.stack([3 + 1.5 * np.sin(t), -2 + 1.5 * (1 - np.cos(t))], 1)
    [made] = model.sample(["a person walks"], known=[follow(path)], seed=1)
    assert np.abs(made[:, 0][:, [0, 2]] - path).max() < 1e-3
    facing = np.zeros(60)
    features = follow(path, facing).features
    assert np.abs(features[:, 0]).max() == 0
    assert np.allclose(features[:-1, 1:3], np.diff(path, axis=0), atol=1e-6)


def test_kept_and_free_motions_share_a_batch(model: MDMGenerator) -> None:
    given = swaying(50, 2)
    known = edit(given, [(1.0, 2.0)])
    both = model.sample(TEXTS[:2], known=[None, known], seed=4)
    [alone] = model.sample(TEXTS[1:2], known=[known], seed=4, numbers=[1])
    assert np.abs(both[1] - alone).max() < 1e-4


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda x: edit(x, [(1.0, 9.0)]), "time range"),
        (lambda x: edit(x, parts=["tail"]), "body part"),
        (lambda x: edit(x, parts=[]), "no body part"),
        (lambda x: edit(1.3 * x), "retarget_to_canonical"),
        (lambda x: edit(x * np.nan), "NaN"),
        (lambda x: continue_from(x, -1.0), "more than 0"),
        (lambda x: follow(np.zeros((1, 2))), "path"),
        (lambda x: follow(np.zeros((9, 2)), np.zeros(3)), "headings"),
    ],
)
def test_bad_edits(make, told: str) -> None:
    with pytest.raises(MateError, match=told):
        make(swaying(40, 0))


def test_a_motion_kept_whole_comes_back(model: MDMGenerator) -> None:
    given = standing_elsewhere(swaying(40, 4))
    known = edit(given, [(1.0, 2.0)])
    whole = Known(known.features, np.ones_like(known.keep), given, np.ones_like(known.kept), known.turn, known.shift)
    [made] = model.sample(["she waves"], known=[whole])
    assert (made == given).all()
    assert abs(float(heading(given)[0]) - known.turn) < 1e-6


# ------------------------------------------------------------------------------------------------------------------- training


def test_windows_overlap_and_add_up() -> None:
    """Several frames a token: what goes in comes out where it was, whatever the length."""
    config = replace(preset("tiny").denoiser, frames=4)
    denoiser = Denoiser(config, 3, 384, 60, 10)
    for frames in (1, 4, 7, 16):
        x = torch.randn(2, frames, 3)
        windows = denoiser._windows(x)
        assert windows.shape == (2, -(-frames // 4), 24)
        assert torch.allclose(denoiser._frames(0.5 * windows, frames)[:, 2:-2], x[:, 2:-2])


def test_padding_has_no_say(model: MDMGenerator) -> None:
    """The loss of a clip is the same with and without a longer one beside it, as far as padding goes."""
    denoiser, width = model.diffusion.denoiser, len(model.diffusion.columns)
    text, times = torch.randn(1, 1, 384), torch.tensor([500])
    for frames in (28, 30):
        x = torch.randn(1, frames, width)
        longer = torch.cat((x, 9 * torch.randn(1, 13, width)), 1)
        mask = torch.arange(frames + 13)[None] < frames
        with torch.no_grad():
            alone, beside = denoiser(x, times, text), denoiser(longer, times, text, mask=mask)[:, :frames]
        assert torch.allclose(alone, beside, atol=1e-5)


@pytest.mark.slow
def test_losses_fall(data: Path, encoder: TextEncoder, config: MDMConfig, tmp_path: Path) -> None:
    short, longer = (
        train_generator(
            [data], tmp_path / str(steps), with_training(config, steps=steps, log_steps=20, lr=3e-3), encoder=encoder,
            stages=("denoiser",), quiet=True,
        )["denoiser"].losses["clean"]
        for steps in (20, 160)
    )  # fmt: skip
    assert longer < 0.6 * short


def test_protocol_loss_has_a_gradient(model: MDMGenerator, data: Path) -> None:
    dataset = open_dataset(data)
    mean, std = model.diffusion.normalizer.mean.numpy(), model.diffusion.normalizer.std.numpy()
    batch = collate([((dataset.features(i) - mean) / std, dataset.captions[i][0].text) for i in range(3)])
    losses = model.loss(batch)
    assert set(losses) == {"clean", "length"}  # the preset has no loss on velocities
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert float(model.diffusion.denoiser.input.weight.grad.abs().max()) > 0  # type: ignore[union-attr]
    model.zero_grad()


def test_resumed_training_equals_an_uninterrupted_one(
    data: Path, encoder: TextEncoder, config: MDMConfig, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: weights, averages and optimiser continue, batches and noise follow from the step."""
    from mate.generate.mdm import recipe

    made, seen = recipe.denoiser_loss, []

    def stopping(*arguments):
        seen.append(1)
        if len(seen) == STEPS // 2 + 1:
            raise KeyboardInterrupt
        return made(*arguments)

    monkeypatch.setattr(recipe, "denoiser_loss", stopping)
    config = replace(config, train_denoiser=replace(config.train_denoiser, checkpoint_steps=1))
    with pytest.raises(KeyboardInterrupt):
        train_generator([data], tmp_path / "model", config, encoder=encoder, quiet=True)
    assert not (tmp_path / "model").exists()
    train_generator([data], tmp_path / "model", config, encoder=encoder, quiet=True)
    assert digest(tmp_path / "model" / WEIGHTS) == digest(folder / WEIGHTS)


def test_words_as_memory(data: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    """The decoder reads every word's vector: it trains, saves and samples with them."""
    base = preset("tiny")
    denoiser = replace(base.denoiser, architecture="decoder", words=True, adaptive=False, frames=1)
    config = replace(with_training(base, steps=2), denoiser=denoiser)
    train_generator([data], tmp_path / "model", config, encoder=encoder, quiet=True)
    model = MDMGenerator.from_pretrained(tmp_path / "model")
    assert [len(joints) for joints in model.sample(TEXTS[:2], [1.0, 2.0], steps=2)] == [20, 40]


@pytest.mark.parametrize(("change", "told"), [({"stages": ("vq",)}, "stage"), ({"folders": []}, "no data folder")])
def test_bad_training_requests(
    data: Path, encoder: TextEncoder, config: MDMConfig, tmp_path: Path, change: dict, told: str
) -> None:
    arguments = {"folders": [data], **change}
    folders = arguments.pop("folders")
    with pytest.raises(MateError, match=told):
        train_generator(folders, tmp_path / "model", config, encoder=encoder, quiet=True, **arguments)


# -------------------------------------------------------------------------------------------------------------------- folders


def test_folder_comes_back_the_same(model: MDMGenerator, folder: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    assert config["model_type"] == "mdm" and config["license"] == "CC0-1.0"
    assert "CC0-1.0" in (folder / CARD).read_text()
    assert from_dict(MDMConfig, config["config"]) == model.config
    assert from_dict(MDMConfig, json.loads(json.dumps(to_dict(preset("mdm-bert"))))) == preset("mdm-bert")
    again = from_pretrained(folder)
    again.encoder = encoder
    model.save_pretrained(tmp_path / "copy", "# card")
    copy = from_pretrained(tmp_path / "copy")
    copy.encoder = encoder
    [a], [b], [c] = (m.sample(TEXTS[:1], [1.0], seed=1) for m in (model, again, copy))
    assert (a == b).all() and (a == c).all()


def test_another_text_encoder_does_not_take_the_old_ones_patch_along(
    folder: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    own = MDMGenerator.from_pretrained(folder)
    own._encoder_source = (own._encoder_source[0], tmp_path / "old-patch.safetensors")
    own.encoder = encoder
    own.save_pretrained(tmp_path / "other", "# card")
    assert not (tmp_path / "other" / "patch.safetensors").exists()


def test_changed_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / WEIGHTS).write_bytes(content)
    with pytest.raises(MateError, match="changed or is damaged"):
        MDMGenerator.from_pretrained(copy)
    config = json.loads((folder / CONFIG).read_text())
    shutil.copy(folder / WEIGHTS, copy / WEIGHTS)
    config["config"]["denoiser"]["width"] = 48
    (copy / CONFIG).write_text(json.dumps(config))
    with pytest.raises(MateError, match="do not fit"):
        MDMGenerator.from_pretrained(copy)


# --------------------------------------------------------------------------------------------------------------- command line


def test_command_trains_and_info_tells(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    assert (
        main(
            [
                "train",
                "generator",
                str(data),
                "-o",
                str(out),
                "--kind",
                "mdm",
                "--preset",
                "tiny",
                "--steps",
                "2",
                "--json",
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["stages"].keys() == {"denoiser", "length"}
    assert main(["info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model_type"] == "mdm"
    made = tmp_path / "made"
    assert main(["generate", TEXTS[0], "--model", str(out), "--seconds", "1", "--format", "npy", "-o", str(made)]) == 0
    assert np.load(made / "0000.npy").shape == (20, 22, 3)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--kind", "gan"], "momask or mdm"),
        (["--kind", "mdm", "--preset", "compact"], "preset"),
        (["--kind", "mdm", "--minutes-vq", "3"], "--minutes-vq"),
        (["--kind", "mdm", "--stage", "vq"], "stage"),
        (["--minutes-denoiser", "3"], "--minutes-denoiser"),
    ],
)
def test_command_refuses(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert main(["train", "generator", str(data), "-o", str(tmp_path / "model"), *options]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "model").exists()

"""Generators of KIT-ML: 21 joints, 251 numbers, 12.5 frames a second; and that HumanML3D's are what they were."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import kit
from tests import motions as make

from mate.checkpoints import CONFIG, WEIGHTS, from_pretrained
from mate.cli.app import main
from mate.data.batch import collate
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample, open_dataset
from mate.errors import MateError
from mate.generate.base import Editor, Generator
from mate.generate.mdm import config as mdm_config
from mate.generate.mdm import recipe as mdm
from mate.generate.mdm.known import edit
from mate.generate.mdm.model import MDMGenerator
from mate.generate.momask import config as momask_config
from mate.generate.momask import recipe as momask
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.momask.vqvae import joint_velocities
from mate.generate.postprocess import LEGS, clean, leg_chains
from mate.generate.timeline import LIMITS, Step, jumps, limits
from mate.motion.features import HUMANML3D_FEATURES, KIT_FEATURES, features_to_joints, joints_to_features
from mate.motion.retarget import retarget_to_canonical
from mate.motion.skeleton import HUMANML3D, KIT
from mate.text.encoder import TextEncoder

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = ["a person walks forward", "a person raises the left hand"]
KINDS: dict[str, Any] = {"momask": (momask, momask_config, MoMaskGenerator), "mdm": (mdm, mdm_config, MDMGenerator)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kit.prepare(tmp_path_factory.mktemp("kit"), {"train": 6, "test": 2})


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of HumanML3D's skeleton."""
    folder = tmp_path_factory.mktemp("humanml3d") / "set"
    sample = Sample("a", make.gait(3.0, 1.0), (Caption(TEXTS[0]),), "train")
    write_dataset([sample], folder, name="walks", license="CC0-1.0")
    return folder


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.from_pretrained()


def trained(kind: str, folders: list[Path], out: Path, encoder: TextEncoder, **options: Any) -> Path:
    recipe, config, _ = KINDS[kind]
    settings = config.with_training(config.preset("tiny"), steps=3)
    recipe.train_generator(folders, out, settings, encoder=encoder, quiet=True, **options)
    return out


@pytest.fixture(scope="module", params=list(KINDS))
def folder(
    request: pytest.FixtureRequest, data: Path, encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return trained(request.param, [data], tmp_path_factory.mktemp("model") / request.param, encoder)


@pytest.fixture
def model(folder: Path, encoder: TextEncoder) -> Any:
    generator = from_pretrained(folder)
    generator.encoder = encoder
    return generator


# ------------------------------------------------------------------------------------------------------- what a model makes


def test_a_model_is_what_its_data_are(
    folder: Path, model: Any, data: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    config = json.loads((folder / CONFIG).read_text())
    assert config["fps"] == 12.5 and config["skeleton"]["name"] == "kit"
    np.testing.assert_allclose(config["skeleton"]["bone_lengths"], kit.LENGTHS / 1000, atol=1e-6)
    assert "21 joints (the KIT-ML skeleton), 12.5 frames" in (folder / "README.md").read_text()
    assert isinstance(model, Generator) and isinstance(model, Editor)
    assert (model.spec.dim, model.fps) == (251, 12.5)
    again = from_pretrained(model.save_pretrained(tmp_path / "copy", "# card\n"))
    again.encoder = encoder
    assert again.spec == model.spec
    np.testing.assert_array_equal(model.sample(TEXTS[:1], [2.0])[0], again.sample(TEXTS[:1], [2.0])[0])
    assert (tmp_path / "copy" / CONFIG).read_text() == (folder / CONFIG).read_text()


def test_samples_are_kits_joints_in_metres_at_its_rate(model: Any) -> None:
    seconds = [2.0, 3.2]
    motions = [*model.sample(TEXTS, seconds, seed=1), model.timeline([Step(TEXTS[0], 2.0), Step(TEXTS[1], 1.2)])]
    for joints, value in zip(motions, [*seconds, 3.2], strict=True):
        assert joints.shape == (round(12.5 * value), 21, 3) and joints.dtype == np.float32
        bones = np.linalg.norm(joints[:, 1:] - joints[:, list(KIT.parents[1:])], axis=-1)
        np.testing.assert_allclose(bones, np.broadcast_to(kit.LENGTHS[1:] / 1000, bones.shape), atol=1e-5)
        assert 0 <= joints[..., 1].min() < 0.2 and joints[..., 1].max() < 1.5
    [chosen] = model.sample(TEXTS[:1])
    assert 0.5 * 12.5 <= len(chosen) <= 10 * 12.5


def test_the_whole_loss(model: Any, data: Path) -> None:
    normalizer = model.vq.normalizer if hasattr(model, "vq") else model.diffusion.normalizer
    dataset = open_dataset(data)
    features = [(dataset.features(i) - normalizer.mean.numpy()) / normalizer.std.numpy() for i in range(2)]
    assert 0.1 < np.abs(np.concatenate(features)).mean() < 2, "normalised"
    losses = model.train().loss(collate([(x, TEXTS[i]) for i, x in enumerate(features)]))
    assert all(bool(torch.isfinite(value)) for value in losses.values())


def test_tokenisers_see_kits_velocities_and_feet() -> None:
    joints = kit.walking(40)
    features = torch.from_numpy(joints_to_features(joints, KIT_FEATURES))[None]
    made = joint_velocities(features, KIT_FEATURES)
    moved = np.linalg.norm(np.diff(joints[:-1], axis=0), axis=-1)[:, 1:]
    np.testing.assert_allclose(made[0].norm(dim=-1), moved, atol=0.5)  # millimetres; the body goes 40 a frame


def test_presets_are_those_of_the_releases() -> None:
    ours, theirs = momask_config.preset("momask-kit"), momask_config.preset("momask")
    assert replace(ours, masked=theirs.masked, vq=theirs.vq) == ours
    assert (ours.sampling.guidance, ours.batch_tokens, ours.max_seconds * 12.5) == (2.0, 16 * 49, 196)
    diffusion = mdm_config.preset("mdm-kit")
    assert replace(diffusion, max_seconds=9.8) == mdm_config.preset("mdm") and diffusion.max_seconds * 12.5 == 196
    model = MDMGenerator(diffusion, text_dim=512, spec=KIT_FEATURES)
    assert model.diffusion.max_frames == 196 and model.diffusion.denoiser.input.in_features == 251


# ------------------------------------------------------------------------------------------------------------------ refusals


def test_sets_of_two_skeletons_and_other_starts_are_refused(
    folder: Path, data: Path, walks: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(MateError, match=r"263 numbers a frame \(humanml3d\), .* 251 \(kit\); .* one skeleton"):
        trained(folder.name, [data, walks], out, encoder)
    with pytest.raises(MateError, match=r"263 numbers a frame \(humanml3d\), .* 251 \(kit\)"):
        trained(folder.name, [walks], out, encoder, init=folder)
    assert not out.exists()
    trained(folder.name, [data], out, encoder, init=folder, stages=["length"])
    assert from_pretrained(out).spec == from_pretrained(folder).spec


def test_a_set_of_another_frame_rate_is_refused(walks: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    import shutil

    fast = Path(shutil.copytree(walks, tmp_path / "fast"))
    facts = json.loads((fast / "dataset.json").read_text())
    (fast / "dataset.json").write_text(json.dumps(facts | {"fps": 30.0}))
    with pytest.raises(MateError, match="30 frames a second, motions of humanml3d 20"):
        trained("mdm", [fast], tmp_path / "out", encoder)


def test_changing_a_motion_needs_humanml3ds_joints(
    folder: Path, model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    walk = make.gait(3.0, 1.0)
    with pytest.raises(MateError, match="needs the 22 joints of HumanML3D, got those of 'kit'"):
        model.between(walk, None, TEXTS[0], 1.0)
    if isinstance(model, MDMGenerator):
        with pytest.raises(MateError, match="needs the 22 joints"):
            model.sample(TEXTS[:1], known=[edit(retarget_to_canonical(walk), [(1.0, 2.0)])])
    np.save(tmp_path / "walk.npy", walk)
    command = ["generate", "waves", "--edit", str(tmp_path / "walk.npy"), "--from", "1", "--to", "2"]
    assert main([*command, "--model", str(folder), "-o", str(tmp_path / "out")]) == 2
    assert "needs the 22 joints" in capsys.readouterr().err
    assert main(["probe", "--model", str(folder)]) == 2
    assert "the kinematic judge: needs the 22 joints" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("skeleton", "message"),
    [
        ({"name": "dog", "bone_lengths": []}, "the skeleton 'dog', which this version does not know"),
        ({"name": "kit", "bone_lengths": [0.1]}, "damaged .1 bone lengths"),
        ({"bone_lengths": []}, "damaged"),
        ("kit", "damaged"),
    ],
)
def test_damaged_facts_are_refused(folder: Path, tmp_path: Path, skeleton: Any, message: str) -> None:
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    config = json.loads((folder / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"skeleton": skeleton}))
    with pytest.raises(MateError, match=message):
        from_pretrained(tmp_path)


# -------------------------------------------------------------------------------------------------------------- command line


def test_generate_writes_every_format(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mate.formats.load import load_motion

    out = tmp_path / "out"
    command = ["generate", *TEXTS, "--seconds", "2", "--model", str(folder), "--sheet", str(tmp_path / "sheet.png")]
    assert main([*command, "--format", "npy,npz,csv,bvh,glb,html", "-o", str(out)]) == 0, capsys.readouterr().err
    joints = np.load(out / "0000.npy")
    assert joints.shape == (25, 21, 3) and 0.5 < np.ptp(joints[..., 1]) < 1.5
    for suffix in ("npy", "npz", "bvh", "glb"):  # read back as other people's files are: as HumanML3D's joints
        motion = load_motion(out / f"0000.{suffix}")
        assert motion.joints.shape == (25, 22, 3) and motion.fps == pytest.approx(12.5)
        np.testing.assert_allclose(motion.joints[:, 7], joints[:, KIT.index("left_ankle")], atol=0.02)
    assert "a person walks forward" in (out / "0000.html").read_text()


# ------------------------------------------------------------------------------------------------------------ post-processing


def test_post_processing_of_kit_mends_bones_and_floor_alone() -> None:
    joints = kit.walking(40) / 1000 + np.random.default_rng(0).normal(0, 0.005, (40, 21, 3)) + [0, 0.3, 0]
    body = replace(KIT, bone_lengths=tuple(kit.LENGTHS / 1000))
    out = clean(joints, np.ones((40, 4)), fps=12.5, skeleton=body)
    np.testing.assert_array_equal(out, clean(joints, None, foot_lock=False, fps=12.5, skeleton=body))
    bones = np.linalg.norm(out[:, 1:] - out[:, list(KIT.parents[1:])], axis=-1)
    np.testing.assert_allclose(bones, np.broadcast_to(kit.LENGTHS[1:] / 1000, bones.shape), atol=1e-5)
    toes = out[:, [leg[-1] for leg in leg_chains(KIT)], 1].min(1)
    assert out[..., 1].min() >= -1e-6 and abs(np.percentile(toes, 5)) < 0.03
    np.testing.assert_allclose(np.diff(out[:, 13, [0, 2]], axis=0), np.diff(joints[:, 13, [0, 2]], axis=0), atol=0.02)
    without = clean(joints, skeleton=KIT)
    spread = np.ptp(np.linalg.norm(without[:, 1:] - without[:, list(KIT.parents[1:])], axis=-1), axis=0)
    assert spread.max() < 1e-5, "bones of no known length keep their own"


def test_legs_and_limits_of_both_skeletons() -> None:
    assert leg_chains(HUMANML3D) == LEGS and leg_chains(KIT) == ((16, 17, 18, 19, 20), (11, 12, 13, 14, 15))
    assert limits(20.0) == LIMITS and limits(12.5) == (LIMITS[0] * 1.6, LIMITS[1], LIMITS[2] * 1.6)
    found = jumps(kit.walking(30) / 1000, 12.5, KIT)
    assert found.position.max() < limits(12.5)[0] and found.heading.max() < 1.0


# --------------------------------------------------------------------------------------------------- HumanML3D as it was


def test_folders_that_name_no_skeleton_are_humanml3ds(walks: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    made = trained("momask", [walks], tmp_path / "model", encoder)
    config = json.loads((made / CONFIG).read_text())
    assert config["skeleton"] == {"name": "humanml3d", "bone_lengths": list(HUMANML3D.bone_lengths)}
    before = from_pretrained(made)
    for entry in ("skeleton", "fps"):
        del config[entry]
    (made / CONFIG).write_text(json.dumps(config))
    after = from_pretrained(made)
    assert after.spec is before.spec is HUMANML3D_FEATURES and after.fps == 20.0
    before.encoder = after.encoder = encoder
    np.testing.assert_array_equal(before.sample(TEXTS[:1], [1.5])[0], after.sample(TEXTS[:1], [1.5])[0])


def test_the_shipped_model_computes_with_humanml3ds_numbers(encoder: TextEncoder) -> None:
    """To the bit: decoding and post-processing with the numbers of HumanML3D spelled out."""
    shipped: Any = from_pretrained("default")
    assert shipped.spec is HUMANML3D_FEATURES and shipped.spec.body == HUMANML3D
    shipped.encoder = encoder
    decoded: list[torch.Tensor] = []
    decode = shipped.vq.decode_codes
    shipped.vq.decode_codes = lambda codes, mask: decoded.append(decode(codes, mask)) or decoded[-1]
    [joints] = shipped.sample(TEXTS[:1], [3.0], seed=1)
    features = decoded[0][0, :60].numpy()
    assert features.shape == (60, 263)
    np.testing.assert_array_equal(joints, clean(features_to_joints(features), features[:, 259:263], True, 20.0))

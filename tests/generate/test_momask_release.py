"""The released MoMask: its checkpoints convert, and what they compute here is what they compute there."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import kit
from tests import motions as make
from tests.generate import momask_release as release
from torch import Tensor

from mate.checkpoints import from_pretrained
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample
from mate.errors import MateError
from mate.generate.momask.config import SamplingConfig, preset
from mate.generate.momask.convert import MASKED, RESIDUAL, convert, load_release, main
from mate.generate.momask.model import MoMaskGenerator
from mate.motion.skeleton import KIT

NAMES = {"masked": release.MASKED, "residual": release.RESIDUAL}
GOLDEN = Path(__file__).with_name("momask_golden.json")


def ours(model: MoMaskGenerator, sizes: release.Sizes) -> dict[str, Tensor]:
    """The same quantities as `release.reference`, padding left out."""
    vectors, (base, every, lengths) = release.text_vectors(sizes), release.inputs(sizes)
    mask = torch.arange(12) < lengths[:, None]
    masked, residual = model.masked, model.residual
    sampling = SamplingConfig(
        steps=release.STEPS, guidance=release.GUIDANCE, residual_guidance=release.RESIDUAL_GUIDANCE, to_the_end=True
    )
    out: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, drop in (("text", None), ("none", torch.ones(2, dtype=torch.bool))):
            states = masked.states(base, masked.condition(vectors, drop), mask)
            out[f"masked_{name}"] = masked.logits(masked.head(states))
        for q in range(1, sizes.layers):
            layer = torch.tensor([q, q])
            text, none = (
                residual.logits(every, layer, residual.condition(vectors, drop), mask)
                for drop in (None, torch.ones(2, dtype=torch.bool))
            )
            out[f"residual_{q}"] = none + release.RESIDUAL_GUIDANCE * (text - none)
        out["length"] = model.length.logits(vectors)
        normalizer = model.vq.normalizer
        out["encoded"] = model.vq.encode(normalizer.inverse(release.motion(sizes)))
        out["decoded"] = normalizer(model.vq.decode(out["encoded"]))
        for samples in ([0], [1], [0, 1]):
            label, calls = "".join(map(str, samples)), {}
            counts = [release.LENGTHS[sample] for sample in samples]

            def noise(i: int, purpose: str, samples: list[int] = samples, calls: dict = calls) -> Tensor:
                step = calls[i, purpose] = calls.get((i, purpose), -1) + 1
                shape = release.LENGTHS[samples[i]], sizes.codes + (purpose == "residual")
                return release.uniform(samples[i], purpose, step, shape)

            base = masked.sample(vectors[samples], counts, noise, sampling, sampling.guidance)
            tokens, _ = residual.sample(base, vectors[samples], counts, noise, sampling)
            valid = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
            out[f"base_{label}"] = torch.where(valid, base, -1)
            out[f"tokens_{label}"] = torch.where(valid[..., None], tokens, -1)
            out[f"features_{label}"] = normalizer(model.vq.decode(tokens, valid))
    return out


def compare(found: dict[str, Tensor], expected: dict[str, Tensor], thin: bool) -> dict[str, float]:
    """The largest difference of each quantity, valid places only; tokens are to be equal."""
    mask = (torch.arange(12) < torch.tensor(release.LENGTHS)[:, None])[..., None]
    differences = {}
    for name, values in expected.items():
        mine = found[name]
        if name == "length":
            values, mine = (values, torch.cat((torch.zeros(2, 1), mine), 1))
            keep = torch.ones_like(mine, dtype=torch.bool).index_fill(1, torch.tensor([0]), False)
        elif name.startswith(("masked", "residual")):
            keep = mask.expand(mine.shape)
        elif name == "features_01":
            continue  # there the reference's shorter clip depends on its company; see below
        else:
            keep = torch.ones_like(mine, dtype=torch.bool)
        if thin:
            keep, mine = (release.thinned(name, x.float() if mine.is_floating_point() else x) for x in (keep, mine))
            keep = keep.bool()
        assert values.numel() == mine.numel(), name
        difference = ((values.flatten() - mine.flatten()).abs() * keep.flatten()).max()
        differences[name] = float(difference)
        assert difference <= (1e-4 if mine.is_floating_point() else 0), (name, float(difference))
    return differences


@pytest.fixture(scope="module", params=["share", "own"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("release") / "t2m"
    return request.param, release.write_release(folder, release.TINY, request.param == "share")


def test_a_converted_release_computes_what_the_reference_computes(case: tuple[str, Path]) -> None:
    """Golden numbers of the reference at tiny sizes; the procedure stands in `momask_release.py`."""
    golden = {name: torch.tensor(values) for name, values in json.loads(GOLDEN.read_text())[case[0]].items()}
    differences = compare(ours(load_release(case[1], **NAMES), release.TINY), golden, thin=True)
    assert len(differences) == 13 + release.TINY.layers - 1


@pytest.mark.slow
@pytest.mark.parametrize("features", [263, 251])
def test_parity_in_the_released_sizes(tmp_path: Path, features: int) -> None:
    """All quantities in full against the reference itself, where a checkout of it is at hand."""
    checkout = os.environ.get("MOMASK_CODES", "")
    if not (Path(checkout) / "models" / "mask_transformer").is_dir():
        pytest.skip("set MOMASK_CODES to a checkout of EricGuo5513/momask-codes")
    sizes = replace(release.RELEASED, features=features)
    model = load_release(release.write_release(tmp_path / "t2m", sizes), **NAMES)
    assert model.config == preset("momask" if features == 263 else "momask-kit")
    expected = release.reference(Path(checkout), sizes)
    if features != 263:  # the release for KIT-ML has no length estimator
        expected.pop("length")
    print(compare(ours(model, sizes), expected, thin=False))


def test_the_release_for_kit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """251 features, its own names, no length estimator; bone lengths from a set."""
    sizes = replace(release.TINY, features=251)
    folder = release.write_release(tmp_path / "kit", sizes)
    for name, known in ((release.MASKED, MASKED), (release.RESIDUAL, RESIDUAL)):
        (folder / name).rename(folder / f"{known}_k")
    data = kit.prepare(tmp_path / "data")
    out = tmp_path / "model"
    assert main([str(folder), "-o", str(out), "--data", str(data)]) == 0, capsys.readouterr().err
    model = from_pretrained(out)
    assert isinstance(model, MoMaskGenerator)
    assert (model.spec.dim, model.fps, model.max_seconds) == (251, 12.5, 15.68)
    np.testing.assert_allclose(model.spec.skeleton.bone_lengths, kit.LENGTHS, atol=1e-3)
    bare = load_release(folder)
    assert not any(bare.spec.skeleton.bone_lengths)
    humanml3d = tmp_path / "walks"
    sample = Sample("a", make.gait(3.0, 1.0), (Caption("a person walks"),), "train")
    write_dataset([sample], humanml3d, name="walks", license="made up")
    features = bare.vq.decode(torch.zeros(1, 12, sizes.layers, dtype=torch.long))[0].detach().numpy()
    joints = bare.finish(features)
    bones = np.linalg.norm(joints[:, 1:] - joints[:, list(KIT.parents[1:])], axis=-1)
    assert joints.shape == (48, 21, 3) and np.ptp(bones, axis=0).max() < 1e-4 * bones.max(), (
        "its own lengths, which do not change"
    )
    with pytest.raises(MateError, match="untrained: give a length"):
        bare.choose_frames(torch.zeros(1, sizes.clip), 0, [(0,)])
    with pytest.raises(MateError, match=r"263 numbers a frame .*251"):
        convert(folder, tmp_path / "other", data=humanml3d)


def test_a_release_of_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MateError, match=r"100 features a frame, expected 263 .* or 251"):
        load_release(release.write_release(tmp_path / "x", replace(release.TINY, features=100)), **NAMES)


def test_a_sample_does_not_depend_on_its_company(case: tuple[str, Path]) -> None:
    """The reference decodes padding as motion, so that a shorter clip's end changes with the batch; here it does not."""
    found = ours(load_release(case[1], **NAMES), release.TINY)
    for sample, count in enumerate(release.LENGTHS):
        alone, together = found[f"features_{sample}"][0], found["features_01"][sample, : 4 * count]
        torch.testing.assert_close(alone, together, atol=1e-4, rtol=0)


def test_a_model_folder_from_a_release(
    case: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main([str(case[1]), "-o", str(out), "--masked", release.MASKED, "--residual", release.RESIDUAL]) == 0
    assert str(out) in capsys.readouterr().out
    model = from_pretrained(out)
    whole = load_release(case[1], **NAMES)
    assert isinstance(model, MoMaskGenerator)
    assert model.config == whole.config
    assert json.loads((out / "config.json").read_text())["text_encoder"] == "openai/clip-vit-base-patch32"
    assert (model.max_seconds, model.text_dim, model.masked.mask_id) == (9.8, release.TINY.clip, release.TINY.codes)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], atol=1e-2, rtol=2e-3, msg=name)
    assert torch.equal(
        model.vq.normalizer.std, torch.from_numpy(np.load(case[1] / release.TOKENISER / "meta" / "std.npy"))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / release.MASKED / "opt.txt").unlink(), "cannot read"),
        (lambda f: (f / release.MASKED / "model" / "latest.tar").unlink(), "is missing"),
        (lambda f: (f / release.MASKED / "model" / "latest.tar").write_bytes(b"no"), "no checkpoint of plain weights"),
        (
            lambda f: torch.save({"net": 1}, f / release.RESIDUAL / "model" / "net_best_fid.tar"),
            "has no res_transformer",
        ),
        (lambda f: (f / release.TOKENISER / "meta" / "std.npy").unlink(), "comes with the released tokeniser"),
        (lambda f: _option(f, release.TOKENISER, "vq_act: relu", "vq_act: silu"), "vq_act: silu, expected relu"),
        (lambda f: _option(f, release.RESIDUAL, "vq_name: tokeniser", "vq_name: other"), "different tokenisers"),
    ],
)
def test_what_is_no_release_is_refused(
    change, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = release.write_release(tmp_path / "t2m")
    change(folder)
    with pytest.raises(MateError, match=message):
        convert(folder, tmp_path / "out", **NAMES)
    assert (
        main([str(folder), "-o", str(tmp_path / "out"), "--masked", release.MASKED, "--residual", release.RESIDUAL])
        == 2
    )
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def _option(folder: Path, network: str, old: str, new: str) -> None:
    path = folder / network / "opt.txt"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))

"""MDM as released: the same weights give the same numbers. `mdm_reference.py` says how the golden numbers are made."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.generate.mdm_reference import (
    BATCH,
    CASES,
    FRAMES,
    GOLDEN,
    GUIDANCE,
    SHOWN,
    SIZES,
    inputs,
    noise_stream,
    seeded_state,
)  # fmt: skip
from torch import Tensor

from mate.errors import MateError
from mate.generate.mdm.config import DenoiserConfig, MDMConfig, SamplingConfig, preset
from mate.generate.mdm.convert import NAMES, SPECS, convert_checkpoint, convert_state, load_denoiser, reference_config
from mate.generate.mdm.diffusion import betas, kept_signal, scheduler
from mate.generate.mdm.model import MDMGenerator

TOLERANCE = 1e-4


def reference_shapes(config: DenoiserConfig, text_dim: int, features: int = 263) -> dict[str, tuple[int, ...]]:
    """The tensors of the reference with such sizes, by the names in its checkpoints."""
    width, ff = config.width, config.ff
    kind = "Encoder" if config.architecture == "encoder" else "Decoder"
    parts = {
        "input_process.poseEmbedding": (width, features),
        "output_process.poseFinal": (features, width),
        "embed_timestep.time_embed.0": (width, width),
        "embed_timestep.time_embed.2": (width, width),
        "embed_text": (width, text_dim),
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for i in range(config.layers):
        layer = f"seqTrans{kind}.layers.{i}"
        for name in ("self_attn", "multihead_attn") if kind == "Decoder" else ("self_attn",):
            shapes |= {
                f"{layer}.{name}.in_proj_weight": (3 * width, width),
                f"{layer}.{name}.in_proj_bias": (3 * width,),
            }
            parts[f"{layer}.{name}.out_proj"] = (width, width)
        parts |= {f"{layer}.linear1": (ff, width), f"{layer}.linear2": (width, ff)}
        for n in range(3 if kind == "Decoder" else 2):
            shapes |= {f"{layer}.norm{n + 1}.{part}": (width,) for part in ("weight", "bias")}
    for name, shape in parts.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def converted(case: dict[str, Any]) -> MDMGenerator:
    config = reference_config({**case, **SIZES})
    config = replace(config, denoiser=replace(config.denoiser, ff=SIZES["ff"]), max_seconds=FRAMES / 20.0)
    given = inputs(case)
    model = MDMGenerator(config, text_dim=given["text"].shape[-1]).eval()
    load_denoiser(model, seeded_state(reference_shapes(config.denoiser, given["text"].shape[-1])), "the seeded weights")
    return model


def run(model: MDMGenerator, case: dict[str, Any]) -> Tensor:
    given = inputs(case)
    if case["run"] == "step":
        mask = given["mask"] if case.get("text_encoder_type") == "bert" else None
        guess = model.diffusion.guided(given["text"], given["text_mask"], mask, GUIDANCE)
        with torch.no_grad():
            return guess(given["x"] * given["mask"].unsqueeze(-1), given["times"])
    sampling = SamplingConfig(sampler=case["run"], steps=case["steps"], guidance=GUIDANCE)
    known = (given["given"], given["keep"]) if case.get("keep") else None
    streams = [noise_stream(i) for i in range(BATCH)]
    return model.diffusion.sample(given["text"], given["text_mask"], given["lengths"], streams, sampling, known)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_reference(name: str) -> None:
    """One guided denoising step of each architecture, whole chains of DDIM and DDPM, and a chain that keeps frames."""
    found = run(converted(CASES[name]), CASES[name])[SHOWN].flatten()
    golden = torch.tensor(json.loads(GOLDEN.read_text())[name])
    assert (found - golden).abs().max() < TOLERANCE


def test_the_golden_numbers_can_fail() -> None:
    case = CASES["encoder step"]
    model = converted(case)
    model.diffusion.denoiser.blocks[1].norms[0].bias.data += 0.01  # type: ignore[union-attr]
    golden = torch.tensor(json.loads(GOLDEN.read_text())["encoder step"])
    assert (run(model, case)[SHOWN].flatten() - golden).abs().max() > 10 * TOLERANCE


def test_every_name_of_the_reference_has_a_place() -> None:
    decoder = {"arch": "trans_dec", "text_encoder_type": "bert", "diffusion_steps": 50}
    used = set()
    for case in (CASES["encoder step"], decoder):
        config = reference_config({**case, **SIZES})
        shapes = reference_shapes(config.denoiser, 512)
        assert len(convert_state({name: torch.zeros(shape) for name, shape in shapes.items()})) == len(shapes)
        used |= {name.rsplit(".", 1)[0].replace(".layers.0.", ".layers.#.") for name in shapes}
    assert NAMES.keys() - {name.removesuffix(".in_proj") for name in used} - {
        f"seqTrans{kind}.layers.#.{name}.in_proj" for kind in ("Encoder", "Decoder") for name in ("self_attn", "multihead_attn")
    } <= {"seqTransEncoder.layers.#.multihead_attn.out_proj", "seqTransEncoder.layers.#.norm3"}  # fmt: skip


def test_released_sizes() -> None:
    """17.9 million parameters, those of the published checkpoint."""
    model = MDMGenerator(preset("mdm"), text_dim=512)
    denoiser = model.diffusion.denoiser
    assert sum(p.numel() for p in denoiser.parameters()) == 17_880_327
    shapes = reference_shapes(model.config.denoiser, 512)
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 17_880_327


@pytest.mark.parametrize("steps", [50, 1000])
def test_cosine_schedule(steps: int) -> None:
    """Nichol and Dhariwal's schedule, spelled out."""
    config = replace(preset("mdm").diffusion, steps=steps)
    kept = kept_signal(config)
    t = torch.arange(1, steps, dtype=torch.float64) / steps
    expected = (
        torch.cos((t + 0.008) / 1.008 * torch.pi / 2) / torch.cos(torch.tensor(0.008 / 1.008 * torch.pi / 2))
    ) ** 2
    assert torch.allclose(kept[:-1], expected, atol=1e-9)
    assert float(betas(config).max()) == 0.999


@pytest.mark.parametrize("shift", [2.0, 3.0])
def test_a_shift_divides_the_signal_to_noise_ratio(shift: float) -> None:
    config = preset("mdm").diffusion
    plain, shifted = (kept_signal(replace(config, shift=value))[:900] for value in (1.0, shift))
    assert torch.allclose(plain / (1 - plain) / (shifted / (1 - shifted)), torch.tensor(shift**2).double(), rtol=0.02)


@pytest.mark.parametrize(("sampler", "first"), [("ddpm", 980), ("ddim", 980), ("dpm++", 995)])
def test_samplers_end_at_the_clean_motion(sampler: str, first: int) -> None:
    """With a denoiser that knows the answer every sampler gives the answer, from any noise."""
    steps = scheduler(SamplingConfig(sampler=sampler, steps=50), preset("mdm").diffusion)
    assert int(steps.timesteps[0]) == first
    clean, x = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0)), torch.randn(2, 8, 5)
    for time in steps.timesteps:
        x = steps.step(clean, time, x).prev_sample
    assert (x - clean).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"arch": "gru"}, "trans_enc or trans_dec"),
        ({"arch": "trans_enc", "dataset": "humanact12"}, "humanact12"),
        ({"arch": "trans_dec", "context_len": 20}, "context_len"),
        ({"noise_schedule": "linear"}, "linear"),
    ],
)
def test_checkpoints_of_other_tasks_are_refused(args: dict[str, Any], told: str) -> None:
    with pytest.raises(MateError, match=told):
        reference_config(args)


@pytest.mark.parametrize(("dataset", "shape"), [("humanml", (20, 22, 3)), ("kit", (12, 21, 3))])
def test_a_checkpoint_becomes_a_folder(tmp_path: Any, dataset: str, shape: tuple[int, ...]) -> None:
    """From `model.pt` and `args.json` to a model that samples, by way of files; a changed tensor is refused."""
    import numpy as np

    case = {
        "arch": "trans_enc",
        "dataset": dataset,
        "diffusion_steps": 50,
        "text_encoder_type": "clip",
        "latent_dim": 32,
        "layers": 1,
    }
    width = SPECS[dataset].dim
    shapes = reference_shapes(DenoiserConfig(width=32, layers=1, ff=1024), 384, width)
    state = seeded_state(shapes) | {
        "sequence_pos_encoder.pe": torch.zeros(5000, 1, 32),
        "clip_model.logit_scale": torch.zeros(()),
    }
    torch.save({"model": state, "model_avg": state}, tmp_path / "model000.pt")
    (tmp_path / "args.json").write_text(json.dumps(case))
    for name in ("Mean", "Std"):
        np.save(tmp_path / f"{name}.npy", np.full(width, 0.5, np.float32))
    model = convert_checkpoint(tmp_path / "model000.pt", tmp_path, encoder="all-MiniLM-L6-v2")
    model.save_pretrained(tmp_path / "folder", "# card", half=False)
    again = MDMGenerator.from_pretrained(tmp_path / "folder")
    assert torch.equal(again.diffusion.denoiser.input.weight, state["input_process.poseEmbedding.weight"])
    again.encoder = model.encoder
    [joints] = again.sample(["a person walks"], [1.0], steps=2)
    assert joints.shape == shape and "MDM" in again.facts["license"]
    with pytest.raises(MateError, match="untrained: give a length"):
        again.sample(["a person walks"], steps=2)
    torch.save({**state, "more": torch.zeros(1)}, tmp_path / "model000.pt")
    with pytest.raises(MateError, match="more"):
        convert_checkpoint(tmp_path / "model000.pt", tmp_path, encoder="all-MiniLM-L6-v2")
    (tmp_path / "model000.pt").write_bytes(b"no checkpoint")
    with pytest.raises(MateError, match="not a checkpoint"):
        convert_checkpoint(tmp_path / "model000.pt", tmp_path, encoder="all-MiniLM-L6-v2")


def test_settings_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(MateError, match="adaptive"):
        MDMConfig(denoiser=DenoiserConfig(architecture="decoder", adaptive=True))
    with pytest.raises(MateError, match="sampling steps"):
        replace(preset("mdm"), sampling=SamplingConfig(steps=2000))
    with pytest.raises(MateError, match="root and positions"):
        MDMConfig(features=("root",))

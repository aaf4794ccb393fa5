"""How the golden numbers of `test_mdm_parity.py` are made, and the seeded weights and inputs that both sides get.

The procedure, with a clone of github.com/GuyTevet/motion-diffusion-model (any commit with `model/mdm.py` and `diffusion/respace.py`;
the numbers here are from d4fd88c86d9210b85323783a73acb9b794d73e44):

    python tests/generate/mdm_reference.py CLONE

writes `tests/generate/mdm_golden.json`. Text encoder and body model of the clone are not needed and replaced by empty stand-ins; weights
are filled by `seeded_state`, text vectors come from `inputs`, noise from `noise_stream`. Nothing is learned and nothing downloaded.
A change of the golden numbers needs a reason in the clone or in this file, never in `mate.generate.mdm`.
"""

import json
import sys
import types
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

GOLDEN = Path(__file__).with_name("mdm_golden.json")
FEATURES, FRAMES, BATCH, GUIDANCE = 263, 16, 2, 2.5
SHOWN = (
    slice(None),
    slice(None, None, 5),
    slice(None, None, 29),
)  # the part of (B, T, 263) that is kept as golden numbers

# name -> the reference's settings (`args.json`) and what is run
CASES: dict[str, dict[str, Any]] = {
    "encoder step": {"arch": "trans_enc", "diffusion_steps": 1000, "run": "step"},
    "decoder with words step": {"arch": "trans_dec", "diffusion_steps": 50, "text_encoder_type": "bert", "run": "step"},
    "decoder with token step": {"arch": "trans_dec", "diffusion_steps": 50, "emb_trans_dec": True, "run": "step"},
    "encoder ddim": {"arch": "trans_enc", "diffusion_steps": 1000, "run": "ddim", "steps": 50},
    "encoder ddpm": {"arch": "trans_enc", "diffusion_steps": 50, "run": "ddpm", "steps": 50},
    "encoder ddim in-between": {"arch": "trans_enc", "diffusion_steps": 1000, "run": "ddim", "steps": 50, "keep": True},
}
SIZES = {"latent_dim": 64, "layers": 3, "heads": 4, "ff": 128}


def stream(*parts: object) -> torch.Generator:
    """Random numbers that depend on a name alone."""
    return torch.Generator().manual_seed(zlib.crc32("/".join(map(str, parts)).encode()))


def seeded_state(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Weights by name: matrices as a trained network's (so that a chain neither explodes nor forgets its text), gains near 1."""
    state = {}
    for name, shape in shapes.items():
        values = torch.randn(tuple(shape), generator=stream("weights", name))
        gain = "norm" in name and name.endswith("weight")
        state[name] = 1 + 0.1 * values if gain else values * (0.1 if len(shape) == 1 else shape[-1] ** -0.5)
    return state


def inputs(case: Mapping[str, Any]) -> dict[str, Any]:
    """Text vectors (B, L, S) and their mask, frames of each motion, noisy motion and levels of one step, what is kept."""
    words = case.get("text_encoder_type") == "bert"
    length, dim = (5, 768) if words else (1, 512)
    lengths = (FRAMES, FRAMES - 5) if words else (FRAMES, FRAMES)
    return {
        "text": torch.randn(BATCH, length, dim, generator=stream("text")),
        "text_mask": torch.arange(length) < torch.tensor([[length], [length - 2]]) if words else None,
        "lengths": lengths,
        "mask": torch.arange(FRAMES) < torch.tensor(lengths)[:, None],
        "x": torch.randn(BATCH, FRAMES, FEATURES, generator=stream("x")),
        "times": torch.tensor([case["diffusion_steps"] // 3, case["diffusion_steps"] - 1]),
        "given": torch.randn(BATCH, FRAMES, FEATURES, generator=stream("given")),
        "keep": (torch.arange(FRAMES) < 4)[None, :, None].expand(BATCH, -1, FEATURES),
    }


def noise_stream(sample: int) -> torch.Generator:
    """The random stream of a sample: its first (T, D) numbers start the chain, the next ones are each step's noise."""
    return stream("noise", sample)


def _reference(clone: Path, case: Mapping[str, Any]) -> Tensor:
    """The reference's result for a case, (B, T, 263)."""
    import numpy

    sys.path.insert(0, str(clone))
    for name in ("float", "int", "bool", "object"):  # names that NumPy dropped, used while the clone is imported
        if not hasattr(numpy, name):
            setattr(numpy, name, {"float": float, "int": int, "bool": bool, "object": object}[name])
    empty = type("Empty", (torch.nn.Module,), {"__init__": lambda self, *_, **__: torch.nn.Module.__init__(self)})
    body = type("Body", (), {"__init__": lambda self, **_: setattr(self, "smpl_model", torch.nn.Module())})
    for name, facts in {
        "clip": {},
        "model.rotation2xyz": {"Rotation2xyz": body},
        "model.BERT.BERT_encoder": {"load_bert": lambda _: empty()},
        "data_loaders.humanml.scripts.motion_process": {"get_target_location": None},
    }.items():
        stand_in = types.ModuleType(name)
        for key, value in facts.items():
            setattr(stand_in, key, value)
        sys.modules[name] = stand_in
    import importlib

    scripts = importlib.import_module("data_loaders.humanml.scripts")
    scripts.motion_process = sys.modules["data_loaders.humanml.scripts.motion_process"]  # type: ignore[attr-defined]
    reference: Any = importlib.import_module("model.mdm")
    diffusion: Any = importlib.import_module("diffusion.gaussian_diffusion")
    respace: Any = importlib.import_module("diffusion.respace")
    guided: Any = importlib.import_module("model.cfg_sampler")
    reference.MDM.load_and_freeze_clip = lambda self, _: empty()

    words = case.get("text_encoder_type") == "bert"
    model = reference.MDM(
        modeltype="", njoints=FEATURES, nfeats=1, num_actions=1, translation=True, pose_rep="rot6d", glob=True, glob_rot=True,
        latent_dim=SIZES["latent_dim"], ff_size=SIZES["ff"], num_layers=SIZES["layers"], num_heads=SIZES["heads"], dropout=0.1,
        data_rep="hml_vec", dataset="humanml", arch=case["arch"], emb_trans_dec=case.get("emb_trans_dec", False),
        cond_mode="text", cond_mask_prob=0.1, text_encoder_type=case.get("text_encoder_type", "clip"), mask_frames=words,
    )  # fmt: skip
    own = {name: value.shape for name, value in model.state_dict().items() if not name.endswith(".pe")}
    model.load_state_dict(seeded_state(own), strict=False)
    model.train(False)
    given = inputs(case)

    def theirs(x: Tensor) -> Tensor:  # (B, T, D) -> (B, D, 1, T)
        return x.transpose(1, 2).unsqueeze(2)

    text = given["text"].transpose(0, 1)
    y: dict[str, Any] = {
        "mask": given["mask"][:, None, None],
        "lengths": torch.tensor(given["lengths"]),
        "scale": torch.full((BATCH,), GUIDANCE),
        "text_embed": (text, ~given["text_mask"]) if words else text,
    }
    wrapped = guided.ClassifierFreeSampleModel(model)
    with torch.no_grad():
        if case["run"] == "step":
            out = wrapped(theirs(given["x"] * given["mask"].unsqueeze(-1)), given["times"], y)
        else:
            levels, steps = case["diffusion_steps"], case["steps"]
            chain = respace.SpacedDiffusion(
                use_timesteps=respace.space_timesteps(levels, f"ddim{steps}" if case["run"] == "ddim" else [levels]),
                betas=diffusion.get_named_beta_schedule("cosine", levels),
                model_mean_type=diffusion.ModelMeanType.START_X, model_var_type=diffusion.ModelVarType.FIXED_SMALL,
                loss_type=diffusion.LossType.MSE,
            )  # fmt: skip
            if case.get("keep"):
                y |= {"inpainting_mask": theirs(given["keep"]), "inpainted_motion": theirs(given["given"])}
            streams = [noise_stream(i) for i in range(BATCH)]

            def draw(*_: object, **__: object) -> Tensor:
                return theirs(torch.stack([torch.randn(FRAMES, FEATURES, generator=s) for s in streams]))

            start = draw()
            if case["run"] == "ddpm":  # DDIM draws too, and multiplies by nothing
                diffusion.th.randn_like = draw
            loop = chain.ddim_sample_loop if case["run"] == "ddim" else chain.p_sample_loop
            out = loop(wrapped, start.shape, noise=start, clip_denoised=False, model_kwargs={"y": y}, device="cpu")
    return out.squeeze(2).transpose(1, 2)


def main(clone: Path) -> None:
    """Writes the golden numbers."""
    torch.set_num_threads(1)
    real = torch.randn_like
    golden = {}
    for name, case in CASES.items():
        torch.randn_like = real
        golden[name] = [round(value, 6) for value in _reference(clone, case)[SHOWN].flatten().tolist()]
    GOLDEN.write_text("{\n" + ",\n".join(f'"{name}": {json.dumps(v)}' for name, v in golden.items()) + "\n}\n")
    print(GOLDEN, {name: (len(v), max(map(abs, v))) for name, v in golden.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))

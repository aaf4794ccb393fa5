"""Released MDM checkpoints -> model folders of ours.

A checkpoint is `model*.pt` with `args.json` beside it. Neither holds the mean and std of the training features; those are the `Mean.npy`
and `Std.npy` of HumanML3D, or of KIT-ML for a model of its 251 numbers. It holds no length predictor either: one is trained by
`mate train generator --kind mdm --stage length --init`, or lengths are given.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mate.checkpoints import load_strict
from mate.errors import MateError
from mate.generate.mdm.config import DenoiserConfig, MDMConfig, preset
from mate.generate.mdm.model import MDMGenerator
from mate.generate.reader import UNTRAINED
from mate.motion.layout import HUMANML3D_FEATURES, KIT_FEATURES, FeatureSpec
from mate.text.encoder import TextEncoder

# The reference's names of parts and ours; "#" stands for the number of a block.
NAMES = {
    "input_process.poseEmbedding": "input",
    "output_process.poseFinal": "output",
    "embed_timestep.time_embed.0": "time.0",
    "embed_timestep.time_embed.2": "time.2",
    "embed_text": "text.project",
    **{
        f"seqTrans{kind}.layers.#.{theirs}": f"blocks.#.{ours}"
        for kind in ("Encoder", "Decoder")
        for theirs, ours in {
            "self_attn.in_proj": "attention.qkv",
            "self_attn.out_proj": "attention.out",
            "multihead_attn.in_proj": "cross.qkv",
            "multihead_attn.out_proj": "cross.out",
            "linear1": "up",
            "linear2": "down",
            "norm1": "norms.0",
            "norm2": "norms.1",
            "norm3": "norms.2",
        }.items()
    },
}
# Fixed tables, and the text encoder that some checkpoints carry along.
_IGNORED = ("sequence_pos_encoder.", "embed_timestep.sequence_pos_encoder.", "clip_model.")
SPECS = {"humanml": HUMANML3D_FEATURES, "kit": KIT_FEATURES}  # `dataset` in args.json
_ENCODERS = {"clip": "openai/clip-vit-base-patch32", "bert": "distilbert-base-uncased"}
_LICENSE = "not stated (released MDM weights: the code is MIT, the training data HumanML3D / AMASS is for non-commercial research)"


def convert_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reference's tensors under the names of our `Denoiser`.

    Raises:
        MateError: a tensor that the text-to-motion model does not have (checkpoints for actions, or with a recurrent network).
    """
    out = {}
    for name, tensor in state.items():
        if name.startswith(_IGNORED):
            continue
        joined = name.endswith(("in_proj_weight", "in_proj_bias"))
        stem, _, kind = name.rpartition("_" if joined else ".")
        number = re.search(r"\.layers\.(\d+)\.", stem)
        part = NAMES.get(re.sub(r"\.layers\.\d+\.", ".layers.#.", stem))
        if part is None:
            raise MateError(
                f"got a checkpoint with {name}, which MDM's text-to-motion model (trans_enc or trans_dec) does not have; "
                "only those can be converted"
            )
        out[f"{part.replace('#', number.group(1) if number else '')}.{kind}"] = tensor.float()
    return out


def reference_config(args: Mapping[str, Any]) -> MDMConfig:
    """Our settings for those of a checkpoint's `args.json`.

    Raises:
        MateError: settings that only other tasks have.
    """
    data = args.get("dataset", "humanml")
    base = preset("mdm-kit" if data == "kit" else "mdm")
    kind = args.get("arch", "trans_enc")
    architecture = {"trans_enc": "encoder", "trans_dec": "decoder+token" if args.get("emb_trans_dec") else "decoder"}
    others = [name for name in ("context_len", "multi_target_cond", "unconstrained") if args.get(name)]
    if kind not in architecture or data not in SPECS or others:
        raise MateError(
            f"got an MDM of arch {kind!r} for {data!r}{' with ' + ', '.join(others) if others else ''}; "
            "expected trans_enc or trans_dec, text to motion, for humanml or kit"
        )
    if args.get("emb_policy", "add") != "add":
        raise MateError(f"got emb_policy {args['emb_policy']!r}, expected 'add'")
    if args.get("noise_schedule", "cosine") != "cosine":
        raise MateError(f"got the noise schedule {args['noise_schedule']!r}, expected 'cosine'")
    steps = int(args.get("diffusion_steps", 1000))
    denoiser = DenoiserConfig(
        architecture=architecture[kind],
        words=args.get("text_encoder_type", "clip") == "bert",
        width=int(args.get("latent_dim", 512)),
        layers=int(args.get("layers", 8)),
        text=replace(base.denoiser.text, drop=float(args.get("cond_mask_prob", 0.1))),
    )
    return replace(
        base,
        denoiser=denoiser,
        diffusion=replace(base.diffusion, steps=steps),
        sampling=replace(base.sampling, sampler="ddpm" if steps <= 50 else "ddim", steps=min(steps, 50)),
    )


def convert_checkpoint(
    checkpoint: str | Path, statistics: str | Path, encoder: str | None = None, patch: str | Path | None = None
) -> MDMGenerator:
    """A released checkpoint as a generator; `save_pretrained` makes it a folder.

    Args:
        checkpoint: `model*.pt`, with `args.json` beside it. Only tensors are read from it, no code.
        statistics: the folder of HumanML3D's, or KIT-ML's, `Mean.npy` and `Std.npy`.
        encoder: the text encoder, a Hugging Face id or a local folder; default: the one it was trained with.
        patch: a word patch for the text encoder.

    Raises:
        MateError: a file is missing or no checkpoint of the text-to-motion model.
    """
    checkpoint = Path(checkpoint)
    try:
        args = json.loads((checkpoint.parent / "args.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MateError(
            f"{checkpoint.parent / 'args.json'} cannot be read ({error}); expected it beside the checkpoint, as it was released"
        ) from error
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean that this is no file of tensors
        raise MateError(
            f"{checkpoint} is not a checkpoint of tensors ({type(error).__name__}); get it again"
        ) from error
    for key in ("model_avg", "model"):  # later releases carry averaged weights too
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    config = reference_config(args)
    kind = _ENCODERS["bert" if config.denoiser.words else "clip"]
    text = TextEncoder.from_pretrained(encoder or kind, patch=patch)
    spec = SPECS[args.get("dataset", "humanml")]
    model = MDMGenerator(
        config, text, spec=spec, facts={"license": _LICENSE, "converted_from": checkpoint.name, UNTRAINED: "length"}
    )
    load_denoiser(model, state, str(checkpoint))
    model.diffusion.normalizer.set(*read_statistics(Path(statistics), spec))
    return model.eval()


def load_denoiser(model: MDMGenerator, state: Mapping[str, Tensor], where: str) -> None:
    """Puts a reference state into the denoiser, strictly; text vectors are taken as they come, as in the reference.

    Raises:
        MateError: names or shapes do not fit.
    """
    denoiser = model.diffusion.denoiser
    kept = {name: value for name, value in denoiser.state_dict().items() if name.startswith("text.normalizer.")}
    load_strict(denoiser, convert_state(state) | kept, where)


def read_statistics(folder: Path, spec: FeatureSpec = HUMANML3D_FEATURES) -> tuple[Tensor, Tensor]:
    """(mean, std), (D,) each. Raises MateError where Mean.npy or Std.npy is missing or of another shape."""
    try:
        mean, std = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("Mean", "Std"))
    except (OSError, ValueError) as error:
        raise MateError(
            f"{folder}: Mean.npy or Std.npy cannot be read ({error}); give the folder of the data set"
        ) from error
    if mean.shape != (spec.dim,) or std.shape != (spec.dim,):
        raise MateError(
            f"{folder}: Mean.npy and Std.npy have shapes {mean.shape} and {std.shape}, expected two ({spec.dim},)"
        )
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

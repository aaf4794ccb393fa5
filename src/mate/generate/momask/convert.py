"""The released MoMask checkpoints as a model folder: `python -m mate.generate.momask.convert CHECKPOINTS/t2m -o OUT`, or CHECKPOINTS/kit.

The release (github.com/EricGuo5513/momask-codes, `prepare/download_models.sh`) is a folder with one folder a network: `opt.txt`,
`model/*.tar`, and for the tokeniser `meta/mean.npy` and `meta/std.npy`. Its files are read as plain tensors (`weights_only=True`):
nothing in them is run. CLIP is not in them; the model folder names
`openai/clip-vit-base-patch32`, the same weights as openai-clip's ViT-B/32.

The tokeniser's width says whose motions it makes: 263 numbers are HumanML3D's, 251 are those of KIT-ML's `new_joint_vecs` (train_vq.py:
21 joints, 12.5 frames a second; data/t2m_dataset.py: their groups). KIT-ML's release has no length estimator, and its bone lengths are in
no published file: they come from a KIT-ML set, or each motion keeps its own.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mate.checkpoints import load_strict
from mate.errors import MateError
from mate.generate.clips import check_spec, open_sets, spec_of_data
from mate.generate.momask.config import LengthConfig, MoMaskConfig, TransformerConfig, preset
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.reader import UNTRAINED
from mate.motion.layout import HUMANML3D_FEATURES, KIT_FEATURES, FeatureSpec

CLIP = "openai/clip-vit-base-patch32"
MASKED = "t2m_nlayer8_nhead6_ld384_ff1024_cdp0.1_rvq6ns"
RESIDUAL = "tres_nlayer8_ld384_ff1024_rvq6ns_cdp0.2_sw"
KIT = "_k"  # at the end of the names of the networks for KIT-ML
LENGTH_LAYERS = (512, 256, 128)  # fixed in the release, models/vq/model.py
State = Mapping[str, Tensor]


def convert(
    folder: str | Path,
    out: str | Path,
    masked: str | None = None,
    residual: str | None = None,
    encoder: str = CLIP,
    data: str | Path | None = None,
) -> Path:
    """Writes a model folder from a folder of released checkpoints.

    Args:
        folder: `checkpoints/t2m` or `checkpoints/kit` of the release.
        out: the model folder to write; fp16 as all model folders, normalisers in fp32.
        masked, residual: the names of the two transformers' folders; the tokeniser's stands in their `opt.txt`. None: the released ones.
        encoder: the text encoder that the model folder names.
        data: a prepared KIT-ML set, whose bone lengths a model for KIT-ML gets. None: it has none of its own.

    Returns:
        `out`.

    Raises:
        MateError: a file is missing or unreadable, a network is of a kind that this version does not build, or `data` of another
            skeleton.
    """
    masked, residual = _names(Path(folder), masked, residual)
    model = load_release(folder, masked, residual, encoder)
    if data is not None:
        sets = open_sets([data])
        check_spec(sets[0], model.spec, str(folder))
        model.take_bones(spec_of_data(sets))
    return model.save_pretrained(out, _card(Path(folder), masked, residual, model))


def load_release(
    folder: str | Path, masked: str | None = None, residual: str | None = None, encoder: str = CLIP
) -> MoMaskGenerator:
    """The generator in a folder of released checkpoints, in fp32; arguments and errors as in `convert`."""
    folder = Path(folder)
    masked, residual = _names(folder, masked, residual)
    options = {name: read_options(folder / name / "opt.txt") for name in (masked, residual)}
    tokeniser = str(options[masked].get("vq_name"))
    if options[residual].get("vq_name") != tokeniser:
        raise MateError(f"{masked} and {residual} belong to different tokenisers; expected two of one release")
    vq_options = read_options(folder / tokeniser / "opt.txt")
    length = folder / "length_estimator" / "model" / "finest.tar"
    states = {
        "vq": _state(folder / tokeniser / "model" / "net_best_fid.tar", ("vq_model", "net")),
        "masked": _state(folder / masked / "model" / "latest.tar", ("t2m_transformer", "trans")),
        "residual": _state(folder / residual / "model" / "net_best_fid.tar", ("res_transformer",)),
    }
    spec = _spec(states["vq"])
    if length.is_file() or spec is HUMANML3D_FEATURES:
        states["length"] = _state(length, ("estimator",))
    text_dim = states["masked"]["cond_emb.weight"].shape[1]
    config = _config(vq_options, options[masked], options[residual], states, spec)
    model = MoMaskGenerator(config, text_dim=text_dim, facts={"license": "as the release: see its README"}, spec=spec)
    if "length" not in states:
        model.facts[UNTRAINED] = "length"
    model.set_text_encoder(encoder)
    tensors = {
        **_prefixed("vq.", _tokeniser(states["vq"], config)),
        **_prefixed("vq.normalizer.", _statistics(folder / tokeniser / "meta")),
        **_prefixed("masked.", _masked(states["masked"], config)),
        **_prefixed("residual.", _residual(states["residual"], config)),
        **_prefixed("length.layers.", _renamed(states.get("length", {}), {"output.": ""})),
    }
    own = model.state_dict()
    kept = (
        ("normalizer.mean", "normalizer.scale")
        if "length" in states
        else ("normalizer.mean", "normalizer.scale", "length.layers.")
    )
    tensors |= {name: own[name] for name in own if name not in tensors and any(part in name for part in kept)}
    load_strict(model, tensors, folder)
    return model.eval()


def read_options(path: Path) -> dict[str, str]:
    """The lines `name: value` of a release's `opt.txt`. Raises MateError: no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(
            f"cannot read {path} ({error}); expected a folder of the released MoMask checkpoints"
        ) from error
    pairs = (line.split(": ", 1) for line in lines if ": " in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _state(path: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    """The weights under the first of `names` that the checkpoint has, CLIP's left out."""
    if not path.is_file():
        raise MateError(
            f"{path} is missing; get the released checkpoints with the release's prepare/download_models.sh"
        )
    rebuild: Any = np.float64(0).__reduce__()[0]  # a checkpoint may hold NumPy numbers beside the weights
    kinds: list[Any] = [rebuild, np.dtype, np.float64, type(np.dtype(np.float64)), type(np.dtype(np.float32))]
    try:
        with torch.serialization.safe_globals(kinds):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # every way in which such a file can be broken has a kind of its own
        raise MateError(f"{path} is no checkpoint of plain weights ({type(error).__name__}); get it again") from error
    found = next((held[name] for name in names if isinstance(held, dict) and name in held), None)
    if not isinstance(found, dict):
        raise MateError(f"{path} has no {' or '.join(names)}; expected a checkpoint of the released MoMask")
    return {name: value.float() for name, value in found.items() if not name.startswith("clip_model.")}


def _names(folder: Path, masked: str | None, residual: str | None) -> tuple[str, str]:
    """The folders of the two transformers: those given, else those of the release, for KIT-ML where the folder has them."""
    end = KIT if (folder / (MASKED + KIT)).is_dir() else ""
    return masked or MASKED + end, residual or RESIDUAL + end


def _spec(vq: State) -> FeatureSpec:
    """What the tokeniser makes, by the width of its first layer."""
    features = vq["encoder.model.0.weight"].shape[1]
    for spec in (HUMANML3D_FEATURES, KIT_FEATURES):
        if spec.dim == features:
            return spec
    raise MateError(
        f"the tokeniser is for {features} features a frame, expected {HUMANML3D_FEATURES.dim} (HumanML3D) or {KIT_FEATURES.dim} (KIT-ML)"
    )


def _config(
    vq: dict[str, str],
    masked: dict[str, str],
    residual: dict[str, str],
    states: dict[str, dict],
    spec: FeatureSpec,
) -> MoMaskConfig:
    base = preset("momask" if spec is HUMANML3D_FEATURES else "momask-kit")

    def fixed(name: str, expected: str) -> None:
        if (found := vq.get(name, expected)) != expected:
            raise MateError(f"the tokeniser has {name}: {found}, expected {expected}; this version builds no other")

    for name, expected in (("vq_act", "relu"), ("vq_norm", "None"), ("shared_codebook", "False"), ("stride_t", "2")):
        fixed(name, expected)
    books = [name for name in states["vq"] if name.endswith(".codebook")]
    codes, dim = states["vq"][books[0]].shape
    longest = base.max_seconds
    if "length" in states:  # one output for each number of tokens from 0
        longest = (states["length"]["output.11.weight"].shape[0] - 1) * 2 ** int(vq["down_t"]) / spec.fps

    def transformer(options: dict[str, str], which: str, kind: TransformerConfig) -> TransformerConfig:
        state = states[which]
        layers = {name.split(".")[2] for name in state if name.startswith("seqTransEncoder.layers.")}
        ff, width = state["seqTransEncoder.layers.0.linear1.weight"].shape
        return replace(
            kind,
            width=width,
            ff=ff,
            layers=len(layers),
            heads=int(options["n_heads"]),
            dropout=float(options["dropout"]),
            code_dim=state["input_process.poseEmbedding.weight"].shape[1],
            share=which == "masked" or "embed_proj_shared_weight" in state,
            text=replace(kind.text, drop=float(options["cond_drop_prob"])),
        )

    width = states["vq"]["encoder.model.0.weight"].shape[0]
    return replace(
        base,
        quantizer=replace(
            base.quantizer, codes=codes, dim=dim, layers=len(books), decay=float(vq.get("mu", 0.99)),
            dropout=float(vq.get("quantize_dropout_prob", 0.2)),
        ),
        vq=replace(
            base.vq, width=width, depth=int(vq["depth"]), halvings=int(vq["down_t"]),
            dilation=int(vq["dilation_growth_rate"]), feat_bias=float(vq.get("feat_bias", 5.0)),
        ),
        masked=transformer(masked, "masked", base.masked),
        residual=transformer(residual, "residual", base.residual),
        length=LengthConfig(layers=LENGTH_LAYERS),
        max_seconds=longest,
    )  # fmt: skip


def _tokeniser(state: State, config: MoMaskConfig) -> dict[str, Tensor]:
    """Names of models/vq/encdec.py and resnet.py -> ours; codebooks get counts that a batch of training would give them."""
    halvings, depth = config.vq.halvings, config.vq.depth
    names = {"encoder.model.0.": "encoder.enter.", f"encoder.model.{2 + halvings}.": "encoder.leave."}
    names |= {"decoder.model.0.": "decoder.enter.", f"decoder.model.{2 + halvings}.": "decoder.last."}
    names[f"decoder.model.{4 + halvings}."] = "decoder.leave."
    for level in range(halvings):
        names[f"encoder.model.{2 + level}.0."] = f"encoder.down.{level}."
        names[f"decoder.model.{2 + level}.2."] = f"decoder.up.{level}."
        for side, place in (("encoder", 1), ("decoder", 0)):
            for block in range(depth):
                theirs = f"{side}.model.{2 + level}.{place}.model.{block}"
                names[f"{theirs}.conv1."] = f"{side}.blocks.{level}.{block}.wide."
                names[f"{theirs}.conv2."] = f"{side}.blocks.{level}.{block}.point."
    out = _renamed({name: value for name, value in state.items() if not name.startswith("quantizer.")}, names)
    count = max(1.0, config.batch_frames / config.vq.stride / config.quantizer.codes)
    for layer in range(config.quantizer.layers):
        codes, book = state[f"quantizer.layers.{layer}.codebook"], f"quantizer.books.{layer}"
        out |= {f"{book}.codes": codes, f"{book}.sums": codes * count, f"{book}.initialised": torch.tensor(True)}
        out[f"{book}.counts"] = torch.full((len(codes),), count)
    return out


def _transformer(state: State, layers: int) -> dict[str, Tensor]:
    """What both transformers have in common; the position table is computed, not stored."""
    names = {"input_process.poseEmbedding.": "trunk.widen.", "cond_emb.": "condition.project."}
    names |= {"output_process.dense.": "head.0.", "output_process.LayerNorm.": "head.2."}
    for i in range(layers):
        theirs, ours = f"seqTransEncoder.layers.{i}.", f"trunk.blocks.{i}."
        names |= {f"{theirs}self_attn.in_proj_": f"{ours}qkv.", f"{theirs}self_attn.out_proj.": f"{ours}out."}
        names |= {f"{theirs}linear1.": f"{ours}up.", f"{theirs}linear2.": f"{ours}down."}
        names |= {f"{theirs}norm1.": f"{ours}norm1.", f"{theirs}norm2.": f"{ours}norm2."}
    return _renamed({k: v for k, v in state.items() if k.startswith(tuple(names))}, names)


def _masked(state: State, config: MoMaskConfig) -> dict[str, Tensor]:
    names = {"token_emb.": "embed.", "output_process.poseFinal.": "logits."}
    rest = {k: v for k, v in state.items() if k.startswith(tuple(names))}
    return {**_transformer(state, config.masked.layers), **_renamed(rest, names)}


def _residual(state: State, config: MoMaskConfig) -> dict[str, Tensor]:
    out = _transformer(state, config.residual.layers)
    out |= _renamed(
        {k: v for k, v in state.items() if k.startswith("output_process.poseFinal.")},
        {"output_process.poseFinal.": "narrow."},
    )
    layers, codes = config.quantizer.layers, config.quantizer.codes + 1
    # One-hot layer numbers through a linear layer are rows of a table.
    out["layer.weight"] = (state["quant_emb.weight"][:, 1:].T + state["quant_emb.bias"]).contiguous()
    if config.residual.share:
        parts = ("token_embed_weight_", "embed_proj_shared_weight", "output_proj_weight_")
        out["embed"] = torch.cat([state[name] for name in parts])
        out["bias"] = torch.zeros(layers - 1, codes)
    else:
        # Its output layer adds the product to itself before the bias (transformer.py, output_project).
        out |= {"embed": state["token_embed_weight"], "outputs": 2 * state["output_proj_weight"]}
        out["bias"] = state["output_proj_bias"][: layers - 1]
    return out


def _statistics(meta: Path) -> dict[str, Tensor]:
    """Mean and std of the tokeniser's own `meta`: the std holds the division by `feat_bias` already."""
    out = {}
    for name in ("mean", "std"):
        try:
            out[name] = torch.from_numpy(np.load(meta / f"{name}.npy", allow_pickle=False)).float()
        except (OSError, ValueError) as error:
            raise MateError(f"cannot read {meta / name}.npy ({error}); it comes with the released tokeniser") from error
    return out


def _renamed(state: State, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Every name with its longest known beginning replaced. Raises MateError for one that has none."""
    out = {}
    for name, value in state.items():
        known = [start for start in names if name.startswith(start)]
        if not known:
            raise MateError(f"the checkpoint has the weight {name}, which the released MoMask has not")
        start = max(known, key=len)
        out[names[start] + name[len(start) :]] = value
    return out


def _prefixed(prefix: str, state: State) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


def _card(folder: Path, masked: str, residual: str, model: MoMaskGenerator) -> str:
    kit = model.spec.dim == KIT_FEATURES.dim
    body = ["It makes KIT-ML's 21 joints at 12.5 frames a second.", ""] if kit else []
    lengths = ["Its length predictor is untrained: give lengths.", ""] if UNTRAINED in model.facts else []
    return "\n".join([
        "# MoMask, converted from its released checkpoints", "",
        f"Masked transformer `{masked}`, residual transformer `{residual}`, from `{folder.name}`.", "",
        f"The weights are the MoMask authors' (Guo et al., CVPR 2024); their licence and that of {'KIT-ML' if kit else 'HumanML3D'} hold. "
        f"Text encoder: {CLIP}, which is not inside.", "",
        *body, *lengths,
    ])  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mate.generate.momask.convert", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", help="checkpoints/t2m or checkpoints/kit of the release")
    parser.add_argument("-o", "--out", required=True, help="the model folder to write")
    parser.add_argument("--masked", help="folder name of the masked transformer (default: the release's)")
    parser.add_argument("--residual", help="folder name of the residual transformer (default: the release's)")
    parser.add_argument("--data", help="a prepared KIT-ML set, for the bone lengths of a model for KIT-ML")
    parser.add_argument("--text-encoder", default=CLIP, help="hub id or folder of the text encoder")
    given = parser.parse_args(arguments)
    try:
        print(convert(given.folder, given.out, given.masked, given.residual, given.text_encoder, given.data))
    except MateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

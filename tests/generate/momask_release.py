"""A made-up release of MoMask: the files, names and shapes of the reference's checkpoints, with seeded weights.

Run as a program beside a checkout of the reference (github.com/EricGuo5513/momask-codes at 94a6636) it makes the golden numbers of
`test_momask_release.py`:

    python -m tests.generate.momask_release MOMASK_CODES tests/generate/momask_golden.json

The procedure: `write_release` writes checkpoints of seeded weights in the release's layout; the reference's own classes (RVQVAE,
MaskTransformer, ResidualTransformer, LengthEstimator) load them strictly and are set to eval(). openai-clip is not needed: a module
of that name stands in, and `encode_text` gives the vectors of `text_vectors`. The uniform numbers of its Gumbel noise come from
`uniform`, by sample, purpose and step; `Categorical.sample` is the exponential race on the
same numbers, which is the same choice. PyTorch 2, CPU, float32.
"""

import json
import sys
import types
import zlib
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

MASKED, RESIDUAL, TOKENISER = "masked", "residual", "tokeniser"
LENGTHS = (9, 12)  # tokens of the two samples
STEPS, GUIDANCE, RESIDUAL_GUIDANCE = 10, 4.0, 5.0


@dataclass(frozen=True)
class Sizes:
    """Sizes of a release: `dim` code dimension, `width` of convolutions, `latent` of transformers, `features` a frame (KIT-ML: 251)."""

    codes: int = 64
    dim: int = 16
    layers: int = 4
    width: int = 24
    depth: int = 2
    latent: int = 32
    ff: int = 48
    heads: int = 4
    blocks: int = 2
    clip: int = 12
    features: int = 263


TINY = Sizes()
RELEASED = Sizes(codes=512, dim=512, layers=6, width=512, depth=3, latent=384, ff=1024, heads=6, blocks=8, clip=512)


def shapes(sizes: Sizes, share: bool = True) -> dict[str, dict[str, tuple[int, ...]]]:
    """Network -> (the reference's weight name -> shape)."""
    s = sizes
    vq: dict[str, tuple[int, ...]] = {}

    def conv(name: str, inputs: int, outputs: int, kernel: int) -> None:
        vq.update({f"{name}.weight": (outputs, inputs, kernel), f"{name}.bias": (outputs,)})

    for side, first, last in (("encoder", s.features, s.dim), ("decoder", s.dim, s.features)):
        conv(f"{side}.model.0", first, s.width, 3)
        for level in (2, 3):
            conv(
                *(
                    (f"encoder.model.{level}.0", s.width, s.width, 4)
                    if side == "encoder"
                    else (f"decoder.model.{level}.2", s.width, s.width, 3)
                )
            )
            for block in range(s.depth):
                inside = f"{side}.model.{level}.{1 if side == 'encoder' else 0}.model.{block}"
                conv(f"{inside}.conv1", s.width, s.width, 3)
                conv(f"{inside}.conv2", s.width, s.width, 1)
        if side == "decoder":
            conv("decoder.model.4", s.width, s.width, 3)
        conv(f"{side}.model.{4 if side == 'encoder' else 6}", s.width, last, 3)
    vq |= {f"quantizer.layers.{i}.codebook": (s.codes, s.dim) for i in range(s.layers)}
    trunk: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inputs: int, outputs: int, into: dict[str, tuple[int, ...]] = trunk) -> None:
        into.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    linear("input_process.poseEmbedding", s.dim, s.latent)
    linear("cond_emb", s.clip, s.latent)
    for i in range(s.blocks):
        layer = f"seqTransEncoder.layers.{i}"
        trunk |= {
            f"{layer}.self_attn.in_proj_weight": (3 * s.latent, s.latent),
            f"{layer}.self_attn.in_proj_bias": (3 * s.latent,),
        }
        linear(f"{layer}.self_attn.out_proj", s.latent, s.latent)
        linear(f"{layer}.linear1", s.latent, s.ff)
        linear(f"{layer}.linear2", s.ff, s.latent)
        trunk |= {f"{layer}.norm{n}.{what}": (s.latent,) for n in (1, 2) for what in ("weight", "bias")}
    linear("output_process.dense", s.latent, s.latent)
    trunk |= {f"output_process.LayerNorm.{what}": (s.latent,) for what in ("weight", "bias")}
    masked = {**trunk, "token_emb.weight": (s.codes + 2, s.dim)}
    linear("output_process.poseFinal", s.latent, s.codes, masked)
    residual = dict(trunk)
    linear("output_process.poseFinal", s.latent, s.dim, residual)
    linear("quant_emb", s.layers, s.latent, residual)
    table = (s.codes + 1, s.dim)
    if share:
        residual |= {"embed_proj_shared_weight": (s.layers - 2, *table)}
        residual |= {"token_embed_weight_": (1, *table), "output_proj_weight_": (1, *table)}
    else:
        residual |= dict.fromkeys(("token_embed_weight", "output_proj_weight"), (s.layers - 1, *table))
        residual["output_proj_bias"] = (s.layers, s.codes + 1)
    length: dict[str, tuple[int, ...]] = {}
    for place, inputs, outputs in ((0, s.clip, 512), (4, 512, 256), (8, 256, 128), (11, 128, 50)):
        linear(f"output.{place}", inputs, outputs, length)
        if outputs != 50:
            length |= {f"output.{place + 1}.{what}": (outputs,) for what in ("weight", "bias")}
    return {"vq": vq, "masked": masked, "residual": residual, "length": length}


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Seeded standard normal numbers, from NumPy's frozen generator."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)


def weights(network: str, known: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Seeded weights of lively size: matrices 1 / sqrt(inputs), gains near 1, the rest small."""
    out = {}
    for name, shape in known.items():
        x = numbers(f"{network} {name}", shape)
        if "codebook" in name:
            x = 0.3 * x
        else:
            inputs = int(np.prod(shape[1:])) if len(shape) == 2 or "model" in name else shape[-1]
            x = x / np.sqrt(max(inputs, 1)) * 1.4 if len(shape) > 1 else 0.1 * x
            if len(shape) == 1 and name.endswith(".weight"):
                x = 1 + x
        out[name] = torch.from_numpy(np.ascontiguousarray(x))
    return out


def text_vectors(sizes: Sizes) -> torch.Tensor:
    """(2, clip) pooled text vectors."""
    return torch.from_numpy(numbers("texts", (2, sizes.clip)))


def motion(sizes: Sizes) -> torch.Tensor:
    """(1, 40, D) normalised features."""
    return torch.from_numpy(numbers("motion", (1, 40, sizes.features)))


def uniform(sample: int, purpose: str, step: int, shape: tuple[int, int]) -> torch.Tensor:
    """The uniform random numbers of a sample's step."""
    seed = zlib.crc32(f"{purpose} {sample} {step}".encode())
    return torch.from_numpy(np.random.RandomState(seed).random_sample(shape).astype(np.float32))


def write_release(folder: Path, sizes: Sizes = TINY, share: bool = True) -> Path:
    """Writes the checkpoints in the release's layout; returns `folder`. That for KIT-ML has no length estimator."""
    s, known = sizes, shapes(sizes, share)
    vq = {
        "nb_code": s.codes,
        "code_dim": s.dim,
        "num_quantizers": s.layers,
        "width": s.width,
        "depth": s.depth,
        "down_t": 2,
        "stride_t": 2,
    }
    vq |= {
        "dilation_growth_rate": 3,
        "vq_act": "relu",
        "vq_norm": None,
        "shared_codebook": False,
        "quantize_dropout_prob": 0.2,
        "mu": 0.99,
    }
    trunk = {
        "vq_name": TOKENISER,
        "latent_dim": s.latent,
        "ff_size": s.ff,
        "n_heads": s.heads,
        "n_layers": s.blocks,
        "dropout": 0.2,
    }
    files = (
        (TOKENISER, "net_best_fid.tar", "vq_model", "vq", vq | {"feat_bias": 5}),
        (MASKED, "latest.tar", "t2m_transformer", "masked", trunk | {"cond_drop_prob": 0.1}),
        (
            RESIDUAL,
            "net_best_fid.tar",
            "res_transformer",
            "residual",
            trunk | {"cond_drop_prob": 0.2, "share_weight": share},
        ),
        ("length_estimator", "finest.tar", "estimator", "length", None),
    )
    for name, file, key, network, options in files if s.features == 263 else files[:-1]:
        (folder / name / "model").mkdir(parents=True)
        state = {**weights(network, known[network]), **_positions(network, s)}
        torch.save({key: state, "ep": 3, "best_fid": np.float64(0.1)}, folder / name / "model" / file)
        if options:
            lines = ["------------ Options -------------", *(f"{k}: {v}" for k, v in options.items())]
            (folder / name / "opt.txt").write_text("\n".join([*lines, "-------------- End ----------------", ""]))
    (folder / TOKENISER / "meta").mkdir()
    np.save(folder / TOKENISER / "meta" / "mean.npy", numbers("mean", (s.features,)))
    np.save(folder / TOKENISER / "meta" / "std.npy", np.abs(numbers("std", (s.features,))) + 0.1)
    return folder


def _positions(network: str, sizes: Sizes) -> dict[str, torch.Tensor]:
    """The position table, a buffer that the reference's checkpoints hold."""
    if network not in ("masked", "residual"):
        return {}
    angle = np.arange(5000)[:, None] * np.exp(
        np.arange(0, sizes.latent, 2, dtype=np.float32) * (-np.log(10000.0) / sizes.latent)
    )
    table = np.stack([np.sin(angle), np.cos(angle)], -1).reshape(5000, 1, sizes.latent)
    return {"position_enc.pe": torch.from_numpy(table.astype(np.float32))}


def inputs(sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(tokens with masks (2, 12), all-layer tokens (2, 12, Q), lengths (2,)) for the logits."""
    rng = np.random.RandomState(5)
    base = rng.randint(0, sizes.codes, (2, 12))
    base[rng.random_sample((2, 12)) < 0.4] = sizes.codes  # the mask token
    every = rng.randint(0, sizes.codes, (2, 12, sizes.layers))
    return torch.from_numpy(base), torch.from_numpy(every), torch.tensor(LENGTHS)


def reference(checkout: Path, sizes: Sizes = TINY, share: bool = True) -> dict[str, torch.Tensor]:
    """What the reference makes of it, all arrays in full."""
    clip = types.ModuleType("clip")
    clip.load = lambda *a, **k: (torch.nn.Identity(), None)  # type: ignore[attr-defined]
    sys.modules["clip"] = clip
    sys.path.insert(0, str(checkout))
    from models.mask_transformer import tools, transformer  # type: ignore[import-not-found]
    from models.vq.model import RVQVAE, LengthEstimator  # type: ignore[import-not-found]

    s, known = sizes, shapes(sizes, share)
    opt = Namespace(
        num_tokens=s.codes,
        num_quantizers=s.layers,
        device="cpu",
        mu=0.99,
        shared_codebook=False,
        quantize_dropout_prob=0.2,
    )
    vq = RVQVAE(opt, s.features, s.codes, s.dim, s.dim, 2, 2, s.width, s.depth, 3, "relu", None)
    common = {
        "code_dim": s.dim,
        "cond_mode": "text",
        "latent_dim": s.latent,
        "ff_size": s.ff,
        "num_layers": s.blocks,
        "num_heads": s.heads,
    }
    common |= {"dropout": 0.2, "clip_dim": s.clip, "clip_version": "ViT-B/32", "opt": opt}
    masked = transformer.MaskTransformer(cond_drop_prob=0.1, **common)
    residual = transformer.ResidualTransformer(cond_drop_prob=0.2, shared_codebook=False, share_weight=share, **common)
    length = LengthEstimator(s.clip, 50)
    for name, module in (("vq", vq), ("masked", masked), ("residual", residual), ("length", length)):
        module.load_state_dict({**weights(name, known[name]), **_positions(name, s)})
        module.eval()
    vectors = text_vectors(s)
    chosen: list[int] = []  # which samples the current call is about
    calls = {"masked": 0, "residual": 0}
    purpose = "masked"

    def noise(t: torch.Tensor) -> torch.Tensor:
        out = torch.full_like(t, 0.5)
        for row, sample in enumerate(chosen):
            count = LENGTHS[sample]
            out[row, :count] = uniform(sample, purpose, calls[purpose], (count, t.shape[-1]))
        calls[purpose] += 1
        return -tools.log(-tools.log(out))

    class Race:
        def __init__(self, probs: torch.Tensor) -> None:
            self.probs = probs

        def sample(self) -> torch.Tensor:
            return (self.probs / torch.exp(-noise(self.probs))).argmax(-1)

    tools.gumbel_noise = noise
    transformer.Categorical = Race
    for module in (masked, residual):
        module.encode_text = lambda _texts: vectors[chosen]

    out: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        base, every, lengths = inputs(s)
        padding = torch.arange(12) >= lengths[:, None]
        ids = torch.where(padding, s.codes + 1, base)
        out["masked_text"] = masked.trans_forward(ids, vectors, padding).transpose(1, 2)
        out["masked_none"] = masked.trans_forward(ids, vectors, padding, force_mask=True).transpose(1, 2)
        residual.process_embed_proj_weight() if share else None
        for q in range(1, s.layers):
            tables = residual.token_embed_weight
            history = sum(tables[k][torch.where(padding, s.codes, every[..., k])] for k in range(q))
            scaled = residual.forward_with_cond_scale(history, q, vectors, padding, cond_scale=RESIDUAL_GUIDANCE)
            out[f"residual_{q}"] = scaled.transpose(1, 2)
        out["length"] = length(vectors)
        codes, _ = vq.encode(motion(s))
        out["encoded"] = codes
        out["decoded"] = vq.forward_decoder(codes)
        for samples in ([0], [1], [0, 1]):
            label = "".join(map(str, samples))
            for gumbel in (False, True):
                chosen[:], calls["masked"], calls["residual"], purpose = samples, 0, 0, "masked"
                made = masked.generate(
                    [""] * len(samples), lengths[samples], STEPS, GUIDANCE, topk_filter_thres=0.9, gsample=gumbel
                )
                assert gumbel is False or torch.equal(made, out[f"base_{label}"])
                out[f"base_{label}"] = made
            purpose = "residual"
            tokens = residual.generate(made, [""] * len(samples), lengths[samples], cond_scale=RESIDUAL_GUIDANCE)
            out[f"tokens_{label}"] = tokens
            out[f"features_{label}"] = vq.forward_decoder(tokens)
    return out


def thinned(name: str, values: torch.Tensor) -> torch.Tensor:
    """The part of an array that is kept as golden numbers; tokens are kept in full."""
    return values if not values.is_floating_point() else values.flatten()[:: max(1, values.numel() // 150)]


if __name__ == "__main__":
    golden = {
        kind: {
            name: np.round(thinned(name, values).numpy().astype(float), 6).tolist()
            for name, values in reference(Path(sys.argv[1]), TINY, share).items()
        }
        for kind, share in (("share", True), ("own", False))
    }
    Path(sys.argv[2]).write_text(json.dumps(golden) + "\n")

"""How fast generators sample, against their authors' procedure (`mate.generate.procedure`): `mate bench generate`.

Random weights in the released sizes, the text side of CLIP ViT-B/32 included, from texts to features; reading weights and
post-processing are not counted. The ways take turns, one run each a round, so that whatever else the machine does meets all of them
alike; figures are medians over the rounds. The limit is what matrix products of the same shapes reach in the same rounds.
"""

import math
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mate.generate.linear import Linear, packed
from mate.generate.mdm import config as mdm_config
from mate.generate.mdm.diffusion import MotionDiffusion
from mate.generate.momask import config as momask_config
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.precision import lower
from mate.generate.procedure import PlainMDM, PlainMoMask
from mate.motion.layout import HUMANML3D_FEATURES
from mate.text.encoder import TextEncoder
from mate.text.speed import take_turns

TEXT = "a person walks forward slowly and waves with the right hand"
PLACES = 77  # of CLIP's text side, all of which the authors' programs compute
Run = Callable[[], Tensor]
_PASSES = 4  # a measurement of matrix products is long enough to be one


def clip_text(words: str, layers: int = 12, width: int = 512) -> TextEncoder:
    """CLIP ViT-B/32's text side with random weights, and a tokenizer for these words alone."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    vocabulary = {word: i for i, word in enumerate(sorted(set(words.split())))} | {"<start>": 49406, "<end>": 49407}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 49406), ("<end>", 49407)]
    )
    model = CLIPTextModelWithProjection(
        CLIPTextConfig(
            hidden_size=width, intermediate_size=4 * width, projection_dim=width, num_attention_heads=width // 64,
            num_hidden_layers=layers,
        )
    )  # fmt: skip
    return TextEncoder(
        model, tokenizer, model_id="random CLIP", family="clip", dim=width, token_dim=width, max_tokens=PLACES,
        pooling="end-of-text",
    )  # fmt: skip


def encode_in_full(encoder: TextEncoder) -> Callable[[list[str]], Tensor]:
    """Pooled vectors as openai-clip makes them: over all 77 places, whatever the text's length."""

    def encode(texts: list[str]) -> Tensor:
        ids = encoder.tokenize(texts).ids
        ids = nn.functional.pad(ids, (0, PLACES - ids.shape[1]))
        return encoder.model(input_ids=ids).text_embeds

    return encode


def random_momask(config: momask_config.MoMaskConfig, encoder: TextEncoder) -> MoMaskGenerator:
    """A generator that was never trained; its codes are random, so that different tokens give different motions."""
    model = MoMaskGenerator(config, encoder).eval()
    for i in range(config.quantizer.layers):
        model.vq.quantizer.book(i).codes.normal_(std=0.1)
    return model


def momask_runs(config: momask_config.MoMaskConfig, encoder: TextEncoder, batch: int, frames: int) -> dict[str, Run]:
    """Ways to make `batch` motions of `frames`: the procedure, and ours by number format."""
    torch.manual_seed(0)
    models = {"fp32": random_momask(config, encoder)}
    for dtype in ("bf16", "int8"):
        models[dtype] = MoMaskGenerator(config, encoder).eval()
        models[dtype].load_state_dict(models["fp32"].state_dict())
        lower(models[dtype], dtype)
    texts, tokens, keys = [TEXT] * batch, frames // config.vq.stride, [(i,) for i in range(batch)]
    plain = PlainMoMask(models["fp32"], encode_in_full(encoder))

    def ours(model: MoMaskGenerator) -> Run:
        def run() -> Tensor:
            codes, _ = model.fill(model.pooled(texts), [tokens] * batch, 0, keys)
            return model.vq.decode_codes(codes)

        return run

    runs: dict[str, Run] = {"procedure": lambda: plain(texts, tokens, models["fp32"].noise(0, keys, [tokens] * batch))}
    return runs | {dtype: ours(model) for dtype, model in models.items()}


def mdm_runs(config: mdm_config.MDMConfig, encoder: TextEncoder, frames: int, solver_steps: int) -> dict[str, Run]:
    """Ways to make one motion: the procedure, ours with the same sampler, and ours with DPM-Solver++ in few steps."""
    torch.manual_seed(0)
    model = MotionDiffusion(config, encoder.dim, HUMANML3D_FEATURES).eval()
    plain = PlainMDM(model, encode_in_full(encoder))
    few = replace(config.sampling, sampler="dpm++", steps=solver_steps)

    def streams() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(0)]

    def ours(sampling: mdm_config.SamplingConfig) -> Run:
        return lambda: model.sample(encoder.encode([TEXT]).pooled.unsqueeze(1), None, [frames], streams(), sampling)

    runs: dict[str, Run] = {"procedure": lambda: plain([TEXT], frames, streams())}
    return runs | {"fp32": ours(config.sampling), "few": ours(few)}


def operations(run: Run) -> int:
    """Multiplications and additions in the matrix products, convolutions and attention of a run."""
    from torch.utils.flop_counter import FlopCounterMode

    def of_attention(query: Any, key: Any, *_: Any, **__: Any) -> int:
        batch, heads, rows, width = query
        return 4 * batch * heads * rows * key[2] * width

    def of_product(x: Any, *_: Any, out_shape: Any, **__: Any) -> int:
        return 2 * math.prod(out_shape) * x[-1]

    known: dict[Any, Any] = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: of_attention}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        known[torch.ops.mkldnn._linear_pointwise] = of_product
    counter = FlopCounterMode(display=False, custom_mapping=known)
    with counter:
        run()
    return counter.get_total_flops()


def products(width: int, ff: int, layers: int, rows: int) -> tuple[dict[str, Run], int]:
    """The matrix products of one pass of `rows` tokens through a transformer, as torch does them and packed; their operations.

    Every layer has its own weights, as in a network: what has to come from memory there has to here.
    """
    shapes = ((width, 3 * width), (width, width), (width, ff), (ff, width))
    network = nn.ModuleList(Linear(inputs, outputs) for _ in range(layers) for inputs, outputs in shapes).eval()
    inputs = {size: torch.randn(rows, size) for size in (width, ff)}

    def run(packing: bool) -> Tensor:
        with packed(network) if packing else nullcontext():
            for _ in range(_PASSES):
                for layer in network:
                    last = layer(inputs[layer.in_features])  # type: ignore[index]
        return last

    count = 2 * _PASSES * rows * layers * sum(inputs * outputs for inputs, outputs in shapes)
    return {"product": lambda: run(False), "packed product": lambda: run(True)}, count


def measure_generate(
    rounds: int,
    threads: int,
    batches: tuple[int, ...] = (1, 32),
    solver_steps: int = 10,
    momask: momask_config.MoMaskConfig | None = None,
    mdm: mdm_config.MDMConfig | None = None,
    encoder: TextEncoder | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the table, and what they mean.

    Args:
        rounds: figures are medians over them.
        threads: of torch; with one, time is the processor's, with several that on the clock.
        batches: sentences at once, for MoMask.
        solver_steps: of DPM-Solver++, for MDM.
        momask, mdm, encoder: of other sizes than the released ones.
    """
    momask, mdm = momask or momask_config.preset("momask"), mdm or mdm_config.preset("mdm-50")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    try:
        torch.manual_seed(0)
        encoder = encoder or clip_text(TEXT)
        rows = []
        frames = round(momask.max_seconds * HUMANML3D_FEATURES.fps)
        name = f"MoMask, {momask.sampling.steps} steps"
        for batch in batches:
            runs = momask_runs(momask, encoder, batch, frames)
            sizes, tokens = momask.masked, 2 * batch * (frames // momask.vq.stride + 1)
            limit = products(sizes.width, sizes.ff, sizes.layers, tokens)
            rows += _rows(name, batch, runs, limit, rounds, clock)
        frames = round(mdm.max_seconds * HUMANML3D_FEATURES.fps)
        runs = mdm_runs(mdm, encoder, frames, solver_steps)
        sizes = mdm.denoiser
        limit = products(sizes.width, sizes.ff, sizes.layers, 2 * (frames + 1))
        rows += _rows(f"MDM, {mdm.sampling.steps} steps", 1, runs, limit, rounds, clock)
        for row in rows:
            row["what"] = row["what"].replace("few", f"{solver_steps} steps of DPM-Solver++")
    finally:
        torch.set_num_threads(before)
    per = "processor time, one thread" if threads == 1 else f"time on the clock, {threads} threads"
    return rows, [
        f"T = {frames}, random weights, text encoding included: {per}, medians of {rounds} rounds in turn, ratios within a round. The "
        "procedure is this package's own plain version of how the authors' programs sample, on the same weights and random numbers.",
        "Limit: the rate of matrix products of the transformer's shapes in the same rounds, by torch's own layers or packed, whichever "
        "is faster. bf16 and int8 are weights that are stored smaller; their results, and another solver's, are others.",
    ]


def _rows(
    name: str,
    batch: int,
    runs: dict[str, Run],
    limit: tuple[dict[str, Run], int],
    rounds: int,
    clock: Callable[[], float],
) -> list[dict[str, Any]]:
    """One row a run, and one of the limit."""
    with torch.no_grad():
        count = operations(runs["fp32"])
    seconds, results = take_turns(runs | limit[0], rounds, clock)
    best = min(statistics.median(seconds[key]) for key in limit[0])
    rate = limit[1] / best
    rows = []
    for key in runs:
        ratios = [plain / own for plain, own in zip(seconds["procedure"], seconds[key], strict=True)]
        median = statistics.median(seconds[key])
        rows.append(
            {
                "what": f"{name}, {key}",
                "batch": batch,
                "seconds a sentence": median / batch,
                "times the procedure": statistics.median(ratios),
                "of the limit": f"{count / median / rate:.0%}" if key == "fp32" else "",
                "greatest difference": float((results[key] - results["procedure"]).abs().max()),
            }
        )
    rows.append(
        {
            "what": f"matrix products, {rate / 1e9:,.0f} GFLOP/s",
            "batch": batch,
            "seconds a sentence": count / rate / batch,
            "times the procedure": statistics.median(seconds["procedure"]) / (count / rate),
            "of the limit": "100%",
            "greatest difference": "",
        }
    )
    return rows

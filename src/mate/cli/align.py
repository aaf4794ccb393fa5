"""`mate align`."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Prior(StrEnum):
    """The kind of localization prior."""

    gaussian = "gaussian"
    binary = "binary"
    inside = "inside"
    none = "none"


class Segmentation(StrEnum):
    """How sub-texts get their segments."""

    semantic = "semantic"
    uniform = "uniform"


def align(
    data: Annotated[
        list[Path], typer.Argument(help="Training sets in HumanML3D's layout (`mate prepare` makes them).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the patch, the retrieval model and the report.")],
    encoder: Annotated[str, typer.Option(help="Language model: a Hugging Face id or folder.")] = "all-MiniLM-L6-v2",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the alignment stage.", show_default="600")] = None,
    retrieval_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the retrieval stage.", show_default="400")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Motions a step.", show_default="64")] = None,
    rows_lr: Annotated[
        float | None, typer.Option(help="Learning rate of the word embeddings.", show_default="0.0003")
    ] = None,
    prior: Annotated[Prior, typer.Option(help="Localization prior.")] = Prior.gaussian,
    segmentation: Annotated[
        Segmentation, typer.Option(help="Segments by meaning, or of equal length.")
    ] = Segmentation.semantic,
    splitter: Annotated[
        str,
        typer.Option(
            help="Of captions into sub-texts: rules, a file of splits (JSON lines), or URL#MODEL of an endpoint."
        ),
    ] = "rules",
    losses: Annotated[str, typer.Option(help="Criteria in use, for ablations.")] = "rec,self,cross,align,sent",
    least_change: Annotated[
        float,
        typer.Option(
            min=0.0, help="Leave rows out of the patch that moved by less than this fraction of their length."
        ),
    ] = 0.0,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Control: no word embedding moves, no patch is written.")
    ] = False,
    max_minutes: Annotated[float | None, typer.Option(help="End training by the clock.", show_default=False)] = None,
    bf16: Annotated[
        bool, typer.Option(help="bfloat16 matrix products (several times faster on new CPUs and GPUs).")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Tune a language model's motion words on motion: data and a language model become a word patch.

    Interrupted, the same command continues. Writes OUT/patch.safetensors, OUT/retrieval (for `mate score`),
    OUT/segments.jsonl and OUT/report.json.
    """
    import torch

    from mate.align.recipe import AlignConfig
    from mate.align.recipe import align as run

    if threads:
        torch.set_num_threads(threads)
    given = {"steps": steps, "retrieval_steps": retrieval_steps, "batch_size": batch_size, "rows_lr": rows_lr}
    config = AlignConfig(
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
        prior=prior.value,
        segmentation=segmentation.value,
        splitter=splitter,
        losses=tuple(part.strip() for part in losses.split(",") if part.strip()),
        least_change=least_change,
        train_rows=not frozen,
        max_minutes=max_minutes,
        bf16=bf16,
        seed=seed,
        device=device,
    )
    result = run(data, out, encoder, config)
    report = result.report
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
        return
    print(f"{report['motion_words']} motion words, {report['rows']} rows of {encoder}")
    for name in report["retrieval"]["after"]:
        for stage in ("before", "after"):
            figures = report["retrieval"][stage][name]
            recall = " ".join(f"{key} {value:.3f}" for key, value in figures["text_to_motion"].items())
            side = figures["left_right_accuracy"]
            print(f"{name:5} {stage:6} {recall}" + ("" if side is None else f"  left/right told apart {side:.3f}"))
    cosines = {stage: figures["mean over texts"] for stage, figures in report["left_right_cosine"].items()}
    print(f"cosine of left and right wordings: {cosines['before']:.3f} -> {cosines['after']:.3f}")
    patch = "no patch (--frozen)" if frozen else result.patch
    print(f"wrote {patch}, {result.model}, {out / 'report.json'}", file=sys.stderr)

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


class Train(StrEnum):
    """What of the language model moves."""

    nothing = "nothing"
    rows = "rows"
    layers = "layers"
    all = "all"
    lora = "lora"


class Rows(StrEnum):
    """What moves for a word of several pieces."""

    pieces = "pieces"
    whole_words = "whole-words"


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
        float | None, typer.Option(help="Learning rate of the word embeddings.", show_default="0.001")
    ] = None,
    train: Annotated[
        Train | None,
        typer.Option(
            help="What of the language model moves: its word embeddings' rows, its later layers, all, a low-rank addition, or nothing.",
            show_default="rows",
        ),
    ] = None,
    rows: Annotated[
        Rows, typer.Option(help="Words of several pieces: the pieces' rows, or a new token a word.")
    ] = Rows.pieces,
    layers_lr: Annotated[
        float | None, typer.Option(help="Learning rate of the later layers (layers, all).", show_default="0.00002")
    ] = None,
    lora_lr: Annotated[
        float | None, typer.Option(help="Learning rate of the low-rank additions (lora).", show_default="0.0003")
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
    spread: Annotated[
        bool, typer.Option("--spread", help="Move words that are in no caption as their neighbours moved.")
    ] = False,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Control: no word embedding moves, no patch is written (--train nothing).")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Take the retrieval model and the segments of this run's output folder: same data, language model and seed.",
            show_default=False,
        ),
    ] = None,
    flip_sides: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Label noise: left and right swapped in this share of training clips."),
    ] = 0.0,
    thin: Annotated[
        list[str] | None,
        typer.Option(
            help="WORD=N: the word stays in the captions of N training clips only, 0 holds it out; repeatable. "
            "Or a JSON file of such numbers.",
            show_default=False,
        ),
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="End training by the clock.", show_default=False)] = None,
    bf16: Annotated[
        bool, typer.Option(help="bfloat16 matrix products, where the processor has them (several times faster).")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Tune a language model's motion words on motion: data and a language model become a word patch.

    Interrupted, the same command continues. Writes OUT/patch.safetensors (or, where later layers move, the whole
    OUT/language_model), OUT/retrieval (for `mate score`), OUT/segments.jsonl and OUT/report.json.
    """
    import torch

    from mate.align.config import AlignConfig
    from mate.align.recipe import align as run
    from mate.errors import MateError

    if frozen and train not in (None, Train.nothing):
        raise MateError(f"got --frozen and --train {train.value}; choose one of them")
    kind = Train.nothing if frozen else train or Train.rows
    if threads:
        torch.set_num_threads(threads)
    given = {
        "steps": steps,
        "retrieval_steps": retrieval_steps,
        "batch_size": batch_size,
        "rows_lr": rows_lr,
        "layers_lr": layers_lr,
        "lora_lr": lora_lr,
    }
    config = AlignConfig(
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
        prior=prior.value,
        segmentation=segmentation.value,
        splitter=splitter,
        losses=tuple(part.strip() for part in losses.split(",") if part.strip()),
        least_change=least_change,
        spread=spread,
        start=None if start is None else str(start),
        train=kind.value,
        rows=rows.value,
        flip_sides=flip_sides,
        thin=_numbers(thin or []),
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
    product = result.language_model or (result.patch if result.patch.is_file() else "no patch (nothing was trained)")
    print(f"wrote {product}, {result.model}, {out / 'report.json'}", file=sys.stderr)


def _numbers(given: list[str]) -> dict[str, int]:
    """`--thin`: WORD=N, or a JSON file of them.

    Raises:
        MateError: neither.
    """
    from mate.errors import MateError

    found: dict[str, int] = {}
    for entry in given:
        word, equals, number = entry.rpartition("=")
        if equals and number.strip().isdigit():
            found[word.strip()] = int(number)
            continue
        try:
            read = json.loads(Path(entry).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MateError(f'got --thin {entry}, expected WORD=N or a JSON file such as {{"skip": 5}}') from error
        if not isinstance(read, dict) or not all(type(value) is int for value in read.values()):
            raise MateError(f'{entry}: expected a JSON object of whole numbers, such as {{"skip": 5}}')
        found |= read
    return found

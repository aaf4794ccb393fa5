"""`mate train`: generators, evaluators, and the table of generators with and without motion-aligned words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

train = typer.Typer(no_args_is_help=True, help="Train a generator (with or without a word patch) or an evaluator.")


@train.callback()
def _train() -> None:
    """Train a model."""


@train.command()
def generator(
    data: Annotated[
        list[Path],
        typer.Argument(help="Training sets, HumanML3D's or KIT-ML's skeleton (folders that `mate prepare` makes)."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="The model folder to write; OUT.train beside it keeps what is needed to continue."
        ),
    ],
    kind: Annotated[str, typer.Option(help="momask or mdm.")] = "momask",
    preset: Annotated[
        str,
        typer.Option(
            help="Sizes and schedules: laptop or tiny; compact, momask or momask-kit (momask); mdm, mdm-50, mdm-bert or mdm-kit (mdm)."
        ),
    ] = "laptop",
    stage: Annotated[
        str,
        typer.Option(
            help="vq, decoder, masked, residual, length (momask); denoiser, length (mdm); several with commas, or all."
        ),
    ] = "all",
    init: Annotated[Path | None, typer.Option(help="Start from this model folder's weights.")] = None,
    patch: Annotated[
        Path | None, typer.Option(help="A word patch for the text encoder; it goes into the model folder.")
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Text encoder: a Hugging Face id or a local folder.")
    ] = "all-MiniLM-L6-v2",
    weight: Annotated[
        list[float] | None, typer.Option(help="Share of a data folder, one for each (default: by clips).")
    ] = None,
    balance: Annotated[
        float, typer.Option(help="0: every clip alike; 1: every content alike (where the data name contents).")
    ] = 0.0,
    phases: Annotated[int, typer.Option(help="Frame offsets at which clips become tokens (momask).")] = 2,
    minutes_vq: Annotated[
        float | None, typer.Option(help="End the tokeniser's training after so many minutes.")
    ] = None,
    minutes_decoder: Annotated[
        float | None, typer.Option(help="End the decoder's refinement after so many minutes.")
    ] = None,
    minutes_masked: Annotated[
        float | None, typer.Option(help="End the masked transformer's training after so many minutes.")
    ] = None,
    minutes_residual: Annotated[
        float | None, typer.Option(help="End the residual transformer's training after so many minutes.")
    ] = None,
    minutes_denoiser: Annotated[
        float | None, typer.Option(help="End the denoiser's training after so many minutes (mdm).")
    ] = None,
    minutes_length: Annotated[
        float | None, typer.Option(help="End the length predictor's training after so many minutes.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(help="Steps instead of the preset's: a number for every chosen stage, or STAGE=N with commas."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, batches and dropout.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda (default: the preset's).")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a generator: MoMask (tokeniser, masked and residual transformer) or MDM (denoiser), and its length predictor.

    The run can be stopped at any time (Ctrl-C); the same command continues it.
    """
    import json
    import sys
    from dataclasses import asdict, replace

    import torch

    from mate.errors import MateError
    from mate.generate.mdm import config as mdm_settings
    from mate.generate.mdm import recipe as mdm
    from mate.generate.momask import config as momask_settings
    from mate.generate.momask import recipe as momask
    from mate.text.encoder import TextEncoder

    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "momask": (momask_settings, momask, {"phases": phases}),
        "mdm": (mdm_settings, mdm, {}),
    }
    if kind not in kinds:
        raise MateError(f"got --kind {kind!r}, expected momask or mdm")
    settings, recipe, own_options = kinds[kind]
    if threads:
        torch.set_num_threads(threads)
    changes = {"seed": seed} | ({"device": device} if device else {})
    known = recipe.STAGES
    own: dict[str, dict[str, Any]] = {f"train_{name}": {"steps": n} for name, n in stage_steps(steps, known).items()}
    budgets = {
        "vq": minutes_vq,
        "decoder": minutes_decoder,
        "masked": minutes_masked,
        "residual": minutes_residual,
        "denoiser": minutes_denoiser,
        "length": minutes_length,
    }
    for name, minutes in budgets.items():
        if minutes is not None:
            if name not in known:
                raise MateError(f"got --minutes-{name}, but {kind} has the stages {', '.join(known)}")
            if minutes <= 0:
                raise MateError(f"got --minutes-{name} {minutes:g}, expected more than 0")
            own.setdefault(f"train_{name}", {})["max_minutes"] = minutes

    stages = known if stage == "all" else [part.strip() for part in stage.split(",")]
    told = " ".join(["mate", *sys.argv[1:]])
    config = settings.with_training(settings.preset(preset), **changes)
    config = replace(config, **{name: replace(getattr(config, name), **change) for name, change in own.items()})
    reports = recipe.train_generator(
        data, out, config, encoder=TextEncoder.from_pretrained(encoder, patch=patch), patch=patch, weights=weight,
        balance=balance, init=init, stages=stages, command=told, **own_options,
    )  # fmt: skip
    if as_json:
        typer.echo(
            json.dumps({"model": str(out), "stages": {name: asdict(report) for name, report in reports.items()}})
        )
    else:
        for name, report in reports.items():
            losses = ", ".join(f"{key} {value:.4g}" for key, value in report.losses.items())
            typer.echo(f"{name}: {report.steps} steps, {report.seconds / 60:.1f} min, {losses}")
        typer.echo(f"model: {out}")


def stage_steps(given: str | None, known: Sequence[str]) -> dict[str, int]:
    """`--steps`: "800" for every stage, or "masked=800,residual=200".

    Raises:
        MateError: no such stage, or no number of at least 1.
    """
    from mate.errors import MateError

    if given is None:
        return {}
    entries = [part.strip().rpartition("=") for part in given.split(",")]
    for name, equals, number in entries:
        if (
            not number.isdigit()
            or int(number) < 1
            or bool(equals) != (name in known)
            or (not equals and len(entries) > 1)
        ):
            raise MateError(
                f"got --steps {given!r}, expected a number of at least 1, or STAGE=N with commas, of {', '.join(known)}"
            )
    if not entries[0][1]:
        return dict.fromkeys(known, int(entries[0][2]))
    return {name: int(number) for name, _, number in entries}


@train.command()
def evaluator(
    data: Annotated[
        list[Path],
        typer.Argument(help="Training sets (HumanML3D-layout folders); their training splits alone are read."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="The evaluator's folder to write; OUT.train beside it keeps what is needed to continue."
        ),
    ],
    preset: Annotated[
        str, typer.Option(help="words (texts from their letters), sentences (a frozen language model) or tiny.")
    ] = "words",
    seed: Annotated[int, typer.Option(help="Of weights, batches and dropout.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of the preset's.")] = None,
    minutes: Annotated[float | None, typer.Option(help="End the training after so many minutes.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train an evaluator for `mate evaluate`: texts and motions in one space.

    Train two presets, or two seeds, and report both: figures that one evaluator alone calls good may have been fitted to it.
    The run can be stopped at any time (Ctrl-C); the same command continues it.
    """
    import json
    import sys
    from dataclasses import asdict, replace

    import torch

    from mate.errors import MateError
    from mate.evaluate.own_recipe import preset as find_preset
    from mate.evaluate.own_recipe import train_evaluator

    if minutes is not None and minutes <= 0:
        raise MateError(f"got --minutes {minutes:g}, expected more than 0")
    if threads:
        torch.set_num_threads(threads)
    training = find_preset(preset)
    loop = replace(training.train, seed=seed, device=device, max_minutes=minutes, steps=steps or training.train.steps)
    report = train_evaluator(data, out, replace(training, train=loop), command=" ".join(["mate", *sys.argv[1:]]))
    if as_json:
        typer.echo(json.dumps({"evaluator": str(out), **asdict(report)}))
        return
    losses = ", ".join(f"{key} {value:.4g}" for key, value in report.losses.items())
    typer.echo(f"{report.steps} steps, {report.seconds / 60:.1f} min, {losses}")
    typer.echo(f"evaluator: {out}")


@train.command()
def table(
    data: Annotated[list[Path], typer.Argument(help="Training sets (HumanML3D-layout folders).")],
    test: Annotated[
        list[Path],
        typer.Option(help="A prepared set whose test split is generated and judged; several times for several."),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="The folder for a small JSON a row; rows that are there are left out.")
    ] = Path("results/generators"),
    runs: Annotated[Path, typer.Option(help="Where the runs are kept, to go on with them.")] = Path("runs/table"),
    patch: Annotated[Path | None, typer.Option(help="The word patch of the rows `patch`.")] = None,
    tuned: Annotated[
        Path | None, typer.Option(help="The wholly tuned language model of the rows `tuned`, a Hugging Face folder.")
    ] = None,
    text_encoder: Annotated[
        str,
        typer.Option("--text-encoder", help="The language model as published: a Hugging Face id or a local folder."),
    ] = "all-MiniLM-L6-v2",
    kind: Annotated[list[str] | None, typer.Option(help="momask or mdm (default: both).")] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="Rows: frozen, patch or tuned (default: those whose files are given).")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0 to N - 1 of every row.")] = 3,
    weight: Annotated[
        list[float] | None, typer.Option(help="Share of a training set, one for each (default: by clips).")
    ] = None,
    preset: Annotated[str, typer.Option(help="Sizes and steps, of both kinds of generator.")] = "table",
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of every stage, instead of the preset's.")] = None,
    evaluator: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="An evaluator; give two (default: those of the package).")
    ] = None,
    glove: Annotated[Path | None, typer.Option(metavar="DIR", help="The released evaluator's glove folder.")] = None,
    clips: Annotated[int, typer.Option(min=64, help="Clips of each test set, spread evenly.")] = 200,
    words: Annotated[int, typer.Option(min=0, help="Every n-th prompt of the word probe; 0: none.")] = 4,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables, Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plots, one self-contained page.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda, for training.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
) -> None:
    """Train and measure generators alike with and without motion-aligned words: every kind, text encoder and seed.

    It can be stopped at any time (Ctrl-C); the same command goes on. Two commands with different --kind can run beside each other. The
    table is made of all rows in OUT.
    """
    import sys

    from mate.evaluate.card import check_writable, write_text
    from mate.evaluate.generator_table import read_rows, to_html, to_markdown
    from mate.evaluate.generators import ENCODERS, GENERATORS, Plan, rows, run
    from mate.evaluate.row import Measure

    for target in (markdown, html):
        if target is not None:
            check_writable(target)
    if threads:
        import torch

        torch.set_num_threads(threads)
    given = {"frozen": True, "patch": patch is not None, "tuned": tuned is not None}
    plan = Plan(
        tuple(data), Measure(tuple(test), clips, words=words), runs, out, tuple(weight) if weight else None, text_encoder, patch, tuned,
        preset, steps, tuple(evaluator or ()), glove, device,
    )  # fmt: skip
    wanted = list(rows(kind or GENERATORS, encoder or [name for name in ENCODERS if given[name]], seeds))
    run(plan, wanted, lambda text: print(text, file=sys.stderr, flush=True))
    cards = read_rows([out])
    tables = to_markdown(cards)
    if markdown is not None:
        write_text(markdown, tables + "\n")
    if html is not None:
        write_text(html, to_html(cards))
    typer.echo(tables)

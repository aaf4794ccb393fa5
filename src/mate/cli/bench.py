"""`mate bench`: our speed on this machine, as ratios that say what they compare."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

bench = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _show(rows: list[dict[str, Any]], notes: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"rows": rows, "notes": notes}))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)
    for note in notes:
        console.print(note)


@bench.command()
def features(
    frames: Annotated[int, typer.Option(min=2, help="Frames a clip.")] = 196,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; figures are medians over them.")] = 7,
    compile: Annotated[bool, typer.Option(help="Measure the compiled graph, too; compiling takes a minute.")] = True,
    processes: Annotated[
        int, typer.Option(min=0, help="Clips for the comparison of whole processes; 0 leaves it out.")
    ] = 2000,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch; with several, time is that on the clock.")] = 1,
    as_json: AsJson = False,
) -> None:
    """`process_motion` against the published procedure, step by step in NumPy."""
    from mate.motion.speed import measure_features

    rows, notes = measure_features(frames, rounds, compile, processes, threads)
    _show(rows, notes, as_json)


@bench.command()
def data(
    hours: Annotated[
        float, typer.Option(min=0.001, help="Size of the synthetic set; HumanML3D: 28.6, mirrors 57.")
    ] = 28.6,
    folder: Annotated[
        Path | None, typer.Option(help="Where the set is made, and deleted afterwards; default: a temporary folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Opening and reading a synthetic set of HumanML3D's size, from its files and packed."""
    from mate.data.speed import measure_data

    rows, notes = measure_data(hours, folder)
    _show(rows, notes, as_json)


@bench.command()
def metrics(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; figures are medians over them.")] = 3,
    samples: Annotated[int, typer.Option(min=64, help="Motions; HumanML3D's test set has 4,384.")] = 4384,
    width: Annotated[int, typer.Option(min=2, help="Numbers of an embedding.")] = 512,
    as_json: AsJson = False,
) -> None:
    """All metrics of a full evaluation, 20 repeats, beside the plain forms of FID and R-precision."""
    from mate.evaluate.speed import measure_metrics

    rows, notes = measure_metrics(rounds, samples, width)
    _show(rows, notes, as_json)


@bench.command()
def generate(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; figures are medians over them.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch; with several, time is that on the clock.")] = 2,
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Sentences at once, for MoMask; give it several times. Default: 1 and 32."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """MoMask and MDM in the released sizes against the way their authors' programs sample, on the same weights."""
    from mate.generate.speed import measure_generate

    rows, notes = measure_generate(rounds, threads, tuple(batch or (1, 32)))
    _show(rows, notes, as_json)


@bench.command()
def patch(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; figures are medians over them.")] = 9,
    rows: Annotated[int, typer.Option(min=1, max=49408, help="Rows that the patch moves.")] = 6000,
    as_json: AsJson = False,
) -> None:
    """A word patch for a table of CLIP's size: its file, and how long it takes to load, to apply and to revert."""
    from mate.text.speed import measure_patch

    lines, notes = measure_patch(rounds, rows)
    _show(lines, notes, as_json)

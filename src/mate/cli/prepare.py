"""`mate prepare`: sources in, a HumanML3D-layout training set out."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mate.data.dataset import PrepareReport

prepare = typer.Typer(no_args_is_help=True, help="Turn motion capture and captions into a training set.")

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The folder to make; it is replaced when the run is complete.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same set.")]
Mirror = Annotated[bool, typer.Option(help="Also write every clip's mirror image.")]


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; yields a function of (done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _counted(samples, total: int, progress: Callable[[int, int], None]):
    for done, sample in enumerate(samples, start=1):
        yield sample
        progress(done, total)


def _print(report: "PrepareReport", output: Path, as_json: bool) -> None:
    if as_json:
        dropped = [{"name": name, "reason": reason} for name, reason in report.dropped]
        print(json.dumps({"folder": str(output), "clips": report.clips, "seconds": report.seconds, "dropped": dropped}))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    clips = ", ".join(f"{count} {split}" for split, count in report.clips.items())
    console.print(f"{output}: {clips}; {report.seconds / 3600:.2f} h", highlight=False)
    if report.dropped:
        table = Table("dropped", "why", title=f"{len(report.dropped)} dropped")
        for name, reason in report.dropped[:40]:
            table.add_row(name, reason)
        console.print(table)
        if len(report.dropped) > 40:
            console.print(f"... and {len(report.dropped) - 40} more; --json lists all")


@prepare.command()
def mocap(
    folder: Annotated[Path, typer.Argument(help="A folder of motion files: BVH, npz, npy.")],
    captions: Annotated[Path, typer.Option(help="CSV or JSON lines: file, caption[, start, end, split].")],
    output: Output,
    license: Annotated[
        str, typer.Option(help="The licence of the motion data; it follows every model trained on it.")
    ] = "unknown",
    mirror: Mirror = True,
    as_json: AsJson = False,
) -> None:
    """Motion files and a captions table."""
    from mate.data.dataset import PrepareReport, write_dataset
    from mate.data.mocap_folder import mocap_folder

    report = PrepareReport()
    with _progress("reading") as progress:
        samples = mocap_folder(folder, captions, report, license=license, progress=progress)
        write_dataset(samples, output, name=folder.name, license=license, mirror=mirror, report=report)
    _print(report, output, as_json)


@prepare.command()
def bandai_namco(
    archive: Annotated[Path, typer.Argument(help="The zip of the Bandai-Namco motion set, as published.")],
    output: Output,
    processes: Annotated[int, typer.Option(min=1, help="Processes that read files.")] = 2,
    mirror: Mirror = True,
    as_json: AsJson = False,
) -> None:
    """The Bandai-Namco motion set, with templated captions."""
    from mate.data.bandai_namco import LICENSE
    from mate.data.bandai_namco import bandai_namco as source
    from mate.data.dataset import PrepareReport, write_dataset

    report = PrepareReport()
    with _progress("reading") as progress:
        samples = source(archive, report, processes=processes, progress=progress)
        facts = {"captions": "templated, from mate's wordings"}
        write_dataset(samples, output, name="bandai-namco", license=LICENSE, mirror=mirror, report=report, facts=facts)
    _print(report, output, as_json)


@prepare.command()
def joined(
    folder: Annotated[Path, typer.Argument(help="A prepared set whose clips are joined.")],
    output: Output,
    clips: Annotated[
        int, typer.Option(min=1, help="Training clips; a tenth as many for validation, a fifth for test.")
    ] = 4000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Two to four real clips end to end, boundaries known."""
    from mate.data.dataset import open_dataset, write_dataset
    from mate.data.joined import joined as source

    license = open_dataset(folder, "train").license
    with _progress("joining") as progress:
        total = clips + max(clips // 10, 1) + max(clips // 5, 1)
        samples = _counted(source(folder, clips, seed), total, progress)
        report = write_dataset(samples, output, name=f"joined {folder.name}", license=license, facts={"seed": seed})
    _print(report, output, as_json)


@prepare.command()
def extended(
    folder: Annotated[Path, typer.Argument(help="A prepared set whose training clips are brought to 2 to 9.9 s.")],
    output: Output,
    clips: Annotated[int, typer.Option(min=1, help="Training clips.")] = 5000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Real clips held, continued or joined to every length up to 10 s."""
    from mate.data.dataset import open_dataset, write_dataset
    from mate.data.extended import extended as source

    license = open_dataset(folder, "train").license
    validation = max(clips // 10, 1)
    with _progress("extending") as progress:

        def both() -> Iterator:
            yield from source(folder, clips, seed, "train")
            yield from source(folder, validation, seed, "val")

        samples = _counted(both(), clips + validation, progress)
        report = write_dataset(samples, output, name=f"extended {folder.name}", license=license, facts={"seed": seed})
    _print(report, output, as_json)


@prepare.command()
def kinwords(
    output: Output,
    clips: Annotated[int, typer.Option(min=1, help="Clips in all.")] = 10000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """The procedural corpus: every word's frames and joints are known."""
    from mate.data.dataset import write_dataset
    from mate.data.kinwords import kinwords as source

    with _progress("making") as progress:
        samples = _counted(source(clips, seed), clips, progress)
        facts = {"seed": seed, "captions": "from mate's grammar"}
        report = write_dataset(samples, output, name="kinwords", license="Apache-2.0", facts=facts)
    _print(report, output, as_json)

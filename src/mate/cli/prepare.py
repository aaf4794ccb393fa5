"""`mate prepare`: sources in, a HumanML3D-layout training set out."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mate.cli.progress import progress_bar
from mate.errors import MateError

if TYPE_CHECKING:
    from mate.data.build import PrepareReport, Source
    from mate.motion.layout import FeatureSpec

prepare = typer.Typer(no_args_is_help=True, help="Turn motion capture and captions into a training set.")

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The folder to make; it is replaced when the run is complete.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same set.")]
_JOBS_HELP = "Processes; 0: one a processor. The set does not depend on it."
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=0, help=_JOBS_HELP)]
BodyModel = Annotated[
    Path | None, typer.Option(help="Body models for AMASS files: a file or a folder; see docs/data.md.")
]
Mirror = Annotated[bool, typer.Option(help="Also write every clip's mirror image.")]


def _build(
    source: "Source",
    output: Path,
    as_json: bool,
    *,
    name: str,
    license: str,
    jobs: int,
    mirror: bool = False,
    facts: dict[str, Any] | None = None,
    spec: "FeatureSpec | None" = None,
    every_split_counts: bool = False,
) -> None:
    """Makes the set, with a progress bar, and prints what is in it."""
    from mate.data.build import build_dataset
    from mate.motion.layout import HUMANML3D_FEATURES

    with progress_bar("preparing") as progress:
        report = build_dataset(
            source,
            output,
            name=name,
            license=license,
            mirror=mirror,
            facts=facts,
            spec=spec or HUMANML3D_FEATURES,
            jobs=jobs or os.cpu_count() or 1,
            every_split_counts=every_split_counts,
            progress=progress,
        )
    _print(report, output, as_json)


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
    folder: Annotated[Path, typer.Argument(help="A folder of motion files: BVH, ASF/AMC, npz, npy.")],
    captions: Annotated[Path, typer.Option(help="CSV or JSON lines: file, caption[, start, end, split].")],
    output: Output,
    license: Annotated[
        str, typer.Option(help="The licence of the motion data; it follows every model trained on it.")
    ] = "unknown",
    skeleton: Annotated[
        Path | None, typer.Option(help="A skeleton file (YAML, JSON) for a rig whose joints cannot be guessed.")
    ] = None,
    body_model: BodyModel = None,
    tagger: Annotated[str, typer.Option(help="Who tags captions: rules, or spacy where it is installed.")] = "rules",
    mirror: Mirror = True,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Motion files and a captions table."""
    from mate.data.mocap_folder import mocap_source

    if tagger not in ("rules", "spacy"):
        raise MateError(f"got tagger {tagger!r}, expected rules or spacy")
    source = mocap_source(folder, captions, license=license, skeleton=skeleton, body_model=body_model, tagger=tagger)
    _build(source, output, as_json, name=folder.name, license=license, mirror=mirror, jobs=jobs)


@prepare.command()
def humanml3d(
    amass: Annotated[Path, typer.Argument(help="The folder that holds AMASS's subsets.")],
    index: Annotated[Path, typer.Option(help="HumanML3D's index.csv.")],
    texts: Annotated[Path, typer.Option(help="HumanML3D's texts.zip, or its folder.")],
    output: Output,
    splits: Annotated[
        Path | None, typer.Option(help="The folder of HumanML3D's train.txt, val.txt and test.txt.")
    ] = None,
    humanact12: Annotated[Path | None, typer.Option(help="The folder of HumanAct12's joint files.")] = None,
    body_model: BodyModel = None,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """HumanML3D from AMASS, its index and its texts."""
    from mate.data.humanml3d import LICENSE, humanml3d_source

    source = humanml3d_source(index, texts, amass, humanact12=humanact12, splits=splits, body_model=body_model)
    facts = {"captions": "HumanML3D", "statistics": "all splits, as published"}
    _build(source, output, as_json, name="humanml3d", license=LICENSE, jobs=jobs, facts=facts, every_split_counts=True)


@prepare.command()
def kit(
    folder: Annotated[Path, typer.Argument(help="A KIT-ML folder in HumanML3D's layout.")],
    output: Output,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """KIT-ML: 21 joints, 12.5 frames per second, 251 features."""
    from mate.data.kit import LICENSE, kit_source
    from mate.motion.layout import KIT_FEATURES

    source = kit_source(folder)
    _build(
        source, output, as_json, name="kit-ml", license=LICENSE, jobs=jobs, spec=KIT_FEATURES, every_split_counts=True
    )


@prepare.command()
def bandai_namco(
    archive: Annotated[Path, typer.Argument(help="The zip of the Bandai-Namco motion set, as published.")],
    output: Output,
    jobs: Annotated[int, typer.Option("--jobs", "-j", "--processes", min=0, help=_JOBS_HELP)] = 0,
    mirror: Mirror = True,
    as_json: AsJson = False,
) -> None:
    """The Bandai-Namco motion set, with templated captions."""
    from mate.data.bandai_namco import LICENSE, bandai_namco_source

    facts = {"captions": "templated, from mate's wordings"}
    source = bandai_namco_source(archive)
    _build(source, output, as_json, name="bandai-namco", license=LICENSE, mirror=mirror, jobs=jobs, facts=facts)


@prepare.command()
def joined(
    folder: Annotated[Path, typer.Argument(help="A prepared set whose clips are joined.")],
    output: Output,
    clips: Annotated[
        int, typer.Option(min=1, help="Training clips; a tenth as many for validation, a fifth for test.")
    ] = 4000,
    seed: Seed = 0,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Two to four real clips end to end, boundaries known."""
    from mate.data.dataset import open_dataset
    from mate.data.joined import joined_source

    license = open_dataset(folder, "train").license
    source = joined_source(folder, clips, seed)
    name = f"joined {folder.name}"
    _build(source, output, as_json, name=name, license=license, jobs=jobs, facts={"seed": seed})


@prepare.command()
def extended(
    folder: Annotated[Path, typer.Argument(help="A prepared set whose training clips are brought to 2 to 9.9 s.")],
    output: Output,
    clips: Annotated[int, typer.Option(min=1, help="Training clips.")] = 5000,
    seed: Seed = 0,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """Real clips held, continued or joined to every length up to 10 s."""
    from mate.data.dataset import open_dataset
    from mate.data.extended import extended_source

    license = open_dataset(folder, "train").license
    source = extended_source(folder, clips, seed)
    name = f"extended {folder.name}"
    _build(source, output, as_json, name=name, license=license, jobs=jobs, facts={"seed": seed})


@prepare.command()
def kinwords(
    output: Output,
    clips: Annotated[int, typer.Option(min=1, help="Clips in all.")] = 10000,
    seed: Seed = 0,
    jobs: Jobs = 0,
    as_json: AsJson = False,
) -> None:
    """The procedural corpus: every word's frames and joints are known."""
    from mate.data.kinwords import kinwords_source

    facts = {"seed": seed, "captions": "from mate's grammar"}
    source = kinwords_source(clips, seed)
    _build(source, output, as_json, name="kinwords", license="Apache-2.0", jobs=jobs, facts=facts)

"""`mate demo`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes.")] = Path("out/demo"),
    prompt: Annotated[str, typer.Option(help="The motion to make.")] = "a person walks forward and turns left",
    seconds: Annotated[float, typer.Option(help="How long it lasts.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 1,
    clips: Annotated[int, typer.Option(min=100, help="Clips of the procedural corpus.")] = 1500,
    minutes: Annotated[float, typer.Option(min=0.1, help="Alignment ends after so many minutes at the latest.")] = 5.0,
    model: Annotated[
        str, typer.Option(help="The generator: a folder, a hub id, or default / kinwords (shipped).")
    ] = "default",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON; the story goes to standard error.")
    ] = False,
) -> None:
    """The whole path in small: make a corpus, align words on it, turn a prompt into motion with and without a word patch.

    A few minutes on two processor cores; needs no data, no network and no GPU.
    """
    from mate.demo import DemoConfig, run_demo

    config = DemoConfig(clips=clips, prompt=prompt, seconds=seconds, seed=seed, max_minutes=minutes, model=model)
    result = run_demo(out, config, say=lambda line: typer.echo(line, err=as_json))
    if as_json:
        typer.echo(json.dumps(result, indent=1))

"""`mate info`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mate.cli.export import Asf, Body, SkeletonFile, SourceFps


def info(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A model folder, patch, motion, data set, generated folder; default, kinwords: a shipped model."
        ),
    ] = None,
    asf: Asf = None,
    body_model: Body = None,
    skeleton: SkeletonFile = None,
    source_fps: SourceFps = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what a file or model is, and under which licence. Without a path: versions, shipped models, threads."""
    from mate.about import about

    facts = about(path, source_fps, asf=asf, body_model=body_model, skeleton=skeleton)
    if as_json:
        typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    rows = list(_rows(facts))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")


def _rows(facts: dict[str, Any], indent: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        label = indent + name.replace("_", " ")
        if isinstance(value, dict):
            rows.append((label, ""))
            rows += _rows(value, indent + "  ")
        elif isinstance(value, bool):
            rows.append((label, "yes" if value else "no"))
        elif isinstance(value, int):
            rows.append((label, f"{value:,}"))
        elif isinstance(value, list):
            rows.append((label, ", ".join(str(item) for item in value)))
        else:
            rows.append((label, str(value)))
    return rows

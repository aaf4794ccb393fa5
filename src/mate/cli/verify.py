"""`mate verify`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer


def verify(
    folder: Annotated[Path, typer.Argument(help="A training set in HumanML3D's layout.")],
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0: one a processor.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Read a whole training set and say what is wrong with it. Exit status 1 when something is."""
    from mate.cli.progress import progress_bar
    from mate.data.verify import CHECKS
    from mate.data.verify import verify as run

    with progress_bar("verifying") as progress:
        found = run(folder, jobs=jobs or os.cpu_count() or 1, progress=progress)
    if as_json:
        rows = {
            what: [{"check": p.check, "name": p.name, "message": p.message} for p in problems]
            for what, problems in (("problems", found.problems), ("notes", found.notes))
        }
        print(json.dumps({"folder": str(folder), "sound": found.sound, "facts": found.facts, **rows}))
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console(highlight=False)
        console.print(f"{folder}: " + ", ".join(f"{count} {split}" for split, count in found.facts["clips"].items()))
        for name, value in found.facts.items():
            if name != "clips":
                console.print(f"  {name}: {value}")
        table = Table("check", "", "what")
        for check, meaning in CHECKS.items():
            problems = found.of(check)
            shown = [f"{p.name}: {p.message}" for p in problems[:3]]
            shown += [f"... and {len(problems) - 3} more; --json lists all"] if len(problems) > 3 else []
            table.add_row(check, str(len(problems) or "ok"), escape("\n".join(shown) or meaning))
        console.print(table)
        if found.notes:
            console.print(f"{len(found.notes)} notes, such as {found.notes[0].name}: {found.notes[0].message}")
    if not found.sound:
        raise typer.Exit(1)

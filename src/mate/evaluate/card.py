"""Result cards: what they share, and how they are written and read.

A card is JSON with everything needed to repeat it: protocol, seeds, hashes of data, prompts, evaluators and weights, versions, the command.
"""

import json
import platform
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.metrics import interval
from mate.files import atomic_path, read_object

KIND = "mate-evaluation-1"


def versions() -> dict[str, str]:
    """What computed the figures."""
    from mate import __version__

    found = {"mate": __version__, "numpy": np.__version__, "python": platform.python_version()}
    for package in ("torch", "tokenizers", "transformers"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {**found, "platform": f"{platform.system()} {platform.machine()}"}


def check_writable(path: Path) -> None:
    """Raises MateError now rather than after minutes of work, unless a file can be written at `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise MateError(f"cannot write {path}: {error.strerror}; choose another output path") from error
    if path.is_dir():
        raise MateError(f"cannot write {path}: it is a folder; choose another output path")


def write_text(path: str | Path, content: str) -> None:
    """Writes a text file at once."""
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def to_json(card: Mapping[str, Any]) -> str:
    """A card as JSON. NaN, where a figure has no interval, becomes null."""

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [clean(one) for one in value]
        if isinstance(value, float | np.floating):
            return round(float(value), 9) if np.isfinite(value) else None
        return value.item() if isinstance(value, np.generic) else value

    return json.dumps(clean(card), indent=1, ensure_ascii=False) + "\n"


def read_card(path: str | Path) -> dict[str, Any]:
    """A card of `mate evaluate`.

    Raises:
        MateError: no such file, no JSON, or another kind of file.
    """
    card = read_object(path, "give a result card of `mate evaluate -o FILE`")
    if card.get("card") != KIND:
        raise MateError(
            f"{path} is no card of this kind: got {card.get('card', card.get('protocol'))!r}, expected {KIND!r}; "
            "`mate evaluate -o FILE` writes one"
        )
    missing = [key for key in ("protocol", "data", "subject", "evaluators", "rows", "samples") if key not in card]
    if missing:
        raise MateError(f"{path} lacks {', '.join(missing)}; write the card again with `mate evaluate -o FILE`")
    return card


def read_probe(path: Path) -> dict[str, Any]:
    """A card of any `mate probe`. Raises MateError: no such file, or no JSON object."""
    return read_object(path, "give a result card of `mate probe -o FILE`")


def named(cards: Sequence[Path]) -> dict[str, Path]:
    """Cards by the names of their rows, which are called after the files.

    Raises:
        MateError: two files have one name.
    """
    names = [path.stem for path in cards]
    if len(set(names)) < len(names):
        raise MateError(
            f"two cards are called {max(names, key=names.count)!r}; rows are called after the files: rename one"
        )
    return dict(zip(names, cards, strict=True))


def run_module(command: Callable[..., None]) -> None:
    """Runs the command line of a module (`python -m mate.evaluate...`); what a user did wrong is one line, and exit status 2."""
    import sys

    import typer

    try:
        typer.run(command)
    except MateError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


# ---------------------------------------------------------------------- shares and tables


def wilson(holds: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share (95 % by default); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    share, spread = holds / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / n + spread / (4 * n))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def rate(outcomes: Iterable[bool], **labels: Any) -> dict[str, Any]:
    """How often something holds, with Wilson's 95 % interval: holds, n, rate, low, high, behind the labels."""
    values = list(outcomes)
    low, high = wilson(sum(values), len(values))
    counts = {
        "holds": sum(values),
        "n": len(values),
        "rate": sum(values) / max(len(values), 1),
        "low": low,
        "high": high,
    }
    return {**labels, **counts}


def show_rate(row: Mapping[str, Any] | None) -> str:
    """A rate in words, or a dash."""
    return f"{100 * row['rate']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}] of {row['n']}" if row else "–"


def show_repeats(values: Sequence[float], digits: int = 3, sign: str = "") -> str:
    """The mean of what is finite, with half of its 95 % interval where it is several; or a dash. sign: "+" shows that of a gain, too."""
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return "–"
    mean, half = interval(known)
    return f"{mean:{sign}.{digits}f}" + (f" ± {half:.{digits}f}" if len(known) > 1 else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]

"""How well a splitter finds the sub-texts that a person wrote down: exact match and boundary F1.

    python -m mate.evaluate.splitting tests/text/splits.jsonl --captions kit-ml-annotations.json

A file of expected splits holds one JSON object a line. Captions of one's own stand in it:
    {"text": "a person walks, then sits", "spans": [[0, 14], [21, 25]]}
Captions that may not be copied are named by the entry's id, the annotation's index and the caption's SHA-256:
    {"id": "00001", "annotation": 0, "sha256": "...", "held_back": false, "spans": [[0, 28]]}
`spans` are character offsets in order of time.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mate.errors import MateError
from mate.evaluate.card import run_module
from mate.text.subtexts import SubText, split

Span = tuple[int, int]


@dataclass(frozen=True)
class Expected:
    """A caption with the sub-texts a person found in it, (start, end) in order of time."""

    text: str
    spans: tuple[Span, ...]
    source: str
    held_back: bool


@dataclass(frozen=True)
class Quality:
    """Of `captions` captions: `exact` the share split exactly as expected, in the same order of time; `boundary_f1` over the
    first words of all sub-texts but the caption's first, all captions together."""

    captions: int
    exact: float
    boundary_f1: float


def read_expected(path: str | Path, captions: str | Path | None = None) -> list[Expected]:
    """The expected splits of a file; those that are named by an id only where `captions` (KIT-ML's annotations) is given.

    Raises:
        MateError: a caption that is not the one the split was written for, or a line of another form.
    """
    entries = json.loads(Path(captions).read_text(encoding="utf-8")) if captions is not None else None
    found = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        try:
            spans = tuple((int(start), int(end)) for start, end in row["spans"])
            if "text" in row:
                found.append(Expected(row["text"], spans, "own", False))
            elif entries is not None:
                text = entries[row["id"]]["annotations"][row["annotation"]]["text"]
                if hashlib.sha256(text.encode()).hexdigest() != row["sha256"]:
                    raise MateError(
                        f"{path}, line {number}: the caption of {row['id']} is another one; get the same file"
                    )
                found.append(Expected(text, spans, "kit", bool(row["held_back"])))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise MateError(f"{path}, line {number}: expected text or id, and spans; got {line[:80]!r}") from error
    return found


def quality(expected: Sequence[Expected], splitter: Callable[[str], Sequence[SubText]] = split) -> Quality:
    """Exact match and boundary F1 of a splitter.

    Raises:
        MateError: nothing to compare with.
    """
    if not expected:
        raise MateError("got no expected splits; a file of them holds one JSON object a line")
    exact = hits = said = wanted = 0
    for row in expected:
        spans = tuple((part.start, part.end) for part in splitter(row.text))
        exact += spans == row.spans
        ours, theirs = ({start for start, _ in sorted(found)[1:]} for found in (spans, row.spans))
        hits, said, wanted = hits + len(ours & theirs), said + len(ours), wanted + len(theirs)
    return Quality(len(expected), exact / len(expected), 2 * hits / (said + wanted) if said + wanted else 1.0)


def main() -> None:
    """Prints a Markdown table: our own captions, KIT-ML's for tuning, those held back."""
    import typer

    def run(
        file: Annotated[Path, typer.Argument(help="Expected splits, JSON lines.")],
        captions: Annotated[Path | None, typer.Option(help="KIT-ML's annotations, JSON.")] = None,
        held_back: Annotated[bool, typer.Option(help="Also the captions held back from tuning.")] = False,
    ) -> None:
        rows = read_expected(file, captions)
        groups = {"our own": [row for row in rows if row.source == "own"]}
        groups["KIT-ML, tuning"] = [row for row in rows if row.source == "kit" and not row.held_back]
        if held_back:
            groups["KIT-ML, held back"] = [row for row in rows if row.held_back]
        print("| captions | number | exact match | boundary F1 |\n|---|---|---|---|")
        for name, group in groups.items():
            if group:
                found = quality(group)
                print(f"| {name} | {found.captions} | {found.exact:.3f} | {found.boundary_f1:.3f} |")

    run_module(run)


if __name__ == "__main__":
    main()

"""`mate ground`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mate.align.grounding import Grounding


class Joints(StrEnum):
    """How the joints of a word are found."""

    occlusion = "occlusion"
    gradient = "gradient"
    none = "none"


def ground(
    motion: Annotated[Path, typer.Argument(help="A motion file (npy, npz, bvh).")],
    text: Annotated[str, typer.Argument(help="A text whose words to find in it.")],
    model: Annotated[str | None, typer.Option(help="Retrieval model of `mate align` (OUT/retrieval).")] = None,
    omega: Annotated[
        float | None,
        typer.Option(
            help="Strength of the hint from the segmentation; default: the model's; 0: none.", show_default=False
        ),
    ] = None,
    joints: Annotated[Joints, typer.Option(help="How to find a word's joints.")] = Joints.occlusion,
    segments: Annotated[bool, typer.Option("--segments", help="Show the segmentation only.")] = False,
    splitter: Annotated[
        str, typer.Option(metavar="WHAT", help="Cuts the text: rules, a file of splits, or URL#MODEL.")
    ] = "rules",
    every_word: Annotated[
        bool, typer.Option("--every-word", help="Also words that say nothing about movement.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: all words, all frames, all joints.")] = False,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture.", show_default=False)] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.", show_default=False)] = None,
) -> None:
    """Show where in a motion each word of a text is: its frames and its joints.

    A bar's tallest block is the word's greatest attention, beside it its time and how many times even attention it is.

    `mate ground walk.npy "a person walks, then waves" --png walk.png`
    """
    from mate.errors import MateError

    if png is not None and png.suffix.lower() != ".png":
        raise MateError(f"got --png {png}, expected a name that ends in .png")
    if not text.strip():
        raise MateError("got an empty text; write what the motion should be, such as 'a person walks forward'")
    if not motion.is_file():
        raise MateError(f"no motion at {motion}; expected a motion file (npy, npz, bvh)")
    from mate.text.split_cache import open_splitter

    cut = open_splitter(splitter)
    import torch

    from mate.align.aligner import Aligner
    from mate.align.grounding import ground as find
    from mate.align.score import default_model, motion_features

    if threads:
        torch.set_num_threads(threads)
    aligner = Aligner.from_pretrained(model or default_model(), device)
    features = motion_features(motion, aligner.config.fps)
    found = find(aligner, features, text, omega, "none" if segments else joints.value, cut)
    if png is not None:
        from mate.align.heatmap import write_png

        write_png(found, png, every_word)
    if as_json:
        facts = found.to_json()
        typer.echo(json.dumps({"text": text, "segments": facts["segments"]} if segments else facts, ensure_ascii=False))
        return
    _show(found, segments, every_word)
    if png is not None:
        typer.echo(f"wrote {png}")


def _show(found: "Grounding", segments_only: bool, every_word: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mate.align.heatmap import contrast, heat_bar, segment_bar, shown, top_joints

    console = Console(highlight=False)
    for number, part in enumerate(found.segments, start=1):
        line = f"{number}  {part.start:5.2f} to {part.end:5.2f} s  cosine {part.cosine:+.3f}  {' / '.join(part.texts)}"
        console.print(Text(line), soft_wrap=True)
    if segments_only:
        return
    words = shown(found, every_word)
    columns = max(16, min(60, console.width - 58))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for word in words:
        bar = Text(heat_bar(word.attention, columns), style="red")
        table.add_row(
            word.text,
            bar,
            f"{found.peak(word):.1f} s x{contrast(word):.1f}",
            Text(top_joints(word, 2), overflow="ellipsis"),
        )
    table.add_row("", Text(segment_bar(found, columns), style="blue"), f"{found.frames / found.fps:.1f} s", "")
    console.print()
    console.print(table)

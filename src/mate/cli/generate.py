"""`mate generate`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error where there are more prompts than run at once."""
    if total <= 32:
        yield None
        return
    from mate.cli.progress import progress_bar

    with progress_bar("motions") as progress:
        progress(0, total)
        yield progress


def _check_sheet(path: Path) -> None:
    from mate.errors import MateError

    if path.suffix.lower() != ".png" or path.is_dir() or not path.absolute().parent.is_dir():
        raise MateError(f"got --sheet {path}, expected a .png file in a folder that is there")


def generate(
    prompt: Annotated[
        list[str] | None, typer.Argument(help="What the body does, one motion a prompt.", show_default=False)
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A text file with one prompt a line (blank lines are left out).")
    ] = None,
    seconds: Annotated[
        list[float] | None,
        typer.Option(help="Length; once for all, or once for each prompt (default: the model chooses)."),
    ] = None,
    timeline: Annotated[
        str | None,
        typer.Option(help='One motion of several prompts: "walk forward: 3s; turn left: 2s".', show_default=False),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help='Read every prompt as one; else its sub-actions ("walks, then waves") are made in their order.',
        ),
    ] = False,
    edit: Annotated[
        Path | None, typer.Option(help="A motion to change from --from to --to by the prompt.", show_default=False)
    ] = None,
    start: Annotated[
        float | None, typer.Option("--from", help="Where the change begins, seconds.", show_default=False)
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", help="Where the change ends, seconds.", show_default=False)
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="A body part that --edit changes (not with MoMask).", show_default=False)
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(help="A .npy (T, 2) path for the root to follow (not with MoMask).", show_default=False),
    ] = None,
    continues: Annotated[
        Path | None,
        typer.Option("--continue", help="A motion, or one pose, to go on from for --seconds.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same motions.")] = 0,
    format: Annotated[
        str, typer.Option(help="One or more of npy, npz, bvh, glb, html, mp4, png, with commas.")
    ] = "bvh,html",
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write into.")] = Path("motions"),
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also one .png with a strip of every motion.", show_default=False),
    ] = None,
    model: Annotated[str, typer.Option(help="A model folder, a hub id, or default / kinwords (shipped).")] = "default",
    guidance: Annotated[
        float | None, typer.Option(help="Strength of the text (default: the model's own; 1: none).")
    ] = None,
    no_patch: Annotated[
        bool, typer.Option("--no-patch", help="Use the language model as published, without the word patch.")
    ] = False,
    no_foot_lock: Annotated[
        bool, typer.Option("--no-foot-lock", help="Leave standing feet as the model made them.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="Number format of the generator's weights: fp32, bf16 or int8.")] = "fp32",
    threads: Annotated[int | None, typer.Option(help="Processor threads.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Turn prompts into motion files: 0000.bvh, 0001.bvh, ... and index.jsonl in the output folder.

    With --timeline one motion of several prompts; with --edit or --continue a given motion is changed or goes on.
    """
    import json

    from mate.errors import MateError
    from mate.generate.request import Change, make, read_prompts, request

    texts = [*(prompt or []), *(read_prompts(prompts) if prompts is not None else [])]
    # Everything that can be wrong is found here, before PyTorch is loaded.
    if edit is not None and continues is not None:
        raise MateError("got --edit and --continue, expected one of them")
    source, parts = edit or continues, tuple(part or ())
    if source is None and (start is not None or end is not None or parts or path is not None):
        raise MateError("got --from, --to, --part or --path without a motion; give it with --edit or --continue")
    if edit is not None and (start is None or end is None):
        raise MateError("got --edit without the time to change; give --from and --to, in seconds")
    change = None if source is None else Change(source, start, end, parts, path)
    if sheet is not None:
        _check_sheet(sheet)
    wanted = request(texts, seconds or None, seed, format.split(","), out, model, guidance, timeline, change)
    if threads:
        import torch

        torch.set_num_threads(threads)
    with _progress(len(texts)) as progress:
        rows = make(
            wanted,
            device=device,
            patch=not no_patch,
            foot_lock=not no_foot_lock,
            whole=whole,
            dtype=dtype,
            sheet=sheet,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps({"out": str(out), "motions": rows}, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{', '.join(str(out / name) for name in row['files'])}: {row['seconds']:.2f} s, {row['prompt']}")
    typer.echo(f"licence of the motions: {rows[0]['license']}", err=True)

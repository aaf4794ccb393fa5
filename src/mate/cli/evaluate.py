"""`mate evaluate`: the standard protocols on our generators, on anybody's folder of motions, and on real motions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mate.evaluate.protocol import Plan
    from mate.evaluate.run import Subject
    from mate.evaluate.subjects import Clip


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Sample this generator (a folder, a hub id, `default` or `kinwords`)."),
    ] = None,
    motions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Anybody's motions: 0000.npy, 0001.npy, ... (or .npz, .bvh) in the prompts' order."
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The prompts of --motions: one a line, or JSON lines with prompt, file, seconds."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The data set (HumanML3D's layout) with the real motions and captions."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="own, guo-fixed or guo-as-released; docs/evaluation.md says what each does.")
    ] = "own",
    evaluator: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="An evaluator; give two. Ours, or the released one's files (default: those of the package).",
        ),
    ] = None,
    glove: Annotated[Path | None, typer.Option(metavar="DIR", help="The released evaluator's glove folder.")] = None,
    split: Annotated[str, typer.Option(help="Of the data set.")] = "test",
    wording: Annotated[
        str, typer.Option(help="any, seen or unseen: captions, where the set tells them apart.")
    ] = "any",
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Repeats; samplings of --model (default: the protocol's).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of motions and of everything that a protocol draws.")] = 0,
    fps: Annotated[float, typer.Option(help="Frames per second of .npy files.")] = 20.0,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out files that cannot be used; the card counts and names them.")
    ] = False,
    no_patch: Annotated[bool, typer.Option("--no-patch", help="Sample --model without its word patch.")] = False,
    write_prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the prompts of the data (.jsonl: with lengths), and stop."),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Compare two cards: differences, intervals, paired tests."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the card (or comparison), JSON.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables, Markdown.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the plots of --compare, one self-contained page.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Motions that an evaluator reads at once.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Evaluate a generator, a folder of motions, or the real motions alone, under a protocol that has a name.

    The row of the real motions is always there. `torchrun --nproc-per-node N -m mate.cli.app evaluate ...` shares the work; the
    figures are the same.
    """
    from mate.errors import MateError
    from mate.evaluate.card import check_writable

    for target in (output, markdown, html, write_prompts):
        if target is not None:
            check_writable(target)
    if html is not None and compare is None:
        raise MateError("--html needs --compare A B: it plots differences")
    if compare is not None:
        _compare(compare, output, markdown, html, as_json)
        return
    if data is None:
        raise MateError("give --data DIR, the data set with the real motions; `mate prepare` makes one")
    if model is not None and motions is not None:
        raise MateError("give --model DIR or --motions DIR, not both; two cards are compared with --compare A B")
    if (motions is None) != (prompts is None):
        raise MateError(
            "--motions DIR and --prompts FILE belong together: the motions, and the texts that they were made for"
        )
    if wording not in ("any", "seen", "unseen"):
        raise MateError(f"got wording {wording!r}, expected any, seen or unseen")
    if fps <= 0:
        raise MateError(f"got --fps {fps:g}, expected a positive number")
    if threads:
        import torch

        torch.set_num_threads(threads)
    with _processes() as first:
        if write_prompts is not None:
            _write_prompts(write_prompts, *_clips(data, split, protocol, repeats, seed, wording))
            return
        card = _card(
            model, motions, prompts, data, protocol, evaluator, glove, split, wording, repeats, seed, fps, skip_bad, no_patch, batch_size,
            device,
        )  # fmt: skip
        if first:
            from mate.evaluate.card import to_json
            from mate.evaluate.run import to_markdown

            _tell(to_json(card), to_markdown(card), output, markdown, as_json)


@contextmanager
def _processes() -> Iterator[bool]:
    """Joins the other processes where a launcher started several; yields whether this one is the first, which prints and writes."""
    import os

    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield True
        return
    import torch.distributed as processes

    processes.init_process_group("gloo")
    try:
        yield processes.get_rank() == 0
    finally:
        processes.destroy_process_group()


def _clips(
    data: Path, split: str, protocol: str, repeats: int | None, seed: int, wording: str
) -> "tuple[list[Clip], Plan]":
    from mate.evaluate.protocol import plan
    from mate.evaluate.subjects import data_facts, read_clips

    made = plan(protocol, float(data_facts(data)["fps"]), repeats, seed)
    return read_clips(data, split, made.span(), wording), made


def _write_prompts(path: Path, clips: "list[Clip]", plan: "Plan") -> None:
    """The first repeat's prompts and lengths, by the names of the clips."""
    import json

    from mate.evaluate.card import write_text
    from mate.evaluate.protocol import choose

    rows = [
        (clip.captions[one.caption].text, round((one.length + 1) / plan.fps, 3))
        for clip, one in zip(clips, choose(clips, plan, 0), strict=True)
    ]
    if path.suffix == ".jsonl":
        lines = [json.dumps({"prompt": text, "seconds": seconds}, ensure_ascii=False) for text, seconds in rows]
    else:
        lines = [text for text, _ in rows]
    write_text(path, "".join(f"{line}\n" for line in lines))
    typer.echo(f"{path}: {len(lines)} prompts")


def _card(
    model: str | None, motions: Path | None, prompts: Path | None, data: Path, protocol: str, evaluator: list[Path] | None,
    glove: Path | None, split: str, wording: str, repeats: int | None, seed: int, fps: float, skip_bad: bool, no_patch: bool,
    batch_size: int, device: str,
) -> dict[str, Any]:  # fmt: skip
    """The result card, from the options."""
    import sys

    from mate.evaluate.evaluators import open_evaluator, shipped
    from mate.evaluate.protocol import OWN
    from mate.evaluate.run import Subject, evaluate, sampled
    from mate.evaluate.subjects import data_facts

    if motions is not None and protocol == OWN:
        repeats = 1  # nothing is drawn: further repeats would say the same
    clips, plan = _clips(data, split, protocol, repeats, seed, wording)
    evaluators = [open_evaluator(folder, glove, device, batch_size) for folder in evaluator or shipped()]
    if motions is not None and prompts is not None:
        subject = _folder(motions, prompts, clips, plan, fps, skip_bad)
    elif model is not None:
        generator, about = _generator(model, no_patch, device)
        with _progress(plan.repeats) as progress:
            subject = sampled(generator, clips, plan, about, progress)
    else:
        subject = Subject({"kind": "real"})
    facts = {
        "data": {**data_facts(data), "split": split},
        "wording": wording,
        "command": " ".join(["mate", *sys.argv[1:]]),
    }
    return evaluate(evaluators, clips, plan, subject, facts)


def _folder(folder: Path, prompts: Path, clips: "list[Clip]", plan: "Plan", fps: float, skip_bad: bool) -> "Subject":
    from mate.checkpoints import sha256
    from mate.evaluate.run import Subject
    from mate.evaluate.subjects import made_sha256, read_folder, read_prompt_lines

    width = clips[0].features.shape[1]
    made, skipped = read_folder(folder, read_prompt_lines(prompts), width, fps, plan.fps, plan.least, skip_bad)
    about = {
        "kind": "motions",
        "name": folder.name,
        "sha256": made_sha256(made),
        "prompts_sha256": sha256(prompts),
        "fps": fps,
    }
    return Subject(about, [made], skipped)


def _generator(model: str, no_patch: bool, device: str) -> tuple[Any, dict[str, Any]]:
    """A generator, and what the card says about it."""
    from mate.checkpoints import WEIGHTS, generator_class, resolve, sha256

    folder = resolve(model)
    generator = generator_class(folder).from_pretrained(folder, device=device, patch=not no_patch)
    patch = folder / "patch.safetensors"
    return generator, {
        "name": folder.name,
        "sha256": sha256(folder / WEIGHTS),
        "patch_sha256": sha256(patch) if patch.is_file() and not no_patch else None,
        "license": str(getattr(generator, "facts", {}).get("license", "not stated")),
        "device": device,
    }


@contextmanager
def _progress(repeats: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error."""
    from mate.cli.progress import progress_bar

    with progress_bar("sampling") as bar:
        before = 0

        def progress(done: int, total: int) -> None:
            nonlocal before
            bar(before + done, repeats * total)
            before += total if done >= total else 0

        yield progress


def _compare(
    cards: tuple[Path, Path], output: Path | None, markdown: Path | None, html: Path | None, as_json: bool
) -> None:
    from mate.evaluate.card import read_card, to_json, write_text
    from mate.evaluate.compare import compare, to_html, to_markdown

    first, second = cards
    names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
    result = compare(read_card(first), read_card(second), names)
    if html is not None:
        write_text(html, to_html(result))
    _tell(to_json(result), to_markdown(result), output, markdown, as_json)
    if html is not None and not as_json:
        typer.echo(f"wrote {html}")


def _tell(text: str, tables: str, output: Path | None, markdown: Path | None, as_json: bool) -> None:
    """Writes what is to be written and prints the rest."""
    from mate.evaluate.card import write_text

    for target, content in ((output, text), (markdown, tables)):
        if target is not None:
            write_text(target, content)
    if as_json:
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(tables))
    for target in (output, markdown):
        if target is not None:
            typer.echo(f"wrote {target}")

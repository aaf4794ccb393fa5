"""`mate probe`: do motions do what their prompts say?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mate.evaluate.probes import Probed


def probe(
    write_prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the probe prompts, one a line, and stop.")
    ] = None,
    motions: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Judge 0000.npy, 0001.npy, ... (T, 22, 3), made for --prompts in its order."),
    ] = None,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE", help="The prompts of --motions, one a line.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR", help="Sample this model (or `default`, `kinwords`) and judge.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A prepared set: real held-out clips and training clips.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result card, JSON.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the card's tables, Markdown.")] = None,
    seconds: Annotated[str, typer.Option(help="Lengths that --model is asked for.")] = "2,5,9",
    seeds: Annotated[int, typer.Option(min=1, help="Samples of --model for each prompt and length.")] = 8,
    fps: Annotated[float, typer.Option(help="Frames per second of --motions.")] = 20.0,
    device: Annotated[str, typer.Option(help="Where --model runs.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Check that motions do what their prompts say: walk, run, turn, raise or wave a hand; which side; in any wording.

    One of --write-prompts, --motions (with --prompts) and --model.
    """
    import json

    from mate.checkpoints import resolve
    from mate.errors import MateError
    from mate.evaluate.card import check_writable
    from mate.evaluate.probes import builtin_prompts, obedience_card, real_control, to_markdown
    from mate.files import atomic_path

    if sum(choice is not None for choice in (write_prompts, motions, model)) != 1:
        raise MateError(
            "give one of --write-prompts FILE, --motions DIR with --prompts FILE, and --model DIR; see `mate probe --help`"
        )
    if write_prompts is not None:
        with atomic_path(write_prompts) as path:
            path.write_text("".join(f"{prompt.text}\n" for prompt in builtin_prompts()), encoding="utf-8")
        typer.echo(f"{write_prompts}: {len(builtin_prompts())} prompts")
        return

    lengths, targets = _lengths(seconds), [target for target in (output, markdown) if target is not None]
    for target in targets:
        check_writable(target)
    if motions is not None:
        if prompts is None:
            raise MateError("--motions needs --prompts FILE, the prompts that the motions were made for, one a line")
        probed, about = _read_motions(motions, prompts, fps), {}
        control = real_control(data) if data is not None else None
    else:
        folder = resolve(str(model))
        control = real_control(data) if data is not None else None
        probed, about = _sample(folder, lengths, seeds, device)
    card = {**obedience_card(probed, control), **about}
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    for target, content in ((output, text), (markdown, to_markdown(card))):
        if target is not None:
            with atomic_path(target) as path:
                path.write_text(content, encoding="utf-8")
    if as_json:
        typer.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(to_markdown(card)))
    for target in targets:
        typer.echo(f"wrote {target}")


def _lengths(text: str) -> list[float]:
    from mate.errors import MateError

    try:
        lengths = [float(part) for part in text.split(",")]
    except ValueError:
        lengths = []
    if not lengths or min(lengths) <= 0:
        raise MateError(f"got --seconds {text!r}, expected positive numbers with commas between them, such as 2,5,9")
    return lengths


def _read_motions(folder: Path, prompts: Path, fps: float) -> "list[Probed]":
    """The motions of a folder with the prompts they were made for."""
    import numpy as np

    from mate.errors import MateError
    from mate.evaluate.probes import FPS, Probed, match_prompts
    from mate.motion.retarget import check_joints, resample

    if fps <= 0:
        raise MateError(f"got --fps {fps:g}, expected a positive number")
    try:
        lines = [line for line in prompts.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise MateError(f"cannot read {prompts}: {error}; expected a text file with one prompt a line") from error
    matched = match_prompts(lines)
    paths = [folder / f"{number:04d}.npy" for number in range(len(lines))]
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not lines:
        raise MateError(f"{folder}: {len(missing)} of the motions for {len(lines)} prompts are missing ({', '.join(missing[:3])}); "
                        "expected 0000.npy, 0001.npy, ... in the order of the prompts")  # fmt: skip
    probed = []
    for prompt, path in zip(matched, paths, strict=True):
        try:
            joints = np.load(path, allow_pickle=False)
            check_joints(joints)
            seconds, joints = len(joints) / fps, resample(joints, fps, FPS)
        except (OSError, ValueError, TypeError, EOFError, MateError) as error:
            raise MateError(f"{path}: {error}; expected a float array (T, 22, 3) in metres") from error
        probed.append(Probed(prompt, float(round(seconds)), None, joints))
    return probed


def _sample(folder: Path, lengths: list[float], seeds: int, device: str) -> "tuple[list[Probed], dict[str, Any]]":
    """Samples of a model for all probe prompts, with what the card says about it."""
    import platform

    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mate.checkpoints import WEIGHTS, from_pretrained, sha256
    from mate.errors import MateError
    from mate.evaluate.probes import builtin_prompts, sample_probes

    generator = from_pretrained(folder, device=device)
    if not hasattr(generator, "sample"):
        raise MateError(f"{folder} is no motion generator; give --model the folder of one")
    columns = (TextColumn("sampling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("sampling", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        probed = sample_probes(generator, builtin_prompts(), lengths, seeds, progress)
    about = {
        "model": {"name": folder.name, "sha256": sha256(folder / WEIGHTS)},
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}, torch {torch.__version__}",
    }
    return probed, about

"""`mate probe`: do motions do what their prompts say?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mate.evaluate.probes import Probed
    from mate.evaluate.word_prompts import WordPrompt


def probe(
    write_prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the probe prompts, one a line, and stop.")
    ] = None,
    motions: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Judge 0000.npy, 0001.npy, ... (T, 22, 3), made for --prompts in its order; for the word probe also features or BVH.",
        ),
    ] = None,
    prompts: Annotated[Path | None, typer.Option(metavar="FILE", help="The prompts of --motions, one a line.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="DIR", help="Sample this model (or `default`, `kinwords`) and judge.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="A prepared set: real held-out clips and training clips; several for --encoder."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the result card, JSON.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the card's tables, Markdown.")] = None,
    seconds: Annotated[str, typer.Option(help="Lengths that --model is asked for.")] = "2,5,9",
    seeds: Annotated[int, typer.Option(min=1, help="Samples of --model for each prompt and length.")] = 8,
    fps: Annotated[float, typer.Option(help="Frames per second of --motions.")] = 20.0,
    device: Annotated[str, typer.Option(help="Where --model runs.")] = "cpu",
    words: Annotated[
        bool,
        typer.Option("--words", help="The word probe: 1,053 prompts on 12 rungs, in place of the 72 of eleven facts."),
    ] = False,
    grounding: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The grounding probe: are words found in --data where they are? A retrieval model."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --grounding: at most so many motions.")] = None,
    joints: Annotated[
        str, typer.Option(help="With --grounding: how joints are found: occlusion, gradient or none.")
    ] = "occlusion",
    trials: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --grounding: CMU subject 16's BVH files, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help="Minimal pairs: a retrieval model, or package.module:function; several side by side."
        ),
    ] = None,
    scoring: Annotated[
        list[str] | None, typer.Option(help="Of --encoder models: localized, sentence, or both in turn.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of --data, for --encoder and --grounding.")] = "test",
    each: Annotated[int, typer.Option(min=1, help="The most minimal pairs of a rung.")] = 60,
    deciding: Annotated[
        str | None, typer.Option(metavar="WORD,WORD", help="Only pairs that these words decide.")
    ] = None,
    retrieval: Annotated[bool, typer.Option(help="Retrieval over the whole split beside the pairs.")] = True,
) -> None:
    """Check that motions do what their prompts say: walk, run, turn, raise or wave a hand; which side; in any wording.

    One of --write-prompts, --motions (with --prompts), --model, --encoder and --grounding. With --words, the word probe: which words and
    which kinds of meaning (side, sense, speed, extent, count, order, negation, ...); the prompts of --motions say by themselves which
    probe they belong to. With --encoder, minimal pairs: is the true caption found of two that differ in one meaning? With --grounding,
    whether a retrieval model finds words, sub-texts and body parts where they are.
    """
    from mate.checkpoints import resolve
    from mate.errors import MateError
    from mate.evaluate.card import check_writable
    from mate.evaluate.probes import builtin_prompts, obedience_card, real_control, to_markdown
    from mate.files import atomic_path

    if sum(bool(choice) for choice in (write_prompts, motions, model, encoder, grounding)) != 1:
        raise MateError(
            "give one of --write-prompts FILE, --motions DIR with --prompts FILE, --model DIR, --encoder MODEL and --grounding MODEL; "
            "see `mate probe --help`"
        )
    if encoder or grounding is not None:
        from mate.cli import probe_encoder, probe_grounding

        for target in (output, markdown):
            if target is not None:
                check_writable(target)
        if encoder:
            card, text = probe_encoder.encoder_probe(
                encoder, data or [], scoring or [], split, each, deciding, retrieval, device
            )
        else:
            assert grounding is not None
            card, text = probe_grounding.grounding_probe(grounding, data or [], split, limit, joints, trials, device)
        _put(card, text, output, markdown, as_json)
        return
    if data is not None and len(data) > 1:
        raise MateError(f"got --data {len(data)} times; only --encoder takes several sets")
    if write_prompts is not None and words:
        from mate.evaluate.word_prompts import packaged_prompts

        with atomic_path(write_prompts) as path:
            path.write_text("".join(f"{prompt.text}\n" for prompt in packaged_prompts()), encoding="utf-8")
        typer.echo(f"{write_prompts}: {len(packaged_prompts())} prompts")
        return
    if write_prompts is not None:
        with atomic_path(write_prompts) as path:
            path.write_text("".join(f"{prompt.text}\n" for prompt in builtin_prompts()), encoding="utf-8")
        typer.echo(f"{write_prompts}: {len(builtin_prompts())} prompts")
        return

    lengths, targets = _lengths(seconds), [target for target in (output, markdown) if target is not None]
    for target in targets:
        check_writable(target)
    if motions is not None and prompts is None:
        raise MateError("--motions needs --prompts FILE, the prompts that the motions were made for, one a line")
    word_card = _word_card(motions, prompts, model, words, fps, device)
    if word_card is not None:
        from mate.evaluate.word_probe import to_markdown as words_to_markdown

        _put(word_card, words_to_markdown(word_card), output, markdown, as_json)
        return
    if motions is not None:
        assert prompts is not None
        probed, about = _read_motions(motions, prompts, fps), {}
        control = real_control(data[0]) if data else None
    else:
        folder = resolve(str(model))
        control = real_control(data[0]) if data else None
        probed, about = _sample(folder, lengths, seeds, device)
    card = {**obedience_card(probed, control), **about}
    _put(card, to_markdown(card), output, markdown, as_json)


def _put(card: "dict[str, Any]", text: str, output: Path | None, markdown: Path | None, as_json: bool) -> None:
    """Writes a card where it was asked for, and prints it."""
    import json

    from mate.files import atomic_path

    content = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    for target, one in ((output, content), (markdown, text)):
        if target is not None:
            with atomic_path(target) as path:
                path.write_text(one, encoding="utf-8")
    if as_json:
        typer.echo(content, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
    for target in (output, markdown):
        if target is not None:
            typer.echo(f"wrote {target}")


def _word_card(
    motions: Path | None, prompts: Path | None, model: str | None, words: bool, fps: float, device: str
) -> "dict[str, Any] | None":
    """The card of the word probe, or None where the prompts are those of the eleven facts."""
    from mate.checkpoints import resolve
    from mate.errors import MateError
    from mate.evaluate.word_probe import made, read_folder, read_prompts, word_card
    from mate.evaluate.word_prompts import packaged_prompts

    if motions is not None and prompts is not None:
        asked = read_prompts(prompts)
        if not words and (asked is None or _eleven_facts(asked)):
            return None
        if asked is None:
            raise MateError(
                f"{prompts}: none of the word probe's prompts; `mate probe --words --write-prompts FILE` writes them"
            )
        return word_card(read_folder(motions, asked, fps))
    if not words:
        return None
    generator, about = _generator(resolve(str(model)), device)
    asked = list(packaged_prompts())
    sampled = generator.sample([prompt.text for prompt in asked], [prompt.seconds for prompt in asked], seed=0)
    return {
        **word_card([made(prompt, joints) for prompt, joints in zip(asked, sampled, strict=True)]),
        "seed": 0,
        **about,
    }


def _eleven_facts(prompts: "list[WordPrompt]") -> bool:
    """Are all of them prompts of the eleven facts, too? A few texts are in both sets."""
    from mate.evaluate.probes import builtin_prompts

    return {prompt.text for prompt in prompts} <= {prompt.text for prompt in builtin_prompts()}


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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mate.evaluate.probes import builtin_prompts, sample_probes

    generator, about = _generator(folder, device)
    columns = (TextColumn("sampling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("sampling", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        probed = sample_probes(generator, builtin_prompts(), lengths, seeds, progress)
    return probed, about


def _generator(folder: Path, device: str) -> "tuple[Any, dict[str, Any]]":
    """A generator, and what a card says about it."""
    import platform

    import torch

    from mate.checkpoints import WEIGHTS, generator_class, sha256

    generator = generator_class(folder).from_pretrained(folder, device=device)
    about = {
        "model": {"name": folder.name, "sha256": sha256(folder / WEIGHTS)},
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}, torch {torch.__version__}",
    }
    return generator, about

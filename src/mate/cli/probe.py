"""`mate probe`: do motions do what their prompts say?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mate.evaluate.probes import Probed
    from mate.evaluate.word_prompts import WordPrompt


def probe(
    cards: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CARD",
            help="With --words or --flip: cards to set side by side, the baseline first. With --page: to draw.",
        ),
    ] = None,
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
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Sample this model (or `default`, `kinwords`) and judge. With --words or --flip several, side by side.",
        ),
    ] = None,
    plain: Annotated[
        list[str] | None,
        typer.Option(
            "--model-without-patch",
            metavar="DIR",
            help="With --words or --flip: the same with its word patch taken out.",
        ),
    ] = None,
    cut: Annotated[
        list[str] | None,
        typer.Option(
            "--model-by-sub-texts",
            metavar="DIR",
            help="A generator whose prompts of several sub-actions are made one after the other; for --words and --flip.",
        ),
    ] = None,
    ceiling: Annotated[
        bool,
        typer.Option(
            "--ceiling", help="With --words or --flip: procedural motions that do what the prompts say, and a floor."
        ),
    ] = False,
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
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page of plots, HTML: of this card, or of the CARDs.")
    ] = None,
    seconds: Annotated[str, typer.Option(help="Lengths that --model is asked for (the eleven facts).")] = "2,5,9",
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Samples of a model for each prompt and length: 8, of the word probe 1, of the flip test 4."
        ),
    ] = None,
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
    flip: Annotated[
        bool,
        typer.Option("--flip", help="The flip test: one word changed, the same seed. What changes, and what stays?"),
    ] = False,
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
    probe they belong to. With --flip, the flip test: pairs of prompts that differ in one word. Several models, --ceiling, or CARDs made
    before give one card with all of them side by side. With --encoder, minimal pairs: is the true caption found of two that differ in
    one meaning? With --grounding, whether a retrieval model finds words, sub-texts and body parts where they are.
    """
    from mate.cli import probe_words
    from mate.errors import MateError
    from mate.evaluate.card import check_writable
    from mate.evaluate.probes import obedience_card, real_control, to_markdown
    from mate.files import atomic_path

    if encoder or grounding is not None:
        from mate.cli import probe_encoder, probe_grounding

        if any((write_prompts, motions, model, cards, words, flip)) or (encoder and grounding):
            raise MateError("got --encoder or --grounding with something else to probe, expected one of them")
        for target in (output, markdown, page):
            if target is not None:
                check_writable(target)
        if encoder:
            card, text = probe_encoder.encoder_probe(
                encoder, data or [], scoring or [], split, each, deciding, retrieval, device
            )
        else:
            assert grounding is not None
            card, text = probe_grounding.grounding_probe(grounding, data or [], split, limit, joints, trials, device)
        _put(card, text, output, markdown, as_json, page)
        return
    if data is not None and len(data) > 1:
        raise MateError(f"got --data {len(data)} times; only --encoder takes several sets")
    if write_prompts is not None:
        if any((motions, model, plain, cut, ceiling, cards, flip)):
            raise MateError("got --write-prompts and something to probe, expected one of them; see `mate probe --help`")
        _write_prompts(write_prompts, words)
        return
    lengths, targets = _lengths(seconds), [target for target in (output, markdown, page) if target is not None]
    for target in targets:
        check_writable(target)
    if motions is not None and prompts is None:
        raise MateError("--motions needs --prompts FILE, the prompts that the motions were made for, one a line")
    if words and flip:
        raise MateError("got --words and --flip, expected one of them: they are two cards")
    if fps <= 0:
        raise MateError(f"got --fps {fps:g}, expected a positive number")
    if flip and (motions is not None or prompts is not None):
        raise MateError("got --flip with --motions or --prompts; the flip test samples its own pairs: give --model DIR")
    words = words or (motions is not None and prompts is not None and not flip and _asks_for_words(prompts))
    if words or flip:
        asked = probe_words.Asked(
            model or (), plain or (), cut or (), ceiling, cards or (), motions, prompts, fps, seeds, device
        )
        card, text = probe_words.words(asked) if words else probe_words.flips(asked)
        _put(card, text, output, markdown, as_json, page)
        return
    if page is not None and cards:
        if any(choice is not None for choice in (motions, model, output, markdown)):
            raise MateError("got --page with CARDs and something to probe; write the card first, then its page")
        with atomic_path(page) as path:
            path.write_text(probe_words.page(cards), encoding="utf-8")
        typer.echo(f"wrote {page}")
        return
    if cards or plain or cut or ceiling:
        raise MateError(
            "got CARDs, --model-without-patch, --model-by-sub-texts or --ceiling; these go with --words, --flip or --page"
        )
    if (motions is None) == (not model) or len(model or ()) > 1:
        raise MateError(
            "give one of --write-prompts FILE, --motions DIR with --prompts FILE, and --model DIR; see `mate probe --help`"
        )
    control = real_control(data[0]) if data else None
    if motions is not None:
        assert prompts is not None
        probed, about = _read_motions(motions, prompts, fps), {}
    else:
        assert model
        probed, about = _sample(model[0], lengths, seeds or 8, device)
    card = {**obedience_card(probed, control), **about}
    _put(card, to_markdown(card), output, markdown, as_json, page)


def _write_prompts(target: Path, words: bool) -> None:
    from mate.evaluate.probes import builtin_prompts
    from mate.evaluate.word_prompts import packaged_prompts
    from mate.files import atomic_path

    texts = [prompt.text for prompt in (packaged_prompts() if words else builtin_prompts())]
    with atomic_path(target) as path:
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    typer.echo(f"{target}: {len(texts)} prompts")


def _put(
    card: "dict[str, Any]", text: str, output: Path | None, markdown: Path | None, as_json: bool, page: Path | None
) -> None:
    """Writes a card where it was asked for, and prints it."""
    import json

    from mate.files import atomic_path

    content = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    drawn = ""
    if page is not None:
        from mate.evaluate.page import page as page_of

        drawn = page_of({"card" if output is None else output.stem: card})
    for target, one in ((output, content), (markdown, text), (page, drawn)):
        if target is not None:
            with atomic_path(target) as path:
                path.write_text(one, encoding="utf-8")
    if as_json:
        typer.echo(content, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))
    for target in (output, markdown, page):
        if target is not None:
            typer.echo(f"wrote {target}")


def _asks_for_words(prompts: Path) -> bool:
    """Are these the word probe's prompts, and not those of the eleven facts?"""
    from mate.evaluate.word_probe import read_prompts

    asked = read_prompts(prompts)
    return asked is not None and not _eleven_facts(asked)


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


def _sample(model: str, lengths: list[float], seeds: int, device: str) -> "tuple[list[Probed], dict[str, Any]]":
    """Samples of a model for all probe prompts, with what the card says about it."""
    from mate.checkpoints import resolve
    from mate.cli.probe_words import generator_of
    from mate.cli.progress import progress_bar
    from mate.evaluate.probes import builtin_prompts, sample_probes

    generator, about = generator_of(resolve(model), device)
    with progress_bar("sampling") as progress:
        probed = sample_probes(generator, builtin_prompts(), lengths, seeds, progress)
    return probed, about

"""The word probe and the flip test of `mate probe`: one model, several side by side, cards side by side, a page of cards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mate.cli.progress import progress_bar

if TYPE_CHECKING:
    from mate.evaluate.word_prompts import WordPrompt

Card = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What is to be probed.

    Attributes:
        models: folders or names; plain: of those whose word patch is taken out; cut: of those whose prompts are made sub-text by
            sub-text; ceiling: procedural motions beside them.
        cards: made before, to be set side by side.
        motions, prompts, fps: a folder of motions, and what they were made for.
        seeds: samples a prompt, None: as the probe has it.
    """

    models: Sequence[str] = ()
    plain: Sequence[str] = ()
    cut: Sequence[str] = ()
    ceiling: bool = False
    cards: Sequence[Path] = ()
    motions: Path | None = None
    prompts: Path | None = None
    fps: float = 20.0
    seeds: int | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Way:
    """How a model is asked.

    Attributes:
        suffix: of its row's name, behind the folder's.
        patch: with its own word patch, where it has one; False: with that taken out.
        cut: its prompts are made sub-text by sub-text.
    """

    suffix: str = ""
    patch: bool = True
    cut: bool = False


WITHOUT_PATCH, AS_IT_IS, BY_SUB_TEXTS = Way(" without patch", patch=False), Way(), Way(" by sub-texts", cut=True)


def words(asked: Asked) -> tuple[Card, str]:
    """The card of the word probe, of one or of several, and the same as Markdown."""
    from mate.evaluate.card import named, read_probe
    from mate.evaluate.word_probe import read_folder, to_markdown, word_card
    from mate.evaluate.word_rows import side_by_side
    from mate.evaluate.word_rows import to_markdown as rows_to_markdown

    prompts = _prompts(asked.prompts)
    made: dict[str, Card] = {name: read_probe(path) for name, path in named(asked.cards).items()}
    if asked.motions is not None:
        name = asked.motions.resolve().name
        made[name] = {**word_card(read_folder(asked.motions, prompts, asked.fps)), "motions_of": name}
    for name, generator, about in _generators(asked, [(prompt.text, prompt.events) for prompt in prompts]):
        made[name] = {**_probed(generator, prompts, asked.seeds or 1, name), **about}
    _one_at_least(made)
    if len(made) == 1:
        [card] = made.values()
        return card, to_markdown(card)
    card = side_by_side(made, prompts)
    return card, rows_to_markdown(card)


def flips(asked: Asked) -> tuple[Card, str]:
    """The card of the flip test, of one or of several, and the same as Markdown."""
    from mate.evaluate.card import named, read_probe
    from mate.evaluate.flip import flip_card, flip_rows, flips_of_probe, to_markdown

    made: dict[str, Card] = {name: read_probe(path) for name, path in named(asked.cards).items()}
    pairs = [
        (text, events)
        for flip in flips_of_probe()
        for text, events in zip((flip.first, flip.second), flip.shown or flip.events, strict=True)
    ]
    for name, generator, about in _generators(asked, pairs):
        with progress_bar(name) as progress:
            made[name] = {**flip_card(generator, seeds=asked.seeds or 4, progress=progress), **about}
    _one_at_least(made)
    card = flip_rows(made) if len(made) > 1 else next(iter(made.values()))
    return card, to_markdown(card)


def page(cards: Sequence[Path]) -> str:
    """The page of cards of any probe."""
    from mate.evaluate.card import named, read_probe
    from mate.evaluate.page import page as page_of

    return page_of({name: read_probe(path) for name, path in named(cards).items()})


def _one_at_least(made: dict[str, Card]) -> None:
    from mate.errors import MateError

    if not made:
        raise MateError(
            "got nothing to probe, expected --model DIR (or --model-without-patch, --ceiling), --motions DIR with --prompts FILE, or "
            "cards made before; see `mate probe --help`"
        )


def _prompts(path: Path | None) -> "list[WordPrompt]":
    from mate.errors import MateError
    from mate.evaluate.word_probe import read_prompts
    from mate.evaluate.word_prompts import packaged_prompts

    found = list(packaged_prompts()) if path is None else read_prompts(path)
    if found is None:
        raise MateError(
            f"{path}: none of the word probe's prompts; `mate probe --words --write-prompts FILE` writes them"
        )
    return found


def _generators(asked: Asked, events: "list[tuple[str, Any]]") -> "Iterator[tuple[str, Any, Card]]":
    """Name, generator and what a card says of it: the ceiling, without patch, as they are, by sub-texts."""
    from mate.checkpoints import resolve
    from mate.errors import MateError
    from mate.evaluate.ceiling import NAME, Procedural
    from mate.generate.sub_texts import BySubTexts

    if asked.ceiling:
        yield NAME, Procedural(events), {"motions_of": NAME}
    ways = ((WITHOUT_PATCH, asked.plain), (AS_IT_IS, asked.models), (BY_SUB_TEXTS, asked.cut))
    wanted = [(resolve(model), way) for way, models in ways for model in models]
    names = [folder.name + way.suffix for folder, way in wanted]
    for name, (folder, way) in zip(names, wanted, strict=True):
        if names.count(name) > 1:
            raise MateError(f"two models are called {name!r}; rows are called after the folders: rename one")
        if not way.patch and not (folder / "patch.safetensors").is_file():
            raise MateError(f"{folder} has no word patch to take out; give it to --model")
    for name, (folder, way) in zip(names, wanted, strict=True):
        generator, about = generator_of(folder, asked.device, way.patch)
        if way.cut:
            generator, about = BySubTexts(generator), {**about, "by_sub_texts": True}
        yield name, generator, about


def generator_of(folder: Path, device: str, patch: bool = True) -> "tuple[Any, Card]":
    """A generator, with its word patch or without, and what a card says about it."""
    import platform

    import torch

    from mate.checkpoints import WEIGHTS, generator_class, sha256

    generator = generator_class(folder).from_pretrained(folder, device=device, **({} if patch else {"patch": False}))
    generator.only_humanml3d("the kinematic judge")
    own_patch = folder / "patch.safetensors"
    about = {
        "model": {
            "name": folder.name,
            "sha256": sha256(folder / WEIGHTS),
            "patch_sha256": sha256(own_patch) if patch and own_patch.is_file() else None,
        },
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}, torch {torch.__version__}",
    }
    return generator, about


def _probed(generator: Any, prompts: "list[WordPrompt]", seeds: int, name: str) -> Card:
    from mate.evaluate.word_probe import sample_words, word_card

    with progress_bar(f"{name}: sampling") as progress:
        motions = sample_words(generator, prompts, seeds, progress)
    with progress_bar(f"{name}: judging") as progress:
        return word_card(motions, progress=progress)

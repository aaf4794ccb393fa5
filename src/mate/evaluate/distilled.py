"""What a generator that stays as it is makes of a patched language model, with and without a head that brings the vectors back.

    python -m mate.evaluate.distilled MODEL PATCH DATA... -o results/distilled.json

MODEL is a generator that was trained on the language model as published, PATCH a word patch for it, DATA the sets whose training captions
the head is made of: the captions of one clip say the same, and the one in their middle is the canonical one (`mate.text.distill`). Four
rows have the same prompts, seeds and noise: the language model as published and patched, each with and without a head of its own. One
sample a prompt. Figures: the prompts of eleven facts in training and in held-out wordings, and the word probe's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from mate.errors import MateError
from mate.evaluate.card import check_writable, rate, run_module, show_rate, table, to_json, versions, write_text
from mate.evaluate.row import SECONDS, single_events, words

PROTOCOL = "mate-distilled-1"
MOST = 60_000  # captions that a head is made of


def training_captions(folders: Sequence[Path], most: int = MOST) -> tuple[list[str], list[int]]:
    """Captions of the training clips, and the number of each one's clip; of more than `most`, whole clips evenly spread.

    Raises:
        MateError: a folder that holds no data set.
    """
    from mate.data.dataset import open_dataset

    clips = [[c.text for c in own] for folder in folders for own in open_dataset(folder, "train").captions if own]
    every = max(1, -(-sum(map(len, clips)) // most))
    kept = clips[::every]
    return [text for own in kept for text in own], [number for number, own in enumerate(kept) for _ in own]


def measure(
    model: Path,
    patch: Path,
    data: Sequence[Path],
    *,
    steps: int,
    every: int,
    seconds: Sequence[float] = SECONDS,
    seed: int = 0,
    head_path: Path | None = None,
) -> dict[str, Any]:
    """The card.

    Args:
        steps: of each head's training. every: every n-th prompt of the word probe. seconds: lengths of the single events.
        seed: of the heads and of the samples.
        head_path: where the head of the patched model is written; None: nowhere.

    Raises:
        MateError: a generator with a patch of its own, or a patch for another language model.
    """
    from mate.checkpoints import generator_class, sha256
    from mate.text.distill import DistillConfig, distil, medoids

    generator = generator_class(model).from_pretrained(model)
    encoder = generator.encoder
    if encoder.patched:
        raise MateError(
            f"{model} was trained with a patch of its own; give a generator that was trained on the language model as published"
        )
    texts, clips = training_captions(data)
    plain = encoder.pooled(texts)
    target, config = medoids(plain, clips), DistillConfig(steps=steps, seed=seed)
    rows: dict[str, Any] = {}
    for patched in (False, True):
        handle = encoder.apply(patch) if patched else None
        read = encoder.pooled(texts) if patched else plain
        head = distil(read, target, config)
        if patched and head_path is not None:
            head.save(head_path, {"base_model": encoder.model_id, "patch_sha256": sha256(patch)})
        for headed in (False, True):
            encoder.head = head if headed else None
            name = ("patched" if patched else "as published") + (", head" if headed else "")
            rows[name] = {
                "single_events": single_events(generator, seconds, seed),
                "words": words(generator, every, seed),
            }
        encoder.head = None
        if handle is not None:
            handle.revert()
    return {
        "protocol": PROTOCOL,
        "model": {"name": model.name, "sha256": sha256(model / "model.safetensors")},
        "patch": {"name": patch.name, "sha256": sha256(patch)},
        "data": [folder.name for folder in data],
        "captions": len(texts),
        "steps": steps,
        "every": every,
        "seed": seed,
        "rows": rows,
        "versions": versions(),
    }


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as a table: shares with Wilson's 95 % interval."""
    body = []
    for name, row in card["rows"].items():
        single = row["single_events"]["answers"]
        answers = ["".join(single[wording].values()) for wording in ("training", "held-out")]
        body.append(
            [name, *(show_rate(rate(letter == "1" for letter in own)) for own in answers), _probe(row["words"])]
        )
    return "\n".join(table(["language model", "training wordings", "held-out wordings", "word probe"], body))


def _probe(found: Mapping[str, Any]) -> str:
    """Of the word probe's prompts, by word: a prompt counts for each of its words."""
    letters = "".join(found["answers"].values())
    decided = [letter == "1" for letter in letters if letter in "01"]
    return f"{100 * np.mean(decided):.1f} %" if decided else "–"


def main() -> None:
    """The command line of this module."""
    import typer

    def command(
        model: Annotated[Path, typer.Argument(help="A generator trained on the language model as published.")],
        patch: Annotated[Path, typer.Argument(help="A word patch.")],
        data: Annotated[list[Path], typer.Argument(help="Sets whose training captions the head is made of.")],
        out: Annotated[Path, typer.Option("--out", "-o", help="The card, JSON.")],
        head: Annotated[Path | None, typer.Option(help="Write the patched model's head here.")] = None,
        steps: Annotated[int, typer.Option(min=1, help="Of each head's training.")] = 3000,
        every: Annotated[int, typer.Option(min=1, help="Every n-th prompt of the word probe.")] = 4,
        seed: Annotated[int, typer.Option(help="Of heads and samples.")] = 0,
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.")] = None,
    ) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        check_writable(out)
        card = measure(model, patch, data, steps=steps, every=every, seed=seed, head_path=head)
        write_text(out, to_json(card))
        print(to_markdown(card))

    run_module(command)


if __name__ == "__main__":
    main()

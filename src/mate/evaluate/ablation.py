"""The runs behind the tables of the alignment: what is trained, which criteria, which prior, which segments, how much
label noise, how few clips.

    python -m mate.evaluate.ablation SINGLE JOINED -o runs/ablation

SINGLE is a set of single clips (`mate prepare bandai-namco`), JOINED one of joined ones (`mate prepare joined`). Stage 1 and the segments
are made once a seed and shared by all variants of the same captions (`AlignConfig.start`); every variant then gets the same steps
of stage 3, the frozen baseline too. Every finished run leaves results/align/VARIANT-SEED.json, which holds the figures, and is not run
again; at the end the tables of all that is there are printed. What the preset shrinks against a default run stands in `PRESET`.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from mate.align.aligner import Scoring
from mate.align.config import AlignConfig
from mate.align.recipe import REPORT
from mate.errors import MateError
from mate.evaluate.card import run_module, to_json, versions, write_text

PROTOCOL = "mate-ablation-1"
SEEDS = (0, 1, 2)
SCORINGS: tuple[Scoring, ...] = ("localized", "sentence")
EACH = 40  # minimal pairs of one fact, number of events and wording
CLIPS = 150  # joined clips whose words are located
# Against a default run: two thirds of the steps of stage 3, and half the motions in each; stage 1 is longer, as it is shared.
PRESET = AlignConfig(retrieval_steps=600, steps=400, batch_size=32)
FEW = ("waves", "runs", "raises")  # words that decide many pairs and are frequent in training


# Training captions: as they are, with label noise, with few clips of a word. Stages 1 and 2 are made once for each of them.
CAPTIONS: Mapping[str, Mapping[str, Any]] = {
    "whole": {},
    **{f"noise-{percent}": {"flip_sides": percent / 100} for percent in (5, 10, 20)},
    **{f"few-{count}": {"thin": dict.fromkeys(FEW, count)} for count in (5, 20, 100)},
}


@dataclass(frozen=True)
class Variant:
    """One row: its label, what it changes in stage 3 of the preset, and on which of `CAPTIONS` all its stages are trained."""

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    captions: str = "whole"


def _without(loss: str) -> dict[str, Any]:
    return {"losses": tuple(name for name in PRESET.losses if name != loss)}


VARIANTS = {
    "rows": Variant("word embeddings (the method)"),
    "nothing": Variant("nothing (frozen)", {"train": "nothing"}),
    "layers": Variant("later layers", {"train": "layers"}),
    "all": Variant("all", {"train": "all"}),
    "lora": Variant("LoRA", {"train": "lora"}),
    **{f"no-{loss}": Variant(f"without {loss}", _without(loss)) for loss in PRESET.losses},
    "sent-only": Variant(
        "sent alone, as often",
        {"losses": ("sent",), "steps": PRESET.steps // PRESET.sentence_every},
    ),
    "negatives-all": Variant("all other words as negatives", {"negatives": "all"}),
    "prior-binary": Variant("binary", {"prior": "binary"}),
    "prior-inside": Variant("Gaussian inside the segment", {"prior": "inside"}),
    "prior-none": Variant("none", {"prior": "none"}),
    "always-hinted": Variant("Gaussian, every word hinted", {"hint_dropout": 0.0}),
    "uniform": Variant("uniform segments", {"segmentation": "uniform"}),
    "whole-words": Variant("whole-word rows", {"rows": "whole-words"}),
    "spread": Variant("rows spread to unseen words", {"spread": True}),
    **{
        f"{kind}-noise-{percent}": Variant(f"{percent} % of sides swapped, {kind}", {"train": kind}, f"noise-{percent}")
        for percent in (5, 10, 20)
        for kind in ("rows", "nothing")
    },
    **{
        f"{kind}-few-{count}": Variant(f"{count} clips a word, {kind}", {"train": kind}, f"few-{count}")
        for count in (5, 20, 100)
        for kind in ("rows", "nothing")
    },
}
TABLES = {
    "What is trained": ("nothing", "rows", "layers", "all", "lora"),
    "Criteria": ("rows", *(f"no-{loss}" for loss in PRESET.losses), "sent-only", "negatives-all"),
    "Prior": ("rows", "always-hinted", "prior-inside", "prior-binary", "prior-none"),
    "Segments": ("rows", "uniform", "nothing"),
    "Rows": ("rows", "whole-words", "spread", "nothing"),
    "Label noise": ("rows", "nothing", *(name for name in VARIANTS if "-noise-" in name)),
    "Few clips": ("rows", "nothing", *(name for name in VARIANTS if "-few-" in name)),
}


# ---------------------------------------------------------------------- running


def run(
    name: str,
    seed: int,
    data: Sequence[Path],
    work: Path,
    results: Path,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """One run: alignment and its figures; or what an earlier call left.

    Args:
        data: single clips, then joined clips.
        work: for the models; a variant's is removed when its figures are written, the shared first stages stay.

    Raises:
        MateError: no such variant, or the data cannot be used.
    """
    from mate.align.recipe import align

    if name not in VARIANTS:
        raise MateError(f"got the variant {name!r}, expected one of {', '.join(VARIANTS)}")
    path = results / f"{name}-{seed}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    variant = VARIANTS[name]
    config = replace(PRESET, seed=seed, **CAPTIONS[variant.captions])
    start, folder = work / f"start-{variant.captions}-{seed}", work / f"{name}-{seed}"
    if not (start / REPORT).is_file():
        tell(f"{start.name}: stages 1 and 2")
        align(data, start, config=replace(config, steps=1), quiet=True, evaluated=())
    config = replace(config, start=str(start), **variant.changes)
    tell(f"{name}, seed {seed}")
    report = align(data, folder, config=config, quiet=True, evaluated=()).report
    figures = measure(folder, data)
    row = {
        "protocol": PROTOCOL,
        "variant": name,
        "changes": {**CAPTIONS[variant.captions], **variant.changes},
        "seed": seed,
        "data": report["data"],
        "steps": report["steps"],
        "seconds": report["seconds"],
        "rows_in_patch": report.get("rows_in_patch", 0),
        **figures,
        "versions": versions(),
    }
    write_text(path, to_json(row))
    shutil.rmtree(folder)
    return row


def measure(folder: Path, data: Sequence[Path]) -> dict[str, Any]:
    """The figures of a finished run, on the test splits: minimal pairs, retrieval, where words are, and what the patch damages."""
    from mate.align.aligner import Aligner
    from mate.evaluate.damage import damage
    from mate.evaluate.encoder_probe import groups, outcomes, retrieval
    from mate.evaluate.encoders import open_encoders
    from mate.evaluate.grounding_probe import grounding_card
    from mate.evaluate.grounding_probe import measure as locate
    from mate.evaluate.grounding_truth import read_clips
    from mate.evaluate.minimal_pairs import make_pairs, pairs_for_words
    from mate.text.encoder import TextEncoder
    from mate.text.patch import WordPatch

    single, joined = data[0], data[-1]
    sets = [make_pairs(joined, each=EACH), make_pairs(single, each=EACH), pairs_for_words(FEW, single, each=EACH)]
    model = folder / "retrieval"
    rungs: list[dict[str, Any]] = []
    encoders = dict(zip(SCORINGS, open_encoders(str(model), SCORINGS), strict=True))
    for scoring, encoder in encoders.items():
        for one in sets:
            found, _ = outcomes(encoder, one)
            for key, numbers in [
                *groups([one], ("set", "fact", "wording", "events")),
                *groups([one], ("set", "fact", "wording", "events", "word")),
            ]:
                rungs.append({**key, "scoring": scoring, "n": len(numbers), "rate": float(found[numbers].mean())})
    aligner = Aligner.from_pretrained(model)
    clips = read_clips(joined, "test", CLIPS)
    grounding = grounding_card(locate(aligner, clips), clips)
    patch = folder / "patch.safetensors"
    return {
        "pairs": rungs,
        "retrieval": [line for one in sets[:2] for line in retrieval(encoders["sentence"], one, draws=1)],
        "grounding": {name: grounding[name] for name in ("frames", "boundaries")},
        "damage": damage(TextEncoder.from_pretrained(), WordPatch.load(patch)) if patch.is_file() else None,
    }


def main() -> None:
    """The command line of this module."""
    import typer

    def command(
        single: Annotated[Path, typer.Argument(help="Single clips.")],
        joined: Annotated[Path, typer.Argument(help="Joined clips.")],
        work: Annotated[Path, typer.Option("--out", "-o", help="For the models, while they are needed.")],
        results: Annotated[Path, typer.Option(help="Where every run leaves its figures.")] = Path("results/align"),
        variant: Annotated[list[str] | None, typer.Option(help="These alone, in this order; default: all.")] = None,
        seed: Annotated[list[int] | None, typer.Option(help="These alone; default: 0, 1 and 2.")] = None,
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.")] = None,
    ) -> None:
        import sys

        import torch

        from mate.evaluate.ablation_tables import read_results, to_markdown

        if threads:
            torch.set_num_threads(threads)
        for number in seed or SEEDS:
            for name in variant or VARIANTS:
                run(name, number, (single, joined), work, results, lambda doing: print(doing, file=sys.stderr))
        print(to_markdown(read_results(results)))

    run_module(command)


if __name__ == "__main__":
    main()

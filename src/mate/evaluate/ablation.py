"""The tables of the alignment: what is trained, which criteria, which prior, which segments, how much label noise, how few clips.

    python -m mate.evaluate.ablation SINGLE JOINED -o runs/ablation            runs what is missing, then prints the tables
    python -m mate.evaluate.ablation SINGLE JOINED -o runs/ablation --tables   the tables of what there is

SINGLE is a set of single clips (`mate prepare bandai-namco`), JOINED one of joined ones (`mate prepare joined`). Stage 1 and the segments
are made once a seed and shared by all variants of the same captions (`AlignConfig.start`); every variant then gets the same steps
of stage 3, the frozen baseline too. Every finished run leaves results/align/VARIANT-SEED.json, which holds the figures, and is not run
again. What the preset shrinks against a default run stands in `PRESET`.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from mate.align.aligner import Scoring
from mate.align.config import AlignConfig
from mate.align.recipe import REPORT
from mate.errors import MateError
from mate.evaluate.card import run_module, table, to_json, versions, write_text
from mate.evaluate.metrics import interval

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


# ---------------------------------------------------------------------- tables


def headline(row: Mapping[str, Any]) -> dict[str, float]:
    """The figures that the tables show, most in percent: pairs in unseen wordings, on joined clips; synonyms on single ones, too."""
    joined = row["data"][-1]

    def pairs(scoring: str, fact: str, sets: Sequence[str] = (joined,)) -> float:
        chosen = [
            one
            for one in row["pairs"]
            if one["scoring"] == scoring
            and one["fact"] == fact
            and one["set"] in sets
            and (fact == "word" or one["wording"] == "unseen")
        ]
        return 100.0 * float(np.average([one["rate"] for one in chosen], weights=[one["n"] for one in chosen]))

    frames = _only(row["grounding"]["frames"], group="all", reader="attention")
    boundaries = _only(row["grounding"]["boundaries"], group="all", cutter="segments")
    recall = _only(row["retrieval"], set=joined, wording="unseen")["text_to_motion content"]
    return {
        "side, localized": pairs("localized", "side"),
        "order, localized": pairs("localized", "order"),
        "side, one vector": pairs("sentence", "side"),
        "order, one vector": pairs("sentence", "order"),
        "synonyms": pairs("sentence", "synonym", row["data"]),
        "thinned words": pairs("sentence", "word", row["data"]),
        "R@1": recall["R@1"][0],
        "MedR": recall["MedR"][0],
        "element-of": frames["element_of"]["value"],
        "boundary error, s": boundaries["median"]["value"],
    }


def _only(rows: Iterable[Mapping[str, Any]], **labels: str) -> Mapping[str, Any]:
    return next(row for row in rows if all(row.get(name) == value for name, value in labels.items()))


def read_results(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """(variant, seed) -> what the run left."""
    found = {}
    for path in sorted(results.glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if row.get("protocol") == PROTOCOL:
            found[row["variant"], row["seed"]] = row
    return found


def to_markdown(rows: Mapping[tuple[str, int], Mapping[str, Any]]) -> str:
    """All tables: means over seeds with half of the 95 % interval, and the difference to the frozen encoder, seed by seed."""
    figures = {key: headline(row) for key, row in rows.items()}
    lines: list[str] = []
    for title, names in TABLES.items():
        body = [_line(name, figures) for name in names if any(key[0] == name for key in figures)]
        if body:
            lines += [f"**{title}**", "", *table(["", "seeds", *next(iter(figures.values()))], body), ""]
    return "\n".join(lines)


def _line(name: str, figures: Mapping[tuple[str, int], Mapping[str, float]]) -> list[str]:
    seeds = sorted(seed for own, seed in figures if own == name)
    cells = []
    for figure in figures[name, seeds[0]]:
        shown = _show([figures[name, seed][figure] for seed in seeds])
        paired = [
            figures[name, seed][figure] - figures["nothing", seed][figure]
            for seed in seeds
            if ("nothing", seed) in figures
        ]
        cells.append(shown if name == "nothing" or not paired else f"{shown} ({_show(paired, signed=True)})")
    return [VARIANTS[name].label, ", ".join(map(str, seeds)), *cells]


def _show(values: Sequence[float], signed: bool = False) -> str:
    mean, half = interval(np.array(values)) if len(values) > 1 else (values[0], np.nan)
    shown = f"{mean:+.2f}" if signed else f"{mean:.2f}"
    return f"{shown} ± {half:.2f}" if np.isfinite(half) else shown


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
        tables: Annotated[bool, typer.Option("--tables", help="Run nothing.")] = False,
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.")] = None,
    ) -> None:
        import sys

        import torch

        if threads:
            torch.set_num_threads(threads)
        if not tables:
            for number in seed or SEEDS:
                for name in variant or VARIANTS:
                    run(name, number, (single, joined), work, results, lambda doing: print(doing, file=sys.stderr))
        print(to_markdown(read_results(results)))

    run_module(command)


if __name__ == "__main__":
    main()

"""Motion-aligned text encoding, from data and a language model to a word patch.

    stage 1  retrieval   a retrieval model with the language model frozen: L_rec + omega_2 * L_sent
    stage 2  segments    it segments every motion by the sub-texts of its captions
    stage 3  align       L_all = L_rec + omega_1 * L_word + omega_2 * L_sent; of the language model only the
                         word-embedding rows of the motion vocabulary move (or what `AlignConfig.train` says)

The stages and the criteria are the paper's; every number in `mate.align.config.AlignConfig` is ours unless its line says otherwise.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mate.align.aligner import Aligner
from mate.align.config import AlignConfig, check
from mate.align.corpus import Corpus
from mate.align.language import Source, finish, groups, own_words
from mate.align.relabel import relabel
from mate.align.report import evaluate, left_right_cosines
from mate.align.sampler import Sampler
from mate.align.segmentation import merge_to_fit, uniform_boundaries
from mate.align.stages import AlignStage, RetrievalStage
from mate.errors import MateError
from mate.files import atomic_path
from mate.text.encoder import DEFAULT_MODEL, TextEncoder
from mate.text.vocabulary import build_vocabulary
from mate.training import TrainConfig, TrainReport, autocast, mix_seed, train

FROZEN = "frozen"  # the retrieval model after stage 1, in the output folder
SEGMENTS = "segments.jsonl"
SETTINGS = "align.json"
REPORT = "report.json"


@dataclass(frozen=True)
class AlignResult:
    """What `align` wrote.

    Attributes:
        patch: the word patch (there is no such file where no rows moved, or more than rows). model: the retrieval model's folder.
        report: the figures, also in report.json. language_model: the folder of the tuned language model, where its layers moved.
    """

    patch: Path
    model: Path
    report: dict[str, Any]
    language_model: Path | None = None


def align(
    data: Sequence[str | Path],
    out: str | Path,
    encoder: str = DEFAULT_MODEL,
    config: AlignConfig | None = None,
    quiet: bool = False,
    evaluated: Sequence[str] = ("val", "test"),
) -> AlignResult:
    """Aligns a language model's motion words to motion.

    Writes into `out`: patch.safetensors, retrieval/ (a model folder for `mate score`), segments.jsonl, report.json, and under
    runs/ the checkpoints and tensorboard logs of both training stages. Interrupted, the same call continues.

    Args:
        data: folders in HumanML3D's layout.
        encoder: the language model, as `TextEncoder.from_pretrained` takes it.
        evaluated: the splits on which the report gives retrieval figures, before and after.

    Raises:
        MateError: the data or the language model cannot be used, or `out` holds a run with other settings.
    """
    config = config or AlignConfig()
    check(config)
    out = Path(out)
    corpus, relabelled = relabel(
        Corpus.open(data, "train", config.splitter), config.flip_sides, config.thin, config.seed
    )
    language = TextEncoder.from_pretrained(encoder, device=config.device)
    vocabulary = build_vocabulary(corpus.captions, language, config.least_count)
    names, licenses = ", ".join(corpus.names), "; ".join(corpus.licenses)
    model = replace(
        config.model,
        encoder=encoder,
        text_dim=language.dim,
        embedding_dim=language.table.shape[1],
        fps=corpus.datasets[0].fps,
        feature_dim=len(corpus.normaliser[0]),
        prior=config.prior,
        omega=config.omega,
        license=licenses,
        data=names,
    )
    config = replace(config, model=model)
    _remember(out, data, encoder, config)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seed(config.seed, "weights"))
        aligner = Aligner(model, language, *corpus.normaliser)
    aligner.to(config.device)
    lr_cosines = {"before": left_right_cosines(language)}

    total = config.retrieval_steps + config.steps
    pooled = _pooled(language, corpus.captions, config) if config.start is None else None

    # Stage 1
    first: TrainReport | None = None
    if pooled is None:
        _load_start(aligner, config, data, encoder)
    else:
        first = train(
            RetrievalStage(aligner, pooled, config),
            Sampler(corpus, vocabulary, language, config, "retrieval"),
            lambda module, batch, _: module(batch),
            out / "runs" / "retrieval",
            _train_config(config, config.retrieval_steps, config.retrieval_steps / total),
            name="retrieval",
            quiet=quiet,
        )
    aligner.eval()
    before = _known_before(config, evaluated) or _evaluations(aligner, data, evaluated)
    if first is not None:
        aligner.save_pretrained(out / FROZEN, _frozen_card(names, licenses))

    # Stage 2
    ready = Path(config.start or out) / SEGMENTS
    if config.start is not None and config.segmentation == "semantic" and ready.is_file():
        shutil.copyfile(ready, out / SEGMENTS)
    segments = _segments(aligner, corpus, config, out, quiet)

    # Stage 3 starts from stage 1's weights (ours: the paper does not say).
    own = None
    if config.rows == "whole-words":
        own, vocabulary = own_words(language, vocabulary, corpus.captions, config.least_count)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix_seed(config.seed, "align weights"))
        stage = AlignStage(aligner, vocabulary, config)
    stage.to(config.device)
    sampler = Sampler(corpus, vocabulary, language, config, "align", segments)
    second = train(
        stage,
        sampler,
        lambda module, batch, _: module(batch),
        out / "runs" / "align",
        _train_config(config, config.steps, config.steps / total),
        name="align",
        groups=groups(stage, stage.tuned, config),
        quiet=quiet,
    )

    stages = {"align": second} if first is None else {"retrieval": first, "align": second}
    report: dict[str, Any] = {
        "data": corpus.names,
        "license": licenses,
        "encoder": encoder,
        "table_sha256": language.table_sha256,
        "clips": len(corpus),
        "captions": len(corpus.captions),
        "captions_with_sub_texts": len(corpus.sub_texts),
        "motion_words": len(vocabulary),
        "rows": len(vocabulary.token_ids),
        **relabelled,
        "steps": {name: result.steps for name, result in stages.items()},
        "seconds": {name: round(result.seconds, 1) for name, result in stages.items()},
        "losses": {name: result.losses for name, result in stages.items()},
        "config": _jsonable(config),
    }
    source = Source(encoder, names, licenses)
    patch, tuned_folder = finish(aligner, stage.tuned, vocabulary, source, out, config, report, own)
    aligner.eval()
    lr_cosines["after"] = left_right_cosines(language)
    report["retrieval"] = {"before": before, "after": _evaluations(aligner, data, evaluated)}
    report["left_right_cosine"] = lr_cosines
    folder = aligner.save_pretrained(out / "retrieval", _card(report), patch)
    with atomic_path(out / REPORT) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return AlignResult(out / "patch.safetensors", folder, report, tuned_folder)


def _jsonable(config: AlignConfig) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(config)))


def _settings(data: Sequence[str | Path], encoder: str, config: AlignConfig) -> dict[str, Any]:
    """What a run was called with, but for what its stages do not depend on."""
    settings = {
        "data": [str(Path(folder).resolve()) for folder in data],
        "encoder": encoder,
        "config": _jsonable(config),
    }
    for free in ("device", "max_minutes", "least_change", "spread"):
        settings["config"].pop(free)
    return settings


def _remember(out: Path, data: Sequence[str | Path], encoder: str, config: AlignConfig) -> None:
    """Writes the run's settings, or refuses where `out` holds a run with others: stages of two runs must not be mixed."""
    settings = _settings(data, encoder, config)
    path = out / SETTINGS
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise MateError(f"{path} is damaged; choose another output folder") from error
        if known != settings:
            old, new = known.get("config", {}), settings["config"]
            changed = [key for key in new if old.get(key) != new[key]] or ["data or encoder"]
            raise MateError(
                f"{out} holds a run with other settings ({', '.join(changed)}); choose another output folder or remove it"
            )
        return
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _load_start(aligner: Aligner, config: AlignConfig, data: Sequence[str | Path], encoder: str) -> None:
    """The weights that stage 1 of another run left, which must have had the same data, language model and sizes."""
    from mate.checkpoints import load_folder, load_strict

    root = Path(config.start or "")
    try:
        known = json.loads((root / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MateError(f"{root} holds no finished run of `mate align`; give its output folder") from error
    ours, theirs = ({**one, **one["config"]} for one in (_settings(data, encoder, config), known))
    first = ["data", "encoder", "splitter", "seed", "flip_sides", "thin"]
    first += ["segmentation"] if config.segmentation == "semantic" else []
    changed = [name for name in first if theirs.get(name) != ours[name]]
    if changed:
        raise MateError(f"{root} is a run with other {', '.join(changed)}; its first stages cannot be taken over")
    _, tensors, folder = load_folder(root / FROZEN, "aligner")
    load_strict(aligner, tensors, folder)


def _train_config(config: AlignConfig, steps: int, share: float) -> TrainConfig:
    return TrainConfig(
        steps=steps,
        lr=config.lr,
        warmup=min(config.warmup, steps),
        betas=(0.9, 0.98),
        bf16=config.bf16,
        seed=config.seed,
        device=config.device,
        max_minutes=None if config.max_minutes is None else config.max_minutes * share,
    )


def _pooled(language: TextEncoder, texts: list[str], config: AlignConfig, truncate: bool = True) -> Tensor:
    """The language model's pooled vectors of texts, (number of texts, D), short ones together."""
    with autocast(config.device, config.bf16):
        return language.pooled(texts, batch_size=64, truncate=truncate)


def _segments(
    aligner: Aligner, corpus: Corpus, config: AlignConfig, out: Path, quiet: bool
) -> dict[tuple[int, str], tuple[np.ndarray, list[list[int]]]]:
    """Stage 2: boundaries for every (clip, caption with several sub-texts), kept in segments.jsonl.

    A clip is encoded once for all its captions. The stage is short; interrupted, it starts again.

    Returns:
        (item number, caption) -> boundaries (N + 1,) in latent units, and which sub-texts each segment holds.
    """
    path = out / SEGMENTS
    found: dict[tuple[int, str], tuple[np.ndarray, list[list[int]]]] = {}
    if path.is_file():  # a finished stage: the file appears when it is complete
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found[row["item"], row["caption"]] = (np.array(row["units"], dtype=np.int64), row["groups"])
        return found
    seconds = config.model.stride / config.model.fps
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        several = [
            (number, item, found_here)
            for number, item in enumerate(corpus.items)
            if (found_here := [caption for caption in item.captions if caption in corpus.sub_texts])
        ]
        said = {text for *_, captions in several for caption in captions for text in corpus.sub_texts[caption]}
        encode = _known_texts(aligner, said, config) if config.segmentation == "semantic" else None
        for number, item, captions in _shown(several, "segments", quiet):
            results = _segment_item(aligner, corpus, config, number, captions, encode)
            for caption, (units, own, groups) in zip(captions, results, strict=True):
                found[number, caption] = (units, groups)
                row = {
                    "item": number,
                    "name": corpus.datasets[item.dataset].names[item.index],
                    "caption": caption,
                    "sub_texts": corpus.sub_texts[caption],
                    "groups": groups,
                    "units": units.tolist(),
                    "seconds": [round(float(unit) * seconds, 2) for unit in units],
                    "cosines": [round(float(value), 4) for value in own],
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return found


def _shown(items: Sequence[Any], name: str, quiet: bool) -> Iterator[Any]:
    """The items, with a progress bar on standard error; in a log file, a line every half minute."""
    import sys
    import time

    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not quiet and console.is_terminal:
        yield from track(items, name, console=console)
        return
    told = time.monotonic()
    for number, item in enumerate(items):
        if not quiet and time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"{name}: {number}/{len(items)}", file=sys.stderr, flush=True)
        yield item


def _known_texts(aligner: Aligner, texts: Collection[str], config: AlignConfig) -> Callable[[Sequence[str]], Tensor]:
    """f^t of texts as a function, those of `texts` computed once and short ones together: captions share most of their sub-texts."""
    ordered = sorted(texts)
    pooled = _pooled(aligner.text_encoder, ordered, config, truncate=False).to(aligner.device)
    with torch.no_grad(), autocast(aligner.device, config.bf16):
        known = dict(zip(ordered, aligner.project_text(pooled), strict=True))

    def encode(wanted: Sequence[str]) -> Tensor:
        return torch.stack([known[text] if text in known else aligner.encode_text([text])[0] for text in wanted])

    return encode


def _segment_item(
    aligner: Aligner,
    corpus: Corpus,
    config: AlignConfig,
    number: int,
    captions: list[str],
    encode: Callable[[Sequence[str]], Tensor] | None,
) -> list[tuple[np.ndarray, np.ndarray, list[list[int]]]]:
    parts = [corpus.sub_texts[caption] for caption in captions]
    if encode is not None:
        with autocast(config.device, config.bf16):
            return aligner.segments(np.asarray(corpus.features(number)), parts, encode)
    units = max(1, corpus.items[number].frames // config.model.stride)
    merged = [merge_to_fit([[n] for n in range(len(part))], units) for part in parts]
    return [
        (uniform_boundaries(units, len(groups)), np.zeros(len(groups), dtype=np.float32), groups) for groups in merged
    ]


def _known_before(config: AlignConfig, splits: Sequence[str]) -> dict[str, Any] | None:
    """The figures of stage 1 where it is another run's that is finished and has them."""
    report = Path(config.start or "") / REPORT
    if config.start is None or not report.is_file():
        return None
    known = json.loads(report.read_text(encoding="utf-8"))["retrieval"]["before"]
    return {name: known[name] for name in splits} if known.keys() >= set(splits) else None


def _evaluations(aligner: Aligner, data: Sequence[str | Path], splits: Sequence[str]) -> dict[str, Any]:
    """The retrieval figures on those of the splits that are there."""
    found = {}
    for name in splits:
        try:
            corpus = Corpus.open(data, name)
        except MateError:
            continue
        found[name] = evaluate(aligner, corpus)
    return found


def _frozen_card(data: str, licenses: str) -> str:
    return "\n".join(
        [
            "# Motion-text retrieval model with the language model as published",
            "",
            f"What stage 1 of `mate align` leaves: trained on {data}. It segments motions and is the frozen baseline.",
            "",
            f"Licence of the weights, from their data: {licenses}",
            "",
        ]
    )


def _card(report: dict[str, Any]) -> str:
    """The retrieval model's model card."""
    lines = [
        "# Motion-text retrieval model",
        "",
        f"Trained with `mate align` on {', '.join(report['data'])} ({report['clips']} clips, {report['captions']} captions).",
        f"Language model: {report['encoder']}; trained in it: {report['config']['train']} ({report['rows_in_patch']} rows in the patch).",
        "",
        f"Licence of the weights, from their data: {report['license']}",
        "",
        "| split | stage | R@1 | R@3 | R@10 | left/right told apart |",
        "|---|---|---|---|---|---|",
    ]
    for stage in ("before", "after"):
        for split_name, figures in report["retrieval"][stage].items():
            recall = figures["text_to_motion"]
            side = figures["left_right_accuracy"]
            shown = "-" if side is None else f"{side:.3f}"
            ranks = " | ".join(f"{value:.3f}" for value in recall.values())
            lines.append(f"| {split_name} | {stage} alignment | {ranks} | {shown} |")
    lines += [
        "",
        "Text to motion over the whole split; a hit is the clip itself or one that shows the same (content and style).",
        '"before": after stage 1, with the language model as published.',
        "",
    ]
    return "\n".join(lines)

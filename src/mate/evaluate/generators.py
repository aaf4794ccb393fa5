"""Generators with and without motion-aligned words, trained alike and measured alike: the rows of one table.

A row is (kind of generator, text encoder, seed). Rows of one kind and seed have the same initial weights, batches, steps, prompts and
noise; only the text vectors differ. What knows no text, MoMask's tokeniser with its decoder, is trained once a seed and shared.

    RUNS/           runs that can be continued, cached text vectors and tokens
    OUT/            a small JSON for each finished row, KIND-ENCODER-SEED.json; rows that are there are left out

`mate.evaluate.generator_table` makes the table of them.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mate.errors import MateError
from mate.evaluate.card import to_json, versions, write_text
from mate.evaluate.row import Measure, measure
from mate.files import read_object

if TYPE_CHECKING:
    from mate.evaluate.evaluators import Evaluator
    from mate.text.encoder import TextEncoder

KIND = "mate-generator-row-1"
GENERATORS = ("momask", "mdm")
ENCODERS = ("frozen", "patch", "tuned")
SHARED = ("vq", "decoder")  # MoMask's stages that know no text
TEXTS, TOKENS = "texts.safetensors", "tokens.safetensors"
_OF_DATA = ("dataset.json", "train.txt", "meta.jsonl", "Mean.npy")


@dataclass(frozen=True)
class Row:
    """Attributes: generator: of `GENERATORS`; encoder: of `ENCODERS`; seed: of weights, batches, dropout and samples."""

    generator: str
    encoder: str
    seed: int

    @property
    def name(self) -> str:
        """momask-frozen-0"""
        return f"{self.generator}-{self.encoder}-{self.seed}"


@dataclass(frozen=True)
class Plan:
    """What all rows share.

    Attributes:
        data: training sets (HumanML3D's layout). weights: of the sets; None: their clip counts.
        measure: where and how rows are measured.
        runs, out: see the module.
        encoder: the language model as it was published. patch: a word patch for it. tuned: it, wholly tuned, as a Hugging Face folder.
        preset: of both kinds of generator. steps: of every stage instead of the preset's; None: the preset's.
        evaluators: folders of evaluators; (): the packaged ones. glove: of the released one.
        device: where to train.
    """

    data: tuple[Path, ...]
    measure: Measure
    runs: Path
    out: Path
    weights: tuple[float, ...] | None = None
    encoder: str = "all-MiniLM-L6-v2"
    patch: Path | None = None
    tuned: Path | None = None
    preset: str = "table"
    steps: int | None = None
    evaluators: tuple[Path, ...] = ()
    glove: Path | None = None
    device: str = "cpu"


def rows(generators: Sequence[str], encoders: Sequence[str], seeds: int) -> Iterator[Row]:
    """All rows, seed by seed, so that what is there first can be compared.

    Raises:
        MateError: an unknown generator or encoder.
    """
    for given, known in ((generators, GENERATORS), (encoders, ENCODERS)):
        if unknown := [name for name in given if name not in known]:
            raise MateError(f"got {unknown[0]!r}, expected one of {', '.join(known)}")
    return (Row(kind, encoder, seed) for seed in range(seeds) for kind in generators for encoder in encoders)


def check(plan: Plan, wanted: Sequence[Row]) -> None:
    """Raises MateError, before hours of work, for what a row needs and is not there."""
    for name, given in (("patch", plan.patch), ("tuned", plan.tuned)):
        if any(row.encoder == name for row in wanted) and given is None:
            raise MateError(
                f"rows with the text encoder {name!r} need --{name}; give it, or leave them out with --encoder"
            )
    for folder in (*plan.data, *plan.measure.tests):
        if not (folder / "new_joint_vecs").is_dir():
            raise MateError(f"{folder} is no prepared set: no new_joint_vecs in it; `mate prepare` makes one")
    if plan.patch is not None and not plan.patch.is_file():
        raise MateError(f"no word patch at {plan.patch}; `mate align` makes one")
    if plan.tuned is not None and not (plan.tuned / "config.json").is_file():
        raise MateError(f"no language model at {plan.tuned}: no config.json in it; give a Hugging Face folder")
    _check_layouts(plan)
    for row in wanted:
        settings(plan, row)


def _check_layouts(plan: Plan) -> None:
    """Raises MateError where a set or an evaluator is not of the skeleton of the first training set."""
    from mate.data.dataset import read_description
    from mate.evaluate.evaluators import open_evaluator
    from mate.motion.layout import FEATURE_DIM

    first, *others = (*plan.data, *plan.measure.tests)
    width = len(read_description(first).mean)
    for folder in others:
        if (other := len(read_description(folder).mean)) != width:
            raise MateError(
                f"{folder} has {other} numbers a frame, {first} {width}; a table is about sets of one skeleton"
            )
    if width != FEATURE_DIM and not plan.evaluators:
        raise MateError(
            f"the packaged evaluators read {FEATURE_DIM} numbers a frame, {first} has {width}; give --evaluator "
            "(`mate train evaluator` makes one)"
        )
    for path in plan.evaluators:
        if (reads := open_evaluator(path, plan.glove).width) != width:
            raise MateError(
                f"the evaluator {path} reads {reads} numbers a frame, {first} has {width}; give one that was made for it"
            )


def settings(plan: Plan, row: Row) -> dict[str, Any]:
    """What rows of one generator must agree in to stand in one table, JSON-able."""
    from mate.generate.mdm import config as mdm
    from mate.generate.momask import config as momask

    changes = {"seed": 0, "device": plan.device} | ({"steps": plan.steps} if plan.steps else {})
    module: Any = momask if row.generator == "momask" else mdm
    config = json.dumps(module.to_dict(module.with_training(module.preset(plan.preset), **changes)), sort_keys=True)
    return {
        "preset": plan.preset,
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "data": [{"name": folder.resolve().name, "sha256": data_sha256(folder)} for folder in plan.data],
        "weights": None if plan.weights is None else list(plan.weights),
        "base": Path(plan.encoder).name,
        "measure": {key: value for key, value in asdict(plan.measure).items() if key != "tests"}
        | {"tests": [{"name": folder.resolve().name, "sha256": data_sha256(folder)} for folder in plan.measure.tests]},
    }  # fmt: skip


def data_sha256(folder: Path) -> str:
    """Of a prepared set's description, splits and facts: changes when the set is made anew in another way."""
    digest = hashlib.sha256()
    for name in _OF_DATA:
        if (path := folder / name).is_file():
            digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


def run(plan: Plan, wanted: Sequence[Row], say: Callable[[str], None]) -> list[Path]:
    """Trains and measures the rows that are not there yet; returns the files of all.

    Raises:
        MateError: something is missing, or a file is there that was made with other settings.
    """
    check(plan, wanted)
    files = [plan.out / f"{row.name}.json" for row in wanted]
    for row, path in zip(wanted, files, strict=True):
        if path.is_file():
            _check_same(path, settings(plan, row))
    for number, (row, path) in enumerate(zip(wanted, files, strict=True), 1):
        if path.is_file():
            say(f"{row.name}: there already")
            continue
        say(f"{row.name}: row {number} of {len(wanted)}")
        card = finish(plan, row, train(plan, row), lambda text, name=row.name: say(f"{name}: {text}"))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, to_json(card))
        say(f"{row.name}: wrote {path}")
    return files


def read_row(path: Path) -> dict[str, Any]:
    """A row's JSON. Raises MateError: no such file, or another kind of file."""
    card = read_object(path, "`mate train table` writes such files")
    if card.get("card") != KIND:
        raise MateError(f"{path} is no row of the table of generators; `mate train table` writes such files")
    return card


def _check_same(path: Path, wanted: dict[str, Any]) -> None:
    found = read_row(path)["settings"]
    if differ := [key for key in wanted if json.loads(json.dumps(wanted[key])) != found.get(key)]:
        raise MateError(
            f"{path} was made with another {', '.join(differ)}; repeat the command that made it, or choose another output folder"
        )


def text_encoder(plan: Plan, name: str) -> "TextEncoder":
    """The text encoder of rows of that name."""
    from mate.text.encoder import TextEncoder

    if name == "tuned":
        return TextEncoder.from_pretrained(str(plan.tuned))
    return TextEncoder.from_pretrained(plan.encoder, patch=plan.patch if name == "patch" else None)


def train(plan: Plan, row: Row) -> Path:
    """Trains a row, or goes on with it; returns its model folder."""
    from mate.generate.mdm import config as mdm_settings
    from mate.generate.mdm import recipe as mdm
    from mate.generate.momask import config as momask_settings
    from mate.generate.momask import recipe as momask
    from mate.generate.stages import copy_once, take, work_folder

    out = plan.runs / row.name
    texts = plan.runs / f"{row.encoder}.{TEXTS}"
    copy_once(texts, work_folder(out) / TEXTS)
    encoder = text_encoder(plan, row.encoder)
    patch = plan.patch if row.encoder == "patch" else None
    changes = {"seed": row.seed, "device": plan.device} | ({"steps": plan.steps} if plan.steps else {})
    if row.generator == "mdm":
        config = mdm_settings.with_training(mdm_settings.preset(plan.preset), **changes)
        mdm.train_generator(plan.data, out, config, encoder=encoder, patch=patch, weights=plan.weights)
    else:
        config = momask_settings.with_training(momask_settings.preset(plan.preset), **changes)
        shared = plan.runs / f"momask-shared-{row.seed}"
        if not (work_folder(shared) / SHARED[-1] / "final.safetensors").is_file():
            momask.train_generator(plan.data, shared, config, encoder=encoder, weights=plan.weights, stages=SHARED)
        take(SHARED, shared, out)
        copy_once(work_folder(shared) / TOKENS, work_folder(out) / TOKENS)
        momask.train_generator(
            plan.data, out, config, encoder=encoder, patch=patch, weights=plan.weights, stages=momask.TOKEN_STAGES
        )
        copy_once(work_folder(out) / TOKENS, work_folder(shared) / TOKENS)
    copy_once(work_folder(out) / TEXTS, texts)
    return out


def finish(plan: Plan, row: Row, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures a trained row: its JSON."""
    from mate.checkpoints import WEIGHTS, generator_class, sha256
    from mate.evaluate.evaluators import open_evaluator, shipped
    from mate.generate.clips import encoder_sha256

    evaluators: list[Evaluator] = [open_evaluator(one, plan.glove) for one in plan.evaluators or shipped()]
    generator: Any = generator_class(folder).from_pretrained(folder)
    begun = time.monotonic()
    measured = measure(generator, evaluators, plan.measure, row.seed, say)
    return {
        "card": KIND,
        **asdict(row),
        "settings": settings(plan, row),
        "text_encoder": {
            "name": Path(generator.encoder.model_id).name,
            "sha256": encoder_sha256(generator.encoder),
            "patch_sha256": sha256(plan.patch) if row.encoder == "patch" and plan.patch else None,
        },
        "training": generator.facts["training"],
        "model_sha256": sha256(folder / WEIGHTS),
        "license": generator.facts["license"],
        "measured": measured,
        "measured_minutes": round((time.monotonic() - begun) / 60, 1),
        "versions": versions(),
    }

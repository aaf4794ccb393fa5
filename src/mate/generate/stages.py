"""What the training of every generator shares: stages that are kept for later calls, and the model card.

`OUT.train/STAGE/` holds a stage's run and, when it is finished, its weights and report; `OUT/` is the model folder.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from mate.checkpoints import load_strict
from mate.errors import MateError
from mate.files import atomic_path
from mate.motion.layout import FeatureSpec
from mate.training import LossFn, TrainConfig, TrainReport, train

NAMES = {"humanml3d": "HumanML3D", "kit": "KIT-ML"}
FINAL = "final.safetensors"
REPORT = "report.json"


class Stages:
    """The stages of one training.

    Args:
        out: the model folder that they lead to.
        known: all stages, in order.
        chosen: those that this call trains; the others keep what earlier calls gave.
        quiet: no progress output.

    Attributes:
        work: `OUT.train`.
        reports: of the stages that this call trained.

    Raises:
        MateError: an unknown stage.
    """

    def __init__(self, out: str | Path, known: Sequence[str], chosen: Sequence[str], quiet: bool = False):
        unknown = [stage for stage in chosen if stage not in known]
        if unknown:
            raise MateError(f"got the stage {unknown[0]!r}, expected {', '.join(known)} or all")
        self.work, self.known, self.chosen, self.quiet = work_folder(out), tuple(known), tuple(chosen), quiet
        self.reports: dict[str, TrainReport] = {}

    def run(
        self, stage: str, module: nn.Module, batch: Callable[[int], object], loss: LossFn, settings: TrainConfig
    ) -> None:
        """Trains a chosen stage and keeps its weights; loads those of an earlier call into another one, where there are any."""
        if stage in self.chosen:
            self.reports[stage] = train(module, batch, loss, self.work / stage, settings, name=stage, quiet=self.quiet)
            self._keep(stage, module)
        else:
            self.load(stage, module)
        module.cpu().eval()

    def load(self, stage: str, module: nn.Module) -> None:
        """The weights that an earlier call gave a stage, where there are any."""
        if (self.work / stage / FINAL).is_file():
            load_strict(module, load_file(self.work / stage / FINAL), self.work / stage)

    def facts(self) -> dict[str, Any]:
        """Steps, minutes and losses of every finished stage, of earlier calls too."""
        known = [(stage, self.work / stage / REPORT) for stage in self.known]
        return {stage: json.loads(path.read_text()) for stage, path in known if path.is_file()}

    def say(self, text: str) -> None:
        """A line of progress on standard error."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def _keep(self, stage: str, module: nn.Module) -> None:
        report = self.reports[stage]
        with atomic_path(self.work / stage / FINAL) as tmp:
            save_file({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}, tmp)
        losses = {name: round(value, 5) for name, value in report.losses.items()}
        facts = {"steps": report.steps, "minutes": round(report.seconds / 60, 1), **losses}
        with atomic_path(self.work / stage / REPORT) as tmp:
            tmp.write_text(json.dumps(facts))


def work_folder(out: str | Path) -> Path:
    """Where the training of the model folder `out` keeps what is needed to continue."""
    out = Path(out)
    return out.with_name(out.name + ".train")


def model_card(
    title: str,
    method: str,
    facts: Mapping[str, Any],
    parts: Mapping[str, int],
    seconds: tuple[float, float],
    encoder: str,
    spec: FeatureSpec,
    command: str = "",
) -> str:
    """The README.md of a generator's folder.

    Args:
        title, method: of the generator, in words.
        facts: license, training_data and training of its config.json.
        parts: name of a part -> its parameters.
        seconds: the shortest and the longest motion that it makes.
        encoder: the text encoder's name.
        spec: what it makes.
        command: what was typed.
    """
    rows = [f"| {stage} | {done['steps']} | {done['minutes']} |" for stage, done in facts.get("training", {}).items()]
    data = [f"- `{d['folder']}`: {d['clips']} training clips; licence: {d['license']}" for d in facts["training_data"]]
    return "\n".join([
        f"# {title}",
        "",
        f"Prompts in, human motion out: {spec.skeleton.joints} joints (the {NAMES[spec.skeleton.name]} skeleton), {spec.fps:g} frames a "
        f"second, {seconds[0]:g} to {seconds[1]:g} seconds. "
        f"{method} The text encoder is not inside, only its name and, if there is one, a word patch.",
        "",
        f"**Licence of the weights: {facts['license']}** (it follows the training data). Outputs carry it in their metadata.",
        "",
        "## Training data", "", *data, "",
        f"Text encoder: {encoder}.", "",
        "## Size", "", *(f"- {name}: {count / 1e6:.2f} M" for name, count in parts.items()), "",
        "## Training", "", "| stage | steps | minutes |", "|---|---|---|", *rows, "",
        *(["```", command, "```", ""] if command else []),
        "## Limits", "",
        "It knows the actions of its training data and little else. Captions may be templated; see the data's own description.", "",
        "The resolved configuration stands in `config.json`.", "",
    ])  # fmt: skip


def take(stages: Sequence[str], source: str | Path, out: str | Path) -> None:
    """Gives the training of `out` the finished stages of the model folder `source`, bit for bit; those that it has stay."""
    for stage in stages:
        for name in (FINAL, REPORT):
            copy_once(work_folder(source) / stage / name, work_folder(out) / stage / name)


def copy_once(source: Path, target: Path) -> None:
    """Copies a file that is there to a place where none is."""
    if source.is_file() and not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as tmp:
            shutil.copyfile(source, tmp)

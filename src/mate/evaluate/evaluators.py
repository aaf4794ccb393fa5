"""One way to ask every evaluator: our own (`mate train evaluator`) and the released one of text-to-motion papers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mate.checkpoints import CONFIG, WEIGHTS, default_model, read_config, sha256
from mate.data.dataset import Caption
from mate.errors import MateError

SHIPPED = ("evaluator-words", "evaluator-sentences")  # in mate.checkpoints.PACKAGED
# Widths of features that people bring and that no evaluator of 263 (or 251) numbers can read, and what to do about it.
OTHER_WIDTHS = {
    66: "22 joints in one row; save them as joints (T, 22, 3)",
    67: "HumanML3D's features without rotations, velocities and contacts, whose own evaluator is another network. "
    "Recover the joints (T, 22, 3) from them at 20 fps: those are evaluated here as everybody's are",
    75: "25 joints in one row; save the 22 of the body as joints (T, 22, 3)",
    135: "a root position and 22 6-D rotations. Run your body model and save the joints (T, 22, 3)",
    151: "EDGE's features of another skeleton. Run its body model and save the joints (T, 22, 3)",
    251: "KIT-ML's 21 joints, in millimetres at 12.5 fps. They compare with KIT-ML's evaluator and data alone: give --data a KIT-ML set",
    263: "HumanML3D's features. They compare with HumanML3D's evaluator and data alone: give --data a set of 22 joints",
    272: "SMPL's 6-D rotations at 30 fps, whose own evaluator is another network. Recover the joints (T, 22, 3) and give --fps 30",
}


class Evaluator(Protocol):
    """Texts and motions in one space.

    Attributes: name: for tables. width: numbers a frame that it reads. about: JSON-able: what it is, hashes of its files.
    """

    name: str
    width: int
    about: dict[str, Any]

    def motions(self, motions: Sequence[np.ndarray]) -> np.ndarray:
        """Raw features (T_i, width) -> (N, E) float64."""
        ...

    def texts(self, captions: Sequence[Caption]) -> np.ndarray:
        """Captions -> (N, E) float64."""
        ...


class Own:
    """An `OwnEvaluator` as an `Evaluator`."""

    def __init__(self, folder: Path, device: str, batch_size: int) -> None:
        from mate.evaluate.own_evaluator import OwnEvaluator, describe

        self.model = OwnEvaluator.from_pretrained(folder, device)
        config = self.model.config
        self.batch_size = batch_size
        self.name, self.width = folder.name, config.feature_dim
        self.about = {
            "name": self.name,
            "type": "own",
            "kind": config.kind,
            "reads": describe(config),
            "seed": config.seed,
            "trained_on": config.data,
            "license": config.license,
            "sha256": sha256(folder / WEIGHTS),
        }

    def motions(self, motions: Sequence[np.ndarray]) -> np.ndarray:
        """See `Evaluator`."""
        return self.model.embed_motions(motions, self.batch_size)

    def texts(self, captions: Sequence[Caption]) -> np.ndarray:
        """See `Evaluator`."""
        return self.model.embed_texts([caption.text for caption in captions])


class Released:
    """The evaluator of text-to-motion papers (Guo et al., CVPR 2022) from its released files."""

    def __init__(self, folder: Path, glove: Path | None, device: str, batch_size: int) -> None:
        from mate.evaluate.t2m_evaluator import T2MEvaluator

        self.model = T2MEvaluator.from_files(folder, glove=glove, device=device)
        self.batch_size = batch_size
        self.about = {"type": "t2m", **self.model.description}
        self.name, self.width = str(self.about.get("name", folder.name)), int(self.about["width"])

    def motions(self, motions: Sequence[np.ndarray]) -> np.ndarray:
        """See `Evaluator`."""
        return np.asarray(self.model.embed_motions(list(motions), self.batch_size), dtype=np.float64)

    def texts(self, captions: Sequence[Caption]) -> np.ndarray:
        """See `Evaluator`. Captions without tags get them from `mate.data.captions.tag`."""
        from mate.data.captions import tag

        distinct = sorted({caption.tags or tag(caption.text) for caption in captions})
        place = {tags: number for number, tags in enumerate(distinct)}
        found = np.asarray(self.model.embed_texts(distinct), dtype=np.float64)
        return found[[place[caption.tags or tag(caption.text)] for caption in captions]]


def open_evaluator(
    folder: str | Path, glove: str | Path | None = None, device: str = "cpu", batch_size: int = 64
) -> Evaluator:
    """An evaluator from its folder: ours by its config.json, otherwise the released files.

    Raises:
        MateError: no such folder, or one that is no evaluator.
    """
    path = Path(folder)
    if not path.is_dir():
        raise MateError(
            f"no evaluator at {path}; give a folder of `mate train evaluator`, or that of the released files"
        )
    if not (path / CONFIG).is_file():
        return Released(path, None if glove is None else Path(glove), device, batch_size)
    kind = read_config(path)["model_type"]
    if kind != "evaluator":
        raise MateError(
            f"{path} is a model of type {kind!r}, expected an evaluator; `mate train evaluator DATA -o DIR` makes one"
        )
    return Own(path, device, batch_size)


def shipped() -> list[Path]:
    """The folders of the evaluators that come with the package.

    Raises:
        MateError: this installation has none.
    """
    found = []
    for name in SHIPPED:
        try:
            found.append(default_model(name))
        except MateError:
            continue
    if not found:
        raise MateError(
            "this installation has no evaluator; train two with `mate train evaluator DATA -o DIR --preset words` and `--preset "
            "sentences` and give them with --evaluator DIR, twice"
        )
    return found


def check_width(width: int, expected: int, where: str | Path) -> None:
    """Raises MateError, naming the kind of features and what would be comparable, unless the widths agree."""
    if width != expected:
        hint = OTHER_WIDTHS.get(width, "not a layout that is known here. Save joints (T, 22, 3) in metres")
        raise MateError(f"{where}: {width} numbers a frame, the evaluation reads {expected}. {width}: {hint}")

"""From prompts to motion files: what `mate generate` does. Checks come first and need no PyTorch."""

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mate.checkpoints import default_model, read_config, resolve
from mate.errors import MateError
from mate.files import atomic_folder
from mate.formats.save import SUFFIXES, save_motion

MAX_CHARACTERS = 2000
INDEX = "index.jsonl"


@dataclass(frozen=True)
class Request:
    """A checked request.

    Attributes:
        texts: the prompts.
        seconds: one length a prompt, or None: the model chooses.
        seed: see `Generator.sample`.
        suffixes: ".npy", ".bvh", ...
        out: the folder to write into.
        model: the model folder.
        guidance: see `Generator.sample`.
    """

    texts: list[str]
    seconds: list[float] | None
    seed: int
    suffixes: list[str]
    out: Path
    model: Path
    guidance: float | None


def read_prompts(path: Path) -> list[str]:
    """The lines of a text file, without blank ones. Raises MateError: no such file, not UTF-8, no prompts."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise MateError(
            f"cannot read the prompts in {path}: {error.strerror}; give a text file with one prompt a line"
        ) from error
    except UnicodeDecodeError as error:
        raise MateError(f"{path} is not UTF-8 text; expected one prompt a line") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise MateError(f"{path} has no prompts; expected one a line")
    return texts


def request(
    texts: Sequence[str],
    seconds: Sequence[float] | None,
    seed: int,
    formats: Sequence[str],
    out: str | Path,
    model: str | Path = "default",
    guidance: float | None = None,
) -> Request:
    """Checks everything that can be checked without the model's weights.

    Raises:
        MateError: no or empty or overlong prompt, unknown format, a length out of range, no model, an output that cannot be written.
    """
    if not texts:
        raise MateError('got no prompt; give one in quotes ("a person walks forward") or a file with --prompts')
    for i, text in enumerate(texts):
        which = "the prompt" if len(texts) == 1 else f"prompt {i + 1}"
        if not text.strip():
            raise MateError(f"{which} is empty; say in words what the body does")
        if len(text) > MAX_CHARACTERS:
            raise MateError(
                f"{which} has {len(text):,} characters, at most {MAX_CHARACTERS:,} are possible; shorten it"
            )
    suffixes = list(dict.fromkeys("." + name.strip().lower().removeprefix(".") for name in formats))
    unknown = [suffix for suffix in suffixes if suffix not in SUFFIXES]
    if unknown:
        known = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise MateError(f"got the format {unknown[0][1:]!r}, expected one or more of {known}, with commas between")
    if not 0 <= seed < 2**63:
        raise MateError(f"got the seed {seed}, expected 0 to 2^63 - 1")
    if guidance is not None and not (math.isfinite(guidance) and 0 <= guidance <= 100):
        raise MateError(f"got a guidance of {guidance}, expected 0 to 100 (1 is none, about 4 is usual)")
    packaged = str(model) in ("default", "kinwords") and not Path(model).exists()
    folder = default_model(str(model)) if packaged else resolve(model)
    lengths = _lengths(seconds, len(texts), read_config(folder))
    out = Path(out)
    _check_writable(out)
    return Request(list(texts), lengths, seed, suffixes, out, folder, guidance)


def _lengths(seconds: Sequence[float] | None, prompts: int, config: dict[str, Any]) -> list[float] | None:
    if not seconds:
        return None
    if len(seconds) not in (1, prompts):
        raise MateError(f"got {len(seconds)} lengths for {prompts} prompts, expected one for all or one for each")
    settings = config.get("config", {})
    low, high = float(settings.get("min_seconds", 0.5)), float(settings.get("max_seconds", 10.0))
    for value in seconds:
        if not (math.isfinite(value) and low <= value <= high):
            raise MateError(f"got a length of {value:g} s; this model makes {low:g} to {high:g} s")
    return [float(value) for value in seconds] * (prompts if len(seconds) == 1 else 1)


def _check_writable(out: Path) -> None:
    """Raises MateError unless files can be made in `out` or, while it is not there, in its nearest parent."""
    if out.exists() and not out.is_dir():
        raise MateError(f"{out} is a file, expected a folder or a free name; choose another -o")
    place = out.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise MateError(f"cannot write into {out}: {place} is a file; choose another -o")
    try:
        with tempfile.TemporaryDirectory(prefix=".mate-", dir=place):
            pass
    except OSError as error:
        raise MateError(f"cannot write into {out}: {error.strerror}; choose another -o") from error


def make(
    wanted: Request,
    *,
    device: str = "cpu",
    patch: bool = True,
    foot_lock: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Generates and writes the motions; returns the rows of index.jsonl.

    Either all files appear or none: they are made in a folder beside `wanted.out` first. Other files in an existing folder stay.

    Args:
        wanted: from `request`.
        device: where to compute.
        patch: False: the language model as published.
        foot_lock: False: without the post-processing of feet.
        progress: told (motions done, motions in all).
    """
    from mate.checkpoints import WEIGHTS, model_class
    from mate.generate.momask.model import PATCH
    from mate.motion.motion import Motion

    kind = model_class(wanted.model)
    if not hasattr(kind, "sample"):
        raise MateError(f"{wanted.model} is no generator; give --model the folder of one")
    model = kind.from_pretrained(wanted.model, device=device, patch=patch)
    motions = model.sample(
        wanted.texts, wanted.seconds, wanted.seed, wanted.guidance, foot_lock=foot_lock, progress=progress
    )
    license = str(model.facts.get("license", "not stated"))
    weights = read_config(wanted.model)["sha256"][WEIGHTS]
    name = wanted.model.name
    patched = patch and (wanted.model / PATCH).is_file()
    rows: list[dict[str, Any]] = []
    with _all_or_nothing(wanted.out) as folder:
        for i, (text, joints) in enumerate(zip(wanted.texts, motions, strict=True)):
            seconds = len(joints) / model.fps
            facts = {"prompt": text, "seconds": seconds, "seed": wanted.seed, "model": name, "license": license}
            metadata = {key: str(value) for key, value in facts.items()} | {
                "generator": "mate",
                "model_sha256": weights,
            }
            files = [f"{i:04d}{suffix}" for suffix in wanted.suffixes]
            for file in files:
                save_motion(Motion(joints, model.fps, name=text), folder / file, metadata)
            rows.append(
                {"prompt": text, "file": files[0], "files": files, **facts, "patch": patched, "model_sha256": weights}
            )
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / INDEX).write_text("".join(lines), encoding="utf-8")
    return rows


@contextmanager
def _all_or_nothing(out: Path) -> Iterator[Path]:
    """A folder to fill: it becomes `out`, or its files move into `out` where that is there already."""
    if not out.exists():
        with atomic_folder(out) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory(prefix=".mate-", dir=out) as name:
        folder = Path(name)
        yield folder
        for file in sorted(folder.iterdir()):
            os.replace(file, out / file.name)

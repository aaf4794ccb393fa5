"""From prompts to motion files: what `mate generate` does. Checks come first and need no PyTorch."""

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mate.checkpoints import generator_class, read_config, resolve
from mate.errors import MateError
from mate.files import atomic_folder
from mate.formats.save import SUFFIXES, save_motion

if TYPE_CHECKING:
    import numpy as np

    from mate.generate.timeline import Step

MAX_CHARACTERS = 2000
INDEX = "index.jsonl"
PATCH = "patch.safetensors"
DTYPES = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class Change:
    """What is to be done to a motion.

    Attributes:
        motion: the file; any format that `load_motion` reads.
        start, end: the seconds that are made anew. Both None: the motion is continued after its end.
        parts: the body parts that are made anew; (): the whole body.
        path: a .npy file (T, 2) with the root's way in the plane, metres; None: free.
    """

    motion: Path
    start: float | None = None
    end: float | None = None
    parts: tuple[str, ...] = ()
    path: Path | None = None


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
        steps: of a timeline, which is one motion; `texts` then holds the timeline as it was given. None: one motion a prompt.
        change: what is done to a motion by the one prompt. None: motions from nothing.
    """

    texts: list[str]
    seconds: list[float] | None
    seed: int
    suffixes: list[str]
    out: Path
    model: Path
    guidance: float | None
    steps: "list[Step] | None" = None
    change: Change | None = None


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
    timeline: str | None = None,
    change: Change | None = None,
) -> Request:
    """Checks everything that can be checked without the model's weights.

    Raises:
        MateError: no or empty or overlong prompt, unknown format, a length out of range, no model, an output that cannot be written,
            things asked for that exclude each other, or a motion to change with a model of other joints than HumanML3D's.
    """
    if timeline is not None:
        if texts or seconds or change is not None:
            raise MateError(
                "got a timeline and prompts, lengths or a motion beside it; the timeline holds the prompts and their lengths"
            )
        texts = [timeline.strip()]
    if not texts:
        raise MateError('got no prompt; give one in quotes ("a person walks forward") or a file with --prompts')
    for i, text in enumerate(texts):
        which = "the prompt" if len(texts) == 1 else f"prompt {i + 1}"
        if not text.strip():
            raise MateError(f"{which} is empty; say in words what the body does")
        if len(text) > MAX_CHARACTERS and timeline is None:
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
    folder = resolve(model)
    config = read_config(folder)
    lengths = _lengths(seconds, len(texts), config, least=0.05 if change is not None else None)
    steps = None if timeline is None else _steps(timeline, config)
    if change is not None:
        _check_change(change, texts, seconds, config)
    out = Path(out)
    _check_writable(out)
    return Request(list(texts), lengths, seed, suffixes, out, folder, guidance, steps, change)


def _limits(config: dict[str, Any]) -> tuple[float, float]:
    settings = config.get("config", {})
    return float(settings.get("min_seconds", 0.5)), float(settings.get("max_seconds", 10.0))


def _steps(timeline: str, config: dict[str, Any]) -> "list[Step]":
    from mate.generate.timeline import check_seconds, parse_timeline

    steps = parse_timeline(timeline)
    for step in steps:
        check_seconds(step.seconds, *_limits(config))
        if len(step.text) > MAX_CHARACTERS:
            raise MateError(
                f"a step's prompt has {len(step.text):,} characters, at most {MAX_CHARACTERS:,} are possible"
            )
    return steps


def _check_change(
    change: Change, texts: Sequence[str], seconds: Sequence[float] | None, config: dict[str, Any]
) -> None:
    from mate.motion.skeleton import HUMANML3D, only_humanml3d

    only_humanml3d(config.get("skeleton", {}).get("name", HUMANML3D.name), "changing a motion")
    if len(texts) != 1:
        raise MateError(f"got {len(texts)} prompts for one motion to change, expected one")
    if not change.motion.is_file():
        raise MateError(f"no motion at {change.motion}; give a file such as walk.bvh")
    if change.path is not None and not change.path.is_file():
        raise MateError(f"no path at {change.path}; give a .npy file (T, 2), metres in the plane")
    if change.start is None or change.end is None:
        if change.start is not None or change.end is not None:
            raise MateError("got one end of the time to change, expected both --from and --to, in seconds")
        if not seconds:
            raise MateError("got no length to continue for; give --seconds")
        return
    if seconds:
        raise MateError("got a length for a change; --from and --to say how long it is")
    if not 0 <= change.start < change.end or not math.isfinite(change.end):
        raise MateError(f"got a change from {change.start:g} s to {change.end:g} s, expected 0 <= from < to")


def _lengths(
    seconds: Sequence[float] | None, prompts: int, config: dict[str, Any], least: float | None = None
) -> list[float] | None:
    if not seconds:
        return None
    if len(seconds) not in (1, prompts):
        raise MateError(f"got {len(seconds)} lengths for {prompts} prompts, expected one for all or one for each")
    low, high = _limits(config)
    low = low if least is None else least
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
    whole: bool = False,
    dtype: str = "fp32",
    sheet: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Generates and writes the motions; returns the rows of index.jsonl.

    Either all files appear or none: they are made in a folder beside `wanted.out` first. Other files in an existing folder stay.

    Args:
        wanted: from `request`.
        device: where to compute.
        patch: False: the language model as published.
        foot_lock: False: without the post-processing of feet.
        whole: prompts are read as one; else those of several sub-texts are made one after the other (`mate.generate.sub_texts`).
        dtype: number format of the generator's weights, one of `DTYPES`; the text encoder computes in fp32.
        sheet: a .png with a strip of every motion; None: none.
        progress: told (motions done, motions in all).
    """
    from mate.checkpoints import WEIGHTS
    from mate.generate.sub_texts import BySubTexts
    from mate.motion.motion import Motion

    if dtype not in DTYPES:
        raise MateError(f"got the number format {dtype!r}, expected one of {', '.join(DTYPES)}")
    change = None if wanted.change is None else _read_change(wanted.change)
    model = generator_class(wanted.model).from_pretrained(wanted.model, device=device, patch=patch, dtype=dtype)
    if (wanted.steps is not None or change is not None) and not hasattr(model, "timeline"):
        raise MateError(f"{wanted.model.name} makes whole motions only; for timelines and changes take another --model")
    parts: list[list[str]] = [[]] * len(wanted.texts)
    if wanted.steps is not None:
        motions = [model.timeline(wanted.steps, wanted.seed, wanted.guidance, foot_lock=foot_lock)]
    elif wanted.change is not None and change is not None:
        motions = [_changed(model, wanted, *change, foot_lock)]
    else:
        maker: Any = model
        if not whole and hasattr(model, "timeline"):
            maker = BySubTexts(model)
            lengths = wanted.seconds or [None] * len(wanted.texts)
            parts = [maker.parts(text, length) for text, length in zip(wanted.texts, lengths, strict=True)]
        motions = maker.sample(
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
            facts: dict[str, Any] = {
                "prompt": text,
                "seconds": seconds,
                "seed": wanted.seed,
                "model": name,
                "license": license,
            }
            metadata = {key: str(value) for key, value in facts.items()} | {
                "generator": "mate",
                "model_sha256": weights,
            }
            if len(parts[i]) > 1:
                facts["sub_texts"], metadata["sub_texts"] = parts[i], " | ".join(parts[i])
            files = [f"{i:04d}{suffix}" for suffix in wanted.suffixes]
            for file in files:
                save_motion(Motion(joints, model.fps, model.spec.body, text), folder / file, metadata)
            rows.append(
                {"prompt": text, "file": files[0], "files": files, **facts, "patch": patched, "model_sha256": weights}
            )
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / INDEX).write_text("".join(lines), encoding="utf-8")
    if sheet is not None:
        from mate.formats.video import write_contact_sheet

        shown = [
            Motion(joints, model.fps, model.spec.body, text) for text, joints in zip(wanted.texts, motions, strict=True)
        ]
        columns = 2 if len(shown) > 4 else 1
        about = {"generator": "mate", "model": name, "license": license, "seed": str(wanted.seed)}
        write_contact_sheet(shown, None, sheet, columns=columns, metadata=about)
    return rows


def _read_change(change: Change) -> "tuple[np.ndarray, np.ndarray | None]":
    """The motion with the canonical bone lengths at 20 frames a second (T, 22, 3), and the path (T, 2) to follow."""
    import numpy as np

    from mate.formats.load import load_motion
    from mate.motion.layout import HUMANML3D_FEATURES
    from mate.motion.retarget import resample, retarget_to_canonical
    from mate.motion.skeleton import HUMANML3D

    motion, fps = load_motion(change.motion), HUMANML3D_FEATURES.fps
    joints = motion.joints if motion.fps == fps else resample(motion.joints, motion.fps, fps)
    parents = np.maximum(HUMANML3D.parents, 0)
    lengths = np.linalg.norm(joints[0] - joints[0, parents], axis=-1)
    if np.abs(lengths - HUMANML3D.bone_lengths).max() > 1e-3:
        joints = retarget_to_canonical(joints)
    path = None
    if change.path is not None:
        try:
            path = np.load(change.path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise MateError(f"cannot read the path in {change.path} ({error}); expected a .npy file (T, 2)") from error
        if path.ndim != 2 or path.shape[1] != 2 or not np.isfinite(path).all():
            raise MateError(
                f"{change.path} holds an array of shape {path.shape}, expected (T, 2) finite numbers, metres"
            )
    return joints, path


def _changed(
    model: Any, wanted: Request, joints: "np.ndarray", path: "np.ndarray | None", foot_lock: bool
) -> "np.ndarray":
    change = wanted.change
    assert change is not None
    if change.start is None or change.end is None:
        assert wanted.seconds is not None
        before, middle, after, seconds = joints, None, None, wanted.seconds[0]
    else:
        fps = model.fps
        start, end = round(change.start * fps), round(change.end * fps)
        if not start < end <= len(joints):
            raise MateError(
                f"got a change from {change.start:g} s to {change.end:g} s, the motion has {len(joints) / fps:g} s; choose a part of it"
            )
        before, middle, after, seconds = joints[:start], joints[start:end], joints[end:], (end - start) / fps
    return model.between(
        before, after, wanted.texts[0], seconds, wanted.seed, wanted.guidance,
        foot_lock=foot_lock, parts=change.parts, path=path, middle=middle,
    )  # fmt: skip


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

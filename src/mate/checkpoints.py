"""A model is a folder: `config.json`, `model.safetensors`, `README.md` (the model card). No pickle, strict loading, hashes checked."""

import hashlib
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mate.errors import MateError
from mate.files import atomic_folder

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_SCALE = ".int8_scale"  # what a tensor's int8 rows are multiplied with
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")

# model_type in config.json -> the class that reads the folder; imported only when asked for.
MODEL_TYPES = {
    "momask": "mate.generate.momask.model:MoMaskGenerator",
    "mdm": "mate.generate.mdm.model:MDMGenerator",
    "aligner": "mate.align.aligner:Aligner",
    "evaluator": "mate.evaluate.own_evaluator:OwnEvaluator",
}


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def as_int8(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Half the bytes of fp16: weight matrices as int8 with a factor a row (`NAME` and `NAME.int8_scale`); the rest as it is.

    A row is the last dimension, or of convolutions all that makes one output. `load_folder` gives the product back in float32:
    a value is off by at most 1/254 of the largest of its row.
    """
    import torch

    packed = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.ndim < 2 or tensor.numel() < 4096:
            packed[name] = tensor
            continue
        exact = tensor.detach().float()
        row = (-1,) if tensor.shape[-1] >= 16 else tuple(range(1, tensor.ndim))
        scale = exact.abs().amax(dim=row, keepdim=True) / 127
        packed[name] = (exact / scale.clamp(min=torch.finfo(torch.float).tiny)).round().to(torch.int8)
        packed[name + _SCALE] = scale
    return packed


def _from_int8(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The inverse of `as_int8`."""
    return {
        name: tensor.float() * tensors[name + _SCALE] if name + _SCALE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE)
    }


def save_folder(
    folder: str | Path,
    config: Mapping[str, Any],
    tensors: "Mapping[str, Tensor]",
    card: str,
    files: Mapping[str, Path] | None = None,
) -> Path:
    """Writes a model folder at once: it appears complete or not at all.

    Args:
        folder: replaced if it is there.
        config: JSON-able, with `model_type`; the hashes of all files are added under `sha256`.
        tensors: name -> tensor, written as they are (the caller chooses the dtype).
        card: the model card, Markdown.
        files: further files, name in the folder -> path to copy from.

    Raises:
        MateError: the folder cannot be written.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    copies = {
        name: Path(source).read_bytes() for name, source in (files or {}).items()
    }  # the source may lie in `folder` itself
    with atomic_folder(folder) as tmp:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, tmp / WEIGHTS)
        (tmp / CARD).write_text(card, encoding="utf-8")
        for name, content in copies.items():
            (tmp / name).write_bytes(content)
        hashes = {name: sha256(tmp / name) for name in (WEIGHTS, *copies)}
        (tmp / CONFIG).write_text(
            json.dumps({**config, "sha256": hashes}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return folder


def resolve(folder: str | Path) -> Path:
    """A local model folder as it is; else a packaged model by its name; else `owner/name` from the Hugging Face hub (its cache first).

    Raises:
        MateError: neither a folder with `config.json`, nor a packaged model, nor one on the hub.
    """
    path = Path(folder)
    if str(folder) in PACKAGED and not path.exists():
        return default_model(str(folder))
    if path.is_dir():
        if not (path / CONFIG).is_file():
            raise MateError(f"{path} has no {CONFIG}; expected a model folder with {CONFIG}, {WEIGHTS} and {CARD}")
        return path
    if path.exists() or not _HUB_ID.fullmatch(str(folder)):
        raise MateError(
            f"no model folder at {folder}; expected a folder with {CONFIG} and {WEIGHTS}; give --model DIR or train one with `mate train`"
        )
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(str(folder), allow_patterns=["*.json", "*.safetensors", "*.md"]))
    except Exception as error:  # the hub client raises many kinds; all mean that there is no such model to be had
        raise MateError(
            f"no model folder at {folder}, and it could not be fetched from the Hugging Face hub ({type(error).__name__})"
        ) from error


def read_config(folder: str | Path, model_type: str | None = None) -> dict[str, Any]:
    """The folder's `config.json`.

    Raises:
        MateError: absent, not JSON, or of another model type than `model_type`.
    """
    path = resolve(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MateError(
            f"{path} is not a model configuration (JSON with `model_type`); get the model folder again"
        ) from error
    if model_type is not None and found != model_type:
        raise MateError(
            f"{path} is a model of type {found!r}, expected {model_type!r}; give the folder of a {model_type} model"
        )
    return config


def load_folder(folder: str | Path, model_type: str | None = None) -> "tuple[dict[str, Any], dict[str, Tensor], Path]":
    """(config, tensors, resolved folder) of a model folder; every file's hash is compared with the one in `config.json`.

    Raises:
        MateError: not a model folder, another type, a file missing, damaged or changed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = resolve(folder)
    config = read_config(path, model_type)
    hashes = config.get("sha256")
    if not isinstance(hashes, dict) or WEIGHTS not in hashes:
        raise MateError(f"{path / CONFIG} names no SHA-256 of {WEIGHTS}; save the model again with this version")
    for name, expected in hashes.items():
        if not (path / name).is_file():
            raise MateError(f"{path / name} is missing; get the model folder again")
        if (found := sha256(path / name)) != expected:
            raise MateError(
                f"{path / name} was changed or is damaged: SHA-256 {found[:12]}..., {CONFIG} says {expected[:12]}...; "
                "get the model folder again"
            )
    try:
        return config, _from_int8(load_file(path / WEIGHTS)), path
    except (SafetensorError, OSError) as error:
        raise MateError(
            f"{path / WEIGHTS} is not a readable safetensors file ({error}); get the model folder again"
        ) from error


def load_strict(module: Any, tensors: "Mapping[str, Tensor]", where: str | Path) -> None:
    """Copies tensors into a module; names and shapes must match exactly, values are cast to the module's dtypes.

    Raises:
        MateError: what is missing, left over or of another shape.
    """
    import torch

    own = module.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [key for key in own.keys() & tensors.keys() if own[key].shape != tensors[key].shape]
    if missing or extra or shapes:
        told = [
            f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
            for what, keys in (("missing", missing), ("unexpected", extra), ("of another shape", sorted(shapes)))
            if keys
        ]
        raise MateError(
            f"{where}: the weights do not fit the configuration: {'; '.join(told)}; get the model folder again"
        )
    with torch.no_grad():
        for key, value in own.items():
            value.copy_(tensors[key])


# The models that come with the package: two generators, the scorer, two evaluators.
PACKAGED = ("default", "kinwords", "retrieval", "evaluator-words", "evaluator-sentences")


def default_model(name: str = "default") -> Path:
    """The folder of a model that comes with the package: one of `PACKAGED`.

    Raises:
        MateError: the package was installed without it.
    """
    from importlib.resources import files

    path = Path(str(files("mate") / "models" / name))
    if not (path / CONFIG).is_file():
        raise MateError(
            f"no packaged model {name!r} at {path}; give --model DIR, or train one with `mate train generator DATA -o DIR`"
        )
    return path


def from_pretrained(folder: str | Path | None = None, device: str = "cpu") -> Any:
    """The model in a folder (default: the packaged generator), whatever its type.

    Args:
        folder: a model folder, a Hugging Face hub id `owner/name`, the name of a packaged model, or None.
        device: where to put it.

    Raises:
        MateError: no such model, or a damaged one.
    """
    path = resolve("default" if folder is None else folder)
    return model_class(path).from_pretrained(path, device=device)


def model_class(folder: str | Path) -> Any:
    """The class that reads a model folder, by the `model_type` in its `config.json`.

    Raises:
        MateError: no model folder, or a type that this version does not know.
    """
    path = resolve(folder)
    kind = read_config(path)["model_type"]
    if kind not in MODEL_TYPES:
        raise MateError(f"{path} is a model of type {kind!r}; this version knows {', '.join(MODEL_TYPES)}")
    module, name = MODEL_TYPES[kind].split(":")
    return getattr(importlib.import_module(module), name)


def generator_class(folder: str | Path) -> Any:
    """`model_class` of a folder that holds a generator.

    Raises:
        MateError: as `model_class`, or a model of another kind.
    """
    found = model_class(folder)
    if not hasattr(found, "sample"):
        kind = read_config(folder)["model_type"]
        raise MateError(f"{folder} is a model of type {kind!r}, no motion generator; give --model the folder of one")
    return found

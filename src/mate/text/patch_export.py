"""A word patch written into a whole language model: a folder that `AutoModel.from_pretrained` loads without mate.

The folder is a copy of the base model's own, every file and every number as it was, but for the patched rows.
"""

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor

from mate.errors import MateError
from mate.files import atomic_folder
from mate.text.encoder import DEFAULT_MODEL, DEFAULT_REPOSITORY, default_model_folder
from mate.text.patch import WordPatch

# Weights in other formats would be copies without the patch.
_OTHER_WEIGHTS = (
    "*.bin",
    "*.pt",
    "*.pth",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.onnx",
    "onnx",
    "openvino",
    ".git*",
    ".cache",
)


def export_patched(patch: WordPatch, source: str | Path, folder: str | Path) -> Path:
    """Writes a copy of a language model with the patch applied.

    Args:
        source: the base model: "all-MiniLM-L6-v2", a local folder in Hugging Face's layout, or a Hugging Face model id.
        folder: must be free or empty.

    Raises:
        MateError: no such model, its word-embedding table is not the patch's, or the folder is taken.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MateError(f"{folder} is there already and not empty; choose a free name for the exported model")
    base = _base_folder(str(source))
    with atomic_folder(folder) as temporary:
        if any(base.rglob("*.safetensors")):
            shutil.copytree(base, temporary, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_OTHER_WEIGHTS))
        else:
            _convert(base, temporary)
        patched = [name for file in sorted(temporary.rglob("*.safetensors")) for name in _patch_file(patch, file)]
        if not patched:
            raise MateError(
                f"{source} holds no word-embedding table that the patch was made for; it belongs to "
                f"{patch.metadata['base_model']}, table {patch.metadata['table_sha256'][:12]}..."
            )
        card = temporary / "README.md"
        if card.is_file():
            card.rename(temporary / "README.base.md")
        card.write_text(_card(patch, patched), encoding="utf-8")
    return folder


def _base_folder(source: str) -> Path:
    if source in (DEFAULT_MODEL, DEFAULT_REPOSITORY):
        return default_model_folder()
    if Path(source).is_dir():
        if not (Path(source) / "config.json").is_file():
            raise MateError(f"{source} has no config.json; expected a language model's folder in Hugging Face's layout")
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        listed = Path(snapshot_download(source, ignore_patterns=list(_OTHER_WEIGHTS)))
        return listed if any(listed.rglob("*.safetensors")) else Path(snapshot_download(source))
    except Exception as error:  # not a folder, offline, no such model: hub errors of many kinds
        raise MateError(
            f"cannot get the language model {source!r} ({type(error).__name__}); "
            f"expected {DEFAULT_MODEL}, a local folder or a Hugging Face model id"
        ) from error


def _convert(base: Path, target: Path) -> None:
    """Loads a model that has no safetensors file with transformers (no code of the checkpoint runs) and writes it as one."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(base)
        names = getattr(config, "architectures", None) or []
        loader = getattr(transformers, names[0], transformers.AutoModel) if names else transformers.AutoModel
        loader.from_pretrained(base).save_pretrained(target)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise MateError(f"cannot load the language model in {base}: {str(error).splitlines()[0]}") from error
    for path in base.rglob("*"):  # tokenizer, pooling, and all else that is no weight
        place = target / path.relative_to(base)
        if path.suffix in (".json", ".txt", ".model", ".md") and path.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


def _patch_file(patch: WordPatch, path: Path) -> list[str]:
    """Patches the tensors of one safetensors file that are the patch's table; their names."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    names = [name for name, tensor in tensors.items() if _is_base(patch, tensor)]
    for name in names:
        table = tensors[name].clone()
        table[patch.token_ids] = patch.rows.to(table.dtype)
        tensors[name] = table
    if names:
        path.unlink()  # the tensors may still be read from the file: it must not change under them
        save_file(tensors, path, metadata)
    return names


def _is_base(patch: WordPatch, table: Tensor) -> bool:
    if table.ndim != 2 or table.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return False
    try:
        patch.check(table)
    except MateError:
        return False
    return True


def _card(patch: WordPatch, names: list[str]) -> str:
    facts = "\n".join(f"- {key}: {value}" for key, value in sorted(patch.metadata.items()))
    license_name = json.dumps(patch.metadata["license"])
    return (
        f"---\nlicense: other\nlicense_name: {license_name}\n---\n"
        f"# {patch.metadata['base_model']} with a word patch\n\n"
        f"{len(patch.token_ids)} rows of `{'`, `'.join(names)}` were replaced by rows aligned with motion; every other number "
        f"is the base model's. Its own card, where it has one, is README.base.md; its license holds as well.\n\n{facts}\n"
    )

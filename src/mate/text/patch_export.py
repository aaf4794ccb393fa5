"""A patched or tuned language model as a whole: a folder that `AutoModel.from_pretrained` loads without mate.

The folder is a copy of the base model's own, every file and every number as it was, but for what was patched or tuned.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mate.checkpoints import sha256
from mate.errors import MateError
from mate.files import atomic_folder
from mate.text.encoder import DEFAULT_MODEL, DEFAULT_REPOSITORY, TUNED_FILE, TextEncoder, default_model_folder
from mate.text.patch import WordPatch
from mate.text.whole_words import extend_tokenizer

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
        _copy(base, temporary)
        ids = _add_words(patch, temporary)
        patched = [name for file in sorted(temporary.rglob("*.safetensors")) for name in _patch_file(patch, file, ids)]
        if not patched:
            raise MateError(
                f"{source} holds no word-embedding table that the patch was made for; it belongs to "
                f"{patch.metadata['base_model']}, table {patch.metadata['table_sha256'][:12]}..."
            )
        _write_card(temporary, _card(patch, patched))
    return folder


def export_tuned(
    encoder: TextEncoder, source: str | Path, folder: str | Path, trained: str, facts: Mapping[str, str]
) -> Path:
    """Writes a language model whose layers were tuned; `TextEncoder.from_pretrained(folder)` gives it back bit for bit.

    Args:
        encoder: the tuned model, with nothing in training any more.
        source: the base model that it was tuned from, as in `export_patched`.
        folder: replaced if it is there.
        trained: what was trained, for the card. facts: further lines of the card; `license` is needed.

    Raises:
        MateError: no such base model, or it keeps its weights under names that the loaded model does not have.
    """
    folder, base = Path(folder), _base_folder(str(source))
    tensors = encoder.model.state_dict()
    with atomic_folder(folder) as temporary:
        _copy(base, temporary)
        written: set[str] = set()
        files = sorted(temporary.rglob("*.safetensors"))
        for file in files:
            written |= _write_tensors(file, tensors)
        # Tied parameters have several names and are stored under one of them.
        stored = {tensors[name].data_ptr() for name in written}
        missing = [name for name, own in encoder.model.named_parameters() if own.data_ptr() not in stored]
        if missing:
            raise MateError(
                f"{source} keeps its weights under other names: found no place for {', '.join(missing[:3])}; "
                "save it once with transformers' save_pretrained and start from that folder"
            )
        hashes = {str(file.relative_to(temporary)): sha256(file) for file in files}
        marks = {"base_model": str(source), "trained": trained, "sha256": hashes, **facts}
        (temporary / TUNED_FILE).write_text(json.dumps(marks, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        lines = "\n".join(f"- {key}: {value}" for key, value in sorted(facts.items()))
        _write_card(
            temporary,
            f"---\nlicense: other\nlicense_name: {json.dumps(facts['license'])}\n---\n# {source}, tuned on motion\n\n"
            f"Trained: {trained}. Its own card, where it has one, is README.base.md; its license holds as well.\n\n{lines}\n",
        )
    return folder


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> set[str]:
    """Writes a model's tensors into one safetensors file, each over the one of its name; the names that were found there."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        metadata, stored = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    found = set()
    for name, tensor in tensors.items():
        # A bare model's names stand behind a prefix in the file of a model with a head, "bert.encoder..." for "encoder...".
        places = [
            key for key in (name, *_prefixed(name, stored)) if key in stored and stored[key].shape == tensor.shape
        ]
        if places:
            stored[places[0]] = tensor.detach().cpu().contiguous().clone()
            found.add(name)
    if found:
        path.unlink()  # the tensors may still be read from the file: it must not change under them
        save_file(stored, path, metadata)
    return found


def _prefixed(name: str, stored: Mapping[str, Tensor]) -> list[str]:
    return [key for key in stored if key.partition(".")[2] == name]


def _copy(base: Path, target: Path) -> None:
    """The base model's folder, its weights as safetensors."""
    if any(base.rglob("*.safetensors")):
        shutil.copytree(base, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*_OTHER_WEIGHTS))
    else:
        _convert(base, target)


def _write_card(folder: Path, text: str) -> None:
    """The folder's README.md; the base model's own becomes README.base.md."""
    card = folder / "README.md"
    if card.is_file():
        card.rename(folder / "README.base.md")
    card.write_text(text, encoding="utf-8")


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


def _patch_file(patch: WordPatch, path: Path, added: Tensor) -> list[str]:
    """Patches the tensors of one safetensors file that are the patch's table; their names.

    Args:
        added: (W,) the tokens of the patch's added words; the table grows to hold them.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    names = [name for name, tensor in tensors.items() if _is_base(patch, tensor)]
    if patch.words:  # an output head that is tied to the table names no new words
        names = [name for name in names if "embed" in name or "shared" in name or name.endswith("wte.weight")]
    for name in names:
        old = tensors[name]
        size = max(len(old), int(added.max()) + 1) if patch.words else len(old)
        table = torch.zeros(size, old.shape[1], dtype=old.dtype)
        table[: len(old)] = old
        table[patch.token_ids] = patch.rows.to(table.dtype)
        if patch.words:
            table[added] = patch.word_rows.to(table.dtype)
        tensors[name] = table
    if names:
        path.unlink()  # the tensors may still be read from the file: it must not change under them
        save_file(tensors, path, metadata)
    return names


def _add_words(patch: WordPatch, folder: Path) -> Tensor:
    """Adds the patch's words to the folder's tokenizer and their number to its config.json; their tokens (W,).

    Raises:
        MateError: there is no tokenizer.json, or it has one of the words already.
    """
    if not patch.words:
        return torch.zeros(0, dtype=torch.long)
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise MateError(
            "the patch gives words tokens of their own, and the model has no tokenizer.json to add them to; "
            "save its fast tokenizer once with transformers' save_pretrained"
        )
    tokenizer = Tokenizer.from_file(str(path))
    ids = extend_tokenizer(tokenizer, patch.words)
    tokenizer.save(str(path))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and "vocab_size" in part:
            part["vocab_size"] = max(part["vocab_size"], int(ids.max()) + 1)
        # transformers takes eos_token_id 2, a mistake in CLIP's old configurations, for "the end is the highest token": not any more.
        end = tokenizer.token_to_id("<|endoftext|>")
        if isinstance(part, dict) and end is not None and part.get("eos_token_id") == 2:
            part["eos_token_id"] = end
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return ids


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
        f"{len(patch.token_ids)} rows of `{'`, `'.join(names)}` were replaced by rows aligned with motion, "
        f"{len(patch.words)} words got tokens of their own; every other number is the base model's. Its own card, where it has one, "
        f"is README.base.md; its license holds as well.\n\n{facts}\n"
    )

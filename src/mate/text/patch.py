"""Word patches: the few word-embedding rows that alignment moved, as one small safetensors file.

A patch belongs to exactly one word-embedding table, known by the SHA-256 of its bytes. `WordPatch.apply` puts the new
rows into anyone's copy of the same language model; the handle it returns takes them out again, bit for bit.
A patch may also give words of several pieces tokens and rows of their own (`mate.text.whole_words`).

Shapes: V vocabulary size, K patched rows, W added words, D embedding size.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.errors import MateError
from mate.files import atomic_path

if TYPE_CHECKING:
    from mate.text.whole_words import AddedWords

FORMAT_VERSION = "1"
WORDS_VERSION = "2"  # of a patch with added words: a program that does not know them must not apply the rest
REQUIRED_METADATA = ("base_model", "table_sha256", "training_data", "license", "version")
# A copy of the model in half precision has other bytes; these two hashes let it be recognised too.
_HASH_KEYS = {
    torch.float32: "table_sha256",
    torch.float16: "table_sha256_float16",
    torch.bfloat16: "table_sha256_bfloat16",
}


def tensor_sha256(tensor: Tensor) -> str:
    """SHA-256 of a tensor's values, row-major, in its own number format."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest()


def table_hashes(table: Tensor) -> dict[str, str]:
    """The metadata entries that name a base table (V, D): the hash of its values in fp32, and rounded to fp16 and bf16."""
    table = table.detach()
    return {key: tensor_sha256(table.to(dtype)) for dtype, key in _HASH_KEYS.items()}


def embedding_layer(model: object) -> nn.Module:
    """The word-embedding layer of a language model.

    Knows `TextEncoder`, Hugging Face models (whole CLIP models too), sentence-transformers, openai-clip and open_clip.

    Raises:
        MateError: no such layer was found.
    """
    for candidate in language_models(model):
        if isinstance(getattr(candidate, "token_embedding", None), nn.Embedding):  # openai-clip, open_clip
            return candidate.token_embedding  # type: ignore[return-value]
        getter = getattr(candidate, "get_input_embeddings", None)
        if getter is None:
            continue
        try:
            layer = getter()
        except (NotImplementedError, AttributeError):  # some two-tower models have no single input layer
            continue
        if (
            isinstance(layer, nn.Module)
            and isinstance(getattr(layer, "weight", None), Tensor)
            and layer.weight.ndim == 2
        ):
            return layer
    raise MateError(
        f"found no word-embedding layer in {type(model).__name__}; "
        "expected a Hugging Face text model, a sentence-transformers model, an openai-clip or an open_clip model"
    )


def language_models(model: object) -> Iterator[nn.Module]:
    """The modules that may hold the word embeddings: the model, what it wraps, and what that wraps; the outermost first."""
    level = [model]
    for _ in range(3):
        yield from (candidate for candidate in level if isinstance(candidate, nn.Module))
        inner = [
            candidate[0] if isinstance(candidate, nn.Sequential) and len(candidate) else getattr(candidate, name, None)
            for candidate in level
            for name in ("model", "auto_model", "text_model", "text", "transformer")
        ]
        level = [candidate for candidate in inner if candidate is not None]


def _content_sha256(tensors: Mapping[str, Tensor], words: str) -> str:
    """The hash of a patch file's content: its tensors, and the words as they stand in its metadata."""
    digests = [tensor_sha256(tensors[name]) for name in ("token_ids", "rows", "word_rows") if name in tensors]
    return hashlib.sha256(("".join(digests) + words).encode()).hexdigest()


class PatchHandle:
    """A patch that is in place; holds the rows that it replaced. Also a context manager that reverts at its end."""

    def __init__(self, table: Tensor, token_ids: Tensor, replaced: Tensor, added: "AddedWords | None" = None) -> None:
        self._added = added
        self._table = table
        self._token_ids = token_ids
        self._replaced: Tensor | None = replaced

    @property
    def applied(self) -> bool:
        """Whether the patch is still in place."""
        return self._replaced is not None

    @torch.no_grad()
    def revert(self) -> None:
        """Restores the replaced rows bit for bit. A second call does nothing."""
        if self._replaced is not None:
            self._table[self._token_ids.to(self._table.device)] = self._replaced.to(self._table.device)
            self._replaced = None
            if self._added is not None:
                self._added.remove()

    def __enter__(self) -> "PatchHandle":
        return self

    def __exit__(self, *exception: object) -> None:
        self.revert()


@dataclass(frozen=True)
class WordPatch:
    """New word-embedding rows for one language model.

    Attributes:
        token_ids: (K,) int64, distinct, ascending.
        rows: (K, D) floating point, the rows' new values (not differences).
        metadata: strings; `base_model`, `table_sha256`, `training_data`, `license`, `version` are required.
        words: W words that get tokens of their own. word_rows: (W, D) their rows.

    Raises:
        MateError: shapes, values or metadata are not those of a patch.
    """

    token_ids: Tensor
    rows: Tensor
    metadata: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    word_rows: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def __post_init__(self) -> None:
        ids, rows = self.token_ids, self.rows
        if ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
            raise MateError(f"got token ids {tuple(ids.shape)} and rows {tuple(rows.shape)}, expected (K,) and (K, D)")
        if ids.dtype != torch.int64 or not rows.is_floating_point():
            raise MateError(f"got token ids of {ids.dtype} and rows of {rows.dtype}, expected int64 and floating point")
        if len(ids) and (int(ids[0]) < 0 or bool((ids[1:] <= ids[:-1]).any())):
            raise MateError("a word patch's token ids must be distinct, ascending and not negative")
        if self.words and self.word_rows.shape != (len(self.words), rows.shape[1]):
            expected = (len(self.words), rows.shape[1])
            raise MateError(
                f"got {len(self.words)} words and their rows {tuple(self.word_rows.shape)}, expected {expected}"
            )
        if len(set(self.words)) != len(self.words) or any(not word or word != word.strip() for word in self.words):
            raise MateError("a word patch's words must be distinct, without spaces around them")
        if not bool(torch.isfinite(rows).all()) or not bool(torch.isfinite(self.word_rows).all()):
            raise MateError("a word patch's rows must be finite; this one has NaN or infinite values")
        missing = [key for key in REQUIRED_METADATA if not self.metadata.get(key)]
        if missing:
            raise MateError(
                f"a word patch's metadata needs {', '.join(REQUIRED_METADATA)}; missing: {', '.join(missing)}"
            )

    @classmethod
    def from_tables(
        cls,
        base: Tensor,
        token_ids: Tensor,
        rows: Tensor,
        *,
        base_model: str,
        training_data: str,
        license: str,
        version: str,
        notes: Mapping[str, str] | None = None,
        words: Sequence[str] = (),
        word_rows: Tensor | None = None,
    ) -> "WordPatch":
        """A patch for the base table (V, D), as it is without any added words, with its hashes in the metadata."""
        order = torch.argsort(token_ids)
        metadata = {
            "base_model": base_model,
            "training_data": training_data,
            "license": license,
            "version": version,
            **table_hashes(base),
            **dict(notes or {}),
        }
        added = torch.zeros(0, rows.shape[1]) if word_rows is None else word_rows.detach().float().cpu()
        return cls(token_ids[order].cpu().long(), rows[order].detach().float().cpu(), metadata, tuple(words), added)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> Path:
        """Writes one .safetensors file, rows in fp32 or, on request, torch.float16.

        Raises:
            MateError: the path is not a .safetensors name or cannot be written.
        """
        from safetensors.torch import save_file

        path = Path(path)
        if path.suffix != ".safetensors":
            raise MateError(f"got {path}, expected a name that ends in .safetensors for a word patch")
        tensors = {"token_ids": self.token_ids.contiguous(), "rows": self.rows.to(dtype).contiguous()}
        names = ""
        if self.words:
            tensors["word_rows"] = self.word_rows.to(dtype).contiguous()
            names = json.dumps(self.words, ensure_ascii=False)
        metadata = {
            **self.metadata,
            **({"words": names} if names else {}),
            "format": "mate word patch",
            "format_version": WORDS_VERSION if names else FORMAT_VERSION,
            "content_sha256": _content_sha256(tensors, names),
        }
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "WordPatch":
        """Reads a patch file; rows come back in fp32.

        Raises:
            MateError: no such file, not a word patch, or its content does not match its own hash.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            raise MateError(f"no word patch at {path}; `mate align` writes one as patch.safetensors")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = dict(file.metadata() or {})
                names = set(file.keys())
                if metadata.get("format") != "mate word patch" or names - {"word_rows"} != {"token_ids", "rows"}:
                    raise MateError(
                        f"{path} is a safetensors file, but not a word patch (tensors: {', '.join(sorted(names))})"
                    )
                tensors = {name: file.get_tensor(name).clone() for name in names}
        except SafetensorError as error:
            raise MateError(f"{path} is damaged or not a safetensors file ({error}); get a fresh copy") from error
        if metadata.pop("format_version", "") not in (FORMAT_VERSION, WORDS_VERSION):
            raise MateError(f"{path} has a word-patch format that this version does not know; update mate-motion")
        words = metadata.pop("words", "")
        if metadata.pop("content_sha256", "") != _content_sha256(tensors, words):
            raise MateError(
                f"{path}: the rows do not match the file's own hash; it was altered or damaged, get a fresh copy"
            )
        metadata.pop("format")
        ids, rows = tensors["token_ids"], tensors["rows"].float()
        if not words:
            return cls(ids, rows, metadata)
        return cls(ids, rows, metadata, tuple(json.loads(words)), tensors.get("word_rows", torch.zeros(0, 0)).float())

    def check(self, table: Tensor) -> None:
        """Refuses any table (V, D) but the one the patch was made for.

        Raises:
            MateError: the table is another one, or is already patched.
        """
        if table.ndim != 2 or table.shape[1] != self.rows.shape[1]:
            raise MateError(
                f"the patch has rows of {self.rows.shape[1]} numbers, the model's word embeddings {tuple(table.shape)}; "
                f"it was made for {self.metadata['base_model']}"
            )
        if len(self.token_ids) and int(self.token_ids[-1]) >= len(table):
            raise MateError(f"the patch names token {int(self.token_ids[-1])}, the model's table has {len(table)} rows")
        key = _HASH_KEYS.get(table.dtype)
        expected = self.metadata.get(key) if key else None
        if key is None or expected is None:
            raise MateError(
                f"the patch cannot be checked against a table of {table.dtype}; load the model in fp32 first"
            )
        found = tensor_sha256(table)
        if found != expected:
            raise MateError(
                f"the patch was made for {self.metadata['base_model']} with the word-embedding table {expected[:12]}..., this model's "
                f"table is {found[:12]}...; use that very model, and revert any other patch first"
            )

    @torch.no_grad()
    def apply(self, model: object, tokenizer: object | None = None) -> PatchHandle:
        """Puts the rows into `model`'s word-embedding table, in place.

        Args:
            model: a `TextEncoder`, a Hugging Face, sentence-transformers, openai-clip or open_clip model.
            tokenizer: needed for a patch with added words, where `model` does not bring its own: the model's Hugging Face tokenizer.
                It learns the words, in place.

        Raises:
            MateError: the model has another word-embedding table (or is patched already), or it takes no added words.
        """
        table = embedding_layer(model).weight
        assert isinstance(table, Tensor)
        self.check(table)
        added = None
        if self.words:
            from mate.text.whole_words import add_words

            added = add_words(model, self.words, self.word_rows, tokenizer)
            table = embedding_layer(model).weight
            assert isinstance(table, Tensor)
        ids = self.token_ids.to(table.device)
        replaced = table[ids]
        table[ids] = self.rows.to(device=table.device, dtype=table.dtype)
        return PatchHandle(table, self.token_ids.clone(), replaced, added)

    def export(self, source: str | Path, folder: str | Path) -> Path:
        """Writes a whole language model in Hugging Face's layout with the patch in it; see `patch_export.export_patched`."""
        from mate.text.patch_export import export_patched

        return export_patched(self, source, folder)


class SparseRows(nn.Module):
    """A word-embedding layer of which only some rows can move.

    row(v) = base(v) + delta[index(v)] for the K rows that move, base(v) for all others. The base table is a buffer-like
    reference without gradients, so gradients and optimiser state exist for K rows, never for all V.

    Attributes:
        base: the frozen embedding layer; its `weight` (V, D) is left as it was.
        token_ids: (K,) int64, ascending.
        delta: (K, D) parameter, zero at the start.
    """

    token_ids: Tensor
    index: Tensor

    def __init__(self, base: nn.Module, token_ids: Tensor) -> None:
        super().__init__()
        table = base.weight
        assert isinstance(table, Tensor)
        ids = torch.unique(token_ids.long().cpu())
        if len(ids) and (int(ids[0]) < 0 or int(ids[-1]) >= len(table)):
            raise MateError(f"got token ids in {int(ids[0])}..{int(ids[-1])}, expected 0..{len(table) - 1}")
        self.base = base.requires_grad_(False)
        index = torch.full((len(table),), len(ids), dtype=torch.long)  # row K is a fixed zero: the tokens that stay
        index[ids] = torch.arange(len(ids))
        self.register_buffer("token_ids", ids.to(table.device))
        self.register_buffer("index", index.to(table.device))
        self.delta = nn.Parameter(torch.zeros(len(ids), table.shape[1], device=table.device, dtype=torch.float32))

    @property
    def weight(self) -> Tensor:
        """The frozen base table (V, D)."""
        return self.base.weight  # type: ignore[return-value]

    def forward(self, ids: Tensor) -> Tensor:
        """ids (...) -> embeddings (..., D)."""
        position = self.index[ids]
        moves = (position < len(self.delta)).unsqueeze(-1)
        base = self.base(ids)
        if not len(self.delta):
            return base
        # The K rows only (clamped, then masked): no V x D tensor appears in the graph. Not by indexing: on several threads its
        # gradient is added up in any order.
        moved = F.embedding(position.clamp(max=len(self.delta) - 1), self.delta)
        return base + torch.where(moves, moved, torch.zeros_like(base))

    def rows(self) -> Tensor:
        """The new values of the rows that move, (K, D)."""
        return self.weight[self.token_ids].detach() + self.delta.detach()

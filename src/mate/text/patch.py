"""Word patches: the few word-embedding rows that alignment moved, as one small safetensors file.

A patch belongs to exactly one word-embedding table, known by the SHA-256 of its bytes. `WordPatch.apply` puts the new
rows into anyone's copy of the same language model; the handle it returns takes them out again, bit for bit.

Shapes: V vocabulary size, K patched rows, D embedding size.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from mate.errors import MateError
from mate.files import atomic_path

FORMAT_VERSION = "1"
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
    for candidate in _language_models(model):
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


def _language_models(model: object) -> Iterator[nn.Module]:
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


class PatchHandle:
    """A patch that is in place; holds the rows that it replaced. Also a context manager that reverts at its end."""

    def __init__(self, table: Tensor, token_ids: Tensor, replaced: Tensor) -> None:
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

    Raises:
        MateError: shapes, values or metadata are not those of a patch.
    """

    token_ids: Tensor
    rows: Tensor
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids, rows = self.token_ids, self.rows
        if ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
            raise MateError(f"got token ids {tuple(ids.shape)} and rows {tuple(rows.shape)}, expected (K,) and (K, D)")
        if ids.dtype != torch.int64 or not rows.is_floating_point():
            raise MateError(f"got token ids of {ids.dtype} and rows of {rows.dtype}, expected int64 and floating point")
        if len(ids) and (int(ids[0]) < 0 or bool((ids[1:] <= ids[:-1]).any())):
            raise MateError("a word patch's token ids must be distinct, ascending and not negative")
        if not bool(torch.isfinite(rows).all()):
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
    ) -> "WordPatch":
        """A patch for the base table (V, D), with its hashes in the metadata."""
        order = torch.argsort(token_ids)
        metadata = {
            "base_model": base_model,
            "training_data": training_data,
            "license": license,
            "version": version,
            **table_hashes(base),
            **dict(notes or {}),
        }
        return cls(token_ids[order].cpu().long(), rows[order].detach().float().cpu(), metadata)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> Path:
        """Writes one .safetensors file, rows in fp32 or, on request, torch.float16.

        Raises:
            MateError: the path is not a .safetensors name or cannot be written.
        """
        from safetensors.torch import save_file

        path = Path(path)
        if path.suffix != ".safetensors":
            raise MateError(f"got {path}, expected a name that ends in .safetensors for a word patch")
        rows = self.rows.to(dtype).contiguous()
        digest = tensor_sha256(self.token_ids) + tensor_sha256(rows)
        metadata = {
            **self.metadata,
            "format": "mate word patch",
            "format_version": FORMAT_VERSION,
            "content_sha256": hashlib.sha256(digest.encode()).hexdigest(),
        }
        with atomic_path(path) as temporary:
            save_file({"token_ids": self.token_ids.contiguous(), "rows": rows}, temporary, metadata=metadata)
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
                if metadata.get("format") != "mate word patch" or names != {"token_ids", "rows"}:
                    raise MateError(
                        f"{path} is a safetensors file, but not a word patch (tensors: {', '.join(sorted(names))})"
                    )
                ids, rows = file.get_tensor("token_ids").clone(), file.get_tensor("rows").clone()
        except SafetensorError as error:
            raise MateError(f"{path} is damaged or not a safetensors file ({error}); get a fresh copy") from error
        if metadata.pop("format_version", "") != FORMAT_VERSION:
            raise MateError(f"{path} has a word-patch format that this version does not know; update mate-motion")
        digest = hashlib.sha256((tensor_sha256(ids) + tensor_sha256(rows)).encode()).hexdigest()
        if metadata.pop("content_sha256", "") != digest:
            raise MateError(
                f"{path}: the rows do not match the file's own hash; it was altered or damaged, get a fresh copy"
            )
        metadata.pop("format")
        return cls(ids, rows.float(), metadata)

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
    def apply(self, model: object) -> PatchHandle:
        """Puts the rows into `model`'s word-embedding table, in place.

        Args:
            model: a `TextEncoder`, a Hugging Face, sentence-transformers, openai-clip or open_clip model.

        Raises:
            MateError: the model has another word-embedding table (or is patched already).
        """
        table = embedding_layer(model).weight
        assert isinstance(table, Tensor)
        self.check(table)
        ids = self.token_ids.to(table.device)
        replaced = table[ids].clone()
        table[ids] = self.rows.to(device=table.device, dtype=table.dtype)
        return PatchHandle(table, self.token_ids.clone(), replaced)

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
        # Indexing the K rows only (clamped, then masked): no V x D tensor appears in the graph.
        moved = self.delta[position.clamp(max=max(len(self.delta) - 1, 0))] if len(self.delta) else 0.0
        base = self.base(ids)
        return base + torch.where(moves, moved, torch.zeros_like(base)) if len(self.delta) else base

    def rows(self) -> Tensor:
        """The new values of the rows that move, (K, D)."""
        return self.weight[self.token_ids].detach() + self.delta.detach()

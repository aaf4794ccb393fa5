"""What a word patch of a large model weighs and how long it takes to go in and out: `mate bench patch`."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from mate.text.patch import WordPatch, tensor_sha256

VOCABULARY, WIDTH, ROWS = 49408, 512, 6000  # CLIP's table, and as many rows as a large set of captions moves
T = TypeVar("T")


class _Clip(nn.Module):
    """The word embeddings of a model in openai-clip's layout, random."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding.from_pretrained(table)


def measure_patch(
    rounds: int, rows: int = ROWS, vocabulary: int = VOCABULARY, width: int = WIDTH
) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the table, and what they mean. All ways take turns, `rounds` times; times are medians of processor time."""
    generator = torch.Generator().manual_seed(0)
    table = 0.02 * torch.randn(vocabulary, width, generator=generator)
    moved = torch.randperm(vocabulary, generator=generator)[:rows]
    values = table[moved] + 0.01 * torch.randn(rows, width, generator=generator)
    patch = WordPatch.from_tables(
        table, moved, values, base_model="random", training_data="none", license="CC0-1.0", version="1"
    )
    model = _Clip(table.clone())
    taken: dict[str, list[float]] = {
        name: [] for name in ("hash of the table alone", "apply", "revert", "load, fp32", "load, fp16")
    }

    def timed(name: str, way: Callable[[], T]) -> T:
        start = time.process_time()
        result = way()
        taken[name].append(time.process_time() - start)
        return result

    with tempfile.TemporaryDirectory(prefix="mate-bench-") as temporary:
        files = {
            "load, fp32": patch.save(Path(temporary) / "fp32.safetensors"),
            "load, fp16": patch.save(Path(temporary) / "fp16.safetensors", torch.float16),
        }
        sizes = {name: path.stat().st_size / 1e6 for name, path in files.items()}
        for _ in range(rounds):
            timed("hash of the table alone", lambda: tensor_sha256(model.token_embedding.weight))
            handle = timed("apply", lambda: patch.apply(model))
            timed("revert", handle.revert)
            for name, path in files.items():
                timed(name, partial(WordPatch.load, path))
        rounded = WordPatch.load(files["load, fp16"]).rows
    medians = {name: float(torch.tensor(times).median()) for name, times in taken.items()}
    loss = float(((rounded - patch.rows).norm(dim=1) / patch.rows.norm(dim=1)).max())
    lines = [
        {
            "what": name,
            "processor seconds": seconds,
            "times the hash": seconds / medians["hash of the table alone"],
            "file, MB": sizes.get(name, ""),
        }
        for name, seconds in medians.items()
    ]
    notes = [
        f"{rows:,} rows of a random table ({vocabulary:,}, {width}); {rounds} rounds in turn. The hash is what refuses another table.",
        f"fp16 changes a row by at most {loss:.1e} of its length.",
    ]
    return lines, notes

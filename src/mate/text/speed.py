"""What a word patch of a large model weighs and how long it takes to go in and out: `mate bench patch`."""

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from mate.text.patch import PatchHandle, WordPatch, tensor_sha256

VOCABULARY, WIDTH, ROWS = 49408, 512, 6000  # CLIP's table, and as many rows as a large set of captions moves
Result = TypeVar("Result")


def take_turns(
    runs: Mapping[str, Callable[[], Result]], rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, list[float]], dict[str, Result]]:
    """Seconds of every run in every round, and its last result; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    with torch.no_grad():
        for _ in range(rounds + 1):
            for name, run in runs.items():
                start = clock()
                results[name] = run()
                seconds[name].append(clock() - start)
    return {name: taken[1:] for name, taken in seconds.items()}, results


def measure_patch(rounds: int, rows: int = ROWS) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the table, and what they mean. All ways take turns, `rounds` times; times are medians of processor time."""
    generator = torch.Generator().manual_seed(0)
    table = 0.02 * torch.randn(VOCABULARY, WIDTH, generator=generator)
    moved = torch.randperm(VOCABULARY, generator=generator)[:rows]
    values = table[moved] + 0.01 * torch.randn(rows, WIDTH, generator=generator)
    patch = WordPatch.from_tables(
        table, moved, values, base_model="random", training_data="none", license="CC0-1.0", version="1"
    )
    model = nn.ModuleDict({"token_embedding": nn.Embedding.from_pretrained(table)})  # as in openai-clip
    handles: list[PatchHandle] = []
    with tempfile.TemporaryDirectory(prefix="mate-bench-") as temporary:
        files = {
            "load, fp32": patch.save(Path(temporary) / "fp32.safetensors"),
            "load, fp16": patch.save(Path(temporary) / "fp16.safetensors", torch.float16),
        }
        sizes = {name: path.stat().st_size / 1e6 for name, path in files.items()}
        runs: dict[str, Callable[[], Any]] = {
            "hash of the table alone": lambda: tensor_sha256(table),
            "apply": lambda: handles.append(patch.apply(model)),
            "revert": lambda: handles.pop().revert(),
            "load, fp32": lambda: WordPatch.load(files["load, fp32"]),
            "load, fp16": lambda: WordPatch.load(files["load, fp16"]),
        }
        seconds, results = take_turns(runs, rounds, time.process_time)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    loss = float(((results["load, fp16"].rows - patch.rows).norm(dim=1) / patch.rows.norm(dim=1)).max())
    lines = [
        {
            "what": name,
            "processor seconds": median,
            "times the hash": median / medians["hash of the table alone"],
            "file, MB": sizes.get(name, ""),
        }
        for name, median in medians.items()
    ]
    notes = [
        f"{rows:,} rows of a random table ({VOCABULARY:,}, {WIDTH}); {rounds} rounds in turn. The hash is what refuses another table.",
        f"fp16 changes a row by at most {loss:.1e} of its length.",
    ]
    return lines, notes

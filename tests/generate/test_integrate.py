"""docs/integrate.md: a patch in the text encoders of six generators: its rows arrive, everything else is bit-equal."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.generate.peers_text import PEERS, WORDS, Encode
from torch import Tensor

from mate.text.patch import WordPatch, embedding_layer

MOVED = ["left", "waves"]
WITH = ["a person turns left", "waves slowly", "turns left then right"]
WITHOUT = ["a person walks", "turns right then jumps"]


def check(build: Callable[[], tuple[Any, Encode]]) -> list[Tensor]:
    """Applies and reverts a patch; returns the encodings with it, of `WITH`."""
    model, encode = build()
    table = embedding_layer(model).weight
    assert isinstance(table, Tensor)
    ids = torch.tensor(sorted(1 + WORDS.index(word) for word in MOVED))
    rows = table[ids] + torch.randn(2, table.shape[1], generator=torch.Generator().manual_seed(1))
    patch = WordPatch.from_tables(
        table, ids, rows, base_model="small", training_data="none", license="CC0-1.0", version="1"
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    said = [encode([text]) for text in (*WITH, *WITHOUT)]
    handle = patch.apply(model)
    now = [encode([text]) for text in (*WITH, *WITHOUT)]
    assert torch.equal(table[ids], rows)  # the rows arrive
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == [name for name, value in before.items() if value.shape == table.shape and "embedding" in name]
    others = torch.ones(len(table), dtype=torch.bool).index_fill(0, ids, False)
    assert torch.equal(table[others], before[changed[0]][others])
    for text, a, b in zip((*WITH, *WITHOUT), said, now, strict=True):
        assert torch.equal(a, b) == (text in WITHOUT), text
    handle.revert()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(a, encode([text])) for text, a in zip((*WITH, *WITHOUT), said, strict=True))
    return now[: len(WITH)]


@pytest.mark.parametrize("name", PEERS)
def test_a_patch_arrives_in_a_stand_in_and_nothing_else_changes(name: str) -> None:
    check(PEERS[name].build)


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_a_patch_arrives_in_their_own_text_encoding(name: str) -> None:
    folder = Path(os.environ.get("MATE_PEERS", "")) / PEERS[name].folder
    if not os.environ.get("MATE_PEERS") or not folder.is_dir():
        pytest.skip(f"set MATE_PEERS to a folder that holds a checkout of {PEERS[name].folder}")
    own = check(lambda: PEERS[name].source(folder))
    stand_in = check(PEERS[name].build)
    for a, b in zip(own, stand_in, strict=True):
        assert torch.allclose(a.flatten().sort().values, b.flatten().sort().values, atol=1e-5)


def test_the_page_names_every_generator_and_its_line(repository: Path) -> None:
    page = (repository / "docs" / "integrate.md").read_text(encoding="utf-8")
    for name in ("MoMask", "T2M-GPT", "MDM", "MLD", "MMM", "MotionDiffuse"):
        assert f"## {name}" in page
    assert page.count("WordPatch.load(") >= 6

"""The head that brings patched text vectors back into a frozen generator's space."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mate.errors import MateError
from mate.text.distill import DistillConfig, TextHead, distil, medoids

CONFIG = DistillConfig(hidden=32, steps=200, batch=32, lr=3e-3, noise=0.1)


def made_up(seed: int, each: int = 6) -> tuple[Tensor, Tensor, list[int]]:
    """Unpatched vectors, patched ones and groups of 5 x `each` texts: the patch turns the space, wordings scatter."""
    stream = torch.Generator().manual_seed(7)
    meanings, turn = torch.randn(5, 16, generator=stream), torch.linalg.qr(torch.randn(16, 16, generator=stream))[0]
    groups = [i for i in range(5) for _ in range(each)]
    own = torch.randn(len(groups), 16, generator=torch.Generator().manual_seed(seed))
    unpatched = F.normalize(meanings[groups] + 0.5 * own, dim=-1)
    return unpatched, unpatched @ turn, groups


def test_a_head_leads_new_wordings_to_the_canonical_one() -> None:
    unpatched, patched, groups = made_up(0)
    canonical = medoids(unpatched, groups)
    state = torch.get_rng_state()
    head = distil(patched, canonical, CONFIG)
    assert torch.equal(state, torch.get_rng_state())
    _, new, same = made_up(1)
    goals = torch.stack([canonical[groups.index(i)] for i in range(5)])
    with torch.no_grad():
        before, after = (F.normalize(x, dim=-1) @ goals.T for x in (new, head(new)))
    truth = torch.tensor(same)
    assert (before.argmax(1) == truth).float().mean() < 0.6
    assert (after.argmax(1) == truth).float().mean() > 0.85
    again = distil(patched, canonical, CONFIG)
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters(), strict=True))


def test_medoids_are_texts_of_their_group() -> None:
    unpatched, _, groups = made_up(0)
    found = medoids(unpatched, groups)
    for i in range(5):
        rows = torch.tensor(groups) == i
        assert len(found[rows].unique(dim=0)) == 1
        own = unpatched[rows]
        best = (own @ own.T).sum(1).argmax()
        assert torch.equal(found[rows][0], own[best])


def test_an_untrained_head_changes_nothing_and_lengths_stay() -> None:
    x = 3 * torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    head = TextHead(16, 8)
    torch.testing.assert_close(head(x), x)
    torch.nn.init.normal_(head.down.weight)
    torch.testing.assert_close(head(x).norm(dim=-1), x.norm(dim=-1))


def test_a_head_is_read_as_it_was_written(tmp_path: Path) -> None:
    unpatched, patched, groups = made_up(0)
    head = distil(patched, medoids(unpatched, groups), CONFIG)
    path = head.save(tmp_path / "head.safetensors", {"base_model": "made up"})
    with torch.no_grad():
        assert torch.equal(TextHead.load(path)(patched), head(patched))
    (tmp_path / "no.safetensors").write_bytes(b"no")
    for wrong in ("no.safetensors", "missing.safetensors"):
        with pytest.raises(MateError, match="no text head"):
            TextHead.load(tmp_path / wrong)


@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((1, 3), (1, 3)), ((4,), (4,))])
def test_vectors_that_do_not_fit_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(MateError, match=r"expected two of the same \(M, S\)"):
        distil(torch.ones(shapes[0]), torch.ones(shapes[1]), CONFIG)

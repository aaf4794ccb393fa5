"""The prior and the attention that it guides, against the paper's formula written out."""

import pytest
import torch

from mate.align.localization import GuidedAttention, prior
from mate.errors import MateError


def test_the_gaussian_prior() -> None:
    values = prior(torch.tensor([2.0]), torch.tensor([6.0]), 10)[0]
    tau = torch.arange(10) + 0.5
    torch.testing.assert_close(values, torch.exp(-((tau - 4.0) ** 2) / (2 * 2.0**2)))
    assert values[0] > 0 and values[-1] > 0, "it covers the whole sequence: a wrong segment can be recovered from"


def test_the_other_priors() -> None:
    start, end = torch.tensor([2.0]), torch.tensor([6.0])
    inside = torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 0, 0.0])
    assert prior(start, end, 10, "binary")[0].tolist() == inside.tolist()
    torch.testing.assert_close(prior(start, end, 10, "inside")[0], prior(start, end, 10)[0] * inside)
    assert not prior(start, end, 10, "none").any()
    for kind in ("gaussian", "binary", "inside"):
        assert not prior(end, end, 10, kind).any(), "no segment: the word is not in this motion"
    with pytest.raises(MateError, match="expected one of gaussian"):
        prior(start, end, 10, "laplace")  # type: ignore[arg-type]


def test_scaling_the_logits_is_scaling_the_keys() -> None:
    torch.manual_seed(0)
    attention = GuidedAttention(16, 4, omega=1.5)
    words, frames = torch.randn(2, 3, 16), torch.randn(2, 7, 16)
    mask = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])
    hint = torch.rand(2, 3, 7)
    read, weights = attention(words, frames, mask, hint)
    for b in range(2):
        for w in range(3):
            valid = mask[b]
            keys = attention.key((1 + 1.5 * hint[b, w, :, None]) * frames[b])[valid].unflatten(1, (4, 4))
            query = attention.query(words[b, w]).unflatten(0, (4, 4))
            shares = torch.einsum("hd,thd->ht", query, keys).mul(4**-0.5).softmax(-1)
            torch.testing.assert_close(weights[b, :, w, valid], shares, rtol=1e-4, atol=1e-5)
            values = attention.value(frames[b])[valid].unflatten(1, (4, 4))
            torch.testing.assert_close(
                read[b, w], attention.out(torch.einsum("ht,thd->hd", shares, values).flatten()), rtol=1e-4, atol=1e-5
            )
    assert not weights[1, :, :, 5:].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 3))


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    attention = GuidedAttention(8, 2)
    words, frames = torch.randn(1, 2, 8), torch.randn(1, 5, 8)
    short, _ = attention(words, frames, torch.ones(1, 5, dtype=torch.bool))
    padded = torch.cat([frames, torch.randn(1, 3, 8)], 1)
    long, _ = attention(words, padded, torch.arange(8)[None] < 5)
    torch.testing.assert_close(short, long)

"""The criteria against their formulas, written out in plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from mate.align.losses import (
    align_loss,
    cross_loss,
    multi_positive_nce,
    reconstruction_loss,
    self_loss,
    sentence_loss,
)


def cos(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(F.cosine_similarity(a, b, dim=0))


def test_self_loss() -> None:
    torch.manual_seed(0)
    features, prototypes, words, tau = torch.randn(3, 8), torch.randn(5, 8), torch.tensor([4, 0, 4]), 0.2
    expected = 0.0
    for feature, word in zip(features, words.tolist(), strict=True):
        terms = [math.exp(cos(feature, p) / tau) for p in prototypes]
        expected += -math.log(terms[word] / sum(terms)) / 3
    assert float(self_loss(features, prototypes, words, tau)) == pytest.approx(expected, rel=1e-4)


def test_words_of_one_stretch_are_no_negatives_of_each_other() -> None:
    torch.manual_seed(0)
    features, prototypes, words, tau = torch.randn(2, 8), torch.randn(5, 8), torch.tensor([4, 0]), 0.2
    negative = torch.tensor([[True, True, False, False, False], [False, False, True, False, True]])
    expected = 0.0
    for feature, word, away in zip(features, words.tolist(), negative, strict=True):
        terms = [math.exp(cos(feature, p) / tau) for p in prototypes]
        counted = [k for k in range(5) if away[k] or k == word]
        expected += -math.log(terms[word] / sum(terms[k] for k in counted)) / 2
    assert float(self_loss(features, prototypes, words, tau, negative)) == pytest.approx(expected, rel=1e-4)
    everything = torch.ones(2, 5, dtype=torch.bool)
    assert self_loss(features, prototypes, words, tau, everything) == self_loss(features, prototypes, words, tau)

    embedded, same = torch.randn(2, 8), torch.eye(2, dtype=torch.bool)
    assert float(align_loss(embedded, features, same, tau, torch.zeros(2, 2, dtype=torch.bool))) == pytest.approx(0.0)
    one_way = torch.tensor([[False, True], [False, False]])  # word 0 is not in what feature 1 was read from
    logits = torch.tensor([[cos(a, b) / tau for b in features] for a in embedded])
    wanted = (torch.logsumexp(logits[0], 0) - logits[0, 0] + torch.logsumexp(logits[:, 1], 0) - logits[1, 1]) / 4
    assert float(align_loss(embedded, features, same, tau, one_way)) == pytest.approx(float(wanted), rel=1e-4)


def test_cross_loss_uses_sound_negatives_only() -> None:
    torch.manual_seed(0)
    clips, count = 2, 3
    own, elsewhere, motion = torch.randn(count, 8), torch.randn(clips, count, 8), torch.tensor([0, 0, 1])
    absent = torch.tensor([[False, False, True], [True, False, False]])  # [motion, word]
    first = [
        abs(cos(own[i], elsewhere[motion[i], j])) for i in range(count) for j in range(count) if absent[motion[i], j]
    ]
    second = [abs(cos(own[i], elsewhere[b, i])) for i in range(count) for b in range(clips) if absent[b, i]]
    expected = sum(first) / len(first) + sum(second) / len(second)
    assert float(cross_loss(own, elsewhere, motion, absent)) == pytest.approx(expected, rel=1e-4)
    assert float(cross_loss(own, elsewhere, motion, torch.zeros(clips, count, dtype=torch.bool))) == 0.0


@pytest.mark.usefixtures("two_threads")
def test_the_gradient_of_cross_loss_is_the_same_every_time() -> None:
    """Many words of one motion: their gradients add up in one place, and threads must not race for it."""
    torch.manual_seed(0)
    own, elsewhere, motion = torch.randn(96, 64), torch.randn(4, 96, 64), torch.randint(4, (96,))
    absent = torch.rand(4, 96) > 0.5

    def gradient() -> torch.Tensor:
        read = elsewhere.clone().requires_grad_()
        cross_loss(own, read, motion, absent).backward()
        assert read.grad is not None
        return read.grad

    first = gradient()
    assert first.any() and all(torch.equal(gradient(), first) for _ in range(5))


def test_one_positive_is_the_usual_infonce() -> None:
    torch.manual_seed(0)
    text, motion, tau = torch.randn(6, 8), torch.randn(6, 8), 0.1
    logits = F.normalize(text, dim=1) @ F.normalize(motion, dim=1).T / tau
    usual = (F.cross_entropy(logits, torch.arange(6)) + F.cross_entropy(logits.T, torch.arange(6))) / 2
    torch.testing.assert_close(sentence_loss(text, motion, torch.eye(6, dtype=torch.bool), tau), usual)


def test_duplicates_do_not_push_each_other_away() -> None:
    text = torch.eye(4)[[0, 0, 1, 2]]
    motion = torch.eye(4)[[0, 0, 1, 2]]
    same = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).bool()
    assert float(sentence_loss(text, motion, same, 0.02)) < 1e-6
    assert float(sentence_loss(text, motion, torch.eye(4, dtype=torch.bool), 0.02)) > 0.3
    assert float(multi_positive_nce(torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool))) == pytest.approx(0.0)


def test_words_of_one_stem_are_no_negatives() -> None:
    words = torch.eye(3)[[0, 0, 1]]
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    assert float(align_loss(words, words, same, 0.02)) < 1e-6


def test_reconstruction_ignores_padding() -> None:
    features = torch.randn(2, 5, 3)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    decoded = torch.where(mask.unsqueeze(-1), features, torch.full_like(features, 1e6))
    assert float(reconstruction_loss(decoded, features, mask)) == 0.0


def test_losses_stay_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    text, motion, same = torch.randn(6, 8), torch.randn(6, 8), torch.eye(6, dtype=torch.bool)
    plain = sentence_loss(text, motion, same, 0.07)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sentence_loss(text, motion, same, 0.07), plain)

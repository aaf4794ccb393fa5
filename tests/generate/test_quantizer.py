"""The residual quantiser: MoMask's rule, and all its state in buffers."""

from dataclasses import replace

import pytest
import torch

from mate.generate.momask.config import QuantizerConfig
from mate.generate.momask.quantizer import Codebook, ResidualQuantizer

CONFIG = QuantizerConfig(codes=16, dim=8, layers=3, dropout=0.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(config: QuantizerConfig = CONFIG, steps: int = 5) -> ResidualQuantizer:
    quantizer = ResidualQuantizer(config).train()
    for step in range(steps):
        quantizer(torch.randn(4, 20, config.dim, generator=seeded(step)), generator=seeded(100 + step))
    return quantizer


def test_moving_averages_agree_with_vector_quantize_pytorch() -> None:
    reference_module = pytest.importorskip("vector_quantize_pytorch")
    size, dim = 16, 8
    reference = reference_module.VectorQuantize(dim, size, decay=0.99, eps=1e-12, threshold_ema_dead_code=0).train()
    book = Codebook(size, dim, 0.99)
    codes, counts = torch.randn(size, dim, generator=seeded()), torch.full((size,), 50.0)
    for target, value in ((book.codes, codes), (book.sums, codes * counts[:, None]), (book.counts, counts)):
        target.copy_(value)
    theirs = reference._codebook
    theirs.embed.data.copy_(codes[None])
    theirs.embed_avg.data.copy_((codes * counts[:, None])[None])
    theirs.cluster_size.data.copy_(counts[None])
    for step in range(10):
        x = torch.randn(200, dim, generator=seeded(step))
        indices = book.assign(x)
        _, expected, _ = reference(x[None])
        assert torch.equal(indices, expected[0])
        book.update(x, indices, seeded())
        torch.testing.assert_close(book.codes, theirs.embed[0], rtol=1e-5, atol=1e-6)


def test_the_first_batch_gives_the_first_codes() -> None:
    quantizer = ResidualQuantizer(CONFIG).train()
    x = torch.randn(4, 20, 8, generator=seeded())
    quantizer(x, generator=seeded())
    assert bool(quantizer.book(0).initialised)
    assert float(quantizer.book(0).codes.abs().sum()) > 0


def test_a_code_that_nobody_uses_is_replaced_by_a_vector_of_the_batch() -> None:
    book = Codebook(4, 2, 0.9)
    book.initialise(torch.randn(8, 2, generator=seeded()), seeded())
    book.codes[3] = 1000.0
    book.sums[3] = 1000.0
    x = torch.randn(8, 2, generator=seeded(1))
    book.update(x, book.assign(x), seeded(2))
    assert float(book.codes.abs().max()) < 10
    assert any(torch.equal(book.codes[3], row) for row in x)


def test_all_state_is_in_buffers_so_that_a_resumed_run_continues() -> None:
    whole, first = trained(steps=8), trained(steps=5)
    resumed = ResidualQuantizer(CONFIG).train()
    resumed.load_state_dict(first.state_dict())
    for step in range(5, 8):
        resumed(torch.randn(4, 20, 8, generator=seeded(step)), generator=seeded(100 + step))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert "books.0.initialised" in whole.state_dict()


def test_random_choices_come_from_the_generator_only() -> None:
    torch.manual_seed(1)
    one = trained(replace(CONFIG, dropout=0.5, temperature=0.5))
    torch.manual_seed(2)
    other = trained(replace(CONFIG, dropout=0.5, temperature=0.5))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_padding_moves_no_code_and_adds_no_loss() -> None:
    x = torch.randn(2, 10, 8, generator=seeded())
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[1, 6:] = False
    other = torch.where(mask[..., None], x, 99.0)
    out = []
    for values in (x, other):
        quantizer = trained()
        z, indices, loss, _ = quantizer(values, mask, seeded())
        out.append((z, indices, loss, quantizer.state_dict()))
    assert torch.equal(out[0][0], out[1][0])
    assert torch.equal(out[0][1], out[1][1])
    assert torch.equal(out[0][2], out[1][2])
    assert all(torch.equal(out[0][3][key], out[1][3][key]) for key in out[0][3])


def test_gradient_passes_straight_through() -> None:
    quantizer = trained().eval()
    x = torch.randn(1, 4, 8, generator=seeded(), requires_grad=True)
    z, _, _, _ = quantizer(x)
    z.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_encode_then_decode_is_what_forward_gives_and_layers_only_help() -> None:
    quantizer = trained(steps=50).eval()
    x = torch.randn(3, 7, 8, generator=seeded(9))
    z, indices, _, _ = quantizer(x)
    assert torch.equal(quantizer.encode(x), indices)
    torch.testing.assert_close(quantizer.decode(indices), z)
    errors = [float((quantizer.decode(indices[..., :q]) - x).square().mean()) for q in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]


def test_expected_codes_are_the_chosen_ones_where_the_prediction_is_sure_and_their_mean_where_it_is_not() -> None:
    quantizer = trained(steps=50).eval()
    indices = quantizer.encode(torch.randn(2, 5, 8, generator=seeded(9)))
    codes = quantizer.config.codes
    sure = torch.nn.functional.one_hot(indices[..., 1:], codes).float()
    torch.testing.assert_close(quantizer.expected(indices[..., 0], sure), quantizer.decode(indices))
    means = sum(quantizer.book(layer).codes.mean(0) for layer in range(1, quantizer.config.layers))
    unsure = quantizer.expected(indices[..., 0], torch.full_like(sure, 1 / codes))
    torch.testing.assert_close(unsure, quantizer.decode(indices[..., :1]) + means)


def test_dropped_layers_are_marked_and_count_as_nothing() -> None:
    quantizer = trained(replace(CONFIG, dropout=1.0))
    kept = set()
    for seed in range(20):
        z, indices, _, _ = quantizer(torch.randn(1, 4, 8, generator=seeded(seed)), generator=seeded(seed))
        count = int((indices[0, 0] >= 0).sum())
        kept.add(count)
        assert bool((indices[..., count:] == -1).all())
        assert z.shape == (1, 4, 8)
    assert kept == {1, 2, 3}


def test_a_shared_codebook_is_one() -> None:
    quantizer = trained(replace(CONFIG, shared=True))
    assert len(quantizer.books) == 1
    assert quantizer.encode(torch.randn(1, 4, 8)).shape == (1, 4, 3)

"""Masked and residual transformer, length predictor."""

from collections.abc import Sequence

import torch

from mate.generate.length import LengthPredictor
from mate.generate.momask.config import LengthConfig, SamplingConfig, TextConfig, TransformerConfig
from mate.generate.momask.residual import ResidualTransformer
from mate.generate.momask.transformer import (
    MaskedTransformer,
    Noise,
    TextNormalizer,
    choose,
    corrupt,
    dropout,
    masked_fraction,
)

CODES, DIM, MAX = 32, 12, 20
CONFIG = TransformerConfig(
    width=16, layers=2, heads=2, ff=32, dropout=0.0, code_dim=8, text=TextConfig(hidden=8, noise=0.1)
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_of(lengths: Sequence[int], first: int = 0) -> Noise:
    streams = {i: seeded(1000 + first + i) for i in range(len(lengths))}
    return lambda i, purpose: torch.rand(lengths[i], CODES, generator=streams[i])


def masked() -> MaskedTransformer:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return MaskedTransformer(CONFIG, CODES, DIM, MAX).eval()


def residual(share: bool = True) -> ResidualTransformer:
    from dataclasses import replace

    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return ResidualTransformer(replace(CONFIG, share=share), CODES, 3, DIM, MAX).eval()


def test_corruption_follows_bert_and_the_cosine() -> None:
    tokens = torch.randint(CODES, (4000, 20), generator=seeded())
    mask = torch.ones(4000, 20, dtype=torch.bool)
    mask[:, 15:] = False
    out, hidden = corrupt(tokens, mask, CODES, seeded(1))
    assert not bool((hidden & ~mask).any())
    assert torch.equal(out[~hidden], tokens[~hidden])
    assert int(hidden.sum(1).min()) >= 1
    share = float(hidden.sum() / mask.sum())
    assert abs(share - 2 / torch.pi) < 0.02
    assert abs(float((out[hidden] == CODES).float().mean()) - 0.9 * 0.88) < 0.01
    assert float(masked_fraction(torch.tensor(0.0))) == 1.0


def test_padding_does_not_change_states() -> None:
    model = masked()
    tokens = torch.randint(CODES, (2, 12), generator=seeded())
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    condition = model.condition(torch.randn(2, DIM, generator=seeded(1)))
    together = model.states(tokens, condition, mask)[1, :7]
    alone = model.states(tokens[1:, :7], condition[1:], mask[1:, :7])[0]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    for guidance in (1.0, 4.0):
        model, finer = masked(), residual()
        pooled, lengths = torch.randn(4, DIM, generator=seeded()), [20, 5, 13, 9]
        noise = noise_of(lengths)
        config = SamplingConfig()
        base = model.sample(pooled, lengths, noise, config, guidance)
        tokens, probabilities = finer.sample(base, pooled, lengths, noise, config)
        for i, length in enumerate(lengths):
            own = noise_of([length], i)
            alone = model.sample(pooled[i : i + 1], [length], own, config, guidance)
            assert torch.equal(alone[0], base[i, :length])
            alone_tokens, alone_probabilities = finer.sample(alone, pooled[i : i + 1], [length], own, config)
            assert torch.equal(alone_tokens[0], tokens[i, :length])
            torch.testing.assert_close(alone_probabilities[0], probabilities[i, :length])
        assert int(base.max()) <= CODES
        assert all(int(base[i, :length].max()) < CODES for i, length in enumerate(lengths))  # nothing stays masked


def test_no_text_is_the_same_for_all_texts() -> None:
    model = masked()
    drop = torch.ones(2, dtype=torch.bool)
    condition = model.condition(torch.randn(2, DIM), drop)
    assert torch.equal(condition[0], condition[1])


def test_training_draws_come_from_the_generator() -> None:
    model = masked().train()
    tokens, mask = torch.randint(CODES, (4, 10), generator=seeded()), torch.ones(4, 10, dtype=torch.bool)
    pooled = torch.randn(4, DIM, generator=seeded())
    one = model(tokens, mask, pooled, seeded(3))[0]
    two = model(tokens, mask, pooled, seeded(3))[0]
    assert torch.equal(one, two)
    assert not torch.equal(one, model(tokens, mask, pooled, seeded(4))[0])


def test_residual_layers_see_only_the_layers_below() -> None:
    model = residual()
    tokens = torch.randint(CODES, (2, 6, 3), generator=seeded())
    mask, layer = torch.ones(2, 6, dtype=torch.bool), torch.tensor([1, 2])
    condition = model.condition(torch.randn(2, DIM, generator=seeded()))
    before = model.logits(tokens, layer, condition, mask)
    other = tokens.clone()
    other[0, :, 1:] = 0  # sample 0 predicts layer 1: layers 1 and 2 must not matter
    other[1, :, 2] = 0
    assert torch.equal(before, model.logits(other, layer, condition, mask))


def test_weight_sharing_is_an_option() -> None:
    for share in (True, False):
        model = residual(share).train()
        tokens, mask = torch.randint(CODES, (4, 6, 3), generator=seeded()), torch.ones(4, 6, dtype=torch.bool)
        loss, _ = model(tokens, mask, torch.randn(4, DIM, generator=seeded()), seeded())
        loss.backward()
        assert all(p.grad is not None for name, p in model.named_parameters() if "null" not in name)
    assert residual(True).outputs is None


def test_choice() -> None:
    logits = torch.tensor([[0.0, 5.0, 1.0, -1.0]])
    assert int(choose(logits, 0.0, 0.9, None)) == 1
    uniform = torch.rand(1000, 4, generator=seeded())
    top = choose(logits.expand(1000, 4), 1.0, 0.5, uniform)
    assert set(top.tolist()) == {1, 2}
    free = choose(torch.zeros(4000, 4), 1.0, 0.0, torch.rand(4000, 4, generator=seeded()))
    assert torch.bincount(free, minlength=4).min() > 900


def test_fast_dropout_keeps_the_mean() -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        x = dropout(torch.ones(100_003), 0.25, True)
    assert abs(float((x == 0).float().mean()) - 0.25) < 0.01
    assert abs(float(x.mean()) - 1) < 0.02
    assert torch.equal(dropout(x, 0.25, False), x)


def test_length_predictor_learns_and_samples() -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = LengthPredictor(LengthConfig(hidden=16, dropout=0.0), DIM, MAX).train()
    pooled = torch.eye(DIM)[:2]
    model.normalizer.set(pooled)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        model(torch.tensor([4, 17]), pooled).backward()
        optimizer.step()
    noise: Noise = lambda i, purpose: torch.rand(1, MAX, generator=seeded(i))  # noqa: E731
    assert model.eval().sample(pooled, noise, 1.0, 2) == [4, 17]
    assert min(model.sample(pooled, noise, 1.0, 10)) >= 10


def test_text_normaliser() -> None:
    texts = torch.randn(50, DIM, generator=seeded()) * 0.01 + 3
    normalizer = TextNormalizer(DIM)
    normalizer.set(texts)
    out = normalizer(texts)
    assert abs(float(out.mean())) < 1e-4
    assert abs(float(out.square().mean()) - 1) < 1e-3

"""The training loop: resuming, stopping, the clock, averaging."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mate.errors import MateError
from mate.training import TrainConfig, autocast, lr_factor, mix_seed, train

CONFIG = TrainConfig(steps=12, lr=1e-2, warmup=3, ema=0.9, weight_decay=0.1, log_steps=4)


class Net(nn.Module):
    """Dropout, a parameter without gradient, and a buffer that changes: all that a resume can lose."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if self.training:
            self.seen += x.sum()
        return self.layers(x + 0.1 * torch.randn(x.shape, generator=generator)).square().mean()


def net() -> Net:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Net()


def batch(number: int) -> Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(mix_seed("batch", number)))


def loss(module: nn.Module, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    value = module(x, generator)
    return {"square": value, "seen": x.sum()}


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, stopped = net(), net()
    report = train(whole, batch, loss, tmp_path / "whole", CONFIG, quiet=True)
    assert report.steps == 12

    def interrupt(number: int) -> Tensor:
        if number == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(number)

    with pytest.raises(KeyboardInterrupt):
        train(stopped, interrupt, loss, tmp_path / "run", CONFIG, quiet=True)
    resumed = net()
    again = train(resumed, batch, loss, tmp_path / "run", CONFIG, quiet=True)
    assert again.steps == 12
    assert same(whole, resumed)
    assert not same(net(), resumed)
    assert list((tmp_path / "run" / "logs").iterdir())


def test_a_finished_run_returns_its_result_at_once(tmp_path: Path) -> None:
    first, second = net(), net()
    train(first, batch, loss, tmp_path, CONFIG, quiet=True)
    train(second, lambda _: pytest.fail("trained again"), loss, tmp_path, CONFIG, quiet=True)
    assert same(first, second)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    train(net(), batch, loss, tmp_path, CONFIG, quiet=True)
    with pytest.raises(MateError, match=r"lr: 0.01 -> 0.02"):
        train(net(), batch, loss, tmp_path, replace(CONFIG, lr=2e-2), quiet=True)


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(net(), batch, loss, tmp_path, replace(CONFIG, steps=2), quiet=True)
    assert torch.equal(torch.rand(3), expected)


def test_the_clock_ends_a_run(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=10**9, max_minutes=0.5 / 60)
    report = train(net(), batch, loss, tmp_path, config, quiet=True)
    assert 0 < report.steps < 10**9
    assert 0.4 < report.seconds < 5


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    def broken(module: nn.Module, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"bad": module(x, generator) * math.nan}

    with pytest.raises(MateError, match="not finite at step 0"):
        train(net(), batch, broken, tmp_path, CONFIG, quiet=True)


def test_schedule() -> None:
    config = TrainConfig(warmup=10, final_lr=0.1)
    assert lr_factor(config, 0, 0.0) == pytest.approx(0.1)
    assert lr_factor(config, 9, 0.0) == pytest.approx(1.0)
    assert lr_factor(config, 100, 1.0) == pytest.approx(0.1)
    assert lr_factor(config, 100, 0.5) == pytest.approx(0.55)


def test_bfloat16_keeps_weights_in_float32(tmp_path: Path) -> None:
    module = net()
    train(module, batch, loss, tmp_path, replace(CONFIG, bf16=True), quiet=True)
    assert all(p.dtype == torch.float32 for p in module.parameters())


@pytest.mark.parametrize(
    "found", [{"avx512_bf16": True}, {"amx_bf16": True}, {"bf16": True}, {"avx512_bf16": False, "avx2": True}, {}]
)
def test_bfloat16_only_where_the_processor_computes_in_it(
    found: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    native = any(value for name, value in found.items() if name.endswith("bf16"))
    linear, x = nn.Linear(4, 4), torch.ones(2, 4)
    with autocast("cpu", True):
        assert linear(x).dtype == (torch.bfloat16 if native else torch.float32)
    with autocast("cpu", False):
        assert linear(x).dtype == torch.float32


def test_seeds_differ() -> None:
    seeds = {mix_seed(a, b) for a in range(30) for b in ("x", "y", 1, 2)}
    assert len(seeds) == 120
    assert all(0 <= seed < 2**63 for seed in seeds)

"""Packed linear layers: the same numbers, and never those of an older weight."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from mate.generate import linear
from mate.generate.linear import Linear, packed

needs_packing = pytest.mark.skipif(not linear._onednn(), reason="this torch or processor does not pack weights")


def network() -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(Linear(24, 40), nn.LayerNorm(40), Linear(40, 8)).eval()


def first(model: nn.Sequential) -> Linear:
    layer = model[0]
    assert isinstance(layer, Linear)
    return layer


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(24,), (3, 24), (2, 50, 24)])
@pytest.mark.parametrize("gelu", [False, True])
def test_packing_changes_rounding_alone(shape: tuple[int, ...], gelu: bool) -> None:
    layer, x = first(network()), inputs(*shape)
    with torch.no_grad():
        plain = layer(x, gelu)
        with packed(layer):
            inside = layer(x, gelu)
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(plain, nn.functional.gelu(expected) if gelu else expected)
    torch.testing.assert_close(inside, plain, atol=1e-5, rtol=1e-5)


def test_parts_of_a_larger_tensor_are_read_right() -> None:
    layer, x = first(network()), inputs(4, 9, 24)
    with torch.no_grad(), packed(layer):
        torch.testing.assert_close(layer(x[1:3, 2:7]), layer(x)[1:3, 2:7], atol=1e-5, rtol=1e-5)


@needs_packing
def test_a_changed_weight_is_packed_again_and_an_unchanged_one_is_not() -> None:
    model = network()
    layer = first(model)
    with packed(model):
        before = layer._active
        assert before is not None
    with packed(model):
        assert layer._active is before
    with torch.no_grad():
        layer.weight.mul_(2)
        with packed(model):
            assert layer._active is not before
            found = layer(inputs(5, 24))
        torch.testing.assert_close(found, layer(inputs(5, 24)), atol=1e-5, rtol=1e-5)
        model.load_state_dict(network().state_dict())
        with packed(model):
            torch.testing.assert_close(layer(inputs(5, 24)), first(network())(inputs(5, 24)), atol=1e-5, rtol=1e-5)
    model.train()
    assert layer._kept is None


@needs_packing
def test_nothing_stays_packed() -> None:
    model = network()
    with pytest.raises(RuntimeError, match="shapes"), packed(model), torch.no_grad():
        nn.functional.linear(inputs(2, 7), first(model).weight)
    assert first(model)._active is None
    assert list(model.state_dict()) == list(network().state_dict())
    twin = deepcopy(model)
    assert first(twin)._kept is None
    torch.testing.assert_close(twin(inputs(2, 24)), model(inputs(2, 24)))


@pytest.mark.parametrize("case", ["training", "half", "inference", "onednn off", "autocast"])
def test_what_cannot_be_packed_computes_as_it_is(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    if case == "training":
        model.train()
    elif case == "half":
        model.bfloat16()
    elif case == "inference":
        with torch.inference_mode():
            model = nn.Sequential(Linear(24, 40)).eval()
    elif case == "onednn off":
        monkeypatch.setattr(linear, "_onednn", lambda: False)
    with torch.autocast("cpu", enabled=case == "autocast"), packed(model):
        assert first(model)._active is None


def test_gradients_are_those_of_a_plain_layer() -> None:
    layer = first(network())
    x = inputs(3, 24)
    with packed(layer):
        pass
    layer(x, gelu=True).sum().backward()
    plain = nn.Linear(24, 40)
    plain.load_state_dict(layer.state_dict())
    nn.functional.gelu(plain(x)).sum().backward()
    assert layer.weight.grad is not None and plain.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)

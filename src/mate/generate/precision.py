"""Smaller weights for sampling on a CPU: bf16, or int8 with one scale an output channel.

Only the weights of linear and convolutional layers change, which are nearly all of a generator; biases, norms, embeddings, codebooks
and normalisers stay in fp32, and so do the numbers between the layers. A weight is widened when its layer runs, so that the memory
falls to a half
or a quarter and the results stay close; it is not a way to be faster.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.errors import MateError

DTYPES = ("fp32", "bf16", "int8")


def lower(model: nn.Module, dtype: str) -> None:
    """Stores the model's weights as `dtype`, in place; "fp32" leaves them. Such a model cannot be trained or saved.

    Raises:
        MateError: an unknown number format.
    """
    if dtype not in DTYPES:
        raise MateError(f"got the number format {dtype!r}, expected one of {', '.join(DTYPES)}")
    if dtype == "fp32":
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.Linear, nn.Conv1d)):
                setattr(module, name, _Narrow(child, dtype))


class _Narrow(nn.Module):
    """A linear or convolutional layer whose weight is stored narrow and widened for use."""

    narrow: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv1d, dtype: str) -> None:
        super().__init__()
        weight = layer.weight.detach()
        if dtype == "bf16":
            narrow, scale = weight.bfloat16(), torch.ones(())
        else:
            scale = weight.flatten(1).abs().amax(1).clamp(min=1e-12).div(127).view(-1, *[1] * (weight.ndim - 1))
            narrow = (weight / scale).round().clamp(-127, 127).to(torch.int8)
        self.register_buffer("narrow", narrow)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())
        self.conv = None
        if isinstance(layer, nn.Conv1d):
            assert not isinstance(layer.padding, str)
            self.conv = layer.stride, layer.padding, layer.dilation, layer.groups

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        weight = self.narrow.to(x.dtype)
        if self.narrow.dtype == torch.int8:
            weight = weight * self.scale
        if self.conv is None:
            x = F.linear(x, weight, self.bias)  # type: ignore[arg-type]
            return F.gelu(x) if gelu else x
        return F.conv1d(x, weight, self.bias, *self.conv)  # type: ignore[arg-type]


def weight_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])

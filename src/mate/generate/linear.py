"""A linear layer that is faster while sampling.

On x86 processors torch multiplies fp32 matrices with MKL, which brings the weight into its own order at every call. oneDNN, also a part
of torch, takes a weight that was put into its order once, and applies GELU while the result is still in the cache. Both compute in
fp32; results differ by rounding. What it is worth: `mate bench generate`.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """`nn.Linear`, with GELU behind it if asked for; inside of `packed` it uses oneDNN.

    The packed weight is neither parameter nor buffer: it is made anew when the weight has changed, let go in training, and not copied
    or saved.
    """

    _active: Tensor | None = None
    _kept: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, input: Tensor, gelu: bool = False) -> Tensor:
        """(..., in) -> (..., out)."""
        if self._active is not None:
            name, algorithm = ("gelu", "none") if gelu else ("none", "")
            return torch.ops.mkldnn._linear_pointwise(input, self._active, self.bias, name, [], algorithm)
        x = F.linear(input, self.weight, self.bias)
        return F.gelu(x) if gelu else x

    def pack(self) -> None:
        """Uses the packed weight until `unpack`."""
        state = self.weight.data_ptr(), self.weight._version
        if self._kept is None or self._kept[0] != state:
            self._kept = state, torch.ops.mkldnn._reorder_linear_weight(self.weight.detach())
        self._active = self._kept[1]

    def unpack(self) -> None:
        """Uses the weight itself again."""
        self._active = None

    def train(self, mode: bool = True) -> Self:
        """Training lets the packed weight go."""
        if mode:
            self._active = self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed weight, which cannot be copied."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_active", "_kept")}


@contextmanager
def packed(module: nn.Module) -> Iterator[None]:
    """Inside, the module's `Linear` layers compute with packed weights, where torch, processor and number format allow it."""
    layers = [layer for layer in module.modules() if isinstance(layer, Linear) and _packable(layer)]
    if not (_onednn() and not module.training and not torch.is_autocast_enabled("cpu")):
        layers = []
    try:
        for layer in layers:
            layer.pack()
        yield
    finally:
        for layer in layers:
            layer.unpack()


def _packable(layer: Linear) -> bool:
    weight = layer.weight
    # An inference tensor does not count its changes, so that a stale copy could not be told.
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and not weight.is_inference()


def _onednn() -> bool:
    """Whether this torch has the two operators, which its own compiler uses too; on other processors they are not tried."""
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )

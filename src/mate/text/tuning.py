"""What of a language model is trained: nothing, rows of its word-embedding table, its later layers, everything, or a low-rank addition.

Known from the paper: the five are its ablation; it trains the rows. Ours: which projections get a low-rank addition, rank and start.

Source of the low-rank addition: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mate.errors import MateError
from mate.text.encoder import TextEncoder

Trained = Literal["nothing", "rows", "layers", "all", "lora"]
# Query and value projections, by their names in BERT and RoBERTa, DistilBERT, CLIP, and in MPNet and T5.
_PROJECTIONS = frozenset(("query", "value", "q_lin", "v_lin", "q_proj", "v_proj", "q", "v"))


@dataclass(frozen=True)
class Tuned:
    """What moves in a language model.

    Attributes:
        rows: (K, D) displacements of word-embedding rows, zero at the start; None where no row moves.
        layers: parameters of later layers, or those of the low-rank additions.
    """

    rows: nn.Parameter | None
    layers: tuple[nn.Parameter, ...]


class LowRank(nn.Module):
    """A weight matrix plus a trainable product of rank `rank`: W -> W + up @ down; W itself at the start."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        start = torch.randn(rank, inputs, generator=generator) / inputs**0.5
        self.down = nn.Parameter(start.to(weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """(outputs, inputs) -> (outputs, inputs)."""
        return weight + self.up @ self.down


def tune(encoder: TextEncoder, kind: Trained, token_ids: Tensor, rank: int = 8, seed: int = 0) -> Tuned:
    """Lets a part of a language model move; `settle` ends it. Dropout stays off, the base table stays as it is.

    Args:
        token_ids: the rows that move with "rows" and "all".
        rank, seed: of the low-rank additions.

    Raises:
        MateError: an unknown kind, or a model without projections that can take a low-rank addition.
    """
    if kind not in get_args(Trained):
        raise MateError(f"got train {kind!r}, expected one of {', '.join(get_args(Trained))}")
    layers: list[nn.Parameter] = []
    if kind in ("layers", "all"):
        layers = [parameter for parameter in encoder.model.parameters() if parameter is not encoder.table]
        for parameter in layers:
            parameter.requires_grad_(True)
    elif kind == "lora":
        generator = torch.Generator().manual_seed(seed)
        for module in list(_projections(encoder.model)):
            addition = LowRank(module.weight, rank, generator)
            parametrize.register_parametrization(module, "weight", addition)
            layers += [addition.down, addition.up]
        if not layers:
            raise MateError(
                f"found no query and value projections in {encoder.model_id}; train its rows or its layers instead"
            )
    rows = encoder.train_rows(token_ids).delta if kind in ("rows", "all") else None
    return Tuned(rows, tuple(layers))


@torch.no_grad()
def settle(encoder: TextEncoder, tuned: Tuned) -> None:
    """Ends the training of `tune`'s parameters: low-rank additions are merged, nothing has gradients any more.

    Where later layers moved, rows that moved are written into the table, too: model and table are one new language model. Where
    only rows moved, the base table comes back as it was (the rows are the patch's).
    """
    for module in encoder.model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    if tuned.rows is not None:
        layer = encoder.embeddings
        ids, rows = layer.token_ids, layer.rows()  # type: ignore[union-attr,operator]
        encoder.end_training()
        if tuned.layers:
            encoder.write_rows(ids, rows)  # type: ignore[arg-type]
    encoder.freeze()


def _projections(model: nn.Module) -> Iterator[nn.Linear]:
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in _PROJECTIONS:
            yield module

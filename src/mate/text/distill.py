"""A small head that brings patched text vectors back into the space that a frozen generator was trained on.

A generator that stays as it is knows the vectors of the unpatched language model. The head is trained so that every wording of a
motion, read by the patched model, gives what the unpatched model gives for one canonical wording of it: the generator gets vectors that
it knows. `head(pooled)` stands between text encoder and generator, after `WordPatch.apply`.

Shapes: M texts, S text dimension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.errors import MateError
from mate.files import atomic_path


@dataclass(frozen=True)
class DistillConfig:
    """The head and its training.

    Attributes:
        hidden: width of the hidden layer.
        noise: Gaussian noise on the vectors in training, its expected length as a fraction of their spread: unseen wordings near
            seen ones are treated alike.
        steps, batch, lr, weight_decay: of AdamW; the learning rate falls to 0.
        seed: of batches, noise and first weights.
    """

    hidden: int = 512
    noise: float = 0.0
    steps: int = 1500
    batch: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0


class TextHead(nn.Module):
    """A residual perceptron on pooled vectors; before training it changes nothing."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(M, S) -> (M, S), as long as it was."""
        length = pooled.norm(dim=-1, keepdim=True)
        x = pooled / length.clamp(min=1e-12) * pooled.shape[-1] ** 0.5
        return F.normalize(x + self.down(F.gelu(self.up(x))), dim=-1) * length

    def save(self, path: str | Path, metadata: Mapping[str, str]) -> Path:
        """Writes the weights as safetensors with metadata of strings: `base_model`, `patch`, ..."""
        from safetensors.torch import save_file

        with atomic_path(Path(path)) as temporary:
            save_file(self.state_dict(), str(temporary), dict(metadata))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "TextHead":
        """Reads what `save` wrote.

        Raises:
            MateError: the file cannot be read or holds something else.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state = load_file(str(path))
            head = cls(state["down.weight"].shape[0], state["up.weight"].shape[0])
            head.load_state_dict(state)
        except (OSError, SafetensorError, KeyError, IndexError, RuntimeError) as error:
            raise MateError(f"{path}: no text head ({error}); write one with TextHead.save") from error
        return head.eval()


def medoids(pooled: Tensor, groups: Sequence[int]) -> Tensor:
    """For each text the vector of its group's most central text, (M, S): a canonical wording where none is given.

    Args:
        pooled: (M, S) vectors of the unpatched model.
        groups: which texts say the same, one number a text.
    """
    units, out, numbers = F.normalize(pooled, dim=-1), torch.empty_like(pooled), torch.tensor(groups)
    for number in numbers.unique():
        places = (numbers == number).nonzero().squeeze(1)
        own = units[places]
        out[places] = pooled[places[(own @ own.T).sum(1).argmax()]]
    return out


def distil(patched: Tensor, target: Tensor, config: DistillConfig | None = None) -> TextHead:
    """A head from patched vectors (M, S) to what the frozen generator is to get for them (M, S).

    Raises:
        MateError: shapes that do not fit, or too few texts.
    """
    config = config or DistillConfig()
    if patched.shape != target.shape or patched.ndim != 2 or len(patched) < 2:
        raise MateError(
            f"got vectors of shapes {tuple(patched.shape)} and {tuple(target.shape)}, expected two of the same (M, S) with M > 1"
        )
    stream = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(config.seed)
        head = TextHead(patched.shape[1], config.hidden)
    patched, target = patched.detach().clone(), F.normalize(target.detach().clone(), dim=-1)  # also from inference mode
    spread = (patched - patched.mean(0)).square().mean().sqrt()
    optimizer = torch.optim.AdamW(head.parameters(), config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for _ in range(config.steps):
        rows = torch.randint(len(patched), (config.batch,), generator=stream)
        noise = config.noise * spread * torch.randn(config.batch, patched.shape[1], generator=stream)
        loss = (1 - F.cosine_similarity(head(patched[rows] + noise), target[rows])).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.eval()

"""Our own evaluator: texts and motions in one space, for data that has no released evaluator.

Two kinds share nothing with each other but this file:

    words      text: groups of letters, embedded from nothing, and a GRU;   motion: dilated convolutions
    sentences  text: token states of a language model as published, and a transformer;   motion: a transformer

Neither shares weights with the retrieval model of `mate align` or with a generator, and neither ever reads a word patch. `words` shares no
language model with anything. `sentences` knows more words; generators may be built on the same published language model, so where
the two disagree, `words` is the one that cannot have been fitted.

Shapes: B items, T frames, U = T // stride units, L words or tokens, W = width, E = the common space.
"""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mate.align.aligner import positions
from mate.checkpoints import load_folder, load_strict, save_folder
from mate.data.captions import words
from mate.errors import MateError
from mate.motion.features import FEATURE_DIM
from mate.text.encoder import DEFAULT_MODEL, TextEncoder

MODEL_TYPE = "evaluator"
CONTACTS = (
    4  # the last features are foot contacts, which some generators write as 0 or 1 and others do not: they are not read
)
_TEXTS = 64  # texts that the language model reads at once; fixed, as it computes in single precision


@dataclass(frozen=True)
class EvaluatorConfig:
    """What an evaluator is, as its config.json says.

    Attributes:
        kind: "words" or "sentences": see the module.
        encoder: the language model of "sentences". text_dim: the width of its token states.
        feature_dim, fps: of the motions it reads.
        stride: frames a unit. width: W. layers, heads: of both sides. dim: E. dropout: of all.
        buckets: rows of the table of letter groups.
        seed: of weights and batches.
        data: the sets that it was trained on, their training splits alone. license: of the weights: the data's terms.
    """

    kind: Literal["words", "sentences"] = "words"
    encoder: str = DEFAULT_MODEL
    text_dim: int = 384
    feature_dim: int = FEATURE_DIM
    fps: float = 20.0
    stride: int = 4
    width: int = 160
    layers: int = 4
    heads: int = 4
    dim: int = 128
    dropout: float = 0.1
    buckets: int = 4_096
    seed: int = 0
    data: str = "unknown"
    license: str = "unknown"


class Pool(nn.Module):
    """(B, N, W) -> (B, E): every channel is averaged with weights of its own over the valid places, then projected."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.weights = nn.Linear(width, width)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, N, W), mask (B, N) True = valid."""
        weights = self.weights(x).masked_fill(~mask.unsqueeze(-1), float("-inf")).softmax(1)
        return self.out((weights * x).sum(1))


def transformer(config: EvaluatorConfig, layers: int) -> nn.TransformerEncoder:
    """Pre-norm transformer layers, batch first."""
    layer = nn.TransformerEncoderLayer(
        config.width, config.heads, 2 * config.width, config.dropout, F.gelu, batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(config.width), enable_nested_tensor=False)


# ---------------------------------------------------------------------- motions


class Convolution(nn.Module):
    """One residual block: a dilated convolution over time. Padding is zeroed before it, so that it never leaks into a motion."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.out = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, U, W), mask (B, U)."""
        inside = self.norm(x) * mask.unsqueeze(-1)
        return x + self.out(self.conv(inside.transpose(1, 2)).transpose(1, 2))


class MotionTower(nn.Module):
    """Normalised features (B, T, D) -> (B, E)."""

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.stride, self.width = config.stride, config.width
        self.embed = nn.Sequential(
            nn.Linear(config.stride * (config.feature_dim - CONTACTS), config.width),
            nn.GELU(),
            nn.Linear(config.width, config.width),
        )
        self.convolutions, self.layers = None, None
        if config.kind == "words":
            self.convolutions = nn.ModuleList(
                Convolution(config.width, 2 ** (n % 4), config.dropout) for n in range(config.layers)
            )
        else:
            self.layers = transformer(config, config.layers)
        self.pool = Pool(config.width, config.dim)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """features (B, T, D) normalised, mask (B, T). Frames beyond a motion's last whole unit are dropped."""
        features = F.pad(features, (0, 0, 0, max(0, self.stride - features.shape[1])))
        count = features.shape[1] // self.stride
        grouped = features[:, : count * self.stride, :-CONTACTS].unflatten(1, (count, self.stride)).flatten(2)
        lengths = (mask.sum(1) // self.stride).clamp(min=1)
        valid = torch.arange(count, device=mask.device)[None] < lengths[:, None]
        x = self.embed(grouped)
        if self.convolutions is not None:
            for block in self.convolutions:
                x = block(x, valid)
        elif self.layers is not None:
            x = x + positions(count, self.width, x.device).to(x.dtype)
            x = self.layers(x, src_key_padding_mask=~valid)
        return self.pool(x, valid)


# ---------------------------------------------------------------------- texts


@lru_cache(maxsize=100_000)
def letter_groups(word: str, buckets: int) -> tuple[int, ...]:
    """The rows of a word: itself and its groups of three to five letters, by a hash that is the same everywhere."""
    whole = f"<{word}>"
    groups = [whole, *(whole[n : n + size] for size in (3, 4, 5) for n in range(len(whole) - size + 1))]
    return tuple(zlib.crc32(group.encode()) % buckets for group in groups)


class LetterTower(nn.Module):
    """Texts from their letters: a word never seen is near its relatives, and no language model is asked."""

    def __init__(self, config: EvaluatorConfig) -> None:
        super().__init__()
        self.buckets = config.buckets
        self.table = nn.EmbeddingBag(config.buckets, config.width // 2, mode="mean")
        self.dropout = nn.Dropout(config.dropout)
        self.gru = nn.GRU(config.width // 2, config.width // 2, batch_first=True, bidirectional=True)
        self.pool = Pool(config.width, config.dim)

    def prepare(self, texts: Sequence[str]) -> tuple[Tensor, ...]:
        """Texts -> (rows of all letter groups end to end, where each word's begin, words of each text (B,))."""
        spoken = [[word.text for word in words(text)] or ["."] for text in texts]
        groups = [letter_groups(word, self.buckets) for row in spoken for word in row]
        starts = np.cumsum([0, *(len(group) for group in groups[:-1])])
        flat = [row for group in groups for row in group]
        return torch.tensor(flat), torch.from_numpy(starts), torch.tensor([len(row) for row in spoken])

    def forward(self, rows: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
        """What `prepare` gave -> (B, E)."""
        vectors = self.dropout(self.table(rows, starts))  # (words of all texts, W / 2)
        padded = nn.utils.rnn.pad_sequence(list(vectors.split(lengths.tolist())), batch_first=True)
        packed = pack_padded_sequence(padded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)
        mask = torch.arange(states.shape[1], device=states.device)[None] < lengths[:, None]
        return self.pool(states, mask)


class LanguageTower(nn.Module):
    """Texts from a frozen language model's token states. The language model is no module: neither trained nor stored."""

    def __init__(self, config: EvaluatorConfig, language: TextEncoder) -> None:
        super().__init__()
        self.language = language
        self.norm, self.embed = nn.LayerNorm(config.text_dim), nn.Linear(config.text_dim, config.width)
        self.layers = transformer(config, max(1, config.layers // 2))
        self.pool = Pool(config.width, config.dim)

    def prepare(self, texts: Sequence[str]) -> tuple[Tensor, ...]:
        """Texts -> (token states (B, L, D'), mask (B, L))."""
        with torch.no_grad():
            found = self.language.encode(list(texts), truncate=True)
        return found.tokens.float(), found.mask

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """What `prepare` gave -> (B, E)."""
        x = self.embed(self.norm(states.to(self.embed.weight.dtype)))
        x = x + positions(x.shape[1], x.shape[2], x.device).to(x.dtype)
        return self.pool(self.layers(x, src_key_padding_mask=~mask), mask)


# ---------------------------------------------------------------------- the evaluator


class OwnEvaluator(nn.Module):
    """Texts and motions in one space, as vectors of length 1: the nearer, the better they fit.

    Attributes: config: what it is; folder: where it was read from, None for one that was not.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, config: EvaluatorConfig, mean: np.ndarray, std: np.ndarray, language: TextEncoder | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.folder: Path | None = None
        self.register_buffer("mean", torch.as_tensor(np.array(mean, dtype=np.float32)))
        self.register_buffer("std", torch.as_tensor(np.maximum(np.asarray(std, dtype=np.float32), 1e-4)))
        self.motion = MotionTower(config)
        self.text: LetterTower | LanguageTower
        if config.kind == "words":
            self.text = LetterTower(config)
        else:
            self.text = LanguageTower(config, language or TextEncoder.from_pretrained(config.encoder))

    @property
    def feature_dim(self) -> int:
        """Numbers a frame that it reads."""
        return self.config.feature_dim

    def encode_motion(self, features: Tensor, mask: Tensor) -> Tensor:
        """Raw features (B, T, D), mask (B, T) -> (B, E), of length 1."""
        normal = (features.to(self.mean.dtype) - self.mean) / self.std
        return F.normalize(self.motion(normal * mask.unsqueeze(-1), mask), dim=-1)

    def encode_text(self, prepared: tuple[Tensor, ...]) -> Tensor:
        """What the text tower's `prepare` gave -> (B, E), of length 1."""
        return F.normalize(self.text(*prepared), dim=-1)

    @torch.no_grad()
    def embed_motions(self, motions: Sequence[np.ndarray], batch_size: int = 64) -> np.ndarray:
        """Raw features (T_i, D) -> (N, E) float64, of length 1.

        Computed in double precision (`from_pretrained`): what else was in the batch does not show.

        Raises:
            MateError: a motion of another width, without frames, or with NaN.
        """
        for number, motion in enumerate(motions):
            if motion.ndim != 2 or motion.shape[1] != self.feature_dim or len(motion) == 0:
                raise MateError(
                    f"motion {number}: got features of shape {motion.shape}, this evaluator reads (T, {self.feature_dim})"
                )
            if not np.isfinite(motion).all():
                raise MateError(f"motion {number}: features hold NaN or infinite values")
        found = np.zeros((len(motions), self.config.dim))
        order = np.argsort([len(motion) for motion in motions], kind="stable")
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            lengths = torch.tensor([len(motions[n]) for n in chosen])
            features = torch.zeros(len(chosen), int(lengths.max()), self.feature_dim)
            for row, n in zip(features, chosen, strict=True):
                row[: len(motions[n])] = torch.from_numpy(np.array(motions[n], dtype=np.float32))
            mask = torch.arange(features.shape[1])[None] < lengths[:, None]
            device = self.mean.device
            found[chosen] = self.encode_motion(features.to(device), mask.to(device)).double().cpu().numpy()
        return found

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> (N, E) float64, of length 1. Equal texts give equal vectors, whatever stands beside them.

        Raises:
            MateError: an empty text.
        """
        distinct = sorted(set(texts), key=lambda text: (len(text), text))
        found = np.zeros((len(distinct), self.config.dim))
        device = self.mean.device
        for start in range(0, len(distinct), _TEXTS):
            prepared = tuple(part.to(device) for part in self.text.prepare(distinct[start : start + _TEXTS]))
            found[start : start + _TEXTS] = self.encode_text(prepared).double().cpu().numpy()
        place = {text: n for n, text in enumerate(distinct)}
        return found[[place[text] for text in texts]] if texts else found

    def save_pretrained(self, folder: str | Path, card: str) -> Path:
        """Writes config.json, model.safetensors (fp16; mean and deviation in fp32) and README.md."""
        exact = ("mean", "std")
        tensors = {name: t.float() if name in exact else t.half() for name, t in self.state_dict().items()}
        return save_folder(folder, {"model_type": MODEL_TYPE, **asdict(self.config)}, tensors, card)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Reads an evaluator's folder; computes in double precision.

        Raises:
            MateError: no such folder, a damaged one, or the language model is not to be had.
        """
        settings, tensors, path = load_folder(folder, MODEL_TYPE)
        names = EvaluatorConfig.__dataclass_fields__
        if missing := [name for name in names if name not in settings]:
            raise MateError(f"{path}: config.json lacks {', '.join(missing)}; get the evaluator's folder again")
        config = EvaluatorConfig(**{name: settings[name] for name in names})
        blank = np.zeros(config.feature_dim)
        evaluator = cls(config, blank, blank)
        load_strict(evaluator, tensors, path)
        evaluator.folder = path
        if isinstance(evaluator.text, LanguageTower):
            evaluator.text.language.to(device)
        return evaluator.to(device).double().eval()


def describe(config: EvaluatorConfig) -> str:
    """What an evaluator's text side is, in a few words for tables and cards."""
    if config.kind == "words":
        return "letter groups and a GRU from nothing; motion by convolutions"
    return f"{config.encoder} as published, frozen, and a transformer; motion by a transformer"

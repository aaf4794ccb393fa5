"""The retrieval model: a motion encoder and decoder beside a language model whose later layers stay frozen.

Shapes: B motions or texts, T frames, U = T // stride latent units, W words, C patch channels, D = width.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.align.localization import GuidedAttention, PriorKind
from mate.align.segmentation import candidates, fitting_minimum, grid_points, merge_to_fit, segment, segment_features
from mate.errors import MateError
from mate.motion.features import FEATURE_DIM
from mate.text.encoder import DEFAULT_MODEL, TextEncoder
from mate.text.subtexts import split, standalone

PATCH_FILE = "patch.safetensors"
Scoring = Literal["localized", "sentence"]


@dataclass(frozen=True)
class AlignerConfig:
    """Sizes of the retrieval model. All of them are ours (the paper states none), but for the kind of the prior.

    Attributes:
        encoder: the language model, as `TextEncoder.from_pretrained` takes it; in a config.json that begins with "../", a folder
            beside the model's own.
        text_dim: D of its pooled vectors. embedding_dim: the width of its word embeddings.
        feature_dim: numbers a frame. stride: frames a latent unit. fps: frames a second.
        width: D. layers, heads, feedforward: of the motion encoder. local_layers: how many of its layers, the first, make the frame
            features; 0: all. window: latent units that a unit sees on either side in each of these.
        decoder_layers: of the decoder, which only L_rec needs; 0: no decoder. dropout: of both.
        prior: the kind of localization prior (paper: "gaussian"). omega: its strength on the keys.
        minimum_seconds: the shortest segment of a sub-text.
        grid: a segment may begin every so many latent units.
        language_model_patched: whether a word patch lies in the model's folder.
        license: of the weights: the terms of their training data. data: what they were trained on.
    """

    encoder: str = DEFAULT_MODEL
    text_dim: int = 384
    embedding_dim: int = 384
    feature_dim: int = FEATURE_DIM
    stride: int = 4
    fps: float = 20.0
    width: int = 192
    layers: int = 3
    heads: int = 4
    feedforward: int = 576
    decoder_layers: int = 2
    dropout: float = 0.1
    local_layers: int = 2
    window: int = 4
    prior: PriorKind = "gaussian"
    omega: float = 1.0
    minimum_seconds: float = 0.8
    grid: int = 2
    language_model_patched: bool = False
    license: str = "unknown"
    data: str = "unknown"


def positions(length: int, width: int, device: torch.device) -> Tensor:
    """Sinusoidal position codes (length, width); sequences of any length."""
    frequency = torch.exp(torch.arange(0, width, 2, device=device) * (-np.log(10_000.0) / width))
    angle = torch.arange(length, device=device)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]


def transformer(config: AlignerConfig, layers: int) -> nn.TransformerEncoder:
    """Pre-norm transformer layers, batch first."""
    layer = nn.TransformerEncoderLayer(
        config.width, config.heads, config.feedforward, config.dropout, F.gelu, batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(config.width), enable_nested_tensor=False)


class MotionEncoder(nn.Module):
    """E_m: normalised features -> latent units -> frame features F^m and a sequence feature f^m.

    A unit is `stride` frames, embedded without looking at its neighbours (a convolution whose kernel is its stride): so
    the units of a cropped motion are a slice of the whole motion's units, and encoding a crop needs no second embedding.
    """

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.stride, self.window, self.heads = config.stride, config.window, config.heads
        self.embed = nn.Sequential(
            nn.Linear(config.stride * config.feature_dim, config.width),
            nn.GELU(),
            nn.Linear(config.width, config.width),
        )
        self.summary = nn.Parameter(torch.randn(config.width, generator=torch.Generator().manual_seed(0)) * 0.02)
        if not 0 <= config.local_layers < config.layers:
            raise MateError(
                f"got {config.local_layers} local layers of {config.layers}; expected fewer: the rest makes the sequence feature"
            )
        self.reach = config.window * config.local_layers  # units on either side that a frame feature depends on
        self.local = transformer(config, config.local_layers) if config.local_layers else None
        self.layers = transformer(config, config.layers - config.local_layers)
        self.sentence = nn.Linear(config.width, config.width)

    def units(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, T, 263) normalised, mask (B, T) -> units (B, U, C) and their mask (B, U).

        Frames beyond the last whole unit are dropped; a motion has at least one unit.
        """
        short = -features.shape[1] % self.stride if features.shape[1] < self.stride else 0
        features = F.pad(features, (0, 0, 0, short))
        count = features.shape[1] // self.stride
        grouped = features[:, : count * self.stride].unflatten(1, (count, self.stride)).flatten(2)
        lengths = (mask.sum(1) // self.stride).clamp(min=1)
        return self.embed(grouped), torch.arange(count, device=mask.device)[None] < lengths[:, None]

    def encode_units(self, units: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """units (B, U, C), mask (B, U) -> sequence feature f^m (B, D) and frame features F^m (B, U, D).

        With local layers a frame feature says what happens around its time, and neither when that is nor what else there is: so a word can
        only be told by the frames that show it. The sequence feature sees all frames, and their order.
        """
        if self.local is None:
            x, padding = self._summarised(units, mask)
            x = self.layers(x, src_key_padding_mask=padding)
            return self.sentence(x[:, 0]), x[:, 1:]
        frames = self.local_features(units, mask)
        return self.sequence_feature(frames, mask), frames

    def local_features(self, units: Tensor, mask: Tensor) -> Tensor:
        """What the local layers make of units (B, U, C) with mask (B, U): (B, U, D); without such layers the units themselves."""
        return units if self.local is None else self.local(units, mask=self._hidden(mask))

    def sequence_feature(self, frames: Tensor, mask: Tensor) -> Tensor:
        """f^m (B, D) of what `local_features` made, (B, U, D) with mask (B, U).

        Only the summary is read, so the last layer computes nothing else; the numbers are those of the whole layer.
        """
        x, padding = self._summarised(frames, mask)
        *before, last = cast(Sequence[nn.TransformerEncoderLayer], self.layers.layers)
        for layer in before:
            x = layer(x, src_key_padding_mask=padding)
        return self.sentence(cast(nn.LayerNorm, self.layers.norm)(_first_place(last, x, padding)))

    def _summarised(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What `layers` sees: x (B, U, D) with its places marked and the summary in front, and what of it is padding, (B, 1 + U)."""
        x = x + positions(x.shape[1], x.shape[2], x.device)
        x = torch.cat([self.summary.to(x.dtype).expand(len(x), 1, -1), x], 1)
        return x, ~F.pad(mask, (1, 0), value=True)

    def _hidden(self, valid: Tensor) -> Tensor:
        """What must not be looked at in a local layer, (B * heads, U, U) bool: padding, and all beyond a unit's window.

        Every place sees itself: padding too, as a row without anything to see would be undefined.
        """
        place = torch.arange(valid.shape[1], device=valid.device)
        far = (place[:, None] - place[None]).abs() > self.window
        hidden = far | ~valid[:, None, :]
        hidden.diagonal(dim1=1, dim2=2).fill_(False)
        return hidden.repeat_interleave(self.heads, 0)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features (B, T, 263) normalised, mask (B, T) -> f^m (B, D), F^m (B, U, D), mask (B, U)."""
        units, valid = self.units(features, mask)
        sequence, frames = self.encode_units(units, valid)
        return sequence, frames, valid


def _first_place(layer: nn.TransformerEncoderLayer, x: Tensor, padding: Tensor) -> Tensor:
    """What a pre-norm layer makes of the first place of x (B, L, D), which looks at all but padding (B, L): (B, D)."""
    seen = layer.norm1(x)
    first = x[:, :1] + layer.dropout1(_attend(layer.self_attn, seen[:, :1], seen, padding))
    inner = layer.dropout(F.gelu(layer.linear1(layer.norm2(first))))
    return (first + layer.dropout2(layer.linear2(inner)))[:, 0]


def _attend(attention: nn.MultiheadAttention, queries: Tensor, keys: Tensor, hidden: Tensor) -> Tensor:
    """What `attention` gives queries (B, Q, D) that look at keys (B, L, D) but where hidden (B, L): (B, Q, D).

    Calling the module itself imports a second's worth of torch on first use.
    """
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    query, key, value = (
        F.linear(x, weight, bias).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for x, weight, bias in zip((queries, keys, keys), weights, biases, strict=True)
    )
    dropout = attention.dropout if attention.training else 0.0
    read = F.scaled_dot_product_attention(query, key, value, ~hidden[:, None, None, :], dropout)
    return attention.out_proj(read.transpose(1, 2).flatten(2))


class MotionDecoder(nn.Module):
    """decode(f^m): the motion from its sequence feature alone, for L_rec."""

    def __init__(self, config: AlignerConfig) -> None:
        super().__init__()
        self.stride, self.width = config.stride, config.width
        self.start = nn.Linear(config.width, config.width)
        self.layers = transformer(config, config.decoder_layers)
        self.frames = nn.Linear(config.width, config.stride * config.feature_dim)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """sequence f^m (B, D), mask of units (B, U) -> features (B, U * stride, 263), normalised."""
        x = self.start(sequence).unsqueeze(1) + positions(mask.shape[1], self.width, sequence.device)
        x = self.frames(self.layers(x, src_key_padding_mask=~mask))
        return x.unflatten(2, (self.stride, -1)).flatten(1, 2)


class Crops:
    """Local features of many crops of one motion, each as if the rest of the motion were not there.

    All local layers together reach `window` units a layer to either side. Farther than that from a crop's ends, its features are those
    of the whole motion; what is nearer is computed once for all crops that begin, or end, at the same unit.
    """

    def __init__(self, motion: MotionEncoder, units: Tensor, spans: Iterable[tuple[int, int]]) -> None:
        """units (U, C): of the whole motion. spans: the crops that will be asked for, as (first unit, end)."""
        self.reach = motion.reach
        edge = 2 * self.reach
        spans = set(spans)
        short = {(s, e) for s, e in spans if e - s <= edge}
        ends = {span for s, e in spans - short for span in ((s, s + edge), (e - edge, e))}
        self.place: dict[tuple[int, int], int] = {}  # of a window's first unit in the table
        parts, rows = [self._features(motion, units[None])], len(units)
        windows = sorted(short | ends, key=_length) if self.reach else []
        for length, group in groupby(windows, _length):
            for span in (own := list(group)):
                self.place[span] = rows
                rows += length
            parts.append(self._features(motion, torch.stack([units[s:e] for s, e in own])))
        self.table = torch.cat(parts)

    @staticmethod
    def _features(motion: MotionEncoder, units: Tensor) -> Tensor:
        """Of motions of one length (B, U, C), one after the other: (B * U, D)."""
        every = torch.ones(units.shape[:2], dtype=torch.bool, device=units.device)
        return motion.local_features(units, every).flatten(0, 1)

    def __call__(self, spans: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """S crops of at most L units -> local features (S, L, D), zero beyond a crop's end, and mask (S, L)."""
        first, end = torch.tensor(spans, device=self.table.device)[..., None].unbind(1)
        length = end - first
        places = torch.arange(int(length.max()), device=self.table.device)
        index, mask = first + places, places < length
        if self.reach:
            edge = 2 * self.reach
            begins = torch.tensor([[self.place[s, min(e, s + edge)]] for s, e in spans], device=index.device)
            ends = torch.tensor([[self.place[max(s, e - edge), e]] for s, e in spans], device=index.device)
            index = torch.where(places >= length - self.reach, ends + edge - length + places, index)
            index = torch.where((places < self.reach) | (length <= edge), begins + places, index)
        return self.table[index.clamp(max=len(self.table) - 1)] * mask.unsqueeze(-1), mask


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def projection(inputs: int, width: int) -> nn.Sequential:
    """Proj: two linear layers with a GELU between them."""
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width))


class Aligner(nn.Module):
    """Motion and text in one space, and words in motions.

    The language model is held as a `TextEncoder`, which is no module: it is neither trained nor stored with the weights.
    What alignment changed in it is the word patch in the model's folder.

    Attributes:
        config: the sizes. text_encoder: the language model, with the patch applied where there is one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: AlignerConfig, text_encoder: TextEncoder, mean: np.ndarray, std: np.ndarray) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = text_encoder
        self.register_buffer("mean", torch.as_tensor(np.array(mean, dtype=np.float32)))
        self.register_buffer("std", torch.as_tensor(np.maximum(np.asarray(std, dtype=np.float32), 1e-4)))
        self.motion = MotionEncoder(config)
        self.decoder = MotionDecoder(config) if config.decoder_layers else None
        self.text = projection(config.text_dim, config.width)
        self.word = projection(config.embedding_dim, config.width)
        self.attention = GuidedAttention(config.width, config.heads, config.omega)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    # ------------------------------------------------------------------ features

    def normalize(self, features: Tensor) -> Tensor:
        """Raw HumanML3D features (..., 263) -> zero mean, unit deviation."""
        return (features - self.mean) / self.std

    def project_text(self, pooled: Tensor) -> Tensor:
        """The language model's pooled vectors (B, text_dim) -> f^t (B, D), of length 1."""
        return F.normalize(self.text(pooled).float(), dim=-1)

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """f^t of texts, (B, D) float32, of length 1. Raises MateError for empty or over-long texts."""
        return self.project_text(self.text_encoder.encode(texts).pooled)

    @torch.no_grad()
    def encode_motion(self, motions: Sequence[np.ndarray], batch_size: int = 64) -> Tensor:
        """f^m of motions given as raw features (T_i, 263): (B, D) float32, of length 1."""
        found = torch.zeros(len(motions), self.config.width, device=self.device)
        order = np.argsort([len(motion) for motion in motions], kind="stable")
        for start in range(0, len(motions), batch_size):
            chosen = order[start : start + batch_size]
            features, mask = self.pad([motions[i] for i in chosen])
            sequence, _, _ = self.motion(features, mask)
            found[torch.as_tensor(chosen, device=self.device)] = F.normalize(sequence.float(), dim=-1)
        return found

    def pad(self, motions: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Raw features (T_i, 263) -> normalised (B, T, 263), zero beyond a motion's end, and mask (B, T).

        Raises:
            MateError: a motion of another shape, without frames, or with values that are not finite.
        """
        for number, motion in enumerate(motions):
            if motion.ndim != 2 or motion.shape[1] != self.config.feature_dim or len(motion) == 0:
                raise MateError(
                    f"motion {number}: got features of shape {motion.shape}, expected (T, {self.config.feature_dim})"
                )
            if not np.isfinite(motion).all():
                raise MateError(f"motion {number}: features hold NaN or infinite values")
        lengths = torch.tensor([len(motion) for motion in motions])
        features = torch.zeros(len(motions), int(lengths.max()), self.config.feature_dim)
        for row, motion in zip(features, motions, strict=True):
            row[: len(motion)] = torch.from_numpy(np.array(motion, dtype=np.float32))
        mask = torch.arange(features.shape[1])[None] < lengths[:, None]
        features, mask = features.to(self.device), mask.to(self.device)
        return self.normalize(features) * mask.unsqueeze(-1), mask

    # ------------------------------------------------------------------ localization

    @property
    def minimum(self) -> int:
        """The wanted shortest segment in grid steps."""
        frames = self.config.minimum_seconds * self.config.fps
        return max(1, round(frames / (self.config.stride * self.config.grid)))

    @torch.no_grad()
    def segments(
        self,
        motion: np.ndarray,
        captions: Sequence[Sequence[str]],
        encode: Callable[[Sequence[str]], Tensor] | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray, list[list[int]]]]:
        """Segments one motion by the sub-texts of each of several captions.

        Args:
            motion: raw features (T, 263).
            captions: for each caption its sub-texts in order of time.
            encode: texts -> f^t (N, D), where they are known already; None: `encode_text`.

        Returns:
            For each caption: boundaries (N + 1,) in latent units, cos(E_t(t_n), E_m(segment n)) (N,), and which sub-texts make
            up each of the N segments (one each, unless the clip is too short for so many).
        """
        if not captions:
            return []
        features, mask = self.pad([motion])
        units, valid = self.motion.units(features, mask)
        units = units[0, : int(valid.sum())]
        step = min(self.config.grid, len(units))
        merged = [merge_to_fit([[n] for n in range(len(parts))], len(units) // step) for parts in captions]
        points = grid_points(len(units), step)
        minima = [fitting_minimum(len(points) - 1, len(groups), self.minimum) for groups in merged]
        pairs = {
            pair
            for groups, minimum in zip(merged, minima, strict=True)
            for pair in candidates(len(points), [len(groups)], minimum)
        }
        crops = segment_features(self._segment_encoder(units, points, pairs), points, sorted(pairs))
        texts = [
            " and ".join(parts[n] for n in group)
            for parts, groups in zip(captions, merged, strict=True)
            for group in groups
        ]
        encoded = (encode or self.encode_text)(texts)
        results, first = [], 0
        for groups, minimum in zip(merged, minima, strict=True):
            boundaries, own = segment(encoded[first : first + len(groups)], crops, points, minimum)
            results.append((boundaries, own, groups))
            first += len(groups)
        return results

    def _segment_encoder(
        self, units: Tensor, points: np.ndarray, pairs: Iterable[tuple[int, int]]
    ) -> Callable[[Sequence[tuple[int, int]]], Tensor]:
        """Spans of units -> their E_m (S, D), for the segments that the pairs of grid points are."""
        crops = Crops(self.motion, units, [(int(points[s]), int(points[e])) for s, e in pairs])
        return lambda spans: F.normalize(self.motion.sequence_feature(*crops(spans)).float(), dim=-1)

    # ------------------------------------------------------------------ scoring

    @torch.no_grad()
    def score(self, motion: np.ndarray, texts: Sequence[str], scoring: Scoring = "localized") -> np.ndarray:
        """How well each text fits one motion, (len(texts),) float32 in [-1, 1].

        Args:
            motion: raw features (T, 263).
            scoring: "localized": the mean over sub-texts of the cosine with their own segment; "sentence": one vector against one.
        """
        if scoring not in ("localized", "sentence"):
            raise MateError(f"got scoring {scoring!r}, expected localized or sentence")
        parts = [split(text) for text in texts]
        several = [n for n, part in enumerate(parts) if len(part) > 1] if scoring == "localized" else []
        scores = (self.encode_text(texts) @ self.encode_motion([motion])[0]).float().cpu().numpy()
        found = self.segments(motion, [standalone(texts[n], parts[n]) for n in several])
        for n, (_, own, _) in zip(several, found, strict=True):
            scores[n] = own.mean()
        return np.clip(scores, -1.0, 1.0)

    # ------------------------------------------------------------------ files

    def save_pretrained(
        self,
        folder: str | Path,
        card: str,
        patch: str | Path | None = None,
        dtype: torch.dtype = torch.float32,
        decoder: bool = True,
    ) -> Path:
        """Writes config.json, model.safetensors, README.md and, where there is one, patch.safetensors.

        Args:
            card: the model card's text.
            patch: the word patch that the model was trained with.
            dtype: of the stored weights; torch.float16 halves the file, torch.int8 quarters it (`mate.checkpoints.as_int8`). Loading
                always gives float32.
            decoder: False leaves the decoder out: enough for scoring.
        """
        from mate.checkpoints import as_int8, save_folder

        rest = torch.float16 if dtype == torch.int8 else dtype
        tensors = {
            name: tensor if name in ("mean", "std") else tensor.to(rest)
            for name, tensor in self.state_dict().items()
            if decoder or not name.startswith("decoder.")
        }
        tensors = as_int8(tensors) if dtype == torch.int8 else tensors
        layers = self.config.decoder_layers if decoder else 0
        sizes = replace(self.config, decoder_layers=layers, language_model_patched=patch is not None)
        config = {"model_type": "aligner", **asdict(sizes)}
        files = {PATCH_FILE: Path(patch)} if patch is not None else None
        return save_folder(folder, config, tensors, card, files)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> "Aligner":
        """Reads a folder that `save_pretrained` wrote; the language model is loaded, and patched, as it was in training.

        Raises:
            MateError: no such folder, a damaged one, or the language model is not to be had.
        """
        from mate.checkpoints import load_folder, load_strict

        settings, tensors, path = load_folder(folder, "aligner")
        config = config_from(settings, path)
        if config.encoder.startswith("../"):  # tuned with this model, its folder lies beside this one
            config = replace(config, encoder=str((path / config.encoder).resolve()))
        encoder = TextEncoder.from_pretrained(
            config.encoder, path / PATCH_FILE if config.language_model_patched else None
        )
        blank = np.zeros(config.feature_dim)
        aligner = cls(config, encoder, blank, blank)
        load_strict(aligner, tensors, path)
        encoder.to(device)
        return aligner.to(device).eval()


_BEFORE: dict[str, Any] = {"local_layers": 0, "window": 0}  # what folders written before an entry existed do


def config_from(settings: dict[str, Any], where: str | Path) -> AlignerConfig:
    """The config part of a config.json.

    Raises:
        MateError: an entry is missing.
    """
    names = AlignerConfig.__dataclass_fields__
    settings = {**_BEFORE, **settings}
    missing = [name for name in names if name not in settings]
    if missing:
        raise MateError(f"{where}: config.json lacks {', '.join(missing)}; get the model folder again")
    return AlignerConfig(**{name: settings[name] for name in names})

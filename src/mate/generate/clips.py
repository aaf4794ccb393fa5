"""What every generator is trained on: clips in memory, batches of like lengths, captions as vectors.

Shapes: M clips, T frames, S numbers of a text vector.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from mate.data.dataset import MotionTextDataset, grouped_std, open_dataset
from mate.errors import MateError
from mate.files import atomic_path
from mate.motion.features import features_to_joints, with_bone_lengths_of
from mate.motion.layout import FeatureSpec
from mate.text.encoder import TextEncoder
from mate.text.patch import tensor_sha256
from mate.training import mix_seed


def open_sets(folders: Sequence[str | Path]) -> list[MotionTextDataset]:
    """The training splits of HumanML3D-layout folders. Raises MateError: no folder, no data set, or sets that are not of one layout."""
    if not folders:
        raise MateError("got no data folder; give one or more HumanML3D-layout folders, `mate prepare` makes them")
    sets = [open_dataset(folder, "train") for folder in folders]
    for ds in sets:
        check_spec(ds, sets[0].spec, str(sets[0].folder))
    return sets


def check_spec(ds: MotionTextDataset, wanted: FeatureSpec, whose: str) -> None:
    """Raises MateError unless a set has the joints and the frame rate of `wanted`; `whose` it is, for the message."""
    if ds.spec.dim != wanted.dim:
        raise MateError(
            f"{ds.folder} has {ds.spec.dim} numbers a frame ({ds.spec.skeleton.name}), {whose} {wanted.dim} ({wanted.skeleton.name}); "
            "train a generator on sets of one skeleton"
        )
    if ds.fps != wanted.fps:
        raise MateError(f"{ds.folder} has {ds.fps:g} frames a second, motions of {wanted.skeleton.name} {wanted.fps:g}")


def spec_of_data(sets: Sequence[MotionTextDataset]) -> FeatureSpec:
    """What a generator of these sets makes: their layout, with the bone lengths of the first clip where it has none of its own."""
    spec = sets[0].spec
    if any(spec.skeleton.bone_lengths):
        return spec
    measured = with_bone_lengths_of(features_to_joints(sets[0].features(0)[:1], spec), spec).skeleton
    return replace(spec, skeleton=replace(measured, bone_lengths=tuple(round(x, 3) for x in measured.bone_lengths)))


class Clips:
    """The clips of several sets in memory: features end to end, captions as numbers of distinct texts, a sampling weight a clip.

    Attributes:
        spec: of the sets: what the D numbers of a frame are.
        features: (sum of T, D) float32, raw.
        starts, lengths: (M,) where each clip lies.
        weights: (M,) sampling probabilities.
        texts: the distinct captions.
        captions: for each clip the numbers of its captions in `texts`.
        license: of all sets.
        sources: folder, clips and licence of each set.
    """

    def __init__(self, sets: Sequence[MotionTextDataset], weights: Sequence[float], balance: float, shortest: int):
        chosen = [
            (ds, i, w) for ds, w in zip(sets, _per_clip(sets, weights, balance), strict=True) for i in range(len(ds))
        ]
        rows = [(ds, i, float(w[i])) for ds, i, w in chosen if ds.lengths[i] >= shortest and ds.captions[i]]
        if not rows:
            raise MateError(
                f"no clip of at least {shortest} frames with a caption in {', '.join(str(ds.folder) for ds in sets)}"
            )
        self.spec = spec_of_data(sets)
        self.lengths = np.array([ds.lengths[i] for ds, i, _ in rows])
        self.starts = np.concatenate(([0], np.cumsum(self.lengths)[:-1]))
        self.features = np.empty((int(self.lengths.sum()), self.spec.dim), np.float32)
        for start, length, (ds, i, _) in zip(self.starts, self.lengths, rows, strict=True):
            self.features[start : start + length] = ds.features(i)
        weight = np.array([w for _, _, w in rows])
        self.weights = weight / weight.sum()
        number: dict[str, int] = {}
        self.captions = [
            np.array([number.setdefault(c.text, len(number)) for c in ds.captions[i]]) for ds, i, _ in rows
        ]
        self.texts = list(number)
        self.license = "; ".join(dict.fromkeys(ds.license for ds in sets))
        self.names = [ds.names[i] for ds, i, _ in rows]
        self.sources = [{"folder": ds.folder.name, "clips": len(ds), "license": ds.license} for ds in sets]

    def __len__(self) -> int:
        return len(self.lengths)

    def digest(self) -> str:
        """Changes when clips, their order or captions change."""
        facts = json.dumps([self.names, self.lengths.tolist(), self.texts, [c.tolist() for c in self.captions]])
        return hashlib.sha256(facts.encode()).hexdigest()

    def about(self) -> str:
        """Their number, hours and captions, in words."""
        return (
            f"{len(self)} clips, {self.lengths.sum() / self.spec.fps / 3600:.2f} h, {len(self.texts)} distinct captions"
        )

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean, std) of the raw features over all clips, (D,) each; std averaged within HumanML3D's feature groups."""
        count, total, squares = 0, np.zeros(self.features.shape[1]), np.zeros(self.features.shape[1])
        for start in range(0, len(self.features), 65_536):
            part = self.features[start : start + 65_536].astype(np.float64)
            count, total, squares = count + len(part), total + part.sum(0), squares + (part**2).sum(0)
        mean = total / count
        std = grouped_std(np.sqrt(np.maximum(squares / count - mean**2, 1e-10)), self.spec)
        return torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(np.asarray(std, np.float32))


def _per_clip(sets: Sequence[MotionTextDataset], weights: Sequence[float], balance: float) -> list[np.ndarray]:
    """Each set's share is its weight; within a set, a clip's weight is its meta `weight` times 1 / (clips of its content) ** balance."""
    if len(weights) != len(sets) or any(not w > 0 for w in weights):
        raise MateError(f"got {len(weights)} weights for {len(sets)} data folders, expected one positive weight each")
    out = []
    for ds, share in zip(sets, weights, strict=True):
        meta = ds.meta
        contents = [str(meta[i].get("content") or meta[i].get("contents") or "") for i in range(len(ds))]
        counts: dict[str, int] = {}
        for content in contents:
            counts[content] = counts.get(content, 0) + 1
        own = np.array(
            [float(meta[i].get("weight", 1.0)) * (counts[c] ** -balance if c else 1.0) for i, c in enumerate(contents)]
        )
        out.append(own / own.sum() * share)
    return out


def length_batches(
    clips: Clips, pooled: Tensor, stride: int, size: int, seed: int
) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Batch number -> token counts (size,) and text vectors (size, S)."""
    cumulative = np.cumsum(clips.weights)

    def batch(number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(mix_seed(seed, "length", number))
        chosen = np.minimum(np.searchsorted(cumulative, rng.random(size)), len(clips) - 1)
        said = [int(rng.choice(clips.captions[clip])) for clip in chosen]
        return torch.from_numpy(np.maximum(1, clips.lengths[chosen] // stride)), pooled[said]

    return batch


class Captions:
    """The distinct captions of a corpus as vectors: pooled ones are computed once, those of words for each batch.

    Captions longer than the text encoder reads are cut.

    Args:
        encoder: the text encoder.
        texts: distinct captions.
        cache: a file for the pooled vectors; one that is there is used if it was made by this encoder from these texts.
        words: batches hold every token's vector instead of the pooled one.

    Attributes:
        pooled: (M, S) float32.
    """

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], cache: Path, words: bool = False):
        self.encoder, self.texts, self.words = encoder, list(texts), words
        facts = [encoder.model_id, encoder_sha256(encoder), self.texts]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        self.pooled = cached(cache, key, lambda: {"pooled": encoder.pooled(self.texts)})["pooled"]

    def __call__(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """(B, L, S) and its mask (B, L) of the captions with these numbers."""
        if not self.words:
            return self.pooled[list(numbers)].unsqueeze(1), None
        with torch.no_grad():
            found = self.encoder.encode([self.texts[i] for i in numbers], truncate=True)
        return found.tokens.float().cpu(), found.mask.cpu()

    def moments(self) -> tuple[Tensor, Tensor]:
        """(mean (S,), scale ()) of the vectors in batches, over at most 2,000 captions of words."""
        vectors = self.pooled
        if self.words:
            count = min(2000, len(self.texts))
            parts = [self(range(start, min(start + 64, count))) for start in range(0, count, 64)]
            vectors = torch.cat([text[mask] for text, mask in parts if mask is not None])
        mean = vectors.mean(0)
        return mean, (vectors - mean).square().mean().sqrt().clamp(min=1e-6)


def encoder_sha256(encoder: TextEncoder) -> str:
    """Of all weights of a language model: layers above the word table may have been tuned as well."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.model.state_dict().items()):
        digest.update(f"{name} {tensor_sha256(tensor.float())}\n".encode())
    return digest.hexdigest()


def cached(path: Path, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from `path` if they were made from the same inputs (`key`), else made and written there."""
    if path.is_file():
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") == key:
                return load_file(path)
    tensors = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as tmp:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp, metadata={"key": key})
    return tensors

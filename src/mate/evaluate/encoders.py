"""Text encoders with motion encoders, ours or anybody's, as the encoder probe asks them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mate.align.aligner import Aligner, Scoring
from mate.checkpoints import WEIGHTS, resolve, sha256
from mate.errors import MateError
from mate.text.subtexts import split, standalone

Motions = Sequence[np.ndarray]


@dataclass(frozen=True)
class Encoder:
    """A text encoder with a motion encoder.

    Attributes:
        name: in tables. about: what a card says of it.
        reads: "features": motions are (T, 263) as HumanML3D has them, not normalised; "joints": (T, 22, 3) metres, 20 frames a second.
        asked: (motions, texts, pairs (K, 2) of their numbers) -> similarities (K,).
        matrix: (motions, texts) -> similarities (texts, motions).
    """

    name: str
    asked: Callable[[Motions, Sequence[str], np.ndarray], np.ndarray]
    matrix: Callable[[Motions, Sequence[str]], np.ndarray]
    reads: str = "features"
    about: Mapping[str, Any] = field(default_factory=dict)


def open_encoders(source: str, scorings: Sequence[Scoring] = ("localized",), device: str = "cpu") -> list[Encoder]:
    """A retrieval model's folder (or a packaged one's name), or `package.module:function` for any other pair of encoders.

    The function is called as `function(motions, texts)` with lists of arrays and of strings, and returns two arrays of embeddings,
    (len(motions), D) and (len(texts), D), which are compared by their cosines, or the similarities themselves,
    (len(motions), len(texts)). Its motions are features; an attribute `function.reads = "joints"` asks for joints.

    Args:
        scorings: how a model of ours is asked, one encoder for each; a function has its own way.

    Raises:
        MateError: no such model or function.
    """
    if ":" in source and not Path(source).exists():
        return [callable_encoder(_imported(source), source)]
    return aligner_encoders(source, scorings, device)


def aligner_encoders(
    folder: str | Path, scorings: Sequence[Scoring] = ("localized",), device: str = "cpu"
) -> list[Encoder]:
    """A retrieval model of `mate align`, loaded once.

    Args:
        scorings: "localized": the mean over sub-texts, cut by our own splitter, of the cosine with their own segment; "sentence": one
            vector against one. Retrieval always goes by one vector.

    Raises:
        MateError: no such model, or an unknown scoring.
    """
    unknown = [one for one in scorings if one not in ("localized", "sentence")]
    if unknown:
        raise MateError(f"got scoring {unknown[0]!r}, expected localized or sentence")
    path = resolve(folder)
    aligner = RememberingAligner.from_pretrained(path, device)
    about = {
        "sha256": sha256(path / WEIGHTS),
        "language_model": aligner.config.encoder,
        "patched": aligner.config.language_model_patched,
    }
    name = "/".join(path.parts[-2:]) if path.name == "retrieval" else path.name  # `mate align` calls all of them so
    ways = {"localized": _localized, "sentence": _sentence}
    matrix = partial(_aligner_matrix, aligner)
    return [
        Encoder(f"{name}, {one}", partial(ways[one], aligner), matrix, "features", {"scoring": one, **about})
        for one in scorings
    ]


class RememberingAligner(Aligner):
    """Encodes every text once."""

    @cached_property
    def known(self) -> dict[str, Tensor]:
        """text -> f^t (D,)."""
        return {}

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """f^t of texts, (B, D) float32, of length 1; new ones are encoded together, short and long ones apart."""
        new = sorted({text for text in texts if text not in self.known}, key=lambda text: (len(text), text))
        for start in range(0, len(new), 64):
            group = new[start : start + 64]
            self.known.update(zip(group, super().encode_text(group), strict=True))
        return torch.stack([self.known[text] for text in texts])


def _localized(aligner: Aligner, motions: Motions, texts: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """As `Aligner.score`, but every text is encoded once, and a motion's candidate segments once for all of its captions."""
    parts = [standalone(text, split(text)) for text in texts]
    several = np.array([len(part) > 1 for part in parts])[pairs[:, 1]]
    pieces = [part for own in parts if len(own) > 1 for part in own]
    if pieces:
        aligner.encode_text(pieces)  # all at once: less padding
    found = np.zeros(len(pairs), dtype=np.float32)
    found[~several] = _sentence(aligner, motions, texts, pairs[~several])
    for motion in np.unique(pairs[several, 0]):
        rows = np.flatnonzero(several & (pairs[:, 0] == motion))
        said, place = np.unique(pairs[rows, 1], return_inverse=True)
        cut = aligner.segments(np.asarray(motions[motion]), [parts[n] for n in said])
        found[rows] = np.array([own.mean() for _, own, _ in cut])[place]
    return found


def _sentence(aligner: Aligner, motions: Motions, texts: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    if not len(pairs):
        return np.zeros(0, dtype=np.float32)
    (moved, at), (said, of) = (np.unique(pairs[:, column], return_inverse=True) for column in range(2))
    encoded = aligner.encode_text([texts[int(n)] for n in said])
    vectors = aligner.encode_motion([np.asarray(motions[n]) for n in moved])
    return (encoded[of] * vectors[at]).sum(1).cpu().numpy()


def _aligner_matrix(aligner: Aligner, motions: Motions, texts: Sequence[str]) -> np.ndarray:
    return (
        (aligner.encode_text(texts) @ aligner.encode_motion([np.asarray(motion) for motion in motions]).T).cpu().numpy()
    )


def callable_encoder(function: Callable[..., Any], name: str) -> Encoder:
    """Any function of motions and texts, see `open_encoders`. Raises MateError, when it is called, for answers of another shape."""

    def matrix(motions: Motions, texts: Sequence[str]) -> np.ndarray:
        answer = function([np.array(motion) for motion in motions], list(texts))
        wanted = f"{name}: expected embeddings ({len(motions)}, D) and ({len(texts)}, D), or similarities ({len(motions)}, {len(texts)})"
        if isinstance(answer, tuple | list) and len(answer) == 2:
            parts = [np.asarray(part, dtype=np.float64) for part in answer]
            if [part.ndim for part in parts] != [2, 2] or parts[0].shape[1] != parts[1].shape[1]:
                raise MateError(f"{wanted}; got arrays of shapes {parts[0].shape} and {parts[1].shape}")
            vectors, encoded = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in parts)
            answer = vectors @ encoded.T
        found = np.asarray(answer, dtype=np.float64)
        if found.shape != (len(motions), len(texts)) or not np.isfinite(found).all():
            raise MateError(f"{wanted}, finite; got shape {found.shape}")
        return found.T

    def asked(motions: Motions, texts: Sequence[str], pairs: np.ndarray) -> np.ndarray:
        return matrix(motions, texts)[pairs[:, 1], pairs[:, 0]]

    reads = getattr(function, "reads", "features")
    if reads not in ("features", "joints"):
        raise MateError(f"{name}: its attribute `reads` is {reads!r}, expected features or joints")
    return Encoder(name, asked, matrix, reads, {"scoring": "its own"})


def _imported(source: str) -> Callable[..., Any]:
    module, _, name = source.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise MateError(
            f"no encoder {source!r}: {error}; expected a model folder or package.module:function, on PYTHONPATH"
        ) from error
    if not callable(function):
        raise MateError(f"{source} is {type(function).__name__}, expected a function of motions and texts")
    return function

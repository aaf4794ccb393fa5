"""What generators of all kinds share: a text encoder that is loaded when it is needed, the lengths they make, their folder's facts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mate.errors import MateError
from mate.motion.skeleton import HUMANML3D
from mate.text.encoder import DEFAULT_MODEL, TextEncoder

FPS = 20.0
PATCH = "patch.safetensors"
_OWN = ("model_type", "text_encoder", "text_dim", "word_dim", "fps", "skeleton", "config", "sha256")


class TextReader(nn.Module):
    """A generator's text encoder and limits.

    The text encoder is no sub-module: it is neither trained, nor moved, nor saved with the generator; a folder holds its name and patch.

    Attributes:
        config: with min_seconds and max_seconds.
        facts: JSON-able facts that stand in config.json: `license`, `training_data`, `figures`, ...
        text_dim, word_dim: width of the vectors of a text and of its words that the generator was made for; None: it reads no words.
        encoder: the text encoder, frozen, with the patch applied if there is one.
    """

    fps = FPS

    def __init__(
        self,
        config: Any,
        encoder: TextEncoder | None,
        text_dim: int,
        word_dim: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.config = config
        self.facts = dict(facts or {})
        self.text_dim, self.word_dim = text_dim, word_dim
        self._encoder = encoder
        self._encoder_source: tuple[str, Path | None] = (DEFAULT_MODEL, None)

    @property
    def min_seconds(self) -> float:
        """The shortest motion it makes."""
        return self.config.min_seconds

    @property
    def max_seconds(self) -> float:
        """The longest motion it makes."""
        return self.config.max_seconds

    def frames(self, seconds: float) -> int:
        """round(seconds * fps). Raises MateError for a length that it cannot make."""
        if not (np.isfinite(seconds) and self.min_seconds <= seconds <= self.max_seconds):
            raise MateError(
                f"got a length of {seconds:g} s; this model makes {self.min_seconds:g} to {self.max_seconds:g} s"
            )
        return round(seconds * self.fps)

    @property
    def encoder(self) -> TextEncoder:
        """The text encoder; loaded when it is first needed."""
        if self._encoder is None:
            name, patch = self._encoder_source
            self._encoder = self._checked(TextEncoder.from_pretrained(name, patch=patch))
        return self._encoder

    @encoder.setter
    def encoder(self, encoder: TextEncoder) -> None:
        self._encoder = self._checked(encoder)
        self._encoder_source = (encoder.model_id, None)

    def set_text_encoder(self, name: str, patch: Path | None = None) -> None:
        """Names the text encoder without loading it: it is loaded when it is first needed, and stands in a saved folder."""
        self._encoder, self._encoder_source = None, (name, patch)

    def _checked(self, encoder: TextEncoder) -> TextEncoder:
        words = self.word_dim is not None
        if encoder.dim != self.text_dim or (words and encoder.token_dim != self.word_dim):
            given = f"{encoder.dim} dimensions" + (f", {encoder.token_dim} a word" if words else "")
            raise MateError(
                f"got {encoder.model_id}, a text encoder of {given}; the generator was trained on {self.text_dim}"
                + (f" and {self.word_dim}" if words else "")
                + "; give the text encoder that it was trained with"
            )
        return encoder

    def folder_facts(self, model_type: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """What config.json of the model folder says."""
        return {
            "model_type": model_type,
            "text_encoder": self._encoder.model_id if self._encoder is not None else self._encoder_source[0],
            "text_dim": self.text_dim,
            **({} if self.word_dim is None else {"word_dim": self.word_dim}),
            "fps": self.fps,
            "skeleton": {"name": HUMANML3D.name, "bone_lengths": list(HUMANML3D.bone_lengths)},
            "config": dict(config),
            **self.facts,
        }

    def patch_files(self, patch: str | Path | None) -> dict[str, Path] | None:
        """The word patch that goes into the model folder: the given one, else the one that it came with."""
        patch = patch or self._encoder_source[1]
        return None if patch is None else {PATCH: Path(patch)}

    def adopt(self, config: Mapping[str, Any], path: Path, patch: bool) -> None:
        """Takes the text encoder of a model folder that was read, with its patch if wanted."""
        own = path / PATCH if patch and (path / PATCH).is_file() else None
        self.set_text_encoder(str(config["text_encoder"]), own)
        self.facts.setdefault("license", "not stated")


def needed(config: Mapping[str, Any], path: Path, *names: str) -> list[Any]:
    """Entries of a model folder's config.json. Raises MateError where one is missing."""
    missing = [name for name in ("config", "text_encoder", *names) if name not in config]
    if missing:
        raise MateError(f"{path}: config.json lacks {missing[0]!r}; get the model folder again")
    return [config[name] for name in names]


def other_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says beside what every generator has there."""
    return {name: value for name, value in config.items() if name not in _OWN}

"""What generators of all kinds share: a text encoder that is loaded when it is needed, the lengths they make, their folder's facts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mate.errors import MateError
from mate.generate.postprocess import clean
from mate.motion.features import features_to_joints
from mate.motion.layout import HUMANML3D_FEATURES, KIT_FEATURES, FeatureSpec
from mate.motion.skeleton import only_humanml3d
from mate.text.encoder import DEFAULT_MODEL, TextEncoder

PATCH = "patch.safetensors"
UNTRAINED = "untrained"  # in facts: the part of a converted model that its release had no weights for
_OWN = ("model_type", "text_encoder", "text_dim", "word_dim", "fps", "skeleton", "config", "sha256")


class TextReader(nn.Module):
    """A generator's text encoder and limits, and what its motions are.

    The text encoder is no sub-module: it is neither trained, nor moved, nor saved with the generator; a folder holds its name and patch.

    Attributes:
        config: with min_seconds and max_seconds.
        spec: what it makes: the numbers of a frame, their skeleton and frame rate. HumanML3D's, or KIT-ML's.
        facts: JSON-able facts that stand in config.json: `license`, `training_data`, `figures`, ...
        text_dim, word_dim: width of the vectors of a text and of its words that the generator was made for; None: it reads no words.
        encoder: the text encoder, frozen, with the patch applied if there is one.
    """

    def __init__(
        self,
        config: Any,
        encoder: TextEncoder | None,
        text_dim: int,
        word_dim: int | None = None,
        facts: Mapping[str, Any] | None = None,
        spec: FeatureSpec = HUMANML3D_FEATURES,
    ):
        super().__init__()
        self.config, self.spec = config, spec
        self.facts = dict(facts or {})
        self.text_dim, self.word_dim = text_dim, word_dim
        self._encoder = encoder
        self._encoder_source: tuple[str, Path | None] = (DEFAULT_MODEL, None)

    @property
    def fps(self) -> float:
        """Frames per second of what it makes."""
        return self.spec.fps

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

    def finish(self, features: np.ndarray, contacts: bool = True, foot_lock: bool = True) -> np.ndarray:
        """Raw features (T, D) -> post-processed joints (T, J, 3) float32, metres.

        Args:
            contacts: whether the features say which feet stand.
            foot_lock: hold standing feet; see `mate.generate.postprocess.clean`.
        """
        labels = features[:, self.spec.layout.contacts] if contacts else None
        joints = features_to_joints(features, self.spec) * self.spec.metres
        return clean(joints, labels, foot_lock, self.fps, skeleton=self.spec.body)

    def check_lengths(self) -> None:
        """Raises MateError where the model cannot choose lengths, as its length predictor was not trained."""
        if self.facts.get(UNTRAINED) == "length":
            raise MateError(
                "this model's length predictor is untrained: give a length, or train it (`mate train generator DATA --stage length --init`)"
            )

    def take_bones(self, spec: FeatureSpec) -> None:
        """The bone lengths of the data's skeleton, where the model has none: a converted one of KIT-ML, whose were not published."""
        if spec.dim == self.spec.dim and not any(self.spec.skeleton.bone_lengths):
            self.spec = spec

    def only_humanml3d(self, what: str) -> None:
        """Raises MateError, for something that needs HumanML3D's joints, where the model makes others."""
        only_humanml3d(self.spec.skeleton.name, what)

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
            "skeleton": {"name": self.spec.skeleton.name, "bone_lengths": list(self.spec.body.bone_lengths)},
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


def spec_of(config: Mapping[str, Any], path: Path) -> FeatureSpec:
    """What a model folder's generator makes, from its config.json: HumanML3D's where it does not say.

    Raises:
        MateError: a skeleton that this version does not know, or damaged entries.
    """
    told = config.get("skeleton", {"name": HUMANML3D_FEATURES.skeleton.name})
    try:
        name = told["name"]
        if name == HUMANML3D_FEATURES.skeleton.name:
            return HUMANML3D_FEATURES
        if name != KIT_FEATURES.skeleton.name:
            raise MateError(f"{path} makes motions of the skeleton {name!r}, which this version does not know")
        lengths = tuple(float(length) / KIT_FEATURES.metres for length in told["bone_lengths"])
        if len(lengths) != KIT_FEATURES.skeleton.joints:
            raise ValueError(f"{len(lengths)} bone lengths")
    except (KeyError, TypeError, ValueError) as error:
        raise MateError(f"{path}: config.json's skeleton is damaged ({error}); get the model folder again") from error
    return replace(KIT_FEATURES, skeleton=replace(KIT_FEATURES.skeleton, bone_lengths=lengths))


def needed(config: Mapping[str, Any], path: Path, *names: str) -> list[Any]:
    """Entries of a model folder's config.json. Raises MateError where one is missing."""
    missing = [name for name in ("config", "text_encoder", *names) if name not in config]
    if missing:
        raise MateError(f"{path}: config.json lacks {missing[0]!r}; get the model folder again")
    return [config[name] for name in names]


def other_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says beside what every generator has there."""
    return {name: value for name, value in config.items() if name not in _OWN}

"""The whole generator: text encoder, length predictor, diffusion, post-processing; generating, editing, continuing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mate.checkpoints import load_folder, load_strict, save_folder
from mate.errors import MateError
from mate.generate.base import StepHook, check_one_each, check_texts, part_of
from mate.generate.length import LengthPredictor
from mate.generate.mdm.config import MDMConfig, to_dict
from mate.generate.mdm.diffusion import MotionDiffusion
from mate.generate.mdm.known import Known
from mate.generate.momask.config import from_dict
from mate.generate.postprocess import clean, lock_feet
from mate.generate.reader import TextReader, needed, other_facts, spec_of
from mate.generate.timeline import Step
from mate.motion.features import features_to_joints
from mate.motion.layout import HUMANML3D_FEATURES, FeatureSpec
from mate.text.encoder import TextEncoder
from mate.training import mix_seed

MODEL_TYPE = "mdm"
LENGTH_STRIDE = 4  # frames a unit of the length predictor
_CHUNK = 32  # prompts that run together; memory stays small however many there are


class MDMGenerator(TextReader):
    """An MDM-type generator (`mate.generate.base.Generator`).

    Attributes:
        config: see `MDMConfig`.
        facts: JSON-able facts that stand in config.json: `license`, `training_data`, `figures`, ...
        encoder: the text encoder, frozen, with the patch applied if there is one.
    """

    config: MDMConfig
    word_dim: int

    def __init__(
        self,
        config: MDMConfig,
        encoder: TextEncoder | None = None,
        text_dim: int = 384,
        word_dim: int | None = None,
        facts: dict[str, Any] | None = None,
        spec: FeatureSpec = HUMANML3D_FEATURES,
    ):
        dims = (encoder.dim, encoder.token_dim) if encoder is not None else (text_dim, word_dim or text_dim)
        super().__init__(config, encoder, *dims, facts=facts, spec=spec)
        seen = self.word_dim if config.denoiser.words else self.text_dim
        self.diffusion = MotionDiffusion(config, seen, spec)
        self.length = LengthPredictor(config.length, self.text_dim, self.diffusion.max_frames // LENGTH_STRIDE)

    # ------------------------------------------------------------------------------------------------------------- training

    def loss(self, batch: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Named losses of a `MotionTextBatch` of normalised features (both stages at once; the recipe trains them one by one)."""
        generator = generator or torch.Generator(batch.features.device).manual_seed(0)
        raw, mask = self.diffusion.normalizer.inverse(batch.features), batch.mask
        text, text_mask, pooled = self._texts(list(batch.texts))
        losses = self.diffusion(raw, mask, text, text_mask, generator)
        losses["length"] = self.length(mask.sum(1) // LENGTH_STRIDE, pooled, generator)
        return losses

    def _texts(self, texts: list[str]) -> tuple[Tensor, Tensor | None, Tensor]:
        """(text (B, L, S), its mask or None, pooled (B, S')) on the model's device."""
        device = self.diffusion.normalizer.mean.device
        found = self.encoder.encode(texts)
        pooled = found.pooled.float().to(device)
        if self.config.denoiser.words:
            return found.tokens.float().to(device), found.mask.to(device), pooled
        return pooled.unsqueeze(1), None, pooled

    # ------------------------------------------------------------------------------------------------------------- sampling

    @torch.inference_mode()
    def sample(
        self,
        texts: list[str],
        seconds: list[float] | None = None,
        seed: int = 0,
        guidance: float | None = None,
        *,
        numbers: Sequence[int] | None = None,
        known: Sequence[Known | None] | None = None,
        sampler: str | None = None,
        steps: int | None = None,
        foot_lock: bool = True,
        progress: Callable[[int, int], None] | None = None,
        step: StepHook | None = None,
    ) -> list[np.ndarray]:
        """Motions of the texts; see `mate.generate.base.Generator.sample`.

        Args:
            known: what each motion must keep (`mate.generate.mdm.known`): it sets the length, `seconds` must be None for all then. For
                models of HumanML3D's joints.
            sampler: "ddpm", "ddim" or "dpm++" instead of the model's own.
            steps: evaluations of the denoiser instead of the model's own number.
            foot_lock: False leaves out the post-processing of feet.
            progress: is told (motions done, motions in all); what it raises ends the sampling, too.
        """
        check_texts(texts)
        check_one_each(texts, {"lengths": seconds, "numbers": numbers, "motions to keep": known})
        if known is not None and seconds is not None:
            raise MateError("got lengths and motions to keep; those set the lengths themselves, leave the lengths out")
        if known is not None:
            self.only_humanml3d("keeping a motion")
        own = list(range(len(texts)) if numbers is None else numbers)
        lengths: list[int | None] = [None] * len(texts)
        if seconds is not None:
            lengths = [self.frames(value) for value in seconds]
        kept = list(known or [None] * len(texts))
        for i, part in enumerate(kept):
            if part is not None:
                lengths[i] = self.frames(len(part.features) / self.fps)
        settings = self.config.sampling
        settings = replace(
            settings,
            guidance=settings.guidance if guidance is None else guidance,
            sampler=sampler or settings.sampler,
            steps=steps or settings.steps,
        )
        replace(self.config, sampling=settings)  # raises for what cannot be
        was_training = self.training
        self.eval()
        try:
            motions: list[np.ndarray] = []
            starts = range(0, len(texts), _CHUNK)
            for chunk, start in enumerate(starts):
                part = slice(start, start + _CHUNK)
                hook = part_of(step, chunk, 1, len(starts))
                features = self._features(texts[part], lengths[part], seed, own[part], kept[part], settings, hook)
                motions += [self._joints(x, k, foot_lock) for x, k in zip(features, kept[part], strict=True)]
                if progress is not None:
                    progress(len(motions), len(texts))
            return motions
        finally:
            self.train(was_training)

    def timeline(
        self,
        steps: Sequence[Step],
        seed: int = 0,
        guidance: float | None = None,
        *,
        number: int = 0,
        foot_lock: bool = True,
        step: StepHook | None = None,
    ) -> np.ndarray:
        """One motion of several prompts one after the other; see `mate.generate.base.Editor.timeline`."""
        from mate.generate.mdm.editing import make_timeline

        return make_timeline(self.eval(), steps, seed, guidance, number, foot_lock, step)

    def between(
        self,
        before: np.ndarray | None,
        after: np.ndarray | None,
        text: str,
        seconds: float,
        seed: int = 0,
        guidance: float | None = None,
        *,
        number: int = 0,
        foot_lock: bool = True,
        parts: Sequence[str] = (),
        path: np.ndarray | None = None,
        middle: np.ndarray | None = None,
    ) -> np.ndarray:
        """Motion between two motions, or after or before one, of the whole body, of parts of it, or along a path.

        See `mate.generate.base.Editor.between`. `mate.generate.mdm.known` has more: several stretches, parts that change their path.
        """
        from mate.generate.mdm.editing import along, change_parts, fill_between

        self.only_humanml3d("changing a motion")
        self.eval()
        if path is not None and parts:
            raise MateError("got a path and body parts, expected one of them: along a path the whole body is made")
        if path is not None:
            return along(self, before, after, text, seconds, path, seed, guidance, number, foot_lock)
        if parts:
            return change_parts(self, before, middle, after, text, parts, seed, guidance, number, foot_lock)
        return fill_between(self, before, after, text, seconds, seed, guidance, number, foot_lock)

    def _features(
        self,
        texts: list[str],
        lengths: Sequence[int | None],
        seed: int,
        numbers: Sequence[int],
        known: Sequence[Known | None],
        settings: Any,
        step: StepHook | None = None,
    ) -> list[np.ndarray]:
        """Raw features (T, C) of each prompt."""
        text, text_mask, pooled = self._texts(texts)
        frames = [
            self._choose_length(pooled[i : i + 1], seed, numbers[i]) if length is None else length
            for i, length in enumerate(lengths)
        ]
        streams = [torch.Generator().manual_seed(mix_seed(seed, number, "noise")) for number in numbers]
        held = None
        if any(part is not None for part in known):
            given = torch.zeros(len(texts), max(frames), self.spec.dim)
            keep = torch.zeros(given.shape, dtype=torch.bool)
            for i, part in enumerate(known):
                if part is not None:
                    given[i, : frames[i]] = torch.from_numpy(part.features)
                    keep[i, : frames[i]] = torch.from_numpy(part.keep)
            held = given.to(text.device), keep.to(text.device)
        features = self.diffusion.sample(text, text_mask, frames, streams, settings, held, step).cpu().numpy()
        return [row[:count] for row, count in zip(features, frames, strict=True)]

    def choose_seconds(self, texts: Sequence[str], seed: int, keys: Sequence[tuple]) -> list[float]:
        """Lengths of motions of the texts from the length predictor; see `mate.generate.base.Editor.choose_seconds`."""
        with torch.inference_mode():
            pooled = self._texts(list(texts))[2]
            frames = [self._choose_length(pooled[i : i + 1], seed, *key) for i, key in enumerate(keys)]
        return [min(count / self.fps, self.max_seconds) for count in frames]

    def _choose_length(self, pooled: Tensor, seed: int, *key: int | str) -> int:
        self.check_lengths()
        stream = torch.Generator().manual_seed(mix_seed(seed, *key, "length"))
        shortest = max(1, -(-round(self.min_seconds * self.fps) // LENGTH_STRIDE))
        [units] = self.length.sample(
            pooled, lambda *_: torch.rand(1, self.length.max_tokens, generator=stream),
            self.config.sampling.length_temperature, shortest,
        )  # fmt: skip
        return units * LENGTH_STRIDE

    def _joints(self, features: np.ndarray, known: Known | None, foot_lock: bool) -> np.ndarray:
        """(T, C) -> joints (T, J, 3): cleaned, and back where the kept motion was."""
        told = "contacts" in self.config.features
        if known is None:
            return self.finish(features, told, foot_lock)
        joints = clean(features_to_joints(known.close(features)), foot_lock=False)
        if foot_lock:  # without leading the body after its feet: its path is the kept one
            joints = lock_feet(joints, self.fps, features[:, self.spec.layout.contacts] if told else None)
        return known.place(joints)

    # --------------------------------------------------------------------------------------------------------------- folders

    def save_pretrained(
        self, folder: str | Path, card: str = "", patch: str | Path | None = None, half: bool = True
    ) -> Path:
        """Writes the model folder: weights in fp16 (normalisers in fp32), configuration, model card, and the word patch if there is one.

        `half=False` keeps all weights in fp32: twice the size, and nothing of a converted checkpoint is rounded.

        Raises:
            MateError: the folder cannot be written.
        """
        tensors = {
            name: tensor if not half or "normalizer" in name or not tensor.is_floating_point() else tensor.half()
            for name, tensor in self.state_dict().items()
        }
        config = self.folder_facts(MODEL_TYPE, to_dict(self.config))
        return save_folder(folder, config, tensors, card, self.patch_files(patch))

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu", patch: bool = True, dtype: str = "fp32") -> Self:
        """Reads a model folder; computes in fp32.

        Args:
            folder: as `save_pretrained` writes it, or a hub id.
            device: where to put it.
            patch: False leaves the text encoder as it was published, for comparison.
            dtype: "fp32", the only number format of this kind of model.

        Raises:
            MateError: no such model, one that was changed or damaged, or another number format.
        """
        if dtype != "fp32":
            raise MateError(f"got the number format {dtype!r}, models of type {MODEL_TYPE} compute in fp32")
        config, tensors, path = load_folder(folder, MODEL_TYPE)
        text_dim, word_dim = (int(value) for value in needed(config, path, "text_dim", "word_dim"))
        settings = from_dict(MDMConfig, config["config"])
        spec = spec_of(config, path)
        model = cls(settings, text_dim=text_dim, word_dim=word_dim, facts=other_facts(config), spec=spec)
        load_strict(model, tensors, path)
        model.adopt(config, path, patch)
        return model.to(device).eval()

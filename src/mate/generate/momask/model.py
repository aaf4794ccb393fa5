"""The whole generator: text encoder, length predictor, masked and residual transformer, tokeniser, post-processing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mate.checkpoints import as_int8, load_folder, load_strict, save_folder
from mate.errors import MateError
from mate.generate.base import StepHook, check_one_each, check_texts, part_of
from mate.generate.length import LengthPredictor
from mate.generate.momask.config import MoMaskConfig, from_dict, to_dict
from mate.generate.momask.residual import ResidualTransformer
from mate.generate.momask.transformer import MaskedTransformer, Noise, Tick
from mate.generate.momask.vqvae import MotionVQ, tokens_for, vq_losses
from mate.generate.precision import lower
from mate.generate.reader import TextReader, needed, other_facts, spec_of
from mate.generate.timeline import Step
from mate.motion.layout import HUMANML3D_FEATURES, FeatureSpec
from mate.text.encoder import TextEncoder
from mate.training import mix_seed

MODEL_TYPE = "momask"
_CHUNK = 32  # prompts that run together; memory stays small however many there are
# Not shipped: the codebooks' running sums follow from codes and counts.
_DERIVED = ".sums"


class MoMaskGenerator(TextReader):
    """A MoMask-type generator (`mate.generate.base.Generator`).

    Attributes:
        config: see `MoMaskConfig`.
        facts: JSON-able facts that stand in config.json: `license`, `training_data`, `figures`, ...
        encoder: the text encoder, frozen, with the patch applied if there is one.
    """

    config: MoMaskConfig

    def __init__(
        self,
        config: MoMaskConfig,
        encoder: TextEncoder | None = None,
        text_dim: int = 384,
        facts: dict[str, Any] | None = None,
        spec: FeatureSpec = HUMANML3D_FEATURES,
    ):
        super().__init__(config, encoder, encoder.dim if encoder is not None else text_dim, facts=facts, spec=spec)
        quantizer = config.quantizer
        tokens = self.max_tokens
        self.vq = MotionVQ(spec, config.vq, quantizer)
        self.masked = MaskedTransformer(config.masked, quantizer.codes, self.text_dim, tokens)
        self.residual = ResidualTransformer(config.residual, quantizer.codes, quantizer.layers, self.text_dim, tokens)
        self.length = LengthPredictor(config.length, self.text_dim, tokens)

    @property
    def max_tokens(self) -> int:
        """Motion tokens of the longest motion."""
        return tokens_for(self.config.max_seconds, self.fps, self.config.vq.stride)

    # ------------------------------------------------------------------------------------------------------------- training

    def loss(self, batch: Any, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Named losses of a `MotionTextBatch` of normalised features (every stage at once; the recipe trains them one by one)."""
        generator = generator or torch.Generator(batch.features.device).manual_seed(0)
        stride = self.config.vq.stride
        frames = batch.features.shape[1] // stride * stride
        raw, mask = self.vq.normalizer.inverse(batch.features[:, :frames]), batch.mask[:, :frames]
        losses = vq_losses(self.vq, self.vq, (raw, mask), generator)
        tokens, valid = self.vq.encode(raw, mask), mask.unflatten(1, (-1, stride)).all(-1)
        pooled = self.encoder.encode(list(batch.texts)).pooled.to(raw.device)
        losses["masked"] = self.masked(tokens[..., 0], valid, pooled, generator)[0]
        losses["residual"] = self.residual(tokens, valid, pooled, generator)[0]
        losses["length"] = self.length(valid.sum(1), pooled, generator)
        return losses

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
        foot_lock: bool = True,
        progress: Callable[[int, int], None] | None = None,
        step: StepHook | None = None,
    ) -> list[np.ndarray]:
        """Motions of the texts; see `mate.generate.base.Generator.sample`.

        `foot_lock=False` leaves out the post-processing of feet; `progress` is told (motions done, motions in all); what it raises ends
        the sampling, too.
        """
        check_texts(texts)
        check_one_each(texts, {"lengths": seconds, "numbers": numbers})
        own = list(range(len(texts)) if numbers is None else numbers)
        lengths = None if seconds is None else [self.frames(value) for value in seconds]
        was_training = self.training
        self.eval()
        try:
            motions: list[np.ndarray] = []
            starts = range(0, len(texts), _CHUNK)
            for chunk, start in enumerate(starts):
                part = slice(start, start + _CHUNK)
                frames = None if lengths is None else lengths[part]
                hook = part_of(step, chunk, 1, len(starts))
                motions += self._sample(texts[part], frames, seed, own[part], guidance, foot_lock, hook)
                if progress is not None:
                    progress(len(motions), len(texts))
            return motions
        finally:
            self.train(was_training)

    def _counter(self, step: StepHook) -> Tick:
        """Counts the steps of both transformers for `step`."""
        total = self.config.sampling.steps + self.config.quantizer.layers - 1
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            step(done, total)

        return tick

    def _sample(
        self,
        texts: list[str],
        frames: list[int] | None,
        seed: int,
        numbers: Sequence[int],
        guidance: float | None,
        foot_lock: bool,
        step: StepHook | None = None,
    ) -> list[np.ndarray]:
        pooled = self.pooled(texts)
        keys = [(number,) for number in numbers]
        frames = frames or self.choose_frames(pooled, seed, keys)
        counts = [-(-count // self.stride) for count in frames]
        codes, _ = self.fill(pooled, counts, seed, keys, guidance, step=step)
        mask = None
        if min(counts) < max(counts):
            mask = torch.arange(max(counts), device=codes.device) < torch.tensor(counts, device=codes.device)[:, None]
        features = self.vq.decode_codes(codes, mask).cpu().numpy()
        return [self.finish(features[i, :count], foot_lock=foot_lock) for i, count in enumerate(frames)]

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
        from mate.generate.momask.editing import make_timeline

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
        """Motion between two motions, or after or before one; see `mate.generate.base.Editor.between`.

        Raises:
            MateError: also for `parts` and `path`, which tokens of whole bodies cannot follow.
        """
        from mate.generate.momask.editing import fill_between

        self.only_humanml3d("changing a motion")
        if parts:
            raise MateError(
                f"got the body part {parts[0]!r}: a token of this model is the whole body for {self.stride / self.fps:g} s, so that parts "
                "of it cannot be made alone; edit a span of time, or use a model of type mdm"
            )
        if path is not None:
            raise MateError(
                "got a path to follow: this model's tokens hold the body's motion and its travel together, so that it cannot be led along "
                "a path; continue from a motion or a pose, or use a model of type mdm"
            )
        return fill_between(self.eval(), before, after, text, seconds, seed, guidance, number, foot_lock)

    @property
    def stride(self) -> int:
        """Frames a token."""
        return self.config.vq.stride

    def pooled(self, texts: list[str]) -> Tensor:
        """(B, S) text vectors, where the model is."""
        return self.encoder.encode(texts).pooled.float().to(self.vq.normalizer.mean.device)

    def choose_frames(self, pooled: Tensor, seed: int, keys: Sequence[tuple]) -> list[int]:
        """Frames of each motion from the length predictor."""
        self.check_lengths()
        config = self.config.sampling
        shortest = tokens_for(self.config.min_seconds, self.fps, self.stride)
        noise = self.noise(seed, keys, None)
        counts = self.length.sample(pooled, noise, config.length_temperature, shortest, config.length_top_k)
        return [min(count * self.stride, round(self.config.max_seconds * self.fps)) for count in counts]

    def choose_seconds(self, texts: Sequence[str], seed: int, keys: Sequence[tuple]) -> list[float]:
        """Lengths of motions of the texts from the length predictor; see `mate.generate.base.Editor.choose_seconds`."""
        with torch.inference_mode():
            return [frames / self.fps for frames in self.choose_frames(self.pooled(list(texts)), seed, keys)]

    def fill(
        self,
        pooled: Tensor,
        counts: Sequence[int],
        seed: int,
        keys: Sequence[tuple],
        guidance: float | None = None,
        given: Tensor | None = None,
        step: StepHook | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Finds the tokens of motions.

        Args:
            pooled: (B, S) text vectors.
            counts: tokens a motion.
            seed, keys: a motion's random numbers follow from the seed and its key.
            guidance: None: the model's own; 0: without text.
            given: (B, longest, Q) tokens that stay, -1 where they are to be found. None: all are.
            step: see `mate.generate.base.StepHook`.

        Returns:
            The decoder's input (B, longest, D) and the tokens (B, longest, Q).
        """
        config, quantizer = self.config.sampling, self.vq.quantizer
        noise = self.noise(seed, keys, counts)
        tick = None if step is None else self._counter(step)
        base = self.masked.sample(
            pooled, counts, noise, config, config.guidance if guidance is None else guidance,
            None if given is None else given[..., 0], tick,
        )  # fmt: skip
        tokens, probabilities = self.residual.sample(base, pooled, counts, noise, config, given, tick)
        if not config.residual_expected:
            return quantizer.decode(tokens), tokens
        codes = quantizer.expected(tokens[..., 0], probabilities)
        if given is not None:
            codes = torch.where(given[..., :1] < 0, codes, quantizer.decode(tokens))
        return codes, tokens

    def noise(self, seed: int, keys: Sequence[tuple], counts: Sequence[int] | None) -> Noise:
        """A stream of uniform numbers for each motion, of `counts` tokens (None: for its length), and purpose."""
        streams: dict[tuple[int, str], torch.Generator] = {}

        def noise(i: int, purpose: str) -> Tensor:
            if (i, purpose) not in streams:
                streams[i, purpose] = torch.Generator().manual_seed(mix_seed(seed, *keys[i], purpose))
            if counts is None:
                return torch.rand((1, self.max_tokens), generator=streams[i, purpose])
            codes = self.config.quantizer.codes + (purpose == "residual" and self.config.residual.padding_code)
            return torch.rand((counts[i], codes), generator=streams[i, purpose])

        return noise

    # --------------------------------------------------------------------------------------------------------------- folders

    def save_pretrained(
        self, folder: str | Path, card: str = "", patch: str | Path | None = None, int8: bool = False
    ) -> Path:
        """Writes the model folder: weights in fp16 (normalisers in fp32), configuration, model card, and the word patch if there is one.

        Args:
            int8: matrices in int8 (`mate.checkpoints.as_int8`), half the size of fp16.

        Raises:
            MateError: the folder cannot be written.
        """
        tensors = {}
        for name, tensor in self.state_dict().items():
            if name.endswith(_DERIVED):
                continue
            exact = "normalizer" in name or not tensor.is_floating_point()
            tensors[name] = tensor if exact else tensor.half()
        config = self.folder_facts(MODEL_TYPE, to_dict(self.config))
        tensors = as_int8(tensors) if int8 else tensors
        return save_folder(folder, config, tensors, card, self.patch_files(patch))

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu", patch: bool = True, dtype: str = "fp32") -> Self:
        """Reads a model folder.

        Args:
            folder: as `save_pretrained` writes it, or a hub id.
            device: where to put it.
            patch: False leaves the text encoder as it was published, for comparison.
            dtype: number format of the weights: fp32, bf16 or int8; see `mate.generate.precision`. Other than fp32 is for sampling only.

        Raises:
            MateError: no such model, or one that was changed or damaged.
        """
        config, tensors, path = load_folder(folder, MODEL_TYPE)
        [text_dim] = needed(config, path, "text_dim")
        settings = from_dict(MoMaskConfig, config["config"])
        model = cls(settings, text_dim=int(text_dim), facts=other_facts(config), spec=spec_of(config, path))
        for key, value in model.state_dict().items():
            if key.endswith(_DERIVED):
                books = key.removesuffix(_DERIVED)
                if f"{books}.codes" in tensors and f"{books}.counts" in tensors:
                    codes, counts = tensors[f"{books}.codes"], tensors[f"{books}.counts"]
                    if codes.shape == value.shape and counts.shape == value.shape[:1]:
                        tensors[key] = codes.float() * counts.float().unsqueeze(1)
        load_strict(model, tensors, path)
        model.adopt(config, path, patch)
        lower(model, dtype)
        return model.to(device).eval()

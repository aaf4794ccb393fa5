"""Noise: how training adds it, and how sampling takes it away again.

Schedules and samplers are those of `diffusers`; the denoiser predicts the clean motion ("sample" there).
Shapes: B batch, T frames, C numbers of a frame, D of them denoised.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mate.errors import MateError
from mate.generate.base import StepHook
from mate.generate.linear import packed
from mate.generate.mdm.config import BLOCKS, DiffusionConfig, MDMConfig, SamplingConfig
from mate.generate.mdm.denoiser import Denoiser
from mate.generate.momask.vqvae import Normalizer
from mate.motion.layout import FeatureLayout, FeatureSpec


def columns_of(features: Sequence[str], layout: FeatureLayout) -> list[int]:
    """Where the named groups (`mate.generate.mdm.config.BLOCKS`) stand among the numbers of a frame."""
    places: list[slice] = [getattr(layout, name) for name in BLOCKS if name in features]
    return [i for place in places for i in range(place.start, place.stop)]


def betas(config: DiffusionConfig) -> Tensor:
    """The variance that each of the S steps adds, (S,) float64: the cosine schedule (Nichol and Dhariwal, 2021), shifted if asked for.

    A shift s divides the signal-to-noise ratio by s squared (Hoogeboom et al., "Simple diffusion", 2023).
    """
    t = torch.arange(config.steps + 1, dtype=torch.float64) / config.steps
    kept = torch.cos((t + 0.008) / 1.008 * torch.pi / 2) ** 2  # the share of the signal in the variance, up to a factor
    if config.shift != 1.0:
        kept = kept / (kept + config.shift**2 * (1 - kept))
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


def kept_signal(config: DiffusionConfig) -> Tensor:
    """The share of the signal in the variance after each of the S steps, (S,) float64."""
    return (1 - betas(config)).cumprod(0)


def scheduler(sampling: SamplingConfig, diffusion: DiffusionConfig) -> Any:
    """The `diffusers` scheduler of the sampler, set to its number of steps.

    Raises:
        MateError: an unknown sampler, or more steps than noise levels.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    if not 1 <= sampling.steps <= diffusion.steps:
        raise MateError(f"got {sampling.steps} steps, expected 1 to {diffusion.steps}")
    common = {
        "num_train_timesteps": diffusion.steps,
        "trained_betas": betas(diffusion).tolist(),
        "prediction_type": "sample",
    }
    if sampling.sampler == "ddpm":
        made = DDPMScheduler(**common, clip_sample=False, variance_type="fixed_small", timestep_spacing="leading")
    elif sampling.sampler == "ddim":
        # Few steps must start where there is nothing but noise, as the first one is given; many may start a little later, as MDM does.
        spacing = "leading" if sampling.steps >= 50 else "trailing"
        made = DDIMScheduler(**common, clip_sample=False, set_alpha_to_one=True, timestep_spacing=spacing)
    elif sampling.sampler == "dpm++":
        made = DPMSolverMultistepScheduler(
            **common,
            algorithm_type="dpmsolver++",
            solver_order=2,
            lambda_min_clipped=-5.1,
            final_sigmas_type="zero",
            timestep_spacing="linspace",
        )
    else:
        raise MateError(f"got the sampler {sampling.sampler!r}, expected ddpm, ddim or dpm++")
    made.set_timesteps(sampling.steps)
    return made


class MotionDiffusion(nn.Module):
    """The denoiser with the statistics of its data, its noise and its loss.

    Attributes:
        columns: (D,) which of the C numbers are denoised.
        normalizer: of all C.
    """

    columns: Tensor
    kept: Tensor

    def __init__(self, config: MDMConfig, text_dim: int, spec: FeatureSpec):
        super().__init__()
        self.config = config
        columns = columns_of(config.features, spec.layout)
        self.max_frames = round(config.max_seconds * spec.fps)
        self.normalizer = Normalizer(spec.dim)
        self.denoiser = Denoiser(config.denoiser, len(columns), text_dim, self.max_frames, config.diffusion.steps)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("kept", kept_signal(config.diffusion).float(), persistent=False)

    def select(self, features: Tensor) -> Tensor:
        """Raw features (..., C) -> what is denoised (..., D)."""
        return self.normalizer(features)[..., self.columns]

    def restore(self, x: Tensor) -> Tensor:
        """What is denoised (..., D) -> raw features (..., C); groups that are not denoised are zero."""
        features = x.new_zeros(*x.shape[:-1], len(self.normalizer.mean))
        features[..., self.columns] = x * self.normalizer.std[self.columns] + self.normalizer.mean[self.columns]
        return features

    def forward(
        self,
        features: Tensor,
        mask: Tensor,
        text: Tensor,
        text_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Named losses, each (): "clean", the squared error of the clean motion, and that of its differences between frames.

        Args:
            features: (B, T, C) raw.
            mask: (B, T), True = valid.
            text: (B, L, S).
            text_mask: (B, L), or None: all valid.
            generator: of noise levels, noise, dropped texts and text noise.
        """
        config, device = self.config.diffusion, features.device
        clean = self.select(features) * mask.unsqueeze(-1)
        batch = len(clean)
        # Levels at even distances, shuffled: every batch sees the whole range.
        place = (torch.arange(batch, device=device) + torch.rand(batch, generator=generator, device=device)) / batch
        times = (place * config.steps).long().clamp(max=config.steps - 1)
        times = times[torch.rand(batch, generator=generator, device=device).argsort()]
        noise = torch.randn(clean.shape, generator=generator, device=device)
        kept = self.kept[times][:, None, None]
        guess = self.denoiser(
            kept.sqrt() * clean + (1 - kept).sqrt() * noise, times, text, text_mask, mask, generator=generator
        ).float()
        losses = {"clean": _mean((guess - clean).square(), mask)}
        if config.velocities:
            both = mask[:, 1:] & mask[:, :-1]
            losses["velocities"] = config.velocities * _mean((guess.diff(dim=1) - clean.diff(dim=1)).square(), both)
        return losses

    @torch.no_grad()
    def sample(
        self,
        text: Tensor,
        text_mask: Tensor | None,
        frames: Sequence[int],
        streams: Sequence[torch.Generator],
        sampling: SamplingConfig,
        known: tuple[Tensor, Tensor] | None = None,
        step: StepHook | None = None,
    ) -> Tensor:
        """Raw features (B, longest, C); beyond a motion's own length they mean nothing.

        Args:
            text: (B, L, S).
            text_mask: (B, L), or None: all valid.
            frames: of each motion.
            streams: one random stream a motion, so that none depends on its batch.
            sampling: sampler, steps, guidance.
            known: raw features (B, longest, C) and which of them stay (B, longest, C) bool.
            step: see `mate.generate.base.StepHook`.
        """
        batch, longest, device = len(frames), max(frames), text.device
        mask = torch.arange(longest, device=device) < torch.tensor(list(frames), device=device)[:, None]
        x = _noise(streams, self.max_frames, len(self.columns)).to(device)
        guess = self.guided(text, text_mask, None if mask.all() else mask, sampling.guidance)
        given = keep = None
        if known is not None:
            given, keep = self.select(known[0]), known[1][..., self.columns]
        walk = scheduler(sampling, self.config.diffusion)
        extra = {} if sampling.sampler == "dpm++" else {"generator": list(streams)}
        with packed(self):
            for done, time in enumerate(walk.timesteps, 1):
                clean = guess(x[:, :longest], time.expand(batch).to(device))
                if given is not None and keep is not None:
                    clean = torch.where(keep, given, clean)
                # Noise is drawn for the longest motion there can be: a motion's own share does not depend on its batch.
                clean = F.pad(clean, (0, 0, 0, self.max_frames - longest))
                x = walk.step(clean, time, x, **extra).prev_sample
                if step is not None:
                    step(done, len(walk.timesteps))
        return self.restore(x[:, :longest])

    def guided(
        self, text: Tensor, text_mask: Tensor | None, mask: Tensor | None, guidance: float
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """A function from noisy motions (B, T, D) and noise levels (B,) to clean ones, under classifier-free guidance.

        With and without text in one batch; the text is projected once.
        """
        copies = 1 if guidance == 1.0 else 2
        drop = torch.arange(copies * len(text), device=text.device) >= len(text)
        seen = self.denoiser.text(text.repeat(copies, 1, 1), drop)
        return lambda x, times: self.denoiser.denoise(x, times, seen, text_mask, mask, guidance).float()


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of (B, T, D) over valid frames: each motion by itself, then over motions, as in MDM."""
    own = (values * mask.unsqueeze(-1)).sum((1, 2)) / (mask.sum(1).clamp(min=1) * values.shape[-1])
    return own.mean()


def _noise(streams: Sequence[torch.Generator], frames: int, width: int) -> Tensor:
    """(B, frames, width), each row of its own stream."""
    return torch.stack([torch.randn(frames, width, generator=stream) for stream in streams])

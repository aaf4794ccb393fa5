"""Timelines and changes of a motion with a denoiser. Shapes: K prompts, T frames, D denoised numbers a frame, G frames of a gap."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mate.errors import MateError
from mate.generate.base import StepHook, check_steps, check_texts
from mate.generate.editing import motion_features, or_nothing, put_between, smoothed
from mate.generate.mdm.diffusion import scheduler
from mate.generate.mdm.known import Known, along_path, edit, follow
from mate.generate.mdm.model import MDMGenerator
from mate.generate.timeline import Step, bounds
from mate.motion.layout import LAYOUT
from mate.motion.retarget import heading
from mate.training import mix_seed

OVERLAP = 10  # frames that a prompt sees of its neighbours on each side
COMPANY = 40  # frames of what is there that a gap gets on each side
_CHUNK = 32  # prompts that run together
_TO_NEXT = (
    LAYOUT.root_rotation_velocity,
    LAYOUT.root_linear_velocity,
    LAYOUT.velocities,
)  # numbers of a frame that tell of the next one


@torch.inference_mode()
def make_timeline(
    model: MDMGenerator,
    steps: Sequence[Step],
    seed: int,
    guidance: float | None,
    number: int,
    foot_lock: bool,
    step: StepHook | None = None,
) -> np.ndarray:
    """One motion of several prompts, (T, J, 3).

    All prompts are denoised together as one long motion: each sees its own frames and some of its neighbours', and where two see the same
    frames their clean motions are faded into each other, at every noise level (as in Shafir et al., "Human motion diffusion as a
    generative prior", 2024). Features hold turns and steps, not places, so that position and heading go on by themselves.
    """
    steps = check_steps(steps, model.min_seconds, model.max_seconds)
    edges = bounds(list(steps), model.fps)
    spans = [_seen(start, end, edges[-1], model.diffusion.max_frames) for start, end in pairwise(edges)]
    weights = _fades(spans, edges)
    settings = model.config.sampling
    settings = replace(settings, guidance=settings.guidance if guidance is None else guidance)
    text, text_mask, _ = model._texts([one.text for one in steps])
    longest = max(end - start for start, end in spans)
    counts = torch.tensor([end - start for start, end in spans], device=text.device)
    mask = torch.arange(longest, device=text.device) < counts[:, None]
    parts = [slice(first, first + _CHUNK) for first in range(0, len(spans), _CHUNK)]
    guesses = [
        model.diffusion.guided(text[p], None if text_mask is None else text_mask[p], mask[p], settings.guidance)
        for p in parts
    ]
    stream = torch.Generator().manual_seed(mix_seed(seed, number, "timeline"))
    x = torch.randn(1, edges[-1], len(model.diffusion.columns), generator=stream).to(text.device)
    walk = scheduler(settings, model.config.diffusion)
    extra = {} if settings.sampler == "dpm++" else {"generator": [stream]}
    for done, time in enumerate(walk.timesteps, 1):
        windows = torch.stack([F.pad(x[0, a:b], (0, 0, 0, longest - (b - a))) for a, b in spans])
        clean = torch.zeros_like(x)
        for part, guess in zip(parts, guesses, strict=True):
            found = guess(windows[part], time.expand(len(windows[part])).to(text.device))
            for own, (a, b), weight in zip(found, spans[part], weights[part], strict=True):
                clean[0, a:b] += own[: b - a] * weight.to(text.device)
        x = walk.step(clean, time, x, **extra).prev_sample
        if step is not None:
            step(done, len(walk.timesteps))
    features = model.diffusion.restore(x)[0].cpu().numpy()
    return smoothed(features, edges[1:-1], lambda made: model._joints(made, None, foot_lock), model.spec)


def _seen(start: int, end: int, total: int, most: int) -> tuple[int, int]:
    """The frames that a prompt sees: its own and up to `OVERLAP` on each side, at most `most` in all."""
    reach = max(0, min(OVERLAP, (most - (end - start)) // 2))
    return max(0, start - reach), min(total, end + reach)


def _fades(spans: Sequence[tuple[int, int]], edges: Sequence[int]) -> list[Tensor]:
    """Weights (b - a, 1) of each prompt's frames: from 0 to 1 over what it shares with a neighbour, summing to 1 for every frame."""
    own = []
    for (a, b), (start, end) in zip(spans, pairwise(edges), strict=True):
        frame = np.arange(a, b) + 0.5
        rise = (frame - a) / (2 * (start - a)) if start > a else np.ones(b - a)
        fall = (b - frame) / (2 * (b - end)) if b > end else np.ones(b - a)
        own.append(np.clip(np.minimum(rise, fall), 0, 1))
    total = np.zeros(edges[-1])
    for (a, b), weight in zip(spans, own, strict=True):
        total[a:b] += weight
    return [
        torch.from_numpy((weight / total[a:b]).astype(np.float32))[:, None]
        for (a, b), weight in zip(spans, own, strict=True)
    ]


@torch.inference_mode()
def fill_between(
    model: MDMGenerator,
    before: np.ndarray | None,
    after: np.ndarray | None,
    text: str,
    seconds: float,
    seed: int,
    guidance: float | None,
    number: int,
    foot_lock: bool,
) -> np.ndarray:
    """A motion that goes on from `before` for `seconds` as the text says and leads into `after`; see `MDMGenerator.between`."""
    check_texts([text])
    before, after = or_nothing(before), or_nothing(after)
    gap = _gap(model, seconds, bool(len(before)) + bool(len(after)))
    room = model.diffusion.max_frames - gap
    right = min(len(after), COMPANY, max(room - min(len(before), COMPANY), room // 2))
    left = min(len(before), COMPANY, room - right)
    # A motion of at least the model's shortest length is made; what is too much goes.
    total = max(left + gap + right, round(model.min_seconds * model.fps))
    given, keep = np.zeros((total, LAYOUT.dim), np.float32), np.zeros((total, LAYOUT.dim), bool)
    for rows, joints in (
        (slice(0, left), before[len(before) - left :]),
        (slice(left + gap, left + gap + right), after[:right]),
    ):
        if len(joints):
            given[rows], keep[rows] = motion_features(joints), True
            for columns in _TO_NEXT:  # of the last frame these are not known
                keep[rows.stop - 1, columns] = False
    none = np.zeros((total, 22), bool)
    known = Known(given, keep, np.zeros((total, 22, 3), np.float32), none, 0.0, np.zeros(3))
    settings = model.config.sampling
    settings = replace(settings, guidance=settings.guidance if guidance is None else guidance)
    [features] = model._features([text], [total], seed, [number], [known], settings)
    features = features[: left + gap + right]
    return put_between(before, after, gap, features, left, lambda made: model._joints(made, None, foot_lock))


def change_parts(
    model: MDMGenerator,
    before: np.ndarray | None,
    middle: np.ndarray | None,
    after: np.ndarray | None,
    text: str,
    parts: Sequence[str],
    seed: int,
    guidance: float | None,
    number: int,
    foot_lock: bool,
) -> np.ndarray:
    """The motion with parts of the body made anew in its middle; everything else stays where it is."""
    middle = or_nothing(middle)
    if not len(middle):
        raise MateError(
            "got body parts to change and no motion to change them in; give the motion with --edit, --from and --to"
        )
    before, after = or_nothing(before), or_nothing(after)
    whole = np.concatenate((before, middle, after))
    gap = _gap(model, len(middle) / model.fps, 0)
    room = model.diffusion.max_frames - gap
    first = max(0, len(before) - min(COMPANY, room // 2))
    last = min(len(whole), len(before) + gap + min(COMPANY, room // 2))
    start, end = (len(before) - first) / model.fps, (len(before) - first + gap) / model.fps
    known = edit(whole[first:last], [(start, end)], parts)
    [made] = model.sample([text], None, seed, guidance, numbers=[number], known=[known], foot_lock=foot_lock)
    return np.concatenate((whole[:first], made, whole[last:]))


def along(
    model: MDMGenerator,
    before: np.ndarray | None,
    after: np.ndarray | None,
    text: str,
    seconds: float,
    path: np.ndarray,
    seed: int,
    guidance: float | None,
    number: int,
    foot_lock: bool,
) -> np.ndarray:
    """A motion whose root goes on from `before` along a path (G, 2)."""
    before = or_nothing(before)
    if len(or_nothing(after)):
        raise MateError("got a path that leads into a motion; a path is free at its end, give it with --continue")
    gap = _gap(model, seconds, bool(len(before)))
    if len(path) != gap:
        raise MateError(
            f"got a path of {len(path)} frames for {seconds:g} s, expected {gap} at {model.fps:g} frames a second"
        )
    company = min(len(before), COMPANY, model.diffusion.max_frames - gap)
    start = before[len(before) - company :]
    way = np.concatenate((start[:, 0][:, [0, 2]], np.asarray(path, np.float64)))
    # What is there has its own headings; from there on the body looks along the path.
    ahead = along_path(way)[company:]
    led = follow(way, np.unwrap(np.concatenate((heading(start), ahead))) if company else None)
    if company:
        own = np.ones(LAYOUT.dim, bool)
        for columns in _TO_NEXT[:2]:
            own[columns] = False
        led.features[:company, own] = motion_features(start)[:, own]
        led.keep[:company] = True
        led.keep[company - 1, LAYOUT.velocities] = False
        led.joints[:company], led.kept[:company] = start, True
    [made] = model.sample([text], None, seed, guidance, numbers=[number], known=[led], foot_lock=foot_lock)
    return np.concatenate((before, made[company:]))


def _gap(model: MDMGenerator, seconds: float, sides: int) -> int:
    """Frames of a gap with something on so many sides. Raises MateError for one that cannot be made at once."""
    fps = model.fps
    gap, most = round(seconds * fps), model.diffusion.max_frames - 2 * sides
    if not 1 <= gap <= most:
        raise MateError(f"got a gap of {seconds:g} s; this model fills {1 / fps:g} to {most / fps:g} s at once")
    return gap

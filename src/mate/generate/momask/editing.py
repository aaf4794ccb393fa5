"""What a masked transformer gives beside one motion a prompt: it fills in tokens between tokens that are there.

Shapes: N tokens, Q quantiser layers, D code dimension.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from mate.errors import MateError
from mate.generate.base import StepHook, check_steps, check_texts
from mate.generate.editing import motion_features, or_nothing, put_between, smooth_seams, smoothed
from mate.generate.momask.model import MoMaskGenerator
from mate.generate.timeline import Step, bounds

STILL = 8  # frames that a pose alone is held for, so that there are tokens of it
MARGIN = 2  # tokens of what is there that a gap needs for company


@torch.inference_mode()
def make_timeline(
    model: MoMaskGenerator,
    steps: Sequence[Step],
    seed: int,
    guidance: float | None,
    number: int,
    foot_lock: bool,
    step: StepHook | None = None,
) -> np.ndarray:
    """One motion of several prompts, (T, J, 3).

    Every step's tokens follow from its own prompt; the decoder, whose convolutions see several tokens, makes one motion of all of them.
    Tokens hold velocities and turns, not places, so that position and heading go on by themselves.
    """
    steps = check_steps(steps, model.min_seconds, model.max_seconds)
    edges = bounds(steps, model.fps, model.stride)
    counts = [-(-(end - start) // model.stride) for start, end in pairwise(edges)]
    if min(counts) < 1:
        raise MateError("a step of the timeline is shorter than one token; make it longer")
    pooled = model.pooled([one.text for one in steps])
    keys = [(number, "step", k) for k in range(len(steps))]
    codes, _ = model.fill(pooled, counts, seed, keys, guidance, step=step)
    joined = torch.cat([codes[k, :count] for k, count in enumerate(counts)])[None]
    features = smooth_seams(model.vq.decode_codes(joined)[0, : edges[-1]].cpu().numpy(), edges[1:-1])
    return smoothed(features, edges[1:-1], lambda x: model.finish(x, foot_lock=foot_lock), model.spec)


@torch.inference_mode()
def fill_between(
    model: MoMaskGenerator,
    before: np.ndarray | None,
    after: np.ndarray | None,
    text: str,
    seconds: float,
    seed: int,
    guidance: float | None,
    number: int,
    foot_lock: bool,
) -> np.ndarray:
    """A motion that goes on from `before` for `seconds` as the text says and leads into `after`; see `MoMaskGenerator.between`."""
    check_texts([text])
    fps, stride = model.fps, model.stride
    gap = round(seconds * fps)
    before, after = or_nothing(before), or_nothing(after)
    needed = -(-gap // stride)
    most = model.max_tokens - MARGIN * (bool(len(before)) + bool(len(after)))
    if not 1 <= needed <= most:
        raise MateError(
            f"got a gap of {seconds:g} s; this model fills {1 / fps:g} to {most * stride / fps:g} s at once"
        )
    first, last = (
        _tokens(model, before, at_end=True),
        _tokens(model, after[-(-gap // stride) * stride - gap :], at_end=False),
    )
    room = model.max_tokens - needed
    left = min(len(first), max(room - len(last), room // 2))
    right = min(len(last), room - left)
    found = torch.full((needed, model.config.quantizer.layers), -1, device=first.device)
    given = torch.cat((first[len(first) - left :], found, last[:right]))[None]
    codes, _ = model.fill(model.pooled([text]), [given.shape[1]], seed, [(number, "between")], guidance, given)
    features = model.vq.decode_codes(codes)[0].cpu().numpy()
    return put_between(before, after, gap, features, left * stride, lambda x: model.finish(x, foot_lock=foot_lock))


def _tokens(model: MoMaskGenerator, joints: np.ndarray, at_end: bool) -> Tensor:
    """Tokens (N, Q) of a motion, with the boundaries of tokens at its end or at its start; a short one is held still first."""
    device, layers = model.vq.normalizer.mean.device, model.config.quantizer.layers
    if not len(joints):
        return torch.zeros((0, layers), dtype=torch.long, device=device)
    if len(joints) < STILL:
        still = np.repeat(joints[:1] if at_end else joints[-1:], STILL - len(joints), 0)
        joints = np.concatenate((still, joints) if at_end else (joints, still))
    features = motion_features(joints)
    whole = len(features) // model.stride * model.stride
    features = features[len(features) - whole :] if at_end else features[:whole]
    return model.vq.encode(torch.from_numpy(features[None]).to(device))[0]

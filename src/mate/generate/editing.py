"""Putting a made piece of motion between real ones: the work on arrays that every generator's editing shares. Pure NumPy.

A gap of G frames lies between what comes before (P frames, may be none) and after it (S frames, may be none). What was there stays
as it is: the frames before the gap to the last bit, those after it as one rigid piece, turned and moved to where the gap's motion leads.
"""

from collections.abc import Callable, Sequence

import numpy as np

from mate.errors import MateError
from mate.generate.postprocess import restore_bones
from mate.generate.timeline import REACH, jumps, limits
from mate.motion.features import canonicalize, joints_to_features
from mate.motion.layout import HUMANML3D_FEATURES, FeatureSpec
from mate.motion.retarget import check_joints, heading, rotate_about_y

PASSES = 6  # of smoothing where a seam is rougher than real motion
FADE = 8  # frames over which what is left of a step at the gap's ends goes to nothing
_GROUND = np.array([1.0, 0.0, 1.0])


def motion_features(joints: np.ndarray) -> np.ndarray:
    """Raw features (T, 263) of every frame of (T, 22, 3) canonical joints, T >= 1; the last frame's velocity is the one before it.

    Raises:
        MateError: not joints of this skeleton, or not finite.
    """
    check_joints(joints)
    joints = np.asarray(joints, np.float64)
    if not np.isfinite(joints).all():
        raise MateError("the motion has positions that are not finite numbers; mend or cut it first")
    last = joints[-1:] + (joints[-1:] - joints[-2:-1] if len(joints) > 1 else 0.0)
    return joints_to_features(canonicalize(np.concatenate((joints, last)).astype(np.float32)))


def placed(joints: np.ndarray, frame: int, target: np.ndarray) -> np.ndarray:
    """(T, 22, 3) turned about Y and moved in the plane so that `frame` stands and faces as the pose `target` (22, 3)."""
    turn = heading(target[None])[0] - heading(joints[frame : frame + 1])[0]
    turned = rotate_about_y(np.asarray(joints, np.float64), np.full(len(joints), turn, np.float64))
    return turned + (target[0] - turned[frame, 0]) * _GROUND


def smooth_seams(features: np.ndarray, seams: Sequence[int], width: int = 2) -> np.ndarray:
    """Features (T, F) with the frames around each seam drawn to their mean over 2 * width + 1 frames: wholly at the seam, not at all
    width + 4 frames away."""
    out, reach = features.copy(), width + 4
    for seam in seams:
        for frame in range(max(width, seam - reach), min(len(features) - width, seam + reach)):
            weight = 0.5 + 0.5 * np.cos(np.pi * min(1.0, abs(frame + 0.5 - seam) / reach))
            out[frame] += weight * (features[frame - width : frame + width + 1].mean(0) - features[frame])
    return out


def smoothed(
    features: np.ndarray,
    seams: Sequence[int],
    build: Callable[[np.ndarray], np.ndarray],
    spec: FeatureSpec = HUMANML3D_FEATURES,
    shift: int = 0,
) -> np.ndarray:
    """Joints of features whose seams are no rougher than real motion, as far as `PASSES` rounds of smoothing go.

    Args:
        features: (T, F).
        seams: the frames before which they lie.
        build: features -> joints.
        spec: whose joints.
        shift: what to add to a seam's frame to find it in the joints.
    """
    joints, most = build(features), limits(spec.fps)
    for width in range(2, 2 + PASSES):
        found = jumps(joints, spec.fps, spec.skeleton)
        rough = [seam for seam in seams if np.any(np.array(found.around(seam + shift, REACH)) > most)]
        if not rough:
            break
        features = smooth_seams(features, rough, width)
        joints = build(features)
    return joints


def assemble(before: np.ndarray, made: np.ndarray, after: np.ndarray, gap: int) -> np.ndarray:
    """The whole motion (P + G + S, 22, 3) float32.

    Args:
        before: (P, 22, 3), kept.
        made: the generator's version from one frame before the gap, where there is one, to one frame after it, where there is one.
        after: (S, 22, 3), kept, wherever it stands.
        gap: G.
    """
    start = 1 if len(before) else 0
    if start:
        made = _led(placed(made, 0, before[-1]), before[-2:])
    elif len(after):  # nothing in front of it: what is kept stays where it is
        made = placed(made, len(made) - 1, after[0])
    tail = np.asarray(after, np.float64)
    if len(after):
        tail = placed(tail, 0, made[-1]) if start else tail
        made = _led(made[::-1], tail[1::-1])[::-1]
    middle = restore_bones(made[start : start + gap])
    return np.concatenate((before, middle, tail)).astype(np.float32)


def put_between(
    before: np.ndarray,
    after: np.ndarray,
    gap: int,
    features: np.ndarray,
    left: int,
    build: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The whole motion (P + G + S, 22, 3) from made features of the gap with company on both sides.

    Args:
        before, after: see `assemble`.
        gap: G.
        features: (T, F), the gap's from row `left` on; beside it what the generator was given of `before` and `after`.
        build: features -> joints.
    """
    # The frame before the gap and the one after it come along: they show how to put the piece in.
    start, end = left - bool(len(before)), left + gap + bool(len(after))
    if end > len(features):  # what comes after is shorter than the generator's resolution in time
        features = np.concatenate((features, features[-1:]))
    seams = [left] * bool(len(before)) + [left + gap] * bool(len(after))
    return smoothed(
        features, seams, lambda x: assemble(before, build(x)[start:end], after, gap), shift=len(before) - left
    )


def or_nothing(joints: np.ndarray | None) -> np.ndarray:
    """Joints (T, 22, 3) float32; T = 0 for None."""
    return np.zeros((0, 22, 3), np.float32) if joints is None else np.asarray(joints, np.float32)


def _led(made: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """`made` (T, 22, 3) bent to begin at the last pose of `kept` (1 or 2, 22, 3) and, of two, with their velocity."""
    step = kept[-1] - made[0]
    faster = (kept[-1] - kept[-2]) - (made[1] - made[0]) if len(kept) > 1 and len(made) > 1 else 0.0 * step
    x = np.clip(np.arange(len(made)) / min(FADE, max(1, len(made) - 1)), 0.0, 1.0)[:, None, None]
    # The two Hermite curves that are flat at the far end.
    return made + (1 + 2 * x) * (1 - x) ** 2 * step + x * (1 - x) ** 2 * FADE * faster

"""What a generated motion must keep: editing by time range and by body part, continuing from a motion or a pose, following a path.

All of these are one thing to the denoiser: some of the numbers are known, and each step's clean motion is made to have them
(MDM's section on editing). Of HumanML3D's joints alone. Shapes: T frames, joints (T, 22, 3) in metres, features (T, 263).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mate.errors import MateError
from mate.generate.postprocess import restore_bones
from mate.motion.features import features_to_joints, joints_to_features
from mate.motion.kinematics import segments
from mate.motion.layout import HUMANML3D_FEATURES, LAYOUT
from mate.motion.retarget import check_joints, face_forward, heading, rotate_about_y
from mate.motion.skeleton import HUMANML3D

FPS = HUMANML3D_FEATURES.fps
FADE = 5  # frames over which what is new is led to what stays
_ARMS = (13, 16, 18, 20, 14, 17, 19, 21)
_LEGS = (1, 4, 7, 10, 2, 5, 8, 11)
PARTS: dict[str, tuple[int, ...]] = {
    "left arm": _ARMS[:4],
    "right arm": _ARMS[4:],
    "arms": _ARMS,
    "torso": (3, 6, 9),
    "head": (12, 15),
    "upper body": (3, 6, 9, 12, 15, *_ARMS),
    "left leg": _LEGS[:4],
    "right leg": _LEGS[4:],
    "legs": _LEGS,
    "lower body": (0, *_LEGS),
    "path": (0,),
}


@dataclass(frozen=True)
class Known:
    """A part of a motion that must stay.

    Attributes:
        features: (T, 263) raw; only what `keep` names counts.
        keep: (T, 263) bool.
        joints: (T, 22, 3) the motion that stays, as it was given, where `kept`.
        kept: (T, 22) bool; the root's column stands for its path.
        turn: radians, and
        shift: (3,) metres: from a motion that starts at the origin facing +Z to where this one is.
    """

    features: np.ndarray
    keep: np.ndarray
    joints: np.ndarray
    kept: np.ndarray
    turn: float
    shift: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """(T,) True where a frame stays with all of its joints."""
        return np.asarray(self.kept.all(1))

    def close(self, features: np.ndarray) -> np.ndarray:
        """Generated features (T, 263) whose path through each changed stretch ends where the kept motion goes on.

        Turning and stepping of the stretch get a little more or less, the same in all of its frames.
        """
        out = features.copy()
        whole = self.whole
        if not whole.any() or whole.all() or self.kept[:, 0].all():
            return out
        frames = np.flatnonzero(whole)
        for first, then in pairwise(frames):
            if then == first + 1:
                continue
            rows, count = slice(first, then), then - first
            angle, place = path_of(out)
            wanted_angle, wanted = path_of(self.features)
            own = (angle[then] - angle[first]) - (wanted_angle[then] - wanted_angle[first])
            out[rows, LAYOUT.root_rotation_velocity] -= own / (2 * count)
            angle, place = path_of(out)
            # Seen from the first frame: the two paths may stand anywhere and face anywhere before it.
            found = _turned(place[then] - place[first], float(angle[first]))
            missing = _turned(wanted[then] - wanted[first], float(wanted_angle[first])) - found
            step = (
                np.stack([_turned(missing, float(angle[row + 1] - angle[first])) for row in range(first, then)]) / count
            )
            out[rows, LAYOUT.root_linear_velocity] += step
        return out

    def place(self, joints: np.ndarray) -> np.ndarray:
        """Generated joints (T, 22, 3), which start at the origin, where the kept motion is; what is kept comes out as it was given."""
        whole = self.whole
        out = rotate_about_y(joints.astype(np.float64), self.turn) + self.shift
        if not self.kept.any():
            return out.astype(np.float32)
        given = self.joints.astype(np.float64)
        if not whole[0] and whole.any():  # the start is new: stand on the first frame that stays
            anchor = int(np.flatnonzero(whole)[0])
            out = rotate_about_y(out, heading(given[anchor : anchor + 1])[0] - heading(out[anchor : anchor + 1])[0])
            out[..., [0, 2]] += (given[anchor, 0] - out[anchor, 0])[[0, 2]]
        out += _faded(np.where(whole[:, None, None], given - out, 0.0), whole)
        out = np.where(self.kept[..., None], given, out)
        out = restore_bones(out).astype(np.float32)
        out[whole] = self.joints[whole]
        return out


def edit(
    joints: np.ndarray, change: Sequence[tuple[float, float]] | None = None, parts: Sequence[str] | None = None
) -> Known:
    """A motion of which stretches of time, parts of the body, or parts during stretches are to be made anew.

    Args:
        joints: (T, 22, 3) with canonical bone lengths, as `sample` gives them and training sets have them, 20 fps.
        change: (start, end) in seconds; None: the whole time. Between stretches that stay, the path is led back to where it goes on.
        parts: names in `PARTS`; None: everything. The path stays unless "path" or "lower body" is among them.

    Raises:
        MateError: other joints, a time range outside of the motion, or an unknown part.
    """
    joints = _checked(joints)
    frames = len(joints)
    if parts is not None and (unknown := [part for part in parts if part not in PARTS]):
        raise MateError(f"got the body part {unknown[0]!r}, expected {', '.join(PARTS)}")
    if parts is not None and not parts:
        raise MateError(f"got no body part to change, expected some of {', '.join(PARTS)}, or None for all")
    changed = [joint for part in parts for joint in PARTS[part]] if parts is not None else list(range(HUMANML3D.joints))
    kept = np.ones((frames, HUMANML3D.joints), bool)
    for start, end in [(0.0, frames / FPS)] if change is None else change:
        if not 0 <= start < end <= frames / FPS + 1e-6:
            raise MateError(f"got the time range {start:g} to {end:g} s, expected one within 0 to {frames / FPS:g} s")
        kept[round(start * FPS) : round(end * FPS), changed] = False
    return _known(joints, kept)


def continue_from(joints: np.ndarray, seconds: float, context: float = 1.0) -> Known:
    """The end of a motion, or a single pose (1, 22, 3), to go on from.

    The motion that `sample` gives starts with the last `context` seconds of the given one (one frame of a pose), where they were;
    `seconds` of new motion follow.

    Raises:
        MateError: other joints, or a time that is not positive.
    """
    if not (seconds > 0 and context > 0):
        raise MateError(f"got {seconds:g} s to make and {context:g} s to go on from, expected both to be more than 0")
    joints = _checked(joints)[-max(1, round(context * FPS)) :]
    new = round(seconds * FPS)
    kept = np.zeros((len(joints) + new, HUMANML3D.joints), bool)
    kept[: len(joints)] = True
    return _known(np.concatenate((joints, np.repeat(joints[-1:], new, 0))), kept)


def follow(path: np.ndarray, headings: np.ndarray | None = None) -> Known:
    """A path on the floor that the root takes.

    Args:
        path: (T, 2) x and z of the root, metres, 20 fps.
        headings: (T,) radians, positive to the left, 0 facing +Z; None: forward along the path.

    Raises:
        MateError: another shape, NaN, or fewer than two frames.
    """
    path = np.asarray(path, np.float64)
    if path.ndim != 2 or path.shape[1] != 2 or len(path) < 2 or not np.isfinite(path).all():
        raise MateError(
            f"got a path of shape {path.shape}, expected (T, 2) finite numbers, T at least 2: x and z, metres"
        )
    turns = along_path(path) if headings is None else np.unwrap(np.asarray(headings, np.float64))
    if turns.shape != path.shape[:1] or not np.isfinite(turns).all():
        raise MateError(f"got headings of shape {turns.shape}, expected ({len(path)},) finite numbers, radians")
    features = np.zeros((len(path), LAYOUT.dim), np.float32)
    keep = np.zeros(features.shape, bool)
    relative = turns - turns[0]
    features[:-1, LAYOUT.root_rotation_velocity] = -np.diff(relative)[:, None] / 2
    steps = np.stack([_turned(step, turn) for step, turn in zip(np.diff(path, axis=0), -turns[1:], strict=True)])
    features[:-1, LAYOUT.root_linear_velocity] = steps
    keep[:-1, : LAYOUT.root_linear_velocity.stop] = True
    joints = np.zeros((len(path), HUMANML3D.joints, 3), np.float32)
    shift = np.array([path[0, 0], 0.0, path[0, 1]])
    return Known(features, keep, joints, np.zeros(joints.shape[:2], bool), float(turns[0]), shift)


def path_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The root's angle (T,), radians to the right, and place (T, 2), metres, that follow from features (T, 263)."""
    values = features.astype(np.float64)
    turned = 2 * np.cumsum(values[:-1, LAYOUT.root_rotation_velocity][:, 0])
    return np.concatenate(([0.0], turned)), features_to_joints(values)[:, 0][:, [0, 2]].astype(np.float64)


def _turned(step: np.ndarray, angle: float) -> np.ndarray:
    """A step (2,) on the floor, x and z, turned by an angle about Y."""
    return rotate_about_y(np.array([[step[0], 0.0, step[1]]]), angle)[0, [0, 2]]


def _checked(joints: np.ndarray) -> np.ndarray:
    check_joints(joints)
    if joints.ndim != 3 or not np.isfinite(joints).all():
        raise MateError(
            f"got joints of shape {joints.shape} or with NaN, expected one motion (T, 22, 3) of finite positions"
        )
    bones = np.linalg.norm(joints - joints[:, np.maximum(HUMANML3D.parents, 0)], axis=-1)
    off = float(np.abs(bones - np.array(HUMANML3D.bone_lengths)).max())
    if off > 0.02:
        raise MateError(
            f"got joints whose bones are up to {100 * off:.0f} cm off the canonical lengths; "
            "bring them there with mate.motion.retarget.retarget_to_canonical"
        )
    return np.asarray(joints, np.float32)


def _known(joints: np.ndarray, kept: np.ndarray) -> Known:
    """Features of joints (T, 22, 3) and which of them stay where the joints `kept` (T, 22) do."""
    turn = float(heading(joints)[0])
    # One more frame: features have one row less than joints have frames.
    longer = np.concatenate((joints, 2 * joints[-1:] - joints[-2:-1] if len(joints) > 1 else joints[-1:]))
    start = longer[0, 0] * np.array([1.0, 0.0, 1.0])
    features = joints_to_features(face_forward((longer - start).astype(np.float32)))
    both = kept & np.concatenate((kept[1:], kept[-1:]))  # a step to the next frame stays if both frames do
    keep = np.zeros(features.shape, bool)
    keep[:, LAYOUT.root_rotation_velocity] = keep[:, LAYOUT.root_linear_velocity] = both[:, :1]
    keep[:, LAYOUT.root_height] = kept[:, :1]
    keep[:, LAYOUT.positions] = np.repeat(kept[:, 1:], 3, 1)
    keep[:, LAYOUT.rotations] = np.repeat(kept[:, 1:], 6, 1)
    keep[:, LAYOUT.velocities] = np.repeat(both, 3, 1)
    keep[:, LAYOUT.contacts] = both[:, [7, 10, 8, 11]]
    return Known(features, keep, joints, kept, turn, start)


def along_path(path: np.ndarray) -> np.ndarray:
    """Headings (T,) that look along a path (T, 2); where it stands still, towards where it goes next."""
    step = np.gradient(path, axis=0)
    moving = np.flatnonzero(np.linalg.norm(step, axis=1) * FPS > 0.1)
    if len(moving) == 0:
        return np.zeros(len(path))
    turns = np.interp(np.arange(len(path)), moving, np.unwrap(np.arctan2(step[moving, 0], step[moving, 1])))
    reach = 5  # a body does not turn within a frame
    return np.convolve(np.pad(turns, reach, mode="edge"), np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def _faded(offsets: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Offsets (T, J, 3) of the frames that stay (`whole`), led into the stretches between them, down to nothing after `FADE` frames."""
    out = offsets.copy()
    for start, end in segments(~whole):
        count = min(FADE, end - start)
        weight = (0.5 + 0.5 * np.cos(np.pi * np.arange(1, count + 1) / (count + 1)))[:, None, None]
        if start > 0:
            out[start : start + count] += offsets[start - 1] * weight
        if end < len(whole):
            out[end - count : end] += offsets[end] * weight[::-1]
    return out

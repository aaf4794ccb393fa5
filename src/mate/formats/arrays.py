"""Motions in NumPy's files: `.npy` joints and features, `.npz` joint positions or SMPL-family pose parameters.

What an array is, its shape says:

| shape | what | frames per second |
|---|---|---|
| (T, 22, 3) | HumanML3D's joints, metres | 20 |
| (T, 263) | HumanML3D's features, not normalised | 20 |
| (T, 21, 3) | KIT-ML's joints, millimetres (or metres) of a body 1 m tall | 12.5 |
| (T, 251) | KIT-ML's features, not normalised | 12.5 |
| (T, 24, 3), (T, 52, 3), ... | joints of an SMPL-family body, metres: HumanAct12, HumanML3D's `joints` folder | 20 |
"""

from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.formats.body_model import BodyModel, has_pose_parameters, pose_joints, read_pose_parameters
from mate.formats.mapping import guess_up, to_humanml3d, turned_up, upright
from mate.formats.npz import NpzReader
from mate.formats.skeleton_file import RigFile
from mate.motion.layout import HUMANML3D_FEATURES, KIT_FEATURES
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D, KIT

HUMANML3D_FPS, KIT_FPS = HUMANML3D_FEATURES.fps, KIT_FEATURES.fps
_KIMODO_FPS = 30.0
_FARTHEST = 1e12  # of a coordinate, in the unit of the file
_JOINT_KEYS = ("posed_joints", "joints", "joint_positions", "positions", "joints3d", "keypoints3d", "motion")
_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate", "fps")
# SMPL (24), SMPL+H (52), SMPL-X (55), and what their packages return with landmarks: the first 22 are always the body
_SMPL_COUNTS = (22, 24, 25, 45, 52, 55, 73, 118, 127, 144)
_EXPECTED = (
    "joints (T, 22, 3) or HumanML3D features (T, 263); KIT-ML: (T, 21, 3) or (T, 251); SMPL bodies: (T, 24, 3) and more"
)


def is_pickle(error: BaseException) -> bool:
    """Whether NumPy refused a file because it holds pickled objects."""
    return "pickle" in str(error).lower() or "python objects" in str(error).lower()


def _numbers(array: Any, source: str, what: str) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise MateError(f"{source}: {what} of type {array.dtype}, expected numbers")
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32)  # a copy: the file must not stay mapped


def load_npy(path: Path, fps: float | None = None, rig: RigFile | None = None) -> Motion:
    """Reads an `.npy` file; see `mate.formats.load.load_motion`. Raises MateError."""
    source = str(path)
    try:
        # Mapped, a header that announces more than the file holds is refused before any memory is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (
        Exception
    ) as error:  # what NumPy's readers raise on damaged data is an open list: tokenize and zlib errors too
        hint = "it holds pickled Python objects, which are not loaded" if is_pickle(error) else "not a sound .npy file"
        raise MateError(f"{path}: {hint}; expected {_EXPECTED}") from error
    if not isinstance(array, np.ndarray):
        raise MateError(f"{path}: an .npz archive under the name .npy; rename it")
    if array.ndim == 2:
        return _features(array, path, fps)
    joints, own_fps = _positions(array, source, "joints", fps or HUMANML3D_FPS, rig)
    if (
        array.shape[1] != HUMANML3D.joints
    ):  # HumanML3D's own are canonical already; others stand as their camera or world has them
        joints = upright(joints)
    return Motion(joints, fps or own_fps, HUMANML3D, path.stem)


def _features(array: np.ndarray, path: Path, fps: float | None) -> Motion:
    from mate.motion.features import features_to_joints

    spec = next((spec for spec in (HUMANML3D_FEATURES, KIT_FEATURES) if array.shape[1] == spec.dim), None)
    if spec is None:
        raise MateError(f"{path}: an array of shape {array.shape}, expected {_EXPECTED}")
    features = _numbers(array, str(path), "features")
    if len(features) == 0:
        raise MateError(f"{path}: no frames")
    sound = np.isfinite(features).all(axis=1)
    if not sound.all():
        raise MateError(f"{path}: NaN or infinite features, first at frame {int(np.argmin(sound))}")
    joints = np.asarray(features_to_joints(features, spec))
    if spec is KIT_FEATURES:
        joints = _kit_joints(joints, str(path))
    return Motion(joints, fps or spec.fps, HUMANML3D, path.stem)


def _kit_joints(joints: np.ndarray, source: str) -> np.ndarray:
    """KIT-ML's joints (T, 21, 3), millimetres or metres -> (T, 22, 3) float32, metres."""
    return to_humanml3d(KIT.joint_names, KIT.parents, joints, KIT_FPS, source, scale=kit_unit(joints), up="y")


def kit_unit(joints: np.ndarray) -> float:
    """How many metres the unit of KIT-ML's joints (T, 21, 3) is: the set's millimetres, or metres as `mate generate` writes them."""
    shin = np.median(np.linalg.norm(joints[:, KIT.index("left_knee")] - joints[:, KIT.index("left_ankle")], axis=-1))
    return 1.0 if shin < 5.0 else KIT_FEATURES.metres


def _positions(array: Any, source: str, what: str, fps: float, rig: RigFile | None) -> tuple[np.ndarray, float]:
    """Joint positions of any supported body -> ((T, 22, 3) float32, metres, Y up; the usual frame rate of such files)."""
    shape = array.shape
    if array.ndim == 4 and shape[0] == 1:  # a batch of one
        array = array[0]
    if array.ndim != 3 or array.shape[2] != 3:
        raise MateError(f"{source}: {what} of shape {shape}, expected {_EXPECTED}")
    if rig is not None and rig.joints:
        return rig.to_humanml3d(_sound(_numbers(array, source, what), source), fps, source), rig.fps or HUMANML3D_FPS
    count = array.shape[1]
    if count == KIT.joints:
        return _kit_joints(_sound(_numbers(array, source, what), source), source), KIT_FPS
    if count not in _SMPL_COUNTS:
        soma = " (that is the SOMA body: export with the SMPL-X model)" if count in (30, 77) else ""
        raise MateError(
            f"{source}: {what} of shape {shape}{soma}, expected {_EXPECTED}; for another body give a skeleton file"
        )
    return _sound(_numbers(array[:, : HUMANML3D.joints], source, what), source), HUMANML3D_FPS


def _sound(joints: np.ndarray, source: str) -> np.ndarray:
    if len(joints) == 0:
        raise MateError(f"{source}: no frames")
    sound = (np.abs(joints) <= _FARTHEST).all(axis=(1, 2))  # False for NaN, too
    if not sound.all():
        frame = int(np.argmin(sound))
        raise MateError(f"{source}: NaN, infinite positions or ones beyond {_FARTHEST:g}, first at frame {frame}")
    return joints


def load_npz(
    path: Path,
    fps: float | None = None,
    rig: RigFile | None = None,
    body_model: BodyModel | str | Path | None = None,
) -> Motion:
    """Reads an `.npz` file; see `mate.formats.load.load_motion`. Raises MateError."""
    source = str(path)
    with NpzReader(path) as archive:
        keys = archive.keys
        rate = fps or _rate(archive, rig)
        key = next((key for key in _JOINT_KEYS if key in keys), None)
        if key is not None:
            joints, _ = _positions(archive.read(key), source, f"`{key}`", rate or HUMANML3D_FPS, rig)
            joints = upright(joints)
        elif has_pose_parameters(keys):
            joints = pose_joints(read_pose_parameters(archive), body_model, source)
            if guess_up(_sound(joints, source), None, default="z") == "z":  # AMASS's world
                joints = turned_up(joints)
        else:
            listed = ", ".join(key[:40] for key in sorted(keys)[:12]) or "no arrays"
            raise MateError(
                f"{path}: {listed}; expected joint positions under one of {', '.join(_JOINT_KEYS)}, or SMPL pose parameters"
            )
    if rate is None:
        raise MateError(f"{path}: no frame rate; expected one of {', '.join(_RATE_KEYS)} in the file, or give fps")
    return Motion(joints, rate, HUMANML3D, path.stem)


def _rate(archive: NpzReader, rig: RigFile | None) -> float | None:
    key = next((key for key in _RATE_KEYS if key in archive.keys), None)
    if key is None:
        kimodo = "global_root_heading" in archive.keys or "smooth_root_pos" in archive.keys
        return rig.fps if rig is not None and rig.fps else _KIMODO_FPS if kimodo else None
    array = archive.read(key)
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise MateError(
            f"{archive.path}: a frame rate of shape {array.shape} and type {array.dtype}, expected one number"
        )
    rate = float(array.reshape(-1)[0])
    if not 0 < rate < np.inf:
        raise MateError(f"{archive.path}: {rate} frames per second, expected a positive number")
    return rate

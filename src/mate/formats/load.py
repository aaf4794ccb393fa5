"""Reading a motion from any supported file."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mate.errors import MateError
from mate.formats.bvh import load_bvh
from mate.formats.mapping import guess_up
from mate.motion.motion import Motion
from mate.motion.skeleton import HUMANML3D

SUPPORTED = (
    ".bvh",
    ".npy with joints (T, 22, 3) or HumanML3D features (T, 263)",
    ".npz with joint positions (posed_joints or joints) of an SMPL-family body",
)
HUMANML3D_FPS = 20.0
_KIMODO_FPS = 30.0
_MAX_BYTES = 2**31
_JOINT_KEYS = ("posed_joints", "joints", "joint_positions", "positions", "joints3d", "keypoints3d", "motion")
_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate", "fps")
_SMPL_PARAMETERS = ("root_orient", "global_orient", "body_pose", "trans", "betas")
# SMPL (24), SMPL+H (52), SMPL-X (55), and what their packages return with landmarks: the first 22 are always the body
_SMPL_COUNTS = (22, 24, 25, 45, 52, 55, 73, 118, 127, 144)


def _supported() -> str:
    return "; ".join(SUPPORTED)


def load_motion(path: str | Path, fps: float | None = None) -> Motion:
    """Reads a motion as the 22 HumanML3D joints in metres, Y up, at the file's own frame rate and bone lengths.

    - `.bvh`: see `mate.formats.bvh.load_bvh`.
    - `.npy`: joints (T, 22, 3), or HumanML3D features (T, 263), not normalised. Such files carry no frame rate: 20 per second.
    - `.npz`: joint positions (T, J >= 22, 3) of an SMPL-family body under `posed_joints` (Kimodo), `joints` or similar, with
      `mocap_framerate` or `fps`; a Z-up world (AMASS) is recognised and turned.

    Args:
        path: the file; its suffix, or else its first bytes, say what it is.
        fps: overrides the frame rate of an `.npy` or `.npz` file.

    Raises:
        MateError: not a supported or sound file; the message says what was expected.
    """
    path = Path(path)
    if fps is not None and not 0 < fps < np.inf:
        raise MateError(f"got fps {fps!r}, expected a positive number of frames per second")
    if path.is_dir():
        raise MateError(f"{path} is a folder, expected one motion file: {_supported()}")
    try:
        with open(path, "rb") as file:
            start = file.read(64)
            size = file.seek(0, 2)
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    suffix = path.suffix.lower()
    if size > _MAX_BYTES:
        raise MateError(f"{path}: {size / 2**30:.1f} GiB, expected one motion of at most {_MAX_BYTES // 2**30} GiB")
    if suffix not in (".bvh", ".npy", ".npz"):
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().upper().startswith(b"HIERARCHY"):
            suffix = ".bvh"
        elif start.startswith(b"\x93NUMPY"):
            suffix = ".npy"
    if suffix == ".bvh":
        return load_bvh(path)
    if suffix == ".npy":
        return _load_npy(path, HUMANML3D_FPS if fps is None else float(fps))
    if suffix == ".npz":
        return _load_npz(path, fps)
    raise MateError(f"{path}: unknown kind of file {suffix or '(no suffix)'!r}; supported are {_supported()}")


_PICKLED = "it holds pickled Python objects, which are not loaded"


def _is_pickle(error: BaseException) -> bool:
    return "pickle" in str(error).lower() or "python objects" in str(error).lower()


def _numbers(array: Any, path: Path, what: str) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise MateError(f"{path}: {what} of type {array.dtype}, expected numbers")
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32)  # a copy: the file must not stay mapped


def _load_npy(path: Path, fps: float) -> Motion:
    try:
        # Mapped, a header that announces more than the file holds is refused before any memory is taken.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (
        Exception
    ) as error:  # what NumPy's readers raise on damaged data is an open list: tokenize and zlib errors too
        hint = _PICKLED if _is_pickle(error) else "not a sound .npy file"
        raise MateError(f"{path}: {hint}; expected joints (T, 22, 3) or HumanML3D features (T, 263)") from error
    if not isinstance(array, np.ndarray):
        raise MateError(f"{path}: an .npz archive under the name .npy; rename it")
    shape = array.shape
    if array.ndim == 3 and shape[1:] == (HUMANML3D.joints, 3):
        return Motion(_numbers(array, path, "joints"), fps, HUMANML3D, path.stem)
    if array.ndim == 2 and shape[1] == 263:
        from mate.motion.features import features_to_joints

        features = _numbers(array, path, "features")
        if len(features) == 0:
            raise MateError(f"{path}: no frames")
        if not np.isfinite(features).all():
            raise MateError(
                f"{path}: NaN or infinite features, first at frame {np.argwhere(~np.isfinite(features))[0, 0]}"
            )
        return Motion(np.asarray(features_to_joints(features)), fps, HUMANML3D, path.stem)
    kit = " (KIT-ML's 21 joints are not supported here)" if shape[1:] in ((21, 3), (251,)) else ""
    raise MateError(
        f"{path}: an array of shape {shape}{kit}, expected joints (T, 22, 3) or HumanML3D features (T, 263)"
    )


def _load_npz(path: Path, fps: float | None) -> Motion:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > _MAX_BYTES:
            raise MateError(f"{path}: {unpacked / 2**30:.1f} GiB unpacked, expected at most {_MAX_BYTES // 2**30} GiB")
        with np.load(path, allow_pickle=False) as archive:
            keys = list(archive.files)
            key = next((key for key in _JOINT_KEYS if key in keys), None)
            if key is None:
                shown = ", ".join(key[:40] for key in sorted(keys)[:12]) or "no arrays"
                if any(key.startswith("pose") or key in _SMPL_PARAMETERS for key in keys):
                    raise MateError(
                        f"{path}: SMPL pose parameters ({shown}) without joint positions; to make positions of them takes the SMPL "
                        "body model, which cannot be shipped. Export the joint positions as `joints` (T, 22, 3) first"
                    )
                raise MateError(f"{path}: {shown}; expected joint positions under one of {', '.join(_JOINT_KEYS)}")
            array = archive[key]
            rate = next((archive[key] for key in _RATE_KEYS if key in keys), None)
    except MateError:
        raise
    except Exception as error:  # an open list, as above
        hint = _PICKLED if _is_pickle(error) else "not a sound .npz file"
        raise MateError(f"{path}: {hint}; expected joint positions (T, 22, 3) and a frame rate") from error
    shape = array.shape
    if array.ndim == 4 and shape[0] == 1:  # a batch of one
        array = array[0]
    if array.ndim != 3 or array.shape[2] != 3 or array.shape[1] not in _SMPL_COUNTS:
        soma = (
            " (that is the SOMA body; export with the SMPL-X model)"
            if array.ndim == 3 and array.shape[1] in (30, 77)
            else ""
        )
        raise MateError(
            f"{path}: `{key}` has shape {shape}{soma}, expected (T, 22, 3), or more joints of an SMPL-family body"
        )
    joints = _numbers(array[:, : HUMANML3D.joints], path, f"`{key}`")
    if fps is None:
        if rate is not None:
            if rate.size != 1 or rate.dtype.kind not in "fiu":
                raise MateError(
                    f"{path}: a frame rate of shape {rate.shape} and type {rate.dtype}, expected one number"
                )
            fps = float(rate.reshape(-1)[0])
        elif "global_root_heading" in keys or "smooth_root_pos" in keys:
            fps = _KIMODO_FPS
        else:
            raise MateError(f"{path}: no frame rate; expected one of {', '.join(_RATE_KEYS)} in the file, or give fps")
    if not 0 < fps < np.inf:
        raise MateError(f"{path}: {fps} frames per second, expected a positive number")
    motion = Motion(joints, fps, HUMANML3D, path.stem)
    if guess_up(motion.joints, None) == "z":
        x, y, z = np.moveaxis(motion.joints, -1, 0)
        motion = Motion(np.stack((x, z, -y), axis=-1), fps, HUMANML3D, path.stem)
    return motion

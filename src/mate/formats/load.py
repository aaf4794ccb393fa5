"""Reading a motion from any supported file."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mate.errors import MateError
from mate.formats.text import MAX_BYTES
from mate.motion.motion import Motion

if TYPE_CHECKING:
    from mate.formats.body_model import BodyModel
    from mate.formats.skeleton_file import RigFile

SUPPORTED = (
    ".bvh",
    ".amc with its .asf",
    ".npy with joints (T, 22, 3) or HumanML3D features (T, 263), KIT-ML's (T, 21, 3) or (T, 251), or an SMPL body's joints (T, 24, 3)",
    ".csv with columns <joint>_x, _y, _z, as `mate export` writes it",
    ".glb or .vrm with an animated body",
    ".npz with joint positions (posed_joints or joints) of an SMPL-family body, or with its pose parameters (AMASS)",
)
_SUFFIXES = (".bvh", ".amc", ".asf", ".npy", ".npz", ".csv", ".glb", ".vrm", ".pkl", ".pickle", ".pt", ".pth")


def _supported() -> str:
    return "; ".join(SUPPORTED)


def load_motion(
    path: str | Path,
    fps: float | None = None,
    *,
    asf: str | Path | None = None,
    body_model: "BodyModel | str | Path | None" = None,
    skeleton: "RigFile | str | Path | None" = None,
) -> Motion:
    """Reads a motion as the 22 HumanML3D joints in metres, Y up, at the file's own frame rate and bone lengths.

    - `.bvh`: see `mate.formats.bvh.load_bvh`.
    - `.amc`: with its `.asf` skeleton beside it or given; see `mate.formats.asf_amc.load_amc`. 120 frames per second, CMU's.
    - `.npy`: joints (T, 22, 3), or HumanML3D features (T, 263), not normalised, at 20 frames per second; KIT-ML's joints (T, 21, 3), in
      millimetres or metres, or features (T, 251), at 12.5; joints of an SMPL-family body (T, 24, 3) and more (HumanAct12), at 20.
    - `.npz`: joint positions (T, J >= 22, 3) of an SMPL-family body under `posed_joints` (Kimodo), `joints` or similar; or SMPL-family
      pose parameters (AMASS), with the user's own body model. A Z-up world is recognised and turned.
    - `.csv`: see `mate.formats.table.load_csv`.
    - `.glb`, `.vrm`: see `mate.formats.gltf_reader.load_glb`.

    Args:
        path: the file; its suffix, or else its first bytes, say what it is.
        fps: overrides the frame rate of the file; of a GLB, the rate at which its animation is sampled.
        asf: the skeleton of an `.amc` file, where it does not lie beside it.
        body_model: for pose parameters: a body model, its `.npz` file or a folder of them; by default the folder `$MATE_BODY_MODELS`,
            else `~/.mate/body_models` (see `mate.formats.body_model.find_body_model`).
        skeleton: a skeleton file for a rig that cannot be guessed (see `mate.formats.skeleton_file`).

    Raises:
        MateError: not a supported or sound file; the message says what was expected.
    """
    path = Path(path)
    if fps is not None and not 0 < fps < np.inf:
        raise MateError(f"got fps {fps!r}, expected a positive number of frames per second")
    if path.is_dir():
        raise MateError(f"{path} is a folder, expected one motion file: {_supported()}")
    suffix = _kind(path)
    rig = None
    if skeleton is not None:
        from mate.formats.skeleton_file import RigFile, read_rig_file

        rig = skeleton if isinstance(skeleton, RigFile) else read_rig_file(skeleton)
    roles, scale, up = (dict(rig.roles), rig.scale, rig.up) if rig else (None, None, None)
    if suffix == ".bvh":
        from mate.formats.bvh import load_bvh

        motion = load_bvh(path, mapping=roles, scale=scale, up=up)
        return motion if fps is None else dataclasses.replace(motion, fps=fps)
    if suffix == ".amc":
        from mate.formats.asf_amc import load_amc

        rate = fps or (rig.fps if rig else None)
        return load_amc(path, asf=asf, fps=rate, mapping=roles, scale=scale, up=up)
    if suffix in (".npy", ".npz"):
        from mate.formats.arrays import load_npy, load_npz

        return load_npy(path, fps, rig) if suffix == ".npy" else load_npz(path, fps, rig, body_model)
    if suffix == ".csv":
        from mate.formats.table import load_csv

        return load_csv(path, fps or (rig.fps if rig else None))
    if suffix in (".glb", ".vrm"):
        from mate.formats.gltf_reader import load_glb

        return load_glb(path, fps, mapping=roles, scale=scale, up=up)
    if suffix == ".asf":
        raise MateError(f"{path} is a skeleton without motion; give the .amc file")
    if suffix in (".pkl", ".pickle", ".pt", ".pth"):
        raise MateError(f"{path}: a pickle can run code when it is read, so it is not; supported are {_supported()}")
    raise MateError(f"{path}: unknown kind of file {suffix or '(no suffix)'!r}; supported are {_supported()}")


def _kind(path: Path) -> str:
    """The suffix of a file, or the one that its first bytes deserve. Raises MateError: not readable, too large."""
    try:
        with open(path, "rb") as file:
            start = file.read(64)
            size = file.seek(0, 2)
    except (OSError, ValueError) as error:
        raise MateError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if size > MAX_BYTES:
        raise MateError(f"{path}: {size / 2**20:.0f} MiB, expected one motion of at most {MAX_BYTES // 2**20} MiB")
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().upper().startswith(b"HIERARCHY"):
            return ".bvh"
        if start.startswith(b"\x93NUMPY"):
            return ".npy"
        if start.startswith(b"glTF"):
            return ".glb"
    return suffix

"""Positions and rotations in one `.npz` that needs no pickle: AMASS's frame-rate keys, positions, and the exported rig.

Keys (T frames, J joints, N rig joints, see `mate.motion.rotations.RigMotion`):
    posed_joints (T, J, 3), joint_names (J,), parents (J,): positions in metres, Y up.
    root_positions (T, 3); mocap_framerate and mocap_frame_rate (both spellings are in use); foot_contacts (T, 4) where known.
    local_rot_mats, global_rot_mats (T, N, 3, 3), rig_joint_names (N,), rig_parents (N,), rig_offsets (N, 3): the rig.
    One string a metadata entry, for instance `prompt` and `license`.

There are no SMPL pose parameters: rotations made from positions belong to this rig's rest pose, not to SMPL's.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.motion.motion import Motion
from mate.motion.rotations import joints_to_rig, quaternion_to_matrix

_METADATA = "metadata_"  # prefix for entries whose name is one of the keys above


def write_npz(
    motion: Motion,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    foot_contacts: np.ndarray | None = None,
) -> None:
    """Writes a motion; the same input gives the same bytes.

    Args:
        metadata: strings to keep beside the arrays.
        foot_contacts: (T, 4), left ankle and toe, right ankle and toe, 0 to 1.
    """
    rig = joints_to_rig(motion)
    rate = np.float64(motion.fps)
    arrays: dict[str, np.ndarray] = {
        "posed_joints": motion.joints,
        "joint_names": np.array(motion.skeleton.joint_names),
        "parents": np.array(motion.skeleton.parents, dtype=np.int64),
        "root_positions": rig.root_positions,
        "mocap_framerate": np.asarray(rate),
        "mocap_frame_rate": np.asarray(rate),
        "local_rot_mats": quaternion_to_matrix(rig.quaternions),
        "global_rot_mats": quaternion_to_matrix(rig.world_quaternions()),
        "rig_joint_names": np.array(rig.names),
        "rig_parents": np.array(rig.parents, dtype=np.int64),
        "rig_offsets": rig.offsets,
    }
    if foot_contacts is not None:
        contacts = np.asarray(foot_contacts, dtype=np.float32)
        if contacts.shape != (motion.frames, 4):
            raise MateError(f"got foot contacts of shape {contacts.shape}, expected ({motion.frames}, 4)")
        arrays["foot_contacts"] = contacts
    for key, value in sorted((metadata or {}).items()):
        if value:
            arrays[_METADATA + key if key in arrays else key] = np.array(value)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
            # numpy.savez stamps the time of writing; a fixed date keeps the bytes the same.
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue())


def read_metadata(path: str | Path) -> dict[str, str]:
    """The strings that `write_npz` kept (prompt, licence, ...).

    Raises:
        MateError: not a readable `.npz`.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {}
            for key in archive.files:
                # Looking at the header first: other people's files may hold pickled objects under other keys.
                with archive.zip.open(f"{key}.npy") as entry:
                    version = np.lib.format.read_magic(entry)
                    reader = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = reader(entry)
                if shape == () and dtype.kind == "U":
                    found[key.removeprefix(_METADATA)] = str(archive[key])
            return found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise MateError(f"cannot read {path} as .npz: {error}; expected a file that `mate` or NumPy wrote") from error

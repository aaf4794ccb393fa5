"""Positions and rotations in one `.npz` that needs no pickle: AMASS's frame-rate keys, positions, and the exported rig.

Keys (T frames, J joints, N rig joints, see `mate.motion.rotations.RigMotion`):
    posed_joints (T, J, 3), joint_names (J,), parents (J,): positions in metres, Y up.
    root_positions (T, 3); mocap_framerate and mocap_frame_rate (both spellings are in use); foot_contacts (T, 4) where known.
    local_rot_mats, global_rot_mats (T, N, 3, 3), rig_joint_names (N,), rig_parents (N,), rig_offsets (N, 3): the rig.
    One string a metadata entry, for instance `prompt` and `license`.

There are no SMPL pose parameters: rotations made from positions belong to this rig's rest pose, not to SMPL's.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from mate.errors import MateError
from mate.files import atomic_path
from mate.formats.text import MAX_BYTES
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


class NpzReader:
    """Reads single arrays of an `.npz`, each only after its header was checked against the archive: nothing pickled, no array that is
    larger than the file says, no compression but NumPy's own. Use as a context manager.

    Attributes:
        path: for messages. keys: names of the arrays.

    Raises:
        MateError: not a readable `.npz`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:  # what zipfile raises on damaged archives is an open list
            raise MateError(
                f"cannot read {path} as .npz: {error}; expected a file that `mate` or NumPy wrote"
            ) from error
        self._members = {
            member.filename.removesuffix(".npy"): member
            for member in self._zip.infolist()
            if member.filename.endswith(".npy")
        }
        self.keys = tuple(self._members)

    def __enter__(self) -> "NpzReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()

    def header(self, key: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, without reading it. Raises MateError."""
        try:
            if self._members[key].file_size > MAX_BYTES + 2**16:
                raise ValueError(
                    f"{self._members[key].file_size / 2**20:.0f} MiB, expected at most {MAX_BYTES // 2**20}"
                )
            with self._zip.open(self._members[key]) as entry:
                shape, _, dtype = self._header(entry)
                return shape, dtype
        except Exception as error:
            raise MateError(f"{self.path}: `{key[:40]}` is not a sound array ({error})") from error

    def read(self, key: str) -> np.ndarray:
        """An array. Raises MateError: pickled, more than 512 MiB, damaged, or not as long as its header says."""
        member = self._members[key]
        label = f"{self.path}: `{key[:40]}`"
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise MateError(
                f"{label} is compressed in a way that NumPy does not write; save the file again with numpy.savez"
            )
        shape, dtype = self.header(key)
        if dtype.hasobject:
            raise MateError(f"{label} holds pickled Python objects, which are not loaded")
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_BYTES:
            raise MateError(
                f"{label} announces {size / 2**20:.0f} MiB, expected one motion of at most {MAX_BYTES // 2**20} MiB"
            )
        try:
            with self._zip.open(member) as entry:
                self._header(entry)
                if entry.tell() + size != member.file_size:
                    raise MateError(
                        f"{label} announces {size} bytes and holds {member.file_size - entry.tell()}; the file is damaged"
                    )
                entry.seek(0)
                return np.lib.format.read_array(entry, allow_pickle=False)
        except MateError:
            raise
        except Exception as error:  # an open list, as above
            raise MateError(f"{label} is not a sound array ({error})") from error

    def text(self, key: str) -> str:
        """A string or bytes scalar; "" where there is none of that name or it is something else."""
        if key not in self._members:
            return ""
        shape, dtype = self.header(key)
        if math.prod(shape) != 1 or dtype.kind not in "US":
            return ""
        data = self.read(key).tobytes()
        if dtype.kind == "S":
            return data.decode("utf-8", "replace").rstrip("\0")
        # Not through a Python string of NumPy's making: numbers that are no characters would break the interpreter's own.
        return data.decode("utf-32-be" if dtype.byteorder == ">" else "utf-32-le", "replace").rstrip("\0")

    @staticmethod
    def _header(entry: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
        version = np.lib.format.read_magic(entry)
        known = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in known:
            raise ValueError(f"array format version {version}")
        shape, order, dtype = known[version](entry)
        if any(length < 0 for length in shape):
            raise ValueError(f"shape {shape}")
        return shape, order, dtype


def read_metadata(path: str | Path) -> dict[str, str]:
    """The strings that `write_npz` kept (prompt, licence, ...).

    Raises:
        MateError: not a readable `.npz`.
    """
    found = {}
    with NpzReader(path) as archive:
        for key in archive.keys:
            shape, dtype = archive.header(key)  # other people's files may hold pickled objects under other keys
            if shape == () and dtype.kind == "U":
                found[key.removeprefix(_METADATA)] = archive.text(key)
    return found

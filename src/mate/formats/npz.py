"""Reading `.npz` files without pickle: single arrays, and the strings beside them. `mate.formats.npz_writer` writes them."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from mate.errors import MateError
from mate.formats.text import MAX_BYTES

METADATA = "metadata_"  # prefix of strings that are named like an array


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
    """The strings that an `.npz` holds (prompt, licence, ...).

    Raises:
        MateError: not a readable `.npz`.
    """
    found = {}
    with NpzReader(path) as archive:
        for key in archive.keys:
            shape, dtype = archive.header(key)  # other people's files may hold pickled objects under other keys
            if shape == () and dtype.kind == "U":
                found[key.removeprefix(METADATA)] = archive.text(key)
    return found

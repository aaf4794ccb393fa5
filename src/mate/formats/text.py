"""The bytes of a text file from the field, and how its words are shown in messages."""

from pathlib import Path

from mate.errors import MateError

MAX_BYTES = 512 * 2**20
MAX_JOINTS = 2_000
MAX_COORDINATES = (
    60_000_000  # of all joints over all frames: 480 MB in float64; 100 joints for 55 minutes at 60 frames per second
)


def bytes_of(source: str | Path | bytes, name: str | None, kind: str) -> tuple[bytes, str]:
    """The content of a path, or of bytes or a text with line breaks as they are, without a byte-order mark; and a name for messages.

    Raises:
        MateError: cannot be read, more than `MAX_BYTES`, or broken UTF-16.
    """
    if isinstance(source, bytes):
        data, label = source, name or f"{kind} data"
    elif isinstance(source, str) and "\n" in source:
        data, label = source.encode(), name or f"{kind} text"
    else:
        path = Path(source)
        label = name or str(path)
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            raise MateError(f"cannot read {label}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise MateError(f"{label}: more than {MAX_BYTES // 2**20} MiB; cut the file into shorter clips")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise MateError(f"{label}: a broken UTF-16 text; save the file as UTF-8") from error
    return data.removeprefix(b"\xef\xbb\xbf"), label


def shown(token: str) -> str:
    """A word of the file for a message: quoted, cut at 40 characters."""
    return repr(token if len(token) <= 40 else token[:37] + "...")


def decimal(token: str) -> float:
    """A number as files write it; ValueError for anything else, also for Python's own `1_0`."""
    if "_" in token:
        raise ValueError(token)
    return float(token)

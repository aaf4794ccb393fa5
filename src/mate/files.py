"""Writing without half-written results: everything goes to a temporary name and is renamed when complete. Reading JSON objects."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mate.errors import MateError


def read_object(path: str | Path, advice: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        advice: what to do about a file that holds none, for the message.

    Raises:
        MateError: no such file, or another content.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MateError(f"cannot read {path}: {error.strerror}; {advice}") from error
    except ValueError as error:
        raise MateError(f"{path} is not JSON ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise MateError(f"{path}: got a JSON {type(content).__name__}, expected an object; {advice}")
    return content


def _parent(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MateError(
            f"cannot create the folder {path.parent}: {error.strerror}; choose another output path"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise MateError(f"cannot write into {path.parent}: permission denied; choose another output path")
    return path.parent


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` with the same suffix; it takes the name `path` when the block ends well.

    Raises:
        MateError: the folder cannot be created or written.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=_parent(path))
    except OSError as error:
        raise MateError(f"cannot write {path}: {error.strerror}; choose another output path") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; it replaces `path` when the block ends well.

    Raises:
        MateError: the parent folder cannot be created or written, or `path` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise MateError(f"{path} is a file, expected a folder or a free name; choose another output path")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=_parent(path)))
    except OSError as error:
        raise MateError(f"cannot write {path}: {error.strerror}; choose another output path") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

"""Motion files from the browser: stored under names of ours, read by a process that can be killed."""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np

from mate.errors import MateError
from mate.studio.config import StudioConfig
from mate.studio.jobs import Busy
from mate.studio.messages import display_name, without_paths

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
_AT_ONCE, _MAX_PENDING = 2, 8


class Upload(Protocol):
    """A file of a form."""

    filename: str | None

    async def read(self, size: int = -1) -> bytes: ...


class Uploads:
    """Reads uploaded files, two at a time; a handful more may wait."""

    def __init__(self, config: StudioConfig) -> None:
        self._config = config
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._pending = 0

    async def read(self, files: list[Upload]) -> tuple[np.ndarray, str]:
        """Joints (T, 22, 3) float32 at 20 fps and the name to show, from a motion file (an .amc with its .asf).

        Raises:
            Busy: too many files at once. MateError: not a motion, too long, or it took too long to read.
        """
        if self._pending >= _MAX_PENDING:
            raise Busy("several files are being read already; try again in a few seconds")
        self._pending += 1
        try:
            async with self._turns:
                with tempfile.TemporaryDirectory(prefix="mate-studio-") as folder:
                    return await self._read(files, Path(folder))
        finally:
            self._pending -= 1

    async def _read(self, files: list[Upload], folder: Path) -> tuple[np.ndarray, str]:
        source, name = await _store(files, folder)
        out = folder / "joints.npy"
        config = self._config
        # -P: the file's folder is not searched for modules. No shell; the file name is ours.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "mate.studio.parse", str(source), str(out),
            str(config.parse_bytes), str(max(1, round(config.parse_seconds))), str(config.max_seconds),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(config.parse_seconds):
                printed, _ = await process.communicate()
        except TimeoutError:
            raise MateError(
                f"{name} could not be read within {config.parse_seconds:g} s, so reading it was stopped; cut it shorter"
            ) from None
        finally:
            if process.returncode is None:  # too slow, or nobody waits for it any more
                process.kill()
                await process.wait()
        try:
            answer = json.loads(printed)
        except ValueError:
            raise MateError(
                f"{name} could not be read: its reader stopped without an answer; the file is damaged or too large"
            ) from None
        if "error" in answer:
            raise MateError(without_paths(answer["error"], {str(source): name}))
        return np.load(out, allow_pickle=False), name


async def _store(files: list[Upload], folder: Path) -> tuple[Path, str]:
    """Writes the files as motion.bvh, motion.amc, ... and gives the path and the shown name of the one to read."""
    names = [display_name(file.filename) for file in files]
    suffixes = [Path(name).suffix.lower() for name in names]
    motions = [n for n, suffix in enumerate(suffixes) if suffix != ".asf"]
    if len(motions) != 1 or len(files) > 2:
        raise MateError(f"got {', '.join(names) or 'no file'}; expected one motion, an .amc together with its .asf")
    suffixes = [suffix if _SUFFIX.fullmatch(suffix) else ".unknown" for suffix in suffixes]
    for file, suffix in zip(files, suffixes, strict=True):
        with (folder / f"motion{suffix}").open("wb") as copy:
            while block := await file.read(1 << 20):
                copy.write(block)
    return folder / f"motion{suffixes[motions[0]]}", names[motions[0]]

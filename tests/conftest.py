"""Fixtures that several test files use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real motion capture and captions, which the repository does not hold.

    It is `$MATE_SHARED/data`, else `shared/data` beside the repository; tests that need it are skipped without it.
    """
    shared = Path(os.environ.get("MATE_SHARED", REPOSITORY.parent / "shared"))
    for folder in (shared / "data", shared):
        if (folder / "humanml3d-golden").is_dir() or (folder / "bandai-namco.zip").is_file():
            return folder
    pytest.skip(f"no motion capture at {shared} (set MATE_SHARED to the folder that holds it)")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For modules that compare bits: how many threads a matrix product gets may depend on the machine's load."""
    with _threads(1):
        yield


@pytest.fixture
def two_threads() -> Iterator[None]:
    """For tests of what must not depend on the order in which threads add up."""
    with _threads(2):
        yield

"""A studio to test: the server with the shipped models, and one whose engine answers at once."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.motions import gliding

from mate.checkpoints import default_model
from mate.errors import MateError
from mate.studio.config import StudioConfig
from mate.studio.engine import Engine, Result, Take
from mate.studio.server import create_app

PROMPT = "a person walks forward, then waves with the left hand"


class QuickEngine(Engine):
    """No models: a motion whose pelvis stands at a height that is its seed, after a few steps that can be cancelled."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__(["default"])
        self.pause = pause

    def load(self) -> None:
        self.loading = ""

    def generate(
        self,
        job: Any,
        model: str,
        prompt: str,
        seconds: Any,
        seed: int,
        guidance: Any,
        variants: Any,
        whole: bool = False,
    ) -> Result:
        if prompt == "break":
            raise RuntimeError("a fault of ours in /a/secret/place")
        for step in range(4):
            job.report(step / 4, "generating")
            time.sleep(self.pause)
        joints = np.full((10, 22, 3), seed, dtype=np.float32)
        return Result(prompt, tuple(Take(variant, joints, 20.0, None, "", {"prompt": prompt}) for variant in variants))

    def ground(self, job: Any, takes: Any, caption: str) -> Result:
        return Result(caption, tuple(takes))


def wait(client: TestClient, id: str, seconds: float = 120.0) -> dict[str, Any]:
    """The status of a job when it has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = client.get(f"/api/jobs/{id}").json()
        if status["state"] in ("done", "failed", "cancelled"):
            return status
        time.sleep(0.02)
    raise AssertionError(f"the job did not end within {seconds} s: {status}")


@pytest.fixture(scope="session")
def studio() -> Iterator[TestClient]:
    """The real thing, with the shipped models and one thread."""
    try:
        for name in ("default", "retrieval"):
            default_model(name)
    except MateError as error:
        pytest.skip(str(error))
    with TestClient(create_app(StudioConfig(threads=1)), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="session")
def made(studio: TestClient) -> dict[str, Any]:
    """A finished job: one prompt with and without the patch."""
    wanted = {"prompt": PROMPT, "model": "default", "seconds": 4.0, "seed": 3, "variant": "both"}
    status = wait(studio, studio.post("/api/generate", json=wanted).json()["id"])
    assert status["state"] == "done", status["error"]
    return status


@pytest.fixture
def quick() -> Iterator[TestClient]:
    """A studio that answers at once."""
    with TestClient(create_app(StudioConfig(), QuickEngine()), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="session")
def bvh() -> bytes:
    """A gliding body as a BVH file."""
    import tempfile
    from pathlib import Path

    import mate

    with tempfile.TemporaryDirectory() as folder:
        path = mate.save_motion(mate.Motion(gliding(60).astype(np.float32), 30.0), Path(folder) / "glide.bvh")
        return path.read_bytes()

"""The studio's HTTP interface: thin functions around the engine, the job queue and the uploads.

The page polls its job: server-sent events would hold one of the six connections that a browser grants to a host, so
the seventh tab would wait for ever.
"""

import logging
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from mate import __version__
from mate.errors import MateError
from mate.studio.config import StudioConfig
from mate.studio.engine import Engine, Result, Take, Variant, body_points, figure_json
from mate.studio.guard import App, Guard
from mate.studio.jobs import FINISHED, Busy, Job, JobQueue, NotKept
from mate.studio.messages import FAILED, download_name, without_paths
from mate.studio.uploads import Uploads

log = logging.getLogger("mate.studio")
CLIENT = Path(__file__).parent / "client"
DOWNLOADS = ("bvh", "glb", "mp4", "npz")
MAX_CHARACTERS = 2000
EXAMPLES = (
    "a person walks forward and turns left",
    "a person walks forward, then waves with the left hand",
    "a person runs forward, then walks backwards",
    "a person raises the right hand",
    "a person walks slowly and then turns right",
)
_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>mate studio</title>
<p>The page is not built. In the repository: <code>make client</code>; an installed package brings it along."""

Prompt = Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]


class Wanted(BaseModel):
    """A motion to make. Seeds stay below 2^53, the largest whole number that JavaScript keeps exactly.

    `whole`: the prompt is read as one; else its sub-texts are made one after the other, as `mate generate` does.
    """

    prompt: Prompt
    model: str
    seconds: float | None = Field(None, allow_inf_nan=False)
    seed: int = Field(0, ge=0, lt=2**53)
    guidance: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    variant: Literal["patched", "plain", "both"] = "patched"
    whole: bool = False


class Caption(BaseModel):
    """Another caption for the motions of a job."""

    caption: Prompt


class Studio:
    """Everything that lives as long as the server."""

    def __init__(self, config: StudioConfig, engine: Engine) -> None:
        self.config, self.engine = config, engine
        self.jobs = JobQueue(config.max_waiting, config.keep_jobs, config.keep_bytes)
        self.uploads = Uploads(config)
        self.writing = threading.Lock()  # one download at a time: a video takes a core for seconds

    def load(self) -> None:
        """Loads the models in the worker's thread. A failure is shown on the page; jobs then try again and say it too."""
        try:
            self.engine.load()
        except MateError as error:
            self.engine.failure = without_paths(str(error))
        except Exception:
            log.exception("loading the models failed")
            self.engine.failure = FAILED

    def take(self, id: str, number: int) -> tuple[Result, Take]:
        """A take of a finished job. Raises NotKept."""
        result = self.jobs.find(id).result
        if not isinstance(result, Result) or not 0 <= number < len(result.takes):
            raise NotKept("there is no such motion; make it again")
        return result, result.takes[number]


def create_app(config: StudioConfig, engine: Engine | None = None) -> App:
    """The studio as an ASGI application.

    Args:
        engine: made from the configuration by default.

    Raises:
        MateError: a model of the configuration is not there.
    """
    studio = Studio(config, engine or Engine(config.models, config.threads, config.max_seconds))

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        studio.jobs.start(studio.load)
        yield
        studio.jobs.close()

    # Without its pages of documentation: they load their scripts from elsewhere.
    app = FastAPI(
        title="mate studio", version=__version__, lifespan=life, docs_url=None, redoc_url=None, openapi_url=None
    )
    _errors(app)
    _routes(app, studio)
    if (CLIENT / "index.html").is_file():
        app.mount("/", StaticFiles(directory=CLIENT, html=True))
    else:
        app.get("/", response_class=HTMLResponse)(lambda: HTMLResponse(_NOT_BUILT, 503))
    return Guard(app, config.host, config.max_request, {"/api/upload": config.max_upload})


def _routes(app: FastAPI, studio: Studio) -> None:
    config, engine, jobs = studio.config, studio.engine, studio.jobs

    @app.get("/api/state")
    def state() -> dict[str, Any]:
        return {
            "version": __version__,
            "loading": engine.loading,
            "failure": engine.failure,
            "models": [info.to_json() for info in engine.models.values()],
            "queue": jobs.counts,
            "examples": list(EXAMPLES),
            "downloads": list(DOWNLOADS),
            "limits": {"upload": config.max_upload, "seconds": config.max_seconds, "characters": MAX_CHARACTERS},
        }

    @app.get("/api/figure")
    def figure() -> dict[str, Any]:
        return figure_json()

    @app.post("/api/generate", status_code=202)
    def generate(wanted: Wanted) -> dict[str, str]:
        info = engine.models.get(wanted.model)
        if info is None:
            raise MateError(f"got the model {wanted.model[:60]!r}, expected one of {', '.join(engine.models)}")
        if not wanted.prompt.strip():
            raise MateError("the prompt is empty; say in words what the body does")
        if wanted.seconds is not None and not info.min_seconds <= wanted.seconds <= info.max_seconds:
            raise MateError(
                f"got a length of {wanted.seconds:g} s; {info.name} makes {info.min_seconds:g} to {info.max_seconds:g} s"
            )
        if wanted.variant != "patched" and not info.patch:
            raise MateError(f"{info.name} was made without a word patch: there is nothing to compare")
        variants: list[Variant] = ["patched", "plain"] if wanted.variant == "both" else [wanted.variant]
        job = jobs.submit(
            lambda job: engine.generate(
                job, info.name, wanted.prompt, wanted.seconds, wanted.seed, wanted.guidance, variants, wanted.whole
            )
        )
        return {"id": job.id}

    @app.post("/api/upload", status_code=202)
    async def upload(request: Request) -> dict[str, str]:
        async with request.form(max_files=2, max_fields=1) as form:
            files = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
            caption = str(form.get("caption") or "").strip()
            if not caption:
                raise MateError("the caption is empty; say in words what the motion shows")
            if len(caption) > MAX_CHARACTERS:
                raise MateError(f"the caption has more than {MAX_CHARACTERS:,} characters; shorten it")
            joints, name = await studio.uploads.read(list(files))
        take = Take("file", joints, 20.0, None, "", {"file": name, "license": "that of the file"})
        job = jobs.submit(lambda job: engine.ground(job, [take], caption))
        return {"id": job.id}

    @app.post("/api/jobs/{id}/ground", status_code=202)
    def ground(id: str, wanted: Caption) -> dict[str, str]:
        takes = studio.take(id, 0)[0].takes
        return {"id": jobs.submit(lambda job: engine.ground(job, takes, wanted.caption)).id}

    @app.get("/api/jobs/{id}")
    def job(id: str) -> dict[str, Any]:
        found = jobs.find(id)
        return _status(found, jobs.position(found))

    @app.post("/api/jobs/{id}/cancel")
    def cancel(id: str) -> dict[str, Any]:
        found = jobs.find(id)
        jobs.cancel(found)
        return _status(found, jobs.position(found))

    @app.get("/api/jobs/{id}/takes/{number}/points")
    def points(id: str, number: int) -> Response:
        return Response(body_points(studio.take(id, number)[1]), media_type="application/octet-stream")

    @app.get("/api/jobs/{id}/takes/{number}/file/{format}")
    def download(id: str, number: int, format: str) -> Response:
        result, take = studio.take(id, number)
        if format not in DOWNLOADS:
            raise MateError(f"got the format {format[:20]!r}, expected one of {', '.join(DOWNLOADS)}")
        with studio.writing:
            content = _file(take, result.caption, format)
        name = download_name(result.caption, f".{format}")
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    @app.get("/api/neighbours")
    def neighbours(word: Annotated[str, Query(max_length=60)]) -> dict[str, Any]:
        return engine.neighbours.of(word)


def _status(job: Job, position: int) -> dict[str, Any]:
    status: dict[str, Any] = {
        "id": job.id,
        "state": job.state,
        "progress": round(job.progress, 3),
        "phase": job.phase,
        "position": position,
        "error": job.error,
    }
    if job.state == "done":
        status["result"] = job.result.to_json()
    elif job.cancelled.is_set() and job.state not in FINISHED:
        status["phase"] = "stopping"
    return status


def _file(take: Take, caption: str, format: str) -> bytes:
    """The bytes of a motion in a format. The only file name is ours."""
    from mate.formats.save import save_motion
    from mate.motion.motion import Motion

    with tempfile.TemporaryDirectory(prefix="mate-studio-") as folder:
        path = Path(folder) / f"motion.{format}"
        save_motion(Motion(take.joints, take.fps, name=caption), path, take.facts)
        return path.read_bytes()


def _errors(app: FastAPI) -> None:
    """Every error is one line of JSON without a path."""

    def said(status: int, text: str) -> JSONResponse:
        return JSONResponse({"error": without_paths(text)}, status)

    @app.exception_handler(MateError)
    async def _bad_input(_: Request, error: MateError) -> JSONResponse:
        return said(404 if isinstance(error, NotKept) else 429 if isinstance(error, Busy) else 400, str(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = "the request" if first["type"] == "json_invalid" else str(first["loc"][-1])
        return said(400, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return said(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def _ours(_: Request, error: Exception) -> JSONResponse:
        return said(500, FAILED)

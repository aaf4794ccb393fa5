"""One worker, many browser tabs: jobs wait in a queue, can be watched and cancelled, and their results are kept for a while."""

import logging
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from mate.errors import MateError
from mate.studio.messages import FAILED, without_paths

log = logging.getLogger("mate.studio")
FINISHED = ("done", "failed", "cancelled")


class Cancelled(Exception):
    """Ends a job that nobody wants any more."""


class Busy(MateError):
    """Too much to do already."""


class NotKept(MateError):
    """No such job, or its result was dropped."""


class Sized(Protocol):
    """A result whose memory is counted."""

    @property
    def nbytes(self) -> int: ...


@dataclass
class Job:
    """One piece of work.

    Attributes:
        id: cannot be guessed: it is also the key to the result.
        state: queued, running, done, failed or cancelled.
        progress: 0 to 1. phase: what is being done, for people.
    """

    work: Callable[["Job"], Any] | None = field(repr=False)
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = "queued"
    progress: float = 0.0
    phase: str = "waiting"
    result: Any = field(default=None, repr=False)
    error: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    def report(self, progress: float, phase: str | None = None) -> None:
        """Notes how far the work is. Raises Cancelled where the job was cancelled: the work ends here."""
        if self.cancelled.is_set():
            raise Cancelled
        self.progress = progress
        self.phase = phase or self.phase


class JobQueue:
    """Jobs in order of arrival, one at a time, in a thread of their own.

    Memory is bounded: by the number of waiting jobs, of finished jobs, and by the bytes of their results.
    """

    def __init__(self, max_waiting: int, keep_jobs: int, keep_bytes: int) -> None:
        self._max_waiting, self._keep_jobs, self._keep_bytes = max_waiting, keep_jobs, keep_bytes
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._worker: threading.Thread | None = None

    def start(self, first: Callable[[], None] | None = None) -> None:
        """Starts the worker; `first` runs before any job, in its thread (loading models)."""
        self._worker = threading.Thread(target=self._run, args=(first,), name="studio-worker", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Cancels everything and ends the worker."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.cancelled.set()
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.join(timeout=5)

    def submit(self, work: Callable[[Job], Sized]) -> Job:
        """Appends a job. Raises Busy where too many wait already."""
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                raise Busy(f"{len(self._waiting)} motions are waiting already; try again in a minute")
            job = Job(work)
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify()
        return job

    def find(self, id: str) -> Job:
        """A job by its id. Raises NotKept for one that is not known or no longer kept."""
        with self._changed:
            if id not in self._jobs:
                raise NotKept("this motion is no longer kept; make it again (the same seed gives the same motion)")
            if self._jobs[id].state in FINISHED:
                self._jobs.move_to_end(id)  # what is looked at stays longest
            return self._jobs[id]

    def position(self, job: Job) -> int:
        """How many jobs are to be done before this one."""
        with self._changed:
            if job.state != "queued":
                return 0
            return self._waiting.index(job) + (self._running is not None) if job in self._waiting else 0

    def cancel(self, job: Job) -> None:
        """Takes a waiting job out of the queue; a running one stops at its next step."""
        with self._changed:
            job.cancelled.set()
            if job in self._waiting:
                self._waiting.remove(job)
                self._finish(job, "cancelled")

    @property
    def counts(self) -> dict[str, int]:
        """Jobs that wait, that run, and that are kept."""
        with self._changed:
            waiting, running = len(self._waiting), int(self._running is not None)
            return {"waiting": waiting, "running": running, "kept": len(self._jobs) - waiting - running}

    def _run(self, first: Callable[[], None] | None) -> None:
        if first is not None:
            first()
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._running = self._waiting.popleft()
                job.state = "running"
            state = self._do(job)
            with self._changed:
                self._running = None
                self._finish(job, state)

    def _do(self, job: Job) -> str:
        assert job.work is not None
        try:
            job.report(0.0, "starting")
            job.result = job.work(job)
        except Cancelled:
            return "cancelled"
        except MateError as error:
            job.error = without_paths(str(error))
            return "failed"
        except Exception:
            log.exception("a job failed")
            job.error = FAILED
            return "failed"
        job.progress = 1.0
        return "done"

    def _finish(self, job: Job, state: str) -> None:
        """Notes a job's end and drops the oldest finished ones beyond the limits. The lock is held."""
        job.work, job.state = None, state  # the work holds the prompt, an upload, ...: not needed any more
        self._jobs.move_to_end(job.id)
        kept = [other for other in self._jobs.values() if other.state in FINISHED]
        size = sum(other.result.nbytes for other in kept if other.result is not None)
        while kept and (len(kept) > self._keep_jobs or (size > self._keep_bytes and len(kept) > 1)):
            oldest = kept.pop(0)
            size -= oldest.result.nbytes if oldest.result is not None else 0
            del self._jobs[oldest.id]

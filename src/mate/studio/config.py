"""Every setting of the studio's server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StudioConfig:
    """Settings; the limits keep one visitor from taking the machine away from the others.

    Attributes:
        host, port: where to listen. Loopback: nobody but this machine can connect. Port 0: any free one.
        models: generators to offer: "default", "kinwords", model folders or hub ids; the first is chosen at the start.
        threads: CPU threads of the worker; None: all.
        max_waiting: jobs in the queue; more are refused with a message.
        keep_jobs, keep_bytes: finished jobs that are kept, by number and by the size of their motions; the oldest go first.
        max_upload: bytes of an uploaded motion.
        max_request: bytes of any other request.
        parse_seconds: how long reading an uploaded file may take before its process is killed.
        parse_bytes: address space of that process.
        max_seconds: the longest motion: an uploaded one, or one of several actions whose lengths the model chooses.
    """

    host: str = "127.0.0.1"
    port: int = 8421
    models: tuple[str, ...] = ("default", "kinwords")
    threads: int | None = None
    max_waiting: int = 200
    keep_jobs: int = 200
    keep_bytes: int = 128 * 2**20
    max_upload: int = 64 * 2**20
    max_request: int = 64 * 2**10
    parse_seconds: float = 30.0
    parse_bytes: int = 4 * 2**30
    max_seconds: float = 60.0

"""The queue: order, cancelling, failing, and that memory is bounded."""

import threading
from dataclasses import dataclass

import pytest

from mate.errors import MateError
from mate.studio.jobs import Busy, Cancelled, Job, JobQueue, NotKept


@dataclass
class Bytes:
    """A result of a known size."""

    nbytes: int


def finished(queue: JobQueue, job: Job) -> str:
    for _ in range(1000):
        if job.state in ("done", "failed", "cancelled"):
            return job.state
        threading.Event().wait(0.005)
    raise AssertionError(f"{job} did not end")


def test_jobs_run_in_order_and_one_at_a_time() -> None:
    queue, seen, at_once = JobQueue(10, 10, 10**6), [], []
    running = threading.Lock()

    def work(number: int) -> Bytes:
        at_once.append(running.acquire(blocking=False))
        seen.append(number)
        running.release()
        return Bytes(1)

    jobs = [queue.submit(lambda _, n=n: work(n)) for n in range(5)]
    assert [queue.position(job) for job in jobs] == [0, 1, 2, 3, 4]
    queue.start()
    assert {finished(queue, job) for job in jobs} == {"done"}
    assert seen == list(range(5)) and all(at_once)
    queue.close()


def test_a_cancelled_job_stops_and_the_next_one_runs() -> None:
    queue, started = JobQueue(10, 10, 10**6), threading.Event()

    def endless(job: Job) -> Bytes:
        started.set()
        while True:
            job.report(0.5, "working")
            threading.Event().wait(0.002)

    long, waiting, last = queue.submit(endless), queue.submit(endless), queue.submit(lambda _: Bytes(1))
    queue.cancel(waiting)  # before it ran: it never does
    assert waiting.state == "cancelled" and queue.position(last) == 1
    queue.start()
    assert started.wait(5)
    queue.cancel(long)
    assert (finished(queue, long), finished(queue, last)) == ("cancelled", "done")
    assert long.work is None and long.result is None
    queue.close()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (MateError("/srv/secret/clip.bvh, line 3: no frames"), "clip.bvh, line 3: no frames"),
        (ValueError("/srv/secret/code.py"), "something went wrong inside the studio"),
    ],
)
def test_a_failed_job_says_why_without_paths(error: Exception, shown: str) -> None:
    queue = JobQueue(10, 10, 10**6)

    def fails(_: Job) -> Bytes:
        raise error

    job, after = queue.submit(fails), queue.submit(lambda _: Bytes(1))
    queue.start()
    assert finished(queue, job) == "failed" and job.error.startswith(shown) and "secret" not in job.error
    assert finished(queue, after) == "done"
    queue.close()


def test_the_queue_refuses_what_is_too_much_and_forgets_the_oldest() -> None:
    queue = JobQueue(max_waiting=3, keep_jobs=2, keep_bytes=10**6)
    jobs = [queue.submit(lambda _: Bytes(1)) for _ in range(3)]
    with pytest.raises(Busy, match="3 motions are waiting"):
        queue.submit(lambda _: Bytes(1))
    queue.start()
    assert {finished(queue, job) for job in jobs} == {"done"}
    with pytest.raises(NotKept, match="no longer kept"):
        queue.find(jobs[0].id)
    assert queue.find(jobs[2].id) is jobs[2] and queue.counts["kept"] == 2
    queue.close()


def test_results_are_bounded_by_their_size_and_what_is_looked_at_stays() -> None:
    queue = JobQueue(max_waiting=10, keep_jobs=10, keep_bytes=250)
    queue.start()
    first, second = (queue.submit(lambda _: Bytes(100)) for _ in range(2))
    assert finished(queue, first) == finished(queue, second) == "done"
    queue.find(first.id)
    third = queue.submit(lambda _: Bytes(100))
    assert finished(queue, third) == "done"
    assert queue.find(first.id) and queue.find(third.id)
    with pytest.raises(NotKept):
        queue.find(second.id)
    queue.close()


def test_reporting_raises_once_a_job_is_cancelled() -> None:
    job = Job(None)
    job.report(0.5, "half")
    job.cancelled.set()
    with pytest.raises(Cancelled):
        job.report(0.6)
    assert (job.progress, job.phase) == (0.5, "half")


def test_ids_cannot_be_guessed() -> None:
    assert len({Job(None).id for _ in range(1000)}) == 1000 and len(Job(None).id) >= 16

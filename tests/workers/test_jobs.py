from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from engine.core.errors import EngineError, JobCancelled, ModelError, RunError, WorkerDied
from engine.core.types import Progress, Report
from engine.tasks.catalog import CatalogRequest, run_catalog
from engine.tasks.latency import LatencyRequest, run_latency
from engine.workers.jobs import Job
from engine.workers.process import Worker

NO_RUN = LatencyRequest(run="/nowhere", columns=("original",))


def test_errors_come_back_as_they_were_raised() -> None:
    with Worker() as worker:
        for _ in range(2):
            with pytest.raises(RunError, match=r"no manifest\.json in /nowhere") as caught:
                worker.run(run_latency, NO_RUN)
            assert caught.value.todo.startswith("Check the path")
        assert worker.alive
        assert b"RunError" in worker.log()


def no_task(request: LatencyRequest, report: Report) -> bool:
    return True


def test_a_fault_is_a_message() -> None:
    with Worker() as worker, pytest.raises(EngineError, match="please report it"):
        worker.run(no_task, NO_RUN)


def test_a_killed_worker_says_by_what() -> None:
    with Worker() as worker:
        threading.Timer(0.3, os.kill, (worker._process.pid, signal.SIGSEGV)).start()
        with pytest.raises(WorkerDied, match="SIGSEGV"):
            worker.run(run_catalog, CatalogRequest())


def test_cancel_ends_the_worker_within_two_seconds() -> None:
    with Worker() as worker:
        threading.Timer(0.3, worker.cancel).start()
        started = time.monotonic()
        with pytest.raises(JobCancelled):
            worker.run(run_catalog, CatalogRequest())
        assert time.monotonic() - started < 2
        assert not worker.alive


def test_a_worker_ends_when_its_parent_goes() -> None:
    worker = Worker()
    assert worker._process.stdin is not None
    worker._process.stdin.close()
    assert worker._process.wait(timeout=60) == 0
    assert not Path(worker._folder.name).exists(), "a parent that was killed cannot remove it"
    worker.close()


def test_a_job_ends_done() -> None:
    def work(job: Job[int]) -> int:
        job.report(Progress("Half way", 1, 2))
        return 7

    job = Job("Counting", work).start()
    assert job.wait(60)
    assert (job.state, job.result, job.progress.fraction) == ("done", 7, 0.5)
    elapsed = job.elapsed
    time.sleep(0.05)  # the clock has stopped
    assert job.elapsed == elapsed


def test_failures_of_a_job_are_kept_as_messages() -> None:
    def mistaken(_: Job[int]) -> int:
        raise ModelError("Choosing", got="x", expected="y", todo="z")

    def faulty(_: Job[int]) -> int:
        raise ZeroDivisionError("by zero")

    for work, found in ((mistaken, "got x"), (faulty, "ZeroDivisionError: by zero")):
        job = Job("Failing", work).start()
        assert job.wait(60)
        assert job.state == "failed"
        assert found in str(job.error)


def test_one_job_at_a_time_and_waiting_ones_can_be_cancelled() -> None:
    release = threading.Event()

    def hold(_: Job[bool]) -> bool:
        return release.wait(120)

    first = Job("First", hold).start()
    while first.state == "waiting":
        time.sleep(0.01)
    second = Job("Second", hold).start()
    second.cancel()
    assert second.state == "waiting"
    release.set()
    assert first.wait(60)
    assert second.wait(60)
    assert (first.state, second.state) == ("done", "cancelled")


def test_a_waiting_job_is_cancelled_while_another_runs() -> None:
    release = threading.Event()
    first = Job("first", lambda job: release.wait(120)).start()
    second = Job("second", lambda job: True).start()
    second.cancel()
    assert second.wait(60)
    assert (first.state, second.state) == ("running", "cancelled")
    release.set()
    assert first.wait(60)


def test_cancelling_a_job_cancels_its_worker() -> None:
    started = threading.Event()

    def work(job: Job[bool]) -> bool:
        with Worker() as worker:
            job.adopt(worker)
            started.set()
            return worker.run(run_catalog, CatalogRequest())

    job = Job("Working", work).start()
    assert started.wait(60)
    job.cancel()
    assert job.wait(60)
    assert job.state == "cancelled"

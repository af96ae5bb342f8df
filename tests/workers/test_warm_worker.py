from __future__ import annotations

import time
from typing import Any

import pytest

from engine.core.errors import RunError
from engine.tasks.latency import LatencyRequest, run_latency
from engine.workers.jobs import Job
from engine.workers.pool import WarmWorker
from engine.workers.process import Worker

NO_RUN = LatencyRequest(run="/nowhere", columns=("original",))


class FakeWorker:
    def __init__(self) -> None:
        self.alive, self.busy, self.tasks, self.memory = True, False, 1, 100

    def resident_bytes(self) -> int:
        return self.memory

    def close(self) -> None:
        self.alive = False


def warm(**options: Any) -> WarmWorker:
    return WarmWorker(FakeWorker, **options)  # type: ignore[arg-type]


def test_the_next_borrower_gets_the_worker_of_the_last() -> None:
    shelf = warm()
    with shelf.lend() as first:
        pass
    with shelf.lend() as second:
        pass
    assert second is first
    shelf.close()
    assert not first.alive


@pytest.mark.parametrize(
    ("spoilt", "value"), [("alive", False), ("busy", True), ("tasks", 3), ("memory", 1001)]
)
def test_a_worker_that_is_not_good_any_more_is_replaced(spoilt: str, value: object) -> None:
    shelf = warm(most_tasks=3, most_bytes=1000)
    with shelf.lend() as first:
        setattr(first, spoilt, value)
    assert not first.alive
    with shelf.lend() as second:
        assert second is not first
    shelf.close()


def test_a_worker_that_died_while_it_waited_is_replaced() -> None:
    shelf = warm()
    with shelf.lend() as first:
        pass
    first.close()
    with shelf.lend() as second:
        assert second is not first
    shelf.close()


def test_an_idle_worker_is_ended() -> None:
    shelf = warm(idle_seconds=0.05)
    with shelf.lend() as first:
        time.sleep(0.1)
        assert first.alive
    deadline = time.monotonic() + 60
    while first.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not first.alive


def test_a_process_registers_one_lowering_only() -> None:
    shelf = warm()
    with shelf.lend() as first:
        pass
    with shelf.lend("nhwc") as second, shelf.lend() as third:
        assert second is first
        assert third is not first
    assert not third.alive or not second.alive, "one is kept"
    with shelf.lend("nhwc") as kept:
        pass
    with shelf.lend() as whatever:
        assert whatever is kept
    with shelf.lend("stock") as other:
        assert other is not kept
        assert not kept.alive
    shelf.close()


@pytest.mark.usefixtures("own_warm_worker")
def test_jobs_share_a_worker_and_a_finished_one_cannot_end_it() -> None:
    def work(job: Job[int]) -> int:
        with job.worker() as worker:
            with pytest.raises(RunError):
                worker.run(run_latency, NO_RUN)
            assert worker.log().count(b"engine.core.errors.RunError") == 1
            return worker._process.pid

    first = Job("First", work).start()
    assert first.wait(60), first.error
    first.cancel()
    second = Job("Second", work).start()
    assert second.wait(60), second.error
    assert (first.error, second.error) == (None, None)
    assert first.result == second.result


def test_resident_memory_is_read() -> None:
    with Worker() as worker:
        with pytest.raises(RunError):
            worker.run(run_latency, NO_RUN)
        assert 1 << 20 < worker.resident_bytes() < 1 << 30
    assert worker.resident_bytes() == 0

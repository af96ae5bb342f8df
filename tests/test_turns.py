from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from engine.errors import JobCancelled, RunError
from engine.jobs import Worker
from engine.requests import LatencyRequest
from engine.turns import WAITING, turn
from engine.types import Progress

NO_RUN = LatencyRequest(run="/nowhere", columns=("original",))


def test_a_turn_that_is_free_says_nothing(own_store: Path) -> None:
    said: list[Progress] = []
    for _ in range(2):
        with turn(said.append):
            assert (own_store / "cache" / "work.lock").exists()
    assert said == []


def test_a_worker_waits_for_the_work_of_another_process(own_store: Path) -> None:
    (own_store / "cache").mkdir()
    other = FileLock(own_store / "cache" / "work.lock")
    other.acquire()
    told = threading.Event()
    ended: list[float] = []

    def note(progress: Progress) -> None:
        if progress.stage == WAITING:
            told.set()

    def ask(worker: Worker) -> None:
        with pytest.raises(RunError):
            worker.run(
                "latency", NO_RUN, bool, lambda p: told.set() if p.stage == WAITING else None
            )
        ended.append(time.monotonic())

    with Worker() as worker:
        asking = threading.Thread(target=ask, args=(worker,))
        asking.start()
        assert told.wait(60)
        time.sleep(0.3)
        assert ended == []
        released = time.monotonic()
        other.release()
        asking.join(120)
        assert ended[0] >= released


def test_waiting_can_be_cancelled_and_a_killed_worker_lets_go(own_store: Path) -> None:
    (own_store / "cache").mkdir()
    other = FileLock(own_store / "cache" / "work.lock")
    with other, Worker() as worker:
        threading.Timer(1.0, worker.cancel).start()
        with pytest.raises(JobCancelled):
            worker.run("latency", NO_RUN, bool)
    with turn(lambda _: None):
        pass

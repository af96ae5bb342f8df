from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.tasks import evaluate as warming
from engine.tasks.evaluate import compute_logits, warm_up
from engine.workers.jobs import Job
from engine.workers.pool import WarmWorker
from tests.helpers.tiny_run import tiny_run


@pytest.fixture(autouse=True)
def nothing_made_ready(own_warm_worker: WarmWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "_LATEST", warming._Latest())


def until_ready(warm_worker: WarmWorker) -> None:
    end = time.monotonic() + 60
    while not warm_worker.ready:
        assert time.monotonic() < end, "no worker was made ready"
        time.sleep(0.01)


def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the jobs that are started from now on."""
    titles: list[str] = []

    class Noted(Job[bool]):
        def start(self) -> Job[bool]:
            titles.append(self.title)
            return super().start()

    monkeypatch.setattr(warming, "Job", Noted)
    return titles


@pytest.mark.slow
def test_the_next_task_gets_the_worker_that_was_made_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_warm_worker: WarmWorker
) -> None:
    titles = started(monkeypatch)
    run = tiny_run(tmp_path / "tiny")
    warm_up(run)
    warm_up(run)
    until_ready(own_warm_worker)
    warm_up(run)
    assert titles == ["Making a worker ready"]
    lent: list[int] = []

    def work(job: Job[bool]) -> bool:
        with job.worker() as worker:
            lent.append(worker.tasks)
        compute_logits(run, pictures_in(SAMPLE_IMAGES)[:1], ("float32",), job)
        return True

    job = Job("Showing", work).start()
    assert job.wait(60)
    assert job.error is None
    assert lent == [1], "it had done the one task of being made ready"


def test_nothing_is_made_ready_beside_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    first = Job("First", lambda job: release.wait(120)).start()
    titles = started(monkeypatch)
    while first.state == "waiting":
        time.sleep(0.01)
    warm_up(tiny_run(tmp_path / "tiny"))
    assert titles == []
    release.set()
    assert first.wait(60)

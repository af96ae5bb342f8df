"""The first comparison: what is done side by side, and what ends with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.errors import JobCancelled
from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.request import ConvertRequest
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks import first_run
from engine.tasks.evaluate import compute_logits
from engine.workers.process import Foreground, Host, Worker
from tests.helpers.tiny_run import tiny_run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """Every worker that the first comparison starts itself."""
    workers: list[Worker] = []

    class Noted(Worker):
        def __init__(self, *args: float, **options: bool) -> None:
            super().__init__(*args, **options)
            workers.append(self)

    monkeypatch.setattr(first_run, "Worker", Noted)
    return workers


def convert_by(work: Callable[[], Run], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Let the conversion be a tiny run; the second one ends as ``work`` says."""
    asked: list[tuple[str, ...]] = []

    def convert(request: ConvertRequest, host: Host) -> Run:
        asked.append(request.variants)
        return work()

    monkeypatch.setattr(first_run, "convert_request", convert)
    return asked


@pytest.mark.slow
def test_the_comparison_is_whole_and_no_worker_is_left(
    own_store: Path, started: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(own_store / "runs" / "tiny")
    asked = convert_by(lambda: run, monkeypatch)
    assert first_run.first_comparison(Foreground()) == run
    assert asked == [ConvertRequest().variants, ("all", first_run.OPTIMIZED)]
    assert compute_logits(run, pictures_in(SAMPLE_IMAGES), run.columns, None) is not None
    timed = load_latency(run)
    assert timed is not None
    assert {"original", "float32", "int8"} <= {entry.variant for entry in timed.entries}
    assert not timed.profiled, "what operators take is not shown first"
    assert len(started) == 2, "one shows pictures, one imports and then times"
    assert not any(worker.alive for worker in started)


@pytest.mark.slow
def test_a_cancel_ends_what_works_beside(
    own_store: Path, started: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(own_store / "runs" / "tiny")

    def work() -> Run:
        if len(asked) > 1:
            raise JobCancelled("x", got="a cancel", expected="work", todo="Start it again.")
        return run

    asked = convert_by(work, monkeypatch)
    with pytest.raises(JobCancelled):
        first_run.first_comparison(Foreground())
    assert not any(worker.alive for worker in started)


def test_work_beside_that_fails_is_done_by_the_job_itself(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(Worker):
        def run(self, *_: object) -> None:  # type: ignore[override]
            self.cancel()
            raise JobCancelled("x", got="an end", expected="work", todo="Start it again.")

    monkeypatch.setattr(first_run, "Worker", Dead)
    run = tiny_run(own_store / "runs" / "tiny")
    beside = first_run._Beside()
    with beside:
        beside.start(run)
        assert beside.worker_for_timing() is None
    assert load_latency(run) is None

"""The comparison that a fresh installation makes of itself: the default model, sample images."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Self

from engine.core.errors import EngineError
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import ORIGINAL, LoweringName, Progress
from engine.images.pictures import pictures_in
from engine.runs.request import ConvertRequest
from engine.runs.results import load_latency
from engine.runs.run import Run
from engine.tasks.convert import convert_request
from engine.tasks.evaluate import WarmUpRequest, compute_logits, run_warm_up
from engine.tasks.latency import LatencyRequest, time_columns
from engine.workers.process import Host, Worker

OPTIMIZED = "int8_optimized"
_ROUNDS, _WARMUP, _MOST_SECONDS = 20, 2, 1.5
"""Few rounds, and fewer of int16x8, which takes a quarter of a second a call where it has no quick
kernels."""


def first_comparison(host: Host) -> Run:
    """Convert the default model, show all variants the sample images, and time them.

    The optimized variant is among them: a verdict that another one follows is none. While it is
    made, the others answer and the models that will be timed are imported. What is in the store
    already is not made again; what operators take is left to `profile_operators`.
    """
    run = convert_request(ConvertRequest(), host)
    with _Beside() as beside:
        beside.start(run)
        run = convert_request(ConvertRequest(variants=("all", OPTIMIZED)), host)
        return complete(run, host, beside.worker_for_timing())


def complete(run: Run, host: Host, worker: Worker | None = None) -> Run:
    """Show the sample images to all columns of a run and time them, as far as that is not done.

    Args:
        run: The run.
        host: Gets the workers and their progress.
        worker: One to time in that has done no work yet; None starts one.
    """
    compute_logits(run, pictures_in(SAMPLE_IMAGES), run.columns, host)
    timed = load_latency(run)
    if timed is not None and all(timed.of(name) is not None for name in run.runnable):
        return run
    request = LatencyRequest(
        run=str(run.folder.absolute()),
        columns=(ORIGINAL, *run.runnable),
        rounds=_ROUNDS,
        warmup=_WARMUP,
        most_seconds=_MOST_SECONDS,
    )
    with ExitStack() as stack:
        time_columns(run, request, host, worker or stack.enter_context(Worker()))
    return run


class _Beside:
    """A host for small parts of a job, done by further workers while the job's own one works.

    They report nothing, and end with the context.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._started: list[Worker] = []
        self._coming: Future[Worker] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in tuple(self._started):
            worker.cancel()
        self._thread.shutdown()
        for worker in self._started:
            worker.close()

    def adopt(self, worker: Worker) -> Worker:
        self._started.append(worker)
        return worker

    @contextmanager
    def worker(self, lowering: LoweringName | None = None) -> Iterator[Worker]:
        worker = self.adopt(Worker(network=True, beside=True))
        yield worker
        worker.close()
        self._started.remove(worker)

    def report(self, progress: Progress) -> None:
        """Take no note."""

    def start(self, run: Run) -> None:
        """Show the sample images to a run's models, and import what they need in another worker."""
        self._coming = self._thread.submit(self._work, run)

    def _work(self, run: Run) -> Worker:
        compute_logits(run, pictures_in(SAMPLE_IMAGES), run.columns, self)
        worker = self.adopt(Worker(beside=True))
        worker.run(run_warm_up, WarmUpRequest(str(run.folder.absolute())))
        return worker

    def worker_for_timing(self) -> Worker | None:
        """Wait for the end, and give the worker that imported; None where something failed.

        What failed is asked of the job's own worker again, whose error is the one that counts.
        """
        try:
            return None if self._coming is None else self._coming.result()
        except EngineError:
            return None

"""The comparison that a fresh installation makes of itself: the default model, sample images."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from engine.core.errors import EngineError
from engine.core.store import SAMPLE_IMAGES
from engine.core.types import ORIGINAL
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
    made, what the models that will be timed need is imported; pictures are shown by the worker that
    converted, which need not import anything. What is in the store already is not made again; what
    operators take is left to `profile_operators`.
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
    """A further worker that imports what timing needs, while the job's own one works.

    It reports nothing, and ends with the context.
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

    def start(self, run: Run) -> None:
        """Start it, for the models of a run."""
        self._coming = self._thread.submit(self._work, run)

    def _work(self, run: Run) -> Worker:
        worker = Worker(beside=True)
        self._started.append(worker)
        worker.run(run_warm_up, WarmUpRequest(str(run.folder.absolute())))
        return worker

    def worker_for_timing(self) -> Worker | None:
        """Wait for the end, and give the worker that imported; None where something failed.

        What failed is asked of another worker again, whose error is the one that counts.
        """
        try:
            return None if self._coming is None else self._coming.result()
        except EngineError:
            return None

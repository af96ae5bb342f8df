"""One worker for all calls of `engine` in a process: each would import TensorFlow anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from unittest.mock import patch

from engine.core.types import LOWERINGS, LoweringName
from engine.workers.pool import WarmWorker
from engine.workers.process import Foreground, Worker

MOST_TASKS = 200
fresh_worker = Foreground.worker


@contextmanager
def shared_worker() -> Iterator[None]:
    """Lend one worker, as the dashboard does, where `engine` would start one for our own files.

    There is one for each lowering, of which a process registers one only. A worker is changed when
    it holds much memory, as the dashboard's is, but after more tasks: those of tests are small, and
    the next one imports PyTorch and TensorFlow for seconds. Files from elsewhere have fresh ones,
    and so has whatever names `Worker` itself.
    """
    start = partial(Worker, network=True)
    shared = {name: WarmWorker(start, most_tasks=MOST_TASKS) for name in LOWERINGS}

    def worker(
        _: Foreground, lowering: LoweringName | None = None
    ) -> AbstractContextManager[Worker]:
        return shared[lowering or "nhwc"].lend(lowering)

    with patch.object(Foreground, "worker", worker):
        yield
    for warm in shared.values():
        warm.close()

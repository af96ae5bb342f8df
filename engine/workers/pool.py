"""The worker of the last task, kept for the next: importing TensorFlow takes it seconds."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from engine.core.types import LoweringName
from engine.workers.process import Worker

IDLE_SECONDS = 600.0
MOST_TASKS = 20
MOST_BYTES = 2 << 30


class WarmWorker:
    """Lends a worker, and keeps it for the next borrower if it is still good.

    A worker is not kept once it died or was cancelled, holds much memory, did many tasks, or lay
    idle for long. Tasks on files from elsewhere that can break their process should not borrow
    one: they start a `Worker` of their own.

    Args:
        make: Starts a worker.
        idle_seconds: How long a worker may wait for its next task.
        most_tasks: Tasks that one worker does; TensorFlow keeps something of each.
        most_bytes: Resident memory above which a worker is not kept.
    """

    def __init__(
        self,
        make: Callable[[], Worker],
        *,
        idle_seconds: float = IDLE_SECONDS,
        most_tasks: int = MOST_TASKS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._make = make
        self._idle_seconds = idle_seconds
        self._most_tasks = most_tasks
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._idle: Worker | None = None
        self._lowering: LoweringName | None = None
        self._timer: threading.Timer | None = None
        atexit.register(self.close)

    @contextmanager
    def lend(self, lowering: LoweringName | None = None) -> Iterator[Worker]:
        """Lend a worker for the length of the context.

        Args:
            lowering: The lowering that its tasks need, which a process can register only one of;
                None where they need none.
        """
        worker, registered = self._take(lowering)
        try:
            yield worker
        finally:
            self._keep(worker, lowering or registered)

    @property
    def ready(self) -> bool:
        """Whether a worker waits for a borrower."""
        with self._lock:
            return self._idle is not None and self._idle.alive

    def close(self) -> None:
        """End the worker that is kept, if any."""
        worker, _ = self._empty()
        if worker is not None:
            worker.close()

    def _take(self, lowering: LoweringName | None) -> tuple[Worker, LoweringName | None]:
        worker, registered = self._empty()
        if worker is not None:
            if worker.alive and (lowering is None or registered in {None, lowering}):
                return worker, registered
            worker.close()
        return self._make(), None

    def _empty(self) -> tuple[Worker | None, LoweringName | None]:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            taken = self._idle, self._lowering
            self._idle = self._lowering = self._timer = None
            return taken

    def _keep(self, worker: Worker, lowering: LoweringName | None) -> None:
        good = (
            worker.alive
            and not worker.busy
            and worker.tasks < self._most_tasks
            and worker.resident_bytes() <= self._most_bytes
        )
        with self._lock:
            if good and self._idle is None:
                self._idle, self._lowering = worker, lowering
                self._timer = threading.Timer(self._idle_seconds, self._expire, (worker,))
                self._timer.daemon = True
                self._timer.start()
                return
        worker.close()

    def _expire(self, worker: Worker) -> None:
        with self._lock:
            if self._idle is not worker:
                return
            self._idle = self._lowering = self._timer = None
        worker.close()


WARM_WORKER = WarmWorker(partial(Worker, network=True))
"""Of this process; empty until a job has borrowed it."""

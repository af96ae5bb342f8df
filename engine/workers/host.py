"""Who lends a task its worker and receives its progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from engine.core.limits import LIMITS
from engine.core.types import LoweringName, OnProgress, Progress
from engine.workers.process import Worker


class Host(Protocol):
    """Who waits for the work: a terminal, a notebook, or a job of the dashboard."""

    def adopt(self, worker: Worker) -> Worker:
        """Take note of the worker, so that it can be cancelled."""

    def worker(self, lowering: LoweringName | None = None) -> AbstractContextManager[Worker]:
        """A worker for tasks on files of our own making; a kept one, where the host keeps one."""

    def report(self, progress: Progress) -> None:
        """Take note of progress."""


class Foreground:
    """A host that simply waits.

    Args:
        on_progress: Called for every step.
    """

    def __init__(self, on_progress: OnProgress = lambda _: None) -> None:
        self._on_progress = on_progress

    def adopt(self, worker: Worker) -> Worker:
        """The worker, as it is."""
        return worker

    def worker(self, lowering: LoweringName | None = None) -> AbstractContextManager[Worker]:
        """A fresh one: a terminal does one task."""
        return Worker(network=True)

    def report(self, progress: Progress) -> None:
        """Pass it on."""
        self._on_progress(progress)


@contextmanager
def _fresh_worker(host: Host) -> Iterator[Worker]:
    """A worker for files from elsewhere: what they do to it must not reach other work."""
    with Worker(LIMITS.foreign_silent_seconds) as worker:
        yield host.adopt(worker)

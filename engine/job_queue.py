"""Whose turn it is among the jobs of one process: first come, first served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_QUEUE_SECONDS = 0.1


class JobQueue:
    """Lets a number of jobs run at a time; the rest wait in the order in which they came.

    Args:
        slots: Tells how many may run; asked whenever a job looks.
    """

    def __init__(self, slots: Callable[[], int]) -> None:
        self._slots = slots
        self._changed = threading.Condition()
        self._waiting: list[object] = []
        self._running = 0

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._changed:
            return bool(self._running or self._waiting)

    @contextmanager
    def turn(self, look: Callable[[int], None]) -> Iterator[None]:
        """Wait for a turn and keep it while the context lasts.

        Args:
            look: Called with the place in the queue, 1 for the next, every moment that passes in
                waiting; what it raises ends the waiting.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._running >= self._slots():
                    look(self._waiting.index(ticket) + 1)
                    self._changed.wait(_QUEUE_SECONDS)
                self._running += 1
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

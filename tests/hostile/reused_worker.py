"""A worker that is kept until a file kills it: starting one for each of 1,000 files takes long."""

from __future__ import annotations

from typing import Any

from engine.workers.process import Worker


class ReusedWorker:
    """Takes the place of `engine.workers.process.Worker` where one is started for each file.

    Attributes:
        started: How many processes there were.
    """

    def __init__(self, most_tasks: int = 200) -> None:
        self._kept: Worker | None = None
        self._most_tasks = most_tasks
        self.started = 0

    def __call__(self, *_: Any) -> ReusedWorker:
        return self

    def __enter__(self) -> Worker:
        if self._kept is None:
            self._kept = Worker()
            self.started += 1
        return self._kept

    def __exit__(self, *_: object) -> None:
        kept = self._kept
        if kept is not None and (not kept.alive or kept.busy or kept.tasks >= self._most_tasks):
            self.close()

    def close(self) -> None:
        """End the worker that is kept."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

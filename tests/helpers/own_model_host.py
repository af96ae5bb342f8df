"""A worker that does its tasks in this process: for tiny files, which need no protection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self


class InThisProcess:
    """Stands in for `engine.workers.process.Worker`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def run(self, work: Callable[..., Any], request: object, report: Callable[..., None]) -> Any:
        """Do a task."""
        return work(request, report)

"""A worker made ready before it is needed: importing torch takes it seconds."""

from __future__ import annotations

import threading

from engine.requests import WarmUpRequest
from engine.runs.run import Run
from engine.workers import jobs as jobs_module
from engine.workers import pool
from engine.workers.jobs import Job


class _Latest:
    """The last job that made a worker ready."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job[bool] | None = None

    def start(self, run: Run) -> None:
        """Start another one, unless a worker is there or will be."""
        with self._lock:
            starting = self._job is not None and self._job.active
            if starting or pool.WARM_WORKER.ready or jobs_module.QUEUE.busy:
                return
            self._job = Job("Making a worker ready", lambda job: _loaded(job, run)).start()


_LATEST = _Latest()


def warm_up(run: Run) -> None:
    """Make the warm worker ready for a run's models, in the background.

    Nothing is started where a worker is kept already, or where a job runs, whose worker will be.
    A failure is not told: the task that needs the worker meets it again.

    Args:
        run: The run whose models will be asked.
    """
    _LATEST.start(run)


def _loaded(job: Job[bool], run: Run) -> bool:
    with job.worker() as worker:
        return worker.run("warm_up", WarmUpRequest(str(run.folder.absolute())), bool, job.report)

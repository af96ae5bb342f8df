"""Worker processes: one task at a time each, with progress, cancel and a log.

The parent never imports torch, TensorFlow or onnx: a worker that crashes takes nothing with it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal

from engine.core.errors import EngineError, JobCancelled
from engine.core.files import refusal, storage_error
from engine.core.types import LoweringName, Progress
from engine.workers import pool
from engine.workers.process import Worker
from engine.workers.protocol import (
    Result,
)
from engine.workers.slots import slots

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_LOOK_SECONDS = 0.1


class Job(Generic[Result]):
    """A piece of work in a thread of its own, for a page that comes back to look.

    Args:
        title: What a person calls it.
        work: Does it; gets the job, to report progress and to own the worker it starts.
        during: A context that lasts from the start to the end, waiting included.
    """

    def __init__(
        self,
        title: str,
        work: Callable[[Job[Result]], Result],
        during: AbstractContextManager[object] | None = None,
    ) -> None:
        self.title = title
        self._during = during if during is not None else contextlib.nullcontext()
        self.state: State = "waiting"
        self.progress = Progress("Waiting for its turn", 0, 0)
        self.result: Result | None = None
        self.error: EngineError | None = None
        self._worker: Worker | None = None
        self._cancel_asked = False
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._ended: float | None = None
        self._work = work
        self._thread = threading.Thread(target=self._main, name=title, daemon=True)

    def start(self) -> Job[Result]:
        """Begin."""
        self._thread.start()
        return self

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end.

        Returns:
            Whether it came within that time.
        """
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def elapsed(self) -> float:
        """Seconds since the job was asked for, until its end."""
        return (self._ended or time.monotonic()) - self._started

    @property
    def active(self) -> bool:
        """Whether it is waiting or running."""
        return self.state in {"waiting", "running"}

    def cancel(self) -> None:
        """Stop the work; the state becomes ``cancelled`` within moments."""
        with self._lock:
            self._cancel_asked = True
            if self._worker is not None:
                self._worker.cancel()

    def report(self, progress: Progress) -> None:
        """Note how far the work is.

        Raises:
            JobCancelled: Nobody wants it any more.
        """
        self.progress = progress
        self._demand_wanted()

    def _main(self) -> None:
        try:
            with self._during, self._turn():
                self.state = "running"
                self.result = self._work(self)
            self.state = "done"
        except JobCancelled as error:
            self.error, self.state = error, "cancelled"
        except EngineError as error:
            self.error, self.state = error, "failed"
        except Exception as error:
            words = refusal(error)
            self.error = EngineError(
                self.title,
                got=f"an internal fault ({type(error).__name__}: {error})",
                expected="no fault",
                todo="This is a defect of Quantization Lab; please report it.",
            )
            if words is not None:
                self.error = storage_error(self.title, words)
            self.state = "failed"
        finally:
            self._ended = time.monotonic()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until fewer jobs run than may; a cancel ends the waiting, too."""
        with QUEUE.turn(self._look):
            self._demand_wanted()
            yield

    def _look(self, position: int) -> None:
        self._demand_wanted()
        self.progress = Progress(f"Waiting for its turn: number {position} in the queue", 0, 0)

    def adopt(self, worker: Worker) -> Worker:
        """Make a worker the one that `cancel` ends."""
        self._worker = worker
        self._demand_wanted()
        return worker

    @contextmanager
    def worker(self, lowering: LoweringName | None = None) -> Iterator[Worker]:
        """Borrow the warm worker, which `cancel` ends while the context lasts."""
        with pool.WARM_WORKER.lend(lowering) as worker:
            try:
                yield self.adopt(worker)
            finally:
                # By the next cancel it may work for another job.
                with self._lock:
                    self._worker = None

    def _demand_wanted(self) -> None:
        if self._cancel_asked:
            if self._worker is not None:
                self._worker.cancel()
            raise JobCancelled(
                self.title, got="a cancel", expected="its turn", todo="Start it again."
            )


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


QUEUE = JobQueue(slots)
"""Of this process: more jobs at once than the machine has cores and memory for slow each other."""
KEPT_SECONDS = 3600.0
MOST_KEPT = 200


@dataclass(frozen=True, slots=True)
class _Entry:
    owner: str
    key: str
    about: str
    job: Job[Any]
    added: float

    @property
    def what(self) -> tuple[str, str, str]:
        """Whose it is, and what is done."""
        return self.owner, self.key, self.about


class JobBoard:
    """Remembers jobs while they work, and for a while after.

    Args:
        kept_seconds: How long a job is remembered that has ended.
        most: How many jobs that have ended are remembered.
    """

    def __init__(self, kept_seconds: float = KEPT_SECONDS, most: int = MOST_KEPT) -> None:
        self._kept_seconds, self._most = kept_seconds, most
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def add(self, owner: str, key: str, about: str, job: Job[Any]) -> None:
        """Remember a job, and forget those of the same kind that have ended.

        Args:
            owner: Whose it is; see `pages.state.session.owner`.
            key: What the page calls it.
            about: What exactly is done, where a page has the same job for many things.
            job: The job.
        """
        now = time.monotonic()
        with self._lock:
            recent = [
                e for e in self._entries if e.job.active or now - e.added < self._kept_seconds
            ]
            ended = [e for e in recent if not e.job.active][-self._most :]
            self._entries = [
                e for e in recent if e.job.active or (e in ended and e.what != (owner, key, about))
            ]
            self._entries.append(_Entry(owner, key, about, job, now))

    def find(self, owner: str, key: str, about: str) -> Job[Any] | None:
        """Find the newest job of an owner under a key, or None."""
        with self._lock:
            for entry in reversed(self._entries):
                if entry.what == (owner, key, about):
                    return entry.job
        return None

    def jobs(self, owner: str) -> tuple[Job[Any], ...]:
        """List the jobs of an owner that are remembered."""
        with self._lock:
            return tuple(entry.job for entry in self._entries if entry.owner == owner)

    def forget(self, job: Job[Any]) -> None:
        """Drop a job."""
        with self._lock:
            self._entries = [entry for entry in self._entries if entry.job is not job]


class LastChoices:
    """What each owner chose last, for those who come back in a new session.

    Args:
        most: Owners to remember; those who chose longest ago are forgotten.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._choices: dict[str, str] = {}

    def note(self, owner: str, choice: str) -> None:
        """Remember a choice in place of the one before."""
        with self._lock:
            self._choices.pop(owner, None)
            self._choices[owner] = choice
            while len(self._choices) > self._most:
                del self._choices[next(iter(self._choices))]

    def of(self, owner: str) -> str | None:
        """Return the last choice of an owner, or None."""
        return self._choices.get(owner)


RUNS_ON_SHOW = LastChoices()
"""Of this process: the run that each person looked at last."""
BOARD = JobBoard()
"""Of this process."""
_QUEUE_SECONDS = 0.1

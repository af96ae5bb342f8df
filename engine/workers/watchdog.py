"""Watchdog: limits for a worker and all that it starts, enforced from the parent.

A limit of the address space would not do: TensorFlow reserves far more than it uses. So the
resident memory is measured of every process with the worker's mark, whichever parent, group or
session it moved to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.core.limits import LIMITS
from engine.core.system import physical_bytes
from engine.core.types import Progress
from engine.workers.sandbox import MARK
from engine.workers.slots import WAITING

_LOOK_SECONDS = 0.2
_ENDING_ROUNDS = 50
_ENDING_SECONDS = 0.02
_WAITING_FACTOR = 12
"""Work of other processes may take its whole time before this begins."""


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """A limit that a worker exceeded, as ``got`` and ``expected`` of an error."""

    got: str
    expected: str


class ProcessTree:
    """A worker and all processes it started, by the mark in their environment."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str) -> None:
        self._process = process
        self._mark = mark
        self._strangers: set[int] = set()

    def members(self, *, afresh: bool = False) -> list[psutil.Process]:
        """List the processes that live, without zombies.

        Args:
            afresh: Look at every process of the machine, also at those seen to be unrelated.
        """
        pids = set(psutil.pids())
        self._strangers &= set() if afresh else pids
        members = []
        for pid in pids - self._strangers - {os.getpid()}:
            with contextlib.suppress(psutil.Error, OSError):
                process = psutil.Process(pid)
                if pid == self._process.pid or process.environ().get(MARK) == self._mark:
                    if process.status() != psutil.STATUS_ZOMBIE:
                        members.append(process)
                    continue
            self._strangers.add(pid)
        return members

    def end(self) -> None:
        """Kill all of them; those started meanwhile, too."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for _ in range(_ENDING_ROUNDS):
            left = self.members(afresh=True)
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if not left:
                return
            time.sleep(_ENDING_SECONDS)


def memory_of(members: list[psutil.Process], limit: int) -> int:
    """Sum the resident bytes of processes.

    Pages that several share are counted for each, unless that passes the limit: then they are
    counted once, which takes longer to measure.
    """
    total = _sum_of(members, lambda process: int(process.memory_info().rss))
    if total > limit and len(members) > 1:
        return _sum_of(members, lambda process: int(process.memory_full_info().pss))
    return total


def _sum_of(members: list[psutil.Process], of: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in members:
        with contextlib.suppress(psutil.Error, AttributeError):
            total += of(process)
    return total


class Watchdog:
    """A thread that kills a worker's processes when a limit is exceeded or the worker ended.

    Args:
        family: The processes.
        process: The worker.
        log: The file that it prints to.
        silent_seconds: How long it may work without a sign of progress.

    Attributes:
        breach: The limit that was exceeded; None while none is.
    """

    def __init__(
        self,
        family: ProcessTree,
        process: subprocess.Popen[bytes],
        log: Path,
        silent_seconds: float,
    ) -> None:
        self.breach: LimitExceeded | None = None
        self._family, self._process, self._log = family, process, log
        self._silent_seconds = silent_seconds
        self._begun: float | None = None
        self._heard = 0.0
        self._waiting = False
        self._stop = threading.Event()
        self._memory = int(LIMITS.worker_memory_share * physical_bytes())
        self._thread = threading.Thread(target=self._main, name="watch", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Start the clocks of a task."""
        self._waiting = False
        self._begun = self._heard = time.monotonic()

    def hear(self, progress: Progress) -> None:
        """Note a sign of progress."""
        if self._waiting and progress.stage != WAITING:
            self._begun = time.monotonic()
        self._waiting = progress.stage == WAITING
        self._heard = time.monotonic()

    def rest(self) -> None:
        """Stop the clocks: the task was answered."""
        self._begun = None

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _main(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            if self._process.poll() is not None:
                # What it left behind would hold the pipe open that the parent reads from.
                self._family.end()
                return
            self.breach = self._check_limits()
            if self.breach is not None:
                self._family.end()
                return

    def _check_limits(self) -> LimitExceeded | None:
        members = self._family.members()
        memory = memory_of(members, self._memory)
        if memory > self._memory:
            return LimitExceeded(
                f"a worker that took {memory / 1e9:.1f} GB of memory, with all it started",
                f"at most {self._memory / 1e9:.1f} GB "
                f"({LIMITS.worker_memory_share:.0%} of this machine's)",
            )
        if len(members) > LIMITS.worker_processes:
            return LimitExceeded(
                f"a worker that started {len(members) - 1} processes",
                f"at most {LIMITS.worker_processes}",
            )
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > LIMITS.worker_log_bytes:
                limit = LIMITS.worker_log_bytes / 1e6
                return LimitExceeded(
                    f"a worker that printed more than {limit:.0f} MB", "less than that"
                )
        return self._late()

    def _late(self) -> LimitExceeded | None:
        begun, now = self._begun, time.monotonic()
        if begun is None:
            return None
        silent = self._silent_seconds * (_WAITING_FACTOR if self._waiting else 1)
        if now - self._heard > silent:
            return LimitExceeded(
                f"no sign of life from the worker for {_duration(silent)}: it hangs",
                "progress, or an answer",
            )
        if not self._waiting and now - begun > LIMITS.worker_seconds:
            return LimitExceeded(
                f"work of more than {_duration(LIMITS.worker_seconds)}",
                "an answer within that time",
            )
        return None


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"

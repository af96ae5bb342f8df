"""A few pieces of work at a time on this machine, whoever asked for them.

More than the machine has cores and memory for would slow each other, so every worker takes a slot
of the store while it works: those of the dashboard, the command line and notebooks alike. How
many slots there are is for each process to say, so they cannot keep a timing alone: every worker
also holds one lock, shared, that a timing holds exclusively. The worker holds them, not its
parent, so they are let go whatever ends the worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from engine.core.errors import OptionError
from engine.core.locks import try_lock
from engine.core.store import folder
from engine.core.types import Progress

Release = Callable[[], None]
WAITING = "Waiting for other work of Quantization Lab on this machine"
SLOTS_VARIABLE = "QLAB_JOBS"
CORES_EACH = 4
BYTES_EACH = 8 * 10**9
"""What a conversion of a large network may need at once."""
_POLL_SECONDS = 0.2


def slots() -> int:
    """How many pieces of work may run at a time: by cores and memory, or ``$QLAB_JOBS``.

    Raises:
        OptionError: The variable is no number from 1 on.
    """
    named = os.environ.get(SLOTS_VARIABLE)
    if named is not None:
        if named.isdecimal() and 1 <= int(named) <= 1000:
            return int(named)
        raise OptionError(
            f"Reading {SLOTS_VARIABLE}",
            got=f"'{named}'",
            expected="a number from 1 on",
            todo="Set it to a number, or unset it.",
        )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)) // CORES_EACH, memory // BYTES_EACH))


@contextmanager
def turn(report: Callable[[Progress], None], *, alone: bool = False) -> Iterator[None]:
    """Wait until this store has a slot for a worker, and keep it while the context lasts.

    Whoever waits holds the gate, so that nobody behind takes what becomes free.

    Args:
        report: Receives progress, once, where there is something to wait for.
        alone: Whether nothing else may run meanwhile.
    """
    place = folder("cache")
    working = place / "working"
    working.mkdir(exist_ok=True)
    said = _Once(report)
    with ExitStack() as held:
        with ExitStack() as gate:
            _wait_for([partial(_try_file, place / "work.lock")], gate, said)
            _wait_for([partial(_try_folder, working, shared=not alone)], held, said)
            if not alone:
                files = [place / f"work-{number}.lock" for number in range(slots())]
                _wait_for([partial(_try_file, file) for file in files], held, said)
        yield


class _Once:
    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report: Callable[[Progress], None] | None = report

    def __call__(self) -> None:
        if self._report is not None:
            self._report(Progress(WAITING, 0, 0))
            self._report = None


def _try_file(path: Path) -> Release | None:
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock.release


def _try_folder(path: Path, *, shared: bool) -> Release | None:
    lock = try_lock(path, shared=shared)
    return None if lock is None else lock.release


def _wait_for(
    attempts: list[Callable[[], Release | None]], held: ExitStack, said: Callable[[], None]
) -> None:
    """Take the first of some locks that is free."""
    while True:
        for attempt in attempts:
            release = attempt()
            if release is not None:
                held.callback(release)
                return
        said()
        time.sleep(_POLL_SECONDS)

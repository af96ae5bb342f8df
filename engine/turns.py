"""A few pieces of work at a time on this machine, whoever asked for them.

More than the machine has cores and memory for would slow each other, so every worker takes a slot
of the store while it works: those of the dashboard, the command line and notebooks alike. Work
that is timed takes all of them, so that nothing of ours runs beside it. The worker holds the
slots, not its parent, so they are let go whatever ends the worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from engine.errors import OptionError
from engine.store import folder
from engine.types import Progress

if TYPE_CHECKING:
    from filelock import FileLock

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
    from filelock import FileLock

    place = folder("cache")
    free = [FileLock(place / f"work-{number}.lock") for number in range(slots())]
    said = _Once(report)
    with ExitStack() as held:
        with ExitStack() as gate:
            _wait_for([FileLock(place / "work.lock")], 1, gate, said)
            _wait_for(free, len(free) if alone else 1, held, said)
        yield


class _Once:
    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report: Callable[[Progress], None] | None = report

    def __call__(self) -> None:
        if self._report is not None:
            self._report(Progress(WAITING, 0, 0))
            self._report = None


def _wait_for(locks: list[FileLock], count: int, held: ExitStack, said: _Once) -> None:
    """Take some of the locks, as they become free."""
    from filelock import Timeout

    waiting = list(locks)
    while True:
        for lock in list(waiting):
            try:
                held.enter_context(lock.acquire(blocking=False))
            except Timeout:
                continue
            waiting.remove(lock)
            if len(locks) - len(waiting) == count:
                return
        said()
        time.sleep(_POLL_SECONDS)

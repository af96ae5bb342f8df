"""One piece of work at a time on this machine, whoever asked for it.

Two at once would slow each other and spoil latency figures, so every worker takes a lock in the
store while it works: those of the dashboard, the command line and notebooks alike. The worker
holds it, not its parent, so it is let go whatever ends the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.store import folder
from engine.types import Progress

WAITING = "Waiting for other work of Quantization Lab on this machine"
_POLL_SECONDS = 0.2


@contextmanager
def turn(report: Callable[[Progress], None]) -> Iterator[None]:
    """Wait until no other worker of this store is at work, and keep others waiting meanwhile.

    Args:
        report: Receives progress, once, where there is something to wait for.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder("cache") / "work.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        report(Progress(WAITING, 0, 0))
        lock.acquire(poll_interval=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()

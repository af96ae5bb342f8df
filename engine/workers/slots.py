"""Limit concurrent workers on this machine: slots shared by all processes of a store.

More than the machine has cores and memory for would slow each other, so every worker takes a slot
of the store while it works: those of the dashboard, the command line and notebooks alike. How
many slots there are is for each process to say, so they cannot keep a timing alone: every worker
also holds one lock, shared, that a timing holds exclusively. The worker holds them, not its
parent, so the system releases them whatever ends the worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.core.errors import OptionError
from engine.core.locks import POLL_SECONDS, try_lock
from engine.core.store import folder
from engine.core.system import physical_bytes, usable_cores
from engine.core.types import Progress

WAITING = "Waiting for other work of Quantization Lab on this machine"
SLOTS_VARIABLE = "QLAB_JOBS"
SLOTS = "slots"
"""In the store's cache: the folders that are locked."""
CORES_EACH = 4
BYTES_EACH = 8 * 10**9
"""What a conversion of a large network may need at once."""


def slots() -> int:
    """Count the workers that may run at a time: by cores and memory, or ``$QLAB_JOBS``.

    Raises:
        OptionError: The variable is no number from 1 on.
    """
    setting = os.environ.get(SLOTS_VARIABLE)
    if setting is not None:
        if setting.isdecimal() and 1 <= int(setting) <= 1000:
            return int(setting)
        raise OptionError(
            f"Reading {SLOTS_VARIABLE}",
            got=f"'{setting}'",
            expected="a number from 1 on",
            todo="Set it to a number, or unset it.",
        )
    return max(1, min(usable_cores() // CORES_EACH, physical_bytes() // BYTES_EACH))


@contextmanager
def hold_slot(
    report: Callable[[Progress], None], *, alone: bool = False, beside: bool = False
) -> Iterator[None]:
    """Wait until this store has a slot for a worker, and keep it while the context lasts.

    Args:
        report: Receives progress, once, where there is something to wait for.
        alone: Whether nothing else may run meanwhile.
        beside: Whether the work is a small part of what holds a slot already: it takes none, and
            waits for timings alone.
    """
    parent = folder("cache") / SLOTS
    announce = _Once(report)
    with ExitStack() as held:
        # Who waits holds the gate, so that nobody behind takes what becomes free.
        with ExitStack() as gate:
            _lock_first([parent / "gate"], gate, announce)
            _lock_first([parent / "working"], held, announce, shared=not alone)
            if not alone and not beside:
                free = [parent / str(number) for number in range(slots())]
                _lock_first(free, held, announce)
        yield


class _Once:
    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report: Callable[[Progress], None] | None = report

    def __call__(self) -> None:
        if self._report is not None:
            self._report(Progress(WAITING, 0, 0))
            self._report = None


def _lock_first(
    folders: Sequence[Path], held: ExitStack, announce: Callable[[], None], *, shared: bool = False
) -> None:
    """Lock the first of some folders that is free; wait where none is."""
    for path in folders:
        path.mkdir(parents=True, exist_ok=True)
    while True:
        for path in folders:
            lock = try_lock(path, shared=shared)
            if lock is not None:
                held.callback(lock.release)
                return
        announce()
        time.sleep(POLL_SECONDS)

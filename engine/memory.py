"""Memory that Python and C hold without need."""

from __future__ import annotations

import contextlib
import ctypes
import gc

__version__ = "0.1.0"


def let_go_of_memory() -> None:
    """Give freed memory back to the system, which a worker that waits has no use for."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # malloc_trim is glibc's
        ctypes.CDLL(None).malloc_trim(0)

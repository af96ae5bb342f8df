"""What the dashboard does by itself, now and then: old uploads go even when nobody comes."""

from __future__ import annotations

import contextlib
import threading

from engine.core.errors import EngineError
from engine.store_care import drop_old_uploads

SECONDS = 600.0


class Upkeep:
    """Removes old uploads in a thread of its own.

    Args:
        seconds: How long it rests in between.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start, unless it was started."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="upkeep", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Stop and wait until it has."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _main(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(EngineError, OSError):
                drop_old_uploads()
            self._end.wait(self._seconds)


UPKEEP = Upkeep()
"""Of this process."""

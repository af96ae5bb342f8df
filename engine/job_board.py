"""The jobs of this process by their owner, so that a page that was closed finds them again."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from engine.jobs import Job

KEPT_SECONDS = 3600.0
MOST_KEPT = 200


@dataclass(frozen=True, slots=True)
class _Entry:
    owner: str
    key: str
    about: str
    job: Job[Any]
    added: float


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
        """Remember a job.

        Args:
            owner: Whose it is; see `pages.components.session.owner`.
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
            self._entries = [e for e in recent if e.job.active or e in ended]
            self._entries.append(_Entry(owner, key, about, job, now))

    def find(self, owner: str, key: str, about: str) -> Job[Any] | None:
        """The newest job of an owner under a key, or None."""
        with self._lock:
            for entry in reversed(self._entries):
                if (entry.owner, entry.key, entry.about) == (owner, key, about):
                    return entry.job
        return None

    def forget(self, job: Job[Any]) -> None:
        """Drop a job."""
        with self._lock:
            self._entries = [entry for entry in self._entries if entry.job is not job]


BOARD = JobBoard()
"""Of this process."""

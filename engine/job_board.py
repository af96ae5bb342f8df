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
            self._entries = [
                e for e in recent if e.job.active or (e in ended and e.what != (owner, key, about))
            ]
            self._entries.append(_Entry(owner, key, about, job, now))

    def find(self, owner: str, key: str, about: str) -> Job[Any] | None:
        """The newest job of an owner under a key, or None."""
        with self._lock:
            for entry in reversed(self._entries):
                if entry.what == (owner, key, about):
                    return entry.job
        return None

    def forget(self, job: Job[Any]) -> None:
        """Drop a job."""
        with self._lock:
            self._entries = [entry for entry in self._entries if entry.job is not job]


class LastChoices:
    """What each owner chose last, for whoever comes back in a new session.

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
        """The last choice of an owner, or None."""
        return self._choices.get(owner)


RUNS_ON_SHOW = LastChoices()
"""Of this process: the run that each person looked at last."""

BOARD = JobBoard()
"""Of this process."""

"""Conversions that are under way, noted in the store, so that a stopped server does not lose them.

A note is a folder with the request, locked by the process that works. One that nobody holds is of
a conversion that was interrupted: asking for it again goes on from its last finished stage.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.core.checksums import read_kept, write_kept
from engine.core.locks import alone_in, try_lock
from engine.core.store import folder, limits
from engine.runs.request import ConvertRequest

_NOTE = "note.json"


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A conversion that somebody asked for.

    Attributes:
        owner: Who; see `pages.state.session.owner`.
        title: What a person calls it.
        request: What was asked for.
    """

    owner: str
    title: str
    request: ConvertRequest


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A conversion that ended with its process.

    Attributes:
        folder: Its note.
        work: What was asked for.
    """

    folder: Path
    work: UnderWay

    def forget(self) -> None:
        """Remove the note."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def noted(work: UnderWay) -> Iterator[None]:
    """Keep a note in the store while the context lasts.

    Raises:
        StorageError: The disk is full.
    """
    place = folder("jobs") / secrets.token_hex(16)
    with alone_in(place):
        try:
            write_kept(place / _NOTE, msgspec.json.encode(work))
            yield
        finally:
            shutil.rmtree(place, ignore_errors=True)


def interrupted(owner: str) -> tuple[Interrupted, ...]:
    """Conversions of an owner whose process is gone; notes older than uploads are dropped."""
    found = []
    oldest = time.time() - limits().uploads_seconds
    for place in sorted(folder("jobs").iterdir()):
        try:
            lock = try_lock(place)
        except OSError:  # no such locks on this disk: nobody can tell
            continue
        if lock is None:
            continue
        lock.release()
        try:
            work = msgspec.json.decode(read_kept(place / _NOTE), type=UnderWay)
            old = place.stat().st_mtime < oldest
        except (OSError, msgspec.DecodeError):
            old = place.exists()
            work = None
        if old:
            shutil.rmtree(place, ignore_errors=True)
        elif work is not None and work.owner == owner:
            found.append(Interrupted(place, work))
    return tuple(found)

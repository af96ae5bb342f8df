"""Runs of the store: list, verify, and evict the least recently used beyond the limit."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.core.checksums import SUFFIX, is_verified
from engine.core.errors import EngineError, RunError
from engine.core.files import bytes_under
from engine.core.locks import try_lock
from engine.core.store import folder, limits
from engine.runs.integrity import DAMAGED, quarantine
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from engine.runs.staging import STAGING_FOLDERS, is_free, staging_path


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run of the store.

    Attributes:
        name: Its folder's name.
        folder: Its path.
        model: What it was made from; None where it cannot be read.
        variants: What it holds.
        bytes: What it takes.
        used_at: UTC time in ISO 8601 when it was last of use.
        in_use: Whether a process works in it now.
        problem: Why it cannot be read; None where it can.
    """

    name: str
    folder: str
    model: str | None
    variants: tuple[str, ...]
    bytes: int
    used_at: str
    in_use: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class VerifiedRun:
    """A run of which every byte was read.

    Attributes:
        name: The run.
        checked: How many files were read.
        damaged: Files that are absent or not as they were written; they are in quarantine.
        problem: Why the run cannot be read at all; None where it can.
        todo: What helps; empty where nothing has to be done.
    """

    name: str
    checked: int
    damaged: tuple[str, ...]
    problem: str | None
    todo: str


@dataclass(frozen=True, slots=True)
class CleanedStore:
    """What was deleted from the store.

    Attributes:
        runs: Evicted runs, the least recently used first.
        leftovers: Staging folders of killed processes, and files in quarantine.
        uploads: Number of browser sessions whose time was over.
        bytes: Size of all of it.
    """

    runs: tuple[str, ...]
    leftovers: tuple[str, ...]
    uploads: int
    bytes: int


def list_runs() -> tuple[StoredRun, ...]:
    """List the runs of the store, the most recently used first."""
    return tuple(_describe(path) for path in reversed(_by_use()))


def verify_runs(names: Collection[str] = ()) -> tuple[VerifiedRun, ...]:
    """Read every byte of runs, of all in the store by default; quarantine what is damaged."""
    return tuple(_verify(path) for path in _by_use() if not names or path.name in names)


def clean_store(runs_bytes: int | None = None) -> CleanedStore:
    """Delete what nobody works on: leftovers, old uploads, and runs beyond the limit.

    Args:
        runs_bytes: What the runs may take; None for the store's limit.
    """
    runs = make_room(limits().runs_bytes if runs_bytes is None else runs_bytes)
    staging = list(folder("runs").glob(STAGING_FOLDERS))
    leftovers = list(folder(DAMAGED).iterdir())
    for path in _by_use():
        staging += path.rglob(STAGING_FOLDERS)
        if (path / DAMAGED).is_dir():
            leftovers.append(path / DAMAGED)
    leftovers += filter(is_free, staging)
    size = sum(bytes_under(path) for path in leftovers)
    for path in leftovers:
        used = last_used(path.parent)
        shutil.rmtree(path, ignore_errors=True)
        os.utime(path.parent, (used, used))  # to clean up is not to use
    uploads = delete_old_uploads()
    return CleanedStore(
        tuple(run.name for run in runs),
        tuple(path.name for path in leftovers),
        uploads[0],
        size + uploads[1] + sum(run.bytes for run in runs),
    )


def make_room(most: int, keep: Path | None = None) -> tuple[StoredRun, ...]:
    """Evict the least recently used runs, until the others take no more than they may.

    A run that a process works in, or that was used within `StoreLimits.recent_seconds`, stays.

    Args:
        most: Bytes that all runs of the store may take.
        keep: A run that stays, too.

    Returns:
        The evicted runs.
    """
    recent = time.time() - limits().recent_seconds
    sizes = {path: bytes_under(path) for path in _by_use()}
    total, evicted = sum(sizes.values()), []
    for path, size in sizes.items():
        if total <= most:
            break
        if path == keep or last_used(path) > recent:
            continue
        run = _describe(path)
        if _evict(path):
            evicted.append(run)
            total -= size
    return tuple(evicted)


def delete_old_uploads() -> tuple[int, int]:
    """Delete what browser sessions uploaded, once their time is over.

    Returns:
        How many sessions, and the bytes they took.
    """
    oldest = time.time() - limits().uploads_seconds
    expired = [path for path in folder("uploads").iterdir() if last_used(path) < oldest]
    size = sum(bytes_under(path) for path in expired)
    for path in expired:
        shutil.rmtree(path, ignore_errors=True)
    return len(expired), size


def _by_use() -> list[Path]:
    """Sort the folders of the runs, the least recently used first."""
    folders = (path for path in folder("runs").iterdir() if path.is_dir())
    return sorted((path for path in folders if not path.name.startswith(".")), key=last_used)


def last_used(path: Path) -> float:
    """Read when a folder was last used; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _describe(path: Path) -> StoredRun:
    used = datetime.fromtimestamp(last_used(path), UTC).isoformat(timespec="seconds")
    model: str | None = None
    variants: tuple[str, ...] = ()
    problem: str | None = None
    try:
        run = Run.open(path)
        model, variants = run.manifest.model.name, run.variants
    except RunError as error:
        problem = str(error)
    return StoredRun(
        path.name, str(path), model, variants, bytes_under(path), used, not is_free(path), problem
    )


def _verify(path: Path) -> VerifiedRun:
    damaged: list[str] = []
    checked = 0
    try:
        for manifest in sorted(path.rglob(FILE_NAME)):
            if any(part.startswith(".") for part in manifest.relative_to(path).parts):
                continue
            run = Run.open(manifest.parent)
            inside = run.folder.relative_to(path)
            checked += 1 + len(run.records)
            damaged += [(inside / name).as_posix() for name in run.damaged(again=True)]
        for note in sorted(path.rglob(f"*{SUFFIX}")):
            file = note.with_name(note.name.removesuffix(SUFFIX))
            if DAMAGED in file.relative_to(path).parts or not file.is_file():
                continue
            checked += 1
            if not is_verified(file, again=True):
                damaged.append(file.relative_to(path).as_posix())
    except RunError as error:
        problem = f"{error.stage}: got {error.got}"
        return VerifiedRun(path.name, checked, (), problem, error.todo)
    names = tuple(dict.fromkeys(damaged))
    for name in names:
        if (path / name).exists():
            quarantine(path, name)
    todo = "Ask for the same conversion again: it makes what is missing." if names else ""
    return VerifiedRun(path.name, checked, names, None, todo)


def _evict(path: Path) -> bool:
    """Delete a run that nobody works in; tell whether it is gone."""
    try:
        lock = try_lock(path)
    except OSError:
        return False
    if lock is None:
        return False
    try:
        # Renamed first: a removal that is killed leaves no half a run.
        hidden = staging_path(path.with_name(f"{path.name}.{time.time_ns()}"))
        os.replace(path, hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    finally:
        lock.release()
    return True


SECONDS = 600.0


class Upkeep:
    """A thread that deletes old uploads every so many seconds."""

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
                delete_old_uploads()
            self._end.wait(self._seconds)


UPKEEP = Upkeep()
"""Of this process."""


def mark_used(run: Path) -> None:
    """Note that a run is in use now: the least recently used is evicted first."""
    with contextlib.suppress(OSError):
        os.utime(run)


def load_runs() -> tuple[Run, ...]:
    """Load the readable runs of the store, the newest first."""
    runs = []
    for path in folder("runs").iterdir():
        if not path.name.startswith("."):  # else it is being made
            with contextlib.suppress(RunError):
                runs.append(Run.open(path))
    return tuple(sorted(runs, key=lambda run: run.manifest.created_at, reverse=True))

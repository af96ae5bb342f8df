"""What is in the store: listed, verified, and let go of when it takes too much room."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.core.checksums import SUFFIX, is_verified
from engine.core.errors import EngineError, RunError
from engine.core.files import bytes_under
from engine.core.locks import try_lock
from engine.core.store import folder, limits
from engine.runs.integrity import DAMAGED, set_apart
from engine.runs.manifest import FILE_NAME
from engine.runs.run import Run
from engine.runs.staging import abandoned_in, partial_folder


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
        in_use: Whether somebody works in it now.
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
class Verified:
    """What a look at every byte of a run found.

    Attributes:
        name: The run.
        checked: How many files were read.
        damaged: Files that are absent or not as they were written; they were set apart.
        problem: Why the run cannot be read at all; None where it can.
        todo: What helps; empty where nothing has to be done.
    """

    name: str
    checked: int
    damaged: tuple[str, ...]
    problem: str | None
    todo: str


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was let go.

    Attributes:
        runs: Runs, the least recently used first.
        leftovers: Side folders that killed processes had left, and files that were set apart.
        uploads: Browser sessions whose time was over.
        bytes: What all of it took.
    """

    runs: tuple[str, ...]
    leftovers: tuple[str, ...]
    uploads: int
    bytes: int


def listed() -> tuple[StoredRun, ...]:
    """The runs of the store, the most recently used first."""
    return tuple(_described(path) for path in reversed(_by_use()))


def verified(names: Collection[str] = ()) -> tuple[Verified, ...]:
    """Read every byte of runs; what is damaged is set apart.

    Args:
        names: The runs; all of the store when empty.
    """
    return tuple(_verified(path) for path in _by_use() if not names or path.name in names)


def cleaned(runs_bytes: int | None = None) -> Cleaned:
    """Let go of what nobody works on: leftovers, old uploads, and runs beyond the limit.

    Args:
        runs_bytes: What the runs may take; None for the store's limit.
    """
    runs = make_room(limits().runs_bytes if runs_bytes is None else runs_bytes)
    leftovers = [*abandoned_in(folder("runs")), *folder(DAMAGED).iterdir()]
    for path in _by_use():
        leftovers += [side for place in path.rglob(".*.partial") for side in _free(place)]
        if (path / DAMAGED).is_dir():
            leftovers.append(path / DAMAGED)
    took = sum(bytes_under(path) for path in leftovers)
    for path in leftovers:
        used = _used(path.parent)
        shutil.rmtree(path, ignore_errors=True)
        os.utime(path.parent, (used, used))  # to clean up is not to use
    uploads = drop_old_uploads()
    return Cleaned(
        tuple(run.name for run in runs),
        tuple(path.name for path in leftovers),
        uploads[0],
        took + uploads[1] + sum(run.bytes for run in runs),
    )


def make_room(most: int, keep: Path | None = None) -> tuple[StoredRun, ...]:
    """Let go of the least recently used runs, until the others take no more than they may.

    A run that somebody works in, or that was used within `StoreLimits.recent_seconds`, stays.

    Args:
        most: Bytes that all runs of the store may take.
        keep: A run that stays, too.

    Returns:
        What was let go.
    """
    recent = time.time() - limits().recent_seconds
    sizes = {path: bytes_under(path) for path in _by_use()}
    total, gone = sum(sizes.values()), []
    for path, size in sizes.items():
        if total <= most:
            break
        if path == keep or _used(path) > recent:
            continue
        run = _described(path)
        if _let_go(path):
            gone.append(run)
            total -= size
    return tuple(gone)


def drop_old_uploads() -> tuple[int, int]:
    """Remove what browser sessions uploaded, once their time is over.

    Returns:
        How many sessions, and the bytes they took.
    """
    oldest = time.time() - limits().uploads_seconds
    gone = [path for path in folder("uploads").iterdir() if _used(path) < oldest]
    took = sum(bytes_under(path) for path in gone)
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return len(gone), took


def _by_use() -> list[Path]:
    """Folders of the runs, the least recently used first."""
    found = [path for path in folder("runs").iterdir() if path.is_dir()]
    return sorted((path for path in found if not path.name.startswith(".")), key=_used)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _free(path: Path) -> Iterator[Path]:
    lock = try_lock(path)
    if lock is not None:
        lock.release()
        yield path


def _described(path: Path) -> StoredRun:
    lock = try_lock(path)
    if lock is not None:
        lock.release()
    used = datetime.fromtimestamp(_used(path), UTC).isoformat(timespec="seconds")
    model: str | None = None
    variants: tuple[str, ...] = ()
    problem: str | None = None
    try:
        run = Run.open(path)
        model, variants = run.manifest.model.name, run.variants
    except RunError as error:
        problem = str(error)
    size = bytes_under(path)
    return StoredRun(path.name, str(path), model, variants, size, used, lock is None, problem)


def _verified(path: Path) -> Verified:
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
        return Verified(path.name, checked, (), f"{error.stage}: got {error.got}", error.todo)
    found = tuple(dict.fromkeys(damaged))
    for name in found:
        if (path / name).exists():
            set_apart(path, name)
    todo = "Ask for the same conversion again: it makes what is missing." if found else ""
    return Verified(path.name, checked, found, None, todo)


def _let_go(path: Path) -> bool:
    """Remove a run that nobody works in."""
    try:
        lock = try_lock(path)
    except OSError:
        return False
    if lock is None:
        return False
    try:
        # Renamed first: a removal that is killed leaves no half a run.
        going = partial_folder(path.with_name(f"{path.name}.{time.time_ns()}"))
        os.replace(path, going)
        shutil.rmtree(going, ignore_errors=True)
    finally:
        lock.release()
    return True


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


def mark_used(place: Path) -> None:
    """Note that a run is of use now: the one that was not for longest is let go first."""
    try:
        os.utime(place)
    except OSError:
        return


def known_runs() -> tuple[Run, ...]:
    """The readable runs of the store, the newest first."""
    found = []
    for path in folder("runs").iterdir():
        if path.name.startswith("."):  # being made
            continue
        try:
            found.append(Run.open(path))
        except RunError:
            continue
    return tuple(sorted(found, key=lambda run: run.manifest.created_at, reverse=True))

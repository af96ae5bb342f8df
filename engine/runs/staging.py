"""Where a run is made: a hidden folder beside its place, for one process at a time.

The folder is locked while a process works in it and removed at the end, whatever happened; one
that a killed process left behind is where the next one goes on. What is whole is flushed to the
disk and renamed into its place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.core.errors import RunError
from engine.core.files import refusal, storage_error, sync, sync_tree
from engine.core.locks import FolderLock, lock_when_free, try_lock
from engine.core.types import Progress
from engine.runs.manifest import FILE_NAME

WAITING_FOR_SAME = "Waiting: the same work is under way for someone else"
_PARTIAL = ".partial"


def partial_folder(place: Path) -> Path:
    """The hidden folder in which the content of a place is made."""
    return place.with_name(f".{place.name}{_PARTIAL}")


@contextmanager
def reserved(place: Path, report: Callable[[Progress], None]) -> Iterator[Path]:
    """The folder in which the content of a place is made, for this process alone.

    Whoever asks for the same place meanwhile waits, and then finds it made.

    Args:
        place: Where the content shall go in the end.
        report: Receives progress while there is something to wait for; may raise to stop waiting.

    Yields:
        The folder; it holds what a process that was killed had made.

    Raises:
        RunError: The folder cannot be made there.
        StorageError: The disk is full.
    """
    side = partial_folder(place)
    try:
        lock = lock_when_free(side, lambda: report(Progress(WAITING_FOR_SAME, 0, 0)))
    except OSError as error:
        raise _unwritable(place, error) from error
    try:
        yield side
    finally:
        _remove_own(side, lock)


@contextmanager
def folder_beside(place: Path) -> Iterator[Path]:
    """A fresh hidden folder beside a place, removed at the end whatever happened.

    Args:
        place: Where its content shall go in the end.

    Yields:
        The folder.

    Raises:
        RunError: The folder cannot be made there.
        StorageError: The disk is full.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        side = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=_PARTIAL, dir=place.parent))
        side.chmod(0o755)
        lock = try_lock(side)
    except OSError as error:
        raise _unwritable(place, error) from error
    assert lock is not None, "nobody else knows a fresh folder"
    try:
        yield side
    finally:
        _remove_own(side, lock)


def abandoned_in(folder: Path) -> tuple[Path, ...]:
    """Hidden folders in which nobody works any more."""
    found = []
    for path in sorted(folder.glob(f".*{_PARTIAL}")):
        lock = try_lock(path)
        if lock is not None:
            lock.release()
            found.append(path)
    return tuple(found)


def move_into_place(side: Path, place: Path) -> None:
    """Make the content of a side folder a run, or a part of the run that is there.

    Args:
        side: Holds a manifest and new files.
        place: Absent, empty, or a run.
    """
    sync_tree(side)
    if not place.exists() or not any(place.iterdir()):
        os.replace(side, place)
        _sync_gently(place.parent)
        return
    folders = {place}
    for path in sorted(side.rglob("*")):
        target = place / path.relative_to(side)
        if path.is_dir():
            target.mkdir(exist_ok=True)
            folders.add(target)
        elif path.name != FILE_NAME or path.parent != side:
            os.replace(path, target)
    for folder in folders:
        sync(folder)
    os.replace(side / FILE_NAME, place / FILE_NAME)
    _sync_gently(place)


def _sync_gently(folder: Path) -> None:
    """Flush a folder whose content is whole and in place: a refusal takes nothing of it away."""
    with contextlib.suppress(OSError):
        sync(folder)


def empty(folder: Path) -> None:
    """Remove everything in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _remove_own(side: Path, lock: FolderLock) -> None:
    """Remove a side folder, unless it went to its place and another was made since."""
    if lock.is_on(side):
        shutil.rmtree(side, ignore_errors=True)
    lock.release()


def _unwritable(place: Path, error: OSError) -> Exception:
    said = refusal(error)
    if said is not None:
        return storage_error("Making the run folder", said)
    return RunError(
        "Making the run folder",
        got=f"{place}, where nothing can be written ({error.strerror})",
        expected="a place to write to",
        todo="Choose another folder.",
    )

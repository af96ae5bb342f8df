"""Staging folders: a run is made in a hidden folder beside its target, by one process at a time.

The folder is locked while a process works in it and removed at the end, whatever happened; the
next process resumes in one that a killed process left behind. What is whole is flushed to the disk
and renamed to its target.
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
STAGING_FOLDERS = f".*{_PARTIAL}"
"""Pattern of their names."""


def staging_path(target: Path) -> Path:
    """Name the staging folder of a target."""
    return target.with_name(f".{target.name}{_PARTIAL}")


@contextmanager
def staging_folder(target: Path, report: Callable[[Progress], None]) -> Iterator[Path]:
    """Lock the staging folder of a target for this process alone.

    Others that ask for the same target meanwhile wait.

    Args:
        target: Where the content shall go in the end.
        report: Receives progress while there is something to wait for; may raise to stop waiting.

    Yields:
        The folder; it holds what a process that was killed had made.

    Raises:
        RunError: The folder cannot be made there.
        StorageError: The disk is full.
    """
    staging = staging_path(target)
    try:
        lock = lock_when_free(staging, lambda: report(Progress(WAITING_FOR_SAME, 0, 0)))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield staging
    finally:
        _remove_own(staging, lock)


@contextmanager
def fresh_staging_folder(target: Path) -> Iterator[Path]:
    """Make an empty staging folder of its own beside a target, removed at the end in any case.

    Raises:
        RunError: The folder cannot be made there.
        StorageError: The disk is full.
    """
    try:
        parent = target.parent
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=_PARTIAL, dir=parent))
        staging.chmod(0o755)
        lock = try_lock(staging)
    except OSError as error:
        raise _unwritable(target, error) from error
    assert lock is not None, "nobody else knows a fresh folder"
    try:
        yield staging
    finally:
        _remove_own(staging, lock)


def is_free(folder: Path) -> bool:
    """Tell whether a folder is there and nobody works in it."""
    lock = try_lock(folder)
    if lock is not None:
        lock.release()
    return lock is not None


def move_into_place(staging: Path, target: Path) -> None:
    """Rename a staging folder with a manifest to its target, or move it file by file into a run.

    Args:
        staging: Holds a manifest and new files.
        target: Absent, empty, or a run.
    """
    sync_tree(staging)
    if not target.exists() or not any(target.iterdir()):
        os.replace(staging, target)
        _sync_gently(target.parent)
        return
    folders = {target}
    for path in sorted(staging.rglob("*")):
        moved = target / path.relative_to(staging)
        if path.is_dir():
            moved.mkdir(exist_ok=True)
            folders.add(moved)
        elif path != staging / FILE_NAME:
            os.replace(path, moved)
    for folder in folders:
        sync(folder)
    # Last: a file that no manifest lists is not a part of the run.
    os.replace(staging / FILE_NAME, target / FILE_NAME)
    _sync_gently(target)


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


def _remove_own(staging: Path, lock: FolderLock) -> None:
    """Remove a staging folder, unless it was renamed to its target and another was made since."""
    if lock.is_on(staging):
        shutil.rmtree(staging, ignore_errors=True)
    lock.release()


def _unwritable(target: Path, error: OSError) -> Exception:
    words = refusal(error)
    if words is not None:
        return storage_error("Making the run folder", words)
    return RunError(
        "Making the run folder",
        got=f"{target}, where nothing can be written ({error.strerror})",
        expected="a place to write to",
        todo="Choose another folder.",
    )

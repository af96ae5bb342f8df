"""Advisory locks on folders, between processes; the system releases them when the holder ends.

A lock is on the folder itself, so it leaves no file behind and moves with the folder when that is
renamed. Where the system has none for folders (some network shares), nothing is locked, and no
folder counts as free.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.core.errors import StorageError
from engine.core.files import refusal, storage_error

POLL_SECONDS = 0.2
_LOOK_SECONDS = 0.025
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


class FolderLock:
    """A lock that is held until `release`; use `try_lock` to get one."""

    def __init__(self, opened: int) -> None:
        self._opened = opened
        self._inode = os.fstat(opened).st_ino

    def is_on(self, path: Path) -> bool:
        """Tell whether the folder that is locked is still the one at a path."""
        try:
            return path.stat().st_ino == self._inode
        except OSError:
            return False

    def release(self) -> None:
        """Release the lock."""
        os.close(self._opened)


def try_lock(folder: Path, *, shared: bool = False) -> FolderLock | None:
    """Lock a folder, for itself or ``shared``; None while another holds it, or where it is gone.

    Raises:
        OSError: The system has no such locks here.
    """
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(opened, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(opened)
        if error.errno in _HELD:
            return None
        raise
    lock = FolderLock(opened)
    # Between opening and locking its last holder may have moved or removed it.
    if lock.is_on(folder):
        return lock
    lock.release()
    return None


def lock_when_free(folder: Path, wait: Callable[[], None]) -> FolderLock:
    """Make a folder and lock it, as soon as no other holds it.

    ``wait`` is called before every wait; what it raises ends the waiting.

    Raises:
        OSError: It cannot be made, or the system has no such locks here.
    """
    while True:
        # mkdir fails where the holder removes the folder between its check and its making.
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)
        lock = try_lock(folder)
        if lock is not None:
            return lock
        wait()
        time.sleep(POLL_SECONDS)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock a folder, made where it is absent, against all other holders while the context lasts.

    Raises:
        StorageError: It cannot be made, or the system has no such locks here.
    """
    try:
        lock = lock_when_free(folder, lambda: None)
    except OSError as error:
        raise _unlockable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def shared_lock(folder: Path) -> Iterator[None]:
    """Keep a folder from being evicted while the context lasts.

    An exclusive holder is waited for: it looks at the folder, or renames it to its target.
    """
    lock = None
    with contextlib.suppress(OSError):
        while (lock := try_lock(folder, shared=True)) is None and folder.exists():
            time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _unlockable(folder: Path, error: OSError) -> StorageError:
    """Make the error for a folder without locks, where a writer could undo another's work."""
    stage = f"Writing to {folder.name} in {folder.parent.name}"
    refused = refusal(error)
    if refused is not None:
        return storage_error(stage, refused)
    return StorageError(
        stage,
        got=f"a folder that cannot be locked ({error.strerror})",
        expected="a folder that can be written, on a disk with locks",
        todo=f"Check who may write to {folder.parent}; runs belong on a disk of this machine, "
        "since some network shares have no locks for folders.",
    )

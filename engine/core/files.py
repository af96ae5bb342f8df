"""Files written whole or not at all, and a sentence where the disk refuses.

A file is written aside, flushed to the disk and renamed; its folder is flushed after that. So a
process that is killed, or a machine that loses power, leaves the old file or the new one.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.core.errors import EngineError, StorageError

_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
# NumPy and TensorFlow pass on the words of the system without its number.
_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|read-only file system|input/output error"
    r"|\d+ requested and \d+ written",
    re.IGNORECASE,
)


def refusal(error: BaseException) -> str | None:
    """What the disk said, where an error is about the disk, or came from one that is.

    Args:
        error: Any error, of any library.

    Returns:
        The system's words, or None.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, OSError) and found.errno in _REFUSALS:
            return os.strerror(found.errno)
        if not isinstance(found, EngineError) and (words := _WORDS.search(str(found))):
            return words.group()
        found = found.__cause__ or found.__context__
    return None


def storage_error(stage: str, said: str) -> StorageError:
    """The sentence about a disk that refuses.

    Args:
        stage: What was being done.
        said: The system's words.
    """
    return StorageError(
        stage,
        got=f"a refusal of the disk ({said})",
        expected="room for what is made",
        todo="Nothing half-made was kept, and what was there before is as it was. Make room, for "
        "instance with: python -m engine store clean, and ask again.",
    )


@contextmanager
def told_of_the_disk(stage: str) -> Iterator[None]:
    """Turn every error that came from the disk into a sentence.

    Args:
        stage: What is being done.

    Raises:
        StorageError: The disk refused.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        said = refusal(error)
        if said is None:
            raise
        raise storage_error(stage, said) from error


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Args:
        file: Its path; folders that are absent are made.
        content: All of it.

    Raises:
        StorageError: The disk refuses.
    """
    with told_of_the_disk(f"Writing {file.name}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with aside.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)
        sync(file.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Flush a folder with everything in it to the disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def bytes_under(folder: Path) -> int:
    """What the files under a folder take, as far as they can be read."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total

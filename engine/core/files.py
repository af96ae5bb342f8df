"""Files written whole or not at all, and a sentence where the disk refuses.

A file is written under a temporary name, flushed to the disk and renamed; its folder is flushed
after that. So a process that is killed, or a machine that loses power, leaves the old file or the
new one.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.errors import EngineError, LabelsError, OptionError, StorageError
from engine.core.limits import LIMITS

if TYPE_CHECKING:
    import pandas as pd

_REFUSALS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
# NumPy and TensorFlow pass on the words of the system without its number.
_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|read-only file system|input/output error"
    r"|\d+ requested and \d+ written",
    re.IGNORECASE,
)


def refusal(error: BaseException) -> str | None:
    """Return the system's words where an error, or a cause of it, is about the disk."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in _REFUSALS:
            return os.strerror(cause.errno)
        if not isinstance(cause, EngineError) and (words := _WORDS.search(str(cause))):
            return words.group()
        cause = cause.__cause__ or cause.__context__
    return None


def storage_error(stage: str, words: str) -> StorageError:
    """Make the error for a disk that refuses, of the system's words."""
    return StorageError(
        stage,
        got=f"a refusal of the disk ({words})",
        expected="room for what is made",
        todo="Nothing half-made was kept, and what was there before is as it was. Make room, for "
        "instance with: python -m engine store clean, and ask again.",
    )


@contextmanager
def translate_disk_errors(stage: str) -> Iterator[None]:
    """Raise `StorageError` in place of every error that came from the disk."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        words = refusal(error)
        if words is None:
            raise
        raise storage_error(stage, words) from error


def write_whole(file: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all; folders that are absent are made.

    Files that can be made again need not be ``durable``: they are not flushed to the disk.

    Raises:
        StorageError: The disk refuses.
    """
    with translate_disk_errors(f"Writing {file.name}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, content, durable=durable)


def _replace(file: Path, content: bytes, *, durable: bool) -> None:
    staged = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with staged.open("wb") as opened:
            opened.write(content)
            if durable:
                opened.flush()
                os.fsync(opened.fileno())
        os.replace(staged, file)
    finally:
        staged.unlink(missing_ok=True)
    if durable:
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
    """Sum the sizes of the files under a folder, as far as they can be read."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


# UTF-32's mark begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def read_text(path: Path, stage: str, expected: str) -> str:
    """Read a text file in UTF-8, or in what its byte order mark says, without the mark.

    Raises:
        LabelsError: Of that stage and expectation: it cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LIMITS.text_bytes + 1)
    except OSError as error:
        raise LabelsError(
            stage,
            got=f"{path}, which cannot be read ({error.strerror})",
            expected=expected,
            todo="Check the path.",
        ) from error
    if len(data) > LIMITS.text_bytes:
        raise LabelsError(
            stage,
            got=f"more than {LIMITS.text_bytes / 1e6:.0f} MB",
            expected=expected,
            todo="Check that it is the right file.",
        )
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise LabelsError(
            stage,
            got=f"bytes that are no {encoding.removesuffix('-sig').upper()} text ({error.reason})",
            expected=expected,
            todo="Save it as UTF-8 text.",
        ) from error
    strange = next((c for c in text if c not in "\n\r\t" and (ord(c) < 32 or c == "\x7f")), None)
    if strange is not None:
        raise LabelsError(
            stage,
            got=f"a control character (code {ord(strange)})",
            expected=expected,
            todo="Save it as plain UTF-8 text.",
        )
    return text


def escape_formula(text: str) -> str:
    """Make text from outside safe for a cell that a spreadsheet may open: no formula.

    A spreadsheet runs what begins with ``=``, ``+``, ``-``, ``@``, a tabulator or a carriage
    return; an apostrophe in front makes it text.
    """
    return f"'{text}" if text.startswith(_FORMULAS) else text


def escape_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Make every text of a table for a CSV file safe, those of its header, too."""
    cells = table.map(lambda value: escape_formula(value) if isinstance(value, str) else value)
    return cells.rename(
        columns=lambda name: escape_formula(name) if isinstance(name, str) else name
    )


def figure_text(text: str) -> str:
    """Escape text from outside for a figure: Plotly interprets tags."""
    return escape(text, quote=False)


@contextmanager
def demand_writable(path: str | Path, todo: str = "Choose another file.") -> Iterator[None]:
    """Raise `OptionError` where the system refuses to write what a person named."""
    try:
        yield
    except OSError as error:
        raise OptionError(
            f"Writing {path}",
            got=f"a refusal ({error.strerror or error})",
            expected="a place to write to",
            todo=todo,
        ) from error


def write_text(text: str, target: str) -> None:
    """Write a text file that a person named; as `write_bytes`."""
    write_bytes(text.encode(), target)


def write_bytes(content: bytes, target: str) -> None:
    """Write a file that a person named, whole or not at all.

    Raises:
        OptionError: It cannot be written.
    """
    with demand_writable(target):
        _replace(Path(target), content, durable=False)

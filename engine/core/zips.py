"""Zips from outside, read entry by entry: nothing is unpacked to a path that the zip names."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from engine.core.errors import EngineError
from engine.core.limits import LIMITS

_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65535
_END64, _END64_BYTES = b"PK\x06\x06", 56 + 20
"""Of the end of a zip64 and the pointer to it, which stand before the plain end."""
_MOST_DIRECTORY_BYTES_AN_ENTRY = 1024
_CHUNK = 1 << 16
_RATIO_COUNTS_FROM = 1 << 20
"""A small file may be packed as tightly as it likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipRules:
    """What is taken from a zip, and how it is refused.

    Attributes:
        packed_bytes: Most of the zip itself.
        entries: Most files and folders in it.
        entry_bytes: Most of one file that comes out.
        unpacked_bytes: Most of all files that come out together.
        refused: Makes the error of ``got`` and ``expected``.
    """

    packed_bytes: int
    entries: int
    entry_bytes: int
    unpacked_bytes: int
    refused: Callable[[str, str], EngineError]


class CheckedZip:
    """An opened zip whose names lead nowhere else.

    Attributes:
        files: Its files in their order, without hidden ones and folders.
    """

    def __init__(self, archive: zipfile.ZipFile, rules: ZipRules) -> None:
        self._archive, self._rules = archive, rules
        self._room = rules.unpacked_bytes
        entries = archive.infolist()
        if len(entries) > rules.entries:
            raise rules.refused("too many entries", f"at most {rules.entries:,} files")
        self.files = tuple(entry for entry in entries if _is_plain_file(entry, rules))

    def unpack(self, entry: zipfile.ZipInfo) -> bytes:
        """Unpack chunk by chunk, by what comes out: the sizes that a zip states may lie."""
        rules = self._rules
        content = bytearray()
        packed = max(1, entry.compress_size)
        with self._archive.open(entry) as file:
            while chunk := file.read(_CHUNK):
                content += chunk
                if len(content) > rules.entry_bytes:
                    limit = f"{rules.entry_bytes / 1e6:.0f} MB"
                    raise rules.refused(
                        f"{entry.filename!r} of more than {limit}", f"files of at most {limit}"
                    )
                if len(content) > self._room:
                    raise rules.refused(
                        "more bytes unpacked than fit",
                        f"at most {rules.unpacked_bytes / 1e9:.1f} GB of files",
                    )
                if len(content) > max(_RATIO_COUNTS_FROM, LIMITS.zip_ratio * packed):
                    raise rules.refused(
                        f"{entry.filename!r}, packed more than {LIMITS.zip_ratio} times smaller",
                        "files that were not packed so tightly",
                    )
        self._room -= len(content)
        return bytes(content)


def is_zip(data: bytes) -> bool:
    """Tell whether bytes begin like a zip, whatever the file is called."""
    return data[:4] in {b"PK\x03\x04", _END}


@contextmanager
def open_zip(file: BinaryIO, rules: ZipRules) -> Iterator[CheckedZip]:
    """Open a zip whose every name was looked at; its files are unpacked while it is open.

    Raises:
        EngineError: As ``rules`` makes it: the zip is damaged or too large, or holds links,
            passwords, or names that lead out of it. Also raised for what unpacking meets.
    """
    size = file.seek(0, io.SEEK_END)
    if size > rules.packed_bytes:
        raise rules.refused(f"{size / 1e6:.0f} MB", f"at most {rules.packed_bytes / 1e6:.0f} MB")
    problem = directory_problem(file, rules.entries)
    if problem is not None:
        raise rules.refused(*problem)
    try:
        with zipfile.ZipFile(file) as archive:
            yield CheckedZip(archive, rules)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise rules.refused(f"a damaged zip ({error})", "a whole zip") from error


def directory_problem(file: BinaryIO, entries: int) -> tuple[str, str] | None:
    """Look at the end of a zip, before anything reads its list of entries into memory.

    Returns:
        What is wrong and what is expected; None where the list may be read.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT - _END64_BYTES))
    tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) < end + _END_BYTES:
        return "a zip without its end", "a whole zip"
    counted, directory = struct.unpack_from("<HI", tail, end + 10)
    end64 = tail[max(0, end - _END64_BYTES) : end]
    if end64.startswith(_END64):  # zipfile takes what this says instead
        counted, directory = struct.unpack_from("<QQ", end64, 32)
    if directory > entries * _MOST_DIRECTORY_BYTES_AN_ENTRY or counted > entries:
        return "too many entries", f"at most {entries:,} files"
    return None


def _is_plain_file(entry: zipfile.ZipInfo, rules: ZipRules) -> bool:
    path = PurePosixPath(entry.filename)
    leads_out = (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in entry.orig_filename
        or "\0" in entry.orig_filename
        or entry.filename[1:2] == ":"
    )
    if leads_out:
        raise rules.refused(f"the name {entry.orig_filename!r}", "names within the zip")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise rules.refused(f"{entry.filename!r}, which is a link or a device", "files alone")
    if entry.flag_bits & 1:
        raise rules.refused(f"{entry.filename!r} behind a password", "files without one")
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not entry.is_dir() and not hidden

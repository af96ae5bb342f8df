"""Zips of pictures, read entry by entry: nothing is unpacked to a path that the zip names."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.errors import PictureError
from engine.images import PICTURE_SUFFIXES
from engine.limits import LIMITS

_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65535
_MOST_DIRECTORY_BYTES_AN_ENTRY = 1024
_CHUNK = 1 << 16
_RATIO_COUNTS_FROM = 1 << 20
"""A small file may be packed as tightly as it likes."""


@dataclass(frozen=True, slots=True)
class ZippedPicture:
    """A file in a zip whose name ends like a picture's.

    Attributes:
        name: Path within the zip, with ``/``.
        content: Its bytes; nothing is known of them yet.
    """

    name: str
    content: bytes


def is_zip(data: bytes) -> bool:
    """Whether bytes begin like a zip, whatever the file is called."""
    return data[:4] in {b"PK\x03\x04", _END}


def zipped_pictures(data: bytes, name: str) -> Iterator[ZippedPicture]:
    """The pictures of a zip, one after the other; other files in it are passed over.

    Every name is looked at before the first file is unpacked.

    Args:
        data: The zip.
        name: What to call it in messages.

    Yields:
        One record a file with the ending of a picture; hidden ones are passed over.

    Raises:
        PictureError: It is damaged or too large, holds links, passwords or names that lead out of
            it, or no picture at all.
    """
    stage = f"Reading the zip {name}"
    _check_directory(data, stage)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > LIMITS.zip_entries:
                raise _too_many(stage)
            wanted = [entry for entry in entries if _is_wanted(entry, stage)]
            if not wanted:
                raise _refused(
                    stage, "no picture", "files that end in " + ", ".join(sorted(PICTURE_SUFFIXES))
                )
            room = LIMITS.zip_unpacked_bytes
            for entry in wanted:
                content = _unpacked(archive, entry, stage, room)
                room -= len(content)
                yield ZippedPicture(entry.filename, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise _refused(stage, f"a damaged zip ({error})", "a whole zip") from error


def _check_directory(data: bytes, stage: str) -> None:
    """Refuse a list of entries that would fill memory, before anything reads it."""
    if len(data) > LIMITS.upload_bytes:
        raise _refused(
            stage, f"{len(data) / 1e6:.0f} MB", f"at most {LIMITS.upload_bytes / 1e6:.0f} MB"
        )
    end = data.rfind(_END, max(0, len(data) - _END_BYTES - _LONGEST_COMMENT))
    if end < 0 or len(data) < end + _END_BYTES:
        raise _refused(stage, "a zip without its end", "a whole zip")
    entries, size = struct.unpack_from("<HI", data, end + 10)
    if size > LIMITS.zip_entries * _MOST_DIRECTORY_BYTES_AN_ENTRY or entries > LIMITS.zip_entries:
        raise _too_many(stage)


def _is_wanted(entry: zipfile.ZipInfo, stage: str) -> bool:
    path = PurePosixPath(entry.filename)
    leads_out = (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in entry.orig_filename
        or "\0" in entry.orig_filename
        or entry.filename[1:2] == ":"
    )
    if leads_out:
        raise _refused(stage, f"the name {entry.orig_filename!r}", "names within the zip")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise _refused(stage, f"{entry.filename!r}, which is a link or a device", "files alone")
    if entry.flag_bits & 1:
        raise _refused(stage, f"{entry.filename!r} behind a password", "files without one")
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return not entry.is_dir() and not hidden and path.suffix.lower() in PICTURE_SUFFIXES


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, stage: str, room: int) -> bytes:
    """Unpack chunk by chunk, by what comes out: the sizes that a zip states may lie."""
    found = bytearray()
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            found += chunk
            if len(found) > LIMITS.picture_bytes:
                limit = LIMITS.picture_bytes / 1e6
                raise _refused(
                    stage,
                    f"{entry.filename!r} of more than {limit:.0f} MB",
                    f"pictures of at most {limit:.0f} MB",
                )
            if len(found) > room:
                raise _refused(
                    stage,
                    "more bytes unpacked than fit",
                    f"at most {LIMITS.zip_unpacked_bytes / 1e9:.1f} GB of pictures",
                )
            packed = max(1, entry.compress_size)
            if len(found) > max(_RATIO_COUNTS_FROM, LIMITS.zip_ratio * packed):
                raise _refused(
                    stage,
                    f"{entry.filename!r}, packed more than {LIMITS.zip_ratio} times smaller",
                    "pictures, which cannot be packed so",
                )
    return bytes(found)


def _too_many(stage: str) -> PictureError:
    return _refused(stage, "too many entries", f"at most {LIMITS.zip_entries:,} files")


def _refused(stage: str, got: str, expected: str) -> PictureError:
    return PictureError(
        stage, got=got, expected=expected, todo="Pack the pictures alone, or drop them one by one."
    )

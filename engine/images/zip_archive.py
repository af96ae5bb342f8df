"""Zips of pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.core.errors import PictureError
from engine.core.limits import LIMITS
from engine.core.zips import ZipRules, open_zip
from engine.images.pictures import PICTURE_SUFFIXES


@dataclass(frozen=True, slots=True)
class ZippedPicture:
    """A file in a zip whose name ends like a picture's.

    Attributes:
        name: Path within the zip, with ``/``.
        content: Its bytes; nothing is known of them yet.
    """

    name: str
    content: bytes


def read_zip_pictures(data: bytes, name: str) -> Iterator[ZippedPicture]:
    """Unpack the images of a zip, one after the other; hidden and other files are left out.

    Every name is looked at before the first file is unpacked.

    Raises:
        PictureError: It is damaged or too large, holds links, passwords or names that lead out of
            it, or no picture at all.
    """

    def refuse(got: str, expected: str) -> PictureError:
        return PictureError(
            f"Reading the zip {name}",
            got=got,
            expected=expected,
            todo="Pack the pictures alone, or drop them one by one.",
        )

    rules = ZipRules(
        packed_bytes=LIMITS.upload_bytes,
        entries=LIMITS.zip_entries,
        entry_bytes=LIMITS.picture_bytes,
        unpacked_bytes=LIMITS.zip_unpacked_bytes,
        refused=refuse,
    )
    with open_zip(io.BytesIO(data), rules) as archive:
        pictures = [entry for entry in archive.files if _is_picture(entry.filename)]
        if not pictures:
            raise refuse("no picture", "files that end in " + ", ".join(sorted(PICTURE_SUFFIXES)))
        for entry in pictures:
            yield ZippedPicture(entry.filename, archive.unpack(entry))


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES

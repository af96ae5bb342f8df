"""Pictures brought to a network's size, kept on disk by their content.

Decoding and resizing a photo costs more than running a small integer model on it. What comes out
depends on the file's bytes and on how it is fitted, so one copy serves every column, every run of
that input size and every later evaluation. Pixels are kept before normalization: a quarter of the
bytes, and networks that differ in mean and std alone share them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np

from engine.core.store import folder
from engine.core.types import FloatArray
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessSpec

LIMIT_BYTES = 2 * 1024**3
_DIGEST_BYTES = 32


class FittedPictures:
    """Network inputs of pictures; any thread may ask.

    Pictures for which there is no room are decoded whenever they are asked for.

    Args:
        preprocess: What the network expects.
        wanted: SHA-256 digests of the pictures that will be asked for; only others make room.
        limit: Bytes that all kept pictures may take.
    """

    def __init__(
        self, preprocess: PreprocessSpec, wanted: Collection[str], limit: int = LIMIT_BYTES
    ) -> None:
        self._preprocess = preprocess
        self._place = folder("cache") / "pictures" / preprocess.fitting_key
        self._place.mkdir(parents=True, exist_ok=True)
        self._shape = preprocess.height, preprocess.width, len(preprocess.picture_mode)
        size = prod(self._shape) + _DIGEST_BYTES
        absent = sum(not self._file(digest).exists() for digest in set(wanted))
        kept = {self._file(digest) for digest in wanted}
        self._room = min(absent, make_room(self._place.parent, absent * size, limit, kept) // size)
        self._lock = threading.Lock()

    def input_of(self, picture: Picture) -> FloatArray:
        """Decode, fit and normalize a picture, or read what that gave before.

        Returns:
            Shape (height, width, channels), float32.

        Raises:
            PictureError: It cannot be decoded.
        """
        return self._preprocess.normalized(self._fitted(picture))

    def _fitted(self, picture: Picture) -> np.ndarray:
        file = self._file(picture.sha256)
        known = self._kept(file)
        if known is not None:
            return known
        fitted = self._preprocess.fitted(picture.decode(self._preprocess.picture_mode))
        with self._lock:
            self._room -= 1
            room = self._room >= 0
        if room:
            self._keep(file, fitted)
        return fitted

    def _kept(self, file: Path) -> np.ndarray | None:
        """The pixels in a file, if they are as they were written: their digest follows them."""
        try:
            content = file.read_bytes()
        except OSError:
            return None
        pixels, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if len(pixels) != prod(self._shape) or hashlib.sha256(pixels).digest() != digest:
            return None
        return np.frombuffer(pixels, dtype=np.uint8).reshape(self._shape)

    def _keep(self, file: Path, fitted: np.ndarray) -> None:
        """Keep pixels, unless the disk is full: they can be made again."""
        aside = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
        pixels = fitted.tobytes()
        try:
            aside.write_bytes(pixels + hashlib.sha256(pixels).digest())
            os.replace(aside, file)
        except OSError:
            aside.unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        return self._place / f"{digest}.rgb"


def make_room(place: Path, wanted: int, limit: int, kept: Collection[Path]) -> int:
    """Delete the files written longest ago until there is room for more.

    Args:
        place: Folder with the files, in subfolders.
        wanted: Bytes to come.
        limit: Bytes that all files may take.
        kept: Files that stay.

    Returns:
        Bytes that may come, at least 0.
    """
    found = []
    for path in place.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # another process moved it into place
            found.append((path, path.stat()))
    used = sum(about.st_size for _, about in found)
    for path, about in sorted(found, key=lambda pair: pair[1].st_mtime):
        if used + wanted <= limit:
            break
        if path not in kept:
            path.unlink(missing_ok=True)
            used -= about.st_size
    return max(0, limit - used)

"""On-disk cache of resized images, keyed by SHA-256.

Decoding and resizing a photo costs more than running a small integer model on it. What comes out
depends on the file's bytes and on how it is fitted, so one copy serves every column, every run of
that input size and every later evaluation. Pixels are stored before normalization: a quarter of the
bytes, and networks that differ in mean and std alone share them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.core.checksums import SUFFIX, delete_verified, read_verified, write_verified
from engine.core.errors import StorageError
from engine.core.store import folder
from engine.core.types import FloatArray
from engine.images.pictures import Picture
from engine.images.preprocess import PreprocessSpec

LIMIT_BYTES = 2 * 1024**3


class FittedPictures:
    """Network inputs of images; any thread may ask.

    Images for which there is no room are decoded whenever they are asked for.

    Args:
        preprocess: What the network expects.
        wanted: SHA-256 digests of the images that will be asked for; only others make room.
        limit: Bytes that the whole cache may take.
    """

    def __init__(
        self, preprocess: PreprocessSpec, wanted: Collection[str], limit: int = LIMIT_BYTES
    ) -> None:
        self._preprocess = preprocess
        self._folder = folder("cache") / "pictures" / preprocess.fitting_key
        self._folder.mkdir(parents=True, exist_ok=True)
        self._shape = preprocess.height, preprocess.width, len(preprocess.picture_mode)
        size = prod(self._shape)
        files = {self._file(digest) for digest in wanted}
        absent = sum(not file.exists() for file in files)
        self._room = min(
            absent, make_room(self._folder.parent, absent * size, limit, files) // size
        )
        self._lock = threading.Lock()

    def input_of(self, picture: Picture) -> FloatArray:
        """Decode, fit and normalize an image, or read what that gave before.

        Returns:
            Shape (height, width, channels), float32.

        Raises:
            PictureError: It cannot be decoded.
        """
        return self._preprocess.normalized(self.pixels_of(picture))

    def pixels_of(self, picture: Picture) -> NDArray[np.uint8]:
        """Decode and fit an image, or read what that gave before.

        Returns:
            As `PreprocessSpec.fitted`.

        Raises:
            PictureError: It cannot be decoded.
        """
        file = self._file(picture.sha256)
        cached = self._read(file)
        if cached is not None:
            return cached
        fitted = self._preprocess.fitted(picture.decode(self._preprocess.picture_mode))
        with self._lock:
            self._room -= 1
            room = self._room >= 0
        if room:
            # On a full disk it is made again whenever it is asked for.
            with contextlib.suppress(OSError, StorageError):
                write_verified(file, fitted.tobytes(), durable=False)
        return fitted

    def _read(self, file: Path) -> np.ndarray | None:
        try:
            pixels = read_verified(file)
        except OSError:
            return None
        if len(pixels) != prod(self._shape):
            return None
        return np.frombuffer(pixels, dtype=np.uint8).reshape(self._shape)

    def _file(self, digest: str) -> Path:
        return self._folder / f"{digest}.rgb"


def make_room(cache: Path, wanted: int, limit: int, needed: Collection[Path]) -> int:
    """Delete the files written longest ago until there is room for more.

    Args:
        cache: Folder with the files, in subfolders.
        wanted: Bytes to come.
        limit: Bytes that all files may take.
        needed: Files that stay.

    Returns:
        Bytes that may come, at least 0.
    """
    files = []
    for path in cache.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # another process renamed it
            if path.suffix != SUFFIX:
                files.append((path, path.stat()))
    used = sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda pair: pair[1].st_mtime):
        if used + wanted <= limit:
            break
        if path not in needed:
            delete_verified(path)
            used -= status.st_size
    return max(0, limit - used)

"""Bytes from anywhere become an RGB picture, or a sentence that says why not."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.errors import PictureError

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "MPO")
LARGEST_BYTES = 64 * 1024**2
LARGEST_PIXELS = 100_000_000

RgbPicture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file and what it holds.

    Attributes:
        name: Unique within its set; the path below the folder it was found in.
        path: Where the file is.
        sha256: Hex digest of the file's bytes.
    """

    name: str
    path: Path
    sha256: str

    def decode(self) -> RgbPicture:
        """Read and decode the file; see `decode_picture`."""
        return decode_picture(self.path.read_bytes(), self.name)


def decode_picture(data: bytes, name: str) -> RgbPicture:
    """Decode a picture upright, in RGB with 8 bits a channel.

    EXIF rotation is applied, transparency is laid on white, 16-bit grey is scaled down, of an
    animation the first frame is taken.

    Args:
        data: Content of the file.
        name: What to call it in messages.

    Returns:
        Array of shape (rows, columns, 3), uint8.

    Raises:
        PictureError: The bytes are no picture, a damaged one, or too large.
    """
    if len(data) > LARGEST_BYTES:
        raise _refused(name, f"{len(data) / 1e6:.0f} MB", f"at most {LARGEST_BYTES / 1e6:.0f} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                if picture.width * picture.height > LARGEST_PIXELS:
                    raise _refused(
                        name,
                        f"{picture.width} x {picture.height} pixels",
                        f"at most {LARGEST_PIXELS / 1e6:.0f} million pixels",
                    )
                picture.load()
                return np.array(_rgb(ImageOps.exif_transpose(picture)))
    except PictureError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _refused(
            name, "bytes that are no picture", "JPEG, PNG, WebP, BMP, GIF or TIFF"
        ) from (error)
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise _refused(name, f"a damaged picture ({error})", "a whole picture file") from error


def _refused(name: str, got: str, expected: str) -> PictureError:
    return PictureError(
        f"Reading the picture {name}",
        got=got,
        expected=expected,
        todo="Save it again as JPEG or PNG, or leave it out.",
    )


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        # Pillow's convert() clips instead of scaling.
        values = np.asarray(picture, dtype=np.float64)
        full = 255 / 65535 if picture.mode != "F" or values.max() > 255 else 1.0
        picture = Image.fromarray(np.clip(values * full, 0, 255).astype(np.uint8), mode=None)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def pictures_in(folder: Path) -> tuple[Picture, ...]:
    """List the pictures of a folder and its subfolders, sorted by name.

    Args:
        folder: The folder.

    Returns:
        One record a file with the ending of a picture; hidden files are passed over.

    Raises:
        PictureError: The folder is absent or holds no picture.
    """
    if not folder.is_dir():
        raise PictureError(
            "Looking for pictures",
            got=f"{folder}, which is {'a file' if folder.exists() else 'not there'}",
            expected="a folder with pictures",
            todo="Check the path.",
        )
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise PictureError(
            "Looking for pictures",
            got=f"no picture in {folder}",
            expected="files that end in " + ", ".join(sorted(PICTURE_SUFFIXES)),
            todo="Put pictures into it, or name another folder.",
        )
    return tuple(picture_at(path, path.relative_to(folder).as_posix()) for path in files)


def picture_at(path: Path, name: str | None = None) -> Picture:
    """Describe one picture file.

    Args:
        path: The file.
        name: What to call it; by default the file's name.

    Returns:
        Its record, with the digest of its bytes.
    """
    return Picture(name or path.name, path, hashlib.sha256(path.read_bytes()).hexdigest())


def digest_of(pictures: tuple[Picture, ...]) -> str:
    """SHA-256 over the digests of pictures, in their order."""
    joined = "".join(picture.sha256 for picture in pictures)
    return hashlib.sha256(joined.encode()).hexdigest()

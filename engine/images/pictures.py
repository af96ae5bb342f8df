"""Bytes from anywhere become a picture in RGB or RGBA, or a sentence that says why not."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from engine.core.checksums import digest_of_file
from engine.core.errors import PictureError
from engine.core.file_types import A_PICTURE, HEAD_BYTES, kind_of_head
from engine.core.limits import LIMITS
from engine.core.types import PictureMode
from engine.core.zips import is_zip

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
)
_UNREADABLE_SUFFIXES = frozenset(
    {".heic", ".heif", ".hif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".tga", ".ppm", ".pgm"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".exr", ".hdr"}
    | {".ico", ".dcm", ".npy"}
)
"""Endings of files that a person may take for pictures of the set."""
DEFAULT_LAYERS_COUNT = 32
DEFAULT_CURVE_COUNT = DEFAULT_TARGETS_COUNT = 20
"""Pictures that errors of layers, curves of robustness and targets take where no count is named."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""What Pillow may open; it takes the MPO of some cameras for JPEG."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""TIFF 6.0, section 8."""
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

    def decode(self, mode: PictureMode = "RGB") -> RgbPicture:
        """Read and decode the file; see `decode_picture`.

        Args:
            mode: As for `decode_with_notes`.

        Raises:
            PictureError: It cannot be read, is no picture that can be used, or is another one than
                when it was listed: what is computed from it is stored by its digest.
        """
        data = _content(self.path, self.name)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise PictureError(
                f"Reading the picture {self.name}",
                got="a file that has changed since it was listed",
                expected="the picture that was listed",
                todo="Choose the pictures again.",
            )
        return decode_picture(data, self.name, mode)


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture as the networks see it.

    Attributes:
        pixels: Shape (rows, columns, 3), uint8, red first; 4 with the alpha channel.
        notes: Sentences about what was left out, such as the later frames of an animation.
    """

    pixels: RgbPicture
    notes: tuple[str, ...]


def decode_file(path: Path, name: str, mode: PictureMode = "RGB") -> RgbPicture:
    """Read and decode an image file; see `decode_with_notes`."""
    return decode_picture(_content(path, name), name, mode)


def _content(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            # Never more than the limit: the file may be larger than memory, or endless.
            data = file.read(LIMITS.picture_bytes + 1)
    except OSError as error:
        raise _refusal(
            name, f"a file that cannot be read ({error.strerror})", "a picture file"
        ) from error
    _demand_bytes(data, name)
    return data


def _demand_bytes(data: bytes, name: str) -> None:
    if len(data) > LIMITS.picture_bytes:
        limit = LIMITS.picture_bytes / 1e6
        raise _refusal(name, f"more than {limit:.0f} MB", f"at most {limit:.0f} MB")


def decode_picture(data: bytes, name: str, mode: PictureMode = "RGB") -> RgbPicture:
    """Decode a picture upright, with 8 bits a channel; see `decode_with_notes`."""
    return decode_with_notes(data, name, mode).pixels


def decode_with_notes(data: bytes, name: str, mode: PictureMode = "RGB") -> DecodedPicture:
    """Decode an image upright, with 8 bits a channel, and say what was left out.

    EXIF rotation is applied, transparency is laid on white in RGB, 16-bit grey is scaled down, of
    an animation the first frame is taken. All of it is decoded, since a header says nothing of a
    file that ends in its middle.

    ``RGBA`` keeps transparency; the alpha of opaque images is 255.

    Raises:
        PictureError: The bytes are no picture, a damaged one, one whose colours cannot be brought
            to RGB, or too large.
    """
    _demand_bytes(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                _demand_size(picture, name)
                notes = _frames_note(picture, name)
                picture.load()
                # Some formats tell their true size only now.
                _demand_size(picture, name)
                # Read first: what exif_transpose() turned has no tags any more.
                tags = getattr(picture, "tag_v2", {})
                upright = ImageOps.exif_transpose(picture)
                return DecodedPicture(np.array(_in_mode(upright, name, tags, mode)), notes)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise _refusal(
            name, _describe_other(data), "a picture in JPEG, PNG, WebP, BMP, GIF or TIFF"
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, "far too many pixels for a picture") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise _refusal(name, f"a damaged picture ({error})", "a whole picture file") from error


def _demand_size(picture: Image.Image, name: str) -> None:
    if picture.width * picture.height > LIMITS.picture_pixels:
        raise _too_many_pixels(name, f"{picture.width} x {picture.height} pixels")


def _too_many_pixels(name: str, got: str) -> PictureError:
    return _refusal(name, got, f"at most {LIMITS.picture_pixels / 1e6:.0f} million pixels")


def _frames_note(picture: Image.Image, name: str) -> tuple[str, ...]:
    """Count the frames of an animation without decoding them, and go back to the first."""
    if not getattr(picture, "is_animated", False) or picture.format == "MPO":
        return ()  # the second picture of an MPO is a preview or the other eye's
    frames = getattr(picture, "n_frames", 1)
    if frames > LIMITS.picture_frames:
        raise _refusal(name, f"{frames:,} frames", f"at most {LIMITS.picture_frames:,} frames")
    picture.seek(0)
    what = "pages" if picture.format == "TIFF" else "frames"
    return (f"{name} has {frames} {what}; the first is used.",)


def _describe_other(data: bytes) -> str:
    """Tell by their beginning what bytes are that Pillow does not know as an image."""
    if b"<svg" in data[:4096].lower():
        return "an SVG drawing, which has no pixels"
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    if is_zip(data):
        return "a zip or an office document"
    kind = kind_of_head(data[:HEAD_BYTES])
    tells = kind.name == "other" and kind.words != A_PICTURE  # only a part of one
    return kind.words if tells else "bytes that are no picture"


def _refusal(name: str, got: str, expected: str) -> PictureError:
    return PictureError(
        f"Reading the picture {name}",
        got=got,
        expected=expected,
        todo="Save it again as JPEG or PNG, or leave it out.",
    )


def _in_mode(
    picture: Image.Image, name: str, tags: Mapping[int, Any], mode: PictureMode
) -> Image.Image:
    if picture.mode in {"I", "F"}:
        raise _refusal(
            name, "pixels of 32 bits, of which nothing says what is white", "8 or 16 bits a channel"
        )
    if picture.mode in {"LAB", "HSV"}:
        raise _refusal(name, f"colours in {picture.mode}", "RGB, CMYK, grey or a palette")
    if picture.mode.startswith("I;16"):
        # Pillow's convert() clips instead of scaling, and inverts 8 bits alone.
        values = np.asarray(picture).astype(np.int64)
        clear = picture.info.get("transparency")
        white = 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1
        grey = ((values * 255 + white // 2) // white).astype(np.uint8)
        picture = Image.fromarray(255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey)
        if isinstance(clear, int):
            picture.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if mode == "RGBA":
            return picture
        # Pasting takes half of the memory of alpha_composite().
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    opaque = picture.convert("RGB")
    return opaque if mode == "RGB" else opaque.convert(mode)


def megapixels_of(picture: Picture) -> float:
    """Read width times height of a picture from its file's head, in millions of pixels.

    Raises:
        PictureError: The file cannot be read, or is no picture.
    """
    try:
        with Image.open(picture.path, formats=FORMATS) as image:
            return image.width * image.height / 1e6
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _refusal(picture.name, "a file that cannot be read", "a picture file") from error


def brightness_of(pixels: RgbPicture) -> float:
    """Average the luma of pixels (ITU-R BT.601), 0 for black to 1 for white.

    Args:
        pixels: Shape (rows, columns, channels), uint8, red first; a fourth channel is left out.
    """
    channels = pixels[..., :3].reshape(-1, 3).mean(axis=0, dtype=np.float64)
    return float(channels @ (0.299, 0.587, 0.114)) / 255


def pictures_in(folder: Path) -> tuple[Picture, ...]:
    """List the images of a folder and its subfolders, sorted by name.

    Returns:
        One record a file with the ending of a picture, also in linked folders; hidden files are
        passed over.

    Raises:
        PictureError: The folder is absent, cannot be read, or holds no picture.
    """
    if not folder.is_dir():
        raise PictureError(
            "Looking for pictures",
            got=f"{folder}, which is {'a file' if folder.exists() else 'not there'}",
            expected="a folder with pictures",
            todo="Check the path.",
        )
    files = _files_below(folder, PICTURE_SUFFIXES)
    if not files:
        raise PictureError(
            "Looking for pictures",
            got=f"no picture in {folder}" + "".join(f", {count}" for count in count_unread(folder)),
            expected="files that end in " + ", ".join(sorted(PICTURE_SUFFIXES)),
            todo="Put pictures into it, or name another folder.",
        )
    above = len(folder.parts)
    return tuple(picture_at(path, "/".join(path.parts[above:])) for path in files)


def count_unread(folder: Path) -> tuple[str, ...]:
    """Count the images of a folder in formats that are not read: ``12 .heic``, by ending."""
    endings = Counter(path.suffix.lower() for path in _files_below(folder, _UNREADABLE_SUFFIXES))
    return tuple(f"{count} {ending}" for ending, count in sorted(endings.items()))


def _files_below(folder: Path, suffixes: Container[str]) -> list[Path]:
    """List the files with such an ending, sorted by path; hidden files are left out.

    Linked folders are listed, too, after all others, and no folder twice: links may form rings.
    """
    files: list[Path] = []
    folders, links, seen = [folder], list[Path](), set[Path]()
    while folders or links:
        current = folders.pop() if folders else links.pop(0)
        real = current.resolve()
        if real in seen:
            continue
        seen.add(real)
        for entry in sorted(_entries(current), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            path, linked = current / entry.name, entry.is_symlink()
            # A folder knows what its entries are: the file system is asked only of a link, and by
            # `Path`, for which one that leads nowhere is no error.
            asked = path if linked else entry
            if asked.is_dir():
                (links if linked else folders).append(path)
            elif path.suffix.lower() in suffixes and asked.is_file():
                files.append(path)
    return sorted(files, key=lambda path: path.parts)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise PictureError(
            "Looking for pictures",
            got=f"{folder}, which cannot be read ({error.strerror})",
            expected="a folder with pictures",
            todo="Check who may read it, or leave it out.",
        ) from error


def picture_at(path: Path, name: str | None = None) -> Picture:
    """Describe one image file, called by the file's name or another; PictureError if unreadable."""
    called = name or path.name
    try:
        return Picture(called, path, digest_of_file(path))
    except OSError as error:
        raise _refusal(
            called, f"a file that cannot be read ({error.strerror})", "a picture file"
        ) from error


def digest_of(pictures: tuple[Picture, ...]) -> str:
    """SHA-256 over the digests of pictures, in their order."""
    joined = "".join(picture.sha256 for picture in pictures)
    return hashlib.sha256(joined.encode()).hexdigest()


def as_pictures(files: Iterable[Path]) -> tuple[Picture, ...]:
    """Describe picture files under names that are unique among them."""
    paths = tuple(files)
    taken: set[str] = set()
    pictures = []
    given = {path.name for path in paths}
    for path in paths:
        name, count = path.name, 1
        while name in taken or (count > 1 and name in given):
            count += 1
            name = f"{path.stem} ({count}){path.suffix}"
        taken.add(name)
        pictures.append(picture_at(path, name))
    return tuple(pictures)

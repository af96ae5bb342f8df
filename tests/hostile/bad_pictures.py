"""Pictures that go wrong: those of Pillow's own list of troubles, and made ones.

Each maker gives the file and, where it is a picture after all, what its first pixel must be.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from PIL import Image

RED, BLUE = (255, 0, 0), (0, 0, 255)


@dataclass
class Case:
    """A file, and the colour near its middle if it must be taken; None where it must not."""

    what: str
    data: bytes
    colour: tuple[int, int, int] | None
    tolerance: int = 3
    size: tuple[int, int] | None = None


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(rng: Random) -> Image.Image:
    values = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (60, 80, 3), np.uint8)
    return Image.fromarray(values)


def colour(rng: Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def whole(rng: Random) -> Case:
    shade, kind = colour(rng), rng.choice(("PNG", "BMP", "TIFF", "WEBP"))
    options = {"lossless": True} if kind == "WEBP" else {}
    return Case(f"whole {kind}", encoded(Image.new("RGB", (40, 30), shade), kind, **options), shade)


def truncated(rng: Random) -> Case:
    kind = rng.choice(("JPEG", "PNG", "WEBP", "TIFF", "BMP"))
    data = encoded(noise(rng), kind)
    return Case(f"truncated {kind}", data[: int(len(data) * rng.uniform(0.1, 0.9))], None)


def cmyk(rng: Random) -> Case:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    return Case("CMYK", encoded(ink, rng.choice(("JPEG", "TIFF"))), RED, 30)


def deep_grey(rng: Random) -> Case:
    value = rng.randrange(1 << 16)
    grey = Image.fromarray(np.full((8, 8), value, np.uint16))
    level = value * 255 // 65535
    return Case("16-bit grey", encoded(grey, rng.choice(("PNG", "TIFF"))), (level,) * 3, 1)


def deep_rgb(rng: Random) -> Case:
    shade = [rng.randrange(1 << 16) for _ in range(3)]
    rows = b"".join(b"\0" + struct.pack(">3H", *shade) * 8 for _ in range(8))
    data = png(8, 8, zlib.compress(rows), depth=16, kind=2)
    return Case("16-bit RGB", data, tuple(value >> 8 for value in shade), 1)  # type: ignore[arg-type]


def see_through(rng: Random) -> Case:
    alpha, shade = rng.randrange(256), colour(rng)
    picture = Image.new("RGBA", (8, 8), (*shade, alpha))
    laid = tuple(round((s * alpha + 255 * (255 - alpha)) / 255) for s in shade)
    kind = rng.choice(("PNG", "TIFF"))
    return Case(f"alpha in {kind}", encoded(picture, kind), laid, 2)  # type: ignore[arg-type]


def grey_alpha(rng: Random) -> Case:
    level, alpha = rng.randrange(256), rng.randrange(256)
    laid = round((level * alpha + 255 * (255 - alpha)) / 255)
    return Case("LA", encoded(Image.new("LA", (8, 8), (level, alpha)), "PNG"), (laid,) * 3, 2)


def palette(rng: Random) -> Case:
    picture = Image.new("RGB", (8, 8), BLUE).convert("P", palette=Image.Palette.ADAPTIVE)
    if rng.random() < 0.5:
        clear = picture.getpixel((4, 4))
        return Case("palette, clear", encoded(picture, "PNG", transparency=clear), (255, 255, 255))
    return Case("palette", encoded(picture, rng.choice(("PNG", "GIF"))), BLUE)


def bilevel(rng: Random) -> Case:
    bit = rng.randrange(2)
    return Case("1 bit", encoded(Image.new("1", (9, 9), bit), "PNG"), (255 * bit,) * 3)


def animated(rng: Random) -> Case:
    kind = rng.choice(("GIF", "PNG", "WEBP", "TIFF"))
    frames = [Image.new("RGB", (16, 16), shade) for shade in (RED, BLUE, (0, 255, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    return Case(f"animated {kind}", data, RED, 5)


def rotated(rng: Random) -> Case:
    exif = Image.Exif()
    exif[0x0112] = rng.randrange(5, 9)
    kind = rng.choice(("JPEG", "PNG", "WEBP"))
    data = encoded(Image.new("RGB", (40, 20), RED), kind, exif=exif)
    return Case(f"rotated {kind}", data, RED, 6, size=(20, 40))


def strange_exif(rng: Random) -> Case:
    exif = b"Exif\0\0" + bytes(rng.randrange(256) for _ in range(40))
    return Case(
        "EXIF of noise", encoded(Image.new("RGB", (20, 20), RED), "JPEG", exif=exif), RED, 6
    )


def floating(rng: Random) -> Case:
    values = np.full((8, 8), rng.choice((0.5, np.nan, -1e30)), np.float32)
    return Case("float TIFF", encoded(Image.fromarray(values), "TIFF"), None)


def whole_numbers(rng: Random) -> Case:
    values = np.full((8, 8), rng.randrange(1 << 31), np.int32)
    return Case("32-bit TIFF", encoded(Image.fromarray(values), "TIFF"), None)


def lab(rng: Random) -> Case:
    return Case("LAB", encoded(Image.new("LAB", (8, 8), (50, 20, 20)), "TIFF"), None)


def drawing(rng: Random) -> Case:
    start = rng.choice((b"", b"<?xml version='1.0'?>", b"\xef\xbb\xbf<!-- x -->\n"))
    return Case("SVG", start + b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", None)


def something_else(rng: Random) -> Case:
    heads = (b"%PDF-1.7", b"PK\x03\x04", b"\0\0\0\x18ftypheic", b"\x7fELF", b"MZ", b"", b"\0" * 64)
    return Case(
        "something else", rng.choice(heads) + bytes(rng.randrange(256) for _ in range(9)), None
    )


def bomb(rng: Random) -> Case:
    side = rng.choice((20_000, 60_000, 2**31 - 1))
    rows = zlib.compress(b"\0" * 1_000_000, 9)
    return Case("bomb", png(side, side, rows, depth=8, kind=2), None)


def gif_bomb(rng: Random) -> Case:
    data = bytearray(encoded(Image.new("P", (4, 4)), "GIF"))
    data[6:10] = struct.pack("<HH", 65535, 65535)
    return Case("GIF bomb", bytes(data), None)


def text_bomb(rng: Random) -> Case:
    packed = zlib.compress(b"a" * 80_000_000, 9)
    rows = zlib.compress(b"\0" * (4 * 13), 9)
    return Case("text bomb", png(4, 4, rows, depth=8, kind=2, extra=b"k\0\0" + packed), None)


def damaged(rng: Random) -> Case:
    """Bits turned in a noise picture's checked parts: PNG has checksums."""
    data = bytearray(encoded(noise(rng), "PNG"))
    data[rng.randrange(40, len(data) - 20)] ^= 1 << rng.randrange(8)
    return Case("PNG with a wrong sum", bytes(data), None)


def nothing_in_it(rng: Random) -> Case:
    sizes = rng.choice(((0, 5), (5, 0), (0, 0)))
    return Case("0 pixels", png(*sizes, zlib.compress(b""), depth=8, kind=2), None)


def chunk(name: bytes, content: bytes) -> bytes:
    total = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", total)


def png(
    columns: int, rows: int, packed: bytes, *, depth: int, kind: int, extra: bytes = b""
) -> bytes:
    head = struct.pack(">IIBBBBB", columns, rows, depth, kind, 0, 0, 0)
    text = chunk(b"zTXt", extra) if extra else b""
    end = chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + text + end


MAKERS: tuple[Callable[[Random], Case], ...] = (
    whole,
    truncated,
    truncated,
    cmyk,
    deep_grey,
    deep_rgb,
    see_through,
    grey_alpha,
    palette,
    bilevel,
    animated,
    rotated,
    strange_exif,
    floating,
    whole_numbers,
    lab,
    drawing,
    something_else,
    bomb,
    gif_bomb,
    text_bomb,
    damaged,
    nothing_in_it,
)

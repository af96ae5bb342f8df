from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core import checksums
from engine.core.errors import PictureError
from engine.images.pictures import (
    as_pictures,
    count_unread,
    decode_picture,
    decode_with_notes,
    digest_of,
    picture_at,
    pictures_in,
)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def lying_png() -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        total = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", total)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data


def test_exif_rotation_is_honoured() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    wide = Image.new("RGB", (40, 20), "red")
    assert decode_picture(encoded(wide, "JPEG", exif=exif), "x").shape == (40, 20, 3)


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decode_picture(encoded(clear, "PNG"), "x") == 255).all()
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 127))
    assert decode_picture(encoded(half, "PNG"), "x")[0, 0].tolist() == [128, 128, 128]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    assert decode_picture(encoded(grey, "PNG"), "x")[0, :, 0].tolist() == [0, 128, 255]


def test_sixteen_bits_are_rounded_to_the_nearest_level() -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    pixels = decode_picture(encoded(Image.fromarray(deep), "PNG"), "x")[:, :, 0]
    assert np.abs(pixels * 257.0 - deep).max() == 128


def tiff(bits: int, photometric: int, data: bytes) -> bytes:
    """A grey TIFF of 2 x 1 pixels."""
    entries = {256: 2, 257: 1, 258: bits, 259: 1, 262: photometric}
    entries |= {273: 8, 277: 1, 278: 1, 279: len(data)}
    padded = data + bytes(len(data) % 2)
    table = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(padded))
    return start + padded + struct.pack("<H", len(entries)) + table + bytes(4)


@pytest.mark.parametrize(
    ("bits", "photometric", "data", "grey"),
    [
        (12, 1, b"\x00\x0f\xff", [0, 255]),
        (12, 1, b"\x80\x00\x08", [128, 0]),
        (16, 1, b"\x00\x00\xff\xff", [0, 255]),
        (16, 0, b"\x00\x00\xff\xff", [255, 0]),
        (8, 0, b"\x00\xff", [255, 0]),
    ],
)
def test_grey_tiff_by_its_bits_and_its_white(
    bits: int, photometric: int, data: bytes, grey: list[int]
) -> None:
    assert decode_picture(tiff(bits, photometric, data), "x")[0, :, 0].tolist() == grey


def test_cmyk_and_palette() -> None:
    cmyk = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    assert decode_picture(encoded(cmyk, "JPEG"), "x").min() > 250
    palette = Image.new("RGB", (8, 8), "blue").convert("P")
    assert decode_picture(encoded(palette, "PNG"), "x")[0, 0].tolist() == [0, 0, 255]


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_picture(data, "x")[0, 0].tolist() == [255, 0, 0]


def test_notes_say_what_was_left_out() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_with_notes(data, "x.gif").notes == ("x.gif has 2 frames; the first is used.",)
    assert decode_with_notes(encoded(frames[0], "PNG"), "x").notes == ()


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: b"", "an empty file"),
        (lambda: b"<?xml?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (lambda: b"\0\0\0\x18ftypheic", "a HEIC, AVIF or video file"),
        (lambda: encoded(Image.new("F", (4, 4)), "TIFF"), "pixels of 32 bits"),
        (lambda: encoded(Image.new("LAB", (4, 4)), "TIFF"), "colours in LAB"),
        (lying_png, "far too many pixels"),
    ],
)
def test_a_refusal_says_what_it_is(make: Callable[[], bytes], found: str) -> None:
    with pytest.raises(PictureError, match=f"got {found}"):
        decode_picture(make(), "x.png")


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: b"not a picture at all",
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        lambda: encoded(Image.effect_noise((200, 200), 90).convert("RGB"), "JPEG")[:4000],
        lying_png,
    ],
    ids=["empty", "text", "svg", "truncated", "bomb"],
)
def test_refused_with_a_sentence(make: Callable[[], bytes]) -> None:
    with pytest.raises(PictureError, match=r"Reading the picture bad\.png"):
        decode_picture(make(), "bad.png")


def test_a_folder_is_listed_by_name(photos: Path) -> None:
    (photos / "b").mkdir()
    (photos / "photo_0.png").rename(photos / "b" / "inner.PNG")
    (photos / ".hidden.png").write_bytes(b"")
    (photos / "notes.txt").write_text("no picture")
    found = pictures_in(photos)
    assert [picture.name for picture in found] == [
        "b/inner.PNG",
        *(f"photo_{index}.png" for index in range(1, 5)),
    ]
    assert found[0].decode().shape == (40, 60, 3)


def test_linked_folders_are_listed_and_rings_end(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "own").mkdir(parents=True)
    (root / "linked").symlink_to(photos)
    (root / "own" / "ring").symlink_to(root)
    (root / "own" / "twice").symlink_to(root / "linked")
    names = [f"linked/photo_{index}.png" for index in range(5)]
    assert [picture.name for picture in pictures_in(root)] == names


def test_jfif_is_read_and_other_formats_are_counted(photos: Path) -> None:
    (photos / "a.JFIF").write_bytes(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    for name in ("b.HEIC", "c.heic", "d.cr2", "labels.csv", ".hidden.heic"):
        (photos / name).write_bytes(b"\0")
    assert pictures_in(photos)[0].name == "a.JFIF"
    assert count_unread(photos) == ("1 .cr2", "2 .heic")


def test_a_folder_of_unread_formats_alone_is_refused_with_their_count(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0")
    with pytest.raises(PictureError, match=r"no picture in .*, 1 \.heic"):
        pictures_in(tmp_path)


def test_a_file_is_read_again_once_it_was_changed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def noted(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(checksums, "_read_digest", noted)
    file = pictures_in(photos)[0].path
    old = picture_at(file).sha256
    read.clear()
    assert picture_at(file).sha256 == old
    assert read == [file], "it was changed a moment ago"
    monkeypatch.setattr(checksums, "_CLOCK_SECONDS", 0)
    read.clear()
    assert [picture_at(file).sha256 for _ in range(3)] == [old] * 3
    assert read == [file]
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    assert picture_at(file).sha256 == hashlib.sha256(content).hexdigest() != old


def test_a_digest_depends_on_content_and_order(photos: Path) -> None:
    one, two, *_ = pictures_in(photos)
    assert digest_of((one, two)) != digest_of((two, one))
    assert digest_of((one, two)) == digest_of((one, two))


def test_absent_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="not there"):
        pictures_in(tmp_path / "nowhere")
    with pytest.raises(PictureError, match="no picture in"):
        pictures_in(tmp_path)


def test_pictures_from_several_folders_get_different_names(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("x/a.png", "y/a.png", "z/a (2).png")]
    for file in files:
        file.parent.mkdir()
        Image.new("RGB", (2, 2)).save(file)
    assert [p.name for p in as_pictures(files)] == ["a.png", "a (3).png", "a (2).png"]

from __future__ import annotations

import io
import stat
import struct
import zipfile
from dataclasses import replace

import pytest

from engine.core.errors import PictureError
from engine.core.limits import LIMITS
from engine.core.zips import is_zip
from engine.images import zip_archive as picture_zips
from engine.images.zip_archive import read_zip_pictures


def zip_of(files: dict[str, bytes], **options: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", options.get("method", zipfile.ZIP_DEFLATED)) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_pictures_come_out_one_by_one_and_the_rest_is_passed_over() -> None:
    data = zip_of({"a/b.PNG": b"1", "c.jpg": b"2", "d.txt": b"3", "__MACOSX/._c.jpg": b"4"})
    assert is_zip(data)
    assert [(p.name, p.content) for p in read_zip_pictures(data, "x")] == [
        ("a/b.PNG", b"1"),
        ("c.jpg", b"2"),
    ]


def linked() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo("a.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (zip_of({"../a.png": b"x"}), "the name '../a.png'"),
        (zip_of({"/a.png": b"x"}), "the name '/a.png'"),
        (linked(), "a link or a device"),
        (zip_of({"a.txt": b"x"}), "no picture"),
        (zip_of({"a.png": b"\0" * 3_000_000}), "packed more than 100 times smaller"),
        (zip_of({"a.png": b"x" * 99})[:-30], "a zip without its end"),
        (zip_of({"a.png": b"x" * 99}, method=0).replace(b"x" * 99, b"y" * 99), "a damaged zip"),
    ],
    ids=["up", "absolute", "link", "no picture", "bomb", "cut", "wrong sum"],
)
def test_what_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(PictureError, match=f"Reading the zip x: got .*{found}"):
        list(read_zip_pictures(data, "x"))


def test_limits_hold_for_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zip_of({f"{n}.png": bytes([n]) * 60 for n in range(4)}, method=zipfile.ZIP_STORED)
    monkeypatch.setattr(picture_zips, "LIMITS", replace(LIMITS, zip_unpacked_bytes=200))
    with pytest.raises(PictureError, match="more bytes unpacked than fit"):
        list(read_zip_pictures(data, "x"))
    monkeypatch.setattr(picture_zips, "LIMITS", replace(LIMITS, picture_bytes=50))
    with pytest.raises(PictureError, match="of more than 0 MB"):
        list(read_zip_pictures(data, "x"))
    monkeypatch.setattr(picture_zips, "LIMITS", replace(LIMITS, zip_entries=3))
    with pytest.raises(PictureError, match="too many entries"):
        list(read_zip_pictures(data, "x"))


def test_the_end_of_a_zip64_is_looked_at() -> None:
    data = zip_of({"a.png": b"x"})
    end = data.rfind(b"PK\x05\x06")
    counts = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 10**8, 0)
    pointer = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    with pytest.raises(PictureError, match="too many entries"):
        list(read_zip_pictures(data[:end] + counts + pointer + data[end:], "x"))

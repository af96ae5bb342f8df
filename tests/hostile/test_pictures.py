"""Pictures that go wrong are right after all, or refused."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from PIL import Image, ImageFile

from engine.core.errors import PictureError
from engine.images.pictures import decode_picture, decode_with_notes
from tests.hostile.bad_pictures import MAKERS, encoded, noise
from tests.hostile.rows import Noted, Row, Scaled

pytestmark = pytest.mark.hostile


@pytest.mark.filterwarnings("ignore")
def test_bad_pictures(scaled: Scaled, noted: Noted) -> None:
    row = Row("bad pictures", scaled(200), noted)
    for number, rng in row.cases():
        case = MAKERS[number % len(MAKERS)](rng)
        with row.tried(f"{number} {case.what}", "right"):
            try:
                found = decode_with_notes(case.data, "x.png")
            except PictureError:
                if case.colour is not None and case.what != "EXIF of noise":
                    row.faults.append(f"{number} {case.what}: refused, and is a picture")
                raise
            if case.colour is None:
                row.faults.append(f"{number} {case.what}: taken as {found.pixels.shape}")
                continue
            rows, columns, _ = found.pixels.shape
            middle = found.pixels[rows // 2, columns // 2].astype(int)
            if np.abs(middle - case.colour).max() > case.tolerance:
                row.faults.append(f"{number} {case.what}: {middle}, not {case.colour}")
            if case.size is not None and (columns, rows) != case.size:
                row.faults.append(f"{number} {case.what}: {columns} x {rows}")
            if case.what.startswith("animated") and "the first is used" not in found.notes[0]:
                row.faults.append(f"{number} {case.what}: no note")
    row.check()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert used < 3, f"{used:.1f} GB were used for small files"


def test_without_decoding_fully_half_a_picture_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack works where a picture is only verified, or where Pillow is told to be lenient."""
    from io import BytesIO
    from random import Random

    half = encoded(noise(Random(1)), "JPEG")
    half = half[: len(half) // 2]
    with Image.open(BytesIO(half)) as picture:
        picture.verify()
    with pytest.raises(PictureError, match="damaged"):
        decode_picture(half, "half.jpg")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert decode_picture(half, "half.jpg").shape == (60, 80, 3)

from __future__ import annotations

import math

import pytest

from engine import formats
from engine.types import Interval


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.megabytes(18_554_176), "18.6 MB"),
        (formats.megabytes(None), "–"),
        (formats.milliseconds(9.44), "9.4 ms"),
        (formats.seconds(7.25), "7.2 s"),
        (formats.seconds(130), "2 min 10 s"),
        (formats.times(2.34), "2.3 ×"),
        (formats.percent(0.984), "98.4 %"),
        (formats.percent(1.0), "100.0 %"),
        (formats.percent(0.9999), "99.9 %"),
        (formats.percent(math.nan), "–"),
        (formats.interval(Interval(0.775, 0.9981)), "77 to 100 %"),
        (formats.logits(0.1284), "0.128"),
        (formats.logits(math.nan), "NaN"),
        (formats.small(1.234e-6), "1.2e-06"),
        (formats.decibels(17.26), "17.3 dB"),
        (formats.decibels(-0.03), "0.0 dB"),
        (formats.decibels(math.inf), "∞ dB"),
        (formats.decibels(math.nan), "NaN"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert text == expected

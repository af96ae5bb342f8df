from __future__ import annotations

import math

import pytest

from engine.core import formats
from engine.core.types import Interval


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.megabytes(18_554_176), "18.6\xa0MB"),
        (formats.megabytes(None), "–"),
        (formats.megabytes(140_000), "0.14\xa0MB"),
        (formats.megabytes(99_900), "99.9\xa0KB"),
        (formats.megabytes(3_456), "3.5\xa0KB"),
        (formats.megabytes(312), "0.31\xa0KB"),
        (formats.milliseconds(0.0042), "0.0042\xa0ms"),
        (formats.logits(0.00042), "0.00042"),
        (formats.logits(-0.0012), "-0.0012"),
        (formats.logits(0.0), "0.000"),
        (formats.percent(0.00012), "0.012\xa0%"),
        (formats.percent(0.0), "0.0\xa0%"),
        (formats.milliseconds(9.44), "9.4\xa0ms"),
        (formats.milliseconds(9.44, 4), "9.4\xa0ms (4 pictures)"),
        (formats.milliseconds(None, 4), "–"),
        (formats.seconds(7.25), "7.2\xa0s"),
        (formats.seconds(130), "2\xa0min 10\xa0s"),
        (formats.times(2.34), "2.3\xa0×"),
        (formats.percent(0.984), "98.4\xa0%"),
        (formats.percent(1.0), "100.0\xa0%"),
        (formats.percent(0.9999), "99.9\xa0%"),
        (formats.percent(math.nan), "–"),
        (formats.interval(Interval(0.775, 0.982)), "77 to 99\xa0%"),
        (formats.interval(Interval(0.9604, 0.9937)), "96.0 to 99.4\xa0%"),
        (formats.interval(Interval(0.9604, 0.9999)), "96.0 to 99.9\xa0%"),
        (formats.interval(Interval(0.775, 1.0)), "77 to 100\xa0%"),
        (formats.interval(Interval(0.002, 0.05)), "0.2 to 5.0\xa0%"),
        (formats.logits(0.1284), "0.128"),
        (formats.logits(math.nan), "NaN"),
        (formats.small(1.234e-6), "1.2e-06"),
        (formats.decibels(17.26), "17.3\xa0dB"),
        (formats.decibels(-0.03), "0.0\xa0dB"),
        (formats.decibels(math.inf), "∞\xa0dB"),
        (formats.decibels(math.nan), "NaN"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert text == expected

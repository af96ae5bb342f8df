"""One way to write numbers, everywhere: ``18.6 MB``, ``9.4 ms``, ``2.3 ×``, ``98.4 %``."""

from __future__ import annotations

import math

from engine.types import Interval

UNKNOWN = "–"
_SMALL_RATIO = 0.095


def megabytes(size: float | None) -> str:
    """Bytes as megabytes of 10^6."""
    return UNKNOWN if size is None else f"{size / 1e6:.1f} MB"


def milliseconds(value: float | None) -> str:
    """Milliseconds."""
    return UNKNOWN if value is None else f"{value:.1f} ms"


def seconds(value: float | None) -> str:
    """Seconds; minutes from 100 seconds on."""
    if value is None:
        return UNKNOWN
    return f"{value:.1f} s" if value < 100 else f"{int(value // 60)} min {value % 60:.0f} s"


def times(ratio: float | None) -> str:
    """A ratio of which more is better, such as how much smaller or quicker."""
    if ratio is None:
        return UNKNOWN
    return f"{ratio:.1f} ×" if ratio >= _SMALL_RATIO or ratio == 0 else f"{ratio:.2f} ×"


def percent(share: float | None) -> str:
    """A share of 0 to 1 in percent; 100 % only where nothing is missing."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    rounded = round(share * 100, 1)
    if rounded == 100 and share < 1:
        rounded = 99.9
    return f"{rounded:.1f} %"


def interval(value: Interval | None) -> str:
    """A confidence interval of a share, in whole percent."""
    if value is None:
        return UNKNOWN
    return f"{math.floor(value.low * 100)} to {math.ceil(value.high * 100)} %"


def logits(value: float | None) -> str:
    """A difference of logits."""
    if value is None or math.isnan(value):
        return "NaN" if value is not None else UNKNOWN
    return f"{value:.3f}"


def small(value: float | None) -> str:
    """A number that may be tiny, with two significant digits."""
    if value is None:
        return UNKNOWN
    return "NaN" if math.isnan(value) else f"{value:.2g}"


def decibels(value: float | None) -> str:
    """A ratio in dB; infinity where nothing differs."""
    if value is None:
        return UNKNOWN
    if math.isnan(value):
        return "NaN"
    return "∞ dB" if math.isinf(value) else f"{value:z.1f} dB"


def spread(value: float) -> str:
    """A standard deviation; unknown where a single value has none."""
    return UNKNOWN if math.isnan(value) else f"{value:.2g}"

"""One way to write numbers, everywhere: ``18.6 MB``, ``9.4 ms``, ``2.3 ×``, ``98.4 %``.

Between a number and its unit stands a no-break space. Terminals and files for machines get a plain
one: see `with_plain_spaces`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from engine.core.types import ORIGINAL, Interval

UNKNOWN = "–"
NO_BREAK = "\xa0"
FEW_PICTURES = 100
"""Of fewer pictures a count is written, not a percentage."""
_KILOBYTES_BELOW = 100_000


def with_unit(figure: str, unit: str) -> str:
    """Put a unit, × or % behind a number, so that no line ends between them."""
    return f"{figure}{NO_BREAK}{unit}"


def with_plain_spaces(text: str) -> str:
    """Replace no-break spaces by plain ones, for terminals and for files that machines read."""
    return text.replace(NO_BREAK, " ")


def sides(lengths: Iterable[object]) -> str:
    """Write a shape: ``224 × 224``."""
    return f"{NO_BREAK}×{NO_BREAK}".join(map(str, lengths))


_UNITS = re.compile(r"(?<=\d) (?=(?:[×%]|(?:[KMG]i?B|ms|s|dB|px|nats)\b))")


def keep_units(text: str) -> str:
    """Put no-break spaces between numbers and units of a text that is stored with plain ones."""
    return _UNITS.sub(NO_BREAK, text)


def decimal(value: float, places: int) -> str:
    """Write a finite number with fixed places; with two significant digits where they hide it.

    So ``0.26`` or ``0.0012``, where one or three places would leave a digit or none.
    """
    hidden = 0 < abs(value) < 0.95 * 10 ** (1 - places)
    return f"{value:.2g}" if hidden else f"{value:.{places}f}"


def megabytes(size: float | None) -> str:
    """Write bytes as megabytes of 10^6; as kilobytes of 10^3 below 0.1 MB."""
    if size is None:
        return UNKNOWN
    if 0 < size < _KILOBYTES_BELOW:
        return with_unit(decimal(size / 1e3, 1), "KB")
    return with_unit(decimal(size / 1e6, 1), "MB")


def size_unit(largest: float) -> tuple[str, float]:
    """Choose the unit of an axis of file sizes, by the largest in bytes: its name and its bytes."""
    return ("KB", 1e3) if 0 < largest < _KILOBYTES_BELOW else ("MB", 1e6)


def milliseconds(value: float | None, pictures: int = 1) -> str:
    """Write the milliseconds of a call, with its number of pictures where that is not 1."""
    if value is None:
        return UNKNOWN
    return with_unit(decimal(value, 1), "ms") + ("" if pictures == 1 else f" ({pictures} pictures)")


def seconds(value: float | None) -> str:
    """Write seconds; minutes from 100 seconds on."""
    if value is None:
        return UNKNOWN
    if value < 100:
        return with_unit(f"{value:.1f}", "s")
    return f"{with_unit(str(int(value // 60)), 'min')} {with_unit(f'{value % 60:.0f}', 's')}"


def times(ratio: float | None) -> str:
    """Write a ratio of which more is better, such as how much smaller or faster."""
    if ratio is None:
        return UNKNOWN
    return with_unit(decimal(ratio, 1), "×")


def percent(share: float | None) -> str:
    """Write a share of 0 to 1 in percent; 100 % and 0 % only where it is exactly that."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    rounded = round(share * 100, 1)
    if rounded == 100 and share < 1:
        rounded = 99.9
    if rounded == 0 and share > 0:
        return with_unit(f"{share * 100:.2g}", "%")
    return with_unit(f"{rounded:.1f}", "%")


def count_or_percent(share: float, pictures: int) -> str:
    """Write a share of some pictures: the count, such as ``11 of 13``, where they are few."""
    if pictures < FEW_PICTURES and math.isfinite(share):
        return f"{round(share * pictures)} of {pictures}"
    return percent(share)


def whole_percent(share: float) -> str:
    """Write a share of 0 to 1 that a person chose, in percent: ``95 %``."""
    return with_unit(f"{share * 100:g}", "%")


def interval(value: Interval | None) -> str:
    """Write a confidence interval of a share: ``77 to 99 %``."""
    if value is None:
        return UNKNOWN
    low, high = bounds(value)
    return f"{low} to {with_unit(high, '%')}"


def bounds(value: Interval) -> tuple[str, str]:
    """Write the ends of a confidence interval of a share, in percent, rounded outwards.

    Whole numbers, but one decimal where they would claim 0 or 100 % that the interval excludes.
    The unit is left out.
    """
    low, high = math.floor(value.low * 100), math.ceil(value.high * 100)
    if (low == 0 and value.low > 0) or (high == 100 and value.high < 1):
        return (
            f"{math.floor(value.low * 1000) / 10:.1f}",
            f"{min(math.ceil(value.high * 1000) / 10, 99.9 if value.high < 1 else 100):.1f}",
        )
    return str(low), str(high)


def logits(value: float | None) -> str:
    """Write a difference of logits."""
    if value is None or math.isnan(value):
        return "NaN" if value is not None else UNKNOWN
    return decimal(value, 3)


def small(value: float | None) -> str:
    """Write a number that may be tiny, with two significant digits."""
    if value is None:
        return UNKNOWN
    return "NaN" if math.isnan(value) else f"{value:.2g}"


def decibels(value: float | None) -> str:
    """Write a ratio in dB; infinity where nothing differs."""
    if value is None:
        return UNKNOWN
    if math.isnan(value):
        return "NaN"
    return with_unit("∞" if math.isinf(value) else f"{value:z.1f}", "dB")


def spread(value: float) -> str:
    """Write a standard deviation; unknown where a single value has none."""
    return UNKNOWN if math.isnan(value) else f"{value:.2g}"


_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def spell_count(count: int, thing: str) -> str:
    """Write a count at the start of a sentence: "One picture", "14 pictures"."""
    return f"{number(count).capitalize()} {thing}{'' if count == 1 else 's'}"


def number(count: int) -> str:
    """Write a number within a sentence: a word below ten, digits from there on."""
    return _WORDS[count].lower() if count < len(_WORDS) else str(count)


def join_names(names: Sequence[str], last: str = "and") -> str:
    """Join names in a sentence: "a, b and c"; ``last`` is the word before the last one."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def cut_name(name: str, most: int = 24) -> str:
    """Cut a name from outside, such as a class's, to what a headline has room for."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"


def list_some(names: Sequence[str], most: int = 5) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def batch_note(what: str, batch: int, *, depends: bool) -> str:
    """Explain a model that takes several pictures at once.

    Args:
        what: The model, at the start of the sentence.
        batch: How many it takes.
        depends: Whether it answers by the other pictures of a call, too.
    """
    note = (
        f"{what} takes {batch} pictures at once. Pictures go through it one at a time, each in all "
        f"{batch} places, so that a latency is that of {batch} pictures."
    )
    if depends:
        note += (
            " It answers a picture by the others of the same call, or by its place among them, so "
            "an app that gives it different pictures at once gets other answers."
        )
    return note


def all_of(count: int, thing: str) -> str:
    """Write all of a count within a sentence: "all 14 pictures", "the one picture"."""
    return f"the one {thing}" if count == 1 else f"all {count} {thing}s"


def plural(count: int, thing: str, things: str = "") -> str:
    """Write a number of things in digits: "1 picture", "14 pictures"; ``things`` if not with s."""
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def verb(count: int, singular: str, several: str) -> str:
    """Choose the form of a verb for a number of things."""
    return singular if count == 1 else several


def title_of_model(model: str) -> str:
    """Name a column within a sentence: the original, or a variant by its name."""
    return "the original" if model == ORIGINAL else model


def title_at_start(model: str) -> str:
    """Name a column at the start of a sentence."""
    return "The original" if model == ORIGINAL else model

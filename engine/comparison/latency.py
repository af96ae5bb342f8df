"""Latency: calls timed in turns, and the spread above which a median is not trusted.

The calls come from elsewhere: no runtime is known here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from engine.core.errors import OptionError
from engine.core.types import SAME
from engine.tflite.operator_times import OperatorTime

LEAST_ROUNDS = 5
"""In which a slow call is timed, however slow."""


def time_interleaved(
    calls: Mapping[str, Callable[[], None]],
    *,
    rounds: int,
    warmup: int,
    most_seconds: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[LatencySamples, ...]:
    """Time several calls in turns, so that a slow minute of the machine falls on all of them.

    Every call is first made ``warmup`` times untimed. Then each round times each call once, in
    the orders of a Williams design (A B D C, B C A D, C D B A, D A C B), so that none pays more
    often than the others for what a certain one leaves in the caches.

    Args:
        calls: What to time, by name.
        rounds: How often.
        warmup: Untimed calls of each before.
        most_seconds: What the rounds of one call may take in all. A slower one, by its last call
            of the warm-up, waits in every second round, or every third, and so on; it is timed in
            `LEAST_ROUNDS` at least, or in all where there are fewer.
        clock: Gives seconds.

    Returns:
        Milliseconds a call, in the order of ``calls``.

    Raises:
        OptionError: ``rounds`` is below 1 or ``warmup`` below 0.
    """
    _require_at_least(1, "rounds", rounds)
    _require_at_least(0, "warmup", warmup)
    every = {}
    for name, call in calls.items():
        seconds = 0.0
        for _ in range(warmup):
            start = clock()
            call()
            seconds = clock() - start
        most = max(1, rounds // LEAST_ROUNDS)
        every[name] = min(most, max(1, math.ceil(rounds * seconds / most_seconds)))
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number, order in zip(range(rounds), cycle(_orders(names)), strict=False):
        for name in order:
            if number % every[name]:
                continue
            call = calls[name]
            start = clock()
            call()
            end = clock()
            samples[name].append((end - start) * 1e3)
    return tuple(LatencySamples(name, tuple(taken)) for name, taken in samples.items())


def _orders(names: Sequence[str]) -> list[list[str]]:
    """Order names so that each is in every position, and next after every other, equally often.

    Williams (1949), Experimental designs balanced for the estimation of residual effects of
    treatments. An even number of names needs as many orders, an odd one twice as many.
    """
    count = len(names)
    zigzag = [(step + 1) // 2 if step % 2 else -step // 2 for step in range(count)]
    orders = [[names[(first + step) % count] for step in zigzag] for first in range(count)]
    return orders if count % 2 == 0 else orders + [order[::-1] for order in orders]


def latency_warnings(latency: Latency) -> tuple[str, ...]:
    """Say which medians are not to be trusted: their samples spread wider than `SPREAD_LIMIT`."""
    return tuple(_warning(entry) for entry in latency.entries if not entry.trusted)


def _warning(entry: LatencySamples) -> str:
    low, high = entry.quartiles_ms
    return (
        f"{entry.variant}: the median of {entry.median_ms:.2f} ms is not to be trusted, because "
        f"the interquartile range is {high - low:.2f} ms (more than {SPREAD_LIMIT:.0%} of the "
        "median). Close other programs and measure again with more rounds."
    )


def _require_at_least(least: int, option: str, value: int) -> None:
    if value < least:
        raise OptionError(
            "measuring latency",
            got=f"{option} = {value}",
            expected=f"{least} or more",
            todo=f"Ask for at least {least} {option}.",
        )


@dataclass(frozen=True, slots=True)
class LatencySamples:
    """Raw timings of one model: milliseconds of one call.

    Attributes:
        variant: Name of the variant.
        samples_ms: One figure a round, in the order measured.
        operators: What each operator of a TFLite file takes, in the order in which they ran; empty
            where LiteRT's profiler was not asked or gave no answer.
        unprofiled: Why it gave none; empty where it did, or was not asked.
        measured_at: UTC time in ISO 8601; empty where it is that of the `Latency`.
        pictures: How many a call computes: the batch that the model is fixed to.
    """

    variant: str
    samples_ms: tuple[float, ...]
    operators: tuple[OperatorTime, ...] = ()
    unprofiled: str = ""
    measured_at: str = ""
    pictures: int = 1

    @property
    def median_ms(self) -> float:
        """Median of the samples in milliseconds."""
        return float(np.median(self.samples_ms))

    @property
    def p90_ms(self) -> float:
        """90th percentile of the samples in milliseconds."""
        return float(np.percentile(self.samples_ms, 90))

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """25th and 75th percentile of the samples in milliseconds."""
        low, high = np.percentile(self.samples_ms, (25, 75))
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """Interquartile range divided by the median, without unit; infinite for a median of 0."""
        low, high = self.quartiles_ms
        # A median of 0 is a clock too coarse for the call.
        return (high - low) / self.median_ms if self.median_ms > 0 else math.inf

    @property
    def trusted(self) -> bool:
        """Whether the spread is small enough for the median to be believed."""
        return self.spread <= SPREAD_LIMIT

    @property
    def slack(self) -> float:
        """Share by which another median must differ to count: `SAME`, or a spread too wide."""
        return SAME if self.trusted else self.spread


RACE_SECONDS = 5.0
"""How long the slower model of a race takes, about."""


@dataclass(frozen=True, slots=True)
class Race:
    """Two models that answer equally many pictures, each at its measured speed.

    Attributes:
        rival: Timings of the model to race against.
        variant: Timings of the variant.
        calls: How many pictures each answers, one a call.
    """

    rival: LatencySamples
    variant: LatencySamples
    calls: int

    def seconds(self, entry: LatencySamples) -> float:
        """Compute how long a model takes for all of them, by its median, in seconds."""
        return self.calls * entry.median_ms / 1e3


def plan_race(latency: Latency | None, variant: str, rivals: Sequence[str]) -> Race | None:
    """Plan a race of a variant with the first of ``rivals`` that is another model and timed.

    Both answer as many pictures as the slower one answers in `RACE_SECONDS`, at least one.

    Returns:
        None where the variant or all of its rivals are not timed, or took no time.
    """
    if latency is None:
        return None
    entries = [latency.of(name) for name in (variant, *(n for n in rivals if n != variant))]
    timed = [entry for entry in entries[1:] if entry is not None and entry.median_ms > 0]
    if entries[0] is None or not timed or entries[0].median_ms <= 0:
        return None
    slower = max(entries[0].median_ms, timed[0].median_ms)
    return Race(timed[0], entries[0], max(1, round(RACE_SECONDS * 1e3 / slower)))


SPREAD_LIMIT = 0.15
"""Interquartile range over median above which a latency figure is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of several models on one machine; those measured at one time took turns.

    Attributes:
        host: Processor and operating system.
        cores: Logical cores that the measuring process may use.
        threads: Threads each model was given.
        measured_at: UTC time in ISO 8601 of the last measurement.
        entries: Samples a model.
    """

    host: str
    cores: int
    threads: int
    measured_at: str
    entries: tuple[LatencySamples, ...]

    @property
    def moments(self) -> tuple[str, ...]:
        """When its entries were measured, each time once, the first one first."""
        times = {entry.measured_at or self.measured_at for entry in self.entries}
        return tuple(sorted(times or {self.measured_at}))

    @property
    def profiled(self) -> bool:
        """Whether the operators of any model are timed."""
        return any(entry.operators for entry in self.entries)

    def of(self, variant: str) -> LatencySamples | None:
        """Find the samples of one variant; None where it was not measured."""
        return next((entry for entry in self.entries if entry.variant == variant), None)

    def ratio(self, variant: str, base: str) -> float | None:
        """Divide the median of one variant by another's; None without both, or by 0."""
        samples, divisor = self.of(variant), self.of(base)
        if samples is None or divisor is None or divisor.median_ms == 0:
            return None
        return samples.median_ms / divisor.median_ms

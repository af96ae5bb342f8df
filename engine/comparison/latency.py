"""Timing calls in turns, and when not to believe a timing.

The calls come from elsewhere: no runtime is known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

from engine.core.errors import OptionError
from engine.types import SPREAD_LIMIT, Latency, LatencySamples


def interleaved(
    calls: Mapping[str, Callable[[], None]],
    *,
    rounds: int,
    warmup: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[LatencySamples, ...]:
    """Time several calls in turns, so that a slow minute of the machine falls on all of them.

    Every call is first made ``warmup`` times untimed. Then each round times each call once, in
    the orders of a Williams design (A B D C, B C A D, C D B A, D A C B), so that none pays more
    often than the others for what a certain one leaves in the caches.

    Args:
        calls: What to time, by variant.
        rounds: Samples to take of each.
        warmup: Untimed calls of each before.
        clock: Seconds from any start; read just before and just after each call.

    Returns:
        Milliseconds a call, in the order of ``calls``.

    Raises:
        OptionError: ``rounds`` is below 1 or ``warmup`` below 0.
    """
    _require_at_least(1, "rounds", rounds)
    _require_at_least(0, "warmup", warmup)
    for call in calls.values():
        for _ in range(warmup):
            call()
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for _, order in zip(range(rounds), cycle(_balanced_orders(names)), strict=False):
        for name in order:
            call = calls[name]
            start = clock()
            call()
            end = clock()
            samples[name].append((end - start) * 1e3)
    return tuple(LatencySamples(name, tuple(taken)) for name, taken in samples.items())


def _balanced_orders(names: Sequence[str]) -> list[list[str]]:
    """Orders in which every name is in every place, and next after every other, equally often.

    Williams (1949), Experimental designs balanced for the estimation of residual effects of
    treatments. An even number of names needs as many orders, an odd one twice as many.
    """
    count = len(names)
    zigzag = [(place + 1) // 2 if place % 2 else -place // 2 for place in range(count)]
    orders = [[names[(first + step) % count] for step in zigzag] for first in range(count)]
    return orders if count % 2 == 0 else orders + [order[::-1] for order in orders]


def latency_warnings(latency: Latency) -> tuple[str, ...]:
    """Say which medians are not to be believed, because the samples spread too widely.

    Args:
        latency: Samples of several models.

    Returns:
        One sentence for each entry whose interquartile range is more than `SPREAD_LIMIT` of its
        median, in the order of the entries.
    """
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

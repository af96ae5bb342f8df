"""Ratios of latencies taken in turns, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
_SEED = 0

Samples = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of latencies; below 1 the first is the quicker one.

    Attributes:
        value: The ratio.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
    """

    value: float
    low: float
    high: float


def ratio_of_medians(first: Samples, second: Samples) -> Ratio:
    """Median of the first over median of the second, averaged over processes.

    Where a process happens to put its buffers moves a ratio by several percent, so the interval is
    the percentile bootstrap (Efron 1979) over processes and, within each, over rounds; the same
    rounds are drawn for both, because the samples of one round were taken next to each other.

    Args:
        first: For each process, milliseconds, one a round.
        second: Milliseconds of the other, in the same processes and rounds.

    Returns:
        The geometric mean over processes.

    Raises:
        ValueError: The rounds are not the same, or there are none.
    """
    resampled = _resample_ratios(first, second)
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Ratio(_ratio(first, second), float(low), float(high))


def _ratio(first: Samples, second: Samples) -> float:
    ratios = [np.median(a) / np.median(b) for a, b in zip(first, second, strict=True)]
    return float(np.exp(np.mean(np.log(ratios))))


def geometric_mean(pairs: Sequence[tuple[Samples, Samples]]) -> Ratio:
    """Geometric mean of `ratio_of_medians` over models.

    The interval says how well the mean over *these* models is known (each model's
    processes and rounds are resampled); it does not speak for other models.

    Args:
        pairs: First and second samples of each model.

    Returns:
        The mean.

    Raises:
        ValueError: There are no pairs, or a pair's rounds are not the same.
    """
    if not pairs:
        raise ValueError("a mean of no models")
    values = [_ratio(first, second) for first, second in pairs]
    logs = np.log([_resample_ratios(*pair, seed) for seed, pair in enumerate(pairs)])
    low, high = np.percentile(np.exp(logs.mean(axis=0)), (2.5, 97.5))
    return Ratio(float(np.exp(np.mean(np.log(values)))), float(low), float(high))


def _resample_ratios(first: Samples, second: Samples, seed: int = _SEED) -> NDArray[np.float64]:
    rounds = [len(row) for row in first]
    if rounds != [len(row) for row in second] or not rounds or not all(rounds):
        raise ValueError(
            f"{rounds} and {list(map(len, second))} samples are not of the same rounds"
        )
    rng = np.random.default_rng(seed)
    logs = []
    for ours, theirs in zip(first, second, strict=True):
        rows = rng.integers(len(ours), size=(RESAMPLES, len(ours)))
        above = np.median(np.asarray(ours, dtype=np.float64)[rows], axis=1)
        below = np.median(np.asarray(theirs, dtype=np.float64)[rows], axis=1)
        logs.append(np.log(above / below))
    drawn = rng.integers(len(logs), size=(RESAMPLES, len(logs)))
    ratios: NDArray[np.float64] = np.exp(
        np.asarray(logs)[drawn, np.arange(RESAMPLES)[:, None]].mean(1)
    )
    return ratios

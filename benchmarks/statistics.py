"""Ratios of latencies taken in turns, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
_SEED = 0

Samples = Sequence[float]


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
    """Median of the first over median of the second.

    The interval is the percentile bootstrap over rounds (Efron 1979): rounds are drawn with
    replacement, the same for both, because the samples of one round were taken next to each other.

    Args:
        first: Milliseconds, one a round.
        second: Milliseconds of the other, in the same rounds.

    Returns:
        The ratio.

    Raises:
        ValueError: The rounds are not the same, or there are none.
    """
    resampled = _resampled_ratios(first, second)
    low, high = np.percentile(resampled, (2.5, 97.5))
    return Ratio(float(np.median(first) / np.median(second)), float(low), float(high))


def geometric_mean(pairs: Sequence[tuple[Samples, Samples]]) -> Ratio:
    """Geometric mean of `ratio_of_medians` over models.

    The interval says how well the mean over *these* models is known (each model's rounds are
    resampled); it does not speak for other models.

    Args:
        pairs: First and second samples of each model.

    Returns:
        The mean.

    Raises:
        ValueError: There are no pairs, or a pair's rounds are not the same.
    """
    if not pairs:
        raise ValueError("a mean of no models")
    values = [float(np.median(first) / np.median(second)) for first, second in pairs]
    logs = np.log([_resampled_ratios(*pair, seed) for seed, pair in enumerate(pairs)])
    low, high = np.percentile(np.exp(logs.mean(axis=0)), (2.5, 97.5))
    return Ratio(float(np.exp(np.mean(np.log(values)))), float(low), float(high))


def _resampled_ratios(first: Samples, second: Samples, seed: int = _SEED) -> NDArray[np.float64]:
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} and {len(second)} samples are not of the same rounds")
    rows = np.random.default_rng(seed).integers(len(first), size=(RESAMPLES, len(first)))
    above = np.median(np.asarray(first, dtype=np.float64)[rows], axis=1)
    below = np.median(np.asarray(second, dtype=np.float64)[rows], axis=1)
    ratios: NDArray[np.float64] = above / below
    return ratios

"""How the range of an activation follows from the values seen in calibration.

``min_max`` takes all of them. The others leave out some at the ends, so that the rest has a finer
grid: ``percentile_99.9`` and ``percentile_99.99`` leave out a fixed share, ``mse`` weighs clipping
against rounding by squared error, ``entropy`` keeps the distribution closest by Kullback-Leibler
divergence (as in Migacz, "8-bit inference with TensorRT", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engine.converters.recipes import RangeMethod
from engine.types import FloatArray, IntArray

BINS = 4096
_CANDIDATES = 100
_NARROWEST = 0.2
"""The smallest share of the whole range that is tried."""

Bounds = tuple[float, float]


class Histograms:
    """Observes activations whose bounds are known, and counts their values.

    Args:
        bounds: Lowest and highest value by name of the tensor.
    """

    def __init__(self, bounds: Mapping[str, Bounds]) -> None:
        self._bounds = bounds
        self._counts: dict[str, IntArray] = {}

    def __call__(self, name: str, values: FloatArray) -> None:
        """Count the values of one tensor for one batch."""
        low, high = self._bounds[name]
        if high == low or values.size == 0:
            return
        places = (values.reshape(-1) - low) * ((BINS - 1) / (high - low))
        counts = np.bincount(places.astype(np.int64), minlength=BINS)
        self._counts[name] = self._counts.get(name, np.zeros(BINS, np.int64)) + counts

    def bounds(self, method: RangeMethod, levels: int) -> dict[str, Bounds]:
        """Bounds by a method.

        Args:
            method: Not ``min_max``, which needs no counts.
            levels: Integers that a range is cut into, such as 256.

        Returns:
            Bounds by name of the tensor; zero lies within each, since it must have an integer.
        """
        choose = _METHODS[method]
        found = dict(self._bounds)
        for name, counts in self._counts.items():
            low, high = self._bounds[name]
            centres = np.linspace(low, high, BINS)
            first, last = choose(counts, centres, levels)
            found[name] = (
                min(first, 0.0) if low < 0 else low,
                max(last, 0.0) if high > 0 else high,
            )
        return found


def _percentile(percent: float) -> Callable[[IntArray, FloatArray, int], Bounds]:
    def choose(counts: IntArray, centres: FloatArray, levels: int) -> Bounds:
        """Leave out the same share of values at both ends."""
        outside = (1 - percent / 100) / 2
        share = np.cumsum(counts) / counts.sum()
        first = int(np.searchsorted(share, outside, side="right"))
        last = int(np.searchsorted(share, 1 - outside, side="left"))
        return float(centres[first]), float(centres[last])

    return choose


def _least_squares(counts: IntArray, centres: FloatArray, levels: int) -> Bounds:
    """Least sum of what is clipped, squared, and of rounding's step² / 12 a value."""
    lows, highs = _candidates(centres)
    # Sums, not products of matrices: those differ in the last bits with the number of threads.
    beyond_low = (np.clip(lows[:, None] - centres, 0, None) ** 2 * counts).sum(axis=1)
    beyond_high = (np.clip(centres - highs[:, None], 0, None) ** 2 * counts).sum(axis=1)
    steps = (highs[None, :] - lows[:, None]) / (levels - 1)
    error = beyond_low[:, None] + beyond_high[None, :] + counts.sum() * steps**2 / 12
    low, high = np.unravel_index(np.argmin(error), error.shape)
    return float(lows[low]), float(highs[high])


def _least_divergence(counts: IntArray, centres: FloatArray, levels: int) -> Bounds:
    """The share of the whole range whose clipped and rounded distribution loses least."""
    counts = _without_zeros(counts, centres)
    lows, highs = _candidates(centres)
    pairs = list(zip(lows, highs, strict=True))
    losses = [_divergence(counts, centres, low, high, levels) for low, high in pairs]
    low, high = pairs[int(np.argmin(losses))]
    return float(low), float(high)


def _without_zeros(counts: IntArray, centres: FloatArray) -> IntArray:
    """No more values at zero than beside it.

    A ReLU makes half of its values zero. They have an integer of their own whatever the range is,
    and would otherwise count as lost with the bins that share it, the less the narrower the range.
    """
    zero = int(np.argmin(np.abs(centres)))
    beside = [int(counts[i]) for i in (zero - 1, zero + 1) if 0 <= i < len(counts)]
    fewer = counts.copy()
    fewer[zero] = min(int(counts[zero]), max(beside))
    return fewer


def _divergence(
    counts: IntArray, centres: FloatArray, low: float, high: float, levels: int
) -> float:
    """KL divergence in nats of the values clipped to a range against those rounded within it."""
    inside = (centres >= low) & (centres <= high)
    within = counts[inside].astype(np.float64)
    clipped = within.copy()
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    level = np.rint((centres[inside] - low) * ((levels - 1) / (high - low))).astype(np.int64)
    occupied = within > 0
    total = np.bincount(level, within, levels)
    bins = np.bincount(level[occupied], minlength=levels)
    rounded = np.where(occupied, total[level] / np.maximum(bins[level], 1), 0.0)
    seen = (clipped > 0) & (rounded > 0)
    lost = clipped[~seen & (clipped > 0)].sum() / clipped.sum()
    p, q = clipped[seen] / clipped.sum(), rounded[seen] / rounded.sum()
    # What is clipped into a bin without values of its own has no counterpart: it counts in full.
    return float((p * np.log(p / q)).sum() + lost * np.log(levels))


def _candidates(centres: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds to try, from the whole range down to a part of it, around zero."""
    shares = np.linspace(1.0, _NARROWEST, _CANDIDATES)
    return min(float(centres[0]), 0.0) * shares, max(float(centres[-1]), 0.0) * shares


_METHODS: dict[RangeMethod, Callable[[IntArray, FloatArray, int], Bounds]] = {
    "percentile_99.9": _percentile(99.9),
    "percentile_99.99": _percentile(99.99),
    "mse": _least_squares,
    "entropy": _least_divergence,
}

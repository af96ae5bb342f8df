"""Methods that choose the range of an activation from the values seen in calibration.

``min_max`` takes all of them. The others leave out some at the ends, so that the rest has a finer
grid: ``percentile_99.9`` and ``percentile_99.99`` leave out a fixed share, ``mse`` weighs clipping
against rounding by squared error, ``entropy`` keeps the distribution closest by Kullback-Leibler
divergence (as in Migacz, "8-bit inference with TensorRT", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engine.core.types import FloatArray
from engine.quantization.recipes import RangeMethod

BINS = 4096
"""Bins of equal width in which distributions are compared."""
_WINDOW = 16.0
"""Largest reach of these bins, in multiples of that of most values."""
_CELL_BITS = 14
"""Bits of a float32 that the values of a cell differ in: 512 cells between x and 2 x."""
_SINGLE = 1 << 14
"""Values at each end that are kept singly."""
_CANDIDATES = 100
_NARROWEST = 0.2
"""The smallest share of the whole range that is tried where it holds most values."""
_MOST = 0.99
"""Share of the values of one sign that every candidate holds."""
Bounds = tuple[float, float]


class _Distribution:
    """Values of one tensor, counted in cells as wide as their magnitude asks for.

    Cells of equal width would hold all values but one where that one is far away. The values at
    the ends are also kept singly, since a percentile may lie within a cell. In which order the
    values come makes no difference.
    """

    def __init__(self) -> None:
        self._corners = np.zeros(0, np.float32)
        self._counts: FloatArray = np.zeros(0)
        self._lowest = self._highest = np.zeros(0, np.float32)

    def add(self, values: FloatArray) -> None:
        """Take in values of any shape."""
        flat = np.sort(values, axis=None).astype(np.float32)
        corners = (flat.view(np.uint32) >> _CELL_BITS << _CELL_BITS).view(np.float32)
        starts = np.flatnonzero(np.diff(corners, prepend=np.nan))
        counts = np.diff(starts, append=len(corners))
        self._corners, cell = np.unique(
            np.concatenate([self._corners, corners[starts]]), return_inverse=True
        )
        merged = np.bincount(cell, np.concatenate([self._counts, counts]))
        self._counts = merged.astype(np.float64)
        self._lowest = np.sort(np.concatenate([self._lowest, flat[:_SINGLE]]))[:_SINGLE]
        self._highest = np.sort(np.concatenate([self._highest, flat[-_SINGLE:]]))[-_SINGLE:]

    @property
    def count(self) -> float:
        """Number of values."""
        return float(self._counts.sum())

    def quantile(self, share: float) -> float:
        """Find the value below which a share of all values lies."""
        below, above = share * self.count, (1 - share) * self.count
        if below <= len(self._lowest):
            return _at_rank(self._lowest, below)
        if above <= len(self._highest):
            return _at_rank(self._highest, len(self._highest) - above)
        edges, cumulated = self._cumulate(self._counts)
        return float(np.interp(below, cumulated, edges))

    def reach(self, sign: int) -> float:
        """Find the magnitude below which `_MOST` of the values of one sign lie; 0 without any."""
        chosen = self._corners * sign > 0
        magnitudes, counts = np.abs(self._corners[chosen])[::sign], self._counts[chosen][::sign]
        if not len(counts):
            return 0.0
        cumulated = np.cumsum(counts)
        return float(magnitudes[np.searchsorted(cumulated, _MOST * cumulated[-1])])

    def cells(self) -> tuple[FloatArray, FloatArray]:
        """Compute the middle of each cell, rising, and how many values it holds."""
        return (self._corners + self._far_corners()) / 2, self._counts

    def nonzero_below(self, edges: FloatArray) -> FloatArray:
        """Count the values other than 0 below each of some edges."""
        return np.interp(edges, *self._cumulate(self._counts * (self._corners != 0)))

    def _far_corners(self) -> FloatArray:
        """Compute the end of each cell that is further from 0; that of the cell at 0 is 0."""
        bits = self._corners.view(np.uint32) + np.uint32(1 << _CELL_BITS)
        return np.where(self._corners == 0, 0.0, bits.view(np.float32).astype(np.float64))

    def _cumulate(self, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """List the ends of the cells, rising, and how many values lie below each."""
        ends = np.sort(np.stack([self._corners, self._far_corners()], axis=1), axis=1)
        after = np.cumsum(counts)
        return ends.reshape(-1), np.stack([after - counts, after], axis=1).reshape(-1)


def _at_rank(ordered: FloatArray, rank: float) -> float:
    return float(np.interp(rank, np.arange(len(ordered)) + 0.5, ordered.astype(np.float64)))


class Histograms:
    """Observes activations whose bounds are known, and counts their values.

    Args:
        bounds: Lowest and highest value by name of the tensor.
    """

    def __init__(self, bounds: Mapping[str, Bounds]) -> None:
        self._bounds = bounds
        self._distributions: dict[str, _Distribution] = {}

    def __call__(self, name: str, values: FloatArray) -> None:
        """Count the values of one tensor for one batch."""
        low, high = self._bounds[name]
        if high > low:
            self._distributions.setdefault(name, _Distribution()).add(values)

    def bounds(self, method: RangeMethod, levels: int) -> dict[str, Bounds]:
        """Bounds by a method.

        Args:
            method: Not ``min_max``, which needs no counts.
            levels: Integers that a range is cut into, such as 256.

        Returns:
            Bounds by name of the tensor; zero lies within each, since it must have an integer.
        """
        choose = _METHODS[method]
        chosen = dict(self._bounds)
        for name, distribution in self._distributions.items():
            if not distribution.reach(-1) and not distribution.reach(1):
                continue  # All values are 0, or too close to it for a float32 to tell how close.
            low, high = self._bounds[name]
            first, last = choose(distribution, (min(low, 0.0), max(high, 0.0)), levels)
            chosen[name] = (
                min(first, 0.0) if low < 0 else low,
                max(last, 0.0) if high > 0 else high,
            )
        return chosen


_Choose = Callable[[_Distribution, Bounds, int], Bounds]


def _percentile(percent: float) -> _Choose:
    def choose(distribution: _Distribution, whole: Bounds, levels: int) -> Bounds:
        """Leave out the same share of values at both ends."""
        outside = (1 - percent / 100) / 2
        return distribution.quantile(outside), distribution.quantile(1 - outside)

    return choose


def _least_squares(distribution: _Distribution, whole: Bounds, levels: int) -> Bounds:
    """Find the least sum of what is clipped, squared, and of rounding's step² / 12 a value."""
    values, counts = distribution.cells()
    lows = whole[0] * _shares(-whole[0], distribution.reach(-1))
    highs = whole[1] * _shares(whole[1], distribution.reach(1))
    # Sums, not products of matrices: those differ in the last bits with the number of threads.
    beyond_low = (np.clip(lows[:, None] - values, 0, None) ** 2 * counts).sum(axis=1)
    beyond_high = (np.clip(values - highs[:, None], 0, None) ** 2 * counts).sum(axis=1)
    return least_error_range(lows, highs, beyond_low, beyond_high, counts.sum(), levels - 1)


def least_error_range(
    lows: FloatArray,
    highs: FloatArray,
    clipped_low: FloatArray,
    clipped_high: FloatArray,
    count: float,
    steps: int,
) -> Bounds:
    """Choose the pair of ends of least squared error, by clipping and by rounding.

    A rounding error is taken as uniform: step² / 12 a value (Widrow, 1956).

    Args:
        lows: Lower ends to try.
        highs: Upper ends to try.
        clipped_low: Squared error, summed over the values, of clipping at each of `lows`.
        clipped_high: The same of `highs`.
        count: Number of values.
        steps: Steps that a range is cut into.
    """
    widths = (highs[None, :] - lows[:, None]) / steps
    errors = clipped_low[:, None] + clipped_high[None, :] + count * widths**2 / 12
    low, high = np.unravel_index(int(errors.argmin()), errors.shape)
    return float(lows[low]), float(highs[high])


def _least_divergence(distribution: _Distribution, whole: Bounds, levels: int) -> Bounds:
    """Find the largest magnitude whose clipped and rounded distribution loses least."""
    reach = max(distribution.reach(-1), distribution.reach(1))
    # One value far away would leave all others a single bin, where nothing could be lost.
    window = min(max(-whole[0], whole[1]), _WINDOW * reach)
    low, high = max(whole[0], -window), min(whole[1], window)
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    edges[0], edges[-1] = -np.inf, np.inf
    counts = np.diff(distribution.nonzero_below(edges))
    ends = (window * _shares(window, reach)).tolist()
    pairs = [(max(low, -end), min(high, end)) for end in ends]
    losses = [_divergence(counts, centres, low, high, levels) for low, high in pairs]
    return pairs[int(np.argmin(losses))]


def _divergence(
    counts: FloatArray, centres: FloatArray, low: float, high: float, levels: int
) -> float:
    """KL divergence in nats of the values clipped to a range against those rounded within it.

    Zeros have an integer of their own whatever the range is, and do not count. Half of what a ReLU
    gives would seem lost with the values that share their bin, the less the narrower the range.
    """
    inside = (centres >= low) & (centres <= high)
    within = counts[inside]
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


def _shares(whole: float, reach: float) -> FloatArray:
    """Shares of one end to try, from all of it down to where most values lie."""
    narrowest = min(_NARROWEST, reach / whole) if reach > 0 else _NARROWEST
    return np.geomspace(1.0, narrowest, _CANDIDATES)


_METHODS: dict[RangeMethod, _Choose] = {
    "percentile_99.9": _percentile(99.9),
    "percentile_99.99": _percentile(99.99),
    "mse": _least_squares,
    "entropy": _least_divergence,
}

"""The range of a layer's output: the grid of 8-bit steps that its values are rounded to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.core.types import FloatArray
from engine.tflite.graph import Scale

LOWEST, HIGHEST = -128, 127
_STEPS = HIGHEST - LOWEST
_TRIED = 48
_BOUNDS = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


@dataclass(frozen=True, slots=True)
class Grid:
    """What the output of an integer kernel is rounded and clipped to.

    Attributes:
        scale: Of the output.
        low: Lowest integer that the fused activation lets through.
        high: Highest integer.
    """

    scale: Scale
    low: int
    high: int

    @classmethod
    def of(cls, scale: Scale, activation: int, bits: int = 8) -> Grid:
        """The grid of an output.

        Args:
            scale: Of the output.
            activation: TFLite's number of the fused activation function.
            bits: Of the output's integers.
        """
        lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        low, high = _BOUNDS[activation]
        ends = [
            int(np.clip(np.rint(end / scale.step) + scale.zero, lowest, highest))
            for end in (low, high)
        ]
        return cls(scale, *ends)

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest real value."""
        step, zero = self.scale.step, self.scale.zero
        return (self.low - zero) * step, (self.high - zero) * step

    def rounded(self, values: FloatArray) -> FloatArray:
        """Real values as they come out of the kernel (half to even, like XNNPACK), float32."""
        scale = self.scale
        return rounded(values, scale.step, scale.zero, self.low, self.high)


def scale_between(low: float, high: float) -> Scale:
    """The scale whose 256 steps reach from ``low`` to ``high``; 0 is always one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = float(np.float32((high - low) / _STEPS)) or 1.0
    zero = int(np.clip(np.rint(LOWEST - low / step), LOWEST, HIGHEST))
    return Scale(step, zero)


def least_squares(values: FloatArray) -> Scale:
    """The range of least expected squared error: what is clipped, and rounding inside.

    ``sum over what is clipped (v - end)^2 + count * step^2 / 12``, searched over 48 shares from 1
    down to 0.1 of each end; a rounding error is taken as uniform (Widrow, 1956).

    Args:
        values: Real values, of any shape.

    Returns:
        The scale; the range holds 0.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=None)
    count = len(ordered)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    squares = np.concatenate([[0.0], np.cumsum(ordered * ordered)])
    lowest, highest = min(ordered[0], 0.0), max(ordered[-1], 0.0)
    lows, highs = lowest * _shares(), highest * _shares()
    below = np.searchsorted(ordered, lows)
    above = count - np.searchsorted(ordered, highs, side="right")
    tail, tail_squares = sums[-1] - sums[count - above], squares[-1] - squares[count - above]
    clipped_low = squares[below] - 2 * lows * sums[below] + below * lows**2
    clipped_high = tail_squares - 2 * highs * tail + above * highs**2
    steps = (highs[None, :] - lows[:, None]) / _STEPS
    losses = clipped_low[:, None] + clipped_high[None, :] + count * steps**2 / 12
    low, high = np.unravel_index(int(losses.argmin()), losses.shape)
    return scale_between(float(lows[low]), float(highs[high]))


def _shares() -> FloatArray:
    return np.linspace(1.0, 0.1, _TRIED)


_BLOCK = 1 << 21
"""Numbers worked on at a time."""


def products(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Products of rows with the weights of every channel, group by group.

    Args:
        rows: Shape (groups, rows, length), float32.
        weights: Shape (groups, channels, length), float32.

    Returns:
        Shape (groups, channels, rows), float32. Sums of whole numbers below 2^24 are exact.
    """
    import torch

    made = torch.bmm(torch.from_numpy(weights), torch.from_numpy(rows).transpose(1, 2))
    return np.asarray(made.numpy())


def covariance(rows: FloatArray) -> FloatArray:
    """Centred second moments of rows.

    The mean is left out, because the bias makes up for what rounding does to it.

    Args:
        rows: Shape (groups, rows, length), float32.

    Returns:
        Shape (groups, length, length), float64.
    """
    import torch

    groups, count, length = rows.shape
    given = torch.from_numpy(rows)
    mean = given.mean(dim=1, keepdim=True)
    made = torch.zeros(groups, length, length, dtype=torch.float64)
    # A part at a time that fits the cache: centred rows of all would be as large as the rows.
    some_groups = max(1, _BLOCK // (count * length))
    some_rows = max(length, _BLOCK // (some_groups * length))
    for group in range(0, groups, some_groups):
        part = slice(group, group + some_groups)
        for start in range(0, count, some_rows):
            centred = given[part, start : start + some_rows] - mean[part]
            made[part] += torch.bmm(centred.transpose(1, 2), centred)
    return np.asarray((made / count).numpy())


def rounded(values: FloatArray, step: float, zero: int, low: int, high: int) -> FloatArray:
    """Bring real values onto a grid, half to even, and clip them.

    Args:
        values: Real values, float32, C-contiguous.
        step: Size of a step.
        zero: The integer that stands for 0.0.
        low: Lowest integer.
        high: Highest integer.

    Returns:
        Real values of the same shape, float32.
    """
    import torch

    made = torch.from_numpy(values) / step
    made.round_().clamp_(low - zero, high - zero).mul_(step)
    return np.asarray(made.numpy())


def inside(values: FloatArray, low: float, high: float) -> FloatArray:
    """Share of each row's values that lie between two ends, shape (rows,), float32."""
    import torch

    given = torch.from_numpy(values)
    between = ((given > low) & (given < high)).numpy()
    # A sum of booleans along an axis is several times slower than a count of each row.
    counts = [np.count_nonzero(row) for row in between]
    return np.asarray(np.array(counts) / values.shape[1], np.float32)

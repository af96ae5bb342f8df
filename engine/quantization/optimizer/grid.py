"""The range of a layer's output: the grid of 8-bit steps that its values are rounded to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.core.types import FloatArray
from engine.quantization.range_methods import least_error_range
from engine.tflite.grid import Grid

LOWEST, HIGHEST = -128, 127
_STEPS = HIGHEST - LOWEST
_TRIED = 48
_BOUNDS = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


def clip_to_activation(grid: Grid, activation: int) -> Grid:
    """Narrow the grid of an output to what its fused activation function lets through.

    Args:
        grid: Of the output.
        activation: TFLite's number of the function.
    """
    lowest, highest = (
        int(np.clip(np.rint(end / grid.scale) + grid.zero_point, grid.lowest, grid.highest))
        for end in _BOUNDS[activation]
    )
    return replace(grid, lowest=lowest, highest=highest)


def grid_between(low: float, high: float) -> Grid:
    """Make the int8 grid that reaches from ``low`` to ``high``; 0 is always one of its values."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = float(np.float32((high - low) / _STEPS)) or 1.0
    zero = int(np.clip(np.rint(LOWEST - low / step), LOWEST, HIGHEST))
    return Grid(step, zero, LOWEST, HIGHEST)


def least_squares(values: FloatArray) -> Grid:
    """Find the range of least expected squared error: what is clipped, and rounding inside.

    ``sum over what is clipped (v - end)^2 + count * step^2 / 12``, searched over 48 shares from 1
    down to 0.1 of each end; a rounding error is taken as uniform (Widrow, 1956).

    Returns:
        The grid; its range holds 0.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=None)
    count = len(ordered)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    squares = np.concatenate([[0.0], np.cumsum(ordered * ordered)])
    lowest, highest = min(ordered[0], 0.0), max(ordered[-1], 0.0)
    shares = np.linspace(1.0, 0.1, _TRIED)
    lows, highs = lowest * shares, highest * shares
    below = np.searchsorted(ordered, lows)
    above = count - np.searchsorted(ordered, highs, side="right")
    tail, tail_squares = sums[-1] - sums[count - above], squares[-1] - squares[count - above]
    clipped_low = squares[below] - 2 * lows * sums[below] + below * lows**2
    clipped_high = tail_squares - 2 * highs * tail + above * highs**2
    return grid_between(*least_error_range(lows, highs, clipped_low, clipped_high, count, _STEPS))


_BLOCK = 1 << 21
"""Numbers worked on at a time."""


def products(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Compute products of rows with the weights of every channel, group by group.

    Args:
        rows: Shape (groups, rows, length), float32.
        weights: Shape (groups, channels, length), float32.

    Returns:
        Shape (groups, channels, rows), float32. Sums of whole numbers below 2^24 are exact.
    """
    import torch

    result = torch.bmm(torch.from_numpy(weights), torch.from_numpy(rows).transpose(1, 2))
    return np.asarray(result.numpy())


def covariance(rows: FloatArray) -> FloatArray:
    """Compute centred second moments of rows.

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
    moments = torch.zeros(groups, length, length, dtype=torch.float64)
    # A part at a time that fits the cache: centred rows of all would be as large as the rows.
    some_groups = max(1, _BLOCK // (count * length))
    some_rows = max(length, _BLOCK // (some_groups * length))
    for group in range(0, groups, some_groups):
        part = slice(group, group + some_groups)
        for start in range(0, count, some_rows):
            centred = given[part, start : start + some_rows] - mean[part]
            moments[part] += torch.bmm(centred.transpose(1, 2), centred)
    return np.asarray((moments / count).numpy())


def fake_quantize(values: FloatArray, grid: Grid) -> FloatArray:
    """Round real values to a grid, half to even like XNNPACK, and clip them.

    Args:
        values: Real values, float32, C-contiguous.
        grid: The grid.

    Returns:
        Real values of the same shape, float32.
    """
    import torch

    rounded = torch.from_numpy(values) / grid.scale
    low, high = grid.lowest - grid.zero_point, grid.highest - grid.zero_point
    return np.asarray(rounded.round_().clamp_(low, high).mul_(grid.scale).numpy())


def share_inside(values: FloatArray, grid: Grid) -> FloatArray:
    """Compute the share of each row's values within a grid's ends, shape (rows,), float32."""
    # In float32 as the values; numpy compares three times as fast as torch.
    between = values > np.float32(grid.low)
    between &= values < np.float32(grid.high)
    # A sum of booleans along an axis is several times slower than a count of each row.
    counts = [np.count_nonzero(row) for row in between]
    return np.asarray(np.array(counts) / values.shape[1], np.float32)

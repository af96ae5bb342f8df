"""The heavy sums, by torch on all cores; arrays go in and out without a copy."""

from __future__ import annotations

import numpy as np

from engine.core.types import FloatArray

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

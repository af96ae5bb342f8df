"""The heavy sums, by torch on all cores; arrays go in and out without a copy."""

from __future__ import annotations

import numpy as np

from engine.types import FloatArray


def products(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Products of rows with the weights of every channel, group by group.

    Args:
        rows: Shape (groups, rows, length), float32.
        weights: Shape (groups, channels, length), float32.

    Returns:
        Shape (groups, rows, channels), float32. Sums of whole numbers below 2^24 are exact.
    """
    import torch

    made = torch.bmm(torch.from_numpy(rows), torch.from_numpy(weights).transpose(1, 2))
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

    given = torch.from_numpy(rows)
    centred = given - given.mean(dim=1, keepdim=True)
    made = torch.bmm(centred.transpose(1, 2), centred) / rows.shape[1]
    return np.asarray(made.numpy(), np.float64)


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

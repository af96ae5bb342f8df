"""The bias that gives an integer layer the mean output of the float one.

Nagel et al. (2019, Data-Free Quantization) compare means before the activation. An activation
clips errors away on one side, so a zero mean error before it leaves one after it; this is about
the mean after clipping and rounding, which the next layer sees.
"""

from __future__ import annotations

import numpy as np

from engine.optimization.ranges import Grid
from engine.types import FloatArray

_NEWTON_STEPS = 8
_FEWEST_INSIDE = 0.02
"""Share of values between the ends of the range below which a channel's bias says too little."""
_CLOSE = 1e-3
"""Shift, in steps of the output, that is not worth another iteration."""


def corrected(sums: FloatArray, bias: FloatArray, target: FloatArray, grid: Grid) -> FloatArray:
    """Newton's method on the mean of the output as a function of the bias, channel by channel.

    Args:
        sums: Products without bias, in real units; shape (rows, channels).
        bias: To start from; shape (channels,).
        target: Mean output of the float layer, after its activation; shape (channels,).
        grid: What the output is rounded and clipped to.

    Returns:
        Shape (channels,), float64. Channels that are clipped almost everywhere keep their bias,
        and so do those where another one does not bring the mean closer.
    """
    low, high = grid.ends
    found = bias.astype(np.float64)
    best, least = found.copy(), np.full(found.shape, np.inf)
    for _ in range(_NEWTON_STEPS):
        values = sums + found.astype(np.float32)
        inside = ((values > low) & (values < high)).mean(axis=0)
        shift = grid.rounded(values).mean(axis=0, dtype=np.float64) - target
        better = np.abs(shift) < least
        best[better], least[better] = found[better], np.abs(shift)[better]
        usable = inside > _FEWEST_INSIDE
        if np.all(~usable | (least < _CLOSE * grid.scale.step)):
            break
        step = np.where(usable, shift / np.maximum(inside, _FEWEST_INSIDE), 0.0)
        found = np.where(better, found - step, (best + found) / 2)
    return best

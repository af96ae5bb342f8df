"""The bias that gives an integer layer the mean output of the float one.

Nagel et al. (2019, Data-Free Quantization) compare means before the activation. An activation
clips errors away on one side, so a zero mean error before it leaves one after it; this is about
the mean after clipping and rounding, which the next layer sees.
"""

from __future__ import annotations

import numpy as np

from engine.core.types import FloatArray
from engine.quantization.optimizer.grid import Grid, inside

_NEWTON_STEPS = 6
_BLOCK = 1 << 20
_FEWEST_INSIDE = 0.02
"""Share of values between the ends of the range below which a channel's bias says too little."""
_CLOSE = 3e-3
"""Shift, in steps of the output, that is not worth another iteration."""


def corrected(sums: FloatArray, bias: FloatArray, target: FloatArray, grid: Grid) -> FloatArray:
    """Newton's method on the mean of the output as a function of the bias, channel by channel.

    Args:
        sums: Products without bias, in real units; shape (channels, rows).
        bias: To start from; shape (channels,).
        target: Mean output of the float layer, after its activation; shape (channels,).
        grid: What the output is rounded and clipped to.

    Returns:
        Shape (channels,), float64. Channels that are clipped almost everywhere keep their bias,
        and so do those where another one does not bring the mean closer.
    """
    best = np.empty(len(sums))
    # Some channels at a time, so that all steps for them find their values in the cache.
    some = max(1, _BLOCK // sums.shape[1])
    for start in range(0, len(sums), some):
        part = slice(start, start + some)
        best[part] = _newton(sums[part], bias[part], target[part], grid)
    return best


def _newton(sums: FloatArray, bias: FloatArray, target: FloatArray, grid: Grid) -> FloatArray:
    low, high = grid.ends
    found = bias.astype(np.float64)
    best, least = found.copy(), np.full(found.shape, np.inf)
    open_channels = np.arange(len(found))
    for _ in range(_NEWTON_STEPS):
        values = sums[open_channels] + found[open_channels].astype(np.float32)[:, None]
        within = inside(values, low, high)
        mean = grid.rounded(values).mean(axis=1, dtype=np.float64)
        shift = mean - target[open_channels]
        better = np.abs(shift) < least[open_channels]
        gained = open_channels[better]
        best[gained], least[gained] = found[gained], np.abs(shift)[better]
        step = shift / np.maximum(within, _FEWEST_INSIDE)
        halved = (best + found)[open_channels] / 2
        found[open_channels] = np.where(better, found[open_channels] - step, halved)
        unfinished = (within > _FEWEST_INSIDE) & (np.abs(shift) >= _CLOSE * grid.scale.step)
        open_channels = open_channels[unfinished]
        if not len(open_channels):
            break
    return best

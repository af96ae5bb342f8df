"""What the rules of `engine.comparison.layers.causes` look at, and how they say it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.comparison.layers.records import LayerError
from engine.tflite.graph import Grid


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """The network's input as an operator reads it.

    Attributes:
        grid: Its integer grid.
        low: Smallest value of all pictures.
        high: Largest value of all pictures.
        clipped: Share of values beyond the grid by more than half a step.
    """

    grid: Grid
    low: float
    high: float
    clipped: float


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at.

    Attributes:
        layer: The operator's figures, as yet without findings.
        network_input: Of operators that read the network's input.
        sources: The operators whose outputs it reads, with their own findings.
        chosen_by: What chose a range that may leave values out; None for that of all values seen
            in calibration.
        first_still: Whether the answers are the same for every picture from this operator on.
        still_source: An operator whose output is the same for every picture, which makes this one's
            so; None where there is none.
    """

    layer: LayerError
    network_input: NetworkInput | None = None
    sources: tuple[LayerError, ...] = ()
    chosen_by: str | None = None
    first_still: bool = False
    still_source: LayerError | None = None


def above_covering(layer: LayerError) -> float:
    """Decibels of the own error above that of a grid which covers all values."""
    error = layer.own or layer.accumulated
    if layer.grid is None or not error.error_ratio:
        return 0.0
    width = max(layer.high, 0.0) - min(layer.low, 0.0)
    step = width / (layer.grid.highest - layer.grid.lowest)
    if not step:
        return 0.0
    return max(20 * math.log10(error.error_ratio * layer.rms * math.sqrt(12) / step), 0.0)


def furthest(layer: LayerError) -> float:
    """The float value that lies furthest beyond the grid."""
    assert layer.grid is not None
    above = layer.high - layer.grid.high >= layer.grid.low - layer.low
    return layer.high if above else layer.low


def nearest_end(layer: LayerError) -> float:
    """The end of the grid that `furthest` lies beyond."""
    assert layer.grid is not None
    above = layer.high - layer.grid.high >= layer.grid.low - layer.low
    return layer.grid.high if above else layer.grid.low


def real(value: float) -> str:
    """A real value in a sentence."""
    return f"{value:.3g}"


def share_of(share: float) -> str:
    """A share of 0 to 1 in a sentence."""
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.0f} %"

"""Quantized values: scale, zero point and the integers that a type or an activation allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.core.types import FloatArray


@dataclass(frozen=True, slots=True)
class Grid:
    """The integer grid of a tensor: real = scale * (integer - zero_point).

    Attributes:
        scale: Real value of one step.
        zero_point: The integer that stands for 0.0.
        lowest: Smallest integer.
        highest: Largest integer.
    """

    scale: float
    zero_point: int
    lowest: int = -128
    highest: int = 127

    @classmethod
    def of(cls, scale: float, zero_point: int, dtype: np.dtype[np.generic] | str) -> Grid:
        """Make the grid of all integers of a type."""
        limits = np.iinfo(np.dtype(dtype))
        return cls(float(scale), int(zero_point), int(limits.min), int(limits.max))

    @property
    def low(self) -> float:
        """Smallest real value."""
        return self.scale * (self.lowest - self.zero_point)

    @property
    def high(self) -> float:
        """Largest real value."""
        return self.scale * (self.highest - self.zero_point)

    @property
    def width(self) -> float:
        """Largest minus smallest real value."""
        return self.scale * (self.highest - self.lowest)

    def quantize(self, values: FloatArray, out: np.ndarray, room: FloatArray) -> None:
        """Round real values to integers, half to even, within the grid.

        Args:
            values: Real values.
            out: Gets the integers.
            room: Space for as many float32 values.
        """
        steps = room[: values.size]
        np.divide(values.reshape(-1), np.float32(self.scale), out=steps)
        np.rint(steps, out=steps)
        steps += np.float32(self.zero_point)
        np.clip(steps, self.lowest, self.highest, out=steps)
        np.copyto(out.reshape(-1), steps, casting="unsafe")

    def dequantize(self, integers: np.ndarray, out: FloatArray | None = None) -> FloatArray:
        """Compute the real values of integers, in float32; into `out` where it is given."""
        real: FloatArray = np.subtract(integers, self.zero_point, out=out, dtype=np.float32)
        real *= np.float32(self.scale)
        return real

"""Sums over pictures, from which the figures of an operator follow.

Within a picture sums are taken in float32 by BLAS, over pictures in float64; nothing is kept of a
picture but its sums, so that memory does not grow with their number.
"""

from __future__ import annotations

import numpy as np

from engine.comparison.layers.records import HISTOGRAM_CELLS, ChannelRanges, Deviation
from engine.core.types import FloatArray
from engine.tflite.grid import Grid

CACHED_VALUES = 1 << 15
"""Values that are worked on at once, so that what is computed of them stays in the cache."""
OUTLIER_SHARE = 0.02
"""At most this share of the channels, and at least one, can be called outliers."""


class Values:
    """Statistics of float values, and of the grid that stands for them.

    Args:
        shape: Of the tensor; the last axis is that of the channels.
        grid: The integer tensor's grid; None for float.
    """

    def __init__(self, shape: tuple[int, ...], grid: Grid | None) -> None:
        self.grid = grid
        self.channels = shape[-1] if shape else 1
        self.count = 0
        self.energy = 0.0
        self.lows = np.full(self.channels, np.inf)
        self.highs = np.full(self.channels, -np.inf)
        self.cells = np.zeros(HISTOGRAM_CELLS, dtype=np.int64)
        self.below = self.above = 0
        self.clip_energy = 0.0

    def add(self, values: FloatArray, integers: np.ndarray | None) -> None:
        """Take one picture into account.

        Args:
            values: Float values.
            integers: The same on the grid; None for float.
        """
        rows = values.reshape(-1, self.channels)
        flat = rows.reshape(-1)
        self.count += flat.size
        self.energy += float(np.dot(flat, flat))
        np.minimum(self.lows, rows.min(axis=0), out=self.lows)
        np.maximum(self.highs, rows.max(axis=0), out=self.highs)
        if self.grid is None or integers is None:
            return
        self.cells += _cells(integers.reshape(-1))
        self._clip(flat, self.grid)

    def _clip(self, flat: FloatArray, grid: Grid) -> None:
        half = grid.scale / 2
        if self.lows.min() >= grid.low - half and self.highs.max() <= grid.high + half:
            return
        for beyond, end, below in (
            (flat[flat < grid.low - half], grid.low, True),
            (flat[flat > grid.high + half], grid.high, False),
        ):
            self.clip_energy += float(np.square(beyond - end, dtype=np.float64).sum())
            self.below += beyond.size if below else 0
            self.above += 0 if below else beyond.size

    def merge(self, values: Values) -> None:
        """Add the sums of other pictures."""
        self.count += values.count
        self.energy += values.energy
        np.minimum(self.lows, values.lows, out=self.lows)
        np.maximum(self.highs, values.highs, out=self.highs)
        self.cells += values.cells
        self.below += values.below
        self.above += values.above
        self.clip_energy += values.clip_energy

    @property
    def low(self) -> float:
        """Smallest value."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """Largest value."""
        return float(self.highs.max())

    @property
    def rms(self) -> float:
        """Root mean square."""
        return float(np.sqrt(self.energy / max(self.count, 1)))

    @property
    def finite(self) -> bool:
        """Whether no value was NaN or infinite."""
        return bool(np.isfinite(self.lows).all() and np.isfinite(self.highs).all())

    def histogram(self) -> tuple[int, ...]:
        """Count the values of each cell of the grid, without those beyond it."""
        cells = self.cells.copy()
        cells[0] -= self.below
        cells[-1] -= self.above
        return tuple(int(count) for count in np.maximum(cells, 0)) if self.grid else ()

    def channel_ranges(self) -> ChannelRanges:
        """Describe how the channels share the range."""
        lows, highs = np.minimum(self.lows, 0.0), np.maximum(self.highs, 0.0)
        largest = np.maximum(-lows, highs)
        order = np.argsort(largest, kind="stable")[::-1]
        most = max(1, int(self.channels * OUTLIER_SHARE))
        outliers, spread = 0, 1.0
        width = highs.max() - lows.min()
        for count in range(1, min(most, self.channels - 1) + 1):
            rest = order[count:]
            without = float(highs[rest].max() - lows[rest].min())
            ratio = float(width) / without if without > 0 else np.inf
            # The fewest channels that explain the spread.
            if np.isfinite(ratio) and ratio > spread * 1.25:
                outliers, spread = count, ratio
        others = order[outliers:]
        return ChannelRanges(
            channels=self.channels,
            dead=int(np.count_nonzero(self.lows == self.highs)),
            killed=self._count_killed(),
            widest=int(order[0]),
            outliers=outliers,
            spread=spread,
            widest_reach=float(largest[order[0]]),
            others_reach=float(largest[others[0]]) if len(others) else 0.0,
        )

    def _count_killed(self) -> int:
        if self.grid is None:
            return 0
        low, high = (
            np.clip(
                np.rint(ends / self.grid.scale) + self.grid.zero_point,
                self.grid.lowest,
                self.grid.highest,
            )
            for ends in (self.lows, self.highs)
        )
        return int(np.count_nonzero((low == high) & (self.lows < self.highs)))


class Errors:
    """Differences between the real values of integers and float values.

    Args:
        shape: Of the tensor; the last axis is that of the channels.
        grid: The integer tensor's grid; None for float.
        batch: How often each picture is in the tensor, where the network takes several at once.
    """

    def __init__(self, shape: tuple[int, ...], grid: Grid | None, batch: int = 1) -> None:
        self._grid, self._batch = grid, batch
        self._channels = shape[-1] if shape else 1
        self._step = max(CACHED_VALUES // self._channels, 1)
        self._ones = np.ones(self._step, dtype=np.float32)
        self._sums = np.zeros(self._channels)
        self.energy = 0.0
        self.count = 0
        self.at_ends = 0

    def add(self, values: FloatArray, integers: np.ndarray, room: FloatArray) -> None:
        """Take one picture into account.

        Args:
            values: Float values.
            integers: What stands for them, in the tensor's own type.
            room: Space for as many float32 values.
        """
        whole, exact = (side.reshape(-1, self._channels) for side in (integers, values))
        for start in range(0, len(whole), self._step):
            self._add(exact[start : start + self._step], whole[start : start + self._step], room)
        self.count += integers.size

    def _add(self, exact: FloatArray, whole: np.ndarray, room: FloatArray) -> None:
        """Take some rows of channels into account."""
        error = room[: whole.size].reshape(whole.shape)
        if self._grid is None:
            np.subtract(whole, exact, out=error)
        else:
            self._grid.dequantize(whole, error)
            error -= exact
            self.at_ends += int(np.count_nonzero(whole == self._grid.lowest))
            self.at_ends += int(np.count_nonzero(whole == self._grid.highest))
        flat = error.reshape(-1)
        self.energy += float(np.dot(flat, flat))
        self._sums += self._ones[: len(error)] @ error

    def merge(self, errors: Errors) -> None:
        """Add the sums of other pictures."""
        self._sums += errors._sums
        self.energy += errors.energy
        self.count += errors.count
        self.at_ends += errors.at_ends

    def deviation(self, signal: float) -> Deviation:
        """Compute the figures."""
        each = self.count / self._channels
        means = self._sums / each
        channel = int(np.abs(means).argmax())
        mean_energy = float(np.square(means).sum()) * each
        share = min(mean_energy / self.energy, 1.0) if self.energy else 0.0
        samples = each / self._batch
        return Deviation(
            error_ratio=float(np.sqrt(self.energy / signal)) if signal else None,
            mean_shift=float(means.mean()),
            channel=channel,
            channel_shift=float(means[channel]),
            # Means of so many samples of pure noise hold 1 / samples of its energy.
            shift_share=max(share - 1 / samples, 0.0) / (1 - 1 / samples) if samples > 1 else 0.0,
        )


class Movement:
    """Distance of real values of integers from those of one picture, beside float values."""

    def __init__(self, grid: Grid | None) -> None:
        self._step = 1.0 if grid is None else grid.scale
        self._start: tuple[FloatArray, np.ndarray] | None = None
        self.exact = 0.0
        self.whole = 0.0

    def begin(self, values: FloatArray, whole: np.ndarray) -> None:
        """Take the values of the picture that the others are compared with; see `add`."""
        self._start = values.copy(), whole.copy()

    def add(self, values: FloatArray, whole: np.ndarray, room: FloatArray) -> None:
        """Take one picture into account.

        Args:
            values: Float values.
            whole: What stands for them, in the tensor's own type.
            room: Space for as many float32 values.
        """
        assert self._start is not None, "begin comes first"
        change = room[: values.size]
        np.subtract(values.reshape(-1), self._start[0].reshape(-1), out=change)
        self.exact += float(np.dot(change, change))
        before = self._start[1].reshape(-1)
        np.subtract(whole.reshape(-1), before, out=change, dtype=np.float32)
        self.whole += float(np.dot(change, change)) * self._step**2

    def merge(self, movement: Movement) -> None:
        """Add the sums of other pictures."""
        self.exact += movement.exact
        self.whole += movement.whole

    @property
    def ratio(self) -> float | None:
        """Rms of the integers' movement divided by the float values'; None where these stand."""
        return float(np.sqrt(self.whole / self.exact)) if self.exact else None


def _cells(integers: np.ndarray) -> np.ndarray:
    """Count the integers in each of the equal parts of their type's range."""
    bits = 8 * integers.itemsize
    plain = integers.view(f"uint{bits}")
    if integers.dtype.kind == "i":
        plain = plain ^ plain.dtype.type(1 << (bits - 1))
    plain = plain >> plain.dtype.type(bits - HISTOGRAM_CELLS.bit_length() + 1)
    cells = np.zeros(HISTOGRAM_CELLS, dtype=np.int64)
    for start in range(0, len(plain), CACHED_VALUES):
        # It makes eight bytes of each value.
        part = plain[start : start + CACHED_VALUES]
        cells += np.bincount(part, minlength=HISTOGRAM_CELLS)
    return cells

"""Optimize one layer: weights, bias and range, each kept only where it gains.

What counts is the layer's own error: the rms between its integer output on its integer input and
the float output, on pictures that the fit did not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.core.types import FloatArray
from engine.quantization.optimizer.gptq import best_steps, gptq
from engine.quantization.optimizer.grid import (
    clip_to_activation,
    covariance,
    fake_quantize,
    least_squares,
    products,
    share_inside,
)
from engine.quantization.optimizer.sampling import Geometry, Rows
from engine.tflite.graph import Graph, Operator, bias_scales
from engine.tflite.grid import Grid

FEWEST_SAMPLES = 4000
"""Rows below which a covariance says too little for rounding to rely on it."""
FREE_RANGE = frozenset({0, 1})
"""Fused activations whose range may be searched: none, and ReLU. ReLU6's loses by it."""
FEWEST_HELD_OUT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """Parameters of a layer in its file.

    Attributes:
        weights: Whole numbers, shape (groups, channels, length).
        steps: Scales of the weights, shape (groups, channels), float32.
        bias: In real units, shape (groups * channels,), float64.
        grid: Of the output.
    """

    weights: FloatArray
    steps: FloatArray
    bias: FloatArray
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The parameters chosen for a layer.

    Attributes:
        parameters: To write into the file.
        done: What was done, in the order tried; empty where nothing gained.
        before: Own error rms with the parameters that were there.
        after: The same with these.
    """

    parameters: Parameters
    done: tuple[str, ...]
    before: float
    after: float


class Layer:
    """A layer on its rows.

    Args:
        rows: Input and float output.
        activation: TFLite's number of the fused activation function.
        source: Grid of the input.

    Attributes:
        samples: Rows that the fit may use.
    """

    def __init__(self, rows: Rows, activation: int, source: Grid) -> None:
        self._rows = rows
        self._activation = activation
        self._source = source
        every = rows.target.shape[1]
        enough = 0 < rows.fitted <= every - FEWEST_HELD_OUT
        self.samples = rows.fitted if enough else every
        self._judged = slice(rows.fitted if enough else 0, every)

    def sums(self, parameters: Parameters) -> FloatArray:
        """Compute products without bias in real units, shape (outputs, rows)."""
        sums = products(self._rows.source, parameters.weights.astype(np.float32))
        sums *= (parameters.steps * np.float32(self._source.scale))[:, :, None]
        return sums.reshape(-1, sums.shape[2])

    def error(self, parameters: Parameters, sums: FloatArray) -> float:
        """Compute the own error rms on the pictures kept out of the fit."""
        values = sums[:, self._judged] + parameters.bias.astype(np.float32)[:, None]
        values = fake_quantize(values, clip_to_activation(parameters.grid, self._activation))
        values -= self._rows.target[:, self._judged]
        return float(np.sqrt(np.mean(np.square(values), dtype=np.float64)))

    def fit(self, start: Parameters, weights: FloatArray, *, free_range: bool) -> Fitted:
        """Find better parameters.

        Args:
            start: Those of the file.
            weights: Of the float layer, shape (groups, channels, length).
            free_range: Whether the output's grid may be changed.
        """
        sums = self.sums(start)
        before = best = self.error(start, sums)
        chosen, done = start, []
        target = self._rows.target[:, : self.samples].mean(axis=1, dtype=np.float64)
        for what, tried in self._weights(start, weights):
            tried_sums = sums if tried is start else self.sums(tried)
            tried = self._with_bias(tried, tried_sums, target)
            error = self.error(tried, tried_sums)
            if error < best:
                chosen, done, best, sums = tried, [*what, "bias"], error, tried_sums
                break
        if free_range and self._activation in FREE_RANGE:
            values = sums[:, : self.samples] + chosen.bias.astype(np.float32)[:, None]
            if self._activation:
                np.maximum(values, 0.0, out=values)
            tried = replace(chosen, grid=least_squares(values))
            tried = self._with_bias(tried, sums, target)
            error = self.error(tried, sums)
            if error < best:
                chosen, done, best = tried, [*done, "range"], error
        return Fitted(chosen, tuple(done), before, best)

    def _weights(
        self, start: Parameters, weights: FloatArray
    ) -> Iterator[tuple[tuple[str, ...], Parameters]]:
        """Yield weights to try, the best first."""
        if self.samples >= FEWEST_SAMPLES:
            hessian = covariance(self._rows.source[:, : self.samples])
            power = np.einsum("gkk->gk", hessian)
            if power.any():
                steps = best_steps(weights, start.steps, power)
                rounded = gptq(weights, steps, hessian)
                yield ("gptq",), replace(start, weights=rounded, steps=steps)
        yield (), start

    def _with_bias(
        self, parameters: Parameters, sums: FloatArray, target: FloatArray
    ) -> Parameters:
        grid = clip_to_activation(parameters.grid, self._activation)
        bias = correct_bias(sums[:, : self.samples], parameters.bias, target, grid)
        return replace(parameters, bias=bias)


def parameters_of(graph: Graph, op: Operator) -> Parameters:
    """Read a layer's parameters from the file."""
    geometry, grid = Geometry.of(graph, op), graph.grid(op.output)
    assert grid is not None, "the output of an integer layer has one scale"
    weights = geometry.group(graph.constant(op.inputs[1])).astype(np.float32)
    outputs = geometry.groups * geometry.channels
    steps = np.broadcast_to(graph.scales(op.inputs[1]), (outputs,)).copy()
    bias = np.zeros(outputs)
    if len(op.inputs) > 2:
        bias = graph.constant(op.inputs[2]).astype(np.float64) * graph.scales(op.inputs[2])
    return Parameters(weights, steps.reshape(geometry.groups, geometry.channels), bias, grid)


def write(graph: Graph, op: Operator, parameters: Parameters) -> None:
    """Write a layer's parameters into the file."""
    geometry, source = Geometry.of(graph, op), graph.grid(op.inputs[0])
    assert source is not None, "the input of an integer layer has one scale"
    weights, steps = op.inputs[1], parameters.steps.reshape(-1)
    if graph.grid(op.output) != parameters.grid:
        graph.set_grid(op.output, parameters.grid)
    graph.set_constant(weights, geometry.ungroup(parameters.weights, graph.shape(weights)))
    graph.set_scales(weights, steps)
    graph.set_bias(op, parameters.bias, bias_scales(source, steps))


_NEWTON_STEPS = 6
_BLOCK = 1 << 18
_FEWEST_INSIDE = 0.02
"""Share of values between the ends of the range below which a channel's bias says too little."""
_CLOSE = 3e-3
"""Shift, in steps of the output, that is not worth another iteration."""


def correct_bias(sums: FloatArray, bias: FloatArray, target: FloatArray, grid: Grid) -> FloatArray:
    """Bring the mean of the output to the float layer's, channel by channel, by Newton's method.

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
    tried = bias.astype(np.float64)
    best, least = tried.copy(), np.full(tried.shape, np.inf)
    open_channels = np.arange(len(tried))
    for _ in range(_NEWTON_STEPS):
        values = sums[open_channels] + tried[open_channels].astype(np.float32)[:, None]
        within = share_inside(values, grid)
        mean = fake_quantize(values, grid).mean(axis=1, dtype=np.float64)
        shift = mean - target[open_channels]
        better = np.abs(shift) < least[open_channels]
        gained = open_channels[better]
        best[gained], least[gained] = tried[gained], np.abs(shift)[better]
        step = shift / np.maximum(within, _FEWEST_INSIDE)
        halved = (best + tried)[open_channels] / 2
        tried[open_channels] = np.where(better, tried[open_channels] - step, halved)
        unfinished = (within > _FEWEST_INSIDE) & (np.abs(shift) >= _CLOSE * grid.scale)
        open_channels = open_channels[unfinished]
        if not len(open_channels):
            break
    return best

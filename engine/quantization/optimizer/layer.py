"""One layer anew: weights, bias and range, each kept only where it gains.

What counts is the layer's own error: the rms between its integer output on its integer input and
the float output, on pictures that the fit did not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from engine.core.types import FloatArray
from engine.quantization.optimizer.gptq import best_steps, gptq
from engine.quantization.optimizer.grid import Grid, covariance, inside, least_squares, products
from engine.quantization.optimizer.sampling import Geometry, Rows
from engine.tflite.graph import Graph, Operator, Scale, bias_steps

FEWEST_SAMPLES = 4000
"""Rows below which a covariance says too little for rounding to rely on it."""
FREE_RANGE = frozenset({0, 1})
"""Fused activations whose range may be searched: none, and ReLU. ReLU6's loses by it."""
_FEWEST_HELD_OUT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """What the file holds for a layer.

    Attributes:
        weights: Whole numbers, shape (groups, channels, length).
        steps: Scales of the weights, shape (groups, channels), float32.
        bias: In real units, shape (groups * channels,), float64.
        scale: Of the output.
    """

    weights: FloatArray
    steps: FloatArray
    bias: FloatArray
    scale: Scale


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
        source: Scale of the input.
        bits: Of the output's integers.

    Attributes:
        samples: Rows that the fit may use.
    """

    def __init__(self, rows: Rows, activation: int, source: Scale, bits: int = 8) -> None:
        self._rows = rows
        self._bits = bits
        self._activation = activation
        self._source = source
        every = rows.target.shape[1]
        enough = 0 < rows.fitted <= every - _FEWEST_HELD_OUT
        self.samples = rows.fitted if enough else every
        self._judged = slice(rows.fitted if enough else 0, every)

    def sums(self, parameters: Parameters) -> FloatArray:
        """Products without bias in real units, shape (outputs, rows)."""
        made = products(self._rows.source, parameters.weights.astype(np.float32))
        made *= (parameters.steps * np.float32(self._source.step))[:, :, None]
        return made.reshape(-1, made.shape[2])

    def error(self, parameters: Parameters, sums: FloatArray) -> float:
        """Own error rms on the pictures kept out of the fit."""
        values = sums[:, self._judged] + parameters.bias.astype(np.float32)[:, None]
        values = Grid.of(parameters.scale, self._activation, self._bits).rounded(values)
        values -= self._rows.target[:, self._judged]
        return float(np.sqrt(np.mean(np.square(values), dtype=np.float64)))

    def fit(self, start: Parameters, weights: FloatArray, *, free_range: bool) -> Fitted:
        """Find better parameters.

        Args:
            start: Those of the file.
            weights: Of the float layer, shape (groups, channels, length).
            free_range: Whether the output's scale may be changed.
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
            tried = replace(chosen, scale=least_squares(values))
            tried = self._with_bias(tried, sums, target)
            error = self.error(tried, sums)
            if error < best:
                chosen, done, best = tried, [*done, "range"], error
        return Fitted(chosen, tuple(done), before, best)

    def _weights(
        self, start: Parameters, weights: FloatArray
    ) -> Iterator[tuple[tuple[str, ...], Parameters]]:
        """Weights to try, the best first."""
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
        grid = Grid.of(parameters.scale, self._activation, self._bits)
        return replace(
            parameters, bias=corrected(sums[:, : self.samples], parameters.bias, target, grid)
        )


def parameters_of(graph: Graph, op: Operator) -> Parameters:
    """Read a layer's parameters from the file."""
    geometry, scale = Geometry.of(graph, op), graph.scale(op.output)
    assert scale is not None, "the output of an integer layer has one scale"
    weights = geometry.grouped(graph.constant(op.inputs[1])).astype(np.float32)
    outputs = geometry.groups * geometry.channels
    steps = np.broadcast_to(graph.steps(op.inputs[1]), (outputs,)).copy()
    bias = np.zeros(outputs)
    if len(op.inputs) > 2:
        bias = graph.constant(op.inputs[2]).astype(np.float64) * graph.steps(op.inputs[2])
    return Parameters(weights, steps.reshape(geometry.groups, geometry.channels), bias, scale)


def write(graph: Graph, op: Operator, parameters: Parameters) -> None:
    """Write a layer's parameters into the file."""
    geometry, source = Geometry.of(graph, op), graph.scale(op.inputs[0])
    assert source is not None, "the input of an integer layer has one scale"
    weights, steps = op.inputs[1], parameters.steps.reshape(-1)
    if graph.scale(op.output) != parameters.scale:
        graph.set_scale(op.output, parameters.scale)
    graph.set_constant(weights, geometry.stored(parameters.weights, graph.shape(weights)))
    graph.set_steps(weights, steps)
    graph.set_bias(op, parameters.bias, bias_steps(source, steps))


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

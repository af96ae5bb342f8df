"""In which order layers are best computed in float32, by the noise of each rounding.

A layer in float32 has no rounded weights. The rounding of an activation falls away only where the
operator that makes it and all that read it are in float32; so layers that follow each other win
more together than each alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np

from engine.comparison.layers.pairing import pair_operators
from engine.comparison.layers.records import LossSplit
from engine.comparison.metrics import rms
from engine.core.parity import difference
from engine.core.types import FloatArray, Progress
from engine.tflite.edits import add_activation, edge_operator
from engine.tflite.graph import CHANNEL_AXIS, EDGES, WEIGHTED, Graph, Operator, plain_graph
from engine.tflite.grid import Grid
from engine.tflite.interpreter import run_model

_MOST_AT_ONCE = 4
"""Layers added in one step: a block of three, and the layer that reads its sum."""


@dataclass(frozen=True, slots=True)
class Step:
    """Layers that are next best in float32.

    Attributes:
        layers: Operators with weights, by their place in the integer model.
        left: Mean square of the logits' error that is expected with these and all before in
            float32.
    """

    layers: tuple[int, ...]
    left: float


class Wiring:
    """Readers and makers of the operators of an integer model that could be in float32."""

    def __init__(self, graph: Graph, partners: Iterable[int]) -> None:
        self.operators = frozenset(partners)
        self.layers = [i for i in sorted(self.operators) if graph.operators[i].opcode in WEIGHTED]
        self._edges = {op.index for op in graph.operators if op.opcode in EDGES}
        self._sums = {op.index for op in graph.operators if op.opcode == "ADD"}
        self._readers = {
            op.index: [reader.index for t in op.outputs for reader in graph.consumers(t)]
            for op in graph.operators
        }
        self._makers = {
            op.index: [graph.producer[t].index for t in op.inputs if t in graph.producer]
            for op in graph.operators
        }

    def float_operators(self, layers: Collection[int]) -> frozenset[int]:
        """Find the operators that are in float32 when these layers are.

        An operator without weights joins them where that spares a rounding: where it reads what
        one of them makes, and all others that read it are among them.
        """
        floats = set(layers)
        waiting = list(floats)
        while waiting:
            for reader in self._readers[waiting.pop()]:
                if reader in floats or reader not in self.operators or reader in self.layers:
                    continue
                makers = [maker for maker in self._makers[reader] if maker in floats]
                if any(self.is_unrounded(maker, floats | {reader}) for maker in makers):
                    floats.add(reader)
                    waiting.append(reader)
        return frozenset(floats)

    def is_unrounded(self, index: int, floats: Collection[int]) -> bool:
        """Whether what an operator makes is nowhere rounded when these are in float32."""
        readers = self._readers[index]
        return bool(readers) and all(r in floats or r in self._edges for r in readers)

    def behind(self, layers: Collection[int]) -> frozenset[int]:
        """Find the next layers, reached through operators without weights, but not through sums."""
        return self._next(layers, self._readers, self._sums)

    def around(self, layers: Collection[int]) -> frozenset[int]:
        """Find these, and the next layers behind and in front of them, also through sums."""
        near = self._next(layers, self._readers, set())
        return near | self._next(near | frozenset(layers), self._makers, set()) | frozenset(layers)

    def _next(
        self, layers: Collection[int], ways: Mapping[int, list[int]], barred: set[int]
    ) -> frozenset[int]:
        waiting, seen, nearest = list(layers), set(layers), set()
        while waiting:
            for near in ways[waiting.pop()]:
                if near in seen or near not in self.operators or near in barred:
                    continue
                seen.add(near)
                if near in self.layers:
                    nearest.add(near)
                else:
                    waiting.append(near)
        return frozenset(nearest)


def float_steps(wiring: Wiring, noise: Collection[Noise]) -> tuple[Step, ...]:
    """Put all layers in order, the best first, in steps of a few that belong together.

    Args:
        wiring: Of the integer model.
        noise: A record for each of its operators that could be in float32.

    Returns:
        Each step wins more a layer than any other could.
    """
    noise_at = {record.operator: record for record in noise}
    total = sum(record.output + record.weights for record in noise)

    def won(layers: Collection[int]) -> float:
        floats = wiring.float_operators(layers)
        weights = sum(noise_at[i].weights for i in layers)
        unrounded = (i for i in floats if wiring.is_unrounded(i, floats))
        return weights + sum(noise_at[i].output for i in unrounded)

    candidates = {c: wiring.around(c) for c in _candidates(wiring)}
    gains = dict.fromkeys(candidates, 0.0)
    stale = set(candidates)
    chosen: frozenset[int] = frozenset()
    before, steps = 0.0, []
    while len(chosen) < len(wiring.layers):
        for candidate in stale:
            gains[candidate] = (won(chosen | candidate) - before) / len(candidate - chosen)
        best = max(gains, key=lambda c: (gains[c], -len(c), -min(c)))
        added, chosen = best - chosen, chosen | best
        before = won(chosen)
        steps.append(Step(tuple(sorted(added)), max(total - before, 0.0)))
        gains = {c: gain for c, gain in gains.items() if not c <= chosen}
        stale = {c for c in gains if candidates[c] & best}
    return tuple(steps)


def _candidates(wiring: Wiring) -> set[frozenset[int]]:
    """List sets of layers that may win together: each, and each with those behind it."""
    candidates = set()
    for layer in wiring.layers:
        together = frozenset({layer})
        while together not in candidates and len(together) <= _MOST_AT_ONCE:
            candidates.add(together)
            together |= wiring.behind(together)
    return candidates


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of one operator's roundings in the logits.

    Attributes:
        operator: Its place among the integer model's operators.
        output: Mean square of the logits' differences to the float32 model's, each row's mean
            removed, when only its output is rounded; 0 where that has no grid.
        weights: The same when only its weights and bias are rounded; 0 where it has none.
    """

    operator: int
    output: float
    weights: float


def noise_of(
    float_model: bytes,
    quantized_model: bytes,
    pictures: FloatArray,
    report: Callable[[Progress], None],
) -> tuple[Noise, ...]:
    """Measure the noise of every operator that has a counterpart in the float32 model.

    Args:
        float_model: The float32 model.
        quantized_model: The integer model.
        pictures: Shape (pictures, *input*), float32, in the model's own layout.
        report: Receives progress.

    Returns:
        A record an operator, in the order they run.

    Raises:
        ConversionError: LiteRT refuses a model, or one has no plain graph.
    """
    graph = plain_graph(quantized_model)
    partners = pair_operators(plain_graph(float_model), graph).counterparts
    (exact,) = run_model(float_model, "the float32 model", [pictures])
    exact = exact.reshape(len(exact), -1)

    def measure(noisy: bytes) -> float:
        (answers,) = run_model(noisy, "the float32 model with one rounding", [pictures])
        return rms(difference(exact, answers.reshape(exact.shape))) ** 2

    noise = []
    for done, (index, partner) in enumerate(partners.items()):
        op = graph.operators[index]
        report(Progress(f"Measuring the noise of {op.opcode}", done, len(partners)))
        grid = graph.grid(op.output)
        output = weights = 0.0
        if grid is not None and graph.dtype(op.output) == "int8":
            output = measure(with_rounded_output(float_model, partner, grid))
        if op.opcode in WEIGHTED:
            weights = measure(with_rounded_weights(float_model, partner, graph, op))
        noise.append(Noise(index, output, weights))
    return tuple(noise)


def with_rounded_output(float_model: bytes, partner: Operator, grid: Grid) -> bytes:
    """Round the output of one operator of the float32 model to int8 and back."""
    graph = Graph(float_model)
    _round_outputs(graph, {partner.output: grid})
    return graph.pack()


def _round_outputs(graph: Graph, grids: Mapping[int, Grid]) -> None:
    """Round tensors to int8 and back right behind the operators that make them."""
    rounded = {tensor: add_activation(graph, tensor, b"_rounded", None) for tensor in grids}
    operators = []
    for op in graph.operators:
        raw = copy(op.raw)
        raw.inputs = [rounded.get(int(i), int(i)) for i in op.raw.inputs]
        operators.append(raw)
        for tensor in op.outputs:
            if tensor in grids:
                integers = add_activation(graph, tensor, b"_integers", grids[tensor])
                operators.append(edge_operator(graph, "QUANTIZE", tensor, integers))
                operators.append(edge_operator(graph, "DEQUANTIZE", integers, rounded[tensor]))
    graph.raw.operators = operators
    graph.raw.outputs = [rounded.get(i, i) for i in graph.outputs]


def with_rounded_weights(
    float_model: bytes, partner: Operator, quantized: Graph, op: Operator
) -> bytes:
    """Give one layer of the float32 model the weights and the bias of the integer model."""
    graph = Graph(float_model)
    _round_weights(graph, partner, quantized, op)
    return graph.pack()


def _round_weights(graph: Graph, partner: Operator, quantized: Graph, op: Operator) -> None:
    for tensor, float_tensor in zip(op.inputs[1:], partner.inputs[1:], strict=False):
        graph.set_constant(float_tensor, _real(quantized, tensor, op.opcode))


def split_loss(
    float_model: bytes, quantized_model: bytes, pictures: FloatArray
) -> LossSplit | None:
    """Measure what rounding all weights does to the logits, and what rounding all activations does.

    Args:
        float_model: The float32 model.
        quantized_model: The integer model.
        pictures: Shape (pictures, *input*), float32, in the model's own layout.

    Returns:
        Both errors; None where the model rounds no activation to int8.

    Raises:
        ConversionError: LiteRT refuses a model, or one has no plain graph.
    """
    graph = plain_graph(quantized_model)
    partners = pair_operators(plain_graph(float_model), graph).counterparts
    whole, grids = Graph(float_model), {}
    for index, partner in partners.items():
        op = graph.operators[index]
        grid = graph.grid(op.output)
        if grid is not None and graph.dtype(op.output) == "int8":
            grids[partner.output] = grid
        if op.opcode in WEIGHTED and graph.scales(op.inputs[1]).size:
            _round_weights(whole, partner, graph, op)
    if not grids:
        return None
    rounded = Graph(float_model)
    _round_outputs(rounded, grids)
    exact, by_weights, by_activations = (
        run_model(model, "the float32 model with roundings", [pictures])[0].reshape(
            len(pictures), -1
        )
        for model in (float_model, whole.pack(), rounded.pack())
    )
    return LossSplit(
        weights=rms(difference(exact, by_weights)),
        activations=rms(difference(exact, by_activations)),
        pictures=len(pictures),
    )


def _real(graph: Graph, tensor: int, opcode: str) -> FloatArray:
    values, scales = graph.constant(tensor).astype(np.float32), graph.scales(tensor)
    if not scales.size:
        return values
    shape = [1] * values.ndim
    # A bias has one axis.
    shape[CHANNEL_AXIS[opcode] if values.ndim > 1 else 0] = -1
    return np.asarray(values * (scales.reshape(shape) if len(scales) > 1 else scales), np.float32)

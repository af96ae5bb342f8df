"""In which order layers are best computed in float32, told from the noise of each rounding.

A layer in float32 has no rounded weights. The rounding of an activation falls away only where the
operator that makes it and all that read it are in float32; so layers that follow each other win
more together than each alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np

from engine.comparison.metrics import rms
from engine.core.parity import difference
from engine.core.types import FloatArray, Progress
from engine.tflite.edits import added_tensor, edge_operator
from engine.tflite.graph import EDGES, WEIGHTED, Graph, Operator, Scale, paired
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
    """Who reads whom in an integer model, among the operators that could be in float32.

    Args:
        graph: The integer model.
        partners: Operators that have a counterpart in the float32 model.
    """

    def __init__(self, graph: Graph, partners: Iterable[int]) -> None:
        self.operators = frozenset(partners)
        self.layers = [i for i in sorted(self.operators) if graph.operators[i].name in WEIGHTED]
        self._edges = {op.index for op in graph.operators if op.name in EDGES}
        self._sums = {op.index for op in graph.operators if op.name == "ADD"}
        self._readers = {
            op.index: [reader.index for t in op.outputs for reader in graph.consumers(t)]
            for op in graph.operators
        }
        self._makers = {
            op.index: [graph.producer[t].index for t in op.inputs if t in graph.producer]
            for op in graph.operators
        }

    def kept(self, layers: Collection[int]) -> frozenset[int]:
        """Operators that are in float32 when these layers are.

        An operator without weights joins them where that spares a rounding: where it reads what
        one of them makes, and all others that read it are among them.
        """
        kept = set(layers)
        waiting = list(kept)
        while waiting:
            for reader in self._readers[waiting.pop()]:
                if reader in kept or reader not in self.operators or reader in self.layers:
                    continue
                if any(self.spared(m, kept | {reader}) for m in self._makers[reader] if m in kept):
                    kept.add(reader)
                    waiting.append(reader)
        return frozenset(kept)

    def spared(self, index: int, kept: Collection[int]) -> bool:
        """Whether what an operator makes is nowhere rounded."""
        readers = self._readers[index]
        return bool(readers) and all(r in kept or r in self._edges for r in readers)

    def behind(self, layers: Collection[int]) -> frozenset[int]:
        """The next layers, reached through operators without weights, but not through sums."""
        return self._next(layers, self._readers, self._sums)

    def around(self, layers: Collection[int]) -> frozenset[int]:
        """These, and the next layers behind and in front of them, also through sums."""
        near = self._next(layers, self._readers, set())
        return near | self._next(near | frozenset(layers), self._makers, set()) | frozenset(layers)

    def _next(
        self, layers: Collection[int], ways: Mapping[int, list[int]], barred: set[int]
    ) -> frozenset[int]:
        waiting, seen, found = list(layers), set(layers), set()
        while waiting:
            for near in ways[waiting.pop()]:
                if near in seen or near not in self.operators or near in barred:
                    continue
                seen.add(near)
                if near in self.layers:
                    found.add(near)
                else:
                    waiting.append(near)
        return frozenset(found)


def float_steps(wiring: Wiring, noise: Collection[Noise]) -> tuple[Step, ...]:
    """Put all layers in order, the best first, in steps of a few that belong together.

    Args:
        wiring: Of the integer model.
        noise: A record for each of its operators that could be in float32.

    Returns:
        Each step wins more a layer than any other could.
    """
    found = {record.operator: record for record in noise}
    total = sum(record.output + record.weights for record in noise)

    def won(layers: Collection[int]) -> float:
        kept = wiring.kept(layers)
        weights = sum(found[i].weights for i in layers)
        return weights + sum(found[i].output for i in kept if wiring.spared(i, kept))

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
    """Sets of layers that may win something together: each, and each with those behind it."""
    found = set()
    for layer in wiring.layers:
        together = frozenset({layer})
        while together not in found and len(together) <= _MOST_AT_ONCE:
            found.add(together)
            together |= wiring.behind(together)
    return found


@dataclass(frozen=True, slots=True)
class Noise:
    """What one operator's roundings do to the logits.

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
    graph = Graph(quantized_model)
    partners = paired(graph, Graph(float_model))
    (exact,) = run_model(float_model, "the float32 model", [pictures])
    exact = exact.reshape(len(exact), -1)

    def measured(noisy: bytes) -> float:
        (answers,) = run_model(noisy, "the float32 model with one rounding", [pictures])
        return rms(difference(exact, answers.reshape(exact.shape))) ** 2

    found = []
    for done, (index, partner) in enumerate(partners.items()):
        op = graph.operators[index]
        report(Progress(f"Measuring the noise of {op.name}", done, len(partners)))
        scale = graph.scale(op.output)
        output = weights = 0.0
        if scale is not None and graph.dtype(op.output) == np.int8:
            output = measured(with_rounded_output(float_model, partner, scale))
        if op.name in WEIGHTED:
            weights = measured(with_rounded_weights(float_model, partner, graph, op))
        found.append(Noise(index, output, weights))
    return tuple(found)


def with_rounded_output(float_model: bytes, partner: Operator, scale: Scale) -> bytes:
    """The float32 model with the output of one operator rounded to int8 and back."""
    graph = Graph(float_model)
    tensor = partner.output
    integers = added_tensor(graph, tensor, b"_integers", scale)
    rounded = added_tensor(graph, tensor, b"_rounded", None)
    operators = []
    for op in graph.operators:
        raw = copy(op.raw)
        raw.inputs = [rounded if i == tensor else int(i) for i in op.raw.inputs]
        operators.append(raw)
        if tensor in op.outputs:
            operators.append(edge_operator(graph, "QUANTIZE", tensor, integers))
            operators.append(edge_operator(graph, "DEQUANTIZE", integers, rounded))
    graph.raw.operators = operators
    graph.raw.outputs = [rounded if i == tensor else i for i in graph.outputs]
    return graph.pack()


def with_rounded_weights(
    float_model: bytes, partner: Operator, quantized: Graph, op: Operator
) -> bytes:
    """The float32 model with the weights and the bias that one layer has in the integer model."""
    graph = Graph(float_model)
    for place in range(1, min(len(op.inputs), len(partner.inputs))):
        graph.set_constant(partner.inputs[place], _real(quantized, op.inputs[place], op.name))
    return graph.pack()


def _real(graph: Graph, tensor: int, operator: str) -> FloatArray:
    values, steps = graph.constant(tensor).astype(np.float32), graph.steps(tensor)
    if not steps.size:
        return values
    axis = 3 if operator == "DEPTHWISE_CONV_2D" and values.ndim == 4 else 0
    shape = [1] * values.ndim
    shape[axis] = -1
    return np.asarray(values * (steps.reshape(shape) if len(steps) > 1 else steps), np.float32)

"""The pass over a model: every layer in the order it runs, on the exact inputs it will have."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from engine.comparison.layers.pairing import pair_operators
from engine.core.system import keep_freed_memory
from engine.core.types import FloatArray, Progress
from engine.quantization.optimizer.grid import (
    clip_to_activation,
    fake_quantize,
    grid_between,
    least_squares,
)
from engine.quantization.optimizer.layer import FEWEST_HELD_OUT, Fitted, Layer, parameters_of, write
from engine.quantization.optimizer.sampling import (
    HELD_OUT,
    Geometry,
    Positions,
    Targets,
    choose_held_out,
    positions_of,
    rows_of,
)
from engine.quantization.records import OptimizedLayer
from engine.tflite.graph import WEIGHTED, Graph, Operator, plain_graph
from engine.tflite.grid import Grid
from engine.tflite.interpreter import Activations, run_model

Batches = Callable[[], Iterator[FloatArray]]
Report = Callable[[Progress], None]
WORTH_IT = 0.9
"""Share of the integer model's error on calibration pictures that the changed one has to stay
below. A smaller gain does not carry over to other pictures: on networks of random weights, gains
of some percent there were losses of some percent elsewhere."""
_WORSE = "the model as a whole gained too little by the changes"
_SUMS = 400_000
"""Values of an addition that its range is chosen by."""


@dataclass(frozen=True, slots=True)
class Optimized:
    """The files of one pass.

    Attributes:
        float_io: The model with float32 input and output; its head gives float32 where it can.
        integer_head: The same but for the head, which gives int8; files with integer edges are
            made from it.
        layers: What was done in `float_io`, an operator each.
        integer_layers: The same in `integer_head`.
    """

    float_io: bytes
    integer_head: bytes
    layers: tuple[OptimizedLayer, ...]
    integer_layers: tuple[OptimizedLayer, ...]


@keep_freed_memory()
def optimize_model(
    float_model: bytes, quantized_model: bytes, batches: Batches, report: Report
) -> Optimized:
    """Choose better weights, biases and output ranges of an integer model.

    Args:
        float_model: The float32 TFLite file.
        quantized_model: TensorFlow's integer model of it, with float32 input and output.
        batches: Gives the calibration pictures, batch by batch in the model's own layout.
        report: Receives progress.

    Returns:
        The better models, with the same operators. Where a changed model as a whole gains less
        than a tenth, the integer model as it was stands in its place.

    Raises:
        ConversionError: The model has control flow, state, several inputs or operators outside the
            built-in set, or LiteRT refuses an operator.
    """
    start = np.stack(list(batches()))
    walk = _Pass(plain_graph(float_model), plain_graph(quantized_model), start, report)
    changed = walk.run()
    before = walk.errors(quantized_model)

    def choose(
        model: bytes, layers: tuple[OptimizedLayer, ...]
    ) -> tuple[bytes, tuple[OptimizedLayer, ...]]:
        if np.all(walk.errors(model) <= WORTH_IT * before):
            return model, layers
        undone = (
            replace(layer, done=(), left=_WORSE, after=layer.before) if layer.done else layer
            for layer in layers
        )
        return quantized_model, tuple(undone)

    float_io, layers = choose(changed.float_io, changed.layers)
    integer_head, integer_layers = choose(changed.integer_head, changed.integer_layers)
    return Optimized(float_io, integer_head, layers, integer_layers)


class _Pass:
    def __init__(self, floating: Graph, graph: Graph, start: np.ndarray, report: Report) -> None:
        self._graph, self._floating, self._report = graph, floating, report
        self._partners = pair_operators(floating, graph).counterparts
        self._head = head_of(graph)
        self._head_bias: FloatArray | None = None
        self._start = start
        self._positions = {op.index: self._look_at(op) for op in graph.operators if self._free(op)}
        self._targets = Targets(
            floating,
            start,
            {
                self._partners[index].output: positions
                for index, positions in self._positions.items()
            },
        )
        self._integers = Activations(graph, start)
        self._differences: dict[bytes, FloatArray] = {}

    def run(self) -> Optimized:
        records = []
        operators = self._graph.operators
        for op in operators:
            self._report(Progress(f"Optimizing {op.opcode}", op.index, len(operators)))
            started = time.perf_counter()
            partner = self._partners.get(op.index)
            change = self._change(op, partner)
            self._integers.run(op)
            if change is not None:
                records.append(replace(change, seconds=time.perf_counter() - started))
        integer_head, layers = self._graph.pack(), tuple(records)
        if self._head is None or self._head_bias is None:
            return Optimized(integer_head, integer_head, layers, layers)
        float_io = with_float_output(integer_head, self._head_bias)
        in_float = tuple(
            self._describe_float_head(layer, float_io) if layer.name == self._head.name else layer
            for layer in layers
        )
        return Optimized(float_io, integer_head, in_float, layers)

    def _describe_float_head(self, record: OptimizedLayer, model: bytes) -> OptimizedLayer:
        """Describe the head of a model that gives float32: it has no range, and its own error."""
        wrong = self._wrong(model)
        held_out = choose_held_out(len(wrong))
        judged = wrong[held_out] if held_out.sum() >= FEWEST_HELD_OUT else wrong
        return replace(
            record,
            done=(*(what for what in record.done if what != "range"), "float32"),
            left=None,
            after=float(np.sqrt(np.square(judged, dtype=np.float64).mean())),
        )

    def errors(self, model: bytes) -> FloatArray:
        """Compute the rms between a model's answers and the float ones, row means removed.

        On the pictures of the fit and on those kept out of it; where there are few of the latter,
        on all alone. A single picture far out of the usual ranges can make most of an rms, and it
        may be among either.
        """
        wrong = self._wrong(model)
        wrong = wrong - wrong.mean(axis=-1, keepdims=True)
        pictures = np.square(wrong, dtype=np.float64).mean(axis=tuple(range(1, wrong.ndim)))
        held_out = choose_held_out(len(pictures))
        parts = [pictures]
        if held_out.sum() >= HELD_OUT:
            parts = [pictures[~held_out], pictures[held_out]]
        return np.sqrt([part.mean() for part in parts])

    def _wrong(self, model: bytes) -> FloatArray:
        """Subtract the float model's answers from a model's; each model runs once."""
        if model not in self._differences:
            (answers,) = run_model(model, "the integer model", [self._start])
            self._differences[model] = answers - self._exact
        return self._differences[model]

    @cached_property
    def _exact(self) -> FloatArray:
        """The float model's answers."""
        return run_model(self._floating.pack(), "the float32 model", [self._start])[0]

    def _free(self, op: Operator) -> bool:
        """Whether an operator's parameters may be chosen."""
        if op.index not in self._partners or op.opcode not in WEIGHTED | {"ADD"}:
            return False
        return _why_left(self._graph, op) is None

    def _look_at(self, op: Operator) -> Positions:
        pictures = len(self._start)
        if op.opcode in WEIGHTED:
            return positions_of(self._graph, op, pictures)
        *images, channels = self._graph.shape(op.output)
        cut = images[0] if images else 1
        return Positions(pictures, cut, math.prod(images) // cut, _SUMS // channels, op.index)

    def _change(self, op: Operator, partner: Operator | None) -> OptimizedLayer | None:
        """Change the operator in the graph, where that gains; None for those not looked at."""
        graph = self._graph
        if op.opcode not in WEIGHTED | {"ADD"}:
            return None
        record = OptimizedLayer(op.name, op.opcode, partner.index if partner else None)
        why = _why_left(graph, op) if partner is not None else "no operator of the float model"
        if why is not None or partner is None:
            return replace(record, left=why)
        if op.opcode == "ADD":
            return self._addition(op, partner, record)
        fitted = self._layer(op, partner)
        left = None if fitted.done else "nothing tried came closer"
        return replace(
            record, done=fitted.done, left=left, before=fitted.before, after=fitted.after
        )

    def _layer(self, op: Operator, partner: Operator) -> Fitted:
        graph, source = self._graph, self._graph.grid(op.inputs[0])
        assert source is not None, "looked at before"
        target = self._targets.take(partner.output)
        rows = rows_of(graph, op, self._integers[op.inputs[0]], target, self._positions[op.index])
        layer = Layer(rows, op.activation_function, source)
        start = own = parameters_of(graph, op)
        weights = Geometry.of(graph, op).group(self._floating.constant(partner.inputs[1]))
        int8 = graph.dtype(op.output) == "int8"
        is_head = op is self._head and int8
        if is_head:
            start = replace(start, grid=grid_with_margin(target))
        # Ranges of int16 cost nothing: 65,536 steps are enough for any.
        free = not is_head and int8 and graph.may_move(op.output)
        fitted = layer.fit(start, weights, free_range=free)
        if start.grid != own.grid:
            before = layer.error(own, layer.sums(own))
            fitted = replace(fitted, done=(*fitted.done, "range"), before=before)
        if fitted.done:
            write(graph, op, fitted.parameters)
        if is_head:
            self._head_bias = fitted.parameters.bias
        return fitted

    def _addition(self, op: Operator, partner: Operator, record: OptimizedLayer) -> OptimizedLayer:
        graph, old = self._graph, self._graph.grid(op.output)
        assert old is not None, "looked at before"
        if op.activation_function not in {0, 1} or not graph.may_move(op.output):
            return replace(record, left="its range is not free")
        positions = self._positions[op.index]
        real = self._targets.take(partner.output)

        def sample(tensor: int) -> FloatArray:
            grid, values = graph.grid(tensor), self._integers[tensor]
            assert grid is not None, "looked at before"
            images = values.reshape(len(positions.order), -1, values.shape[-1])
            return grid.dequantize(positions.of(images))

        left, right = (sample(tensor) for tensor in op.inputs)
        sums = left + right
        if op.activation_function:
            np.maximum(sums, 0.0, out=sums)
        held_out = slice(positions.fitted if positions.fitted < len(sums) else 0, None)
        new = least_squares(sums[: positions.fitted])

        def error(grid: Grid) -> float:
            grid = clip_to_activation(grid, op.activation_function)
            wrong = fake_quantize(sums[held_out], grid) - real.T[held_out]
            return float(np.sqrt(np.mean(np.square(wrong), dtype=np.float64)))

        before, after = error(old), error(new)
        if after >= before:
            return replace(record, left="nothing tried came closer", before=before, after=before)
        graph.set_grid(op.output, new)
        return replace(record, done=("range",), before=before, after=after)


def _why_left(graph: Graph, op: Operator) -> str | None:
    """Say why an operator cannot be optimized; None where it can."""
    inputs = op.inputs[:1] if op.opcode in WEIGHTED else op.inputs
    edges = [*inputs, op.output]
    dtypes = {graph.dtype(t) for t in edges}
    if dtypes not in ({"int8"}, {"int16"}) or None in map(graph.grid, edges):
        return "not an integer operator"
    if op.opcode == "ADD" and "int16" in dtypes:
        return "its range is not free"
    if op.opcode == "ADD":
        shapes = {graph.shape(t) for t in edges}
        if len(shapes) > 1 or any(graph.is_constant(t) for t in inputs):
            return "not a sum of two activations of one shape"
        return None
    held = op.inputs[1:]
    if not all(graph.is_constant(t) for t in held) or graph.dtype(held[0]) != "int8":
        return "its weights are not int8 constants"
    if any(len(graph.consumers(t)) > 1 for t in held):
        return "its weights are shared with another operator"
    if len(graph.scales(held[0])) == 1 < graph.shape(op.output)[-1]:
        return "its weights have one scale for all channels"
    if len(held) < 2:
        return "it has no bias"
    return None


MARGIN = 0.02
"""Of the range that the float logits have over calibration, at the upper end: an answer that is
clipped may tie with another, while a class that is out of question may be clipped."""
_HYBRID_VERSION = 12
"""FULLY_CONNECTED with float32 activations and int8 weights of one scale a channel."""


def head_of(graph: Graph) -> Operator | None:
    """Find the FULLY_CONNECTED whose dequantized output is the model's; None where none is."""
    (output,) = graph.outputs
    last = graph.producer.get(output)
    if last is None or last.opcode != "DEQUANTIZE":
        return None
    head = graph.producer.get(last.inputs[0])
    if head is None or head.opcode != "FULLY_CONNECTED" or head.activation_function:
        return None
    return head if graph.consumers(head.output) == [last] else None


def grid_with_margin(logits: FloatArray) -> Grid:
    """Choose the grid of int8 logits."""
    low, high = float(logits.min()), float(logits.max())
    return grid_between(low, high + MARGIN * (high - low))


def with_float_output(model: bytes, bias: FloatArray) -> bytes:
    """Move the last DEQUANTIZE in front of the last FULLY_CONNECTED.

    Args:
        model: A model that has a head in the sense of `head_of`.
        bias: Of the head, in real units.

    Returns:
        The changed file.

    Raises:
        ValueError: There is no such head.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = Graph(model)
    head = head_of(graph)
    if head is None:
        raise ValueError("the model does not end in FULLY_CONNECTED and DEQUANTIZE")
    edge = graph.producer[graph.outputs[0]]
    source, logits = head.inputs[0], graph.outputs[0]
    inner = _make_float(graph, head.output)
    # The tensor of the integer logits becomes that of the dequantized features.
    inner.shape, inner.shapeSignature = graph.tensors[source].shape, None
    inner.name = graph.tensors[source].name + b"_dequantized"
    edge.raw.inputs, edge.raw.outputs = [source], [head.output]
    wired = [int(i) for i in head.raw.inputs]
    wired[0] = head.output
    head.raw.inputs, head.raw.outputs = wired, [logits]
    head.raw.builtinOptions.asymmetricQuantizeInputs = True
    if len(head.inputs) > 2:
        _make_float(graph, head.inputs[2])
        graph.set_constant(head.inputs[2], bias)
    code = copy(graph.model.operatorCodes[head.raw.opcodeIndex])
    code.version = max(int(code.version), _HYBRID_VERSION)
    assert code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED
    graph.model.operatorCodes.append(code)
    head.raw.opcodeIndex = len(graph.model.operatorCodes) - 1
    graph.raw.operators[edge.index], graph.raw.operators[head.index] = head.raw, edge.raw
    if edge.index < head.index:  # pragma: no cover - a file lists operators as they run
        raise ValueError("the operators are not in the order they run in")
    return graph.pack()


def _make_float(graph: Graph, tensor: int) -> Any:
    raw = graph.tensors[tensor]
    raw.type, raw.quantization = 0, None
    return raw

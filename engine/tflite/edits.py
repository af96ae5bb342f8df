"""Edits of TFLite files: quantized edges, divisors above zero, large depthwise windows in parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engine.tflite.graph import EDGES, Graph, Operator, operator_names
from engine.tflite.grid import Grid

MOST_TAPS = 25
"""Taps of the largest window that XNNPACK has a depthwise kernel for."""


def with_depthwise_in_parts(model: bytes) -> bytes:
    """Cut the large windows of a float model's depthwise convolutions into parts.

    Returns:
        The file with every depthwise convolution in float32 over more than `MOST_TAPS` taps as a
        sum of smaller ones; the very same bytes where there is none.
    """
    graph = Graph(model)
    operators = []
    for op in graph.operators:
        large = (
            op.opcode == "DEPTHWISE_CONV_2D"
            and math.prod(graph.shape(op.inputs[1])[1:3]) > MOST_TAPS
        )
        parts = _DepthwiseWriter(graph, op).split() if large else None
        operators += parts or [op.raw]
    if len(operators) == len(graph.operators):
        return model
    replace_operators(graph, operators)
    return graph.pack()


def replace_operators(graph: Graph, operators: list[Any]) -> None:
    """Write a graph's operators, less the edges and constants that nobody reads any more.

    Args:
        graph: Is changed.
        operators: TFLite's own objects, in the order of execution.
    """
    ends = {*graph.inputs, *graph.outputs}
    read = {int(i) for raw in operators for i in raw.inputs} | ends
    graph.raw.operators = operators
    graph.raw.operators = [
        raw
        for raw, opcode in zip(operators, operator_names(graph.model), strict=True)
        if opcode not in EDGES or int(raw.outputs[0]) in read
    ]
    used = {int(i) for raw in graph.raw.operators for i in (*raw.inputs, *raw.outputs) if i >= 0}
    buffers = {graph.tensors[index].buffer for index in used | ends}
    buffers |= {item.buffer for item in graph.model.metadata or ()}
    for number, buffer in enumerate(graph.model.buffers):
        if number not in buffers:
            buffer.data = None


@dataclass(frozen=True, slots=True)
class _Axis:
    """One spatial axis of a convolution: sizes in pixels, taps and steps."""

    size: int
    result: int
    taps: int
    stride: int
    dilation: int

    def padding(self) -> tuple[int, int]:
        """Count the pixels of TensorFlow's SAME before and after."""
        total = (self.result - 1) * self.stride + (self.taps - 1) * self.dilation + 1 - self.size
        return max(total, 0) // 2, max(total, 0) - max(total, 0) // 2

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Find begin and end of the padded pixels that the taps from first to last look at."""
        begin = first * self.dilation
        width = (self.result - 1) * self.stride + (last - 1 - first) * self.dilation + 1
        return begin, begin + width


class _DepthwiseWriter:
    """Writes the parts of one depthwise convolution into its graph."""

    def __init__(self, graph: Graph, op: Operator) -> None:
        self._graph, self._op = graph, op
        self._operators: list[Any] = []

    def split(self) -> list[Any] | None:
        """Write operators that together do what the convolution does.

        Returns:
            None where it is not in float32 with static shapes and constant weights.
        """
        from ai_edge_litert import schema_py_generated as schema

        graph, op, options = self._graph, self._op, self._op.raw.builtinOptions
        weights = self._read_weights()
        static = all(map(self._is_static, (op.inputs[0], op.output)))
        if graph.dtype(op.inputs[0]) != "float32" or not static or weights is None:
            return None
        strides, dilations = (
            (options.strideH, options.strideW),
            (options.dilationHFactor, options.dilationWFactor),
        )
        rows, columns = (
            _Axis(
                size=graph.shape(op.inputs[0])[axis],
                result=op.shapes[0][axis],
                taps=weights.shape[axis],
                stride=strides[axis - 1],
                dilation=dilations[axis - 1],
            )
            for axis in (1, 2)
        )
        padded = op.inputs[0]
        if options.padding == schema.Padding.SAME:
            pads = [(0, 0), rows.padding(), columns.padding(), (0, 0)]
            if any(map(any, pads)):
                padded = self._pad(padded, pads)
        self._sum(padded, (rows, columns), weights)
        return self._operators

    def _sum(self, padded: int, axes: tuple[_Axis, _Axis], weights: np.ndarray) -> None:
        from ai_edge_litert import schema_py_generated as schema

        graph, op = self._graph, self._op
        none = schema.ActivationFunctionType.NONE
        zeros = add_constant(graph.model, "zeros", np.zeros(weights.shape[-1], np.float32))
        windows = list(itertools.product(*_cuts(*weights.shape[1:3])))
        total = None
        for number, (row, column) in enumerate(windows):
            part = copy(op.raw)
            part.builtinOptions = copy(op.raw.builtinOptions)
            part.builtinOptions.padding = schema.Padding.VALID
            part.builtinOptions.fusedActivationFunction = none
            taps = weights[:, row[0] : row[1], column[0] : column[1]]
            part.inputs = [
                self._slice(padded, (axes[0].span(*row), axes[1].span(*column))),
                self._write_weights(taps),
                op.inputs[2] if number == 0 and len(op.inputs) > 2 else zeros,
            ]
            part.outputs = [like(graph.raw, op.output, f"part{number}")]
            self._operators.append(part)
            if total is None:
                total = int(part.outputs[0])
                continue
            last = number == len(windows) - 1
            options = schema.AddOptionsT()
            options.fusedActivationFunction = op.activation_function if last else none
            into = op.output if last else like(graph.raw, op.output, "sum")
            self._add("ADD", [total, int(part.outputs[0])], into, options)
            total = into

    def _add(self, opcode: str, inputs: list[int], output: int, options: Any) -> None:
        self._operators.append(new_operator(self._graph.model, opcode, inputs, output, options))

    def _pad(self, source: int, pads: Sequence[tuple[int, int]]) -> int:
        from ai_edge_litert import schema_py_generated as schema

        graph = self._graph
        shape = [size + sum(pad) for size, pad in zip(graph.shape(source), pads, strict=True)]
        into = like(graph.raw, source, "padded", shape)
        amounts = add_constant(graph.model, "paddings", np.array(pads, np.int32))
        self._add("PAD", [source, amounts], into, schema.PadOptionsT())
        return into

    def _slice(self, source: int, spans: Sequence[tuple[int, int]]) -> int:
        from ai_edge_litert import schema_py_generated as schema

        batch, height, width, channels = self._graph.shape(source)
        if list(spans) == [(0, height), (0, width)]:
            return source
        bounds = [(0, batch), *spans, (0, channels)]
        corners = [
            add_constant(self._graph.model, "corner", np.array(corner, np.int32))
            for corner in (*zip(*bounds, strict=True), (1, 1, 1, 1))
        ]
        into = like(self._graph.raw, source, "rows", [end - begin for begin, end in bounds])
        self._add("STRIDED_SLICE", [source, *corners], into, schema.StridedSliceOptionsT())
        return into

    def _write_weights(self, taps: np.ndarray) -> int:
        """Add a constant of some taps; behind a DEQUANTIZE where the whole is in float16."""
        index, whole = add_constant(self._graph.model, "taps", taps), self._op.inputs[1]
        if taps.dtype == np.float32:
            return index
        into = like(self._graph.raw, whole, "taps", taps.shape)
        dequantize = copy(self._graph.producer[whole].raw)
        dequantize.inputs, dequantize.outputs = [index], [into]
        self._operators.append(dequantize)
        return into

    def _read_weights(self) -> np.ndarray | None:
        """Read constant weights, in float32 or float16; None for others."""
        graph, tensor = self._graph, self._op.inputs[1]
        producer = graph.producer.get(tensor)
        if producer is not None and producer.opcode == "DEQUANTIZE":
            tensor = producer.inputs[0]
        if not graph.is_constant(tensor) or graph.dtype(tensor) not in {"float32", "float16"}:
            return None
        return graph.constant(tensor)

    def _is_static(self, tensor: int) -> bool:
        signature = self._graph.tensors[tensor].shapeSignature
        return min(self._graph.shape(tensor)) > 0 and (signature is None or min(signature) > 0)


def _cuts(height: int, width: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Choose ranges of rows and of columns of taps: the fewest parts that a kernel exists for."""
    columns = min(
        range(1, min(width, MOST_TAPS) + 1),
        key=lambda c: (math.ceil(height / (MOST_TAPS // c)) * math.ceil(width / c), -c),
    )
    rows = MOST_TAPS // columns
    return _ranges(height, math.ceil(height / rows)), _ranges(width, math.ceil(width / columns))


def _ranges(size: int, parts: int) -> list[tuple[int, int]]:
    edges = [round(size * part / parts) for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


def operator_code(model: Any, number: int, version: int) -> int:
    """Find a built-in operator among a model's codes; add it where the model lacks it.

    Returns:
        Its index.
    """
    from ai_edge_litert import schema_py_generated as schema

    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def new_operator(
    model: Any, opcode: str, inputs: Sequence[int], output: int, options: Any, *, version: int = 1
) -> Any:
    """Make an operator of one output, for a caller to put in its place.

    Args:
        model: TFLite's own object; gets the operator's code where it lacks it.
        opcode: TFLite's name of the operator.
        inputs: Indices of tensors.
        output: Index of a tensor.
        options: Of the operator, an object of the schema; None without.
        version: Of the operator, where its code has to be added.

    Returns:
        TFLite's own object.
    """
    from ai_edge_litert import schema_py_generated as schema

    raw = schema.OperatorT()
    raw.opcodeIndex = operator_code(model, getattr(schema.BuiltinOperator, opcode), version)
    raw.inputs, raw.outputs = list(inputs), [output]
    if options is not None:
        kind = type(options).__name__.removesuffix("T")
        raw.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        raw.builtinOptions = options
    return raw


def like(graph: Any, index: int, suffix: str, shape: Sequence[int] | None = None) -> int:
    """Add a tensor like one that the graph has, perhaps of another shape.

    Returns:
        The new tensor's index.
    """
    tensor = copy(graph.tensors[index])
    tensor.name = tensor.name + f"/{suffix}".encode()
    tensor.shape = [int(size) for size in (tensor.shape if shape is None else shape)]
    tensor.shapeSignature = None
    tensor.buffer = 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def add_constant(model: Any, name: str, value: np.ndarray) -> int:
    """Add a constant to a model's first graph; give its index."""
    from ai_edge_litert import schema_py_generated as schema

    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.shape = name.encode(), list(value.shape)
    tensor.type = getattr(schema.TensorType, value.dtype.name.upper())
    tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_activation(graph: Graph, like: int, suffix: bytes, grid: Grid | None) -> int:
    """Add an activation of the shape of one that the graph has.

    Returns:
        Its index.
    """
    from ai_edge_litert import schema_py_generated as schema

    raw = copy(graph.tensors[like])
    raw.name, raw.buffer, raw.quantization = raw.name + suffix, 0, None
    raw.type = schema.TensorType.FLOAT32 if grid is None else schema.TensorType.INT8
    if grid is not None:
        raw.quantization = schema.QuantizationParametersT()
        raw.quantization.scale = np.asarray([grid.scale], np.float32)
        raw.quantization.zeroPoint = np.asarray([grid.zero_point], np.int64)
    graph.tensors.append(raw)
    return len(graph.tensors) - 1


_EDGE_VERSIONS = {"QUANTIZE": 1, "DEQUANTIZE": 2}
"""The first with int8."""


def edge_operator(
    graph: Graph, opcode: Literal["QUANTIZE", "DEQUANTIZE"], source: int, target: int
) -> Any:
    """Make an operator from one tensor to another, float32 on one side and int8 on the other."""
    return new_operator(graph.model, opcode, [source], target, None, version=_EDGE_VERSIONS[opcode])


_LOWEST = -128
_MAXIMUM_OF_INT8 = 2
"""Version of the operator."""


def with_divisors_above_zero(model: bytes) -> bytes:
    """Keep the int8 divisors of a model away from zero.

    Returns:
        The file with a MAXIMUM in front of every int8 divisor whose grid starts at zero; the very
        same bytes where there is none. Divisors of both signs stay as they are.
    """
    graph = Graph(model)
    operators: list[Any] = []
    for op in graph.operators:
        if op.opcode == "DIV" and _starts_at_zero(graph, op.inputs[1]):
            operators.append(_add_maximum(graph, op))
        operators.append(op.raw)
    if len(operators) == len(graph.operators):
        return model
    graph.raw.operators = operators
    return graph.pack()


def _starts_at_zero(graph: Graph, tensor: int) -> bool:
    """Whether a tensor's values are made while the model runs, in int8 from zero up."""
    if graph.dtype(tensor) != "int8" or graph.is_constant(tensor):
        return False
    return [int(point) for point in graph.tensors[tensor].quantization.zeroPoint] == [_LOWEST]


def _add_maximum(graph: Graph, division: Operator) -> Any:
    """Give a division a divisor of at least one step; make the operator that computes it."""
    from ai_edge_litert import schema_py_generated as schema

    divisor = division.inputs[1]
    lowest = add_constant(graph.model, "one_step", np.array([_LOWEST + 1], np.int8))
    graph.tensors[lowest].quantization = graph.tensors[divisor].quantization
    bounded = like(graph.raw, divisor, "above_zero")
    division.raw.inputs = [division.inputs[0], bounded]
    return new_operator(
        graph.model,
        "MAXIMUM",
        [divisor, lowest],
        bounded,
        schema.MaximumMinimumOptionsT(),
        version=_MAXIMUM_OF_INT8,
    )

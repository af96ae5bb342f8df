"""Edits of TFLite files: quantized edges, divisors above zero, large depthwise windows in parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import numpy as np

from engine.tflite.graph import (
    Graph,
    Scale,
    add_constant,
    like,
    new_operator,
    operator_code,
    operator_names,
    packed,
    parsed,
)

MOST_TAPS = 25
"""Taps of the largest window that XNNPACK has a depthwise kernel for."""


def with_depthwise_in_parts(model: bytes) -> bytes:
    """Cut the large windows of a float model's depthwise convolutions into parts.

    Args:
        model: A TFLite file.

    Returns:
        The file with every depthwise convolution in float32 over more than `MOST_TAPS` taps as a
        sum of smaller ones; the very same bytes where there is none.
    """
    found = parsed(model)
    graph = found.subgraphs[0]
    large = [
        operator
        for operator, name in zip(graph.operators, operator_names(found), strict=True)
        if name == "DEPTHWISE_CONV_2D" and _taps(graph, operator) > MOST_TAPS
    ]
    if not large:
        return model
    writer = _Writer(found)
    replaced = {}
    for operator in large:
        parts = writer.parts_of(operator)
        if parts is not None:
            replaced[id(operator)] = parts
    if not replaced:
        return model
    graph.operators = [new for old in graph.operators for new in replaced.get(id(old), [old])]
    _drop_unread(found)
    return packed(found, len(model))


def _taps(graph: Any, operator: Any) -> int:
    _, height, width, _ = graph.tensors[operator.inputs[1]].shape
    return int(height * width)


def _drop_unread(found: Any) -> None:
    """Take out the whole windows, which nobody reads any more, and the DEQUANTIZE of theirs."""
    graph = found.subgraphs[0]
    outputs = {int(index) for index in graph.outputs}
    read = outputs | {int(index) for op in graph.operators for index in op.inputs}
    graph.operators = [
        operator
        for operator, name in zip(graph.operators, operator_names(found), strict=True)
        if name != "DEQUANTIZE" or int(operator.outputs[0]) in read
    ]
    read = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    kept = {graph.tensors[index].buffer for index in read | outputs}
    kept |= {item.buffer for item in found.metadata or ()}
    for number, buffer in enumerate(found.buffers):
        if number not in kept:
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
        """Pixels of TensorFlow's SAME before and after."""
        total = (self.result - 1) * self.stride + (self.taps - 1) * self.dilation + 1 - self.size
        return max(total, 0) // 2, max(total, 0) - max(total, 0) // 2

    def reads(self, first: int, last: int) -> tuple[int, int]:
        """Begin and end of the padded pixels that the taps from first to last look at."""
        begin = first * self.dilation
        return begin, begin + (self.result - 1) * self.stride + (
            last - 1 - first
        ) * self.dilation + 1


class _Writer:
    """Adds operators, tensors and constants to a TFLite file."""

    def __init__(self, found: Any) -> None:
        self._model = found
        self._graph = found.subgraphs[0]
        self._maker = {int(op.outputs[0]): op for op in self._graph.operators}
        self._names = dict(zip(map(id, self._graph.operators), operator_names(found), strict=True))

    def parts_of(self, operator: Any) -> list[Any] | None:
        """Operators that together do what a depthwise convolution does.

        Returns:
            None where it is not in float32 with static shapes and constant weights.
        """
        from ai_edge_litert import schema_py_generated as schema

        tensors = self._graph.tensors
        source, result = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        options = operator.builtinOptions
        static = all(min(t.shape) > 0 and _is_static(t) for t in (source, result))
        if source.type != schema.TensorType.FLOAT32 or not static:
            return None
        weights = self._constant(operator.inputs[1])
        if weights is None:
            return None
        rows = _axis(source, result, weights, 1, options.strideH, options.dilationHFactor)
        columns = _axis(source, result, weights, 2, options.strideW, options.dilationWFactor)
        made: list[Any] = []
        padded = int(operator.inputs[0])
        if options.padding == schema.Padding.SAME:
            pads = [(0, 0), rows.padding(), columns.padding(), (0, 0)]
            if any(map(any, pads)):
                padded = self._pad(padded, pads, made)
        self._sum(operator, padded, (rows, columns), weights, made)
        return made

    def _sum(
        self,
        operator: Any,
        padded: int,
        axes: tuple[_Axis, _Axis],
        weights: np.ndarray,
        made: list[Any],
    ) -> None:
        from ai_edge_litert import schema_py_generated as schema

        total = None
        channels = weights.shape[-1]
        none = schema.ActivationFunctionType.NONE
        nothing = add_constant(self._model, "zeros", np.zeros(channels, np.float32))
        windows = list(itertools.product(*_cuts(*weights.shape[1:3])))
        for number, (row, column) in enumerate(windows):
            spans = (axes[0].reads(*row), axes[1].reads(*column))
            part = copy(operator)
            part.builtinOptions = copy(operator.builtinOptions)
            part.builtinOptions.padding = schema.Padding.VALID
            part.builtinOptions.fusedActivationFunction = none
            taps = weights[:, row[0] : row[1], column[0] : column[1]]
            part.inputs = [
                self._slice(padded, spans, made),
                self._weights(int(operator.inputs[1]), taps, made),
                int(operator.inputs[2]) if number == 0 and len(operator.inputs) > 2 else nothing,
            ]
            part.outputs = [like(self._graph, operator.outputs[0], f"part{number}")]
            made.append(part)
            if total is None:
                total = int(part.outputs[0])
                continue
            last = number == len(windows) - 1
            options = schema.AddOptionsT()
            options.fusedActivationFunction = (
                operator.builtinOptions.fusedActivationFunction if last else none
            )
            into = (
                int(operator.outputs[0]) if last else like(self._graph, operator.outputs[0], "sum")
            )
            made.append(
                new_operator(self._model, "ADD", [total, int(part.outputs[0])], into, options)
            )
            total = into

    def _pad(self, source: int, pads: Sequence[tuple[int, int]], made: list[Any]) -> int:
        from ai_edge_litert import schema_py_generated as schema

        old = self._graph.tensors[source].shape
        shape = [int(size) + sum(pad) for size, pad in zip(old, pads, strict=True)]
        into = like(self._graph, source, "padded", shape)
        amounts = add_constant(self._model, "paddings", np.array(pads, np.int32))
        made.append(new_operator(self._model, "PAD", [source, amounts], into, schema.PadOptionsT()))
        return into

    def _slice(self, source: int, spans: Sequence[tuple[int, int]], made: list[Any]) -> int:
        from ai_edge_litert import schema_py_generated as schema

        batch, height, width, channels = map(int, self._graph.tensors[source].shape)
        if list(spans) == [(0, height), (0, width)]:
            return source
        bounds = [(0, batch), *spans, (0, channels)]
        shape = [end - begin for begin, end in bounds]
        corners = [
            add_constant(self._model, "corner", np.array(corner, np.int32))
            for corner in (*zip(*bounds, strict=True), (1, 1, 1, 1))
        ]
        into = like(self._graph, source, "rows", shape)
        options = schema.StridedSliceOptionsT()
        made.append(new_operator(self._model, "STRIDED_SLICE", [source, *corners], into, options))
        return into

    def _weights(self, whole: int, taps: np.ndarray, made: list[Any]) -> int:
        """A constant of some taps; behind a DEQUANTIZE where the whole is stored in float16."""
        index = add_constant(self._model, "taps", taps)
        if taps.dtype == np.float32:
            return index
        into = like(self._graph, whole, "taps", taps.shape)
        dequantize = copy(self._maker[whole])
        dequantize.inputs, dequantize.outputs = [index], [into]
        made.append(dequantize)
        return into

    def _constant(self, index: int) -> np.ndarray | None:
        """The value of constant weights, in float32 or float16; None for others."""
        from ai_edge_litert import schema_py_generated as schema

        maker = self._maker.get(int(index))
        stored = int(index)
        if maker is not None and self._names[id(maker)] == "DEQUANTIZE":
            stored = int(maker.inputs[0])
        tensor = self._graph.tensors[stored]
        types = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}
        data = self._model.buffers[tensor.buffer].data
        if data is None or len(data) == 0 or tensor.type not in types:
            return None
        return np.frombuffer(bytes(data), types[tensor.type]).reshape(tensor.shape)


def _is_static(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is None or min(signature) > 0


def _axis(
    source: Any, result: Any, weights: np.ndarray, axis: int, stride: int, dilation: int
) -> _Axis:
    return _Axis(
        size=int(source.shape[axis]),
        result=int(result.shape[axis]),
        taps=weights.shape[axis],
        stride=stride,
        dilation=dilation,
    )


def _cuts(height: int, width: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Ranges of rows and of columns of taps, the fewest parts that a kernel exists for."""
    columns = min(
        range(1, min(width, MOST_TAPS) + 1),
        key=lambda c: (ceil(height / (MOST_TAPS // c)) * ceil(width / c), -c),
    )
    rows = MOST_TAPS // columns
    return _ranges(height, ceil(height / rows)), _ranges(width, ceil(width / columns))


def _ranges(size: int, parts: int) -> list[tuple[int, int]]:
    edges = [round(size * part / parts) for part in range(parts + 1)]
    return list(itertools.pairwise(edges))


_FLOAT32, _INT8 = 0, 9
_VERSIONS = {"QUANTIZE": 1, "DEQUANTIZE": 2}
"""The first with int8."""


def added_tensor(graph: Graph, like: int, suffix: bytes, scale: Scale | None) -> int:
    """Add an activation of another's shape.

    Args:
        graph: Is changed.
        like: The other.
        suffix: Put behind its name.
        scale: Of int8 values; None for float32.

    Returns:
        Its index.
    """
    from ai_edge_litert import schema_py_generated as schema

    raw = copy(graph.tensors[like])
    raw.name, raw.buffer, raw.quantization = raw.name + suffix, 0, None
    raw.type = _FLOAT32 if scale is None else _INT8
    if scale is not None:
        raw.quantization = schema.QuantizationParametersT()
        raw.quantization.scale = np.asarray([scale.step], np.float32)
        raw.quantization.zeroPoint = np.asarray([scale.zero], np.int64)
    graph.tensors.append(raw)
    return len(graph.tensors) - 1


def edge_operator(
    graph: Graph, name: Literal["QUANTIZE", "DEQUANTIZE"], source: int, target: int
) -> Any:
    """An operator between float32 and int8, in TFLite's own object; its code is added to the graph.

    Args:
        graph: Gets the code where it lacks it.
        name: Which way.
        source: Tensor that is read.
        target: Tensor that is made.
    """
    from ai_edge_litert import schema_py_generated as schema

    made = schema.OperatorT()
    number = getattr(schema.BuiltinOperator, name)
    made.opcodeIndex = operator_code(graph.model, number, _VERSIONS[name])
    made.inputs, made.outputs = [source], [target]
    return made


_LOWEST = -128
_MAXIMUM_OF_INT8 = 2
"""Version of the operator."""


def with_divisors_above_zero(model: bytes) -> bytes:
    """Keep the int8 divisors of a model away from zero.

    Args:
        model: A TFLite file.

    Returns:
        The file with a MAXIMUM in front of every int8 divisor whose grid starts at zero; the very
        same bytes where there is none. Divisors of both signs stay as they are.
    """
    found = parsed(model)
    graph = found.subgraphs[0]
    operators: list[Any] = []
    changed = False
    for operator, name in zip(graph.operators, operator_names(found), strict=True):
        if name == "DIV" and _starts_at_zero(found, int(operator.inputs[1])):
            operators.append(_one_step_up(found, operator))
            changed = True
        operators.append(operator)
    if not changed:
        return model
    graph.operators = operators
    return packed(found, len(model))


def _starts_at_zero(found: Any, index: int) -> bool:
    """Whether a tensor's values are made while the model runs, in int8 from zero up."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = found.subgraphs[0].tensors[index]
    held = found.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.INT8 or (held is not None and len(held) > 0):
        return False
    return [int(point) for point in tensor.quantization.zeroPoint] == [_LOWEST]


def _one_step_up(found: Any, division: Any) -> Any:
    """Give a division a divisor of at least one step; the operator that makes it."""
    from ai_edge_litert import schema_py_generated as schema

    graph, divisor = found.subgraphs[0], int(division.inputs[1])
    lowest = add_constant(found, "one_step", np.array([_LOWEST + 1], np.int8))
    graph.tensors[lowest].quantization = graph.tensors[divisor].quantization
    bounded = like(graph, divisor, "above_zero")
    division.inputs = [int(division.inputs[0]), bounded]
    return new_operator(
        found,
        "MAXIMUM",
        [divisor, lowest],
        bounded,
        schema.MaximumMinimumOptionsT(),
        version=_MAXIMUM_OF_INT8,
    )

"""A float model and its integer model, written by hand: 1 × 1 convolutions, PAD and ADD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from engine.tflite.graph import pack_model

_TYPES = {"float32": 0, "int8": 9, "int32": 2, "int16": 7, "int64": 4}
_OPTIONS = {
    "ARG_MAX": (schema.BuiltinOptions.ArgMaxOptions, schema.ArgMaxOptionsT),
    "CONV_2D": (schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT),
    "DEPTHWISE_CONV_2D": (
        schema.BuiltinOptions.DepthwiseConv2DOptions,
        schema.DepthwiseConv2DOptionsT,
    ),
    "GATHER_ND": (schema.BuiltinOptions.GatherNdOptions, schema.GatherNdOptionsT),
    "PAD": (schema.BuiltinOptions.PadOptions, schema.PadOptionsT),
    "ADD": (schema.BuiltinOptions.AddOptions, schema.AddOptionsT),
    "WHERE": (schema.BuiltinOptions.WhereOptions, schema.WhereOptionsT),
    "QUANTIZE": (schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT),
    "DEQUANTIZE": (schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT),
    "FULLY_CONNECTED": (
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT,
    ),
}


@dataclass(frozen=True)
class Conv:
    """A 1 × 1 convolution: weights (out, in) and bias, and the integer side of it."""

    weights: np.ndarray
    bias: np.ndarray
    integers: np.ndarray
    steps: np.ndarray
    bias_integers: np.ndarray


class Writer:
    """Puts a TFLite file together, tensor by tensor."""

    def __init__(self) -> None:
        self.model: Any = schema.ModelT()
        self.graph: Any = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self._codes: dict[str, int] = {}

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        steps: Any = (),
        zero: int = 0,
        values: np.ndarray | None = None,
        buffer: int = 0,
    ) -> int:
        made: Any = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), _TYPES[dtype], buffer
        if values is not None:
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(schema.BufferT())
            stored = np.ascontiguousarray(values, dtype)
            self.model.buffers[-1].data = stored.reshape(-1).view(np.uint8)
        if len(steps):
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.asarray(steps, np.float32)
            made.quantization.zeroPoint = [zero] * len(steps)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], output: int, **options: Any) -> None:
        if name not in self._codes:
            code: Any = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
            code.version = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}.get(name, 2)
            self._codes[name] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        made: Any = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self._codes[name], inputs, [output]
        made.builtinOptionsType, kind = _OPTIONS[name]
        made.builtinOptions = kind()
        for key, value in options.items():
            setattr(made.builtinOptions, key, value)
        self.graph.operators.append(made)

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        return pack_model(self.model, 1000)


SIDE = 16
IN_STEP, IN_ZERO = 1 / 16, 0


def conv(
    rng: np.random.Generator, out: int, inside: int, *, shift: float | np.ndarray = 0.0
) -> Conv:
    """Random weights, rounded; ``shift`` is added to the integer side's bias alone."""
    weights = rng.normal(0, 0.5, (out, inside)).astype(np.float32)
    bias = rng.normal(0, 0.2, out).astype(np.float32)
    steps = (np.abs(weights).max(axis=1) / 127).astype(np.float32)
    integers = np.clip(np.rint(weights / steps[:, None]), -127, 127)
    bias_integers = np.rint((bias + shift) / (IN_STEP * steps))
    return Conv(weights, bias, integers, steps, bias_integers)


def float_file(layer: Conv, activation: int = 0) -> bytes:
    """Input → CONV_2D."""
    out, inside = layer.weights.shape
    w = Writer()
    x = w.tensor("x", (1, SIDE, SIDE, inside), "float32")
    k = w.tensor("k", (out, 1, 1, inside), "float32", values=layer.weights)
    b = w.tensor("b", (out,), "float32", values=layer.bias)
    y = w.tensor("y", (1, SIDE, SIDE, out), "float32")
    w.operator("CONV_2D", [x, k, b], y, strideH=1, strideW=1, fusedActivationFunction=activation)
    return w.file([x], [y])


def integer_file(
    layer: Conv,
    *,
    out_step: float,
    out_zero: int,
    activation: int = 0,
    dtype: Literal["int8", "int16"] = "int8",
) -> bytes:
    """Input → QUANTIZE → CONV_2D → DEQUANTIZE, with activations of a type."""
    out, inside = layer.weights.shape
    shape = (1, SIDE, SIDE, inside)
    w = Writer()
    x = w.tensor("x", shape, "float32")
    q = w.tensor("q", shape, dtype, steps=[IN_STEP], zero=IN_ZERO)
    k = w.tensor("k", (out, 1, 1, inside), "int8", steps=layer.steps, values=layer.integers)
    sums = "int32" if dtype == "int8" else "int64"
    b = w.tensor("b", (out,), sums, steps=IN_STEP * layer.steps, values=layer.bias_integers)
    y = w.tensor("y", (1, SIDE, SIDE, out), dtype, steps=[out_step], zero=out_zero)
    z = w.tensor("z", (1, SIDE, SIDE, out), "float32")
    w.operator("QUANTIZE", [x], q)
    w.operator("CONV_2D", [q, k, b], y, strideH=1, strideW=1, fusedActivationFunction=activation)
    w.operator("DEQUANTIZE", [y], z)
    return w.file([x], [z])


def nonzero_file(*, integer: bool) -> bytes:
    """x → ADD (x + x) → the values that are not 0, as many as there are."""
    w = Writer()
    kind = {"dtype": "int8", "steps": [1 / 16]} if integer else {"dtype": "float32"}
    x = w.tensor("x", (1, 4), **kind)  # type: ignore[arg-type]
    doubled = w.tensor("doubled", (1, 4), **kind)  # type: ignore[arg-type]
    places = w.tensor("places", (1, 2), "int64")
    values = w.tensor("values", (1,), **kind)  # type: ignore[arg-type]
    w.operator("ADD", [x, x], doubled)
    w.operator("WHERE", [doubled], places)
    w.operator("GATHER_ND", [doubled, places], values)
    return w.file([x], [values])


def pictures(rng: np.random.Generator, count: int, inside: int) -> list[np.ndarray]:
    """Correlated inputs, on the input's grid, so that rounding the input costs nothing."""
    mixed = rng.normal(0, 1, (inside, inside))
    found = rng.normal(0, 1, (count, 1, SIDE, SIDE, inside)) @ mixed
    grid = np.clip(np.rint(found / IN_STEP), -128, 127) * IN_STEP
    return list(grid.astype(np.float32))

"""Small networks in float32 and int8, quantized by hand, so that diseases can be planted.

``x -> CONV_2D -> ... -> CONV_2D``, all 1 × 1, ranges from the pictures given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from engine.comparison.layers.analysis import layer_errors
from engine.comparison.layers.records import LayerErrors
from engine.tflite.graph import pack_model

SIDE = 4
FLOAT32, INT8, INT32 = 0, 9, 2
Range = tuple[float, float]


@dataclass(frozen=True)
class Tiny:
    """A network of convolutions and what shall be wrong with its int8 file.

    Attributes:
        weights: One array (outputs, inputs) a layer.
        biases: One array (outputs,) a layer.
        pictures: Shape (pictures, SIDE, SIDE, inputs).
        ranges: Ranges by tensor (0 is the input) that take the place of the true ones.
        shifts: Steps of the output to add to a layer's bias, by layer.
        per_tensor: Layers with one weight scale.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    pictures: np.ndarray
    ranges: Mapping[int, Range] = field(default_factory=dict)
    shifts: Mapping[int, float] = field(default_factory=dict)
    per_tensor: frozenset[int] = frozenset()

    def activations(self) -> list[np.ndarray]:
        """Input and every layer's float output."""
        found = [self.pictures.astype(np.float32)]
        for weights, bias in zip(self.weights, self.biases, strict=True):
            found.append((found[-1] @ weights.T + bias).astype(np.float32))
        return found

    def grid(self, tensor: int) -> tuple[float, int]:
        """Scale and zero point of a tensor."""
        values = self.activations()[tensor]
        low, high = self.ranges.get(tensor, (float(values.min()), float(values.max())))
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / 255
        return scale, round(-128 - low / scale)

    def float_file(self) -> bytes:
        build = Builder()
        build.activation("t0", (1, SIDE, SIDE, self.weights[0].shape[1]), FLOAT32)
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            kernel = weights.reshape(len(weights), 1, 1, -1).astype(np.float32)
            build.convolution(number, kernel, bias.astype(np.float32), FLOAT32)
        return build.file()

    def int8_file(self) -> bytes:
        build = Builder()
        build.activation("t0", (1, SIDE, SIDE, self.weights[0].shape[1]), INT8, *self.grid(0))
        for number, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            scale, zero_point = self.grid(number)
            largest = np.abs(weights).max(axis=1)
            if number in self.per_tensor:
                largest = np.array([largest.max()])
            scales = np.maximum(largest, 1e-9) / 127
            kernel = np.rint(weights / scales[:, None]).astype(np.int8)
            bias_scales = scales * self.grid(number - 1)[0]
            shifted = np.rint((bias + self.shifts.get(number, 0.0) * scale) / bias_scales)
            build.convolution(
                number,
                kernel.reshape(len(weights), 1, 1, -1),
                np.clip(shifted, -(2**30), 2**30).astype(np.int32),
                INT8,
                (scale, zero_point),
                scales,
                bias_scales,
            )
        return build.file()

    def errors(self) -> LayerErrors:
        """What the engine finds."""

        def batches() -> Iterator[np.ndarray]:
            return (picture[None].astype(np.float32) for picture in self.pictures)

        return measured(self.float_file(), self.int8_file(), batches, len(self.pictures))


def measured(
    exact: bytes, integer: bytes, batches: Callable[[], Iterator[np.ndarray]], pictures: int
) -> LayerErrors:
    return layer_errors(
        exact, integer, batches, run="tiny", variant="int8", pictures=pictures, threads=2
    )


def healthy(layers: int = 4, channels: int = 16, pictures: int = 8) -> Tiny:
    """A network without a fault; its figures are the same for every call."""
    rng = np.random.default_rng(5)
    widths = [3, *[channels] * layers]
    weights = tuple(
        rng.normal(0, 1 / np.sqrt(before), (after, before)) for before, after in pairwise(widths)
    )
    biases = tuple(rng.normal(0, 0.2, width) for width in widths[1:])
    return Tiny(weights, biases, rng.uniform(-1, 1, (pictures, SIDE, SIDE, 3)))


class Builder:
    """Puts a TFLite file together, operator after operator."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph.tensors, self.graph.operators = [], []
        self.codes: dict[int, int] = {}

    def tensor(self, name, shape, dtype, buffer=0, scales=None, zero_points=None, axis=0) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, list(shape), dtype, buffer
        if scales is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = [float(scale) for scale in scales]
            made.quantization.zeroPoint = [int(zero) for zero in zero_points]
            made.quantization.quantizedDimension = axis
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def activation(self, name, shape, dtype, scale=None, zero_point=0) -> int:
        scales = None if scale is None else [scale]
        return self.tensor(name, shape, dtype, 0, scales, [zero_point])

    def constant(self, name, values, dtype, scales=None, axis=0) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        place = len(self.model.buffers) - 1
        zeros = None if scales is None else [0] * len(scales)
        return self.tensor(name, values.shape, dtype, place, scales, zeros, axis)

    def operator(self, builtin, inputs, outputs, kind=None, options=None) -> None:
        if builtin not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = builtin
            code.version = 5 if builtin == schema.BuiltinOperator.CONV_2D else 2
            self.codes[builtin] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes[builtin], inputs, outputs
        if kind is not None:
            made.builtinOptionsType, made.builtinOptions = kind, options
        self.graph.operators.append(made)

    def convolution(
        self, number, kernel, bias, dtype, grid=(None, 0), scales=None, bias_scales=None
    ) -> None:
        before = self.last
        weights = self.constant(f"w{number}", kernel, dtype, scales)
        added = self.constant(f"b{number}", bias, INT32 if dtype == INT8 else dtype, bias_scales)
        out = self.activation(f"t{number}", (1, SIDE, SIDE, len(kernel)), dtype, *grid)
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        self.operator(
            schema.BuiltinOperator.CONV_2D,
            [before, weights, added],
            [out],
            schema.BuiltinOptions.Conv2DOptions,
            options,
        )

    @property
    def last(self) -> int:
        """The activation made last."""
        if not self.graph.operators:
            return 0
        return int(self.graph.operators[-1].outputs[0])

    def file(self) -> bytes:
        self.graph.inputs, self.graph.outputs = [0], [self.last]
        self.model.version, self.model.subgraphs = 3, [self.graph]
        return pack_model(self.model, 0)

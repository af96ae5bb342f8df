"""The operators of a TFLite file, as pairing and measuring need them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from engine.core.types import FloatArray
from engine.tflite.graph import Grid, operator_names, type_names

EDGES = frozenset({"QUANTIZE", "DEQUANTIZE"})
"""Operators between float and integers: no counterpart in a float file."""
PASSING = frozenset(
    {
        "AVERAGE_POOL_2D",
        "BATCH_TO_SPACE_ND",
        "BROADCAST_TO",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "MAX_POOL_2D",
        "MAXIMUM",
        "MINIMUM",
        "MIRROR_PAD",
        "PACK",
        "PAD",
        "PADV2",
        "RELU",
        "RELU6",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    }
)
"""Operators that pass values on: where the grid stays, they add neither error nor range."""
CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""Axis of the output channels in the weights, by operator."""
_INTEGERS = ("int8", "uint8", "int16")


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a graph.

    Attributes:
        index: Place among the graph's operators.
        op: TFLite's name.
        name: Name of its first output.
        inputs: Tensors that it reads and that are no constants, by position among its inputs.
        input_shapes: Of these, sorted.
        constants: Shapes of its constant inputs of more than one dimension, by position.
        outputs: Tensors that it makes.
        shapes: Of the outputs.
    """

    index: int
    op: str
    name: str
    inputs: dict[int, int]
    input_shapes: tuple[tuple[int, ...], ...]
    constants: dict[int, tuple[int, ...]]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def key(self) -> tuple[object, ...]:
        """What two operators must have in common to be counterparts."""
        return self.op, self.shapes, self.input_shapes, tuple(sorted(self.constants.items()))


class Graph:
    """The first graph of a TFLite file.

    Args:
        objects: The objects of the file.
    """

    def __init__(self, objects: Any) -> None:
        self.objects = objects
        self.tensors = objects.subgraphs[0].tensors
        self._types = type_names()
        self.operators = self._read_operators()

    @property
    def batch(self) -> int:
        """Pictures of a call: the first dimension of the input."""
        return self.shape(int(self.objects.subgraphs[0].inputs[0]))[0]

    def _read_operators(self) -> tuple[Operator, ...]:
        found = []
        names = operator_names(self.objects)
        for index, operator in enumerate(self.objects.subgraphs[0].operators):
            read = {at: int(i) for at, i in enumerate(operator.inputs) if i >= 0}
            constants = {at: i for at, i in read.items() if self.is_constant(i)}
            outputs = tuple(int(i) for i in operator.outputs)
            found.append(
                Operator(
                    index=index,
                    op=names[index],
                    name=self.name(outputs[0]),
                    inputs={at: i for at, i in read.items() if at not in constants},
                    input_shapes=tuple(
                        sorted(self.shape(i) for at, i in read.items() if at not in constants)
                    ),
                    constants={
                        at: self.shape(i) for at, i in constants.items() if len(self.shape(i)) > 1
                    },
                    outputs=outputs,
                    shapes=tuple(self.shape(i) for i in outputs),
                )
            )
        return tuple(found)

    def is_constant(self, tensor: int) -> bool:
        """Whether the file holds the tensor's values."""
        data = self.objects.buffers[self.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def name(self, tensor: int) -> str:
        """The tensor's name."""
        name = self.tensors[tensor].name
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The tensor's shape, as the file states it."""
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def dtype(self, tensor: int) -> str:
        """Numpy's name of the tensor's type."""
        return self._types[self.tensors[tensor].type]

    def grid(self, tensor: int) -> Grid | None:
        """The integer grid of an activation; None where it has none."""
        dtype, quantization = self.dtype(tensor), self.tensors[tensor].quantization
        if dtype not in _INTEGERS or quantization is None or quantization.scale is None:
            return None
        if len(quantization.scale) != 1:
            return None
        limits = np.iinfo(dtype)
        return Grid(
            scale=float(quantization.scale[0]),
            zero_point=int(quantization.zeroPoint[0]),
            lowest=int(limits.min),
            highest=int(limits.max),
        )

    def activation(self, tensor: int) -> bool:
        """Whether the tensor holds real values: floats, or integers with one scale."""
        return self.dtype(tensor) == "float32" or self.grid(tensor) is not None

    def weights(self, operator: Operator) -> tuple[FloatArray, int] | None:
        """Real values of an operator's constant weights, and their number of scales.

        Returns:
            Shape (channels, weights a channel), float32, and 0 scales for float weights; None
            where the operator has none, or of a type that is not read here (such as int4).
        """
        axis = CHANNEL_AXIS.get(operator.op)
        if axis is None or 1 not in operator.constants:
            return None
        tensor = self.tensors[int(self.objects.subgraphs[0].operators[operator.index].inputs[1])]
        dtype = self._types[tensor.type]
        if dtype not in (*_INTEGERS, "float32", "float16"):
            return None
        data = np.asarray(self.objects.buffers[tensor.buffer].data, dtype=np.uint8)
        values = data.view(dtype).reshape(operator.constants[1]).astype(np.float32)
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        if dtype.startswith("float"):
            return rows, 0
        scales = np.asarray(tensor.quantization.scale, dtype=np.float32)
        zeros = np.asarray(tensor.quantization.zeroPoint, dtype=np.float32)
        return (rows - zeros[:, None]) * scales[:, None], len(scales)

    def macs(self, operator: Operator) -> int:
        """Multiply-accumulates of an operator for one call; 0 for those without weights."""
        weights, out = operator.constants.get(1), prod(operator.shapes[0])
        if operator.op == "TRANSPOSE_CONV" and weights is not None and 2 in operator.inputs:
            return prod(self.shape(operator.inputs[2])) * prod(weights[:3])
        if operator.op == "BATCH_MATMUL" and 0 in operator.inputs:
            return out * self.shape(operator.inputs[0])[-1]
        if weights is None or operator.op not in CHANNEL_AXIS:
            return 0
        per_value = weights[1:3] if operator.op == "DEPTHWISE_CONV_2D" else weights[1:]
        return out * prod(per_value)

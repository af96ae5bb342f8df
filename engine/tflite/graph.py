"""A TFLite file as objects: tensors, constants, who makes and who reads them, grids.

TFLite's own objects leave out: an operator's true code, constants as arrays, buffers that two
tensors share, tensors that must keep one scale, and the scales of biases, which follow those of
the activations they are added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from engine.core.errors import ConversionError
from engine.core.types import FloatArray
from engine.tflite.grid import Grid

EDGES = frozenset({"QUANTIZE", "DEQUANTIZE"})
"""Operators between float and integers: no counterpart in a float file."""
CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
"""Axis of the output channels in the weights, by operator."""
# TRANSPOSE_CONV has weights, too, but its kernel reads windows in another order than the others.
WEIGHTED = frozenset(CHANNEL_AXIS) - {"TRANSPOSE_CONV"}
"""Operators whose weights the optimizer may choose."""
MOVING = frozenset(
    {
        "AVERAGE_POOL_2D",
        "BATCH_TO_SPACE_ND",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "EXPAND_DIMS",
        "GATHER",
        "MAX_POOL_2D",
        "MIRROR_PAD",
        "PACK",
        "PAD",
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
"""Operators whose integer kernels move values and so need one scale at input and output."""
# Kernels of these rescale where the scales differ, so they are not bound to one scale.
PASSING = MOVING | {"BROADCAST_TO", "MAXIMUM", "MINIMUM", "PADV2", "RELU", "RELU6"}
"""Operators that pass values on: where the grid stays, they add neither error nor range."""
ANY_SCALE = WEIGHTED | EDGES | {"ADD", "SUB", "MUL", "MEAN", "HARD_SWISH", "LOGISTIC", "SOFTMAX"}
"""Operators that read whatever scale their input has."""
_INTEGERS = frozenset({"int8", "uint8", "int16"})


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One operator of a graph.

    Attributes:
        index: Place in the order of execution.
        opcode: TFLite's name, such as ``CONV_2D``.
        name: Name of its first output.
        inputs: Tensors that it reads.
        outputs: Tensors that it makes.
        activations: Inputs that are no constants, by position.
        activation_shapes: Of these, sorted.
        constants: Shapes of its constant inputs of more than one dimension, by position.
        shapes: Of the outputs.
        raw: TFLite's own object.
    """

    index: int
    opcode: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activations: dict[int, int]
    activation_shapes: tuple[tuple[int, ...], ...]
    constants: dict[int, tuple[int, ...]]
    shapes: tuple[tuple[int, ...], ...]
    raw: Any = None

    @property
    def output(self) -> int:
        """The first output."""
        return self.outputs[0]

    @property
    def activation_function(self) -> int:
        """TFLite's number of the fused activation function; 0 for none."""
        return int(getattr(self.raw.builtinOptions, "fusedActivationFunction", 0))

    @property
    def key(self) -> tuple[object, ...]:
        """Properties that counterparts have in common."""
        constants = tuple(sorted(self.constants.items()))
        return self.opcode, self.shapes, self.activation_shapes, constants


class Graph:
    """The first graph of a TFLite file, which can be changed and written again.

    Attributes:
        content: The same.
        model: TFLite's own objects (``schema_py_generated.ModelT``).
        raw: TFLite's own object of the graph.
        tensors: TFLite's own objects of its tensors.
        operators: The operators, in the order of execution.
        producer: The operator that makes a tensor.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.model = parse_model(content)
        self.raw = self.model.subgraphs[0]
        self.tensors = self.raw.tensors
        opcodes = operator_names(self.model)
        self.operators = [
            self._read_operator(index, opcode, raw)
            for index, (opcode, raw) in enumerate(zip(opcodes, self.raw.operators, strict=True))
        ]
        self.producer = {t: op for op in self.operators for t in op.outputs}

    def _read_operator(self, index: int, opcode: str, raw: Any) -> Operator:
        read = {at: int(tensor) for at, tensor in enumerate(raw.inputs) if tensor >= 0}
        activations = {at: t for at, t in read.items() if not self.is_constant(t)}
        shapes = {at: self.shape(tensor) for at, tensor in read.items()}
        outputs = tuple(int(tensor) for tensor in raw.outputs)
        return Operator(
            index=index,
            opcode=opcode,
            name=self.name(outputs[0]) if outputs else "",
            inputs=tuple(read.values()),
            outputs=outputs,
            activations=activations,
            activation_shapes=tuple(sorted(shapes[at] for at in activations)),
            constants={
                at: shape
                for at, shape in shapes.items()
                if at not in activations and len(shape) > 1
            },
            shapes=tuple(self.shape(tensor) for tensor in outputs),
            raw=raw,
        )

    @property
    def inputs(self) -> list[int]:
        """Tensors that the model is given."""
        return [int(index) for index in self.raw.inputs]

    @property
    def outputs(self) -> list[int]:
        """Tensors that the model gives."""
        return [int(index) for index in self.raw.outputs]

    @property
    def batch(self) -> int:
        """Pictures of a call: the first dimension of the input."""
        return self.shape(self.inputs[0])[0]

    def consumers(self, tensor: int) -> list[Operator]:
        """List the operators that read a tensor, in order."""
        return [op for op in self.operators if tensor in op.inputs]

    def name(self, tensor: int) -> str:
        """Read a tensor's name."""
        name = self.tensors[tensor].name
        return name.decode(errors="replace") if isinstance(name, bytes) else str(name)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Read a tensor's shape, as the file states it."""
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def dtype(self, tensor: int) -> str:
        """Read a tensor's element type: NumPy's name of it, or TFLite's where NumPy has none."""
        return _names("TensorType")[self.tensors[tensor].type].lower()

    def is_constant(self, tensor: int) -> bool:
        """Whether the file holds the tensor's values."""
        data = self.model.buffers[self.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def constant(self, tensor: int) -> np.ndarray:
        """Read the values that the file holds for a tensor."""
        data = np.asarray(self.model.buffers[self.tensors[tensor].buffer].data, np.uint8)
        return data.view(self.dtype(tensor)).reshape(self.shape(tensor))

    def set_constant(self, tensor: int, values: np.ndarray) -> None:
        """Write a tensor's values, into a buffer of its own where it shares one."""
        raw = self.tensors[tensor]
        users = sum(user.buffer == raw.buffer for user in self.tensors)
        if users > 1 or raw.buffer == 0:
            self.model.buffers.append(copy(self.model.buffers[raw.buffer]))
            raw.buffer = len(self.model.buffers) - 1
        stored = np.ascontiguousarray(values, self.dtype(tensor))
        self.model.buffers[raw.buffer].data = stored.reshape(-1).view(np.uint8)

    def grid(self, tensor: int) -> Grid | None:
        """Read the integer grid of an activation; None where it has none, or several scales."""
        scales, dtype = self.scales(tensor), self.dtype(tensor)
        if len(scales) != 1 or dtype not in _INTEGERS:
            return None
        return Grid.of(scales[0], self.tensors[tensor].quantization.zeroPoint[0], dtype)

    def is_real(self, tensor: int) -> bool:
        """Whether the tensor holds real values: floats, or integers with one scale."""
        return self.dtype(tensor) == "float32" or self.grid(tensor) is not None

    def scales(self, tensor: int) -> FloatArray:
        """Read all scales of a tensor, float32; empty where it is not quantized."""
        quantization = self.tensors[tensor].quantization
        if quantization is None or quantization.scale is None:
            return np.empty(0, np.float32)
        return np.asarray(quantization.scale, np.float32)

    def set_scales(self, tensor: int, scales: FloatArray) -> None:
        """Write a tensor's scales; zero points and axis stay."""
        self._own_quantization(tensor).scale = np.asarray(scales, np.float32)

    def find_tied(self, tensor: int) -> set[int]:
        """Find the tensors that must have the grid of this one, itself among them."""
        group, waiting = {tensor}, [tensor]
        while waiting:
            current = waiting.pop()
            near = self.consumers(current)
            if current in self.producer:
                near = [*near, self.producer[current]]
            for op in near:
                if op.opcode not in MOVING:
                    continue
                for candidate in {*op.inputs, *op.outputs} - group:
                    grid = self.grid(candidate)
                    if grid is not None and grid == self.grid(current):
                        group.add(candidate)
                        waiting.append(candidate)
        return group

    def may_move(self, tensor: int) -> bool:
        """Whether the grid of what an operator makes can be chosen without asking others."""
        group = self.find_tied(tensor)
        makers = {self.producer[t].index for t in group if t in self.producer}
        makers = {index for index in makers if self.operators[index].opcode not in MOVING}
        readers = [op for t in group for op in self.consumers(t)]
        return (
            makers == {self.producer[tensor].index}
            and not group & {*self.inputs, *self.outputs}
            and not any(self.is_constant(t) for t in group)
            and all(
                op.opcode in ANY_SCALE or (op.opcode in MOVING and set(op.outputs) <= group)
                for op in readers
            )
        )

    def set_grid(self, tensor: int, grid: Grid) -> None:
        """Write the grid of an activation, and of all that has to follow.

        The tensors tied to it get the same one. The biases that are added to products of it are
        rounded to their new scales.
        """
        for member in self.find_tied(tensor):
            own = self._own_quantization(member)
            own.scale, own.zeroPoint = [grid.scale], [grid.zero_point]
            for op in self.consumers(member):
                if op.opcode in WEIGHTED and op.inputs[0] == member and len(op.inputs) > 2:
                    bias = op.inputs[2]
                    real = self.constant(bias).astype(np.float64) * self.scales(bias)
                    self.set_bias(op, real, bias_scales(grid, self.scales(op.inputs[1])))

    def set_bias(self, op: Operator, real: FloatArray, scales: FloatArray) -> None:
        """Write real biases as whole numbers of one scale a channel, or one for all.

        They are int32 beside int8 activations, int64 beside int16.
        """
        limits = np.iinfo(self.dtype(op.inputs[2]))
        integers = np.clip(np.rint(real / scales.astype(np.float64)), limits.min, limits.max)
        self.set_constant(op.inputs[2], integers.astype(limits.dtype))
        own = self._own_quantization(op.inputs[2])
        own.scale, own.zeroPoint = scales, [0] * len(scales)

    def _own_quantization(self, tensor: int) -> Any:
        raw = self.tensors[tensor]
        raw.quantization = copy(raw.quantization)
        # The quantizer's note of the range that it saw; it would contradict the new scale.
        raw.quantization.min = raw.quantization.max = None
        return raw.quantization

    def pack(self) -> bytes:
        """Serialize the file."""
        return pack_model(self.model, len(self.content))


def bias_scales(source: Grid, weights: FloatArray) -> FloatArray:
    """Compute the scales of a bias: those of the products that it is added to."""
    return np.asarray(np.float32(source.scale) * weights, np.float32)


def plain_graph(content: bytes) -> Graph:
    """Read a TFLite file of one graph of built-in operators, one input and one output.

    Raises:
        ConversionError: The file has control flow, state, several inputs or operators outside the
            built-in set.
    """
    graph = Graph(content)
    if len(graph.model.subgraphs) > 1:
        got = "a model with control flow"
    elif any(code.customCode for code in graph.model.operatorCodes):
        got = "operators outside TFLite's built-in set"
    elif any(tensor.isVariable for tensor in graph.tensors):
        got = "a model that keeps a state from call to call"
    elif len(graph.inputs) != 1 or len(graph.outputs) != 1:
        got = f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
    else:
        return graph
    raise ConversionError(
        "Optimizing the integer model",
        got=got,
        expected="one graph of built-in operators with one input and one output",
        todo="Leave the optimized variants out.",
    )


def parse_model(content: bytes) -> Any:
    """Read the objects of a TFLite file (``schema_py_generated.ModelT``)."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def pack_model(model: Any, size: int) -> bytes:
    """Serialize TFLite's objects; `size` is about how many bytes it will be."""
    import flatbuffers

    # A builder that has to grow doubles, which a large model would pay for in memory.
    builder = flatbuffers.Builder(size + (1 << 20))
    builder.Finish(model.Pack(builder), b"TFL3")
    # ``builder.Output()`` would be a copy more.
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def expose(model: Any, outputs: Sequence[int]) -> None:
    """Make tensors the outputs of the first graph, instead of those it has.

    LiteRT then keeps their values to the end of a call, with XNNPACK on.
    """
    model.subgraphs[0].outputs = list(outputs)
    # Signatures name the outputs that the model had.
    model.signatureDefs = []


def operator_names(model: Any) -> list[str]:
    """List the name of each operator of the first graph, in order; custom ones have their own."""
    names = [_code_name(code) for code in model.operatorCodes]
    return [names[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


def _code_name(code: Any) -> str:
    # Files from before 2020 fill only the deprecated field.
    name = _names("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]
    if name == "CUSTOM" and code.customCode:
        return code.customCode.decode() if isinstance(code.customCode, bytes) else code.customCode
    return name


@cache
def _names(kind: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    constants = vars(getattr(schema, kind)).items()
    return {number: name for name, number in constants if not name.startswith("_")}

"""A TFLite file as objects: tensors, constants, who makes and who reads them, scales.

What TFLite's own objects do not say by themselves is here: an operator's true code, constants as
arrays, buffers that two tensors share, tensors that must keep one scale, and the scales of biases,
which follow those of the activations they are added to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.core.errors import ConversionError
from engine.core.types import FloatArray, IntArray

if TYPE_CHECKING:
    pass

WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
EDGES = frozenset({"QUANTIZE", "DEQUANTIZE"})
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
ANY_SCALE = WEIGHTED | EDGES | {"ADD", "SUB", "MUL", "MEAN", "HARD_SWISH", "LOGISTIC", "SOFTMAX"}
"""Operators that read whatever scale their input has."""
_DTYPES = {0: "f4", 1: "f2", 2: "i4", 3: "u1", 4: "i8", 6: "?", 7: "i2", 9: "i1", 10: "f8"}


@dataclass(frozen=True, slots=True)
class Scale:
    """Scale and zero point of a tensor: ``real = step * (integer - zero)``."""

    step: float
    zero: int

    def real(self, integers: IntArray) -> FloatArray:
        """Real values in float32."""
        return (integers.astype(np.float32) - np.float32(self.zero)) * np.float32(self.step)


class Operator:
    """One operator of a graph.

    Args:
        index: Its place in the order of execution.
        name: Its built-in name, such as ``CONV_2D``.
        raw: TFLite's own object.
    """

    def __init__(self, index: int, name: str, raw: Any) -> None:
        self.index = index
        self.name = name
        self.raw = raw
        self.inputs = [int(i) for i in raw.inputs if i >= 0]
        self.outputs = [int(i) for i in raw.outputs]

    @property
    def output(self) -> int:
        """The first output."""
        return self.outputs[0]

    @property
    def activation(self) -> int:
        """TFLite's number of the fused activation function; 0 for none."""
        return int(getattr(self.raw.builtinOptions, "fusedActivationFunction", 0))


class Graph:
    """A TFLite file of one graph of built-in operators, which can be changed and written again.

    Args:
        model: The file's content.

    Attributes:
        size: Bytes of the file.

    Raises:
        ConversionError: The file has control flow, state, several inputs or operators outside the
            built-in set.
    """

    def __init__(self, model: bytes) -> None:
        self.model = parsed(model)
        self.size = len(model)
        self.raw = self.model.subgraphs[0]
        self.tensors = self.raw.tensors
        _require_plain(self.model)
        self.operators = [
            Operator(place, name, raw)
            for place, (name, raw) in enumerate(
                zip(operator_names(self.model), self.raw.operators, strict=True)
            )
        ]
        self.producer = {t: op for op in self.operators for t in op.outputs}

    @property
    def inputs(self) -> list[int]:
        """Tensors that the model is given."""
        return [int(index) for index in self.raw.inputs]

    @property
    def outputs(self) -> list[int]:
        """Tensors that the model gives."""
        return [int(index) for index in self.raw.outputs]

    def consumers(self, tensor: int) -> list[Operator]:
        """Operators that read a tensor, in order."""
        return [op for op in self.operators if tensor in op.inputs]

    def name(self, tensor: int) -> str:
        """A tensor's name."""
        return str(self.tensors[tensor].name.decode())

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape."""
        return tuple(int(size) for size in self.tensors[tensor].shape)

    def dtype(self, tensor: int) -> np.dtype[Any]:
        """A tensor's element type."""
        return np.dtype(_DTYPES[self.tensors[tensor].type])

    def is_constant(self, tensor: int) -> bool:
        """Whether the file holds the tensor's values."""
        data = self.model.buffers[self.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def constant(self, tensor: int) -> np.ndarray:
        """The values that the file holds for a tensor."""
        data = np.asarray(self.model.buffers[self.tensors[tensor].buffer].data, np.uint8)
        return data.view(self.dtype(tensor)).reshape(self.shape(tensor))

    def set_constant(self, tensor: int, values: np.ndarray) -> None:
        """Write a tensor's values, into a buffer of its own where it shares one."""
        raw = self.tensors[tensor]
        users = sum(other.buffer == raw.buffer for other in self.tensors)
        if users > 1 or raw.buffer == 0:
            self.model.buffers.append(copy(self.model.buffers[raw.buffer]))
            raw.buffer = len(self.model.buffers) - 1
        stored = np.ascontiguousarray(values, self.dtype(tensor))
        self.model.buffers[raw.buffer].data = stored.reshape(-1).view(np.uint8)

    def scale(self, tensor: int) -> Scale | None:
        """Scale of a tensor that has exactly one; None for others."""
        steps = self.steps(tensor)
        if len(steps) != 1:
            return None
        return Scale(float(steps[0]), int(self.tensors[tensor].quantization.zeroPoint[0]))

    def steps(self, tensor: int) -> FloatArray:
        """All scales of a tensor, float32; empty where it is not quantized."""
        found = self.tensors[tensor].quantization
        if found is None or found.scale is None:
            return np.empty(0, np.float32)
        return np.asarray(found.scale, np.float32)

    def set_steps(self, tensor: int, steps: FloatArray) -> None:
        """Write a tensor's scales; zero points and axis stay."""
        self._own_quantization(tensor).scale = np.asarray(steps, np.float32)

    def tied(self, tensor: int) -> set[int]:
        """The tensors that must have the scale of this one, itself among them."""
        group, waiting = {tensor}, [tensor]
        while waiting:
            current = waiting.pop()
            near = self.consumers(current)
            if current in self.producer:
                near = [*near, self.producer[current]]
            for op in near:
                if op.name not in MOVING:
                    continue
                for other in {*op.inputs, *op.outputs} - group:
                    if self.scale(other) is not None and self.scale(other) == self.scale(current):
                        group.add(other)
                        waiting.append(other)
        return group

    def may_move(self, tensor: int) -> bool:
        """Whether the scale of what an operator makes can be chosen without asking others."""
        group = self.tied(tensor)
        made = {self.producer[t].index for t in group if t in self.producer}
        makers = [i for i in made if self.operators[i].name not in MOVING]
        readers = [op for t in group for op in self.consumers(t)]
        return (
            makers == [self.producer[tensor].index]
            and not group & {*self.inputs, *self.outputs}
            and not any(self.is_constant(t) for t in group)
            and all(op.name in ANY_SCALE or _inside(op, group) for op in readers)
        )

    def set_scale(self, tensor: int, scale: Scale) -> None:
        """Write the scale of an activation, and of all that has to follow.

        The tensors tied to it get the same one. The biases that are added to products of it are
        rounded to their new steps.
        """
        for member in self.tied(tensor):
            own = self._own_quantization(member)
            own.scale, own.zeroPoint = [scale.step], [scale.zero]
            for op in self.consumers(member):
                if op.name in WEIGHTED and op.inputs[0] == member:
                    self._follow(op)

    def _follow(self, op: Operator) -> None:
        """Round the bias of an operator to the product of its scales of input and weights."""
        source = self.scale(op.inputs[0])
        if len(op.inputs) < 3 or source is None:
            return
        old = self.steps(op.inputs[2])
        new = bias_steps(source, self.steps(op.inputs[1]))
        real = self.constant(op.inputs[2]).astype(np.float64) * old
        self.set_bias(op, real, new)

    def set_bias(self, op: Operator, real: FloatArray, steps: FloatArray) -> None:
        """Write real biases as whole numbers of one step a channel, or one for all.

        They are int32 beside int8 activations, int64 beside int16.
        """
        limits = np.iinfo(self.dtype(op.inputs[2]))
        integers = np.clip(np.rint(real / steps.astype(np.float64)), limits.min, limits.max)
        self.set_constant(op.inputs[2], integers.astype(limits.dtype))
        own = self._own_quantization(op.inputs[2])
        own.scale, own.zeroPoint = steps, [0] * len(steps)

    def _own_quantization(self, tensor: int) -> Any:
        raw = self.tensors[tensor]
        raw.quantization = copy(raw.quantization)
        # The quantizer's note of the range that it saw; it would contradict the new scale.
        raw.quantization.min = raw.quantization.max = None
        return raw.quantization

    def pack(self) -> bytes:
        """The file's content."""
        return packed(self.model, self.size)


def bias_steps(source: Scale, weights: FloatArray) -> FloatArray:
    """Steps of a bias: those of the products that it is added to."""
    return np.asarray(np.float32(source.step) * weights, np.float32)


def paired(quantized: Graph, floating: Graph) -> dict[int, Operator]:
    """Find the float operator that each quantized one stands for.

    Args:
        quantized: The integer model.
        floating: The float32 model that it was made from.

    Returns:
        Operators of ``floating`` by the index of the quantized one; QUANTIZE, DEQUANTIZE and what
        cannot be matched in order, shape and name are left out.
    """
    from difflib import SequenceMatcher

    def kept(graph: Graph) -> list[Operator]:
        return [op for op in graph.operators if op.name not in EDGES]

    def keys(graph: Graph, *, names: bool) -> list[tuple[object, ...]]:
        every: Iterator[Operator] = iter(kept(graph))
        return [
            (op.name, graph.shape(op.output), *((graph.name(op.output),) if names else ()))
            for op in every
        ]

    ours, theirs = kept(quantized), kept(floating)
    if keys(quantized, names=False) == keys(floating, names=False):
        return {a.index: b for a, b in zip(ours, theirs, strict=True)}
    one, other = keys(quantized, names=True), keys(floating, names=True)
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return {
        ours[block.a + i].index: theirs[block.b + i] for block in blocks for i in range(block.size)
    }


def _inside(op: Operator, group: set[int]) -> bool:
    return op.name in MOVING and set(op.outputs) <= group


def _require_plain(model: Any) -> None:
    graph = model.subgraphs[0]
    if len(model.subgraphs) > 1:
        got = "a model with control flow"
    elif any(code.customCode for code in model.operatorCodes):
        got = "operators outside TFLite's built-in set"
    elif any(tensor.isVariable for tensor in graph.tensors):
        got = "a model that keeps a state from call to call"
    elif len(graph.inputs) != 1 or len(graph.outputs) != 1:
        got = f"{len(graph.inputs)} inputs and {len(graph.outputs)} outputs"
    else:
        return
    raise ConversionError(
        "Optimizing the integer model",
        got=got,
        expected="one graph of built-in operators with one input and one output",
        todo="Leave the optimized variants out.",
    )


def parsed(model: bytes) -> Any:
    """The objects of a TFLite file (``schema_py_generated.ModelT``)."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(model, 0)


def packed(parsed: Any, size: int) -> bytes:
    """The content of a TFLite file from its objects; `size` is about how long it will be."""
    import flatbuffers

    # A builder that has to grow doubles, which a large model would pay for in memory.
    builder = flatbuffers.Builder(size + (1 << 20))
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def expose(parsed: Any, outputs: Sequence[int]) -> None:
    """Make tensors the outputs of the first graph, instead of those it has.

    LiteRT then keeps their values to the end of a call, with XNNPACK on.

    Args:
        parsed: The objects of a file; changed.
        outputs: Indices of tensors.
    """
    parsed.subgraphs[0].outputs = list(outputs)
    # Signatures name the outputs that the model had.
    parsed.signatureDefs = []


def operator_names(parsed: Any) -> list[str]:
    """TFLite's name of each operator of the first graph, in order."""
    names = _names("BuiltinOperator")
    # Files from before 2020 fill only the deprecated field.
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in parsed.operatorCodes]
    return [names[codes[operator.opcodeIndex]] for operator in parsed.subgraphs[0].operators]


def type_names() -> dict[int, str]:
    """Names of the schema's element types, in lower case, by number."""
    return {number: name.lower() for number, name in _names("TensorType").items()}


@cache
def _names(kind: str) -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    found = vars(getattr(schema, kind)).items()
    return {number: name for name, number in found if not name.startswith("_")}


def operator_code(model: Any, number: int, version: int) -> int:
    """Place of a built-in operator among a model's codes; added where the model lacks it.

    Args:
        model: TFLite's own object.
        number: Of the operator, as in ``BuiltinOperator``.
        version: Of the operator, where it has to be added.
    """
    from ai_edge_litert import schema_py_generated as schema

    for place, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
            return place
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def new_operator(
    model: Any, name: str, inputs: Sequence[int], output: int, options: Any, *, version: int = 1
) -> Any:
    """An operator of one output, for a caller to put in its place.

    Args:
        model: TFLite's own object; gets the operator's code where it lacks it.
        name: TFLite's name of the operator.
        inputs: Indices of tensors.
        output: Index of a tensor.
        options: Of the operator, an object of the schema.
        version: Of the operator, where its code has to be added.
    """
    from ai_edge_litert import schema_py_generated as schema

    made = schema.OperatorT()
    made.opcodeIndex = operator_code(model, getattr(schema.BuiltinOperator, name), version)
    made.inputs, made.outputs = list(inputs), [output]
    kind = type(options).__name__.removesuffix("T")
    made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    made.builtinOptions = options
    return made


def like(graph: Any, index: int, what: str, shape: Sequence[int] | None = None) -> int:
    """Add a tensor like another one, perhaps of another shape.

    Args:
        graph: TFLite's own object.
        index: Of the other tensor.
        what: Added to its name.
        shape: Where it differs.

    Returns:
        The new tensor's index.
    """
    tensor = copy(graph.tensors[index])
    tensor.name = tensor.name + f"/{what}".encode()
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


def require_shape(
    name: str, actual: Sequence[int], stated: Sequence[int], stage: str, todo: str
) -> None:
    """Refuse a tensor whose shape follows from the picture, as that of WHERE does.

    Args:
        name: Of the tensor or its operator.
        actual: Its shape after a call.
        stated: Its shape as the file states it.
        stage: What is being done, for the message.
        todo: What a person can do about it.

    Raises:
        ConversionError: The shapes differ.
    """
    if tuple(actual) != tuple(stated):
        raise ConversionError(
            stage,
            got=f"a shape that follows from the picture in {name} "
            f"({list(map(int, actual))} instead of {list(map(int, stated))})",
            expected="operators that give as many values for every picture",
            todo=todo,
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """The integer grid of a tensor: real = scale * (integer - zero_point).

    Attributes:
        scale: Real value of one step.
        zero_point: The integer that stands for 0.0.
        lowest: Smallest integer of the type.
        highest: Largest integer of the type.
    """

    scale: float
    zero_point: int
    lowest: int
    highest: int

    @property
    def low(self) -> float:
        """Smallest real value."""
        return self.scale * (self.lowest - self.zero_point)

    @property
    def high(self) -> float:
        """Largest real value."""
        return self.scale * (self.highest - self.zero_point)

    @property
    def width(self) -> float:
        """Largest minus smallest real value."""
        return self.scale * (self.highest - self.lowest)

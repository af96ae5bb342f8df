"""LiteRT interpreters: load one, run a model or a single operator on every picture.

The kernels that will run on the device also run here, so what later operators are fed is exact
for every operator that LiteRT knows, and nothing has to be written twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine.core.errors import ConversionError, first_line
from engine.core.system import share_work, usable_cores
from engine.core.types import FloatArray
from engine.tflite.graph import Graph, Operator, pack_model
from engine.tflite.grid import Grid

Item = TypeVar("Item")
_TODO = "Leave the optimized variants out."
_REMEDIES = {
    "affine_quantization->zero_point": "A kernel that is computed from the picture has a zero "
    "point in int8, which LiteRT's convolution does not take. Leave the variants with int8 "
    "activations out.",
    "create XNNPACK runtime": "XNNPACK refuses scales that lie too far apart, as those of a range "
    "do that one value blows up. Calibrate with other pictures, or leave this variant out.",
}
"""Remedies for refusals of LiteRT, by words of its own message."""


def load_interpreter(
    model: bytes | Path, threads: int, stage: str, todo: str, *, kernels: str = "AUTO"
) -> Any:
    """Load a model into a LiteRT interpreter.

    Args:
        model: Content of a TFLite file, or the file.
        threads: Threads it may use.
        stage: What is being done, for the message.
        todo: What a person can do where LiteRT refuses the model.
        kernels: LiteRT's name of a set of kernels, one of ``OpResolverType``.

    Returns:
        The interpreter, its tensors allocated.

    Raises:
        ConversionError: LiteRT refuses the model.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    resolver = OpResolverType[kernels]
    try:
        interpreter = Interpreter(
            **source, num_threads=threads, experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        raise ConversionError(
            stage,
            got=f"a refusal of the LiteRT interpreter ({reason})",
            expected="a model that it runs",
            todo=next((remedy for words, remedy in _REMEDIES.items() if words in reason), todo),
        ) from error
    return interpreter


def quantize(values: FloatArray, tensor: dict[str, Any]) -> np.ndarray:
    """Convert real values to a tensor's type: round(value / scale) + zero point.

    Returns:
        Values in the tensor's own type, clipped to it; float tensors get them as they are.
    """
    dtype = np.dtype(tensor["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    scale, zero_point = tensor["quantization"]
    integers, room = np.empty(values.shape, dtype), np.empty(values.size, np.float32)
    Grid.of(scale, zero_point, dtype).quantize(values, integers, room)
    return integers


def dequantize(values: np.ndarray, tensor: dict[str, Any]) -> FloatArray:
    """Convert values of a tensor to real ones: (integer - zero point) * scale."""
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    scale, zero_point = tensor["quantization"]
    return Grid.of(scale, zero_point, values.dtype).dequantize(values)


def require_shape(
    name: str, actual: Sequence[int], stated: Sequence[int], stage: str, todo: str
) -> None:
    """Refuse a tensor whose shape follows from the picture, as that of WHERE does.

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


class Activations:
    """The live activations of a graph, one array a tensor, its first axis the pictures."""

    def __init__(self, graph: Graph, start: np.ndarray) -> None:
        self._graph = graph
        self._waiting: dict[int, int] = defaultdict(int)
        for tensor in graph.outputs:
            self._waiting[tensor] += 1
        for op in graph.operators:
            for tensor in set(op.inputs):
                self._waiting[tensor] += 1
        self._values = {graph.inputs[0]: start}

    def __getitem__(self, tensor: int) -> np.ndarray:
        return self._values[tensor]

    def __contains__(self, tensor: int) -> bool:
        return tensor in self._values

    def run(self, op: Operator) -> None:
        """Compute what an operator makes, then free what nobody reads any more."""
        sources = [t for t in dict.fromkeys(op.inputs) if t in self._values]
        results = run_operator(self._graph, op, [self._values[t] for t in sources], sources)
        self._values |= dict(zip(op.outputs, results, strict=True))
        for tensor in set(op.inputs):
            self._release(tensor)
        for tensor in op.outputs:
            if self._waiting[tensor] == 0:
                del self._values[tensor]

    def _release(self, tensor: int) -> None:
        self._waiting[tensor] -= 1
        if self._waiting[tensor] <= 0:
            self._values.pop(tensor, None)


def run_operator(
    graph: Graph, op: Operator, inputs: list[np.ndarray], tensors: list[int]
) -> list[np.ndarray]:
    """Run one operator on every picture.

    Args:
        graph: The graph it is of.
        op: The operator.
        inputs: Values of its inputs that are no constants; first axis the pictures.
        tensors: Which tensors these are.

    Returns:
        Its outputs, first axis the pictures.

    Raises:
        ConversionError: LiteRT refuses the operator, or the shape of what it makes follows from the
            picture.
    """
    return run_model(_operator_model(graph, op, tensors), op.opcode, inputs)


def run_model(content: bytes, name: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Run a model on every picture.

    Args:
        content: The TFLite file.
        name: What to call it where LiteRT refuses it.
        inputs: Its inputs; first axis the pictures.

    Returns:
        Its outputs, first axis the pictures.

    Raises:
        ConversionError: LiteRT refuses the model.
    """
    interpreters = Interpreters(content, name, len(inputs[0]))
    outputs = [np.empty((len(inputs[0]), *shape), dtype) for shape, dtype in interpreters.outputs]

    def take(picture: int, results: list[np.ndarray]) -> None:
        for output, result in zip(outputs, results, strict=True):
            output[picture] = result

    interpreters.run(inputs, take)
    return outputs


class Interpreters:
    """Interpreters of one model, one a core, that share the pictures.

    Args:
        content: The TFLite file.
        name: What to call it where LiteRT refuses it.
        pictures: How many there will be.

    Attributes:
        outputs: Shape and type of each output.

    Raises:
        ConversionError: LiteRT refuses the model.
    """

    def __init__(self, content: bytes, name: str, pictures: int) -> None:
        self._pictures, self._name, self._stage = pictures, name, f"Running {name}"
        self._interpreters = [
            load_interpreter(content, 1, self._stage, _TODO)
            for _ in range(max(1, min(usable_cores(), pictures)))
        ]
        details = self._interpreters[0].get_output_details()
        self.outputs = [(tuple(detail["shape"]), detail["dtype"]) for detail in details]

    def run(self, inputs: list[np.ndarray], take: Callable[[int, list[np.ndarray]], None]) -> None:
        """Run every picture.

        Args:
            inputs: The model's inputs; first axis the pictures.
            take: Called with a picture and its outputs, from several threads. The outputs are
                LiteRT's own memory: what is wanted of them has to be copied.

        Raises:
            ConversionError: The shape of an output follows from the picture.
        """
        (starts, ends) = (
            [detail["index"] for detail in details]
            for details in (
                self._interpreters[0].get_input_details(),
                self._interpreters[0].get_output_details(),
            )
        )

        def work(interpreter: Any, picture: int) -> None:
            for start, values in zip(starts, inputs, strict=True):
                interpreter.set_tensor(start, values[picture])
            interpreter.invoke()
            results = [interpreter.tensor(end)() for end in ends]
            for result, (shape, _) in zip(results, self.outputs, strict=True):
                require_shape(self._name, result.shape, shape, self._stage, _TODO)
            take(picture, results)

        share_work(range(self._pictures), self._interpreters, work)


def _operator_model(graph: Graph, op: Operator, inputs: list[int]) -> bytes:
    """Make a model of one operator."""
    from ai_edge_litert import schema_py_generated as schema

    used = list(dict.fromkeys([*op.inputs, *op.outputs]))
    buffers, tensors, size = [schema.BufferT()], [], 0
    for tensor in used:
        raw = copy(graph.tensors[tensor])
        raw.buffer = 0
        if graph.is_constant(tensor):
            raw.buffer = len(buffers)
            buffer = graph.model.buffers[graph.tensors[tensor].buffer]
            buffers.append(buffer)
            size += len(buffer.data)
        tensors.append(raw)
    index = {tensor: number for number, tensor in enumerate(used)}
    operator = copy(op.raw)
    operator.opcodeIndex = 0
    operator.inputs = [index[int(i)] if i >= 0 else -1 for i in op.raw.inputs]
    operator.outputs = [index[i] for i in op.outputs]
    part: Any = schema.SubGraphT()
    part.tensors, part.operators = tensors, [operator]
    part.inputs, part.outputs = [index[i] for i in inputs], operator.outputs
    model: Any = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [part], buffers
    model.operatorCodes = [graph.model.operatorCodes[op.raw.opcodeIndex]]
    return pack_model(model, size)


def split_passes(sizes: Mapping[Item, int], pass_bytes: int) -> list[tuple[Item, ...]]:
    """Group items by what may be held at once; each group has one at least.

    Args:
        sizes: Bytes of each item.
        pass_bytes: Bytes to hold at once.
    """
    passes: list[list[Item]] = []
    held = 0
    for item, size in sizes.items():
        if not passes or held + size > pass_bytes:
            passes.append([])
            held = 0
        passes[-1].append(item)
        held += size
    return [tuple(items) for items in passes]

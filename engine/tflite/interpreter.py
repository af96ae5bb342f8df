"""One operator by itself, run by LiteRT on the activations of every picture.

The kernels that will run on the device also run here, so what later operators are fed is exact
for every operator that LiteRT knows, and nothing has to be written twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any

import numpy as np

from engine.core.errors import ConversionError, first_line
from engine.core.system import usable_cores
from engine.core.types import FloatArray
from engine.tflite.graph import Graph, Operator, require_shape

_TODO = "Leave the optimized variants out."


class Activations:
    """The live activations of a graph, one array a tensor, its first axis the pictures.

    Args:
        graph: The graph.
        start: The model's input for every picture.
    """

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
        """Compute what an operator makes, then let go of what nobody reads any more."""
        sources = [t for t in dict.fromkeys(op.inputs) if t in self._values]
        made = run_alone(self._graph, op, [self._values[t] for t in sources], sources)
        self._values |= dict(zip(op.outputs, made, strict=True))
        for tensor in set(op.inputs):
            self._release(tensor)
        for tensor in op.outputs:
            if self._waiting[tensor] == 0:
                del self._values[tensor]

    def _release(self, tensor: int) -> None:
        self._waiting[tensor] -= 1
        if self._waiting[tensor] <= 0:
            self._values.pop(tensor, None)


def run_alone(
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
    return run_model(_extracted(graph, op, tensors), op.name, inputs)


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
    crew = Crew(content, name, len(inputs[0]))
    outputs = [np.empty((len(inputs[0]), *shape), dtype) for shape, dtype in crew.outputs]

    def take(picture: int, answers: list[np.ndarray]) -> None:
        for output, answer in zip(outputs, answers, strict=True):
            output[picture] = answer

    crew.run(inputs, take)
    return outputs


class Crew:
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
        workers = max(1, min(usable_cores(), pictures))
        self._pictures, self._name = pictures, name
        self._interpreters = [_interpreter(content, name) for _ in range(workers)]
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
        workers, stage = len(self._interpreters), f"Running {self._name}"

        def work(number: int) -> None:
            interpreter = self._interpreters[number]
            places = [detail["index"] for detail in interpreter.get_input_details()]
            results = [
                interpreter.tensor(detail["index"]) for detail in interpreter.get_output_details()
            ]
            for picture in range(number, self._pictures, workers):
                for place, values in zip(places, inputs, strict=True):
                    interpreter.set_tensor(place, values[picture])
                interpreter.invoke()
                for result, (shape, _) in zip(results, self.outputs, strict=True):
                    require_shape(self._name, result().shape, shape, stage, _TODO)
                take(picture, [result() for result in results])

        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(work, range(workers)):
                pass


def _extracted(graph: Graph, op: Operator, inputs: list[int]) -> bytes:
    """A model of one operator."""
    from ai_edge_litert import schema_py_generated as schema

    from engine.tflite.graph import packed

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
    place = {tensor: number for number, tensor in enumerate(used)}
    made = copy(op.raw)
    made.opcodeIndex = 0
    made.inputs = [place[int(i)] if i >= 0 else -1 for i in op.raw.inputs]
    made.outputs = [place[i] for i in op.outputs]
    part: Any = schema.SubGraphT()
    part.tensors, part.operators = tensors, [made]
    part.inputs, part.outputs = [place[i] for i in inputs], made.outputs
    model: Any = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [part], buffers
    model.operatorCodes = [graph.model.operatorCodes[op.raw.opcodeIndex]]
    return packed(model, size)


def _interpreter(content: bytes, name: str) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            f"Running {name}",
            got=f"a refusal of the LiteRT interpreter ({first_line(error)})",
            expected="operators that it runs",
            todo=_TODO,
        ) from error
    return interpreter


def quantized(values: FloatArray, tensor: dict[str, Any]) -> np.ndarray:
    """Bring real values onto a tensor's integer grid: round(value / scale) + zero point.

    Args:
        values: Real values.
        tensor: The interpreter's description of the tensor.

    Returns:
        Values in the tensor's own type, clipped to it; float tensors get them as they are.
    """
    dtype = np.dtype(tensor["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(dtype)
    steps = values / np.float32(scale)
    np.rint(steps, out=steps)
    steps += zero_point
    np.clip(steps, limits.min, limits.max, out=steps)
    return steps.astype(dtype)


def dequantized(values: np.ndarray, tensor: dict[str, Any]) -> FloatArray:
    """Real values of a tensor: (integer - zero point) * scale.

    Args:
        values: Values in the tensor's own type.
        tensor: The interpreter's description of the tensor.

    Returns:
        A copy in float32.
    """
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    scale, zero_point = tensor["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def interpreter_of(model: bytes, threads: int, stage: str, todo: str) -> Any:
    """A LiteRT interpreter, ready to run.

    Args:
        model: Content of a TFLite file.
        threads: Threads it may use.
        stage: What is being done, for the message.
        todo: What a person can do where LiteRT refuses the model.

    Returns:
        The interpreter, its tensors allocated.

    Raises:
        ConversionError: LiteRT refuses the model.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ConversionError(
            stage,
            got=f"a refusal of the LiteRT interpreter ({first_line(error)})",
            expected="a model that it runs",
            todo=todo,
        ) from error
    return interpreter

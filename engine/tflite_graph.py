"""TFLite files as objects, through the schema: read, changed, packed again, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any

import numpy as np

from engine.core.errors import ConversionError, first_line


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

"""TFLite files of one operator, written by hand, whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {"float32": 0, "int8": 9, "uint8": 3, "int16": 7, "int64": 4}


def tensor(name: str, shape: tuple[int, ...], dtype: str, buffer: int, scale: float | None):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), TYPES[dtype], buffer
    if scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
    return made


def reshape_file(
    path: Path,
    shape: tuple[int, ...],
    *,
    dtype: str = "float32",
    scale: float | None = None,
    inputs: int = 1,
    softmax: bool = False,
    rows: int | None = None,
) -> Path:
    """A model that gives each picture, or the softmax of it, back as one row of numbers.

    Args:
        path: Where to write it.
        shape: Of the input.
        dtype: Of input and output.
        scale: Of one step, for integers; the zero point is 0.
        inputs: How many inputs it declares.
        softmax: Whether it ends in a softmax; its output is float32 then.
        rows: Of its output; None makes one a picture.
    """
    import flatbuffers

    row = (rows or shape[0], int(np.prod(shape)) // (rows or shape[0]))
    model, graph, code, op = (
        schema.ModelT(),
        schema.SubGraphT(),
        schema.OperatorCodeT(),
        schema.OperatorT(),
    )
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    code.version = 1
    graph.tensors = [
        *(tensor(f"x{i}", shape, dtype, 0, scale) for i in range(inputs)),
        tensor("y", row, dtype, 0, scale),
    ]
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [inputs]
    op.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    op.builtinOptions = schema.ReshapeOptionsT()
    op.builtinOptions.newShape = list(row)
    graph.inputs, graph.outputs, graph.operators = list(range(inputs)), [inputs], [op]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    if softmax:
        last, kind = schema.OperatorT(), schema.OperatorCodeT()
        kind.builtinCode = kind.deprecatedBuiltinCode = schema.BuiltinOperator.SOFTMAX
        kind.version = 1
        last.opcodeIndex, last.inputs, last.outputs = 1, [inputs], [inputs + 1]
        last.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        last.builtinOptions = schema.SoftmaxOptionsT()
        last.builtinOptions.beta = 1.0
        graph.tensors.append(tensor("z", row, "float32", 0, None))
        graph.outputs, graph.operators = [inputs + 1], [op, last]
        model.operatorCodes.append(kind)
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path

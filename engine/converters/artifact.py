"""Read a TFLite file's identity card: operators, edges, granularity."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from engine.core.types import Layout
from engine.types import Artifact, Granularity, TensorInfo

_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "CONV_3D"}

_BETWEEN_TYPES = {"QUANTIZE", "DEQUANTIZE"}


def artifact_of(file: Path, *, variant: str, layout: Layout) -> Artifact:
    """Describe a TFLite file.

    Args:
        file: The file, inside the run folder.
        variant: Name of the recipe that made it.
        layout: Order of the picture input's dimensions.

    Returns:
        Its identity card.
    """
    from ai_edge_litert import schema_py_generated as schema

    data = file.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    names = {
        number: name
        for name, number in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    types = {
        number: name.lower()
        for name, number in vars(schema.TensorType).items()
        if not name.startswith("_")
    }
    graph = model.subgraphs[0]
    operators = [_name(model.operatorCodes[op.opcodeIndex], names) for op in graph.operators]
    return Artifact(
        variant=variant,
        file=file.name,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        operators=dict(sorted(Counter(operators).items())),
        inputs=tuple(_info(graph.tensors[index], types) for index in graph.inputs),
        outputs=tuple(_info(graph.tensors[index], types) for index in graph.outputs),
        layout=layout,
        weight_granularity=_granularity(graph, operators),
        float_operators=_float_operators(graph, operators, types),
    )


def _float_operators(graph: Any, operators: list[str], types: dict[int, str]) -> dict[str, int]:
    made = [
        (name, {types[graph.tensors[index].type] for index in op.outputs})
        for op, name in zip(graph.operators, operators, strict=True)
        if name not in _BETWEEN_TYPES
    ]
    if not any(dtypes & {"int8", "int16"} for _, dtypes in made):
        return {}
    return dict(sorted(Counter(name for name, dtypes in made if "float32" in dtypes).items()))


def _name(code: Any, names: dict[int, str]) -> str:
    # Files from before 2020 fill only the deprecated field.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if names[number] == "CUSTOM" and code.customCode:
        return code.customCode.decode() if isinstance(code.customCode, bytes) else code.customCode
    return names[number]


def _info(tensor: Any, types: dict[int, str]) -> TensorInfo:
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None
    quantized = quantized and len(quantization.scale) == 1
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return TensorInfo(
        name=tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name),
        shape=tuple(int(size) for size in shape),
        dtype=types[tensor.type],
        scale=float(quantization.scale[0]) if quantized else None,
        zero_point=int(quantization.zeroPoint[0]) if quantized else None,
    )


def _granularity(graph: Any, operators: list[str]) -> Granularity:
    most = 0
    for op, name in zip(graph.operators, operators, strict=True):
        if name in _WEIGHTED and len(op.inputs) > 1:
            quantization = graph.tensors[op.inputs[1]].quantization
            if quantization is not None and quantization.scale is not None:
                most = max(most, len(quantization.scale))
    return "none" if most == 0 else "per-tensor" if most == 1 else "per-channel"

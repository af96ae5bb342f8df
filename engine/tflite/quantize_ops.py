"""QUANTIZE and DEQUANTIZE written into a graph, and the tensors between them."""

from __future__ import annotations

from copy import copy
from typing import Any, Literal

import numpy as np

from engine.tflite.graph import Graph, Scale, operator_code

_FLOAT32, _INT8 = 0, 9
_VERSIONS = {"QUANTIZE": 1, "DEQUANTIZE": 2}
"""The first with int8."""


def added_tensor(graph: Graph, like: int, suffix: bytes, scale: Scale | None) -> int:
    """Add an activation of another's shape.

    Args:
        graph: Is changed.
        like: The other.
        suffix: Put behind its name.
        scale: Of int8 values; None for float32.

    Returns:
        Its index.
    """
    from ai_edge_litert import schema_py_generated as schema

    raw = copy(graph.tensors[like])
    raw.name, raw.buffer, raw.quantization = raw.name + suffix, 0, None
    raw.type = _FLOAT32 if scale is None else _INT8
    if scale is not None:
        raw.quantization = schema.QuantizationParametersT()
        raw.quantization.scale = np.asarray([scale.step], np.float32)
        raw.quantization.zeroPoint = np.asarray([scale.zero], np.int64)
    graph.tensors.append(raw)
    return len(graph.tensors) - 1


def edge_operator(
    graph: Graph, name: Literal["QUANTIZE", "DEQUANTIZE"], source: int, target: int
) -> Any:
    """An operator between float32 and int8, in TFLite's own object; its code is added to the graph.

    Args:
        graph: Gets the code where it lacks it.
        name: Which way.
        source: Tensor that is read.
        target: Tensor that is made.
    """
    from ai_edge_litert import schema_py_generated as schema

    made = schema.OperatorT()
    number = getattr(schema.BuiltinOperator, name)
    made.opcodeIndex = operator_code(graph.model, number, _VERSIONS[name])
    made.inputs, made.outputs = [source], [target]
    return made

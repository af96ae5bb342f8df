"""Divisors of integer models that are never zero.

TFLite's integer DIV ends the whole call where a divisor is zero. The grid of a divisor that is
never negative starts at zero, so one that is small beside the largest, such as the norm of a
channel that a picture leaves dark, rounds to it: a file that ran on every calibration picture then
fails on the next one. A MAXIMUM in front keeps divisors one step away.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.tflite.graph import add_constant, like, new_operator, operator_names, packed, parsed

_LOWEST = -128
_MAXIMUM_OF_INT8 = 2
"""Version of the operator."""


def with_divisors_above_zero(model: bytes) -> bytes:
    """Keep the int8 divisors of a model away from zero.

    Args:
        model: A TFLite file.

    Returns:
        The file with a MAXIMUM in front of every int8 divisor whose grid starts at zero; the very
        same bytes where there is none. Divisors of both signs stay as they are.
    """
    found = parsed(model)
    graph = found.subgraphs[0]
    operators: list[Any] = []
    changed = False
    for operator, name in zip(graph.operators, operator_names(found), strict=True):
        if name == "DIV" and _starts_at_zero(found, int(operator.inputs[1])):
            operators.append(_one_step_up(found, operator))
            changed = True
        operators.append(operator)
    if not changed:
        return model
    graph.operators = operators
    return packed(found, len(model))


def _starts_at_zero(found: Any, index: int) -> bool:
    """Whether a tensor's values are made while the model runs, in int8 from zero up."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = found.subgraphs[0].tensors[index]
    held = found.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.INT8 or (held is not None and len(held) > 0):
        return False
    return [int(point) for point in tensor.quantization.zeroPoint] == [_LOWEST]


def _one_step_up(found: Any, division: Any) -> Any:
    """Give a division a divisor of at least one step; the operator that makes it."""
    from ai_edge_litert import schema_py_generated as schema

    graph, divisor = found.subgraphs[0], int(division.inputs[1])
    lowest = add_constant(found, "one_step", np.array([_LOWEST + 1], np.int8))
    graph.tensors[lowest].quantization = graph.tensors[divisor].quantization
    bounded = like(graph, divisor, "above_zero")
    division.inputs = [int(division.inputs[0]), bounded]
    return new_operator(
        found,
        "MAXIMUM",
        [divisor, lowest],
        bounded,
        schema.MaximumMinimumOptionsT(),
        version=_MAXIMUM_OF_INT8,
    )

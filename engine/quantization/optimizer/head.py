"""The classifier head: float32 logits, or int8 logits whose range has a margin.

With float32 edges the DEQUANTIZE of the logits moves in front of the last FULLY_CONNECTED, whose
hybrid kernel rounds its input row by row and gives float32: the same operators, and no grid of 256
steps under the logits. With integer edges the logits need a range, and one that pictures beyond
the calibration do not leave.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from engine.core.types import FloatArray
from engine.quantization.optimizer.grid import scale_between
from engine.tflite.graph import Graph, Operator, Scale

MARGIN = 0.02
"""Of the range that the float logits have over calibration, at the upper end: an answer that is
clipped may tie with another, while a class that is out of question may be clipped."""
_HYBRID_VERSION = 12
"""FULLY_CONNECTED with float32 activations and int8 weights of one scale a channel."""


def head_of(graph: Graph) -> Operator | None:
    """The FULLY_CONNECTED whose dequantized output is the model's; None where there is none."""
    (output,) = graph.outputs
    last = graph.producer.get(output)
    if last is None or last.name != "DEQUANTIZE":
        return None
    head = graph.producer.get(last.inputs[0])
    if head is None or head.name != "FULLY_CONNECTED" or head.activation:
        return None
    return head if graph.consumers(head.output) == [last] else None


def range_with_margin(logits: FloatArray) -> Scale:
    """The scale of int8 logits.

    Args:
        logits: Of the float model over calibration.
    """
    low, high = float(logits.min()), float(logits.max())
    return scale_between(low, high + MARGIN * (high - low))


def with_float_output(model: bytes, bias: FloatArray) -> bytes:
    """Move the last DEQUANTIZE in front of the last FULLY_CONNECTED.

    Args:
        model: A model that has a head in the sense of `head_of`.
        bias: Of the head, in real units.

    Returns:
        The changed file.

    Raises:
        ValueError: There is no such head.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = Graph(model)
    head = head_of(graph)
    if head is None:
        raise ValueError("the model does not end in FULLY_CONNECTED and DEQUANTIZE")
    edge = graph.producer[graph.outputs[0]]
    source, logits = head.inputs[0], graph.outputs[0]
    inner = _floating(graph, head.output)
    # The tensor of the integer logits becomes that of the dequantized features.
    inner.shape, inner.shapeSignature = graph.tensors[source].shape, None
    inner.name = graph.tensors[source].name + b"_dequantized"
    edge.raw.inputs, edge.raw.outputs = [source], [head.output]
    wired = [int(i) for i in head.raw.inputs]
    wired[0] = head.output
    head.raw.inputs, head.raw.outputs = wired, [logits]
    head.raw.builtinOptions.asymmetricQuantizeInputs = True
    if len(head.inputs) > 2:
        _floating(graph, head.inputs[2])
        graph.set_constant(head.inputs[2], bias)
    code = copy(graph.model.operatorCodes[head.raw.opcodeIndex])
    code.version = max(int(code.version), _HYBRID_VERSION)
    assert code.builtinCode == schema.BuiltinOperator.FULLY_CONNECTED
    graph.model.operatorCodes.append(code)
    head.raw.opcodeIndex = len(graph.model.operatorCodes) - 1
    graph.raw.operators[edge.index], graph.raw.operators[head.index] = head.raw, edge.raw
    if edge.index < head.index:  # pragma: no cover - a file lists operators as they run
        raise ValueError("the operators are not in the order they run in")
    return graph.pack()


def _floating(graph: Graph, tensor: int) -> Any:
    raw = graph.tensors[tensor]
    raw.type, raw.quantization = 0, None
    return raw

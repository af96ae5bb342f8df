"""Tidy an ONNX graph before it is lowered."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from engine.converters.onnx_patterns import fuse
from engine.converters.onnxslim_import import import_onnxslim
from engine.converters.softmax_masks import bound_softmax_masks

if TYPE_CHECKING:
    import onnx


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants with onnxslim, and merge groups of operators that stand for one.

    torch writes a zero padding as a chain of seventeen operators on constants; folded, it becomes a
    part of the convolution behind it. The hop ladder checks the result: the SavedModel made from it
    is compared with the ONNX file as it was.

    Args:
        model: The graph; not changed.

    Returns:
        A tidier graph; where that fails, which the log then shows, the graph as it was.
    """
    import onnx_ir

    try:
        graph = onnx_ir.from_proto(_folded(_copy(model)))
        fuse(graph)
        bound_softmax_masks(graph)
        tidy: onnx.ModelProto = onnx_ir.to_proto(graph)
    except Exception:  # they pass on whatever a graph provokes, and are no must
        traceback.print_exc()
        return model
    return tidy


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold until it brings nothing more: onnxslim gives up in the middle of a deep Swin.

    Inputs are of fixed size, so a graph that still asks for a shape has constants left to fold.
    """
    onnxslim: Any = import_onnxslim()
    while True:
        slim: onnx.ModelProto = onnxslim.slim(model)
        asks = any(node.op_type == "Shape" for node in slim.graph.node)
        if not asks or len(slim.graph.node) >= len(model.graph.node):
            return slim
        model = slim


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy

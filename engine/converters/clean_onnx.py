"""Tidy an ONNX graph before it is lowered."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from engine.converters.onnx_patterns import fuse

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
    import onnxslim

    try:
        slim: onnx.ModelProto = onnxslim.slim(_copy(model))
        graph = onnx_ir.from_proto(slim)
        fuse(graph)
        tidy: onnx.ModelProto = onnx_ir.to_proto(graph)
    except Exception:  # they pass on whatever a graph provokes, and are no must
        traceback.print_exc()
        return model
    return tidy


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy

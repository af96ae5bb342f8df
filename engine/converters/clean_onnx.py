"""Tidy an ONNX graph before it is lowered."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants and merge operators with onnxslim.

    torch writes a zero padding as a chain of seventeen operators on constants; folded, it becomes a
    part of the convolution behind it. The hop ladder checks the result: the SavedModel made from it
    is compared with the ONNX file as it was.

    Args:
        model: The graph; not changed.

    Returns:
        A tidier graph; where onnxslim fails, which the log then shows, the graph as it was.
    """
    import onnxslim

    try:
        slim: onnx.ModelProto = onnxslim.slim(_copy(model))
    except Exception:  # onnxslim passes on whatever a graph provokes, and is no must
        traceback.print_exc()
        return model
    return slim


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy

"""Tidy an ONNX graph before it is lowered."""

from __future__ import annotations

import traceback
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.conversion.onnx_patterns import fuse
from engine.conversion.softmax_masks import bound_softmax_masks

if TYPE_CHECKING:
    import onnx

# Share of the largest answer; orders of summing differ by less.
_TOLERANCE = 1e-3


def cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants with onnxslim, and merge groups of operators that stand for one.

    torch writes a zero padding as a chain of seventeen operators on constants; folded, it becomes a
    part of the convolution behind it. ONNX Runtime answers for one picture before and after; the
    hop ladder checks the rest: the SavedModel is compared with the ONNX file as it was.

    Args:
        model: The graph; not changed.

    Returns:
        A tidier graph; where that fails or changes the answers, which the log then shows, the graph
        as it was.
    """
    import onnx_ir

    try:
        graph = onnx_ir.from_proto(_folded(_copy(model)))
        bound_softmax_masks(graph)
        if not _answers_alike(onnx_ir.to_proto(graph), model):
            print("Folding constants changed the answers; the graph is lowered as it was.")
            return model
        fuse(graph)
        tidy: onnx.ModelProto = onnx_ir.to_proto(graph)
    except Exception:  # they pass on whatever a graph provokes, and are no must
        traceback.print_exc()
        return model
    return tidy


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold until it brings nothing more: onnxslim gives up in the middle of a deep Swin.

    Inputs are of fixed size, so a graph that still asks for a shape has constants left to fold.
    onnxslim infers wrong shapes behind a Resize that names its axes: onnx's take their place.
    """
    import onnx

    onnxslim: Any = import_onnxslim()
    while True:
        slim: onnx.ModelProto = onnxslim.slim(model)
        asks = any(node.op_type == "Shape" for node in slim.graph.node)
        if not asks or len(slim.graph.node) >= len(model.graph.node):
            break
        model = slim
    del slim.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(slim)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _answers_alike(first: onnx.ModelProto, second: onnx.ModelProto) -> bool:
    """Whether two graphs give the same answers to one random picture."""
    answer, expected = (_answer(model) for model in (first, second))
    tolerance = _TOLERANCE * float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    return answer.shape == expected.shape and np.allclose(
        answer, expected, rtol=0, atol=tolerance, equal_nan=True
    )


def _answer(model: onnx.ModelProto) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are about names that no person gave
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (picture,) = session.get_inputs()
    values = np.random.default_rng(0).normal(size=picture.shape).astype(np.float32)
    output = session.get_outputs()[0].name
    return np.asarray(session.run([output], {picture.name: values})[0], np.float64)


@cache
def import_onnxslim() -> ModuleType:
    """Import onnxslim and put the mended inference in the place of its own.

    Returns:
        The module ``onnxslim``.
    """
    import onnxslim
    from onnxslim.core.shape_inference.registry import SHAPE_HANDLERS
    from onnxslim.core.shape_inference.standard_ops.tensor.slice import SliceHandler

    class SliceOfLists(SliceHandler):  # type: ignore[misc]  # onnxslim has no types
        def infer_shape(self, node: Any, ctx: Any) -> None:
            super().infer_shape(node, ctx)
            shape = ctx.try_get_shape(node, 0)
            if shape is None or len(shape) != 1:
                ctx.sympy_data_.pop(node.output[0], None)

    SHAPE_HANDLERS["Slice"] = SliceOfLists()
    module: ModuleType = onnxslim
    return module

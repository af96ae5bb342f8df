"""Import onnxslim with one of its inferences mended.

onnxslim follows the values of small tensors, such as shapes, and keeps those of more than one
dimension as flat lists. Its Slice cuts the flat list as if it were the tensor. torch writes the
amounts of a padding as pairs, turns their order round with a slice and transposes them; where they
depend on the size of an activation, onnxslim then stored them in another order, and the graph
padded another side. Here the value of such a slice counts as unknown, and constant folding, which
runs the operators themselves, finds it.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any


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

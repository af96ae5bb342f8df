"""Add, Sub, Mul and Div of pictures, and Concat of channels.

The stock handlers compute in NCHW. The TFLite converter moves turns through an operator whose
inputs are of one shape, but not through the product of a picture with one value a channel
(squeeze-and-excitation), nor through a concatenation. Ours compute in NHWC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.converters.lowering.layout import is_picture, to_nchw, to_nhwc


def _binary(name: str) -> Callable[[Any, dict[str, Any]], Any]:
    def lower(node: Any, tensors: dict[str, Any]) -> Any:
        import tensorflow as tf

        one, other = (tensors[name] for name in node.inputs)
        if not (is_picture(one) and is_picture(other)):
            return None
        return to_nchw(getattr(tf, name)(to_nhwc(one), to_nhwc(other)))

    return lower


def concat(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a concatenation of the channels of pictures."""
    import tensorflow as tf

    parts = [tensors[name] for name in node.inputs]
    if node.attrs.get("axis") not in {1, -3} or not all(map(is_picture, parts)):
        return None
    return to_nchw(tf.concat([to_nhwc(part) for part in parts], 3))


LOWERINGS = {
    "Add": _binary("add"),
    "Sub": _binary("subtract"),
    "Mul": _binary("multiply"),
    "Div": _binary("divide"),
    "Concat": concat,
}

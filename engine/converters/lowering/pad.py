"""Pad.

The stock handler passes the padding value on as a tensor, even where it is the constant 0. That
becomes TFLite's PADV2, whose value keeps its float type when activations are quantized to int16,
and the interpreter then refuses the file. Ours drops a constant 0, which becomes PAD.
"""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Register the handler with onnx-tf, once."""
    import tensorflow as tf
    from onnx_tf.handlers.backend.pad import Pad as StockPad
    from onnx_tf.handlers.backend_handler import BackendHandler
    from onnx_tf.handlers.handler import onnx_op, tf_func

    if any(handler.__module__ == __name__ for handler in BackendHandler.__subclasses__()):
        return

    @onnx_op("Pad")
    @tf_func(tf.pad)
    class Pad(StockPad, BackendHandler):  # type: ignore[misc]  # onnx-tf has no types
        @classmethod
        def _common(cls, node: Any, **kwargs: Any) -> Any:
            if len(node.inputs) == 3:
                value = tf.get_static_value(kwargs["tensor_dict"][node.inputs[2]])
                if value is not None and value == 0:
                    node.inputs = node.inputs[:2]
            return super()._common(node, **kwargs)

    del Pad  # onnx-tf finds it among the subclasses of BackendHandler

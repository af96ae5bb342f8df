"""Pad.

The stock handler passes the padding value on as a tensor, even where it is the constant 0. That
becomes TFLite's PADV2, whose value keeps its float type when activations are quantized to int16,
and the interpreter then refuses the file. Ours drops a constant 0, which becomes PAD, and pads
pictures in NHWC, where it can be fused into a convolution.
"""

from __future__ import annotations

from typing import Any

from engine.converters.lowering.layout import constant, is_picture, padded, to_nchw, to_nhwc


def pad(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a padding whose lengths are known and not negative, with a constant value."""
    import tensorflow as tf

    x = tensors[node.inputs[0]]
    flat, value = _pads(node, tensors), _value(node, tensors)
    if flat is None or value is None or min(flat) < 0 or len(flat) != 2 * (x.shape.rank or 0):
        return repaired_pad(node, tensors)
    pairs = [[flat[axis], flat[axis + x.shape.rank]] for axis in range(x.shape.rank)]
    if is_picture(x) and value == 0 and not any(map(any, pairs[:2])):
        return to_nchw(padded(to_nhwc(x), pairs[2:]))
    return tf.pad(x, pairs, constant_values=value)


def repaired_pad(node: Any, tensors: dict[str, Any]) -> Any:
    """Leave the work to the stock handler, without a padding value that is 0 anyway."""
    if len(node.inputs) >= 3 and _value(node, tensors) == 0:
        node.inputs = node.inputs[:2]


def _pads(node: Any, tensors: dict[str, Any]) -> list[int] | None:
    if "pads" in node.attrs:
        return [int(size) for size in node.attrs["pads"]]
    value = constant(tensors[node.inputs[1]]) if len(node.inputs) > 1 else None
    return None if value is None else [int(size) for size in value]


def _value(node: Any, tensors: dict[str, Any]) -> float | None:
    """What is padded with; None for other modes and for values known only at run time."""
    mode = node.attrs.get("mode", "constant")
    if (mode.decode() if isinstance(mode, bytes) else mode) != "constant":
        return None
    if len(node.inputs) >= 3 and node.inputs[2]:
        value = constant(tensors[node.inputs[2]])
        return None if value is None else float(value.reshape(-1)[0])
    return float(node.attrs.get("value", 0.0))


LOWERINGS = {"Pad": pad}

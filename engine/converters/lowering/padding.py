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
    """Lower a constant zero padding of rows and columns."""
    x = tensors[node.inputs[0]]
    flat = _pads(node, tensors)
    if flat is None or not _pads_with_zero(node, tensors) or not is_picture(x):
        return repaired_pad(node, tensors)
    if len(flat) != 8 or min(flat) < 0 or any(flat[axis] for axis in (0, 1, 4, 5)):
        return repaired_pad(node, tensors)
    return to_nchw(padded(to_nhwc(x), [[flat[2], flat[6]], [flat[3], flat[7]]]))


def repaired_pad(node: Any, tensors: dict[str, Any]) -> Any:
    """Leave the work to the stock handler, without a padding value that is 0 anyway."""
    if len(node.inputs) >= 3 and _pads_with_zero(node, tensors):
        node.inputs = node.inputs[:2]


def _pads(node: Any, tensors: dict[str, Any]) -> list[int] | None:
    if "pads" in node.attrs:
        return [int(size) for size in node.attrs["pads"]]
    value = constant(tensors[node.inputs[1]]) if len(node.inputs) > 1 else None
    return None if value is None else [int(size) for size in value]


def _pads_with_zero(node: Any, tensors: dict[str, Any]) -> bool:
    mode = node.attrs.get("mode", "constant")
    if (mode.decode() if isinstance(mode, bytes) else mode) != "constant":
        return False
    if len(node.inputs) >= 3 and node.inputs[2]:
        value = constant(tensors[node.inputs[2]])
        return value is not None and bool(value == 0)
    return float(node.attrs.get("value", 0.0)) == 0


LOWERINGS = {"Pad": pad}

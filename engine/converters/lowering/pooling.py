"""MaxPool, AveragePool, GlobalAveragePool and the mean over rows and columns.

The stock MaxPool pads with the lowest float. Calibration then sees that as the range of the tensor,
its scale becomes infinite, and the interpreter refuses every integer variant of, say, ResNet-18.
Ours pads with values that cannot win: 0 behind a ReLU, else the picture's own edge, mirrored. The
stock average pools and means compute in NCHW, which keeps turns from cancelling; ours work in NHWC.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.converters.lowering.layout import (
    constant,
    is_picture,
    is_same,
    padded,
    pads_of,
    to_nchw,
    to_nhwc,
)

_NEVER_NEGATIVE = {"Relu", "Relu6", "Sigmoid", "Softmax", "MaxPool"}
_SPATIAL = {2, 3}


def _windows(node: Any, sizes: list[int]) -> tuple[list[int], list[int], list[list[int]]] | None:
    """Kernel, strides, and padding with what ``ceil_mode`` adds; None for what is left alone."""
    window = list(node.attrs["kernel_shape"])
    strides = list(node.attrs.get("strides", [1] * len(window)))
    pads = pads_of(node.attrs, sizes, window)
    if len(window) != 2 or any(d != 1 for d in node.attrs.get("dilations", [1])):
        return None
    if min(map(min, pads)) < 0:
        return None
    if node.attrs.get("ceil_mode", 0):
        for axis, (size, k, s) in enumerate(zip(sizes, window, strides, strict=True)):
            before, after = pads[axis]
            steps = -(-(size + before + after - k) // s)
            # A window that starts in the padding behind the picture does not count.
            steps -= steps * s >= size + before
            pads[axis] = [before, max(after, steps * s + k - size - before)]
    return window, strides, pads


def max_pool(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a two-dimensional maximum without indices."""
    import tensorflow as tf

    x = tensors[node.inputs[0]]
    if len(node.outputs) > 1 or not is_picture(x):
        return None
    found = _windows(node, x.shape.as_list()[2:])
    if found is None:
        return None
    window, strides, pads = found
    y, mode = to_nhwc(x), "VALID"
    sizes = y.shape.as_list()[1:3]
    if is_same(pads, sizes, window, strides):
        mode = "SAME"  # TensorFlow leaves the padding out of the maximum
    elif any(map(any, pads)):
        if _never_negative(x):
            y = padded(y, pads)
        elif all(max(pair) <= k - max(pair) for pair, k in zip(pads, window, strict=True)):
            # Every window that reaches into the mirror also covers what is mirrored there.
            y = tf.pad(y, [[0, 0], *pads, [0, 0]], "SYMMETRIC")
        else:
            return None
    return to_nchw(tf.nn.max_pool2d(y, window, strides, mode))


def _never_negative(x: Any) -> bool:
    operation = x.op
    while operation.type in {"Transpose", "Reshape", "Identity"}:
        operation = operation.inputs[0].op
    return operation.type in _NEVER_NEGATIVE


def average_pool(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a two-dimensional average, with or without the padding counted."""
    import tensorflow as tf

    x = tensors[node.inputs[0]]
    if not is_picture(x):
        return None
    sizes = x.shape.as_list()[2:]
    found = _windows(node, sizes)
    if found is None:
        return None
    window, strides, pads = found
    y = to_nhwc(x)
    counted = bool(node.attrs.get("count_include_pad", 0))
    if not counted and is_same(pads, sizes, window, strides):
        return to_nchw(tf.nn.avg_pool2d(y, window, strides, "SAME"))
    y = tf.nn.avg_pool2d(padded(y, pads), window, strides, "VALID")
    declared = pads_of(node.attrs, sizes, window)
    rows, columns = (
        _counts(size, k, s, pair[0], pair[1] if counted else 0, counted)
        for size, k, s, pair in zip(sizes, window, strides, declared, strict=True)
    )
    rows, columns = rows[: y.shape[1]], columns[: y.shape[2]]
    share = window[0] * window[1] / np.outer(rows, columns)
    if not np.allclose(share, 1):
        y = y * share[None, :, :, None].astype(np.float32)
    return to_nchw(y)


def _counts(
    size: int, window: int, stride: int, before: int, after: int, counted: bool
) -> np.ndarray:
    """Pixels that each window along one dimension averages over."""
    starts = np.arange(0, size + before, stride) - before
    low = starts if counted else np.maximum(starts, 0)
    return np.minimum(starts + window, size + after) - low


def global_average_pool(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a mean over all rows and columns."""
    import tensorflow as tf

    x = tensors[node.inputs[0]]
    if not is_picture(x):
        return None
    return to_nchw(tf.reduce_mean(to_nhwc(x), [1, 2], keepdims=True))


def reduce_mean(node: Any, tensors: dict[str, Any]) -> Any:
    """Lower a mean over just rows and columns."""
    import tensorflow as tf

    x = tensors[node.inputs[0]]
    axes = node.attrs.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = constant(tensors[node.inputs[1]])
    if axes is None or not is_picture(x) or {int(axis) % 4 for axis in axes} != _SPATIAL:
        return None
    mean = tf.reduce_mean(to_nhwc(x), [1, 2], keepdims=bool(node.attrs.get("keepdims", 1)))
    return to_nchw(mean) if mean.shape.rank == 4 else mean


LOWERINGS = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "ReduceMean": reduce_mean,
}

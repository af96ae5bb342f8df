"""MaxPool and AveragePool, over one to three dimensions.

The stock MaxPool pads with the lowest float. Calibration then sees that as the range of the tensor,
its scale becomes infinite, and the interpreter refuses every integer variant of, say, ResNet-18.
Ours pads with values that cannot win: 0 behind a ReLU, else the picture's own edge, repeated. The
stock average pools compute in NCHW, which keeps turns from cancelling; ours work in NHWC. A dilated
maximum is one of strided slices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.converters.lowering.layout import (
    constant,
    is_picture,
    is_static,
    operation,
    to_nchw,
    to_nhwc,
)
from engine.converters.lowering.node import Lowering, Node
from engine.converters.lowering.padding import LOSES
from engine.converters.lowering.windows import (
    Pads,
    is_same,
    over_one_dimension,
    over_three_dimensions,
    padded,
    pads_of,
    reach,
)

_NEVER_NEGATIVE = {"Relu", "Relu6", "Sigmoid", "Softmax"}
_PASSES_ON = {"Transpose", "Reshape", "Identity", "StridedSlice", "MaxPool"}


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of a pool; the padding includes what ``ceil_mode`` adds."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: Pads

    @property
    def spans(self) -> list[int]:
        return [reach(k, d) for k, d in zip(self.kernel, self.dilations, strict=True)]

    @property
    def dilated(self) -> bool:
        return any(dilation != 1 for dilation in self.dilations)


def _windows(node: Node, sizes: list[int]) -> _Windows:
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides", [1] * len(kernel)))
    dilations = list(node.attributes.get("dilations", [1] * len(kernel)))
    pads = pads_of(node.attributes, sizes, kernel)
    found = _Windows(kernel, strides, dilations, pads)
    if node.attributes.get("ceil_mode", 0):
        for axis, (size, span, s) in enumerate(zip(sizes, found.spans, strides, strict=True)):
            before, after = pads[axis]
            steps = -(-(size + before + after - span) // s)
            # A window that starts in the padding behind the picture does not count.
            steps -= steps * s >= size + before
            pads[axis] = [before, max(after, steps * s + span - size - before)]
    return found


def max_pool(node: Node) -> list[Any] | None:
    """Lower a maximum over one to three dimensions, without indices."""
    import tensorflow as tf

    x = node.inputs[0]
    if node.read > 1 or not is_static(x):
        return None
    if x.shape.rank == 3:
        return over_one_dimension(node, max_pool)
    if x.shape.rank == 5:
        return over_three_dimensions(node, max_pool)
    if not is_picture(x):
        return None
    y, margins = _without_lowest_padding(to_nhwc(x))
    sizes = y.shape.as_list()[1:3]
    windows = _windows(node, x.shape.as_list()[2:])
    pads, mode = (
        [np.add(*pairs).tolist() for pairs in zip(windows.pads, margins, strict=True)],
        "VALID",
    )
    if min(map(min, pads)) < 0:
        return None
    if is_same(pads, sizes, windows.kernel, windows.strides) and not windows.dilated:
        mode = "SAME"  # TensorFlow leaves the padding out of the maximum
    elif any(map(any, pads)):
        if _never_negative(y):
            y = padded(y, pads)
        elif windows.dilated:
            return None
        else:
            y = _extended(y, pads)
    if windows.dilated:
        return [to_nchw(_over_taps(y, windows, tf.maximum))]
    return [to_nchw(tf.nn.max_pool2d(y, windows.kernel, windows.strides, mode))]


def _without_lowest_padding(y: Any) -> tuple[Any, Pads]:
    """Take off a padding that no maximum shows, as timm writes TensorFlow's SAME before a pool."""
    made_by = operation(y)
    if made_by is not None and made_by.type == "PadV2":
        pads, value = constant(made_by.inputs[1]), constant(made_by.inputs[2])
        if pads is not None and value is not None and value <= -LOSES and not pads[[0, 3]].any():
            return made_by.inputs[0], pads[1:3].tolist()
    return y, [[0, 0], [0, 0]]


def _extended(y: Any, pads: Pads) -> Any:
    """Repeat the edges: a window that reaches over an edge also covers the pixel at it."""
    import tensorflow as tf

    left = [list(pair) for pair in pads]
    while any(map(any, left)):
        step = [[min(1, length) for length in pair] for pair in left]
        y = tf.pad(y, [[0, 0], *step, [0, 0]], "SYMMETRIC")
        left = [[length - min(1, length) for length in pair] for pair in left]
    return y


def _over_taps(y: Any, windows: _Windows, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine the taps of dilated windows, each a strided slice."""
    counts = [
        (size - span) // stride + 1
        for size, span, stride in zip(y.shape[1:3], windows.spans, windows.strides, strict=True)
    ]
    found = None
    for row, column in np.ndindex(*windows.kernel):
        starts = (row * windows.dilations[0], column * windows.dilations[1])
        rows, columns = (
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, counts, windows.strides, strict=True)
        )
        tap = y[:, rows, columns, :]
        found = tap if found is None else combine(found, tap)
    return found


def _never_negative(x: Any) -> bool:
    made_by = operation(x)
    while made_by is not None and made_by.type in _PASSES_ON:
        made_by = operation(made_by.inputs[0])
    return made_by is not None and made_by.type in _NEVER_NEGATIVE


def average_pool(node: Node) -> list[Any] | None:
    """Lower an average over one to three dimensions, with or without the padding counted."""
    import tensorflow as tf

    x = node.inputs[0]
    if is_static(x) and x.shape.rank == 3:
        return over_one_dimension(node, average_pool)
    if is_static(x) and x.shape.rank == 5:
        return over_three_dimensions(node, average_pool)
    if not is_picture(x):
        return None
    y = to_nhwc(x)
    sizes = y.shape.as_list()[1:3]
    windows = _windows(node, sizes)
    kernel, strides, pads = windows.kernel, windows.strides, windows.pads
    if min(map(min, pads)) < 0:
        return None
    counted = bool(node.attributes.get("count_include_pad", 0))
    if not counted and not windows.dilated and is_same(pads, sizes, kernel, strides):
        return [to_nchw(tf.nn.avg_pool2d(y, kernel, strides, "SAME"))]
    if windows.dilated:
        y = _over_taps(padded(y, pads), windows, tf.add) * np.float32(1 / np.prod(kernel))
    else:
        y = tf.nn.avg_pool2d(padded(y, pads), kernel, strides, "VALID")
    declared = pads_of(node.attributes, sizes, kernel)
    rows, columns = (
        _counts(
            sizes[axis], windows, axis, declared[axis] if counted else [0, 0], y.shape[axis + 1]
        )
        for axis in (0, 1)
    )
    share = np.prod(kernel) / np.outer(rows, columns)
    if not np.allclose(share, 1):
        y = y * share[None, :, :, None].astype(np.float32)
    return [to_nchw(y)]


def _counts(
    size: int, windows: _Windows, axis: int, counted: list[int], outputs: int
) -> np.ndarray:
    """Taps along one dimension that each window averages over, padding included where counted."""
    starts = np.arange(outputs) * windows.strides[axis] - windows.pads[axis][0]
    taps = starts[:, None] + np.arange(windows.kernel[axis]) * windows.dilations[axis]
    inside = (taps >= -counted[0]) & (taps < size + counted[1])
    return np.asarray(inside.sum(1))


LOWERINGS: dict[str, Lowering] = {"MaxPool": max_pool, "AveragePool": average_pool}

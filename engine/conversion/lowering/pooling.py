"""MaxPool, MaxUnpool, AveragePool and LpPool, over one to three dimensions.

The stock MaxPool pads with the lowest float. Calibration then sees that as the range of the tensor,
its scale becomes infinite, and the interpreter refuses every integer variant of, say, ResNet-18.
Ours pads with values that cannot win: 0 behind a ReLU, else elements that the same windows cover.
The stock average pools compute in NCHW, which keeps turns from cancelling; ours work in NHWC. A
dilated maximum is one of strided slices, and so are the places of maxima, which TFLite has no
kernel for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.conversion.lowering.indexing import put_rows
from engine.conversion.lowering.layout import (
    constant,
    integers,
    inverse,
    is_picture,
    is_static,
    operation,
    permute,
    to_nchw,
    to_nhwc,
    unknown,
    view,
)
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.reduction import raise_to, root_of
from engine.conversion.lowering.windows import (
    LOSES,
    Pads,
    is_same,
    over_one_dimension,
    over_three_dimensions,
    pad_pixels,
    pads_of,
    pick,
    reach,
    taps_of,
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
    def is_dilated(self) -> bool:
        return any(dilation != 1 for dilation in self.dilations)

    def taps(self, y: Any) -> Iterator[Any]:
        """Yield the elements of the windows of a tensor, tap by tap."""
        return taps_of(y, self.kernel, self.strides, self.dilations)

    def fit(self, sizes: Sequence[int]) -> bool:
        """Tell whether no padding cuts, and each window has an element for each tap in it."""
        return min(map(min, self.pads)) >= 0 and all(
            dilation <= size or not any(pair)
            for dilation, size, pair in zip(self.dilations, sizes, self.pads, strict=True)
        )


def _windows(node: Node, sizes: list[int]) -> _Windows:
    kernel = list(node.attributes["kernel_shape"])
    strides = list(node.attributes.get("strides", [1] * len(kernel)))
    dilations = list(node.attributes.get("dilations", [1] * len(kernel)))
    pads = pads_of(node.attributes, sizes, kernel)
    windows = _Windows(kernel, strides, dilations, pads)
    if node.attributes.get("ceil_mode", 0):
        for axis, (size, span, s) in enumerate(zip(sizes, windows.spans, strides, strict=True)):
            before, after = pads[axis]
            steps = -(-(size + before + after - span) // s)
            # A window that starts in the padding behind the picture does not count.
            steps -= steps * s >= size + before
            pads[axis] = [before, max(after, steps * s + span - size - before)]
    return windows


def max_pool(node: Node) -> list[Any] | None:
    """Lower a maximum over one to three dimensions, and where it was."""
    import tensorflow as tf

    if not is_static(node.inputs[0]):
        return None
    if node.read > 1:
        return _max_pool_with_places(node)
    node = _without_lowest_padding(node)
    x = node.inputs[0]
    if not is_picture(x):
        return _over_other_ranks(node, max_pool)
    y = to_nhwc(x)
    sizes = y.shape.as_list()[1:3]
    windows, mode = _windows(node, sizes), "VALID"
    if not windows.fit(sizes):
        return None
    if is_same(windows.pads, sizes, windows.kernel, windows.strides) and not windows.is_dilated:
        mode = "SAME"  # TensorFlow leaves the padding out of the maximum
    elif _never_negative(y):
        y = pad_pixels(y, windows.pads)
    else:
        y = pick(y, _extension(sizes, windows))
    y, windows = _thin(y, windows)
    if windows.is_dilated:
        # A maximum over a box is one over its rows of those over its columns.
        for axis in (0, 1):
            taps = (
                [numbers[a] if a == axis else 1 for a in (0, 1)]
                for numbers in (windows.kernel, windows.strides, windows.dilations)
            )
            y = functools.reduce(tf.maximum, taps_of(y, *taps))
        return [to_nchw(y)]
    return [to_nchw(tf.nn.max_pool2d(y, windows.kernel, windows.strides, mode))]


def _thin(y: Any, windows: _Windows) -> tuple[Any, _Windows]:
    """Leave out rows and columns of a padded NHWC tensor that no window has an element of.

    Where strides and dilations share a factor, elements lie at multiples of it alone.
    """
    steps = [math.gcd(*pair) for pair in zip(windows.strides, windows.dilations, strict=True)]
    if set(steps) == {1}:
        return y, windows
    strides, dilations = (
        [number // step for number, step in zip(numbers, steps, strict=True)]
        for numbers in (windows.strides, windows.dilations)
    )
    thin = y[:, :: steps[0], :: steps[1], :]
    return thin, replace(windows, strides=strides, dilations=dilations)


def _over_other_ranks(node: Node, lower: Lowering) -> list[Any] | None:
    """Lower windows over one or three dimensions by those over two."""
    x = node.inputs[0]
    by_rank = {3: over_one_dimension, 5: over_three_dimensions}
    over = by_rank.get(x.shape.rank) if is_static(x) else None
    return None if over is None else over(node, lower)


def _max_pool_with_places(node: Node) -> list[Any] | None:
    """Lower a maximum and its place in the whole tensor, the first of equals as ONNX Runtime."""
    import tensorflow as tf

    x = node.inputs[0]
    batch, channels, *sizes = x.shape.as_list()
    windows = _windows(node, sizes)
    if not windows.fit(sizes):
        return None
    columns_first = bool(node.attributes.get("storage_order", 0))
    numbers = np.arange(math.prod(sizes), dtype=np.int32)
    numbers = numbers.reshape(sizes, order="F" if columns_first else "C")[None, ..., None]
    extension = _extension(sizes, windows)
    for axis, places in extension.items():
        numbers = numbers.take(places, axis)
    order = (0, *range(2, x.shape.rank), 1)
    elements = pick(permute(x, order), extension)
    (most, best), *rest = zip(windows.taps(elements), windows.taps(numbers), strict=True)
    for tap, number in rest:
        best, most = tf.where(tap > most, number, best), tf.maximum(tap, most)
    start = np.arange(batch * channels, dtype=np.int32) * math.prod(sizes)
    best = best + start.reshape(batch, *[1] * len(sizes), channels)
    back = inverse(order)
    return [permute(most, back), permute(tf.cast(best, tf.int64), back)]


def _without_lowest_padding(node: Node) -> Node:
    """Take into the windows a padding that no maximum shows, as timm writes TensorFlow's SAME."""
    x = node.inputs[0]
    source, order = view(x)
    made_by = operation(source)
    if made_by is None or made_by.type != "PadV2":
        return node
    margins, value = constant(made_by.inputs[1]), constant(made_by.inputs[2])
    if margins is None or value is None or value > -LOSES or margins[list(order[:2])].any():
        return node
    windows = _windows(node, x.shape.as_list()[2:])
    pads = windows.pads + margins[list(order[2:])]
    if (pads.max(1) >= windows.spans).any():
        return node  # Some window is nothing but padding.
    attributes = node.attributes | {
        "pads": pads.T.reshape(-1).tolist(),
        "auto_pad": "NOTSET",
        "ceil_mode": 0,
    }
    whole = permute(made_by.inputs[0], order)
    return replace(node, inputs=(whole,), attributes=attributes)


def _extension(sizes: list[int], windows: _Windows) -> dict[int, np.ndarray]:
    """Choose elements to stand in the padding: any that the windows there cover anyway.

    Returns:
        For each axis of a tensor with channels last, the places to pick.
    """
    return {
        axis: np.concatenate(
            [np.arange(-before, 0) % d, np.arange(size), size - d + np.arange(after) % d]
        )
        for axis, (size, (before, after), d) in enumerate(
            zip(sizes, windows.pads, windows.dilations, strict=True), 1
        )
    }


def _never_negative(x: Any) -> bool:
    made_by = operation(x)
    while made_by is not None and made_by.type in _PASSES_ON:
        made_by = operation(made_by.inputs[0])
    return made_by is not None and made_by.type in _NEVER_NEGATIVE


def average_pool(node: Node) -> list[Any] | None:
    """Lower an average over one to three dimensions, with or without the padding counted."""
    import tensorflow as tf

    x = node.inputs[0]
    if not is_picture(x):
        return _over_other_ranks(node, average_pool)
    y = to_nhwc(x)
    sizes = y.shape.as_list()[1:3]
    windows = _windows(node, sizes)
    kernel, strides, pads = windows.kernel, windows.strides, windows.pads
    if min(map(min, pads)) < 0:
        return None
    counted = bool(node.attributes.get("count_include_pad", 0))
    if not counted and not windows.is_dilated and is_same(pads, sizes, kernel, strides):
        return [to_nchw(tf.nn.avg_pool2d(y, kernel, strides, "SAME"))]
    y = _average(y, windows)
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


def _average(y: Any, windows: _Windows) -> Any:
    """Average over rows and columns, zeros in the padding counted."""
    import tensorflow as tf

    y, windows = _thin(pad_pixels(y, windows.pads), windows)
    if windows.is_dilated:
        return functools.reduce(tf.add, windows.taps(y)) * np.float32(1 / np.prod(windows.kernel))
    return tf.nn.avg_pool2d(y, windows.kernel, windows.strides, "VALID")


def lp_pool(node: Node) -> list[Any] | None:
    """Lower a norm of the elements of windows over one to three dimensions."""
    x = node.inputs[0]
    if not is_picture(x):
        return _over_other_ranks(node, lp_pool)
    y, degree = to_nhwc(x), node.attributes.get("p", 2)
    windows = _windows(node, y.shape.as_list()[1:3])
    total = _average(raise_to(y, degree), windows) * np.float32(np.prod(windows.kernel))
    return [to_nchw(root_of(total, degree))]


def max_unpool(node: Node) -> list[Any] | None:
    """Lower maxima put back to where they were, among zeros."""
    import tensorflow as tf

    x, places = node.inputs[:2]
    if not is_static(x) or unknown(node, 2):
        return None
    kernel = list(node.attributes["kernel_shape"])
    strides = node.attributes.get("strides", [1] * len(kernel))
    pads = pads_of(node.attributes, x.shape[2:], kernel)
    # Places count in the shape that is asked for, as in PyTorch and ONNX Runtime; in ONNX's own
    # node case they count in the one that follows from the windows.
    sizes = integers(node.input(2)) or x.shape.as_list()[:2] + [
        (size - 1) * stride + k - sum(pair)
        for size, stride, k, pair in zip(x.shape[2:], strides, kernel, pads, strict=True)
    ]
    zeros = tf.zeros([math.prod(sizes)])
    y = put_rows(zeros, tf.reshape(places, [-1]), tf.reshape(x, [-1]))
    return [tf.reshape(y, sizes)]


def _counts(
    size: int, windows: _Windows, axis: int, counted: list[int], outputs: int
) -> np.ndarray:
    """Count the taps that each window averages over along one dimension, with counted padding."""
    starts = np.arange(outputs) * windows.strides[axis] - windows.pads[axis][0]
    taps = starts[:, None] + np.arange(windows.kernel[axis]) * windows.dilations[axis]
    inside = (taps >= -counted[0]) & (taps < size + counted[1])
    return np.asarray(inside.sum(1))


LOWERINGS: dict[str, Lowering] = {
    "MaxPool": max_pool,
    "MaxUnpool": max_unpool,
    "AveragePool": average_pool,
    "LpPool": lp_pool,
}

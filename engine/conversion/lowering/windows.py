"""Sliding windows: the padding and reach that convolutions and pools share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.conversion.lowering.layout import (
    constant,
    integers,
    is_static,
    permute,
    read_integers,
    reshape_tensor,
    view,
)
from engine.conversion.lowering.node import Lowering, Node

Pads = list[list[int]]
_NEUTRAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
_MOST_RUNS = 5
"""Inputs that XNNPACK's concatenation takes."""


def pads_of(attributes: dict[str, Any], sizes: Sequence[int], kernel: Sequence[int]) -> Pads:
    """Compute the explicit padding of the spatial dimensions, whichever way ONNX gives it.

    Args:
        attributes: Of the node: ``auto_pad``, ``pads``, ``strides``, ``dilations``.
        sizes: Length of each spatial dimension.
        kernel: Length of the kernel in each.

    Returns:
        A pair (before, after) a dimension.
    """
    mode = attributes.get("auto_pad", "NOTSET")
    count = len(sizes)
    strides = attributes.get("strides", [1] * count)
    dilations = attributes.get("dilations", [1] * count)
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        pairs = [
            _same(size, reach(k, d), s)
            for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
        ]
        return pairs if mode == "SAME_UPPER" else [[after, before] for before, after in pairs]
    flat = attributes.get("pads", [0] * (2 * count)) if mode == "NOTSET" else [0] * (2 * count)
    return [[int(flat[axis]), int(flat[axis + count])] for axis in range(count)]


def reach(kernel: int, dilation: int) -> int:
    """Count the pixels that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def _same(size: int, span: int, stride: int) -> list[int]:
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return [total // 2, total - total // 2]


def is_same(pads: Pads, sizes: Sequence[int], spans: Sequence[int], strides: Sequence[int]) -> bool:
    """Tell whether explicit padding is just what TensorFlow's SAME does.

    Returns:
        True where output size and arithmetic are equal.
    """
    return all(
        pair == _same(size, span, stride)
        for pair, size, span, stride in zip(pads, sizes, spans, strides, strict=True)
    )


def pad_pixels(x: Any, pads: Pads) -> Any:
    """Pad rows and columns of an NHWC tensor with 0; negative lengths cut them off."""
    import tensorflow as tf

    if any(length < 0 for pair in pads for length in pair):
        sizes = x.shape.as_list()[1:3]
        begin = [max(0, -before) for before, _ in pads]
        end = [size - max(0, -after) for size, (_, after) in zip(sizes, pads, strict=True)]
        x = x[:, begin[0] : end[0], begin[1] : end[1], :]
        pads = [[max(0, length) for length in pair] for pair in pads]
    return tf.pad(x, [[0, 0], *pads, [0, 0]]) if any(map(any, pads)) else x


def taps_of(
    y: Any, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[Any]:
    """Cut windows out of a tensor, tap by tap as strided slices.

    Args:
        y: Shape (N, *sizes, C), static, padded already.
        kernel: Length of the kernel along each of the sizes.
        strides: Stride along each.
        dilations: Dilation along each.

    Yields:
        For each tap of the kernel, the last axis first, its elements in all windows, shape
        (N, *windows, C).
    """
    counts = [
        (size - reach(k, d)) // stride + 1
        for size, k, stride, d in zip(y.shape[1:-1], kernel, strides, dilations, strict=True)
    ]
    for tap in np.ndindex(*kernel):
        starts = np.multiply(tap, dilations).tolist()
        slices = (
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, counts, strides, strict=True)
        )
        yield y[:, *slices, :]


def pick(x: Any, places: Mapping[int, np.ndarray]) -> Any:
    """Take some places along some axes of a tensor, in any order and as often as they are named.

    TFLite's MIRROR_PAD, which can only repeat edges, takes forty times as long. Slices that are
    concatenated take no longer than a GATHER, and unlike it XNNPACK has them.
    """
    import tensorflow as tf

    for axis, numbers in places.items():
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
        if len(runs) > _MOST_RUNS:
            x = tf.gather(x, numbers.astype(np.int32), axis=axis)
            continue
        parts = []
        for run in runs:
            whole = len(run) == x.shape[axis]
            cut = slice(int(run[0]), int(run[-1]) + 1)
            parts.append(x if whole else x[(slice(None),) * axis + (cut,)])
        x = tf.concat(parts, axis) if len(parts) > 1 else parts[0]
    return x


def multiply_along(x: Any, matrix: np.ndarray, axis: int) -> Any:
    """Multiply an axis of a static tensor by a matrix, or pick from it where that is the same."""
    import tensorflow as tf

    places = matrix.argmax(1)
    if (matrix == np.eye(matrix.shape[1])[places]).all():
        return pick(x, {axis: places})
    sizes = x.shape.as_list()
    flat = reshape_tensor(x, [math.prod(sizes[:axis]), sizes[axis], math.prod(sizes[axis + 1 :])])
    return reshape_tensor(tf.matmul(matrix, flat), [*sizes[:axis], len(matrix), *sizes[axis + 1 :]])


def with_zeros_between(y: Any, axis: int, stride: int) -> Any:
    """Put zeros behind each place of an axis."""
    import tensorflow as tf

    sizes = y.shape.as_list()
    rows = reshape_tensor(y, [math.prod(sizes[: axis + 1]), 1, math.prod(sizes[axis + 1 :])])
    rows = tf.pad(rows, [[0, 0], [0, stride - 1], [0, 0]])
    return reshape_tensor(rows, [*sizes[:axis], sizes[axis] * stride, *sizes[axis + 1 :]])


def cut_out(
    node: Node, sizes: list[int], strides: list[int], whole: list[int]
) -> tuple[list[int], list[int]]:
    """Say where the output of a transposed convolution lies in the whole: places, and lengths."""
    count = len(sizes)
    extra = node.attributes.get("output_padding", [0] * count)
    wanted = node.attributes.get("output_shape")
    mode = node.attributes.get("auto_pad", "NOTSET")
    if wanted is None and mode in {"SAME_UPPER", "SAME_LOWER"}:
        # ONNX Runtime never adds rows, although the standard asks for size * stride.
        wanted = [
            min(size * stride, w + e)
            for size, stride, w, e in zip(sizes, strides, whole, extra, strict=True)
        ]
    if wanted is None:
        flat = [0] * 2 * count
        if mode == "NOTSET":
            flat = list(node.attributes.get("pads", flat))
        ends = [w + e - a for w, e, a in zip(whole, extra, flat[count:], strict=True)]
        return flat[:count], [end - b for end, b in zip(ends, flat[:count], strict=True)]
    wanted = list(wanted)[-count:]
    totals = [max(0, w + e - s) for w, e, s in zip(whole, extra, wanted, strict=True)]
    upper = mode != "SAME_LOWER" if "output_shape" not in node.attributes else mode == "SAME_UPPER"
    begin = [total // 2 if upper else total - total // 2 for total in totals]
    return begin, wanted


def over_one_dimension(node: Node, lower: Lowering) -> list[Any] | None:
    """Lower windows over one dimension as windows over pictures of a single row.

    Returns:
        What ``lower`` gives, without the row.
    """
    x, *others = node.inputs
    batch, channels, length = x.shape.as_list()
    if others:
        *outer, reached = others[0].shape.as_list()
        others[0] = reshape_tensor(others[0], [*outer, 1, reached])
    attributes = dict(node.attributes)
    for name in _NEUTRAL.keys() & attributes.keys():
        attributes[name] = [_NEUTRAL[name], *attributes[name][-1:]]
    if "pads" in attributes:
        before, after = attributes["pads"]
        attributes["pads"] = [0, before, 0, after]
    row = reshape_tensor(x, [batch, channels, 1, length])
    lowered = lower(replace(node, inputs=(row, *others), attributes=attributes))
    if lowered is None:
        return None
    return [reshape_tensor(y, [*y.shape.as_list()[:2], y.shape[3]]) for y in lowered]


def over_three_dimensions(node: Node, lower: Lowering) -> list[Any] | None:
    """Lower windows over three dimensions as those over the first, then over the other two.

    A maximum over a box is one of maxima, and an average one of averages, padding counted or not.

    Returns:
        What ``lower`` gives both times; None where it gives none.
    """
    x = node.inputs[0]
    batch, channels, depth, height, width = x.shape.as_list()
    rows = reshape_tensor(x, [batch, channels, depth, height * width])
    along = lower(
        replace(node, inputs=(rows,), attributes=attributes_along(node.attributes, [0, None]))
    )
    if along is None:
        return None
    deep = along[0].shape.as_list()[2]
    pictures = reshape_tensor(along[0], [batch, channels * deep, height, width])
    across = lower(
        replace(node, inputs=(pictures,), attributes=attributes_along(node.attributes, [1, 2]))
    )
    if across is None:
        return None
    return [reshape_tensor(across[0], [batch, channels, deep, *across[0].shape.as_list()[2:]])]


def attributes_along(attributes: dict[str, Any], axes: Sequence[int | None]) -> dict[str, Any]:
    """Take the attributes of windows over two of the axes, None for an axis that stays."""
    chosen = dict(attributes)
    for name in _NEUTRAL.keys() & attributes.keys():
        chosen[name] = [_NEUTRAL[name] if a is None else attributes[name][a] for a in axes]
    if "pads" in attributes:
        pads = attributes["pads"]
        half = len(pads) // 2
        chosen["pads"] = [0 if a is None else pads[a + end] for end in (0, half) for a in axes]
    return chosen


LOSES = 6e4
"""A padding value so far below 0, as -1e9 or a half float's lowest, is for a maximum to hide."""
_REPEATING = {"reflect", "edge", "wrap"}


def pad(node: Node) -> list[Any] | None:
    """Lower a padding whose lengths are known; negative lengths cut."""
    import tensorflow as tf

    x = node.inputs[0]
    value = _value(node)
    mode: Any = node.attributes.get("mode", "constant")
    pairs = _pairs(node)
    if pairs is None or value is None or x.shape.rank is None:
        return repair_pad(node)
    source, order = view(x)
    there = [pairs[order.index(axis)] for axis in range(len(order))]
    if min(map(min, there)) < 0:
        source = source[tuple(slice(max(0, -b), -max(0, -e) or None) for b, e in there)]
        there = [[max(0, length) for length in pair] for pair in there]
    if mode in _REPEATING:
        margins = {axis: pair for axis, pair in enumerate(there) if any(pair)}
        if None in [source.shape[axis] for axis in margins]:
            return None
        source = pick(
            source,
            {
                axis: np.pad(np.arange(source.shape[axis]), pair, mode)
                for axis, pair in margins.items()
            },
        )
    elif any(map(any, there)):
        if value == 0:
            source = tf.pad(source, there)
        elif is_static(source) and -LOSES < value < np.inf:
            source = tf.pad(source, there) + _margin(source, there, value)
        else:
            fill = np.asarray(value, source.dtype.as_numpy_dtype)
            source = tf.pad(source, there, constant_values=fill)
    return [permute(source, order)]


def _margin(x: Any, pairs: list[list[int]], value: float) -> np.ndarray:
    """Build the padding value around zeros; of size 1 along axes that are not padded."""
    sizes = [size if any(pair) else 1 for size, pair in zip(x.shape, pairs, strict=True)]
    return np.pad(np.zeros(sizes, x.dtype.as_numpy_dtype), pairs, constant_values=value)


def repair_pad(node: Node) -> list[Any] | None:
    """Leave the work to the stock handler, without a padding value that is 0 anyway."""
    if len(node.inputs) == 3 and _value(node) == 0:
        return node.stock(node.inputs[:2])
    return None


def _pairs(node: Node) -> list[list[int]] | None:
    flat = read_integers(node, "pads", 1)
    rank = node.inputs[0].shape.rank
    axes = integers(node.input(3)) if node.input(3) is not None else list(range(rank or 0))
    if flat is None or axes is None or rank is None:
        return None
    pairs = [[0, 0] for _ in range(rank)]
    for number, axis in enumerate(axes):
        pairs[axis % rank] = [int(flat[number]), int(flat[number + len(axes)])]
    return pairs


def _value(node: Node) -> float | None:
    """Read the padding value; None where it is known only at run time."""
    if node.attributes.get("mode", "constant") != "constant":
        return 0.0
    if node.input(2) is not None:
        value = constant(node.input(2))
        return None if value is None else float(value.reshape(-1)[0])
    return float(node.attributes.get("value", 0.0))


LOWERINGS = {"Pad": pad}

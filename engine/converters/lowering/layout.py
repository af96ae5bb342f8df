"""Between ONNX's NCHW and TFLite's NHWC."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_nhwc(x: Any) -> Any:
    """Turn a (N, C, H, W) tensor to (N, H, W, C)."""
    return _turned(x, (0, 2, 3, 1))


def to_nchw(x: Any) -> Any:
    """Turn a (N, H, W, C) tensor to (N, C, H, W)."""
    return _turned(x, (0, 3, 1, 2))


def _turned(x: Any, order: tuple[int, ...]) -> Any:
    import tensorflow as tf

    shape = x.shape.as_list()
    target = [shape[axis] for axis in order]
    if None not in shape and sum(size > 1 for size in shape[1:]) <= 1:
        # One value a channel, or one channel: the same numbers in the same order.
        return tf.reshape(x, target)
    return tf.transpose(x, order)


def is_picture(x: Any) -> bool:
    """Whether a tensor is of four static dimensions."""
    return bool(x.shape.rank == 4 and x.shape.is_fully_defined())


def constant(x: Any) -> np.ndarray | None:
    """The value of a tensor that is known while the graph is made, or None."""
    import tensorflow as tf

    value: np.ndarray | None = tf.get_static_value(x)
    return value


def pads_of(attributes: dict[str, Any], sizes: list[int], kernel: list[int]) -> list[list[int]]:
    """Explicit padding of the spatial dimensions, whichever way ONNX gives it.

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
    """Pixels that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def _same(size: int, span: int, stride: int) -> list[int]:
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return [total // 2, total - total // 2]


def is_same(pads: list[list[int]], sizes: list[int], spans: list[int], strides: list[int]) -> bool:
    """Whether explicit padding is just what TensorFlow's SAME does.

    Args:
        pads: A pair a dimension.
        sizes: Length of each spatial dimension.
        spans: What `reach` says of the kernel in each.
        strides: Stride in each.

    Returns:
        True where output size and arithmetic are equal.
    """
    return all(
        pair == _same(size, span, stride)
        for pair, size, span, stride in zip(pads, sizes, spans, strides, strict=True)
    )


def padded(x: Any, pads: list[list[int]]) -> Any:
    """Pad rows and columns of an NHWC tensor with 0."""
    import tensorflow as tf

    return tf.pad(x, [[0, 0], *pads, [0, 0]]) if any(map(any, pads)) else x

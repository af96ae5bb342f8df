"""Pad.

The stock handler passes the padding value on as a tensor, even where it is the constant 0. That
becomes TFLite's PADV2, whose value keeps its float type when activations are quantized to int16,
and the interpreter then refuses the file. Ours drops a constant 0, which becomes PAD, adds another
constant to the zeros, and pads in the order that the tensor is kept in, where it can be fused into
a convolution. Margins that repeat the tensor are picked from it. It also knows the form of operator
set 18, which names the axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.converters.lowering.layout import (
    constant,
    integers,
    is_static,
    listed,
    transposed,
    view,
)
from engine.converters.lowering.node import Node
from engine.converters.lowering.windows import picked

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
        return repaired_pad(node)
    source, order = view(x)
    there = [pairs[order.index(axis)] for axis in range(len(order))]
    if min(map(min, there)) < 0:
        source = source[tuple(slice(max(0, -b), -max(0, -e) or None) for b, e in there)]
        there = [[max(0, length) for length in pair] for pair in there]
    if mode in _REPEATING:
        margins = {axis: pair for axis, pair in enumerate(there) if any(pair)}
        if None in [source.shape[axis] for axis in margins]:
            return None
        source = picked(
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
    return [transposed(source, order)]


def _margin(x: Any, pairs: list[list[int]], value: float) -> np.ndarray:
    """The padding value around zeros; of size 1 along axes that are not padded."""
    sizes = [size if any(pair) else 1 for size, pair in zip(x.shape, pairs, strict=True)]
    return np.pad(np.zeros(sizes, x.dtype.as_numpy_dtype), pairs, constant_values=value)


def repaired_pad(node: Node) -> list[Any] | None:
    """Leave the work to the stock handler, without a padding value that is 0 anyway."""
    if len(node.inputs) == 3 and _value(node) == 0:
        return node.stock(node.inputs[:2])
    return None


def _pairs(node: Node) -> list[list[int]] | None:
    flat = listed(node, "pads", 1)
    rank = node.inputs[0].shape.rank
    axes = integers(node.input(3)) if node.input(3) is not None else list(range(rank or 0))
    if flat is None or axes is None or rank is None:
        return None
    pairs = [[0, 0] for _ in range(rank)]
    for place, axis in enumerate(axes):
        pairs[axis % rank] = [int(flat[place]), int(flat[place + len(axes)])]
    return pairs


def _value(node: Node) -> float | None:
    """What is padded with; None for a value known only at run time."""
    if node.attributes.get("mode", "constant") != "constant":
        return 0.0
    if node.input(2) is not None:
        value = constant(node.input(2))
        return None if value is None else float(value.reshape(-1)[0])
    return float(node.attributes.get("value", 0.0))


LOWERINGS = {"Pad": pad}

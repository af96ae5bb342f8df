"""TopK and OneHot.

The stock TopK turns values back from the last axis, but not their places; the stock OneHot takes
indices out of range modulo the depth, and asks for types that exporters do not write.
"""

from __future__ import annotations

from typing import Any

from engine.conversion.lowering.indexing import hits, may_be_negative
from engine.conversion.lowering.layout import integers, transposed
from engine.conversion.lowering.node import Lowering, Node


def top_k(node: Node) -> list[Any] | None:
    """Lower the choice of a known number of the largest, or smallest, along an axis."""
    import tensorflow as tf

    x, count = node.inputs[0], integers(node.input(1))
    if count is None:
        count = [node.attributes["k"]] if "k" in node.attributes else None
    if count is None or x.shape.rank is None:
        return None
    axis, last = node.attributes.get("axis", -1) % x.shape.rank, x.shape.rank - 1
    swap = tuple({axis: last, last: axis}.get(place, place) for place in range(x.shape.rank))
    source = transposed(x, swap)
    if node.attributes.get("largest", 1):
        values, places = tf.math.top_k(source, count[0])
    else:
        # Integer kernels have a product, but no NEG.
        sign = tf.constant(-1, x.dtype)
        values, places = tf.math.top_k(source * sign, count[0])
        values = values * sign
    return [transposed(values, swap), transposed(tf.cast(places, tf.int64), swap)]


def one_hot(node: Node) -> list[Any] | None:
    """Lower a new axis of known length with one value at an index and another elsewhere."""
    import tensorflow as tf

    indices, depth, values = node.inputs[0], integers(node.inputs[1]), node.inputs[2]
    if depth is None:
        return None
    indices = tf.cast(indices, tf.int32)
    axis = node.attributes.get("axis", -1) % (indices.shape.rank + 1)
    hit = hits(indices, depth[0], axis)
    if may_be_negative(indices):
        # Out of range an index is nowhere: it hits neither counted from the start nor from the end.
        hit = tf.logical_or(hit, hits(indices + depth[0], depth[0], axis))
    return [tf.where(hit, values[1], values[0])]


LOWERINGS: dict[str, Lowering] = {"TopK": top_k, "OneHot": one_hot}

"""CumSum, Trilu, Mod, IsInf, IsNaN, and functions of angles.

The stock handlers choose between branches while the model runs, or take operators that TFLite has
no kernels for. A running sum is a product with a triangle of ones here, which integer kernels have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.conversion.lowering.elementwise import align
from engine.conversion.lowering.layout import (
    constant,
    integers,
    is_static,
    permute,
    unknown,
    view,
)
from engine.conversion.lowering.linear import fully_connected
from engine.conversion.lowering.node import Lowering, Node

_LONGEST_TRIANGLE = 1024


def cum_sum(node: Node) -> list[Any] | None:
    """Lower the sums of all numbers up to each along an axis."""
    import tensorflow as tf

    x, axis = node.inputs[0], integers(node.inputs[1])
    if axis is None or not is_static(x):
        return None
    along, last = axis[0] % x.shape.rank, x.shape.rank - 1
    exclusive, reverse = (bool(node.attributes.get(name)) for name in ("exclusive", "reverse"))
    if x.dtype != tf.float32 or x.shape[along] > _LONGEST_TRIANGLE:
        source, order = view(x)
        return [permute(tf.cumsum(source, order[along], exclusive, reverse), order)]
    summed = np.triu(np.ones([x.shape[along]] * 2, np.float32), k=int(exclusive))
    swap = tuple({along: last, last: along}.get(index, index) for index in range(last + 1))
    y = fully_connected(permute(x, swap), summed.T if reverse else summed, None)
    return [permute(y, swap)]


def trilu(node: Node) -> list[Any] | None:
    """Lower a triangle of the last two axes; the rest is zero."""
    import tensorflow as tf

    x, diagonal = node.inputs[0], integers(node.input(1)) or [0]
    if unknown(node, 1) or not is_static(x):
        return None
    upper = node.attributes.get("upper", 1)
    ones = np.ones(x.shape.as_list()[-2:], bool)
    triangle = np.triu(ones, diagonal[0]) if upper else np.tril(ones, diagonal[0])
    value = constant(x)
    if value is not None:
        return [tf.constant(np.where(triangle, value, np.zeros((), value.dtype)))]
    return [tf.where(triangle, x, tf.zeros([], x.dtype))]


def mod(node: Node) -> list[Any] | None:
    """Lower a remainder; with ``fmod`` that of C, which has the sign of the dividend."""
    import tensorflow as tf

    operands = align(node.inputs)
    if operands is None or node.inputs[0].dtype not in {tf.float32, tf.int32, tf.int64}:
        return None
    (x, y), order = operands
    remainder = tf.math.floormod(x, y)
    if not node.attributes.get("fmod"):
        return [permute(remainder, order)]
    zero = tf.zeros([], x.dtype)
    other_sign = tf.logical_and(
        tf.not_equal(remainder, zero), tf.math.logical_xor(x < zero, y < zero)
    )
    return [permute(tf.where(other_sign, remainder - y, remainder), order)]


def is_nan(node: Node) -> list[Any]:
    """Lower the question whether numbers are none."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    return [permute(tf.math.is_nan(tf.cast(source, tf.float32)), order)]


def is_inf(node: Node) -> list[Any] | None:
    """Lower the question whether numbers are infinite, of one sign or of either."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    source = tf.cast(source, tf.float32)  # PyTorch asks it of a double before operator set 20
    # No number is compared with infinity, for which quantizers have no steps.
    far = tf.logical_and(tf.math.is_nan(source - source), tf.equal(source, source))
    for sign, outside in (("negative", source > 0), ("positive", source < 0)):
        if not node.attributes.get(f"detect_{sign}", 1):
            far = tf.logical_and(far, outside)
    return [permute(far, order)]


def trigonometric(node: Node) -> list[Any] | None:
    """Lower a function of angles by those of them, and of exponentials, that TFLite has."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    if source.dtype != tf.float32:
        return None

    def side(x: Any) -> Any:
        return tf.sqrt(1 - x * x)

    functions: dict[str, Callable[[Any], Any]] = {
        "Tan": lambda x: tf.sin(x) / tf.cos(x),
        "Asin": lambda x: tf.atan2(x, side(x)),
        "Acos": lambda x: tf.atan2(side(x), x),
        "Atan": lambda x: tf.atan2(x, tf.ones_like(x)),
        "Sinh": lambda x: (tf.exp(x) - tf.exp(-x)) / 2,
        "Cosh": lambda x: (tf.exp(x) + tf.exp(-x)) / 2,
        "Asinh": lambda x: tf.sign(x) * tf.math.log(tf.abs(x) + tf.sqrt(x * x + 1)),
        "Acosh": lambda x: tf.math.log(x + tf.sqrt(x * x - 1)),
        "Atanh": lambda x: tf.math.log((1 + x) / (1 - x)) / 2,
    }
    return [permute(functions[node.kind](source), order)]


_OF_ANGLES = ["Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"]
LOWERINGS: dict[str, Lowering] = dict.fromkeys(_OF_ANGLES, trigonometric) | {
    "CumSum": cum_sum,
    "Trilu": trilu,
    "Mod": mod,
    "IsInf": is_inf,
    "IsNaN": is_nan,
}

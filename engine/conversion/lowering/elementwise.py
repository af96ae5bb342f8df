"""Operators that work on each number by itself, on one tensor or on several of one shape.

The stock handlers compute in NCHW. Ours hand them the tensors as they are kept and put the
transpose behind: for one input always, for several by bringing all to the order of the largest one;
constants are turned while the graph is made.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from engine.conversion.lowering.layout import (
    Order,
    constant,
    inverse,
    is_static,
    operation,
    permute,
    reshape_tensor,
    settle,
    view,
)
from engine.conversion.lowering.node import Lowering, Node

UNARY = [
    "Abs",
    "Cast",
    "Ceil",
    "Celu",
    "Cos",
    "Elu",
    "Exp",
    "Floor",
    "LeakyRelu",
    "Log",
    "Neg",
    "Not",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
]
TOGETHER = [
    "Add",
    "Sub",
    "Mul",
    "Max",
    "Min",
    "Mean",
    "Sum",
    "PRelu",
    "And",
    "Or",
    "Xor",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
]
BROADCAST_SINCE = 7


def unary(node: Node) -> list[Any] | None:
    """Lower an operator on each number of its first input; further inputs are single numbers."""
    x = node.inputs[0]
    if x.shape.rank is None:
        return None
    source, order = view(x)
    return [permute(y, order) for y in node.stock([source, *node.inputs[1:]])]


def relu(node: Node) -> list[Any] | None:
    """Lower a ReLU; a positive factor before it comes behind it, for a convolution to take up."""
    import tensorflow as tf

    x = node.inputs[0]
    if x.shape.rank is None:
        return None
    source, order = view(x)
    made_by = operation(source)
    factor = constant(made_by.inputs[1]) if made_by is not None and made_by.type == "Mul" else None
    if factor is None or not (factor > 0).all():
        return [permute(tf.nn.relu(source), order)]
    return [permute(tf.multiply(tf.nn.relu(made_by.inputs[0]), factor), order)]


def reciprocal(node: Node) -> list[Any] | None:
    """Lower a reciprocal; that of a root, as norms are written with, as RSQRT."""
    import tensorflow as tf

    if node.inputs[0].shape.rank is None:
        return None
    source, order = view(node.inputs[0])
    made_by = operation(source)
    if made_by is None or made_by.type != "Sqrt":
        return unary(node)
    return [permute(tf.math.rsqrt(made_by.inputs[0]), order)]


def identity(node: Node) -> list[Any] | None:
    """Pass a tensor on."""
    return [node.inputs[0]]


def dropout(node: Node) -> list[Any] | None:
    """Pass a tensor on, as a dropout does outside training, with a mask that drops nothing."""
    import tensorflow as tf

    training = constant(node.input(2))
    if training is not None and training.any():
        raise NotImplementedError("Dropout in training mode is not implemented.")
    x = node.inputs[0]
    return [x] if node.read == 1 else [x, tf.ones_like(x, tf.bool)]


def clip(node: Node) -> list[Any] | None:
    """Lower a clip to known bounds, by the operators that fuse into the one before."""
    import tensorflow as tf

    x = node.inputs[0]
    bounds = [
        node.attributes[name] if name in node.attributes else constant(node.input(position))
        for position, name in enumerate(("min", "max"), 1)
    ]
    unknown = any(
        node.input(position) is not None and bound is None
        for position, bound in enumerate(bounds, 1)
    )
    if unknown or x.shape.rank is None or not x.dtype.is_floating:
        return None
    low, high = (None if bound is None else np.float32(bound).reshape(()) for bound in bounds)
    farthest = np.finfo(np.float32).max
    # Bounds that bind nothing would take all steps of an integer.
    low = None if low is not None and low <= -farthest else low
    high = None if high is not None and high >= farthest else high
    source, order = view(x)
    if low == 0 and (high is None or high == 6):
        return [permute((tf.nn.relu if high is None else tf.nn.relu6)(source), order)]
    if low is not None:
        source = tf.maximum(source, tf.cast(low, source.dtype))
    if high is not None:
        source = tf.minimum(source, tf.cast(high, source.dtype))
    return [permute(source, order)]


def align(inputs: tuple[Any, ...]) -> tuple[list[Any], Order] | None:
    """Bring tensors that broadcast with each other to one order of axes.

    Args:
        inputs: Tensors of known shape.

    Returns:
        The tensors as they are kept, and the order that gives ONNX's; None for unknown shapes.
    """
    if any(x is None or not is_static(x) for x in inputs):
        return None
    rank = max(x.shape.rank for x in inputs)
    changing = [settle(x) for x in inputs if constant(x) is None and x.shape.rank == rank]
    if not changing:
        return None
    orders = [(math.prod(x.shape.as_list()), view(x)[1]) for x in changing]
    most = max(count for count, _ in orders)
    # Of two as large, the one that is kept in another order leads: it is a picture.
    order = max(candidate for count, candidate in orders if count == most)
    back = inverse(order)
    tensors = []
    for x in inputs:
        sizes = x.shape.as_list()
        wide = x if len(sizes) == rank else reshape_tensor(x, [1] * (rank - len(sizes)) + sizes)
        tensors.append(permute(settle(wide) if constant(wide) is None else wide, back))
    return tensors, order


def together(node: Node) -> list[Any] | None:
    """Lower an operator on several tensors that broadcast."""
    import tensorflow as tf

    alignment = align(node.inputs)
    if alignment is None or (node.since < BROADCAST_SINCE and node.attributes.get("broadcast")):
        return None
    tensors, order = alignment
    if node.kind in {"Add", "Sub", "Mul"}:
        tensors = [_without_leading_ones(x) for x in tensors]
    if node.kind in {"Add", "Sub"}:
        whole = _without_zeros(node.kind, *tensors)
        if whole is not None:
            return [permute(whole, order)]
    if node.kind in {"Sum", "Mean"}:
        # The stock handlers do not broadcast.
        total = functools.reduce(tf.add, tensors)
        share = np.float32(1 / len(tensors))
        return [permute(total * share if node.kind == "Mean" else total, order)]
    return [permute(y, order) for y in node.stock(tensors)]


def where(node: Node) -> list[Any] | None:
    """Lower a choice; one that is the same everywhere, as what it chooses."""
    chosen = constant(node.inputs[0])
    if chosen is not None and chosen.size and (chosen.all() or not chosen.any()):
        y = node.inputs[1 if chosen.all() else 2]
        shapes = [x.shape for x in node.inputs]
        if all(shape.is_fully_defined() for shape in shapes) and y.shape == np.broadcast_shapes(
            *(tuple(shape.as_list()) for shape in shapes)
        ):
            return [y]
    return together(node)


def _without_zeros(kind: str, first: Any, second: Any) -> Any:
    """Leave out a sum with zeros alone, at which TensorFlow's int16 quantizer ends the process.

    Returns:
        What is left of it; None where neither side is zero everywhere, or zeros spread the other.
    """
    import tensorflow as tf

    shape = tf.broadcast_static_shape(first.shape, second.shape)
    zero = [value is not None and not value.any() for value in map(constant, (first, second))]
    if zero[1] and first.shape == shape:
        return first
    if zero[0] and second.shape == shape:
        return second if kind == "Add" else second * tf.constant(-1, second.dtype)
    return None


def _without_leading_ones(x: Any) -> Any:
    """Drop leading sizes of 1 of a constant: the bias of a product has to be a vector."""
    value = constant(x)
    if value is None:
        return x
    sizes = list(itertools.dropwhile(lambda size: size == 1, value.shape))
    return reshape_tensor(x, sizes or [1])


def div(node: Node) -> list[Any] | None:
    """Lower a division; by a constant, as a multiplication, which integer kernels have."""
    import tensorflow as tf

    if node.inputs[0].dtype.is_integer:
        return _whole_quotient(node)
    divisor = constant(node.inputs[1])
    if divisor is None and node.inputs[0].dtype == tf.float32:
        return _times_reciprocal_root(node) or together(node)
    if divisor is None or divisor.dtype != np.float32 or not divisor.all():
        return together(node)
    alignment = align((node.inputs[0], tf.constant(np.float32(1) / divisor)))
    if alignment is None:
        return together(node)
    (x, factor), order = alignment
    return [permute(tf.multiply(x, factor), order)]


def _whole_quotient(node: Node) -> list[Any] | None:
    """Divide integers without a remainder, in the 32 bits that TFLite divides."""
    import tensorflow as tf

    alignment = align(node.inputs)
    if alignment is None:
        return None
    (x, divisor), order = alignment
    quotient = tf.truncatediv(tf.cast(x, tf.int32), tf.cast(divisor, tf.int32))
    return [permute(tf.cast(quotient, x.dtype), order)]


def _times_reciprocal_root(node: Node) -> list[Any] | None:
    """Write a division by a root as a product with RSQRT: the integer DIV refuses 0."""
    import tensorflow as tf

    alignment = align(node.inputs)
    if alignment is None:
        return None
    (x, divisor), order = alignment
    made_by, least = operation(divisor), None
    if made_by is not None and made_by.type == "BroadcastTo":
        made_by = operation(made_by.inputs[0])  # a product spreads it as well
    if made_by is not None and made_by.type == "Maximum":
        least = constant(made_by.inputs[1])
        made_by = None if least is None else operation(made_by.inputs[0])
    if made_by is None or made_by.type != "Sqrt":
        return None
    square = made_by.inputs[0]
    if least is not None:
        if (least < 0).any():
            return None
        square = tf.maximum(square, least * least)
    sizes = tf.broadcast_static_shape(x.shape, square.shape)
    if sizes != tf.broadcast_static_shape(x.shape, divisor.shape):
        return None
    return [permute(tf.multiply(x, tf.math.rsqrt(square)), order)]


def power(node: Node) -> list[Any] | None:
    """Lower the powers that norms are written with; TFLite has no quick kernel for others."""
    import tensorflow as tf

    x, exponent = node.inputs[0], constant(node.inputs[1])
    if exponent is None or exponent.size != 1 or exponent.ndim > x.shape.rank:
        return together(node)
    source, order = view(x)
    powers = {
        2.0: lambda: source * source,
        3.0: lambda: source * source * source,
        0.5: lambda: tf.sqrt(source),
        -0.5: lambda: tf.math.rsqrt(source),
    }
    lowered = powers.get(float(exponent.reshape(-1)[0]))
    if lowered is None or not x.dtype.is_floating:
        return together(node)
    return [permute(lowered(), order)]


def expand(node: Node) -> list[Any] | None:
    """Lower a broadcast to a known shape; nothing where the shape stays."""
    import tensorflow as tf

    x, shape = node.inputs[0], constant(node.inputs[1])
    if shape is None or not is_static(x):
        return None
    sizes = list(np.broadcast_shapes(tuple(x.shape.as_list()), tuple(int(s) for s in shape)))
    wide = reshape_tensor(x, [1] * (len(sizes) - x.shape.rank) + x.shape.as_list())
    if wide.shape.as_list() == sizes:
        return [wide]
    source, order = view(wide)
    there = [sizes[order.index(axis)] for axis in range(len(order))]
    return [permute(tf.broadcast_to(source, there), order)]


def erf(node: Node) -> list[Any] | None:
    """Lower the error function, which TFLite lacks, by an approximation to 1.5e-7.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, formula 7.1.26.
    """
    import tensorflow as tf

    source, order = view(node.inputs[0])
    if source.dtype != tf.float32:
        return None
    size = tf.abs(source)
    t = np.float32(1) / (np.float32(1) + np.float32(_ERF_P) * size)
    series = np.float32(_ERF_TERMS[-1])
    for term in _ERF_TERMS[-2::-1]:
        series = series * t + np.float32(term)
    y = tf.sign(source) * (np.float32(1) - series * t * tf.exp(-size * size))
    return [permute(y, order)]


def gelu(node: Node) -> list[Any] | None:
    """Lower x · Φ(x), with Φ exact or by its tanh approximation."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    approximate = node.attributes.get("approximate", "none") == "tanh"
    return [permute(tf.nn.gelu(source, approximate), order)]


def hard_sigmoid(node: Node) -> list[Any] | None:
    """Lower clip(x / 6 + 1 / 2, 0, 1), the form that networks use."""
    import tensorflow as tf

    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if not np.isclose(alpha, 1 / 6) or beta != 0.5:
        return unary(node)
    source, order = view(node.inputs[0])
    return [permute(tf.nn.relu6(source + np.float32(3)) * _SIXTH, order)]


def hard_swish(node: Node) -> list[Any] | None:
    """Lower x · clip(x / 6 + 1 / 2, 0, 1)."""
    import tensorflow as tf

    source, order = view(node.inputs[0])
    return [permute(source * tf.nn.relu6(source + np.float32(3)) * _SIXTH, order)]


LOWERINGS: dict[str, Lowering] = (
    dict.fromkeys(UNARY, unary)
    | dict.fromkeys(TOGETHER, together)
    | {
        "HardSigmoid": hard_sigmoid,
        "HardSwish": hard_swish,
        "Gelu": gelu,
        "Erf": erf,
        "Div": div,
        "Reciprocal": reciprocal,
        "Pow": power,
        "Clip": clip,
        "Relu": relu,
        "Where": where,
        "Identity": identity,
        "Dropout": dropout,
        "Expand": expand,
    }
)
_SIXTH = np.float32(1 / 6)
_ERF_P = 0.3275911
_ERF_TERMS = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)

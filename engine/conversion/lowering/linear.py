"""MatMul and Gemm.

The stock handlers transpose weights in the graph, add a bias as an operator of its own, and give a
matrix product of more than two axes to BATCH_MATMUL even where one side is constant. Ours make a
FULLY_CONNECTED with stored weights of every product with a constant, which is also what can be
quantized per channel; where the input is a flattened picture, the rows of the weights are put in
the order of the picture as it is kept. A product of two changing tensors takes BATCH_MATMUL's own
flag for a transposed right side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.conversion.lowering.channels import without_affine
from engine.conversion.lowering.layout import (
    constant,
    inverse,
    is_static,
    operation,
    relabelled,
    reshaped,
    settled,
    transposed,
    view,
)
from engine.conversion.lowering.node import Lowering, Node, stored

BANK = 1000
"""Outputs an input, from which weights are kernels that a network mixes, as CondConv does."""


def gemm(node: Node) -> list[Any] | None:
    """Lower a product with constant weights, plus a constant bias."""
    x, weights = node.inputs[0], constant(node.inputs[1])
    bias = constant(node.input(2))
    plain = node.input(2) is None or bias is not None
    if weights is None or not plain or not is_static(x) or x.shape.rank != 2:
        return None
    if node.attributes.get("transA"):
        x = transposed(x, (1, 0))
    if node.attributes.get("transB"):
        weights = weights.T
    weights = weights * np.float32(node.attributes.get("alpha", 1))
    if bias is not None:
        bias = bias * np.float32(node.attributes.get("beta", 1))
        if bias.size not in {1, weights.shape[1]} or (bias.ndim == 2 and bias.shape[0] != 1):
            return None
        bias = np.broadcast_to(bias.reshape(-1), (weights.shape[1],))
    return [fully_connected(x, weights, bias)]


def fully_connected(x: Any, weights: np.ndarray, bias: np.ndarray | None) -> Any:
    """A product over the last axis.

    Args:
        x: Shape (..., inputs), static.
        weights: Shape (inputs, outputs).
        bias: Shape (outputs,), or None.

    Returns:
        Shape (..., outputs).
    """
    import tensorflow as tf

    x, weights = _as_kept(x, weights)
    x, factor, shift = without_affine(x)
    if shift.any():
        bias = shift @ weights + (0 if bias is None else bias)
    weights = weights * factor[:, None]
    source, order = view(settled(x))
    if order[-1] != len(order) - 1:
        source, order = x, tuple(range(x.shape.rank))
    sizes = source.shape.as_list()
    rows = math.prod(sizes[:-1])
    if rows == 1 and weights.shape[1] > BANK * sizes[-1]:
        # A scale and a zero point for each column would take as much room as floats do.
        column = relabelled(source, [1, sizes[-1], 1])
        y = relabelled(tf.matmul(stored(weights.T[None]), column), [1, weights.shape[1]])
    else:
        y = tf.matmul(relabelled(source, [rows, sizes[-1]]), stored(weights))
    if bias is not None:
        y = tf.nn.bias_add(y, bias)
    if len(sizes) != 2:
        y = relabelled(y, [*sizes[:-1], weights.shape[1]])
    return transposed(y, order)


def _as_kept(x: Any, weights: np.ndarray) -> tuple[Any, np.ndarray]:
    """Undo the transpose before a flattening, in the rows of the weights."""
    flat = operation(x)
    if flat is None or flat.type != "Reshape":
        return x, weights
    picture = flat.inputs[0]
    source, order = view(picture)
    sizes = picture.shape.as_list()
    lost = len(sizes)
    while lost and math.prod(sizes[lost:]) < x.shape[-1]:
        lost -= 1
    kept = tuple(range(lost))
    if source is picture or math.prod(sizes[lost:]) != x.shape[-1] or order[:lost] != kept:
        return x, weights
    rows = weights.reshape(*sizes[lost:], -1)
    back = [axis - lost for axis in inverse(order)[lost:]]
    turned = rows.transpose(*back, rows.ndim - 1).reshape(weights.shape)
    return reshaped(source, x.shape.as_list()), turned


def matmul(node: Node) -> list[Any] | None:
    """Lower a matrix product."""
    import tensorflow as tf

    a, b = node.inputs
    if not is_static(a) or not is_static(b):
        return None
    if 1 in (a.shape.rank, b.shape.rank):
        return _with_vectors(node)
    if constant(a) is not None:
        return None
    weights = constant(b)
    if weights is not None and weights.ndim == 2 and a.shape.rank >= 2:
        return [fully_connected(a, weights, None)]
    if weights is not None:
        return None
    source, order = view(b)
    swapped = (*range(len(order) - 2), len(order) - 1, len(order) - 2)
    if order == swapped:
        return [tf.matmul(settled(a), source, transpose_b=True)]
    return [tf.matmul(settled(a), settled(b))]


def _with_vectors(node: Node) -> list[Any]:
    import tensorflow as tf

    a, b = node.inputs
    y = tf.matmul(a[None, :] if a.shape.rank == 1 else a, b[:, None] if b.shape.rank == 1 else b)
    if b.shape.rank == 1:
        y = y[..., 0]
        return [y[..., 0] if a.shape.rank == 1 else y]
    return [y[..., 0, :]]


LOWERINGS: dict[str, Lowering] = {"Gemm": gemm, "MatMul": matmul}

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
from engine.conversion.lowering.elementwise import align
from engine.conversion.lowering.layout import (
    constant,
    inverse,
    is_static,
    operation,
    permute,
    reshape_as_stored,
    reshape_tensor,
    settle,
    view,
)
from engine.conversion.lowering.node import Lowering, Node, store_weight
from engine.conversion.lowering.reduction import sum_axes
from engine.conversion.lowering.shape import take_along

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
        x = permute(x, (1, 0))
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
    """Multiply over the last axis.

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
    source, order = view(settle(x))
    if order[-1] != len(order) - 1:
        source, order = x, tuple(range(x.shape.rank))
    sizes = source.shape.as_list()
    rows = math.prod(sizes[:-1])
    if rows == 1 and weights.shape[1] > BANK * sizes[-1]:
        # A scale and a zero point for each column would take as much room as floats do.
        column = reshape_as_stored(source, [1, sizes[-1], 1])
        y = reshape_as_stored(
            tf.matmul(store_weight(weights.T[None]), column), [1, weights.shape[1]]
        )
    else:
        y = tf.matmul(reshape_as_stored(source, [rows, sizes[-1]]), store_weight(weights))
    if bias is not None:
        y = tf.nn.bias_add(y, bias)
    if len(sizes) != 2:
        y = reshape_as_stored(y, [*sizes[:-1], weights.shape[1]])
    return permute(y, order)


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
    leading = tuple(range(lost))
    if source is picture or math.prod(sizes[lost:]) != x.shape[-1] or order[:lost] != leading:
        return x, weights
    rows = weights.reshape(*sizes[lost:], -1)
    back = [axis - lost for axis in inverse(order)[lost:]]
    turned = rows.transpose(*back, rows.ndim - 1).reshape(weights.shape)
    return reshape_tensor(source, x.shape.as_list()), turned


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
        return [tf.matmul(settle(a), source, transpose_b=True)]
    return [tf.matmul(settle(a), settle(b))]


def _with_vectors(node: Node) -> list[Any]:
    import tensorflow as tf

    a, b = node.inputs
    y = tf.matmul(a[None, :] if a.shape.rank == 1 else a, b[:, None] if b.shape.rank == 1 else b)
    if b.shape.rank == 1:
        y = y[..., 0]
        return [y[..., 0] if a.shape.rank == 1 else y]
    return [y[..., 0, :]]


def einsum(node: Node) -> list[Any] | None:
    """Lower sums of products."""
    if not all(map(is_static, node.inputs)) or not all(x.dtype.is_floating for x in node.inputs):
        return None
    ranks = [x.shape.rank for x in node.inputs]
    *terms, result = _spell_out(node.attributes["equation"], ranks)
    sizes = {
        label: max(
            x.shape[term.index(label)]
            for x, term in zip(node.inputs, terms, strict=True)
            if label in term
        )
        for label in "".join(terms)
    }
    (y, labels), *others = map(_without_repeats, node.inputs, terms)
    for number, (x, more) in enumerate(others, 1):
        wanted = result + "".join(later for _, later in others[number:])
        y, labels = _multiply(y, labels, x, more, wanted)
    y, labels = _sum_out(y, labels, result)
    ordered = "".join(label for label in result if label in labels)
    y = permute(y, [labels.index(label) for label in ordered])
    return [reshape_tensor(y, [sizes[label] for label in result])]


LOWERINGS: dict[str, Lowering] = {"Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
_ELLIPSIS = "..."
# What an ellipsis stands for gets letters that no equation is written in.
_FIRST_SPARE = 0x3B1


def _spell_out(equation: str, ranks: list[int]) -> list[str]:
    """Name the axes of each input by letters, then those of the result."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
        result = (_ELLIPSIS if _ELLIPSIS in left else "") + "".join(once)
    hidden = [
        rank - len(term.replace(_ELLIPSIS, "")) if _ELLIPSIS in term else 0
        for term, rank in zip(terms, ranks, strict=True)
    ]
    most = max(hidden)
    spare = "".join(chr(_FIRST_SPARE + number) for number in range(most))
    spelled = [
        term.replace(_ELLIPSIS, spare[most - count :])
        for term, count in zip(terms, hidden, strict=True)
    ]
    return [*spelled, result.replace(_ELLIPSIS, spare)]


def _without_repeats(x: Any, labels: str) -> tuple[Any, str]:
    """Take the diagonal of axes of one letter, and drop axes of size 1, which broadcast."""
    for label in sorted(set(labels)):
        while labels.count(label) > 1:
            first, second = labels.index(label), labels.rindex(label)
            rest = [axis for axis in range(len(labels)) if axis not in {first, second}]
            size = x.shape[first]
            square = permute(x, [first, second, *rest])
            square = reshape_tensor(square, [size * size, *square.shape.as_list()[2:]])
            x = take_along(square, range(0, size * size, size + 1), 0)
            labels = label + "".join(labels[axis] for axis in rest)
    sizes = dict(zip(labels, x.shape.as_list(), strict=True))
    left = [label for label in labels if sizes[label] != 1]
    return reshape_tensor(x, [sizes[label] for label in left]), "".join(left)


def _sum_out(x: Any, labels: str, wanted: str) -> tuple[Any, str]:
    axes = [axis for axis, label in enumerate(labels) if label not in wanted]
    y = sum_axes(x, axes) if axes else x
    return y, "".join(label for label in labels if label in wanted)


def _multiply(a: Any, of_a: str, b: Any, of_b: str, wanted: str) -> tuple[Any, str]:
    """Multiply two tensors, and sum over what neither the result nor later factors have.

    Returns:
        The product, and the letters of its axes.
    """
    import tensorflow as tf

    a, of_a = _sum_out(a, of_a, wanted + of_b)
    b, of_b = _sum_out(b, of_b, wanted + of_a)
    batch = "".join(label for label in of_a if label in of_b and label in wanted)
    inner = "".join(label for label in of_a if label in of_b and label not in wanted)
    rows = "".join(label for label in of_a if label not in of_b)
    columns = "".join(label for label in of_b if label not in of_a)
    if constant(a) is not None and not batch:
        a, of_a, rows, b, of_b, columns = b, of_b, columns, a, of_a, rows
    sizes = dict(zip(of_a + of_b, a.shape.as_list() + b.shape.as_list(), strict=True))
    shape = [sizes[label] for label in batch + rows + columns]

    def arrange(x: Any, labels: str, *groups: str) -> Any:
        order = [labels.index(label) for label in "".join(groups)]
        grouped = [math.prod(sizes[label] for label in group) for group in groups]
        return reshape_tensor(permute(x, order), grouped)

    right = arrange(b, of_b, batch, inner, columns)
    weights = None if batch else constant(right)
    if not inner:
        y = _side_by_side(arrange(a, of_a, batch, rows, ""), arrange(b, of_b, batch, "", columns))
    elif weights is not None:
        y = fully_connected(arrange(a, of_a, rows, inner), weights[0], None)
    else:
        y = tf.matmul(settle(arrange(a, of_a, batch, rows, inner)), settle(right))
    return reshape_tensor(y, shape), batch + rows + columns


def _side_by_side(a: Any, b: Any) -> Any:
    import tensorflow as tf

    values, order = align((a, b)) or ([a, b], range(3))
    return permute(tf.multiply(*values), order)

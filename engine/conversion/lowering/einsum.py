"""Einsum as transposes, sums and matrix products.

The stock handler passes the equation on; TensorFlow's converter knows few of them. Here any
equation is a chain of products of two: axes that only one of them has are summed first, those that
both have are the batch or are summed by the product, which has constant weights where a side is
constant.
"""

from __future__ import annotations

import math
from typing import Any

from engine.conversion.lowering.elementwise import aligned
from engine.conversion.lowering.layout import constant, is_static, reshaped, settled, transposed
from engine.conversion.lowering.linear import fully_connected
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.reduction import summed
from engine.conversion.lowering.shape import taken

_ELLIPSIS = "..."
# What an ellipsis stands for gets letters that no equation is written in.
_FIRST_SPARE = 0x3B1


def einsum(node: Node) -> list[Any] | None:
    """Lower sums of products."""
    if not all(map(is_static, node.inputs)) or not all(x.dtype.is_floating for x in node.inputs):
        return None
    ranks = [x.shape.rank for x in node.inputs]
    *terms, result = _spelled_out(node.attributes["equation"], ranks)
    sizes = {
        label: max(
            x.shape[term.index(label)]
            for x, term in zip(node.inputs, terms, strict=True)
            if label in term
        )
        for label in "".join(terms)
    }
    (y, labels), *others = map(_without_repeats, node.inputs, terms)
    for place, (x, more) in enumerate(others, 1):
        wanted = result + "".join(later for _, later in others[place:])
        y, labels = _multiplied(y, labels, x, more, wanted)
    y, labels = _summed(y, labels, result)
    ordered = "".join(label for label in result if label in labels)
    y = transposed(y, [labels.index(label) for label in ordered])
    return [reshaped(y, [sizes[label] for label in result])]


def _spelled_out(equation: str, ranks: list[int]) -> list[str]:
    """The letters of the axes of each input, then of the result."""
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
    spare = "".join(chr(_FIRST_SPARE + place) for place in range(most))
    spelled = [
        term.replace(_ELLIPSIS, spare[most - count :])
        for term, count in zip(terms, hidden, strict=True)
    ]
    return [*spelled, result.replace(_ELLIPSIS, spare)]


def _without_repeats(x: Any, labels: str) -> tuple[Any, str]:
    """The diagonal of axes of one letter, without axes of size 1, which broadcast."""
    for label in sorted(set(labels)):
        while labels.count(label) > 1:
            first, second = labels.index(label), labels.rindex(label)
            rest = [axis for axis in range(len(labels)) if axis not in {first, second}]
            size = x.shape[first]
            square = transposed(x, [first, second, *rest])
            square = reshaped(square, [size * size, *square.shape.as_list()[2:]])
            x = taken(square, range(0, size * size, size + 1), 0)
            labels = label + "".join(labels[axis] for axis in rest)
    sizes = dict(zip(labels, x.shape.as_list(), strict=True))
    left = [label for label in labels if sizes[label] != 1]
    return reshaped(x, [sizes[label] for label in left]), "".join(left)


def _summed(x: Any, labels: str, wanted: str) -> tuple[Any, str]:
    axes = [axis for axis, label in enumerate(labels) if label not in wanted]
    y = summed(x, axes) if axes else x
    return y, "".join(label for label in labels if label in wanted)


def _multiplied(a: Any, of_a: str, b: Any, of_b: str, wanted: str) -> tuple[Any, str]:
    """The product of two tensors, summed over what neither the result nor later factors have.

    Args:
        a: A tensor.
        of_a: The letters of its axes.
        b: The other tensor.
        of_b: The letters of its axes.
        wanted: Letters that have to stay.

    Returns:
        The product, and the letters of its axes.
    """
    import tensorflow as tf

    a, of_a = _summed(a, of_a, wanted + of_b)
    b, of_b = _summed(b, of_b, wanted + of_a)
    batch = "".join(label for label in of_a if label in of_b and label in wanted)
    inner = "".join(label for label in of_a if label in of_b and label not in wanted)
    rows = "".join(label for label in of_a if label not in of_b)
    columns = "".join(label for label in of_b if label not in of_a)
    if constant(a) is not None and not batch:
        a, of_a, rows, b, of_b, columns = b, of_b, columns, a, of_a, rows
    sizes = dict(zip(of_a + of_b, a.shape.as_list() + b.shape.as_list(), strict=True))
    shape = [sizes[label] for label in batch + rows + columns]

    def arranged(x: Any, labels: str, *groups: str) -> Any:
        order = [labels.index(label) for label in "".join(groups)]
        grouped = [math.prod(sizes[label] for label in group) for group in groups]
        return reshaped(transposed(x, order), grouped)

    right = arranged(b, of_b, batch, inner, columns)
    weights = None if batch else constant(right)
    if not inner:
        y = _side_by_side(arranged(a, of_a, batch, rows, ""), arranged(b, of_b, batch, "", columns))
    elif weights is not None:
        y = fully_connected(arranged(a, of_a, rows, inner), weights[0], None)
    else:
        y = tf.matmul(settled(arranged(a, of_a, batch, rows, inner)), settled(right))
    return reshaped(y, shape), batch + rows + columns


def _side_by_side(a: Any, b: Any) -> Any:
    import tensorflow as tf

    values, order = aligned((a, b)) or ([a, b], range(3))
    return transposed(tf.multiply(*values), order)


LOWERINGS: dict[str, Lowering] = {"Einsum": einsum}

"""Transposes of more axes than TFLite's kernel takes, as several of fewer.

Axes that stay neighbours count as one, and those of size 1 as none. Where more than six are left,
some are brought to the front at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

MOST_AXES = 6
"""Of TFLite's TRANSPOSE; beyond, TensorFlow's converter asks for SELECT_TF."""
Step = tuple[list[int], list[int]]


def turned(x: Any, order: Sequence[int]) -> Any:
    """Transpose a tensor, in steps where it has too many axes for one.

    Args:
        x: A tensor.
        order: For each axis of the result, the axis of ``x``.
    """
    import tensorflow as tf

    if len(order) <= MOST_AXES or not x.shape.is_fully_defined():
        return tf.transpose(x, order)
    sizes = x.shape.as_list()
    result = [sizes[axis] for axis in order]
    for shape, step in steps(order, sizes):
        x = tf.transpose(tf.reshape(x, shape), step)
    return tf.reshape(x, result)


def steps(order: Sequence[int], sizes: Sequence[int]) -> list[Step]:
    """Split a transpose.

    Args:
        order: For each axis of the result, the axis of the source.
        sizes: Of the source's axes.

    Returns:
        Shapes to reshape to, each with the order of a transpose of at most `MOST_AXES` axes behind
        it; none where nothing moves. A reshape to the sizes of the result is left to the caller.
    """
    shape, order = _joined(order, sizes)
    if len(order) <= 1:
        return []
    if len(order) <= MOST_AXES:
        return [(shape, order)]
    front = _most_to_the_front(order, shape)
    first = [*order[:front], *sorted(order[front:])]
    place = {axis: position for position, axis in enumerate(first)}
    rest = steps([place[axis] for axis in order], [shape[axis] for axis in first])
    return [_joined(first, shape), *rest]


def _most_to_the_front(order: Sequence[int], shape: Sequence[int]) -> int:
    """How many axes of the result one transpose can bring to the front; two always work."""
    return max(
        count
        for count in range(2, len(order))
        if len(_joined([*order[:count], *sorted(order[count:])], shape)[1]) <= MOST_AXES
    )


def _joined(order: Sequence[int], sizes: Sequence[int]) -> Step:
    """The same transpose with neighbours that stay neighbours as one axis; sizes and order."""
    axes = [axis for axis, size in enumerate(sizes) if size != 1]
    place = {axis: position for position, axis in enumerate(axes)}
    moved = [place[axis] for axis in order if axis in place]
    runs: list[list[int]] = []
    for before, axis in itertools.pairwise([-2, *moved]):
        if axis == before + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    by_source = sorted(runs)
    shape = [math.prod(sizes[axes[position]] for position in run) for run in by_source]
    return shape, [by_source.index(run) for run in runs]

"""Scatters and gathers by indices: ScatterND, ScatterElements, GatherND, GatherElements.

The stock handlers lack the reductions, and compute places in the graph with loops and operators
that have no integer kernels. Ours know most places while the graph is made: the in-place assignment
``x[:, :, 1::2] = y`` of PyTorch is a concatenation and a choice of places along one axis, in the
layout that the tensor is kept in, and both only move integers. Places that are known at run time
alone take SCATTER_ND and GATHER over one flattened axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from engine.conversion.lowering.elementwise import align
from engine.conversion.lowering.layout import (
    constant,
    integers,
    is_static,
    operation,
    permute,
    reshape_tensor,
)
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.shape import concatenate, take_along

Combine = Callable[[Any, Any], Any]
_MOVES = {"Cast", "Reshape", "Transpose", "ExpandDims", "BroadcastTo", "StridedSlice"}
_LARGEST_SELECTION = 2**20


def scatter_nd(node: Node) -> list[Any] | None:
    """Lower an update of places that name the first axes."""
    x, indices, updates = node.inputs
    if not all(map(is_static, node.inputs)):
        return None
    depth = indices.shape[-1]
    places = _flat_places(indices, x.shape.as_list()[:depth])
    return [_scatter(x, depth, places, updates, node.attributes.get("reduction", "none"))]


def scatter_elements(node: Node) -> list[Any] | None:
    """Lower an update of single numbers, whose places are named along one axis."""
    x, indices, updates = node.inputs
    if not all(map(is_static, node.inputs)):
        return None
    places = _element_places(indices, x.shape.as_list(), node.attributes.get("axis", 0))
    reduction = node.attributes.get("reduction", "none")
    return [_scatter(x, x.shape.rank, places, updates, reduction)]


def gather_nd(node: Node) -> list[Any] | None:
    """Lower a choice of places that name the axes behind those of the batch."""
    import tensorflow as tf

    x, indices = node.inputs
    if not is_static(x) or not is_static(indices):
        return None
    sizes, batch = x.shape.as_list(), int(node.attributes.get("batch_dims", 0))
    last = batch + indices.shape[-1]
    places = _flat_places(indices, sizes[batch:last])
    if last == 1 and isinstance(places, np.ndarray) and places.ndim == 1:
        return [
            take_along(x, places.tolist(), 0)
        ]  # torch.export's x[:, places], between transposes
    # Each row of the batch begins behind the rows before it.
    starts = np.arange(math.prod(sizes[:batch]), dtype=np.int32) * math.prod(sizes[batch:last])
    places = places + starts.reshape(*sizes[:batch], *[1] * (indices.shape.rank - 1 - batch))
    return [tf.gather(reshape_tensor(x, [math.prod(sizes[:last]), *sizes[last:]]), places)]


def gather_elements(node: Node) -> list[Any] | None:
    """Lower a choice of single numbers, whose places are named along one axis."""
    import tensorflow as tf

    x, indices = node.inputs
    if not is_static(x) or not is_static(indices):
        return None
    sizes, axis = x.shape.as_list(), node.attributes.get("axis", 0) % x.shape.rank
    places = _element_places(indices, sizes, axis)
    if isinstance(places, np.ndarray) and places.size:
        box = _box_of(places.reshape(-1), sizes)
        if box is not None:
            for along, chosen in enumerate(box):
                x = take_along(x, chosen, along)
            return [x]
    return [tf.gather(reshape_tensor(x, [-1]), places)]


def col2im(node: Node) -> list[Any] | None:
    """Lower the sum of windows at their places in a picture, of any number of dimensions."""
    import tensorflow as tf

    x = node.inputs[0]
    size, window = integers(node.inputs[1]), integers(node.inputs[2])
    if size is None or window is None or not is_static(x):
        return None
    axes = len(size)
    strides, dilations = (
        node.attributes.get(name, [1] * axes) for name in ("strides", "dilations")
    )
    pads = node.attributes.get("pads", [0] * 2 * axes)
    wide = [size[a] + pads[a] + pads[a + axes] for a in range(axes)]
    along = []
    for a in range(axes):
        reach = dilations[a] * (window[a] - 1) + 1
        starts = np.arange(0, wide[a] - reach + 1, strides[a])
        along.append(np.arange(window[a])[:, None] * dilations[a] + starts)
    # Axes of the windows first, then those of their starts, as in the input.
    grid = np.ix_(*(places.reshape(-1) for places in along))
    flat = np.ravel_multi_index(grid, wide).reshape([n for p in along for n in p.shape])
    flat = flat.transpose([*range(0, 2 * axes, 2), *range(1, 2 * axes, 2)])
    batch, channels = x.shape[0], x.shape[1] // math.prod(window)
    rows = permute(reshape_tensor(x, [batch * channels, flat.size]), (1, 0))
    zeros = tf.zeros([math.prod(wide), batch * channels], x.dtype)
    y = permute(_scatter(zeros, 1, flat.reshape(-1), rows, "add"), (1, 0))
    y = reshape_tensor(y, [batch, channels, *wide])
    for a in range(axes):
        y = take_along(y, range(pads[a], pads[a] + size[a]), a + 2)
    return [y]


def from_start(indices: Any, size: Any) -> Any:
    """Count negative indices from the start; an array where they are known, else a tensor."""
    import tensorflow as tf

    value = constant(indices)
    if value is not None:
        return np.where(value < 0, value + size, value).astype(np.int32)
    below_zero = may_be_negative(indices)
    indices = tf.cast(indices, tf.int32)
    # No comparison: TensorFlow's int16 quantizer asks for ranges of the integers in one.
    return tf.math.floormod(indices, size) if below_zero else indices


def may_be_negative(indices: Any) -> bool:
    """Tell whether indices come from other operators than those that count from the start."""
    made_by = operation(indices)
    while made_by is not None and made_by.type in _MOVES:
        made_by = operation(made_by.inputs[0])
    return made_by is None or made_by.type not in {"ArgMax", "ArgMin", "TopKV2"}


def _flat_places(indices: Any, sizes: Sequence[int]) -> Any:
    """Compute places in flattened axes, of indices of shape (..., axes).

    Returns:
        Shape (...); an array where the indices are known, else a tensor.
    """
    indices = from_start(indices, np.array(sizes, np.int32))
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return sum(indices[..., axis] * stride for axis, stride in enumerate(strides))


def _element_places(indices: Any, sizes: Sequence[int], axis: int) -> Any:
    """Compute places in the flattened tensor that indices along one axis name.

    Returns:
        The shape of the indices; an array where they are known, else a tensor.
    """
    rank = len(sizes)
    axis %= rank
    grid = np.ogrid[tuple(slice(size) for size in indices.shape.as_list())]
    strides = [math.prod(sizes[number + 1 :]) for number in range(rank)]
    rest = sum(grid[number] * strides[number] for number in range(rank) if number != axis)
    return from_start(indices, sizes[axis]) * strides[axis] + np.asarray(rest, np.int32)


def _scatter(x: Any, depth: int, places: Any, updates: Any, reduction: str) -> Any:
    """Update a tensor.

    Args:
        x: A static tensor.
        depth: How many first axes the places count in, flattened.
        places: Any shape; an array where they are known, else a tensor.
        updates: The shape of the places, then the other axes.
        reduction: ``none``, ``add``, ``mul``, ``max`` or ``min``.
    """
    sizes = x.shape.as_list()
    combine = _combine(reduction)
    rows = [math.prod(sizes[:depth]), *sizes[depth:]]
    updates_of_rows = [math.prod(places.shape), *sizes[depth:]]
    if not isinstance(places, np.ndarray):
        flat = reshape_tensor(updates, updates_of_rows)
        return reshape_tensor(
            _scatter_anywhere(reshape_tensor(x, rows), places, flat, reduction), sizes
        )
    places = places.reshape(-1)
    for chosen in _rounds(places, repeated=combine is not None):
        if len(chosen) < len(places):
            part = take_along(reshape_tensor(updates, updates_of_rows), chosen.tolist(), 0)
        else:
            part = updates
        box = _box_of(places[chosen], sizes[:depth])
        if box is None:
            # Over one flattened axis any places are a box.
            part = reshape_tensor(part, [len(chosen), *sizes[depth:]])
            x = _assign_box(reshape_tensor(x, rows), [places[chosen].tolist()], part, combine)
        else:
            part = reshape_tensor(part, [*map(len, box), *sizes[depth:]])
            x = _assign_box(reshape_tensor(x, sizes), box, part, combine)
    return reshape_tensor(x, sizes)


def _combine(reduction: str) -> Combine | None:
    import tensorflow as tf

    operators = {"add": tf.add, "mul": tf.multiply, "max": tf.maximum, "min": tf.minimum}
    if reduction == "none":
        return None

    def combine(first: Any, second: Any) -> Any:
        together = align((first, second))
        if together is None:
            return operators[reduction](first, second)
        values, order = together
        return permute(operators[reduction](*values), order)

    return combine


def _rounds(places: np.ndarray, *, repeated: bool) -> Iterator[np.ndarray]:
    """Yield the updates to do at once, so that none of them meets another at its index.

    Args:
        places: One for each update.
        repeated: Whether a place takes all of its updates, one a round, or the last one alone.
    """
    if not len(places):
        return
    order = np.argsort(places, kind="stable")
    starts = np.flatnonzero(np.diff(places[order], prepend=-1))
    lengths = np.diff(starts, append=len(places))
    if not repeated:
        yield np.sort(order[starts + lengths - 1])
        return
    for turn in range(int(lengths.max(initial=0))):
        yield np.sort(order[(starts + turn)[lengths > turn]])


def _box_of(places: np.ndarray, sizes: Sequence[int]) -> list[list[int]] | None:
    """Find indices along each axis whose combinations, the last axis quickest, are these."""
    along = np.unravel_index(places, sizes)
    box = [list(dict.fromkeys(axis.tolist())) for axis in along]
    if math.prod(map(len, box)) != len(places):
        return None
    combined = np.ravel_multi_index(np.ix_(*box), tuple(sizes))
    return box if np.array_equal(combined.reshape(-1), places) else None


def _assign_box(x: Any, box: list[list[int]], updates: Any, combine: Combine | None) -> Any:
    """Update a box of the first axes; ``combine`` computes from old numbers and updates."""
    if combine is not None:
        old = x
        for axis, places in enumerate(box):
            old = take_along(old, places, axis)
        updates = combine(old, updates)
    return _put(x, box, updates)


def _put(x: Any, box: list[list[int]], updates: Any) -> Any:
    partial = [axis for axis, places in enumerate(box) if places != list(range(x.shape[axis]))]
    if not partial:
        return updates
    axis = partial[0]
    if len(partial) > 1:
        part = take_along(x, box[axis], axis)
        updates = _put(part, [*box[:axis], list(range(len(box[axis]))), *box[axis + 1 :]], updates)
    return _put_along(x, axis, box[axis], updates)


def _put_along(x: Any, axis: int, places: list[int], updates: Any) -> Any:
    size, first, behind = x.shape[axis], places[0], places[-1] + 1
    if places == list(range(first, behind)):
        before = [take_along(x, range(first), axis)] if first else []
        after = [take_along(x, range(behind, size), axis)] if behind < size else []
        return concatenate([*before, updates, *after], axis)
    order = np.arange(size)
    order[places] = size + np.arange(len(places))
    return take_along(concatenate([x, updates], axis), order.tolist(), axis)


def _scatter_anywhere(rows: Any, places: Any, updates: Any, reduction: str) -> Any:
    """Update rows at places that are known at run time alone."""
    import tensorflow as tf

    places, count = tf.reshape(places, [-1]), rows.shape[0]
    ones, combine = [1] * (rows.shape.rank - 1), _combine(reduction)
    if combine is None:
        return put_rows(rows, places, updates)
    if reduction == "add":
        return combine(rows, _spread(places, updates, rows.shape))
    # For each update the rows that it names, and rows that change nothing for the others.
    here = tf.reshape(hits(places, count, 1), [-1, count, *ones])
    neutral = tf.ones_like(rows) if reduction == "mul" else rows
    spread = tf.where(here, updates[:, None], neutral)
    reduced = {"mul": tf.reduce_prod, "max": tf.reduce_max, "min": tf.reduce_min}[reduction]
    return combine(rows, reduced(spread, 0))


def put_rows(rows: Any, places: Any, updates: Any) -> Any:
    """Put rows in the place of others; of several for one place, the last.

    Their numbers are scattered, not they: quantized, SCATTER_ND fills with what is no zero.

    Args:
        rows: Shape (rows, ...).
        places: Shape (updates,), integers.
        updates: Shape (updates, ...).
    """
    import tensorflow as tf

    count = rows.shape[0]
    each = np.arange(count, dtype=np.int32)
    numbers = np.arange(count + updates.shape[0], dtype=np.int32)
    named = tf.concat([each, tf.cast(places, tf.int32)], 0)
    chosen = tf.math.unsorted_segment_max(numbers, named, count)
    return tf.gather(concatenate([rows, updates], 0), chosen)


def _spread(places: Any, updates: Any, shape: Any) -> Any:
    """Add the updates to zeros at their places."""
    import tensorflow as tf

    count = shape[0]
    if not updates.dtype.is_floating:
        return tf.scatter_nd(places[:, None], updates, shape)
    if places.shape[0] * count > _LARGEST_SELECTION:
        # It stays in float32, where SCATTER_ND would add the zero points of integers.
        return tf.math.unsorted_segment_sum(updates, places, count)
    # Neither has an int16 kernel; a product with ones and zeros has.
    selection = tf.where(hits(places, count, 0), tf.ones([], updates.dtype), 0)
    return tf.reshape(tf.matmul(selection, reshape_tensor(updates, [places.shape[0], -1])), shape)


def hits(places: Any, depth: int, axis: int) -> Any:
    """Add an axis that is true at the given indices, for a choice between two numbers.

    Quantized to int8, ONE_HOT gives other zeros than its own output's; the converter makes one of a
    cast, too.
    """
    import tensorflow as tf

    return tf.one_hot(places, depth, True, False, axis=axis, dtype=tf.bool)


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


def top_k(node: Node) -> list[Any] | None:
    """Lower the choice of a known number of the largest, or smallest, along an axis."""
    import tensorflow as tf

    x, count = node.inputs[0], integers(node.input(1))
    if count is None:
        count = [node.attributes["k"]] if "k" in node.attributes else None
    if count is None or x.shape.rank is None:
        return None
    axis, last = node.attributes.get("axis", -1) % x.shape.rank, x.shape.rank - 1
    swap = tuple({axis: last, last: axis}.get(index, index) for index in range(x.shape.rank))
    source = permute(x, swap)
    if node.attributes.get("largest", 1):
        values, places = tf.math.top_k(source, count[0])
    else:
        # Integer kernels have a product, but no NEG.
        sign = tf.constant(-1, x.dtype)
        values, places = tf.math.top_k(source * sign, count[0])
        values = values * sign
    return [permute(values, swap), permute(tf.cast(places, tf.int64), swap)]


LOWERINGS: dict[str, Lowering] = {
    "TopK": top_k,
    "OneHot": one_hot,
    "ScatterND": scatter_nd,
    "ScatterElements": scatter_elements,
    "Scatter": scatter_elements,
    "GatherND": gather_nd,
    "GatherElements": gather_elements,
    "Col2Im": col2im,
}

"""Operators that move numbers without changing them.

The stock handlers compute shapes, starts and indices in the graph, although the input size is
known, which leaves chains of integer operators in the file, and work in NCHW. Ours compute all of
that while the graph is made, look through transposes, and turn a gather of neighbours into a slice.

Sequences of tensors, which the exporter of PyTorch writes for uneven splits and unbinds, are ragged
tensors in the stock handlers, and TFLite has no kernels for these. Ours are tuples that live while
the graph is made: lengths and indices are known, so nothing but slices is left of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from engine.conversion.lowering.layout import (
    constant,
    integers,
    inverse,
    is_static,
    permute,
    read_integers,
    reshape_tensor,
    unknown,
    view,
)
from engine.conversion.lowering.narrowing import narrow_axis
from engine.conversion.lowering.node import Lowering, Node


def transpose(node: Node) -> list[Any] | None:
    """Lower a transpose: another order of the same tensor."""
    x = node.inputs[0]
    if x.shape.rank is None:
        return None
    return [permute(x, node.attributes.get("perm") or range(x.shape.rank)[::-1])]


def reshape(node: Node) -> list[Any] | None:
    """Lower a reshape to a known shape, where 0 may stand for an axis that stays."""
    x = node.inputs[0]
    shape = read_integers(node, "shape", 1)
    if shape is None or not is_static(x):
        return None
    if not node.attributes.get("allowzero"):
        shape = [size or x.shape[axis] for axis, size in enumerate(shape)]
    return [reshape_tensor(x, shape)]


def flatten(node: Node) -> list[Any] | None:
    """Lower a flattening to two axes."""
    x = node.inputs[0]
    if not is_static(x):
        return None
    axis = node.attributes.get("axis", 1)
    axis += x.shape.rank if axis < 0 else 0
    return [reshape_tensor(x, [int(np.prod(x.shape.as_list()[:axis])), -1])]


def squeeze(node: Node) -> list[Any] | None:
    """Lower the removal of axes of size 1."""
    x = node.inputs[0]
    axes = read_integers(node, "axes", 1)
    if unknown(node, 1) or not is_static(x):
        return None
    sizes = x.shape.as_list()
    gone = {axis % len(sizes) for axis in axes} if axes is not None else None
    return [
        reshape_tensor(
            x,
            [
                size
                for axis, size in enumerate(sizes)
                if (size != 1 if gone is None else axis not in gone)
            ],
        )
    ]


def unsqueeze(node: Node) -> list[Any] | None:
    """Lower the insertion of axes of size 1."""
    x = node.inputs[0]
    axes = read_integers(node, "axes", 1)
    if axes is None or not is_static(x):
        return None
    sizes = x.shape.as_list()
    for axis in sorted(axis % (len(sizes) + len(axes)) for axis in axes):
        sizes.insert(axis, 1)
    return [reshape_tensor(x, sizes)]


def shape(node: Node) -> list[Any] | None:
    """Lower a shape that is known to a constant."""
    import tensorflow as tf

    x = node.inputs[0]
    if not is_static(x):
        return None
    sizes = x.shape.as_list()[node.attributes.get("start", 0) : node.attributes.get("end")]
    return [tf.constant(sizes, tf.int64)]


def concat(node: Node) -> list[Any] | None:
    """Lower a concatenation."""
    parts = node.inputs
    if not all(is_static(part) for part in parts):
        return None
    return [concatenate(parts, int(node.attributes["axis"]) % parts[0].shape.rank)]


def concatenate(parts: Sequence[Any], axis: int) -> Any:
    """Concatenate static tensors, in the order of the largest; constants give a constant."""
    import tensorflow as tf

    changing = [part for part in parts if constant(part) is None]
    if not changing:
        return tf.constant(np.concatenate([constant(part) for part in parts], axis))
    leading = max(changing, key=lambda part: (np.prod(part.shape.as_list()), view(part)[1]))
    order = view(leading)[1]
    turned = [permute(part, inverse(order)) for part in parts if 0 not in part.shape.as_list()]
    return permute(tf.concat(turned, order[axis]), order)


def split(node: Node) -> list[Any] | None:
    """Lower a cut into parts of known sizes."""
    x = node.inputs[0]
    if x.shape.rank is None or not is_static(x):
        return None
    axis = node.attributes.get("axis", 0) % x.shape.rank
    sizes = read_integers(node, "split", 1)
    if unknown(node, 1):
        return None
    if sizes is None:
        count = int(node.attributes.get("num_outputs", node.outputs))
        part = -(-x.shape[axis] // count)
        sizes = [min(part, x.shape[axis] - part * index) for index in range(count)]
    return split_into(x, sizes, axis)


def split_into(x: Any, sizes: Sequence[int], axis: int) -> list[Any]:
    """Cut a tensor of known rank into parts of these sizes along an axis."""
    source, order = view(x)
    before = (slice(None),) * order[axis]
    # Slices, not a SPLIT_V: XNNPACK has no such kernel, and a delegate ends in front of it.
    cuts = [slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]
    return [permute(source[(*before, cut)], order) for cut in cuts]


def slice_(node: Node) -> list[Any] | None:
    """Lower a slice with known bounds."""
    x = node.inputs[0]
    if x.shape.rank is None or not is_static(x):
        return None
    starts, ends, axes, steps = (
        read_integers(node, name, position)
        for position, name in enumerate(("starts", "ends", "axes", "steps"), 1)
    )
    if starts is None or ends is None:
        return None
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    source, order = view(x)
    cuts = [slice(None)] * len(order)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        there = order[axis % len(order)]
        size = source.shape[there]
        # A bound below the first place: slice() would count it from the end.
        low = None if step < 0 and end < -size else end
        cuts[there] = slice(*slice(max(start, -size), low, step).indices(size))
        if step < 0 and cuts[there].stop < 0:
            cuts[there] = slice(cuts[there].start, None, step)
    narrow = [
        axis
        for axis, (cut, size) in enumerate(zip(cuts, source.shape, strict=True))
        if not _whole(cut, size)
    ]
    if not narrow:
        return [x]
    first, *others = narrow
    if node.alone and not others and cuts[first].step in {1, None}:
        start, stop, _ = cuts[first].indices(source.shape[first])
        return [permute(narrow_axis(source, first, start, stop), order)]
    return [permute(source[tuple(cuts)], order)]


def _whole(cut: slice, size: int) -> bool:
    return cut.indices(size) == (0, size, 1)


def gather(node: Node) -> list[Any] | None:
    """Lower a choice of known places along an axis."""
    x, places = node.inputs[0], constant(node.inputs[1])
    if places is None or not is_static(x) or constant(x) is not None:
        return None
    axis = node.attributes.get("axis", 0) % x.shape.rank
    wanted = [int(index) % x.shape[axis] for index in places.reshape(-1)]
    run = _even_run(wanted)
    if node.alone and run is not None and run.step == 1:
        source, order = view(x)
        y = permute(narrow_axis(source, order[axis], run.start, run.stop), order)
    else:
        y = take_along(x, wanted, axis)
    sizes = y.shape.as_list()
    return [reshape_tensor(y, [*sizes[:axis], *places.shape, *sizes[axis + 1 :]])]


def take_along(x: Any, places: Sequence[int], axis: int) -> Any:
    """Choose places along an axis of a static tensor, by a slice where they are evenly spaced."""
    import tensorflow as tf

    value = constant(x)
    if value is not None:
        return tf.constant(value.take(places, axis))
    run = _even_run(places)
    source, order = view(x)
    if run is None:
        return permute(tf.gather(source, list(places), axis=order[axis]), order)
    if len(run) == x.shape[axis]:
        return x
    cuts = [slice(None)] * len(order)
    cuts[order[axis]] = slice(run.start, run.stop, run.step)
    return permute(source[tuple(cuts)], order)


def _even_run(places: Sequence[int]) -> range | None:
    """Write indices in ascending order at equal distances as a range."""
    step = places[1] - places[0] if len(places) > 1 else 1
    if step <= 0:
        return None
    run = range(places[0], places[-1] + 1, step)
    return run if list(run) == list(places) else None


def tile(node: Node) -> list[Any] | None:
    """Lower a repetition a known number of times."""
    import tensorflow as tf

    x, repeats = node.inputs[0], integers(node.input(1))
    if repeats is None or x.shape.rank is None or len(repeats) != x.shape.rank:
        return None
    source, order = view(x)
    return [permute(tf.tile(source, [repeats[order.index(a)] for a in range(len(order))]), order)]


def depth_to_space(node: Node) -> list[Any] | None:
    """Lower channels spread over rows and columns."""
    x = node.inputs[0]
    if not is_static(x) or x.shape.rank != 4:
        return None
    block = int(node.attributes["blocksize"])
    batch, channels, rows, columns = x.shape.as_list()
    depth = channels // block**2
    if node.attributes.get("mode", "DCR") == "DCR":
        y = reshape_tensor(x, [batch, block, block, depth, rows, columns])
        y = permute(y, (0, 3, 4, 1, 5, 2))
    else:
        y = reshape_tensor(x, [batch, depth, block, block, rows, columns])
        y = permute(y, (0, 1, 4, 2, 5, 3))
    return [reshape_tensor(y, [batch, depth, rows * block, columns * block])]


def space_to_depth(node: Node) -> list[Any] | None:
    """Lower blocks of rows and columns gathered in channels."""
    x = node.inputs[0]
    if not is_static(x) or x.shape.rank != 4:
        return None
    block = int(node.attributes["blocksize"])
    batch, channels, rows, columns = x.shape.as_list()
    y = reshape_tensor(x, [batch, channels, rows // block, block, columns // block, block])
    crd = node.attributes.get("mode", "DCR") == "CRD"
    y = permute(y, (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4))
    return [reshape_tensor(y, [batch, channels * block**2, rows // block, columns // block])]


def split_to_sequence(node: Node) -> list[Any]:
    """Lower a cut into parts of known sizes, or of one size but for the last."""
    x = node.inputs[0]
    axis = node.attributes.get("axis", 0) % x.shape.rank
    size, given = x.shape[axis], _read_position(node, 1)
    if given is None or node.inputs[1].shape.rank == 0:
        part = 1 if given is None else given[0]
        given = [min(part, size - start) for start in range(0, size, part)]
    parts = split_into(x, given, axis)
    if node.input(1) is None and not node.attributes.get("keepdims", 1):
        sizes = x.shape.as_list()
        parts = [reshape_tensor(part, sizes[:axis] + sizes[axis + 1 :]) for part in parts]
    return [tuple(parts)]


def sequence_construct(node: Node) -> list[Any]:
    """Lower a sequence of tensors that are listed; none of them for an empty one."""
    return [node.inputs]


def sequence_at(node: Node) -> list[Any]:
    """Lower the choice of a tensor."""
    (position,) = _read_position(node, 1) or [0]
    return [node.inputs[0][position]]


def sequence_insert(node: Node) -> list[Any]:
    """Lower the insertion of a tensor, behind the others where no place is given."""
    sequence, tensor = list(node.inputs[0]), node.inputs[1]
    (position,) = _read_position(node, 2) or [len(sequence)]
    sequence.insert(position, tensor)
    return [tuple(sequence)]


def sequence_erase(node: Node) -> list[Any]:
    """Lower the removal of a tensor, of the last where no place is given."""
    sequence = list(node.inputs[0])
    (position,) = _read_position(node, 1) or [-1]
    del sequence[position]
    return [tuple(sequence)]


def sequence_length(node: Node) -> list[Any]:
    """Lower the number of tensors to a constant."""
    import tensorflow as tf

    return [tf.constant(len(node.inputs[0]), tf.int64)]


def concat_from_sequence(node: Node) -> list[Any]:
    """Lower a concatenation, along a new axis or one that is there."""
    parts = list(node.inputs[0])
    if node.attributes.get("new_axis"):
        axis = node.attributes["axis"] % (parts[0].shape.rank + 1)
        sizes = parts[0].shape.as_list()
        parts = [reshape_tensor(part, [*sizes[:axis], 1, *sizes[axis:]]) for part in parts]
    return [concatenate(parts, node.attributes["axis"] % parts[0].shape.rank)]


def _read_position(node: Node, index: int) -> list[int] | None:
    if unknown(node, index):
        raise ValueError("where it cuts or reads a sequence is known at run time alone")
    return integers(node.input(index))


LOWERINGS: dict[str, Lowering] = {
    "Transpose": transpose,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Shape": shape,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Gather": gather,
    "Tile": tile,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "SplitToSequence": split_to_sequence,
    "SequenceAt": sequence_at,
    "SequenceConstruct": sequence_construct,
    "SequenceEmpty": sequence_construct,
    "SequenceErase": sequence_erase,
    "SequenceInsert": sequence_insert,
    "SequenceLength": sequence_length,
    "ConcatFromSequence": concat_from_sequence,
}

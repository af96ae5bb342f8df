"""Layouts: a tensor in ONNX's order of axes that is kept in another one.

Every lowering computes in the order that TFLite's kernels want and gives its result back in ONNX's
order, through `permute`. Such a transpose is a promise rather than work: a lowering that takes the
tensor looks through it (`view`), computes on what lies behind, and puts a transpose behind its own
result. Two that meet cancel, and one that nobody reads is dropped when the graph is frozen. So no
transpose is left in an image CNN.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.conversion.lowering.node import Node

Order = tuple[int, ...]
NHWC: Order = (0, 2, 3, 1)
NCHW: Order = (0, 3, 1, 2)


def constant(x: Any) -> np.ndarray | None:
    """Read the value of a tensor that is known while the graph is built, or None."""
    import tensorflow as tf

    if x is None:
        return None
    value: np.ndarray | None = tf.get_static_value(x)
    return value


def integers(x: Any) -> list[int] | None:
    """Read whole numbers that are known while the graph is built, or None."""
    value = constant(x)
    return None if value is None else [int(number) for number in value.reshape(-1)]


def read_integers(node: Node, name: str, position: int) -> list[int] | None:
    """Read numbers that are an attribute in older operator sets and an input in newer ones.

    Returns:
        The numbers; None where they are left out, or known only at run time (`unknown`).
    """
    given = node.attributes.get(name)
    return integers(node.input(position)) if given is None else [int(number) for number in given]


def unknown(node: Node, position: int) -> bool:
    """Tell whether an input is there, but its value known only at run time."""
    return node.input(position) is not None and constant(node.input(position)) is None


def is_static(x: Any) -> bool:
    """Tell whether the shape of a tensor is wholly known."""
    return bool(x.shape.is_fully_defined())


def is_picture(x: Any) -> bool:
    """Tell whether a tensor is of four static dimensions."""
    return bool(x.shape.rank == 4 and is_static(x))


def operation(x: Any) -> Any:
    """Find the TensorFlow operation that makes a tensor; None for a constant."""
    import tensorflow as tf

    return x.op if tf.is_symbolic_tensor(x) else None


def view(x: Any) -> tuple[Any, Order]:
    """Look through a transpose.

    Returns:
        A tensor and an order such that ``x`` is that tensor transposed to that order.
    """
    made_by = operation(x)
    if made_by is not None and made_by.type == "Transpose":
        order = constant(made_by.inputs[1])
        if order is not None:
            return made_by.inputs[0], tuple(int(axis) for axis in order)
    return x, tuple(range(x.shape.rank))


def inverse(order: Order) -> Order:
    """Invert an order of axes."""
    return tuple(order.index(axis) for axis in range(len(order)))


def permute(x: Any, order: Sequence[int]) -> Any:
    """Transpose, after looking through a transpose that ``x`` already is.

    Returns:
        The transposed tensor; without any transpose where two of them cancel.
    """
    import tensorflow as tf

    value = constant(x)
    if value is not None:
        return tf.constant(np.ascontiguousarray(value.transpose(order)))
    source, first = view(x)
    total = tuple(first[axis] for axis in order)
    if total == tuple(range(len(total))):
        return source
    return permute_in_steps(source, total)


def to_nhwc(x: Any) -> Any:
    """Transpose a (N, C, H, W) tensor to (N, H, W, C)."""
    return permute(x, NHWC)


def to_nchw(x: Any) -> Any:
    """Transpose a (N, H, W, C) tensor to (N, C, H, W)."""
    return permute(x, NCHW)


def reshape_as_stored(x: Any, shape: Sequence[int]) -> Any:
    """Reshape a tensor in its own order, after looking through reshapes that it already is."""
    import tensorflow as tf

    x = _behind_reshapes(x)
    return x if x.shape.as_list() == list(shape) else tf.reshape(x, shape)


def _behind_reshapes(x: Any) -> Any:
    made_by = operation(x)
    while made_by is not None and made_by.type == "Reshape":
        x = made_by.inputs[0]
        made_by = operation(x)
    return x


@dataclass(frozen=True, slots=True)
class _Block:
    """Axes of the new shape that take the numbers of some atoms, in the atoms' order."""

    sizes: tuple[int, ...]
    axes: tuple[int, ...]
    atoms: tuple[int, ...]


def reshape_tensor(x: Any, shape: Sequence[int]) -> Any:
    """Reshape, moving the transpose that ``x`` may be behind the reshape.

    Where only axes of size 1 move, a tensor stays as it is kept. Else axes are cut into atoms, the
    largest pieces that both shapes are made of. Atoms that merge must lie side by side; where the
    transpose tore them apart, just those are brought together.
    """
    import tensorflow as tf

    value = constant(x)
    if value is not None:
        return tf.constant(value.reshape(shape))
    if not is_static(x):
        return tf.reshape(x, shape)
    old = x.shape.as_list()
    new = _fill(shape, math.prod(old))
    if old == new:
        return x
    source, order = view(x)
    if _moves_nothing(order, old):
        base = _behind_reshapes(source)
        turn = _order_of_ones(base.shape.as_list(), new)
        return reshape_as_stored(base, new) if turn is None else permute(base, turn)
    if 0 in old:
        return tf.reshape(x, new)
    atoms, blocks = _cut(old, new)
    return _rearrange(source, order, atoms, blocks)


def _order_of_ones(old: list[int], new: list[int]) -> Order | None:
    """Find the order that moves axes of size 1 alone, from some sizes to others."""
    ones = [axis for axis, size in enumerate(old) if size == 1]
    others = [axis for axis, size in enumerate(old) if size != 1]
    if len(old) != len(new) or [old[axis] for axis in others] != [n for n in new if n != 1]:
        return None
    return tuple((ones if size == 1 else others).pop(0) for size in new)


def settle(x: Any) -> Any:
    """Replace a transpose that only moves axes of size 1 by a reshape."""
    source, order = view(x)
    if source is not x and is_static(x) and _moves_nothing(order, x.shape.as_list()):
        return reshape_as_stored(source, x.shape.as_list())
    return x


def _fill(shape: Sequence[int], count: int) -> list[int]:
    product = math.prod(size for size in shape if size != -1)
    return [count // max(product, 1) if size == -1 else int(size) for size in shape]


def _moves_nothing(order: Order, sizes: Sequence[int]) -> bool:
    moved = [axis for axis, size in zip(order, sizes, strict=True) if size != 1]
    return moved == sorted(moved)


def _cut(old: list[int], new: list[int]) -> tuple[list[tuple[int, int]], list[_Block]]:
    """Cut axes into atoms (old axis, size), and into blocks of the new shape that take them."""
    old_ends, new_ends = _ends(old), _ends(new)
    cuts = sorted(set(old_ends) | set(new_ends))
    if any(after % before for before, after in itertools.pairwise(cuts)):
        # Sizes such as 4 x 6 to 6 x 4 share no atoms: what lies between two common ends is one.
        cuts = sorted(set(old_ends))
        joints = sorted(set(old_ends) & set(new_ends))
    else:
        joints = sorted(set(new_ends))
    atoms = []
    for axis, size in enumerate(old):
        if size > 1:
            start = math.prod(old[:axis])
            inside = [cut for cut in cuts if start < cut <= start * size]
            edges = [start, *inside]
            atoms += [(axis, b // a) for a, b in itertools.pairwise(edges)]
    ends_of_atoms = list(np.cumprod([size for _, size in atoms]))
    blocks, begin, axis = [], 0, 0
    for joint in joints:
        end = ends_of_atoms.index(joint) + 1
        axes = []
        while axis < len(new) and math.prod(new[: axis + 1]) <= joint:
            axes.append(axis)
            axis += 1
        blocks.append(_Block(tuple(new[a] for a in axes), tuple(axes), tuple(range(begin, end))))
        begin = end
    return atoms, blocks


def _ends(sizes: list[int]) -> list[int]:
    return [math.prod(sizes[: axis + 1]) for axis, size in enumerate(sizes) if size > 1]


def _rearrange(
    source: Any, order: Order, atoms: list[tuple[int, int]], blocks: list[_Block]
) -> Any:
    # Where each atom lies in the source: by the source's axis, then by its place within that axis.
    lying = sorted(range(len(atoms)), key=lambda atom: (order[atoms[atom][0]], atom))
    position_of = {atom: position for position, atom in enumerate(lying)}
    leading = blocks[0].sizes[: _leading_ones(blocks[0].sizes)]
    blocks_there = sorted(blocks, key=lambda block: max(position_of[atom] for atom in block.atoms))
    wanted = [atom for block in blocks_there for atom in block.atoms]
    if wanted != lying:
        source = reshape_as_stored(source, [atoms[atom][1] for atom in lying])
        source = permute_in_steps(source, [position_of[atom] for atom in wanted])
    # Leading axes of size 1 stay in front: the batch.
    axes = list(range(len(leading)))
    for block in blocks_there:
        axes += [axis for axis in block.axes if axis >= len(leading)]
    size_of = {
        axis: size for block in blocks for axis, size in zip(block.axes, block.sizes, strict=True)
    }
    result = reshape_as_stored(source, [size_of[axis] for axis in axes])
    return permute(result, inverse(tuple(axes)))


def _leading_ones(sizes: tuple[int, ...]) -> int:
    count = 0
    while count < len(sizes) and sizes[count] == 1:
        count += 1
    return count


MOST_AXES = 6
"""Of TFLite's TRANSPOSE; beyond, TensorFlow's converter asks for SELECT_TF."""
Step = tuple[list[int], list[int]]


def permute_in_steps(x: Any, order: Sequence[int]) -> Any:
    """Transpose a tensor, in steps where it has too many axes for one."""
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
    shape, order = _join_axes(order, sizes)
    if len(order) <= 1:
        return []
    if len(order) <= MOST_AXES:
        return [(shape, order)]
    front = _most_to_the_front(order, shape)
    first = [*order[:front], *sorted(order[front:])]
    position_of = {axis: position for position, axis in enumerate(first)}
    rest = steps([position_of[axis] for axis in order], [shape[axis] for axis in first])
    return [_join_axes(first, shape), *rest]


def _most_to_the_front(order: Sequence[int], shape: Sequence[int]) -> int:
    """Count the axes of the result that one transpose can bring to the front; two always work."""
    return max(
        count
        for count in range(2, len(order))
        if len(_join_axes([*order[:count], *sorted(order[count:])], shape)[1]) <= MOST_AXES
    )


def _join_axes(order: Sequence[int], sizes: Sequence[int]) -> Step:
    """Join axes that stay neighbours in a transpose; give its sizes and its order."""
    axes = [axis for axis, size in enumerate(sizes) if size != 1]
    position_of = {axis: position for position, axis in enumerate(axes)}
    moved = [position_of[axis] for axis in order if axis in position_of]
    runs: list[list[int]] = []
    for before, axis in itertools.pairwise([-2, *moved]):
        if axis == before + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    by_source = sorted(runs)
    shape = [math.prod(sizes[axes[position]] for position in run) for run in by_source]
    return shape, [by_source.index(run) for run in runs]

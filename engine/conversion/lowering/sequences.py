"""Sequences of tensors, as tuples that live while the graph is made.

The stock handlers make ragged tensors, which TFLite has no kernels for. PyTorch's exporter writes
sequences where it splits unevenly or unbinds; their lengths and the places that are read are known,
so nothing but slices is left of them.
"""

from __future__ import annotations

from typing import Any

from engine.conversion.lowering.layout import integers, reshape_tensor, unknown
from engine.conversion.lowering.node import Lowering, Node
from engine.conversion.lowering.shape import concatenate, split_into


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
    """The number of tensors, as a constant."""
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
    "SplitToSequence": split_to_sequence,
    "SequenceAt": sequence_at,
    "SequenceConstruct": sequence_construct,
    "SequenceEmpty": sequence_construct,
    "SequenceErase": sequence_erase,
    "SequenceInsert": sequence_insert,
    "SequenceLength": sequence_length,
    "ConcatFromSequence": concat_from_sequence,
}

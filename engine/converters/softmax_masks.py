"""Masks before a softmax, within a range that integers can hold.

A mask hides scores from a softmax by -1e9, the lowest float or minus infinity. Integers that reach
so far have no steps left for the scores. The softmax is the same where a mask reaches no farther
than 20 below the lowest score, since exp(-20) is 2e-9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

_HIDES = -1e4
_BELOW = np.float32(20)
_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"}


def bound_softmax_masks(model: ir.Model) -> None:
    """Bound the masks that only a softmax reads, in place.

    Args:
        model: The graph, its constants folded. ``Add(x, mask)`` and ``Where(shown, x, mask)``
            become ``Where(shown, x, ReduceMin(x) - 20)``; a scatter of scores into a mask becomes
            one into that bound.
    """
    for softmax in [node for node in model.graph if node.op_type == "Softmax"]:
        value = softmax.inputs[0]
        while value is not None:
            value = _bound(model.graph, value)


def _bound(graph: ir.Graph, value: ir.Value) -> ir.Value | None:
    """Bound the mask that a value is made with, if any.

    Returns:
        The value to look at next; None at the end of what only the softmax reads.
    """
    import onnx_ir as ir

    node = value.producer()
    if node is None or len(value.uses()) > 1 or value.is_graph_output():
        return None
    if node.op_type in _MOVES:
        return node.inputs[0]
    tape = ir.tape.Tape()
    inputs = [read for read in node.inputs if read is not None]
    scores, bounded = None, None
    if node.op_type == "Add":
        scores, bounded = _of_sum(tape, *inputs)
    elif node.op_type == "Where":
        scores, bounded = _of_choice(tape, *inputs)
    elif node.op_type in {"ScatterElements", "ScatterND"}:
        scores, bounded = _of_scatter(tape, node, *inputs)
    if bounded is not None:
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [value], [bounded])
    return scores


Bounded = tuple["ir.Value | None", "ir.Value | None"]


def _of_sum(tape: Any, first: ir.Value, second: ir.Value) -> Bounded:
    """The scores, and the bounded sum; the latter None where the mask hides nothing."""
    scores, mask = (first, _number(second)) if _number(first) is None else (second, _number(first))
    if mask is None:
        return None, None
    hidden = mask <= _HIDES
    # A row of minus infinities makes NaN, which must stay.
    if not hidden.any() or (np.isneginf(mask).any() and hidden.all(-1).any()):
        return scores, None
    rest = np.where(hidden, np.float32(0), mask)
    shown = tape.op("Add", [scores, _stored(tape, rest)]) if rest.any() else scores
    return scores, tape.op("Where", [_stored(tape, hidden), _bound_of(tape, scores), shown])


def _of_choice(tape: Any, condition: ir.Value, first: ir.Value, second: ir.Value) -> Bounded:
    """The scores, and the choice between them and a bound."""
    for mask, scores in ((first, second), (second, first)):
        numbers = _number(mask)
        if numbers is not None and (numbers <= _HIDES).all():
            bound = _bound_of(tape, scores)
            branches = [bound if branch is mask else branch for branch in (first, second)]
            return scores, tape.op("Where", [condition, *branches])
    return None, None


def _of_scatter(
    tape: Any, node: ir.Node, mask: ir.Value, places: ir.Value, scores: ir.Value
) -> Bounded:
    """The scores, and their scatter into a bound: a choice of experts hides the others so."""
    numbers, reduction = _number(mask), node.attributes.get("reduction")
    plain = reduction is None or reduction.as_string() == "none"
    if numbers is None or not plain or not (numbers <= _HIDES).all():
        return None, None
    shape = _stored(tape, np.array(numbers.shape, np.int64))
    everywhere = tape.op("Expand", [_bound_of(tape, scores), shape])
    attributes = {name: value.value for name, value in node.attributes.items()}
    return scores, tape.op(node.op_type, [everywhere, places, scores], attributes)


def _bound_of(tape: Any, scores: ir.Value) -> ir.Value:
    lowest = tape.op("ReduceMin", [scores], {"keepdims": 0})
    bound: ir.Value = tape.op("Sub", [lowest, _stored(tape, _BELOW)])
    return bound


def _number(value: ir.Value) -> np.ndarray | None:
    return None if value.const_value is None else value.const_value.numpy()


def _stored(tape: Any, value: Any) -> ir.Value:
    import onnx_ir as ir

    constant: ir.Value = tape.op("Constant", [], {"value": ir.tensor(np.asarray(value))})
    return constant

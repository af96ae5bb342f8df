"""Masks before a softmax, within a range that integers can hold.

A mask hides scores from a softmax by -1e9, the lowest float or minus infinity. Integers that reach
so far have no steps left for the scores. The softmax is the same where a mask reaches no farther
than 20 below the lowest score, since exp(-20) is 2e-9. A maximum or its place is the same too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

_HIDES = -1e4
_BELOW = 20.0
_READERS = {"Softmax", "ArgMax", "ReduceMax", "TopK"}
_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity"}
_COPIES = _MOVES | {"Slice", "Expand", "Tile", "Gather", "Flatten"}
_CASTS = {"Cast", "CastLike"}
_MARKED = _COPIES | {"ReduceMax"}
_COMPARISONS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
_TRUTHS = _COMPARISONS | {"Not", "And", "Or", "Xor", "IsNaN", "IsInf"}


def limit_softmax_masks(model: ir.Model) -> None:
    """Bound the masks that only a softmax or a maximum reads, in place.

    Args:
        model: The graph, its constants folded. ``Add(x, mask)`` and ``Where(shown, x, mask)``
            become ``Where(shown, x, ReduceMin(x) - 20)``; a scatter of scores into a mask becomes
            one into that bound. The mask may be computed: ``Where(shown, 0, -inf)`` or
            ``(1 - shown) * -1e9``.
    """
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    for reader in [node for node in model.graph if node.op_type in _READERS]:
        value, below = reader.inputs[0], _BELOW
        added: set[ir.Node] = set()
        while value is not None:
            value, below = _limit_mask(model.graph, value, below, added)
    for node in [node for node in model.graph if node.op_type == "Equal"]:
        _compare_marks(model.graph, node)
    RemoveUnusedNodesPass()(model)


def _limit_mask(
    graph: ir.Graph, value: ir.Value, below: float, added: set[ir.Node]
) -> tuple[ir.Value | None, float]:
    """Bound the mask that a value is made with, if any.

    Args:
        graph: Where the value is.
        value: What the softmax reads, or scores within it.
        below: How far below its lowest score a mask has to reach there.
        added: The operators that bounds before the same softmax brought; gets those of this one.

    Returns:
        The value to look at next, None at the end of what only the softmax reads; and its
        ``below``.
    """
    import onnx_ir as ir

    node = value.producer()
    users = {use.node for use in value.uses()}
    # A bound reads its scores twice.
    readers = len(users - added) + bool(users & added)
    if node is None or readers > 1 or value.is_graph_output():
        return None, below
    if node.op_type in _MOVES:
        return node.inputs[0], below
    tape = ir.tape.Tape()
    inputs = [read for read in node.inputs if read is not None]
    scores, bounded = None, None
    if node.op_type in {"Add", "Sub"}:
        scores, bounded = _of_sum(tape, node.op_type, *inputs, below=below)
    elif node.op_type == "Where":
        scores, bounded = _of_choice(tape, *inputs, below=below)
    elif node.op_type in {"ScatterElements", "ScatterND"}:
        scores, bounded = _of_scatter(tape, node, *inputs, below=below)
    elif node.op_type == "Max":
        scores = bounded = _of_floor(*inputs)
    elif node.op_type in {"Mul", "Div"}:
        scores, factor = _of_scale(node.op_type, *inputs)
        below /= factor
    if bounded is not None:
        added.update(tape.nodes)
        ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, [value], [bounded])
    return scores, below


def _compare_marks(graph: ir.Graph, node: ir.Node) -> None:
    """Ask marks whether all of a row is hidden, as Attention does, not minus infinity."""
    import onnx_ir as ir

    inputs = [read for read in node.inputs if read is not None]
    for mask, lowest in (inputs, inputs[::-1]):
        if not _hides(lowest, -np.inf):
            continue
        tape = ir.tape.Tape()
        marks = _marks(tape, mask, 1, -np.inf)
        if marks is not None:
            hidden = tape.op("Less", [marks, _store(tape, np.float32(-0.5))])
            old, new = list(node.outputs), [hidden]
            ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, old, new)
            return


Bounded = tuple["ir.Value | None", "ir.Value | None"]


def _of_sum(
    tape: Any, operator: str, first: ir.Value, second: ir.Value, *, below: float
) -> Bounded:
    """Split a sum into scores and the bounded sum, None where the mask hides nothing."""
    sign = -1 if operator == "Sub" else 1
    pairs = [(first, second), (second, first)] if sign == 1 else [(first, second)]
    for scores, mask in pairs:
        numbers = _number(mask)
        if numbers is not None:
            return scores, _of_constant(tape, scores, sign * numbers, below)
    for scores, mask in pairs:
        marks = _marks(tape, mask, sign)
        if marks is not None:
            hidden = tape.op("Less", [marks, _store(tape, np.float32(-0.5))])
            return scores, tape.op("Where", [hidden, _limit_scores(tape, scores, below), scores])
    return None, None


def _of_constant(tape: Any, scores: ir.Value, mask: np.ndarray, below: float) -> ir.Value | None:
    """Bound the sum of scores and a constant; None where it hides nothing."""
    hidden = mask <= _HIDES
    # A row of minus infinities makes NaN, which must stay.
    if not hidden.any() or (np.isneginf(mask).any() and hidden.all(-1).any()):
        return None
    rest = np.where(hidden, np.float32(0), mask)
    shown = tape.op("Add", [scores, _store(tape, rest)]) if rest.any() else scores
    bound = _limit_scores(tape, scores, below)
    bounded: ir.Value = tape.op("Where", [_store(tape, hidden), bound, shown])
    return bounded


def _of_choice(
    tape: Any, condition: ir.Value, first: ir.Value, second: ir.Value, *, below: float
) -> Bounded:
    """Split a choice into scores and the choice between them and a bound."""
    for mask, scores in ((first, second), (second, first)):
        if _hides(mask):
            bound = _limit_scores(tape, scores, below)
            branches = [bound if branch is mask else branch for branch in (first, second)]
            return scores, tape.op("Where", [condition, *branches])
    return None, None


def _of_scatter(
    tape: Any,
    node: ir.Node,
    mask: ir.Value,
    places: ir.Value,
    scores: ir.Value,
    *,
    below: float,
) -> Bounded:
    """Split a scatter into scores and their scatter into a bound, as a choice of experts is."""
    numbers, reduction = _number(mask), node.attributes.get("reduction")
    plain = reduction is None or reduction.as_string() == "none"
    if numbers is None or not plain or not (numbers <= _HIDES).all():
        return None, None
    shape = _store(tape, np.array(numbers.shape, np.int64))
    everywhere = tape.op("Expand", [_limit_scores(tape, scores, below), shape])
    attributes = {name: value.value for name, value in node.attributes.items()}
    return scores, tape.op(node.op_type, [everywhere, places, scores], attributes)


def _of_floor(first: ir.Value, *rest: ir.Value) -> ir.Value | None:
    """Find the scores of ``Max(scores, lowest float)``, which are all above it once bounded."""
    if len(rest) != 1:
        return None
    for scores, floor in ((first, rest[0]), (rest[0], first)):
        if _hides(floor):
            return scores
    return None


def _of_scale(operator: str, first: ir.Value, second: ir.Value) -> tuple[ir.Value | None, float]:
    """Split a product into scores and a positive factor; None and 1 otherwise."""
    pairs = [(first, second)] if operator == "Div" else [(first, second), (second, first)]
    for scores, scale in pairs:
        numbers = _number(scale)
        if numbers is not None and numbers.size == 1 and 0 < numbers.item() < np.inf:
            factor = float(numbers.item())
            return scores, 1 / factor if operator == "Div" else factor
    return None, 1.0


def _hides(value: ir.Value, hides: float = _HIDES) -> bool:
    """Tell whether all of a value is a constant that hides, copied or not."""
    numbers, node = _number(value), value.producer()
    if numbers is not None:
        return bool((numbers <= hides).all())
    if node is None or node.op_type not in _COPIES | _CASTS or node.inputs[0] is None:
        return False
    return _hides(node.inputs[0], hides)


def _marks(tape: Any, mask: ir.Value, sign: int, hides: float = _HIDES) -> ir.Value | None:
    """Compute a mask with -1 in place of what hides; None where it does more than hide.

    Args:
        tape: Takes the operators.
        mask: What is added to the scores.
        sign: -1 where it is subtracted from them.
        hides: The largest number that counts as hiding.

    Returns:
        Float32 of the mask's shape, 0 where it hides nothing and -1 or less elsewhere.
    """
    numbers, node = _number(mask), mask.producer()
    if numbers is not None:
        hidden = sign * numbers <= hides
        marks = -hidden.astype(np.float32)
        return _store(tape, marks) if (hidden | (numbers == 0)).all() else None
    if node is None:
        return None
    inputs = [read for read in node.inputs if read is not None]
    if node.op_type in _CASTS:
        return _marks(tape, inputs[0], sign, hides)
    if node.op_type == "Mul":
        return _marks_of_product(tape, *inputs, sign=sign, hides=hides)
    if node.op_type == "Where":
        return _marks_of_choice(tape, *inputs, sign=sign, hides=hides)
    if node.op_type == "Max" and (scores := _of_floor(*inputs)) is not None:
        return _marks(tape, scores, sign, hides)
    several = node.op_type in {"Add", "Concat"}
    if not several and node.op_type not in _MARKED:
        return None
    marked = [_marks(tape, read, sign, hides) for read in (inputs if several else inputs[:1])]
    if any(marks is None for marks in marked):
        return None
    attributes = {name: value.value for name, value in node.attributes.items()}
    copy: ir.Value = tape.op(node.op_type, [*marked, *inputs[len(marked) :]], attributes)
    return copy


def _marks_of_product(
    tape: Any, first: ir.Value, second: ir.Value, *, sign: int, hides: float
) -> ir.Value | None:
    """Find the marks of ``(1 - shown) * -1e9`` and ``(shown - 1) * 1e9``."""
    for truth, constant in ((first, second), (second, first)):
        numbers = _number(constant)
        if numbers is None:
            continue
        if (sign * numbers <= hides).all() and _lies_within(truth, 0, 1):
            marks: ir.Value = tape.op("Neg", [truth])
            return marks
        if (sign * numbers >= -hides).all() and _lies_within(truth, -1, 0):
            return truth
    return None


def _marks_of_choice(
    tape: Any, condition: ir.Value, first: ir.Value, second: ir.Value, *, sign: int, hides: float
) -> ir.Value | None:
    """Find the marks of ``Where(shown, 0, -1e9)`` and ``Where(hidden, -1e9, hidden)``."""
    nothing = _store(tape, np.float32(0))
    of_first = _marks(tape, first, sign, hides)
    cast = condition.producer()
    if cast is not None and cast.op_type == "Cast" and cast.inputs[0] is second:
        of_second: ir.Value | None = nothing
    else:
        of_second = _marks(tape, second, sign, hides)
    if of_first is None or of_second is None:
        return None
    marks: ir.Value = tape.op("Where", [condition, of_first, of_second])
    return marks


def _lies_within(value: ir.Value, low: int, high: int) -> bool:
    """Tell whether a value is a truth value as a number, 1 less it, or it less 1.

    ``low`` and ``high`` are one apart.
    """
    numbers, node = _number(value), value.producer()
    if numbers is not None:
        return bool(np.isin(numbers, (low, high)).all())
    if node is None:
        return False
    inputs = [read for read in node.inputs if read is not None]
    if node.op_type in _TRUTHS:
        return (low, high) == (0, 1)
    if node.op_type in _COPIES | _CASTS:
        return _lies_within(inputs[0], low, high)
    if node.op_type == "Neg":
        return _lies_within(inputs[0], -high, -low)
    if node.op_type not in {"Add", "Sub"}:
        return False
    first, second = (_single(read) for read in inputs)
    if node.op_type == "Sub" and first is not None:
        return first in (-1, 0, 1) and _lies_within(inputs[1], int(first) - high, int(first) - low)
    if node.op_type == "Sub" and second is not None:
        shift, truth = -second, inputs[0]
    elif first is not None:
        shift, truth = first, inputs[1]
    elif second is not None:
        shift, truth = second, inputs[0]
    else:
        return False
    return shift in (-1, 0, 1) and _lies_within(truth, low - int(shift), high - int(shift))


def _single(value: ir.Value) -> float | None:
    numbers = _number(value)
    return float(numbers.item()) if numbers is not None and numbers.size == 1 else None


def _limit_scores(tape: Any, scores: ir.Value, below: float) -> ir.Value:
    lowest = tape.op("ReduceMin", [scores], {"keepdims": 0})
    bound: ir.Value = tape.op("Sub", [lowest, _store(tape, np.float32(below))])
    return bound


def _number(value: ir.Value) -> np.ndarray | None:
    return None if value.const_value is None else value.const_value.numpy()


def _store(tape: Any, value: Any) -> ir.Value:
    import onnx_ir as ir

    constant: ir.Value = tape.op("Constant", [], {"value": ir.tensor(np.asarray(value))})
    return constant

"""Which operator of the integer file stands for which of the float32 file.

By order and shape: the two lists of operators are aligned so that as many as possible have the
same kind and shapes. Where the lists are equal that is all of them. Where they differ, an operator
is paired only if no equally long alignment pairs it otherwise. What is left is paired by the
name of its output, if kind and shapes agree and both files have that name once.

Two checks then undo what only looks alike, since other tools write parallel branches in other
orders: counterparts must have the same weights but for rounding, and must read from counterparts.
The rest is told as unmatched, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.comparison.layers.graph import EDGES, Graph, Operator
from engine.core.types import IntArray


@dataclass(frozen=True, slots=True)
class Pair:
    """An operator of the float32 file and its counterpart.

    Attributes:
        exact: In the float32 file.
        integer: In the integer file.
        read: Float tensors that stand for what the integer operator reads, by position among its
            inputs; empty where they cannot be told.
    """

    exact: Operator
    integer: Operator
    read: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Pairing:
    """All operators of two files but QUANTIZE and DEQUANTIZE.

    Attributes:
        pairs: Counterparts, in the integer file's order.
        exact_only: Operators of the float32 file without one.
        integer_only: Operators of the integer file without one.
    """

    pairs: tuple[Pair, ...]
    exact_only: tuple[Operator, ...]
    integer_only: tuple[Operator, ...]


def paired(exact: Graph, integer: Graph) -> Pairing:
    """Pair the operators of two graphs.

    Args:
        exact: Of the float32 file.
        integer: Of the integer file.

    Returns:
        Every operator, either in a pair or without one.
    """
    one = [operator for operator in exact.operators if operator.op not in EDGES]
    other = [operator for operator in integer.operators if operator.op not in EDGES]
    keys = [operator.key for operator in one], [operator.key for operator in other]
    found = dict(_aligned(*keys))
    for pair in list(found.items()):
        if not _same_weights(exact, integer, one[pair[0]], other[pair[1]]):
            del found[pair[0]]
    for i, j in _by_name(one, other, found):
        if _same_weights(exact, integer, one[i], other[j]):
            found[i] = j
    pairs = _connected(
        exact, integer, [(one[i], other[j]) for i, j in sorted(found.items(), key=lambda p: p[1])]
    )
    taken = {id(operator) for pair in pairs for operator in (pair.exact, pair.integer)}
    return Pairing(
        pairs=tuple(pairs),
        exact_only=tuple(operator for operator in one if id(operator) not in taken),
        integer_only=tuple(operator for operator in other if id(operator) not in taken),
    )


def _same_weights(exact: Graph, integer: Graph, one: Operator, other: Operator) -> bool:
    """Whether weights differ by less than they are; those of other operators differ by more."""
    weights, found = exact.weights(one), integer.weights(other)
    if weights is None or found is None:
        return True
    difference = (found[0] - weights[0]).ravel()
    plain = weights[0].ravel()
    return bool(np.dot(difference, difference) <= np.dot(plain, plain))


def _connected(
    exact: Graph, integer: Graph, candidates: Sequence[tuple[Operator, Operator]]
) -> list[Pair]:
    """Pairs whose operators read from counterparts, as far as these are known."""
    starts = (graph.objects.subgraphs[0].inputs for graph in (integer, exact))
    stands_for = {int(i): int(j) for i, j in zip(*starts, strict=False)}
    partner = {other.index: one for one, other in candidates}
    pairs = []
    for operator in integer.operators:
        if operator.op in EDGES:
            for source in operator.inputs.values():
                if source in stands_for:
                    stands_for[operator.outputs[0]] = stands_for[source]
            continue
        one = partner.get(operator.index)
        if one is None:
            continue
        read = {at: stands_for[t] for at, t in operator.inputs.items() if t in stands_for}
        if Counter(read.values()) - Counter(one.inputs.values()):
            continue
        if len(read) < len(operator.inputs):
            read = dict(one.inputs) if one.inputs.keys() == operator.inputs.keys() else {}
        pairs.append(Pair(one, operator, read))
        stands_for |= dict(zip(operator.outputs, one.outputs, strict=False))
    return pairs


def _aligned(one: Sequence[object], other: Sequence[object]) -> list[tuple[int, int]]:
    """Places that every longest common subsequence which pairs either of them pairs so."""
    if one == other:
        return [(place, place) for place in range(len(one))]
    numbers = {key: number for number, key in enumerate(dict.fromkeys([*one, *other]))}
    rows, columns = (np.array([numbers[key] for key in side], dtype=int) for side in (one, other))
    before = _lengths(rows, columns)
    after = _lengths(rows[::-1], columns[::-1])[::-1, ::-1]
    # Longest with (i, j) in it: what fits before both, the pair, and what fits after both.
    best = before[:-1, :-1] + 1 + after[1:, 1:]
    possible = (rows[:, None] == columns[None, :]) & (best == before[-1, -1])
    sure = possible & (possible.sum(0) == 1)[None, :] & (possible.sum(1) == 1)[:, None]
    return [(int(i), int(j)) for i, j in np.argwhere(sure)]


def _lengths(rows: IntArray, columns: IntArray) -> IntArray:
    """Length of the longest common subsequence of every two prefixes."""
    table = np.zeros((len(rows) + 1, len(columns) + 1), dtype=int)
    for i, value in enumerate(rows):
        longer = np.where(columns == value, table[i, :-1] + 1, table[i, 1:])
        table[i + 1, 1:] = np.maximum.accumulate(longer)
    return table


def _by_name(
    one: Sequence[Operator], other: Sequence[Operator], found: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Places of operators that have no partner yet, and the same name and key on both sides."""
    once = [
        {name for name, count in Counter(operator.name for operator in side).items() if count == 1}
        for side in (one, other)
    ]
    taken = set(found.values())
    places = {
        operator.name: j
        for j, operator in enumerate(other)
        if j not in taken and operator.name in once[1]
    }
    return [
        (i, places[operator.name])
        for i, operator in enumerate(one)
        if i not in found
        and operator.name in once[0]
        and operator.name in places
        and other[places[operator.name]].key == operator.key
    ]

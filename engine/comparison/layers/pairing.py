"""Counterparts: the operator of the float32 file that each integer operator stands for.

By order and shape: the two lists of operators are aligned so that as many as possible have the
same kind and shapes. Where the lists are equal that is all of them. Where they differ, an operator
is paired only if no equally long alignment pairs it otherwise. What is left is paired by the
name of its output, if kind and shapes agree and both files have that name once.

Two checks then undo what only looks alike, since other tools write parallel branches in other
orders: counterparts must have the same weights but for rounding, and must read from counterparts.
The rest is listed as unmatched, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from engine.core.types import FloatArray, IntArray
from engine.tflite.graph import CHANNEL_AXIS, EDGES, Graph, Operator

_WEIGHT_TYPES = frozenset({"int8", "uint8", "int16", "float16", "float32"})


@dataclass(frozen=True, slots=True)
class Pair:
    """An operator of the float32 file and its counterpart.

    Attributes:
        exact: In the float32 file.
        integer: In the integer file.
        read: Float tensors that stand for what the integer operator reads, by position among its
            inputs; empty where that is not clear.
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

    @property
    def counterparts(self) -> dict[int, Operator]:
        """Operators of the float32 file, by index of the integer file's."""
        return {pair.integer.index: pair.exact for pair in self.pairs}


def pair_operators(exact: Graph, integer: Graph) -> Pairing:
    """Pair the operators of two graphs."""
    floats = [operator for operator in exact.operators if operator.opcode not in EDGES]
    integers = [operator for operator in integer.operators if operator.opcode not in EDGES]
    partner = dict(_align([op.key for op in floats], [op.key for op in integers]))
    for i, j in list(partner.items()):
        if not _same_weights(exact, integer, floats[i], integers[j]):
            del partner[i]
    for i, j in _pair_by_name(floats, integers, partner):
        if _same_weights(exact, integer, floats[i], integers[j]):
            partner[i] = j
    candidates = [(floats[i], integers[j]) for i, j in sorted(partner.items(), key=lambda p: p[1])]
    pairs = _connect(exact, integer, candidates)
    taken = {id(operator) for pair in pairs for operator in (pair.exact, pair.integer)}
    return Pairing(
        pairs=tuple(pairs),
        exact_only=tuple(operator for operator in floats if id(operator) not in taken),
        integer_only=tuple(operator for operator in integers if id(operator) not in taken),
    )


def read_weights(graph: Graph, operator: Operator) -> tuple[FloatArray, int] | None:
    """Read the real values of an operator's constant weights, and count their scales.

    Returns:
        Shape (channels, weights a channel), float32, and 0 scales for float weights; None
        where the operator has none, or of a type that is not read here (such as int4).
    """
    axis = CHANNEL_AXIS.get(operator.opcode)
    if axis is None or 1 not in operator.constants:
        return None
    tensor = int(operator.raw.inputs[1])
    dtype = graph.dtype(tensor)
    if dtype not in _WEIGHT_TYPES:
        return None
    values = graph.constant(tensor).astype(np.float32)
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    if dtype.startswith("float"):
        return rows, 0
    scales = graph.scales(tensor)
    zeros = np.asarray(graph.tensors[tensor].quantization.zeroPoint, dtype=np.float32)
    return (rows - zeros[:, None]) * scales[:, None], len(scales)


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """Weights of a module of the network that a float32 file was made from.

    Attributes:
        module: Name of the module.
        rows: Shape (channels, weights a channel), as `read_weights` gives them.
    """

    module: str
    rows: FloatArray


def name_modules(
    exact: Graph, weights: Iterable[NamedWeights], scopes: Mapping[str, str]
) -> dict[int, str]:
    """Find the modules that operators of a float32 file compute, where that is beyond doubt.

    An operator with weights is the module with the very same ones, if neither these weights nor
    this module occur twice. An operator whose output still has the name of a node is in that
    node's scope.

    Args:
        exact: The float32 file.
        weights: Weights of modules.
        scopes: Modules by name of a node in the ONNX file.

    Returns:
        Names by place of the operator.
    """
    by_key: dict[tuple[tuple[int, ...], str], set[str]] = {}
    for named in weights:
        by_key.setdefault(_key_of_weights(named.rows), set()).add(named.module)
    modules: dict[int, str] = {}
    for operator in exact.operators:
        read = read_weights(exact, operator)
        if read is not None:
            names = by_key.get(_key_of_weights(read[0]), set())
            if len(names) == 1:
                modules[operator.index] = next(iter(names))
        elif scope := scopes.get(operator.name.removeprefix(_NODE_PREFIX)):
            modules[operator.index] = scope
    counts = Counter(modules[i] for i in modules if exact.operators[i].opcode in CHANNEL_AXIS)
    return {i: name for i, name in modules.items() if counts[name] <= 1}


_NODE_PREFIX = "onnx_tf_prefix_"


def _key_of_weights(rows: FloatArray) -> tuple[tuple[int, ...], str]:
    # Adding zero makes one zero of both.
    return rows.shape, sha256(np.ascontiguousarray(rows + np.float32(0)).tobytes()).hexdigest()


def _same_weights(exact: Graph, integer: Graph, float_op: Operator, integer_op: Operator) -> bool:
    """Whether weights differ by less than they are; those of other operators differ by more."""
    floats, integers = read_weights(exact, float_op), read_weights(integer, integer_op)
    if floats is None or integers is None:
        return True
    difference, plain = (integers[0] - floats[0]).ravel(), floats[0].ravel()
    return bool(np.dot(difference, difference) <= np.dot(plain, plain))


def _connect(
    exact: Graph, integer: Graph, candidates: Sequence[tuple[Operator, Operator]]
) -> list[Pair]:
    """Keep the pairs whose operators read from counterparts, as far as these are known."""
    stands_for = dict(zip(integer.inputs, exact.inputs, strict=False))
    partner = {integer_op.index: float_op for float_op, integer_op in candidates}
    pairs = []
    for operator in integer.operators:
        if operator.opcode in EDGES:
            for source in operator.activations.values():
                if source in stands_for:
                    stands_for[operator.output] = stands_for[source]
            continue
        counterpart = partner.get(operator.index)
        if counterpart is None:
            continue
        inputs = operator.activations
        read = {at: stands_for[t] for at, t in inputs.items() if t in stands_for}
        if Counter(read.values()) - Counter(counterpart.activations.values()):
            continue
        if len(read) < len(inputs):
            same = counterpart.activations.keys() == inputs.keys()
            read = dict(counterpart.activations) if same else {}
        pairs.append(Pair(counterpart, operator, read))
        stands_for |= dict(zip(operator.outputs, counterpart.outputs, strict=False))
    return pairs


def _align(floats: Sequence[object], integers: Sequence[object]) -> list[tuple[int, int]]:
    """Pair indices that every longest common subsequence which pairs either of them pairs so."""
    if floats == integers:
        return [(index, index) for index in range(len(floats))]
    numbers = {key: number for number, key in enumerate(dict.fromkeys([*floats, *integers]))}
    rows, columns = (
        np.array([numbers[key] for key in keys], dtype=int) for keys in (floats, integers)
    )
    before = _lengths(rows, columns)
    after = _lengths(rows[::-1], columns[::-1])[::-1, ::-1]
    # Longest with (i, j) in it: what fits before both, the pair, and what fits after both.
    best = before[:-1, :-1] + 1 + after[1:, 1:]
    possible = (rows[:, None] == columns[None, :]) & (best == before[-1, -1])
    sure = possible & (possible.sum(0) == 1)[None, :] & (possible.sum(1) == 1)[:, None]
    return [(int(i), int(j)) for i, j in np.argwhere(sure)]


def _lengths(rows: IntArray, columns: IntArray) -> IntArray:
    """Compute the length of the longest common subsequence of every two prefixes."""
    table = np.zeros((len(rows) + 1, len(columns) + 1), dtype=int)
    for i, value in enumerate(rows):
        longer = np.where(columns == value, table[i, :-1] + 1, table[i, 1:])
        table[i + 1, 1:] = np.maximum.accumulate(longer)
    return table


def _pair_by_name(
    floats: Sequence[Operator], integers: Sequence[Operator], partner: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Pair operators without a partner by their key and a name that each side has once."""
    taken = set(partner.values())
    counts = [Counter(operator.name for operator in side) for side in (floats, integers)]
    index = {
        operator.name: j
        for j, operator in enumerate(integers)
        if j not in taken and counts[1][operator.name] == 1
    }
    return [
        (i, index[operator.name])
        for i, operator in enumerate(floats)
        if i not in partner
        and counts[0][operator.name] == 1
        and operator.name in index
        and integers[index[operator.name]].key == operator.key
    ]

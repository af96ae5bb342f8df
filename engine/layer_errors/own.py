"""A file in which every operator of an integer file stands alone.

Each operator's activation inputs become inputs of the graph, and its outputs outputs, so that one
call runs all of them, each on the values that it is fed, with the kernels that the file itself
would run with.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from engine.layer_errors.graph import Graph
from engine.layer_errors.pairing import Pair
from engine.tflite_graph import expose, packed


@dataclass(frozen=True, slots=True)
class LoneOperators:
    """Operators that run alone.

    Attributes:
        model: Content of the TFLite file.
        fed: Inputs of the graph, by the float tensor whose values they get and the integer
            tensor whose grid they have.
        pairs: The operators that are in it.
    """

    model: bytes
    fed: dict[tuple[int, int], int]
    pairs: tuple[Pair, ...]


def lone_operators(
    integer: Graph, pairs: Sequence[Pair], activations: frozenset[int], size: int
) -> LoneOperators | None:
    """Take operators of an integer file out of their network.

    Args:
        integer: The integer file's graph.
        pairs: Operators to take, with their float counterparts.
        activations: Tensors of the float file whose values can be had.
        size: About how many bytes the file has.

    Returns:
        The file. Operators that read what the float side has no value for, or has as a constant,
        are left out; None where all are.
    """
    taken = tuple(pair for pair in pairs if _feedable(integer, pair, activations))
    if not taken:
        return None
    objects = copy.copy(integer.objects)
    graph = copy.copy(objects.subgraphs[0])
    objects.subgraphs = [graph]
    graph.tensors, graph.operators = list(graph.tensors), []
    fed: dict[tuple[int, int], int] = {}
    for pair in taken:
        operator = copy.copy(integer.objects.subgraphs[0].operators[pair.integer.index])
        operator.inputs = [int(index) for index in operator.inputs]
        for at, tensor in pair.integer.inputs.items():
            source = pair.read[at], tensor
            if source not in fed:
                fed[source] = len(graph.tensors)
                graph.tensors.append(copy.copy(graph.tensors[tensor]))
            operator.inputs[at] = fed[source]
        graph.operators.append(operator)
    graph.inputs = list(fed.values())
    expose(objects, [index for pair in taken for index in pair.integer.outputs])
    return LoneOperators(packed(objects, size), fed, taken)


def _feedable(integer: Graph, pair: Pair, activations: frozenset[int]) -> bool:
    whole = pair.integer.inputs
    return (
        bool(whole)
        and pair.read.keys() == whole.keys()
        and all(tensor in activations for tensor in pair.read.values())
        and all(integer.activation(tensor) for tensor in whole.values())
    )

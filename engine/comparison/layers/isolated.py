"""Files in which every operator of a pair stands alone.

Each operator's activation inputs become inputs of the graph, and its outputs outputs, so that one
call runs all of them, each on the values that it is fed, with the kernels that the whole file
would run with. The integer operator gets float values brought to its input's grid, the float
operator the real values of the same integers: what then differs is the operator's own doing, by its
weights, its bias and the grid of its output. What its input's grid loses is counted once, at the
operator that makes that input. TensorFlow's QuantizationDebugger compares the same two.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.comparison.layers.pairing import Pair
from engine.tflite.graph import Graph, Operator, expose, pack_model

Source = tuple[int, int]
"""A float tensor, and the integer tensor that stands for it where it is read."""


@dataclass(frozen=True, slots=True)
class LoneOperators:
    """Operators of one file that run alone.

    Attributes:
        model: Content of the TFLite file.
        fed: Inputs of the graph, by what they stand for.
    """

    model: bytes
    fed: Mapping[Source, int]


def feedable(integer: Graph, pair: Pair, activations: frozenset[int]) -> bool:
    """Whether a pair's operators can run alone.

    Returns:
        False where an operator reads nothing but constants, what the float side has no value for,
        or integers without one scale.
    """
    whole = pair.integer.activations
    return (
        bool(whole)
        and pair.read.keys() == whole.keys()
        and set(pair.read.values()) == set(pair.exact.activations.values()) <= activations
        and all(integer.is_real(tensor) for tensor in whole.values())
    )


def lone_integers(integer: Graph, pairs: Sequence[Pair]) -> LoneOperators:
    """Make a file in which the integer operators of pairs stand alone."""
    sources = [
        {at: (pair.read[at], tensor) for at, tensor in pair.integer.activations.items()}
        for pair in pairs
    ]
    return _alone(integer, [pair.integer for pair in pairs], sources)


def lone_floats(exact: Graph, pairs: Sequence[Pair]) -> LoneOperators:
    """Make a file in which the float operators of pairs stand alone."""
    sources = []
    for pair in pairs:
        stands = {pair.read[at]: tensor for at, tensor in pair.integer.activations.items()}
        sources.append({at: (t, stands[t]) for at, t in pair.exact.activations.items()})
    return _alone(exact, [pair.exact for pair in pairs], sources)


def _alone(
    graph: Graph, operators: Sequence[Operator], sources: Sequence[Mapping[int, Source]]
) -> LoneOperators:
    model = copy.copy(graph.model)
    alone = copy.copy(graph.raw)
    model.subgraphs = [alone]
    alone.tensors, alone.operators = list(graph.tensors), []
    fed: dict[Source, int] = {}
    for operator, read in zip(operators, sources, strict=True):
        lone = copy.copy(operator.raw)
        lone.inputs = [int(index) for index in lone.inputs]
        for at, source in read.items():
            if source not in fed:
                fed[source] = len(alone.tensors)
                alone.tensors.append(copy.copy(graph.tensors[operator.activations[at]]))
            lone.inputs[at] = fed[source]
        alone.operators.append(lone)
    alone.inputs = list(fed.values())
    expose(model, [index for operator in operators for index in operator.outputs])
    return LoneOperators(pack_model(model, len(graph.content)), fed)

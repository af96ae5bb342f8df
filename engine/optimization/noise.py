"""How much every rounding of an integer model adds to the error of its logits.

The float32 model is run with one rounding at a time: the output of one operator rounded to the
grid that it has in the integer model, or one layer with the weights of the integer model. Rounding
errors of different places are nearly independent, so their mean squares add up: what a set of
operators in float32 will win can be told before it is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np

from engine.comparison.metrics import rms
from engine.core.parity import difference
from engine.core.types import FloatArray, Progress
from engine.tflite.graph import WEIGHTED, Graph, Operator, Scale, paired
from engine.tflite.interpreter import run_model
from engine.tflite.quantize_ops import added_tensor, edge_operator


@dataclass(frozen=True, slots=True)
class Noise:
    """What one operator's roundings do to the logits.

    Attributes:
        operator: Its place among the integer model's operators.
        output: Mean square of the logits' differences to the float32 model's, each row's mean
            removed, when only its output is rounded; 0 where that has no grid.
        weights: The same when only its weights and bias are rounded; 0 where it has none.
    """

    operator: int
    output: float
    weights: float


def noise_of(
    float_model: bytes,
    quantized_model: bytes,
    pictures: FloatArray,
    report: Callable[[Progress], None],
) -> tuple[Noise, ...]:
    """Measure the noise of every operator that has a counterpart in the float32 model.

    Args:
        float_model: The float32 model.
        quantized_model: The integer model.
        pictures: Shape (pictures, *input*), float32, in the model's own layout.
        report: Receives progress.

    Returns:
        A record an operator, in the order they run.

    Raises:
        ConversionError: LiteRT refuses a model, or one has no plain graph.
    """
    graph = Graph(quantized_model)
    partners = paired(graph, Graph(float_model))
    (exact,) = run_model(float_model, "the float32 model", [pictures])
    exact = exact.reshape(len(exact), -1)

    def measured(noisy: bytes) -> float:
        (answers,) = run_model(noisy, "the float32 model with one rounding", [pictures])
        return rms(difference(exact, answers.reshape(exact.shape))) ** 2

    found = []
    for done, (index, partner) in enumerate(partners.items()):
        op = graph.operators[index]
        report(Progress(f"Measuring the noise of {op.name}", done, len(partners)))
        scale = graph.scale(op.output)
        output = weights = 0.0
        if scale is not None and graph.dtype(op.output) == np.int8:
            output = measured(with_rounded_output(float_model, partner, scale))
        if op.name in WEIGHTED:
            weights = measured(with_rounded_weights(float_model, partner, graph, op))
        found.append(Noise(index, output, weights))
    return tuple(found)


def with_rounded_output(float_model: bytes, partner: Operator, scale: Scale) -> bytes:
    """The float32 model with the output of one operator rounded to int8 and back."""
    graph = Graph(float_model)
    tensor = partner.output
    integers = added_tensor(graph, tensor, b"_integers", scale)
    rounded = added_tensor(graph, tensor, b"_rounded", None)
    operators = []
    for op in graph.operators:
        raw = copy(op.raw)
        raw.inputs = [rounded if i == tensor else int(i) for i in op.raw.inputs]
        operators.append(raw)
        if tensor in op.outputs:
            operators.append(edge_operator(graph, "QUANTIZE", tensor, integers))
            operators.append(edge_operator(graph, "DEQUANTIZE", integers, rounded))
    graph.raw.operators = operators
    graph.raw.outputs = [rounded if i == tensor else i for i in graph.outputs]
    return graph.pack()


def with_rounded_weights(
    float_model: bytes, partner: Operator, quantized: Graph, op: Operator
) -> bytes:
    """The float32 model with the weights and the bias that one layer has in the integer model."""
    graph = Graph(float_model)
    for place in range(1, min(len(op.inputs), len(partner.inputs))):
        graph.set_constant(partner.inputs[place], _real(quantized, op.inputs[place], op.name))
    return graph.pack()


def _real(graph: Graph, tensor: int, operator: str) -> FloatArray:
    values, steps = graph.constant(tensor).astype(np.float32), graph.steps(tensor)
    if not steps.size:
        return values
    axis = 3 if operator == "DEPTHWISE_CONV_2D" and values.ndim == 4 else 0
    shape = [1] * values.ndim
    shape[axis] = -1
    return np.asarray(values * (steps.reshape(shape) if len(steps) > 1 else steps), np.float32)

"""Which layers of an integer model win most in float32: found by trying each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from engine.optimization.alone import run_model
from engine.optimization.float_layers import with_float_layers
from engine.optimization.graph import WEIGHTED, Graph, paired
from engine.types import FloatArray, Progress

PICTURES = 16
"""Calibration pictures that every layer is tried on."""


@dataclass(frozen=True, slots=True)
class FloatLayerGain:
    """What one layer in float32 does to the logits.

    Attributes:
        operator: Its place among the integer model's operators.
        index: Place of its counterpart among the float32 model's operators.
        op: The TFLite operator.
        rms: Root mean square of the logits' differences to the float32 model's, each row's mean
            removed, with this layer alone in float32.
    """

    operator: int
    index: int
    op: str
    rms: float


def float_layer_gains(
    float_model: bytes,
    quantized_model: bytes,
    batches: Callable[[], Iterator[FloatArray]],
    report: Callable[[Progress], None],
) -> tuple[FloatLayerGain, ...]:
    """Try every layer with weights in float32.

    Args:
        float_model: The float32 model.
        quantized_model: The integer model, with float32 input and output.
        batches: Gives pictures, batch by batch in the model's own layout; the first are used.
        report: Receives progress.

    Returns:
        A record a layer, the one that helps most first.

    Raises:
        ConversionError: LiteRT refuses a model.
    """
    pictures = np.stack(list(islice(batches(), PICTURES)))
    (exact,) = run_model(float_model, "the float32 model", [pictures])
    graph = Graph(quantized_model)
    partners = paired(graph, Graph(float_model))
    layers = [op for op in graph.operators if op.name in WEIGHTED and op.index in partners]
    found = []
    for number, op in enumerate(layers):
        report(Progress(f"Trying {op.name} in float32", number, len(layers)))
        mixed = with_float_layers(quantized_model, float_model, [op.index])
        (answers,) = run_model(mixed, "the mixed model", [pictures])
        rms = _rms(answers, exact)
        found.append(FloatLayerGain(op.index, partners[op.index].index, op.name, rms))
    return tuple(sorted(found, key=lambda gain: (gain.rms, gain.operator)))


def _rms(answers: FloatArray, exact: FloatArray) -> float:
    wrong = (answers - exact).astype(np.float64)
    return float(np.sqrt(np.mean(np.square(wrong - wrong.mean(axis=-1, keepdims=True)))))

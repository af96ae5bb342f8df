"""An integer model with some layers in float32: which ones, and what each number of them gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from engine.comparison.comparison import compare
from engine.comparison.layers.pairing import pair_operators
from engine.core.types import FloatArray, Progress
from engine.quantization.records import FloatLayer, MixedPoint, name_of_point
from engine.quantization.sensitivity import Step, Wiring, float_steps, noise_of
from engine.tflite.edits import add_activation, edge_operator, replace_operators
from engine.tflite.graph import Graph, Operator, plain_graph
from engine.tflite.interpreter import run_model

Batches = Callable[[], Iterator[FloatArray]]
Report = Callable[[Progress], None]
NOISE_PICTURES = 8
"""Calibration pictures that each rounding is measured on."""
MEASURED_PICTURES = 64
"""Calibration pictures that a mixed model is measured on."""
CURVE_POINTS = 16


def float_order(
    float_model: bytes, quantized_model: bytes, batches: Batches, report: Report
) -> tuple[Step, ...]:
    """Find the order in which layers are best computed in float32.

    Args:
        float_model: The float32 model.
        quantized_model: The integer model, with float32 input and output.
        batches: Gives calibration pictures, batch by batch in the model's own layout.
        report: Receives progress.

    Returns:
        All layers with weights that have a counterpart, in steps, the best first.

    Raises:
        ConversionError: LiteRT refuses a model.
    """
    pictures = _spread(np.stack(list(batches())), NOISE_PICTURES)
    noise = noise_of(float_model, quantized_model, pictures, report)
    wiring = Wiring(plain_graph(quantized_model), [record.operator for record in noise])
    return float_steps(wiring, noise)


class MixedModels:
    """The models along an order of layers, each measured on calibration pictures.

    Args:
        float_model: The float32 model.
        quantized_model: The integer model, with float32 input and output.
        order: Layers by `float_order`.
        batches: Gives calibration pictures, batch by batch in the model's own layout.
    """

    def __init__(
        self,
        float_model: bytes,
        quantized_model: bytes,
        order: tuple[Step, ...],
        batches: Batches,
    ) -> None:
        self._floating, self._quantized = float_model, quantized_model
        self._layers = tuple(layer for step in order for layer in step.layers)
        self._ends = tuple(np.cumsum([len(step.layers) for step in order]).tolist())
        self._graph = plain_graph(quantized_model)
        self._partners = pair_operators(plain_graph(float_model), self._graph).counterparts
        self._wiring = Wiring(self._graph, self._partners)
        self._batches = batches

    @property
    def most(self) -> int:
        """Number of layers."""
        return len(self._layers)

    def curve_layers(self) -> tuple[int, ...]:
        """Choose the numbers of layers that draw the curve: none, all, and ends of steps between.

        Small numbers lie closer together, for they are what a person will choose among.
        """
        ends = (0, *self._ends)
        if len(ends) <= CURVE_POINTS:
            return ends
        chosen = np.linspace(0, 1, CURVE_POINTS) ** 1.5 * (len(ends) - 1)
        return tuple(ends[index] for index in np.unique(chosen.round().astype(int)))

    def fewest(
        self, points: tuple[MixedPoint, ...], reaches: Callable[[MixedPoint], bool]
    ) -> MixedPoint | None:
        """Find the point of the fewest layers in float32 that reaches something; None without.

        Every number below the first drawn point that reaches it is measured, since the error may
        rise again between two points.
        """
        drawn = {point.layers for point in points}
        for point in points:
            if reaches(point):
                fewer = (self.point(n) for n in range(point.layers) if n not in drawn)
                return next(filter(reaches, fewer), point)
        return None

    def model(self, layers: int) -> bytes:
        """Make the model with the first so many layers in float32."""
        if not layers:
            return self._quantized
        floats = self._wiring.float_operators(self._layers[:layers])
        return with_float_layers(self._quantized, self._floating, sorted(floats))

    def contents(self, layers: Iterable[int]) -> Iterator[tuple[str, bytes]]:
        """Yield the float32 model and those with so many layers in float32, with their names."""
        yield "float32", self._floating
        for number in layers:
            yield name_of_point(number), self.model(number)

    def point(self, layers: int) -> MixedPoint:
        """Measure the model with the first so many layers in float32."""
        model = self.model(layers)
        (measured,) = compare(
            run="",
            reference_name="float32",
            logits={"float32": self._exact, "mixed": self._answers(model)},
            pictures=[str(row) for row in range(len(self._exact))],
        ).variants
        return MixedPoint(
            layers=layers,
            kept=tuple(self._describe(layer) for layer in self._layers[:layers]),
            bytes=len(model),
            rms=measured.logit_rms,
            kl=measured.kl,
            agreement=measured.top1_agreement,
        )

    def _describe(self, layer: int) -> FloatLayer:
        op = self._graph.operators[layer]
        return FloatLayer(op.name, op.opcode, self._partners[layer].index)

    @cached_property
    def _pictures(self) -> FloatArray:
        return _spread(np.stack(list(self._batches())), MEASURED_PICTURES)

    @cached_property
    def _exact(self) -> FloatArray:
        return self._answers(self._floating)

    def _answers(self, model: bytes) -> FloatArray:
        (answers,) = run_model(model, "the mixed model", [self._pictures])
        # Each picture fills the batch; its answer is the first row.
        rows: FloatArray = np.reshape(answers, (*self._pictures.shape[:2], -1))[:, 0]
        return rows


def _spread(pictures: FloatArray, most: int) -> FloatArray:
    """Choose pictures at even distances."""
    rows = np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int)
    chosen: FloatArray = pictures[np.unique(rows)]
    return chosen


def with_float_layers(quantized_model: bytes, float_model: bytes, layers: Collection[int]) -> bytes:
    """Compute operators of an integer model in float32.

    Args:
        quantized_model: The integer model.
        float_model: The float32 model that it was made from; its weights are taken.
        layers: Indices of the operators in the integer model.

    Returns:
        The mixed model.

    Raises:
        ValueError: One of them has no counterpart in the float32 model.
        ConversionError: A model has control flow, state, several inputs or operators outside the
            built-in set.
    """
    graph, source = plain_graph(quantized_model), plain_graph(float_model)
    partners = pair_operators(source, graph).counterparts
    if missing := [index for index in layers if index not in partners]:
        raise ValueError(f"no counterpart in float32 for the operators {missing}")
    mixer = _Mixer(graph, source, frozenset(layers))
    for op in graph.operators:
        mixer.take(op, partners.get(op.index))
    replace_operators(graph, mixer.operators)
    return graph.pack()


class _Mixer:
    def __init__(self, graph: Graph, source: Graph, layers: frozenset[int]) -> None:
        self._graph, self._source, self._layers = graph, source, layers
        self._floats: dict[int, int] = {}
        self._dropped: set[int] = set()
        self.operators: list[Any] = []

    def take(self, op: Operator, partner: Operator | None) -> None:
        """Write an operator down, as it is or in float32."""
        if op.index in self._dropped:
            return
        if op.index not in self._layers or partner is None:
            self.operators.append(op.raw)
            return
        raw = copy(op.raw)
        raw.inputs = [
            self._input(int(index), int(float_index))
            for index, float_index in zip(op.raw.inputs, partner.raw.inputs, strict=True)
        ]
        raw.outputs = [self._output(tensor) for tensor in op.outputs]
        self.operators.append(raw)
        for tensor in op.outputs:
            if tensor in self._floats and self._read_as_integers(tensor):
                edge = edge_operator(self._graph, "QUANTIZE", self._floats[tensor], tensor)
                self.operators.append(edge)

    def _input(self, index: int, float_index: int) -> int:
        graph = self._graph
        if index < 0 or not graph.scales(index).size:
            return index
        if graph.is_constant(index):
            return self._constant(float_index)
        if index not in self._floats:
            producer = graph.producer.get(index)
            # A uint8 picture is brought to int8 by a QUANTIZE that reads no float.
            if (
                producer is not None
                and producer.opcode == "QUANTIZE"
                and graph.dtype(producer.inputs[0]) == "float32"
            ):
                self._floats[index] = producer.inputs[0]
            else:
                self._floats[index] = add_activation(graph, index, b"_float", None)
                self.operators.append(
                    edge_operator(graph, "DEQUANTIZE", index, self._floats[index])
                )
        return self._floats[index]

    def _output(self, tensor: int) -> int:
        """Find the float tensor of an output: that of a DEQUANTIZE behind it, or a new one.

        What has no scale stays: floats, and whole numbers such as the places that TOPK_V2 gives.
        """
        if not self._graph.scales(tensor).size:
            return tensor
        behind = [op for op in self._graph.consumers(tensor) if op.opcode == "DEQUANTIZE"]
        if behind:
            self._dropped.add(behind[0].index)
        self._floats[tensor] = (
            behind[0].output if behind else add_activation(self._graph, tensor, b"_float", None)
        )
        return self._floats[tensor]

    def _read_as_integers(self, tensor: int) -> bool:
        readers = [op.index for op in self._graph.consumers(tensor)]
        outside = set(readers) - self._layers - self._dropped
        return bool(outside) or tensor in self._graph.outputs

    def _constant(self, index: int) -> int:
        raw = copy(self._source.tensors[index])
        buffers = self._graph.model.buffers
        buffers.append(copy(self._source.model.buffers[raw.buffer]))
        raw.buffer = len(buffers) - 1
        self._graph.tensors.append(raw)
        return len(self._graph.tensors) - 1

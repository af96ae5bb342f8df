"""An integer model with some layers in float32: which ones, and what each number of them gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np

from engine.comparison.comparison import compare
from engine.core.types import FloatArray, Progress
from engine.quantization.records import FloatLayer, MixedPoint, timed_name
from engine.quantization.sensitivity import Step, Wiring, float_steps, noise_of
from engine.tflite.edits import added_tensor, edge_operator
from engine.tflite.graph import EDGES, Graph, Operator, paired
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
    """In which order layers are best computed in float32.

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
    wiring = Wiring(Graph(quantized_model), [record.operator for record in noise])
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
        self._graph = Graph(quantized_model)
        self._partners = paired(self._graph, Graph(float_model))
        self._wiring = Wiring(self._graph, self._partners)
        self._batches = batches

    @property
    def most(self) -> int:
        """How many layers there are."""
        return len(self._layers)

    def looked_at(self) -> tuple[int, ...]:
        """Numbers of layers that draw the curve: none, all, and ends of steps between.

        Small numbers lie closer together, for they are what a person will choose among.
        """
        ends = (0, *self._ends)
        if len(ends) <= CURVE_POINTS:
            return ends
        places = np.linspace(0, 1, CURVE_POINTS) ** 1.5 * (len(ends) - 1)
        return tuple(ends[place] for place in np.unique(places.round().astype(int)))

    def fewest(
        self, points: tuple[MixedPoint, ...], reaches: Callable[[MixedPoint], bool]
    ) -> MixedPoint | None:
        """The point of the fewest layers in float32 that reaches something; None where none does.

        Every number below the first drawn point that reaches it is measured, since the error may
        rise again between two points.

        Args:
            points: Those of `looked_at`.
            reaches: Whether a point does.
        """
        drawn = {point.layers for point in points}
        for point in points:
            if reaches(point):
                fewer = (self.point(n) for n in range(point.layers) if n not in drawn)
                return next(filter(reaches, fewer), point)
        return None

    def model(self, layers: int) -> bytes:
        """The model with the first so many layers in float32."""
        if not layers:
            return self._quantized
        kept = self._wiring.kept(self._layers[:layers])
        return with_float_layers(self._quantized, self._floating, sorted(kept))

    def contents(self, layers: Iterable[int]) -> Iterator[tuple[str, bytes]]:
        """The float32 model and those with so many layers in float32, with names for people."""
        yield "float32", self._floating
        for number in layers:
            yield timed_name(number), self.model(number)

    def point(self, layers: int) -> MixedPoint:
        """What the model with the first so many layers in float32 gives."""
        model = self.model(layers)
        (measured,) = compare(
            run="",
            reference_name="float32",
            logits={"float32": self._exact, "mixed": self._answers(model)},
            pictures=[str(row) for row in range(len(self._exact))],
        ).variants
        return MixedPoint(
            layers=layers,
            kept=tuple(self._described(layer) for layer in self._layers[:layers]),
            bytes=len(model),
            rms=measured.logit_rms,
            kl=measured.kl,
            agreement=measured.top1_agreement,
        )

    def _described(self, layer: int) -> FloatLayer:
        op = self._graph.operators[layer]
        return FloatLayer(self._graph.name(op.output), op.name, self._partners[layer].index)

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
    """So many pictures at even distances."""
    places = np.linspace(0, len(pictures) - 1, min(most, len(pictures))).round().astype(int)
    chosen: FloatArray = pictures[np.unique(places)]
    return chosen


def with_float_layers(quantized_model: bytes, float_model: bytes, kept: Collection[int]) -> bytes:
    """Compute operators of an integer model in float32.

    Args:
        quantized_model: The integer model.
        float_model: The float32 model that it was made from; its weights are taken.
        kept: Indices of the operators in the integer model.

    Returns:
        The mixed model.

    Raises:
        ValueError: One of them has no counterpart in the float32 model.
        ConversionError: A model has control flow, state, several inputs or operators outside the
            built-in set.
    """
    graph, source = Graph(quantized_model), Graph(float_model)
    partners = paired(graph, source)
    if missing := [index for index in kept if index not in partners]:
        raise ValueError(f"no counterpart in float32 for the operators {missing}")
    mixer = _Mixer(graph, source, frozenset(kept))
    for op in graph.operators:
        mixer.take(op, partners.get(op.index))
    graph.raw.operators = _needed(graph, mixer.operators)
    return graph.pack()


class _Mixer:
    def __init__(self, graph: Graph, source: Graph, kept: frozenset[int]) -> None:
        self._graph, self._source, self._kept = graph, source, kept
        self._floats: dict[int, int] = {}
        self._dropped: set[int] = set()
        self.operators: list[Any] = []

    def take(self, op: Operator, partner: Operator | None) -> None:
        """Write an operator down, as it is or in float32."""
        if op.index in self._dropped:
            return
        if op.index not in self._kept or partner is None:
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
        if index < 0 or not graph.steps(index).size:
            return index
        if graph.is_constant(index):
            return self._constant(float_index)
        if index not in self._floats:
            maker = graph.producer.get(index)
            if maker is not None and maker.name == "QUANTIZE":
                self._floats[index] = maker.inputs[0]
            else:
                self._floats[index] = added_tensor(graph, index, b"_float", None)
                self.operators.append(
                    edge_operator(graph, "DEQUANTIZE", index, self._floats[index])
                )
        return self._floats[index]

    def _output(self, tensor: int) -> int:
        """The float tensor that an output becomes: that of a DEQUANTIZE behind it, or a new one.

        What has no scale stays: floats, and whole numbers such as the places that TOPK_V2 gives.
        """
        if not self._graph.steps(tensor).size:
            return tensor
        behind = [op for op in self._graph.consumers(tensor) if op.name == "DEQUANTIZE"]
        if behind:
            self._dropped.add(behind[0].index)
        self._floats[tensor] = (
            behind[0].output if behind else added_tensor(self._graph, tensor, b"_float", None)
        )
        return self._floats[tensor]

    def _read_as_integers(self, tensor: int) -> bool:
        readers = [op.index for op in self._graph.consumers(tensor)]
        outside = set(readers) - self._kept - self._dropped
        return bool(outside) or tensor in self._graph.outputs

    def _constant(self, index: int) -> int:
        raw = copy(self._source.tensors[index])
        buffers = self._graph.model.buffers
        buffers.append(copy(self._source.model.buffers[raw.buffer]))
        raw.buffer = len(buffers) - 1
        return self._added(raw)

    def _added(self, raw: Any) -> int:
        self._graph.tensors.append(raw)
        return len(self._graph.tensors) - 1


def _needed(graph: Graph, operators: list[Any]) -> list[Any]:
    """Operators without the edges that nobody reads any more; weights that are not read go."""
    read = {int(i) for raw in operators for i in raw.inputs} | set(graph.outputs)
    edges = {op.raw.opcodeIndex for op in graph.operators if op.name in EDGES}
    kept = [raw for raw in operators if raw.opcodeIndex not in edges or int(raw.outputs[0]) in read]
    used = {int(i) for raw in kept for i in (*raw.inputs, *raw.outputs) if i >= 0}
    buffers = {graph.tensors[i].buffer for i in used | set(graph.inputs) | set(graph.outputs)}
    buffers |= {item.buffer for item in graph.model.metadata or ()}
    for place, buffer in enumerate(graph.model.buffers):
        if place not in buffers:
            buffer.data = None
    return kept

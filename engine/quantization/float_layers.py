"""Some operators of an integer model computed in float32, between DEQUANTIZE and QUANTIZE.

Operators kept in float32 that follow each other hand their floats on; only where an integer
operator reads or is read does an edge stand.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import Any

from engine.tflite.graph import EDGES, Graph, Operator, paired
from engine.tflite.quantize_ops import added_tensor, edge_operator


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

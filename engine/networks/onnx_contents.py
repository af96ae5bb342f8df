"""Everything that an ONNX model holds, at any depth: tensors hide in attributes and subgraphs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING

from engine.core.errors import ModelError
from engine.core.formats import list_some
from engine.networks.external_data import EXTERNAL, OutsideTensor, spans_by_location
from engine.networks.onnx_parts import OnnxParts, read_data

_NOISE = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
"""Operators that draw random numbers whenever they run."""

WITH_WEIGHTS = (
    "Export the model with its weights; in PyTorch: without export_params=False and "
    "include_initializers=False."
)

if TYPE_CHECKING:
    import onnx


def demand_weights(model: onnx.ModelProto, stage: str) -> None:
    """Refuse a model that reads values which nothing in it gives, as one saved without weights."""
    given = {"", *(value.name for value in model.graph.input)}
    given.update(tensor.name for tensor in tensors_of(model))
    for attribute in _attributes(model):
        for graph in (attribute.g, *attribute.graphs):
            given.update(value.name for value in graph.input)
    for node in nodes_of(model):
        given.update(node.output)
    absent = sorted({name for node in nodes_of(model) for name in node.input} - given)
    if absent:
        raise ModelError(
            stage,
            got=f"a graph that reads values which it does not hold ({list_some(absent, 4)})",
            expected="a file that holds its weights",
            todo=WITH_WEIGHTS,
        )


def demand_repeatable(model: onnx.ModelProto, stage: str) -> None:
    """Refuse a model whose answer varies from run to run, or with other pictures of a batch."""
    true = _true_tensors(model)
    for node in nodes_of(model):
        name = f"{node.op_type} ({node.name or node.output[0]})"
        if _trains(node, true):
            raise ModelError(
                stage,
                got=f"a model exported in training mode: {name}",
                expected="a model exported for inference",
                todo="Call model.eval() before torch.onnx.export, and leave its option `training` "
                "out.",
            )
        if node.op_type in _NOISE:
            raise ModelError(
                stage,
                got=f"noise that is drawn inside the graph: {name}",
                expected="a model that gives a picture the same answer every time",
                todo="Export the model without the noise, after model.eval() where that stops it.",
            )


def _trains(node: onnx.NodeProto, true: Container[str]) -> bool:
    if node.op_type == "Dropout":
        return len(node.input) > 2 and node.input[2] in true
    return normalizes_in_training(node)


def normalizes_in_training(node: onnx.NodeProto) -> bool:
    """Tell whether a node is a batch norm that takes its statistics from its input."""
    if node.op_type != "BatchNormalization":
        return False
    # Before operator set 14 further outputs stood for training mode.
    modes = [attribute.i for attribute in node.attribute if attribute.name == "training_mode"]
    return bool(modes[0]) if modes else any(node.output[1:])


def _true_tensors(model: onnx.ModelProto) -> set[str]:
    """Find the names of constants that are all true."""
    from onnx import TensorProto, numpy_helper

    named = [(tensor.name, tensor) for tensor in tensors_of(model)]
    named += [
        (node.output[0], attribute.t)
        for node in nodes_of(model)
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    return {
        name
        for name, tensor in named
        if tensor.data_type == TensorProto.BOOL and numpy_helper.to_array(tensor).all()
    }


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node: of the graph, of graphs within nodes, and of the model's functions."""
    yield from nodes_in(model.graph.node)
    for function in model.functions:
        yield from nodes_in(function.node)


def nodes_in(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and every node of the graphs within them."""
    # A stack, since protobuf nests deeper than Python calls may.
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)


def first_arithmetic(model: onnx.ModelProto) -> tuple[str, ...]:
    """List the arithmetic that a model does on its picture before anything else.

    Returns:
        Types of operators, such as ``("Div", "Sub")``; none where a layer comes first.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    name = next(value.name for value in model.graph.input if value.name not in weights)
    operators: list[str] = []
    while len(readers := [node for node in model.graph.node if name in node.input]) == 1:
        node = readers[0]
        if node.op_type in {"Add", "Div", "Mul", "Sub"}:
            operators.append(node.op_type)
        elif node.op_type not in {"Cast", "Gather", "Identity", "Transpose"}:
            break
        name = node.output[0]
    return tuple(operators)


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor: initializers of all graphs, dense and sparse, and those in attributes."""
    yield from _initializers(model.graph)
    for training in model.training_info:
        yield from _initializers(training.initialization)
        yield from _initializers(training.algorithm)
    for attribute in _attributes(model):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _initializers(graph)


def _attributes(model: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    for function in model.functions:
        yield from function.attribute_proto
    for node in nodes_of(model):
        yield from node.attribute


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def put_data_inside(model: onnx.ModelProto, parts: OnnxParts, stage: str) -> None:
    """Read the tensors that a model keeps in other files into the model.

    Each file is read once, after every size was checked; onnx and ONNX Runtime open none.
    """
    tensors = [tensor for tensor in tensors_of(model) if tensor.data_location == EXTERNAL]
    spans = spans_by_location(map(_as_described, tensors), stage)
    data = {
        location: memoryview(read_data(parts, location, spans[location], stage))
        for location in spans
    }
    for tensor in tensors:
        span = _as_described(tensor).span(stage)
        tensor.raw_data = bytes(data[span.location][span.start : span.end])
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")


def _as_described(tensor: onnx.TensorProto) -> OutsideTensor:
    entries = tuple((entry.key, entry.value) for entry in tensor.external_data)
    return OutsideTensor(tensor.name, tuple(tensor.dims), tensor.data_type, entries)

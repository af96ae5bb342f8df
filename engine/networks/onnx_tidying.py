"""Bring an ONNX model of any exporter into one form, without changing what it computes.

Files list weights as inputs (IR version 3), keep functions of their own, hold nodes out of order,
sparse weights, inputs that nothing reads, and sizes of 0 or -1 that stand for open ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import ModelError
from engine.core.limits import LIMITS
from engine.networks.onnx_contents import nodes_in, nodes_of, normalizes_in_training

if TYPE_CHECKING:
    import onnx

IR_VERSION = 10
"""Of what is written: initializers need not be inputs, and every operator set is taken."""
ONNX_DOMAINS = {"", "ai.onnx"}
"""Two names of ONNX's own domain."""
_MOST_NODES = 1_000_000
"""Functions that call functions multiply."""
_FunctionKey = tuple[str, str, str]


def tidy_model(model: onnx.ModelProto, stage: str) -> onnx.ModelProto:
    """Give a model the form of `IR_VERSION`, with nodes in order and no functions of its own.

    Raises:
        ModelError: Its functions cannot be inlined, or a sparse tensor is too large.
    """
    if model.functions:
        model = _inline(model, stage)
    model.ir_version = IR_VERSION
    for node in nodes_of(model):
        if node.domain in ONNX_DOMAINS:
            node.ClearField("domain")
    version = operator_set(model)
    others = [opset for opset in model.opset_import if opset.domain not in ONNX_DOMAINS]
    del model.opset_import[:]
    model.opset_import.add(domain="", version=version)
    model.opset_import.extend(others)
    for graph in graphs_of(model):
        graph.name = graph.name or "graph"
        _make_dense(graph, stage)
        _drop_empty_lists(graph)
        if version >= 10:  # masks were no booleans before
            _write_masks(graph)
        if 18 <= version < 21:
            _write_group_norms(graph)
        _sort_nodes(graph)
        _name_nodes_apart(graph)
    _drop_inputs(model)
    write_standardization(model.graph, version)
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")
    return model


def operator_set(model: onnx.ModelProto | onnx.FunctionProto) -> int:
    """Read the version of ONNX's own operators of a model or function; 0 where it says none."""
    return max((o.version for o in model.opset_import if o.domain in ONNX_DOMAINS), default=0)


def graphs_of(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph of a model, and every graph within its nodes."""
    yield model.graph
    for node in nodes_of(model):
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def _inline(model: onnx.ModelProto, stage: str) -> onnx.ModelProto:
    from onnx import inliner

    _demand_inlinable(model, stage)
    _share_operator_set(model)
    inlined: onnx.ModelProto = inliner.inline_local_functions(model)
    inlined.ClearField("functions")
    return inlined


def _demand_inlinable(model: onnx.ModelProto, stage: str) -> None:
    """Refuse functions that call themselves, or that would make a graph without end."""
    functions = {_key(function): function for function in model.functions}
    calls = {
        key: [_callee(node) for node in nodes_in(function.node)]
        for key, function in functions.items()
    }
    inner = {key: {name for name in names if name in functions} for key, names in calls.items()}
    try:
        order = list(TopologicalSorter(inner).static_order())
    except CycleError as error:
        raise _endless(stage, "functions that call themselves") from error
    sizes: dict[_FunctionKey, int] = {}
    for key in order:
        sizes[key] = sum(sizes.get(name, 1) for name in calls[key])
    total = sum(sizes.get(_callee(node), 1) for node in nodes_in(model.graph.node))
    if total > _MOST_NODES:
        raise _endless(stage, f"functions of {total:,} operators, written out")


def _key(function: onnx.FunctionProto) -> _FunctionKey:
    return function.domain, function.name, function.overload


def _callee(node: onnx.NodeProto) -> _FunctionKey:
    return node.domain, node.op_type, node.overload


def _endless(stage: str, got: str) -> ModelError:
    return ModelError(
        stage,
        got=got,
        expected=f"a graph of at most {_MOST_NODES:,} operators",
        todo="Export the model again, without functions of its own.",
    )


def _share_operator_set(model: onnx.ModelProto) -> None:
    """Let functions use the model's operator set where that means the same operators.

    Functions of another operator set are not inlined.
    """
    version = operator_set(model)
    if not version:  # it calls functions alone
        version = max(
            (
                o.version
                for f in model.functions
                for o in f.opset_import
                if o.domain in ONNX_DOMAINS
            ),
            default=0,
        )
        model.opset_import.add(domain="", version=version)
    for function in model.functions:
        for opset in function.opset_import:
            if opset.domain in ONNX_DOMAINS and opset.version != version:
                names = {n.op_type for n in nodes_in(function.node) if n.domain in ONNX_DOMAINS}
                if all(signature(n, opset.version) == signature(n, version) for n in names):
                    opset.version = version


def schema(operator: str, version: int) -> onnx.defs.OpSchema | None:
    """Look up an operator of ONNX in an operator set; None where the set does not have it."""
    from onnx import defs

    try:
        return defs.get_schema(operator, version)
    except defs.SchemaError:
        return None


@cache
def signature(operator: str, version: int) -> object:
    """List inputs, outputs and attributes of an operator; newer sets often add types alone."""
    definition = schema(operator, version)
    if definition is None:
        return None
    values = [
        [(value.name, value.option) for value in values]
        for values in (definition.inputs, definition.outputs)
    ]
    attributes = {
        name: (attribute.type, attribute.required, str(attribute.default_value))
        for name, attribute in definition.attributes.items()
    }
    return values, attributes


def _make_dense(graph: onnx.GraphProto, stage: str) -> None:
    """Write sparse initializers and constants out."""
    from onnx import numpy_helper

    for sparse in graph.sparse_initializer:
        values = _dense(sparse, stage)
        graph.initializer.append(numpy_helper.from_array(values, sparse.values.name))
    graph.ClearField("sparse_initializer")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "sparse_value":
                values = _dense(attribute.sparse_tensor, stage)
                attribute.Clear()
                attribute.name, attribute.type = "value", attribute.TENSOR
                attribute.t.CopyFrom(numpy_helper.from_array(values))


def _dense(sparse: onnx.SparseTensorProto, stage: str) -> np.ndarray:
    from onnx import numpy_helper

    values, places = (numpy_helper.to_array(part) for part in (sparse.values, sparse.indices))
    size = values.itemsize
    for length in sparse.dims:
        size *= length
        if not 0 <= size <= LIMITS.model_bytes:
            raise ModelError(
                stage,
                got=f"a sparse weight of dimensions {list(sparse.dims)[:8]}",
                expected="weights that fit a TFLite file",
                todo="Choose a smaller model.",
            )
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    index = tuple(places.T) if places.ndim == 2 else np.unravel_index(places, dense.shape)
    dense[index] = values
    return dense


def _drop_empty_lists(graph: onnx.GraphProto) -> None:
    """Drop attributes that list nothing, as ``axes`` for all axes: onnx-tf cannot read them."""
    for node in graph.node:
        for attribute in [a for a in node.attribute if a.type in {a.INTS, a.FLOATS}]:
            if node.op_type != "Constant" and not (attribute.ints or attribute.floats):
                node.attribute.remove(attribute)


def _write_masks(graph: onnx.GraphProto) -> None:
    """Write the mask of Dropout, which folding would drop, as what it is in inference: all true."""
    from onnx import helper, numpy_helper

    true = numpy_helper.from_array(np.array([True]))
    read = {name for node in graph.node for name in _read_by(node)}
    read |= {value.name for value in graph.output}
    for node in [node for node in graph.node if node.op_type == "Dropout" and node.output[1:]]:
        mask = node.output.pop()
        if mask in read:
            shape = f"{mask}/shape"
            graph.node.append(helper.make_node("Shape", [node.input[0]], [shape]))
            graph.node.append(helper.make_node("ConstantOfShape", [shape], [mask], value=true))


def _write_group_norms(graph: onnx.GraphProto) -> None:
    """Write GroupNormalization's first form, which the checker refuses, as a norm of instances.

    ONNX took it back for its scale and bias, which are one a group rather than a channel.
    """
    from onnx import helper, numpy_helper

    for node in [node for node in graph.node if node.op_type == "GroupNormalization"]:
        x, scale, shift = node.input
        y = node.output[0]
        given = {
            attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute
        }
        shape = numpy_helper.from_array(np.array([0, given.pop("num_groups"), -1]))
        graph.node.extend(
            [
                helper.make_node("Constant", [], [f"{y}/groups"], value=shape),
                helper.make_node("Reshape", [x, f"{y}/groups"], [f"{y}/grouped"]),
                helper.make_node(
                    "InstanceNormalization",
                    [f"{y}/grouped", scale, shift],
                    [f"{y}/normalized"],
                    name=node.name,
                    **given,
                ),
                helper.make_node("Shape", [x], [f"{y}/shape"]),
                helper.make_node("Reshape", [f"{y}/normalized", f"{y}/shape"], [y]),
            ]
        )
        graph.node.remove(node)


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put nodes behind those whose values they read; converters to float16 leave them mixed up."""
    makers = {name: number for number, node in enumerate(graph.node) for name in node.output}
    makers.pop("", None)
    needed = {
        number: {makers[name] for name in _read_by(node) if name in makers}
        for number, node in enumerate(graph.node)
    }
    if all(max(before, default=-1) < number for number, before in needed.items()):
        return
    sorter = TopologicalSorter(needed)
    try:
        sorter.prepare()
    except CycleError:
        return  # the checker names the node
    nodes = list(graph.node)
    del graph.node[:]
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        graph.node.extend(nodes[number] for number in ready)
        sorter.done(*ready)


def _name_nodes_apart(graph: onnx.GraphProto) -> None:
    """Add numbers to equal names of nodes, which ONNX allows and ONNX Runtime refuses."""
    names: set[str] = set()
    counts = Counter[str]()
    for node in graph.node:
        given = name = node.name
        while name and name in names:
            counts[given] += 1
            name = f"{given}_{counts[given]}"
        node.name = name
        names.add(name)


def rename_value(nodes: Iterable[onnx.NodeProto], old: str, new: str) -> None:
    """Rename a value wherever nodes, and those of graphs within them, read or give it."""
    for node in nodes_in(nodes):
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == old:
                    names[number] = new


def _read_by(node: onnx.NodeProto) -> Iterable[str]:
    """Yield the values that a node reads, in graphs within it too."""
    for inner in nodes_in([node]):
        yield from inner.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (value.name for value in graph.output)


def _drop_inputs(model: onnx.ModelProto) -> None:
    """Drop inputs that have their values in the file, and those that nothing reads."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    read = {name for node in graph.node for name in _read_by(node)}
    read |= {value.name for value in graph.output}
    read_inputs = [value for value in graph.input if value.name in read - weights]
    del graph.input[:]
    graph.input.extend(read_inputs)


def write_standardization(graph: onnx.GraphProto, version: int) -> None:
    """Write batch norms of weights in training mode as InstanceNormalization."""
    constants = {tensor.name for tensor in graph.initializer}
    makers: dict[str, onnx.NodeProto] = {}
    read = {name for node in graph.node for name in node.input}
    read |= {value.name for value in graph.output}
    for node in graph.node:
        if any(name and name not in constants for name in node.input):
            continue
        constants.update(node.output)
        makers.update(dict.fromkeys(node.output, node))
        if (
            normalizes_in_training(node)
            and read.isdisjoint(node.output[1:])
            and _first_dimension(graph, node.input[0], makers, version) == 1
        ):
            _write_as_instances(node)


def _write_as_instances(node: onnx.NodeProto) -> None:
    epsilon = [attribute for attribute in node.attribute if attribute.name == "epsilon"]
    node.op_type = "InstanceNormalization"
    del node.input[3:]
    del node.output[1:]
    del node.attribute[:]
    node.attribute.extend(epsilon)


def _first_dimension(
    graph: onnx.GraphProto, name: str, makers: Mapping[str, onnx.NodeProto], version: int
) -> int | None:
    """Compute a constant and read its first dimension; None where it has no axes beyond two."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    names, waiting = set[str](), [name]
    while waiting:
        value = waiting.pop()
        if value not in names:
            names.add(value)
            waiting += makers[value].input if value in makers else ()
    nodes = [node for node in graph.node if not names.isdisjoint(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name in names]
    output = helper.make_empty_tensor_value_info(name)
    part = helper.make_graph(nodes, "weights", [], [output], weights)
    model = helper.make_model(part, opset_imports=[helper.make_opsetid("", version)])
    (value,) = ReferenceEvaluator(model).run(None, {})
    weight = np.asarray(value)
    return weight.shape[0] if weight.ndim > 2 else None

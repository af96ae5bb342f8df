"""Weight standardization: batch norms in training mode whose input is a weight.

NFNet and BiT normalise each kernel whenever they run (Qiao et al. 2019,
https://arxiv.org/abs/1903.10520), by a batch norm that takes its statistics from its input. Of a
weight these are the same for every picture. Where the first dimension is 1, InstanceNormalization
is the same formula, without a mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from engine.networks.onnx_contents import normalizes_in_training

if TYPE_CHECKING:
    import onnx


def write_standardization(graph: onnx.GraphProto, version: int) -> None:
    """Write batch norms of weights in training mode as InstanceNormalization.

    Args:
        graph: Its nodes are in order, its weights are no inputs; changed in place.
        version: Its operator set.
    """
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
    """First dimension of a constant, by computing it; None where it has no axes beyond two."""
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

"""Small whole ONNX models, and changed ones that are still ONNX."""

from __future__ import annotations

from random import Random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CLASSES = 8, 5
_SIZES = (0, -1, 1, 2, 7, 1 << 16, 1 << 31, 1 << 40, -(1 << 40))
_OPERATORS = (
    "Relu",
    "Loop",
    "If",
    "Conv",
    "Gather",
    "Reshape",
    "ConstantOfShape",
    "Expand",
    "Tile",
)


def convolution() -> onnx.ModelProto:
    """Conv, Relu, global mean, Gemm."""
    rng = np.random.default_rng(1)
    weights = {
        "k": rng.normal(size=(4, 3, 3, 3)),
        "b": rng.normal(size=4),
        "w": rng.normal(size=(CLASSES, 4)),
        "c": rng.normal(size=CLASSES),
    }
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["h"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "c"], ["y"], transB=1),
    ]
    return model(nodes, weights)


def residual() -> onnx.ModelProto:
    """Reshape, MatMul, Add, with shapes as tensors."""
    rng = np.random.default_rng(2)
    size = 3 * SIDE * SIDE
    weights = {"w": rng.normal(size=(size, CLASSES)), "b": rng.normal(size=(1, CLASSES))}
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Softmax", ["a"], ["y"], axis=1),
    ]
    made = model(nodes, weights)
    made.graph.initializer.append(numpy_helper.from_array(np.array([1, size]), "s"))
    return made


def quantized() -> onnx.ModelProto:
    """The convolution with its weights and its result on grids of integers."""
    seed = convolution()
    grids = {
        "ki": np.ones((4, 3, 3, 3), np.int8),
        "ks": np.full(4, 0.1, np.float32),
        "hs": np.array(0.05, np.float32),
        "hz": np.array(0, np.uint8),
    }
    seed.graph.initializer.extend(numpy_helper.from_array(w, name) for name, w in grids.items())
    convolved = seed.graph.node[0]
    convolved.input[1], convolved.output[0] = "kf", "hf"
    seed.graph.node.insert(0, helper.make_node("DequantizeLinear", ["ki", "ks"], ["kf"], axis=0))
    seed.graph.node.insert(2, helper.make_node("QuantizeLinear", ["hf", "hs", "hz"], ["hq"]))
    seed.graph.node.insert(3, helper.make_node("DequantizeLinear", ["hq", "hs", "hz"], ["h"]))
    return seed


def own_function() -> onnx.ModelProto:
    """The convolution in float16, its Relu as a function of the file, a bias sparse."""
    seed = convolution()
    seed.graph.node[1].op_type, seed.graph.node[1].domain = "Act", "own"
    seed.opset_import.append(helper.make_opsetid("own", 1))
    relu = helper.make_node("Relu", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 13)]
    seed.functions.append(helper.make_function("own", "Act", ["a"], ["b"], [relu], opsets))
    for tensor in seed.graph.initializer:
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*seed.graph.input, *seed.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    bias = seed.graph.initializer.pop()
    places = numpy_helper.from_array(np.arange(CLASSES), "places")
    seed.graph.sparse_initializer.append(helper.make_sparse_tensor(bias, places, [CLASSES]))
    return seed


def model(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("y", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def changed_model(whole: onnx.ModelProto, rng: Random) -> bytes:
    """A model that parses, with something in it that is not as it was."""
    made = onnx.ModelProto()
    made.CopyFrom(whole)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if made.graph.node:
            rng.choice(_CHANGES)(made.graph, rng)
    return bytes(made.SerializeToString())


def _sizes(graph: onnx.GraphProto, rng: Random) -> None:
    tensor = rng.choice(list(graph.initializer))
    if tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(_SIZES)


def _input(graph: onnx.GraphProto, rng: Random) -> None:
    dims = rng.choice([*graph.input, *graph.output]).type.tensor_type.shape.dim
    rng.choice(list(dims)).dim_value = rng.choice(_SIZES)


def _attribute(graph: onnx.GraphProto, rng: Random) -> None:
    found = [a for node in graph.node for a in node.attribute if a.ints or a.type == a.INT]
    if found:
        attribute = rng.choice(found)
        if attribute.ints:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(_SIZES)
        else:
            attribute.i = rng.choice(_SIZES)


def _operator(graph: onnx.GraphProto, rng: Random) -> None:
    rng.choice(list(graph.node)).op_type = rng.choice(_OPERATORS)


def _edges(graph: onnx.GraphProto, rng: Random) -> None:
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    node = rng.choice([node for node in graph.node if node.input])
    node.input[rng.randrange(len(node.input))] = rng.choice(names)


def _type(graph: onnx.GraphProto, rng: Random) -> None:
    rng.choice(list(graph.initializer)).data_type = rng.randrange(0, 30)


def _data(graph: onnx.GraphProto, rng: Random) -> None:
    tensor = rng.choice(list(graph.initializer))
    tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]


def _node(graph: onnx.GraphProto, rng: Random) -> None:
    del graph.node[rng.randrange(len(graph.node)) : rng.randrange(len(graph.node)) + 1]


def _numbers(graph: onnx.GraphProto, rng: Random) -> None:
    tensor = rng.choice(list(graph.initializer))
    values = np.frombuffer(tensor.raw_data[: len(tensor.raw_data) // 4 * 4], np.float32).copy()
    if not len(values):
        return
    values[rng.randrange(len(values))] = rng.choice((np.nan, np.inf, 1e38, -1e38, 0))
    tensor.raw_data = values.tobytes()


_CHANGES = (_sizes, _input, _attribute, _operator, _edges, _type, _data, _node, _numbers)

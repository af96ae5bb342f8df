"""Names of PyTorch modules: only those that weights or node names prove."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engine.comparison.layers.pairing import NamedWeights, name_modules
from engine.tasks.layers import find_modules, module_of, scope_of
from engine.tflite.graph import Graph
from tests.helpers.tiny_chain import chain_of

CHAIN = chain_of((0.01, 0.09, 0.03))


def named() -> list[NamedWeights]:
    return [NamedWeights(f"m.{i}", w) for i, w in enumerate(CHAIN.weights)]


def test_equal_weights_prove_a_module() -> None:
    found = name_modules(Graph(CHAIN.float_file()), named(), {})
    assert found == {0: "m.0", 1: "m.1", 2: "m.2"}


def test_weights_that_occur_twice_prove_nothing() -> None:
    twice = [*named(), NamedWeights("again", CHAIN.weights[1])]
    assert name_modules(Graph(CHAIN.float_file()), twice, {}) == {0: "m.0", 2: "m.2"}


def test_other_weights_prove_nothing() -> None:
    other = [NamedWeights("m", CHAIN.weights[0] + np.float32(1e-6))]
    assert name_modules(Graph(CHAIN.float_file()), other, {}) == {}


def test_a_scope_is_a_modules_name() -> None:
    assert scope_of("/features/features.1/conv/conv.0/conv.0.0/Conv") == "features.1.conv.0.0"
    assert scope_of("/_blocks.2/Add") == "_blocks.2"
    assert scope_of("Conv_3") == ""
    assert module_of("fc.weight", "/other/Gemm") == "fc"
    assert module_of("onnx::Conv_9", "/stem/Conv") == "stem"


def test_an_onnx_file_gives_names(tmp_path: Path) -> None:
    nodes, constants, last = [], [], "x"
    for i, weights in enumerate(CHAIN.weights):
        nodes.append(helper.make_node("Gemm", [last, f"w{i}"], [f"y{i}"], f"/m.{i}/Gemm", transB=1))
        constants.append(numpy_helper.from_array(np.asarray(weights, np.float32), f"w{i}"))
        last = f"y{i}"
    value = helper.make_tensor_value_info
    ends = [value(name, TensorProto.FLOAT, None) for name in ("x", last)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    file = tmp_path / "model.onnx"
    file.write_bytes(helper.make_model(graph).SerializeToString())
    assert find_modules(file, CHAIN.float_file()) == {0: "m.0", 1: "m.1", 2: "m.2"}
    file.write_bytes(b"no model")
    assert find_modules(file, CHAIN.float_file()) == {}

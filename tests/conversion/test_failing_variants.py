"""Real networks whose integer variants fail: everything else is there to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

import engine
from engine.cli.main import main
from engine.core.store import SAMPLE_IMAGES
from engine.reporting.text.layers import layers_headline

pytestmark = pytest.mark.slow
SIZE, CLASSES = 32, 5
Arrays = Mapping[str, np.ndarray]


def saved(path: Path, nodes: list[NodeProto], arrays: Arrays) -> Path:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [value("x", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [value("y", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def weights(seed: int = 7, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


def start() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Conv", ["x", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
    ]


def end(last: str) -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Relu", [last], ["r2"]),
        node("GlobalAveragePool", ["r2"], ["p2"]),
        node("Flatten", ["p2"], ["f2"]),
        node("Gemm", ["f2", "w3", "b3"], ["y"]),
    ]


def conditional_convolution(path: Path) -> Path:
    """A convolution whose kernel is computed from the picture, as in CondConv."""
    node = helper.make_node
    arrays = weights(w1=(8, 3, 3, 3), b1=(8,), route=(8, 4), kernels=(4, 8 * 8 * 9), b3=(CLASSES,))
    arrays |= {"w3": 10 * weights(w3=(8, CLASSES))["w3"], "shape": np.array([8, 8, 3, 3])}
    nodes = [
        *start(),
        node("GlobalAveragePool", ["r1"], ["p1"]),
        node("Flatten", ["p1"], ["f1"]),
        node("MatMul", ["f1", "route"], ["m1"]),
        node("Sigmoid", ["m1"], ["s1"]),
        node("MatMul", ["s1", "kernels"], ["k1"]),
        node("Reshape", ["k1", "shape"], ["kernel"]),
        node("Conv", ["r1", "kernel"], ["c2"], pads=[1, 1, 1, 1]),
        *end("c2"),
    ]
    return saved(path, nodes, arrays)


def loud_channel(path: Path) -> Path:
    """A channel that reaches 30,000 and that nobody reads, beside channels below 10."""
    arrays = weights(w1=(8, 3, 3, 3), b1=(8,), w2=(8, 8, 3, 3), b2=(8,), b3=(CLASSES,))
    arrays["w3"] = 10 * weights(w3=(8, CLASSES))["w3"]
    arrays["w1"][3], arrays["b1"][3], arrays["w2"][:, 3] = 0, 3e4, 0
    second = helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1])
    return saved(path, [*start(), second, *end("c2")], arrays)


def test_a_kernel_that_is_computed_costs_the_integer_variants_alone(tmp_path: Path) -> None:
    file, place = conditional_convolution(tmp_path / "cond.onnx"), tmp_path / "run"
    words = ["convert", "--onnx", str(file), "--calibration-count", "4", "--out", str(place)]
    words += ["--lowering", "stock"]  # ours makes it a product that integer kernels have
    assert main(words) == 1
    run = engine.Run.open(place)
    assert {"float32", "dynamic_range", "float16"} <= set(run.variants)
    assert {record.variant for record in run.missing} == {"int8", "uint8", "int8_float_io"}
    assert all("refusal of the LiteRT interpreter" in record.got for record in run.missing)
    assert all("A kernel that is computed" in record.todo for record in run.missing)
    assert run.damaged(again=True) == ()
    assert main(words) == 1
    comparison = engine.compare(run, SAMPLE_IMAGES)
    assert comparison.variant("float32").logit_max < 1e-4
    assert any(note.startswith("int8 is missing.") for note in comparison.faults)


def test_an_int8_that_collapses_is_kept_and_explained(tmp_path: Path) -> None:
    run = engine.convert(
        onnx=loud_channel(tmp_path / "loud.onnx"),
        variants=["float32", "int8", "int16x8"],
        calibration_count=4,
        out=tmp_path / "run",
    )
    assert run.missing == ()
    assert run.faults == {"int8": "same_answer"}
    found = engine.layers(run, "int8", SAMPLE_IMAGES)
    assert layers_headline(found) == "int8 answers the same for every picture from convolution 1 on"
    cause = found.by_loss[0].cause
    assert cause is not None
    assert cause.cause == "stands_still"
    assert "channel 3 reaches 3e+04" in cause.sentence
    words = ["compare", "--run", str(run.folder), "--images", str(SAMPLE_IMAGES)]
    assert main([*words, "--max-size-ratio", "int8=9"]) == 1

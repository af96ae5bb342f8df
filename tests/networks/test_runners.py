from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from engine.core.errors import ConversionError, ModelError
from engine.images.preprocess import in_layout
from engine.networks.runners.base import Runner
from engine.networks.runners.onnx import OnnxRunner
from engine.networks.runners.pytorch import TorchRunner
from engine.networks.runners.tflite import TfliteRunner
from engine.tflite.interpreter import dequantize, quantize

PICTURES = np.arange(3 * 2 * 2 * 3, dtype=np.float32).reshape(3, 2, 2, 3)
MEANS = PICTURES.mean((1, 2))


class ChannelMeans(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


def onnx_means(batch: int | str) -> bytes:
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.FLOAT, [batch, 3, 2, 2])],
        [value("y", TensorProto.FLOAT, [batch, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "runner",
    [
        TorchRunner(ChannelMeans),
        OnnxRunner(onnx_means("n")),
        OnnxRunner(onnx_means(1)),
        OnnxRunner(onnx_means(2)),
    ],
    ids=["torch", "any batch", "batch of 1", "batch of 2"],
)
def test_logits_by_hand(runner: Runner) -> None:
    with runner:
        np.testing.assert_allclose(runner.infer(PICTURES), MEANS, rtol=1e-6)
        runner.feed(PICTURES[0])
        runner.invoke()


@pytest.mark.parametrize(
    "wrong",
    [PICTURES[0], PICTURES.astype(np.float64), PICTURES.transpose(0, 3, 1, 2)],
    ids=["one picture", "float64", "NCHW"],
)
def test_wrong_pictures_are_refused(wrong: np.ndarray) -> None:
    with (
        TorchRunner(ChannelMeans) as runner,
        pytest.raises(ValueError, match="pictures must be float32"),
    ):
        runner.infer(wrong)


def test_what_onnx_runtime_refuses_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="Running the ONNX model"), OnnxRunner(b"nonsense"):
        pass


def test_models_without_logits_are_model_errors() -> None:
    value = helper.make_tensor_value_info
    node = helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.FLOAT, [2, 3, 4, 4])],
        [value("y", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    pictures = np.zeros((2, 4, 4, 3), np.float32)
    with (
        OnnxRunner(model.SerializeToString()) as runner,
        pytest.raises(ModelError, match=r"an output of shape \(\) for 2 pictures"),
    ):
        runner.infer(pictures)
    del graph.output[:]
    model.graph.CopyFrom(graph)
    with pytest.raises(ModelError), OnnxRunner(model.SerializeToString()):
        pass


def test_layouts() -> None:
    assert in_layout(PICTURES, "NCHW").shape == (3, 3, 2, 2)
    assert in_layout(PICTURES, "NCHW")[1, 2, 0, 1] == PICTURES[1, 0, 1, 2]
    assert in_layout(PICTURES, "NHWC") is not None


def test_quantization_by_hand() -> None:
    tensor = {"dtype": np.int8, "quantization": (0.5, -1)}
    values = np.array([0.0, 0.26, 1.0, 100.0, -100.0], np.float32)
    # 0/0.5-1=-1, round(0.52)-1=0, 2-1=1, clipped to 127 and -128
    steps = quantize(values, tensor)
    assert steps.tolist() == [-1, 0, 1, 127, -128]
    assert steps.dtype == np.int8
    np.testing.assert_allclose(dequantize(steps, tensor), [0.0, 0.5, 1.0, 64.0, -63.5])


def test_float_edges_pass_through() -> None:
    tensor = {"dtype": np.float32, "quantization": (0.0, 0)}
    np.testing.assert_array_equal(dequantize(quantize(MEANS, tensor), tensor), MEANS)


class DividesByZero:
    """Stands for LiteRT's interpreter of a model that its kernels cannot compute."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def allocate_tensors(self) -> None:
        pass

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "shape": [1, 3, 2, 2], "dtype": np.float32}]

    get_output_details = get_input_details

    def set_tensor(self, *_: Any) -> None:
        pass

    def invoke(self) -> None:
        raise RuntimeError("data[i] != zero_point was not true.\nNode number 8 (DIV) failed")


def test_a_model_that_fails_while_it_runs_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", DividesByZero)
    with (
        TfliteRunner(Path("int8.tflite")) as runner,
        pytest.raises(ConversionError, match=r"Running int8\.tflite: got .*\(DIV\) failed"),
    ):
        runner.infer(PICTURES)

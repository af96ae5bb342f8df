from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from engine.tflite.edits import MOST_TAPS, with_depthwise_in_parts
from engine.tflite.graph import operator_names, pack_model, parse_model

RNG = np.random.default_rng(5)
CHANNELS, SIZE = 3, 13


def depthwise(
    weights: np.ndarray, *, stride: int = 1, dilation: int = 1, same: bool = True
) -> bytes:
    """A depthwise convolution and a ReLU6 in one operator; float16 weights behind a DEQUANTIZE."""
    bias = np.array([0.5, -0.25, 0.0], np.float32)
    span = (np.array(weights.shape[:2]) - 1) * dilation + 1
    size = -(-SIZE // stride) if same else (SIZE - span) // stride + 1
    result = [2, *np.broadcast_to(size, 2).tolist(), CHANNELS]
    made, graph, options = schema.ModelT(), schema.SubGraphT(), schema.DepthwiseConv2DOptionsT()
    made.buffers = [schema.BufferT()]
    graph.tensors = []

    def tensor(name: str, shape: list[int], kind: int, value: np.ndarray | None = None) -> int:
        added = schema.TensorT()
        added.name, added.shape, added.type, added.buffer = name.encode(), shape, kind, 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            made.buffers.append(buffer)
            added.buffer = len(made.buffers) - 1
        graph.tensors.append(added)
        return len(graph.tensors) - 1

    def operator(name: str, inputs: list[int], output: int) -> Any:
        code, added = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        made.operatorCodes.append(code)
        added.opcodeIndex, added.inputs, added.outputs = (
            len(made.operatorCodes) - 1,
            inputs,
            [output],
        )
        return added

    made.operatorCodes, graph.operators = [], []
    x = tensor("x", [2, SIZE, SIZE, CHANNELS], schema.TensorType.FLOAT32)
    half = weights.dtype == np.float16
    kind = schema.TensorType.FLOAT16 if half else schema.TensorType.FLOAT32
    w = tensor("w", [1, *weights.shape], kind, weights)
    if half:
        stored, w = w, tensor("w32", [1, *weights.shape], schema.TensorType.FLOAT32)
        graph.operators.append(operator("DEQUANTIZE", [stored], w))
    b = tensor("b", [CHANNELS], schema.TensorType.FLOAT32, bias)
    y = tensor("y", result, schema.TensorType.FLOAT32)
    conv = operator("DEPTHWISE_CONV_2D", [x, w, b], y)
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = dilation
    options.depthMultiplier = 1
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    conv.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
    conv.builtinOptions = options
    graph.operators.append(conv)
    graph.inputs, graph.outputs = [x], [y]
    made.version, made.subgraphs = 3, [graph]
    return pack_model(made, 4096)


def by_hand(x: np.ndarray, weights: np.ndarray, stride: int, dilation: int, same: bool) -> Any:
    """Sum of products over the window, tap by tap, in float64."""
    height, width = weights.shape[:2]
    spans = [(taps - 1) * dilation + 1 for taps in (height, width)]
    if same:
        totals = [max((-(-SIZE // stride) - 1) * stride + span - SIZE, 0) for span in spans]
        pads = [(total // 2, total - total // 2) for total in totals]
        x = np.pad(x, [(0, 0), *pads, (0, 0)])
    rows, columns = ((x.shape[a + 1] - spans[a]) // stride + 1 for a in (0, 1))
    y = np.zeros((len(x), rows, columns, CHANNELS))
    for r in range(height):
        for c in range(width):
            part = x[:, r * dilation :: stride, c * dilation :: stride][:, :rows, :columns]
            y += part * weights[r, c].astype(np.float64)
    return np.clip(y + np.array([0.5, -0.25, 0.0]), 0, 6)


def answers(model: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    ("window", "stride", "dilation", "parts"),
    [
        ((7, 7), 1, 1, 3),
        ((7, 7), 2, 1, 3),
        ((5, 6), 1, 2, 2),
        ((11, 11), 1, 1, 6),
        ((3, 13), 1, 1, 2),
    ],
)
def test_the_sum_of_the_parts_is_the_whole(
    window: tuple[int, int], stride: int, dilation: int, parts: int, same: bool
) -> None:
    weights = RNG.normal(size=(*window, CHANNELS)).astype(np.float32) / 7
    x = RNG.normal(size=(2, SIZE, SIZE, CHANNELS)).astype(np.float32)
    whole = depthwise(weights, stride=stride, dilation=dilation, same=same)
    cut = with_depthwise_in_parts(whole)
    expected = by_hand(x, weights, stride, dilation, same)
    np.testing.assert_allclose(answers(whole, x), expected, atol=2e-6)
    np.testing.assert_allclose(answers(cut, x), expected, atol=2e-6)
    found = parse_model(cut)
    names = operator_names(found)
    assert names.count("DEPTHWISE_CONV_2D") == parts
    assert names.count("ADD") == parts - 1
    for operator, name in zip(found.subgraphs[0].operators, names, strict=True):
        if name == "DEPTHWISE_CONV_2D":
            assert np.prod(found.subgraphs[0].tensors[operator.inputs[1]].shape[1:3]) <= MOST_TAPS


def test_weights_in_float16_stay_so() -> None:
    weights = RNG.normal(size=(7, 7, CHANNELS)).astype(np.float16)
    x = RNG.normal(size=(2, SIZE, SIZE, CHANNELS)).astype(np.float32)
    cut = with_depthwise_in_parts(depthwise(weights))
    expected = by_hand(x, weights, 1, 1, True)
    np.testing.assert_allclose(answers(cut, x), expected, atol=2e-5)
    found = parse_model(cut)
    assert operator_names(found).count("DEQUANTIZE") == 3
    halves = sum(len(b.data) for b in found.buffers if b.data is not None)
    # Weights once, the bias and the zeros, and the numbers of the PAD and of the slices.
    assert halves < weights.nbytes + 500


def test_windows_with_a_kernel_of_their_own_stay_whole() -> None:
    whole = depthwise(np.ones((5, 5, CHANNELS), np.float32))
    assert with_depthwise_in_parts(whole) is whole


def test_integer_models_stay_whole() -> None:
    found = parse_model(depthwise(np.ones((7, 7, CHANNELS), np.float32)))
    for tensor in found.subgraphs[0].tensors:
        tensor.type = schema.TensorType.INT8
    whole = pack_model(found, 4096)
    assert with_depthwise_in_parts(whole) is whole

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.quantization.optimizer.grid import clip_to_activation, fake_quantize
from engine.quantization.optimizer.layer import Layer, parameters_of
from engine.quantization.optimizer.sampling import Positions, positions_of, rows_of
from engine.tflite.graph import Graph
from engine.tflite.interpreter import run_operator
from tests.helpers.tiny_pair import Writer

SAME, VALID = 0, 1
SIDE, DEPTH, PICTURES = 9, 4, 10


def file(name: str, weights: tuple[int, ...], out: tuple[int, ...], **options: Any) -> bytes:
    rng = np.random.default_rng(0)
    channels = out[-1]
    steps = rng.uniform(0.001, 0.01, channels)
    w = Writer()
    source = (1, DEPTH) if name == "FULLY_CONNECTED" else (1, SIDE, SIDE, DEPTH)
    x = w.tensor("x", source, "int8", steps=[0.05], zero=-7)
    values = rng.integers(-127, 128, weights)
    k = w.tensor("k", weights, "int8", steps=steps, values=values)
    w.graph.tensors[k].quantization.quantizedDimension = 3 if name[0] == "D" else 0
    bias = rng.integers(-500, 500, channels)
    b = w.tensor("b", (channels,), "int32", steps=0.05 * steps, values=bias)
    y = w.tensor("y", out, "int8", steps=[0.11], zero=5)
    w.operator(name, [x, k, b], y, **options)
    return w.file([x], [y])


LAYERS = {
    "1 x 1": ("CONV_2D", (6, 1, 1, DEPTH), (1, 9, 9, 6), {"strideH": 1, "strideW": 1}),
    "3 x 3, stride 2, SAME": (
        "CONV_2D",
        (6, 3, 3, DEPTH),
        (1, 5, 5, 6),
        {"strideH": 2, "strideW": 2, "padding": SAME},
    ),
    "2 x 3, VALID, dilated": (
        "CONV_2D",
        (6, 2, 3, DEPTH),
        (1, 7, 5, 6),
        {
            "strideH": 1,
            "strideW": 1,
            "padding": VALID,
            "dilationHFactor": 2,
            "dilationWFactor": 2,
        },
    ),
    "grouped": (
        "CONV_2D",
        (6, 3, 3, DEPTH // 2),
        (1, 9, 9, 6),
        {"strideH": 1, "strideW": 1, "padding": SAME},
    ),
    "depthwise, two outputs a channel": (
        "DEPTHWISE_CONV_2D",
        (1, 3, 3, 2 * DEPTH),
        (1, 5, 5, 2 * DEPTH),
        {"strideH": 2, "strideW": 2, "padding": SAME, "depthMultiplier": 2},
    ),
    "fully connected": ("FULLY_CONNECTED", (6, DEPTH), (1, 6), {}),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_products_of_rows_are_what_the_kernel_computes(kind: str) -> None:
    name, weights, out, options = LAYERS[kind]
    graph = Graph(file(name, weights, out, **options))
    op = graph.operators[0]
    rng = np.random.default_rng(1)
    inputs = rng.integers(-128, 128, (PICTURES, *graph.shape(op.inputs[0]))).astype(np.int8)
    (made,) = run_operator(graph, op, [inputs], [op.inputs[0]])
    grid, source = graph.grid(op.output), graph.grid(op.inputs[0])
    assert grid is not None
    assert source is not None
    positions = positions_of(graph, op, len(inputs))
    target = np.empty((made.shape[-1], positions.rows), np.float32)
    for picture, values in enumerate(grid.dequantize(made)):
        positions.copy(values, picture, target)
    rows = rows_of(graph, op, inputs, target, positions)
    parameters = parameters_of(graph, op)
    sums = Layer(rows, 0, source).sums(parameters) + parameters.bias.astype(np.float32)[:, None]
    steps = np.rint((fake_quantize(sums, clip_to_activation(grid, 0)) - rows.target) / grid.scale)
    assert np.abs(steps).max() <= 1
    assert np.mean(steps != 0) < 2e-3
    assert len(np.unique(rows.target)) > 30


def test_pictures_kept_out_of_the_fit_come_last() -> None:
    graph = Graph(file("FULLY_CONNECTED", (6, DEPTH), (1, 6)))
    op = graph.operators[0]
    inputs = np.arange(16, dtype=np.int8)[:, None, None] * np.ones((1, 1, DEPTH), np.int8)
    positions = positions_of(graph, op, len(inputs))
    rows = rows_of(graph, op, inputs, np.zeros((6, 16), np.float32), positions)
    assert rows.fitted == 14
    np.testing.assert_array_equal(rows.source[0, -2:, 0] - 7, [7, 15])


@pytest.mark.parametrize("cut", [1, 4], ids=["whole", "four windows, or a batch of four"])
def test_no_picture_kept_out_of_the_fit_has_a_window_in_it(cut: int) -> None:
    images = np.repeat(np.arange(16), cut)
    positions = Positions(16, cut, places=9, most=10_000, seed=0)
    rows = positions.of(np.broadcast_to(images[:, None, None], (len(images), 9, 1)))[:, 0]
    assert positions.fitted == 14 * cut * 9
    assert set(rows[positions.fitted :]) == {7, 15}
    assert not {7, 15} & set(rows[: positions.fitted])
    copied = np.empty((1, positions.rows), np.float32)
    for picture in range(16):
        positions.copy(np.full((cut, 3, 3, 1), picture), picture, copied)
    np.testing.assert_array_equal(copied[0], rows)

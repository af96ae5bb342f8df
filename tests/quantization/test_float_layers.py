from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from engine.quantization.mixed import with_float_layers
from engine.tflite.graph import operator_names, parse_model
from tests.helpers.tiny_pair import SIDE, Writer, conv, float_file, integer_file, pictures

RNG = np.random.default_rng(7)
STEP = 1 / 8


def answers(model: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def test_a_layer_in_float32_answers_like_the_float_model() -> None:
    layer = conv(RNG, 4, 3)
    exact, rounded = float_file(layer), integer_file(layer, out_step=STEP, out_zero=0)
    mixed = with_float_layers(rounded, exact, [1])
    assert operator_names(parse_model(mixed)) == ["CONV_2D"]
    (x,) = pictures(RNG, 1, 3)
    np.testing.assert_array_equal(answers(mixed, x), answers(exact, x))
    assert np.abs(answers(rounded, x) - answers(exact, x)).max() > 1e-3


def test_none_in_float32_leaves_the_model_as_it_was() -> None:
    layer = conv(RNG, 4, 3)
    rounded = integer_file(layer, out_step=STEP, out_zero=0)
    mixed = with_float_layers(rounded, float_file(layer), [])
    (x,) = pictures(RNG, 1, 3)
    np.testing.assert_array_equal(answers(mixed, x), answers(rounded, x))
    assert operator_names(parse_model(mixed)) == ["QUANTIZE", "CONV_2D", "DEQUANTIZE"]


def chain(*, integer: bool, steps: tuple[float, float, float]) -> bytes:
    """x → ADD (x + x) → ADD (y + y) → ADD (z + z), each output on its own grid."""
    w = Writer()
    shape = (1, SIDE)
    x = w.tensor("x", shape, "float32")
    last = x
    if integer:
        last = w.tensor("q", shape, "int8", steps=[1 / 32])
        w.operator("QUANTIZE", [x], last)
    for name, step in zip("abc", steps, strict=True):
        kind = {"dtype": "int8", "steps": [step]} if integer else {"dtype": "float32"}
        made = w.tensor(name, shape, **kind)  # type: ignore[arg-type]
        w.operator("ADD", [last, last], made)
        last = made
    if integer:
        out = w.tensor("out", shape, "float32")
        w.operator("DEQUANTIZE", [last], out)
        last = out
    return w.file([x], [last])


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        ([1], ["ADD", "QUANTIZE", "ADD", "ADD", "DEQUANTIZE"]),
        ([2], ["QUANTIZE", "ADD", "DEQUANTIZE", "ADD", "QUANTIZE", "ADD", "DEQUANTIZE"]),
        ([3], ["QUANTIZE", "ADD", "ADD", "DEQUANTIZE", "ADD"]),
        ([1, 2], ["ADD", "ADD", "QUANTIZE", "ADD", "DEQUANTIZE"]),
        ([1, 2, 3], ["ADD", "ADD", "ADD"]),
    ],
)
def test_edges_stand_only_between_floats_and_integers(kept: list[int], names: list[str]) -> None:
    steps = (0.061, 0.243, 0.52)
    exact, rounded = (chain(integer=integer, steps=steps) for integer in (False, True))
    mixed = with_float_layers(rounded, exact, kept)
    assert operator_names(parse_model(mixed)) == names
    # Of a seed of its own, so that nothing lies half way between two steps.
    x = np.random.default_rng(11).uniform(-1, 1, (1, SIDE)).astype(np.float32)
    grid = np.rint(x * 32) / 32 if 1 not in kept else x
    for place, step in enumerate(steps, 1):
        grid = grid + grid
        if place not in kept or (place + 1 not in kept and place < len(steps)):
            grid = np.rint(grid / np.float32(step)) * np.float32(step)
    np.testing.assert_allclose(answers(mixed, x), grid, atol=1e-6)


def largest(*, integer: bool) -> bytes:
    """x → ADD (x + x) → ARG_MAX, whose int32 result is no rounded float."""
    w = Writer()
    x = last = w.tensor("x", (1, SIDE), "float32")
    kind = {"dtype": "int8", "steps": [1 / 16]} if integer else {"dtype": "float32"}
    if integer:
        last = w.tensor("q", (1, SIDE), "int8", steps=[1 / 32])
        w.operator("QUANTIZE", [x], last)
    doubled = w.tensor("doubled", (1, SIDE), **kind)  # type: ignore[arg-type]
    axis = w.tensor("axis", (1,), "int32", values=np.array([1]))
    place = w.tensor("place", (1,), "int32")
    w.operator("ADD", [last, last], doubled)
    w.operator("ARG_MAX", [doubled, axis], place, outputType=2)
    return w.file([x], [place])


@pytest.mark.parametrize("kept", [[1], [2], [1, 2]])
def test_whole_numbers_that_stand_for_no_floats_stay_as_they_are(kept: list[int]) -> None:
    mixed = with_float_layers(largest(integer=True), largest(integer=False), kept)
    x = np.random.default_rng(3).uniform(-1, 1, (1, SIDE)).astype(np.float32)
    (place,) = answers(mixed, x)
    assert place.dtype == np.int32
    assert place == x.argmax()


def test_an_operator_without_a_counterpart_is_refused() -> None:
    layer = conv(RNG, 4, 3)
    rounded = integer_file(layer, out_step=STEP, out_zero=0)
    with pytest.raises(ValueError, match=r"\[0\]"):
        with_float_layers(rounded, float_file(layer), [0])

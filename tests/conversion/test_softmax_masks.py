"""Masks that a network computes, kept within what integers can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.conversion.onnx_patterns import clean_graph
from tests.helpers.integer_models import answers_of, decibels, expected_answers, parse_network

SCORES = """
  tokens = Reshape(picture, three_rows)
  turned = Transpose<perm = [0, 2, 1]>(tokens)
  scores = MatMul(turned, tokens)
  gauge = ReduceMean<axes = [2], keepdims = 0>(turned)
  sign = Greater(gauge, low)
  shown = Unsqueeze(sign, one_axis)
  {masked}
  weights = Softmax<axis = -1>(masked)
  attended = MatMul(weights, turned)
  logits = ReduceMean<axes = [1], keepdims = 0>(attended)
"""
CONSTANTS = {
    "three_rows": np.array([1, 3, 48]),
    "one_axis": np.array([1]),
    "low": np.float32(-0.5),
    "zero": np.float32(0),
    "one": np.float32(1),
    "quarter": np.float32(0.25),
    "infinity": np.float32(-np.inf),
    "lowest": np.finfo(np.float32).min,
    "far": np.float32(-1e9),
    "up": np.float32(1e30),
    "square": np.array([1, 48, 48]),
    "start": np.array([0]),
    "end": np.array([48]),
    "causal": np.where(np.tri(48, k=4), 0, -1e9).astype(np.float32),
}
MASKED = [
    "masked = Where(shown, scores, infinity)",
    "i = Cast<to = 1>(shown)\nd = Sub(one, i)\nm = Mul(d, far)\nmasked = Add(scores, m)",
    "j = Cast<to = 7>(shown)\ni = Cast<to = 1>(j)\nd = Sub(one, i)\nm = Mul(lowest, d)\n"
    "masked = Add(m, scores)",
    "n = Not(shown)\ni = Cast<to = 1>(n)\nm = Mul(i, up)\nmasked = Sub(scores, m)",
    "i = Cast<to = 1>(shown)\nd = Sub(i, one)\nm = Mul(d, up)\nmasked = Add(scores, m)",
    "m = Where(shown, zero, infinity)\nmasked = Add(scores, m)",
    "i = Cast<to = 1>(shown)\nd = Sub(one, i)\nb = Cast<to = 9>(d)\nm = Where(b, lowest, d)\n"
    "masked = Add(scores, m)",
    "m = Where(shown, zero, far)\nn = Expand(m, square)\no = Slice(n, start, end, one_axis)\n"
    "masked = Add(scores, o)",
    "m = Where(shown, zero, far)\nn = Add(m, causal)\nmasked = Add(scores, n)",
    "w = Where(shown, scores, lowest)\na = Add(w, causal)\nmasked = Max(a, lowest)",
    "w = Where(shown, scores, infinity)\nmasked = Mul(w, quarter)",
]


def _network(masked: str) -> onnx.ModelProto:
    body = SCORES.format(masked=masked)
    return parse_network(body, {name: value for name, value in CONSTANTS.items() if name in body})


@pytest.mark.parametrize("masked", MASKED)
def test_no_constant_reaches_farther_than_the_scores(masked: str) -> None:
    model = _network(masked)
    tidy = clean_graph(model)
    stored = [onnx.numpy_helper.to_array(value) for value in tidy.graph.initializer]
    for node in tidy.graph.node:
        stored += [onnx.numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"]
    floats = [value for value in stored if value.dtype == np.float32]
    assert floats
    assert max(np.abs(value).max() for value in floats) < 100
    np.testing.assert_allclose(
        expected_answers(tidy), expected_answers(model), rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("masked", [MASKED[3], MASKED[8], MASKED[9], MASKED[10]])
def test_a_computed_mask_leaves_the_scores_their_steps(masked: str, tmp_path: Path) -> None:
    model = _network(masked)
    expected = expected_answers(model)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 20
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 50


HIDDEN_ROWS = """
  column = Unsqueeze(sign, two_axis)
  pair = And(column, shown)
  masked = Where(pair, scores, infinity)
"""
GUARD = """
  gap = IsNaN(weights)
  guarded = Where(gap, zero, weights)
  attended = MatMul(guarded, turned)
"""


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [False, True])
def test_rows_that_are_hidden_whole_are_not_finite(guarded: bool, tmp_path: Path) -> None:
    body = SCORES.format(masked=HIDDEN_ROWS)
    if guarded:
        body = body.replace("attended = MatMul(weights, turned)", GUARD)
    constants = {**CONSTANTS, "two_axis": np.array([2])}
    model = parse_network(body, {name: value for name, value in constants.items() if name in body})
    expected = expected_answers(model)
    assert np.isnan(expected).any() != guarded
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-5, atol=1e-6
    )


ATTENTION = """
  tokens = Reshape(picture, three_rows)
  turned = Transpose<perm = [0, 2, 1]>(tokens)
  heads = Unsqueeze(turned, one_axis)
  gauge = ReduceMean<keepdims = 0>(turned, two_axis)
  sign = Greater(gauge, low)
  row = Unsqueeze(sign, one_axis)
  shown = Expand(row, square)
  {attended}
  logits = ReduceMean<keepdims = 0>(attended, two_axis)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "attended",
    [
        "attended = Attention(heads, heads, heads, shown)",
        "attended = Attention(heads, heads, heads, triangle)",
        "attended = Attention(heads, heads, heads, hiding)",
        "attended = Attention<is_causal = 1>(heads, heads, heads)",
    ],
)
def test_the_attention_operator_keeps_its_steps(attended: str, tmp_path: Path) -> None:
    constants = {
        **CONSTANTS,
        "two_axis": np.array([2]),
        "triangle": np.tri(48, dtype=bool),
        "hiding": np.where(np.tri(48), 0, -np.inf).astype(np.float32),
    }
    model = parse_network(ATTENTION.format(attended=attended), constants, opset=23)
    expected = expected_answers(model)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 20
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 50

"""What integer activations ask of the lowering: each operator's result in a range of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import ConversionError
from tests.helpers.integer_models import (
    answers_of,
    assert_answers,
    decibels,
    expected_answers,
    parse_network,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "body",
    [
        "logits = ReduceSum<keepdims = 0>(picture)",
        "logits = GlobalLpPool<p = 1>(picture)",
        "norms = LpNormalization<axis = 1, p = 1>(picture)\nlogits = GlobalLpPool(norms)",
        "logits = ReduceSum<keepdims = 0>(picture, rows_and_columns)",
        "logits = ReduceSumSquare<axes = [2, 3], keepdims = 0>(picture)",
        "logits = ReduceL1<axes = [2, 3], keepdims = 0>(picture)",
        "logits = ReduceL2<axes = [2, 3], keepdims = 0>(picture)",
        "logits = ReduceLogSumExp<axes = [2, 3], keepdims = 0>(picture)",
    ],
)
def test_sums_keep_their_range_in_int16(body: str, tmp_path: Path) -> None:
    model = parse_network(body, {"rows_and_columns": np.array([2, 3])})
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, rtol=1e-5)
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 40


MASKED = """
  tokens = Reshape(picture, three_rows)
  turned = Transpose<perm = [0, 2, 1]>(tokens)
  scores = MatMul(turned, tokens)
  {masked}
  weights = Softmax<axis = -1>(masked)
  attended = MatMul(weights, turned)
  logits = ReduceMean<axes = [1], keepdims = 0>(attended)
"""


@pytest.mark.parametrize("lowest", [-1e9, np.finfo(np.float32).min, -np.inf])
@pytest.mark.parametrize("masked", ["Add(scores, mask)", "Where(shown, scores, lowest)"])
def test_a_mask_leaves_the_scores_their_steps(masked: str, lowest: float, tmp_path: Path) -> None:
    shown = np.tri(48, dtype=bool)
    model = parse_network(
        MASKED.format(masked=f"masked = {masked}"),
        {
            "three_rows": np.array([1, 3, 48]),
            "shown": shown,
            "lowest": np.float32(lowest),
            "mask": np.where(shown, 0, lowest).astype(np.float32),
        },
    )
    assert_answers(model, tmp_path, int8=20, int16x8=50)


def test_scores_in_a_mask_keep_their_steps(tmp_path: Path) -> None:
    # As a choice among experts is written: the largest scores in a row of minus infinities.
    model = parse_network(
        """
          flat = Flatten(picture)
          scores = MatMul(flat, weights)
          largest, places = TopK<axis = 1>(scores, three)
          masked = ScatterElements<axis = 1>(mask, places, largest)
          logits = Softmax<axis = 1>(masked)
        """,
        {
            "weights": np.random.default_rng(1).normal(0, 0.1, (144, 6)).astype(np.float32),
            "three": np.array([3]),
            "mask": np.full((1, 6), -np.inf, np.float32),
        },
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, atol=1e-6)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 20
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 40


@pytest.mark.parametrize("variant", ["int8_float_io", "int16x8"])
@pytest.mark.parametrize("far", [-np.inf, np.finfo(np.float32).min, np.nan])
def test_a_constant_that_no_integer_holds_is_refused(
    far: float, variant: str, tmp_path: Path
) -> None:
    model = parse_network(
        "masked = Add(picture, mask)\nlogits = Sigmoid(masked)",
        {"mask": np.array([0, far, 0], np.float32).reshape(3, 1, 1)},
    )
    with pytest.raises(ConversionError, match=r"in the constant \S+"):
        answers_of(model, variant, tmp_path)


@pytest.mark.parametrize(("variant", "most"), [("int8_float_io", 0.4), ("int16x8", 0.6)])
def test_mixed_kernels_take_the_room_of_integers(variant: str, most: float, tmp_path: Path) -> None:
    bank = np.random.default_rng(1).normal(0, 0.1, (3, 128 * 3 * 64)).astype(np.float32)
    model = parse_network(
        "mean = GlobalAveragePool(picture)\nroutes = Flatten(mean)\n"
        "kernels = MatMul(routes, bank)\nkernel = Reshape(kernels, sizes)\n"
        "logits = Conv<pads = [4, 4, 4, 4]>(picture, kernel)",
        {"bank": bank, "sizes": np.array([128, 3, 8, 8])},
    )
    expected = expected_answers(model)
    assert decibels(answers_of(model, "float32", tmp_path), expected) > 100
    assert decibels(answers_of(model, variant, tmp_path), expected) > 25
    sizes = [(tmp_path / f"{name}.tflite").stat().st_size for name in (variant, "float32")]
    assert sizes[0] < most * sizes[1]


LOWEST = {"pads": np.array([0, 0, 1, 1, 0, 0, 2, 1]), "lowest": np.float32(-np.inf)}
LOWEST_IN_ROWS = {"row": np.array([1, 3, 48]), "pads": np.array([0, 0, 1, 0, 0, 1])}


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        pytest.param(
            "below = Neg(picture)\nlogits = MaxPool<kernel_shape = [3, 3], dilations = [2, 2], "
            "pads = [2, 2, 2, 2]>(below)",
            {},
            id="a dilated maximum",
        ),
        pytest.param(
            "wide = Pad(picture, pads, lowest)\n"
            "logits = MaxPool<kernel_shape = [3, 3], dilations = [2, 2]>(wide)",
            LOWEST,
            id="a dilated maximum over the lowest",
        ),
        pytest.param(
            "line = Reshape(picture, row)\nwide = Pad(line, pads, lowest)\n"
            "logits = MaxPool<kernel_shape = [3], strides = [2]>(wide)",
            LOWEST | LOWEST_IN_ROWS,
            id="a maximum of one dimension over the lowest",
        ),
        pytest.param(
            "wide = Pad(picture, pads, lowest)\nlogits = MaxPool<kernel_shape = [3, 3]>(wide)",
            LOWEST | {"lowest": np.float32(-1e9)},
            id="a maximum over -1e9",
        ),
        pytest.param(
            "maxima, places = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(picture)\n"
            "large = MaxUnpool<kernel_shape = [3, 3], strides = [2, 2]>(maxima, places, sizes)\n"
            "logits = AveragePool<kernel_shape = [3, 3]>(large)",
            {"sizes": np.array([1, 3, 8, 6])},
            id="maxima put back",
        ),
    ],
)
def test_windows_keep_the_range(
    body: str, constants: dict[str, np.ndarray], tmp_path: Path
) -> None:
    model = parse_network(body, constants)
    expected = expected_answers(model)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 30
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 70


def test_bounds_that_bind_nothing_stay_out_of_the_file(tmp_path: Path) -> None:
    model = parse_network(
        "logits = Clip(picture, least, most)",
        {"least": np.float32(-1), "most": np.float32(np.finfo(np.float32).max)},
    )
    assert decibels(answers_of(model, "int16x8", tmp_path), expected_answers(model)) > 50


@pytest.mark.parametrize(
    "body",
    [
        "wide = Pad(picture, pads, one)\nlogits = Relu(wide)",
        "flat = Flatten(picture)\nproduct = MatMul(flat, weights)\nlogits = Add(product, row)",
        "flat = Flatten(picture)\nproduct = MatMul(flat, weights)\nsum = Add(product, row)\n"
        "logits = Mul(sum, one)",
        "flat = Flatten(picture)\nproduct = MatMul(flat, weights)\n"
        "normed = BatchNormalization(product, vector, vector, vector, vector)\n"
        "norm = ReduceL2<axes = [1]>(normed)\nunit = Div(normed, norm)\n"
        "logits = MatMul(unit, head)",
    ],
    ids=["padding value", "row added", "sum multiplied", "normalised embedding"],
)
def test_int16_kernels_take_the_file(body: str, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    model = parse_network(
        body,
        {
            "pads": np.array([0, 1, 2, 0, 0, 0, 1, 3]),
            "one": np.float32(1.5),
            "weights": generator.normal(0, 0.1, (144, 5)).astype(np.float32),
            "row": generator.normal(size=(1, 5)).astype(np.float32),
            "vector": generator.uniform(0.5, 2, 5).astype(np.float32),
            "head": generator.normal(size=(5, 7)).astype(np.float32),
        },
    )
    expected = expected_answers(model)
    assert decibels(answers_of(model, "float32", tmp_path), expected) > 100
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 35


def test_a_layer_used_twice_rounds_its_bias_twice(tmp_path: Path) -> None:
    # In int16 the bias has the scale of the input, which differs a hundredfold here.
    model = parse_network(
        """
          flat = Flatten(picture)
          large = Mul(flat, hundred)
          first = Gemm(flat, weights, row)
          second = Gemm(large, weights, row)
          logits = Concat<axis = 1>(first, second)
        """,
        {
            "hundred": np.float32(100),
            "weights": np.full((144, 5), 0.001, np.float32),
            "row": np.linspace(3, 7, 5, dtype=np.float32),
        },
    )
    expected = expected_answers(model)
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 50


def test_a_sum_with_zeros_ends_no_process(tmp_path: Path) -> None:
    # As a GRU cell writes it that begins with zeros: 0 - n.
    model = parse_network(
        """
          flat = Flatten(picture)
          scores = MatMul(flat, weights)
          new = Tanh(scores)
          change = Sub(zeros, new)
          more = Add(change, zeros)
          same = Sub(more, zeros)
          logits = Mul(same, scores)
        """,
        {
            "weights": np.random.default_rng(1).normal(0, 0.1, (144, 5)).astype(np.float32),
            "zeros": np.zeros((1, 5), np.float32),
        },
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-5, atol=1e-6
    )
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 40

"""The lowering against ONNX Runtime, through to a TFLite file that is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.converters.integer_models import (
    answers_of,
    decibels,
    expected_answers,
    parse_network,
)

pytestmark = pytest.mark.slow


def test_a_padded_maximum_of_negative_maxima(tmp_path: Path) -> None:
    model = parse_network("""
  positive = Abs(picture)
  negative = Neg(positive)
  maxima = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(negative)
  logits = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(maxima)
""")
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected_answers(model))


@pytest.mark.parametrize("pads", [[0, 0, 1, 1], [1, 2, 2, 0]])
def test_a_maximum_hides_a_padding_of_minus_infinity(pads: list[int], tmp_path: Path) -> None:
    model = parse_network(
        """
  wide = Pad(picture, pads, lowest)
  logits = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(wide)
""",
        {"pads": np.array([0, 0, *pads[:2], 0, 0, *pads[2:]]), "lowest": np.float32(-np.inf)},
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected)
    for variant in ("int8_float_io", "int16x8"):
        assert decibels(answers_of(model, variant, tmp_path), expected) > 30

"""What integer activations ask of the lowering: each operator's result in a range of its own."""

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
    model = parse_network(body, "int64[2] rows_and_columns = {2, 3}")
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, rtol=1e-5)
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 40

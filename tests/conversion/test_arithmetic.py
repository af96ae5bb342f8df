"""Running sums, triangles and remainders, held against ONNX Runtime through to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.integer_models import (
    answers_of,
    assert_answers,
    expected_answers,
    parse_network,
    with_all_read,
)

pytestmark = pytest.mark.slow


def test_sums_and_triangles(tmp_path: Path) -> None:
    model = parse_network(
        with_all_read("""
          a = CumSum(picture, rows)
          b = CumSum<exclusive = 1>(picture, channels)
          c = CumSum<reverse = 1, exclusive = 1>(picture, columns)
          d = Trilu(picture)
          e = Trilu<upper = 0>(picture, below)
        """),
        {
            "rows": np.array(2),
            "channels": np.array(1),
            "columns": np.array(-1),
            "below": np.array(-2),
        },
        opset=14,
    )
    assert_answers(model, tmp_path, int8=35, int16x8=60)


def test_remainders_quotients_and_what_is_no_number(tmp_path: Path) -> None:
    model = parse_network(
        """
          root = Sqrt(picture)
          zeros = Sub(picture, picture)
          infinite = Div(picture, zeros)
          none = IsNaN(root)
          either = IsInf(infinite)
          above = IsInf<detect_negative = 0>(infinite)
          below = IsInf<detect_positive = 0>(infinite)
          large = Mul(picture, nine)
          whole = Cast<to = 7>(large)
          rest = Mod(whole, five)
          of_c = Mod<fmod = 1>(whole, five)
          part = Div(whole, five)
        """
        + with_all_read("""
          a = Cast<to = 1>(none)
          b = Cast<to = 1>(either)
          c = Cast<to = 1>(above)
          d = Cast<to = 1>(below)
          e = Cast<to = 1>(rest)
          f = Cast<to = 1>(of_c)
          g = Mod<fmod = 1>(picture, fraction)
          h = Cast<to = 1>(part)
        """),
        {"nine": np.float32(9), "five": np.array(-5), "fraction": np.float32(0.75)},
    )
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), rtol=1e-4, atol=1e-6
    )

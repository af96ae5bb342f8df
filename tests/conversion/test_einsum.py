"""Einsum, held against ONNX Runtime through to files that are run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engine.conversion.lowering import linear as einsum
from engine.tflite.artifact import artifact_of
from tests.helpers.integer_models import (
    answers_of,
    decibels,
    expected_answers,
    parse_network,
    with_all_read,
)


@pytest.mark.parametrize(
    ("equation", "ranks", "spelled"),
    [
        ("ij,jk", [2, 2], ["ij", "jk", "ik"]),
        (" b i j -> i b ", [3], ["bij", "ib"]),
        ("...ij,j", [4, 1], ["αβij", "j", "αβi"]),
        ("...i,...i->...", [3, 2], ["αβi", "βi", "αβ"]),
    ],
)
def test_letters_of_all_axes(equation: str, ranks: list[int], spelled: list[str]) -> None:
    assert einsum._spell_out(equation, ranks) == spelled


@pytest.mark.slow
def test_every_kind_of_axis(tmp_path: Path) -> None:
    model = parse_network(
        "square = Slice(picture, zero, six, rows)\nscores = ReduceMean<axes = [2, 3], keepdims = 0>"
        "(picture)\n"
        + with_all_read("""
          a = Einsum<equation = "bchw->bwhc">(picture)
          b = Einsum<equation = "nchw->nc">(picture)
          c = Einsum<equation = "bcii->bci">(square)
          d = Einsum<equation = "bchw, bdhw->bcd">(picture, picture)
          e = Einsum<equation = "bchw,bc->bchw">(picture, scores)
          f = Einsum<equation = "bchw,kc->bkhw">(picture, weights)
          g = Einsum<equation = "kc,bchw->bhwk">(weights, picture)
          h = Einsum<equation = "...hw,...wv">(picture, pairs)
          i = Einsum<equation = "bchw,kc,bdhw->bkd">(picture, weights, picture)
          j = Einsum<equation = "bc,bd->cd">(scores, scores)
          k = Einsum<equation = "bc,bc->">(scores, scores)
        """),
        {
            "zero": np.array([0]),
            "six": np.array([6]),
            "rows": np.array([2]),
            "weights": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
            "pairs": np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 1, 6, 2),
        },
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-5, atol=1e-5
    )
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 50


@pytest.mark.slow
def test_weights_of_channels_are_one_product(tmp_path: Path) -> None:
    model = parse_network(
        """
          small = Relu(picture)
          wide = Einsum<equation = "bchw,kc->bkhw">(small, weights)
          logits = ReduceMean<axes = [2, 3], keepdims = 0>(wide)
        """,
        {"weights": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)},
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-5, atol=1e-6
    )
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 35
    file = tmp_path / "float32.tflite"
    operators = Counter(artifact_of(file, variant="float32", layout="NHWC").operators)
    assert operators["FULLY_CONNECTED"] == 1
    assert "TRANSPOSE" not in operators

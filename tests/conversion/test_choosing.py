"""The largest along an axis, held against ONNX Runtime through to files that are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.integer_models import (
    answers_of,
    assert_answers,
    decibels,
    expected_answers,
    parse_network,
    with_all_read,
)

pytestmark = pytest.mark.slow


def test_along_any_axis(tmp_path: Path) -> None:
    model = parse_network(
        """
          equal = Ceil(picture)
          a, a_at = TopK<axis = 1>(picture, two)
          b, b_at = TopK<axis = -2, largest = 0>(picture, two)
          c, c_at = TopK<axis = 2>(equal, two)
        """
        + with_all_read("""
          a_all = Neg(a)
          a_places = Cast<to = 1>(a_at)
          b_all = Neg(b)
          b_places = Cast<to = 1>(b_at)
          c_places = Cast<to = 1>(c_at)
          d = Hardmax<axis = 1>(picture)
          e = Hardmax<axis = 3>(equal)
        """),
        {"two": np.array([2])},
    )
    np.testing.assert_array_equal(answers_of(model, "float32", tmp_path), expected_answers(model))


def test_before_operator_sets_10_and_13(tmp_path: Path) -> None:
    # TopK has its number as an attribute, and Hardmax is over all axes from the one named.
    model = parse_network(
        """
          largest, places = TopK<axis = 3, k = 2>(picture)
        """
        + with_all_read("""
          a = Neg(largest)
          b = Cast<to = 1>(places)
          c = Hardmax(picture)
          d = Hardmax<axis = 2>(picture)
        """),
        opset=9,
    )
    np.testing.assert_array_equal(answers_of(model, "float32", tmp_path), expected_answers(model))


def test_one_hot_of_any_types(tmp_path: Path) -> None:
    # The indices reach from about -9 to 9: some count from the end, others are out of range.
    model = parse_network(
        """
          large = Mul(picture, three)
          steps = Floor(large)
          whole = Cast<to = 7>(steps)
          first = ArgMax<axis = 1>(picture)
          b_whole = OneHot<axis = 1>(whole, depth, whole_numbers)
        """
        + with_all_read("""
          a = OneHot(whole, depth, numbers)
          b = Cast<to = 1>(b_whole)
          c = OneHot<axis = -2>(steps, float_depth, numbers)
          d = OneHot<axis = 0>(first, depth, numbers)
        """),
        {
            "three": np.float32(3),
            "depth": np.array(5),
            "float_depth": np.array([5], np.float32),
            "numbers": np.array([-0.5, 2], np.float32),
            "whole_numbers": np.array([3, -1]),
        },
    )
    np.testing.assert_array_equal(answers_of(model, "float32", tmp_path), expected_answers(model))


def test_a_gate_of_experts_in_integers(tmp_path: Path) -> None:
    # The largest gates among zeros, at places that each picture has of its own.
    model = parse_network(
        """
          pooled = ReduceMean<axes = [2, 3], keepdims = 0>(picture)
          scores = MatMul(pooled, weights)
          gates = Softmax<axis = 1>(scores)
          largest, places = TopK<axis = 1>(gates, two)
          logits = ScatterElements<axis = 1>(zeros, places, largest)
        """,
        {
            "weights": np.random.default_rng(1).normal(0, 9, (3, 6)).astype(np.float32),
            "two": np.array([2]),
            "zeros": np.zeros((1, 6), np.float32),
        },
    )
    assert_answers(model, tmp_path, int8=30, int16x8=40)


def test_zeros_stay_zeros_in_integers(tmp_path: Path) -> None:
    model = parse_network(
        """
          pooled = ReduceMax<axes = [2, 3], keepdims = 0>(picture)
          first = ArgMax<axis = 1, keepdims = 0>(pooled)
          among = OneHot(first, depth, numbers)
          largest = Hardmax(pooled)
          both = Concat<axis = 1>(among, largest)
          logits = Mul(both, half)
        """,
        {
            "depth": np.array(4),
            "numbers": np.array([0, 1], np.float32),
            "half": np.float32(0.5),
        },
    )
    expected = expected_answers(model)
    np.testing.assert_array_equal(answers_of(model, "float32", tmp_path), expected)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 40

"""Sequences of tensors, held against ONNX Runtime through to files that are run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import ConversionError
from engine.tflite.artifact import artifact_of
from tests.helpers.integer_models import (
    answers_of,
    decibels,
    expected_answers,
    parse_network,
    with_all_read,
)

pytestmark = pytest.mark.slow


def test_every_operator(tmp_path: Path) -> None:
    model = parse_network(
        """
          rows = SplitToSequence<axis = 2, keepdims = 0>(picture)
          threes = SplitToSequence<axis = -2>(picture, three)
          listed = SplitToSequence<axis = 3>(picture, sizes)
          empty = SequenceEmpty()
          single = SequenceInsert(empty, picture)
          row = SequenceAt(rows, back)
          part = SequenceAt(threes, zero)
          pair = SequenceConstruct(part, part, part)
          shorter = SequenceErase(pair)
          shortest = SequenceErase(shorter, back)
          both = SequenceInsert(shortest, part, zero)
          passed = Identity(both)
          count = SequenceLength(rows)
          number = Cast<to = 1>(count)
        """
        + with_all_read("""
          a = Neg(row)
          b = ConcatFromSequence<axis = 2>(threes)
          c = ConcatFromSequence<axis = -1>(listed)
          d = ConcatFromSequence<axis = 1>(single)
          e = ConcatFromSequence<axis = -1, new_axis = 1>(rows)
          f = ConcatFromSequence<axis = 1>(passed)
          g = Reshape(number, one)
        """),
        {
            "three": np.array(3),
            "sizes": np.array([1, 3, 2]),
            "zero": np.array(0),
            "back": np.array(-2),
            "one": np.array([1]),
        },
        opset=17,
    )
    expected = expected_answers(model)
    np.testing.assert_array_equal(answers_of(model, "float32", tmp_path), expected)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 30
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 70


def test_an_uneven_chunk_is_slices_of_what_is_read(tmp_path: Path) -> None:
    # As PyTorch writes chunk() of a size that it does not know.
    model = parse_network(
        """
          parts = SplitToSequence<axis = 2>(picture, three)
          last = SequenceAt(parts, back)
          first = SequenceAt(parts, zero)
          turned = Concat<axis = 2>(last, first)
          logits = Relu(turned)
        """,
        {"three": np.array(3), "zero": np.array(0), "back": np.array(-1)},
    )
    np.testing.assert_array_equal(answers_of(model, "float32", tmp_path), expected_answers(model))
    file = tmp_path / "float32.tflite"
    operators = artifact_of(file, variant="float32", layout="NHWC").operators
    assert sorted(operators) == ["CONCATENATION", "RELU", "STRIDED_SLICE", "TRANSPOSE"]
    assert operators["STRIDED_SLICE"] == 2


def test_a_place_that_is_computed_is_refused(tmp_path: Path) -> None:
    model = parse_network(
        """
          parts = SplitToSequence<axis = 2>(picture)
          largest = ReduceMax<keepdims = 0>(picture)
          place = Cast<to = 7>(largest)
          part = SequenceAt(parts, place)
          logits = Flatten(part)
        """
    )
    with pytest.raises(ConversionError, match=r"SequenceAt.*known at run time alone"):
        answers_of(model, "float32", tmp_path)

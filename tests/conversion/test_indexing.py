"""Scatters and gathers by indices, held against ONNX Runtime through to files that are run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from engine.conversion.lowering import indexing
from engine.tflite.artifact import artifact_of
from tests.helpers.integer_models import (
    answers_of,
    decibels,
    expected_answers,
    parse_network,
    with_all_read,
)


def test_updates_that_meet_take_turns() -> None:
    places = np.array([4, 1, 4, 4, 1])
    turns = [turn.tolist() for turn in indexing._rounds(places, repeated=True)]
    assert turns == [[0, 1], [2, 4], [3]]
    assert [turn.tolist() for turn in indexing._rounds(places, repeated=False)] == [[3, 4]]
    assert not list(indexing._rounds(places[:0], repeated=False))


@pytest.mark.parametrize(
    ("places", "box"),
    [
        ([1, 3, 9, 11], [[0, 2], [1, 3]]),
        ([9, 11, 1, 3], [[2, 0], [1, 3]]),
        ([1, 3, 9, 10], None),
        ([1, 9, 3, 11], None),
    ],
)
def test_places_that_combine_axes(places: list[int], box: list[list[int]] | None) -> None:
    assert indexing._box_of(np.array(places), (3, 4)) == box


def grid(*axes: list[int]) -> np.ndarray:
    """All combinations of indices, the last axis quickest."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def evenly(*shape: int) -> np.ndarray:
    """Numbers from -1 to 1."""
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


PLACES = {
    "odd": grid([0], [0, 1, 2], [1, 3, 5, 7]),
    "box": grid([0], [-2], [2, 3, 4], [0, 2, 4]),
    "single": np.array([[0, 2, 7, 5], [0, -3, 1, 2], [0, 1, 0, 0]]),
    "channels": np.array([[0, 1], [0, -1], [0, 1]]),
    "rows": np.array([6, 1]).reshape(1, 1, 2, 1).repeat(3, 1).repeat(6, 3),
    "mixed": np.random.default_rng(3).integers(-6, 6, (1, 3, 7, 4)),
    "pairs": np.array([[[2, -1], [0, 3]]]),
    "places": np.random.default_rng(3).integers(-3, 3, (1, 2, 8, 5)),
}
WINDOWS_PUT_BACK = {
    "one_axis": np.array([-1]),
    "one_column": np.array([-1, 1]),
    "zeros": np.zeros(3 * 8 * 6, np.float32),
    "as_before": np.array([1, 3, 8, 6]),
}


@pytest.mark.slow
def test_places_that_are_known(tmp_path: Path) -> None:
    model = parse_network(
        with_all_read("""
          a = ScatterND(picture, odd, a_new)
          b = ScatterND(picture, box, b_new)
          c = ScatterND(picture, single, c_new)
          d = ScatterND<reduction = "add">(picture, channels, d_new)
          e = ScatterND<reduction = "mul">(picture, channels, d_new)
          f = ScatterElements<axis = 2, reduction = "max">(picture, rows, f_new)
          g = ScatterElements<axis = -1, reduction = "min">(picture, mixed, g_new)
          h = GatherND<batch_dims = 1>(picture, pairs)
          i = GatherElements<axis = 2>(picture, rows)
          j = GatherElements<axis = 1>(picture, places)
        """),
        PLACES
        | {
            "a_new": evenly(1, 3, 4, 6),
            "b_new": evenly(1, 1, 3, 3),
            "c_new": evenly(3),
            "d_new": evenly(3, 8, 6),
            "f_new": evenly(1, 3, 2, 6),
            "g_new": evenly(1, 3, 7, 4),
        },
        opset=18,
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-6, atol=1e-6
    )
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 35
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 70


@pytest.mark.slow
def test_places_that_are_computed(tmp_path: Path) -> None:
    # The places are those of PLACES, less or plus nothing.
    names = ["box", "channels", "mixed", "pairs"]
    body = "\n".join(f"{name}_now = Add({name}, nothing)" for name in names)
    results = with_all_read("""
      b = ScatterND(picture, box_now, b_new)
      d = ScatterND<reduction = "add">(picture, channels_now, d_new)
      e = ScatterND<reduction = "mul">(picture, channels_now, d_new)
      f = ScatterND<reduction = "max">(picture, channels_now, d_new)
      g = ScatterElements<axis = -1, reduction = "min">(picture, mixed_now, g_new)
      h = GatherND<batch_dims = 1>(picture, pairs_now)
      i = GatherElements<axis = 3>(picture, mixed_now)
    """)
    model = parse_network(
        "largest = ReduceMax<keepdims = 0>(picture)\nzero = Sub(largest, largest)\n"
        f"nothing = Cast<to = 7>(zero)\n{body}\n{results}",
        PLACES
        | {
            "b_new": evenly(1, 1, 3, 3),
            "d_new": evenly(3, 8, 6),
            "g_new": evenly(1, 3, 7, 4),
        },
        opset=18,
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected, rtol=1e-6, atol=1e-6
    )


@pytest.mark.slow
def test_integers_put_where_places_are_computed(tmp_path: Path) -> None:
    # As torch.export writes a MaxUnpool: maxima among zeros, at places over one flattened axis.
    model = parse_network(
        """
          maxima, places = MaxPool<kernel_shape = [2, 2], strides = [1, 1]>(picture)
          updates = Reshape(maxima, one_axis)
          indices = Reshape(places, one_column)
          small = ScatterND(zeros, indices, updates)
          put = Reshape(small, as_before)
          logits = ReduceMean<axes = [2, 3], keepdims = 0>(put)
        """,
        WINDOWS_PUT_BACK,
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, rtol=1e-5)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 35
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 70


@pytest.mark.slow
def test_integers_added_where_a_product_would_be_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_LARGEST_SELECTION", 0)
    model = parse_network(
        """
          maxima, places = MaxPool<kernel_shape = [2, 2], strides = [1, 1]>(picture)
          updates = Reshape(maxima, one_axis)
          indices = Reshape(places, one_column)
          small = ScatterND<reduction = "add">(zeros, indices, updates)
          put = Reshape(small, as_before)
          logits = ReduceMean<axes = [2, 3], keepdims = 0>(put)
        """,
        WINDOWS_PUT_BACK,
        opset=16,
    )
    expected = expected_answers(model)
    np.testing.assert_allclose(answers_of(model, "float32", tmp_path), expected, rtol=1e-5)
    assert decibels(answers_of(model, "int8_float_io", tmp_path), expected) > 30
    assert decibels(answers_of(model, "int16x8", tmp_path), expected) > 60


@pytest.mark.slow
def test_a_choice_along_one_axis_is_a_gather(tmp_path: Path) -> None:
    # As torch.export writes picture[:, [2, 0]].
    model = parse_network(
        """
          turned = Transpose<perm = [1, 0, 2, 3]>(picture)
          chosen = GatherND(turned, places)
          back = Transpose<perm = [1, 0, 2, 3]>(chosen)
          logits = ReduceMean<axes = [2, 3], keepdims = 0>(back)
        """,
        {"places": np.array([[2], [-3]])},
    )
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), rtol=1e-5
    )
    operators = artifact_of(tmp_path / "float32.tflite", variant="float32", layout="NHWC").operators
    assert Counter(operators) == Counter(GATHER=1, MEAN=1)


@pytest.mark.slow
def test_an_assignment_in_place_only_moves_numbers(tmp_path: Path) -> None:
    model = parse_network(
        "small = Relu(picture)\nassigned = ScatterND(small, odd, new)\n"
        "logits = ReduceMean<axes = [2, 3], keepdims = 0>(assigned)",
        PLACES | {"new": evenly(1, 3, 4, 6)},
    )
    np.testing.assert_allclose(
        answers_of(model, "float32", tmp_path), expected_answers(model), rtol=1e-5
    )
    operators = artifact_of(tmp_path / "float32.tflite", variant="float32", layout="NHWC").operators
    assert Counter(operators) == Counter(RELU=1, CONCATENATION=1, GATHER=1, MEAN=1)

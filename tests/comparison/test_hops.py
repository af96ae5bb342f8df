from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.hops import SMALLEST_SPREAD, check_answers_follow, check_hop, check_reference
from engine.core.errors import HopError, ModelError
from engine.core.parity import hop_errors

BEFORE = np.array([[4.0, -8.0], [1.0, 2.0]], dtype=np.float32)


def test_errors_by_hand() -> None:
    after = BEFORE + np.array([[0.0, 0.5], [0.25, 0.0]], dtype=np.float32)
    assert hop_errors(BEFORE, after) == (0.5, 0.5 / 8)
    zero = np.zeros_like(BEFORE)
    assert hop_errors(zero, zero) == (0.0, 0.0)
    assert hop_errors(zero, BEFORE) == (8.0, float("inf"))


def test_the_first_stage_has_nothing_to_compare_with() -> None:
    assert check_hop("pytorch", None, BEFORE, tolerance=1e-3) == (None, None)


def test_the_tolerance_is_an_edge() -> None:
    after = BEFORE + np.float32(0.5)
    assert check_hop("a to b", BEFORE, after, tolerance=0.0625) == (0.5, 0.0625)
    with pytest.raises(HopError, match=r"Checking a to b: got logits that differ by 0\.5"):
        check_hop("a to b", BEFORE, after, tolerance=0.0624)


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        (0.0, "This step broke the model"),
        (0.046, "This step broke the model"),
        (0.048, "The model itself is the likely cause: its logits move by 0.0064 of the largest"),
    ],
)
def test_a_model_that_magnifies_rounding_is_told_from_a_broken_step(own: float, cause: str) -> None:
    after = BEFORE + np.float32(0.5)
    with pytest.raises(HopError, match=cause):
        check_hop("a to b", BEFORE, after, tolerance=1e-3, nudged=lambda: after + np.float32(own))


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (np.array([[np.nan, 0], [1, 2]], np.float32), "NaN or Inf for 1 of 2 pictures"),
        (np.array([[np.inf, 0], [np.nan, 2]], np.float32), "NaN or Inf for 2 of 2 pictures"),
        (np.zeros((2, 3), np.float32), "logits of shape"),
    ],
)
def test_a_broken_model_is_refused(after: np.ndarray, found: str) -> None:
    with pytest.raises(HopError, match=found):
        check_hop("float32 to int8", BEFORE, after, tolerance=None)


def test_answers_have_to_follow_the_picture_where_the_original_does() -> None:
    same = np.ones((2, 2), np.float32)
    with pytest.raises(HopError, match="the same logits for every picture"):
        check_answers_follow("a to b", BEFORE, same)
    check_answers_follow("a to b", same, same)
    check_answers_follow("a to b", BEFORE[:1], same[:1])


def test_an_original_that_always_answers_the_same_proves_nothing() -> None:
    for same in (np.zeros((4, 3), np.float32), np.full((4, 3), 7.5, np.float32)):
        with pytest.raises(ModelError, match=r"pytorch: got the same logits for 4 .* weights"):
            check_reference("pytorch", same)
    logits = np.full((4, 3), 8.0)
    logits[2, 1] += 8 * SMALLEST_SPREAD / 2
    with pytest.raises(ModelError, match="vary by 5e-06 of the largest"):
        check_reference("pytorch", logits)
    logits[2, 1] = 8 + 8 * SMALLEST_SPREAD * 2
    check_reference("pytorch", logits)
    check_reference("pytorch", logits[:1])


def test_classes_that_change_places_under_a_common_offset_are_noticed() -> None:
    rng = np.random.default_rng(0)
    before = (5000 + rng.normal(0, 1, (4, 10))).astype(np.float32)
    check_hop("a to b", before, before + np.float32(0.001), tolerance=1e-3)
    with pytest.raises(HopError, match="logits that differ by"):
        check_hop("a to b", before, before[:, ::-1], tolerance=1e-3)


def test_a_model_that_gives_nan_itself_is_no_broken_step() -> None:
    after = np.full((4, 3), np.nan, np.float32)
    mask = ("mask", np.array([0, -np.inf], np.float32))
    whole = ("places", np.array([1, 2]))
    bad = ("conv.weight", np.array([[1, np.nan], [np.nan, 2]], np.float32))
    with pytest.raises(HopError, match=r"NaN in 2 of 4 values of the weight 'conv\.weight'"):
        check_hop("onnx", None, after, tolerance=1e-3, weights=lambda: [mask, whole, bad])
    with pytest.raises(HopError, match="Inf in 1 of 2 values of the weight 'mask'"):
        check_hop("onnx", None, after, tolerance=1e-3, weights=lambda: [mask, whole])
    with pytest.raises(HopError, match="Its weights are finite") as caught:
        check_hop("onnx", None, after, tolerance=1e-3, weights=lambda: [whole])
    assert "lowering" not in str(caught.value)


def test_a_softmax_that_is_sure_of_every_picture_is_no_constant_model() -> None:
    logits = np.array([[60, 0, 1], [64, 2, 0], [61, 1, 1]], np.float64)
    sure = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    check_reference("onnx", sure)
    integers = np.array([[1, 0, 0]] * 3, np.float32)
    check_answers_follow("float32 to int8", sure, integers)
    with pytest.raises(ModelError, match="the same logits"):
        check_reference("onnx", integers)
    unsure = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.9, 0, 0.1]], np.float32)
    with pytest.raises(HopError, match="the same logits"):
        check_answers_follow("float32 to int8", unsure, integers)

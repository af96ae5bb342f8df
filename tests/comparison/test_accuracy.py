"""Answers against labels, counted by hand, and the statistics of such counts."""

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.accuracy import accuracy
from engine.comparison.metrics import mcnemar_exact, wilson_interval
from engine.core.errors import LabelsError
from engine.core.types import FloatArray, IntArray

NAN, INF = float("nan"), float("inf")


def answers(classes: list[int], of: int = 6) -> FloatArray:
    """Logits whose first answers are these; class 0 comes last unless it is the answer."""
    logits = np.tile(np.arange(of, dtype=np.float32), (len(classes), 1))
    logits[np.arange(len(classes)), classes] = 99
    return logits


def labels(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def test_shares_and_intervals() -> None:
    # First right: two of four. The third answers 3, 5, 4, 2, 1: its label comes fifth; 0 is sixth.
    counted = accuracy(answers([1, 2, 3, 4]), labels(1, 2, 1, 0))
    assert (counted.pictures, counted.top1, counted.top5) == (4, 0.5, 0.75)
    assert counted.top1_interval == wilson_interval(2, 4)
    assert counted.top5_interval == wilson_interval(3, 4)
    assert counted.mcnemar_p is None


def test_pictures_without_a_label_are_left_out() -> None:
    logits = answers([1, 2, 3, 4])
    logits[1] = NAN
    counted = accuracy(logits, labels(1, -1, 5, -1), answers([1, 1, 1, 1]))
    assert (counted.pictures, counted.top1, counted.top5) == (2, 0.5, 1.0)


def test_mcnemar_counts_where_exactly_one_is_right() -> None:
    # Labels all 1. The reference alone is right on five, the variant alone on none, both on one.
    truth = labels(*[1] * 6)
    counted = accuracy(answers([1, 2, 2, 2, 2, 2]), truth, answers([1] * 6))
    assert counted.mcnemar_p == pytest.approx(2 / 2**5)


def test_mcnemar_of_a_model_with_itself_is_one() -> None:
    logits = answers([1, 2])
    assert accuracy(logits, labels(1, 1), logits).mcnemar_p == 1.0


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_row_with_nan_or_inf_is_wrong(bad: float) -> None:
    logits = answers([1, 2, 3])
    logits[0, 4] = bad
    counted = accuracy(logits, labels(1, 2, 3), answers([1, 2, 0]))
    assert counted.top1 == counted.top5 == pytest.approx(2 / 3)
    # Only the reference is right on the first picture, only the variant on the last.
    assert counted.mcnemar_p == 1.0


def test_nan_on_both_sides_is_wrong_on_both() -> None:
    broken = np.full((1, 3), NAN, dtype=np.float32)
    counted = accuracy(broken, labels(0), broken)
    assert (counted.top1, counted.top5, counted.mcnemar_p) == (0.0, 0.0, 1.0)


def test_one_picture_of_two_classes() -> None:
    counted = accuracy(np.array([[1.0, 2.0]], dtype=np.float32), labels(0))
    assert (counted.pictures, counted.top1, counted.top5) == (1, 0.0, 1.0)


def test_ties_go_to_the_lowest_class() -> None:
    tied = np.ones((2, 3), dtype=np.float32)
    assert accuracy(tied, labels(0, 1)).top1 == 0.5


@pytest.mark.parametrize("wrong", [6, -2])
def test_a_label_that_is_no_class_is_refused(wrong: int) -> None:
    with pytest.raises(LabelsError, match=f"class {wrong} as a label; expected 0 to 5"):
        accuracy(answers([1, 2]), labels(1, wrong))


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(LabelsError, match="2 pictures without a label"):
        accuracy(answers([1, 2]), labels(-1, -1))


def test_no_picture_is_refused() -> None:
    with pytest.raises(LabelsError, match="0 pictures without a label"):
        accuracy(np.zeros((0, 3), dtype=np.float32), labels())


def test_labels_must_be_one_integer_a_row() -> None:
    with pytest.raises(ValueError, match=r"labels have shape \(1,\).*logits shape \(2, 6\)"):
        accuracy(answers([1, 2]), labels(1))
    with pytest.raises(ValueError, match="type float64"):
        accuracy(answers([1]), np.array([1.0]))


def test_a_reference_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 7\) and the variant \(2, 6\)"):
        accuracy(answers([1, 2]), labels(1, 2), answers([1, 2], of=7))


def test_wilson_interval_of_eight_in_ten() -> None:
    # z^2 = 3.8415. Middle (0.8 + 0.192073) / 1.384146 = 0.716740; half
    # 1.959964 sqrt(0.016 + 0.00960365) / 1.384146 = 0.313614 / 1.384146 = 0.226576.
    interval = wilson_interval(8, 10)
    assert interval.low == pytest.approx(0.490162, abs=1e-6)
    assert interval.high == pytest.approx(0.943318, abs=1e-6)


def test_wilson_interval_is_that_of_scipy() -> None:
    from scipy.stats import binomtest

    for total in (1, 2, 14, 250, 50_000):
        for right in {0, 1, total // 3, total - 1, total}:
            ends = binomtest(right, total).proportion_ci(0.95, method="wilson")
            interval = wilson_interval(right, total)
            assert (interval.low, interval.high) == pytest.approx(tuple(ends), abs=1e-12)


def test_wilson_interval_at_its_ends() -> None:
    # Of n without a success the upper end is z^2 / (n + z^2): 3.841459 / 13.841459 = 0.277533.
    none, everything = wilson_interval(0, 10), wilson_interval(10, 10)
    assert (none.low, everything.high) == (0.0, 1.0)
    assert none.high == pytest.approx(0.277533, abs=1e-6)
    assert everything.low == pytest.approx(1 - 0.277533, abs=1e-6)
    nothing = wilson_interval(0, 0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "total"), [(-1, 3), (4, 3)])
def test_wilson_interval_refuses_impossible_counts(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} successes of {total}"):
        wilson_interval(successes, total)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),  # 2 * (1/2)
        (5, 0, 0.0625),  # 2 * (1/2)^5
        (1, 7, 0.0703125),  # 2 * (1 + 8) / 2^8
        (3, 3, 1.0),
    ],
)
def test_mcnemar_exact(one: int, other: int, expected: float) -> None:
    assert mcnemar_exact(one, other) == pytest.approx(expected)
    assert mcnemar_exact(other, one) == pytest.approx(expected)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="counts -1, 2"):
        mcnemar_exact(-1, 2)


def test_what_was_lost_and_won_is_counted_by_class() -> None:
    truth = labels(1, 1, 2, 2, 3, 4)
    reference = answers([1, 1, 2, 5, 5, 4])
    variant = answers([5, 5, 2, 2, 5, 4])
    counted = accuracy(variant, truth, reference)
    assert (counted.lost, counted.won) == (2, 1)
    assert counted.mcnemar_p == mcnemar_exact(2, 1)
    assert [(c.index, c.pictures, c.lost, c.taken_for) for c in counted.changes] == [
        (1, 2, 2, 5),
        (2, 2, -1, None),
    ]
    assert accuracy(reference, truth).changes == ()
    assert accuracy(reference, truth).lost is None


def test_a_class_is_taken_for_its_most_frequent_wrong_answer_but_not_for_nan() -> None:
    truth, reference = labels(1, 1, 1, 1), answers([1, 1, 1, 1])
    variant = answers([3, 2, 3, 1])
    assert accuracy(variant, truth, reference).changes[0].taken_for == 3
    variant[:3] = NAN
    (change,) = accuracy(variant, truth, reference).changes
    assert (change.lost, change.taken_for) == (3, None)

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics import geometric_mean, ratio_of_medians


def test_ratio_of_constant_samples_has_no_width() -> None:
    ratio = ratio_of_medians([[2.0] * 9], [[4.0] * 9])
    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.5, 0.5)


def test_one_outlier_moves_no_median() -> None:
    ratio = ratio_of_medians([[1.0, 1.0, 1.0, 1.0, 900.0]], [[2.0] * 5])
    assert ratio.value == 0.5


def test_a_slow_minute_that_falls_on_both_does_not_widen_the_interval() -> None:
    slow = np.where(np.arange(40) < 20, 1.0, 3.0)
    together = ratio_of_medians([list(slow)], [list(2 * slow)])
    assert together.high - together.low < 1e-12
    apart = ratio_of_medians([list(slow)], [list(2 * slow[::-1])])
    assert apart.high - apart.low > 0.5


def test_interval_holds_the_true_ratio_and_narrows_with_rounds() -> None:
    rng = np.random.default_rng(1)

    def measured(rounds: int) -> float:
        ratio = ratio_of_medians(
            [list(rng.normal(9.0, 0.3, rounds))], [list(rng.normal(10.0, 0.3, rounds))]
        )
        assert ratio.low < 0.9 < ratio.high
        return ratio.high - ratio.low

    assert measured(400) < measured(20) / 2


def test_processes_that_disagree_widen_the_interval() -> None:
    ratio = ratio_of_medians([[1.0] * 5, [4.0] * 5], [[2.0] * 5, [2.0] * 5])
    assert ratio.value == pytest.approx(1.0)
    assert (ratio.low, ratio.high) == pytest.approx((0.5, 2.0))


def test_the_same_samples_give_the_same_interval() -> None:
    first, second = [[1.0, 2.0, 3.0, 2.5]], [[2.0, 2.5, 3.5, 1.5]]
    assert ratio_of_medians(first, second) == ratio_of_medians(first, second)


@pytest.mark.parametrize(("first", "second"), [([], []), ([[1.0]], [[1.0, 2.0]])])
def test_samples_of_other_rounds_are_refused(
    first: list[list[float]], second: list[list[float]]
) -> None:
    with pytest.raises(ValueError, match="same rounds"):
        ratio_of_medians(first, second)


def test_geometric_mean_of_a_half_and_two_is_one() -> None:
    mean = geometric_mean([([[1.0] * 3], [[2.0] * 3]), ([[4.0] * 3], [[2.0] * 3])])
    assert mean.value == pytest.approx(1.0)
    assert mean.low == pytest.approx(1.0)


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no models"):
        geometric_mean([])

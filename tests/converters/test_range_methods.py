from __future__ import annotations

import numpy as np
import pytest

from engine.converters.range_methods import BINS, Histograms
from engine.converters.recipes import RANGE_METHODS, RangeMethod

LEVELS = 256
METHODS = [method for method in RANGE_METHODS if method != "min_max"]


def bounds(
    values: np.ndarray, method: RangeMethod, low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    ends = {
        "x": (
            float(values.min() if low is None else low),
            float(values.max() if high is None else high),
        )
    }
    seen = Histograms(ends)
    half = len(values) // 2
    seen("x", values[:half])
    seen("x", values[half:])
    return seen.bounds(method, LEVELS)["x"]


def test_a_percentile_leaves_out_half_its_rest_at_each_end() -> None:
    low, high = bounds(np.linspace(-1, 3, 100_001, dtype=np.float32), "percentile_99.9")
    assert (low, high) == pytest.approx((-1 + 0.0005 * 4, 3 - 0.0005 * 4), abs=4 / BINS)


def test_zero_stays_within_and_at_the_end_of_what_is_never_negative() -> None:
    values = np.concatenate([np.zeros(1000), np.linspace(0, 6, 100_000)]).astype(np.float32)
    low, high = bounds(values, "percentile_99.9")
    assert low == 0
    assert high == pytest.approx(6 - 0.0005 * 6.06, abs=2 * 6 / BINS)
    # All values between 2 and 3: nothing below is seen, and nothing is cut off there.
    low, high = bounds(np.linspace(2, 3, 10_000, dtype=np.float32), "percentile_99.9")
    assert low == 2
    assert 2.99 < high <= 3


def test_squared_error_clips_an_outlier_when_that_is_cheaper_than_its_steps() -> None:
    rng = np.random.default_rng(1)
    values = np.append(rng.uniform(-1, 1, 1_000_000), 4.0).astype(np.float32)
    low, high = bounds(values, "mse")
    # (4 - h)² against 1,000,001 (1 + h)² / (12 · 255²): least at h = 4 - 1.2815 (1 + h) = 1.19.
    assert high == pytest.approx(1.19, abs=0.05)
    assert low == pytest.approx(-1.0, abs=0.02)


def test_squared_error_keeps_the_range_of_an_even_distribution() -> None:
    low, high = bounds(np.linspace(-2, 2, 100_000, dtype=np.float32), "mse")
    assert (low, high) == pytest.approx((-2, 2), abs=0.05)


def test_entropy_cuts_the_long_tail_and_keeps_the_body() -> None:
    rng = np.random.default_rng(2)
    values = np.append(rng.normal(0, 1, 200_000), [-40.0, 40.0]).astype(np.float32)
    low, high = bounds(values, "entropy")
    assert 3 < high < 15
    assert -15 < low < -3


@pytest.mark.parametrize("zeros", [20_000, 100_000, 5_000_000])
def test_zeros_of_a_relu_do_not_narrow_the_range(zeros: int) -> None:
    values = np.abs(np.random.default_rng(3).normal(0, 1, 100_000)).astype(np.float32)
    alone = bounds(values, "entropy", low=0.0)
    assert alone[1] > 0.9 * values.max()
    assert bounds(np.append(np.zeros(zeros, np.float32), values), "entropy") == alone


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_keeps_its_bounds(method: RangeMethod) -> None:
    assert bounds(np.full(10, 2.5, np.float32), method) == (2.5, 2.5)

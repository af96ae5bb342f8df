from __future__ import annotations

import numpy as np
import pytest

from engine.quantization import range_methods
from engine.quantization.range_methods import BINS, Histograms
from engine.quantization.recipes import RANGE_METHODS, RangeMethod

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


@pytest.mark.parametrize("outlier", [50, 200, 1_500, 2_500, 10_000])
def test_a_percentile_clips_its_share_however_far_one_value_lies(outlier: float) -> None:
    rng = np.random.default_rng(4)
    values = np.append(rng.uniform(0, 1, 200_000), outlier).astype(np.float32)
    _, high = bounds(rng.permutation(values), "percentile_99.9")
    assert np.mean(values > high) == pytest.approx(0.0005, rel=0.01)
    signed = np.append(rng.normal(0, 1, 200_000), [-2 * outlier, 2 * outlier]).astype(np.float32)
    low, high = bounds(rng.permutation(signed), "percentile_99.9")
    assert np.mean(signed > high) == pytest.approx(0.0005, rel=0.01)
    assert np.mean(signed < low) == pytest.approx(0.0005, rel=0.01)


def test_a_percentile_beyond_the_values_kept_singly_is_as_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(range_methods, "_SINGLE", 16)
    values = np.linspace(0, 1, 1_000_000, dtype=np.float32)
    values[0] = 300
    _, high = bounds(values, "percentile_99.9")
    assert np.mean(values > high) == pytest.approx(0.0005, rel=0.01)


@pytest.mark.parametrize("outlier", [50, 10_000])
def test_entropy_keeps_the_body_however_far_one_value_lies(outlier: float) -> None:
    values = np.random.default_rng(5).uniform(0, 1, 200_000)
    assert bounds(np.append(values, outlier).astype(np.float32), "entropy") == pytest.approx(
        (values.min(), 1), abs=0.05
    )


def test_squared_error_clips_to_less_than_a_fifth_where_that_is_cheaper() -> None:
    values = np.append(np.tile(np.linspace(0, 1, 10_000), 400), 40.0).astype(np.float32)
    # (40 - h)² against 4,000,001 h² / (12 · 255²): least at h = 40 / (1 + 5.126) = 6.53.
    assert bounds(values, "mse")[1] == pytest.approx(6.53, rel=0.05)


@pytest.mark.slow
def test_zeros_change_nothing_for_entropy_wherever_zero_lies_in_the_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(range_methods, "_CANDIDATES", 10)
    rng = np.random.default_rng(6)
    for _ in range(1_000):
        low, high = -rng.exponential(), rng.exponential() * 20
        values = rng.standard_t(4, 400)
        values = np.clip(values * high / 4, low, high).astype(np.float32)
        ends = {"low": float(values.min()), "high": float(values.max())}
        zeros = np.zeros(rng.integers(400, 4_000), np.float32)
        with_zeros = bounds(np.append(zeros, values), "entropy", **ends)
        assert with_zeros == bounds(values, "entropy", **ends)


@pytest.mark.parametrize("largest", [1e-30, 1e-36, 1e-40, 1e-44, 3e38])
@pytest.mark.parametrize("method", METHODS)
def test_tiny_and_huge_values_have_a_range(method: RangeMethod, largest: float) -> None:
    low, high = bounds(np.linspace(-largest, largest, 1001, dtype=np.float32), method)
    assert -largest * 1.01 <= low < 0 < high <= largest * 1.01

"""Quantiles that are one of the values."""

from __future__ import annotations

import numpy as np
import pytest

from engine.reporting.plots.titles import nearest_rank


@pytest.mark.parametrize(
    ("share", "value"), [(0.2, 1.0), (0.21, 2.0), (0.5, 3.0), (0.999, 9.0), (1.0, 9.0)]
)
def test_at_least_the_share_of_five_values_does_not_exceed_it(share: float, value: float) -> None:
    assert nearest_rank(np.array([[9.0, 1.0, 3.0, 2.0, 5.0]]), share) == value


def test_it_agrees_with_numpy_and_changes_nothing() -> None:
    values = np.random.default_rng(3).normal(size=(40, 25))
    before = values.copy()
    for share in (0.5, 0.95, 0.999):
        expected = np.quantile(values, share, method="inverted_cdf")
        assert nearest_rank(values, share) == expected
    assert np.array_equal(values, before)

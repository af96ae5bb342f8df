from __future__ import annotations

import numpy as np
import pytest

from engine.quantization.optimizer.grid import Grid, least_squares, scale_between
from engine.tflite.graph import Scale


def test_a_uniform_distribution_keeps_its_whole_range() -> None:
    found = least_squares(np.linspace(-1, 1, 10_001))
    assert found.step == pytest.approx(2 / 255, rel=1e-6)


def test_a_lonely_outlier_is_clipped() -> None:
    # 100,000 values in -1..1 and one at 4: the whole range costs 100,000 (5/255)^2 / 12 = 3.2,
    # cutting at 1 + d costs 100,000 ((2 + d) / 255)^2 / 12 + (3 - d)^2, least at d = 2.43: 2.8.
    values = np.append(np.linspace(-1, 1, 100_000), 4.0)
    found = least_squares(values)
    high = (127 - found.zero) * found.step
    assert high == pytest.approx(3.43, abs=0.08)


def test_zero_is_always_in_the_range() -> None:
    assert scale_between(2.0, 4.0).zero == -128
    assert scale_between(-4.0, -2.0).zero == 127
    assert scale_between(0.0, 0.0) == Scale(1.0, -128)


@pytest.mark.parametrize(
    ("activation", "low", "high"), [(0, -128, 127), (1, -28, 127), (2, -38, -18), (3, -28, 32)]
)
def test_the_fused_activation_clips(activation: int, low: int, high: int) -> None:
    grid = Grid.of(Scale(0.1, -28), activation)
    assert (grid.low, grid.high) == (low, high)


def test_halves_go_to_the_even_step() -> None:
    grid = Grid.of(Scale(1.0, 0), 0)
    found = grid.rounded(np.array([0.5, 1.5, -0.5, 300.0], np.float32))
    np.testing.assert_array_equal(found, [0, 2, 0, 127])

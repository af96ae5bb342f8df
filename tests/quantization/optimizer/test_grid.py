from __future__ import annotations

import numpy as np
import pytest

from engine.quantization.optimizer.grid import (
    clip_to_activation,
    fake_quantize,
    grid_between,
    least_squares,
)
from engine.tflite.grid import Grid


def test_a_uniform_distribution_keeps_its_whole_range() -> None:
    found = least_squares(np.linspace(-1, 1, 10_001))
    assert found.scale == pytest.approx(2 / 255, rel=1e-6)


def test_a_lonely_outlier_is_clipped() -> None:
    # 100,000 values in -1..1 and one at 4: the whole range costs 100,000 (5/255)^2 / 12 = 3.2,
    # cutting at 1 + d costs 100,000 ((2 + d) / 255)^2 / 12 + (3 - d)^2, least at d = 2.43: 2.8.
    values = np.append(np.linspace(-1, 1, 100_000), 4.0)
    found = least_squares(values)
    high = (127 - found.zero_point) * found.scale
    assert high == pytest.approx(3.43, abs=0.08)


def test_zero_is_always_in_the_range() -> None:
    assert grid_between(2.0, 4.0).zero_point == -128
    assert grid_between(-4.0, -2.0).zero_point == 127
    assert grid_between(0.0, 0.0) == Grid(1.0, -128)


@pytest.mark.parametrize(
    ("activation", "low", "high"), [(0, -128, 127), (1, -28, 127), (2, -38, -18), (3, -28, 32)]
)
def test_the_fused_activation_clips(activation: int, low: int, high: int) -> None:
    grid = clip_to_activation(Grid(0.1, -28), activation)
    assert (grid.lowest, grid.highest) == (low, high)


def test_halves_go_to_the_even_step() -> None:
    values = np.array([0.5, 1.5, -0.5, 300.0], np.float32)
    found = fake_quantize(values, clip_to_activation(Grid(1.0, 0), 0))
    np.testing.assert_array_equal(found, [0, 2, 0, 127])

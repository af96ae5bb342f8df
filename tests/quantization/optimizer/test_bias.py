from __future__ import annotations

import numpy as np
import pytest

from engine.quantization.optimizer import layer as bias
from engine.quantization.optimizer.grid import clip_to_activation
from engine.quantization.optimizer.layer import correct_bias
from engine.tflite.grid import Grid

SUMS = np.linspace(-3, 3, 6001, dtype=np.float32)[None]


def test_a_planted_shift_is_closed() -> None:
    grid = clip_to_activation(Grid(6 / 255, 0), 0)
    found = correct_bias(SUMS, np.array([0.3]), np.array([0.0]), grid)
    assert found[0] == pytest.approx(0.0, abs=1e-3)


def test_the_mean_counts_after_the_clipping() -> None:
    # mean(relu6(s + b)) of s uniform in -3..3 is (3 + b)^2 / 12 as long as nothing reaches 6.
    grid = clip_to_activation(Grid(6 / 255, -128), 3)
    found = correct_bias(SUMS, np.array([0.0]), np.array([(3 + 0.5) ** 2 / 12]), grid)
    assert found[0] == pytest.approx(0.5, abs=2e-3)


def test_a_channel_that_is_always_clipped_keeps_its_bias() -> None:
    grid = clip_to_activation(Grid(6 / 255, -128), 1)
    found = correct_bias(SUMS, np.array([-10.0]), np.array([1.0]), grid)
    assert found[0] == -10.0


def test_channels_are_found_each_for_itself() -> None:
    grid = clip_to_activation(Grid(12 / 255, 0), 0)
    both = np.concatenate([SUMS, SUMS])
    found = correct_bias(both, np.array([1.0, -1.0]), np.array([0.0, 0.5]), grid)
    np.testing.assert_allclose(found, [0.0, 0.5], atol=2e-3)


def test_channels_taken_some_at_a_time_are_found_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = clip_to_activation(Grid(12 / 255, 0), 0)
    many = np.repeat(SUMS, 7, axis=0)
    asked = many, np.linspace(-1, 1, 7), np.linspace(0, 0.5, 7), grid
    at_once = correct_bias(*asked)
    monkeypatch.setattr(bias, "_BLOCK", 2 * SUMS.size)
    np.testing.assert_array_equal(correct_bias(*asked), at_once)

from __future__ import annotations

import numpy as np
import pytest

from engine.conversion.lowering.layout import MOST_AXES, steps

RNG = np.random.default_rng(0)


def turned(values: np.ndarray, order: list[int]) -> np.ndarray:
    result = values
    for shape, step in steps(order, values.shape):
        assert len(step) <= MOST_AXES
        result = result.reshape(shape).transpose(step)
    return result.reshape([values.shape[axis] for axis in order])


@pytest.mark.parametrize("rank", [2, 6, 7, 8, 10, 13])
def test_steps_do_what_one_transpose_does(rank: int) -> None:
    for sizes in (RNG.integers(1, 4, rank), np.full(rank, 2)):
        values = np.arange(np.prod(sizes)).reshape(sizes)
        for order in [RNG.permutation(rank).tolist() for _ in range(20)]:
            np.testing.assert_array_equal(turned(values, order), values.transpose(order))


def test_what_stays_together_moves_as_one() -> None:
    # (2, 3, 4, 5, 6, 7, 8) is (6, 20, 336) with the first two exchanged.
    assert steps([2, 3, 0, 1, 4, 5, 6], range(2, 9)) == [([6, 20, 336], [1, 0, 2])]
    assert steps([3, 0, 1, 2], [5, 1, 1, 1]) == []


def test_seven_axes_take_two_steps_at_most() -> None:
    found = [len(steps(RNG.permutation(7).tolist(), [2] * 7)) for _ in range(500)]
    assert max(found) == 2

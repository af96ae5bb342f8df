from __future__ import annotations

import numpy as np
import pytest

from engine.quantization.optimizer import grid as products
from engine.quantization.optimizer.gptq import DAMPING, _factor, best_steps, gptq
from engine.quantization.optimizer.grid import covariance


def test_the_second_weight_makes_up_for_the_error_of_the_first() -> None:
    # H = [[2, 1], [1, 1]]: rounding 0.4 to 0 leaves 0.4, and the best second weight for it is
    # w2 + 0.4 h12 / h22. With damping d the factor is h12 / (h22 + d), 1 / 1.015: 0.2 becomes
    # 0.594, which rounds to 1 where plain rounding gives 0.
    hessian = np.array([[[2.0, 1.0], [1.0, 1.0]]])
    assert 0.2 + 0.4 / (1 + DAMPING * 1.5) > 0.5
    found = gptq(np.array([[[0.4, 0.2]]]), np.ones((1, 1)), hessian)
    np.testing.assert_array_equal(found, [[[0, 1]]])


def test_the_weight_of_the_stronger_input_is_rounded_first() -> None:
    # The same, columns swapped: the order of the inputs must not matter.
    hessian = np.array([[[1.0, 1.0], [1.0, 2.0]]])
    found = gptq(np.array([[[0.2, 0.4]]]), np.ones((1, 1)), hessian)
    np.testing.assert_array_equal(found, [[[1, 0]]])


def test_inputs_that_never_vary_are_rounded_plainly() -> None:
    hessian = np.zeros((1, 3, 3))
    found = gptq(np.array([[[0.4, 1.6, -300.0]]]), np.ones((1, 1)), hessian)
    np.testing.assert_array_equal(found, [[[0, 2, -127]]])


def test_the_factor_does_not_depend_on_the_number_of_threads() -> None:
    import torch

    rows = np.random.default_rng(0).normal(0, 1, (1, 700, 400)).astype(np.float32)
    hessian = covariance(rows)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(_factor(hessian))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


def test_groups_and_blocks_give_what_each_alone_gives() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, (2, 500, 150)).astype(np.float32)
    weights, steps = rng.normal(0, 3, (2, 4, 150)), np.full((2, 4), 0.5)
    hessian = covariance(rows)
    both = gptq(weights, steps, hessian)
    for g in (0, 1):
        alone = gptq(weights[g : g + 1], steps[g : g + 1], hessian[g : g + 1])
        np.testing.assert_array_equal(both[g : g + 1], alone)


def test_the_error_of_the_products_falls_on_correlated_inputs() -> None:
    rng = np.random.default_rng(1)
    rows = (rng.normal(0, 1, (1, 2000, 32)) @ rng.normal(0, 1, (32, 32))).astype(np.float32)
    weights, steps = rng.normal(0, 3, (1, 8, 32)), np.ones((1, 8))
    hessian = covariance(rows)

    def loss(rounded: np.ndarray) -> float:
        wrong = rounded - weights
        return float(np.einsum("gok,gkl,gol->", wrong, hessian, wrong))

    assert loss(gptq(weights, steps, hessian)) < 0.6 * loss(np.rint(weights))


def test_covariance_leaves_the_mean_out() -> None:
    rows = np.array([[[1, 10], [3, 10], [1, 14], [3, 14]]], np.float32)
    np.testing.assert_allclose(covariance(rows), [[[1, 0], [0, 4]]])


@pytest.mark.parametrize("shape", [(1, 90, 8), (6, 40, 3)])
def test_covariance_in_parts_is_that_of_all(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(2).normal(5, 1, shape).astype(np.float32)
    monkeypatch.setattr(products, "_BLOCK", 200)
    by_hand = [np.cov(group.T, bias=True) for group in rows]
    np.testing.assert_allclose(covariance(rows), by_hand, rtol=1e-4, atol=1e-4)


def test_a_smaller_step_is_taken_where_the_largest_weight_does_not_matter() -> None:
    weights = np.array([[[127.0, 0.4, 0.4]]])
    kept = best_steps(weights, np.ones((1, 1)), np.array([[1.0, 1.0, 1.0]]))
    shrunk = best_steps(weights, np.ones((1, 1)), np.array([[0.0, 1.0, 1.0]]))
    np.testing.assert_array_equal(kept, [[1.0]])
    assert shrunk[0, 0] < 1

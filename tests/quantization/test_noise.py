from __future__ import annotations

import numpy as np
import pytest

from engine.quantization.sensitivity import noise_of
from tests.helpers.tiny_chain import chain_of, inputs

STEPS = (0.01, 0.09, 0.03)


def mean_square(answers: np.ndarray, exact: np.ndarray) -> float:
    wrong = (answers - exact).reshape(len(exact), -1)
    return float(np.mean(np.square(wrong - wrong.mean(axis=1, keepdims=True))))


def test_each_rounding_is_measured_alone() -> None:
    chain, pictures = chain_of(STEPS), inputs(6)
    one, two, three = chain.weights
    found = noise_of(chain.float_file(), chain.integer_file(), pictures, lambda _: None)
    assert [record.operator for record in found] == [1, 2, 3]
    second = pictures @ one.T @ two.T
    exact = second @ three.T
    rounded = np.rint(second / np.float32(STEPS[1])) * np.float32(STEPS[1])
    assert found[1].output == pytest.approx(mean_square(rounded @ three.T, exact), rel=1e-3)
    lighter = pictures @ one.T @ chain.rounded(1).T @ three.T
    assert found[1].weights == pytest.approx(mean_square(lighter, exact), rel=1e-2)


def test_roundings_add_up() -> None:
    chain, pictures = chain_of(STEPS), inputs(64)
    found = noise_of(chain.float_file(), chain.integer_file(), pictures, lambda _: None)
    total = sum(record.output + record.weights for record in found)
    at_once = np.square(np.array(STEPS)).sum() / 12
    # Each output's rounding is uniform, and orthogonal layers hand it on as it is.
    assert sum(record.output for record in found) == pytest.approx(at_once, rel=0.15)
    assert total > at_once

"""The loss of weights and of activations, beside the same computed here."""

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.layers.records import LossSplit
from engine.quantization.sensitivity import split_loss
from tests.helpers.tiny_chain import chain_of, inputs

STEPS = (0.01, 0.09, 0.03)


def rms(answers: np.ndarray, exact: np.ndarray) -> float:
    wrong = (answers - exact).reshape(len(exact), -1)
    return float(np.sqrt(np.mean(np.square(wrong - wrong.mean(axis=1, keepdims=True)))))


def test_weights_and_activations_are_rounded_apart() -> None:
    chain, pictures = chain_of(STEPS), inputs(6)
    split = split_loss(chain.float_file(), chain.integer_file(), pictures)
    assert split is not None
    exact, lighter, rounded = pictures, pictures, pictures
    for number, (weights, step) in enumerate(zip(chain.weights, STEPS, strict=True)):
        exact, lighter = exact @ weights.T, lighter @ chain.rounded(number).T
        rounded = np.rint(rounded @ weights.T / np.float32(step)) * np.float32(step)
    assert split.pictures == 6
    assert split.weights == pytest.approx(rms(lighter, exact), rel=1e-2)
    assert split.activations == pytest.approx(rms(rounded, exact), rel=1e-2)


def test_shares_are_of_squares() -> None:
    assert LossSplit(3.0, 4.0, 1).share_of_weights == pytest.approx(0.36)
    assert LossSplit(0.0, 0.0, 1).share_of_weights is None


def test_a_model_without_integers_has_no_split() -> None:
    chain = chain_of(STEPS)
    assert split_loss(chain.float_file(), chain.float_file(), inputs(2)) is None

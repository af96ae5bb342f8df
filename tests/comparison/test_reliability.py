"""The calibration curve, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.comparison.accuracy import reliability
from engine.comparison.metrics import wilson_interval
from engine.core.types import FloatArray


def sure(*shares: float) -> FloatArray:
    """Softmax outputs of two classes whose first answer gets these shares."""
    return np.array([[share, 1 - share] for share in shares])


def test_bins_hold_what_falls_into_them() -> None:
    right = np.array([True, False, True, True])
    found = reliability(sure(0.55, 0.58, 0.93, 1.0), right, probabilities=True)
    assert [(b.low, b.high, b.pictures, b.right) for b in found.bins] == [
        (0.5, 0.6, 2, 0.5),
        (0.9, 1.0, 2, 1.0),
    ]
    assert [b.confidence for b in found.bins] == pytest.approx([0.565, 0.965])
    assert found.bins[0].right_interval == wilson_interval(1, 2)
    assert found.error == pytest.approx((2 * 0.065 + 2 * 0.035) / 4)
    assert found.left_out == 0


def test_a_border_belongs_to_the_bin_below() -> None:
    found = reliability(sure(0.5, 0.6), np.array([True, True]), probabilities=True)
    assert [(b.low, b.pictures) for b in found.bins] == [(0.4, 1), (0.5, 1)]


def test_logits_go_through_a_softmax() -> None:
    logits = np.log(np.array([[0.75, 0.25], [0.2, 0.8]])) + 40
    found = reliability(logits, np.array([True, False]), probabilities=False)
    assert [b.confidence for b in found.bins] == pytest.approx([0.75, 0.8])
    assert found.error == pytest.approx((0.25 + 0.8) / 2)


def test_large_logits_do_not_overflow() -> None:
    found = reliability(np.array([[1e4, -1e4]]), np.array([True]), probabilities=False)
    assert (found.bins[0].confidence, found.error) == (1.0, 0.0)


def test_nan_has_no_confidence() -> None:
    outputs = sure(0.55, 0.9)
    outputs[0, 0] = np.nan
    found = reliability(outputs, np.array([False, True]), probabilities=True)
    assert (found.left_out, len(found.bins)) == (1, 1)
    nothing = reliability(outputs[:1], np.array([False]), probabilities=True)
    assert (nothing.left_out, nothing.bins) == (1, ())
    assert math.isnan(nothing.error)

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.metrics import margins_left
from tests.helpers.factories import LOGITS, comparison


def test_by_hand() -> None:
    variant = np.array([[2.5, 1.0, 0.0], [0.0, 1.0, 1.75], [np.nan, 0.0, 4.0]], np.float32)
    kept = margins_left(variant, np.array([0, 1, 2]))
    assert kept[:2].tolist() == [1.5, -0.75]
    assert np.isnan(kept[2])
    assert np.isnan(margins_left(variant[:1], np.array([-1]))[0])
    assert margins_left(variant[:2, :1], np.array([0, 0])).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="first classes"):
        margins_left(variant, np.array([0]))


def test_a_comparison_knows_them() -> None:
    flipped = LOGITS.copy()
    flipped[1] = [0.0, 1.0, 1.75]
    found = comparison({"int8": flipped}).variants[0]
    assert found.reference_margins.tolist() == [2.0, 0.5, 3.0]
    assert found.kept_margins.tolist() == [2.0, -0.75, 3.0]
    assert [flip.index for flip in found.flips] == [1]
    assert found.flips[0].variant_margin == 0.75

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.comparison import compare
from tests.helpers.factories import LOGITS

TINY_FLIPS = np.array([[1.0, 1.01, 0.0], [0.0, 1.0, 1.01], [1.01, 0.0, 1.0]])


def notes(reference: np.ndarray, theirs: np.ndarray) -> tuple[str, ...]:
    return compare(
        run="run",
        reference_name="original",
        logits={"original": reference, "int8": theirs, "theirs": theirs},
        pictures=("a", "b", "c"),
        added={"theirs"},
    ).notes


def test_answers_of_another_kind_are_told_of_files_from_elsewhere_alone() -> None:
    (note,) = notes(LOGITS, -LOGITS)
    assert note.startswith("theirs answers like the original on ")
    assert "other preprocessing" in note


def test_flips_between_close_logits_are_no_sign_of_it() -> None:
    assert notes(TINY_FLIPS, np.round(TINY_FLIPS)) == ()
    assert notes(LOGITS, LOGITS) == ()


def test_a_softmax_of_their_own_is_told() -> None:
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    (note,) = notes(LOGITS, shares)
    assert note.startswith("theirs ends in a softmax")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_is_not_close() -> None:
    broken = np.full_like(LOGITS, np.nan)
    found = notes(LOGITS, broken)
    assert any("theirs answers like the original on 0 of 3" in note for note in found)

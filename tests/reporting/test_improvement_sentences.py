from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.comparison.comparison import compare
from engine.comparison.records import VariantComparison
from engine.reporting.text.improve import (
    flip_change,
    flips_sentence,
    improvement_headline,
    overlap_note,
)

REFERENCE = np.array([[3.0, 1.0], [0.0, 2.0], [1.0, 4.0]], dtype=np.float32)
FIRST_FLIPPED = np.array([[1.0, 3.0], [0.0, 2.0], [1.0, 4.0]], dtype=np.float32)
SECOND_FLIPPED = np.array([[3.0, 1.0], [2.0, 0.0], [1.0, 4.0]], dtype=np.float32)


def sides(before: np.ndarray, after: np.ndarray) -> tuple[VariantComparison, VariantComparison]:
    found = compare(
        run="r",
        reference_name="original",
        logits={"original": REFERENCE, "int8": before, "int8_optimized": after},
        pictures=("a", "b", "c"),
        sizes={},
        float32_bytes=1,
    )
    one, other = found.variants
    return one, other


def test_flips_are_sorted_by_who_changed_them() -> None:
    before, after = sides(FIRST_FLIPPED, SECOND_FLIPPED)
    change = flip_change(before, after)
    assert [flip.picture for flip in change.won_back] == ["a"]
    assert [flip.picture for flip in change.newly_lost] == ["b"]
    assert flips_sentence(before, after) == (
        "Of 3 pictures, int8 changes 1 and int8_optimized 1: 1 won back, 1 newly lost."
    )


def test_no_flip_and_the_same_flip_are_said() -> None:
    assert flips_sentence(*sides(REFERENCE, REFERENCE)) == (
        "Neither changes an answer on 3 pictures."
    )
    assert flips_sentence(*sides(FIRST_FLIPPED, FIRST_FLIPPED)) == (
        "Both change their answer on the same picture (1 of 3)."
    )


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (0.2, 0.1, "int8_optimized removes 50.0\xa0% of int8's error"),
        (0.2, 0.199, "No difference found between int8_optimized and int8"),
        (0.2, 0.3, "int8_optimized is 50.0\xa0% less faithful than int8: keep that one"),
        (0.0, 0.1, "int8 answers exactly like the original: nothing to gain"),
    ],
)
def test_the_headline_follows_the_figures(before: float, after: float, sentence: str) -> None:
    one, other = sides(FIRST_FLIPPED, SECOND_FLIPPED)
    found = improvement_headline(replace(one, logit_rms=before), replace(other, logit_rms=after))
    assert found == sentence


def test_broken_answers_come_first() -> None:
    broken = FIRST_FLIPPED.copy()
    broken[0, 0] = np.nan
    assert "not numbers" in improvement_headline(*sides(REFERENCE, broken))
    blamed = replace(sides(REFERENCE, REFERENCE)[0], logit_rms=np.nan)
    assert improvement_headline(blamed, blamed).startswith(
        "Nothing can be compared: the original gives"
    )


@pytest.mark.parametrize(
    ("shared", "words"), [(0, "None of these 5"), (2, "2 of these 5"), (5, "on these pictures")]
)
def test_pictures_seen_in_calibration_are_counted(shared: int, words: str) -> None:
    assert words in overlap_note(shared, 5)

from __future__ import annotations

import numpy as np
import pytest

from engine.comparison.comparison import Comparison
from engine.comparison.records import Accuracy
from engine.reporting.text.accuracy import (
    accuracy_headline,
    classes_headline,
    mcnemar_sentence,
    reliability_headline,
)
from tests.helpers.factories import comparison

RIGHT = np.array([0, 1, 2])


def logits_for(answers: list[int]) -> np.ndarray:
    rows = np.zeros((len(answers), 3), dtype=np.float32)
    rows[np.arange(len(answers)), answers] = 4
    return rows


def found(answers: list[int]) -> Comparison:
    return comparison({"int8": logits_for(answers)}, labels=RIGHT)


def accuracy_of(compared: Comparison) -> Accuracy:
    counted = compared.variant("int8").accuracy
    assert counted is not None
    return counted


def name(index: int) -> str:
    return f"c{index}"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([0, 1, 2], "int8 is right on 3 of 3 pictures, the original on 3: no"),
        ([0, 2, 2], "int8 is right on 2 of 3 pictures, the original on 3: too"),
    ],
)
def test_few_pictures_prove_little(answers: list[int], said: str) -> None:
    assert accuracy_headline(found(answers), "int8").startswith(said)


def test_many_losses_are_more_than_chance() -> None:
    rows = logits_for([0] * 10)
    wrong = logits_for([1] * 10)
    from engine.comparison.comparison import compare

    compared = compare(
        run="r",
        reference_name="original",
        logits={"original": rows, "int8": wrong},
        pictures=[str(i) for i in range(10)],
        labels=np.zeros(10, dtype=np.int64),
    )
    assert accuracy_headline(compared, "int8").endswith("more than chance explains")
    assert mcnemar_sentence(accuracy_of(compared)).startswith("10 right answers lost, 0 gained")
    assert classes_headline(accuracy_of(compared), "int8", name) == (
        "int8 loses most in c0 (10 of 10)"
    )


def test_without_labels_it_asks_for_some() -> None:
    compared = comparison({"int8": logits_for([0, 1, 2])})
    assert accuracy_headline(compared, "int8") == ("Is int8 right? Label some pictures to find out")


def test_classes_are_named_and_counted() -> None:
    assert classes_headline(accuracy_of(found([0, 1, 2])), "int8", name) == (
        "int8 loses no right answer in any class"
    )
    assert classes_headline(accuracy_of(found([1, 1, 1])), "int8", name) == (
        "int8 loses most in c0 (1 of 1) and c2 (1 of 1)"
    )


def test_over_and_under_confident() -> None:
    assert "over-confident" in reliability_headline(accuracy_of(found([1, 0, 0])), "int8")
    assert "under-confident" in reliability_headline(accuracy_of(found([0, 1, 2])), "int8")
    broken = comparison({"int8": np.full((3, 3), np.nan, dtype=np.float32)}, labels=RIGHT)
    assert "not numbers" in reliability_headline(accuracy_of(broken), "int8")

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine.reporting.text.sweep import (
    best_method,
    enough,
    enough_sentence,
    faults,
    line,
    method_sentence,
    notes,
)
from engine.tasks.sweep.records import Sweep
from tests.helpers.sweeps import BASIS, SETTLED, cell, sweep, with_same_answer

RECIPE = "int8_float_io"


def test_enough_by_hand() -> None:
    found = sweep(SETTLED)
    assert best_method(found, RECIPE) == "mse"
    # 0.104 is the worst of 16 pictures: within 5 % of 0.1; 0.3 of 8 is not.
    assert enough(line(found, RECIPE, "mse")) == 16
    # 0.209 is 4.5 % above 0.2, and its square 9.2 % above that of 0.2.
    assert enough(line(found, RECIPE, "min_max")) == 16
    said = enough_sentence(found, RECIPE)
    assert said == (
        "16 calibration pictures are enough for int8_float_io: 64 bring it no closer to float32"
    )


def test_one_unlucky_choice_makes_a_count_too_small() -> None:
    found = sweep({"mse": {8: (0.1, 0.1), 16: (0.1, 0.12), 32: (0.1, 0.1)}})
    assert enough(line(found, RECIPE, "mse")) == 32
    assert enough_sentence(found, RECIPE) == (
        "int8_float_io needs 32 or more calibration pictures: with 16, its rms can be "
        "20.0\xa0% higher"
    )


def test_kl_counts_as_well() -> None:
    few = cell("mse", 8, 0, 0.1, kl=0.0112)
    found = Sweep(BASIS, (few, cell("mse", 16, 0, 0.1)))
    assert enough(line(found, RECIPE, "mse")) == 16
    assert enough_sentence(found, RECIPE).endswith("its KL divergence can be 12.0\xa0% higher")


def test_without_any_error_few_are_enough_and_some_error_is_not() -> None:
    assert "8 calibration pictures are enough" in enough_sentence(
        sweep({"mse": {8: (0.0,), 16: (0.0,)}}), RECIPE
    )
    assert enough_sentence(sweep({"mse": {8: (0.1,), 16: (0.0,)}}), RECIPE).endswith(
        "its rms can be many times higher"
    )


def test_fewer_pictures_may_be_better() -> None:
    found = sweep({"min_max": {1: (0.1,), 8: (0.2,)}})
    assert "1 calibration picture is enough" in enough_sentence(found, RECIPE)


def test_a_single_count_says_nothing() -> None:
    found = sweep({"mse": {1: (0.1, 0.1)}})
    assert enough(line(found, RECIPE, "mse")) is None
    assert enough_sentence(found, RECIPE) == (
        "int8_float_io was calibrated on 1 picture alone: that says nothing about more"
    )


def test_nan_is_told() -> None:
    broken = cell("mse", 16, 0, math.nan, non_finite=3)
    found = Sweep(BASIS, (cell("mse", 8, 0, 0.1), broken))
    assert "answers that are not numbers" in enough_sentence(found, RECIPE)
    blamed = Sweep(BASIS, (cell("mse", 8, 0, math.nan), cell("mse", 16, 0, math.nan)))
    assert enough_sentence(blamed, RECIPE).startswith("float32 gives answers that are not numbers")
    assert enough(line(found, RECIPE, "mse")) is None
    with_other = sweep({"min_max": {8: (0.2,), 16: (0.2,)}, "mse": {8: (0.1,), 16: (math.nan,)}})
    assert best_method(with_other, RECIPE) == "min_max"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            SETTLED,
            "With 64 pictures, mse (ranges of least squared error) makes 50.0\xa0% less error than "
            "min_max.",
        ),
        (
            {"min_max": {1: (0.1,)}, "entropy": {1: (0.4,)}},
            "With 1 picture, min_max (ranges from the smallest to the largest value) makes "
            "75.0\xa0% less error than entropy.",
        ),
        (
            {"min_max": {8: (0.1,)}, "mse": {8: (0.099,)}},
            "With 8 pictures it makes no difference how ranges follow from the values: mse 0.099, "
            "min_max 0.100.",
        ),
        ({"mse": {8: (0.1,)}}, "Only ranges of least squared error were tried."),
    ],
)
def test_what_the_method_is_worth(lines: dict, said: str) -> None:
    assert method_sentence(sweep(lines), RECIPE) == said


def test_notes() -> None:
    found = notes(sweep(SETTLED))
    assert found == (
        "Figures are on 250 pictures that no calibration used; 2 that calibration may use were "
        "left out.",
        "64 pictures are all that the folder has: every seed takes the same, so there is no spread "
        "to see.",
    )
    uneven = sweep({"mse": {8: (0.1, 0.1), 16: (0.1,)}})
    assert "fewer choices of pictures than others" in notes(uneven)[-1]
    demo = replace(BASIS, calibration=None, available=None, left_out=0, pictures=1)
    fallen = cell("mse", 8, 0, 0.1, fallback="the model has 2 inputs")
    assert notes(Sweep(demo, (fallen,))) == (
        "Figures are on one picture that no calibration used.",
        "Demo calibration, on crops of the supplied pictures.",
        "Every range is that of TensorFlow's own calibrator, by min-max: the model has 2 inputs.",
    )


def test_cells_of_no_use_are_named_and_never_the_best() -> None:
    lines = {"min_max": {8: (0.1,), 16: (0.1,)}, "mse": {8: (0.2,), 16: (0.2,)}}
    found = sweep(lines)
    cells = [
        replace(cell, fault="same_answer") if cell.range_method == "min_max" else cell
        for cell in found.cells
    ]
    found = replace(found, cells=tuple(cells))
    assert best_method(found, RECIPE) == "mse"
    assert (
        method_sentence(found, RECIPE) == "Only ranges of least squared error give answers of use."
    )
    assert faults(found, RECIPE) == (
        "int8_float_io with ranges by min_max answers the same for every picture, where calibrated "
        "on 8 and 16 pictures: do not use it.",
    )


def test_a_recipe_of_no_use_is_the_headline() -> None:
    found = with_same_answer({"min_max": {8: (0.1,), 16: (0.1,)}}, 8, 16)
    assert enough_sentence(found, RECIPE) == (
        "int8_float_io answers the same for every picture, with 16 pictures and any ranges"
    )
    expected = "No way to choose ranges that was tried gives answers of use."
    assert method_sentence(found, RECIPE) == expected

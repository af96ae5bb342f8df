from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.errors import OptionError
from engine.quantization.recipes import RANGE_METHODS
from engine.tasks.sweep.cells import title
from engine.tasks.sweep.sweep import SweepChoice, cell_names
from tests.helpers.sweeps import BASIS


def test_cells_with_the_same_pictures_stand_together() -> None:
    choice = SweepChoice(counts=(16, 8), seeds=(0, 1), ranges=("min_max", "mse"))
    assert cell_names(choice, BASIS) == (
        "int8_float_io(count=8,seed=0)",
        "int8_float_io(range=mse,count=8,seed=0)",
        "int8_float_io(count=8,seed=1)",
        "int8_float_io(range=mse,count=8,seed=1)",
        "int8_float_io(count=16,seed=0)",
        "int8_float_io(range=mse,count=16,seed=0)",
        "int8_float_io(count=16,seed=1)",
        "int8_float_io(range=mse,count=16,seed=1)",
    )


def test_the_default_takes_the_counts_that_there_are() -> None:
    names = cell_names(SweepChoice(), BASIS)
    assert len(names) == len(set(names)) == 4 * 3 * len(RANGE_METHODS)
    assert {name.partition("count=")[2].partition(",")[0] for name in names} == {
        "8",
        "16",
        "32",
        "64",
    }
    few = cell_names(SweepChoice(), replace(BASIS, available=5))
    assert all("count=5" in name for name in few)
    crops = cell_names(SweepChoice(), replace(BASIS, available=None, calibration=None))
    assert any("count=128" in name for name in crops)


def test_settings_of_a_recipe_of_its_own_stay() -> None:
    choice = SweepChoice(
        recipes=("int8_mixed(k=3)", "int8_optimized"), counts=(8,), seeds=(2,), ranges=("entropy",)
    )
    names = cell_names(choice, BASIS)
    assert names == (
        "int8_optimized(range=entropy,count=8,seed=2)",
        "int8_mixed(k=3,range=entropy,count=8,seed=2)",
    )
    from engine.quantization.recipes import recipe_named

    assert [recipe_named(n).uncalibrated.name for n in names] == [
        "int8_optimized",
        "int8_mixed(k=3)",
    ]
    assert title(names[1]) == "int8_mixed(k=3), 8 pictures, seed 2, ranges by entropy"


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (SweepChoice(recipes=("float32",)), "needs no calibration"),
        (SweepChoice(recipes=("int4",)), "'int4'"),
        (SweepChoice(recipes=("int8(range=mse)",)), "Leave its brackets out"),
        (SweepChoice(recipes=("int8(seed=0)",)), "whose settings are swept"),
        (SweepChoice(recipes=()), "no recipe"),
        (SweepChoice(counts=(65,)), "1 to 64, as many as there are"),
        (SweepChoice(counts=(0,)), "0 calibration pictures"),
        (SweepChoice(seeds=()), "no seed"),
        (SweepChoice(seeds=(-1,)), "the seed -1"),
        (SweepChoice(ranges=("max",)), "ranges by 'max'"),
        (SweepChoice(ranges=()), "no method"),
    ],
)
def test_what_cannot_be_swept_is_a_mistake(choice: SweepChoice, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        cell_names(choice, BASIS)

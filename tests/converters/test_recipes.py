from __future__ import annotations

import pytest

from engine.converters.recipes import RECIPES, recipe_named, recipes_named
from engine.errors import OptionError


def test_all_stands_for_every_recipe_and_order_is_kept() -> None:
    assert recipes_named(("all",)) == RECIPES
    names = [recipe.name for recipe in recipes_named(("int8", "float32", "int8"))]
    assert names == ["float32", "int8"]


def test_variants_that_differ_in_their_edges_share_a_core() -> None:
    cores = {recipe.name: recipe.core.name for recipe in RECIPES}
    assert cores["int8"] == cores["uint8"] == cores["int8_float_io"] == "int8_float_io"
    assert cores["int16x8"] == "int16x8"
    assert cores["float32"] == "float32"


def test_only_quantized_activations_need_calibration() -> None:
    calibrated = {recipe.name for recipe in RECIPES if recipe.calibrated}
    assert calibrated == {"int8", "uint8", "int8_float_io", "int16x8"}


def test_an_unknown_name_is_refused_with_the_near_one() -> None:
    with pytest.raises(OptionError, match=r"'int88'.*Did you mean int8\?"):
        recipe_named("int88")

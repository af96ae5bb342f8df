from __future__ import annotations

import pytest

from engine.core.errors import OptionError
from engine.quantization.recipes import (
    ON_REQUEST,
    RECIPES,
    names_in,
    recipe_named,
    recipes_named,
)


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


@pytest.mark.parametrize(
    "name",
    [
        "int8_optimized",
        "uint8_optimized",
        "int8_float_io_optimized",
        "int8(range=mse)",
        "int16x8(range=percentile_99.9,count=8,seed=2)",
        "int8_optimized(count=64)",
        "int16x8_optimized",
        "int8_per_tensor",
        "uint8_per_tensor",
        "int8_float_io_per_tensor(range=mse,count=8)",
        "int8_mixed(k=5)",
        "int8_mixed(rms=0.08)",
        "int8_mixed(agreement=0.99,count=8)",
        "int8_mixed(k=2,range=mse,count=8)",
    ],
)
def test_names_give_recipes_that_give_the_names(name: str) -> None:
    assert recipe_named(name).name == name


def test_settings_are_read_in_any_order_and_defaults_are_left_out() -> None:
    recipe = recipe_named("int8( seed=1, count=8, range=min_max )")
    assert recipe.name == "int8(count=8,seed=1)"
    assert (recipe.count, recipe.seed, recipe.range_method) == (8, 1, "min_max")
    assert recipe.edges == "int8"


def test_a_core_and_a_plain_recipe_keep_the_settings() -> None:
    recipe = recipe_named("uint8_optimized(range=mse)")
    assert recipe.core.name == "int8_float_io_optimized(range=mse)"
    assert recipe.plain.name == "uint8(range=mse)"
    assert recipe.plain.core.name == "int8_float_io(range=mse)"


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("float32_optimized", "an integer variant"),
        ("dynamic_range_optimized", "an integer variant"),
        ("float16(count=3)", "not calibrated"),
        ("int8(range=widest)", "range=widest"),
        ("int8(count=-1)", "count=-1"),
        ("int8()", "the setting ''"),
        ("int8(count=3", r"int8\(count=3"),
        ("int8(count=3)x", "Did you mean int8"),
        ("", "''"),
        ("int8_mixed", r"int8_mixed\(k=5\)"),
        ("int8_mixed(k=0)", "k=0"),
        ("int8_mixed(k=2,rms=0.1)", "or what they have to bring"),
        ("int8_mixed(rms=nan)", "rms=nan"),
        ("int8_mixed(agreement=1.5)", "agreement=1.5"),
        ("int8(rms=0.1)", "rms=0.1"),
        ("int8_mixed_optimized(k=2)", "int8_mixed_optimized"),
        ("int8_mixed_per_tensor(k=2)", "int8_mixed_per_tensor"),
        ("int8_per_tensor_optimized", "a scale for each channel"),
        ("int16x8_per_tensor", "int8, uint8 or int8_float_io before _per_tensor"),
        ("float32_per_tensor", "before _per_tensor"),
        ("int88_per_tensor", "Did you mean int8"),
        ("int8(k=2)", "k=2"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused(name: str, named: str) -> None:
    with pytest.raises(OptionError, match=named):
        recipe_named(name)


def test_a_mixed_recipe_is_made_from_the_optimized_one() -> None:
    recipe = recipe_named("int8_mixed(k=3,count=8)")
    assert recipe.core == recipe
    assert recipe.unmixed.name == "int8_float_io_optimized(count=8)"
    assert "3 of its layers in float32" in recipe.summary


def test_settings_of_the_calibration_can_be_left_out() -> None:
    recipe = recipe_named("int8_mixed(rms=0.08,range=mse,count=8,seed=1)")
    assert recipe.uncalibrated == recipe_named("int8_mixed(rms=0.08)")
    assert recipe_named("int8").uncalibrated == recipe_named("int8")


def test_kinds_of_a_recipe_stand_behind_it() -> None:
    given = ("int16x8", "int8(count=8)", "int8_optimized", "float32", "int8")
    names = [recipe.name for recipe in recipes_named(given)]
    assert names == ["float32", "int8", "int8(count=8)", "int8_optimized", "int16x8"]


def test_one_scale_for_each_weight_is_made_on_request_alone() -> None:
    recipe = recipe_named("int8_per_tensor(count=8)")
    assert (recipe.weight_granularity, recipe.edges) == ("per-tensor", "int8")
    assert recipe.core.name == "int8_float_io_per_tensor(count=8)"
    assert recipe.plain == recipe
    assert not recipe.optimizable
    assert recipe_named("int8").optimizable
    assert "One scale for each weight" in recipe.summary
    named = recipes_named((*ON_REQUEST, "all"))
    assert set(named) - set(RECIPES) == {recipe_named(name) for name in ON_REQUEST}
    assert named.index(recipe_named("int8_per_tensor")) == named.index(recipe_named("int8")) + 1


def test_commas_within_brackets_part_no_names() -> None:
    assert names_in("float32, int8(range=mse,count=8),uint8,") == (
        "float32",
        "int8(range=mse,count=8)",
        "uint8",
    )

"""Recipes: what each TFLite variant is made of.

A name says what is stored and computed::

    float32         weights and activations in float32
    float16         weights stored in float16, computed in float32
    dynamic_range   weights in int8, activations quantized while the model runs
    int8            full integer: weights, activations, input and output in int8
    uint8           the same inside, input and output in uint8
    int8_float_io   the same inside, input and output in float32
    int16x8         weights in int8, activations in int16, input and output in float32

A new recipe is one more `Recipe` in `RECIPES`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from engine.errors import OptionError

EdgeType = Literal["float32", "int8", "uint8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one variant stores and computes.

    Attributes:
        name: Name of the variant and stem of its file.
        summary: One sentence for a person.
        weights: Type that weights are stored in.
        activations: Type that operators compute in; ``dynamic`` quantizes while running.
        edges: Type of the model's input and output.
        tolerance: Largest relative error against the stage before that still passes for the same
            model; None where quantization is expected to move the answers.
    """

    name: str
    summary: str
    weights: Literal["float32", "float16", "int8"] = "float32"
    activations: Literal["float32", "dynamic", "int8", "int16"] = "float32"
    edges: EdgeType = "float32"
    tolerance: float | None = None

    @property
    def calibrated(self) -> bool:
        """Whether ranges of activations have to be known beforehand."""
        return self.activations in {"int8", "int16"}

    @property
    def core(self) -> Recipe:
        """The recipe that differs from this one only in having float32 input and output."""
        if self.edges == "float32":
            return self
        return next(
            recipe
            for recipe in RECIPES
            if replace(recipe, name="", summary="")
            == replace(self, edges="float32", name="", summary="")
        )


FLOAT32 = Recipe(name="float32", summary="Weights and activations in float32.", tolerance=1e-3)

RECIPES: tuple[Recipe, ...] = (
    FLOAT32,
    Recipe(
        name="dynamic_range",
        summary="Weights in int8; activations are quantized while the model runs.",
        weights="int8",
        activations="dynamic",
    ),
    Recipe(
        name="float16",
        summary="Weights stored in float16, computed in float32.",
        weights="float16",
        tolerance=0.05,
    ),
    Recipe(
        name="int8",
        summary="Full integer; int8 input and output.",
        weights="int8",
        activations="int8",
        edges="int8",
    ),
    Recipe(
        name="uint8",
        summary="Full integer; uint8 input and output.",
        weights="int8",
        activations="int8",
        edges="uint8",
    ),
    Recipe(
        name="int8_float_io",
        summary="Integer inside; float32 input and output.",
        weights="int8",
        activations="int8",
    ),
    Recipe(
        name="int16x8",
        summary="Weights in int8, activations in int16; float32 input and output.",
        weights="int8",
        activations="int16",
    ),
)


def recipe_named(name: str) -> Recipe:
    """Find a recipe.

    Args:
        name: Its name.

    Returns:
        The recipe.

    Raises:
        OptionError: There is none of that name.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    names = [recipe.name for recipe in RECIPES]
    near = get_close_matches(name, names, n=1)
    raise OptionError(
        "Choosing the variants",
        got=f"'{name}'",
        expected="one of " + ", ".join(names),
        todo=f"Did you mean {near[0]}?" if near else "Name some of these, or all.",
    )


def recipes_named(names: tuple[str, ...]) -> tuple[Recipe, ...]:
    """Find recipes, each once, in the order of `RECIPES`; ``all`` or none stands for every one.

    Raises:
        OptionError: There is none of one of the names.
    """
    if not names or "all" in names:
        return RECIPES
    chosen = {recipe_named(name).name for name in names}
    return tuple(recipe for recipe in RECIPES if recipe.name in chosen)

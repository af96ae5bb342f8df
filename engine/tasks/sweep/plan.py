"""Which cells a sweep has, by name of their recipe."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.errors import OptionError
from engine.quantization.calibration import MOST_PICTURES
from engine.quantization.recipes import RANGE_METHODS, Recipe, in_order, recipe_named
from engine.tasks.sweep.records import SweepBasis

DEFAULT_RECIPES = ("int8_float_io",)
DEFAULT_COUNTS = (8, 16, 32, 64, 128)
DEFAULT_SEEDS = (0, 1, 2)
_STAGE = "Planning the sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepChoice:
    """What is varied.

    Attributes:
        recipes: Calibrated recipes without settings of their own but ``k``.
        counts: Calibration pictures; none takes those of `DEFAULT_COUNTS` that there are.
        seeds: Seeds of the choice among the pictures.
        ranges: Some of `RANGE_METHODS`.
    """

    recipes: tuple[str, ...] = DEFAULT_RECIPES
    counts: tuple[int, ...] = ()
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    ranges: tuple[str, ...] = RANGE_METHODS


def cell_names(choice: SweepChoice, basis: SweepBasis) -> tuple[str, ...]:
    """Full names of the recipes of all cells.

    Args:
        choice: What is varied.
        basis: For how many pictures there are.

    Returns:
        In the order in which they are made: cells with the same pictures beside each other, since
        they share what was seen on these.

    Raises:
        OptionError: A recipe, count, seed or range method cannot be swept.
    """
    recipes = in_order({_swept(name) for name in choice.recipes})
    counts = _counts(choice.counts, basis)
    for what, given in (("recipe", recipes), ("seed", choice.seeds), ("method", choice.ranges)):
        if not given:
            raise _refused(f"no {what}", f"at least one {what}", "Name one, or leave it out.")
    for seed in choice.seeds:
        if seed < 0:
            raise _refused(f"the seed {seed}", "0 or more", "Give another seed.")
    for method in choice.ranges:
        if method not in RANGE_METHODS:
            known = ", ".join(RANGE_METHODS)
            raise _refused(f"ranges by '{method}'", f"some of {known}", "Name some of these.")
    return tuple(
        _with_settings(recipe, method, count, seed)
        for count in sorted(set(counts))
        for seed in dict.fromkeys(choice.seeds)
        for recipe in recipes
        for method in dict.fromkeys(choice.ranges)
    )


def _swept(name: str) -> Recipe:
    recipe = recipe_named(name)
    own = recipe != recipe.uncalibrated
    if recipe.calibrated and not own:
        return recipe
    raise _refused(
        f"the recipe {recipe.name}" + (", whose settings are swept" if own else ""),
        "a calibrated recipe without settings, such as int8 or int8_optimized",
        "Leave its brackets out." if own else "Name another: this one needs no calibration.",
    )


def _counts(given: tuple[int, ...], basis: SweepBasis) -> tuple[int, ...]:
    available = MOST_PICTURES if basis.available is None else basis.available
    if not given:
        return tuple(n for n in DEFAULT_COUNTS if n <= available) or (available,)
    for count in given:
        if not 1 <= count <= available:
            raise _refused(
                f"{count} calibration pictures",
                f"1 to {available}, as many as there are",
                "Name smaller counts, or a folder with more pictures.",
            )
    return given


def _with_settings(recipe: Recipe, method: str, count: int, seed: int) -> str:
    stem, _, settings = recipe.name.removesuffix(")").partition("(")
    own = f"{settings}," if settings else ""
    return recipe_named(f"{stem}({own}range={method},count={count},seed={seed})").name


def _refused(got: str, expected: str, todo: str) -> OptionError:
    return OptionError(_STAGE, got=got, expected=expected, todo=todo)

"""Recipes: what each TFLite variant is made of.

A name says what is stored and computed::

    float32         weights and activations in float32
    float16         weights stored in float16, computed in float32
    dynamic_range   weights in int8, activations quantized while the model runs
    int8            full integer: weights, activations, input and output in int8
    uint8           the same inside, input and output in uint8
    int8_float_io   the same inside, input and output in float32
    int16x8         weights in int8, activations in int16, input and output in float32; operators
                    that have no int16 form stay in float32

    int8_per_tensor             one scale for each weight, in place of one for each of its output
                                channels, for devices that demand it; behind int8, uint8 and
                                int8_float_io

    int8_mixed(k=5)             int8_float_io_optimized, but for the 5 layers whose rounding costs
                                most, which are in float32
    int8_mixed(rms=0.08)        the same with as few layers as bring the logits' error to 0.08
    int8_mixed(agreement=0.99)  or let 99 % of the answers stay, on calibration pictures

``_optimized`` behind ``int8``, ``uint8``, ``int8_float_io`` or ``int16x8`` rounds weights, corrects
biases and chooses other ranges (`engine.quantization`). Settings of the calibration stand in
brackets, with commas::

    int8(range=mse)                   how ranges follow from the values seen (`RANGE_METHODS`)
    int8_optimized(count=64,seed=1)   pictures, and seed of the choice among them, where they
                                      differ from the run's own

The same name serves on the command line, in Python, on the pages, as a file's stem and in the
manifest. Settings that are the default are left out of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

from engine.core.errors import OptionError

EdgeType = Literal["float32", "int8", "uint8"]
RangeMethod = Literal["min_max", "percentile_99.9", "percentile_99.99", "mse", "entropy"]
RANGE_METHODS: tuple[RangeMethod, ...] = get_args(RangeMethod)
DEFAULT_RECIPES = ("int8_float_io",)
"""Of a sweep."""
_STAGE = "Choosing the variants"
_OPTIMIZED, _PER_TENSOR = "_optimized", "_per_tensor"
_NAME = re.compile(
    r"(?P<base>\w+?)(?P<per_tensor>_per_tensor)?(?P<optimized>_optimized)?"
    r"(?:\((?P<settings>[^()]*)\))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Types and settings of one variant.

    Attributes:
        name: Name of the variant and stem of its file.
        summary: One sentence for a person.
        weights: Type that weights are stored in.
        activations: Type that operators compute in; ``dynamic`` quantizes while running.
        edges: Type of the model's input and output.
        weight_granularity: Whether a weight has a scale for each output channel or one for all.
        tolerance: Largest relative error against the stage before that still passes for the same
            model; None where quantization is expected to move the answers.
        range_method: How ranges of activations follow from the values seen in calibration.
        count: Calibration pictures; None takes as many as the run says.
        seed: Seed of the choice among them; None takes the run's.
        optimized: Whether weights, biases and ranges are optimized after quantization.
        float_layers: How many layers are computed in float32 nevertheless.
        target_rms: Root mean square of the logits' error that as many layers in float32 as it
            takes have to bring.
        target_agreement: Share of answers that have to stay, in the same way.
    """

    name: str
    summary: str
    weights: Literal["float32", "float16", "int8"] = "float32"
    activations: Literal["float32", "dynamic", "int8", "int16"] = "float32"
    edges: EdgeType = "float32"
    weight_granularity: Literal["per-channel", "per-tensor"] = "per-channel"
    tolerance: float | None = None
    range_method: RangeMethod = "min_max"
    count: int | None = None
    seed: int | None = None
    optimized: bool = False
    float_layers: int = 0
    target_rms: float | None = None
    target_agreement: float | None = None

    @property
    def mixed(self) -> bool:
        """Whether some layers are computed in float32 nevertheless."""
        targets = (self.target_rms, self.target_agreement)
        return self.float_layers > 0 or targets != (None, None)

    @property
    def calibrated(self) -> bool:
        """Whether ranges of activations have to be known beforehand."""
        return self.activations in {"int8", "int16"}

    @property
    def optimizable(self) -> bool:
        """Whether it has an optimized counterpart, whose scales are chosen channel by channel."""
        return self.calibrated and not self.optimized and self.weight_granularity == "per-channel"

    @property
    def base(self) -> Recipe:
        """The recipe of `RECIPES` that this one is a kind of."""
        return next(
            recipe
            for recipe in RECIPES
            if (recipe.weights, recipe.activations, recipe.edges)
            == (self.weights, self.activations, self.edges)
        )

    @property
    def core(self) -> Recipe:
        """The recipe that differs from this one only in having float32 input and output."""
        return self if self.edges == "float32" else _with_name(replace(self, edges="float32"))

    @property
    def cores(self) -> tuple[Recipe, ...]:
        """The recipes whose files this one is made from, one after the other, the last first."""
        core = self.core
        if core.mixed:
            return (core, *core.unmixed.cores)
        return (core, *core.plain.cores) if core.optimized else (core,)

    @property
    def plain(self) -> Recipe:
        """The recipe that differs from this one only in not being optimized."""
        return _with_name(replace(self, optimized=False)) if self.optimized else self

    @property
    def uncalibrated(self) -> Recipe:
        """The recipe that differs from this one only in having no settings of the calibration."""
        return _with_name(replace(self, count=None, seed=None, range_method="min_max"))

    @property
    def unmixed(self) -> Recipe:
        """The recipe that differs from this one only in having no layer in float32."""
        plain = replace(self, float_layers=0, target_rms=None, target_agreement=None)
        return _with_name(plain) if self.mixed else self


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
"""The recipes that ``all`` stands for."""
ON_REQUEST = ("int8_per_tensor",)
"""Names of recipes that are offered beside these."""
_BASES = {recipe.name: recipe for recipe in RECIPES}
_MIXED = "int8_mixed"


def _with_name(recipe: Recipe) -> Recipe:
    """Give a recipe the name and the summary that follow from its other fields."""
    base = recipe.base
    settings = {
        "k": recipe.float_layers or None,
        "rms": recipe.target_rms,
        "agreement": recipe.target_agreement,
        "range": None if recipe.range_method == "min_max" else recipe.range_method,
        "count": recipe.count,
        "seed": recipe.seed,
    }
    given = ",".join(f"{key}={value}" for key, value in settings.items() if value is not None)
    per_tensor = recipe.weight_granularity == "per-tensor"
    kind = _PER_TENSOR * per_tensor + _OPTIMIZED * recipe.optimized
    stem = _MIXED if recipe.mixed else base.name + kind
    name = stem + (f"({given})" if given else "")
    summary = base.summary
    if per_tensor:
        summary += " One scale for each weight."
    if recipe.optimized:
        summary += " Weights, biases and ranges optimized."
    summary += _summary_of_mixed(recipe)
    calibration = ("range", "count", "seed")
    calibrated = {key: settings[key] for key in calibration if settings[key] is not None}
    if calibrated:
        words = ", ".join(f"{key} {value}" for key, value in calibrated.items())
        summary += f" Calibrated with {words}."
    return replace(recipe, name=name, summary=summary)


def _summary_of_mixed(recipe: Recipe) -> str:
    if recipe.float_layers:
        return f" {recipe.float_layers} of its layers in float32."
    if recipe.target_rms is not None:
        return f" As few layers in float32 as bring the error to {recipe.target_rms:g}."
    if recipe.target_agreement is not None:
        return f" As few layers in float32 as keep {recipe.target_agreement:.1%} of the answers."
    return ""


def recipe_named(name: str) -> Recipe:
    """Find a recipe.

    Returns:
        The recipe, under its shortest name.

    Raises:
        OptionError: There is none of that name.
    """
    match = _NAME.fullmatch(name.replace(" ", ""))
    mixed = match is not None and match["base"] == _MIXED
    base = _BASES.get("int8_float_io" if mixed else match["base"]) if match is not None else None
    kind = match and (match["per_tensor"] or match["optimized"])
    if match is None or base is None or (mixed and kind is not None):
        raise _unknown(name)
    if match["per_tensor"] is not None:
        base = _with_one_scale(base, name, optimized=match["optimized"] is not None)
    recipe = replace(base, optimized=mixed or match["optimized"] is not None)
    if recipe.optimized and not recipe.calibrated:
        raise OptionError(
            _STAGE,
            got=f"'{name}'",
            expected="an integer variant before _optimized",
            todo=f"Name int8_optimized, or {base.name} as it is.",
        )
    for setting in (match["settings"] or "").split(",") if match["settings"] is not None else ():
        recipe = _with_setting(recipe, setting, name, mixed=mixed)
    aims = (
        recipe.float_layers > 0,
        recipe.target_rms is not None,
        recipe.target_agreement is not None,
    )
    if mixed and sum(aims) != 1:
        raise OptionError(
            _STAGE,
            got=f"'{name}'",
            expected="how many layers are computed in float32, or what they have to bring",
            todo="Write it like int8_mixed(k=5), int8_mixed(rms=0.08) or "
            "int8_mixed(agreement=0.99).",
        )
    return _with_name(recipe)


def _with_one_scale(base: Recipe, name: str, *, optimized: bool) -> Recipe:
    """Give a recipe one scale for each weight."""
    if optimized or base.activations != "int8":
        raise OptionError(
            _STAGE,
            got=f"'{name}'",
            expected="int8, uint8 or int8_float_io before _per_tensor, and nothing behind it"
            + " but settings, since optimizing chooses a scale for each channel" * optimized,
            todo="Name int8_per_tensor, or leave _per_tensor out.",
        )
    return replace(base, weight_granularity="per-tensor")


def _with_setting(recipe: Recipe, setting: str, name: str, *, mixed: bool) -> Recipe:
    key, _, value = setting.partition("=")
    if mixed and key == "k" and value.isdecimal() and int(value) > 0:
        return replace(recipe, float_layers=int(value))
    if mixed and key == "rms" and (number := _positive(value)) is not None:
        return replace(recipe, target_rms=number)
    if mixed and key == "agreement" and (number := _positive(value)) is not None and number <= 1:
        return replace(recipe, target_agreement=number)
    if recipe.calibrated and key == "range" and value in RANGE_METHODS:
        return replace(recipe, range_method=value)
    if recipe.calibrated and key in {"count", "seed"} and value.isdecimal():
        chosen = int(value)
        return replace(recipe, count=chosen) if key == "count" else replace(recipe, seed=chosen)
    raise OptionError(
        _STAGE,
        got=f"the setting '{setting}' in '{name}'",
        expected="k=N, rms=X, agreement=SHARE, " * mixed
        + f"range={'|'.join(RANGE_METHODS)}, count=N or seed=N"
        if recipe.calibrated
        else f"no settings: {recipe.base.name} is not calibrated",
        todo="Write it like int8(range=mse,count=64), or leave the brackets out.",
    )


def _positive(value: str) -> float | None:
    """Read a finite number above 0; None where it is none."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _unknown(name: str) -> OptionError:
    names = list(_BASES)
    stem = name.partition("(")[0].removesuffix(_OPTIMIZED).removesuffix(_PER_TENSOR)
    near = get_close_matches(stem, names, n=1)
    return OptionError(
        _STAGE,
        got=f"'{name}'",
        expected="one of "
        + ", ".join(names)
        + ", int8_optimized, int8_per_tensor, or int8_mixed(k=N)",
        todo=f"Did you mean {near[0]}?" if near else "Name some of these, or all.",
    )


def recipes_named(names: tuple[str, ...]) -> tuple[Recipe, ...]:
    """Find recipes, each once; ``all`` or none stands for every one of `RECIPES`.

    Returns:
        In the order of `RECIPES`, what is a kind of one of them behind it.

    Raises:
        OptionError: There is none of one of the names.
    """
    chosen: set[Recipe] = set(() if names else RECIPES)
    for name in names:
        chosen.update(RECIPES if name == "all" else (recipe_named(name),))
    return in_order(chosen)


def in_order(recipes: set[Recipe]) -> tuple[Recipe, ...]:
    """Sort recipes in the order in which people look for them."""

    def rank(recipe: Recipe) -> tuple[object, ...]:
        kind = RECIPES.index(recipe.base), recipe.mixed, recipe.float_layers, recipe.optimized
        return (*kind, recipe.weight_granularity, len(recipe.name), recipe.name)

    return tuple(sorted(recipes, key=rank))


def names_in(text: str) -> tuple[str, ...]:
    """Split a list of names of recipes at its commas; those within brackets part nothing."""
    parts = re.split(r",(?![^()]*\))", text)
    return tuple(part.strip() for part in parts if part.strip())

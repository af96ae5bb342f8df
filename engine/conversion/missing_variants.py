"""Variants that were asked for and could not be made: what is recorded of each, and its sentence.

One that fails costs itself alone: the run keeps the others, and its manifest says which are
missing and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from engine.comparison.faults import fault_of
from engine.comparison.metrics import rms
from engine.core import formats
from engine.core.errors import (
    ConversionError,
    EngineError,
    WorkerDied,
    error_named,
    fit_to_show,
)
from engine.core.formats import listed
from engine.core.parity import difference
from engine.core.types import Fault, FloatArray, MissingVariant
from engine.quantization.recipes import FLOAT32, Recipe, recipe_named, recipes_named
from engine.runs.run import WORK
from engine.tflite.artifact import Artifact

RETRY = "Leave this variant out, or try it once more with: python -m engine convert --retry."


def missing_variant(name: str, error: EngineError) -> MissingVariant:
    """Record why a variant, or the file that it is made from, could not be made.

    Args:
        name: Name of its recipe.
        error: The failure; the end of the process costs a variant like any other.
    """
    if isinstance(error, WorkerDied):
        got = f"the converter ended the process: {error.got}"
        error = ConversionError(f"Making {name}", got=got, expected="a TFLite file", todo=RETRY)
    kind = type(error).__name__
    return MissingVariant(name, kind, error.stage, error.got, error.expected, error.todo)


def error_of(missing: MissingVariant) -> EngineError:
    """Give the failure again, as it was raised when the variant was tried."""
    return error_named(missing.kind)(
        missing.stage, got=missing.got, expected=missing.expected, todo=missing.todo
    )


def missing_sentences(missing: Iterable[MissingVariant]) -> tuple[str, ...]:
    """Say which variants are missing, and why: one sentence a reason."""
    names: dict[str, list[str]] = {}
    for record in missing:
        names.setdefault(str(error_of(record)), []).append(fit_to_show(record.variant))
    return tuple(
        f"{listed(several)} {'is' if len(several) == 1 else 'are'} missing. {reason}"
        for reason, several in names.items()
    )


def missing_of(missing: Iterable[MissingVariant], names: tuple[str, ...]) -> list[MissingVariant]:
    """Give the missing variants that are asked for.

    Args:
        missing: Those of a run.
        names: Names of recipes, as `engine.quantization.recipes.recipes_named` takes them.
    """
    wanted = {recipe.name for recipe in recipes_named(names)}
    return [record for record in missing if record.variant in wanted]


def demand_made(missing: Iterable[MissingVariant], variant: str) -> None:
    """Raise the failure of a variant that is missing.

    Args:
        missing: Those of a run.
        variant: Name of the variant that was asked for.

    Raises:
        EngineError: It is among them.
    """
    for record in missing:
        if record.variant == variant:
            raise error_of(record)


_FURTHER = 1.25
"""Both kinds round their weights alike, which moves the answers a little either way."""


class CheckLogits:
    """The logits that stages of a conversion, or of the run that it adds to, gave.

    Args:
        find: Finds a file of either by its relative path.
    """

    def __init__(self, find: Callable[[str], Path | None]) -> None:
        self._find = find

    def of(self, stage: str) -> FloatArray | None:
        """Logits of a stage, shape (pictures, classes); None where LiteRT does not run its file."""
        file = self._find(f"{WORK}/{stage}.npy")
        return None if file is None else np.load(file)

    def fault(self, variant: str) -> Fault | None:
        """What makes the answers of a variant useless."""
        exact, own = self.of(FLOAT32.name), self.of(variant)
        if variant == FLOAT32.name or exact is None or own is None:
            return None
        return fault_of(exact, own)

    def int16_notes(self, artifacts: Iterable[Artifact]) -> Iterator[str]:
        """Name variants with int16 activations that are further off than an int8 counterpart.

        Args:
            artifacts: All variants.

        Yields:
            One sentence a variant.
        """
        exact = self.of(FLOAT32.name)
        errors: dict[Recipe, float] = {}
        for card in artifacts:
            own = self.of(card.variant)
            if exact is not None and own is not None and card.fault is None:
                errors[recipe_named(card.variant)] = rms(difference(exact, own))
        for recipe, error in errors.items():
            if recipe.activations == "int16":
                less = error / _FURTHER
                rivals = [r for r in errors if _counterparts(recipe, r) and errors[r] < less]
                if rivals:
                    yield _int16_note(recipe.name, error, rivals[0].name, errors[rivals[0]])


def _counterparts(int16: Recipe, candidate: Recipe) -> bool:
    plain = candidate.activations == "int8" and not candidate.mixed
    return plain and candidate.optimized == int16.optimized


def _int16_note(variant: str, error: float, rival: str, less: float) -> str:
    return (
        f"{variant} is further from float32 than {rival} on the check pictures (logit rms "
        f"{formats.logits(error)} against {formats.logits(less)}), though its steps are finer: an "
        f"operator in it goes wrong. Take {rival}; the page Layers, or python -m engine layers, "
        "names the operator."
    )

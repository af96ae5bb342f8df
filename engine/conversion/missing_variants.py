"""Variants that were asked for and could not be made: what is recorded of each, and its sentence.

One that fails costs itself alone: the run keeps the others, and its manifest says which are
missing and why.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.errors import (
    ConversionError,
    EngineError,
    WorkerDied,
    error_named,
    fit_to_show,
)
from engine.core.formats import join_names
from engine.core.types import MissingVariant
from engine.quantization.recipes import recipes_named

RETRY = "Leave this variant out, or try it once more with: python -m engine convert --retry."


def missing_variant(name: str, error: EngineError) -> MissingVariant:
    """Record why a variant, or the file that it is made from, could not be made."""
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
        f"{join_names(several)} {'is' if len(several) == 1 else 'are'} missing. {reason}"
        for reason, several in names.items()
    )


def missing_of(missing: Iterable[MissingVariant], names: tuple[str, ...]) -> list[MissingVariant]:
    """Give the missing variants that are asked for."""
    wanted = {recipe.name for recipe in recipes_named(names)}
    return [record for record in missing if record.variant in wanted]


def demand_made(missing: Iterable[MissingVariant], variant: str) -> None:
    """Raise the failure of a variant that is missing."""
    for record in missing:
        if record.variant == variant:
            raise error_of(record)

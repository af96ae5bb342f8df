"""A better integer variant beside one of a run: made on demand, with a record of what was done."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from engine.conversion.missing_variants import demand_made
from engine.core.errors import OptionError, RunError
from engine.core.store import SAMPLE_IMAGES
from engine.quantization.calibration import representative_dataset
from engine.quantization.recipes import recipe_named
from engine.quantization.records import OptimizedLayer
from engine.runs.request import ConvertRequest, request_of
from engine.runs.run import IMPROVED, INTEGER_HEAD, Run
from engine.service import convert_request
from engine.workers.host import Host

IMPROVING = "Improving a variant"


def improve(run: Run, variant: str, host: Host) -> Run:
    """Add the optimized counterpart of an integer variant to its run.

    It is calibrated with the very pictures that the variant was calibrated with.

    Args:
        run: The run.
        variant: One of its integer variants.
        host: Gets the worker and its progress.

    Returns:
        The run with the optimized variant; as it was where it had that already.

    Raises:
        OptionError: The variant cannot be optimized, or is not of the run.
        RunError: The run does not say what it was made from.
        PictureError: The calibration pictures are not where they were.
        ConversionError: The pass fails.
        WorkerError: The worker process failed.
    """
    name = improved_name(run, variant)
    if name in run.variants:
        return run
    improved = convert_request(improving_request(run, variant), host)
    demand_made(improved.missing, name)
    return improved


def improving_request(run: Run, variant: str) -> ConvertRequest:
    """What is asked for to add the optimized counterpart of a variant to its run.

    Raises:
        OptionError: The variant cannot be optimized, or is not of the run.
        RunError: The run does not say what it was made from.
    """
    name = improved_name(run, variant)
    return replace(request_of(run), variants=(name,), out=str(run.folder.absolute()))


def improved_name(run: Run, variant: str) -> str:
    """Name of the optimized counterpart of a variant.

    Raises:
        OptionError: It has none, or is not of the run.
    """
    if variant not in run.variants:
        run.artifact(variant)
        raise OptionError(
            IMPROVING,
            got=f"{variant}, a file from elsewhere",
            expected="a variant made here, whose float32 model and calibration are known",
            todo="Improve " + (", ".join(improvable(run)) or "an int8 variant") + " instead.",
        )
    recipe = recipe_named(variant)
    if not recipe.calibrated or recipe.optimized:
        raise OptionError(
            IMPROVING,
            got=variant,
            expected="an integer variant that is not optimized yet",
            todo="Name " + (" or ".join(improvable(run)) or "int8, after adding it") + ".",
        )
    base, bracket, settings = recipe.name.partition("(")
    return recipe_named(f"{base}_optimized{bracket}{settings}").name


def improvable(run: Run) -> tuple[str, ...]:
    """Variants of a run that can be improved."""
    recipes = [recipe_named(variant) for variant in run.variants]
    return tuple(r.name for r in recipes if r.calibrated and not r.optimized)


def improved_layers(run: Run, variant: str) -> tuple[OptimizedLayer, ...]:
    """What was done to an optimized variant, one record an operator that was looked at.

    Raises:
        RunError: The record is absent or damaged.
    """
    recipe = recipe_named(variant)
    core = run.folder / IMPROVED / f"{recipe.core.name}.json"
    file = core.with_name(f"{recipe.core.name}{INTEGER_HEAD}.json")
    # Runs of earlier versions have one record for both.
    if recipe == recipe.core or not file.is_file():
        file = core
    try:
        return msgspec.json.decode(
            run.intact(file.relative_to(run.folder).as_posix()).read_bytes(),
            type=tuple[OptimizedLayer, ...],
        )
    except (OSError, msgspec.DecodeError) as error:
        raise RunError(
            f"Reading what was done to {variant}",
            got=f"no readable {file.name} in {file.parent}",
            expected="the record of the pass",
            todo="Make the run again.",
        ) from error


def calibration_digests(run: Run) -> frozenset[str]:
    """SHA-256 of the pictures that a run was calibrated with.

    Raises:
        RunError: The run does not say what it was made from.
        PictureError: The pictures are not where they were.
    """
    dataset = representative_dataset(request_of(run).calibration, SAMPLE_IMAGES)
    return frozenset(picture.sha256 for picture in dataset.pictures)

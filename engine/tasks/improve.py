"""Add to a run the optimized counterpart of an integer variant, or one with layers in float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.comparison.latency import Latency
from engine.conversion.missing_variants import demand_made
from engine.core.checksums import read_record, write_record
from engine.core.errors import OptionError
from engine.core.files import translate_disk_errors
from engine.core.store import CALIBRATION_IMAGES
from engine.quantization.calibration import representative_dataset
from engine.quantization.recipes import Recipe, recipe_named
from engine.quantization.records import MixedCurve, MixedPoint, OptimizedLayer
from engine.runs.request import ConvertRequest, request_of
from engine.runs.run import CURVE, IMPROVED, INTEGER_HEAD, Run
from engine.tasks.convert import convert_request
from engine.tasks.latency import MixedLatencyRequest, run_mixed_latency, store_latency
from engine.workers.process import Host, Worker

_MIXING = "Mixing float32 into an integer variant"
_MOST_TIMED = 10


def name_mixed(
    *,
    layers: int | None = None,
    target_rms: float | None = None,
    target_agreement: float | None = None,
) -> str:
    """Name of the recipe that has so many layers in float32, or reaches a target.

    Raises:
        OptionError: Not exactly one of them is given, or it is out of range.
    """
    given = {"k": layers, "rms": target_rms, "agreement": target_agreement}
    settings = [f"{key}={value}" for key, value in given.items() if value is not None]
    if len(settings) != 1:
        raise OptionError(
            _MIXING,
            got=", ".join(settings) or "no target",
            expected="a number of layers, a target for rms, or one for the agreement",
            todo="Give exactly one of them.",
        )
    return recipe_named(f"int8_mixed({settings[0]})").name


def mix(run: Run, variant: str, host: Host) -> Run:
    """Add an integer variant with some layers in float32 to its run.

    See `engine.mix`; the recipe's name is as `name_mixed` gives it.
    """
    recipe = _mixed_recipe_named(variant)
    if recipe.name in run.variants:
        return run
    request = replace(request_of(run), variants=(recipe.name,), out=str(run.folder.absolute()))
    mixed = convert_request(request, host)
    demand_made(mixed.missing, recipe.name)
    return mixed


def read_curve(run: Run, variant: str) -> MixedCurve | None:
    """Read the curve that a mixed variant was chosen from; None where none was made.

    Args:
        run: The run.
        variant: Name of a mixed recipe; those that differ in their target alone share a curve.

    Raises:
        RunError: The record is damaged.
    """
    whole = _mixed_recipe_named(variant).unmixed.name
    file = run.folder / IMPROVED / f"{whole}{CURVE}.json"
    if not file.is_file():
        return None
    stage, todo = f"Reading the curve of {variant}", "Make the run again."
    points = read_record(file, tuple[MixedPoint, ...], stage, todo)
    timed = _latency_file(run, whole)
    latency = read_record(timed, Latency, stage, todo) if timed.is_file() else None
    return MixedCurve(whole, points, latency)


def time_curve(run: Run, variant: str, host: Host, *, rounds: int = 30) -> MixedCurve:
    """Time float32 and points of a curve on this machine, in turns, and keep the samples.

    The run's own files of the curve are timed in the same turns, and those figures become the
    run's; see `engine.tasks.latency.store_latency`.
    """
    curve = read_curve(run, variant)
    if curve is None:
        raise OptionError(
            _MIXING,
            got=f"a run without a curve of {variant}",
            expected="a mixed variant that was made",
            todo="Make one first, with a target.",
        )
    places = {round(i * (len(curve.points) - 1) / (_MOST_TIMED - 1)) for i in range(_MOST_TIMED)}
    request = MixedLatencyRequest(
        run=str(run.folder.absolute()),
        whole=curve.whole,
        layers=tuple(curve.points[index].layers for index in sorted(places)),
        columns=_files_of(run, curve.whole),
        rounds=rounds,
    )
    with Worker() as worker:
        timed = host.adopt(worker).run(run_mixed_latency, request, host.report)
    with translate_disk_errors("Keeping the latency of the curve"):
        write_record(_latency_file(run, curve.whole), timed)
    of_run = tuple(entry for entry in timed.entries if entry.variant in request.columns)
    store_latency(run, replace(timed, entries=of_run))
    return replace(curve, latency=timed)


def _files_of(run: Run, whole: str) -> tuple[str, ...]:
    """List the variants of a run that lie on a curve, with float32."""
    recipes = {name: recipe_named(name) for name in run.variants}
    return tuple(
        name
        for name, recipe in recipes.items()
        if name == "float32" or (recipe.mixed and recipe.unmixed.name == whole)
    )


def _latency_file(run: Run, whole: str) -> Path:
    return run.folder / IMPROVED / f"{whole}{CURVE}_latency.json"


def _mixed_recipe_named(variant: str) -> Recipe:
    recipe = recipe_named(variant)
    if not recipe.mixed:
        raise OptionError(
            _MIXING,
            got=variant,
            expected="int8_mixed with a number of layers or a target",
            todo="Write it like int8_mixed(k=5) or int8_mixed(rms=0.08).",
        )
    return recipe


IMPROVING = "Improving a variant"


def improve(run: Run, variant: str, host: Host) -> Run:
    """Add the optimized counterpart of an integer variant to its run.

    See `engine.improve`. It is calibrated with the very pictures of the variant.
    """
    name = name_optimized(run, variant)
    if name in run.variants:
        return run
    improved = convert_request(improving_request(run, variant), host)
    demand_made(improved.missing, name)
    return improved


def improving_request(run: Run, variant: str) -> ConvertRequest:
    """Make the request that adds the optimized counterpart of a variant to its run.

    Raises:
        OptionError: The variant cannot be optimized, or is not of the run.
        RunError: The run does not say what it was made from.
    """
    name = name_optimized(run, variant)
    return replace(request_of(run), variants=(name,), out=str(run.folder.absolute()))


def name_optimized(run: Run, variant: str) -> str:
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
    if not recipe.optimizable:
        raise OptionError(
            IMPROVING,
            got=variant,
            expected="an integer variant that is not optimized yet, with a scale for each channel",
            todo="Name " + (" or ".join(improvable(run)) or "int8, after adding it") + ".",
        )
    base, bracket, settings = recipe.name.partition("(")
    return recipe_named(f"{base}_optimized{bracket}{settings}").name


def improvable(run: Run) -> tuple[str, ...]:
    """Variants of a run that can be improved."""
    return tuple(variant for variant in run.variants if recipe_named(variant).optimizable)


def read_optimized_layers(run: Run, variant: str) -> tuple[OptimizedLayer, ...]:
    """Read what was done to an optimized variant, one record an operator.

    Raises:
        RunError: The record is absent or damaged.
    """
    recipe = recipe_named(variant)
    core = run.folder / IMPROVED / f"{recipe.core.name}.json"
    file = core.with_name(f"{recipe.core.name}{INTEGER_HEAD}.json")
    # Runs of earlier versions have one record for both.
    if recipe == recipe.core or not file.is_file():
        file = core
    path = run.intact(file.relative_to(run.folder).as_posix())
    stage = f"Reading what was done to {variant}"
    return read_record(path, tuple[OptimizedLayer, ...], stage, "Make the run again.")


def calibration_digests(run: Run) -> frozenset[str]:
    """SHA-256 of the pictures that a run was calibrated with.

    Raises:
        RunError: The run does not say what it was made from.
        PictureError: The pictures are not where they were.
    """
    dataset = representative_dataset(request_of(run).calibration, CALIBRATION_IMAGES)
    return frozenset(picture.sha256 for picture in dataset.pictures)

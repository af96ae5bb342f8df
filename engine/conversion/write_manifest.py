"""The manifest of a run, written by the worker when everything else is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.conversion.resume import RECORD, ConvertTask, FinishedStages, OriginalModel
from engine.core.checksums import FileRecord, find_record, records_under, write_record
from engine.core.system import versions
from engine.core.types import MissingVariant
from engine.quantization.calibration import CalibrationChoice, CalibrationInfo
from engine.quantization.recipes import FLOAT32, in_order, recipe_named
from engine.runs.manifest import FILE_NAME, PYTORCH, SCHEMA_VERSION, Manifest, Stage
from engine.runs.request import ConvertRequest, command_line
from engine.runs.run import REQUEST, SAVEDMODEL, WORK, Run
from engine.tflite.artifact import Artifact

ONNX = "onnx"


def write_manifest(
    task: ConvertTask,
    base: Run | None,
    finished: FinishedStages,
    model: OriginalModel,
    artifacts: tuple[Artifact, ...],
    missing: tuple[MissingVariant, ...] = (),
    *,
    calibration: CalibrationInfo | None,
) -> None:
    """Write the manifest and the request of a conversion into its side folder."""
    side, request = Path(task.side), task.request
    old = base.manifest if base else None
    if base and base.manifest.calibration and calibration is None:
        # This request's own was not used: the run's calibrated files are of the earlier one.
        request = replace(request, calibration=calibration_of(base))
    every = {artifact.variant: artifact for artifact in (old.artifacts if old else ())}
    every |= {artifact.variant: artifact for artifact in artifacts}
    absent = {record.variant: record for record in (*(old.missing if old else ()), *missing)}
    asked = in_order({recipe_named(name) for name in (*every, *absent)})
    recipes = tuple(recipe for recipe in asked if recipe.name in every)
    names = tuple(recipe.name for recipe in recipes)
    earlier = tuple(
        replace(stage, reused=True)
        for stage in (old.stages if old else ())
        if stage.name not in finished.names
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        key=task.key,
        created_at=old.created_at if old else datetime.now(UTC).isoformat(timespec="seconds"),
        model=model.identity,
        preprocess=model.preprocess,
        labels=model.labels,
        layout=model.layout,
        opset=model.opset,
        allow_flex=request.allow_flex,
        lowering=request.lowering,
        recipes=recipes,
        calibration=calibration or (old.calibration if old else None),
        calibrations={**(old.calibrations if old else {}), **finished.calibrations},
        notes=model.notes,
        preprocess_origin=model.origin,
        facts=model.facts,
        stages=_in_order(earlier + finished.stages, names),
        artifacts=tuple(every[name] for name in names),
        float32_bytes=_float32_bytes(side, base),
        versions=versions(),
        command=command_line(request, tuple(recipe.name for recipe in asked)),
        files=_records(side, base, finished),
        missing=tuple(absent[recipe.name] for recipe in asked if recipe.name not in every),
    )
    write_record(side / REQUEST, replace(request, retry=False))
    (side / FILE_NAME).write_bytes(manifest.to_json())
    (side / RECORD).unlink()


def calibration_of(run: Run) -> CalibrationChoice:
    """Read the calibration that a run was asked for, which its calibrated variants were made with.

    Args:
        run: The run; one without a readable request says by its manifest which pictures were used.
    """
    request, used = find_record(run.folder / REQUEST, ConvertRequest), run.manifest.calibration
    if request is not None:
        return request.calibration
    if used is None:
        return CalibrationChoice()
    return CalibrationChoice(folder=used.source, count=used.count, seed=used.seed)


def _float32_bytes(side: Path, base: Run | None) -> int:
    """Read the size of the float32 file, with which every variant is compared."""
    name = f"{WORK}/{FLOAT32.name}.tflite"
    file = side / name
    return (file if file.is_file() or base is None else base.folder / name).stat().st_size


def _records(side: Path, base: Run | None, finished: FinishedStages) -> dict[str, FileRecord]:
    """Collect checksums of what this conversion wrote, and of the run's earlier files."""
    new = records_under(side, dict(finished.files))
    new.pop(RECORD, None)
    old = base.manifest.files if base else {}
    there = {name: old[name] for name in old if base and (base.folder / name).is_file()}
    return {**there, **new}


def _in_order(stages: tuple[Stage, ...], variants: tuple[str, ...]) -> tuple[Stage, ...]:
    names = [PYTORCH, ONNX, SAVEDMODEL, FLOAT32.name, *variants]
    return tuple(sorted(stages, key=lambda stage: names.index(stage.name)))

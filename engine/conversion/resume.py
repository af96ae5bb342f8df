"""What a conversion has finished so far, kept in its side folder after every stage.

A conversion that was killed goes on from here: stages whose files are all as they were written
are not done again. The record is no part of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from engine.conversion.missing_variants import missing_variant
from engine.core.checksums import FileRecord, find_record, intact, records_under
from engine.core.errors import EngineError, WorkerDied
from engine.core.files import write_whole
from engine.core.types import Layout, MissingVariant
from engine.images.pictures import digest_of, pictures_in
from engine.images.preprocess import PreprocessSpec
from engine.networks.source import FileFacts, ModelIdentity, PreprocessOrigin
from engine.quantization.calibration import CalibrationInfo
from engine.quantization.recipes import FLOAT32, Recipe, recipe_named
from engine.runs.manifest import FILE_NAME, Stage
from engine.runs.request import ConvertRequest
from engine.runs.staging import empty

RECORD = ".finished.json"


@dataclass(frozen=True, slots=True)
class OriginalModel:
    """What every later stage has to know of the original.

    Attributes:
        identity: Network and weights.
        preprocess: How pictures become inputs.
        labels: Class names, or None.
        layout: Order of the dimensions of its picture input.
        opset: ONNX operator set.
        notes: What a reader of the run has to know of it, one sentence each.
        origin: How its preprocessing was determined; None in runs of older versions.
        facts: What was read from the person's file, where there is one.
    """

    identity: ModelIdentity
    preprocess: PreprocessSpec
    labels: tuple[str, ...] | None
    layout: Layout
    opset: int
    notes: tuple[str, ...] = ()
    origin: PreprocessOrigin | None = None
    facts: FileFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedStages:
    """How far a conversion came.

    Attributes:
        wanted: Digest of everything that its files depend on.
        stages: Finished stages.
        model: The original, once its SavedModel is made.
        calibrations: Calibration of each finished variant that needed one.
        files: What was written so far, by its path in the folder.
        being_made: Name of the recipe whose file is being made, that of a variant or of a file
            that variants are made from; None while the stages before are.
        failures: What could not be made, by name of its recipe.
    """

    wanted: str
    stages: tuple[Stage, ...] = ()
    model: OriginalModel | None = None
    calibrations: Mapping[str, CalibrationInfo] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    being_made: str | None = None
    failures: Mapping[str, MissingVariant] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Names of the finished stages."""
        return frozenset(stage.name for stage in self.stages)

    def failure(self, recipe: Recipe) -> MissingVariant | None:
        """Find why a variant cannot be made: it failed, or a file that it is made from."""
        for part in (recipe, *recipe.cores):
            if (record := self.failures.get(part.name)) is not None:
                return replace(record, variant=recipe.name)
        return None

    def failures_of(self, recipes: Iterable[Recipe]) -> tuple[MissingVariant, ...]:
        """List why recipes cannot be made, without those that were made before a failure."""
        unmade = (recipe for recipe in recipes if recipe.name not in self.names)
        return tuple(record for record in map(self.failure, unmade) if record is not None)


def digest_of_inputs(request: ConvertRequest, key: str, calibration: str, base: Path | None) -> str:
    """Digest everything that the files of a conversion depend on, but its variants."""
    state = None if base is None else (base / FILE_NAME).read_bytes()
    choice = request.calibration
    # Recipes with a count or seed of their own take other pictures of the same folder.
    pool = None if choice.folder is None else digest_of(pictures_in(Path(choice.folder)))
    parts = (key, calibration, choice.count, choice.seed, pool, state)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def load_finished(side: Path, wanted: str) -> FinishedStages:
    """Load the finished stages of a staging folder, and remove everything else in it.

    Returns:
        The record; one without stages where there is nothing to go on from.
    """
    finished = _read_record(side)
    whole = finished.wanted == wanted and all(
        intact(side / name, record, again=True) for name, record in finished.files.items()
    )
    if not whole:
        empty(side)
        return FinishedStages(wanted=wanted)
    for path in side.rglob("*"):
        if not path.is_dir() and path.relative_to(side).as_posix() not in finished.files:
            path.unlink()
    return finished


def _read_record(side: Path) -> FinishedStages:
    return find_record(side / RECORD, FinishedStages) or FinishedStages(wanted="")


def being_made_in(side: Path) -> str | None:
    """Name the recipe that was being made when the process of a folder ended, or None."""
    return _read_record(side).being_made


def charge_end_of_process(side: Path, error: WorkerDied) -> None:
    """Record that what was being made when the process ended cannot be made."""
    finished = _read_record(side)
    assert finished.being_made is not None
    failed = with_failure(finished, recipe_named(finished.being_made), error)
    # The files stay as they are recorded: what else is there may be half written.
    write_whole(side / RECORD, msgspec.json.encode(failed))


def with_failure(finished: FinishedStages, recipe: Recipe, error: EngineError) -> FinishedStages:
    """Charge the recipe that is being made, or the given one, with a failure."""
    name = finished.being_made or recipe.name
    failures = {**finished.failures, name: missing_variant(name, error)}
    return replace(finished, being_made=None, failures=failures)


def without_others(side: Path, finished: FinishedStages, variants: Set[str]) -> FinishedStages:
    """Remove variants that nobody asks for now, from the record and from the folder."""
    others = {Path(name).stem for name in finished.files if _is_variant(name)} - variants
    files = dict(finished.files)
    for name in others:
        for file in (f"{name}.tflite", f"work/{name}.npy" if name != FLOAT32.name else ""):
            if files.pop(file, None) is not None:
                (side / file).unlink()
    stages = tuple(s for s in finished.stages if s.name not in others or s.name == FLOAT32.name)
    return replace(finished, stages=stages, files=files)


def _is_variant(name: str) -> bool:
    return "/" not in name and name.endswith(".tflite")


def keep_finished(side: Path, finished: FinishedStages) -> FinishedStages:
    """Write the record of what is finished, with the digest of every file that is there now."""
    files = records_under(side, dict(finished.files))
    files.pop(RECORD, None)
    complete = replace(finished, files=files)
    write_whole(side / RECORD, msgspec.json.encode(complete))
    return complete


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertTask:
    """A conversion as the worker gets it, with the folders it works in.

    Attributes:
        request: What the person asked for.
        key: Digest of what the run is made from.
        side: Folder to write into; empty, or with what a conversion that was killed had made.
        base: Finished run of the same key to which variants are added; None for a new run.
        wanted: Digest of everything that the files depend on, but the variants.
    """

    request: ConvertRequest
    key: str
    side: str
    base: str | None
    wanted: str

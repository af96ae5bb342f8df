"""The manifest of a run: its record, ``manifest.json``, and how it is read."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from engine.core.checksums import FileRecord
from engine.core.errors import RunError
from engine.core.system import __version__, answer_versions
from engine.core.types import FAULT_WORDS, Fault, Layout, LoweringName, MissingVariant
from engine.images.preprocess import PreprocessSpec
from engine.networks.source import FileFacts, ModelIdentity, PreprocessOrigin
from engine.quantization.calibration import CalibrationInfo
from engine.quantization.recipes import Recipe
from engine.tflite.artifact import Artifact

SCHEMA_VERSION = 2
FILE_NAME = "manifest.json"
_BLANK = "0" * 64
_CALL = "engine.convert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about a run that is not in its files.

    Attributes:
        schema_version: Version of this record.
        key: Digest of everything but variants and calibration that the run was made from.
        created_at: UTC time in ISO 8601 of the first conversion.
        model: Network and weights.
        preprocess: How pictures become inputs.
        labels: Class names in the order of the logits, or None.
        layout: Order of the dimensions of the original's picture input.
        opset: ONNX operator set.
        allow_flex: Whether SELECT_TF operators were allowed.
        lowering: Whose handlers made TensorFlow's operators.
        recipes: Recipe of each variant.
        calibration: The representative dataset; None while no variant needed one.
        calibrations: The one of each calibrated variant, whose recipe may name another count or
            seed.
        stages: Steps of the conversion with their errors (the hop ladder).
        artifacts: The TFLite files.
        float32_bytes: Size of the float32 TFLite file, whether it is among the artifacts or not.
        versions: Quantization Lab, Python, platform and packages.
        command: Command line that makes the run again; a call in Python where it needs what was in
            the memory of the person's process.
        files: What the conversion wrote, by its path in the run; empty in runs of older versions,
            whose TFLite files alone can be checked.
        missing: Variants that were asked for and could not be made, each with the reason.
        preprocess_origin: How the preprocessing was determined; None in runs of older versions.
        facts: What was read from the person's file; None for a catalogue network's own weights,
            and in runs of older versions.
        checksum: On disk, the SHA-256 of the manifest's text with 64 zeros in place of this;
            None in memory, and in runs of older versions.
    """

    schema_version: int
    key: str
    created_at: str
    model: ModelIdentity
    preprocess: PreprocessSpec
    labels: tuple[str, ...] | None
    layout: Layout
    opset: int
    allow_flex: bool
    lowering: LoweringName
    recipes: tuple[Recipe, ...]
    calibration: CalibrationInfo | None
    stages: tuple[Stage, ...]
    artifacts: tuple[Artifact, ...]
    float32_bytes: int
    versions: Mapping[str, str]
    command: str
    calibrations: Mapping[str, CalibrationInfo] = field(default_factory=dict)
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: tuple[MissingVariant, ...] = ()
    preprocess_origin: PreprocessOrigin | None = None
    facts: FileFacts | None = None
    checksum: str | None = None

    @property
    def shared_command(self) -> str:
        """``command`` for others to read: of paths beyond the working directory, names alone."""
        if self.command.startswith(_CALL):
            return re.sub(r"""(['"])(?:/|\.\./)[^'"]*/""", r"\1", self.command)
        words = shlex.split(self.command)
        return shlex.join(Path(w).name if w.startswith(("/", "../")) else w for w in words)

    def to_json(self) -> bytes:
        """Write the manifest as indented JSON, with its own checksum in it."""
        blank = replace(self, checksum=_BLANK)
        content = msgspec.json.format(msgspec.json.encode(blank), indent=2)
        return content.replace(_field(_BLANK), _field(_digest(content)))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a run folder.

    Raises:
        RunError: There is none, it is damaged, or of another version.
    """
    stage = f"Opening the run {folder.name}"
    try:
        data = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise RunError(
            stage,
            got=f"no {FILE_NAME} in {folder}",
            expected="the folder of a finished conversion",
            todo="Check the path, or make the run with: python -m engine convert.",
        ) from error
    try:
        version = msgspec.json.decode(data, type=_VersionOnly).schema_version
        if version != SCHEMA_VERSION:
            raise RunError(
                stage,
                got=f"schema version {version}",
                expected=f"version {SCHEMA_VERSION}",
                todo="Make the run again with this version of Quantization Lab.",
            )
        manifest = msgspec.json.decode(data, type=Manifest)
        _demand_unchanged(manifest, data)
        return replace(manifest, checksum=None)
    except msgspec.DecodeError as error:
        raise RunError(
            stage,
            got=f"a damaged {FILE_NAME} ({error})",
            expected="a manifest as it was written",
            todo="Make the run again.",
        ) from error


def _demand_unchanged(manifest: Manifest, data: bytes) -> None:
    checksum = manifest.checksum
    if checksum is None:  # of an older version
        return
    if _digest(data.replace(_field(checksum), _field(_BLANK))) != checksum:
        raise msgspec.DecodeError("its text is not the one that was written")


def _field(checksum: str) -> bytes:
    return f'"checksum": "{checksum}"'.encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _VersionOnly(msgspec.Struct):
    schema_version: int


def predictor_digest(model: str) -> str:
    """Digest a model, given by a digest, with the versions that decide what it predicts."""
    parts = (model, __version__, *answer_versions().values())
    return _digest(msgspec.json.encode(parts))


CHECKED = "check_pictures"
"""File of the images that every stage is checked on, in the network's size."""
PYTORCH = "pytorch"


@dataclass(frozen=True, slots=True)
class AddedFile:
    """An external TFLite file of a run.

    Attributes:
        artifact: Its card; ``variant`` is the name a person gave it.
        origin: The file it was copied from, or the tool that made it, in words for a person.
        added_at: UTC time in ISO 8601.
    """

    artifact: Artifact
    origin: str
    added_at: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the conversion and, where it made a model, how far that model's answers moved.

    Attributes:
        name: ``pytorch``, ``onnx``, ``savedmodel`` or a variant's name.
        seconds: Wall time of the step when it was computed; a step taken from the store keeps
            the time it took then.
        against: The stage whose answers these were compared with; None for the first.
        max_abs_error: Largest absolute difference of any logit over the check pictures.
        max_rel_error: ``max_abs_error`` divided by the largest absolute logit of the other side.
        reused: True when the step was done for an earlier conversion of the same run.
        unchecked: Why the answers could not be compared; None where they were, or where there is
            nothing to compare with.
        fault: What makes its answers useless: ``same_answer`` for every picture, or
            ``not_finite``; None where nothing does, or where they could not be compared.
    """

    name: str
    seconds: float
    against: str | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    reused: bool = False
    unchecked: str | None = None
    fault: Fault | None = None

    def __post_init__(self) -> None:
        """Read records from before there were faults, which gave this one as a reason."""
        if self.unchecked == FAULT_WORDS["not_finite"]:
            object.__setattr__(self, "fault", "not_finite")
            object.__setattr__(self, "unchecked", None)

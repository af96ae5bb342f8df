"""`Manifest`: what `manifest.json` in a run folder says."""

from __future__ import annotations

import hashlib
import re
import shlex
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import msgspec

from engine.core.checksums import FileRecord
from engine.core.errors import ModelError, RunError
from engine.core.system import _ANSWERS_BY, _FILES_BY, __version__, _version
from engine.core.types import Layout, LoweringName, MissingVariant
from engine.images.preprocess import InputSize, PreprocessChoice, PreprocessSpec, height_and_width
from engine.networks.checkpoints import sha256_of, sha256_of_checkpoint
from engine.networks.onnx_parts import model_digest
from engine.networks.source import ModelIdentity
from engine.quantization.calibration import CalibrationInfo
from engine.quantization.recipes import Recipe
from engine.requests import ConvertRequest
from engine.tflite.artifact import Artifact
from engine.types import Stage

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
    checksum: str | None = None

    @property
    def shared_command(self) -> str:
        """``command`` for others to read: of paths beyond the working directory, names alone."""
        if self.command.startswith(_CALL):
            return re.sub(r"""(['"])(?:/|\.\./)[^'"]*/""", r"\1", self.command)
        words = shlex.split(self.command)
        return shlex.join(Path(w).name if w.startswith(("/", "../")) else w for w in words)

    def to_json(self) -> bytes:
        """The manifest as indented JSON, with its own checksum in it."""
        blank = replace(self, checksum=_BLANK)
        content = msgspec.json.format(msgspec.json.encode(blank), indent=2)
        return content.replace(_field(_BLANK), _field(_digest(content)))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a run folder.

    Args:
        folder: The run folder.

    Returns:
        The manifest.

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
        found = msgspec.json.decode(data, type=_VersionOnly).schema_version
        if found != SCHEMA_VERSION:
            raise RunError(
                stage,
                got=f"schema version {found}",
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
    known = manifest.checksum
    if known is not None and _digest(data.replace(_field(known), _field(_BLANK))) != known:
        raise msgspec.DecodeError("its text is not the one that was written")


def _field(checksum: str) -> bytes:
    return f'"checksum": "{checksum}"'.encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _VersionOnly(msgspec.Struct):
    schema_version: int


def answered_by(model: str) -> str:
    """Digest of a model and of the versions that decide what it answers to a picture.

    Args:
        model: Digest of the model's file or weights.

    Returns:
        Hex digest.
    """
    parts = (model, __version__, *(_version(name) for name in _ANSWERS_BY))
    return _digest(msgspec.json.encode(parts))


def run_key(request: ConvertRequest) -> str:
    """Digest of everything that a run is made from, but its variants and its calibration.

    Files count by content, so a moved checkpoint gives the same key and a changed one another.

    Args:
        request: What was asked for.

    Returns:
        Hex digest.

    Raises:
        ModelError: A file that was named cannot be read.
    """
    model = asdict(request.model)
    if request.model.network is not None:
        model |= {
            "onnx": None,
            "network": [request.model.network.name, request.model.network.sha256],
        }
    for name in ("checkpoint", "onnx", "labels"):
        if model[name] is not None:
            digest = {"checkpoint": sha256_of_checkpoint, "onnx": model_digest}.get(name, sha256_of)
            model[name] = _digest_of(Path(model[name]), digest)
    if request.model.onnx is not None:
        model["name"] = None
    for name in ("output", "names", "network", "weights_of"):
        if model[name] is None:
            del model[name]  # keys from before these options stay as they are
    parts = {
        "schema": SCHEMA_VERSION,
        "model": model,
        "preprocess": _key_parts(request.preprocess),
        "opset": request.opset,
        "allow_flex": request.allow_flex,
        "lowering": request.lowering,
        "input_layout": request.input_layout,
        "versions": {name: _version(name) for name in _FILES_BY},
        "engine": __version__,
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def _key_parts(choice: PreprocessChoice) -> dict[str, object]:
    """Write a choice as before there were other inputs than square ones of three channels."""
    parts = asdict(choice)
    if choice.pad_value is None:
        del parts["pad_value"]
    for name in ("mean", "std"):
        if parts[name] is not None and len(parts[name]) == 1:
            parts[name] = parts[name] * 3
    return parts


def _digest_of(path: Path, digest: Callable[[Path], str]) -> str:
    try:
        mode = path.stat().st_mode  # so that an absent one is told in one way
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return digest(path)
        reason = "a pipe or a device"  # one would wait for a writer, the other may never end
    except OSError as error:
        reason = str(error.strerror)
    raise ModelError(
        "Reading a file of the model",
        got=f"{path}, which cannot be read ({reason})",
        expected="a file",
        todo="Check the path.",
    )


def command_line(request: ConvertRequest, variants: tuple[str, ...]) -> str:
    """The command that makes a run again.

    Args:
        request: What was asked for.
        variants: Names of all variants of the run.

    Returns:
        One line for a POSIX shell; or of Python, where a network or labels were given there.
    """
    if request.model.network is not None or request.model.names is not None:
        return _call(request, variants)
    words = ["python", "-m", "engine", "convert"]
    model, preprocess, calibration = request.model, request.preprocess, request.calibration
    options: list[tuple[str, object]] = (
        [("--onnx", model.onnx), ("--output", model.output)]
        if model.onnx is not None
        else [
            ("--model", model.name),
            ("--checkpoint", model.checkpoint),
            ("--weights-of", model.weights_of),
        ]
    )
    options += [
        ("--labels", model.labels),
        ("--input-size", _size(preprocess.input_size)),
        ("--resize", preprocess.resize),
        ("--resize-size", preprocess.resize_size),
        ("--interpolation", preprocess.interpolation),
        ("--channel-order", preprocess.channel_order),
        ("--scale", preprocess.scale),
        ("--mean", _joined(preprocess.mean)),
        ("--std", _joined(preprocess.std)),
        ("--pad-value", preprocess.pad_value),
        ("--variants", ",".join(variants)),
        ("--opset", request.opset),
        ("--lowering", request.lowering),
        ("--input-layout", request.input_layout),
        ("--calibration", calibration.folder),
        ("--calibration-count", calibration.count),
        ("--seed", calibration.seed),
        ("--out", request.out),
    ]
    for option, value in options:
        if value is not None:
            words += [option, str(value)]
    if model.random_weights:
        words.append("--random-weights")
    if request.allow_flex:
        words.append("--allow-flex")
    return shlex.join(words)


def _call(request: ConvertRequest, variants: tuple[str, ...]) -> str:
    """Write the call of `engine.convert`, with variables for what lay in memory alone."""
    model, calibration, network = request.model, request.calibration, request.model.network
    preprocess = {k: v for k, v in asdict(request.preprocess).items() if v is not None}
    options = {
        "name": network and network.name,
        "onnx": None if network else model.onnx,
        "checkpoint": model.checkpoint,
        "weights_of": model.weights_of,
        "random_weights": model.random_weights or None,
        "output": model.output,
        "labels": model.labels,
        **{name: preprocess.pop(name, None) for name in ("input_size", "mean", "std")},
        "variants": list(variants),
        "opset": request.opset,
        "allow_flex": request.allow_flex or None,
        "lowering": request.lowering,
        "input_layout": request.input_layout,
        "calibration": calibration.folder,
        "calibration_count": calibration.count,
        "seed": calibration.seed,
        "out": request.out,
    }
    words = ["network"] if network else [] if model.onnx else [repr(model.name)]
    words += [f"{name}={value!r}" for name, value in options.items() if value is not None]
    given = ["network"] if network else []
    if model.names is not None:
        given.append("labels")
        words.append("labels=labels")
    if preprocess:
        fields = ", ".join(f"{name}={value!r}" for name, value in preprocess.items())
        words.append(f"preprocess=engine.PreprocessChoice({fields})")
    return f"{_CALL}({', '.join(words)})  # with your own {' and '.join(given)}"


def _size(size: InputSize | None) -> str | None:
    return None if size is None else "x".join(map(str, dict.fromkeys(height_and_width(size))))


def _joined(values: tuple[float, ...] | None) -> str | None:
    return None if values is None else ",".join(str(value) for value in values)

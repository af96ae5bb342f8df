"""The request that a run is made from, its key, and the command that makes it again."""

from __future__ import annotations

import hashlib
import shlex
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.core.checksums import digest_of_file, read_record
from engine.core.errors import LabelsError, ModelError, OptionError, first_line
from engine.core.system import __version__, file_versions
from engine.core.types import Layout, LoweringName
from engine.images.preprocess import InputSize, PreprocessChoice, height_and_width
from engine.networks.checkpoints import sha256_of_checkpoint
from engine.networks.onnx_parts import model_digest
from engine.networks.source import ModelChoice
from engine.quantization.calibration import CalibrationChoice
from engine.runs.manifest import _CALL, SCHEMA_VERSION
from engine.runs.run import REQUEST, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertRequest:
    """Everything a conversion depends on.

    Attributes:
        model: The network and its weights.
        preprocess: Deviations from its preprocessing.
        variants: Names of recipes.
        calibration: The representative dataset.
        opset: ONNX operator set to export with; None takes the lowest that works, from
            `engine.conversion.onnx_from_torch.BASE_OPSET` on. ONNX files keep their own.
        allow_flex: Whether operators outside TFLite's built-in set may be kept (SELECT_TF).
        lowering: Whose handlers turn ONNX operators into TensorFlow's: ``nhwc`` for ours,
            ``stock`` for onnx-tf's own.
        input_layout: Order of the picture input's dimensions in the TFLite files.
        out: Run folder to make; None puts it into the store.
        owner: Who alone may see the run on a shared dashboard; None for everybody.
        retry: Whether variants that could not be made before are tried once more.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    preprocess: PreprocessChoice = field(default_factory=PreprocessChoice)
    variants: tuple[str, ...] = ()
    calibration: CalibrationChoice = field(default_factory=CalibrationChoice)
    opset: int | None = None
    allow_flex: bool = False
    lowering: LoweringName = "nhwc"
    input_layout: Layout = "NHWC"
    out: str | None = None
    owner: str | None = None
    retry: bool = False


def validate_request(request: ConvertRequest) -> ConvertRequest:
    """Convert NumPy's numbers and lists in a request of Python code to the declared types.

    Raises:
        OptionError: A value is of another type, or none of those that its name can have.
    """
    try:
        plain = msgspec.to_builtins(request, enc_hook=_plain)
        return msgspec.convert(plain, type=ConvertRequest)
    except (TypeError, msgspec.ValidationError) as error:
        raise OptionError(
            "Reading the arguments of convert",
            got=f"a value that cannot be taken: {first_line(error)}",
            expected="values as help(engine.convert) describes them",
            todo="Give that value in the type that is expected.",
        ) from error


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r:.60} is of type {type(value).__name__}")


def request_of(run: Run) -> ConvertRequest:
    """Read the request that a run was made from.

    Raises:
        RunError: The run does not say.
    """
    todo = (
        "Make the run again with this version, or add the variant with: python -m engine convert."
    )
    return read_record(run.folder / REQUEST, ConvertRequest, "Improving a variant", todo)


def run_key(request: ConvertRequest) -> str:
    """Digest everything that a run is made from, but its variants and its calibration.

    Files count by content, so a moved checkpoint gives the same key and a changed one another.

    Raises:
        ModelError: A file that was named cannot be read.
    """
    model = asdict(request.model)
    if request.model.network is not None:
        model |= {
            "onnx": None,
            "network": [request.model.network.name, request.model.network.sha256],
        }
    digests = {
        "checkpoint": sha256_of_checkpoint,
        "onnx": model_digest,
        "labels": digest_of_file,
    }
    for name in digests:
        if model[name] is not None:
            model[name] = _digest_of(Path(model[name]), digests[name])
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
        "versions": file_versions(),
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
        mode = path.stat().st_mode  # so that an absent one gives one message
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
    """Write the command that makes a run with all its variants again.

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
        ("--mean", _join(preprocess.mean)),
        ("--std", _join(preprocess.std)),
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


def _join(values: tuple[float, ...] | None) -> str | None:
    return None if values is None else ",".join(str(value) for value in values)


def join_preprocess(
    choice: PreprocessChoice,
    input_size: InputSize | None,
    mean: float | Iterable[float] | None,
    std: float | Iterable[float] | None,
) -> PreprocessChoice:
    """Join a record of preprocessing with values that Python code gave beside it.

    Raises:
        OptionError: A value is given twice, or is no number.
    """
    for name, value in (("input_size", input_size), ("mean", mean), ("std", std)):
        if value is not None and getattr(choice, name) is not None:
            raise OptionError(
                "Reading the preprocessing",
                got=f"{name} both beside preprocess and in it",
                expected="it once",
                todo="Leave one of the two out.",
            )
    return replace(
        choice,
        input_size=choice.input_size if input_size is None else input_size,
        mean=choice.mean if mean is None else _per_channel("mean", mean),
        std=choice.std if std is None else _per_channel("std", std),
    )


def _per_channel(name: str, value: float | Iterable[float]) -> tuple[float, ...]:
    """Read one number a channel, or one for all."""
    try:
        return tuple(map(float, value)) if isinstance(value, Iterable) else (float(value),)
    except (TypeError, ValueError) as error:
        raise OptionError(
            "Reading the preprocessing",
            got=f"{name} {value!r:.80}",
            expected="one number a channel, or one for all of them",
            todo=f"Give {name} as a number or a list of numbers, such as [0.485, 0.456, 0.406].",
        ) from error


def read_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Read class names from a list of Python code.

    Raises:
        LabelsError: It is no list of names.
    """
    ordered = isinstance(labels, Iterable) and not isinstance(labels, Mapping | set | frozenset)
    names = tuple(labels) if ordered else ()
    if ordered and all(isinstance(name, str) for name in names):
        return names
    raise LabelsError(
        "Reading the labels",
        got=f"a {type(labels).__name__}"
        + (" that holds other things than names" if ordered or isinstance(labels, Mapping) else ""),
        expected="a list of class names, or a file with them",
        todo="Give one name a class, in the order of the logits; of names with their indices: "
        "sorted(indices, key=indices.get).",
    )

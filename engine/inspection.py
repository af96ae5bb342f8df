"""A TFLite file from elsewhere, read and tried in the worker: it may kill the process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.comparison.comparison import compare
from engine.core.errors import ConversionError, FileError, first_line
from engine.core.limits import LIMITS
from engine.core.types import Fault, FloatArray, Layout
from engine.images.preprocess import PreprocessSpec
from engine.networks.runners.base import Runner, alone_and_beside, depends_on_batch
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.recipes import FLOAT32
from engine.requests import InspectRequest
from engine.runs.manifest import CHECKED
from engine.runs.run import ALSO, WORK, Run
from engine.tflite.artifact import Artifact, TensorInfo, artifact_of

EDGE_TYPES = ("float32", "int8", "uint8", "int16")
_BACKGROUND = 1
_EXPORT_AGAIN = "Export it again that way, or leave it out."


def inspected(request: InspectRequest) -> Artifact:
    """Read the identity card of a file, check its edges against the run, and run it once.

    Args:
        request: The file, and the run it shall be compared in.

    Returns:
        Its identity card, with the layout found from the input's shape.

    Raises:
        FileError: It is no TFLite file, or not one that can be compared with this run.
    """
    _limit_memory()
    run = Run.open(request.run)
    manifest = run.manifest
    stage, file = f"Adding {request.name}", Path(request.file)
    try:
        card = artifact_of(file, variant=request.name, layout="NHWC")
    except Exception as error:  # the schema's reader raises nearly anything on damaged files
        raise FileError(
            stage,
            got="a damaged file, whose tables do not hang together",
            expected="a whole .tflite file",
            todo="Copy or export it again, or leave it out.",
        ) from error
    _check_operators(stage, card)
    layout = _check_edges(stage, card, manifest.preprocess, manifest.model.classes)
    checked = _checked_pictures(run)
    with _entered(stage, TfliteRunner(file, layout=layout)) as runner:
        alone, together = alone_and_beside(runner, manifest.preprocess.of_noise())
        logits = None if checked is None else runner.infer(checked)
    found = alone.shape[1]
    _demand_classes(stage, found, (found,), manifest.model.classes)
    card = replace(card, fault=None if logits is None else _fault(run, request.name, logits))
    # By its content: whoever still has the card of a file that was replaced must not read this one.
    place = f"{ALSO}/{request.name}-{card.sha256[:12]}.tflite"
    depends = depends_on_batch(alone, together)
    return replace(card, file=place, layout=layout, depends_on_batch=depends)


def _limit_memory() -> None:
    """Let a damaged shape fail an allocation here instead of filling the machine's memory."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = min(physical * 3 // 4, LIMITS.trial_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _check_operators(stage: str, card: Artifact) -> None:
    if card.select_tf:
        raise FileError(
            stage,
            got=f"SELECT_TF operators ({', '.join(card.select_tf)}), which LiteRT does not run",
            expected="TFLite's built-in operators",
            todo=_EXPORT_AGAIN,
        )


def _check_edges(stage: str, card: Artifact, preprocess: PreprocessSpec, classes: int) -> Layout:
    size = f"{preprocess.height} × {preprocess.width}"
    if len(card.inputs) != 1 or len(card.outputs) != 1:
        raise FileError(
            stage,
            got=f"{len(card.inputs)} inputs and {len(card.outputs)} outputs",
            expected="one picture in, one row of logits out",
            todo=_EXPORT_AGAIN,
        )
    (picture,), (logits,) = card.inputs, card.outputs
    for side, tensor in (("input", picture), ("output", logits)):
        _check_type(stage, side, tensor)
    # A picture of 3 × 3 would fit both; files made for phones are NHWC.
    layouts: dict[Layout, list[int]] = {
        "NHWC": [preprocess.height, preprocess.width, preprocess.channels],
        "NCHW": [preprocess.channels, preprocess.height, preprocess.width],
    }
    fitting = (name for name, shape in layouts.items() if shape == list(picture.shape[1:]))
    layout = next(fitting, None)
    if layout is None:
        raise FileError(
            stage,
            got=f"an input of shape {picture.shape}",
            expected=f"a picture of {size} pixels in {preprocess.channel_order}, NHWC or NCHW, as "
            "the run has",
            todo="Compare it in a run of its own input size (--input-size), or export it again.",
        )
    _check_classes(stage, logits, picture.batch, classes)
    return layout


def _check_type(stage: str, side: str, tensor: TensorInfo) -> None:
    got = tensor.dtype
    if got in EDGE_TYPES and (got == "float32" or tensor.scale is not None):
        return
    raise FileError(
        stage,
        got=f"an {side} of type {got}" + (" without a scale" if got in EDGE_TYPES else ""),
        expected=f"float32, or {', '.join(EDGE_TYPES[1:])} with one scale",
        todo=_EXPORT_AGAIN,
    )


def _check_classes(stage: str, logits: TensorInfo, batch: int, classes: int) -> None:
    found = int(np.prod([size for size in logits.shape if size != -1], dtype=np.int64))
    if batch > 1 and logits.shape[:1] != (batch,):
        raise FileError(
            stage,
            got=f"an output of shape {logits.shape} for {batch} pictures at once",
            expected=f"a row of {classes} logits for each picture",
            todo=_EXPORT_AGAIN,
        )
    _demand_classes(stage, found // batch, logits.shape, classes)


def _demand_classes(stage: str, found: int, shape: tuple[int, ...], classes: int) -> None:
    if found == classes:
        return
    background = found == classes + _BACKGROUND
    raise FileError(
        stage,
        got=f"{found} outputs {shape}",
        expected=f"{classes}, one for each class of the run",
        todo="One more output is often a background class; cut it off before the export."
        if background
        else "Compare it in a run of a model with the same classes.",
    )


@contextmanager
def _entered(stage: str, runner: Runner) -> Iterator[Runner]:
    """Enter a runner of the file; raise its failures as errors of the file."""
    try:
        with runner:
            yield runner
    except (ConversionError, RuntimeError, ValueError, MemoryError) as error:
        why = error.got if isinstance(error, ConversionError) else first_line(error)
        raise FileError(
            stage,
            got=f"a failure when it was run on a picture: {why}",
            expected="a file that LiteRT runs",
            todo="Try it with the tool that made it; leave it out if it does not run there.",
        ) from error


def _checked_pictures(run: Run) -> FloatArray | None:
    """Pictures that the conversion was checked on, as input; None where an older run has none."""
    exact, fitted = (run.folder / WORK / f"{stem}.npy" for stem in (FLOAT32.name, CHECKED))
    if not (exact.is_file() and fitted.is_file()):
        return None  # comparing judges the file
    return np.stack([run.manifest.preprocess.normalized(p) for p in np.load(fitted)])


def _fault(run: Run, name: str, logits: FloatArray) -> Fault | None:
    """Find what makes the file's logits of those pictures useless."""
    compared = compare(
        run=run.folder.name,
        reference_name=FLOAT32.name,
        logits={FLOAT32.name: np.load(run.folder / WORK / f"{FLOAT32.name}.npy"), name: logits},
        pictures=[str(row) for row in range(len(logits))],
        added=[name],
    )
    return compared.variant(name).fault

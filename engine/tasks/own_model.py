"""Look into a person's own model before it is converted: what its file holds, what it answers.

Files are opened in a worker process, never by who asks. A preview shows one picture to the float
model under several preprocessings, since nothing in a file says which of them is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.comparison.outputs import Outputs, probability_sides
from engine.core.errors import OptionError
from engine.core.types import Progress, Report
from engine.images.labels import read_labels
from engine.images.pictures import Picture
from engine.images.preprocess import InputSize, PreprocessChoice, PreprocessSpec, demand_plausible
from engine.networks.load import model_source, with_choice
from engine.networks.source import FileFacts, ModelChoice, ModelSource, TorchSource
from engine.workers.process import Host

if TYPE_CHECKING:
    from engine.networks.runners.base import Runner

MOST_ANSWERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadModelRequest:
    """Read a person's model file.

    Attributes:
        model: The file, with absolute paths.
        input_size: Both sides to feed, or height and width, where the file leaves them open.
    """

    model: ModelChoice
    input_size: InputSize | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReading:
    """What a person's model file holds.

    Attributes:
        facts: What was read.
        preprocess: What is assumed of its preprocessing: of a checkpoint, that of the catalogue's
            network; of an ONNX file, ImageNet's usual values at its size.
        takes_pixels: Whether the file prepares its pixels itself.
        notes: What a reader has to know of it, one sentence each.
    """

    facts: FileFacts
    preprocess: PreprocessSpec
    takes_pixels: bool = False
    notes: tuple[str, ...] = ()


def read_model(
    choice: ModelChoice, host: Host, *, input_size: InputSize | None = None
) -> ModelReading:
    """Read a checkpoint or an ONNX file, without converting it.

    Args:
        choice: The file; class names are not looked at, see `check_labels`.
        host: Gets the worker and its progress.
        input_size: Both sides to feed, or height and width, where the file leaves them open.

    Raises:
        UserMistake: There is no such file, or it is none that can be converted.
        WorkerError: The worker process failed.
    """
    _demand_file(choice)
    request = ReadModelRequest(model=_with_absolute_paths(choice), input_size=input_size)
    with host.worker() as worker:
        return worker.run(run_read_model, request, host.report)


def run_read_model(request: ReadModelRequest, report: Report) -> ModelReading:
    """Read the file; see `read_model`."""
    report(Progress("Reading the file", 0, 1))
    choice = ModelChoice(
        name=request.model.name,
        checkpoint=request.model.checkpoint,
        weights_of=request.model.weights_of,
        onnx=request.model.onnx,
        output=request.model.output,
    )
    source = model_source(choice, PreprocessChoice(input_size=request.input_size))
    assert source.facts is not None, "a file was demanded"
    return ModelReading(
        facts=source.facts,
        preprocess=source.preprocess,
        takes_pixels=_takes_pixels(source),
        notes=source.notes,
    )


@dataclass(frozen=True, slots=True)
class LabelsRequest:
    """Read class names.

    Attributes:
        file: Their file.
        classes: How many there have to be.
    """

    file: str
    classes: int


def check_labels(file: Path, classes: int, host: Host) -> tuple[str, ...]:
    """Read class names in a worker, and demand one for each class.

    Raises:
        LabelsError: The file cannot be read, or has another number of names.
        WorkerError: The worker process failed.
    """
    with host.worker() as worker:
        request = LabelsRequest(str(file.absolute()), classes)
        return worker.run(run_check_labels, request, host.report)


def run_check_labels(request: LabelsRequest, report: Report) -> tuple[str, ...]:
    """Read the class names; see `check_labels`."""
    report(Progress("Reading the class names", 0, 1))
    return read_labels(Path(request.file), request.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRequest:
    """Show a picture to a float model.

    Attributes:
        model: The model, with absolute paths.
        choices: Preprocessings to show it under, all of one input size.
        picture: The picture.
    """

    model: ModelChoice
    choices: tuple[PreprocessChoice, ...]
    picture: Picture


@dataclass(frozen=True, slots=True)
class Answer:
    """A class that a model answers.

    Attributes:
        index: Of the class.
        label: Its name; its number where the model has no names.
        share: Probability, 0 to 1.
    """

    index: int
    label: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A picture as a network sees it, and what it answers.

    Attributes:
        preprocess: How the picture was prepared.
        lowest: Smallest value that the network was fed.
        highest: Largest value that it was fed.
        answers: The five surest, the surest first; none where the answer holds NaN or Inf.
    """

    preprocess: PreprocessSpec
    lowest: float
    highest: float
    answers: tuple[Answer, ...]


def preview(
    choice: ModelChoice, choices: Sequence[PreprocessChoice], picture: Picture, host: Host
) -> tuple[Preview, ...]:
    """Show one picture to a float model under one or several preprocessings.

    Args:
        choice: The model.
        choices: The preprocessings, all of one input size.
        picture: The picture.
        host: Gets the worker and its progress.

    Returns:
        One preview for each of them, in their order.

    Raises:
        UserMistake: The model cannot be read, or a preprocessing contradicts it.
        WorkerError: The worker process failed.
    """
    request = PreviewRequest(
        model=_with_absolute_paths(choice), choices=tuple(choices), picture=picture
    )
    with host.worker() as worker:
        return worker.run(run_preview, request, host.report)


def run_preview(request: PreviewRequest, report: Report) -> tuple[Preview, ...]:
    """Show the picture to the model; see `preview`."""
    report(Progress("Showing the picture to the float model", 0, 1))
    size = PreprocessChoice(input_size=request.choices[0].input_size)
    source = model_source(request.model, size)
    specs = [_spec(source, choice) for choice in request.choices]
    pixels = request.picture.decode(source.preprocess.picture_mode)
    inputs = [spec.apply(pixels) for spec in specs]
    with _runner(source) as runner:
        # One by one: what a model answers may depend on the others of its batch.
        logits = np.concatenate([runner.infer(each[None]) for each in inputs])
    probabilities = bool(probability_sides({"original": logits}))
    shares = Outputs(logits, probabilities).shares()
    return tuple(
        Preview(
            preprocess=spec,
            lowest=float(fed.min()),
            highest=float(fed.max()),
            answers=_answers(row, source.labels),
        )
        for spec, fed, row in zip(specs, inputs, shares, strict=True)
    )


def _spec(source: ModelSource, choice: PreprocessChoice) -> PreprocessSpec:
    spec = with_choice(source.preprocess, choice)
    demand_plausible(spec)
    if _takes_pixels(source) and not spec.feeds_pixels:
        raise OptionError(
            "Reading the preprocessing",
            got="a scale, mean or std for a file of uint8 pixels",
            expected="pixels as they are",
            todo="Leave them out: the file prepares its pixels itself.",
        )
    return spec


def _takes_pixels(source: ModelSource) -> bool:
    return not isinstance(source, TorchSource) and source.takes_pixels


def _runner(source: ModelSource) -> Runner:
    from engine.networks.onnx_files import with_fixed_input
    from engine.networks.onnx_reading import read_onnx
    from engine.networks.runners.onnx import OnnxRunner
    from engine.networks.runners.pytorch import TorchRunner

    if isinstance(source, TorchSource):
        return TorchRunner(source.build)
    size = source.preprocess
    sizes = size.height, size.width, source.output, source.output_shape, source.batch
    fixed = with_fixed_input(read_onnx(source.file), *sizes)
    return OnnxRunner(fixed.SerializeToString(), layout=source.layout)


def _answers(shares: np.ndarray, labels: tuple[str, ...] | None) -> tuple[Answer, ...]:
    if not np.isfinite(shares).all():
        return ()
    surest = np.argsort(-shares, kind="stable")[:MOST_ANSWERS].tolist()
    fitting = labels if labels is not None and len(labels) == len(shares) else None
    return tuple(
        Answer(index, fitting[index] if fitting else f"class {index}", float(shares[index]))
        for index in surest
    )


def _demand_file(choice: ModelChoice) -> None:
    if choice.onnx is None and choice.checkpoint is None:
        raise OptionError(
            "Reading a model file",
            got="neither an ONNX file nor a checkpoint",
            expected="one of them",
            todo="Give --onnx FILE, or --checkpoint FILE beside the name of its network.",
        )


def _with_absolute_paths(choice: ModelChoice) -> ModelChoice:
    return replace(
        choice,
        onnx=_absolute(choice.onnx),
        checkpoint=_absolute(choice.checkpoint),
        labels=_absolute(choice.labels),
    )


def _absolute(path: str | None) -> str | None:
    return path and str(Path(path).absolute())

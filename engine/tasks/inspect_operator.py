"""Look closer at one operator of an integer variant: in float32 for a trial, and its values."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.comparison.layers.pairing import Pair, pair_operators
from engine.comparison.metrics import rms, top_k
from engine.core.checksums import find_record, write_record
from engine.core.errors import OptionError
from engine.core.locks import shared_lock
from engine.core.parity import difference
from engine.core.types import FloatArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.pictures import DEFAULT_LAYERS_COUNT, Picture
from engine.images.preprocess import in_layout
from engine.networks.runners.tflite import TfliteRunner
from engine.quantization.mixed import with_float_layers
from engine.quantization.sensitivity import Wiring
from engine.runs.results import layers_file, spread_pictures
from engine.runs.run import Run, float32_file
from engine.tasks.evaluate import worker_for
from engine.tasks.latency import FileLatencyRequest, TimedFile, run_file_latency
from engine.tflite.graph import Graph, expose, pack_model, parse_model, plain_graph
from engine.tflite.interpreter import dequantize, load_interpreter, quantize
from engine.workers.process import Host, Worker
from engine.workers.protocol import alone

_STAGE = "Looking at an operator"
_TODO = "Look at another operator."
_ROUNDS = 30
MOST_MAPS = 4
"""Channels whose feature maps are shown."""


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """What a file costs, and how far it is from float32.

    Attributes:
        bytes: Size of the file.
        rms: Root mean square of the logits' differences to float32's, each row's mean removed, in
            logits.
        same_answers: Pictures with the same answer as float32.
        median_ms: Median of one call on one thread, in milliseconds.
    """

    bytes: int
    rms: float
    same_answers: int
    median_ms: float


@dataclass(frozen=True, slots=True)
class FloatTrial:
    """A variant with one layer in float32, beside the variant as it is.

    Attributes:
        variant: Name of the variant.
        index: The layer's place among the variant's operators.
        operators: Operators that are in float32 with it, the layer itself counted.
        pictures: Pictures shown.
        before: The variant as it is.
        after: With the layer in float32, timed in turns with it.
    """

    variant: str
    index: int
    operators: int
    pictures: int
    before: MeasuredFile
    after: MeasuredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequest:
    """Look at one operator of a variant of a run.

    Attributes:
        run: Run folder.
        variant: Name of the variant, or of a file from elsewhere.
        index: The operator's place among the variant's operators.
        pictures: Pictures to show.
    """

    run: str
    variant: str
    index: int
    pictures: tuple[Picture, ...]


@alone
def run_float_trial(request: OperatorRequest, report: Report) -> FloatTrial:
    """Compute one layer in float32, and measure what that wins and costs."""
    run = Run.open(request.run)
    exact, whole = float32_file(run).read_bytes(), run.file(request.variant).read_bytes()
    floats = _float_operators(exact, whole, request)
    mixed = with_float_layers(whole, exact, floats)
    layout, contents = run.layout(request.variant), {"float32": exact, "": whole, "mixed": mixed}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name or 'whole'}.tflite" for name in contents}
        for name, content in contents.items():
            files[name].write_bytes(content)
        answers = _answers(run, request, files, report)
        timed = run_file_latency(
            FileLatencyRequest(
                run=request.run,
                files=tuple(TimedFile(name=n, file=str(files[n]), layout=layout) for n in files),
                rounds=_ROUNDS,
            ),
            report,
        )
    firsts = {name: top_k(rows, 1)[:, 0] for name, rows in answers.items()}
    medians = {entry.variant: entry.median_ms for entry in timed.entries}
    before, after = (
        MeasuredFile(
            bytes=len(contents[name]),
            rms=rms(difference(answers["float32"], answers[name])),
            same_answers=int((firsts[name] == firsts["float32"]).sum()),
            median_ms=medians[name],
        )
        for name in ("", "mixed")
    )
    pictures = len(request.pictures)
    return FloatTrial(request.variant, request.index, len(floats), pictures, before, after)


def _float_operators(exact: bytes, whole: bytes, request: OperatorRequest) -> list[int]:
    graph = plain_graph(whole)
    partners = pair_operators(plain_graph(exact), graph).counterparts
    if request.index not in partners:
        raise _no_counterpart(request)
    wiring = Wiring(graph, partners)
    # An addition or a pooling alone brings nothing that joins it.
    if request.index in wiring.layers:
        return sorted(wiring.float_operators([request.index]))
    return [request.index]


def _no_counterpart(request: OperatorRequest) -> OptionError:
    return OptionError(
        _STAGE,
        got=f"operator {request.index} of {request.variant}, which has no counterpart in float32",
        expected="an operator that the float32 file has, too",
        todo=_TODO,
    )


def _answers(
    run: Run, request: OperatorRequest, files: Mapping[str, Path], report: Report
) -> dict[str, FloatArray]:
    fitted = FittedPictures(run.manifest.preprocess, {p.sha256 for p in request.pictures})
    rows: dict[str, FloatArray] = {}
    for done, (name, file) in enumerate(files.items()):
        report(Progress("Showing pictures with and without the layer", done, len(files)))
        with TfliteRunner(file, layout=run.layout(request.variant)) as runner:
            logits = [
                runner.infer(fitted.input_of(picture)[None])[0] for picture in request.pictures
            ]
        rows[name] = np.stack(logits)
    return rows


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """One channel of an operator's output, of both models, on one picture.

    Attributes:
        channel: Which.
        difference: Root mean square of the variant's values minus float32's, in real units.
        height: Rows.
        width: Columns.
        exact: Values of float32, row by row.
        variant: Values of the variant, row by row.
    """

    channel: int
    difference: float
    height: int
    width: int
    exact: tuple[float, ...]
    variant: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FeatureMaps:
    """The channels of an operator that differ most on one picture, the furthest first.

    Attributes:
        channels: How many the operator has.
        maps: Some of them; empty where an output has no height and width.
    """

    channels: int
    maps: tuple[FeatureMap, ...]

    @property
    def scale(self) -> tuple[float, float]:
        """Smallest and largest value of all maps of both models; zero is among them."""
        values = [v for shown in self.maps for v in (*shown.exact, *shown.variant)]
        return min(values, default=0.0), max(values, default=0.0)


def run_feature_maps(request: OperatorRequest, report: Report) -> FeatureMaps:
    """Run a picture through both files, and take the channels of one operator that differ most."""
    run = Run.open(request.run)
    (picture,) = request.pictures
    report(Progress(f"Running {picture.name} through both models", 0, 1))
    exact = Graph(float32_file(run).read_bytes())
    whole = Graph(run.file(request.variant).read_bytes())
    pair = _pair_of(exact, whole, request)
    fitted = FittedPictures(run.manifest.preprocess, {picture.sha256})
    batch = in_layout(fitted.input_of(picture)[None], run.layout(request.variant))
    return differing_maps(
        activation_of(exact, pair.exact.output, batch),
        activation_of(whole, pair.integer.output, batch),
    )


def _pair_of(exact: Graph, whole: Graph, request: OperatorRequest) -> Pair:
    pairs = pair_operators(exact, whole).pairs
    pair = next((pair for pair in pairs if pair.integer.index == request.index), None)
    if pair is None:
        raise _no_counterpart(request)
    return pair


def activation_of(graph: Graph, tensor: int, batch: FloatArray) -> FloatArray:
    """Run a picture through a file and give the real values of one of its tensors.

    Args:
        graph: The file.
        tensor: Which tensor.
        batch: One picture in the file's own layout, float32.

    Returns:
        float32, in the tensor's shape; of a fixed batch the first row.

    Raises:
        ConversionError: LiteRT refuses the file.
    """
    objects = parse_model(graph.content)
    expose(objects, [tensor])
    content = pack_model(objects, len(graph.content))
    interpreter = load_interpreter(content, 1, _STAGE, _TODO)
    (start,) = interpreter.get_input_details()
    interpreter.set_tensor(start["index"], quantize(np.repeat(batch, graph.batch, axis=0), start))
    interpreter.invoke()
    (output,) = interpreter.get_output_details()
    values = dequantize(interpreter.get_tensor(output["index"]), output)
    return values[:1]


def differing_maps(exact: FloatArray, variant: FloatArray, most: int = MOST_MAPS) -> FeatureMaps:
    """Choose the channels that differ most.

    Args:
        exact: Shape (1, height, width, channels), float32; any other has no maps.
        variant: The same of the variant.
        most: How many to choose.
    """
    if exact.ndim != 4 or exact.shape != variant.shape or exact.shape[1] * exact.shape[2] == 1:
        return FeatureMaps(exact.shape[-1], ())
    error = variant[0].astype(np.float64) - exact[0]
    errors = np.sqrt(np.square(error).mean(axis=(0, 1)))
    height, width, channels = exact.shape[1:]
    return FeatureMaps(
        channels,
        tuple(
            FeatureMap(
                channel=int(channel),
                difference=float(errors[channel]),
                height=height,
                width=width,
                exact=tuple(exact[0, :, :, channel].ravel().tolist()),
                variant=tuple(variant[0, :, :, channel].ravel().tolist()),
            )
            for channel in np.argsort(-errors, kind="stable")[:most]
        ),
    )


def try_in_float(
    run: Run, variant: str, index: int, pictures: tuple[Picture, ...], host: Host
) -> FloatTrial:
    """Measure what one layer in float32 wins and costs, on the pictures of `layers`."""
    chosen = spread_pictures(pictures, DEFAULT_LAYERS_COUNT)
    file = _record(run, variant, index, chosen, "float")
    stored = find_record(file, FloatTrial)
    if stored is not None:
        return stored
    # A worker of its own, as for every timing.
    with shared_lock(run.folder), Worker() as worker:
        request = _request(run, variant, index, chosen)
        trial = host.adopt(worker).run(run_float_trial, request, host.report)
    write_record(file, trial)
    return trial


def read_float_trial(
    run: Run, variant: str, index: int, pictures: tuple[Picture, ...]
) -> FloatTrial | None:
    """Read what `try_in_float` stored in the run, or None."""
    chosen = spread_pictures(pictures, DEFAULT_LAYERS_COUNT)
    return find_record(_record(run, variant, index, chosen, "float"), FloatTrial)


def feature_maps(run: Run, variant: str, index: int, picture: Picture, host: Host) -> FeatureMaps:
    """Take the channels of an operator that differ most on a picture; read them where stored."""
    file = _record(run, variant, index, (picture,), "maps")
    stored = find_record(file, FeatureMaps)
    if stored is not None:
        return stored
    request = _request(run, variant, index, (picture,))
    with shared_lock(run.folder), worker_for(run, (variant,), host) as worker:
        maps = worker.run(run_feature_maps, request, host.report)
    write_record(file, maps)
    return maps


def read_feature_maps(run: Run, variant: str, index: int, picture: Picture) -> FeatureMaps | None:
    """Read what `feature_maps` stored in the run, or None."""
    return find_record(_record(run, variant, index, (picture,), "maps"), FeatureMaps)


def _request(run: Run, variant: str, index: int, pictures: tuple[Picture, ...]) -> OperatorRequest:
    folder = str(run.folder.absolute())
    return OperatorRequest(run=folder, variant=variant, index=index, pictures=pictures)


def _record(run: Run, variant: str, index: int, pictures: tuple[Picture, ...], kind: str) -> Path:
    file = layers_file(run, variant, pictures)
    return file.with_name(f"{kind}-{index}-{file.name}")

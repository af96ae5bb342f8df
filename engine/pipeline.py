"""The tasks of the worker process, by name; see `engine.workers.registry.TASKS`."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from engine.comparison.latency import Latency, interleaved
from engine.comparison.layers.records import LayerErrors
from engine.conversion.resume import ConvertTask
from engine.core.system import host_name, usable_cores
from engine.core.types import ORIGINAL, FloatArray, Progress, Report
from engine.deployment.golden import GoldenSet
from engine.images.pictures import decode_file
from engine.images.preprocess import PreprocessSpec
from engine.networks.runners.base import Runner
from engine.networks.runners.tflite import TfliteRunner
from engine.requests import (
    TRYING,
    CatalogRequest,
    DeployRequest,
    EvaluateRequest,
    FileLatencyRequest,
    InspectRequest,
    LatencyRequest,
    LayersRequest,
    MixedLatencyRequest,
    ProfileRequest,
    RouteRequest,
    SweepRequest,
    WarmUpRequest,
)
from engine.runs.run import ONNX_COLUMN, Run
from engine.runs.runners import column_runner
from engine.tflite.artifact import Artifact
from engine.tflite.operator_times import OperatorTime


def run_convert(task: ConvertTask, report: Report) -> bool:
    """Make the files of a run in its side folder; see `engine.conversion.build.Conversion.run`."""
    from engine.conversion.build import Conversion

    return Conversion(task, report).run()


def run_catalog(request: CatalogRequest, report: Report) -> object:
    """The catalogue; see `engine.networks.catalog.catalog`."""
    from engine.networks.catalog import catalog

    report(Progress("Reading the catalogue", 0, 1))
    return catalog()


def run_litert_torch(request: RouteRequest, report: Report) -> bool:
    """Convert with litert-torch; see `engine.routes.litert_torch`."""
    from engine.routes.litert_torch import convert_with_litert_torch

    convert_with_litert_torch(request, report)
    return True


def run_inspect(request: InspectRequest, report: Report) -> Artifact:
    """Read and try a TFLite file from elsewhere; see `engine.inspection`."""
    from engine.inspection import inspected

    report(Progress(TRYING, 0, 1))
    return inspected(request)


def run_evaluate(request: EvaluateRequest, report: Report) -> bool:
    """Show pictures to columns of a run and write their logits, one array a column.

    Args:
        request: Columns, pictures, and the folder to write ``<column>.npy`` to.
        report: Receives progress.

    Returns:
        True.

    Raises:
        PictureError: A picture cannot be decoded.
        EngineError: A model cannot be loaded.
    """
    from engine.evaluation import write_logits

    write_logits(request, report, lambda run, column: column_runner(run, column, 1), usable_cores())
    return True


def run_warm_up(request: WarmUpRequest, report: Report) -> bool:
    """Load one model of each runtime and let it go: what was imported stays.

    Returns:
        True.
    """
    run = Run.open(request.run)
    for column in (ORIGINAL, ONNX_COLUMN, run.variants[0]):
        if column in run.columns:
            report(Progress(f"Loading {column}", 0, 1))
            with column_runner(run, column, 1):
                pass
    return True


def run_layers(request: LayersRequest, report: Report) -> LayerErrors:
    """Measure layer errors; see `engine.layer_errors.task`."""
    from engine.layer_errors.task import measured

    return measured(request, report, usable_cores())


def run_sweep(request: SweepRequest, report: Report) -> bool:
    """Make and measure the cells of a sweep; see `engine.sweeps.cells`."""
    from engine.sweeps.cells import make_cells

    make_cells(request, report, usable_cores())
    return True


def run_deploy(request: DeployRequest, report: Report) -> GoldenSet:
    """Make a kit's model and golden set; see `engine.deployment.task`."""
    from engine.deployment.task import deployed

    return deployed(request, report, usable_cores())


def run_latency(request: LatencyRequest, report: Report) -> Latency:
    """Time one call of each column, in turns.

    Args:
        request: Columns, threads, rounds.
        report: Receives progress.

    Returns:
        Raw samples and the machine they were taken on.
    """
    run = Run.open(request.run)
    runners = {column: column_runner(run, column, request.threads) for column in request.columns}
    return _timed(runners, _pixels(run.manifest.preprocess, request.picture), request, report)


def run_profile(request: ProfileRequest, report: Report) -> tuple[OperatorTime, ...]:
    """Ask LiteRT's profiler what each operator of a variant takes.

    Args:
        request: Variant and threads.
        report: Receives progress.

    Returns:
        One record an operator that ran.
    """
    from engine.tflite.operator_times import operator_times

    report(Progress(f"Profiling {request.variant}", 0, 1))
    run = Run.open(request.run)
    file = run.file(request.variant)
    with TfliteRunner(file, layout=run.layout(request.variant)) as runner:
        runner.feed(_pixels(run.manifest.preprocess, request.picture))
        content = runner.fed()
    return operator_times(file, content, request.threads)


def run_file_latency(request: FileLatencyRequest, report: Report) -> Latency:
    """Time one call of each of some TFLite files, in turns.

    Args:
        request: Files, threads, rounds.
        report: Receives progress.

    Returns:
        Raw samples and the machine they were taken on.
    """
    preprocess = Run.open(request.run).manifest.preprocess
    runners: dict[str, Runner] = {
        timed.name: TfliteRunner(Path(timed.file), layout=timed.layout, threads=request.threads)
        for timed in request.files
    }
    return _timed(runners, _pixels(preprocess, None), request, report)


def run_mixed_latency(request: MixedLatencyRequest, report: Report) -> Latency:
    """Time float32 and an integer variant with numbers of its layers in float32, in turns.

    Args:
        request: Numbers of layers, variants of the run, threads, rounds.
        report: Receives progress.

    Returns:
        Raw samples and the machine they were taken on.
    """
    from engine.conversion.variant_files import kept_mixed_models

    run = Run.open(request.run)
    models = kept_mixed_models(run, request.whole)
    with tempfile.TemporaryDirectory() as folder:
        layout = run.layout(run.variants[0])
        runners: dict[str, Runner] = {
            column: column_runner(run, column, request.threads) for column in request.columns
        }
        for name, content in models.contents(request.layers):
            if name in runners:
                continue
            file = Path(folder) / f"{name}.tflite"
            file.write_bytes(content)
            runners[name] = TfliteRunner(file, layout=layout, threads=request.threads)
        return _timed(runners, _pixels(run.manifest.preprocess, None), request, report)


def _pixels(preprocess: PreprocessSpec, picture: str | None) -> FloatArray:
    """The network input made of a picture, or of noise."""
    if picture is None:
        return preprocess.of_noise()
    file = Path(picture)
    return preprocess.apply(decode_file(file, file.name, preprocess.picture_mode))


def _timed(
    runners: Mapping[str, Runner],
    pixels: FloatArray,
    request: LatencyRequest | FileLatencyRequest | MixedLatencyRequest,
    report: Report,
) -> Latency:
    rounds = request.warmup + request.rounds
    with ExitStack() as stack:
        calls = {}
        for name, runner in runners.items():
            report(Progress(f"Loading {name}", 0, rounds))
            stack.enter_context(runner)
            runner.feed(pixels)
            calls[name] = runner.invoke
        report(Progress(f"Timing {len(calls)} models in turns", request.warmup, rounds))
        gc.collect()
        gc.disable()
        try:
            entries = interleaved(calls, rounds=request.rounds, warmup=request.warmup)
        finally:
            gc.enable()
        batches = {name: runner.batch or 1 for name, runner in runners.items()}
    return Latency(
        host=host_name(),
        cores=usable_cores(),
        threads=request.threads,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        entries=tuple(replace(entry, pictures=batches[entry.variant]) for entry in entries),
    )

"""Timings of a run: taking them, and those that it keeps."""

from __future__ import annotations

import gc
import hashlib
import math
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from engine.comparison.latency import Latency, LatencySamples, time_interleaved
from engine.core.checksums import find_record, write_record
from engine.core.errors import ConversionError, JobCancelled, WorkerError, require_range
from engine.core.locks import exclusive_lock, shared_lock
from engine.core.system import host_name, usable_cores
from engine.core.types import ORIGINAL, FloatArray, Layout, Progress, Report
from engine.images.pictures import decode_file
from engine.images.preprocess import PreprocessSpec
from engine.networks.runners.base import Runner
from engine.networks.runners.tflite import TfliteRunner
from engine.runs.results import latency_file
from engine.runs.run import Run
from engine.runs.runners import column_runner
from engine.tflite.operator_times import OperatorTime
from engine.workers.process import Host, Worker
from engine.workers.protocol import alone


def measure(
    run: Run,
    host: Host,
    *,
    columns: tuple[str, ...] = (),
    threads: int = 1,
    rounds: int = 50,
    warmup: int = 5,
    picture: Path | None = None,
) -> Latency:
    """Time columns of a run on this machine, in turns, and keep the samples in the run.

    See `engine.latency`. Timings of other columns that the run has stay; see `store_latency`.
    A picture is fed where one is given, else noise.
    """
    require_range("Measuring latency", threads, "threads", 1, usable_cores())
    require_range("Measuring latency", rounds, "rounds", 1, 10_000)
    chosen = columns or (ORIGINAL, *run.runnable)
    run.check_columns(chosen)
    request = LatencyRequest(
        run=str(run.folder.absolute()),
        columns=chosen,
        threads=threads,
        rounds=rounds,
        warmup=warmup,
        picture=None if picture is None else str(picture.absolute()),
    )
    # Always a fresh one, so that dashboard and command line time in the same surroundings.
    with Worker() as worker:
        timed = time_columns(run, request, host, worker)
    return profile_operators(run, timed, host, picture=request.picture)


def time_columns(run: Run, request: LatencyRequest, host: Host, worker: Worker) -> Latency:
    """Time columns of a run in turns, and keep the samples; see `store_latency`.

    Args:
        run: The run.
        request: What to time.
        host: Gets the worker and its progress.
        worker: One that has done no work yet.
    """
    with shared_lock(run.folder):
        return store_latency(run, host.adopt(worker).run(run_latency, request, host.report))


def profile_operators(
    run: Run, timed: Latency, host: Host, *, picture: str | None = None
) -> Latency:
    """Add what each operator takes to timings of a run, file by file, and keep it.

    Args:
        run: The run.
        timed: Timings of some of its columns, as they were kept.
        host: Gets the worker and its progress.
        picture: A picture to feed; None feeds a picture made of noise.
    """
    with shared_lock(run.folder), _Replaced() as workers:
        entries = tuple(
            _profile(run, host, entry, timed.threads, picture, workers) for entry in timed.entries
        )
    return store_latency(run, replace(timed, entries=entries))


def store_latency(run: Run, measured: Latency) -> Latency:
    """Add timings to those that a run has for this machine and number of threads.

    An entry takes the place of an earlier one of the same variant; the others stay. Timings of
    another machine are not comparable: they go into a file of their own, and come back when
    something is timed on that machine again.

    Args:
        run: The run.
        measured: Timings of some of its columns, from one measurement.

    Returns:
        ``measured``, each entry with the time of its measurement.

    Raises:
        StorageError: The disk refuses.
    """
    measured = _date_entries(measured)
    file = latency_file(run, measured.threads)
    with exclusive_lock(file.parent):
        stored = find_record(file, Latency)
        if stored is not None and _machine(stored) != _machine(measured):
            write_record(_file_of_machine(file, stored), stored)
            stored = find_record(_file_of_machine(file, measured), Latency)
        entries = {} if stored is None else {e.variant: e for e in _date_entries(stored).entries}
        for entry in measured.entries:
            entries[entry.variant] = _with_profile(entry, entries.get(entry.variant))
        merged = replace(measured, entries=tuple(entries.values()))
        write_record(file, merged)
    return measured


def _date_entries(timed: Latency) -> Latency:
    entries = (replace(e, measured_at=e.measured_at or timed.measured_at) for e in timed.entries)
    return replace(timed, entries=tuple(entries))


def _with_profile(entry: LatencySamples, earlier: LatencySamples | None) -> LatencySamples:
    """Keep what is known of a file's operators where they were not asked for this time."""
    if earlier is None or entry.operators or entry.unprofiled:
        return entry
    return replace(entry, operators=earlier.operators, unprofiled=earlier.unprofiled)


def _machine(timed: Latency) -> tuple[str, int]:
    return timed.host, timed.cores


def _file_of_machine(file: Path, timed: Latency) -> Path:
    digest = hashlib.sha256(f"{timed.host} {timed.cores}".encode()).hexdigest()
    return file.with_name(f"{file.stem}-{digest[:16]}.json")


class _Replaced:
    """A worker, and another one when it has died: what was timed without harm may end a profile."""

    def __enter__(self) -> Self:
        self._worker = Worker()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def living(self) -> Worker:
        """One that can take a task."""
        if not self._worker.alive:
            self._worker.close()
            self._worker = Worker()
        return self._worker


def _profile(
    run: Run,
    host: Host,
    entry: LatencySamples,
    threads: int,
    picture: str | None,
    workers: _Replaced,
) -> LatencySamples:
    """Add what each operator takes to the samples of a column that is a TFLite file."""
    if entry.variant not in run.runnable:
        return entry
    wanted = ProfileRequest(
        run=str(run.folder.absolute()), variant=entry.variant, threads=threads, picture=picture
    )
    try:
        worker = host.adopt(workers.living())
        times = worker.run(run_profile, wanted, host.report)
    except JobCancelled:
        raise
    except (ConversionError, WorkerError) as error:
        return replace(entry, unprofiled=str(error))
    return replace(entry, operators=times)


@alone
def run_latency(request: LatencyRequest, report: Report) -> Latency:
    """Time one call of each column, in turns."""
    run = Run.open(request.run)
    runners = {column: column_runner(run, column, request.threads) for column in request.columns}
    pixels = _pixels(run.manifest.preprocess, request.picture)
    return _time_runners(runners, pixels, request, report, request.most_seconds or math.inf)


@alone
def run_profile(request: ProfileRequest, report: Report) -> tuple[OperatorTime, ...]:
    """Ask LiteRT's profiler what each operator of a variant takes."""
    from engine.tflite.operator_times import operator_times

    report(Progress(f"Profiling {request.variant}", 0, 1))
    run = Run.open(request.run)
    file = run.file(request.variant)
    with TfliteRunner(file, layout=run.layout(request.variant)) as runner:
        runner.feed(_pixels(run.manifest.preprocess, request.picture))
        content = runner.fed()
    return operator_times(file, content, request.threads)


@alone
def run_file_latency(request: FileLatencyRequest, report: Report) -> Latency:
    """Time one call of each of some TFLite files, in turns."""
    preprocess = Run.open(request.run).manifest.preprocess
    runners: dict[str, Runner] = {
        timed.name: TfliteRunner(Path(timed.file), layout=timed.layout, threads=request.threads)
        for timed in request.files
    }
    return _time_runners(runners, _pixels(preprocess, None), request, report)


@alone
def run_mixed_latency(request: MixedLatencyRequest, report: Report) -> Latency:
    """Time float32 and an integer variant with numbers of its layers in float32, in turns."""
    from engine.conversion.variant_files import load_mixed_models

    run = Run.open(request.run)
    models = load_mixed_models(run, request.whole)
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
        return _time_runners(runners, _pixels(run.manifest.preprocess, None), request, report)


def _pixels(preprocess: PreprocessSpec, picture: str | None) -> FloatArray:
    """Make the network input of a picture, or of noise."""
    if picture is None:
        return preprocess.of_noise()
    file = Path(picture)
    return preprocess.apply(decode_file(file, file.name, preprocess.picture_mode))


def _time_runners(
    runners: Mapping[str, Runner],
    pixels: FloatArray,
    request: LatencyRequest | FileLatencyRequest | MixedLatencyRequest,
    report: Report,
    most_seconds: float = math.inf,
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
            entries = time_interleaved(
                calls, rounds=request.rounds, warmup=request.warmup, most_seconds=most_seconds
            )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRequest:
    """Time one call of each model of a run.

    Attributes:
        run: Run folder.
        columns: ``original``, ``onnx`` or names of variants.
        threads: Threads each model gets.
        rounds: Timed calls of each model.
        warmup: Calls of each model before timing starts.
        picture: A picture to feed; None feeds a picture made of noise.
        most_seconds: What the timed calls of one model may take in all; None for as long as they
            do. See `engine.comparison.latency.time_interleaved`.
    """

    run: str
    columns: tuple[str, ...]
    threads: int = 1
    rounds: int = 50
    warmup: int = 5
    picture: str | None = None
    most_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRequest:
    """Ask LiteRT's profiler what each operator of a variant takes.

    Attributes:
        run: Run folder.
        variant: One of the run's TFLite files.
        threads: Threads it gets.
        picture: A picture to feed; None feeds a picture made of noise.
    """

    run: str
    variant: str
    threads: int = 1
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedFile:
    """A TFLite file to be timed.

    Attributes:
        name: What to call its samples.
        file: Its path.
        layout: Order of its input's dimensions.
    """

    name: str
    file: str
    layout: Layout


@dataclass(frozen=True, slots=True)
class MixedLatencyRequest:
    """What to time of an integer variant with some layers in float32.

    Attributes:
        run: Folder of the run.
        whole: Name of the variant without a layer in float32.
        layers: Numbers of layers in float32.
        columns: Variants of the run to time in the same turns.
        threads: Threads each model gets.
        rounds: Timed calls of each.
        warmup: Calls of each before timing starts.
    """

    run: str
    whole: str
    layers: tuple[int, ...]
    columns: tuple[str, ...] = ()
    threads: int = 1
    rounds: int = 30
    warmup: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLatencyRequest:
    """Time one call of each of some TFLite files for the pictures of a run.

    Attributes:
        run: Run folder, for its preprocessing.
        files: The files.
        threads: Threads each model gets.
        rounds: Timed calls of each model.
        warmup: Calls of each model before timing starts.
    """

    run: str
    files: tuple[TimedFile, ...]
    threads: int = 1
    rounds: int = 50
    warmup: int = 5

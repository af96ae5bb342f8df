"""Timings of a run: taking them, and those that it keeps."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec

from engine.comparison.latency import Latency, LatencySamples
from engine.core.checksums import write_kept
from engine.core.errors import ConversionError, JobCancelled, OptionError, WorkerError
from engine.core.locks import alone_in, in_use
from engine.core.types import ORIGINAL
from engine.requests import LatencyRequest, ProfileRequest
from engine.runs.results import _latency_file, _read_latency
from engine.runs.run import Run
from engine.tflite.operator_times import OperatorTime
from engine.workers.host import Host
from engine.workers.process import Worker


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

    Timings of other columns that the run has stay; see `store_latency`.

    Args:
        run: The run.
        host: Gets the worker and its progress.
        columns: Some of `Run.columns`; the original and all variants when empty.
        threads: Threads each model gets.
        rounds: Timed calls of each.
        warmup: Calls of each before timing starts.
        picture: A picture to feed; None feeds noise.

    Returns:
        Raw samples and the machine they were taken on.

    Raises:
        OptionError: A column or number is wrong.
        WorkerError: The worker process failed.
    """
    _demand_range("threads", threads, os.cpu_count() or 1)
    _demand_range("rounds", rounds, 10_000)
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
    with in_use(run.folder), _Replaced() as workers:
        worker = host.adopt(workers.living())
        latency = worker.run("latency", request, Latency, host.report)
        entries = tuple(_profiled(run, host, entry, request, workers) for entry in latency.entries)
    return store_latency(run, replace(latency, entries=entries))


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
    measured = _dated(measured)
    file = _latency_file(run, measured.threads)
    with alone_in(file.parent):
        stored = _read_latency(file)
        if stored is not None and _machine(stored) != _machine(measured):
            write_kept(_file_of_machine(file, stored), msgspec.json.encode(stored))
            stored = _read_latency(_file_of_machine(file, measured))
        entries = {} if stored is None else {e.variant: e for e in _dated(stored).entries}
        for entry in measured.entries:
            entries[entry.variant] = _with_profile(entry, entries.get(entry.variant))
        merged = replace(measured, entries=tuple(entries.values()))
        write_kept(file, msgspec.json.encode(merged))
    return measured


def _dated(timed: Latency) -> Latency:
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


def _profiled(
    run: Run, host: Host, entry: LatencySamples, request: LatencyRequest, workers: _Replaced
) -> LatencySamples:
    """The samples of a column, with what each operator takes where it is a TFLite file."""
    if entry.variant not in run.runnable:
        return entry
    wanted = ProfileRequest(
        run=request.run, variant=entry.variant, threads=request.threads, picture=request.picture
    )
    try:
        worker = host.adopt(workers.living())
        times = worker.run("profile", wanted, tuple[OperatorTime, ...], host.report)
    except JobCancelled:
        raise
    except (ConversionError, WorkerError) as error:
        return replace(entry, unprofiled=str(error))
    return replace(entry, operators=times)


def _demand_range(name: str, value: int, highest: int) -> None:
    if not 1 <= value <= highest:
        raise OptionError(
            "Measuring latency",
            got=f"{value} {name}",
            expected=f"1 to {highest}",
            todo=f"Give another number of {name}.",
        )

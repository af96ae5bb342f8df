"""Show pictures to models of a run, and compare what they answer.

In the worker one model after the other, so that memory holds one. Rows go straight to the file:
nothing grows with the number of pictures.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np

from engine.comparison.latency import Latency
from engine.core.checksums import move_verified
from engine.core.errors import FileError, OptionError
from engine.core.locks import shared_lock
from engine.core.system import usable_cores
from engine.core.types import ORIGINAL, FloatArray, IntArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.labels import (
    UNLABELLED,
    answer_count,
    answer_names,
    labels_from_csv,
    labels_from_folders,
)
from engine.images.pictures import Picture
from engine.networks.runners.base import Runner
from engine.runs.results import (
    KnownRows,
    answering,
    logit_files,
    missing_logits,
    write_index,
)
from engine.runs.run import ONNX_COLUMN, Run
from engine.runs.runners import column_runner
from engine.runs.staging import empty, staging_folder
from engine.tasks.evaluation import Evaluation, compare_models
from engine.tasks.show import show_pictures
from engine.workers import jobs as jobs_module
from engine.workers import pool
from engine.workers.jobs import Job
from engine.workers.process import Host, Worker, _fresh_worker


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """Show pictures to models of a run and keep their logits.

    Attributes:
        run: Run folder.
        columns: ``original``, ``onnx`` or names of variants.
        pictures: The pictures, in the order of the rows.
        folder: Where to write ``<column>.npy``.
    """

    run: str
    columns: tuple[str, ...]
    pictures: tuple[Picture, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class WarmUpRequest:
    """Import what the models of a run need, before somebody waits for it.

    Attributes:
        run: Run folder.
    """

    run: str


@overload
def evaluate(
    run: Run,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    reference: str = ...,
    variants: tuple[str, ...] = ...,
    beside: tuple[str, ...] = ...,
    labels: IntArray | None = ...,
    latency: Latency | None = ...,
) -> Evaluation: ...


@overload
def evaluate(
    run: Run,
    pictures: tuple[Picture, ...],
    host: None,
    *,
    reference: str = ...,
    variants: tuple[str, ...] = ...,
    beside: tuple[str, ...] = ...,
    labels: IntArray | None = ...,
    latency: Latency | None = ...,
) -> Evaluation | None: ...


def evaluate(
    run: Run,
    pictures: tuple[Picture, ...],
    host: Host | None,
    *,
    reference: str = ORIGINAL,
    variants: tuple[str, ...] = (),
    beside: tuple[str, ...] = (),
    labels: IntArray | None = None,
    latency: Latency | None = None,
) -> Evaluation | None:
    """Show pictures to models of a run and compare their answers; read what was computed before.

    Args:
        run: The run.
        pictures: At least one picture.
        host: Gets the worker and its progress; None computes nothing.
        reference: One of `Run.columns`.
        variants: Some of `Run.columns`; all TFLite variants when empty.
        beside: Further columns whose logits are wanted, without a comparison.
        labels: Right answers, shape (pictures,), -1 for unknown.
        latency: Timings to show beside.

    Returns:
        Logits and comparison; None where there is no host and logits are not in the run.

    Raises:
        UserMistake: A name or picture is wrong.
        WorkerError: The worker process failed.
    """
    compared = tuple(dict.fromkeys((reference, *(variants or run.runnable))))
    logits = compute_logits(run, pictures, tuple(dict.fromkeys((*compared, *beside))), host)
    if logits is None:
        return None
    comparison = compare_models(
        run,
        pictures,
        {column: logits[column] for column in compared},
        reference=reference,
        labels=labels,
        latency=latency,
    )
    return Evaluation(run, pictures, comparison, logits)


@overload
def compute_logits(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...], host: Host
) -> dict[str, FloatArray]: ...


@overload
def compute_logits(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...], host: Host | None
) -> dict[str, FloatArray] | None: ...


def compute_logits(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...], host: Host | None
) -> dict[str, FloatArray] | None:
    """Compute logits of columns of a run on pictures; read what was computed before.

    Args:
        run: The run.
        pictures: At least one picture.
        columns: Some of `Run.columns`.
        host: Gets the worker and its progress; None computes nothing.

    Returns:
        For each column an array of shape (pictures, classes), float32, mapped from disk; None
        where there is no host and one of them is not in the run.

    Raises:
        UserMistake: A column or picture is wrong.
        WorkerError: The worker process failed.
    """
    names = {column: answering(run, pictures, column) for column in columns}
    files = logit_files(run, pictures, tuple(names.values()))
    rows = _load(run, files)
    if len(rows) < len(files):
        if host is None:
            return None
        absent = {name: file for name, file in files.items() if name not in rows}
        rows |= _compute(run, pictures, absent, host)
    return {column: rows[name] for column, name in names.items()}


def _load(run: Run, files: dict[str, Path]) -> dict[str, FloatArray]:
    """Map the logits that are there into memory."""
    missing = missing_logits(run, files)
    return {n: np.load(file, mmap_mode="r") for n, file in files.items() if n not in missing}


def _compute(
    run: Run, pictures: tuple[Picture, ...], files: dict[str, Path], host: Host
) -> dict[str, FloatArray]:
    """Compute what is missing, unless another does so already, whose answers then serve."""
    folder = next(iter(files.values())).parent
    with shared_lock(run.folder), staging_folder(folder, host.report) as staging:
        empty(staging)
        rows = _load(run, files)
        missing = tuple(name for name in files if name not in rows)
        if not missing:
            return rows
        request = EvaluateRequest(
            run=str(run.folder), columns=missing, pictures=pictures, folder=str(staging)
        )
        with worker_for(run, missing, host) as worker:
            worker.run(run_evaluate, request, host.report)
        folder.mkdir(exist_ok=True)
        write_index(folder, [picture.sha256 for picture in pictures])
        for name in missing:
            move_verified(staging / f"{name}.npy", files[name])
            rows[name] = np.load(files[name], mmap_mode="r")
        return rows


def worker_for(run: Run, columns: tuple[str, ...], host: Host) -> AbstractContextManager[Worker]:
    """Choose the worker for columns: one of its own where a file from elsewhere is among them."""
    added = {file.artifact.variant for file in run.added}
    return _fresh_worker(host) if added & set(columns) else host.worker()


def right_answers(
    run: Run, pictures: tuple[Picture, ...], *, table: Path | None, from_folders: bool
) -> IntArray | None:
    """Labels of pictures, from a table or from their folders.

    The class index of each picture, -1 for unknown; None where neither was given.

    Raises:
        OptionError: Both were given.
        LabelsError: They do not fit.
    """
    if table is not None and from_folders:
        raise OptionError(
            "Reading the right answers",
            got="a table and folders at once",
            expected="one of them",
            todo="Leave one out.",
        )
    names = [picture.name for picture in pictures]
    classes = answer_count(run.manifest.model.classes)
    if table is not None:
        labels = labels_from_csv(table, names, classes, answer_names(run.manifest.labels))
        return labels if (labels != UNLABELLED).any() else None
    if from_folders:
        return labels_from_folders(names, answer_names(run.manifest.labels), classes)
    return None


def run_evaluate(request: EvaluateRequest, report: Report) -> bool:
    """Show pictures to columns of a run and write their logits; see `write_logits`."""
    write_logits(request, report, lambda run, column: column_runner(run, column, 1), usable_cores())
    return True


def run_warm_up(request: WarmUpRequest, report: Report) -> bool:
    """Load and close one model of each runtime: what was imported stays.

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


def write_logits(
    request: EvaluateRequest,
    report: Report,
    runner_of: Callable[[Run, str], Runner],
    workers: int,
) -> None:
    """Show pictures to columns of a run and write their logits, one array a column."""
    run, pictures = Run.open(request.run), request.pictures
    total = len(pictures) * len(request.columns)
    fitted = FittedPictures(run.manifest.preprocess, {picture.sha256 for picture in pictures})
    for index, column in enumerate(request.columns):
        stage, before = f"Showing {len(pictures)} pictures to {column}", index * len(pictures)
        report(Progress(stage, before, total))
        rows = _Rows(Path(request.folder) / f"{column}.npy", run.manifest.model.classes, pictures)
        earlier = KnownRows(run, column)
        missing = []
        for row, picture in enumerate(pictures):
            logits = earlier.of(picture.sha256)
            if logits is None:
                missing.append((row, picture))
            else:
                rows.write(row, logits)

        def count(done: int, stage: str = stage, start: int = before - len(missing)) -> None:
            report(Progress(stage, start + len(pictures) + done, total))

        make_runner = partial(runner_of, run, column)
        show_pictures(make_runner, missing, fitted.input_of, rows.write, workers, count)
        rows.close()


class _Rows:
    """An array on disk, written row by row from any thread and never mapped into memory."""

    def __init__(self, file: Path, classes: int, pictures: tuple[Picture, ...]) -> None:
        self._classes = classes
        shape = (len(pictures), classes)
        mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
        self._start = mapped.offset
        del mapped
        self._file = os.open(file, os.O_WRONLY)

    def write(self, row: int, logits: FloatArray) -> None:
        """Put the logits of a picture, shape (classes,), into its row."""
        if logits.shape != (self._classes,):
            raise FileError(
                "Showing pictures to a model",
                got=f"logits of shape {logits.shape}",
                expected=f"{self._classes}, one for each class of the run",
                todo="Leave this model out: it is not what the run says.",
            )
        data = logits.astype(np.float32, copy=False).tobytes()
        os.pwrite(self._file, data, self._start + row * len(data))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class _Latest:
    """The last job that made a worker ready."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job[bool] | None = None

    def start(self, run: Run) -> None:
        """Start another one, unless a worker is there or will be."""
        with self._lock:
            starting = self._job is not None and self._job.active
            if starting or pool.WARM_WORKER.ready or jobs_module.QUEUE.busy:
                return
            self._job = Job("Making a worker ready", lambda job: _load_models(job, run)).start()


_LATEST = _Latest()


def warm_up(run: Run) -> None:
    """Make the warm worker ready for a run's models, in the background.

    Nothing is started where a worker is kept already, or where a job runs, whose worker will be.
    A failure is not shown: the task that needs the worker meets it again.

    Args:
        run: The run whose models will be asked.
    """
    _LATEST.start(run)


def _load_models(job: Job[bool], run: Run) -> bool:
    with job.worker() as worker:
        return worker.run(run_warm_up, WarmUpRequest(str(run.folder.absolute())), job.report)

"""Pictures through the columns of a run, in the worker.

One column after the other, so that memory holds one model; the pictures of a column are shared
among as many threads as there are cores, each with a one-thread model of its own. On two cores two
one-thread interpreters answer for 1.9 to 2.0 times as many pictures as one, where an interpreter
with two threads gains 1.0 (int16x8) to 1.7; and a thread that decodes leaves the other core to a
model. Rows go straight to the file: nothing grows with the number of pictures.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.comparison import metrics as metrics_module
from engine.comparison.comparison import Comparison
from engine.comparison.comparison import compare as compare_logits
from engine.comparison.latency import Latency
from engine.comparison.outputs import Outputs
from engine.conversion.missing_variants import missing_sentences
from engine.core import parity
from engine.core.checksums import keep_file
from engine.core.errors import FileError, OptionError
from engine.core.locks import in_use
from engine.core.system import usable_cores
from engine.core.types import ORIGINAL, FloatArray, IntArray, Progress, Report
from engine.images.cache import FittedPictures
from engine.images.labels import (
    answer_count,
    answer_names,
    label_of,
    labels_from_csv,
    labels_from_folders,
)
from engine.images.pictures import Picture, PictureFile, _picture_files
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
from engine.runs.staging import empty, reserved
from engine.tasks.convert import _normalizing, _notes
from engine.workers import jobs as jobs_module
from engine.workers import pool
from engine.workers import process as host_module
from engine.workers.jobs import Job
from engine.workers.process import Host, Worker, _fresh_worker

_REPORT_SECONDS = 0.1


def write_logits(
    request: EvaluateRequest,
    report: Callable[[Progress], None],
    runner_of: Callable[[Run, str], Runner],
    workers: int,
) -> None:
    """Show pictures to columns of a run and write their logits, one array a column.

    Args:
        request: Columns, pictures, and the folder to write ``<column>.npy`` to.
        report: Receives progress.
        runner_of: Makes a one-thread runner of a column.
        workers: Threads to use.

    Raises:
        PictureError: A picture cannot be decoded.
        EngineError: A model cannot be loaded.
    """
    run = Run.open(request.run)
    pictures = [Picture(p.name, Path(p.path), p.sha256) for p in request.pictures]
    total = len(pictures) * len(request.columns)
    fitted = FittedPictures(run.manifest.preprocess, {picture.sha256 for picture in pictures})
    for index, column in enumerate(request.columns):
        stage, before = f"Showing {len(pictures)} pictures to {column}", index * len(pictures)
        report(Progress(stage, before, total))
        rows = _Rows(Path(request.folder) / f"{column}.npy", run.manifest.model.classes, pictures)
        known = KnownRows(run, column)
        missing = []
        for row, picture in enumerate(pictures):
            logits = known.of(picture.sha256)
            if logits is None:
                missing.append((row, picture))
            else:
                rows.write(row, logits)
        steps = _Steps(missing, report, stage, before + len(pictures) - len(missing), total)
        if missing:
            _share(run, column, runner_of, min(workers, len(missing)), steps, fitted, rows)
        rows.close()


def _share(
    run: Run,
    column: str,
    runner_of: Callable[[Run, str], Runner],
    workers: int,
    steps: _Steps,
    fitted: FittedPictures,
    rows: _Rows,
) -> None:
    """Let threads take pictures in turns until none is left or one of them fails."""
    with ExitStack() as stack:
        first = stack.enter_context(runner_of(run, column))
        runners = [first] * workers
        if not first.concurrent:
            others = (stack.enter_context(runner_of(run, column)) for _ in range(workers - 1))
            runners = [first, *others]

        def work(runner: Runner) -> None:
            try:
                for row, picture in steps:
                    rows.write(row, runner.infer(fitted.input_of(picture)[None])[0])
            finally:
                steps.end()

        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(work, runner) for runner in runners]:
                done.result()


class _Steps:
    """Pictures handed out one by one to threads, with progress at times."""

    def __init__(
        self,
        pictures: list[tuple[int, Picture]],
        report: Callable[[Progress], None],
        stage: str,
        done: int,
        total: int,
    ) -> None:
        self._waiting = iter(pictures)
        self._report = report
        self._stage, self._done, self._total = stage, done, total
        self._lock = threading.Lock()
        self._reported = time.monotonic()

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        while True:
            with self._lock:
                step = next(self._waiting, None)
                self._done += step is not None
                late = time.monotonic() - self._reported > _REPORT_SECONDS
                if late:
                    self._reported = time.monotonic()
                    self._report(Progress(self._stage, self._done - 1, self._total))
            if step is None:
                return
            yield step

    def end(self) -> None:
        """Hand out no more: the pictures are at their end, or a thread failed."""
        with self._lock:
            self._waiting = iter(())


class _Rows:
    """An array on disk, written row by row from any thread and never mapped into memory."""

    def __init__(self, file: Path, classes: int, pictures: list[Picture]) -> None:
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
        """Let go of the file."""
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that a view of answers shows.

    Attributes:
        run: The run.
        pictures: The pictures, in the order of the rows.
        comparison: Its variants against the reference.
        logits: What each column gave, shape (pictures, classes).
    """

    run: Run
    pictures: tuple[Picture, ...]
    comparison: Comparison
    logits: Mapping[str, FloatArray]

    def outputs(self, column: str) -> Outputs:
        """Outputs of a column, with their kind."""
        return Outputs(self.logits[column], self.comparison.gives_probabilities(column))

    def comparable(self, column: str, *beside: str) -> FloatArray:
        """Logits to show beside those of other columns, shape (pictures, answers).

        Args:
            column: Whose logits.
            beside: The other columns; the reference where none is given.

        Returns:
            Logarithms of probabilities where one of the columns gives probabilities, else logits.
        """
        columns = (column, *(beside or (self.comparison.reference,)))
        softmax = any(map(self.comparison.gives_probabilities, columns))
        return self.outputs(column).logits(as_probabilities=softmax)

    def differences(self, variant: str) -> FloatArray:
        """Differences to the reference, each row's mean removed, shape (pictures, classes)."""
        columns = self.comparison.reference, variant
        softmax = any(map(self.comparison.gives_probabilities, columns))
        found: FloatArray = parity.difference(
            *(self.outputs(column).scores(as_probabilities=softmax) for column in columns)
        )
        return found

    def probabilities(self, column: str, row: int) -> FloatArray:
        """What a column believes of one picture, shape (answers,)."""
        outputs = self.outputs(column)
        shares = Outputs(outputs.values[row : row + 1], outputs.probabilities).shares()
        return np.asarray(shares[0])

    def first_answers(self, column: str) -> IntArray:
        """The class that a column answers, shape (pictures,), or `metrics.NO_ANSWER`."""
        first: IntArray = metrics_module.top_k(self.outputs(column).answers, 1)[:, 0]
        return first

    def label(self, index: int) -> str:
        """Name of a class."""
        return label_of(self.run.manifest.labels, index)

    def disagreement(self) -> FloatArray:
        """How far the variants moved each picture: the largest rms, plus a step for every flip.

        Returns:
            Shape (pictures,); larger is worse, NaN counts as worst.
        """
        worst = np.zeros(len(self.pictures))
        flips = np.zeros(len(self.pictures))
        for variant in self.comparison.variants:
            worst = np.maximum(worst, np.nan_to_num(variant.picture_rms, nan=np.inf))
            for flip in variant.flips:
                flips[flip.index] += 1
        order: FloatArray = flips * 1e6 + worst
        return order


def answers_of(
    run: Run,
    pictures: tuple[Picture, ...],
    host: host_module.Host,
    *,
    reference: str = ORIGINAL,
    labels: IntArray | None = None,
    latency: Latency | None = None,
) -> Evaluation:
    """Show pictures to the reference and every variant of a run, and compare what they answer.

    Args:
        run: The run.
        pictures: At least one picture.
        host: Gets the worker and its progress.
        reference: One of `Run.columns`.
        labels: Right answers, shape (pictures,), -1 for unknown.
        latency: Timings to show beside.

    Returns:
        Answers and comparison; what was computed before is read from the run.

    Raises:
        UserMistake: A name or picture is wrong.
        WorkerError: The worker process failed.
    """
    columns = tuple(dict.fromkeys((reference, *run.runnable)))
    logits = evaluate(run, pictures, columns, host)
    comparison = compare_run(
        run, pictures, host, reference=reference, labels=labels, latency=latency
    )
    return Evaluation(run, pictures, comparison, logits)


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
            self._job = Job("Making a worker ready", lambda job: _loaded(job, run)).start()


_LATEST = _Latest()


def warm_up(run: Run) -> None:
    """Make the warm worker ready for a run's models, in the background.

    Nothing is started where a worker is kept already, or where a job runs, whose worker will be.
    A failure is not told: the task that needs the worker meets it again.

    Args:
        run: The run whose models will be asked.
    """
    _LATEST.start(run)


def _loaded(job: Job[bool], run: Run) -> bool:
    with job.worker() as worker:
        return worker.run("warm_up", WarmUpRequest(str(run.folder.absolute())), bool, job.report)


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
    pictures: tuple[PictureFile, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class WarmUpRequest:
    """Import what the models of a run need, before somebody waits for it.

    Attributes:
        run: Run folder.
    """

    run: str


def evaluate(
    run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...], host: Host
) -> dict[str, FloatArray]:
    """Logits of columns of a run on pictures; what was computed before is read from the run.

    Args:
        run: The run.
        pictures: At least one picture.
        columns: Some of `Run.columns`.
        host: Gets the worker and its progress.

    Returns:
        For each column an array of shape (pictures, classes), float32, mapped from disk.

    Raises:
        UserMistake: A column or picture is wrong.
        WorkerError: The worker process failed.
    """
    stored = {column: answering(run, pictures, column) for column in columns}
    files = logit_files(run, pictures, tuple(stored.values()))
    if missing_logits(run, files):
        _evaluate(run, pictures, files, host)
    return {column: np.load(files[name], mmap_mode="r") for column, name in stored.items()}


def _evaluate(run: Run, pictures: tuple[Picture, ...], files: dict[str, Path], host: Host) -> None:
    """Compute what is missing, unless another does so already, whose answers then serve."""
    place = next(iter(files.values())).parent
    with in_use(run.folder), reserved(place, host.report) as side:
        empty(side)
        missing = missing_logits(run, files)
        if not missing:
            return
        request = EvaluateRequest(
            run=str(run.folder),
            columns=missing,
            pictures=_picture_files(pictures),
            folder=str(side),
        )
        with _worker_for(run, missing, host) as worker:
            worker.run("evaluate", request, bool, host.report)
        place.mkdir(exist_ok=True)
        write_index(place, [picture.sha256 for picture in pictures])
        for column in missing:
            keep_file(side / f"{column}.npy", files[column])


def _worker_for(run: Run, columns: tuple[str, ...], host: Host) -> AbstractContextManager[Worker]:
    added = {file.artifact.variant for file in run.added}
    return _fresh_worker(host) if added & set(columns) else host.worker()


def evaluated(run: Run, pictures: tuple[Picture, ...], columns: tuple[str, ...]) -> bool:
    """Whether `evaluate` would find everything in the run already."""
    stored = tuple(answering(run, pictures, column) for column in columns)
    return not missing_logits(run, logit_files(run, pictures, stored))


def compare_run(
    run: Run,
    pictures: tuple[Picture, ...],
    host: Host,
    *,
    reference: str = ORIGINAL,
    variants: tuple[str, ...] = (),
    labels: IntArray | None = None,
    latency: Latency | None = None,
) -> Comparison:
    """Compare variants of a run with a reference on pictures.

    Args:
        run: The run.
        pictures: At least one picture.
        host: Gets the worker and its progress.
        reference: One of `Run.columns`.
        variants: Some of `Run.columns`; all TFLite variants when empty.
        labels: Right answers, shape (pictures,), -1 for unknown.
        latency: Timings to show beside.

    Returns:
        The comparison.

    Raises:
        UserMistake: A name or picture is wrong.
        WorkerError: The worker process failed.
    """
    chosen = variants or run.runnable
    columns = tuple(dict.fromkeys((reference, *chosen)))
    logits = evaluate(run, pictures, columns, host)
    manifest = run.manifest
    calibrated = {recipe.name for recipe in manifest.recipes if recipe.calibrated}
    demo = manifest.calibration is not None and manifest.calibration.demo
    return compare_logits(
        run=run.folder.name,
        reference_name=reference,
        logits=logits,
        pictures=tuple(picture.name for picture in pictures),
        labels=labels,
        sizes=run.sizes,
        float32_bytes=manifest.float32_bytes,
        latency=latency,
        random_weights=manifest.model.random,
        demo_calibration=demo and bool(calibrated & set(columns)),
        added={added.artifact.variant for added in run.added},
        notes=_notes(run, pictures, columns),
        known_faults=run.faults,
        missing=missing_sentences(run.missing),
        normalizing=_normalizing(run),
    )


def right_answers(
    run: Run, pictures: tuple[Picture, ...], *, table: Path | None, from_folders: bool
) -> IntArray | None:
    """Labels of pictures, from a table or from their folders.

    Args:
        run: Whose classes they are.
        pictures: The pictures.
        table: CSV file with the columns ``filename,class_index``.
        from_folders: Whether the folder of each picture names its class.

    Returns:
        Class index a picture, -1 for unknown; None where neither was given.

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
        return labels_from_csv(table, names, classes)
    if from_folders:
        return labels_from_folders(names, answer_names(run.manifest.labels), classes)
    return None

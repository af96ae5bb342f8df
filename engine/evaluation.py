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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from engine.core.errors import FileError
from engine.core.types import FloatArray, Progress
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture
from engine.networks.runners.base import Runner
from engine.requests import EvaluateRequest
from engine.runs.results import KnownRows
from engine.runs.run import Run

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

"""Show pictures to a model, in threads.

Pictures are shared among threads, each with a one-thread model of its own. On two cores two
one-thread interpreters answer for 1.9 to 2.0 times as many pictures as one, where an interpreter
with two threads gains 1.0 (int16x8) to 1.7; and a thread that decodes leaves the other core to a
model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from engine.core.types import FloatArray
from engine.images.cache import FittedPictures
from engine.images.pictures import Picture
from engine.networks.runners.base import Runner

_REPORT_SECONDS = 0.1


def _count_nothing(done: int) -> None:
    """Take no note."""


def show_pictures(
    make_runner: Callable[[], Runner],
    pictures: Sequence[tuple[int, Picture]],
    fitted: FittedPictures,
    take: Callable[[int, FloatArray], None],
    workers: int,
    count: Callable[[int], None] = _count_nothing,
) -> None:
    """Let threads take pictures in turns until none is left or one of them fails.

    Args:
        make_runner: Makes a one-thread runner.
        pictures: With their rows.
        fitted: Gives the network inputs.
        take: Receives each row with its logits, shape (classes,), from any thread.
        workers: Threads at most.
        count: Receives the number of finished pictures, at times; may raise to stop.

    Raises:
        PictureError: A picture cannot be decoded.
        EngineError: The model cannot be loaded.
    """
    if not pictures:
        return
    workers, steps = max(1, min(workers, len(pictures))), _Steps(pictures, count)
    with ExitStack() as stack:
        first = stack.enter_context(make_runner())
        runners = [first] * workers
        if not first.concurrent:
            more = (stack.enter_context(make_runner()) for _ in range(workers - 1))
            runners = [first, *more]

        def work(runner: Runner) -> None:
            try:
                for row, picture in steps:
                    take(row, runner.infer(fitted.input_of(picture)[None])[0])
            finally:
                steps.end()

        with ThreadPoolExecutor(workers) as threads:
            for thread in [threads.submit(work, runner) for runner in runners]:
                thread.result()


class _Steps:
    """Pictures handed out one by one to threads, with progress at times."""

    def __init__(
        self, pictures: Sequence[tuple[int, Picture]], count: Callable[[int], None]
    ) -> None:
        self._waiting, self._count, self._done = iter(pictures), count, 0
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
                    self._count(self._done - 1)
            if step is None:
                return
            yield step

    def end(self) -> None:
        """Hand out no more: the pictures are at their end, or a thread failed."""
        with self._lock:
            self._waiting = iter(())

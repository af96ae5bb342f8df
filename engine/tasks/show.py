"""Show pictures to a model, in threads.

Pictures are shared among threads, each with a one-thread model of its own. On two cores two
one-thread interpreters answer for 1.9 to 2.0 times as many pictures as one, where an interpreter
with two threads gains 1.0 (int16x8) to 1.7; and a thread that decodes leaves the other core to a
model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from engine.core.system import share_work
from engine.core.types import FloatArray
from engine.networks.runners.base import Runner

Shown = TypeVar("Shown")
_REPORT_SECONDS = 0.1


def _count_nothing(done: int) -> None:
    """Take no note."""


def show_pictures(
    make_runner: Callable[[], Runner],
    pictures: Sequence[tuple[int, Shown]],
    input_of: Callable[[Shown], FloatArray],
    take: Callable[[int, FloatArray], None],
    workers: int,
    count: Callable[[int], None] = _count_nothing,
) -> None:
    """Let threads take pictures in turns until none is left or one of them fails.

    Args:
        make_runner: Makes a one-thread runner.
        pictures: With their rows.
        input_of: Gives the network input of one, shape (height, width, channels), from any thread.
        take: Receives each row with its logits, shape (classes,), from any thread.
        workers: Threads at most.
        count: Receives the number of finished pictures, at times; may raise to stop.

    Raises:
        PictureError: A picture cannot be decoded.
        EngineError: The model cannot be loaded.
    """
    if not pictures:
        return
    workers = max(1, min(workers, len(pictures)))
    with ExitStack() as stack:
        first = stack.enter_context(make_runner())
        runners = [first] * workers
        if not first.concurrent:
            more = (stack.enter_context(make_runner()) for _ in range(workers - 1))
            runners = [first, *more]

        def work(runner: Runner, step: tuple[int, Shown]) -> None:
            row, picture = step
            take(row, runner.infer(input_of(picture)[None])[0])

        share_work(_count_at_times(pictures, count), runners, work)


def _count_at_times(
    pictures: Sequence[tuple[int, Shown]], count: Callable[[int], None]
) -> Iterator[tuple[int, Shown]]:
    reported = time.monotonic()
    for done, step in enumerate(pictures):
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            count(done)
        yield step

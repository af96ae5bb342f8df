"""The worker process: ``python -m engine.worker``.

It reads requests from standard input, one JSON line each, and answers on standard output with
progress, then a result or an error. Whatever libraries print goes to standard error, which the
parent keeps as a log. When the parent goes away, standard input ends and so does the worker.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import queue
import resource
import shutil
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any, get_type_hints

import msgspec
import psutil

from engine.core.system import let_go_of_memory
from engine.core.types import Progress, Report
from engine.missing_variants import engine_error
from engine.turns import turn
from engine.worker_surroundings import MARK


class TaskMessage(msgspec.Struct, frozen=True):
    """Parent to worker: do this."""

    task: str
    request: msgspec.Raw


class ProgressMessage(msgspec.Struct, frozen=True, tag="progress"):
    """Worker to parent: this far."""

    progress: Progress


class ResultMessage(msgspec.Struct, frozen=True, tag="result"):
    """Worker to parent: done."""

    result: msgspec.Raw


class ErrorMessage(msgspec.Struct, frozen=True, tag="error"):
    """Worker to parent: failed."""

    kind: str
    stage: str
    got: str
    expected: str
    todo: str


Message = ProgressMessage | ResultMessage | ErrorMessage
TASKS = {
    "convert": "engine.pipeline:run_convert",
    "evaluate": "engine.pipeline:run_evaluate",
    "warm_up": "engine.pipeline:run_warm_up",
    "layers": "engine.pipeline:run_layers",
    "sweep": "engine.pipeline:run_sweep",
    "deploy": "engine.pipeline:run_deploy",
    "latency": "engine.pipeline:run_latency",
    "profile": "engine.pipeline:run_profile",
    "time_files": "engine.pipeline:run_file_latency",
    "time_mixed": "engine.pipeline:run_mixed_latency",
    "litert_torch": "engine.pipeline:run_litert_torch",
    "inspect": "engine.pipeline:run_inspect",
    "catalog": "engine.pipeline:run_catalog",
}
"""Module and function of each task; the function's first argument is the request."""
_HEAVY_BYTES = 1 << 30
TIMED = frozenset({"latency", "profile", "time_files", "time_mixed"})
"""Tasks beside which nothing else may run."""


def function_of(task: str) -> Callable[[Any, Report], Any]:
    """Import the function that does a task."""
    module, _, name = TASKS[task].partition(":")
    function: Callable[[Any, Report], Any] = getattr(importlib.import_module(module), name)
    return function


def request_type(work: Callable[[Any, Report], Any]) -> Any:
    """Give the type of the first argument of a task's function."""
    hints = get_type_hints(work)
    return hints[next(iter(inspect.signature(work).parameters))]


def answer(message: TaskMessage, report: Report) -> Message:
    """Do one task; every failure becomes a message.

    Args:
        message: The task.
        report: Receives progress.

    Returns:
        The result or the error.
    """
    try:
        work = function_of(message.task)
        request = msgspec.json.decode(message.request, type=request_type(work))
        with turn(report, alone=message.task in TIMED):
            result = work(request, report)
        return ResultMessage(msgspec.Raw(msgspec.json.encode(result)))
    except Exception as error:
        # A full disk has no room for the log either.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        shown = engine_error(error, f"Working on {message.task}")
        return ErrorMessage(
            type(shown).__name__, shown.stage, shown.got, shown.expected, shown.todo
        )


def main() -> None:
    """Answer requests until standard input ends."""
    # A worker that a file kills shall not fill the disk with what it held.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()

    def send(message: Message) -> None:
        channel.write(msgspec.json.encode(message) + b"\n")

    while True:
        message = msgspec.json.decode(lines.get(), type=TaskMessage)
        done = answer(message, lambda progress: send(ProgressMessage(progress)))
        # The parent looks at the memory as soon as it has the answer; little need not be tidied.
        heavy = psutil.Process().memory_info().rss > _HEAVY_BYTES
        if heavy:
            let_go_of_memory()
        send(done)
        if not heavy:
            let_go_of_memory()


def _read(source: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    for line in source:
        lines.put(line)
    # The parent has gone: nobody waits for the answer, so stop in the middle of it. If it was
    # killed, nobody else removes the folder that it made for this worker.
    if MARK in os.environ:
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()

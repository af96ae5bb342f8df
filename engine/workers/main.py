"""The worker process: ``python -m engine.workers.main``.

It reads requests from standard input, one JSON line each, and answers on standard output with
progress, then a result or an error. Whatever libraries print goes to standard error, which the
parent keeps as a log. When the parent goes away, standard input ends and so does the worker.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import resource
import shutil
import sys
import threading
import traceback
from typing import IO

import msgspec
import psutil

from engine.core.system import freeze_imports, release_memory
from engine.core.types import Report
from engine.workers.protocol import (
    ErrorMessage,
    Message,
    ProgressMessage,
    ResultMessage,
    TaskMessage,
    decode,
    encode,
    engine_error,
    function_of,
    is_alone,
    title_of,
    types_of,
)
from engine.workers.sandbox import MARK
from engine.workers.slots import hold_slot

_HEAVY_BYTES = 1 << 30
_YOUNG_OBJECTS = 50_000


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
        request = decode(message.request, types_of(work)[0])
        alone = is_alone(work)
        if not alone and not message.beside:
            # Threads of torch that wait for the next product would take a core from other work: the
            # optimizer needs half the processor time so. What is timed stays as torch has it.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        with hold_slot(report, alone=alone, beside=message.beside):
            result = work(request, report)
        return ResultMessage(msgspec.Raw(encode(result)))
    except Exception as error:
        # A full disk has no room for the log either.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        shown = engine_error(error, title_of(message.task))
        return ErrorMessage(
            type(shown).__name__,
            shown.stage,
            shown.got,
            shown.expected,
            shown.todo,
            shown.problem,
        )


def main() -> None:
    """Answer requests until standard input ends."""
    # Libraries make millions of objects that stay; cycles are collected after each task at last.
    gc.set_threshold(_YOUNG_OBJECTS)
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
            release_memory()
        send(done)
        if not heavy:
            release_memory()
        freeze_imports()


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

"""Count the functions that a request walks through, and bring the worker into this process."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import unwrap
from pathlib import Path
from types import CodeType, FrameType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from engine.workers import jobs, main, pool, process
from engine.workers.jobs import Job
from engine.workers.protocol import ProgressMessage, TaskMessage

ROOT = Path(__file__).parent.parent.parent
ARITHMETIC = (
    "engine/core/",
    "engine/images/pictures.py",
    "engine/images/preprocess.py",
    "engine/images/labels.py",
    "engine/tflite/",
    "engine/comparison/",
    "engine/networks/",
    "engine/quantization/",
    "engine/conversion/onnx_from_torch.py",
    "engine/conversion/savedmodel_from_onnx.py",
    "engine/conversion/tflite_from_savedmodel.py",
    "engine/reporting/",
)
"""What a step is not: see `Walk`."""


class Walk:
    """The functions on the way of a request.

    Whenever the request arrives at one of its stations, the call stack from there up to the page
    or the command is the way that it took. A step is a function on such a stack that was entered
    from another file of ``engine`` or ``pages``; nested functions belong to the outer one. Each
    counts once. What a step asks on the way and gets an answer from (a digest, a label, a lock)
    is on no such stack, and what only computes is left out: `ARITHMETIC`, which is ``engine/core``,
    decoding and resizing, the models, and the words and drawings of ``engine/reporting``.

    A job does its work where it is started (`do_jobs_at_once`), and a worker answers where it is
    asked (`bring_worker_here`), so that a way is one stack; threads that share pictures begin a
    stack of their own.

    Args:
        stations: Functions that the request has to come by.
    """

    def __init__(self, *stations: Callable[..., Any]) -> None:
        self.visits = {unwrap(station).__code__: 0 for station in stations}
        self._ways: list[tuple[str, ...]] = []
        self._files: dict[CodeType, str | None] = {}
        self._lock = threading.Lock()

    @property
    def steps(self) -> tuple[str, ...]:
        """The functions in the order of the first visit."""
        return tuple(dict.fromkeys(step for way in self._ways for step in way))

    def see(self, frame: FrameType, event: str, _: Any) -> None:
        """Take part as the interpreter's profiler."""
        if event != "call" or self._file(frame) is None:
            return
        if frame.f_code in self.visits:
            with self._lock:
                self.visits[frame.f_code] += 1
                self._ways.append(self._way(frame))

    def _way(self, frame: FrameType | None) -> tuple[str, ...]:
        inside = []
        while frame is not None:
            if (file := self._file(frame)) is not None:
                inside.append((file, frame.f_code.co_qualname.partition(".<locals>")[0]))
            frame = frame.f_back
        inside.reverse()
        return tuple(
            f"{file}:{name}"
            for (file, name), (before, _) in zip(inside, [("", ""), *inside], strict=False)
            if file != before and not file.startswith(ARITHMETIC)
        )

    def _file(self, frame: FrameType) -> str | None:
        code = frame.f_code
        if code not in self._files:
            path = Path(code.co_filename)
            inside = path.is_relative_to(ROOT / "engine") or path.is_relative_to(ROOT / "pages")
            self._files[code] = path.relative_to(ROOT).as_posix() if inside else None
        return self._files[code]


@contextmanager
def follow(walk: Walk) -> Iterator[None]:
    """See every call of this and of new threads while the context lasts."""
    threading.setprofile(walk.see)
    sys.setprofile(walk.see)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


class _Process:
    """A worker in the thread of its parent: it answers as soon as a line is written."""

    def __init__(self, *_: object, **__: object) -> None:
        self.stdin, self.stdout, self.pid = self, io.BytesIO(), 0

    def write(self, line: bytes) -> None:
        answers: list[Any] = []
        message = msgspec.json.decode(line, type=TaskMessage)
        answers.append(main.answer(message, lambda p: answers.append(ProgressMessage(p))))
        self.stdout = io.BytesIO(b"".join(msgspec.json.encode(each) + b"\n" for each in answers))

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def poll(self) -> None: ...

    def wait(self) -> int:
        return 0


class _Idle:
    """In place of the watch over a process."""

    breach = None

    def __init__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., tuple[()]]:
        return lambda *_: ()


def bring_worker_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers answer in the process of their parent, by the same messages."""
    monkeypatch.setattr(process, "subprocess", SimpleNamespace(Popen=_Process, PIPE=None))
    monkeypatch.setattr(process, "Family", _Idle)
    monkeypatch.setattr(process, "Watch", _Idle)
    monkeypatch.setattr(process, "memory_of", lambda *_: 0)
    monkeypatch.setattr(pool, "WARM_WORKER", pool.WarmWorker(process.Worker))


def do_jobs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a job do its work where it is started, so that its way is one stack."""

    class Now(Job[Any]):
        def start(self) -> Job[Any]:
            self._thread = threading.Thread(target=lambda: None)
            self._thread.start()
            self._main()
            return self

    monkeypatch.setattr(jobs, "Job", Now)
    monkeypatch.setattr("pages.state.jobs.Job", Now)

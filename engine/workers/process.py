"""A worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from engine.core.errors import EngineError, JobCancelled, WorkerDied, WorkerKilled, error_named
from engine.core.limits import LIMITS
from engine.core.system import demand_packages
from engine.core.types import LoweringName, OnProgress, Progress, Report
from engine.workers import sandbox
from engine.workers.protocol import (
    ErrorMessage,
    Message,
    ProgressMessage,
    Result,
    ResultMessage,
    TaskMessage,
    decode,
    encode,
    task_of,
    title_of,
    types_of,
)
from engine.workers.sandbox import variables
from engine.workers.watchdog import ProcessTree, Watchdog, memory_of

Request = TypeVar("Request")
WORKER_COMMAND = (sys.executable, "-P", "-m", "engine.workers.main")
"""``-P``: nothing is imported from the folder that the worker works in."""
_LOG_TAIL_BYTES = 2000
_LONGEST_ANSWER = 1 << 28
_MOST_WORDS = 300


class Worker:
    """One worker process: a folder, a process group and few variables of its own, and limits.

    Use it as a context manager, or call `close`.

    Args:
        silent_seconds: How long it may work without a sign of progress.
        network: Whether it may reach the network, where workers are enclosed at all: weights that a
            person asked for come from there.
        beside: Whether it does a small part of what holds a slot already; see
            `engine.workers.slots.hold_slot`.
        graphics: Whether it may reach this machine's GPUs, where workers are enclosed.

    Raises:
        PackageError: A package that a task may import is not installed.

    Attributes:
        tasks: How many tasks it was given.
        busy: Whether a task that it was given has not been answered.
    """

    def __init__(
        self,
        silent_seconds: float = LIMITS.worker_silent_seconds,
        *,
        network: bool = False,
        beside: bool = False,
        graphics: bool = False,
    ) -> None:
        demand_packages()
        self._log = tempfile.NamedTemporaryFile(  # noqa: SIM115 - lives as long as the worker
            prefix="qlab-worker-", suffix=".log"
        )
        self._cancelled, self._beside = False, beside
        self._log_start = 0
        self.tasks = 0
        self.busy = False
        self._folder = tempfile.TemporaryDirectory(
            prefix="qlab-worker-", ignore_cleanup_errors=True
        )
        mark = secrets.token_hex(16)
        self._process = subprocess.Popen(
            sandbox.command_for(
                WORKER_COMMAND, Path(self._folder.name), network=network, graphics=graphics
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=variables(mark, Path(self._folder.name)),
            cwd=self._folder.name,
            start_new_session=True,
        )
        self._family = ProcessTree(self._process, mark)
        self._watch = Watchdog(self._family, self._process, Path(self._log.name), silent_seconds)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process can take a task."""
        return not self._cancelled and self._process.poll() is None

    def run(
        self,
        work: Callable[[Request, Report], Result],
        request: Request,
        on_progress: OnProgress = lambda _: None,
    ) -> Result:
        """Do one task and wait for its result.

        Args:
            work: A function ``run_...`` of `engine.workers.protocol.ACCEPTED`; its annotations say
                how request and result travel.
            request: Its request record.
            on_progress: Called for every step, in this thread.

        Returns:
            The result.

        Raises:
            EngineError: As the task raised it.
            WorkerDied: The process ended without an answer.
            JobCancelled: `cancel` was called meanwhile.
        """
        task = task_of(work)
        message = TaskMessage(task, msgspec.Raw(encode(request)), self._beside)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._log_start = Path(self._log.name).stat().st_size
        self.tasks += 1
        self.busy = True
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            self._process.stdin.flush()
        self._watch.begin()
        while line := self._process.stdout.readline(_LONGEST_ANSWER):
            try:
                answer = msgspec.json.decode(line, type=Message)
            except msgspec.DecodeError:
                self._family.end()
                break
            if isinstance(answer, ProgressMessage):
                self._watch.hear(answer.progress)
                on_progress(answer.progress)
                continue
            self.busy = False
            self._watch.rest()
            if isinstance(answer, ResultMessage):
                result: Result = decode(answer.result, types_of(work)[1])
                return result
            raise _error_from(answer)
        raise self._death(title_of(task))

    def cancel(self) -> None:
        """End the process at once; `run` then raises `JobCancelled`."""
        self._cancelled = True
        self._family.end()

    def close(self) -> None:
        """End the process and all it started; remove its folder and its log."""
        self._watch.stop()
        self._family.end()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._log.close()
        self._folder.cleanup()

    def log(self) -> bytes:
        """Return what the process and its libraries printed since the last task began."""
        with Path(self._log.name).open("rb") as file:
            file.seek(self._log_start)
            return file.read(LIMITS.worker_log_bytes)

    def resident_bytes(self) -> int:
        """Memory that the process holds, with all it started; 0 once it has ended."""
        return memory_of(self._family.members(), sys.maxsize)

    def _death(self, stage: str) -> EngineError:
        code = sandbox.exit_code(self._process.wait())
        if self._cancelled:
            return JobCancelled(
                stage,
                got="a cancel",
                expected="an end of the work",
                todo="Nothing was kept; start it again when you like.",
            )
        breach = self._watch.breach
        if breach is not None:
            return WorkerDied(stage, got=breach.got, expected=breach.expected, todo=_GOES_ON)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = self.log()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
        last = f"; its last words: {tail[-1][:_MOST_WORDS]}" if tail else ""
        killed = code == -signal.SIGKILL
        memory = " Out of memory is the usual cause of SIGKILL." if killed else ""
        return (WorkerKilled if killed else WorkerDied)(
            stage,
            got=f"the end of the worker process by {how}{last}",
            expected="an answer",
            todo=_GOES_ON + memory,
        )


_GOES_ON = (
    "The worker was ended with all it started; the dashboard goes on. Try again, or choose "
    "something smaller."
)


def _error_from(message: ErrorMessage) -> EngineError:
    kind = error_named(message.kind)
    return kind(
        message.stage,
        got=message.got,
        expected=message.expected,
        todo=message.todo,
        problem=message.problem,
    )


class Host(Protocol):
    """Who waits for the work: a terminal, a notebook, or a job of the dashboard."""

    def adopt(self, worker: Worker) -> Worker:
        """Take note of the worker, so that it can be cancelled."""

    def worker(self, lowering: LoweringName | None = None) -> AbstractContextManager[Worker]:
        """Give a worker for tasks on files of our own making; the pooled one where there is one."""

    def report(self, progress: Progress) -> None:
        """Take note of progress."""


class Foreground:
    """A host that simply waits.

    Args:
        on_progress: Called for every step.
    """

    def __init__(self, on_progress: OnProgress = lambda _: None) -> None:
        self._on_progress = on_progress

    def adopt(self, worker: Worker) -> Worker:
        """Return the worker as it is."""
        return worker

    def worker(self, lowering: LoweringName | None = None) -> AbstractContextManager[Worker]:
        """Start a worker: a terminal does one task."""
        return Worker(network=True)

    def report(self, progress: Progress) -> None:
        """Pass it on."""
        self._on_progress(progress)


class _OneWorker:
    """A host whose tasks have one worker, which the first of them borrows."""

    def __init__(self, host: Host, stack: ExitStack) -> None:
        self._host, self._stack = host, stack
        self._worker: Worker | None = None

    def adopt(self, worker: Worker) -> Worker:
        return self._host.adopt(worker)

    @contextmanager
    def worker(self, lowering: LoweringName | None = None) -> Iterator[Worker]:
        if self._worker is None:
            self._worker = self._stack.enter_context(self._host.worker(lowering))
        yield self._worker

    def report(self, progress: Progress) -> None:
        self._host.report(progress)


@contextmanager
def share_worker(host: Host) -> Iterator[Host]:
    """Let several tasks of a host have one worker: a terminal would start one for each."""
    with ExitStack() as stack:
        yield _OneWorker(host, stack)


@contextmanager
def _fresh_worker(host: Host) -> Iterator[Worker]:
    """Start a worker for external files: what they do to it must not reach other work."""
    with Worker(LIMITS.foreign_silent_seconds) as worker:
        yield host.adopt(worker)

"""Messages between a worker process and its parent."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from engine.core.errors import EngineError, StorageError
from engine.core.files import refusal, storage_error
from engine.core.system import PACKAGES, package_error
from engine.core.types import Progress, Report

Result = TypeVar("Result")
Work = TypeVar("Work", bound=Callable[..., Any])


def engine_error(error: Exception, task: str) -> EngineError:
    """Give any failure as an error that can be shown to a person.

    Args:
        error: What was raised, by whichever library.
        task: What was being done.
    """
    words = refusal(error)
    if words is not None and not isinstance(error, StorageError):
        return storage_error(task, words)
    if isinstance(error, ModuleNotFoundError) and error.name:
        # A package that another one needs.
        module = error.name.partition(".")[0]
        return package_error(PACKAGES.get(module, module))
    if isinstance(error, EngineError):
        return error
    first = (str(error).strip().splitlines() or [""])[0]
    return EngineError(
        task,
        got=f"an internal fault ({type(error).__name__}: {first[:300]})",
        expected="no fault",
        todo="This is a defect of Quantization Lab; please report it with the log.",
    )


class TaskMessage(msgspec.Struct, frozen=True):
    """Parent to worker: do this."""

    task: str
    request: msgspec.Raw
    beside: bool = False


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
    problem: str = ""


Message = ProgressMessage | ResultMessage | ErrorMessage
ACCEPTED = ("engine.tasks.", "engine.deployment.")
"""Where the functions are that a worker does: it imports what it is sent."""
_PREFIX = "run_"
_ALONE = "runs_alone"


def alone(work: Work) -> Work:
    """Mark a task that takes timings: nothing else may run beside it."""
    setattr(work, _ALONE, True)
    return work


def is_alone(work: Callable[..., Any]) -> bool:
    """Return whether nothing else may run beside a task."""
    return bool(getattr(work, _ALONE, False))


def task_of(work: Callable[..., Any]) -> str:
    """Return the name under which a task travels, as ``module:function``."""
    return f"{work.__module__}:{work.__qualname__}"


def title_of(task: str) -> str:
    """Return what a person reads of a task."""
    return f"Working on {task.rpartition(':')[2].removeprefix(_PREFIX).replace('_', ' ')}"


def function_of(task: str) -> Callable[[Any, Report], Any]:
    """Import the function that does a task.

    Raises:
        EngineError: The name is none of a task.
    """
    module, _, name = task.partition(":")
    if not (module.startswith(ACCEPTED) and name.startswith(_PREFIX)):
        raise EngineError(
            "Taking a task",
            got=f"'{task[:100]}'",
            expected=f"a function {_PREFIX}... of {' or '.join(ACCEPTED)}",
            todo="This is a defect of Quantization Lab; please report it.",
        )
    function: Callable[[Any, Report], Any] = getattr(importlib.import_module(module), name)
    return function


def types_of(work: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the types of a task's request and of its result, as its annotations say."""
    hints = get_type_hints(work)
    return hints[next(iter(inspect.signature(work).parameters))], hints["return"]


def encode(value: Any) -> bytes:
    """Write a record as JSON; a path is made absolute, since workers have folders of their own."""
    return msgspec.json.encode(value, enc_hook=_plain)


def decode(content: bytes | msgspec.Raw, kind: Any) -> Any:
    """Read a record that `encode` wrote.

    Raises:
        msgspec.DecodeError: It is none of that type.
    """
    return msgspec.json.decode(content, type=kind, dec_hook=_type)


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value.absolute())
    raise NotImplementedError(f"a {type(value).__name__} does not travel")


def _type(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"a {kind.__name__} does not travel")

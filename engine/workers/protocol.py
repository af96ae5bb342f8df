"""Messages between a worker process and its parent."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from engine.core.errors import (
    EngineError,
    StorageError,
)
from engine.core.files import refusal, storage_error
from engine.core.packages import PACKAGES, package_error
from engine.core.types import Progress

Result = TypeVar("Result")


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

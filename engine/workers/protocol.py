"""Messages between a worker process and its parent."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import msgspec

from engine.core.errors import (
    EngineError,
    StorageError,
)
from engine.core.files import refusal, storage_error
from engine.core.system import PACKAGES, package_error
from engine.core.types import Progress, Report

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
TASKS = {
    "convert": "engine.tasks.convert:run_convert",
    "evaluate": "engine.tasks.evaluate:run_evaluate",
    "warm_up": "engine.tasks.evaluate:run_warm_up",
    "layers": "engine.tasks.layers:run_layers",
    "sweep": "engine.tasks.sweep.cells:run_sweep",
    "deploy": "engine.deployment.kit:run_deploy",
    "latency": "engine.tasks.latency:run_latency",
    "profile": "engine.tasks.latency:run_profile",
    "time_files": "engine.tasks.latency:run_file_latency",
    "time_mixed": "engine.tasks.latency:run_mixed_latency",
    "litert_torch": "engine.tasks.litert_torch:run_litert_torch",
    "inspect": "engine.tasks.add_file:run_inspect",
    "catalog": "engine.tasks.catalog:run_catalog",
}
"""Module and function of each task; the function's first argument is the request."""
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

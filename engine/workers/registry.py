"""Module and function of each task of a worker process."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from engine.core.types import Report

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

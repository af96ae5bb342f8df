"""What every task of a worker has in common."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from typing import Any

import pytest

import engine.deployment
import engine.tasks
from engine.core.errors import EngineError
from engine.images.pictures import Picture
from engine.workers.protocol import decode, encode, function_of, task_of, types_of
from tests.helpers.tasks import TASKS


def test_the_table_holds_every_task() -> None:
    names = [
        module.name
        for package in (engine.tasks, engine.deployment)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    tasks = {
        value
        for name in names
        for key, value in vars(import_module(name)).items()
        if key.startswith("run_") and isfunction(value) and value.__module__ == name
    }
    # A kit's own script is no part of the engine.
    assert {task for task in tasks if "kit_files" not in task.__module__} == set(TASKS)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_a_task_is_known_by_its_function(task: Callable[..., Any]) -> None:
    assert function_of(task_of(task)) is task
    request, result = types_of(task)
    assert is_dataclass(request)
    assert result is not object


@pytest.mark.parametrize(
    "name",
    [
        "os:getcwd",
        "engine.workers.main:main",
        "engine.tasks.convert:convert_request",
        "engine.tasks_of_mine:run_latency",
        "",
    ],
)
def test_what_is_no_task_is_not_imported(name: str) -> None:
    with pytest.raises(EngineError, match="Taking a task"):
        function_of(name)


@dataclass(frozen=True)
class Shown:
    pictures: tuple[Picture, ...]


def test_a_picture_travels_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    content = encode(Shown((Picture("a.png", Path("a.png"), "1" * 64),)))
    expected = Shown((Picture("a.png", tmp_path / "a.png", "1" * 64),))
    assert decode(content, Shown) == expected

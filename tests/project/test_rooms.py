"""Rooms in their order: none imports a room above it or beside it."""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter

import grimp
import pytest

ENGINE = (
    ("core",),
    ("images", "tflite", "workers"),
    ("comparison", "networks", "portability"),
    ("quantization",),
    ("runs",),
    ("conversion",),
    ("tasks",),
    ("deployment", "reporting"),
    ("api",),
    ("cli",),
)
PAGES = (
    ("access",),
    ("state",),
    ("shell", "inputs"),
    ("views",),
    ("dashboard",),
)


@cache
def imports() -> grimp.ImportGraph:
    # Imports for types and in functions are among them.
    return grimp.build_graph("engine", "pages", cache_dir=None)


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize(("package", "order"), [("engine", ENGINE), ("pages", PAGES)])
def test_a_room_imports_rooms_below_it_alone(
    package: str, order: tuple[tuple[str, ...], ...]
) -> None:
    floor = {f"{package}.{room}": number for number, rooms in enumerate(order) for room in rooms}
    upward = [
        (importer, module)
        for importer in imports().modules
        for module in imports().find_modules_directly_imported_by(importer)
        if (here := room_of(importer)) != (there := room_of(module))
        and here in floor
        and there in floor
        and floor[there] >= floor[here]
    ]
    assert upward == []


def test_every_module_of_the_engine_stands_in_a_room() -> None:
    flat = {"engine.__main__", "engine.api"}
    ranked = {f"engine.{room}" for rooms in ENGINE for room in rooms}
    unranked = {room_of(module) for module in imports().modules if module.startswith("engine.")}
    assert unranked - ranked - flat == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    # Raises CycleError with the circle.
    TopologicalSorter(
        {
            module: imports().find_modules_directly_imported_by(module)
            for module in imports().modules
        }
    ).prepare()

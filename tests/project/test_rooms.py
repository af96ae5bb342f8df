"""Rooms in their order: none imports a room above it or beside it."""

from __future__ import annotations

from functools import cache

import grimp
import pytest

ENGINE: tuple[tuple[str, ...], ...] = (
    ("core",),
    (
        "images",
        "tflite",
        "workers",
    ),
    (
        "comparison",
        "networks",
    ),
    ("quantization",),
    ("runs",),
    ("conversion",),
    ("tasks",),
    (
        "deployment",
        "reporting",
    ),
    ("api",),
    ("cli",),
)
PAGES: tuple[tuple[str, ...], ...] = (
    ("access",),
    ("state",),
    (
        "shell",
        "inputs",
    ),
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

from __future__ import annotations

import gc
import sys
import weakref
from types import ModuleType

import pytest

from engine.core import system


def is_looked_at(module: ModuleType) -> bool:
    """Check whether a garbage collection would come by what a module defines."""
    return any(each is vars(module) for each in gc.get_objects())


@pytest.fixture
def module() -> ModuleType:
    system.freeze_imports()
    module = ModuleType("imported_now")
    module.mutable = []  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(("count", "frozen"), [(60, True), (10, False)])
def test_many_new_modules_are_left_out_of_collections(
    module: ModuleType, count: int, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Few may have come before that were not worth a collection.
    monkeypatch.setattr(system, "_frozen_modules", len(sys.modules))
    for number in range(count):
        monkeypatch.setitem(sys.modules, f"imported_now.part_{number}", module)
    system.freeze_imports()
    assert is_looked_at(module) is not frozen


def test_garbage_is_freed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_frozen_modules", 0)

    class Node:
        def __init__(self) -> None:
            self.itself = self

    garbage = weakref.ref(Node())
    assert garbage() is not None
    system.freeze_imports()
    assert garbage() is None

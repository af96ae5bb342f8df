"""All targets: every module of this room that has ``TARGETS``."""

from __future__ import annotations

import pkgutil
import shutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from engine import portability
from engine.core.errors import OptionError
from engine.core.system import package_version
from engine.portability.records import Target


def targets() -> tuple[Target, ...]:
    """List all targets as this machine can ask them, in the order of their modules."""
    return tuple(
        target.instead if target.instead is not None and has_tool(target.instead) else target
        for target in _listed()
    )


@cache
def _listed() -> tuple[Target, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(portability.__path__))
    modules = (import_module(f"{portability.__name__}.{name}") for name in names)
    return tuple(target for module in modules for target in getattr(module, "TARGETS", ()))


def target_named(name: str) -> Target:
    """Find a target.

    Raises:
        OptionError: There is none of that name.
    """
    for target in targets():
        if target.name == name:
            return target
    raise OptionError(
        "Choosing the targets",
        got=f"'{name}'",
        expected="one of " + ", ".join(target.name for target in targets()),
        todo="Name one of these.",
    )


def choose_targets(names: Iterable[str]) -> tuple[Target, ...]:
    """Take names of targets, all where there are none, in the order of `targets`.

    Raises:
        OptionError: There is none of one of these names.
    """
    chosen = {target_named(name).name for name in names}
    return tuple(target for target in targets() if not chosen or target.name in chosen)


def has_tool(target: Target) -> bool:
    """Whether what the target asks is installed."""
    if target.program and shutil.which(target.program) is None:
        return False
    return target.package is None or find_spec(target.module) is not None


def tool_version(target: Target) -> str:
    """Tell what the target asks from other versions of it; empty for rules."""
    parts = [] if target.package is None else [package_version(target.package)]
    if target.program and (program := shutil.which(target.program)) is not None:
        status = Path(program).stat()
        parts.append(f"{status.st_size} {status.st_mtime_ns}")
    if target.state is not None:
        parts.append(target.state())
    return " ".join(parts)

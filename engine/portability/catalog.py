"""All targets: every module of this room that has ``TARGETS``."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from engine import portability
from engine.core.errors import OptionError
from engine.core.system import package_version
from engine.portability.records import Target


@cache
def targets() -> tuple[Target, ...]:
    """List all targets, in the order of the names of their modules."""
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
    return target.package is None or find_spec(target.module) is not None


def tool_version(target: Target) -> str:
    """Return the version of what the target asks; empty for rules."""
    return "" if target.package is None else package_version(target.package)

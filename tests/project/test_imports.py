"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
HEAVY = {"torch", "torchvision", "timm", "tensorflow", "onnx", "onnx_tf"}
RUNTIMES = HEAVY | {
    "onnxruntime",
    "ai_edge_litert",
    "efficientnet_lite_pytorch",
    "huggingface_hub",
}


def imported(source: str, *, inside_functions: bool = True) -> Iterator[str]:
    """Modules that a source imports; those for types alone do not count."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif passed_over(node, inside_functions):
            continue
        waiting.extend(ast.iter_child_nodes(node))


@cache
def imported_by(path: Path, inside_functions: bool) -> frozenset[str]:
    """Modules that a file imports, which is read once for all rules."""
    return frozenset(imported(path.read_text(), inside_functions=inside_functions))


def passed_over(node: ast.AST, inside_functions: bool) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef) and not inside_functions


def offences(modules: Iterable[str], forbidden: set[str]) -> set[str]:
    return {
        name
        for name in modules
        for wanted in forbidden
        if name == wanted or name.startswith(wanted + ".")
    }


def files(*patterns: str) -> list[Path]:
    found = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    assert found, f"{patterns} match nothing"
    return found


RULES = {
    "engine never imports Streamlit": (("engine/**/*.py",), {"streamlit"}, True),
    "pages never import converters' libraries": (("pages/**/*.py", "app.py"), RUNTIMES, True),
    "heavy libraries are imported in functions": (("engine/**/*.py",), RUNTIMES, False),
    "comparison measures arrays, without runtimes": (("engine/comparison/*.py",), RUNTIMES, True),
    "reports and plots are made without runtimes": (
        ("engine/reporting/**/*.py",),
        RUNTIMES,
        True,
    ),
    "kits are made without converters' libraries": (("engine/deployment/**/*.py",), HEAVY, True),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    patterns, forbidden, inside = RULES[rule]
    found = {
        str(path.relative_to(ROOT)): names
        for path in files(*patterns)
        if (names := offences(imported_by(path, inside), forbidden))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("import torch", True),
        ("from torch.nn import Linear", True),
        ("def f():\n    import torch", False),
        ("class A:\n    import torch", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", False),
        ("import torchmetrics", False),
    ],
)
def test_the_rules_can_fail(source: str, caught: bool) -> None:
    assert bool(offences(imported(source, inside_functions=False), {"torch"})) is caught
    assert offences(imported("def f():\n    import torch"), {"torch"}) == {"torch"}


@pytest.mark.parametrize("path", files("pages/dashboard/*.py", "app.py"), ids=lambda p: p.name)
def test_pages_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60


def test_a_function_of_the_front_door_loads_no_task_before_it_is_called() -> None:
    look = "import engine, sys; engine.convert; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=ROOT)
    loaded = done.stdout.split()
    assert "engine.api" in loaded, done.stderr
    rooms = ("engine.tasks", "engine.comparison", "engine.portability", "engine.reporting")
    assert [name for name in loaded if name.startswith(rooms)] == []

"""Plotly fails on a half-imported pandas; the package of plots waits for a whole one."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW_PANDAS = """
import importlib.abc, sys, threading, time

begun = threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "pandas.core.api":
            begun.set()
            time.sleep(1)
        return None

sys.meta_path.insert(0, Slow())
other = threading.Thread(target=__import__, args=("pandas",))
other.start()
assert begun.wait(60)
"""
WITHOUT = "import plotly.graph_objects as go; go.Figure(go.Bar(x=[1], y=[2]))"
WITH = "import engine.reporting.plots; " + WITHOUT


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SLOW_PANDAS + code], capture_output=True, text=True, check=False
    )
    return done.stderr


@pytest.mark.slow
def test_a_figure_while_another_thread_imports_pandas() -> None:
    assert run(WITH) == ""


@pytest.mark.slow
def test_the_attack_works_on_plotly_alone() -> None:
    assert "has no attribute" in run(WITHOUT)

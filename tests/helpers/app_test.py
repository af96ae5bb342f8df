"""Streamlit's own test runner, with the patience that a slow or loaded machine needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parent.parent.parent
SECONDS = 120
# Streamlit scans the metadata of all installed packages for each AppTest, for half a second.
manifest_scanner.scan_component_manifests = cache(  # type: ignore[assignment]
    manifest_scanner.scan_component_manifests
)


def dashboard_test() -> AppTest:
    """The dashboard, not run yet."""
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)


def script_test(script: Callable[[], None]) -> AppTest:
    """A function as a page, not run yet."""
    return AppTest.from_function(script, default_timeout=SECONDS)

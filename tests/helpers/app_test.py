"""Streamlit's own test runner, with the patience that a slow or loaded machine needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, app_test, local_script_runner
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

ROOT = Path(__file__).parent.parent.parent
SECONDS = 120
# Streamlit scans the metadata of all installed packages for components of a kind that no page has.
manifest_scanner.scan_component_manifests = list  # type: ignore[assignment]
# A server compiles a page once; an AppTest would for each of its runs, for a quarter of their time.
SCRIPTS = ScriptCache()
app_test.ScriptCache = local_script_runner.ScriptCache = lambda: SCRIPTS  # type: ignore


def _wait_until_stopped(runner: LocalScriptRunner, timeout: float) -> None:
    """Wait for the end of a run; Streamlit's own way asks for it a thousand times a second."""
    thread = runner._script_thread
    assert thread is not None
    thread.join(timeout)
    if thread.is_alive():
        runner.request_stop()
        runner.join()
        raise RuntimeError(f"AppTest script run timed out after {timeout}(s)")


local_script_runner.require_widgets_deltas = _wait_until_stopped


def dashboard_test() -> AppTest:
    """The dashboard, not run yet."""
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=SECONDS)


def script_test(script: Callable[[], None]) -> AppTest:
    """A function as a page, not run yet."""
    return AppTest.from_function(script, default_timeout=SECONDS)

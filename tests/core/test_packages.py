"""A package that is not installed is named before any work starts."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import msgspec
import pytest

from engine.cli.main import main
from engine.core import system as packages
from engine.core.errors import PackageError
from engine.core.system import PACKAGES
from engine.tasks import catalog as pipeline
from engine.tasks.catalog import CatalogRequest
from engine.workers import sandbox
from engine.workers.jobs import Job
from engine.workers.main import answer
from engine.workers.pool import WarmWorker
from engine.workers.protocol import ErrorMessage, TaskMessage
from tests.helpers.app_test import dashboard_test
from tests.project.test_imports import files, imported

ROOT = Path(__file__).parent.parent.parent
ELSEWHERE = {"distributed", "litert_quantizer", "litert_torch", "tflite_micro"}
"""Extras with a message of their own, and what a route runs in an environment of its own."""
TARGET_TOOLS = {"tflite-micro", "ethos-u-vela"}
"""Wheels for some machines alone: without one a target says how to get it."""
OF_OTHERS = {"google", "markupsafe", "torchvision", "yaml", "pyarrow"}
"""Imported by name, or by a package that is listed itself."""
INTERFACE = {"streamlit", "authlib", "segno"}
HIDE = """
import sys
from importlib.abc import MetaPathFinder


class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{module}":
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
        return None


sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Empty the cache of `demand_packages`, which holds that all packages are installed."""
    packages.demand_packages.cache_clear()


def test_every_package_that_the_engine_imports_is_looked_for() -> None:
    names = {
        name.partition(".")[0]
        for file in files("engine/**/*.py")
        for name in imported(file.read_text())
    }
    third = names - sys.stdlib_module_names - {"engine", ""}
    assert third - ELSEWHERE - OF_OTHERS == set(PACKAGES) - OF_OTHERS


def test_the_names_are_those_of_the_requirements() -> None:
    text = (ROOT / "requirements.txt").read_text()
    pinned = {name.lower() for name in re.findall(r"^([\w-]+)==", text, re.MULTILINE)}
    assert pinned - INTERFACE - TARGET_TOOLS == set(PACKAGES.values())


@pytest.mark.usefixtures("fresh_workers")
@pytest.mark.parametrize("module", sorted(PACKAGES))
def test_each_package_taken_away_is_named_before_a_worker_starts(
    module: str,
    tmp_path: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = packages.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == module else real(name)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr(packages, "find_spec", without)
    monkeypatch.setattr(sandbox, "command_for", never)
    out = tmp_path / "run"
    assert main(["convert", "--calibration", str(photos), "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert f"a Python environment without {PACKAGES[module]};" in told
    assert "python -m pip install -r requirements.txt" in told
    assert not out.exists()


@pytest.mark.parametrize("module", sorted(PACKAGES))
def test_a_real_command_ends_with_a_sentence(module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(module=module))
    command = [sys.executable, "-m", "engine", "convert", "--out", str(tmp_path / "run")]
    ended = subprocess.run(
        command,
        env={"PYTHONPATH": str(tmp_path), "QLAB_HOME": str(tmp_path / "store"), "PATH": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert f"without {PACKAGES[module]};" in line
    assert not (tmp_path / "run").exists()


def test_a_job_of_the_dashboard_ends_with_the_sentence(
    own_warm_worker: WarmWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "torch" else real(name))

    def work(job: Job[None]) -> None:
        with job.worker():
            raise AssertionError("a worker was started")

    job = Job("Converting", work).start()
    assert job.wait(60)
    assert isinstance(job.error, PackageError)
    assert job.error.got == "a Python environment without torch"


@pytest.mark.parametrize("module", ["msgspec", "onnx_tf"])
def test_the_dashboard_opens_with_the_sentence(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == module else real(name))
    app = dashboard_test().run()
    (error,) = app.error
    assert f"without {PACKAGES[module]}; expected" in error.value
    assert "python -m pip install -r requirements.txt" in error.value
    assert not app.exception


def test_a_package_that_another_one_needs_is_named_by_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def needs_more(request: CatalogRequest, report: object) -> None:
        raise ModuleNotFoundError("No module named 'ml_dtypes._core'", name="ml_dtypes._core")

    monkeypatch.setattr(pipeline, "run_catalog", needs_more)
    message = answer(
        TaskMessage("engine.tasks.catalog:run_catalog", msgspec.Raw(b"{}")), lambda _: None
    )
    assert isinstance(message, ErrorMessage)
    assert message.kind == "PackageError"
    assert message.got == "a Python environment without ml_dtypes"

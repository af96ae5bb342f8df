"""The lock holds what requirements.txt pins, with a hash each; what is installed fits together."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s#]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    found = _PIN.findall((ROOT / file).read_text())
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_pin_is_locked_at_its_version() -> None:
    locked = pins("requirements.lock")
    for name, version in (pins("requirements.txt") | pins("requirements-no-deps.txt")).items():
        assert locked[name].partition("+")[0] == version, f"{name}: run make lock"


def test_every_package_has_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\n", text)) == len(pins("requirements.lock"))


@pytest.mark.slow
def test_the_packages_fit_together_but_for_the_one_that_no_python_after_3_11_has() -> None:
    asked = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    absent = "onnx-tf 1.10.0 requires tensorflow-addons, which is not installed."
    # Not find_spec: other tests put a stand-in of that name among the modules.
    there = any(installed.name == "tensorflow-addons" for installed in distributions())
    assert told.stdout.splitlines() == (["No broken requirements found."] if there else [absent])


def test_plain_pip_installs_all_on_the_oldest_python_and_all_but_one_on_later_ones() -> None:
    (line,) = re.findall(
        r"^onnx-tf==.*$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE
    )
    (other,) = re.findall(
        r"^onnx-tf==.*$", (ROOT / "requirements-no-deps.txt").read_text(), flags=re.MULTILINE
    )
    for version, plain in (("3.11", True), ("3.12", False), ("3.13", False)):
        markers = [Requirement(text).marker for text in (line, other)]
        chosen = [marker and marker.evaluate({"python_version": version}) for marker in markers]
        assert chosen == [plain, not plain]
    assert Requirement(line).specifier == Requirement(other).specifier
    locked = pins("requirements.lock")
    assert {"onnx-tf", "tensorflow-addons", "typeguard"} <= set(locked)

"""The lock holds what requirements.txt pins, with a hash each; what is installed fits together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
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


def test_the_packages_fit_together_but_for_the_one_that_no_python_after_3_11_has() -> None:
    asked = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines() == [
        "onnx-tf 1.10.0 requires tensorflow-addons, which is not installed."
    ]

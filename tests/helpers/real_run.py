"""One real conversion, made once for all the tests that need it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from tempfile import gettempdir, mkdtemp

import engine
from engine.core.store import HOME_VARIABLE
from engine.runs.run import Run

CALIBRATION_COUNT = 16


@cache
def real_store() -> Path:
    """A store that lives as long as the test run; processes of one run share it."""
    shared = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if shared is None:
        return Path(mkdtemp(prefix="qlab-tests-"))
    folder = Path(gettempdir()) / f"qlab-tests-{shared}"
    folder.mkdir(exist_ok=True)
    return folder


@cache
def real_run() -> Run:
    """EfficientNet-Lite0 with all variants, in `real_store`, calibrated on few crops.

    Other tests read it at the same time: one that writes into a run does so in a copy.
    """
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(real_store())
    try:
        return engine.convert(calibration_count=CALIBRATION_COUNT)
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before

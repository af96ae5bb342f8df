"""One real conversion and the catalogue, made once for all the tests that need them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import gettempdir, mkdtemp

import engine
from engine.core.store import HOME_VARIABLE, SAMPLE_IMAGES
from engine.runs.run import Run
from engine.tasks.catalog import models
from engine.workers.process import Foreground

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

    Its answers on the sample images are kept in it. Other tests read it at the same time: one
    that writes into a run does so in a copy.
    """
    with at_home(real_store()):
        run = engine.convert(calibration_count=CALIBRATION_COUNT)
        engine.compare(run, SAMPLE_IMAGES)
        return run


def keep_catalog(home: Path) -> None:
    """Put the real catalogue into a store, so that no page waits for a worker that reads it.

    Args:
        home: The store.
    """
    shutil.copytree(_catalog(), home / "cache", dirs_exist_ok=True)


@cache
def _catalog() -> Path:
    """The folder in which a store keeps the catalogue, and nothing else."""
    store = real_store() / "catalog"
    with at_home(store):
        models(Foreground())
    return store / "cache"


@contextmanager
def at_home(store: Path) -> Iterator[None]:
    """While the context lasts, files are kept in a store, which is made if absent."""
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(store)
    try:
        yield
    finally:
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before

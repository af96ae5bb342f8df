"""Fixtures that every test may use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.store import HOME_VARIABLE
from engine.workers import jobs as jobs_module
from engine.workers import pool
from engine.workers.jobs import JobQueue
from engine.workers.pool import WarmWorker
from engine.workers.process import Worker
from engine.workers.slots import slots

pytest_plugins = ["tests.helpers.shared_browser"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--hostile-scale",
        type=float,
        default=1.0,
        help="Share of the attacks of tests marked hostile.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave hostile tests out, unless they are asked for; begin with the files that take long.

    A long file that comes last keeps one process busy while the others have nothing to do.
    """
    if "hostile" in str(config.getoption("-m")):
        return
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
    hostile = [item for item in items if item.get_closest_marker("hostile")]
    config.hook.pytest_deselected(items=hostile)
    items[:] = [item for item in items if item not in hostile]


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store for each test, so that none touches a person's data."""
    home = tmp_path_factory.mktemp("store")
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    return home


@pytest.fixture(autouse=True)
def own_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue for each test, so that work which another left under way holds nobody up."""
    monkeypatch.setattr(jobs_module, "QUEUE", JobQueue(slots))


@pytest.fixture
def own_warm_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmWorker]:
    """A warm worker for one test: work that another left under way gives its worker back later."""
    own = WarmWorker(Worker)
    monkeypatch.setattr(pool, "WARM_WORKER", own)
    yield own
    own.close()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with five small pictures, each another."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for index in range(5):
        pixels = rng.integers(0, 256, (40 + index, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"photo_{index}.png")
    return folder

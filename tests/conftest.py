"""Fixtures that every test may use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.store import HOME_VARIABLE
from engine.core.system import freeze_imports
from engine.workers import jobs as jobs_module
from engine.workers import pool
from engine.workers.jobs import Job, JobQueue
from engine.workers.pool import WarmWorker
from engine.workers.process import Foreground, Worker
from engine.workers.slots import slots
from tests.helpers.shared_worker import fresh_worker, shared_worker

TESTS = Path(__file__).parent
LONGEST = (
    "end_to_end/test_main_job.py",
    "conversion/test_lowering.py",
    "end_to_end/test_browser.py",
    "pages/test_geometry.py",
    "pages/test_accessibility.py",
    "end_to_end/test_stakeholder.py",
    "conversion/test_against_onnxruntime.py",
    "pages/test_pages.py",
    "quantization/optimizer/test_optimize.py",
    "pages/test_sharing.py",
    "tasks/test_improve.py",
    "end_to_end/test_notebook.py",
    "conversion/test_integer_lowering.py",
    "pages/test_run_on_show.py",
    "conversion/test_torch_operators.py",
    "networks/test_own_onnx.py",
    "pages/test_deploy.py",
    "pages/test_picture_source.py",
    "conversion/test_resume.py",
    "conversion/test_operator_sets.py",
    "pages/test_pictures.py",
    "tasks/sweep/test_sweep.py",
    "pages/test_convert.py",
)
"""Files that take more than 15 seconds, the longest first; others by their number of slow tests.

The second does not need the run that the first one makes.
"""

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
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(
        key=lambda item: (
            place.get(item.path.relative_to(TESTS).as_posix(), len(LONGEST)),
            -slow[item.path],
        )
    )
    hostile = [item for item in items if item.get_closest_marker("hostile")]
    config.hook.pytest_deselected(items=hostile)
    items[:] = [item for item in items if item not in hostile]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep what was imported from the garbage collections that Streamlit and TensorFlow ask for."""
    freeze_imports()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Do so again once a test has imported much: torch.export alone brings 300,000 objects."""
    freeze_imports()


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


@pytest.fixture(autouse=True)
def own_board(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs for each test, which end with it: a first comparison nobody waits for takes 30 s."""
    monkeypatch.setattr(jobs_module.BOARD, "_entries", [])
    yield
    for entry in jobs_module.BOARD._entries:
        if isinstance(entry.job, Job):
            entry.job.cancel()


@pytest.fixture(scope="session", autouse=True)
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One worker in the place of a fresh one for each call, and a store for module fixtures."""
    with pytest.MonkeyPatch.context() as patch, shared_worker():
        patch.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture
def fresh_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of its own for each call, as outside of tests."""
    monkeypatch.setattr(Foreground, "worker", fresh_worker)


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

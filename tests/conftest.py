"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.store import HOME_VARIABLE


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hostile", "hostile files and processes (pytest -m hostile)")
    group.addoption("--hostile-scale", type=float, default=1.0, help="share of the cases to try")
    group.addoption("--hostile-seed", type=int, default=0, help="another seed, other cases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out hostile tests, which take minutes, unless they are asked for."""
    if "hostile" in config.getoption("-m"):
        return
    left_out = [item for item in items if "hostile" in item.keywords]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if "hostile" not in item.keywords]


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store for each test, so that none touches a person's data."""
    home = tmp_path_factory.mktemp("store")
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    return home


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

"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.store import HOME_VARIABLE


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

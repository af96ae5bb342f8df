"""What tests of several pages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.real_run import keep_catalog


@pytest.fixture
def catalog(own_store: Path) -> None:
    """The catalogue is in the store: the page Convert starts no worker to read it."""
    keep_catalog(own_store)

"""Fixtures of tests that drive a browser: one browser and one server for all in a process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.helpers.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A server that many tests use, which leave its store as it was.

    Attributes:
        home: The store.
        server: The process.
    """

    home: Path
    server: Server

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.server.address


@pytest.fixture(scope="session")
def browser_of_the_process() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """The browser, and the loop that drives it."""
    from tests.helpers.browser import chromium

    with chromium() as browser:
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)


@pytest.fixture
def browser(
    browser_of_the_process: tuple[Browser, asyncio.AbstractEventLoop],
) -> Iterator[Browser]:
    """A browser without anything that an earlier test left in it."""
    browser, loop = browser_of_the_process
    with running(loop):
        yield browser
        for context in browser.contexts:
            context.close()


@contextmanager
def running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Playwright's loop counts as running while a test drives its browser, and not afterwards.

    Otherwise no later test of the process could run a loop of its own.
    """
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


@pytest.fixture(scope="session")
def server_of_the_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A server on a store with the runs ``older`` and ``newer``."""
    from tests.helpers.browser import light_server
    from tests.helpers.real_run import keep_catalog
    from tests.helpers.tiny_run import two_runs

    home = tmp_path_factory.mktemp("shared_store")
    two_runs(home)
    keep_catalog(home)
    with light_server(home) as server:
        yield Dashboard(home, server)


@pytest.fixture
def two_runs_server(server_of_the_process: Dashboard) -> Iterator[Dashboard]:
    """A server on a store with two runs, both of which stay as they are.

    What it said meanwhile is printed, for the report of a failed test.
    """
    before = len(server_of_the_process.server.said())
    runs = server_of_the_process.home / "runs"
    there = sorted(runs.iterdir())
    yield server_of_the_process
    print("the server said:", server_of_the_process.server.said()[before:][-4000:])
    assert sorted(runs.iterdir()) == there, "a test left runs in the store that others use"

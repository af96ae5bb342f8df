"""Fixtures of tests that drive a browser: one browser and one server for all in a process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import uuid4

import pytest

from tests.helpers.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

    from engine.runs.run import Run


STORED = "local_storage,indexeddb,cache_storage,service_workers,websql,file_systems"


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


@dataclass(frozen=True, slots=True)
class SharedContext:
    """Where many tests open pages: what it has fetched from the server is not fetched again.

    Attributes:
        context: The context.
        keeper: An empty page of loopback in it. While it is open, so is the process of all pages
            of the context, which need not compile Streamlit's scripts again: a load of a page
            takes half the time.
    """

    context: BrowserContext
    keeper: Page

    @classmethod
    def of(cls, browser: Browser, *, has_touch: bool) -> SharedContext:
        """Open one, with the page that keeps its process."""
        context = browser.new_context(has_touch=has_touch)
        keeper = context.new_page()
        keeper.route("**", lambda route: route.fulfill(body="<!doctype html>"))
        keeper.goto("http://127.0.0.1/")
        return cls(context, keeper)

    def open_page(self, viewport: Any, color_scheme: Any) -> Page:
        """Open a page, which asks for nothing but a size and a theme."""
        page = self.context.new_page()
        if viewport is not None:
            page.set_viewport_size(viewport)
        if color_scheme is not None:
            page.emulate_media(color_scheme=color_scheme)
        return page

    def forget(self) -> None:
        """Leave nothing in it but files of the server."""
        for page in self.context.pages:
            if page != self.keeper:
                page.close()
        # Not its cache.
        session = self.context.new_cdp_session(self.keeper)
        session.send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": STORED})
        session.detach()
        self.context.clear_cookies()
        self.context.clear_permissions()


@dataclass(frozen=True, slots=True)
class BrowserOfTheProcess:
    """The browser that many tests drive, and what drives it.

    Attributes:
        browser: The browser.
        loop: The loop that drives it.
        shared: Its shared contexts, by whether they have touch; each is opened once it is needed.
    """

    browser: Browser
    loop: asyncio.AbstractEventLoop
    shared: dict[bool, SharedContext] = field(default_factory=dict)

    def open_page(
        self,
        *,
        viewport: Any = None,
        color_scheme: Any = None,
        has_touch: bool = False,
        **options: Any,
    ) -> Page:
        """Take the place of ``Browser.new_page``, which opens a context for each page."""
        if options:
            context = self.browser.new_context(
                viewport=viewport, color_scheme=color_scheme, has_touch=has_touch, **options
            )
            return context.new_page()
        if has_touch not in self.shared:
            self.shared[has_touch] = SharedContext.of(self.browser, has_touch=has_touch)
        return self.shared[has_touch].open_page(viewport, color_scheme)

    def forget(self) -> None:
        """Close every page, and leave nothing in the shared contexts but files of the server."""
        contexts = [each.context for each in self.shared.values()]
        for context in self.browser.contexts:
            if context not in contexts:
                context.close()
        for each in self.shared.values():
            each.forget()


@pytest.fixture(scope="session")
def browser_of_the_process() -> Iterator[BrowserOfTheProcess]:
    """The browser, with contexts that tests share, and the loop that drives it."""
    from tests.helpers.browser import chromium

    with chromium() as browser:
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield BrowserOfTheProcess(browser, loop)
        asyncio._set_running_loop(loop)


@pytest.fixture
def browser(browser_of_the_process: BrowserOfTheProcess) -> Iterator[Browser]:
    """A browser without anything that an earlier test left in it, but files of the server."""
    shared = browser_of_the_process
    with running(shared.loop), patch.object(shared.browser, "new_page", shared.open_page):
        yield shared.browser
        shared.forget()


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
    """A server on a store with two runs, which stay as they are.

    What it said meanwhile is printed, for the report of a failed test.
    """
    before = len(server_of_the_process.server.said())
    runs = server_of_the_process.home / "runs"
    there = sorted(runs.iterdir())
    yield server_of_the_process
    print("the server said:", server_of_the_process.server.said()[before:][-4000:])
    assert sorted(runs.iterdir()) == there, "a test left runs in the store that others use"


@pytest.fixture
def own_run(two_runs_server: Dashboard) -> Iterator[Run]:
    """A run that a test may change, in the store of the server; it is not the newest."""
    from tests.helpers.tiny_run import tiny_run

    run = tiny_run(two_runs_server.home / "runs" / f"own_{uuid4().hex[:8]}")
    yield run
    shutil.rmtree(run.folder)

"""The dashboard's server and Debian's chromium, for tests that drive a real browser."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from pages.shell.navigation import CHAPTERS, Chapter, chapter_named, entry_of
from tests.helpers.server import Server

# The shell draws nothing for a window that is not there: a page costs a fifth less.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Scripts that a process has compiled are not compiled again; nothing else keeps them.
    "--process-per-site",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
PATIENCE = 120_000
SIDEBAR_LINKS = ":is(.st-key-new_run, .st-key-entries) a"
UNRESTS = (
    "[data-test-script-state=running], [data-test-script-state=rerunRequested], "
    "[data-testid=stSkeleton], "
    "[class*=st-key-cancel_], [data-stale=true]"
)
QUIET_MS = 150
QUIET = """([unrests, quiet, wait]) => {
  const now = performance.now();
  const watch = (window.quiet ??= { changed: now, wait: null });
  if (!watch.observer) {
    watch.observer = new MutationObserver(() => { watch.changed = performance.now(); });
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    watch.observer.observe(document, all);
  }
  if (watch.wait !== wait || document.querySelector(unrests)) watch.changed = now;
  watch.wait = wait;
  if (now - watch.changed < quiet) return false;
  // What follows makes the browser lay out the page.
  return document.querySelector("h1")?.checkVisibility() &&
    !document.getAnimations().some((animation) => animation.playState === "running" &&
      Number.isFinite(animation.effect.getComputedTiming().endTime));
}"""
LINES = """it => {
  const { lineHeight, paddingTop, paddingBottom } = getComputedStyle(it);
  const text = it.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
  return Math.round(text / parseFloat(lineHeight));
}"""
"""How many lines the text of an element takes."""
expect.set_options(timeout=PATIENCE)
IN_A_BROWSER = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@contextmanager
def dashboard(home: Path, **variables: str) -> Iterator[str]:
    """The address of a server that answers, on a store of its own.

    What it said is printed at the end, for the report of a failed test.

    Args:
        home: The store.
        variables: More of its environment.
    """
    with light_server(home, **variables) as server:
        try:
            yield server.address
        finally:
            print("the server said:", server.said()[-4000:])


@contextmanager
def light_server(home: Path, **variables: str) -> Iterator[Server]:
    """A server that answers and holds little memory; it is ended as a person ends it.

    Args:
        home: The store.
        variables: More of its environment.
    """
    server = Server(home, variables=variables)
    try:
        assert server.resident() < 500e6, "the server is heavy before anything is converted"
        yield server
    finally:
        server.end()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def go_to(page: Page, name: str) -> None:
    """Open a page, as a person does: by its line of the sidebar, then by its tab.

    Args:
        page: The browser's page.
        name: The dashboard's page, as its tab calls it.
    """
    for link in _way(page, chapter_named(name)):
        link.click()


def open_pictures(page: Page) -> None:
    """Open the part of the sidebar that chooses pictures."""
    page.locator(".st-key-pictures_of_the_sidebar summary").click()
    expect(page.get_by_role("radiogroup", name="Pictures", exact=True)).to_be_visible()


def turn_to(page: Page, stem: str) -> None:
    """Open a page without a look at the sidebar, which may be closed.

    Args:
        page: The browser's page.
        stem: The dashboard's page, as its address ends.
    """
    chapter = next(chapter for chapter in CHAPTERS if chapter.stem == stem)
    for link in _way(page, chapter):
        link.evaluate("link => link.click()")
    expect(page).to_have_url(re.compile(rf"/{stem}([?]|$)"))


def _way(page: Page, chapter: Chapter) -> Iterator[Locator]:
    """Yield the links that lead to a page, each once the one before was followed."""
    entry = entry_of(chapter)
    on_show = urlsplit(page.url).path.rpartition("/")[2]
    beside = on_show in {each.stem for each in entry.chapters if each != CHAPTERS[0]}
    if not beside:
        yield page.locator(SIDEBAR_LINKS).filter(has_text=entry.title)
    if chapter.stem != on_show and (beside or chapter != entry.chapters[0]):
        yield page.locator(".st-key-tabs a").filter(has_text=chapter.title)


def wait_until_settled(page: Page) -> None:
    """Wait until the script has run, no job is under way, and the page has stopped changing."""
    # A wait of its own begins its quiet anew: a click may not have changed anything yet.
    page.wait_for_function(
        QUIET, arg=[UNRESTS, QUIET_MS, time.monotonic_ns()], polling=50, timeout=PATIENCE
    )

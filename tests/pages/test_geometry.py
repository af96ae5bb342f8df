"""Every page and the report, looked at: measured in a browser, wide and narrow, light and dark.

Screenshots are left in ``build/screenshots``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

import engine
from engine.core.store import SAMPLE_IMAGES
from engine.runs.run import LATENCY, Run
from pages.shell.navigation import CHAPTERS
from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    turn_to,
    wait_until_settled,
)
from tests.helpers.factories import latency
from tests.helpers.geometry import Flaw, measure
from tests.helpers.real_run import real_run
from tests.helpers.server import ROOT
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_run import tiny_run

pytestmark = IN_A_BROWSER

SCREENSHOTS = ROOT / "build" / "screenshots"
WINDOWS = {1440: 900, 390: 844}
THEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
HIGHEST = {1440: 5_000, 390: 9_000}
HIGHEST_REPORT = {1440: 7_000, 390: 14_000}
MEDIANS = {
    "original": 22.0,
    "float32": 9.2,
    "dynamic_range": 6.1,
    "float16": 9.3,
    "int8": 4.4,
    "uint8": 4.4,
    "int8_float_io": 4.5,
    "int16x8": 260.0,
}
SHORT_MEDIANS = {"original": 0.02, "float32": 0.0042, "int8": 0.0031}


@pytest.fixture
def runs(two_runs_server: Dashboard) -> Iterator[tuple[Run, Run]]:
    """The real run, timed by hand, and a tiny one with short figures, in the server's store."""
    folder = two_runs_server.home / "runs"
    real = folder / f"real_{real_run().folder.name}"
    shutil.copytree(real_run().folder, real)
    tiny = tiny_run(folder / "tiny").folder
    for timed, medians in ((real, MEDIANS), (tiny, SHORT_MEDIANS)):
        (timed / LATENCY).mkdir(exist_ok=True)
        file = timed / LATENCY / "threads-1.json"
        file.write_bytes(msgspec.json.encode(latency(medians, spread=0.02)))
    yield Run.open(real), Run.open(tiny)
    for timed in (real, tiny):
        shutil.rmtree(timed)


def look(page: Page, view: str, width: int, highest: int) -> Iterator[tuple[str, int, Flaw]]:
    """Measure a view in both themes; a flaw is photographed."""
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    seen: set[Flaw] = set()
    # It begins with the theme that is on: a change of theme draws everything anew.
    for theme in THEMES[::-1] if dark else THEMES:
        page.emulate_media(color_scheme=theme)
        wait_until_settled(page)
        flaws = measure(page, fold=WINDOWS[width], height=highest)
        if flaws:
            page.screenshot(path=SCREENSHOTS / f"{view}_{width}_{theme}.png", full_page=True)
        seen |= flaws
    for flaw in seen:
        yield view, width, flaw


def look_at_pages(
    page: Page,
    widths: tuple[int, ...],
    address: str,
    run: str,
    views: tuple[str, ...],
    prefix: str = "",
) -> Iterator[tuple[str, int, Flaw]]:
    """Measure pages of a run, the first of which is the dashboard's first, in one or two widths.

    The window is as high as a page may be, so that all of it is drawn. A page is first drawn in the
    width in which the one before was left, so that every other one is first drawn narrow.
    """
    page.set_viewport_size({"width": widths[0], "height": HIGHEST[widths[0]]})
    page.goto(f"{address}/?run={run}")
    for view in views:
        if view != views[0]:
            turn_to(page, view)
        for width in widths:
            page.set_viewport_size({"width": width, "height": HIGHEST[width]})
            wait_until_settled(page)
            yield from look(page, prefix + view, width, HIGHEST[width])
        widths = widths[::-1]


def look_at_a_refused_file(page: Page, width: int) -> Iterator[tuple[str, int, Flaw]]:
    """Drop a text as a model, which is refused beside the uploader."""
    fold = WINDOWS[width]
    page.set_viewport_size({"width": width, "height": fold})
    turn_to(page, "convert")
    wait_until_settled(page)
    page.get_by_text("My ONNX file").click()
    uploader = page.get_by_test_id("stFileUploader").filter(has_text="ONNX file")
    uploader.locator("input").set_input_files(
        {"name": "text.onnx", "mimeType": "text/plain", "buffer": b"no model"}
    )
    message = page.get_by_text(re.compile("(no|not an) ONNX")).first
    expect(message).to_be_visible()
    wait_until_settled(page)
    box = message.bounding_box()
    assert box is not None
    if not 0 <= box["y"] <= fold - box["height"]:
        page.screenshot(path=SCREENSHOTS / f"refused_{width}.png")
        yield "refused", width, Flaw("below the fold", message.inner_text())


def look_at_report(page: Page, width: int, file: Path) -> Iterator[tuple[str, int, Flaw]]:
    """Measure the report."""
    page.goto(file.as_uri())
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": 2 * tall})
    wait_until_settled(page)
    page.set_viewport_size({"width": width, "height": WINDOWS[width]})
    yield from look(page, "report", width, HIGHEST_REPORT[width])


def look_at_everything(
    browser: Browser, address: str, real: str, tiny: str, report: Path
) -> Iterator[tuple[str, int, Flaw]]:
    """Measure every view in every width; a page of the story is gone to, not loaded anew."""
    views = tuple(chapter.stem for chapter in CHAPTERS)
    few = (views[0], "latency_and_size")
    for width, fold in WINDOWS.items():
        page = browser.new_page(viewport={"width": width, "height": fold})
        page.set_default_timeout(PATIENCE)
        yield from look_at_report(page, width, report)
        yield from look_at_pages(page, (width,), address, tiny, few, "tiny-")
        yield from look_at_a_refused_file(page, width)
        page.close()
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    yield from look_at_pages(page, tuple(WINDOWS), address, real, views)


def test_nothing_is_cut_covered_too_large_or_out_of_sight(
    browser: Browser, two_runs_server: Dashboard, runs: tuple[Run, Run], tmp_path: Path
) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    real, tiny = runs
    report = tmp_path / "report.html"
    engine.report(real, SAMPLE_IMAGES, report)
    address, names = two_runs_server.address, (real.folder.name, tiny.folder.name)
    flaws = list(look_at_everything(browser, address, *names, report))
    assert not flaws, "\n".join(map(str, flaws))

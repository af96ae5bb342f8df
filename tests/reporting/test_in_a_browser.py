"""The report in a real browser without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import engine
from tests.helpers.browser import IN_A_BROWSER
from tests.helpers.tiny_run import tiny_run

pytestmark = IN_A_BROWSER
LOADING = "img, script, link, iframe, object, embed, source, video, audio, a, use, base, form"


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide light", "narrow dark"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Page:
    width, theme = request.param
    return browser.new_page(
        offline=True, viewport={"width": width, "height": 900}, color_scheme=theme
    )


def test_it_opens_offline_with_its_plots_alive(page: Page, photos: Path, tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "tiny")
    file = tmp_path / "report.html"
    engine.report(run, photos, file)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    for block in page.locator(".figure:visible").all():
        block.scroll_into_view_if_needed()
        expect(block.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    assert [a for a in asked if not a.startswith(("data:", "blob:"))] == [file.as_uri()]
    assert complaints == []
    addresses = page.eval_on_selector_all(
        LOADING,
        "found => found.flatMap(e => ['src', 'href', 'data', 'action', 'xlink:href']"
        ".map(name => e.getAttribute(name)).filter(Boolean))",
    )
    assert [a for a in addresses if not a.startswith(("#", "data:", "blob:"))] == []
    held = json.loads(page.locator("#report-data").text_content() or "")
    assert held["comparison"] == engine.compare(run, photos).to_dict()
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(sideways) <= 0


def test_figures_are_saved_and_variants_chosen(page: Page, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    engine.report(tiny_run(tmp_path / "tiny"), photos, file)
    page.goto(file.as_uri())
    page.locator("#choose").select_option("float32")
    expect(page.locator("#margins-float32 .js-plotly-plot")).to_be_visible()
    expect(page.locator("#margins-int8")).to_be_hidden()
    block = page.locator("#trade-off")
    for kind, start in (("CSV", b"series,"), ("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as download:
            block.get_by_role("button", name=kind).click()
        assert download.value.path().read_bytes().startswith(start)
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(download.value.path().read_text())["manifest"]["model"]["name"] == "tiny"

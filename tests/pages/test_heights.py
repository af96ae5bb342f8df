"""What pages promise in pixels, and a slider that is seen to move something, on a real run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from engine.runs.run import LATENCY
from tests.helpers.browser import IN_A_BROWSER, LINES, PATIENCE, turn_to, wait_until_settled
from tests.helpers.factories import latency
from tests.helpers.real_run import real_run
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER

MEDIANS = {"original": 22.0, "float32": 9.2, "float16": 9.3, "dynamic_range": 6.1, "int8": 4.4}
HIGHEST_GALLERY = {1440: 1_600, 390: 2_200}
HIGHEST_LOGITS = 2_400
PALE = "() => [...document.querySelectorAll('.scatterlayer .trace')].map((it) => it.style.opacity)"


@pytest.fixture
def real(two_runs_server: Dashboard) -> Iterator[str]:
    """Name of a copy of the real run, timed by hand, in the server's store."""
    folder = shutil.copytree(real_run().folder, two_runs_server.home / "runs" / "lite_for_heights")
    (folder / LATENCY).mkdir(exist_ok=True)
    timed = msgspec.json.encode(latency(MEDIANS, spread=0.02))
    (folder / LATENCY / "threads-1.json").write_bytes(timed)
    yield folder.name
    shutil.rmtree(folder)


def test_differences_are_seen_without_an_endless_page(
    browser: Browser, two_runs_server: Dashboard, real: str
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{two_runs_server.address}/predictions?run={real}")
    expect(page.locator(".q-row")).to_have_count(12)
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        wait_until_settled(page)
        gallery = page.locator(".st-key-gallery_gallery").bounding_box()
        assert gallery is not None
        assert gallery["height"] <= HIGHEST_GALLERY[width]
        assert page.locator("h1").evaluate(LINES) <= 3
        expect(page.locator(".stage .shown")).to_be_in_viewport(ratio=0.5)
    page.set_viewport_size({"width": 1440, "height": 900})
    turn_to(page, "logit_differences")
    wait_until_settled(page)
    high = page.get_by_test_id("stMain").evaluate("it => it.scrollHeight")
    assert high <= HIGHEST_LOGITS
    demand_a_slider_that_changes_the_plot(page)


def demand_a_slider_that_changes_the_plot(page: Page) -> None:
    """Of 13 answers int8 changes some: it is pale at 95 %, and not at a lesser need."""
    page.goto(page.url.replace("logit_differences", ""))
    expect(page.locator(".scatterlayer .trace").first).to_be_visible()
    wait_until_settled(page)
    before = page.evaluate(PALE)
    assert "0.25" in before
    for _ in range(3):
        page.locator(".st-key-overview_need").get_by_role("slider").press("ArrowLeft")
    page.wait_for_function(f"before => String(({PALE})()) !== String(before)", arg=before)

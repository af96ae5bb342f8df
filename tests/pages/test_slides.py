"""Demo mode in a browser: slides by keys at two sizes, what joins later, and the way out."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from engine.runs.run import Run
from tests.helpers.browser import IN_A_BROWSER, wait_until_settled
from tests.helpers.shared_browser import Dashboard
from tests.pages.test_stage import coarsen

pytestmark = IN_A_BROWSER

KINDS = ["claim", "stage", "trade_off", "flip", "kit", "report"]
FLAWS = """deck => {
  const flaws = [];
  const slide = deck.querySelector(".slide").getBoundingClientRect();
  for (const it of deck.querySelectorAll("input, textarea, select, [role=slider]")) {
    flaws.push(`a field: ${it.tagName}`);
  }
  for (const it of deck.querySelectorAll(".slide, .slide *")) {
    const box = it.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const name = `${it.tagName} ${it.textContent.slice(0, 40)}`;
    if (box.right > innerWidth + 1 || box.left < -1 || box.top < -1) flaws.push(`outside: ${name}`);
    if (box.bottom > slide.bottom + 2) flaws.push(`cut: ${name} by ${box.bottom - slide.bottom}`);
    if (it.scrollWidth > it.clientWidth + 1 && getComputedStyle(it).overflowX !== "visible") {
      flaws.push(`too wide: ${name}`);
    }
  }
  if (slide.bottom > deck.querySelector(".foot").getBoundingClientRect().top + 1) {
    flaws.push("the slide reaches below its foot");
  }
  return flaws;
}"""


def demand_kind(page: Page, kind: str) -> None:
    expect(page.locator(".deck .slide")).to_have_class(re.compile(rf"\bslide {kind}\b"))


def flaws(page: Page) -> list[str]:
    """Look at a slide once it is drawn: observers of sizes are called with a frame."""
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    names: list[str] = page.locator(".deck").evaluate(FLAWS)
    return names


def demand_slides(page: Page, kinds: list[str]) -> None:
    """All slides come by the arrow key, in their order, and nothing is cut or asks for input."""
    page.keyboard.press("Home")
    for at, expected in enumerate(kinds, 1):
        expect(page.locator(".deck .position")).to_have_text(f"{at}/{len(kinds)}")
        demand_kind(page, expected)
        assert flaws(page) == [], expected
        page.keyboard.press("ArrowRight")
    expect(page.locator(".deck .position")).to_have_text(f"{len(kinds)}/{len(kinds)}")


def demand_no_scrolling(page: Page, kinds: list[str]) -> None:
    """On a phone each slide is whole in one screen."""
    page.keyboard.press("Home")
    for at, expected in enumerate(kinds, 1):
        expect(page.locator(".deck .position")).to_have_text(f"{at}/{len(kinds)}")
        beyond = page.locator(".deck").evaluate("deck => deck.scrollHeight - deck.clientHeight")
        assert beyond <= 0, f"{expected}: {beyond} pixels"
        page.keyboard.press("ArrowRight")


def test_slides_come_by_keys_and_escape_leaves(
    browser: Browser, two_runs_server: Dashboard, own_run: Run
) -> None:
    coarsen(own_run)
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{two_runs_server.address}/?demo&run={own_run.folder.name}")
    # The kit's check, the explanation and the report are computed meanwhile, and join.
    expect(page.locator(".deck .dots button")).to_have_count(len(KINDS))
    demand_slides(page, KINDS)
    page.set_viewport_size({"width": 1280, "height": 720})
    demand_slides(page, KINDS)
    page.set_viewport_size({"width": 390, "height": 844})
    demand_no_scrolling(page, KINDS)
    report = page.get_by_role("link", name="Download the report").evaluate("link => link.href")
    assert "<h1" in page.request.get(report).text()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".terminal")).to_contain_text("PASSED: golden set of 5 pictures")
    page.keyboard.press("Home")
    page.keyboard.press(" ")
    demand_kind(page, "stage")
    page.keyboard.press("End")
    demand_kind(page, "report")
    page.keyboard.press("Escape")
    expect(page.locator(".deck")).to_have_count(0)
    expect(page.locator(".st-key-entries")).to_be_visible()
    expect(page).not_to_have_url(re.compile("demo"))
    expect(page.locator(".stAppViewContainer h1").first).to_be_visible()
    wait_until_settled(page)
    assert page.request.get(report).status == 404
    page.get_by_role("button", name="Show as slides").click()
    expect(page.locator(".deck .slide.claim")).to_be_visible()

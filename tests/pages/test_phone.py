"""The dashboard on a phone: the sidebar does not stay over the page."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    go_to,
    wait_until_settled,
)
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_run import NEWER, OLDER

pytestmark = IN_A_BROWSER

OPEN = "[data-testid=stSidebar][data-collapsed=false]"


def open_sidebar(page: Page) -> None:
    page.get_by_test_id("stExpandSidebarButton").click()
    expect(page.locator(OPEN)).to_be_visible()


def demand_closed(page: Page) -> None:
    expect(page.locator(OPEN)).to_have_count(0)
    wait_until_settled(page)


def test_the_sidebar_closes_when_a_page_or_a_run_is_chosen(
    browser: Browser, two_runs_server: Dashboard
) -> None:
    address = two_runs_server.address
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/run_details?run={NEWER}")
    demand_closed(page)
    for title in ("Layers", "Details", "Logits"):
        open_sidebar(page)
        go_to(page, title)
        demand_closed(page)
    # One tap, and content is in view, below the name of its page.
    expect(page.locator(".st-key-tabs").get_by_text("Logits")).to_be_in_viewport()
    expect(page.locator("h1")).to_be_in_viewport()
    open_sidebar(page)
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name=f"the_{OLDER}").click()
    demand_closed(page)

    wide = browser.new_page(viewport={"width": 1440, "height": 900})
    wide.set_default_timeout(PATIENCE)
    wide.goto(f"{address}/run_details")
    go_to(wide, "Layers")
    wait_until_settled(wide)
    expect(wide.locator(OPEN)).to_be_visible()

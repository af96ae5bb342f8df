"""A link shows a colleague the same view."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from engine.core.store import SAMPLE_IMAGES
from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    SIDEBAR_LINKS,
    go_to,
    wait_until_settled,
)
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER

PICTURE = sorted(path.name for path in SAMPLE_IMAGES.glob("*.jpg"))[5]


@pytest.fixture
def page(browser: Browser, two_runs_server: Dashboard) -> Page:
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    link = f"logit_differences?variant=float32&picture={PICTURE}"
    tab.goto(f"{two_runs_server.address}/{link}")
    return tab


def variants(page: Page) -> Locator:
    """The choice of a variant: a picture has pills of the same names, to ask why it flipped."""
    return page.get_by_role("radiogroup", name="Variant", exact=True)


def chosen(page: Page, name: str) -> None:
    expect(variants(page).get_by_role("radio", checked=True)).to_have_text([name])


def test_variant_and_picture_are_in_the_address(page: Page) -> None:
    chosen(page, "float32")
    picture = page.get_by_role("combobox", name="Picture")
    expect(picture).to_have_value(PICTURE)
    wait_until_settled(page)
    go_to(page, "Accuracy")
    # The page left behind has pills of its own, on which a click would be lost.
    wait_until_settled(page)
    chosen(page, "float32")
    variants(page).get_by_role("radio", name="int8", exact=True).click()
    chosen(page, "int8")
    wait_until_settled(page)
    go_to(page, "Logits")
    chosen(page, "int8")
    expect(picture).to_have_value(PICTURE)
    expect(page).to_have_url(re.compile(f"variant=int8&picture={PICTURE}"))


def demand_right(page: Page) -> None:
    """The way on to Convert stands at the right edge, as on every page."""
    main = page.get_by_test_id("stMainBlockContainer").bounding_box()
    link = page.locator(".st-key-go_on").bounding_box()
    assert main is not None
    assert link is not None
    assert link["x"] > main["x"] + main["width"] / 2


def demand_ring(page: Page) -> None:
    """Whoever goes by keyboard sees which link of the sidebar has the focus."""
    link = page.locator(SIDEBAR_LINKS).filter(has_text="Numbers")
    page.locator(SIDEBAR_LINKS).filter(has_text="Pictures").focus()
    for _ in range(9):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    expect(link).to_be_focused()
    assert link.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"


def test_a_link_to_a_picture_opens_with_it_in_view(page: Page) -> None:
    wait_until_settled(page)
    go_to(page, "Overview")
    weakest = page.locator(".o-weak b").first
    expect(weakest).to_be_visible()
    wait_until_settled(page)
    name = weakest.inner_text()
    demand_right(page)
    demand_ring(page)
    page.get_by_role("link", name="See its logits").click()
    expect(page.get_by_role("combobox", name="Picture")).to_have_value(name)
    expect(page.locator(".st-key-one_picture img").first).to_be_in_viewport()
    wait_until_settled(page)
    expect(page.locator(".st-key-one_picture img").first).to_be_in_viewport()
    expect(page).to_have_url(re.compile(r"^(?!.*[?&]at=)"))

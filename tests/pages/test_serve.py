"""The first visitor after a start of the server."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser import IN_A_BROWSER, chromium, dashboard

pytestmark = IN_A_BROWSER


def test_a_link_to_a_page_works_for_the_first_visitor(tmp_path: Path) -> None:
    with dashboard(tmp_path / "home") as address, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{address}/logit_differences")
        expect(page.get_by_role("heading", name="Nothing is converted yet")).to_be_visible()
        expect(page.get_by_text("Page not found")).to_have_count(0)

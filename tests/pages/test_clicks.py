"""Clicks are answered, however slow the browser is."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    go_to,
    wait_until_settled,
)
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER

CLICK_TWICE_WITHOUT_LOOKING = """
([first, second]) => {
  document.querySelector(first).click();
  setTimeout(() => {
    const end = performance.now() + 1500;
    while (performance.now() < end);
    document.querySelector(second).click();
  }, 50);
}
"""


def test_a_click_before_the_answer_to_the_last_one_has_come(
    browser: Browser, two_runs_server: Dashboard
) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{two_runs_server.address}/logit_differences")
    wait_until_settled(page)
    plots = page.locator(".js-plotly-plot .main-svg")
    expect(plots.first).to_be_visible()
    go_to(page, "Accuracy")
    expect(page).to_have_url(re.compile("/accuracy"))
    wait_until_settled(page)
    page.evaluate(
        CLICK_TWICE_WITHOUT_LOOKING,
        [
            "[role=radiogroup] [role=radio][aria-checked=false]",
            ".st-key-entries a[href*=logit_differences]",
        ],
    )
    expect(page).to_have_url(re.compile("/logit_differences"))
    expect(plots.first).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)

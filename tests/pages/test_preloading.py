"""What draws plots and tables is fetched before a page needs it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from pages.shell.navigation import drawing_scripts
from tests.helpers.browser import CHROMIUM, PATIENCE
from tests.helpers.shared_browser import Dashboard


def test_streamlit_has_one_script_each() -> None:
    """Where this fails, Streamlit named them anew: pages work, but the first plot comes later."""
    assert len(drawing_scripts()) == 2


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("name", drawing_scripts())
def test_a_page_without_plots_and_tables_fetches_what_draws_them(
    browser: Browser, two_runs_server: Dashboard, name: str
) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    with page.expect_response(f"**/static/js/{name}") as fetched:
        page.goto(f"{two_runs_server.address}/convert?run=deleted_yesterday")
    assert fetched.value.ok
    expect(page.get_by_role("heading", name="This run is not here")).to_be_visible()
    expect(page.locator(".stPlotlyChart, .stDataFrame")).to_have_count(0)
    # The other one closes the sidebar on a phone.
    scripts = page.locator("[data-testid=stSidebar] .stHtml")
    expect(scripts).to_have_count(2)
    for script in scripts.all():
        expect(script).to_be_hidden()

"""Plotly is fetched before a page needs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from pages.components.preloading import plotly_script
from tests.browser import CHROMIUM, chromium, dashboard


def test_streamlit_has_one_script_that_draws_plots() -> None:
    """Where this fails, Streamlit named it anew: plots work, but the first one comes later."""
    assert plotly_script() is not None


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_without_plots_fetches_what_draws_them(tmp_path: Path) -> None:
    with dashboard(tmp_path / "home") as address, chromium() as browser:
        page = browser.new_page()
        with page.expect_response(f"**/static/js/{plotly_script()}") as fetched:
            page.goto(f"{address}/convert")
        assert fetched.value.ok
        expect(page.locator(".stPlotlyChart")).to_have_count(0)
        script = page.locator("[data-testid=stSidebar] .stHtml")
        expect(script).to_have_count(1)
        expect(script).to_be_hidden()

"""The stage on Result, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from engine.runs.run import Run
from tests.helpers.browser import IN_A_BROWSER, PATIENCE, wait_until_settled
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER


@pytest.mark.parametrize(("width", "height", "screens"), [(1440, 900, 1), (390, 844, 2)])
def test_the_stage_follows_the_verdict(
    browser: Browser,
    two_runs_server: Dashboard,
    own_run: Run,
    width: int,
    height: int,
    screens: int,
) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{two_runs_server.address}/?run={own_run.folder.name}")
    stage, verdict = page.locator(".stage"), page.locator(".st-key-verdict")
    expect(stage.locator(".shown")).to_be_visible()
    wait_until_settled(page)
    above, below = verdict.bounding_box(), stage.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"] < screens * height
    if width > height:
        assert above["y"] + above["height"] <= height, "figures and buttons without scrolling"
    shown = stage.locator(".shown").get_attribute("src")
    assert shown is not None
    stage.get_by_role("button", name="Next").click()
    expect(stage.locator(".shown")).not_to_have_attribute("src", shown)
    page.close()

"""The dashboard in a real browser: first start, two photos, report; cancels and mistakes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from engine.core.store import SAMPLE_IMAGES
from engine.quantization.recipes import RECIPES
from tests.helpers.browser import (
    IN_A_BROWSER,
    dashboard,
    go_to,
    open_pictures,
    wait_until_settled,
)
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_run import NEWER, OLDER

pytestmark = IN_A_BROWSER


@pytest.fixture
def fresh_server(own_store: Path) -> Iterator[str]:
    with dashboard(own_store) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 1440, "height": 1000})
    tab.set_default_timeout(60_000)
    tab.on("websocket", _print_what_is_said)
    tab.on("console", lambda message: print("the console says:", message.text))
    tab.on("pageerror", lambda error: print("an error on the page:", error))
    yield tab
    print("shown at the end:", tab.url, tab.inner_text("body"), sep="\n")


def _print_what_is_said(socket: WebSocket) -> None:
    """Print which page each script run is asked for, for the report of a failed test."""
    start = time.monotonic()

    def asked(payload: str | bytes) -> None:
        message = BackMsg.FromString(payload.encode() if isinstance(payload, str) else payload)
        if message.WhichOneof("type") == "rerun_script":
            ask = message.rerun_script
            widgets = [widget.id[37:] for widget in ask.widget_states.widgets]
            print(
                f"{time.monotonic() - start:7.2f} s asks {ask.page_script_hash} "
                f"fragment {ask.fragment_id} widgets {widgets}"
            )

    def answered(payload: str | bytes) -> None:
        message = ForwardMsg.FromString(payload.encode() if isinstance(payload, str) else payload)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            print(f"{time.monotonic() - start:7.2f} s runs {message.new_session.page_script_hash}")
        elif kind in {"navigation", "script_finished", "ref_hash"}:
            print(f"{time.monotonic() - start:7.2f} s {kind}")

    print(f"opened {socket.url}")
    socket.on("framesent", asked)
    socket.on("framereceived", answered)
    socket.on("close", lambda _: print(f"{time.monotonic() - start:7.2f} s closed"))


def test_the_main_job(page: Page, fresh_server: str) -> None:
    page.goto(fresh_server)
    expect(page.get_by_role("heading", name="Making the first comparison")).to_be_visible()
    expect(page.get_by_role("heading", name="same answer on")).to_be_visible(timeout=240_000)
    expect(page.get_by_text("too few to be sure")).to_be_visible()
    with page.expect_download(timeout=120_000) as download:
        page.get_by_role("button", name="Report").click()
    assert download.value.path().stat().st_size < 8_000_000

    go_to(page, "Details")
    expect(page.get_by_role("heading", name="became eight TFLite variants")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download everything").click()
    assert download.value.path().stat().st_size > 10_000_000

    go_to(page, "Pictures")
    open_pictures(page)
    page.get_by_text("My photos").click()
    photos = [str(SAMPLE_IMAGES / name) for name in ("espresso.jpg", "tabby_cat.jpg")]
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(photos)
    expect(page.locator(".q-row")).to_have_count(2, timeout=120_000)
    page.locator(".q-row summary").first.click()
    cards = page.locator(".q-row").first.locator(".q-card")
    expect(cards).to_have_count(1 + len(RECIPES) + 1)
    for recipe in RECIPES:
        expect(cards.get_by_text(recipe.name, exact=True)).to_be_visible()
    expect(page.locator(".q-row", has_text="espresso.jpg")).to_contain_text("espresso")

    go_to(page, "Logits")
    expect(page.get_by_role("heading", name=re.compile("the logits most"))).to_be_visible()
    expect(page.locator(".js-plotly-plot").nth(3)).to_be_visible()

    go_to(page, "Speed and size")
    page.get_by_role("radiogroup", name="Rounds").get_by_role("radio", name="30").click()
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("30 rounds in turns")).to_be_visible(timeout=180_000)
    expect(page.locator(".js-plotly-plot").nth(2)).to_be_visible()

    go_to(page, "Details")
    expect(page.get_by_text("python -m engine convert").first).to_be_visible()
    page.get_by_text("Show the code").click()
    expect(page.get_by_text("engine.Run.open").first).to_be_visible()
    assert page.get_by_text("Traceback").count() == 0


def test_cancel_and_a_mistake_leave_the_dashboard_usable(
    page: Page, two_runs_server: Dashboard
) -> None:
    page.goto(two_runs_server.address)
    wait_until_settled(page)
    go_to(page, "Convert")
    wait_until_settled(page)
    page.get_by_role("button", name="Convert", exact=False).first.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled. Nothing half-made was kept.")).to_be_visible(timeout=5_000)
    assert [path.name for path in sorted((two_runs_server.home / "runs").iterdir())] == [
        NEWER,
        OLDER,
    ]
    wait_until_settled(page)
    page.get_by_role("button", name="3. Calibration").click()
    page.get_by_test_id("stMain").get_by_text("A folder on this machine").click()
    page.get_by_label("Folder").fill("/nowhere")
    page.get_by_label("Folder").press("Enter")
    page.get_by_role("button", name="Convert", exact=False).first.click()
    expect(page.get_by_text("Choosing the calibration pictures")).to_be_visible()
    assert page.get_by_text("Traceback").count() == 0

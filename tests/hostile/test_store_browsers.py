"""Real browsers: ten at once, one that clicks for hours, one that comes back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Route,
    expect,
    sync_playwright,
)

from engine.runs.run import Run
from tests.helpers.browser import CHROMIUM, FLAGS, go_to, open_pictures
from tests.helpers.server import ROOT, Server
from tests.helpers.tiny_run import tiny_run
from tests.hostile.conftest import Noted
from tests.networks.test_own_onnx import SIZE, classifier

pytestmark = [
    pytest.mark.hostile,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
SESSIONS = 10
MB = 1e6


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # A page that a test answers for counts as from elsewhere, and may not call this machine.
        flags = [*FLAGS, "--disable-features=LocalNetworkAccessChecks"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def a_run(own_store: Path) -> Run:
    """A run that is there before the server is, so that the server makes none by itself."""
    return tiny_run(own_store / "runs" / "tiny")


def new_page(context: BrowserContext, address: str) -> Page:
    """A tab on the page Convert."""
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    go_to(page, "Convert")
    expect(page.get_by_role("heading", name="Convert a classifier")).to_be_visible()
    return page


def ask(page: Page, model: Path) -> None:
    """Upload a model and begin its conversion."""
    page.get_by_text("My ONNX file").click()
    button = page.get_by_role("button", name="Convert", exact=False).last
    expect(button).to_be_disabled()
    page.get_by_test_id("stFileUploaderDropzoneInput").first.set_input_files(str(model))
    expect(page.locator(".q-facts")).to_be_visible()
    page.get_by_role("button", name="2. Preprocessing").click()
    page.get_by_role("button", name="Confirm the preprocessing").click()
    expect(button).to_be_enabled()
    button.click()


def photo(place: Path, number: int) -> Path:
    pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = place / f"photo_of_{number}.png"
    Image.fromarray(pixels).save(file)
    return file


def test_ten_sessions_at_once(
    tmp_path: Path, own_store: Path, browser: Browser, scaled: Callable[[int], int], noted: Noted
) -> None:
    count = scaled(SESSIONS)
    models = [
        classifier(tmp_path / f"model_{k}.onnx", shape=[1, 3, SIZE, SIZE], head_scale=5.0 + k)
        for k in range(count)
    ]
    with Server(own_store) as server:
        pages = [new_page(browser.new_context(), server.address) for _ in range(count)]
        before = server.resident()
        for page, model in zip(pages, models, strict=True):
            ask(page, model)
        for page, model in zip(pages, models, strict=True):
            chosen = page.get_by_role("combobox", name="Run")
            expect(chosen).to_have_value(re.compile(model.stem), timeout=400_000)
        for number, page in enumerate(pages):
            go_to(page, "Pictures")
            open_pictures(page)
            page.get_by_text("My photos").click()
            page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
                str(photo(tmp_path, number))
            )
        for number, page in enumerate(pages):
            row = page.locator(".q-row")
            try:
                expect(row).to_have_count(1, timeout=400_000)
            except AssertionError as error:
                error.add_note(f"{page.locator('body').inner_text()}\n{server.said()}")
                raise
            expect(row).to_contain_text(f"photo_of_{number}.png")
            assert page.get_by_text("Traceback").count() == 0
            chosen = page.get_by_test_id("stSidebar").get_by_role("combobox").first
            expect(chosen).to_have_value(f"model_{number}")
        for page in pages:
            page.context.close()
        runs = [Run.open(path) for path in (own_store / "runs").iterdir() if path.name != "tiny"]
        assert sorted(run.manifest.model.name for run in runs) == sorted(m.stem for m in models)
        assert all(run.damaged(again=True) == () for run in runs)
        time.sleep(5)
        grown = server.resident() - before
        assert len(server.workers()) <= 1
        assert "Traceback" not in server.said()
        assert grown < 100 * MB
    noted("browser sessions at once", count, f"every answer its own, memory +{grown / MB:.0f} MB")


def test_a_closed_page_and_a_killed_server_lose_nothing(
    tmp_path: Path, own_store: Path, browser: Browser, noted: Noted
) -> None:
    model = classifier(tmp_path / "mine.onnx", shape=[1, 3, SIZE, SIZE])
    context = browser.new_context()
    with Server(own_store) as server:
        page = new_page(context, server.address)
        ask(page, model)
        expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        with server.halted():
            page.close()
            time.sleep(2)
            stranger = new_page(browser.new_context(), server.address)
            time.sleep(1)
            assert stranger.get_by_text("Converting mine").count() == 0
            page = new_page(context, server.address)
            expect(page.get_by_text("Converting mine")).to_be_visible()
            expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        port = server.port
    with Server(own_store, port) as server:
        page = new_page(context, server.address)
        expect(page.get_by_text("was interrupted")).to_be_visible()
        stranger = new_page(stranger.context, server.address)
        assert stranger.get_by_text("was interrupted").count() == 0
        page.get_by_role("button", name="Go on").click()
        chosen = page.get_by_role("combobox", name="Run")
        expect(chosen).to_have_value(re.compile("mine"), timeout=120_000)
        assert page.get_by_text("was interrupted").count() == 0
    noted("closed page, killed server", 1, "the work is found again, and gone on with")


def test_the_headers_of_the_proxy_let_the_dashboard_work(
    own_store: Path, browser: Browser, noted: Noted
) -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    headers = dict(re.findall(r'add_header (\S+) "(.*)" always;', text))
    complaints: list[str] = []

    def add_headers(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, headers={**response.headers, **headers})

    def hear(message: ConsoleMessage) -> None:
        if "Security Policy" in message.text or "Permissions" in message.text:
            complaints.append(message.text)

    with Server(own_store) as server:
        page = browser.new_context().new_page()
        page.on("console", hear)
        page.route("**/*", add_headers)
        page.goto(server.address)
        go_to(page, "Speed and size")
        expect(page.locator(".js-plotly-plot").first).to_be_visible()
        go_to(page, "Pictures")
        expect(page.locator(".q-row img").first).to_be_visible()
        page.evaluate("fetch('https://elsewhere.invalid/').catch(() => null)")
        page.wait_for_timeout(500)
    # The last one shows that the policy was in force.
    assert [text for text in complaints if "elsewhere.invalid" not in text] == []
    assert complaints
    noted("security headers of deploy/nginx.conf", 1, "the dashboard works, others are not called")

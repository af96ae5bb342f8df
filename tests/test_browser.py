"""The main job in a real browser: pick, convert, upload two photos, compare, measure."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from engine.converters.recipes import RECIPES
from engine.store import HOME_VARIABLE, SAMPLE_IMAGES

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture
def server(own_store: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    process = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=ROOT,
        env=os.environ | {HOME_VARIABLE: str(own_store)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        started = time.monotonic()
        while not _healthy(address):
            assert time.monotonic() - started < 30, "the server does not start"
            time.sleep(0.1)
        assert time.monotonic() - started < 10
        memory = psutil.Process(process.pid).memory_info().rss
        assert memory < 500e6, "the server is heavy before anything is converted"
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture
def page(server: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(60_000)
        tab.goto(server)
        yield tab
        browser.close()


def go_to(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()


def test_the_main_job(page: Page) -> None:
    expect(page.get_by_role("heading", name="Convert a classifier to TFLite")).to_be_visible()
    page.get_by_label("Pictures to use").fill("16")
    page.get_by_label("Pictures to use").press("Enter")
    page.get_by_role("button", name="Convert", exact=False).last.click()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.get_by_role("heading", name="became seven TFLite variants")).to_be_visible(
        timeout=240_000
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=False).first.click()
    assert download.value.path().stat().st_size > 10_000_000

    go_to(page, "Predictions")
    page.get_by_text("My photos").click()
    photos = [str(SAMPLE_IMAGES / name) for name in ("espresso.jpg", "tabby_cat.jpg")]
    page.locator("input[type=file]").set_input_files(photos)
    expect(page.locator(".q-row")).to_have_count(2, timeout=120_000)
    cards = page.locator(".q-row").first.locator(".q-card")
    expect(cards).to_have_count(1 + len(RECIPES))
    for recipe in RECIPES:
        expect(cards.get_by_text(recipe.name, exact=True)).to_be_visible()
    expect(page.locator(".q-row", has_text="espresso.jpg")).to_contain_text("espresso")

    go_to(page, "Logit differences")
    expect(page.get_by_role("heading", name=re.compile("the logits most"))).to_be_visible()
    expect(page.locator(".js-plotly-plot").nth(3)).to_be_visible()

    go_to(page, "Latency and size")
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("rounds in turns")).to_be_visible(timeout=180_000)
    expect(page.locator(".js-plotly-plot").nth(2)).to_be_visible()

    go_to(page, "Run details")
    expect(page.get_by_text("python -m engine convert").first).to_be_visible()
    assert page.get_by_text("Traceback").count() == 0


def test_cancel_and_a_mistake_leave_the_dashboard_usable(page: Page, own_store: Path) -> None:
    page.get_by_role("button", name="Convert", exact=False).last.click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled. Nothing half-made was kept.")).to_be_visible(timeout=5_000)
    runs = own_store / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []
    page.get_by_text("A folder on this machine").click()
    page.get_by_label("Folder").fill("/nowhere")
    page.get_by_label("Folder").press("Enter")
    page.get_by_role("button", name="Convert", exact=False).last.click()
    expect(page.get_by_text("Choosing the calibration pictures")).to_be_visible()
    assert page.get_by_text("Traceback").count() == 0

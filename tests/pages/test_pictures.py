"""The page Pictures in a browser: search, pins, the clipboard and the camera."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from engine.images.pictures import pictures_in
from engine.runs.pinned import list_pinned, pin
from engine.runs.run import Run
from pages.views.gallery import PAGE_SIZE
from tests.helpers.browser import IN_A_BROWSER, PATIENCE, open_pictures, wait_until_settled
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER

NAMES = ".q-row .q-file"
PASTE = """([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], name, { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
}"""


@pytest.fixture
def page(browser: Browser, two_runs_server: Dashboard, own_run: Run) -> Page:
    tab = browser.new_page()
    tab.context.grant_permissions(["camera"])
    tab.set_default_timeout(PATIENCE)
    tab.goto(f"{two_runs_server.address}/predictions?run={own_run.folder.name}")
    wait_until_settled(tab)
    return tab


def a_picture(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def paste(page: Page, name: str, content: bytes) -> None:
    page.evaluate(PASTE, [name, base64.b64encode(content).decode()])


def test_pictures_are_searched_and_pinned(page: Page, own_run: Run) -> None:
    expect(page.locator(NAMES)).to_have_count(PAGE_SIZE)
    everything = page.locator(NAMES).all_inner_texts()
    page.get_by_placeholder("Search names, tags and answers").fill(everything[3])
    page.keyboard.press("Enter")
    expect(page.locator(".q-row")).to_have_count(1)
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Pinned", exact=True)).to_be_visible()
    assert [picture.name for picture in list_pinned(own_run)] == [everything[3]]
    page.get_by_placeholder("Search names, tags and answers").fill("no such thing")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No picture fits")).to_be_visible()
    page.get_by_placeholder("Search names, tags and answers").fill("")
    page.keyboard.press("Enter")
    open_pictures(page)
    page.get_by_role("radio", name="Pinned", exact=True).click()
    expect(page.locator(".q-row")).to_have_count(1)
    page.get_by_role("button", name="Pinned", exact=True).click()
    expect(page.locator(".q-row")).not_to_have_count(1)
    assert list_pinned(own_run) == ()


def test_pictures_are_pasted_and_taken(page: Page) -> None:
    open_pictures(page)
    page.get_by_role("radio", name="My photos").click()
    expect(page.get_by_text("Ctrl+V")).to_be_visible()
    wait_until_settled(page)
    paste(page, "copied.png", a_picture(90))
    expect(page.get_by_text("Forget what was pasted or taken (1)")).to_be_visible()
    expect(page.locator(NAMES)).to_have_text(["copied.png"])
    paste(page, "broken.png", b"no picture")
    expect(page.get_by_text("bytes that are no picture")).to_be_visible()
    page.get_by_text("Camera", exact=True).click()
    page.wait_for_function("document.querySelector('video')?.readyState === 4")
    page.get_by_role("button", name="Take photo").click()
    expect(page.get_by_text("Forget what was pasted or taken (2)")).to_be_visible()
    expect(page.locator(".q-row")).to_have_count(2)
    refusal = page.get_by_text("bytes that are no picture")
    paste(page, "other.png", a_picture(30))
    expect(refusal).to_have_count(0)
    paste(page, "beside_a_photo.png", b"no picture")
    expect(refusal).to_be_visible()
    expect(page.locator(".q-row")).to_have_count(3)
    page.get_by_text("Forget what was pasted or taken (3)").click()
    expect(page.get_by_text("Until then the sample images are shown")).to_be_visible()


def test_a_pinned_picture_that_changed_does_not_shut_the_page(page: Page, own_run: Run) -> None:
    pin(own_run, pictures_in(Path("sample_images"))[0])
    list_pinned(own_run)[0].path.write_bytes(b"other")
    page.reload()
    open_pictures(page)
    page.get_by_role("radio", name="Pinned", exact=True).click()
    expect(page.get_by_text("changed since it was pinned")).to_be_visible()
    page.get_by_role("radio", name="Sample images").click()
    expect(page.locator(".q-row").first).to_be_visible()

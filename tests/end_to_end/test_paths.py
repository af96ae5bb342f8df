"""What a stranger comes for, by as few clicks as it may take, by keys alone, and on a phone."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from engine.runs.request import ConvertRequest
from engine.runs.run import REQUEST, WORK, Run
from tests.helpers.browser import IN_A_BROWSER, PATIENCE, SIDEBAR_LINKS, wait_until_settled
from tests.helpers.shared_browser import Dashboard
from tests.pages.test_improve import with_optimized
from tests.pages.test_stage import coarsen

pytestmark = IN_A_BROWSER
MOST_TABS = 150
# The tabulator enters a group of choices once; arrows lead on in it.
NEXT_KEY = """it => {
  const focused = it.getRootNode().activeElement;
  if (focused === it && it.matches(":focus-visible")) return "Enter";
  return it.closest("[role=radiogroup]")?.contains(focused) ? "ArrowRight" : "Tab";
}"""


@pytest.fixture
def run(own_run: Run) -> Run:
    """A run whose int8 changes answers, some of which its int8_optimized wins back."""
    coarsen(own_run)
    (own_run.folder / WORK).mkdir()
    (own_run.folder / REQUEST).write_bytes(msgspec.json.encode(ConvertRequest()))
    return with_optimized(ConvertRequest(variants=("int8_optimized",), out=own_run.folder))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.set_default_timeout(PATIENCE)
    yield tab
    print("shown at the end:", tab.url, tab.inner_text("body"), sep="\n")


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    tab = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    tab.set_default_timeout(PATIENCE)
    yield tab
    print("shown at the end:", tab.url, tab.inner_text("body"), sep="\n")


class Hand(Protocol):
    """How a person reaches what is on the page."""

    def press(self, target: Locator) -> None:
        """Press a button, a pill or a link."""

    def open(self, entry: str) -> None:
        """Open an entry of the sidebar."""


class Keyboard:
    """Nothing but keys; what has the focus shows it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, target: Locator) -> None:
        wait_until_settled(self.page)
        expect(target).to_be_visible()
        # Looked for once: to find a role and a name takes as long as several keys.
        element = target.element_handle()
        for _ in range(MOST_TABS):
            key = element.evaluate(NEXT_KEY)
            self.page.keyboard.press(key)
            if key == "Enter":
                return
        raise AssertionError(f"{MOST_TABS} tabs do not reach {target}")

    def open(self, entry: str) -> None:
        self.press(self.page.locator(SIDEBAR_LINKS).filter(has_text=entry))


class Finger:
    """Taps on a phone, whose drawer closes on a choice."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, target: Locator) -> None:
        wait_until_settled(self.page)
        target.tap()

    def open(self, entry: str) -> None:
        drawer = self.page.locator("[data-testid=stSidebar][data-collapsed=false]")
        self.press(self.page.get_by_test_id("stExpandSidebarButton"))
        expect(drawer).to_be_visible()
        self.press(self.page.locator(SIDEBAR_LINKS).filter(has_text=entry))
        expect(drawer).to_have_count(0)


def test_right_answers_of_a_folder_take_two_clicks_and_their_page_two_more(
    page: Page, two_runs_server: Dashboard, own_run: Run, photos: Path
) -> None:
    names = sorted(path.name for path in photos.iterdir())
    table = "\n".join(["filename,class_index", *(f"{name},0" for name in names)])
    (photos.parent / f"{photos.name}.csv").write_text(table)
    open_result(page, two_runs_server, own_run)
    page.locator(".st-key-pictures_of_the_sidebar summary").click()
    page.get_by_role("radio", name="A folder on this machine").click()
    page.get_by_label("Folder", exact=True).fill(str(photos))
    page.get_by_label("Folder", exact=True).press("Enter")
    expect(page.get_by_text(f"{len(names)} of {len(names)} have a right answer.")).to_be_visible()
    tile = page.locator(".st-key-verdict .o-tile", has_text="Right answers")
    expect(tile).to_contain_text(f"of {len(names)}")
    wait_until_settled(page)
    page.locator(SIDEBAR_LINKS).filter(has_text="Pictures").click()
    page.locator(".st-key-tabs a").filter(has_text="Accuracy").click()
    expect(page.get_by_role("heading", name="All models")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("right")


def test_the_whole_story_by_keys_alone(
    page: Page, two_runs_server: Dashboard, run: Run, tmp_path: Path
) -> None:
    open_result(page, two_runs_server, run)
    live_through(page, Keyboard(page), tmp_path / "kit")


def test_the_whole_story_on_a_phone(
    phone: Page, two_runs_server: Dashboard, run: Run, tmp_path: Path
) -> None:
    open_result(phone, two_runs_server, run)
    live_through(phone, Finger(phone), tmp_path / "kit")


def open_result(page: Page, server: Dashboard, run: Run) -> None:
    page.goto(f"{server.address}/?run={run.folder.name}")
    expect(page.locator(".st-key-verdict")).to_be_visible()
    expect(page.locator(".stage .shown")).to_be_visible()


def live_through(page: Page, hand: Hand, kit: Path) -> None:
    """From the verdict to a kit that passes its golden set on this machine."""
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ship float32")
    hand.press(page.locator(".stage").get_by_role("button", name="Next"))
    hand.open("Pictures")
    hand.press(
        page.get_by_role("radiogroup", name="Variant").get_by_role("radio", name="int8", exact=True)
    )
    changed = page.locator(".strip .changed")
    expect(changed.nth(1)).to_be_visible()
    stamp = page.locator(".stage .stamp")
    first = stamp.inner_text()
    hand.press(page.locator(".stage").get_by_role("button", name="Next"))
    expect(stamp).not_to_have_text(first)
    expect(stamp).to_have_text(re.compile("^CHANGED: "))
    row = page.locator("[class*=st-key-shot_]").first
    hand.press(row.get_by_role("radio", name="int8", exact=True))
    expect(row.get_by_role("heading", name=re.compile("^int8 answers "))).to_be_visible()
    hand.open("Improve")
    hand.press(page.locator(".st-key-tabs a").filter(has_text="Optimize"))
    expect(page.get_by_role("heading", name="Answers won back")).to_be_visible()
    hand.open("Result")
    expect(page.locator(".st-key-verdict")).to_be_visible()
    # It leads to Ship, where the kit is made at once.
    hand.press(page.get_by_role("button", name="Make the kit"))
    download = page.get_by_role("button", name="Download the kit")
    expect(download).to_be_visible()
    with page.expect_download() as file:
        hand.press(download)
    with zipfile.ZipFile(file.value.path()) as archive:
        archive.extractall(kit)
    command = [sys.executable, "-I", "run_model.py"]
    checked = subprocess.run(command, cwd=kit, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "PASSED" in checked.stdout

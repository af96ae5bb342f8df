"""What a stakeholder lives through, on real pictures: from the first sentence to the report."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

import engine
from engine.runs.run import LATENCY, Run
from engine.tasks.first_run import complete
from engine.workers.process import Foreground
from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    go_to,
    open_pictures,
    wait_until_settled,
)
from tests.helpers.factories import latency
from tests.helpers.real_run import real_run
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER
DATA = Path(os.environ.get("QLAB_DATA", Path(__file__).parents[3] / "shared" / "data"))
PHOTOS = DATA / "imagenet" / "evaluation"
LOOKED_THROUGH = 60


@pytest.fixture
def run(two_runs_server: Dashboard) -> Iterator[Run]:
    """A finished first comparison, timed by hand: how long a call takes is not looked at here."""
    folder = two_runs_server.home / "runs" / "lite"
    shutil.copytree(real_run().folder, folder)
    (folder / LATENCY).mkdir(exist_ok=True)
    columns = Run.open(folder).columns
    medians = {column: 9.0 - number for number, column in enumerate(columns)}
    timed = msgspec.json.encode(latency(medians, spread=0.02))
    (folder / LATENCY / "threads-1.json").write_bytes(timed)
    yield complete(Run.open(folder), Foreground())
    assert (folder / LATENCY / "threads-1.json").read_bytes() == timed
    shutil.rmtree(folder)


def photos_with_a_flip(run: Run) -> tuple[list[Path], str]:
    """Three photos, the first of which int8 answers otherwise than the original; its name."""
    known = sorted(PHOTOS.glob("*.JPEG")) or sorted(PHOTOS.glob("*.jp*g"))
    if not known:
        pytest.skip(f"no pictures in {PHOTOS}; name the folder of the data in QLAB_DATA")
    looked_at = known[:LOOKED_THROUGH]
    flips = engine.compare(run, looked_at, variants=["int8"]).variant("int8").flips
    assert flips, "int8 answers like the original on all of these photos"
    first = looked_at[flips[0].index]
    return [first, *[path for path in looked_at if path != first][:2]], first.name


def complaints_of(page: Page) -> list[str]:
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def test_the_five_steps(
    run: Run, two_runs_server: Dashboard, tmp_path: Path, browser: Browser
) -> None:
    photos, flipped = photos_with_a_flip(run)
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(PATIENCE)
    said = complaints_of(page)
    page.goto(f"{two_runs_server.address}/?run={run.folder.name}")
    see_a_finished_comparison(page)
    choose_how_much_agreement(page)
    drop_photos(page, photos)
    ask_why_it_flipped(page, flipped)
    take_the_report_home(page, browser, tmp_path / "report.html")
    assert page.get_by_text("Traceback").count() == 0
    assert said == []


def see_a_finished_comparison(page: Page) -> None:
    heading = page.get_by_role("heading", level=1, name=re.compile("^Ship .*: .* 13 pictures"))
    expect(heading).to_be_visible()
    expect(page.get_by_text("too few to be sure")).to_be_visible()
    for card in ("Size", "Latency", "Same answers", "Right answers"):
        expect(page.locator(".st-key-verdict").get_by_text(card, exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"timed 20\d\d-\d\d-\d\d .* on "))).to_be_visible()


def choose_how_much_agreement(page: Page) -> None:
    slider = page.get_by_role("slider", name="Share of pictures")
    for key, words in (
        ("Home", "(at least|keeps) 80\xa0%"),
        ("End", "every answer|keeps 100\xa0%"),
    ):
        slider.press(key)
        advice = page.get_by_test_id("stMarkdown").filter(has_text=re.compile("^(Take|No variant)"))
        expect(advice).to_contain_text(re.compile(words))


def drop_photos(page: Page, photos: list[Path]) -> None:
    go_to(page, "Pictures")
    open_pictures(page)
    page.get_by_text("My photos").click()
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        [str(photo) for photo in photos]
    )
    expect(page.locator(".q-row")).to_have_count(len(photos))
    expect(page.get_by_role("heading", level=1)).to_contain_text("different answer")


def ask_why_it_flipped(page: Page, flipped: str) -> None:
    row = page.locator("[class*=st-key-shot_]", has=page.locator(".q-row", has_text=flipped))
    expect(row.locator(".q-chip", has_text="int8").first).to_be_visible()
    row.get_by_role("radio", name="int8", exact=True).click()
    expect(
        row.get_by_role("heading", name=re.compile("^int8 answers .*, the original"))
    ).to_be_visible()
    expect(row.get_by_text(re.compile("prefers .* to .* by .*int8"))).to_be_visible()
    expect(row.get_by_text("as the original does")).to_be_visible()
    expect(row.get_by_text(re.compile("^On this picture .* loses most"))).to_be_visible()
    expect(row.locator(".js-plotly-plot")).to_have_count(2)
    # The address shows a colleague the same.
    expect(page).to_have_url(re.compile("flip=int8"))
    row.get_by_role("link", name="All variants' logits of this picture").click()
    expect(page.get_by_role("combobox", name="Picture")).to_have_value(flipped)


def take_the_report_home(page: Page, browser: Browser, file: Path) -> None:
    go_to(page, "Overview")
    # A click on the button of the page before would be lost with it.
    wait_until_settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    download.value.save_as(file)
    report = browser.new_context(offline=True).new_page()
    complaints = complaints_of(report)
    report.goto(file.as_uri())
    expect(report.get_by_role("heading", level=1)).to_contain_text(" 3 pictures")
    expect(report.locator(".js-plotly-plot").first).to_be_visible()
    assert complaints == []

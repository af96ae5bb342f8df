"""Slices on Result as in the report, tags, and the picture set in the sidebar."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

import engine
from engine.core.errors import LabelsError
from engine.images.pictures import pictures_in
from engine.reporting.text.accuracy import slice_row, slices_headline, slices_shown_first
from engine.runs.labels import clean_tag, give_tag, own_tags, remove_tag, tags_from_csv
from engine.runs.run import Run
from tests.helpers.browser import IN_A_BROWSER, PATIENCE, wait_until_settled
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import ROOT, opened

PAGE = ROOT / "pages" / "dashboard" / "overview.py"
FOLDER = "A folder on this machine"


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


@pytest.fixture
def labelled(photos: Path) -> Path:
    """The folder of photos, with a table beside them."""
    rows = [
        f"photo_{number}.png,{number},{'night;rain' if number < 2 else ''}" for number in range(5)
    ]
    (photos / "labels.csv").write_text("\n".join(["filename,class_index,tag", *rows]) + "\n")
    return photos


def in_html(test: AppTest) -> str:
    assert not test.exception
    return " ".join(element.proto.body for element in test.get("html"))


def test_two_choices_lead_to_right_answers_and_slices_as_in_the_report(
    run: Run, labelled: Path
) -> None:
    test = opened(PAGE)
    assert "Right answers" not in in_html(test)
    # Of the four clicks that may be needed, opening the picture set is the first, this the second.
    test.segmented_control(key="pictures_source").set_value(FOLDER).run()
    test.text_input(key="pictures_folder").set_value(str(labelled)).run()
    test = opened(PAGE, pictures_source=FOLDER, pictures_folder=str(labelled))
    page = in_html(test)
    assert "Right answers" in page
    assert "5 of 5 have a right answer." in [c.value for c in test.sidebar.caption]
    report = engine.report(run, labelled, labels_csv=labelled / "labels.csv")
    headers = [header.value for header in test.header]
    (variant,) = (name for name in ("float32", "int8") if f"same answer, {name}</th>" in page)
    assert slices_headline(report.slices, variant) in headers
    first = slices_shown_first(report.slices, variant)
    assert [part.name for part in first if part.kind == "tag"] == ["night", "rain"]
    written = report.to_html()
    for part in first:
        row = slice_row(part, variant)
        for text in (row.name, row.same, row.right):
            assert text in page
            assert text in written
    assert report.to_dict()["slices"] == report.slices.to_dict()


@pytest.mark.usefixtures("run")
def test_folders_named_by_class_are_right_answers_by_themselves(photos: Path) -> None:
    for number, photo in enumerate(sorted(photos.iterdir())):
        (photos / str(number % 2)).mkdir(exist_ok=True)
        photo.rename(photos / str(number % 2) / photo.name)
    test = opened(PAGE, pictures_source=FOLDER, pictures_folder=str(photos))
    assert "Right answers" in in_html(test)
    assert "5 of 5 have a right answer." in [c.value for c in test.sidebar.caption]


def test_tags_are_their_owners(run: Run, photos: Path) -> None:
    pictures = pictures_in(photos)
    give_tag(run, "a" * 32, pictures[:2], " night ")
    give_tag(run, "a" * 32, pictures[1:2], "rain")
    assert own_tags(run, "a" * 32, pictures)[:3] == (("night",), ("night", "rain"), ())
    assert own_tags(run, "b" * 32, pictures) == ((),) * 5
    remove_tag(run, "a" * 32, pictures, "night")
    assert own_tags(run, "a" * 32, pictures)[:2] == ((), ("rain",))
    source = {"pictures_source": FOLDER, "pictures_folder": str(photos)}
    assert "rain" in in_html(opened(PAGE, qlab_owner="a" * 32, **source))
    assert "rain" not in in_html(opened(PAGE, qlab_owner="b" * 32, **source))


@pytest.mark.parametrize("tag", ["", "  ", "a;b", "x" * 41, "a\x07b"])
def test_a_tag_is_a_short_name(tag: str) -> None:
    with pytest.raises(LabelsError, match="semicolon"):
        clean_tag(tag)


def test_a_table_of_tags_alone_is_enough(run: Run, photos: Path) -> None:
    table = photos.parent / "tags.csv"
    table.write_text("filename,tag\nphoto_1.png,night\nphotos\\photo_2.png, night ; rain\n")
    names = [picture.name for picture in pictures_in(photos)]
    assert tags_from_csv(table, names) == ((), ("night",), ("night", "rain"), (), ())
    slices = engine.slices(run, photos, labels_csv=table)
    assert [(part.name, part.pictures) for part in slices.of("tag")] == [("night", 2), ("rain", 1)]
    assert slices.of("class") == ()


@pytest.fixture
def page(browser: Browser, two_runs_server: Dashboard, own_run: Run) -> Page:
    tab = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    tab.set_default_timeout(PATIENCE)
    tab.goto(f"{two_runs_server.address}/predictions?run={own_run.folder.name}")
    wait_until_settled(tab)
    return tab


@pytest.mark.slow
@pytest.mark.browser
@IN_A_BROWSER[2]
def test_a_tag_takes_two_clicks_and_the_drawer_opens_on_a_phone(page: Page) -> None:
    page.get_by_role("button", name="Tag", exact=True).first.click()
    page.get_by_label("New tag").fill("night")
    page.keyboard.press("Enter")
    expect(page.locator(".q-tag")).to_have_text(["night"])
    page.get_by_role("button", name="Tag", exact=True).nth(1).click()
    page.get_by_role("dialog").get_by_role("button", name="night").click()
    expect(page.locator(".q-tag")).to_have_text(["night", "night"])
    page.get_by_role("button", name="Show other pictures").click()
    expect(page.get_by_role("radio", name="A folder on this machine")).to_be_in_viewport()
    page.get_by_role("radio", name="A folder on this machine").click()
    page.get_by_label("Folder", exact=True).fill("/no/such/folder")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Looking for pictures")).to_be_in_viewport()
    expect(page.get_by_text("Meanwhile 13 sample pictures are shown.")).to_be_visible()
    # Streamlit opens a page with the drawer as it was.
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    page.goto(page.url.replace("predictions", ""))
    wait_until_settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Report", exact=True).click()
    assert "Tag:</span> night</th><td>2</td>" in download.value.path().read_text()

"""A choice of pictures that cannot be read leaves the page as it was, with the reason in view."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.store import SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.pinned import list_pinned, pin
from engine.runs.run import Run
from tests.helpers.tiny_run import tiny_run
from tests.pages.test_pages import PAGES, opened

FOLDER = "A folder on this machine"
# The choice stands beside all of them.
PAGES_WITH_PICTURES = [page for page in PAGES if page.stem in {"deploy", "layers"}]


@pytest.fixture
def run(own_store: Path) -> Run:
    return tiny_run(own_store / "runs" / "tiny")


def words(test: AppTest) -> str:
    assert not test.exception
    return " ".join(str(element.value) for element in (*test.markdown, *test.error))


def in_expanders(test: AppTest) -> str:
    return " ".join(
        str(text.value) for box in test.expander for text in (*box.markdown, *box.error)
    )


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("page", PAGES_WITH_PICTURES, ids=lambda page: page.stem)
def test_a_mistyped_folder_leaves_the_page_whole(page: Path) -> None:
    whole = opened(page)
    test = opened(page, pictures_source=FOLDER, pictures_folder="/no/such/folder")
    assert "Looking for pictures" in words(test)
    assert "Looking for pictures" not in in_expanders(test)
    assert [title.value for title in test.title] == [title.value for title in whole.title]
    assert [header.value for header in test.header] == [header.value for header in whole.header]
    assert "Meanwhile 13 sample pictures are shown" in " ".join(c.value for c in test.caption)


@pytest.mark.usefixtures("run")
def test_the_pictures_from_before_stay(photos: Path) -> None:
    page = next(page for page in PAGES_WITH_PICTURES if page.stem == "layers")
    test = opened(page, pictures_source=FOLDER, pictures_folder=str(photos))
    test.text_input(key="pictures_folder").set_value("/no/such/folder").run()
    assert "Looking for pictures" in words(test)
    assert "5 of your pictures" in [c.value for c in test.sidebar.caption]
    assert "Meanwhile 5 of your pictures are shown" in " ".join(c.value for c in test.caption)


@pytest.mark.parametrize("page", PAGES_WITH_PICTURES, ids=lambda page: page.stem)
def test_a_damaged_pin_leaves_the_page_whole(page: Path, run: Run) -> None:
    pin(run, pictures_in(SAMPLE_IMAGES)[0])
    list_pinned(run)[0].path.write_bytes(b"other")
    test = opened(page, pictures_source="Pinned")
    assert "Reading the pinned pictures" in words(test)
    assert "Reading the pinned pictures" not in in_expanders(test)
    assert test.title

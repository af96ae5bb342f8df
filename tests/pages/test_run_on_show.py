"""The run that the address names is the run on show, in every tab and on every page."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from streamlit.testing.v1 import AppTest

from engine.comparison.latency import Latency
from engine.core.errors import WorkerError
from engine.core.store import HOME_VARIABLE
from engine.runs.run import Run
from pages.shell.navigation import CHAPTERS
from tests.helpers.app_test import ROOT, dashboard_test
from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    go_to,
    wait_until_settled,
)
from tests.helpers.shared_browser import Dashboard
from tests.helpers.tiny_run import NEWER, OLDER, tiny_run, two_runs
from tests.pages.test_pages import opened, settled


@pytest.fixture
def home(own_store: Path) -> Path:
    two_runs(own_store)
    return own_store


def details(**address: str) -> AppTest:
    test = dashboard_test()
    test.switch_page("pages/dashboard/run_details.py")
    test.session_state["qlab_owner"] = os.environ[HOME_VARIABLE]
    for key, value in address.items():
        test.query_params[key] = value
    return test.run()


def folder_on_show(test: AppTest) -> str:
    assert not test.exception
    captions = " ".join(caption.value.replace("\\", "") for caption in test.caption)
    (name,) = re.findall(r"/runs/(\w+)", captions)
    return str(name)


def without_query(test: AppTest) -> AppTest:
    """The next page, as Streamlit opens it: without a query."""
    test.query_params.clear()
    return test.run()


def test_the_run_of_a_link_stays_when_streamlit_drops_the_query(home: Path) -> None:
    test = details(run=OLDER, against="int8")
    assert folder_on_show(test) == OLDER
    assert folder_on_show(without_query(test)) == OLDER
    assert test.query_params["run"] == OLDER
    assert test.query_params["against"] == "int8"


def test_another_tab_does_not_change_what_this_one_shows(home: Path) -> None:
    here, there = details(), details()
    assert folder_on_show(here) == NEWER
    there.selectbox[0].set_value(str(home / "runs" / OLDER)).run()
    assert folder_on_show(there) == OLDER
    assert folder_on_show(without_query(here)) == NEWER
    assert folder_on_show(details()) == OLDER, "a new tab without a link opens on the last choice"


def test_the_way_back_of_the_browser_brings_back_run_and_reference(home: Path) -> None:
    test = details()
    test.selectbox[0].set_value(str(home / "runs" / OLDER)).run()
    test.selectbox[1].set_value("int8").run()
    assert test.query_params["run"] == OLDER
    assert test.query_params["against"] == "int8"
    test.query_params["run"], test.query_params["against"] = NEWER, "original"
    test.run()
    assert folder_on_show(test) == NEWER
    assert test.selectbox[1].value == "original"


def test_a_run_that_is_gone_is_named_and_no_other_is_shown(home: Path) -> None:
    test = details(run="deleted_yesterday")
    for _ in range(2):
        assert test.title[0].value == "This run is not here"
        assert "deleted_yesterday" in test.error[0].value.replace("\\", "")
        assert test.query_params["run"] == "deleted_yesterday"
        without_query(test)
    test.button[0].click().run()
    assert folder_on_show(test) == NEWER


def test_a_run_deleted_while_on_show_is_named(home: Path) -> None:
    test = details(run=OLDER)
    shutil.rmtree(home / "runs" / OLDER)
    test.run()
    assert test.title[0].value == "This run is not here"
    two = test.selectbox[0]
    assert (two.value, len(two.options)) == (None, 1)
    two.set_value(str(home / "runs" / NEWER)).run()
    assert folder_on_show(test) == NEWER


@pytest.mark.parametrize("name", ["../older", "/etc", ".", "older/../newer"])
def test_a_name_that_leads_elsewhere_is_no_run(home: Path, name: str) -> None:
    assert details(run=name).title[0].value == "This run is not here"


def test_a_link_to_a_run_that_is_gone_in_an_empty_store_can_be_left(own_store: Path) -> None:
    test = details(run="deleted_yesterday")
    assert test.title[0].value == "This run is not here"
    test.button[0].click().run()
    assert test.title[0].value == "Nothing is converted yet"


def test_what_failed_for_one_run_is_not_shown_beside_another(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run, job: object, **options: int) -> Latency:
        raise WorkerError("Timing", got="a stop", expected="an end", todo="Measure again.")

    monkeypatch.setattr("pages.views.latency.measure", fail)
    test = opened(ROOT / "pages" / "dashboard" / "latency_and_size.py")
    next(button for button in test.button if button.label == "Measure").click().run()
    settled(test)
    assert "a stop" in test.error[0].value
    test.selectbox[0].set_value(str(home / "runs" / OLDER)).run()
    assert not test.exception
    assert not test.error


def test_runs_of_the_same_model_and_minute_are_told_apart(own_store: Path) -> None:
    for name in ("one", "two"):
        tiny_run(own_store / "runs" / name)
    test = details()
    for name in ("one", "two", "one"):
        test.selectbox[0].set_value(str(own_store / "runs" / name)).run()
        assert folder_on_show(test) == name
        assert folder_on_show(test.run()) == name


class Tab:
    """A tab of the browser."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE)
        page.goto(address)

    def shows(self, name: str) -> None:
        """Demand that the sidebar and the address name the same run."""
        expect(self.page).to_have_url(re.compile(rf"run={name}(&|$)"))
        wait_until_settled(self.page)
        run = self.page.get_by_role("combobox", name="Run")
        expect(run).to_have_value(f"the_{name}")

    def choose(self, name: str) -> None:
        self.page.get_by_role("combobox", name="Run").click()
        self.page.get_by_role("option", name=f"the_{name}").click()


def in_a_browser(test: object) -> object:
    for mark in IN_A_BROWSER:
        test = mark(test)
    return test


@in_a_browser
def test_two_tabs_reload_back_and_forward(browser: Browser, two_runs_server: Dashboard) -> None:
    address = two_runs_server.address
    wide = {"width": 1440, "height": 900}
    linked = Tab(browser.new_page(viewport=wide), f"{address}/run_details?run={OLDER}")
    linked.shows(OLDER)
    other = Tab(browser.new_page(viewport=wide), f"{address}/run_details?run={NEWER}")
    other.shows(NEWER)
    # A person looks at the tab; one in the background is drawn once a second.
    linked.page.bring_to_front()
    for known in CHAPTERS:
        go_to(linked.page, known.title)
        expect(linked.page).to_have_title(re.compile(f"^{known.title} "))
        linked.shows(OLDER)
    other.page.bring_to_front()
    other.choose(OLDER)
    other.shows(OLDER)
    other.choose(NEWER)
    other.shows(NEWER)
    linked.page.reload()
    linked.shows(OLDER)
    other.page.go_back()
    other.shows(OLDER)
    other.page.go_back()
    other.shows(NEWER)
    other.page.go_forward()
    other.shows(OLDER)
    other.page.go_forward()
    other.shows(NEWER)
    other.page.goto(f"{address}/?run=deleted_yesterday")
    for known in CHAPTERS:
        go_to(other.page, known.title)
        expect(other.page).to_have_title(re.compile(f"^{known.title} "))
        expect(other.page.get_by_role("heading", name="This run is not here")).to_be_visible()
        expect(other.page).to_have_url(re.compile(r"run=deleted_yesterday(&|$)"))
    other.page.get_by_role("button", name="Show the newest: the_newer").click()
    other.shows(NEWER)
    linked.shows(OLDER)

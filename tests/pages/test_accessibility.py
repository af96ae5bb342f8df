"""Everybody can use the dashboard: axe-core on every page, wide and narrow, light and dark."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, ViewportSize, expect

from pages.access.auth import DIGEST_VARIABLE, SHARED_VARIABLE, digest_of_password
from pages.shell.navigation import CHAPTERS
from tests.helpers.browser import (
    IN_A_BROWSER,
    PATIENCE,
    dashboard,
    go_to,
    turn_to,
    wait_until_settled,
)
from tests.helpers.shared_browser import Dashboard

pytestmark = IN_A_BROWSER
WIDE: ViewportSize = {"width": 1440, "height": 1000}
NARROW: ViewportSize = {"width": 390, "height": 844}
GRAVE = ("serious", "critical")
Theme = Literal["light", "dark"]
# Both themes have the same elements: what does not hang on colour is looked for in the light one.
ASKED: dict[Theme, dict[str, Any]] = {
    # What "region" says is never grave, and takes a tenth of the time.
    "light": {"resultTypes": ["violations"], "rules": {"region": {"enabled": False}}},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
# In dark only hues differ, and the elements are the same at every width.
LOOKS: tuple[tuple[Theme, ViewportSize], ...] = (
    ("dark", WIDE),
    ("light", WIDE),
    ("light", NARROW),
)
PASSWORD = "correct horse battery"
IS_ON = """theme => {
  const colour = getComputedStyle(document.querySelector(".stApp")).backgroundColor;
  const [red, green, blue] = colour.match(/[0-9.]+/g).map(Number);
  return (red + green + blue > 3 * 128) === (theme === "light");
}"""
OPEN_ALL = 'document.querySelectorAll("details:not([open]) > summary").forEach((s) => s.click())'
# What sticks out of the page, other than in a box that scrolls or cuts.
STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  const boxed = (element) => {
    for (let box = element.parentElement; box; box = box.parentElement) {
      if (box.dataset.testid === "stMain") return false;
      if (getComputedStyle(box).overflowX !== "visible") return true;
    }
    return false;
  };
  return [...document.querySelectorAll("[data-testid=stMain] *")]
    .filter((element) => element.getBoundingClientRect().right > width + 1 && !boxed(element))
    .map((element) => element.outerHTML.slice(0, 200));
}"""


@dataclass
class Complaints:
    """What is wrong in each theme, with the page it is wrong on."""

    page: Page
    theme: Theme
    where: str = ""
    of: dict[Theme, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.page.on("console", self.hear)
        self.page.on("pageerror", self.catch)

    def add(self, what: str) -> None:
        self.of[self.theme].append(f"{self.where}: {what}")

    def hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.add(f"console error {message.text} {message.location}")

    def catch(self, error: Error) -> None:
        self.add(f"uncaught {error}")

    def demand_none(self, theme: Theme) -> None:
        assert not self.of[theme], "\n".join(self.of[theme])

    def look(self, where: str, theme: Theme, size: ViewportSize) -> None:
        """Note what is wrong with a page in a theme, at a size of the window."""
        page = self.page
        self.theme, self.where = theme, f"{where} at {size['width']}\xa0px"
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(size)
        wait_until_settled(page)
        assert page.evaluate(IS_ON, theme), f"the theme {theme} is not on"
        page.evaluate(OPEN_ALL)
        wait_until_settled(page)
        self._ask_axe()
        for element in page.evaluate(STICKS_OUT):
            self.add(f"sticks out: {element}")
        if page.get_by_text("Traceback").count():
            self.add("a traceback")

    def look_in_its_theme(self, where: str) -> None:
        """Note what is wrong with a page in the theme that is on; it is left wide, and at rest."""
        for theme, size in LOOKS[::-1]:
            if theme == self.theme:
                self.look(where, theme, size)
        # A click while the sidebar comes back would miss what it is meant for.
        wait_until_settled(self.page)

    def _ask_axe(self) -> None:
        # A page that was not loaded anew has axe already.
        if self.page.evaluate("!window.axe"):
            self.page.evaluate(Axe().axe_script)
        answer = self.page.evaluate("options => axe.run(options)", ASKED[self.theme])
        for violation in answer["violations"]:
            if violation["impact"] in GRAVE:
                for node in violation["nodes"]:
                    self.add(_described(violation["id"], node))


def _described(rule: str, node: dict[str, Any]) -> str:
    why = "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
    return f"{rule} {json.dumps(node['target'])} {node['html'][:300]} {why}"


@pytest.fixture
def address(two_runs_server: Dashboard) -> str:
    return two_runs_server.address


@pytest.fixture(scope="module")
def behind_a_password(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A shared server that has no run."""
    shared = {SHARED_VARIABLE: "password", DIGEST_VARIABLE: digest_of_password(PASSWORD)}
    with dashboard(tmp_path_factory.mktemp("without_a_run"), **shared) as found:
        yield found


@pytest.fixture(params=ASKED)
def theme(request: pytest.FixtureRequest) -> Theme:
    theme: Theme = request.param
    return theme


@pytest.fixture
def page(theme: Theme, browser: Browser) -> Page:
    return browser.new_page(viewport=WIDE, color_scheme=theme)


@pytest.fixture
def complaints(page: Page, theme: Theme) -> Complaints:
    return Complaints(page, theme)


@pytest.fixture(scope="module")
def visits() -> list[Complaints]:
    """The one visit of all pages, which is for both themes, once it is over."""
    return []


def open_first(page: Page, address: str) -> None:
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    # A link that is clicked before the page is alive loads the whole dashboard anew.
    wait_until_settled(page)


def test_every_page_is_for_everybody(
    theme: Theme, browser: Browser, address: str, visits: list[Complaints]
) -> None:
    if not visits:
        looks = LOOKS
        first_theme, first_size = looks[0]
        page = browser.new_page(viewport=first_size, color_scheme=first_theme)
        complaints = Complaints(page, first_theme)
        open_first(page, address)
        for chapter in CHAPTERS:
            complaints.where = chapter.title
            if chapter != CHAPTERS[0]:
                turn_to(page, chapter.stem)
            expect(page).to_have_title(f"{chapter.title} · Quantization Lab")
            for theme_on, size in looks:
                complaints.look(chapter.title, theme_on, size)
            # The next page is first looked at as this one is left: each change redraws it.
            looks = looks[::-1]
        visits.append(complaints)
    visits[0].demand_none(theme)


def test_the_door_and_a_store_without_a_run(
    page: Page, theme: Theme, complaints: Complaints, behind_a_password: str
) -> None:
    page.goto(behind_a_password)
    complaints.look_in_its_theme("The door")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Enter").click()
    expect(page.locator(".st-key-entries")).to_be_visible()
    demand_no_first_comparison(page)
    go_to(page, "Optimize")
    expect(page.get_by_role("heading", name="Nothing is converted yet")).to_be_visible()
    complaints.look_in_its_theme("Improve without a run")
    complaints.demand_none(theme)


@pytest.mark.parametrize("theme", ["light"])
def test_a_link_is_not_lost_at_the_door(page: Page, behind_a_password: str) -> None:
    page.goto(f"{behind_a_password}/improve")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("heading", name="Nothing is converted yet")).to_be_visible()


def demand_no_first_comparison(page: Page) -> None:
    """Cancel what an empty store begins with, unless that was done in the other theme."""
    cancel = page.get_by_role("button", name="Cancel")
    again = page.get_by_role("button", name="Try again")
    expect(cancel.or_(again)).to_be_visible()
    if cancel.is_visible():
        cancel.click()
    expect(again).to_be_visible()


@pytest.mark.parametrize("theme", ["light"])
def test_the_keyboard_does_what_a_page_is_for(page: Page, address: str) -> None:
    open_first(page, address)
    tab_to(page, "Report")
    with page.expect_download():
        page.keyboard.press("Enter")
    go_to(page, "Convert")
    expect(page.get_by_role("heading", name="Convert a classifier")).to_be_visible()
    tab_to(page, "Convert")
    go_to(page, "Details")
    expect(page.get_by_role("heading", name="Files", exact=True)).to_be_visible()
    tab_to(page, "Download everything as one zip")
    with page.expect_download():
        page.keyboard.press("Enter")
    go_to(page, "Pictures")
    page.locator(".st-key-pictures_of_the_sidebar summary").press("Enter")
    expect(page.get_by_text("My photos")).to_be_visible()
    tab_to(page, "Sample images")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("They stay on this machine")).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until a button of that name has the focus, and a ring that shows it."""
    wait_until_settled(page)
    focused = page.locator("button:focus-visible")
    for _ in range(80):
        page.keyboard.press("Tab")
        if focused.count() and focused.inner_text().strip().splitlines()[-1:] == [name]:
            return
    raise AssertionError(f"80 tabs do not reach {name}")

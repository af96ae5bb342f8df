"""Names with HTML, Markdown and scripts are text: looked for in the DOM by a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

import engine
from engine.images.pictures import pictures_in
from engine.runs.run import Run
from engine.tasks import evaluate as service_module
from engine.tasks.add_file import add_file
from engine.workers import process as host
from pages.shell.navigation import CHAPTERS
from tests.helpers.browser import CHROMIUM, chromium, dashboard, go_to, open_pictures
from tests.helpers.server import ROOT
from tests.helpers.tiny_run import CLASSES, SIDE, tiny_run
from tests.helpers.tiny_tflite import reshape_file
from tests.hostile.payloads import payloads
from tests.hostile.rows import Noted, Row, Scaled

PAGES = tuple(known.title for known in CHAPTERS)
FOUND = """() => ({
  flag: window.pwned ?? null,
  made: document.querySelectorAll('[data-pwned]').length,
  dressed: [...document.querySelectorAll(
    'strong,em,a:not([href^="#"]),del,sup,iframe,math,.katex,form')]
    .filter(e => /pwned\\d/.test(e.textContent + (e.getAttribute('href') ?? '')))
    .map(e => e.outerHTML),
  loaded: [...document.images].filter(e => /pwned/.test(e.src)).length,
  hidden: getComputedStyle(document.body).display === 'none',
  text: document.body.innerText
    + [...document.querySelectorAll('svg text')].map(e => e.textContent).join(' ')
    + [...document.querySelectorAll('[title]')].map(e => e.title).join(' '),
})"""
"""What a page made of the names: nothing but text may come of them."""
OPEN_ALL = "document.querySelectorAll('details:not([open]) > summary').forEach((it) => it.click())"

pytestmark = [
    pytest.mark.hostile,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


def hostile_run(store: Path, photos: Path) -> Run:
    """A run whose labels, model, tensors and origin are payloads."""
    run = tiny_run(store / "runs" / "hostile")
    names = payloads(CLASSES)
    file = run.folder / "manifest.json"
    manifest = json.loads(file.read_bytes())
    del manifest["checksum"]
    manifest["labels"] = names
    manifest["model"]["name"] = names[0] + names[5] + names[7]
    manifest["command"] = names[2]
    manifest["created_at"] = names[4] + names[7]
    for artifact in manifest["artifacts"]:
        artifact["inputs"][0]["name"] = names[27]
        artifact["outputs"][0]["name"] = names[2]
    manifest["versions"] = {names[0]: names[27]}
    file.write_text(json.dumps(manifest))
    theirs = reshape_file(photos.parent / "x.tflite", (1, SIDE, SIDE, 3))
    return add_file(
        Run.open(run.folder), "theirs", theirs, host.Foreground(), origin=" ".join(names[:12])
    )


def hostile_photos(folder: Path) -> tuple[str, ...]:
    """Six pictures that have the first thirty classes as their first five answers.

    Their names are payloads, too, as far as a file system takes them.
    """
    shutil.rmtree(folder)
    folder.mkdir()
    named = []
    for number, name in enumerate(payloads()[5:11]):
        pixels = np.zeros(CLASSES, np.uint8)
        pixels[5 * number : 5 * number + 5] = 255
        named.append(name.replace("/", "\u2215") + ".png")
        Image.fromarray(pixels.reshape(SIDE, SIDE, 3)).save(folder / named[-1])
    return tuple(named)


@contextmanager
def opened(store: Path, **variables: str) -> Iterator[Page]:
    """A tab of a dashboard with a store and environment variables of its own."""
    with dashboard(store, **variables) as address, chromium() as browser:
        tab = browser.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(60_000)
        tab.goto(address)
        yield tab


def settle(page: Page) -> None:
    """Wait until the page is whole: no skeleton, nothing running."""
    page.wait_for_timeout(1500)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=stStatusWidget],[data-testid=stSkeleton]')"
    )
    page.wait_for_timeout(500)


def show_pictures(page: Page, photos: Path) -> None:
    """Go to the page Pictures, with the pictures of a folder on show."""
    go_to(page, "Pictures")
    open_pictures(page)
    page.get_by_text("A folder on this machine").click()
    page.get_by_label("Folder").fill(str(photos))
    page.get_by_label("Folder").press("Enter")
    page.locator(".q-row").nth(5).wait_for()


@pytest.fixture
def pictures(own_store: Path, photos: Path) -> tuple[str, ...]:
    """Names of the pictures on which a hostile run of the store is evaluated."""
    run = hostile_run(own_store, photos)
    names = hostile_photos(photos)
    service_module.compute_logits(run, pictures_in(photos), run.columns, host.Foreground())
    return names


@pytest.mark.timeout(300)
def test_they_are_shown_as_text(
    scaled: Scaled, noted: Noted, own_store: Path, photos: Path, pictures: tuple[str, ...]
) -> None:
    row = Row("HTML, Markdown, scripts in names", scaled(30), noted)
    text = ""
    requested: list[str] = []
    with opened(own_store) as page:
        page.on("request", lambda request: requested.append(request.url))
        show_pictures(page, photos)
        for name in PAGES:
            go_to(page, name)
            settle(page)
            # Also those that stand in a box that is closed.
            page.evaluate(OPEN_ALL)
            settle(page)
            found = page.evaluate(FOUND)
            text += found.pop("text")
            nothing = {"flag": None, "made": 0, "dressed": [], "loaded": 0, "hidden": False}
            assert found == nothing, name
    assert not [url for url in requested if "127.0.0.1:9/" in url or "pwned" in url]
    assert all(name in text for name in pictures)
    for number, _ in row.cases():
        row.outcomes["shown as text"] += 1
        if payloads()[number] not in text:
            row.faults.append(f"{payloads()[number]} is not to be seen")
    row.check()


@pytest.mark.timeout(300)
def test_they_are_shown_as_text_in_the_report(
    scaled: Scaled, noted: Noted, own_store: Path, photos: Path, pictures: tuple[str, ...]
) -> None:
    row = Row("HTML, Markdown, scripts in a report", scaled(30), noted)
    file = own_store / "report.html"
    engine.report(own_store / "runs" / "hostile", photos, file)
    requested: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.on("request", lambda request: requested.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_timeout(2000)
        found = page.evaluate(FOUND)
    text = found.pop("text")
    assert found == {"flag": None, "made": 0, "dressed": [], "loaded": 0, "hidden": False}
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
    # A report names pictures, the model and first answers, but not every class.
    assert all(name in text for name in pictures)
    assert sum(name in text for name in payloads()) >= len(pictures)
    for _ in row.cases():
        row.outcomes["no markup, no request"] += 1
    row.check()


WITHOUT_ESCAPING = """
import sys
sys.path.insert(0, {root!r})
import pages.state.messages as problems
problems.html = problems.plain = lambda text: text
"""


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("pictures")
def test_without_escaping_they_do_what_they_say(
    own_store: Path, photos: Path, tmp_path: Path
) -> None:
    """The attack works on pages that show names as they are."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_ESCAPING.format(root=str(ROOT)))
    with opened(own_store, PYTHONPATH=str(tmp_path)) as page:
        show_pictures(page, photos)
        settle(page)
        found = page.evaluate(FOUND)
    assert found["made"] > 0
    assert found["dressed"]

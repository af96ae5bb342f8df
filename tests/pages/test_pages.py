"""Every page through Streamlit's own test runner, without and with a run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.core.errors import JobCancelled
from engine.core.store import HOME_VARIABLE, SAMPLE_IMAGES
from engine.images.pictures import pictures_in
from engine.runs.run import Run
from engine.tasks import evaluate as service_module
from engine.workers import process as host
from engine.workers.jobs import BOARD, Job
from pages.shell.navigation import CHAPTERS
from pages.state import jobs
from tests.helpers.app_test import ROOT, SECONDS, dashboard_test
from tests.helpers.real_run import keep_catalog, real_run, real_store
from tests.helpers.tiny_run import tiny_run

PAGES = sorted((ROOT / "pages" / "dashboard").glob("*.py"))


def opened(page: Path, **state: object) -> AppTest:
    test = dashboard_test()
    test.switch_page(str(page.relative_to(ROOT)))
    for key, value in state.items():
        test.session_state[key] = value
    return settled(test.run())


def settled(test: AppTest) -> AppTest:
    """Run a page again until its jobs are done."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if all(job.wait(end - time.monotonic()) for job in active_jobs(test)):
            return test.run()
    raise AssertionError("a job did not end")


def active_jobs(test: AppTest) -> list[Job[object]]:
    """List the jobs under way that a session sees; a visitor who has not entered has none."""
    owners = [jobs.EVERYBODY]
    if "qlab_owner" in test.session_state:
        owners.append(test.session_state["qlab_owner"])
    return [job for owner in owners for job in BOARD.jobs(owner) if job.active]


TITLES_WITHOUT_A_RUN = {
    "convert": "Convert a classifier to TFLite",
    "overview": "Making the first comparison",
}


def cancelled(job: object) -> Run:
    raise JobCancelled("Converting", got="a cancel", expected="an end", todo="Start it again.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_without_a_run_says_what_to_do(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.state.conversion.first_comparison", cancelled)
    test = opened(page)
    assert not test.exception
    titles = [title.value for title in test.title]
    assert titles[0].startswith(TITLES_WITHOUT_A_RUN.get(page.stem, "Nothing is converted"))


def test_every_page_is_a_chapter_of_the_story() -> None:
    assert {known.stem for known in CHAPTERS} == {page.stem for page in PAGES}


@pytest.fixture
def with_run(monkeypatch: pytest.MonkeyPatch) -> None:
    real_run()
    keep_catalog(real_store())
    monkeypatch.setenv(HOME_VARIABLE, str(real_store()))


@pytest.mark.slow
@pytest.mark.usefixtures("with_run")
@pytest.mark.parametrize(
    ("page", "headline"),
    [
        ("overview", "Ship "),
        ("convert", "Convert a classifier to TFLite"),
        ("predictions", "pictures"),
        ("logit_differences", "the logits most"),
        ("layers", "int8 loses most in "),
        ("improve", " answer closer to the original?"),
        ("calibration", "How many calibration pictures are enough?"),
        ("latency_and_size", "smaller than float32"),
        ("accuracy", "pictures, the original on"),
        ("deploy", " to a phone: "),
        ("run_details", "efficientnet_lite0 with its own weights"),
    ],
)
def test_a_page_with_a_run_has_a_headline_made_from_it(page: str, headline: str) -> None:
    test = opened(ROOT / "pages" / "dashboard" / f"{page}.py")
    assert not test.exception
    assert headline in test.title[0].value


@pytest.mark.slow
@pytest.mark.usefixtures("with_run")
def test_predictions_warn_about_demo_calibration_and_filter_flips() -> None:
    test = opened(ROOT / "pages" / "dashboard" / "predictions.py")
    assert "Demo calibration" in " ".join(text.value for text in test.sidebar.markdown)
    toggle = test.toggle[0]
    if not toggle.disabled:
        toggle.set_value(True).run()
    assert not test.exception


@pytest.mark.slow
@pytest.mark.usefixtures("with_run")
def test_a_missing_folder_is_a_sentence() -> None:
    test = opened(
        ROOT / "pages" / "dashboard" / "predictions.py",
        pictures_source="A folder on this machine",
        pictures_folder="/nowhere",
    )
    assert not test.exception
    shown = " ".join(element.value for element in test.error)
    assert "Looking for pictures" in shown
    assert "not there" in shown


@pytest.mark.slow
@pytest.mark.usefixtures("with_run")
def test_a_folder_on_this_machine_is_shown() -> None:
    test = opened(
        ROOT / "pages" / "dashboard" / "predictions.py",
        pictures_source="A folder on this machine",
        pictures_folder=str(SAMPLE_IMAGES),
    )
    assert not test.exception
    assert "13" in test.title[0].value


def test_the_server_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"test = AppTest.from_file('app.py', default_timeout={SECONDS})\n"
        "test.switch_page('pages/dashboard/run_details.py').run()\n"
        "assert not test.exception, test.exception\n"
        "heavy = {'torch', 'tensorflow', 'onnx', 'onnx_tf', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=2 * SECONDS)


def test_a_picture_is_shown_as_the_network_sees_it(own_store: Path) -> None:
    run = tiny_run(own_store / "runs" / "tiny")
    service_module.compute_logits(run, pictures_in(SAMPLE_IMAGES), run.columns, host.Foreground())
    test = opened(ROOT / "pages" / "dashboard" / "logit_differences.py")
    assert not test.exception
    captions = [picture.caption for shown in test.get("image") for picture in shown.proto.imgs]
    assert "As the network sees it: 4\xa0×\xa04 pixels; channel order RGB; resize squash" in [
        caption.replace("\\", "") for caption in captions
    ]

"""Demo mode on and off, the address of the report for phones, and the check of a kit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from engine.core.errors import ConversionError
from engine.deployment.golden_set import CheckRequest, run_check
from pages.access.auth import SHARED_VARIABLE
from pages.shell.navigation import DEMO_VARIABLE
from pages.views.slides import address_of_report, say_no_code
from tests.helpers.app_test import dashboard_test
from tests.helpers.kits import kit_of, run_of
from tests.helpers.tiny_run import tiny_run

PATH = "/media/0123456789abcdef.html"


@pytest.mark.parametrize(
    ("written", "begun", "on"),
    [
        (None, None, False),
        ("", None, True),
        ("1", None, True),
        ("0", "1", False),
        (None, "1", True),
    ],
)
def test_the_address_decides_and_make_demo_begins_with_the_slides(
    own_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    written: str | None,
    begun: str | None,
    on: bool,
) -> None:
    tiny_run(own_store / "runs" / "tiny")
    if begun is not None:
        monkeypatch.setenv(DEMO_VARIABLE, begun)
    test = dashboard_test()
    test.switch_page("pages/dashboard/run_details.py")
    if written is not None:
        test.query_params["demo"] = written
    test.run()
    assert not test.exception
    assert test.session_state["qlab_demo"] is on
    assert bool(test.selectbox) is not on  # the sidebar's


def test_where_there_is_nothing_to_show_a_button_leads_out(own_store: Path) -> None:
    tiny_run(own_store / "runs" / "tiny")
    test = dashboard_test()
    test.query_params["demo"] = ""
    test.query_params["run"] = "gone"
    test.run()
    assert test.title[0].value == "This run is not here"
    next(b for b in test.button if b.label == "Leave the slides").click().run()
    assert not test.exception
    assert test.session_state["qlab_demo"] is False
    assert "Leave the slides" not in {b.label for b in test.button}


def test_a_phone_is_led_to_the_report_of_a_shared_dashboard_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert address_of_report("http://192.0.2.7:8501/", PATH) is None
    assert "make share" in say_no_code()
    monkeypatch.setenv(SHARED_VARIABLE, "password")
    assert address_of_report("http://192.0.2.7:8501", PATH) == f"http://192.0.2.7:8501{PATH}"
    assert address_of_report("https://a.example/lab/", PATH) == f"https://a.example/lab{PATH}"
    for loopback in ("localhost:8501", "127.0.0.1:8501", "[::1]:8501", "0.0.0.0:8501"):
        assert address_of_report(f"http://{loopback}/", PATH) is None
    assert address_of_report(None, PATH) is None
    assert "under localhost" in say_no_code()


def zipped(folder: Path) -> Path:
    file = folder.with_suffix(".zip")
    with zipfile.ZipFile(file, "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    return file


def test_the_check_of_a_kit_is_its_own_scripts(tmp_path: Path, photos: Path) -> None:
    kit = kit_of(run_of(tmp_path / "run", "int8"), photos, tmp_path / "kit")
    checked = run_check(CheckRequest(str(zipped(kit))), lambda _: None)
    assert checked.passed
    assert checked.output.splitlines()[-1] == "PASSED: golden set of 5 pictures"
    (kit / "run_model.py").write_text("raise SystemExit(3)")
    with pytest.raises(ConversionError, match="expected a verdict"):
        run_check(CheckRequest(str(zipped(kit))), lambda _: None)

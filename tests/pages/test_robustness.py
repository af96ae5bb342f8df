"""The section of Pictures about changed pictures, on a run made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from engine.core.store import HOME_VARIABLE
from engine.images.pictures import pictures_in
from engine.runs.run import Run
from tests.helpers.app_test import ROOT, dashboard_test
from tests.helpers.tiny_run import SIDE, tiny_run
from tests.pages.test_pages import settled


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "store"))
    (tmp_path / "store" / "runs").mkdir(parents=True)
    return tiny_run(tmp_path / "store" / "runs" / "tiny")


@pytest.fixture
def page(run: Run, tmp_path: Path) -> AppTest:
    """Two pixels of red, 159 and 200: int8 flips at +60 % of brightness, the others at +70 %."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[0, 0, 0], pixels[0, 1, 0] = 159, 200
    folder = tmp_path / "red"
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "red.png")
    test = dashboard_test()
    test.switch_page(str((ROOT / "pages" / "dashboard" / "predictions.py").relative_to(ROOT)))
    test.session_state["pictures_source"] = "A folder on this machine"
    test.session_state["pictures_folder"] = str(folder)
    test.session_state["changed_section"] = True
    assert len(pictures_in(folder)) == 1
    return settled(test.run())


def bold(test: AppTest) -> list[str]:
    return [text.value.strip("*") for text in test.markdown if text.value.startswith("**")]


def slider(test: AppTest, kind: str):  # type: ignore[no-untyped-def]
    return test.select_slider(key=f"changed_{kind}")


def test_models_answer_as_a_slider_moves_and_are_asked_once(page: AppTest, run: Run) -> None:
    assert "Every variant answers like the original here" in bold(page)
    slider(page, "brightness").set_value(60.0).run()
    assert not page.exception
    assert "int8 differs from the original here" in bold(page)
    (file,) = (run.folder / "robustness").glob("*.json")
    written = file.stat().st_mtime_ns
    slider(page, "brightness").set_value(0.0).run()
    slider(page, "brightness").set_value(60.0).run()
    assert "int8 differs from the original here" in bold(page)
    assert file.stat().st_mtime_ns == written
    page.button(key="changed_reset").click().run()
    assert slider(page, "brightness").value == 0.0


def test_the_least_change_is_searched_and_said(page: AppTest) -> None:
    slider(page, "brightness").set_value(60.0).run()
    page.button(key="start_changed_flips").click().run()
    settled(page)
    assert not page.exception
    said = [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in bold(page)]
    expected = r"int8 changes its answer at brightness \+60 %, the original and float32 at \+70 %."
    assert expected in said
    table = page.dataframe[-1].value
    assert list(table["Brightness"].str.replace("\N{NO-BREAK SPACE}", " ")) == [
        "+70 %",
        "+70 %",
        "+60 %",
    ]
    assert "start_changed_flips" not in [button.key for button in page.button]


def test_lines_of_the_set_are_measured_once_asked(page: AppTest, run: Run) -> None:
    page.segmented_control(key="changed_what").set_value("All pictures").run()
    page.segmented_control(key="changed_kind").set_value("brightness").run()
    page.button(key="start_changed_curve").click().run()
    settled(page)
    assert not page.exception
    headers = [header.value.replace("\N{NO-BREAK SPACE}", " ") for header in page.header]
    assert r"At brightness \+80 %, the original keeps 0 of 1 answers" in headers
    assert (run.folder / "robustness").is_dir()


def test_a_closed_section_asks_and_decodes_nothing(page: AppTest, run: Run) -> None:
    page.session_state["changed_section"] = False
    page.run()
    assert [s for s in page.select_slider if str(s.key).startswith("changed_")] == []
    assert not (run.folder / "robustness").exists()


def test_a_failure_is_said_and_can_be_tried_again(
    page: AppTest, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = run.folder / "int8.tflite"
    content = file.read_bytes()
    file.write_bytes(b"damaged")
    slider(page, "blur").set_value(1.2).run()
    assert not page.exception
    assert any("int8.tflite" in error.value for error in page.error)
    assert page.button(key="again_changed").label == "Try again"
    file.write_bytes(content)
    page.button(key="again_changed").click().run()
    assert not page.error
    assert any("here" in sentence for sentence in bold(page))
